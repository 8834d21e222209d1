package schema

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Bounds of what expressions evaluate to, in bytes as [measure] counts them.
const (
	mostEvaluated = 48 << 20 // in the evaluation of one argument
	mostKept      = 64 << 20 // the results of all arguments of a plan together
	mostPerHost   = 16 << 10 // and in addition for each host
	mostPerMade   = 4 << 10  // for each that a range or a dynamic block makes: a line of a plan makes thousands

	valueCost     = 128  // of a value, whatever it is; about what cty needs for a number in a list
	problemCost   = 1024 // of a problem, which holds what was in scope
	conditionCost = 32   // of one look at an element, which is not kept: it costs time
)

// meter bounds what expressions evaluate to. HCL cannot be interrupted, so every
// expression that may grow is wrapped when a file is parsed (see [meter.bound]), and fails
// before it is evaluated again once it is too much.
//
// One evaluation of an argument runs at a time: they are short, and share the account.
type meter struct {
	turn sync.Mutex                // held during the evaluation of an argument
	left atomic.Int64              // of mostEvaluated, for the argument that is evaluated
	kept atomic.Int64              // of what may be kept
	at   atomic.Pointer[hcl.Range] // the argument that is evaluated; nil: none

	untrusted bool  // the plan is not trusted
	began     usage // when it began to be read

	expanded atomic.Int64 // hosts that ranges and dynamic blocks make

	spent   *hcl.Diagnostic // more than may be kept was evaluated
	stopped atomic.Bool     // the evaluation was abandoned: it should end
	beyond  atomic.Bool     // an argument evaluated to too much: the plan is refused already
}

// allow says for how many hosts results may be kept.
func (m *meter) allow(hosts int) { m.kept.Store(mostKept + int64(hosts)*mostPerHost) }

// expand allows for hosts that were not counted before, because an expression makes them.
func (m *meter) expand(hosts int) {
	m.kept.Add(int64(hosts) * mostPerMade)
	m.expanded.Add(int64(hosts))
}

// loaded ends the account of what is kept: a run does not keep what it evaluates.
func (m *meter) loaded() { m.kept.Store(math.MaxInt64) }

// value evaluates an argument.
func (m *meter) value(expr hcl.Expression, ctx *hcl.EvalContext, at hcl.Range) (cty.Value, hcl.Diagnostics) {
	m.turn.Lock()
	defer m.turn.Unlock()
	if m.spent != nil { // one problem, however much is left to evaluate
		return cty.DynamicVal, hcl.Diagnostics{m.spent}
	}
	m.left.Store(mostEvaluated)
	m.at.Store(&at)
	defer m.at.Store(nil)
	value, diags := expr.Value(ctx)
	if m.left.Load() < 0 { // the other problems follow from this one
		m.beyond.Store(true)
		return cty.DynamicVal, hcl.Diagnostics{excessive(at)}
	}
	if diags.HasErrors() {
		return value, diags
	}
	size, err := measure(value, mostEvaluated)
	switch {
	case err != nil:
		return cty.DynamicVal, append(diags, problem(at, "Value out of bounds", "This value cannot be used: %s", sentence(err)))
	case size > mostEvaluated:
		return cty.DynamicVal, append(diags, excessive(at))
	case m.kept.Add(-size) < 0:
		m.beyond.Store(true)
		m.spent = problem(at, "Evaluates to too much", "With this argument, the values of the plan are too large. Their limit is %s, %s. Make lists and texts smaller.", m.limit(), counting)
		return cty.DynamicVal, append(diags, m.spent)
	}
	return value, diags
}

// limit says how much may be kept.
func (m *meter) limit() string {
	text := fmt.Sprintf("%d MiB, plus %d KiB for each host", mostKept>>20, mostPerHost>>10)
	if m.expanded.Load() > 0 {
		text += fmt.Sprintf(" (%d KiB for one that a range or a dynamic block makes)", mostPerMade>>10)
	}
	return text
}

// spend charges the size of a value to the argument that is evaluated.
func (m *meter) spend(value cty.Value) error {
	left := m.left.Load()
	if left < 0 {
		return errExcess
	}
	size, err := measure(value, left)
	if err != nil {
		return err
	}
	return m.take(size)
}

// pass charges a part of the size of what a function returns: it is kept only if a loop, a
// template or the argument uses it.
func (m *meter) pass(value cty.Value) error {
	left := m.left.Load()
	size, err := measure(value, max(left, 0))
	switch {
	case err != nil:
		return err
	case size > left:
		return m.take(size)
	}
	return m.take(size / passingShare)
}

func (m *meter) take(size int64) error {
	if m.left.Add(-size) < 0 || m.stopped.Load() {
		m.left.Store(-1)
		return errExcess
	}
	return nil
}

var (
	counting  = fmt.Sprintf("counting %d bytes for each element, and the length of each text", valueCost)
	errExcess = fmt.Errorf("its result would be too large. The limit is %d MiB, %s", mostEvaluated>>20, counting)
)

func excessive(at hcl.Range) *hcl.Diagnostic {
	return problem(at, "Evaluates to too much", "The value of this argument, or of a part of it, is too large. The limit is %d MiB, %s. Make lists and texts smaller.", mostEvaluated>>20, counting)
}

// measure counts the size of a value, as if nothing in it were shared: walks over a value visit
// shared parts each time. It stops above most. The error is a number or a depth that other
// parts of the program cannot handle.
func measure(value cty.Value, most int64) (size int64, err error) {
	s := scale{left: most}
	err = s.add(value, 0)
	return most - s.left, err
}

type scale struct {
	left    int64
	deepest int
}

func (s *scale) add(v cty.Value, depth int) error {
	if s.left -= valueCost; s.left < 0 {
		return nil
	}
	if depth > deepestValue {
		return fmt.Errorf("lists and objects are nested more than %d deep in the value", deepestValue)
	}
	s.deepest = max(s.deepest, depth)
	v, _ = v.Unmark()
	t := v.Type()
	switch {
	case t == cty.DynamicPseudoType:
	case v.IsNull() || !v.IsKnown():
		s.addType(t)
	case t == cty.String:
		s.left -= int64(len(v.AsString()))
		return checkText(v.AsString())
	case t == cty.Number:
		return checkNumber(v)
	case v.CanIterateElements():
		return s.addElements(v, depth)
	}
	return nil
}

func (s *scale) addElements(v cty.Value, depth int) error {
	if t := v.Type(); t.IsCollectionType() && v.LengthInt() == 0 {
		s.addType(t.ElementType())
	}
	for it := v.ElementIterator(); s.left >= 0 && it.Next(); {
		key, element := it.Element()
		if key.Type() == cty.String && !v.Type().IsSetType() {
			s.left -= int64(len(key.AsString()))
		}
		if err := s.add(element, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// addType counts a type without a value; it may be as large as a value.
func (s *scale) addType(t cty.Type) {
	if s.left -= valueCost; s.left < 0 {
		return
	}
	switch {
	case t.IsCollectionType():
		s.addType(t.ElementType())
	case t.IsTupleType():
		for _, element := range t.TupleElementTypes() {
			s.addType(element)
		}
	case t.IsObjectType():
		for _, attribute := range t.AttributeTypes() {
			s.addType(attribute)
		}
	}
}

// checkNumber refuses a number that would have millions of digits as a text.
func checkNumber(v cty.Value) error {
	f := v.AsBigFloat()
	if f.IsInf() {
		return errInfinite
	}
	if exponent := f.MantExp(nil); exponent > mostExponent || exponent < -mostExponent {
		return fmt.Errorf("a number is out of range: its size must be between 2^-%d and 2^%[1]d", mostExponent)
	}
	return nil
}

var errInfinite = errors.New("a number is divided by zero, or infinite for another reason")

// checkText refuses a text that is a number with so many digits that it would take minutes
// to convert.
func checkText(text string) error {
	if len(text) > longestWord && strings.Trim(text, "+-.0123456789eE") == "" {
		return fmt.Errorf("a number has at most %d digits, and here it has %d", longestWord, len(text))
	}
	return nil
}

// checkNumeric refuses a text that would become a refused number.
func checkNumeric(v cty.Value) error {
	if err := checkText(v.AsString()); err != nil || len(v.AsString()) > longestWord {
		return err
	}
	if n, err := cty.ParseNumberVal(v.AsString()); err == nil {
		return checkNumber(n)
	}
	return nil
}

// bounded is an expression whose value is charged to the meter. Walks over
// expressions see the wrapped one as its child, as in parentheses.
type bounded struct {
	*hclsyntax.ParenthesesExpr
	meter *meter
	cost  func(*bounded, cty.Value) error
	whole bool // a whole argument
}

// Value implements [hcl.Expression].
func (b *bounded) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	if b.whole {
		return b.meter.value(b.Expression, ctx, b.SrcRange)
	}
	if b.meter.left.Load() < 0 {
		return cty.DynamicVal, hcl.Diagnostics{tooMuch}
	}
	value, diags := b.Expression.Value(ctx)
	b.meter.take(int64(len(diags)) * problemCost)
	if err := b.cost(b, value); err != nil {
		return cty.DynamicVal, append(diags, problem(b.SrcRange, "Value out of bounds", "This value cannot be used: %s", sentence(err)))
	}
	return value, diags
}

// tooMuch ends loops; [meter.value] replaces it by its own message.
var tooMuch = &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Evaluates to too much"}

// UnwrapExpression lets hcl see what is wrapped.
func (b *bounded) UnwrapExpression() hcl.Expression { return b.Expression }

// element charges what a loop or a template keeps.
func element(b *bounded, v cty.Value) error { return b.meter.spend(v) }

// look charges what a loop only looks at.
func look(b *bounded, _ cty.Value) error { return b.meter.take(conditionCost) }

// operand charges nothing: operators make no larger numbers. It bounds numbers, and texts
// that would become numbers.
func operand(_ *bounded, v cty.Value) error {
	v, _ = v.Unmark()
	switch {
	case v.IsNull() || !v.IsKnown():
	case v.Type() == cty.Number:
		return checkNumber(v)
	case v.Type() == cty.String:
		return checkNumeric(v)
	}
	return nil
}

func (m *meter) wrap(x hclsyntax.Expression, cost func(*bounded, cty.Value) error) hclsyntax.Expression {
	switch x.(type) {
	case nil:
		return nil
	case *bounded:
		return x
	}
	return &bounded{ParenthesesExpr: &hclsyntax.ParenthesesExpr{Expression: x, SrcRange: x.Range()}, meter: m, cost: cost}
}

// bound wraps the parts of a file or an expression that can grow: the parts that a loop
// evaluates repeatedly, the parts of templates, the operands of operators, and each
// argument as a whole.
func (m *meter) bound(node hclsyntax.Node) hcl.Diagnostics {
	return hclsyntax.VisitAll(node, func(node hclsyntax.Node) hcl.Diagnostics {
		switch n := node.(type) {
		case *hclsyntax.Attribute:
			n.Expr = m.argument(n.Expr)
		case *hclsyntax.ForExpr:
			n.KeyExpr, n.ValExpr, n.CondExpr = m.wrap(n.KeyExpr, element), m.wrap(n.ValExpr, element), m.wrap(n.CondExpr, look)
		case *hclsyntax.SplatExpr:
			n.Each = m.wrap(n.Each, element)
		case *hclsyntax.TemplateExpr:
			for i, part := range n.Parts {
				if _, literal := part.(*hclsyntax.LiteralValueExpr); !literal {
					n.Parts[i] = m.wrap(part, element)
				}
			}
		case *hclsyntax.BinaryOpExpr:
			if n.Op != hclsyntax.OpEqual && n.Op != hclsyntax.OpNotEqual {
				n.LHS, n.RHS = m.wrap(n.LHS, operand), m.wrap(n.RHS, operand)
			}
		case *hclsyntax.IndexExpr:
			n.Key = m.wrap(n.Key, operand)
		case *hclsyntax.LiteralValueExpr:
			return literal(n)
		}
		return nil
	})
}

// argument wraps a whole argument.
func (m *meter) argument(x hclsyntax.Expression) hclsyntax.Expression {
	return &bounded{ParenthesesExpr: &hclsyntax.ParenthesesExpr{Expression: x, SrcRange: x.Range()}, meter: m, whole: true}
}

func literal(n *hclsyntax.LiteralValueExpr) hcl.Diagnostics {
	if err := operand(nil, n.Val); err != nil {
		return hcl.Diagnostics{problem(n.SrcRange, "Value out of bounds", "This value cannot be used: %s", sentence(err))}
	}
	return nil
}

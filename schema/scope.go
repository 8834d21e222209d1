package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// Scope is what the expressions of one step on one host may refer to, beside
// what the whole plan shares.
type Scope struct {
	Host    *Host
	Facts   cty.Value            // host.facts; cty.NilVal where nobody has read them: unknown
	Results map[string]cty.Value // step.<name>
	Result  cty.Value            // `result`; cty.NilVal outside until and failed_when
	Attempt int                  // `attempt`; 0 outside until and failed_when: unknown
}

func (p *Plan) context(s Scope) *hcl.EvalContext {
	ctx := p.global.NewChild()
	facts := s.Facts
	if facts == cty.NilVal {
		facts = cty.UnknownVal(p.known.Facts.Type())
	}
	host := s.Host.Value.AsValueMap()
	host["facts"] = facts
	ctx.Variables = map[string]cty.Value{
		"group": cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(s.Host.Group)}),
		"host":  cty.ObjectVal(host),
		"step":  cty.ObjectVal(s.Results),
	}
	if s.Result != cty.NilVal {
		ctx.Variables["result"] = s.Result
		ctx.Variables["attempt"] = cty.UnknownVal(cty.Number)
		if s.Attempt > 0 {
			ctx.Variables["attempt"] = cty.NumberIntVal(int64(s.Attempt))
		}
	}
	return ctx
}

// Arguments evaluates the arguments of a step for one host into an object that
// the step type describes. It may hold unknown values where the scope does.
func (p *Plan) Arguments(s *Step, scope Scope) (cty.Value, hcl.Diagnostics) {
	value, diags := evaluateObject(s.Arguments, p.known.Steps[s.Type].Arguments, p.context(scope), s.Range, nil)
	return value, p.hide(diags)
}

// Decode evaluates the arguments of a step for one host without a run: where they
// depend on the machine or on another step's result, that is an error.
func (p *Plan) Decode(s *Step, h *Host, into any) hcl.Diagnostics {
	if h.Late() {
		return hcl.Diagnostics{problem(h.RangeOf("esxi.disk"), "Not known yet", "The disk or NIC of host %q is chosen from host.facts; only a run knows it, or a dry run.", h.Name)}
	}
	results := map[string]cty.Value{}
	for _, other := range p.Steps {
		results[other.Name] = cty.UnknownVal(p.known.Steps[other.Type].Result.Type())
	}
	value, diags := p.Arguments(s, Scope{Host: h, Results: results})
	if diags.HasErrors() {
		return diags
	}
	if !value.IsWhollyKnown() {
		return append(diags, problem(s.Range, "Not known yet", "The arguments of step %q depend on the machine, or on the result of another step; only a run knows them.", s.Name))
	}
	b, err := ctyjson.Marshal(value, value.Type())
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		return append(diags, problem(s.Range, "Invalid arguments", "%v.", err))
	}
	return diags
}

// Condition evaluates one of the step's conditions; ok is false where the plan
// does not give it. The value may be unknown.
func (p *Plan) Condition(s *Step, name string, scope Scope) (value cty.Value, ok bool, err error) {
	attr, ok := s.Conditions[name]
	if !ok {
		return cty.NilVal, false, nil
	}
	value, err = condition(attr.Expr, p.context(scope))
	var diags hcl.Diagnostics
	if errors.As(err, &diags) {
		p.hide(diags)
	}
	if err != nil {
		return cty.NilVal, true, fmt.Errorf("%s at %s: %w", name, position(attr.Expr.Range()), err)
	}
	return value, true, nil
}

// RefersTo reports whether any expression of the step mentions root, or
// root.name where name is not empty.
func (s *Step) RefersTo(root, name string) bool {
	return slices.ContainsFunc(s.references(), func(t hcl.Traversal) bool {
		found, ok := attributeName(t, root)
		return t.RootName() == root && (name == "" || ok && found == name)
	})
}

func (s *Step) references() []hcl.Traversal {
	var out []hcl.Traversal
	for _, attrs := range []map[string]*hcl.Attribute{s.Arguments, s.Conditions} {
		for _, name := range slices.Sorted(maps.Keys(attrs)) {
			out = append(out, attrs[name].Expr.Variables()...)
		}
	}
	return out
}

// checkReferences looks at every reference of step number i without
// evaluating it: roots, names, and results of earlier steps only.
func (p *Plan) checkReferences(i int, s *Step) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, t := range s.references() {
		if d := p.checkReference(i, t); d != nil {
			diags = append(diags, d)
		}
	}
	for _, name := range []string{"when", "done_when"} {
		if attr, ok := s.Conditions[name]; ok {
			diags = append(diags, noResult(name, attr)...)
		}
	}
	for _, attr := range s.Arguments {
		diags = append(diags, noResult(attr.Name, attr)...)
	}
	return diags
}

func noResult(name string, attr *hcl.Attribute) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, t := range attr.Expr.Variables() {
		if root := t.RootName(); root == "result" || root == "attempt" {
			diags = append(diags, problem(t.SourceRange(), "Reference out of place", "%q exists only in until and failed_when, not in %s.", root, name))
		}
	}
	return diags
}

var roots = []string{"var", "local", "image", "group", "host", "step", "result", "attempt", "path"}

func (p *Plan) checkReference(i int, t hcl.Traversal) *hcl.Diagnostic {
	at := t.SourceRange()
	name, named := attributeName(t, t.RootName())
	switch root := t.RootName(); root {
	case "var", "local", "image":
		if named {
			return p.checkGlobal(root, name, at)
		}
	case "step":
		if named {
			return p.checkStepReference(i, name, t, at)
		}
	case "result":
		return checkAttribute(p.known.Steps[p.Steps[i].Type].Result, t, 1, "result")
	case "group", "host", "attempt", "path":
	default:
		return problem(at, "Unknown reference", "Nothing is called %q here; an expression may refer to %s%s", root, quoted(roots), DidYouMean(root, roots))
	}
	return nil
}

func (p *Plan) checkGlobal(root, name string, at hcl.Range) *hcl.Diagnostic {
	known := slices.Sorted(maps.Keys(p.global.Variables[root].AsValueMap()))
	if slices.Contains(known, name) {
		return nil
	}
	return problem(at, "Unknown "+map[string]string{"var": "variable", "local": "local", "image": "image"}[root],
		"The plan declares no %s.%s%s", root, name, DidYouMean(name, known))
}

func (p *Plan) checkStepReference(i int, name string, t hcl.Traversal, at hcl.Range) *hcl.Diagnostic {
	var earlier []string
	for k, s := range p.Steps {
		if k < i {
			earlier = append(earlier, s.Name)
		}
		if s.Name != name {
			continue
		}
		if k >= i {
			return problem(at, "Reference to a later step", "Step %q runs at or after this one, so its result does not exist yet. Move it up, or refer to an earlier step.", name)
		}
		return checkAttribute(p.known.Steps[s.Type].Result, t, 2, "step."+name)
	}
	return problem(at, "Unknown step", "There is no step %q before this one%s", name, DidYouMean(name, earlier))
}

// checkAttribute looks at position n of a traversal, the attribute of a result.
func checkAttribute(result *Object, t hcl.Traversal, n int, what string) *hcl.Diagnostic {
	if len(t) <= n {
		return nil
	}
	attr, ok := t[n].(hcl.TraverseAttr)
	if !ok || has(result, attr.Name) {
		return nil
	}
	return problem(attr.SourceRange(), "Unknown attribute", "%s has no attribute %q; it has %s%s", what, attr.Name, quoted(result.Names()), DidYouMean(attr.Name, result.Names()))
}

// Text is a value for people: a string as it stands, everything else as JSON.
func Text(v cty.Value) string {
	switch {
	case IsSensitive(v):
		return Hidden
	case v.IsNull():
		return "null"
	case v.Type() == cty.String && v.IsKnown():
		return v.AsString()
	}
	b, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return v.GoString()
	}
	return string(b)
}

package schema

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// Scope is what the expressions of one step on one host may refer to, besides
// what the whole plan shares.
type Scope struct {
	Host    *Host
	Facts   cty.Value            // host.facts; cty.NilVal if they were not read: unknown
	Results map[string]cty.Value // step.<name>
	Result  cty.Value            // `result`; cty.NilVal outside until and failed_when
	Attempt int                  // `attempt`; 0 outside until and failed_when: unknown
}

// context holds what the step's expressions refer to, and no more: it is made for every
// evaluation of a run.
func (p *Plan) context(s *Step, scope Scope) *hcl.EvalContext {
	ctx := p.global.NewChild()
	ctx.Variables = map[string]cty.Value{}
	if s.refs.roots["group"] {
		ctx.Variables["group"] = groupValue(scope.Host.Group)
	}
	if s.refs.roots["host"] {
		ctx.Variables["host"] = p.hostValue(scope)
	}
	if s.refs.roots["step"] {
		ctx.Variables["step"] = s.refs.results(scope.Results)
	}
	if scope.Result != cty.NilVal {
		ctx.Variables["result"] = scope.Result
		ctx.Variables["attempt"] = cty.UnknownVal(cty.Number)
		if scope.Attempt > 0 {
			ctx.Variables["attempt"] = cty.NumberIntVal(int64(scope.Attempt))
		}
	}
	return ctx
}

// hostValue is what `host` means: the declaration, and the facts as far as they are known.
func (p *Plan) hostValue(scope Scope) cty.Value {
	host := scope.Host.Value.AsValueMap()
	host["facts"] = scope.Facts
	if scope.Facts == cty.NilVal {
		host["facts"] = cty.UnknownVal(p.known.Facts.Type())
	}
	return cty.ObjectVal(host)
}

// Arguments evaluates the arguments of a step for one host into an object that
// the step type describes. It may hold unknown values where the scope does.
func (p *Plan) Arguments(s *Step, scope Scope) (cty.Value, hcl.Diagnostics) {
	value, diags := p.evaluate(s, p.context(s, scope), nil)
	return value, p.hide(diags)
}

// evaluate evaluates the arguments of a step, except those that are wrong: they are unknown.
func (p *Plan) evaluate(s *Step, ctx *hcl.EvalContext, wrong map[*hcl.Attribute]bool) (cty.Value, hcl.Diagnostics) {
	values, diags := evaluateObject(s.Arguments, p.known.Steps[s.Type].Arguments, s.Range, nil,
		func(attr *hcl.Attribute, a *Argument) (cty.Value, hcl.Diagnostics) {
			if wrong[attr] {
				return cty.UnknownVal(a.Type), nil
			}
			return a.evaluate(attr, ctx)
		})
	return cty.ObjectVal(values), diags
}

// Decode evaluates the arguments of a step for one host without a run: where they
// depend on the machine or on another step's result, that is an error.
func (p *Plan) Decode(s *Step, h *Host, into any) hcl.Diagnostics {
	if h.Deferred() {
		return hcl.Diagnostics{problem(h.RangeOf("esxi.disk"), "Not known yet",
			"The disk or NIC of host %q is chosen from host.facts; only a run knows it, or a dry run.", h.Name)}
	}
	b, diags := p.decoded(s, h)
	if diags.HasErrors() {
		return diags
	}
	if err := json.Unmarshal(b, into); err != nil {
		return append(diags, problem(s.Range, "Invalid arguments", "%v.", err))
	}
	return diags
}

// decoded are the arguments as JSON. If nothing in them differs from host to host, they are
// evaluated once.
func (p *Plan) decoded(s *Step, h *Host) ([]byte, hcl.Diagnostics) {
	d := s.dependence(h, nil)
	if b, ok := p.arguments.Load(d); ok {
		return b.([]byte), nil
	}
	b, diags := p.knownArguments(s, h)
	if d.host == nil && len(diags) == 0 {
		p.arguments.Store(d, b)
	}
	return b, diags
}

func (p *Plan) knownArguments(s *Step, h *Host) ([]byte, hcl.Diagnostics) {
	value, diags := p.Arguments(s, Scope{Host: h, Results: p.unknownResults()})
	if diags.HasErrors() {
		return nil, diags
	}
	if !value.IsWhollyKnown() {
		return nil, append(diags, problem(s.Range, "Not known yet",
			"The arguments of step %q depend on the machine, or on the result of another step; only a run knows them.", s.Name))
	}
	b, err := ctyjson.Marshal(value, value.Type())
	if err != nil {
		diags = append(diags, problem(s.Range, "Invalid arguments", "%v.", err))
	}
	return b, diags
}

// unknownResults are those of all steps as long as none has run.
func (p *Plan) unknownResults() map[string]cty.Value {
	results := make(map[string]cty.Value, len(p.Steps))
	for _, s := range p.Steps {
		results[s.Name] = cty.UnknownVal(p.known.Steps[s.Type].Result.Type())
	}
	return results
}

// Condition evaluates one of the step's conditions; ok is false where the plan
// does not give it. The value may be unknown.
func (p *Plan) Condition(s *Step, name string, scope Scope) (value cty.Value, ok bool, err error) {
	attr, ok := s.Conditions[name]
	if !ok {
		return cty.NilVal, false, nil
	}
	value, err = condition(attr.Expr, p.context(s, scope))
	var diags hcl.Diagnostics
	if errors.As(err, &diags) {
		p.hide(diags)
	}
	if err != nil {
		return cty.NilVal, true, fmt.Errorf("%s at %s: %w", name, position(attr.Expr.Range()), err)
	}
	return value, true, nil
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

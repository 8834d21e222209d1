package schema

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// Literal writes a text as a string of the language, ready to be put into a plan.
func Literal(text string) string {
	return string(hclwrite.TokensForValue(cty.StringVal(text)).Bytes())
}

// passwordArguments are those that take a password, and what a variable for it could be called.
var passwordArguments = []struct{ path, key, variable string }{
	{"bmc.password", "", "bmc_password"},
	{"esxi.root_password", "", "root_password"},
	{"esxi.current", "password", "current_password"},
}

// CheckPasswords warns of passwords that are written out in the plan: one warning for each
// argument, however many hosts have it.
func (p *Plan) CheckPasswords() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, a := range passwordArguments {
		var places []hcl.Range
		seen, looked := map[hcl.Range]bool{}, map[*hcl.Attribute]bool{}
		for _, h := range p.Hosts() {
			attr, _ := h.said.at(a.path)
			if looked[attr] { // the group's
				continue
			}
			looked[attr] = true
			if at, written := p.literalIn(attr, a.key); written && !seen[at] {
				places, seen[at] = append(places, at), true
			}
		}
		if len(places) > 0 {
			diags = append(diags, warning(places[0], "Password in the plan", "%s is written out here, for everyone who can read the plan and its history.%s "+
				"Declare a variable %q with sensitive = true, and write var.%[3]s; or write env(\"NAME\") to take it from the environment.",
				strings.TrimSuffix(a.path+"."+a.key, "."), elsewhere(places[1:]), a.variable))
		}
	}
	for _, v := range p.Variables {
		if at, written := p.literalIn(v.defaultAt, ""); written && v.Sensitive {
			diags = append(diags, warning(at, "Password in the plan", "The default of the sensitive variable %q is written out here, for everyone who can read the plan and its history. "+
				"Remove the default, and give the value by the environment variable ESXIPLAN_VAR_%[1]s, by --var-file, or at the prompt.", v.Name))
		}
	}
	return p.settled(append(diags, p.notifyLiterals()...))
}

// elsewhere says where else something is.
func elsewhere(places []hcl.Range) string {
	switch n := len(places); n {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(" The same at %s.", position(places[0]))
	default:
		return fmt.Sprintf(" The same at %s and %s.", position(places[0]), count(n-1, "more place"))
	}
}

// literalIn finds where the value of an argument, or of a key in it, is written out as a text,
// also in a local.
func (p *Plan) literalIn(attr *hcl.Attribute, key string) (at hcl.Range, written bool) {
	if attr == nil {
		return hcl.Range{}, false
	}
	expr := attr.Expr
	if key != "" {
		expr = valueOfKey(expr, key)
	}
	for range 10 { // locals that refer to locals
		switch x := unwrapped(expr).(type) {
		case *hclsyntax.TemplateExpr:
			return x.Range(), len(x.Parts) > 0 && x.IsStringLiteral()
		case *hclsyntax.ScopeTraversalExpr:
			name, ok := attributeName(x.Traversal, "local")
			if !ok || len(x.Traversal) > 2 || p.locals[name] == nil {
				return hcl.Range{}, false
			}
			expr = p.locals[name].Expr
		default:
			return hcl.Range{}, false
		}
	}
	return hcl.Range{}, false
}

// valueOfKey is what an object expression gives to a key, nil if it is not written there.
func valueOfKey(expr hcl.Expression, key string) hcl.Expression {
	pairs, diags := hcl.ExprMap(expr)
	if diags.HasErrors() {
		return nil
	}
	for _, pair := range pairs {
		if hcl.ExprAsKeyword(pair.Key) == key {
			return pair.Value
		}
		if k, diags := pair.Key.Value(nil); !diags.HasErrors() && k.Type() == cty.String && k.IsKnown() && !k.IsNull() && k.AsString() == key {
			return pair.Value
		}
	}
	return nil
}

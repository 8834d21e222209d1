package schema

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// references are what the expressions of a step refer to. They are found once, when the
// plan is loaded: a run asks for them with every host.
type references struct {
	traversals []hcl.Traversal
	roots      map[string]bool // such as "host"
	names      map[string]bool // such as "host.facts"
	whole      map[string]bool // roots that are taken as a whole, such as keys(host)
	steps      []string        // whose results are referred to, sorted
	// declared: the step refers to what the plan says for each host. Facts do not count:
	// before a run they are not known for any host.
	declared bool
}

func referencesOf(all ...map[string]*hcl.Attribute) references {
	r := references{roots: map[string]bool{}, names: map[string]bool{}, whole: map[string]bool{}}
	for _, attrs := range all {
		for _, name := range slices.Sorted(maps.Keys(attrs)) {
			r.traversals = append(r.traversals, attrs[name].Expr.Variables()...)
		}
	}
	for _, t := range r.traversals {
		r.add(t)
	}
	slices.Sort(r.steps)
	return r
}

func (r *references) add(t hcl.Traversal) {
	root := t.RootName()
	name, named := attributeName(t, root)
	full := root + "." + name
	if named && root == "step" && !r.names[full] {
		r.steps = append(r.steps, name)
	}
	r.roots[root] = true
	r.names[full] = r.names[full] || named
	r.whole[root] = r.whole[root] || !named
	r.declared = r.declared || root == "host" && full != "host.facts"
}

// results picks the results that are referred to.
func (r references) results(all map[string]cty.Value) cty.Value {
	if r.whole["step"] {
		return cty.ObjectVal(all)
	}
	out := make(map[string]cty.Value, len(r.steps))
	for _, name := range r.steps {
		if v, ok := all[name]; ok {
			out[name] = v
		}
	}
	return cty.ObjectVal(out)
}

// RefersTo reports whether any expression of the step mentions root, or
// root.name where name is not empty.
func (s *Step) RefersTo(root, name string) bool {
	if name == "" {
		return s.refs.roots[root]
	}
	return s.refs.names[root+"."+name]
}

// references looks at every reference of step number i without evaluating it: roots, names,
// and results of earlier steps only.
func (c *stepCheck) references(i int) {
	s := c.plan.Steps[i]
	for _, attrs := range []map[string]*hcl.Attribute{s.Arguments, s.Conditions} {
		for _, name := range slices.Sorted(maps.Keys(attrs)) {
			for _, t := range attrs[name].Expr.Variables() {
				if d := c.plan.checkReference(i, name, t); d != nil {
					c.diags = append(c.diags, d)
					c.wrong[attrs[name]] = true
				}
			}
		}
	}
}

var roots = []string{"var", "local", "image", "group", "host", "step", "result", "attempt", "path"}

// checkReference looks at a reference in an argument of step number i.
func (p *Plan) checkReference(i int, argument string, t hcl.Traversal) *hcl.Diagnostic {
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
	case "result", "attempt":
		if argument != "until" && argument != "failed_when" {
			return problem(at, "Reference out of place", "%q exists only in until and failed_when, not in %s.", root, argument)
		}
		if root == "result" {
			return checkAttribute(p.known.Steps[p.Steps[i].Type].Result, t, 1, "result")
		}
	case "group", "host", "path":
	default:
		return unknownRoot(t, roots)
	}
	return nil
}

// checkNames looks at what an expression outside of steps refers to. also are names that mean
// something there.
func (l *loader) checkNames(expr hcl.Expression, also ...string) (diags hcl.Diagnostics) {
	for _, t := range expr.Variables() {
		if slices.Contains(also, t.RootName()) {
			continue
		}
		if d := l.checkName(t); d != nil {
			diags = append(diags, d)
		}
	}
	return diags
}

func (l *loader) checkName(t hcl.Traversal) *hcl.Diagnostic {
	root := t.RootName()
	if l.host != nil && (root == "host" || root == "group" || l.host.row.names(t)) {
		return nil
	}
	if _, here := l.plan.global.Variables[root]; !here {
		return unknownRoot(t, l.rootsHere(t))
	}
	if name, named := attributeName(t, root); named && root != "path" {
		return l.plan.checkGlobal(root, name, t.SourceRange())
	}
	return nil
}

// rootsHere are those to which an expression may refer at the moment, at the place of a reference.
func (l *loader) rootsHere(t hcl.Traversal) []string {
	here := slices.Sorted(maps.Keys(l.plan.global.Variables))
	if l.host != nil {
		here = append(here, "group", "host")
	}
	if l.host != nil && l.host.row.within(t.SourceRange()) {
		here = append(here, l.host.row.of.iterator)
	}
	return here
}

// unknownRoot says what may be referred to here. One word alone is often a text without
// its quotes.
func unknownRoot(t hcl.Traversal, here []string) *hcl.Diagnostic {
	root, at := t.RootName(), t.SourceRange()
	switch {
	case foreignRoots[root] != "":
		return problem(at, "Unknown reference", "%s", foreignRoots[root])
	case slices.Contains(roots, root):
		return problem(at, "Reference out of place", "%q cannot be referred to here, only %s.", root, quoted(here))
	case len(t) == 1:
		return problem(at, "Unknown reference", "Nothing is called %q here. If the text is meant, write it in quotes: %[1]q. An expression may refer to %[2]s%[3]s", root, quoted(here), DidYouMean(root, here))
	}
	return problem(at, "Unknown reference", "Nothing is called %q here; an expression may refer to %s%s", root, quoted(here), DidYouMean(root, here))
}

func (p *Plan) checkGlobal(root, name string, at hcl.Range) *hcl.Diagnostic {
	declared := p.global.Variables[root].Type()
	if declared.HasAttribute(name) {
		return nil
	}
	kind := map[string]string{"var": "variable", "local": "local", "image": "image"}[root]
	known := slices.Sorted(maps.Keys(declared.AttributeTypes()))
	if nearest(name, known) != "" {
		return problem(at, "Unknown "+kind, "The plan declares no %s.%s%s", root, name, DidYouMean(name, known))
	}
	declaration := map[string]string{"var": "a block variable %q", "local": "a locals block (%s = …)", "image": "a block image %q"}[root]
	return problem(at, "Unknown "+kind, "The plan declares no %s.%s. Declare it in "+declaration+", or correct the name.", root, name, name)
}

func (p *Plan) checkStepReference(i int, name string, t hcl.Traversal, at hcl.Range) *hcl.Diagnostic {
	if p.unusable[name] {
		return nil
	}
	var earlier []string
	for k, s := range p.Steps {
		if k < i {
			earlier = append(earlier, s.Name)
		}
		if s.Name != name {
			continue
		}
		if k >= i {
			return problem(at, "Reference to a later step",
				"Step %q runs at or after this one, so its result does not exist yet. Move it up, or refer to an earlier step.", name)
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
	if !ok || result.has(attr.Name) {
		return nil
	}
	return problem(attr.SourceRange(), "Unknown attribute", "%s has no attribute %q; it has %s%s", what, attr.Name, quoted(result.Names()),
		DidYouMean(attr.Name, result.Names()))
}

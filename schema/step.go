package schema

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

func (l *loader) step(b *hcl.Block) {
	kind, known := l.stepType(b)
	if !known {
		l.plan.unusable[b.Labels[1]] = true
		return
	}
	t := l.plan.known.Steps[kind]
	step := &Step{Type: kind, Name: b.Labels[1], Range: b.DefRange, Arguments: hcl.Attributes{}, Conditions: map[string]*hcl.Attribute{}}
	policy := hcl.Attributes{}
	for name, attr := range l.content(b.Body, stepHeader(t)).Attributes {
		if now, ok := t.Arguments.renamed(name); ok {
			l.problem(attr.NameRange, "Renamed argument", "%s of %s is now called %s. Write %s = …, with the same value.", name, step.Type, now.Name, now.Name)
			continue
		}
		switch {
		case isCondition(name):
			step.Conditions[name] = attr
		case commonObject.has(name):
			policy[name] = attr
		default:
			step.Arguments[name] = attr
		}
	}
	step.refs = referencesOf(step.Arguments, step.Conditions)
	values, diags := l.objectFrom(policy, commonObject, l.global, b.DefRange, nil)
	l.add(diags...)
	step.groupsUnknown = slices.Contains(l.fill(values, commonObject, &step.Policy, b.DefRange), "groups")
	l.checkPolicy(step, policy)
	l.plan.Steps = append(l.plan.Steps, step)
}

// stepType is the type of a step; if it is mistyped, the intended one.
func (l *loader) stepType(b *hcl.Block) (name string, known bool) {
	name = b.Labels[0]
	if _, known = l.plan.known.Steps[name]; known {
		return name, true
	}
	names := slices.Sorted(maps.Keys(l.plan.known.Steps))
	l.problem(b.LabelRanges[0], "Unknown step type", "There is no step type %q; there are %s%s", name, quoted(names), DidYouMean(name, names))
	name = nearest(name, names)
	return name, name != ""
}

// stepHeader is what a step of a type takes.
func stepHeader(t StepType) *hcl.BodySchema {
	s := header(t.Arguments, commonObject)
	for _, a := range t.Arguments.Arguments {
		if a.Was != "" {
			s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: a.Was})
		}
	}
	for _, doc := range conditionDocs {
		s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: doc[0]})
	}
	return s
}

func isCondition(name string) bool {
	return slices.ContainsFunc(conditionDocs, func(doc [2]string) bool { return doc[0] == name })
}

func (l *loader) checkPolicy(s *Step, attrs hcl.Attributes) {
	var groups []string
	for _, g := range l.plan.Groups {
		groups = append(groups, g.Name)
	}
	if attr, given := attrs["groups"]; given && s.Policy.Groups != nil && len(s.Policy.Groups) == 0 {
		l.problem(attr.Expr.Range(), "No groups", "groups is empty, so no host would take this step. Leave it out to mean all groups, or use when = false.")
	}
	for _, name := range s.Policy.Groups {
		if !slices.Contains(groups, name) {
			l.problem(attrs["groups"].Expr.Range(), "Unknown group", "There is no group %q; %s%s", name, choice(groups), DidYouMean(name, groups))
			s.groupsUnknown = true
		}
	}
	for _, tag := range s.Policy.Tags {
		if tag == "" || strings.ContainsAny(tag, ", \t\n") {
			l.problem(attrs["tags"].Expr.Range(), "Invalid tag", "%q cannot be a tag: --tags separates tags by commas and blanks.", tag)
		}
	}
	for name, least := range map[string]int{"retries": 0, "throttle": 1} {
		value := map[string]*int{"retries": s.Policy.Retries, "throttle": s.Policy.Throttle}[name]
		if value != nil && *value < least {
			l.problem(attrs[name].Expr.Range(), "Invalid value", "%s must be %d or more.", name, least)
		}
	}
}

// Treatment is what a run does with one step on one host.
type Treatment int

const (
	Runs     Treatment = iota // the step runs
	Skipped                   // the step does not run; its result is an object of nulls
	Recalled                  // the step does not run; its result is what an earlier run left
)

// everything selects each step on the hosts of its groups.
func everything(h *Host, s *Step) Treatment {
	if s.Applies(h) || s.groupsUnknown {
		return Runs
	}
	return Skipped
}

// CheckSteps evaluates the arguments and conditions of each selected step for
// each host, with unknown values as results, and reports all that cannot
// succeed.
func (p *Plan) CheckSteps(selected func(*Host, *Step) Treatment) hcl.Diagnostics {
	return p.settled(p.checkSteps(selected))
}

func (p *Plan) checkSteps(selected func(*Host, *Step) Treatment) hcl.Diagnostics {
	c := &stepCheck{plan: p, selected: selected, done: map[dependence]*checkedStep{}, wrong: map[*hcl.Attribute]bool{}}
	for i := range p.Steps {
		c.references(i)
	}
	hosts := p.Hosts()
	if len(hosts) == 0 {
		hosts = []*Host{unknownHost()}
	}
	for _, h := range hosts {
		c.host(h)
	}
	return c.diags
}

// unknownHost is the host for which steps are checked in a plan whose hosts cannot be read.
func unknownHost() *Host {
	e := &hostEvaluation{host: &Host{ESXi: &ESXi{}}, scope: map[string]cty.Value{"vars": cty.DynamicVal}}
	e.without("", hostObject.Names()...)
	e.without("bmc.", bmcObject.Names()...)
	e.without("esxi.", esxiObject.Names()...)
	e.host.Value = e.value()
	return e.host
}

// stepCheck evaluates the steps for host after host, each step once for all hosts for
// which it is the same.
type stepCheck struct {
	plan     *Plan
	selected func(*Host, *Step) Treatment
	done     map[dependence]*checkedStep
	wrong    map[*hcl.Attribute]bool // those whose references are wrong: they are not evaluated
	diags    hcl.Diagnostics
}

// checkedStep is the outcome of the evaluation of a step.
type checkedStep struct {
	skips bool // `when` is certainly false
	diags hcl.Diagnostics
}

// dependence is all on which the evaluation of a step before a run depends: two hosts for
// which it is the same get the same arguments and the same problems.
type dependence struct {
	step    *Step
	host    *Host  // nil where no expression refers to what is different for each host
	group   string // "" where none refers to the group
	skipped string // names of those steps referred to that do not run, whose results are nulls
}

func (c *stepCheck) host(h *Host) {
	results := make(map[string]cty.Value, len(c.plan.Steps))
	for name := range c.plan.unusable {
		results[name] = cty.DynamicVal
	}
	skipped := map[string]bool{}
	for _, s := range c.plan.Steps {
		chosen := c.selected(h, s)
		result := c.plan.known.Steps[s.Type].Result
		results[s.Name] = cty.UnknownVal(result.Type())
		if chosen == Skipped || chosen == Runs && c.step(h, s, results, skipped) {
			results[s.Name], skipped[s.Name] = result.Null(), true
		}
	}
}

// step evaluates a step that runs, unless it did so for an equal one, and reports whether
// `when` skips it.
func (c *stepCheck) step(h *Host, s *Step, results map[string]cty.Value, skipped map[string]bool) bool {
	d := s.dependence(h, skipped)
	done := c.done[d]
	if done == nil {
		done = &checkedStep{}
		done.skips, done.diags = c.check(h, s, results)
		c.done[d] = done
	}
	if d == (dependence{step: s}) { // whatever the host
		c.diags, done.diags = append(c.diags, done.diags...), nil
	}
	for _, problem := range done.diags {
		if first := concerns(problem, h); first {
			c.diags = append(c.diags, problem)
		}
	}
	return done.skips
}

// dependence is that of a step for a host on which certain steps do not run.
func (s *Step) dependence(h *Host, skipped map[string]bool) dependence {
	d := dependence{step: s}
	if s.refs.roots["group"] {
		d.group = h.Group
	}
	if s.refs.declared {
		d.host = h
	}
	names := s.refs.steps
	if s.refs.whole["step"] {
		names = slices.Sorted(maps.Keys(skipped))
	}
	for _, name := range names {
		if skipped[name] {
			d.skipped += name + " "
		}
	}
	return d
}

// check evaluates all expressions of a step, in one context: those that may not refer to
// `result` were found by their references. skips: `when` is certainly false.
func (c *stepCheck) check(h *Host, s *Step, results map[string]cty.Value) (skips bool, diags hcl.Diagnostics) {
	p := c.plan
	ctx := p.context(s, Scope{Host: h, Results: results, Result: cty.UnknownVal(p.known.Steps[s.Type].Result.Type())})
	if attr, ok := s.Conditions["when"]; ok && !c.wrong[attr] {
		holds, err := condition(attr.Expr, ctx)
		if err == nil && holds.IsKnown() && holds.False() {
			return true, nil
		}
	}
	_, diags = p.evaluate(s, ctx, c.wrong)
	for _, name := range []string{"when", "done_when", "until", "failed_when"} {
		if attr, ok := s.Conditions[name]; ok && !c.wrong[attr] {
			diags = append(diags, checkCondition(attr, ctx)...)
		}
	}
	return false, diags
}

func checkCondition(attr *hcl.Attribute, ctx *hcl.EvalContext) hcl.Diagnostics {
	_, err := condition(attr.Expr, ctx)
	if diags, ok := err.(hcl.Diagnostics); ok {
		return diags
	}
	if err != nil {
		return hcl.Diagnostics{problem(attr.Expr.Range(), "Invalid condition", "%s: %v.", attr.Name, err)}
	}
	return nil
}

package schema

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

type validation struct {
	condition hcl.Expression
	message   hcl.Expression
}

type variableArguments struct {
	Description *string `json:"description" doc:"What the variable is for; shown when it is asked for."`
	Sensitive   bool    `json:"sensitive" default:"false" doc:"Whether the value must never be shown."`
}

var (
	variableObject = Of[variableArguments]()
	variableHeader = &hcl.BodySchema{
		Attributes: append(header(variableObject).Attributes, hcl.AttributeSchema{Name: "type"}, hcl.AttributeSchema{Name: "default"}),
		Blocks:     []hcl.BlockHeaderSchema{{Type: "validation"}},
	}
	validationHeader = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "condition", Required: true}, {Name: "error_message", Required: true}}}
)

func (l *loader) variables(blocks hcl.Blocks) {
	given := l.givenValues()
	values := map[string]cty.Value{}
	for _, b := range blocks {
		v := l.variable(b)
		if v == nil {
			values[b.Labels[0]] = cty.DynamicVal // reported already
			delete(given, b.Labels[0])
			continue
		}
		l.plan.Variables = append(l.plan.Variables, v)
		l.resolve(v, given)
		delete(given, v.Name)
		if v.Value == cty.NilVal {
			values[v.Name] = cty.UnknownVal(v.Type)
			continue
		}
		values[v.Name] = v.Value
		l.validate(v)
	}
	l.plan.global.Variables["var"] = cty.ObjectVal(values)
	for name, g := range given {
		if g.strict {
			l.problem(g.at, "Undeclared variable", "The plan declares no variable %q, given by %s%s", name, g.origin, DidYouMean(name, l.variableNames()))
		}
	}
}

func (l *loader) variableNames() []string {
	var names []string
	for _, v := range l.plan.Variables {
		names = append(names, v.Name)
	}
	return names
}

func (l *loader) variable(b *hcl.Block) *Variable {
	content := l.content(b.Body, variableHeader)
	values, diags := l.objectFrom(content.Attributes, variableObject, l.global, b.DefRange, nil)
	l.add(diags...)
	var arguments variableArguments
	l.fill(values, variableObject, &arguments, b.DefRange)
	v := &Variable{Name: b.Labels[0], Description: deref(arguments.Description), Sensitive: arguments.Sensitive, Type: cty.DynamicPseudoType, Range: b.DefRange}
	typed := l.variableType(v, content.Attributes["type"])
	valued := l.variableDefault(v, content.Attributes["default"])
	for _, check := range content.Blocks {
		c := l.content(check.Body, validationHeader)
		condition, message := c.Attributes["condition"], c.Attributes["error_message"]
		if condition != nil && message != nil {
			v.checks = append(v.checks, validation{condition.Expr, message.Expr})
		}
	}
	if diags.HasErrors() || !typed || !valued {
		return nil
	}
	return v
}

func (l *loader) variableType(v *Variable, attr *hcl.Attribute) (ok bool) {
	if attr == nil {
		return true
	}
	t, defaults, diags := typeexpr.TypeConstraintWithDefaults(attr.Expr)
	for _, d := range diags {
		d.Detail += " Types are string, number, bool, any, list(…), set(…), map(…), tuple([…]) and object({ … })."
	}
	if l.add(diags...); diags.HasErrors() {
		return false
	}
	v.Type, v.defaults = t, defaults
	return true
}

func (l *loader) variableDefault(v *Variable, attr *hcl.Attribute) (ok bool) {
	if attr == nil {
		return true
	}
	value, ok := l.evaluated(attr.Expr)
	if !ok {
		return false
	}
	v.defaultAt = attr
	v.Default, ok = l.converted(v, value, attr.Expr.Range(), "its default")
	return ok
}

// evaluated evaluates an expression outside of hosts and steps, and reports its problems.
func (l *loader) evaluated(expr hcl.Expression) (value cty.Value, ok bool) {
	diags := l.checkNames(expr)
	if !diags.HasErrors() {
		value, diags = expr.Value(l.plan.global)
	}
	l.add(withoutValues(diags)...)
	return value, !diags.HasErrors()
}

func (l *loader) converted(v *Variable, value cty.Value, at hcl.Range, origin string) (cty.Value, bool) {
	if v.defaults != nil && !value.IsNull() && value.IsKnown() {
		value = v.defaults.Apply(value)
	}
	converted, err := convert.Convert(value, v.Type)
	if err != nil {
		l.problem(at, "Invalid value", "Variable %q, %s: %s; the type is %s.", v.Name, origin, inPlainWords(err.Error()), typeexpr.TypeString(v.Type))
		return cty.NilVal, false
	}
	return converted, true
}

// given is a value from outside the plan, not yet typed.
type given struct {
	text   string
	value  cty.Value // used when text is not
	origin string
	at     hcl.Range
	strict bool // an unknown name is an error (not so for the environment)
}

// readVariables reads a variable file. The user names it, and may have the shell
// write it: --var-file <(pass show lab), or /dev/stdin.
func (a *Access) readVariables(name string) ([]byte, error) {
	if name != "/dev/stdin" && !strings.HasPrefix(name, "/dev/fd/") {
		return a.Read(name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadAll(f, name)
}

// givenValues gathers values; a later source wins: environment, files, -e.
func (l *loader) givenValues() map[string]given {
	out := map[string]given{}
	for _, name := range l.in.Files {
		source, err := l.access.readVariables(name)
		if err != nil {
			l.problem(hcl.Range{Filename: name}, "Cannot read the variable file", "%v.", err)
			continue
		}
		file := l.parseFile(source, name)
		if file == nil {
			continue
		}
		attrs, diags := file.Body.JustAttributes() // never shown as a snippet: it may hold secrets
		l.add(diags...)
		for key, attr := range attrs {
			if value, ok := l.evaluated(attr.Expr); ok {
				out[key] = given{value: value, origin: name, at: attr.Expr.Range(), strict: true}
			}
		}
	}
	for _, assignment := range l.in.Set {
		name, text, ok := strings.Cut(assignment, "=")
		at := hcl.Range{Filename: "-e " + name}
		if !ok || !validName(name) {
			l.problem(at, "Invalid -e", "Write -e name=value.")
			continue
		}
		out[name] = given{text: text, origin: "-e", at: at, strict: true}
	}
	return out
}

// hasPlaceholder reports whether a secret without a value has a placeholder.
func (l *loader) hasPlaceholder(name string) bool {
	return l.in.Placeholder != nil && l.in.Placeholder(name) != ""
}

// resolve finds the variable's value: -e, variable files, environment, default, a
// placeholder, the user at the terminal, in this order.
func (l *loader) resolve(v *Variable, values map[string]given) {
	g, ok := values[v.Name]
	if name := variablePrefix + v.Name; !ok {
		g.text, ok = l.in.variable(name)
		g.origin, g.at = "the environment", hcl.Range{Filename: name}
	}
	switch {
	case ok:
		l.accept(v, g)
	case v.Default != cty.NilVal:
		v.Value, v.Origin = v.Default, "default"
	case v.Sensitive && l.hasPlaceholder(variablePrefix+v.Name):
		l.accept(v, given{value: placeholder(v.Type, l.in.Placeholder(variablePrefix+v.Name)), origin: "a placeholder", at: v.Range})
	case l.in.Ask != nil:
		text, err := l.in.Ask(v)
		if err != nil {
			l.problem(v.Range, "No value for a variable", "Variable %q was asked for: %v.", v.Name, err)
			return
		}
		l.accept(v, given{text: text, origin: "the terminal", at: v.Range})
	default:
		allow := ""
		if l.in.Untrusted {
			allow = fmt.Sprintf(" with --allow-env %s%s", variablePrefix, v.Name)
		}
		l.problem(v.Range, "No value for a variable", "Variable %q has no default. "+
			"Give it by -e %[1]s=…, --var-file or the environment variable ESXIPLAN_VAR_%[1]s%s.", v.Name, allow)
	}
	if v.Value != cty.NilVal && v.Sensitive {
		l.plan.secrets.add("var."+v.Name, v.Value)
		v.Value = v.Value.Mark(Sensitive)
	}
}

// placeholder makes a value of any type for a variable that has none.
func placeholder(t cty.Type, text string) cty.Value {
	switch {
	case t == cty.Number:
		return cty.Zero
	case t == cty.Bool:
		return cty.False
	case t.IsObjectType():
		attributes := map[string]cty.Value{}
		for name, at := range t.AttributeTypes() {
			attributes[name] = placeholder(at, text)
		}
		return cty.ObjectVal(attributes)
	case t.IsListType():
		return cty.ListValEmpty(t.ElementType())
	case t.IsSetType():
		return cty.SetValEmpty(t.ElementType())
	case t.IsMapType():
		return cty.MapValEmpty(t.ElementType())
	}
	return cty.StringVal(text)
}

func (l *loader) accept(v *Variable, g given) {
	value := g.value
	if value == cty.NilVal {
		var ok bool
		if value, ok = l.fromText(v, g); !ok {
			return
		}
	}
	if (v.Sensitive || g.origin == "-e") && masked(value) {
		l.problem(g.at, "Not a secret", "Variable %q, given by %s, has the text that output shows instead of a secret. Give the secret itself: "+
			"the environment variable ESXIPLAN_VAR_%[1]s, --var-file, or the prompt.", v.Name, g.origin)
		return
	}
	if converted, ok := l.converted(v, value, g.at, "given by "+g.origin); ok {
		v.Value, v.Origin = converted, g.origin
	}
	if v.Sensitive && g.origin == "-e" {
		l.warn(g.at, "Secret on the command line", "Variable %q is sensitive; what is given by -e shows in the process list. "+
			"Use ESXIPLAN_VAR_%[1]s or --var-file.", v.Name)
	}
}

// masked reports a text that stands for a secret in output. It comes back where a command was
// copied, and every BMC would be sent it as the password.
func masked(v cty.Value) bool {
	if v, _ = v.Unmark(); v.Type() != cty.String || v.IsNull() || !v.IsKnown() {
		return false
	}
	return slices.Contains([]string{"…", Hidden}, v.AsString())
}

// fromText reads a value given as text: as it stands for strings, as an
// expression of the language for lists and maps.
func (l *loader) fromText(v *Variable, g given) (cty.Value, bool) {
	if v.Type.IsPrimitiveType() || v.Type == cty.DynamicPseudoType {
		return cty.StringVal(g.text), true
	}
	value, diags := l.expression(g.text, g.at)
	if diags.HasErrors() {
		l.problem(g.at, "Invalid value", "Variable %q, given by %s, takes %s, written as in a plan.", v.Name, g.origin, typeexpr.TypeString(v.Type))
		return cty.NilVal, false
	}
	return value, true
}

// expression evaluates a text that may contain no references.
func (l *loader) expression(text string, at hcl.Range) (cty.Value, hcl.Diagnostics) {
	if d := new(sources).check([]byte(text), at.Filename, hclsyntax.LexExpression); d != nil {
		return cty.NilVal, hcl.Diagnostics{d}
	}
	expr, diags := hclsyntax.ParseExpression([]byte(text), at.Filename, hcl.InitialPos)
	if !diags.HasErrors() {
		diags = append(diags, l.plan.meter.bound(expr)...)
	}
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	return l.plan.meter.value(expr, nil, at)
}

func (l *loader) validate(v *Variable) {
	ctx := l.plan.global.NewChild()
	ctx.Variables = map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{v.Name: v.Value})}
	for _, check := range v.checks {
		holds, err := condition(check.condition, ctx)
		if err != nil {
			l.problem(check.condition.Range(), "Invalid condition", "%v.", err)
			continue
		}
		if holds.IsKnown() && holds.False() {
			message := "The value does not meet the condition."
			if text, diags := check.message.Value(ctx); !diags.HasErrors() && text.Type() == cty.String && !text.IsNull() && !IsSensitive(text) {
				message = text.AsString()
			}
			l.problem(v.Range, "Invalid value for a variable", "Variable %q, from %s: %s", v.Name, v.Origin, message)
		}
	}
}

// condition evaluates an expression that must be true or false.
func condition(expr hcl.Expression, ctx *hcl.EvalContext) (cty.Value, error) {
	value, diags := expr.Value(ctx)
	if diags.HasErrors() {
		return cty.NilVal, withoutValues(diags)
	}
	value, _ = value.Unmark()
	truth, err := convert.Convert(value, cty.Bool)
	if err != nil || truth.IsNull() {
		return cty.NilVal, fmt.Errorf("the condition must be true or false, got %s", kindGot(value))
	}
	return truth, nil
}

// locals evaluates all locals blocks, each local after those it refers to.
func (l *loader) locals(blocks hcl.Blocks) {
	pending := hcl.Attributes{}
	for _, b := range blocks {
		attrs, diags := b.Body.JustAttributes()
		l.add(diags...)
		for name, attr := range attrs {
			if other, ok := pending[name]; ok {
				l.problem(attr.NameRange, "Duplicate local", "There is already a local %q at %s.", name, position(other.NameRange))
			}
			pending[name] = attr
		}
	}
	if len(pending) > mostLocals {
		l.problem(blocks[0].DefRange, "Too many locals", "The plan has %d locals, and the limit is %d. Make one local of many: a map, or a table from a CSV or YAML file.", len(pending), mostLocals)
		pending = nil
	}
	declared := make(map[string]cty.Value, len(pending))
	for name := range pending {
		declared[name] = cty.DynamicVal
	}
	l.plan.global.Variables["local"] = cty.ObjectVal(declared)
	l.plan.locals = pending
	values := l.localValues(pending)
	l.circles(pending, values)
	l.plan.global.Variables["local"] = cty.ObjectVal(values)
}

// circles reports circles of locals. Their values, and those of locals that depend on them,
// are unknown.
func (l *loader) circles(all hcl.Attributes, values map[string]cty.Value) {
	for _, start := range slices.Sorted(maps.Keys(all)) {
		if circle := circleFrom(all, values, start); circle != nil {
			way := append(slices.Clone(circle[:min(len(circle), mostNamed)]), circle[0])
			if len(circle) > mostNamed {
				way = slices.Insert(way, mostNamed, "…")
			}
			l.problem(all[circle[0]].NameRange, "Circular locals", "Local %q refers to itself, by way of %s. Remove one of these references.", circle[0], strings.Join(way, " → "))
		}
	}
}

// circleFrom follows references from a local without a value until they return to one of
// those that it followed: these are the circle. It gives all of them the unknown value.
func circleFrom(all hcl.Attributes, values map[string]cty.Value, start string) []string {
	var path []string
	at := map[string]int{}
	for name := start; name != ""; {
		if i, again := at[name]; again {
			return path[i:]
		}
		if _, done := values[name]; done {
			return nil
		}
		at[name], path, values[name] = len(path), append(path, name), cty.DynamicVal
		others := localsIn(all[name].Expr)
		i := slices.IndexFunc(others.names, func(other string) bool {
			_, done := values[other]
			_, followed := at[other]
			return all[other] != nil && (!done || followed)
		})
		switch {
		case i >= 0:
			name = others.names[i]
		case !others.whole:
			name = ""
		}
	}
	return nil
}

// localValues evaluates locals in such an order that each finds those to which it refers.
// It gets only these: a plan may have a local for each of its hosts. One that takes all
// locals as a whole comes last. Those that refer to themselves are left out.
func (l *loader) localValues(all hcl.Attributes) map[string]cty.Value {
	values := map[string]cty.Value{}
	waits := map[string]int{}        // for how many others each waits
	waiting := map[string][]string{} // the locals that wait for each
	var ready, whole []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		others := localsIn(all[name].Expr)
		for _, other := range others.names {
			if all[other] != nil {
				waits[name]++
				waiting[other] = append(waiting[other], name)
			}
		}
		switch {
		case others.whole:
			whole = append(whole, name)
			waits[name]++ // for all
		case waits[name] == 0:
			ready = append(ready, name)
		}
	}
	for ; len(ready) > 0; ready = ready[1:] {
		name := ready[0]
		values[name] = l.local(all[name].Expr, values, localsIn(all[name].Expr).names)
		for _, next := range waiting[name] {
			if waits[next]--; waits[next] == 0 {
				ready = append(ready, next)
			}
		}
	}
	if len(whole) == 1 && len(values) == len(all)-1 && waits[whole[0]] == 1 {
		values[whole[0]] = l.local(all[whole[0]].Expr, values, slices.Collect(maps.Keys(values)))
	}
	return values
}

// local evaluates a local that refers to some others. One with a problem is unknown.
func (l *loader) local(expr hcl.Expression, values map[string]cty.Value, names []string) cty.Value {
	if diags := l.checkNames(expr); diags.HasErrors() {
		l.add(diags...)
		return cty.DynamicVal
	}
	given := make(map[string]cty.Value, len(names))
	for _, name := range names {
		if v, ok := values[name]; ok {
			given[name] = v
		}
	}
	ctx := l.plan.global.NewChild()
	ctx.Functions, ctx.Variables = l.plan.global.Functions, map[string]cty.Value{"local": cty.ObjectVal(given)}
	value, diags := expr.Value(ctx)
	if l.add(withoutValues(diags)...); diags.HasErrors() {
		return cty.DynamicVal
	}
	return value
}

// localReferences are the locals to which an expression refers: by name, each one once, or all of them.
type localReferences struct {
	names []string
	whole bool
}

func localsIn(expr hcl.Expression) (out localReferences) {
	for _, t := range expr.Variables() {
		name, named := attributeName(t, "local")
		switch {
		case t.RootName() != "local":
		case !named:
			out.whole = out.whole || len(t) == 1
		default:
			out.names = append(out.names, name)
		}
	}
	slices.Sort(out.names)
	out.names = slices.Compact(out.names)
	return out
}

// attributeName returns x of a traversal root.x….
func attributeName(t hcl.Traversal, root string) (string, bool) {
	if t.RootName() != root || len(t) < 2 {
		return "", false
	}
	return memberName(t[1])
}

// memberName returns x of a step .x or ["x"] of a traversal.
func memberName(step hcl.Traverser) (string, bool) {
	switch step := step.(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

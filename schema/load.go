package schema

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// Input is where a plan's values come from.
type Input struct {
	Set      []string                         // "name=value", the value of -e
	Files    []string                         // variable files
	Environ  func(name string) (string, bool) // nil: no environment
	Ask      func(v *Variable) (string, error)
	StandIn  func(name string) string // stands in for secrets that nobody gave, "" for none; nil in real runs
	AllowDir []string                 // further folders below which file() may read
	Step     string                   // a further step block, given on the command line; it comes last
}

// CommandLine is the file name of what was given on the command line.
const CommandLine = "<command line>"

var fileHeader = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
	{Type: "plan", LabelNames: []string{"name"}},
	{Type: "variable", LabelNames: []string{"name"}},
	{Type: "locals"},
	{Type: "image", LabelNames: []string{"name"}},
	{Type: "media"},
	{Type: "group", LabelNames: []string{"name"}},
	{Type: "step", LabelNames: []string{"type", "name"}},
}}

// Load reads the plan in paths (files, or one folder) and checks all that can be
// checked before a run. The plan is returned as far as it could be read, also
// with errors, so that snippets can be shown.
func Load(paths []string, in Input, known Known) (*Plan, hcl.Diagnostics) {
	l := &loader{plan: &Plan{known: known, Files: map[string]*hcl.File{}, secrets: &secretTexts{texts: map[string]bool{}}}, in: in}
	blocks, readable := l.parse(paths)
	if !readable {
		return l.plan, distinct(l.diags)
	}
	l.evaluate(blocks)
	if len(l.plan.Hosts()) == 0 && !l.diags.HasErrors() {
		l.problem(hcl.Range{Filename: paths[0]}, "No hosts", "A plan needs at least one group block with a host in it.")
	}
	return l.plan, distinct(l.plan.hide(l.diags))
}

type loader struct {
	plan  *Plan
	in    Input
	diags hcl.Diagnostics
}

func (l *loader) problem(at hcl.Range, summary, format string, values ...any) {
	l.diags = append(l.diags, problem(at, summary, format, values...))
}

func problem(at hcl.Range, summary, format string, values ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, values...), Subject: &at}
}

func (l *loader) warn(at hcl.Range, summary, format string, values ...any) {
	d := problem(at, summary, format, values...)
	d.Severity = hcl.DiagWarning
	l.diags = append(l.diags, d)
}

// planFiles turns the command line's paths into file names.
func planFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		found, err := PlanFiles(path)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("folder %s holds no *.hcl file", path)
		}
		files = append(files, found...)
	}
	return files, nil
}

// PlanFiles lists the plan files of a folder: what editors leave there is none.
func PlanFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if name := e.Name(); !e.IsDir() && filepath.Ext(name) == ".hcl" && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "#") {
			files = append(files, filepath.Join(dir, name))
		}
	}
	return files, nil
}

// readSource reads a plan file; what is too large or nested too deeply is none,
// and would cost the parser its stack.
func readSource(name string) ([]byte, error) {
	const most, deepest = 8 << 20, 500
	info, err := os.Stat(name)
	if err == nil && info.Size() > most {
		return nil, fmt.Errorf("%s has %d bytes, a plan file has %d at the most", name, info.Size(), most)
	}
	source, err := os.ReadFile(name)
	depth := 0
	for _, c := range source {
		switch c {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case 0:
			return nil, fmt.Errorf("%s is no text: it holds zero bytes", name)
		}
		if depth > deepest {
			return nil, fmt.Errorf("%s opens more than %d brackets within one another", name, deepest)
		}
	}
	return source, err
}

// parse reads the files. What can be parsed is readable, even with blocks that
// nobody knows: their problems are reported together with all others.
func (l *loader) parse(paths []string) (blocks hcl.Blocks, readable bool) {
	files, err := planFiles(paths)
	if err != nil {
		l.problem(hcl.Range{Filename: paths[0]}, "Cannot read the plan", "%v. Name a plan file, several, or a folder with *.hcl files.", err)
		return nil, false
	}
	l.plan.Dir = filepath.Dir(files[0])
	l.plan.Name = strings.TrimSuffix(filepath.Base(files[0]), ".hcl")
	parser := hclparse.NewParser()
	readable = true
	for _, name := range files {
		if strings.HasSuffix(name, ".json") {
			l.problem(hcl.Range{Filename: name}, "Cannot read the plan", "This version reads plans in HCL, not in JSON.")
			readable = false
			continue
		}
		source, err := readSource(name)
		if err != nil {
			l.problem(hcl.Range{Filename: name}, "Cannot read the plan", "%v.", err)
			readable = false
			continue
		}
		file, diags := parser.ParseHCL(source, name)
		l.diags = append(l.diags, diags...)
		if file != nil {
			l.plan.Files[name] = file
		}
		if diags.HasErrors() {
			readable = false
			continue
		}
		content, diags := file.Body.Content(fileHeader)
		l.diags = append(l.diags, diags...)
		blocks = append(blocks, content.Blocks...)
	}
	if file, diags := parser.ParseHCL([]byte(l.in.Step), CommandLine); l.in.Step != "" {
		l.diags = append(l.diags, diags...)
		l.plan.Files[CommandLine] = file
		content, diags := file.Body.Content(fileHeader)
		l.diags = append(l.diags, diags...)
		blocks = append(blocks, content.Blocks...)
	}
	l.unique(blocks)
	return blocks, readable
}

// unique refuses a second block of one name; for steps the name alone counts,
// because step.<name> refers to it.
func (l *loader) unique(blocks hcl.Blocks) {
	first := map[string]hcl.Range{}
	var stepFile string
	for _, b := range blocks {
		key := b.Type
		if n := len(b.Labels); n > 0 && b.Type != "plan" {
			key += " " + b.Labels[n-1]
		}
		if b.Type == "step" && b.DefRange.Filename != CommandLine {
			if stepFile == "" {
				stepFile = b.DefRange.Filename
			} else if stepFile != b.DefRange.Filename {
				l.problem(b.DefRange, "Steps in several files", "Steps run in the order in which they are written, so all of them stand in one file; the first is in %s.", stepFile)
			}
		}
		if at, seen := first[key]; seen && b.Type != "locals" {
			l.problem(b.DefRange, "Duplicate block", "There is already a block %s at %s. Rename or remove one of them.", key, position(at))
		}
		first[key] = b.DefRange
		for i, label := range b.Labels {
			if !validName(label) {
				l.problem(b.LabelRanges[i], "Invalid name", "%q cannot be used as a name: take letters, digits, dashes and underscores, starting with a letter.", label)
			}
		}
	}
}

func position(r hcl.Range) string {
	return fmt.Sprintf("%s:%d:%d", r.Filename, r.Start.Line, r.Start.Column)
}

func validName(name string) bool {
	for i, c := range name {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}

func (l *loader) evaluate(blocks hcl.Blocks) {
	of := func(kind string) hcl.Blocks {
		return slices.DeleteFunc(slices.Clone(blocks), func(b *hcl.Block) bool { return b.Type != kind })
	}
	l.plan.global = &hcl.EvalContext{
		Functions: l.functions(),
		Variables: map[string]cty.Value{"path": cty.ObjectVal(map[string]cty.Value{"plan": cty.StringVal(absolute(l.plan.Dir))})},
	}
	l.variables(of("variable"))
	l.locals(of("locals"))
	for _, b := range of("plan") {
		l.header(b)
	}
	l.images(of("image"))
	for _, b := range of("media") {
		l.media(b)
	}
	for _, b := range of("group") {
		l.group(b)
	}
	for _, b := range of("step") {
		l.step(b)
	}
	l.checkHosts()
	l.checkRequirements()
	l.diags = append(l.diags, l.plan.CheckSteps(everything)...)
}

type planArguments struct {
	Description     *string `json:"description" doc:"What the plan is for."`
	RequiredVersion *string `json:"required_version" doc:"Versions of esxiplan that may run it, such as \">= 0.1\"."`
	InFlight        *string `json:"in_flight" doc:"How many hosts may be between their first write and their end: a number or a percentage."`
}

var (
	planObject  = Of[planArguments]()
	mediaObject = Of[Media]()
	imageObject = Of[Image]()
)

func (l *loader) header(b *hcl.Block) {
	l.plan.Name = b.Labels[0]
	var arguments planArguments
	if !l.decodeBlock(b.Body, planObject, l.plan.global, &arguments) {
		return
	}
	l.plan.Description = deref(arguments.Description)
	l.plan.InFlight = deref(arguments.InFlight)
	l.checkInFlight(b.DefRange, l.plan.InFlight)
	if c := arguments.RequiredVersion; c != nil {
		if ok, err := versionAllowed(*c, l.plan.known.Version); err != nil {
			l.problem(b.DefRange, "Invalid version constraint", "required_version: %v.", err)
		} else if !ok {
			l.problem(b.DefRange, "Unsupported version", "The plan demands esxiplan %s; this is %s. Install another version, or change required_version.", *c, l.plan.known.Version)
		}
	}
}

var inFlightPattern = regexp.MustCompile(`^([1-9][0-9]*|[1-9][0-9]?%|100%)$`)

func (l *loader) checkInFlight(at hcl.Range, text string) {
	if text != "" && !inFlightPattern.MatchString(text) {
		l.problem(at, "Invalid value", "in_flight: %q is neither a number of hosts nor a percentage such as \"10%%\".", text)
	}
}

func (l *loader) images(blocks hcl.Blocks) {
	values := map[string]cty.Value{}
	for _, b := range blocks {
		attrs, diags := l.attributes(b.Body, header(imageObject))
		l.diags = append(l.diags, diags...)
		values[b.Labels[0]] = cty.UnknownVal(imageObject.Type()) // so that its problems are told once
		if a, ok := attrs["name"]; ok {
			l.problem(a.Range, "Unsupported argument", "An image has its name from the block's label.")
			continue
		}
		value, ok := l.objectFrom(attrs, imageObject, l.plan.global, b.DefRange, map[string]cty.Value{"name": cty.StringVal(b.Labels[0])})
		if !ok {
			continue
		}
		image := &Image{Range: b.DefRange}
		l.fill(value, image, b.DefRange)
		l.plan.Images = append(l.plan.Images, image)
		values[image.Name] = value
	}
	l.plan.global.Variables["image"] = cty.ObjectVal(values)
}

func (l *loader) media(b *hcl.Block) {
	m := &Media{Range: b.DefRange}
	if !l.decodeBlock(b.Body, mediaObject, l.plan.global, m) {
		return
	}
	l.plan.Media = m
	switch {
	case (m.Directory == nil) == !m.Serves():
		l.problem(b.DefRange, "Invalid media block", "Give either directory and url (files for a web server that you have), or listen or listen_tls (this run serves the images itself).")
	case m.Directory != nil && m.URL == nil:
		l.problem(b.DefRange, "Missing argument", "With directory, url is required: the address under which BMCs find that folder.")
	case m.Directory == nil && m.Store == "overlay":
		l.problem(b.DefRange, "Invalid media block", "store = \"overlay\" belongs to directory; what this run serves itself is never more than an overlay.")
	case (m.Certificate == nil) != (m.Key == nil) || m.Certificate != nil && m.ListenTLS == nil:
		l.problem(b.DefRange, "Invalid media block", "certificate and key go together, and with listen_tls.")
	case m.Directory != nil && m.Allow != nil:
		l.problem(b.DefRange, "Invalid media block", "allow belongs to listen and listen_tls. Who may read a directory is up to the web server that serves it; esxiplan serve has --allow.")
	}
	for _, name := range m.Allow {
		if !namesReader(name) {
			l.problem(b.DefRange, "Invalid media block", "allow: %q is not an address, a network such as \"10.0.0.0/8\", a host name or \"any\".", name)
		}
	}
	for name, address := range map[string]*string{"listen": m.Listen, "listen_tls": m.ListenTLS} {
		if address == nil {
			continue
		}
		if _, port, err := net.SplitHostPort(*address); err != nil || port == "" {
			l.problem(b.DefRange, "Invalid media block", "%s: %q is not an address with a port, such as \"0.0.0.0:8090\".", name, *address)
		}
	}
	if m.URL != nil {
		if u, err := url.Parse(*m.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
			l.problem(b.DefRange, "Invalid media block", "url: %q must be http:// or https:// with a host and a path, without query and user: BMCs take nothing else.", *m.URL)
		}
	}
}

// namesReader reports whether a text can name those who may read images. Names are not
// looked up: plans are also checked where that is not possible.
func namesReader(text string) bool {
	if _, err := netip.ParsePrefix(text); err == nil {
		return true
	}
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	return hostnamePattern.MatchString(text) && strings.Trim(text, "0123456789.") != "" // not a broken address
}

// attributes reads a body that holds arguments only.
func (l *loader) attributes(body hcl.Body, s *hcl.BodySchema) (hcl.Attributes, hcl.Diagnostics) {
	content, diags := body.Content(s)
	return content.Attributes, diags
}

// decodeBlock evaluates all arguments of a body into a Go struct.
func (l *loader) decodeBlock(body hcl.Body, o *Object, ctx *hcl.EvalContext, into any) bool {
	attrs, diags := l.attributes(body, header(o))
	l.diags = append(l.diags, diags...)
	value, ok := l.objectFrom(attrs, o, ctx, body.MissingItemRange(), nil)
	if !ok || diags.HasErrors() {
		return false
	}
	return l.fill(value, into, body.MissingItemRange())
}

func (l *loader) objectFrom(attrs hcl.Attributes, o *Object, ctx *hcl.EvalContext, at hcl.Range, given map[string]cty.Value) (cty.Value, bool) {
	unknown := false
	checked := hcl.Attributes{}
	for name, attr := range attrs {
		if d := l.checkNames(attr); d != nil {
			l.diags = append(l.diags, d)
			unknown = true
			continue
		}
		checked[name] = attr
	}
	if unknown { // what is missing now was told by its name
		value, diags := evaluateObject(checked, o, ctx, at, given)
		for _, d := range diags {
			if d.Summary != "Missing argument" {
				l.diags = append(l.diags, d)
			}
		}
		return value, false
	}
	value, diags := evaluateObject(attrs, o, ctx, at, given)
	l.diags = append(l.diags, diags...)
	return value, !diags.HasErrors()
}

// checkNames looks for variables, locals and images that nobody declares.
func (l *loader) checkNames(attr *hcl.Attribute) *hcl.Diagnostic {
	for _, t := range attr.Expr.Variables() {
		root := t.RootName()
		name, named := attributeName(t, root)
		if _, declared := l.plan.global.Variables[root]; !named || !declared || root == "path" {
			continue
		}
		if d := l.plan.checkGlobal(root, name, t.SourceRange()); d != nil {
			return d
		}
	}
	return nil
}

// evaluateObject evaluates arguments one by one, so that each problem has its
// own place.
func evaluateObject(attrs hcl.Attributes, o *Object, ctx *hcl.EvalContext, at hcl.Range, given map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	out := make(map[string]cty.Value, len(o.Arguments))
	for _, a := range o.Arguments {
		value, where := cty.NullVal(a.Type), at
		if v, ok := given[a.Name]; ok {
			value = v
		} else if attr, ok := attrs[a.Name]; ok {
			v, moreDiags := attr.Expr.Value(ctx)
			diags = append(diags, withoutValues(moreDiags)...)
			if moreDiags.HasErrors() {
				out[a.Name] = cty.UnknownVal(a.Type)
				continue
			}
			value, where = v, attr.Expr.Range()
		}
		conformed, err := a.Conform(value)
		if err != nil {
			attr := attrs[a.Name]
			diags = append(diags, problem(rangeInside(attr, err, where), "Invalid value", "%s: %s", a.Name, sentence(err)))
			conformed = cty.UnknownVal(a.Type)
		} else if a.Required && conformed.IsKnown() && conformed.IsNull() {
			diags = append(diags, missing(attrs, a, at))
		}
		out[a.Name] = conformed
	}
	return cty.ObjectVal(out), diags
}

// sentence ends an error's text as a sentence.
func sentence(err error) string {
	text := err.Error()
	if strings.HasSuffix(text, ".") || strings.HasSuffix(text, "?") {
		return text
	}
	return text + "."
}

func missing(attrs hcl.Attributes, a *Argument, at hcl.Range) *hcl.Diagnostic {
	if attr, ok := attrs[a.Name]; ok {
		return problem(attr.Expr.Range(), "Null where a value is required", "Argument %q is null here. It needs a value: %s Where the value is the result of a step, that step does not run on this host.", a.Name, a.Doc)
	}
	return problem(at, "Missing argument", "Argument %q is required: %s", a.Name, a.Doc)
}

// rangeInside narrows a range to the part of an object expression at fault.
func rangeInside(attr *hcl.Attribute, err error, whole hcl.Range) hcl.Range {
	if attr == nil {
		return whole
	}
	expr := attr.Expr
	for _, step := range pathOf(err) {
		name, isName := step.(cty.GetAttrStep)
		pairs, diags := hcl.ExprMap(expr)
		if !isName || diags.HasErrors() {
			break
		}
		for _, pair := range pairs {
			if key, diags := pair.Key.Value(nil); !diags.HasErrors() && key.Type() == cty.String && key.IsKnown() && key.AsString() == name.Name {
				expr = pair.Value
			}
		}
	}
	return expr.Range()
}

// withoutValues drops expression and context from diagnostics, so that no
// renderer can print the values that were in scope.
func withoutValues(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		d.Expression, d.EvalContext = nil, nil
	}
	return diags
}

// fill copies a conformed value into a Go struct by way of JSON.
func (l *loader) fill(v cty.Value, into any, at hcl.Range) bool {
	if !v.IsWhollyKnown() {
		return false
	}
	if err := ToGo(v, into); err != nil {
		l.problem(at, "Invalid value", "%v.", err)
		return false
	}
	return true
}

// ToGo copies a wholly known value into a Go struct of the same shape.
func ToGo(v cty.Value, into any) error {
	b, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// FromJSON reads a value of the object's type.
func (o *Object) FromJSON(b []byte) (cty.Value, error) { return ctyjson.Unmarshal(b, o.Type()) }

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// distinct keeps the first of equal diagnostics: the same expression evaluated
// for a hundred hosts is one problem.
func distinct(diags hcl.Diagnostics) hcl.Diagnostics {
	seen := map[string]bool{}
	var out hcl.Diagnostics
	for _, d := range diags {
		key := d.Summary + d.Detail
		if d.Subject != nil {
			key += position(*d.Subject)
		}
		if !seen[key] {
			out = append(out, d)
		}
		seen[key] = true
	}
	return Sorted(unmisspelt(out))
}

// near tells whether an argument can belong to the block whose header stands at block.
func near(block, argument *hcl.Range) bool {
	return block != nil && argument != nil && block.Filename == argument.Filename && block.Start.Line <= argument.Start.Line && argument.Start.Line <= block.Start.Line+40
}

// unmisspelt drops "missing argument" where the same body has an unsupported
// argument for which the missing one was suggested: one typing mistake, one problem.
func unmisspelt(diags hcl.Diagnostics) hcl.Diagnostics {
	return slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool {
		if d.Summary != "Missing argument" {
			return false
		}
		_, rest, _ := strings.Cut(d.Detail, `"`)
		name, _, _ := strings.Cut(rest, `"`)
		return slices.ContainsFunc(diags, func(other *hcl.Diagnostic) bool {
			return other.Summary == "Unsupported argument" && near(d.Subject, other.Subject) && strings.Contains(other.Detail, fmt.Sprintf("Did you mean %q?", name))
		})
	})
}

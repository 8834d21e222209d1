package schema

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Input is where a plan's values come from.
type Input struct {
	Set         []string                         // "name=value", the value of -e
	Files       []string                         // variable files
	Environ     func(name string) (string, bool) // nil: no environment
	Ask         func(v *Variable) (string, error)
	Placeholder func(name string) string // placeholder for a secret without a value, "" for none; nil in real runs
	AllowDir    []string                 // further folders below which file() may read
	AllowEnv    []string                 // what env() may read: names, or beginnings of names with a * at the end; nil: everything
	Step        string                   // a further step block, given on the command line; it comes last

	// Untrusted is a plan whose author may be anyone: it reads files below its folder and
	// AllowDir only (see [Access]), only variables of the environment that are named
	// ESXIPLAN_VAR_… and that AllowEnv allows, and its evaluation takes less time.
	Untrusted bool
}

// CommandLine is the file name of what was given on the command line.
const CommandLine = "<command line>"

var fileHeader = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
	{Type: "plan", LabelNames: []string{"name"}},
	{Type: "variable", LabelNames: []string{"name"}},
	{Type: "locals"},
	{Type: "image", LabelNames: []string{"name"}},
	{Type: "media"},
	{Type: "notify", LabelNames: []string{"name"}},
	{Type: "group", LabelNames: []string{"name"}},
	{Type: "step", LabelNames: []string{"type", "name"}},
}}

// Load reads the plan in paths (files, or one folder) and checks all that can be
// checked before a run. The plan is returned as far as it could be read, also
// with errors, so that snippets can be shown.
func Load(paths []string, in Input, known Known) (*Plan, hcl.Diagnostics) {
	access := &Access{Untrusted: in.Untrusted, Folders: in.AllowDir}
	l := &loader{
		plan: &Plan{known: known, access: access, Files: map[string]*hcl.File{}, secrets: &secretTexts{texts: map[string]string{}}, meter: &meter{untrusted: in.Untrusted, began: used()}, unusable: map[string]bool{}},
		in:   in, access: access, shared: map[*hcl.Attribute]*evaluated{}, caFiles: map[string]error{},
	}
	l.noteMadeUp()
	blocks, readable := l.parse(paths)
	if !readable {
		return l.plan, l.plan.settled(l.diags)
	}
	hosts := countHosts(blocks)
	l.plan.meter.allow(hosts)
	began := l.plan.meter.began
	if !in.Untrusted { // what it takes to read and parse is bounded by its size
		began = used()
	}
	if d := watch(l.plan.meter, began, l.plan.meter.bounds(hosts), func() { l.finish(blocks, paths) }); d != nil { // the loader is still running, and its plan must not be touched
		return &Plan{Files: l.plan.Files, known: known, access: access, secrets: &secretTexts{}, meter: l.plan.meter}, hcl.Diagnostics{d}
	}
	l.plan.meter.loaded()
	return l.plan, l.diags
}

// noteMadeUp keeps what stands in for secrets that no one gave: it need not look like an
// address.
func (l *loader) noteMadeUp() {
	placeholder := l.in.Placeholder
	if placeholder == nil {
		return
	}
	l.in.Placeholder = func(name string) string {
		text := placeholder(name)
		if text != "" {
			l.madeUp.Store(text, true) // functions are also called during a run, by several goroutines
		}
		return text
	}
}

// finish evaluates the blocks, and sums up the problems.
func (l *loader) finish(blocks hcl.Blocks, paths []string) {
	l.evaluate(blocks)
	if len(l.plan.Hosts()) == 0 && !l.diags.HasErrors() {
		l.problem(hcl.Range{Filename: paths[0]}, "No hosts", "A plan needs at least one group block with a host in it.")
	}
	l.diags = l.plan.settled(l.diags)
}

// countHosts counts host blocks before anything is evaluated.
func countHosts(blocks hcl.Blocks) (n int) {
	for _, b := range blocks {
		if body, ok := b.Body.(*hclsyntax.Body); ok && b.Type == "group" {
			for _, inner := range body.Blocks {
				if inner.Type == "host" {
					n++
				}
			}
		}
	}
	return n
}

type loader struct {
	plan   *Plan
	in     Input
	access *Access
	diags  hcl.Diagnostics

	sources  sources
	files    *fileReader       // what file() read
	lines    map[string][]line // of CSV files among it, by what they hold; nil: not looked for yet
	expanded int               // hosts that ranges and dynamic blocks make

	// shared are arguments with the same value wherever they are evaluated, with that
	// value; nil: they were not evaluated yet.
	shared  map[*hcl.Attribute]*evaluated
	caFiles map[string]error // what is wrong with each file that was looked at
	madeUp  sync.Map         // texts that stand in for secrets

	host *Host // whose arguments are evaluated or checked, nil: none's
}

// evaluated is the outcome of an argument.
type evaluated struct {
	value cty.Value
	diags hcl.Diagnostics
}

// add notes problems. Those that are found while a host is evaluated concern that host;
// one that was found before, for another host, is not noted twice.
func (l *loader) add(diags ...*hcl.Diagnostic) {
	for _, d := range diags {
		if l.host != nil && d.Severity == hcl.DiagError {
			l.host.invalid = true
		}
		if l.host == nil || concerns(d, l.host) {
			l.diags = append(l.diags, d)
		}
	}
}

func (l *loader) problem(at hcl.Range, summary, format string, values ...any) {
	l.add(problem(at, summary, format, values...))
}

func problem(at hcl.Range, summary, format string, values ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, values...), Subject: &at}
}

func (l *loader) warn(at hcl.Range, summary, format string, values ...any) {
	l.add(warning(at, summary, format, values...))
}

func warning(at hcl.Range, summary, format string, values ...any) *hcl.Diagnostic {
	d := problem(at, summary, format, values...)
	d.Severity = hcl.DiagWarning
	return d
}

// planFiles turns the command line's paths into file names.
func (l *loader) planFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		found, err := l.access.List(path)
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

// planFilesAt lists the plan files of a folder, without what editors leave there. A path that
// is a file is a plan file whatever its name.
func planFilesAt(path string, stat func(string) (fs.FileInfo, error), list func(string) ([]fs.DirEntry, error)) ([]string, error) {
	info, err := stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := list(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if name := e.Name(); !e.IsDir() && filepath.Ext(name) == ".hcl" && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "#") {
			files = append(files, filepath.Join(path, name))
		}
	}
	return files, nil
}

// parse reads the files. What can be parsed is readable, even with unknown
// blocks: their problems are reported together with all others.
func (l *loader) parse(paths []string) (blocks hcl.Blocks, readable bool) {
	files, err := l.planFiles(paths)
	if err != nil {
		l.problem(hcl.Range{Filename: paths[0]}, "Cannot read the plan", "%v. Name a plan file, several, or a folder with *.hcl files.", err)
		return nil, false
	}
	l.plan.Dir = filepath.Dir(files[0])
	l.access.dir = l.plan.Dir
	l.plan.Name = strings.TrimSuffix(filepath.Base(files[0]), ".hcl")
	readable = true
	for _, name := range files {
		if strings.HasSuffix(name, ".json") {
			l.problem(hcl.Range{Filename: name}, "Cannot read the plan", "This version reads plans in HCL, not in JSON.")
			readable = false
			continue
		}
		source, err := l.access.Read(name)
		if err != nil {
			l.problem(hcl.Range{Filename: name}, "Cannot read the plan", "%v.", err)
			readable = false
			continue
		}
		more, ok := l.parsePlan(source, name)
		blocks, readable = append(blocks, more...), readable && ok
	}
	if l.in.Step != "" {
		more, ok := l.parsePlan([]byte(l.in.Step), CommandLine)
		blocks, readable = append(blocks, more...), readable && ok
	}
	l.unique(blocks)
	return blocks, readable
}

func (l *loader) parsePlan(source []byte, name string) (hcl.Blocks, bool) {
	if slices.Contains(source, 0) {
		l.problem(hcl.Range{Filename: name}, "Cannot read the plan", "%s is no text: it holds zero bytes.", name)
		return nil, false
	}
	file := l.parseFile(source, name)
	if file == nil {
		return nil, false
	}
	return l.content(file.Body, fileHeader).Blocks, true
}

// parseFile parses what may be parsed, and bounds what its expressions evaluate to. It is nil
// if the file has mistakes, which are then among the problems.
func (l *loader) parseFile(source []byte, name string) *hcl.File {
	d := l.sources.check(source, name, hclsyntax.LexConfig)
	if d != nil {
		l.plan.Files[name] = &hcl.File{Bytes: source}
		l.add(d)
		return nil
	}
	file, diags := hclsyntax.ParseConfig(source, name, hcl.InitialPos)
	if file != nil && !diags.HasErrors() {
		diags = append(diags, l.plan.meter.bound(file.Body.(*hclsyntax.Body))...)
	}
	l.add(parseProblems(diags, source)...)
	l.plan.Files[name] = file
	if diags.HasErrors() {
		return nil
	}
	return file
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
				l.problem(b.DefRange, "Steps in several files",
					"Steps run in the order in which they are written, so all of them must be in one file; the first is in %s.", stepFile)
			}
		}
		if at, seen := first[key]; seen && b.Type != "locals" {
			remedy := "Rename or remove one of them."
			if len(b.Labels) == 0 || b.Type == "plan" {
				remedy = "Write their arguments into one block."
			}
			l.problem(b.DefRange, "Duplicate block", "There is already a block %s at %s. %s", key, position(at), remedy)
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
	for _, b := range of("notify") {
		l.notify(b)
	}
	for _, b := range of("group") {
		l.group(b)
	}
	for _, b := range of("step") {
		l.step(b)
	}
	l.checkHosts()
	l.checkRequirements()
	l.add(l.plan.checkSteps(everything)...)
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
	said := l.content(b.Body, header(planObject)).Attributes
	values, diags := l.objectFrom(said, planObject, l.global, b.DefRange, nil)
	l.add(diags...)
	l.fill(values, planObject, &arguments, b.DefRange)
	l.plan.Description = deref(arguments.Description)
	l.plan.InFlight = deref(arguments.InFlight)
	l.checkInFlight(placeOf("in_flight", said, b.DefRange), l.plan.InFlight)
	if c, at := arguments.RequiredVersion, placeOf("required_version", said, b.DefRange); c != nil {
		if ok, err := versionAllowed(*c, l.plan.known.Version); err != nil {
			l.problem(at, "Invalid version constraint", "required_version: %v.", err)
		} else if !ok {
			l.problem(at, "Unsupported version", "The plan demands esxiplan %s; this is %s. Install another version, or change required_version.",
				*c, l.plan.known.Version)
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
		attrs := l.content(b.Body, header(imageObject)).Attributes
		if a, ok := attrs["name"]; ok {
			l.problem(a.Range, "Unsupported argument", "An image has its name from the block's label. Remove this argument.")
		}
		arguments, diags := l.objectFrom(attrs, imageObject, l.global, b.DefRange, map[string]cty.Value{"name": cty.StringVal(b.Labels[0])})
		l.add(diags...)
		image := &Image{Range: b.DefRange, said: attrs}
		l.fill(arguments, imageObject, image, b.DefRange)
		l.checkRegular(image.rangeOf("source"), "source", image.Source)
		if image.SHA256 != nil && !sha256Pattern.MatchString(*image.SHA256) {
			l.problem(image.rangeOf("sha256"), "Invalid checksum", "sha256: %q is not a SHA-256 checksum, which has 64 hexadecimal digits. "+
				"The command sha256sum computes it.", *image.SHA256)
		}
		l.plan.Images = append(l.plan.Images, image)
		values[image.Name] = cty.ObjectVal(arguments)
	}
	l.plan.global.Variables["image"] = cty.ObjectVal(values)
}

func (l *loader) media(b *hcl.Block) {
	m := &Media{Range: b.DefRange, said: l.content(b.Body, header(mediaObject)).Attributes}
	values, diags := l.objectFrom(m.said, mediaObject, l.global, b.DefRange, nil)
	l.add(diags...)
	unknown := l.fill(values, mediaObject, m, b.DefRange)
	l.plan.Media = m
	if len(unknown) == 0 {
		l.checkMedia(m)
	}
	for i, name := range m.Allow {
		if !namesReader(name) {
			l.problem(m.rangeOf("allow"), "Invalid media block", "allow[%d]: %q is not an address, a network such as \"10.0.0.0/8\", a host name or \"any\".", i, name)
		}
	}
	for _, listen := range []struct {
		name    string
		address *string
	}{{"listen", m.Listen}, {"listen_tls", m.ListenTLS}} {
		if listen.address == nil {
			continue
		}
		if _, port, err := net.SplitHostPort(*listen.address); err != nil || port == "" {
			l.problem(m.rangeOf(listen.name), "Invalid media block", "%s: %q is not an address with a port, such as \"0.0.0.0:8090\".", listen.name, *listen.address)
		}
	}
	l.checkRegular(m.rangeOf("certificate"), "certificate", deref(m.Certificate))
	l.checkRegular(m.rangeOf("key"), "key", deref(m.Key))
	if m.URL != nil {
		if u, err := url.Parse(*m.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
			l.problem(m.rangeOf("url"), "Invalid media block", "url: %q must be http:// or https:// with a host and a path, without query and user: "+
				"BMCs take nothing else.", *m.URL)
		}
	}
}

// checkMedia finds arguments that do not go together.
func (l *loader) checkMedia(m *Media) {
	switch {
	case (m.Directory == nil) == !m.Serves():
		l.problem(m.Range, "Invalid media block", "Give either directory and url (files for a web server that you have), "+
			"or listen or listen_tls (this run serves the images itself).")
	case m.Directory != nil && m.URL == nil:
		l.problem(m.Range, "Missing argument", "With directory, url is required: the address under which BMCs find that folder.")
	case m.Directory == nil && m.Store == "overlay":
		l.problem(m.rangeOf("store"), "Invalid media block", "store = \"overlay\" belongs to directory; what this run serves itself is never more than an overlay. Remove it.")
	case (m.Certificate == nil) != (m.Key == nil) || m.Certificate != nil && m.ListenTLS == nil:
		l.problem(m.Range, "Invalid media block", "certificate and key go together, and with listen_tls.")
	case m.Directory != nil && m.Allow != nil:
		l.problem(m.rangeOf("allow"), "Invalid media block", "allow belongs to listen and listen_tls. "+
			"Who may read a directory is up to the web server that serves it; esxiplan serve has --allow.")
	}
}

// checkRegular refuses a pipe or a device instead of a file. It ignores a missing file: a plan
// is also checked without its files. It does not look at a file that the plan may not read.
func (l *loader) checkRegular(at hcl.Range, argument, name string) {
	if name == "" {
		return
	}
	info, err := l.access.Stat(name)
	switch {
	case errors.Is(err, errOutside):
		l.warn(at, "Not looked at", "%s: %v.", argument, err)
	case err == nil && !info.IsDir() && !info.Mode().IsRegular():
		l.problem(at, "Not a file", "%s: %s is not a regular file but a %s.", argument, name, kindOfFile(info.Mode()))
	}
}

// namesReader reports whether a text can name clients that may read images. Names are not
// looked up: plans are also checked without a name server.
func namesReader(text string) bool {
	if _, err := netip.ParsePrefix(text); err == nil {
		return true
	}
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	return hostnamePattern.MatchString(text) && strings.Trim(text, "0123456789.") != "" // not a broken address
}

// objectFrom evaluates arguments, each in a context of its own. An argument with a problem is unknown.
func (l *loader) objectFrom(attrs hcl.Attributes, o *Object, context func(*hcl.Attribute) *hcl.EvalContext, at hcl.Range,
	given map[string]cty.Value) (map[string]cty.Value, hcl.Diagnostics) {
	return evaluateObject(attrs, o, at, given, func(attr *hcl.Attribute, a *Argument) (cty.Value, hcl.Diagnostics) {
		return l.argument(attr, a, context)
	})
}

// argument evaluates one argument, unless it was evaluated for another host.
func (l *loader) argument(attr *hcl.Attribute, a *Argument, context func(*hcl.Attribute) *hcl.EvalContext) (value cty.Value, diags hcl.Diagnostics) {
	known, shared := l.shared[attr]
	if known != nil {
		return known.value, known.diags
	}
	if diags = l.checkNames(attr.Expr); diags.HasErrors() {
		value = cty.UnknownVal(a.Type)
	} else {
		value, diags = a.evaluate(attr, context(attr))
	}
	if shared {
		l.shared[attr] = &evaluated{value, diags}
	}
	return value, diags
}

// global is the context of blocks that belong to no host.
func (l *loader) global(*hcl.Attribute) *hcl.EvalContext { return l.plan.global }

func refersToRoot(expr hcl.Expression, roots ...string) bool {
	return slices.ContainsFunc(expr.Variables(), func(t hcl.Traversal) bool { return slices.Contains(roots, t.RootName()) })
}

// evaluateObject evaluates arguments one by one, so that each problem has its
// own place.
func evaluateObject(attrs hcl.Attributes, o *Object, at hcl.Range, given map[string]cty.Value,
	evaluate func(*hcl.Attribute, *Argument) (cty.Value, hcl.Diagnostics)) (map[string]cty.Value, hcl.Diagnostics) {
	var diags, moreDiags hcl.Diagnostics
	out := make(map[string]cty.Value, len(o.Arguments))
	for _, a := range o.Arguments {
		attr := attrs[a.Name]
		switch value, ok := given[a.Name]; {
		case ok:
			out[a.Name], moreDiags = a.take(value, attr, at)
		case attr != nil:
			out[a.Name], moreDiags = evaluate(attr, a)
		default:
			out[a.Name], moreDiags = a.take(cty.NullVal(a.Type), nil, at)
		}
		diags = append(diags, moreDiags...)
	}
	return out, diags
}

// evaluate evaluates an argument as it is written.
func (a *Argument) evaluate(attr *hcl.Attribute, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	value, diags := attr.Expr.Value(ctx)
	if diags = withoutValues(diags); diags.HasErrors() {
		return cty.UnknownVal(a.Type), diags
	}
	value, moreDiags := a.take(value, attr, attr.Expr.Range())
	return value, append(diags, moreDiags...)
}

// take conforms a value that was written as attr (nil: it was not written) in a block or
// expression at a place.
func (a *Argument) take(value cty.Value, attr *hcl.Attribute, at hcl.Range) (cty.Value, hcl.Diagnostics) {
	conformed, err := a.Conform(value)
	switch {
	case err != nil:
		var diags hcl.Diagnostics
		for _, err := range each(err) {
			diags = append(diags, problem(rangeInside(attr, err, at), "Invalid value", "%s: %s", a.Name, sentence(err)))
		}
		return cty.UnknownVal(a.Type), diags
	case a.Required && conformed.IsKnown() && conformed.IsNull():
		return cty.UnknownVal(a.Type), hcl.Diagnostics{missing(attr, a, at)}
	}
	return conformed, nil
}

// sentence ends an error's text as a sentence.
func sentence(err error) string {
	text := err.Error()
	if strings.HasSuffix(text, ".") || strings.HasSuffix(text, "?") {
		return text
	}
	return text + "."
}

func missing(attr *hcl.Attribute, a *Argument, at hcl.Range) *hcl.Diagnostic {
	if attr != nil {
		return problem(attr.Expr.Range(), "Null where a value is required",
			"Argument %q is null here. It needs a value: %s Where the value is the result of a step, that step does not run on the host.", a.Name, a.Doc)
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
				if expr = pair.Value; isUnknownKey(err) {
					expr = pair.Key
				}
			}
		}
	}
	return expr.Range()
}

// fill copies conformed arguments into the Go struct from which their object is derived, as
// far as they are known, and returns the names of the others.
func (l *loader) fill(values map[string]cty.Value, o *Object, into any, at hcl.Range) (unknown []string) {
	given := values
	for name, v := range values {
		if !v.IsWhollyKnown() {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		given = maps.Clone(values)
		maps.DeleteFunc(given, func(_ string, v cty.Value) bool { return !v.IsWhollyKnown() })
	}
	target := reflect.ValueOf(into).Elem()
	bound := reflect.New(target.Type()).Elem()
	bound.Set(target)
	if o.bind(func(name string) cty.Value { return given[name] }, bound) {
		target.Set(bound)
		return unknown
	}
	if err := ToGo(cty.ObjectVal(given), into); err != nil {
		l.problem(at, "Invalid value", "%v.", err)
		return o.Names()
	}
	return unknown
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// shortened bounds how many problems there are, and how long each is: a plan may have a
// million mistakes.
func shortened(diags hcl.Diagnostics) hcl.Diagnostics {
	if n := len(diags) - mostProblems; n > 0 {
		more := problem(hcl.Range{}, "More problems", "There are %d more problems than are shown.", n)
		if !diags[mostProblems:].HasErrors() {
			more.Severity = hcl.DiagWarning
		}
		diags = append(diags[:mostProblems:mostProblems], more)
	}
	for _, d := range diags {
		if len(d.Detail) > longestDetail {
			d.Detail = strings.ToValidUTF8(d.Detail[:longestDetail], "") + " …"
		}
	}
	return diags
}

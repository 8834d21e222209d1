package kickstart

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"esxiplan/engine/text"
)

// Severity of a finding.
type Severity string

// An error makes the installation fail, wait for a key, or do something unintended. A
// warning may be intended.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is a mistake in a script.
type Finding struct {
	Line     int      `json:"line"`
	Column   int      `json:"column"`
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"`
	Text     string   `json:"text"`   // what is wrong here
	Reason   string   `json:"reason"` // why it matters
	Remedy   string   `json:"remedy"`
}

func (f Finding) String() string {
	return fmt.Sprintf("%d:%d: %s: %s [%s]", f.Line, f.Column, f.Severity, f.Text, f.Rule)
}

// Conditions are what is known of the machine for which a script is.
type Conditions struct {
	Version    string // of ESXi, "" unknown
	SecureBoot *bool  // nil unknown
	// RootPassword: it is added to a script that sets none.
	RootPassword bool
	// Planned are the disks that the plan names, nil for a script without a plan.
	Planned *Planned
}

// Errors picks the findings that are errors.
func Errors(all []Finding) (out []Finding) {
	for _, f := range all {
		if f.Severity == Error {
			out = append(out, f)
		}
	}
	return out
}

// Lint finds the mistakes in a script. A comment "# esxiplan:ignore RULE …" at the end
// of a command, or on lines of its own before it, silences rules there; one about the
// script as a whole may be before or after any command. Faults that cannot be intended
// are not silenced: what the installer cannot read, and a password in plain text.
func Lint(text []byte, c Conditions) []Finding {
	l := &linter{conditions: c, commands: map[string][]*parsed{}}
	l.release, l.versioned = Release(c.Version)
	l.read(string(text))
	if len(text) <= maxLength {
		for _, rule := range wholeRules {
			rule(l)
		}
	}
	slices.SortStableFunc(l.findings, func(a, b Finding) int {
		return cmp.Or(a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Rule, b.Rule))
	})
	return l.findings
}

// maxLength bounds what is looked at; a script has a few KB.
const maxLength = 1 << 20

// linter reads a script and collects findings.
type linter struct {
	conditions Conditions
	release    float64
	versioned  bool
	lines      int
	commands   map[string][]*parsed // by alias
	count      int
	scripts    bool // a section has begun
	dryRun     bool // dryrun is given before all sections
	sections   []*section
	ignored    map[int][]string // rules by line
	inScripts  map[int][]string // the same inside of scripts, for the rules about them
	findings   []Finding
}

// parsed is a command line.
type parsed struct {
	name    string
	line    int
	column  int
	broken  bool // the line could not be read to its end; do not report what it lacks
	goesOn  bool
	given   []word          // all behind the name
	words   []word          // those that are no options
	options map[string]word // by name; text is the value, column that of the option
}

func (p *parsed) has(option string) bool { _, ok := p.options[option]; return ok }

// value is an option's value, "" without the option.
func (p *parsed) value(option string) string { return p.options[option].text }

// plainWord is what a message may repeat of an unknown command: a secret in the
// wrong place has another form.
var plainWord = regexp.MustCompile(`^-{0,2}%?[a-zA-Z]{1,20}(=[0-9.]+)?$`)

// show is a word for a message, unless it may be a password or a serial number.
func (p *parsed) show(text string) string {
	known := grammar[p.name]
	switch {
	case secretCommand(p.name) != "", known.words == 0 && known.options == nil && !plainWord.MatchString(text):
		return "(hidden)"
	}
	return text
}

// section is a script.
type section struct {
	*parsed
	document string // the word that ends a here document, "" outside of one
}

func (l *linter) read(text string) {
	if len(text) > maxLength {
		l.add("too-long", 1, 1, "the script has %d bytes", len(text))
		return
	}
	if strings.HasPrefix(text, "\uFEFF") {
		l.add("byte-order-mark", 1, 1, "the script begins with a byte order mark")
		text = text[len("\uFEFF"):]
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	l.lines = len(lines)
	l.ignored, l.inScripts = map[int][]string{}, map[int][]string{}
	var in *section
	goesOn := false
	var ignored []string // by comment lines that wait for their command
	for i, line := range lines {
		l.bytes(i+1, line, i+1 < len(lines) || strings.HasSuffix(text, "\n"))
		header := opens(line)
		if goesOn && in == nil && header == "" {
			goesOn = l.continued(i+1, line)
			continue
		}
		if in != nil {
			l.readScriptIgnored(i+1, line)
		}
		if in != nil && header == "" {
			l.scriptLine(in, i+1, line)
			continue
		}
		if in != nil && l.cuts(in, i+1, line, header) {
			in = nil
			if strings.Fields(line)[0] != header {
				continue
			}
		}
		rules, alone := l.readIgnored(i+1, line)
		if alone {
			ignored = append(ignored, rules...)
			continue
		}
		l.ignored[i+1] = append(ignored, rules...)
		p := l.command(i+1, line)
		goesOn = p != nil && p.goesOn
		if bare := strings.TrimSpace(line); bare == "" || bare[0] == '#' {
			continue // does not use up what waits
		}
		ignored = nil
		in = l.enter(in, p, header)
	}
	l.ignored[0] = ignored // behind the last command
	l.ended(lines)
}

// enter begins a section at its header. A header that is not at the start of its line
// begins no section: what follows are commands.
func (l *linter) enter(in *section, p *parsed, header string) *section {
	if header != "" && !strings.HasSuffix(header, "include") {
		l.scripts = true
	}
	switch script := p != nil && slices.Contains([]string{"%pre", "%post", "%firstboot"}, p.name); {
	case script && header == "":
		l.add("syntax", p.line, p.column, "%s must be at the start of the line, without quotes", p.name)
	case script:
		in = &section{parsed: p}
		l.sections = append(l.sections, in)
	case header != "":
		in = nil
	}
	return in
}

// cuts reports a script that ends in the wrong place: by a line that only begins
// with a section's word, or by "include", which scripts and configuration files use, too.
func (l *linter) cuts(in *section, n int, line, header string) bool {
	fields := strings.Fields(line)
	if fields[0] == header && header != "include" {
		return false
	}
	l.add("script-cut", n, 1, "%q ends the %s section of line %d", header, in.name, in.line)
	return true
}

// ended finds an %include that the installer does not see: as the last line behind a
// script section it is taken for the end of that section only.
func (l *linter) ended(lines []string) {
	last := lines[len(lines)-1]
	if header := opens(last); strings.HasSuffix(header, "include") && strings.Fields(last)[0] == "%include" && len(l.sections) > 0 &&
		l.sections[len(l.sections)-1].line < len(lines) {
		l.add("include-last", len(lines), 1, "%s is the last line, behind a script", header)
	}
}

// continued reads the rest of a line that the installer does not join.
func (l *linter) continued(n int, line string) (more bool) {
	x := lex(line)
	if x.problem != backslash {
		return false
	}
	l.add("continuation", n, x.column, "%s", x.problem)
	return true
}

const ignoreMark = "esxiplan:ignore"

// readIgnored reads the comment of a command line: which rules it silences, and
// whether the line is nothing else.
func (l *linter) readIgnored(n int, line string) (rules []string, alone bool) {
	if !strings.Contains(line, ignoreMark) {
		return nil, false
	}
	x := lex(line)
	text, ok := strings.CutPrefix(strings.TrimSpace(strings.TrimPrefix(line[min(x.end, len(line)):], "#")), ignoreMark)
	if !ok || x.end >= len(line) {
		return nil, false
	}
	for _, rule := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == '\r' }) {
		if _, known := ruleOf(rule); !known {
			l.add("unknown-rule", n, x.end+1, "there is no rule %q to ignore", rule)
		}
		rules = append(rules, rule)
	}
	return rules, len(x.words) == 0
}

// scriptMark is a comment of a script section: at the end of a line, or alone before it.
var scriptMark = regexp.MustCompile(`^(.*?)#\s*esxiplan:ignore\s+([a-z, -]+?)\s*$`)

// readScriptIgnored reads a comment inside of a script. It silences rules about the
// script's own lines only.
func (l *linter) readScriptIgnored(n int, line string) {
	if !strings.Contains(line, ignoreMark) {
		return
	}
	m := scriptMark.FindStringSubmatch(line)
	if m == nil {
		return
	}
	if strings.TrimSpace(m[1]) == "" {
		n++
	}
	l.inScripts[n] = append(l.inScripts[n], strings.FieldsFunc(m[2], func(r rune) bool { return r == ' ' || r == ',' })...)
}

// add records a finding unless its line silences the rule. A rule about the whole
// script is silenced on any line.
func (l *linter) add(id string, line, column int, format string, values ...any) {
	r, _ := ruleOf(id)
	if !r.always && (slices.Contains(l.ignored[line], id) || slices.Contains(l.inScripts[line], id) || r.whole && l.ignoredAnywhere(id)) {
		return
	}
	l.findings = append(l.findings, Finding{line, column, r.Severity, id, text.Clean(fmt.Sprintf(format, values...)), r.Reason, r.Remedy})
}

func (l *linter) ignoredAnywhere(id string) bool {
	for _, rules := range l.ignored {
		if slices.Contains(rules, id) {
			return true
		}
	}
	return false
}

// bytes looks at the characters of a line; ended: an LF follows.
func (l *linter) bytes(n int, line string, ended bool) {
	if isPlain(line) {
		return
	}
	if column, what := control(line, ended); column > 0 {
		l.add("syntax", n, column, "the line holds %s", what)
	}
	for i, b := range []byte(line) {
		if b > '~' || b < ' ' && b != '\t' && b != '\r' {
			l.add("non-ascii", n, i+1, "byte 0x%02x is no printable ASCII", b)
			return
		}
	}
}

// isPlain reports a line of printable ASCII, blanks and tabs, as nearly all are.
func isPlain(line string) bool {
	for i := range len(line) {
		if b := line[i]; b > '~' || b < ' ' && b != '\t' {
			return false
		}
	}
	return true
}

// command reads a line of the command part. It returns nil for a line without one.
func (l *linter) command(n int, line string) *parsed {
	x := lex(line)
	switch x.problem {
	case "":
	case backslash:
		l.add("continuation", n, x.column, "%s", x.problem)
	default:
		l.add("syntax", n, x.column, "%s", x.problem)
	}
	if len(x.words) == 0 {
		return nil
	}
	if x.comment > 0 {
		l.add("hash-in-word", n, x.comment, "from here on the line is a comment, and the word is cut")
	}
	p := &parsed{name: x.words[0].text, line: n, column: x.words[0].column, given: x.words[1:], options: map[string]word{}, broken: x.problem != "",
		goesOn: x.problem == backslash}
	l.count++
	known, ok := grammar[p.name]
	switch {
	case strings.HasPrefix(p.name, "%end"):
		l.add("end-section", n, p.column, "there is no %s", p.name)
		return nil
	case slices.Contains(dead, p.name):
		l.add("dead-command", n, p.column, "%q is no command of ESXi", p.name)
		return nil
	case !ok:
		l.add("unknown-command", n, p.column, "there is no command %s%s", p.show(p.name), didYouMean(p.show(p.name), slices.Sorted(maps.Keys(grammar))))
		return nil
	}
	l.arguments(p, known, x.words[1:])
	l.register(p, known)
	return p
}

// arguments sorts a command's words into options and the rest, and judges them.
func (l *linter) arguments(p *parsed, known command, words []word) {
	for _, w := range words {
		name, isOption := strings.CutPrefix(w.text, "--")
		if !isOption {
			if p.words = append(p.words, w); len(p.words) > known.words {
				l.add("stray-word", p.line, w.column, "%s is one word too many for %s", p.show(w.text), p.name)
			}
			continue
		}
		name, value, hasValue := strings.Cut(name, "=")
		o, ok := known.option(name)
		if !ok {
			l.add("unknown-option", p.line, w.column, "%s has no option --%s%s", p.name, p.show(name), didYouMean(p.show(name), known.names()))
			continue
		}
		key := o.name
		if p.has(key) {
			l.add("duplicate-option", p.line, w.column, "--%s is given twice", o.name)
			continue
		}
		p.options[key] = word{value, w.column}
		l.option(p, o, w, value, hasValue)
	}
}

func (c command) names() (out []string) {
	for _, o := range c.options {
		out = append(out, o.name)
	}
	return out
}

func (l *linter) option(p *parsed, o option, w word, value string, hasValue bool) {
	switch {
	case o.value == must && value == "":
		l.add("option-value", p.line, w.column, "--%s needs a value: --%s=…", o.name, o.name)
	case o.value == never && hasValue:
		l.add("option-value", p.line, w.column, "--%s takes no value", o.name)
	case o.judge != nil && (value != "" || o.value == must):
		if wrong := o.judge(value); wrong != "" {
			l.add("option-value", p.line, w.column, "--%s=%s: %s", o.name, p.show(value), wrong)
		}
	}
	if l.versioned && o.since > l.release {
		l.add("option-version", p.line, w.column, "--%s came with ESXi %.1f, the image is %s", o.name, o.since, l.conditions.Version)
	}
}

// register remembers a command. Scripts and includes may come several times.
func (l *linter) register(p *parsed, known command) {
	key := cmp.Or(known.alias, p.name)
	repeatable := strings.HasPrefix(key, "%") || key == "part" || key == "clearpart"
	if earlier := l.commands[key]; len(earlier) > 0 && !repeatable {
		l.add("duplicate-command", p.line, p.column, "%s is already on line %d", p.name, earlier[0].line)
	}
	l.dryRun = l.dryRun || key == "dryrun" && !l.scripts
	l.commands[key] = append(l.commands[key], p)
}

// one returns the command that counts, the last one, if it could be read.
func (l *linter) one(key string) *parsed {
	if all := l.commands[key]; len(all) > 0 && !all[len(all)-1].broken {
		return all[len(all)-1]
	}
	return nil
}

func prefixOf(address, mask string) (netip.Prefix, bool) {
	a, err1 := netip.ParseAddr(address)
	m, err2 := netip.ParseAddr(mask)
	if err1 != nil || err2 != nil || !a.Is4() || judgeNetmask(mask) != "" {
		return netip.Prefix{}, false
	}
	bits := 0
	for _, b := range m.As4() {
		for ; b&0x80 != 0; b <<= 1 {
			bits++
		}
	}
	return netip.PrefixFrom(a, bits).Masked(), true
}

// didYouMean offers the known word that differs least, if it differs little.
func didYouMean(got string, known []string) string {
	best, least := "", len(got)/3+1
	for _, k := range known {
		if d := levenshtein.Distance(strings.ToLower(got), k, nil); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

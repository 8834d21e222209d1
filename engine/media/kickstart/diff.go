package kickstart

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Differences says in words what differs between the script on a medium and the one that
// a plan gives now; both have gone through [Hide]. Commands are compared option by option,
// scripts line by line. The text of a script on the medium is not repeated: it may hold
// secrets that are no longer the plan's, which would not be masked.
func Differences(medium, plan string) []string {
	a, b := outline(medium), outline(plan)
	var out []string
	for _, key := range keys(a.commands, b.commands) {
		out = append(out, commandDifferences(a.of(key), b.of(key))...)
	}
	for _, key := range keys(a.sections, b.sections) {
		out = append(out, sectionDifferences(key, a.section(key), b.section(key))...)
	}
	return out
}

// NamesDisks reports whether a difference is only in which disks are installed on or cleared.
func NamesDisks(difference string) bool {
	for _, start := range []string{"disks: ", "install --disk: ", "clearpart --drives: ", "the command \"install --disk=",
		"the command \"%include " + diskInclude} {
		if strings.HasPrefix(difference, start) {
			return true
		}
	}
	return false
}

// outlined is a script as commands and sections, without blank lines and comments
// between commands.
type outlined struct{ commands, sections []part }

// part is a command or a section.
type part struct {
	key   string   // of commands that exclude one another; of a section its header's word and number
	line  string   // the command, or the section's header
	words []string // of the command, behind its name
	lines []string // of the section
}

func (o outlined) of(key string) (out []part) {
	for _, c := range o.commands {
		if c.key == key {
			out = append(out, c)
		}
	}
	return out
}

func (o outlined) section(key string) *part {
	if i := slices.IndexFunc(o.sections, func(s part) bool { return s.key == key }); i >= 0 {
		return &o.sections[i]
	}
	return nil
}

// outline takes a script apart as the installer does.
func outline(text string) (out outlined) {
	count := map[string]int{}
	in := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		header := opens(line)
		if header != "" && !strings.Contains(header, "include") {
			in = true
			if count[header]++; count[header] > 1 {
				header = fmt.Sprintf("%s number %d", header, count[header])
			}
			out.sections = append(out.sections, part{key: header, line: line})
			continue
		}
		if in = in && header == ""; in {
			last := &out.sections[len(out.sections)-1]
			last.lines = append(last.lines, line)
			continue
		}
		if c, ok := commandOf(line); ok {
			out.commands = append(out.commands, c)
		}
	}
	for i := range out.sections { // whatever precedes it
		if s := &out.sections[i]; s.wanted() != nil {
			s.key = "%pre that finds the disks"
		}
	}
	return out
}

func commandOf(line string) (part, bool) {
	x := lex(line)
	if len(x.words) == 0 {
		return part{}, false
	}
	c := part{key: x.words[0].text, line: strings.TrimSpace(line)}
	for _, w := range x.words[1:] {
		c.words = append(c.words, w.text)
	}
	c.key = cmp.Or(grammar[c.key].alias, c.key)
	return c, true
}

func keys(lists ...[]part) (out []string) {
	for _, list := range lists {
		for _, p := range list {
			if !slices.Contains(out, p.key) {
				out = append(out, p.key)
			}
		}
	}
	return out
}

// commandDifferences compares the commands of one kind: what both have is left out, the
// rest is compared pair by pair.
func commandDifferences(a, b []part) (out []string) {
	a, b = without(a, b), without(b, a)
	both := min(len(a), len(b))
	for i := range both {
		out = append(out, optionDifferences(a[i], b[i])...)
	}
	for _, c := range a[both:] {
		out = append(out, fmt.Sprintf("the command %q is only on the medium", c.line))
	}
	for _, c := range b[both:] {
		out = append(out, fmt.Sprintf("the command %q is only in the plan", c.line))
	}
	return out
}

func without(a, b []part) []part {
	return slices.DeleteFunc(slices.Clone(a), func(p part) bool {
		return slices.ContainsFunc(b, func(q part) bool { return slices.Equal(p.words, q.words) })
	})
}

// optionDifferences compares two commands of one kind.
func optionDifferences(a, b part) (out []string) {
	name, _, _ := strings.Cut(b.line, " ")
	order, before := a.options(nil)
	order, now := b.options(order)
	for _, option := range order {
		if before[option] != now[option] {
			out = append(out, fmt.Sprintf("%s: %s on the medium, %s in the plan", strings.TrimSpace(name+" "+option), shown(before, option), shown(now, option)))
		}
	}
	return out
}

// options are a command's options by name, "" for its further words.
func (p part) options(order []string) ([]string, map[string]string) {
	values := map[string]string{}
	for _, w := range p.words {
		name, value, hasValue := strings.Cut(w, "=")
		switch {
		case !strings.HasPrefix(w, "--"):
			name, value = "", strings.TrimSpace(values[""]+" "+w)
		case !hasValue:
			value = "set"
		}
		values[name] = value
		if !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	return order, values
}

func shown(values map[string]string, option string) string {
	if value, ok := values[option]; ok {
		return cmp.Or(value, "empty")
	}
	return "not given"
}

func sectionDifferences(key string, a, b *part) []string {
	switch {
	case b == nil:
		return []string{key + " script: only on the medium"}
	case a == nil:
		return []string{key + " script: only in the plan"}
	}
	if found := resolved(a, b); found != nil {
		return found
	}
	lines := max(len(a.lines), len(b.lines))
	at, n := -1, 0
	for i := range lines {
		if lineOf(a, i) != lineOf(b, i) {
			if n++; at < 0 {
				at = i
			}
		}
	}
	switch {
	case n == 0 && a.line != b.line:
		return []string{fmt.Sprintf("%s script: %q on the medium, %q in the plan", key, a.line, b.line)}
	case n == 0:
		return nil
	case at >= len(b.lines):
		return []string{fmt.Sprintf("%s script: the plan's ends before line %d", key, at+1)}
	}
	return []string{fmt.Sprintf("%s script: from line %d on, which is %q in the plan", key, at+1, b.lines[at])}
}

func lineOf(p *part, i int) string {
	if i < len(p.lines) {
		return p.lines[i]
	}
	return "\x00" // no line
}

// resolved compares what the scripts that find disks look for.
func resolved(a, b *part) []string {
	x, y := a.wanted(), b.wanted()
	if x == nil || y == nil || slices.Equal(x, y) {
		return nil
	}
	return []string{fmt.Sprintf("disks: %s on the medium, %s in the plan", strings.Join(x, ", "), strings.Join(y, ", "))}
}

// wanted are the disks that our script looks for, as its comments say.
func (p *part) wanted() (out []string) {
	for _, line := range p.lines {
		for mark, verb := range map[string]string{resolveMark: "install on ", wipeMark: "clear "} {
			if disk, ok := strings.CutPrefix(line, mark); ok {
				out = append(out, verb+disk)
			}
		}
	}
	return out
}

// SecretDigests are digests of what [Hide] removes from a script, by what it is, so that
// a change can be detected without keeping the secrets. key makes equal secrets of several
// hosts differ.
func SecretDigests(script, key string) map[string]string {
	texts := map[string]string{}
	for line := range strings.Lines(script) {
		shown := secretForms.ReplaceAllString(hideLine(line), "(sensitive)")
		if shown == line {
			continue
		}
		kind := "a secret in a script"
		switch name := secretCommand(line); {
		case name == "rootpw":
			kind = "root password"
		case name != "":
			kind = "license key"
		}
		texts[kind] += line
	}
	for kind, text := range texts {
		sum := sha256.Sum256([]byte(key + "\x00" + text))
		texts[kind] = hex.EncodeToString(sum[:])
	}
	return texts
}

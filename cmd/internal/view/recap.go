package view

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
	"esxiplan/engine/text"
)

// foldAbove is the number of hosts above which equal rows of the recap fold.
const foldAbove = 40

// recap writes what came of a run: the hosts, those in trouble last with reason and next
// action, what stays behind at the machines, commands to paste, and the totals.
type recap struct {
	*story.Story
	s *Streams
	t theme
}

// row is one host, or several that are alike.
type row struct {
	*story.Host
	name string
	took time.Duration
	more []string // names of the others
}

// open reports that our last reset of the machine is neither proven nor given up.
func open(h *story.Host) bool { return !h.Left.Installing.IsZero() }

func (r *recap) write() {
	if r.Summary == nil {
		return
	}
	title := "RECAP "
	fmt.Fprintln(r.s.Out, r.t.bold.Render(title)+r.t.dim.Render(strings.Repeat(r.t.line, max(0, min(120, widthOf(r.s))-len(title)))))
	var fine, bad []row
	for _, h := range r.Hosts {
		one := row{Host: h, name: h.Name, took: h.Took()}
		if h.Status.Failure() {
			bad = append(bad, one)
		} else {
			fine = append(fine, one)
		}
	}
	if len(r.Hosts) > foldAbove {
		fine, bad = folded(fine, fineKey), folded(bad, badKey)
	}
	r.print(append(fine, bad...))
	r.leftBehind()
	r.s.say("", r.totals())
}

// print writes the rows, below each its evidence or its reasons.
func (r *recap) print(rows []row) {
	width := 0
	for _, one := range rows {
		width = max(width, utf8.RuneCountInString(one.name))
	}
	var lines []line
	narrow := false
	for _, one := range rows {
		l := r.line(one, width)
		lines = append(lines, l)
		narrow = narrow || r.s.OutWidth > 0 && ansi.StringWidth(l.wide()) > r.s.OutWidth
	}
	for i, one := range rows {
		r.s.print(lines[i], narrow)
		r.evidence(one)
		r.explain(one)
	}
}

func widthOf(s *Streams) int {
	if s.OutWidth == 0 {
		return 80
	}
	return s.OutWidth
}

// fineKey is what hosts that did not fail have in common that stand in one row.
func fineKey(h *story.Host) string {
	return fmt.Sprint(h.Counts, h.Text, badKey(h))
}

// ownWords are what tells one host's message from another's: numbers and addresses.
var ownWords = regexp.MustCompile(`[0-9A-Fa-f.:]*[0-9][\w.:-]*`)

// badKey is what hosts in trouble have in common that stand in one row: they failed in the same
// steps, for reasons that differ in numbers and names at most, with the same proof; installations
// that are under way were last seen in the same phase.
func badKey(h *story.Host) string {
	standing := h.Standing()
	key := string(standing)
	if standing == story.Installing || standing == story.Running {
		key += h.LastSeen()
	}
	if h.Proof != nil {
		key += "\n" + h.Proof.Version + " " + h.Proof.Build
	}
	for _, s := range h.Troubles() {
		key += "\n" + s.Name + " " + string(s.Status) + " " + withoutOwn(h, s.Problem.Summary)
	}
	return key
}

// withoutOwn is a text without what tells one host's from another's.
func withoutOwn(h *story.Host, text string) string {
	return ownWords.ReplaceAllString(strings.ReplaceAll(text, h.Name, ""), "#")
}

// folded joins hosts with the same key.
func folded(rows []row, key func(*story.Host) string) (out []row) {
	at := map[string]int{}
	for _, one := range rows {
		k := key(one.Host)
		i, known := at[k]
		if !known {
			at[k], out = len(out), append(out, one)
			continue
		}
		out[i].more = append(out[i].more, one.name)
		out[i].took = max(out[i].took, one.took)
	}
	for i, one := range out {
		if len(one.more) > 0 {
			out[i].name = fmt.Sprintf("%s and %d more", one.name, len(one.more))
		}
	}
	return out
}

// line is a row of the recap in words.
type line struct{ name, cells, took, note string }

func (l line) wide() string { return l.name + "  " + l.cells + "  " + l.took }

// line has the name padded to width, and colours.
func (r *recap) line(one row, width int) line {
	c, t := one.Counts, r.t
	cell := func(name string, n int, color func(...string) string) string {
		text := fmt.Sprintf("%s=%d", name, n)
		if n > 0 {
			return color(text)
		}
		return t.dim.Render(text)
	}
	cells := []string{
		cell("ok", c.OK, t.ok.Render), cell("changed", c.Changed, t.changed.Render), cell("unreachable", c.Unreach, t.bad.Render),
		cell("failed", c.Failed, t.bad.Render),
		cell("skipped", c.Skipped, t.dim.Render), cell("ignored", c.Ignored, t.warn.Render), cell("retried", c.Retried, t.warn.Render),
	}
	return line{t.bold.Render(fmt.Sprintf("%-*s", width, one.name)), strings.Join(cells, " "), short(one.took), r.note(one.Host)}
}

// note is what matters most about a host, "" where its counts say all.
func (r *recap) note(h *story.Host) string {
	t := r.t
	switch standing := h.Standing(); standing {
	case story.PoweredOff:
		return t.bad.Render("powered off")
	case story.Installing:
		return t.warn.Render("being installed since "+h.Left.Installing.Local().Format("15:04:05")) + t.dim.Render(" ("+short(r.Ended.Sub(h.Left.Installing))+h.LastSeen()+")")
	case story.Proven:
		return t.ok.Render("proven " + h.Proof.Version)
	case story.Refused:
		return r.provenBefore(h, fmt.Sprintf("refused by the guard %q", h.Guard()))
	case story.Failed, story.Unreachable:
		if h.Proof != nil {
			return r.provenBefore(h, string(standing))
		}
	case story.Unproven:
		return t.bad.Render("unproven")
	case story.Waiting, story.Skipped:
		return t.warn.Render(remark(string(standing), h.Text))
	case story.Interrupted:
		return t.warn.Render(cmp.Or(h.Text, string(standing)))
	}
	if h.Text != "" {
		return t.warn.Render(h.Text)
	}
	return ""
}

// provenBefore says what trouble a host is in, and that it was proven before.
func (r *recap) provenBefore(h *story.Host, trouble string) string {
	if h.Proof == nil {
		return r.t.bad.Render(trouble)
	}
	return r.t.ok.Render("proven "+h.Proof.Version) + ", then " + r.t.bad.Render(trouble)
}

// remark is a standing with its reason, where that says more.
func remark(standing, reason string) string {
	if reason == "" || reason == standing {
		return standing
	}
	return standing + ": " + reason
}

// print writes a row: on one line where there is room for it, with the note below where
// that alone is too long. On a narrow terminal each row has its counts below.
func (s *Streams) print(l line, narrow bool) {
	first, below := l.wide(), []string{}
	if narrow {
		first, below = l.name+"  "+l.took, []string{l.cells}
	}
	switch one := first + "  " + l.note; {
	case l.note == "":
	case s.OutWidth == 0 || ansi.StringWidth(one) <= s.OutWidth:
		first = one
	default:
		below = slices.Insert(below, 0, l.note)
	}
	s.say("", first)
	for _, text := range below {
		s.say("    ", text)
	}
}

// evidence writes what the proof of a host rests on, and what could not be checked. Of hosts
// that are folded, the log has it.
func (r *recap) evidence(one row) {
	if one.Proof == nil || open(one.Host) {
		return
	}
	if len(one.more) > 0 {
		r.s.say("    ", fmt.Sprintf("ESXi %s build %s", one.Proof.Version, one.Proof.Build))
		if r.Plan.Show != "" {
			r.s.command("    See the evidence of a host with: " + r.Plan.Show + " --host " + text.ShellWord(one.Name))
		}
		return
	}
	for _, text := range one.Proof.Evidence {
		r.s.item("    ", r.t.bullet+" ", text)
	}
	for _, text := range one.Proof.Unchecked {
		r.s.item("    ", r.t.bullet+" ", r.t.warn.Render("not checked:")+" "+text)
	}
}

// explain writes why a host is in trouble, and what to do about it.
func (r *recap) explain(one row) {
	if len(one.Troubles()) == 0 {
		return
	}
	for _, s := range one.Troubles() {
		name := r.t.bad.Render(stepName(s.Name, s.Type))
		if s.Status == event.Ignored {
			name = r.t.warn.Render(stepName(s.Name, s.Type) + ", ignored")
		}
		r.s.say("    ", name+": "+s.Problem.Summary)
		if s.Problem.Detail != "" {
			r.s.say("    ", s.Problem.Detail)
		}
		if s.Problem.Next != "" {
			r.s.say("    ", "next: "+s.Problem.Next)
		}
		if s.Problem.At != "" {
			r.s.say("    ", r.t.dim.Render("at "+s.Problem.At))
		}
	}
	if len(one.more) > 0 {
		r.s.say("    ", "the same, but for numbers and names: "+strings.Join(one.more, ", "))
	}
}

// stepName is a step with its type, where the two differ.
func stepName(name, kind string) string {
	if kind == "" || kind == name {
		return name
	}
	return name + " (" + kind + ")"
}

// say writes a paragraph, wrapped to the terminal.
func (s *Streams) say(indent, text string) { s.item(indent, "", text) }

// item writes a paragraph that begins with a mark; the lines after the first one stand below
// its text.
func (s *Streams) item(indent, mark, text string) {
	wide := ansi.StringWidth(indent + mark)
	if s.OutWidth > 0 {
		text = wrap(s.plain(text), max(20, s.OutWidth-wide))
	}
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintln(s.Out, s.plain(indent+mark+line))
		indent, mark = strings.Repeat(" ", wide), ""
	}
}

// totals counts the hosts by how they ended, then by what is true of their machines.
func (r *recap) totals() string {
	n, ended, t := r.Count(), r.Summary.Hosts, r.t
	var parts []string
	add := func(n int, what string, color func(...string) string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, color(what)))
		}
	}
	add(ended[event.OK], "ok", t.ok.Render)
	add(ended[event.Changed], "changed", t.changed.Render)
	add(ended[event.Skipped], "skipped", t.dim.Render)
	add(n[story.Interrupted], string(story.Interrupted), t.warn.Render)
	add(n[story.Waiting], string(story.Waiting), t.dim.Render)
	add(ended[event.Failed], "failed", t.bad.Render)
	add(ended[event.Unreachable], "unreachable", t.bad.Render)
	add(n[story.PoweredOff], "powered off", t.bad.Render)
	add(n[story.Installing], "being installed", t.warn.Render)
	add(r.Proven(), "proven installed", t.ok.Render)
	add(n[story.Unproven], "unproven", t.bad.Render)
	add(n[story.Refused], "refused by a guard", t.bad.Render)
	return fmt.Sprintf("%s: %s %s %s", event.Count(len(r.Hosts), "host"), strings.Join(parts, ", "), t.dot, short(r.Took())) + r.cutShort()
}

// cutShort says why the run ended before its end.
func (r *recap) cutShort() string {
	why := ""
	switch {
	case r.Summary.Interrupted:
		why = "interrupted"
	case r.Summary.Budget:
		why = "stopped by the failure budget"
	case r.Summary.Internal != "":
		why = "stopped: " + r.Summary.Internal
	default:
		return ""
	}
	return " " + r.t.dot + " " + r.t.bad.Render(why)
}

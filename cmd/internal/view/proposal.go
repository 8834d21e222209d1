package view

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"

	"esxiplan/engine/event"
	"esxiplan/engine/proposal"
)

// ProposalOptions say how a proposal is shown.
type ProposalOptions struct {
	Brief bool // a line per host: what the question before a run shows
	Diff  bool // the whole of kickstarts that replace none
}

// Proposal writes what a run would do: refusals first, with the way out, then the hosts, those
// that differ only in their own values as one block, and the summary at the end, which is what a
// terminal shows.
func Proposal(s *Streams, p *proposal.Proposal, o ProposalOptions) {
	v := &proposed{s: s, t: s.themeOf(s.Color), p: p, o: o}
	v.intro()
	if o.Brief {
		v.brief()
	} else {
		v.blocks()
	}
	v.say("", v.t.bold.Render(inText.total(p)), "  ")
}

// proposed writes a proposal.
type proposed struct {
	s *Streams
	t theme
	p *proposal.Proposal
	o ProposalOptions
}

func (v *proposed) intro() {
	v.say("", fmt.Sprintf("plan %q: %s, steps %s", inText.value(v.p.Plan), event.Count(len(v.p.Hosts), "host"), inText.value(strings.Join(v.p.Steps, " "))), "  ")
	if v.p.Offline {
		v.say("", v.t.warn.Render("offline: no machine was looked at")+", so disks, what runs there and whether a guard refuses are unknown", "  ")
	}
	if v.p.Note != "" {
		v.say("", inText.value(v.p.Note), "  ")
	}
	v.line("")
}

// blocks writes the hosts to which something happens, then those of which a line says all.
func (v *proposed) blocks() {
	var idle []proposal.Block
	for _, b := range proposal.Blocks(v.p) {
		if isIdle(b.Host) {
			idle = append(idle, b)
			continue
		}
		v.block(b)
		v.line("")
	}
	for _, b := range idle {
		v.idle(b)
	}
	if len(idle) > 0 {
		v.line("")
	}
}

// isIdle reports a host of which a line says all.
func isIdle(h *proposal.Host) bool {
	return len(h.Changes) == 0 && h.Problem == nil && len(h.Warnings) == 0 && len(h.Open) == 0
}

// idle names hosts to which nothing happens.
func (v *proposed) idle(b proposal.Block) {
	var names []string
	for _, h := range b.Hosts {
		names = append(names, h.Host)
	}
	text := v.t.bold.Render(inText.some(names, 0)) + ": " + outcome(b.Host.Outcome)
	if b.Host.Text != "" {
		text += ": " + inText.value(b.Host.Text)
	}
	v.say("", text, "  ")
}

func (v *proposed) block(b proposal.Block) {
	h := b.Host
	head := []string{v.t.bold.Render(inText.title(b)) + " " + v.outcome(h.Outcome)}
	v.say("", strings.Join(append(head, inText.facts(b)...), " "+v.t.dot+" "), "  ")
	v.problem(h)
	if h.Text != "" {
		v.say("  ", inText.value(h.Text), "")
	}
	if h.Machine != nil {
		v.say("  ", v.t.dim.Render("runs now:")+" "+v.runs(h.Machine), "  ")
	}
	for _, d := range h.Erases() {
		v.say("  ", v.t.bad.Render("will be erased:")+" "+inText.disk(d), "  ")
	}
	if h.Problem != nil && len(h.Changes) > 0 {
		v.say("  ", v.t.warn.Render("before that, the run would make these changes:"), "  ")
	}
	for _, c := range inText.changes(h) {
		v.change(c)
	}
	for _, text := range inText.open(h) {
		v.say("  ", v.t.dim.Render("? "+text), "  ")
	}
	for _, text := range h.Warnings {
		v.say("  ", v.t.warn.Render("warning:")+" "+inText.value(text), "  ")
	}
	v.table(b)
}

// runs stands out where the machine is in use, or might be.
func (v *proposed) runs(m *event.Machine) string {
	if m.Runs.Use == "free" {
		return inText.runs(m)
	}
	return v.t.bad.Render(inText.runs(m))
}

func (v *proposed) outcome(o proposal.Outcome) string {
	switch o {
	case proposal.Refused, proposal.Unreachable, proposal.Install:
		return v.t.bad.Render(outcome(o))
	}
	return v.t.changed.Render(outcome(o))
}

// problem is why a host is refused or unreachable, and the way out.
func (v *proposed) problem(h *proposal.Host) {
	if h.Problem == nil {
		return
	}
	v.say("  ", v.t.bad.Render(inText.value(h.Problem.Summary)), "  ")
	if h.Problem.Detail != "" {
		v.say("  ", inText.value(h.Problem.Detail), "  ")
	}
	if h.Problem.Next != "" {
		v.say("  ", v.t.bold.Render("next:")+" "+inText.value(h.Problem.Next), "  ")
	}
	place := ""
	if h.Step != "" {
		place = "in step " + inText.value(h.Step)
	}
	if h.Problem.At != "" {
		place = strings.TrimSpace(place + " at " + inText.value(h.Problem.At))
	}
	if place != "" {
		v.say("  ", v.t.dim.Render(place), "  ")
	}
}

func (v *proposed) change(c sentence) {
	text := c.text
	if c.risk != "" {
		text += "  " + v.risk(c.risk).Render("["+string(c.risk)+"]")
	}
	step := strings.ReplaceAll(v.t.dot+" "+inText.value(c.step), " ", glue)
	v.say("  "+v.sign(c.sign)+" ", text+"  "+v.t.dim.Render(step), "")
	if c.medium == nil {
		return
	}
	facts, diff := inText.medium(*c.medium, v.o.Diff)
	for _, f := range facts {
		v.say("    ", f, "  ")
	}
	v.diff("    ", diff)
}

func (v *proposed) diff(indent, diff string) {
	for line := range strings.Lines(diff) {
		line = strings.TrimRight(Clean(line), "\n")
		switch {
		case strings.HasPrefix(line, "+"):
			line = v.t.ok.Render(line)
		case strings.HasPrefix(line, "-"):
			line = v.t.removed.Render(line)
		case strings.HasPrefix(line, "@@"):
			line = v.t.dim.Render(line)
		}
		v.say(indent, line, "    ")
	}
}

func (v *proposed) sign(sign string) string {
	switch sign {
	case "+":
		return v.t.ok.Render(sign)
	case "-":
		return v.t.removed.Render(sign)
	case "!":
		return v.t.bad.Render(sign)
	}
	return v.t.changed.Render(sign)
}

func (v *proposed) risk(r event.Risk) lipgloss.Style {
	switch r {
	case event.Wipes, event.PowersOff:
		return v.t.bad
	case event.Reboots:
		return v.t.changed
	}
	return v.t.warn
}

// say writes a paragraph behind a lead, wrapped to the terminal. Further lines stand below it,
// indented by more.
func (v *proposed) say(lead, text, more string) {
	left := ansi.StringWidth(lead)
	if v.s.OutWidth > 0 {
		text = strings.ReplaceAll(v.s.plain(strings.ReplaceAll(text, glue, "\x1f")), "\x1f", glue)
		text = wrap(text, max(20, v.s.OutWidth-left-len(more)))
	}
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			lead, line = strings.Repeat(" ", left)+more, strings.TrimLeft(line, " ")
		}
		v.line(strings.TrimRight(lead+strings.ReplaceAll(line, glue, " "), " "))
	}
}

// glue is a blank at which no line breaks.
const glue = "\u00a0"

func (v *proposed) line(text string) { fmt.Fprintln(v.s.Out, v.s.plain(text)) }

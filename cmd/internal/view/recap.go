package view

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"esxiplan/engine/event"
)

// foldAbove is the number of hosts above which equal rows of the recap fold.
const foldAbove = 40

// board is what the events add up to.
type board struct {
	hosts     []*row
	byName    map[string]*row
	hostWidth int
	dryRun    bool
	plan      event.PlanInfo
	began     time.Time
	ended     time.Time
	summary   *event.Summary
}

// row is one host.
type row struct {
	name    string
	counts  event.Counts
	status  event.Status
	remark  string
	began   time.Time
	elapsed time.Duration
	proof   *event.Verdict
	left    event.Left
	bad     []event.Event // steps that failed
	more    int           // equal hosts folded into this row
}

// proof is the verdict of a step that proved an installation.
func proof(e event.Event) *event.Verdict {
	if e.Verdict == nil || !e.Verdict.Proven || e.Status == event.Failed {
		return nil
	}
	return e.Verdict
}

// open reports that our last reset of the machine is neither proven nor timed out.
func (r *row) open() bool { return !r.left.Installing.IsZero() }

// installing reports that the machine is being installed, and goes on after the run.
func (r *row) installing() bool { return r.open() && !r.left.Off }

func newBoard() *board { return &board{byName: map[string]*row{}} }

func (b *board) row(name string) *row {
	r := b.byName[name]
	if r == nil {
		r = &row{name: name}
		b.byName[name] = r
		b.hosts = append(b.hosts, r)
		b.hostWidth = max(b.hostWidth, len(name))
	}
	return r
}

func (b *board) fold(e event.Event) {
	switch e.Kind {
	case event.RunStarted:
		b.dryRun, b.began, b.plan = e.Plan.DryRun, e.Time, *e.Plan
		for _, name := range e.Plan.Hosts { // rows stand in the order of the plan
			b.row(name)
		}
	case event.RunDone:
		b.summary, b.ended = e.Summary, e.Time
	case event.HostStarted:
		b.row(e.Host).began = e.Time
	case event.StepStarted: // what failed before is tried again
		r := b.row(e.Host)
		r.bad = slices.DeleteFunc(r.bad, func(f event.Event) bool { return f.Step == e.Step })
	case event.StepDone:
		r := b.row(e.Host)
		if e.Problem != nil {
			r.bad = append(r.bad, e)
		}
		if v := proof(e); v != nil {
			r.proof = v
		}
	case event.HostDone:
		r := b.row(e.Host)
		r.counts, r.status, r.remark = *e.Counts, e.Status, e.Text
		if e.Left != nil && !b.dryRun {
			r.left = *e.Left
		}
		if !r.began.IsZero() {
			r.elapsed = e.Time.Sub(r.began)
		}
	}
}

// recap writes the hosts, those in trouble last with reason and next action,
// then the totals.
func (b *board) recap(s *Streams, t theme) {
	if b.summary == nil {
		return
	}
	title := "RECAP "
	fmt.Fprintln(s.Out, t.bold.Render(title)+t.dim.Render(strings.Repeat(t.line, max(0, min(120, widthOf(s))-len(title)))))
	var fine, bad []*row
	for _, r := range b.hosts {
		if r.status.Failure() {
			bad = append(bad, r)
		} else {
			fine = append(fine, r)
		}
	}
	b.print(s, t, append(folded(fine), bad...))
	b.leftBehind(s, t)
	say(s, "", b.totals(t))
}

// print writes the rows, below those in trouble their reasons.
func (b *board) print(s *Streams, t theme, rows []*row) {
	width := 0
	for _, r := range rows {
		width = max(width, utf8.RuneCountInString(r.name))
	}
	var lines []line
	narrow := false
	for _, r := range rows {
		l := b.line(t, r, width)
		lines = append(lines, l)
		narrow = narrow || s.Width > 0 && ansi.StringWidth(l.wide()) > s.Width
	}
	for i, r := range rows {
		s.print(lines[i], narrow)
		if r.status.Failure() {
			b.explain(s, t, r)
		}
	}
}

func widthOf(s *Streams) int {
	if s.Width == 0 {
		return 80
	}
	return s.Width
}

// folded joins hosts with equal rows where there are many.
func folded(rows []*row) []*row {
	if len(rows) <= foldAbove {
		return rows
	}
	var out []*row
	for _, r := range rows {
		same := slices.IndexFunc(out, func(o *row) bool {
			return o.counts == r.counts && o.status == r.status && (o.proof == nil) == (r.proof == nil) && o.installing() == r.installing() &&
				o.left.Off == r.left.Off && o.remark == r.remark
		})
		if same < 0 {
			copied := *r
			out = append(out, &copied)
			continue
		}
		out[same].more++
		out[same].elapsed = max(out[same].elapsed, r.elapsed)
	}
	for _, r := range out {
		if r.more > 0 {
			r.name = fmt.Sprintf("%s and %d more", r.name, r.more)
		}
	}
	return out
}

// line is a row of the recap in words.
type line struct{ name, cells, took, note string }

func (l line) wide() string { return l.name + "  " + l.cells + "  " + l.took }

// line has the name padded to width, and colours.
func (b *board) line(t theme, r *row, width int) line {
	c := r.counts
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
	return line{t.bold.Render(fmt.Sprintf("%-*s", width, r.name)), strings.Join(cells, " "), short(r.elapsed), b.note(t, r)}
}

// note is what matters most about a host, "" where its counts say all.
func (b *board) note(t theme, r *row) string {
	switch {
	case r.left.Off:
		return t.bad.Render("powered off")
	case r.installing():
		return t.warn.Render("being installed since "+r.left.Installing.Local().Format("15:04:05")) + t.dim.Render(" ("+short(b.ended.Sub(r.left.Installing))+")")
	case r.proof != nil:
		return t.ok.Render("proven " + r.proof.Version)
	case r.remark != "":
		return t.warn.Render(string(r.status) + ": " + r.remark)
	}
	return ""
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
	case s.Width == 0 || ansi.StringWidth(one) <= s.Width:
		first = one
	default:
		below = slices.Insert(below, 0, l.note)
	}
	say(s, "", first)
	for _, text := range below {
		say(s, "    ", text)
	}
}

func (b *board) explain(s *Streams, t theme, r *row) {
	for _, e := range r.bad {
		step := t.bad.Render(e.Step)
		if e.Status == event.Ignored {
			step = t.warn.Render(e.Step + " (ignored)")
		}
		say(s, "    ", step+": "+e.Problem.Summary)
		if e.Problem.Detail != "" {
			say(s, "    ", e.Problem.Detail)
		}
		if e.Problem.Next != "" {
			say(s, "    ", "next: "+e.Problem.Next)
		}
		if e.Problem.At != "" {
			say(s, "    ", t.dim.Render("at "+e.Problem.At))
		}
	}
}

// say writes a paragraph, wrapped to the terminal.
func say(s *Streams, indent, text string) {
	if s.Width > 0 {
		text = wrap(s.plain(text), max(20, s.Width-len(indent)))
	}
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintln(s.Out, s.plain(indent+line))
	}
}

func (b *board) totals(t theme) string {
	proven, installing, stopped := 0, 0, 0
	for _, r := range b.hosts {
		switch {
		case r.installing():
			installing++
			if r.status == event.NotRun {
				stopped++ // its machine goes on
			}
		case r.proof != nil:
			proven++
		}
	}
	parts := []string{}
	for _, status := range []event.Status{event.OK, event.Changed, event.Skipped, event.NotRun, event.Failed, event.Unreachable} {
		n := b.summary.Hosts[status]
		if status == event.NotRun {
			n -= stopped
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, t.status(status)))
		}
	}
	if installing > 0 {
		parts = append(parts, t.warn.Render(fmt.Sprintf("%d being installed", installing)))
	}
	if proven > 0 {
		parts = append(parts, t.ok.Render(fmt.Sprintf("%d proven installed", proven)))
	}
	text := fmt.Sprintf("%s: %s %s %s", event.Count(len(b.hosts), "host"), strings.Join(parts, ", "), t.dot, short(b.ended.Sub(b.began)))
	switch {
	case b.summary.Interrupted:
		text += " " + t.dot + " " + t.bad.Render("interrupted")
	case b.summary.Budget:
		text += " " + t.dot + " " + t.bad.Render("stopped by the failure budget")
	case b.summary.Internal != "":
		text += " " + t.dot + " " + t.bad.Render("stopped: "+b.summary.Internal)
	}
	return text
}

package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// plain writes one line per event, prefixed by the host, a heartbeat, and the recap at the end.
type plain struct {
	s     *Streams
	theme theme
	text  func(event.Event) string // of an event, "" where it is not shown
	width int                      // of the longest name of a host

	mu    sync.Mutex // the heart beats next to the events
	heart heart
	story story.Story
}

// newPlain makes a view of lines for a stream that shows colours or does not.
func newPlain(s *Streams, colors bool) *plain {
	p := &plain{s: s, theme: s.themeOf(colors)}
	p.text = p.line
	return p
}

func (p *plain) Event(e event.Event) {
	e = clean(e)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fold(e)
	if text := p.text(e); text != "" {
		p.say(e, text)
	}
	p.heart.follow(e, p.beat)
}

// Line writes one event of a log, with its time, as results are written.
func Line(s *Streams, e event.Event) {
	if !e.Whole() {
		return
	}
	p := newPlain(s, s.Color)
	text := p.logged(e)
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintln(s.Out, s.plain(p.theme.dim.Render(e.Time.Local().Format("2006-01-02 15:04:05.000"))+"  "+line))
	}
}

// logged is an event in the words of a log, "" where it says nothing.
func (p *plain) logged(e event.Event) string {
	e = clean(e)
	text := p.line(e)
	switch e.Kind {
	case event.HostStarted:
		text = "host started"
	case event.StepStarted:
		text = stepName(e.Step, e.Type) + " started"
	case event.WriteMade:
		text = "  " + p.write(e) + kindOfWrite(e)
	case event.StepDone:
		text += p.rests(e.Verdict) + remedy(e.Problem)
	case event.WriteDone:
		text = "  " + string(e.Settled.Fate)
	case event.HostDone:
		text = "host " + p.theme.status(e.Status)
		if e.Text != "" {
			text += ": " + e.Text
		}
	}
	return text
}

// kindOfWrite marks writes of a log that are not new requests.
func kindOfWrite(e event.Event) string {
	switch {
	case e.Write.Repeat:
		return " (once more, in another form)"
	case e.Write.Found:
		return " (found on the machine: made by something else)"
	}
	return ""
}

// rests is what a proof rests on, and what it could not, one line each.
func (p *plain) rests(v *event.Verdict) (text string) {
	if v == nil || !v.Proven {
		return ""
	}
	for _, line := range v.Evidence {
		text += "\n  " + p.theme.bullet + " " + line
	}
	for _, line := range v.Unchecked {
		text += "\n  not checked: " + line
	}
	return text
}

// remedy is the detail of a problem and what to do about it, one line each.
func remedy(p *event.Problem) string {
	text := ""
	if p == nil {
		return text
	}
	if p.Detail != "" {
		text += "\n  " + p.Detail
	}
	if p.Next != "" {
		text += "\n  next: " + p.Next
	}
	return text
}

func (p *plain) Earlier(e event.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fold(clean(e))
}

func (p *plain) fold(e event.Event) {
	p.story.Event(e)
	if e.Kind == event.RunStarted {
		for _, name := range e.Plan.Hosts {
			p.width = max(p.width, len(name))
		}
	}
}

// clean takes control characters out of what stands in an event.
func clean(e event.Event) event.Event {
	e.Text = Clean(e.Text)
	if e.Problem != nil {
		problem := *e.Problem
		problem.Summary, problem.Detail, problem.Next = Clean(problem.Summary), Clean(problem.Detail), Clean(problem.Next)
		e.Problem = &problem
	}
	if e.Write != nil {
		write := *e.Write
		write.Old, write.New, write.Target = Clean(write.Old), Clean(write.New), Clean(write.Target)
		e.Write = &write
	}
	if e.Verdict != nil {
		e.Verdict = cleanVerdict(*e.Verdict)
	}
	if e.Phase != nil {
		phase := *e.Phase
		phase.Evidence, phase.Model = Clean(phase.Evidence), Clean(phase.Model)
		e.Phase = &phase
	}
	if e.Summary != nil {
		summary := *e.Summary
		summary.Internal = Clean(summary.Internal)
		e.Summary = &summary
	}
	return e
}

func cleanVerdict(v event.Verdict) *event.Verdict {
	v.Version, v.Build, v.Evidence, v.Unchecked = Clean(v.Version), Clean(v.Build), slices.Clone(v.Evidence), slices.Clone(v.Unchecked)
	for _, lines := range [][]string{v.Evidence, v.Unchecked} {
		for i, line := range lines {
			lines[i] = Clean(line)
		}
	}
	return &v
}

// say writes lines about an event to the progress stream. What a step did is cut to the
// terminal's width; why it failed and the rest is wrapped.
func (p *plain) say(e event.Event, text string) {
	text = p.s.plain(text)
	switch {
	case e.Host == "" && p.s.Width > 0:
		text = wrap(text, p.s.Width)
	case e.Kind == event.StepDone && e.Status.Failure():
		text = p.wrapped(e, text)
	}
	for line := range strings.SplitSeq(text, "\n") {
		if e.Host != "" {
			line = p.theme.dim.Render(e.Time.Local().Format(time.TimeOnly)) + " " + p.theme.bold.Render(fmt.Sprintf("%-*s", p.width, e.Host)) + " | " + line
		}
		if p.s.Width > 0 {
			line = ansi.Truncate(line, p.s.Width, ellipsis(p.s.ASCII))
		}
		fmt.Fprintln(p.s.Err, line)
	}
}

func ellipsis(ascii bool) string {
	if ascii {
		return "..."
	}
	return "…"
}

func (p *plain) line(e event.Event) string {
	t := p.theme
	switch e.Kind {
	case event.RunStarted:
		return p.intro(e)
	case event.Phased:
		return stepName(e.Step, e.Type) + ": " + t.bold.Render(e.Phase.Phase.Words()) + ": " + e.Phase.Evidence + expected(e)
	case event.WriteMade:
		if e.Write.Repeat || e.Write.Found { // what was found, a warning tells
			return ""
		}
		return t.dim.Render("  ") + p.write(e)
	case event.Retried:
		return fmt.Sprintf("%s: attempt %d in %s: %s", stepName(e.Step, e.Type), e.Attempt, short(time.Duration(e.Delay)), e.Problem.Summary)
	case event.Warned:
		return p.wrapped(e, t.warn.Render("warning:")+" "+e.Text)
	case event.StepDone:
		return p.stepDone(e)
	case event.Diagnosed:
		return t.bad.Render("error: ") + e.Problem.Summary + ": " + e.Problem.Detail
	}
	return ""
}

// wrapped breaks the lines of a host's text where it meets the edge of the terminal.
func (p *plain) wrapped(e event.Event, text string) string {
	if room := p.s.Width - p.width - len("15:04:05  | "); e.Host != "" && room > 20 {
		return wrap(text, room)
	}
	return text
}

func (p *plain) intro(e event.Event) string {
	kind := "run"
	switch {
	case e.Plan.DryRun:
		kind = "dry run"
	case e.Plan.Continued:
		kind = "continuing run"
	}
	text := fmt.Sprintf("plan %q, %s %s: %s, steps %s", e.Plan.Name, kind, e.Run, event.Count(len(e.Plan.Hosts), "host"), strings.Join(e.Plan.Steps, " "))
	if e.Plan.Note != "" {
		text += "\n" + e.Plan.Note
	}
	return text
}

func (p *plain) write(e event.Event) string {
	w := *e.Write
	return fmt.Sprintf("%s %s: %s %s %s", w.Verb, w.Target, orEmpty(w.Old), p.theme.arrow, orEmpty(w.New))
}

// expected is how long an installation takes from this phase on, as earlier ones did.
func expected(e event.Event) string {
	x := e.Phase.Expected
	if x == nil {
		return ""
	}
	passed := time.Duration(0)
	if since := e.Phase.Since; !since.IsZero() {
		passed = e.Time.Sub(since)
	}
	left := func(s event.Seconds) time.Duration { return max(0, time.Duration(s)-passed) }
	if left(x.Median) < soon {
		return ", proof expected now"
	}
	text, low, high := ", proof expected in "+short(left(x.Median)), short(left(x.Low)), short(left(x.High))
	switch {
	case x.Runs > 1 && low != high:
		text += fmt.Sprintf(" (%s to %s in %d earlier installations)", low, high, x.Runs)
	case x.Runs > 1:
		text += fmt.Sprintf(" (as in %d earlier installations)", x.Runs)
	}
	return text
}

// soon is below what people call a time to wait.
const soon = 3 * time.Second

func orEmpty(text string) string {
	if text == "" {
		return "empty"
	}
	return text
}

func (p *plain) stepDone(e event.Event) string {
	text := fmt.Sprintf("%s %s", stepName(e.Step, e.Type), p.theme.status(e.Status))
	if e.Elapsed > 0 {
		text += p.theme.dim.Render(" (" + short(time.Duration(e.Elapsed)) + ")")
	}
	if e.Text != "" {
		text += ": " + e.Text
	}
	if e.Problem != nil {
		text += ": " + e.Problem.Summary
	}
	if v := e.Verdict; v != nil && v.Proven && e.Status != event.Failed {
		text += fmt.Sprintf(": proven, ESXi %s build %s", v.Version, v.Build)
	}
	if p.s.Verbose && len(e.Result) > 0 {
		text += "\n" + indented(e.Result)
	}
	return text
}

// indented is a step's result for people who asked for more.
func indented(result json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, result, "  ", "  ") != nil {
		return ""
	}
	return "  " + Clean(b.String())
}

// Close writes what the run came to.
func (p *plain) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heart.stop()
	(&recap{&p.story, p.s, p.s.themeOf(p.s.Color)}).write()
	return nil
}

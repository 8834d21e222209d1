package view

import (
	"fmt"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// newDense makes a view with one line per host, at its end, for logs of large fleets.
func newDense(s *Streams) *plain {
	p := newPlain(s, s.ColorErr)
	p.text = p.dense
	return p
}

// dense is the line about an event that concerns the run, or ends a host that began.
func (p *plain) dense(e event.Event) string {
	switch h := p.story.Host(e.Host); {
	case e.Kind == event.Phased, e.Kind == event.Diagnosed && h != nil, e.Kind == event.Warned && h != nil:
		return ""
	case e.Kind == event.RunStarted, e.Kind == event.Warned, e.Kind == event.Diagnosed:
		return p.line(e)
	case e.Kind == event.HostDone && h != nil && !h.Began.IsZero():
		return p.outcome(h)
	}
	return ""
}

// matters is the line about an event that people want to read again after the run: warnings,
// failures, proofs, and the end of a host of which none of these was the last.
func (p *plain) matters(e event.Event) string {
	switch e.Kind {
	case event.RunStarted, event.Warned, event.Diagnosed:
		return p.line(e)
	case event.StepDone:
		if e.Status.Failure() || e.Status == event.Ignored || proves(e) {
			return p.line(e)
		}
	case event.HostDone:
		if h := p.story.Host(e.Host); !h.Began.IsZero() && !e.Status.Failure() && h.Proof == nil {
			return p.outcome(h)
		}
	}
	return ""
}

// proves reports a step that proved an installation.
func proves(e event.Event) bool {
	return e.Verdict != nil && e.Verdict.Proven && e.Status != event.Failed
}

// outcome is how a host ended, in one line.
func (p *plain) outcome(h *story.Host) string {
	text := p.standing(h) + p.theme.dim.Render(" ("+short(h.Took())+")")
	if n := len(h.Notes); n > 0 {
		text += ", " + event.Count(n, "warning")
	}
	if s := h.Failed(); s != nil {
		text += ": " + stepName(s.Name, s.Type) + ": " + s.Problem.Summary
	} else if h.Text != "" && h.Text != string(h.Standing()) {
		text += ": " + h.Text
	}
	return text
}

// standing is what is true of a host, in colour.
func (p *plain) standing(h *story.Host) string {
	t, s := p.theme, h.Standing()
	switch {
	case s == story.Proven:
		return t.ok.Render(fmt.Sprintf("proven: ESXi %s build %s", h.Proof.Version, h.Proof.Build))
	case s == story.OK:
		return t.ok.Render(string(s))
	case s == story.Changed:
		return t.changed.Render(string(s))
	case troubled(s):
		return t.bad.Render(string(s))
	}
	return t.dim.Render(string(s))
}

// troubled reports a standing that needs attention.
func troubled(s story.Standing) bool {
	switch s {
	case story.PoweredOff, story.Installing, story.Unproven, story.Failed, story.Unreachable, story.Refused:
		return true
	}
	return false
}

// elapsed is a length of time in a column: 7 characters at the most, up to 99 days.
func elapsed(d time.Duration) string { return short(max(0, d.Round(time.Second))) }

package view

import (
	"fmt"
	"strings"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// place is where a host is.
type place struct {
	step    string // with its type
	attempt int
	what    string // phase of the installation, or what the step waits for
	amount  string // how far something long has come, and how fast
	shows   string // evidence
	since   time.Duration
}

// oldEvidence is how long after a phase began why the next one is not there says more than what
// showed this one.
const oldEvidence = 10 * time.Minute

// placeOf is where a host is that has not ended; the time is that of the run.
func placeOf(h *story.Host, now time.Time) place {
	s := h.Step()
	if s == nil {
		return place{what: "waits for its turn", since: now.Sub(h.Latest)}
	}
	p := place{step: stepName(s.Name, s.Type), attempt: s.Attempt, since: now.Sub(s.Began)}
	if s.Progress != nil {
		p.what, p.amount = amount(s.Progress)
	}
	if h.Phase != nil && installs(h) {
		p.what, p.shows = h.Phase.Phase.Words(), h.Phase.Evidence
		if h.Phase.Phase != event.PhaseReading { // how much was read is evidence, no more
			p.amount = ""
		}
		if s.Pending != "" && now.Sub(h.Phase.Since) > oldEvidence {
			p.shows = s.Pending
		}
	}
	switch {
	case s.Retry != nil:
		p.what, p.shows = "tries again", s.Retry.Summary
	case p.what == "" && s.Pending == "" && len(s.Changes) > 0:
		p.what = s.Changes[len(s.Changes)-1].String()
	case p.what == "":
		p.what = s.Pending
	case p.shows == "":
		p.shows = s.Pending
	}
	return p
}

// amount is what a progress counts, and how far it has come: a share where the whole is known.
func amount(p *story.Progress) (what, much string) {
	what, bytes := strings.CutPrefix(p.Text, "bytes ")
	if !bytes {
		if p.Total > 0 {
			much = fmt.Sprintf("%d of %d", p.Done, p.Total)
		}
		return p.Text, much
	}
	what = strings.TrimPrefix(what, "of ")
	if p.Total > 0 {
		much = fmt.Sprintf("%d %%", min(100, 100*p.Done/p.Total))
	} else {
		much = megabytes(float64(p.Done))
	}
	if p.Rate >= 50e3 {
		much += ", " + megabytes(p.Rate) + "/s"
	}
	return what, much
}

// megabytes is a number of bytes for people.
func megabytes(n float64) string {
	switch {
	case n < 10e6:
		return fmt.Sprintf("%.1f MB", n/1e6)
	case n < 10e9:
		return fmt.Sprintf("%.0f MB", n/1e6)
	}
	return fmt.Sprintf("%.1f GB", n/1e9)
}

// left is how long an installation takes from now on: the median of earlier ones, and their
// spread; "" where the host is in no installation.
func left(h *story.Host, now time.Time) (median, spread string) {
	if h.Phase == nil || !installs(h) || h.Phase.Phase == event.PhaseProven {
		return "", ""
	}
	m, low, high, ok := h.Remaining(now)
	switch {
	case !ok:
		return "", "no earlier run"
	case m == 0:
		return "overdue", ""
	case m < 90*time.Second:
		return fmt.Sprintf("~%d s", max(1, m.Round(time.Second)/time.Second)), ""
	}
	minutes := func(d time.Duration) int { return int(d.Round(time.Minute) / time.Minute) }
	if minutes(low) < minutes(high) {
		spread = fmt.Sprintf("(%d–%d)", minutes(low), minutes(high))
	}
	return fmt.Sprintf("~%d min", minutes(m)), spread
}

package session_test

import (
	"fmt"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/log"
	"esxiplan/engine/proposal"
	"esxiplan/engine/session"
)

// friday is when machines of this test are reset.
var friday = time.Date(2026, 1, 2, 16, 0, 0, 0, time.UTC)

// calls are the calls of esxiplan that a run is made of.
type calls struct {
	*testing.T
	*log.Log
}

// call begins a run, or continues it.
func call(t *testing.T, state, run string, at time.Time) calls {
	t.Helper()
	l, err := log.Open(state, run, log.Options{})
	c := calls{t, l}
	c.ok(err)
	c.ok(l.Keep(log.Record{Event: event.Event{Kind: log.StageStarted, Time: at}, Stage: &log.Stage{Number: 1, Plan: "lab", Hosts: []string{"h"}}}))
	return c
}

func (c calls) ok(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c calls) resets(host string) {
	c.Helper()
	_, err := c.Append(event.Event{Kind: event.WriteMade, Host: host, Step: "restart", Time: friday,
		Write: &event.Change{Verb: event.Reset, New: "On", Intent: event.Intent{Boots: true, Installs: true}}})
	c.ok(err)
	c.enters(host, 0, event.Entered{Phase: event.PhaseRestart})
}

// enters is a phase in which an installation was seen some time after the reset.
func (c calls) enters(host string, after time.Duration, e event.Entered) {
	c.Helper()
	e.Reset = friday
	c.ok(c.Later(event.Event{Kind: event.Phased, Host: host, Step: "installed", Time: friday.Add(after), Phase: &e}))
}

// proves is the proof of a wait that began and ended some time after the reset.
func (c calls) proves(host, model string, began, ended time.Duration) {
	c.Helper()
	c.enters(host, ended, event.Entered{Phase: event.PhaseProven, Model: model, Watched: friday.Add(began)})
	c.ok(c.Later(event.Event{Kind: event.StepDone, Host: host, Step: "installed", Time: friday.Add(ended), Status: event.Changed, Verdict: &event.Verdict{Proven: true}}))
	c.ends(ended)
}

// ends is the end of a call.
func (c calls) ends(after time.Duration) {
	c.Helper()
	c.ok(c.Note(event.Event{Kind: event.RunDone, Time: friday.Add(after), Summary: &event.Summary{}}))
	c.ok(c.Close())
}

// installs is a run that installs a host without a break.
func installs(t *testing.T, state, run, host, model string, took time.Duration) {
	c := call(t, state, run, friday.Add(-time.Hour))
	c.resets(host)
	c.proves(host, model, time.Minute, took)
}

// TestEstimate: how long hosts will take is estimated, by model, from installations that a wait
// watched from the restart on, whichever plan, run and call they belong to.
func TestEstimate(t *testing.T) {
	install := func(models ...string) *proposal.Proposal {
		p := &proposal.Proposal{Hosts: []*proposal.Host{{Outcome: proposal.Unchanged, Machine: &event.Machine{Model: "fine"}}}}
		for _, m := range models {
			p.Hosts = append(p.Hosts, &proposal.Host{Outcome: proposal.Install, Machine: &event.Machine{Model: m}})
		}
		return p
	}
	const begins, unknown = "Estimated time from a host's restart to its proof: ", "unknown for R750 (no earlier run)."
	for name, c := range map[string]struct {
		runs  func(t *testing.T, state string)
		plan  *proposal.Proposal
		wants string
	}{
		"no run":        {plan: install("R750", "R750"), wants: begins + unknown},
		"nothing to do": {plan: install()},
		"one run": {plan: install("R750"), wants: begins + "22 minutes for R750 (one earlier installation).",
			runs: func(t *testing.T, state string) { installs(t, state, "a", "h", "R750", 22*time.Minute) }},
		"models": {plan: install("R750", "DL380", "R750", ""),
			wants: begins + "25 minutes for R750 (median of 2 earlier installations; the fastest took 20 minutes, the slowest 30 minutes); unknown for DL380 (no earlier run); unknown for machines of unknown model (no earlier run).",
			runs: func(t *testing.T, state string) {
				installs(t, state, "a", "h", "R750", 30*time.Minute)
				installs(t, state, "b", "i", "R750", 20*time.Minute)
				installs(t, state, "c", "j", "R650", 10*time.Minute)
			}},
		"interrupted on Friday, resumed on Monday": {plan: install("R750"), wants: begins + unknown,
			runs: func(t *testing.T, state string) {
				c := call(t, state, "a", friday.Add(-time.Hour))
				c.resets("h")
				c.ends(time.Minute)
				call(t, state, "a", friday.Add(62*time.Hour)).proves("h", "R750", 62*time.Hour, 62*time.Hour+time.Minute)
			}},
		"proven by another run": {plan: install("R750"), wants: begins + unknown,
			runs: func(t *testing.T, state string) {
				c := call(t, state, "a", friday.Add(-time.Hour))
				c.resets("h")
				c.ends(time.Minute)
				call(t, state, "b", friday.Add(30*time.Minute)).proves("h", "R750", 30*time.Minute, 31*time.Minute)
			}},
		"failed runs since": {plan: install("R750"), wants: begins + "22 minutes for R750 (one earlier installation).",
			runs: func(t *testing.T, state string) {
				installs(t, state, "a", "h", "R750", 22*time.Minute)
				for n := range 6 {
					call(t, state, fmt.Sprint("failed", n), friday.Add(time.Hour)).ends(2 * time.Hour)
				}
			}},
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			if c.runs != nil {
				c.runs(t, state)
			}
			if got := session.Estimate(state, c.plan); got != c.wants {
				t.Errorf("%s\nwant %s", got, c.wants)
			}
		})
	}
}

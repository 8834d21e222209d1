package session

import (
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/log"
	"esxiplan/engine/step"
)

// TestUnchanged: what other runs did to a machine between the question and the locks refuses the
// run; what its user did not agree about, they did not see.
func TestUnchanged(t *testing.T) {
	noon := time.Date(2026, 9, 4, 12, 0, 0, 0, time.UTC)
	reset := event.Event{Kind: event.WriteMade, Host: "h", Step: "restart", Time: noon, Write: &event.Change{Verb: event.Reset, New: "On", Intent: event.Intent{Boots: true, Installs: true}}}
	again := reset
	again.Step = "restart_again"
	gaveUp := event.Event{Kind: event.StepDone, Host: "h", Step: "w", Time: noon.Add(time.Hour), Status: event.Failed, Verdict: &event.Verdict{Seeks: true}}
	proof := event.Event{Kind: event.StepDone, Host: "h", Step: "w", Time: noon.Add(2 * time.Hour), Status: event.OK, Verdict: &event.Verdict{Seeks: true, Proven: true}}
	for name, c := range map[string]struct {
		before, since []event.Event
		refused       string
	}{
		"nothing":                 {[]event.Event{reset, gaveUp}, nil, ""},
		"never reset":             {nil, nil, ""},
		"proven before":           {[]event.Event{reset, gaveUp, proof}, nil, ""},
		"given up since":          {[]event.Event{reset}, []event.Event{gaveUp}, ""},
		"reset since":             {[]event.Event{reset, gaveUp}, []event.Event{again}, "has restarted host h since"},
		"reset since, at first":   {nil, []event.Event{reset}, "has restarted host h since"},
		"proven since":            {[]event.Event{reset}, []event.Event{proof}, "host h was proven installed at"},
		"proven after it gave up": {[]event.Event{reset, gaveUp}, []event.Event{proof}, "host h was proven installed at"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := log.Open(t.TempDir(), "other", log.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			happen := func(events []event.Event) {
				for _, e := range events {
					if _, err := l.Append(e); err != nil {
						t.Fatal(err)
					}
				}
			}
			happen(c.before)
			last, _ := l.History("h").LastReset()
			p := &Prepared{resets: map[string]step.LastReset{"h": last}}
			happen(c.since)
			err = p.unchanged(l)
			if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%v, want %q", err, c.refused)
			}
		})
	}
}

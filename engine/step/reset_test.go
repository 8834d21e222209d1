package step_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/step"
)

// TestInterruptedBeforeTheRecord: an interrupt is heard until a write is on record, though
// its guards had passed; then nothing is written.
func TestInterruptedBeforeTheRecord(t *testing.T) {
	b := newBench(t, step.Settings{Consent: step.Consent{Stop: true, Wipe: true}})
	ctx, cancel := context.WithCancel(t.Context())
	intent, err := b.BMC.Admit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	err = b.BMC.Reset(ctx, bmc.ResetOn, intent)
	if !errors.Is(err, context.Canceled) || len(b.m.wrote) > 0 || len(b.a.records) > 0 {
		t.Errorf("%v, written %v, recorded %v", err, b.m.wrote, b.a.records)
	}
}

// TestUndoneReset: a request that showed no effect leaves the machine as it was before it,
// but a start that may come about late keeps its reset open; done all the same, it counts.
func TestUndoneReset(t *testing.T) {
	b := newBench(t, step.Settings{Consent: step.Consent{Stop: true, Wipe: true}})
	b.mounted("http://x/h.iso", "d1")
	record := func(t bmc.ResetType) string {
		id, _ := b.a.Record(context.Background(), event.Change{Verb: event.Reset, New: string(t), Intent: event.Intent{Boots: true, Installs: true}})
		return id
	}
	settle := func(id string, f event.Fate) { b.a.Settle(event.Settled{Change: id, Fate: f}) }
	expect := func(when string, off, open bool, boots string) {
		t.Helper()
		left := b.History().Left()
		if left.Off != off || left.Installing.IsZero() == open || left.Boots != boots {
			t.Errorf("%s: %+v", when, left)
		}
	}
	ineffective := record(bmc.ResetForceOff)
	expect("ForceOff", true, false, "cd")
	settle(ineffective, event.Undone)
	expect("ForceOff that showed no effect", false, false, "cd")
	settle(record(bmc.ResetForceOff), event.Done)
	start := record(bmc.ResetOn)
	expect("On", false, true, "")
	settle(start, event.Undone)
	expect("On that showed no effect", true, true, "cd")
	settle(start, event.Done)
	expect("On that was done late", false, true, "")
}

// TestRestartNoted: a start that installs is the first phase of the installation as soon as the
// BMC answers it with success, with the model that the guards read; once for a reset.
func TestRestartNoted(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*bench)
		reset  bmc.ResetType // "": On
		noted  int
	}{
		"it installs":          {noted: 1},
		"it boots its disk":    {change: func(b *bench) { b.a.log = step.History{}; b.m.boot = bmc.Boot{Target: bmc.BootNone, Once: true} }},
		"it is refused":        {change: func(b *bench) { b.m.fate, b.m.writeErr = bmc.Refused, errors.New("refused") }},
		"it is powered off":    {reset: bmc.ResetForceOff},
		"it is only a dry run": {change: func(b *bench) { b.Settings.DryRun = true }},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, step.Settings{Consent: step.Consent{Stop: true, Wipe: true}})
			b.m.identity.Model = "R750"
			b.mounted("http://x/h.iso", "d1")
			if c.change != nil {
				c.change(b)
			}
			if c.reset == "" {
				c.reset = bmc.ResetOn
			}
			for range 2 {
				b.BMC.Reset(t.Context(), c.reset, event.Intent{})
			}
			if len(b.a.phases) != c.noted {
				t.Fatalf("noted %+v", b.a.phases)
			}
			if last, _ := b.History().LastReset(); c.noted > 0 {
				if p := b.a.phases[0]; p.Phase != event.PhaseRestart || p.Model != "R750" || !p.Reset.Equal(last.Time) || p.Evidence != "the reset at "+last.Time.Local().Format("15:04:05")+" was answered" {
					t.Errorf("noted %+v", p)
				}
			}
		})
	}
}

// TestEnterRepeats: a process that finds an installation in a phase which another one saw says so
// once, with the time of then. It does not take the proof from another one.
func TestEnterRepeats(t *testing.T) {
	for name, c := range map[string]struct {
		seen, now []event.Phase
		want      []event.Phase
	}{
		"seen by this process": {nil, []event.Phase{event.PhaseRestart, event.PhasePost, event.PhaseRestart}, []event.Phase{event.PhaseRestart, event.PhasePost}},
		"seen by another":      {[]event.Phase{event.PhaseRestart, event.PhaseReading}, []event.Phase{event.PhaseRestart, event.PhaseRestart, event.PhaseAnswering}, []event.Phase{event.PhaseReading, event.PhaseAnswering}},
		"come further since":   {[]event.Phase{event.PhaseReading}, []event.Phase{event.PhaseInstaller, event.PhaseReading}, []event.Phase{event.PhaseInstaller}},
		"proven by another":    {[]event.Phase{event.PhaseProven}, []event.Phase{event.PhaseInstaller, event.PhaseProven, event.PhaseProven}, []event.Phase{event.PhaseProven}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, step.Settings{})
			b.open()
			last, _ := b.History().LastReset()
			for _, p := range c.seen {
				b.a.log.Fold(step.Record{Run: "run1", Time: b.a.now, Entered: &event.Entered{Phase: p, Reset: last.Time}})
			}
			seen := b.a.now
			b.a.now = seen.Add(time.Hour)
			for _, p := range c.now {
				b.Enter(p, "it was seen")
			}
			var got []event.Phase
			for _, e := range b.a.phases {
				got = append(got, e.Phase)
				if repeated := slices.Contains(c.seen, e.Phase); repeated != e.Since.Equal(seen) || repeated == (e.Evidence == "it was seen") {
					t.Errorf("%+v", e)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

package step_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/step"
)

// log folds records one after the other, with IDs of its own.
type log struct {
	step.History
	n int
}

func (l *log) change(run string, c event.Change) string {
	l.n++
	c.ID = fmt.Sprintf("%s.%d", run, l.n)
	l.Fold(step.Record{Run: run, Step: "s", Time: began.Add(time.Duration(l.n) * time.Minute), Change: &c})
	return c.ID
}

func (l *log) settle(id string, f event.Fate) {
	l.Fold(step.Record{Settled: &event.Settled{Change: id, Fate: f}})
}

func eject(image string) event.Change {
	return event.Change{Verb: event.Eject, Target: "slot CD1", Old: image}
}

// TestMounts: what is known of the drives after changes and what came of them.
func TestMounts(t *testing.T) {
	const a = "http://x/a.iso"
	for name, c := range map[string]struct {
		do   func(*log)
		want []string
	}{
		"inserted":                {func(l *log) { l.settle(l.change("r", inserted), event.Done) }, []string{a}},
		"nobody knows":            {func(l *log) { l.settle(l.change("r", inserted), event.Unknown) }, []string{a}},
		"crashed before the fate": {func(l *log) { l.change("r", inserted) }, []string{a}},
		"refused":                 {func(l *log) { l.settle(l.change("r", inserted), event.Refused) }, nil},
		"undone":                  {func(l *log) { id := l.change("r", inserted); l.settle(id, event.Done); l.settle(id, event.Undone) }, nil},
		"ejected": {func(l *log) {
			l.settle(l.change("r", inserted), event.Done)
			l.settle(l.change("r", eject(a)), event.Done)
		}, nil},
		"eject refused": {func(l *log) {
			l.settle(l.change("r", inserted), event.Done)
			l.settle(l.change("r", eject(a)), event.Refused)
		}, []string{a}},
		"eject of unknown fate": {func(l *log) {
			l.settle(l.change("r", inserted), event.Done)
			l.settle(l.change("r", eject(a)), event.Unknown)
		}, []string{a}},
		"ejected, not told which": {func(l *log) {
			l.settle(l.change("r", inserted), event.Done)
			l.settle(l.change("r", eject("unknown image")), event.Done)
		}, nil},
		"ejected elsewhere": {func(l *log) {
			l.settle(l.change("r", inserted), event.Done)
			l.settle(l.change("r", event.Change{Verb: event.Eject, Target: "slot CD2", Old: "http://y/b.iso"}), event.Done)
		}, []string{a}},
		"in two drives": {func(l *log) {
			l.settle(l.change("r", inserted), event.Done)
			l.settle(l.change("r", event.Change{Verb: event.Insert, Target: "slot CD2", New: "http://x/b.iso"}), event.Done)
		}, []string{a, "http://x/b.iso"}},
		"refused over another": {func(l *log) {
			l.settle(l.change("r", inserted), event.Done)
			l.settle(l.change("r", event.Change{Verb: event.Insert, Target: "slot CD1", New: "http://x/b.iso"}), event.Refused)
		}, []string{a}},
		"settled long after": {func(l *log) {
			id := l.change("r", inserted)
			for range 40 {
				l.change("r", event.Change{Verb: event.Prepare})
			}
			l.settle(id, event.Undone)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var l log
			c.do(&l)
			var got []string
			for _, m := range l.Mounted() {
				got = append(got, m.URL)
				if held, ok := l.Holds(m.URL); !ok || held != m {
					t.Errorf("Holds(%s) = %v", m.URL, held)
				}
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("mounted %v, want %v", got, c.want)
			}
		})
	}
}

// TestOverrides: what is known of the boot source.
func TestOverrides(t *testing.T) {
	none := event.Change{Verb: event.SetBoot, New: "none"}
	stays := func(l *log, id string) {
		l.Fold(step.Record{Settled: &event.Settled{Change: id, Fate: event.Done, Stays: true}})
	}
	for name, c := range map[string]struct {
		do   func(*log)
		want string
		debt bool
	}{
		"set":        {func(l *log) { l.settle(l.change("r", setCD), event.Done) }, "cd", false},
		"refused":    {func(l *log) { l.settle(l.change("r", setCD), event.Refused) }, "", false},
		"taken back": {func(l *log) { l.settle(l.change("r", setCD), event.Done); l.settle(l.change("r", none), event.Done) }, "", false},
		"not taken":  {func(l *log) { l.settle(l.change("r", setCD), event.Done); l.settle(l.change("r", none), event.Refused) }, "cd", false},
		"undone":     {func(l *log) { id := l.change("r", setCD); l.settle(id, event.Undone) }, "", false},
		"used up":    {func(l *log) { l.settle(l.change("r", setCD), event.Done); l.settle(l.change("r", wiped), event.Done) }, "", false},
		"boot refused": {func(l *log) {
			l.settle(l.change("r", setCD), event.Done)
			l.settle(l.change("r", wiped), event.Refused)
		}, "cd", false},
		"stays":         {func(l *log) { stays(l, l.change("r", setCD)) }, "cd", true},
		"stays, booted": {func(l *log) { stays(l, l.change("r", setCD)); l.settle(l.change("r", wiped), event.Done) }, "cd", true},
		"paid":          {func(l *log) { stays(l, l.change("r", setCD)); l.settle(l.change("r", none), event.Done) }, "", false},
		"not paid":      {func(l *log) { stays(l, l.change("r", setCD)); l.settle(l.change("r", none), event.Refused) }, "cd", true},
		"clear lost":    {func(l *log) { stays(l, l.change("r", setCD)); l.settle(l.change("r", none), event.Unknown) }, "cd", true},
		"clear crashed": {func(l *log) { stays(l, l.change("r", setCD)); l.change("r", none) }, "cd", true},
		"reads back": {func(l *log) {
			id := l.change("r", setCD)
			stays(l, id)
			l.settle(l.change("r", none), event.Done)
			stays(l, id)
		}, "cd", true},
		"disk stays": {func(l *log) { stays(l, l.change("r", event.Change{Verb: event.SetBoot, New: "disk"})) }, "disk", false},
	} {
		t.Run(name, func(t *testing.T) {
			var l log
			c.do(&l)
			got, ok := l.BootSet()
			if ok != (c.want != "") || ok && got.Target != c.want || l.Debt() != c.debt {
				t.Errorf("%+v, debt %v", got, l.Debt())
			}
		})
	}
}

// TestResets: off and on are one reset, which keeps what answered before it.
func TestResets(t *testing.T) {
	off := event.Change{Verb: event.Reset, New: "ForceOff", Intent: event.Intent{Boots: true, Installs: true, Before: &event.Snapshot{Fingerprint: "aa"}}}
	on := wiped
	on.Before = &event.Snapshot{Fingerprint: "aa"}
	var l log
	l.settle(l.change("r", off), event.Done)
	if _, ok := l.LastReset(); ok || !l.Left().Off {
		t.Errorf("half a restart is no reset, and leaves the machine off: %+v", l.Left())
	}
	first := l.change("r", on)
	l.settle(first, event.Refused)
	if _, ok := l.LastReset(); ok || !l.Left().Off {
		t.Error("a start that was refused counts")
	}
	l.settle(first, event.Done) // done late, all the same
	last, open := l.Installing()
	if !open || last.Change != first || last.Before.Fingerprint != "aa" || l.Left().Off || l.Left().Installing != last.Time {
		t.Errorf("%+v", last)
	}
	l.change("r", on)
	again, _ := l.LastReset()
	if !again.Asked.After(last.Asked) || again.Fate != event.Done {
		t.Errorf("asked for again: %+v", again)
	}
	if again.Asked = last.Asked; !reflect.DeepEqual(again, last) {
		t.Errorf("asked for again by the same step it is another reset: %+v", again)
	}
	l.change("r2", wiped)
	if next, _ := l.LastReset(); next.Run != "r2" || !next.Time.After(last.Time) {
		t.Errorf("%+v", next)
	}
	silent := off
	silent.Boots = false
	l.change("r3", silent)
	if l.Left().Off {
		t.Error("a machine that was to be powered off is not left off")
	}
	l.change("r3", event.Change{Verb: event.Reset, New: "On", Intent: event.Intent{Boots: true, Before: &event.Snapshot{State: "silent"}}})
	if next, open := l.Installing(); open || next.Before.Fingerprint != "aa" {
		t.Errorf("what answered before it was powered off is forgotten: %+v", next)
	}
}

// TestVerdicts: what ends an installation.
func TestVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		verdict event.Verdict
		failed  bool
		open    bool
	}{
		"proven":       {event.Verdict{Proven: true, Seeks: true}, false, false},
		"ended":        {event.Verdict{Ended: true, Seeks: true}, true, false},
		"gave up":      {event.Verdict{Seeks: true}, true, false},
		"not yet":      {event.Verdict{Seeks: true}, false, true},
		"of something": {event.Verdict{}, true, true},
	} {
		var l log
		l.change("r", wiped)
		l.Fold(step.Record{Verdict: &c.verdict, Failed: c.failed})
		if _, open := l.Installing(); open != c.open {
			t.Errorf("%s: open %v", name, open)
		}
	}
	var none log
	none.Fold(step.Record{Verdict: &event.Verdict{Proven: true}})
	if _, ok := none.LastReset(); ok {
		t.Error("a verdict makes a reset")
	}
}

// TestMade: the changes of a step in the run under way, each with its fate.
func TestMade(t *testing.T) {
	var l log
	l.change("before", inserted)
	l.Follow("r")
	refused, repeat, found := l.change("r", inserted), inserted, inserted
	l.settle(refused, event.Refused)
	repeat.Repeat, found.Found = true, true
	done := l.change("r", repeat)
	l.settle(done, event.Done)
	again := l.change("r", repeat)
	l.change("r", found)
	lost := l.change("r", setCD)
	undone := l.change("r", setCD)
	l.settle(undone, event.Undone)
	before := l.Copy()
	l.settle(lost, event.Done)
	if before.Made("s")[4].Fate != event.Unknown || l.Made("s")[4].Fate != event.Done {
		t.Error("a copy changes with the history")
	}
	var took, effective []string
	for _, m := range l.Made("s") {
		if m.Took() {
			took = append(took, m.ID)
		}
	}
	for _, m := range step.Effective(l.Made("s")) {
		effective = append(effective, m.ID)
	}
	if !reflect.DeepEqual(took, []string{done, again, lost}) || !reflect.DeepEqual(effective, []string{done, lost}) {
		t.Errorf("took place %v, effective %v", took, effective)
	}
	if len(l.Made("other")) != 0 {
		t.Error("changes of another step")
	}
	l.Follow("next")
	if len(l.Made("s")) != 0 {
		t.Error("changes of another run")
	}
}

func TestLeft(t *testing.T) {
	var l log
	l.settle(l.change("r", inserted), event.Done)
	l.settle(l.change("r", setCD), event.Done)
	left := l.Left()
	if !reflect.DeepEqual(left.Mounted, []string{"http://x/a.iso"}) || left.Boots != "cd" || left.Off || !left.Installing.IsZero() {
		t.Errorf("%+v", left)
	}
}

// TestChangeInWords: as people read it.
func TestChangeInWords(t *testing.T) {
	if got := (event.Change{Verb: event.Insert, Target: "slot 1", New: "u"}).String(); got != "insert slot 1: empty → u" {
		t.Error(got)
	}
	if got := (event.Change{Verb: event.Eject, Target: "slot 1", Old: "u"}).String(); got != "eject slot 1: u → empty" {
		t.Error(got)
	}
}

// TestProvenAfter: a proof counts from when it was found, also where the wait for it had failed
// before.
func TestProvenAfter(t *testing.T) {
	failure := began.Add(time.Hour)
	for name, c := range map[string]struct {
		verdicts []step.Record
		want     bool
	}{
		"no proof":                      {nil, false},
		"a proof before":                {[]step.Record{{Time: failure.Add(-time.Minute), Verdict: &event.Verdict{Proven: true}}}, false},
		"a proof after":                 {[]step.Record{{Time: failure.Add(time.Minute), Verdict: &event.Verdict{Proven: true}}}, true},
		"a proof that the plan refuses": {[]step.Record{{Time: failure.Add(time.Minute), Verdict: &event.Verdict{Proven: true}, Failed: true}}, false},
		"a wait that failed":            {[]step.Record{{Time: failure, Verdict: &event.Verdict{Seeks: true}, Failed: true}}, false},
		"a proof after the wait":        {[]step.Record{{Time: failure, Verdict: &event.Verdict{Seeks: true}, Failed: true}, {Time: failure.Add(time.Minute), Verdict: &event.Verdict{Proven: true}}}, true},
	} {
		var l log
		l.change("first", wiped)
		for _, v := range c.verdicts {
			l.Fold(v)
		}
		if last, ok := l.LastReset(); !ok || last.ProvenAfter(failure) != c.want {
			t.Errorf("%s: %+v", name, last)
		}
	}
}

// TestStarts: the history judges a reset as the doors do.
func TestStarts(t *testing.T) {
	for _, r := range []bmc.ResetType{bmc.ResetOn, bmc.ResetForceOff, bmc.ResetForceRestart, bmc.ResetGracefulShutdown, "ForceOn", "PowerCycle", "GracefulRestart", "ForcePowerCycle"} {
		if (event.Change{Verb: event.Reset, New: string(r)}).Starts() != r.Starts() {
			t.Errorf("%s", r)
		}
	}
}

package step_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/step"
)

// answers are what is asked of a history, as text, so that two of them can be compared.
func answers(t *testing.T, h step.History) string {
	t.Helper()
	last, reset := h.LastReset()
	boot, set := h.BootSet()
	taken, was := h.Taken()
	_, installing := h.Installing()
	b, err := json.MarshalIndent(map[string]any{"installing": installing, "left": h.Left(), "mounted": h.Mounted(), "boot": boot, "set": set, "taken": taken, "was": was,
		"reset": reset, "last": last, "debt": h.Debt(), "model": h.Model(), "continuous": h.OnlyContinuous(), "open": h.OpenRuns()}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// saved is a history as it comes back from a snapshot.
func saved(t *testing.T, h *step.History) *step.History {
	t.Helper()
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out := &step.History{}
	if err := json.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSavedBetweenChangeAndFate: a fate counts the same where a snapshot was taken between
// the change and its fate, or between two fates of it.
func TestSavedBetweenChangeAndFate(t *testing.T) {
	none := event.Change{Verb: event.SetBoot, New: "none"}
	plain := event.Change{Verb: event.Reset, New: "On", Intent: event.Intent{Boots: true}}
	off := event.Change{Verb: event.Reset, New: "ForceOff", Intent: event.Intent{Boots: true, Before: &event.Snapshot{Fingerprint: "aa"}}}
	for name, c := range map[string]struct {
		before []event.Change // done
		change event.Change
		fates  []event.Fate
	}{
		"insert refused":                  {nil, inserted, []event.Fate{event.Refused}},
		"insert refused over another":     {[]event.Change{inserted}, event.Change{Verb: event.Insert, Target: inserted.Target, New: "http://x/b.iso"}, []event.Fate{event.Refused}},
		"insert refused, done all along":  {nil, inserted, []event.Fate{event.Refused, event.Done}},
		"insert done, refused":            {nil, inserted, []event.Fate{event.Done, event.Refused}},
		"insert undone, done":             {nil, inserted, []event.Fate{event.Undone, event.Done}},
		"boot refused, done all along":    {nil, setCD, []event.Fate{event.Refused, event.Done}},
		"boot undone, done all along":     {nil, setCD, []event.Fate{event.Undone, event.Done}},
		"boot cleared, refused, done":     {[]event.Change{setCD}, none, []event.Fate{event.Refused, event.Done}},
		"reset refused, done all along":   {[]event.Change{setCD}, plain, []event.Fate{event.Refused, event.Done}},
		"install refused, done all along": {[]event.Change{setCD}, wiped, []event.Fate{event.Refused, event.Done}},
		"reset done, undone":              {[]event.Change{setCD}, plain, []event.Fate{event.Done, event.Undone}},
		"reset done, refused":             {[]event.Change{off}, plain, []event.Fate{event.Done, event.Refused}},
		"off undone":                      {nil, off, []event.Fate{event.Done, event.Undone}},
		"eject refused, done":             {[]event.Change{inserted}, eject(inserted.New), []event.Fate{event.Refused, event.Done}},
		"eject unknown, done":             {[]event.Change{inserted}, eject(inserted.New), []event.Fate{event.Unknown, event.Done}},
	} {
		t.Run(name, func(t *testing.T) {
			for cut := range len(c.fates) + 1 {
				var whole, cutUp log
				for i, l := range []*log{&whole, &cutUp} {
					for _, b := range c.before {
						l.settle(l.change("r", b), event.Done)
					}
					id := l.change("r2", c.change)
					for n, f := range c.fates {
						if i == 1 && n == cut {
							l.History = *saved(t, &l.History)
						}
						l.settle(id, f)
					}
				}
				if a, b := answers(t, whole.History), answers(t, cutUp.History); a != b {
					t.Errorf("saved before fate %d, it says\n%s\nnot\n%s", cut+1, b, a)
				}
			}
		})
	}
}

// TestSavedAnywhere: a history that is saved and read back at random places gives the same
// answers as one that never was.
func TestSavedAnywhere(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		whole, cutUp := &step.History{}, &step.History{}
		var ids []string
		for n := range 80 {
			record := randomRecord(r, n, &ids)
			whole.Fold(record)
			cutUp.Fold(record)
			if r.IntN(4) == 0 {
				cutUp = saved(t, cutUp)
			}
			if a, b := answers(t, *whole), answers(t, *cutUp); a != b {
				t.Fatalf("seed %d: after record %d (%+v) it says\n%s\nnot\n%s", seed, n, record, b, a)
			}
		}
	}
}

// randomRecord makes a change, a fate of one of the changes so far, or a verdict.
func randomRecord(r *rand.Rand, n int, ids *[]string) step.Record {
	run := pick(r, "a", "b")
	out := step.Record{Run: run, Step: pick(r, "s", "t"), Time: began.Add(time.Duration(n) * time.Minute)}
	switch k := r.IntN(10); {
	case k == 0:
		out.Verdict, out.Failed = &event.Verdict{Proven: r.IntN(2) == 0, Ended: r.IntN(3) == 0, Seeks: r.IntN(2) == 0}, r.IntN(3) == 0
	case k < 5 && len(*ids) > 0:
		recent := (*ids)[max(0, len(*ids)-20):]
		out.Settled = &event.Settled{Change: recent[r.IntN(len(recent))], Fate: pick(r, event.Done, event.Refused, event.Unknown, event.Undone), Stays: r.IntN(6) == 0}
	default:
		c := randomChange(r)
		c.ID = fmt.Sprintf("%s.%d", run, n)
		*ids = append(*ids, c.ID)
		out.Change = &c
	}
	return out
}

func randomChange(r *rand.Rand) event.Change {
	drive, url := pick(r, "slot CD1", "slot CD2"), pick(r, "http://x/a.iso", "http://x/b.iso")
	switch r.IntN(8) {
	case 0, 1:
		return event.Change{Verb: event.Insert, Target: drive, New: url, Intent: event.Intent{Medium: pick(r, "", "m1", "m2")}}
	case 2:
		return event.Change{Verb: event.Eject, Target: drive, Old: url}
	case 3:
		return event.Change{Verb: event.SetBoot, New: pick(r, "cd", "disk", "none", "pxe")}
	case 4:
		return event.Change{Verb: pick(r, event.Prepare, event.Publish, event.Remove), Target: "image"}
	}
	c := event.Change{Verb: event.Reset, Target: "power", New: pick(r, "On", "ForceOff", "ForceRestart"), Intent: event.Intent{Boots: r.IntN(3) > 0, Installs: r.IntN(2) == 0}}
	if r.IntN(2) == 0 {
		c.Before = &event.Snapshot{State: "esxi", Fingerprint: pick(r, "aa", "bb"), Installed: began}
	}
	return c
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

package lane_test

import (
	"testing"

	"esxiplan/engine/event"
	"esxiplan/engine/lane"
	"esxiplan/engine/survey"
)

// TestHold: a host that has not come to its first write makes none; one that has continues.
func TestHold(t *testing.T) {
	const byUser = "end not_run (held back by the user); ·"
	toY := []move{starts("host; start x; → x 1"), folds(succeeds, "x ok; ? y flies judged")}
	scenarios(t, map[string]scenario{
		"before the first gate": {steps: "step \"write\" \"y\" {}\nstep \"note\" \"c\" { run_on = \"always\" }", moves: []move{starts("? y flies judged"), holds(byUser)}},
		"at the gate of the first write": {steps: cleanup, moves: append(toY[:2:2], holds("start c; → c 1 always"),
			folds(succeeds, "c ok; "+byUser))},
		"while it reads, and then wants to write": {steps: cleanup, moves: append(toY[:1:1], holds("·"), folds(succeeds, "x ok; start c; → c 1 always"), folds(succeeds, "c ok; "+byUser))},
		"while a read is retried":                 {steps: cleanup, moves: append(toY[:1:1], holds("·"), folds(trouble, "retry x 2: trouble; → x 2"), folds(succeeds, "x ok; start c; → c 1 always"))},
		"during its first write":                  {steps: cleanup, moves: append(toY[:2:2], passes("start y; → y 1"), holds("·"), folds(wrote, "y changed; start z; → z 1"), folds(succeeds, "z ok; start c; → c 1 always"), folds(succeeds, "c ok; end changed; ·"))},
		"while its machine is being installed":    {steps: "step \"note\" \"x\" {}\nstep \"write\" \"y\" {}", moves: []move{startsWith(lane.Past{Installing: true}, "host; start x; → x 1"), holds("·"), folds(succeeds, "x ok; ? y flies judged"), passes("start y; → y 1")}},
		"after it failed":                         {steps: "step \"note\" \"x\" {}\nstep \"write\" \"f\" { run_on = \"failure\" }", moves: []move{starts("host; start x; → x 1"), folds(broken, "x failed: broken; ? f flies"), holds("·"), passes("start f; → f 1")}},
		"before a write that would always run": {steps: "step \"note\" \"x\" {}\nstep \"write\" \"c\" { run_on = \"always\" }\nstep \"write\" \"y\" {}",
			moves: []move{starts("host; start x; → x 1"), holds("·"), folds(succeeds, "x ok; "+byUser)}},
		"where it only reads":        {steps: `step "note" "x" {}`, moves: []move{starts("host; start x; → x 1"), holds("·"), folds(succeeds, "x ok; end ok; ·")}},
		"at a barrier before a read": {steps: "step \"note\" \"x\" {}\nstep \"note\" \"y\" { barrier = true }", moves: []move{starts("host; start x; → x 1"), folds(succeeds, "x ok; ? y barrier"), holds("? y barrier"), passes("start y; → y 1")}},
		"at its end":                 {steps: `step "note" "x" {}`, moves: []move{starts("host; start x; → x 1"), folds(succeeds, "x ok; end ok; ·"), holds("·")}},
	})
}

// TestSetHold: those in flight run to their end, the others begin nothing; such a run is
// interrupted. One in which nobody was held back is not.
func TestSetHold(t *testing.T) {
	r := newRun(t, group("a", 4)+"step \"write\" \"x\" {}\nstep \"note\" \"y\" {}", survey.Options{InFlight: "2"}).begin()
	r.take(r.Hold())
	wantUnderWay(t, r, "a1 x, a2 x")
	for _, host := range []string{"a1", "a2"} {
		r.ends(t, host, "x", wrote)
		r.ends(t, host, "y", succeeds)
	}
	if got := r.of("a3"); got != "end not_run (held back by the user)" {
		t.Errorf("a3: %s", got)
	}
	if s := r.Summary(); !r.Done() || !s.Interrupted || s.Exit != event.ExitInterrupted || s.Hosts[event.Changed] != 2 || s.Hosts[event.NotRun] != 2 {
		t.Errorf("done %v, %+v", r.Done(), s)
	}
	all := newRun(t, group("a", 2)+"step \"note\" \"x\" {}", survey.Options{}).begin()
	all.take(all.Hold())
	all.ends(t, "a1", "x", succeeds)
	all.ends(t, "a2", "x", succeeds)
	if s := all.Summary(); !all.Done() || s.Interrupted || s.Exit != event.ExitOK {
		t.Errorf("nobody was held back: done %v, %+v", all.Done(), s)
	}
}

// TestSetHoldAtABarrier: those that wait there for their first write are held back, and do not
// slip through as the barrier opens.
func TestSetHoldAtABarrier(t *testing.T) {
	r := newRun(t, group("a", 3)+"step \"note\" \"x\" {}\nstep \"write\" \"y\" { barrier = true }", survey.Options{}).begin()
	r.ends(t, "a1", "x", succeeds)
	r.ends(t, "a2", "x", succeeds)
	r.take(r.Hold())
	r.ends(t, "a3", "x", succeeds)
	wantUnderWay(t, r, "")
	if s := r.Summary(); !r.Done() || s.Hosts[event.NotRun] != 3 {
		t.Errorf("done %v, %+v", r.Done(), s)
	}
}

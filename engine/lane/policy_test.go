package lane_test

import (
	"fmt"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/gates"
	"esxiplan/engine/lane"
	"esxiplan/engine/survey"
	"esxiplan/engine/survey/surveytest"
)

func value(n int) lane.Outcome { return result(surveytest.Result{Value: n, Text: "text"}) }

func because(reason string) lane.Outcome {
	return result(surveytest.Result{Reason: reason, Next: "Look at its console"})
}

func TestAttempts(t *testing.T) {
	scenarios(t, map[string]scenario{
		"a step that succeeds": {steps: `step "note" "x" {}`, moves: []move{
			starts("host; start x; → x 1"), folds(succeeds, "x ok; end ok; ·"),
		}},
		"a step that wrote": {steps: `step "note" "x" {}`, moves: []move{
			starts("host; start x; → x 1"), folds(wrote, "x changed; end changed; ·"),
		}},
		"writes of an earlier attempt count": {steps: `step "note" "x" { retries = 1 }`, moves: []move{
			starts("host; start x; → x 1"), folds(lane.Outcome{Problem: trouble.Problem, Class: trouble.Class, Writes: 1}, "retry x 2: trouble; → x 2"), folds(succeeds, "x changed; end changed; ·"),
		}},
		"one after the other": {steps: "step \"note\" \"x\" {}\nstep \"note\" \"y\" {}", moves: []move{
			starts("host; start x; → x 1"), folds(succeeds, "x ok; start y; → y 1"), folds(wrote, "y changed; end changed; ·"),
		}},
		"retries of the step type": {steps: `step "write" "x" {}`, moves: []move{
			starts("? x flies judged"), passes("host; start x; → x 1"), folds(trouble, "retry x 2: trouble; → x 2 after 1s"), folds(trouble, "retry x 3: trouble; → x 3 after 2s"),
			folds(trouble, "x failed: trouble; end failed; ·"),
		}},
		"a retry that succeeds": {steps: `step "note" "x" { retries = 1 }`, moves: []move{
			starts("host; start x; → x 1"), folds(trouble, "retry x 2: trouble; → x 2"), folds(succeeds, "x ok; end ok; ·"),
		}},
		"retries of the plan": {steps: "step \"write\" \"x\" { retries = 1 }", moves: []move{
			starts("? x flies judged"), passes("host; start x; → x 1"), folds(trouble, "retry x 2: trouble; → x 2 after 1s"), folds(trouble, "x failed: trouble; end failed; ·"),
		}},
		"no retries": {steps: "step \"write\" \"x\" { retries = 0 }", moves: []move{
			starts("? x flies judged"), passes("host; start x; → x 1"), folds(trouble, "x failed: trouble; end failed; ·"),
		}},
		"a step type without retries": {steps: `step "note" "x" {}`, moves: []move{
			starts("host; start x; → x 1"), folds(trouble, "x failed: trouble; end failed; ·"),
		}},
		"a final error": {steps: `step "note" "x" { retries = 9 }`, moves: []move{
			starts("host; start x; → x 1"), folds(broken, "x failed: broken; end failed; ·"),
		}},
		"a host that does not answer": {steps: `step "note" "x" { retries = 1 }`, moves: []move{
			starts("host; start x; → x 1"), folds(away, "retry x 2: no answer; → x 2"), folds(away, "x unreachable: no answer; end unreachable; ·"),
		}},
		"an error of esxiplan itself": {steps: "step \"note\" \"x\" { retries = 9 }\nstep \"note\" \"y\" {}", moves: []move{
			starts("host; start x; → x 1"), folds(lane.Outcome{Internal: "x panicked"}, "x failed: Internal error; end failed; ·"),
		}},
		"an invalid result": {steps: `step "note" "x" {}`, moves: []move{
			starts("host; start x; → x 1"), folds(lane.Outcome{Result: []byte(`{"value":true}`)}, "x failed: Internal error; end failed; ·"),
		}},
	})
}

func TestTimeout(t *testing.T) {
	scenarios(t, map[string]scenario{
		"attempts and pauses count": {steps: "step \"note\" \"x\" {\n retries = 9\n delay = \"10s\"\n max_delay = \"10s\"\n timeout = \"30s\"\n until = false\n}", moves: []move{
			starts("host; start x; → x 1 within 30s"), folds(succeeds, "look x 2 (not yet); → x 2 after 10s within 19s"), folds(succeeds, "look x 3 (not yet); → x 3 after 10s within 8s"),
			folds(succeeds, "x failed: The goal was not reached in time; end failed; ·"),
		}},
		"an error, too, is not retried after it": {steps: "step \"note\" \"x\" {\n retries = 9\n delay = \"20s\"\n timeout = \"21s\"\n}", moves: []move{
			starts("host; start x; → x 1 within 21s"), folds(trouble, "x failed: trouble; end failed; ·"),
		}},
		"an attempt that it ended": {steps: "step \"note\" \"x\" {\n retries = 9\n timeout = \"1m\"\n}", moves: []move{
			starts("host; start x; → x 1 within 1m0s"), folds(overtime, "x failed: took too long; end failed; ·"),
		}},
		"a look that it ended counts less than the one before": {steps: `step "look" "x" {}`, moves: []move{
			starts("host; start x; → x 1 within 45m0s"), folds(because("still booting"), "look x 2 (still booting); → x 2 after 5s within 44m54s"),
			folds(overtime, "x failed: Gave up after 66 seconds: still booting; end failed; ·"),
		}},
		"a first look that it ended": {steps: `step "look" "x" { timeout = "1m" }`, moves: []move{
			starts("host; start x; → x 1 within 1m0s"), folds(overtime, "x failed: took too long; end failed; ·"),
		}},
		"of the step type": {steps: `step "read" "x" {}`, moves: []move{starts("host; start x; → x 1 within 10m0s")}},
		"retries of the plan replace the step type's": {steps: `step "read" "x" { retries = 1 }`, moves: []move{
			starts("host; start x; → x 1"), folds(trouble, "retry x 2: trouble; → x 2"),
		}},
		"a pause that leaves next to nothing": {steps: "step \"note\" \"x\" {\n retries = 9\n timeout = \"2s\"\n until = false\n delay = \"999ms\"\n}", moves: []move{
			starts("host; start x; → x 1 within 2s"), folds(succeeds, "look x 2 (not yet); → x 2 after 1s within 0s"), folds(succeeds, "x failed: The goal was not reached in time; end failed; ·"),
		}},
	})
}

func TestUntil(t *testing.T) {
	scenarios(t, map[string]scenario{
		"three retries after five seconds each where it stands alone": {steps: `step "note" "x" { until = result.value == 4 }`, moves: []move{
			starts("host; start x; → x 1"), folds(value(1), "look x 2 (not yet); → x 2 after 5s"), folds(value(2), "look x 3 (not yet); → x 3 after 5s"), folds(value(3), "look x 4 (not yet); → x 4 after 5s"),
			folds(value(4), "x ok; end ok; ·"),
		}},
		"not met by the last attempt": {steps: "step \"note\" \"x\" {\n until = false\n retries = 1\n delay = \"1s\"\n}", moves: []move{
			starts("host; start x; → x 1"), folds(succeeds, "look x 2 (not yet); → x 2 after 1s"), folds(succeeds, "x failed: The goal was not reached in time; end failed; ·"),
		}},
		"it knows the attempt": {steps: "step \"note\" \"x\" { until = attempt == 2 }", moves: []move{
			starts("host; start x; → x 1"), folds(succeeds, "look x 2 (not yet); → x 2 after 5s"), folds(succeeds, "x ok; end ok; ·"),
		}},
		"retries are for both causes together": {steps: "step \"note\" \"x\" {\n until = false\n retries = 2\n}", moves: []move{
			starts("host; start x; → x 1"), folds(succeeds, "look x 2 (not yet); → x 2 after 5s"), folds(trouble, "retry x 3: trouble; → x 3 after 5s"), folds(succeeds, "x failed: The goal was not reached in time; end failed; ·"),
		}},
		"a result ends a series of errors": {steps: "step \"write\" \"x\" {\n until = false\n retries = 9\n}", moves: []move{
			starts("? x flies judged"), passes("host; start x; → x 1"), folds(trouble, "retry x 2: trouble; → x 2 after 1s"), folds(trouble, "retry x 3: trouble; → x 3 after 2s"),
			folds(succeeds, "look x 4 (not yet); → x 4 after 1s"), folds(trouble, "retry x 5: trouble; → x 5 after 1s"),
		}},
		"the goal of the step type, until its timeout": {steps: `step "look" "x" {}`, moves: []move{
			starts("host; start x; → x 1 within 45m0s"), folds(because("still booting"), "look x 2 (still booting); → x 2 after 5s within 44m54s"), folds(reached, "x ok; end ok; ·"),
		}},
		"the goal of the step type cannot be reached any more": {steps: `step "look" "x" {}`, moves: []move{
			starts("host; start x; → x 1 within 45m0s"), folds(result(surveytest.Result{Ended: true, Reason: "the disk is full", Next: "Empty it"}), "x failed: Gave up after 1 second: the disk is full; end failed; ·"),
		}},
		"retries and delay bound a look": {steps: "step \"look\" \"x\" {\n retries = 1\n delay = \"10s\"\n}", moves: []move{
			starts("host; start x; → x 1 within 20s"), folds(succeeds, "look x 2 (not yet); → x 2 after 10s within 9s"), folds(succeeds, "x failed: The goal was not reached in time; end failed; ·"),
		}},
		"an error of a look": {steps: `step "look" "x" {}`, moves: []move{
			starts("host; start x; → x 1 within 45m0s"), folds(away, "retry x 2: no answer; → x 2 after 5s within 44m54s"), folds(reached, "x ok; end ok; ·"),
		}},
		"the plan's goal replaces the step type's": {steps: `step "look" "x" { until = result.value == 1 }`, moves: []move{
			starts("host; start x; → x 1 within 45m0s"), folds(value(0), "look x 2 (not yet); → x 2 after 5s within 44m54s"), folds(value(1), "x ok; end ok; ·"),
		}},
		"one that cannot be evaluated": {steps: `step "note" "x" { until = result.text > 1 }`, moves: []move{
			starts("host; start x; → x 1"), folds(value(1), "x failed: The condition until cannot be evaluated; end failed; ·"),
		}},
	})
}

func TestFailedWhen(t *testing.T) {
	scenarios(t, map[string]scenario{
		"a result that is a failure is not retried": {steps: "step \"note\" \"x\" {\n failed_when = result.value < 0\n retries = 9\n}", moves: []move{
			starts("host; start x; → x 1"), folds(value(-1), "x failed: failed_when is true; end failed; ·"),
		}},
		"an invalid one": {steps: "step \"note\" \"x\" { failed_when = result.value < 0 }", moves: []move{
			starts("host; start x; → x 1"), folds(value(1), "x ok; end ok; ·"),
		}},
		"before until": {steps: "step \"note\" \"x\" {\n failed_when = result.value < 0\n until = result.value != 0\n}", moves: []move{
			starts("host; start x; → x 1"), folds(value(0), "look x 2 (not yet); → x 2 after 5s"), folds(value(-1), "x failed: failed_when is true; end failed; ·"),
		}},
		"an error has no result": {steps: "step \"note\" \"x\" {\n failed_when = true\n retries = 1\n}", moves: []move{
			starts("host; start x; → x 1"), folds(trouble, "retry x 2: trouble; → x 2"), folds(trouble, "x failed: trouble; end failed; ·"),
		}},
		"one that cannot be evaluated": {steps: "step \"note\" \"x\" { failed_when = result.text > 1 }", moves: []move{
			starts("host; start x; → x 1"), folds(value(1), "x failed: The condition failed_when cannot be evaluated; end failed; ·"),
		}},
	})
}

func TestWhen(t *testing.T) {
	scenarios(t, map[string]scenario{
		"a step that is not for this host": {steps: "step \"note\" \"x\" { when = host.name == \"two\" }\nstep \"note\" \"y\" {}", moves: []move{
			starts("host; x skipped (when is false); start y; → y 1"), folds(succeeds, "y ok; end ok; ·"),
		}},
		"no step is for this host": {steps: "step \"note\" \"x\" { when = false }", moves: []move{
			starts("host; x skipped (when is false); end ok; ·"),
		}},
		"a result decides": {steps: "step \"note\" \"x\" {}\nstep \"note\" \"y\" { when = step.x.value == 1 }\nstep \"note\" \"z\" { when = step.x.value == 2 }", moves: []move{
			starts("host; start x; → x 1"), folds(value(1), "x ok; start y; → y 1"), folds(succeeds, "y ok; z skipped (when is false); end ok; ·"),
		}},
		"what is done is not run": {steps: "step \"note\" \"x\" { done_when = true }\nstep \"note\" \"y\" { when = step.x.value == null }", moves: []move{
			starts("host; x ok (done_when is true); start y; → y 1"),
		}},
		"what is not done": {steps: "step \"note\" \"x\" { done_when = false }", moves: []move{starts("host; start x; → x 1")}},
		"when comes first": {steps: "step \"note\" \"x\" {\n when = false\n done_when = true\n}", moves: []move{starts("host; x skipped (when is false); end ok; ·")}},
		"the result of a skipped step is null": {steps: "step \"note\" \"x\" { when = false }\nstep \"note\" \"y\" { when = step.x.text == null }", moves: []move{
			starts("host; x skipped (when is false); start y; → y 1"),
		}},
		"a condition that cannot be evaluated": {steps: "step \"note\" \"x\" {}\nstep \"note\" \"y\" { when = step.x.text > 1 }\nstep \"note\" \"z\" {}", moves: []move{
			starts("host; start x; → x 1"), folds(value(1), "x ok; y failed: The condition when cannot be evaluated; end failed; ·"),
		}},
		"a condition of done that cannot be evaluated": {steps: "step \"note\" \"x\" {}\nstep \"note\" \"y\" { done_when = step.x.text > 1 }", moves: []move{
			starts("host; start x; → x 1"), folds(value(1), "x ok; y failed: The condition done_when cannot be evaluated; end failed; ·"),
		}},
		"a grant that was not needed after all": {steps: "step \"write\" \"x\" { when = false }\nstep \"write\" \"y\" {}", moves: []move{
			starts("? x flies judged"), passes("host; x skipped (when is false); ? y flies judged"), passes("start y; → y 1"),
		}},
	})
}

func TestOnErrorAndRunOn(t *testing.T) {
	const around = `
step "note" "x" {}
step "note" "y" {}
step "note" "f" { run_on = "failure" }
step "note" "z" { run_on = "always" }
`
	scenarios(t, map[string]scenario{
		"after success": {steps: around, moves: []move{
			starts("host; start x; → x 1"), folds(succeeds, "x ok; start y; → y 1"), folds(succeeds, "y ok; start z; → z 1 always"), folds(succeeds, "z ok; end ok; ·"),
		}},
		"after a failure": {steps: around, moves: []move{
			starts("host; start x; → x 1"), folds(broken, "x failed: broken; start f; → f 1"), folds(succeeds, "f ok; start z; → z 1 always"), folds(wrote, "z changed; end failed; ·"),
		}},
		"a step after a failure fails, too": {steps: around, moves: []move{
			starts("host; start x; → x 1"), folds(away, "x unreachable: no answer; start f; → f 1"), folds(broken, "f failed: broken; start z; → z 1 always"), folds(succeeds, "z ok; end unreachable; ·"),
		}},
		"a failure that the plan ignores": {steps: "step \"note\" \"x\" { on_error = \"continue\" }\nstep \"note\" \"y\" { when = step.x.text == null }\nstep \"note\" \"f\" { run_on = \"failure\" }", moves: []move{
			starts("host; start x; → x 1"), folds(broken, "x ignored: broken; start y; → y 1"), folds(succeeds, "y ok; end ok; ·"),
		}},
		"a result that is a failure, ignored": {steps: "step \"note\" \"x\" {\n on_error = \"continue\"\n failed_when = true\n}\nstep \"note\" \"y\" { when = step.x.text == null }", moves: []move{
			starts("host; start x; → x 1"), folds(value(1), "x ignored: failed_when is true; start y; → y 1"),
		}},
		"the result of a step that failed is null": {steps: "step \"note\" \"x\" { failed_when = true }\nstep \"note\" \"c\" {\n run_on = \"always\"\n when = step.x.text == null\n}", moves: []move{
			starts("host; start x; → x 1"), folds(value(1), "x failed: failed_when is true; start c; → c 1 always"),
		}},
		"an unreachable host is retried before it is ignored": {steps: "step \"note\" \"x\" {\n on_error = \"continue\"\n retries = 1\n}", moves: []move{
			starts("host; start x; → x 1"), folds(away, "retry x 2: no answer; → x 2"), folds(away, "x ignored: no answer; end ok; ·"),
		}},
	})
}

// The pause doubles with each error up to the maximum, and differs by a tenth to either
// side from host to host.
func TestBackoff(t *testing.T) {
	const plan = "step \"write\" \"x\" {\n retries = 20\n delay = \"2s\"\n max_delay = \"30s\"\n}"
	many := ""
	for i := range 20 {
		many += fmt.Sprintf("host \"h%d\" {}\n", i)
	}
	s := surveytest.Survey(t, fmt.Sprintf("group \"a\" {\n bmc {\n username = \"u\"\n password = \"p\"\n }\n%s}\n%s", many, plan), survey.Options{})
	pauses := map[int]map[time.Duration]bool{}
	for _, h := range s.Hosts() {
		l := lane.New(s, h)
		l.Start(lane.Past{})
		turn := l.Pass(gates.Grant{})
		for i, want := range []time.Duration{2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30} {
			want *= time.Second
			turn = l.Fold(trouble)
			got := turn.Action.After
			if got < want-want/10 || got > want+want/10 {
				t.Errorf("%s pauses %s before attempt %d, want %s and a tenth more or less", h.Name, got, i+2, want)
			}
			if e := turn.Events[0]; time.Duration(e.Delay) != got {
				t.Errorf("the event says %s, the pause is %s", time.Duration(e.Delay), got)
			}
			if pauses[i] == nil {
				pauses[i] = map[time.Duration]bool{}
			}
			pauses[i][got] = true
		}
	}
	for i, different := range pauses {
		if len(different) < 15 {
			t.Errorf("20 hosts have only %d different pauses before attempt %d", len(different), i+2)
		}
	}
}

// What is counted and said of a step is what happened in all its attempts.
func TestStepDone(t *testing.T) {
	s := surveytest.Survey(t, hosts+"step \"look\" \"x\" { retries = 5 }\nstep \"note\" \"y\" { when = false }\nstep \"note\" \"z\" { on_error = \"continue\" }", survey.Options{})
	l := lane.New(s, s.Hosts()[0])
	l.Start(lane.Past{})
	l.Fold(trouble)
	l.Fold(because("still booting"))
	done := l.Fold(reached).Events[0]
	if done.Attempt != 3 || time.Duration(done.Elapsed).Round(time.Second) != 13*time.Second || done.Result == nil || done.Verdict == nil || !done.Verdict.Proven {
		t.Errorf("%+v", done)
	}
	turn := l.Fold(broken)
	end := turn.Events[len(turn.Events)-1]
	if want := (event.Counts{OK: 1, Skipped: 1, Ignored: 1, Retried: 1}); end.Counts == nil || *end.Counts != want {
		t.Errorf("counts %+v, want %+v", end.Counts, want)
	}
	if end.Host != "one" || end.Group != "a" || !l.Done() || l.Status() != event.OK {
		t.Errorf("%+v, done %v, %s", end, l.Done(), l.Status())
	}
}

// A goal that was not reached is explained in the step's words, or by the place in the plan.
func TestUnmet(t *testing.T) {
	for name, c := range map[string]struct {
		steps        string
		outcome      lane.Outcome
		detail, next string
	}{
		"by the step":   {"step \"look\" \"x\" { retries = 0 }", because("still booting"), "", "Look at its console."},
		"by the engine": {"step \"note\" \"x\" {\n until = false\n retries = 0\n}", succeeds, "After 1 attempt in 1 second the condition of this step still does not hold.", ""},
		"after several": {"step \"note\" \"x\" {\n until = attempt > 2\n retries = 1\n delay = \"1s\"\n}", succeeds, "After 2 attempts in 3 seconds the condition of this step still does not hold.", ""},
	} {
		s := surveytest.Survey(t, hosts+c.steps, survey.Options{})
		l := lane.New(s, s.Hosts()[0])
		turn := l.Start(lane.Past{})
		for turn.Action != nil {
			turn = l.Fold(c.outcome)
		}
		p := turn.Events[0].Problem
		if p == nil || p.Detail != c.detail || p.Next != c.next || p.At == "" {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

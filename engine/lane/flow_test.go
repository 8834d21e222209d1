package lane_test

import (
	"strings"
	"testing"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/gates"
	"esxiplan/engine/lane"
	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/engine/survey/surveytest"
)

// only chooses steps by name.
func only(names string) survey.Options {
	return survey.Options{Choice: survey.Choice{Steps: strings.Fields(names)}}
}

func facts(model string, serials ...string) lane.Outcome {
	f := step.Facts{Model: model}
	for _, s := range serials {
		f.Drives = append(f.Drives, bmc.Disk{Serial: s})
	}
	return lane.Outcome{Result: document(f)}
}

func TestRequests(t *testing.T) {
	scenarios(t, map[string]scenario{
		"a step that reads asks for nothing": {steps: `step "read" "x" {}`, moves: []move{starts("host; start x; → x 1 within 10m0s")}},
		"the first write, and each start": {steps: "step \"write\" \"x\" {}\nstep \"write\" \"y\" {}\nstep \"power\" \"z\" { to = \"on\" }", moves: []move{
			starts("? x flies judged"), passes("host; start x; → x 1"), folds(succeeds, "x ok; start y; → y 1"), folds(succeeds, "y ok; ? z judged"), passes("start z; → z 1"),
		}},
		"a barrier": {steps: "step \"note\" \"x\" { barrier = true }", moves: []move{starts("? x barrier"), passes("host; start x; → x 1")}},
		"a throttle": {steps: "step \"note\" \"x\" {\n throttle = 2\n barrier = true\n}", moves: []move{
			starts("? x throttle 2 barrier"), passes("host; start x; → x 1"),
		}},
		"what cleans up is not held back": {steps: "step \"note\" \"x\" {}\nstep \"write\" \"y\" { run_on = \"always\" }", moves: []move{
			starts("host; start x; → x 1"), folds(succeeds, "x ok; ? y flies"), passes("start y; → y 1 always"),
		}},
		"nor what follows a failure": {steps: "step \"note\" \"x\" {}\nstep \"power\" \"y\" {\n to = \"off\"\n run_on = \"failure\"\n}", moves: []move{
			starts("host; start x; → x 1"), folds(broken, "x failed: broken; ? y flies"),
		}},
		"a step that is left out asks for nothing": {steps: "step \"write\" \"x\" { barrier = true }\nstep \"note\" \"y\" {}", options: only("y"), moves: []move{starts("host; start y; → y 1")}},
		"held back": {steps: "step \"note\" \"x\" {}\nstep \"write\" \"y\" {}\nstep \"note\" \"z\" {}\nstep \"note\" \"c\" { run_on = \"always\" }", moves: []move{
			starts("host; start x; → x 1"), folds(succeeds, "x ok; ? y flies judged"), isHeld("start c; → c 1 always"), folds(succeeds, "c ok; end not_run (held back by the failure budget); ·"),
		}},
		"held back before anything began": {steps: "step \"write\" \"y\" {}\nstep \"note\" \"c\" { run_on = \"always\" }", moves: []move{
			starts("? y flies judged"), isHeld("end not_run (held back by the failure budget); ·"),
		}},
	})
}

// Where a lane stands is what the gates count.
func TestStand(t *testing.T) {
	s := surveytest.Survey(t, hosts+`
step "note" "x" { takes = host.facts.model }
step "write" "y" { throttle = 1 }
step "note" "z" {}
`, survey.Options{})
	l := lane.New(s, s.Hosts()[0])
	for i, m := range []struct {
		do   func()
		want gates.Stand
	}{
		{func() { l.Start(lane.Past{}) }, gates.Stand{At: -1}},
		{func() { l.Fold(facts("m")) }, gates.Stand{At: 0}},
		{func() { l.Fold(succeeds) }, gates.Stand{At: 1}},
		{func() { l.Pass(gates.Grant{}) }, gates.Stand{At: 1, In: "y", InFlight: true}},
		{func() { l.Fold(trouble) }, gates.Stand{At: 1, In: "y", InFlight: true}},
		{func() { l.Fold(succeeds) }, gates.Stand{At: 2, InFlight: true}},
		{func() { l.Fold(broken) }, gates.Stand{At: gates.Gone, Failed: true}},
		{func() { l.Retry() }, gates.Stand{At: 2}},
		{func() { l.Pass(gates.Grant{}) }, gates.Stand{At: 2, InFlight: true}},
		{func() { l.Fold(succeeds) }, gates.Stand{At: gates.Gone}},
	} {
		if m.do(); l.Stand() != m.want {
			t.Errorf("after move %d the lane stands at %+v, want %+v", i+1, l.Stand(), m.want)
		}
	}
}

// Lanes that do nothing more keep no other waiting.
func TestStandOfTheStopped(t *testing.T) {
	const plan = hosts + "step \"note\" \"x\" {}\nstep \"write\" \"y\" {}\nstep \"note\" \"z\" { run_on = \"always\" }"
	for name, stop := range map[string]func(*lane.Lane){
		"held":        func(l *lane.Lane) { l.Fold(succeeds); l.Pass(gates.Grant{Held: true}) },
		"interrupted": func(l *lane.Lane) { l.Fold(succeeds); l.Interrupt() },
		"failed":      func(l *lane.Lane) { l.Fold(broken) },
	} {
		s := surveytest.Survey(t, plan, survey.Options{})
		l := lane.New(s, s.Hosts()[0])
		l.Start(lane.Past{})
		stop(l)
		if got := l.Stand(); got.At != gates.Gone || l.Done() {
			t.Errorf("%s: stands at %+v, done %v", name, got, l.Done())
		}
	}
}

func TestFacts(t *testing.T) {
	const uses = "step \"note\" \"x\" { takes = host.facts.model }"
	scenarios(t, map[string]scenario{
		"before the first step": {steps: uses, moves: []move{
			starts("host; → (facts) 1"), folds(facts("m"), "start x; → x 1"), folds(succeeds, "x ok; end ok; ·"),
		}},
		"before the first request": {steps: "step \"write\" \"x\" { takes = host.facts.model }", moves: []move{
			starts("host; → (facts) 1"), folds(facts("m"), "? x flies judged"),
		}},
		"retried without a word": {steps: uses, moves: []move{
			starts("host; → (facts) 1"), folds(away, "→ (facts) 2 after 5s"), folds(away, "→ (facts) 3 after 11s"), folds(away, "→ (facts) 4 after 19s"),
			folds(away, "(facts) unreachable: no answer; end unreachable; ·"),
		}},
		"a final error": {steps: uses + "\nstep \"note\" \"f\" { run_on = \"failure\" }", moves: []move{
			starts("host; → (facts) 1"), folds(broken, "(facts) failed: broken; start f; → f 1"), folds(succeeds, "f ok; end failed; ·"),
		}},
		"facts that cannot be understood": {steps: uses, moves: []move{
			starts("host; → (facts) 1"), folds(lane.Outcome{Result: []byte(`{"model":[]}`)}, "(facts) failed: Facts that cannot be understood; end failed; ·"),
		}},
		"an error of esxiplan itself": {steps: uses, moves: []move{
			starts("host; → (facts) 1"), folds(lane.Outcome{Internal: "panicked"}, "(facts) failed: Internal error; end failed; ·"),
		}},
		"no step needs them": {steps: "step \"note\" \"x\" {}", moves: []move{starts("host; start x; → x 1")}},
	})
}

const deferred = `
group "a" {
  bmc {
    username = "u"
    password = "p"
  }
  host "one" {
    esxi {
      address = "192.0.2.1"
      disk    = { serial = host.facts.drives[0].serial }
    }
  }
}
step "build" "x" { takes = host.esxi.disk.serial }
step "note" "y" {}
`

// A disk that the machine's facts choose is known to every step, and goes down with each task.
func TestLateDisk(t *testing.T) {
	s := surveytest.Survey(t, deferred, survey.Options{})
	l := lane.New(s, s.Hosts()[0])
	if got := turnText(l.Start(lane.Past{})); got != "host; → (facts) 1" {
		t.Fatal(got)
	}
	found := facts("m", "S1", "S2")
	turn := l.Fold(found)
	if got := turnText(turn); got != "warning (chosen by its facts: serial S1); start x; → x 1" {
		t.Fatal(got)
	}
	if got := string(turn.Action.Task.Arguments); !strings.Contains(got, `"takes":"S1"`) {
		t.Errorf("arguments %s", got)
	}
	for turn.Action != nil {
		if string(turn.Action.Task.Facts) != string(found.Result) {
			t.Errorf("%s has the facts %s", turn.Action.Task.ID.Step, turn.Action.Task.Facts)
		}
		turn = l.Fold(succeeds)
	}
	s = surveytest.Survey(t, deferred, survey.Options{})
	play(t, s, starts("host; → (facts) 1"), folds(facts("m"), "(facts) failed: Attempt to index null value; end failed; ·"))
}

// A result that a step of this run needs is what an earlier run left.
func TestRecall(t *testing.T) {
	const plan = `
step "build" "image" {}
step "insert" "mount" { takes = step.image.text }
step "power" "restart" { to = "restart" }
`
	scenarios(t, map[string]scenario{
		"a result that is needed": {steps: plan, options: only("mount"), moves: []move{
			starts("→ recall image 1"), folds(value(1), "? mount flies judged"), passes("host; start mount; → mount 1"), folds(succeeds, "mount ok; end ok; ·"),
		}},
		"one that cannot be recalled": {steps: plan, options: only("mount"), moves: []move{
			starts("→ recall image 1"), folds(broken, "host; image failed: broken; end failed; ·"),
		}},
		"one that is to be compared with": {steps: plan, options: only("restart"), moves: []move{
			starts("→ recall image 1"), folds(value(1), "? restart flies judged"), passes("host; start restart; → restart 1"),
		}},
		"one to be compared with that cannot be recalled": {steps: plan, options: only("restart"), moves: []move{
			starts("→ recall image 1"), folds(broken, "? restart flies judged"), passes("host; start restart; → restart 1"), folds(succeeds, "restart ok; end ok; ·"),
		}},
		"an invalid result": {steps: plan, options: only("mount"), moves: []move{
			starts("→ recall image 1"), folds(lane.Outcome{Result: []byte(`[]`)}, "host; image failed: Internal error; end failed; ·"),
		}},
		"arguments that only the left out steps know": {steps: "step \"note\" \"x\" {}\nstep \"build\" \"image\" { takes = \"a ${step.x.text}\" }\n" + plan[strings.Index(plan, "step \"insert\""):],
			options: only("restart"), moves: []move{starts("? restart flies judged")}},
		"arguments that only the left out steps know, of a result that is needed": {steps: "step \"note\" \"x\" {}\nstep \"build\" \"image\" { takes = \"a ${step.x.text}\" }\n" + plan[strings.Index(plan, "step \"insert\""):],
			options: only("mount"), moves: []move{starts("host; image failed: Invalid template interpolation value; end failed; ·")}},
		"arguments that only the run knows": {steps: "step \"look\" \"x\" {}\nstep \"build\" \"image\" { takes = step.x.text }\n" + plan[strings.Index(plan, "step \"insert\""):],
			options: survey.Options{DryRun: true, Choice: only("x restart").Choice}, moves: []move{starts("host; start x; → x 1 within 45m0s"), folds(because("booting"), "x ok; ? restart flies judged")}},
		"it passes no gate": {steps: "step \"build\" \"image\" {\n barrier = true\n throttle = 1\n}\nstep \"note\" \"x\" { takes = step.image.text }", options: only("x"), moves: []move{
			starts("→ recall image 1"), folds(value(1), "host; start x; → x 1"),
		}},
		"interrupted": {steps: plan, options: only("mount"), moves: []move{
			starts("→ recall image 1"), interrupts("·"), folds(cancelled, "end not_run (interrupted); ·"),
		}},
	})
}

// What a restart boots is compared with what was recalled, or with why nothing was.
func TestRecalledPlace(t *testing.T) {
	const plan = hosts + "step \"build\" \"image\" {}\nstep \"insert\" \"mount\" { takes = step.image.text }\nstep \"power\" \"restart\" { to = \"restart\" }"
	for name, c := range map[string]struct {
		outcome lane.Outcome
		want    step.Place
	}{
		"recalled":     {value(1), step.Place{Medium: "text", BootsMedium: true}},
		"not recalled": {broken, step.Place{Stale: "broken", BootsMedium: true}},
	} {
		s := surveytest.Survey(t, plan, only("restart"))
		l := lane.New(s, s.Hosts()[0])
		l.Start(lane.Past{})
		l.Fold(c.outcome)
		if turn := l.Pass(gates.Grant{}); turn.Action == nil || turn.Action.Task.Place != c.want {
			t.Errorf("%s: %+v", name, turn.Action)
		}
	}
}

// Arguments are what the plan says with the results so far; secrets are in them.
func TestArguments(t *testing.T) {
	const plan = `
variable "pin" {
  type      = string
  default   = "123456"
  sensitive = true
}
` + hosts + `
step "note" "x" {}
step "note" "y" {
  takes = "${step.x.text} ${step.x.value} on ${host.name}"
  key   = var.pin
}
`
	s := surveytest.Survey(t, plan, survey.Options{})
	l := lane.New(s, s.Hosts()[0])
	l.Start(lane.Past{})
	if got := string(l.Fold(value(7)).Action.Task.Arguments); got != `{"key":"123456","takes":"text 7 on one","to":"-"}` {
		t.Errorf("arguments %s", got)
	}
}

// Arguments that cannot be evaluated fail the step before it starts.
func TestArgumentsThatFail(t *testing.T) {
	scenarios(t, map[string]scenario{
		"a number is wanted": {steps: "step \"note\" \"x\" {}\nstep \"note\" \"y\" { takes = step.x.text + 1 }\nstep \"note\" \"c\" { run_on = \"always\" }", moves: []move{
			starts("host; start x; → x 1"), folds(value(1), "x ok; y failed: Invalid operand; start c; → c 1 always"),
		}},
		"ignored": {steps: "step \"note\" \"x\" {}\nstep \"note\" \"y\" {\n takes = step.x.text + 1\n on_error = \"continue\"\n}\nstep \"note\" \"z\" { when = step.y.text == null }", moves: []move{
			starts("host; start x; → x 1"), folds(value(1), "x ok; y ignored: Invalid operand; start z; → z 1"),
		}},
	})
}

func TestPast(t *testing.T) {
	refused := &event.Problem{Summary: "the plan has changed"}
	protected := "group \"p\" {\n bmc {\n username = \"u\"\n password = \"p\"\n }\n host \"safe\" { protected = true }\n}\nstep \"write\" \"x\" {}\nstep \"note\" \"c\" { run_on = \"always\" }"
	const plan = "step \"note\" \"x\" {}\nstep \"note\" \"f\" { run_on = \"failure\" }\nstep \"note\" \"c\" { run_on = \"always\" }"
	for name, c := range map[string]struct {
		plan  string
		moves []move
		want  event.Status
	}{
		"left out":                        {hosts + plan, []move{startsWith(lane.Past{LeftOut: "failed before in this run"}, "end not_run (failed before in this run); ·"), interrupts("·"), retries("·")}, event.NotRun},
		"refused":                         {hosts + plan, []move{startsWith(lane.Past{Refused: refused}, "host; (plan) failed: the plan has changed; end failed; ·"), retries("·")}, event.Failed},
		"left out, so it is not refused":  {hosts + plan, []move{startsWith(lane.Past{Refused: refused, LeftOut: "failed before"}, "end not_run (failed before); ·")}, event.NotRun},
		"protected":                       {protected, []move{starts("end skipped (protected); ·"), retries("·")}, event.Skipped},
		"protected, so it is not refused": {protected, []move{startsWith(lane.Past{Refused: refused}, "end skipped (protected); ·")}, event.Skipped},
		"no step of this run":             {strings.Replace(hosts, "group \"a\"", "group \"p\"", 1) + strings.ReplaceAll(hosts, "one", "two") + "step \"note\" \"x\" { groups = [\"a\"] }", []move{starts("end skipped (no step applies); ·")}, event.Skipped},
	} {
		t.Run(name, func(t *testing.T) {
			if l := play(t, surveytest.Survey(t, c.plan, survey.Options{}), c.moves...); l.Status() != c.want || !l.Done() {
				t.Errorf("%s, done %v", l.Status(), l.Done())
			}
		})
	}
}

// In a dry run a goal counts as reached, and what only the run can know is not known.
func TestDryRun(t *testing.T) {
	dry := survey.Options{DryRun: true}
	scenarios(t, map[string]scenario{
		"a goal that is not reached": {steps: "step \"look\" \"x\" {}\nstep \"note\" \"y\" { takes = step.x.text }\nstep \"note\" \"z\" {}", options: dry, moves: []move{
			starts("host; start x; → x 1 within 45m0s"), folds(because("booting"), "x ok; y skipped (decided during the run); start z; → z 1"),
		}},
		"a goal that is reached": {steps: "step \"look\" \"x\" {}\nstep \"note\" \"y\" { takes = step.x.text }", options: dry, moves: []move{
			starts("host; start x; → x 1 within 45m0s"), folds(reached, "x ok; start y; → y 1"),
		}},
		"a goal of the plan": {steps: "step \"note\" \"x\" { until = result.value == 2 }\nstep \"note\" \"y\" { when = step.x.value == 2 }", options: dry, moves: []move{
			starts("host; start x; → x 1"), folds(value(1), "x ok; y skipped (decided during the run); end ok; ·"),
		}},
		"a goal that no result decides": {steps: "step \"note\" \"x\" { until = attempt > 3 }", options: dry, moves: []move{
			starts("host; start x; → x 1"), folds(value(1), "x ok; end ok; ·"),
		}},
		"writes before a goal": {steps: "step \"note\" \"x\" { until = result.value == 2 }", options: dry, moves: []move{
			starts("host; start x; → x 1"), folds(wrote, "x changed; end changed; ·"),
		}},
		"no failure while the goal is not reached": {steps: "step \"note\" \"x\" {\n until = result.value == 2\n failed_when = result.value == 1\n}", options: dry, moves: []move{
			starts("host; start x; → x 1"), folds(value(1), "x ok; end ok; ·"),
		}},
		"a failure without a goal": {steps: "step \"note\" \"x\" { failed_when = result.value == 1 }", options: dry, moves: []move{
			starts("host; start x; → x 1"), folds(value(1), "x failed: failed_when is true; end failed; ·"),
		}},
		"an end that is not known": {steps: "step \"look\" \"x\" {}\nstep \"note\" \"y\" { done_when = step.x.done }", options: dry, moves: []move{
			starts("host; start x; → x 1 within 45m0s"), folds(because("booting"), "x ok; y skipped (decided during the run); end ok; ·"),
		}},
	})
}

// A wait counts as over in a dry run, so that what follows is judged as after it.
func TestVerdictOfADryWait(t *testing.T) {
	s := surveytest.Survey(t, hosts+`step "wait" "x" { to = "esxi" }`, survey.Options{DryRun: true})
	l := lane.New(s, s.Hosts()[0])
	l.Start(lane.Past{})
	if e := l.Fold(shadowed(because("booting"))).Events[0]; e.Status != event.OK || e.Verdict == nil || !e.Verdict.Ended || e.Verdict.Proven {
		t.Errorf("%s, %+v", e.Status, e.Verdict)
	}
	l = lane.New(s, s.Hosts()[0])
	l.Start(lane.Past{})
	if e := l.Fold(broken).Events[0]; e.Status != event.Failed || e.Verdict != nil {
		t.Errorf("one that failed: %s, %+v", e.Status, e.Verdict)
	}
	s = surveytest.Survey(t, hosts+`step "wait" "x" { to = "off" }`, survey.Options{DryRun: true})
	l = lane.New(s, s.Hosts()[0])
	l.Start(lane.Past{})
	if e := l.Fold(shadowed(succeeds)).Events[0]; e.Status != event.OK || e.Verdict != nil && e.Verdict.Ended {
		t.Errorf("one for something else: %s, %+v", e.Status, e.Verdict)
	}
}

// shadowed is the outcome of an attempt over shadows.
func shadowed(o lane.Outcome) lane.Outcome {
	o.Shadow = true
	return o
}

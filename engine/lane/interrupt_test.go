package lane_test

import (
	"testing"

	"esxiplan/engine/event"
	"esxiplan/engine/gates"
	"esxiplan/engine/lane"
	"esxiplan/engine/survey"
	"esxiplan/engine/survey/surveytest"
)

// cleanup is a plan whose last step runs whatever happened.
const cleanup = `
step "note" "x" { retries = 3 }
step "write" "y" {}
step "note" "z" {}
step "note" "c" { run_on = "always" }
`

func TestInterrupt(t *testing.T) {
	afterX := []move{starts("host; start x; → x 1"), folds(succeeds, "x ok; ? y flies judged")}
	inY := append(afterX[:2:2], passes("start y; → y 1"))
	scenarios(t, map[string]scenario{
		"before a gate": {steps: cleanup, moves: append(afterX[:2:2], interrupts("start c; → c 1 always"), folds(succeeds, "c ok; end not_run (interrupted); ·"))},
		"before the first gate": {steps: "step \"write\" \"y\" {}\nstep \"note\" \"c\" { run_on = \"always\" }", moves: []move{
			starts("? y flies judged"), interrupts("end not_run (interrupted); ·"),
		}},
		"during an attempt that is cancelled": {steps: cleanup, moves: append(inY[:3:3], interrupts("·"), folds(cancelled, "y not_run (interrupted); start c; → c 1 always"), folds(succeeds, "c ok; end not_run (interrupted); ·"))},
		"during an attempt that wrote": {steps: cleanup, moves: append(inY[:3:3], interrupts("·"), folds(lane.Outcome{Interrupted: true, Writes: 1},
			"y not_run (interrupted after 1 write; see the log of the run, and run the step again to finish it); start c; → c 1 always"))},
		"during an attempt that succeeds nevertheless": {steps: cleanup, moves: append(inY[:3:3], interrupts("·"), folds(wrote, "y changed; start c; → c 1 always"), folds(succeeds, "c ok; end not_run (interrupted); ·"))},
		"during an attempt that would be retried":      {steps: cleanup, moves: append(inY[:3:3], interrupts("·"), folds(trouble, "y not_run (interrupted): trouble; start c; → c 1 always"), folds(succeeds, "c ok; end not_run (interrupted); ·"))},
		"during an attempt that fails for good":        {steps: cleanup, moves: append(inY[:3:3], interrupts("·"), folds(broken, "y failed: broken; start c; → c 1 always"), folds(succeeds, "c ok; end failed; ·"))},
		"while a retry waits": {steps: cleanup, moves: []move{
			starts("host; start x; → x 1"), folds(trouble, "retry x 2: trouble; → x 2"), interrupts("·"), folds(cancelled, "x not_run (interrupted); start c; → c 1 always"),
		}},
		"while a look waits": {steps: "step \"look\" \"x\" {}", moves: []move{
			starts("host; start x; → x 1 within 45m0s"), folds(because("booting"), "look x 2 (booting); → x 2 after 5s within 44m54s"), interrupts("·"), folds(cancelled, "x not_run (interrupted); end not_run (interrupted); ·"),
		}},
		"a look that ends after it is not repeated": {steps: "step \"look\" \"x\" {}", moves: []move{
			starts("host; start x; → x 1 within 45m0s"), interrupts("·"), folds(because("booting"), "x not_run (interrupted); end not_run (interrupted); ·"),
		}},
		"while facts are gathered": {steps: "step \"note\" \"x\" { takes = host.facts.model }\nstep \"note\" \"c\" { run_on = \"always\" }", moves: []move{
			starts("host; → (facts) 1"), interrupts("·"), folds(cancelled, "start c; → c 1 always"), folds(succeeds, "c ok; end not_run (interrupted); ·"),
		}},
		"facts that come after it": {steps: "step \"note\" \"x\" { takes = host.facts.model }", moves: []move{
			starts("host; → (facts) 1"), interrupts("·"), folds(facts("m"), "end not_run (interrupted); ·"),
		}},
		"during the last step, which succeeds": {steps: "step \"note\" \"x\" {}", moves: []move{
			starts("host; start x; → x 1"), interrupts("·"), folds(succeeds, "x ok; end ok; ·"),
		}},
		"during the cleanup, which is retried": {steps: "step \"write\" \"c\" { run_on = \"always\" }", moves: []move{
			starts("? c flies"), passes("host; start c; → c 1 always"), interrupts("·"), folds(trouble, "retry c 2: trouble; → c 2 after 1s always"), folds(succeeds, "c ok; end ok; ·"),
		}},
		"a cleanup waits for no barrier, but for its turn": {steps: "step \"note\" \"x\" {}\nstep \"note\" \"c\" {\n run_on = \"always\"\n barrier = true\n throttle = 1\n}", moves: []move{
			starts("host; start x; → x 1"), folds(succeeds, "x ok; ? c throttle 1 barrier"), interrupts("? c throttle 1"), passes("start c; → c 1 always"),
		}},
		"a step for failures does not run on a host that did not fail": {steps: "step \"note\" \"x\" {}\nstep \"note\" \"f\" { run_on = \"failure\" }", moves: []move{
			starts("host; start x; → x 1"), interrupts("·"), folds(succeeds, "x ok; end ok; ·"),
		}},
		"a step for failures is not run on a host that failed before": {steps: "step \"note\" \"x\" {}\nstep \"write\" \"f\" { run_on = \"failure\" }", moves: []move{
			starts("host; start x; → x 1"), folds(broken, "x failed: broken; ? f flies"), interrupts("end failed; ·"),
		}},
		"at its end": {steps: "step \"note\" \"x\" {}", moves: []move{
			starts("host; start x; → x 1"), folds(succeeds, "x ok; end ok; ·"), interrupts("·"),
		}},
		"a host that is held back": {steps: cleanup, moves: append(afterX[:2:2], isHeld("start c; → c 1 always"), interrupts("·"), folds(succeeds, "c ok; end not_run (held back by the failure budget); ·"))},
	})
}

func TestAbandon(t *testing.T) {
	scenarios(t, map[string]scenario{
		"before it starts": {steps: cleanup, moves: []move{abandons("end not_run (interrupted); ·")}},
		"at a gate":        {steps: cleanup, moves: []move{starts("host; start x; → x 1"), folds(succeeds, "x ok; ? y flies judged"), abandons("end not_run (interrupted); ·")}},
		"during a task":    {steps: cleanup, moves: []move{starts("host; start x; → x 1"), abandons("end not_run (interrupted); ·")}},
		"after a failure":  {steps: cleanup, moves: []move{starts("host; start x; → x 1"), folds(broken, "x failed: broken; start c; → c 1 always"), abandons("end failed; ·")}},
		"at its end":       {steps: `step "note" "x" {}`, moves: []move{starts("host; start x; → x 1"), folds(succeeds, "x ok; end ok; ·"), abandons("·")}},
	})
}

// An abandoned lane waits for nothing.
func TestAbandonedAwaitsNothing(t *testing.T) {
	s := surveytest.Survey(t, hosts+cleanup, survey.Options{})
	l := play(t, s, starts("host; start x; → x 1"), abandons("end not_run (interrupted); ·"))
	if l.Awaits(lane.TaskID{Host: "one", Step: "x"}) || !l.Done() {
		t.Error("the outcome of an abandoned attempt is awaited")
	}
}

// A run that serves its images itself waits for the installations that read them, also
// after an interrupt.
func TestServedWait(t *testing.T) {
	const (
		serves    = "media { listen = \"127.0.0.1:8090\" }\n"
		publishes = "media {\n directory = \"/tmp\"\n url = \"http://127.0.0.1/\"\n}\n"
		installs  = hosts + `
step "power" "restart" {
  to      = "restart"
  retries = 1
}
step "note" "m" {}
step "wait" "proof" { to = "esxi" }
step "note" "n" {}
`
	)
	inRestart := []move{starts("? restart flies judged"), passes("host; start restart; → restart 1")}
	inM := append(inRestart[:2:2], folds(began, "restart changed; start m; → m 1"))
	inWait := append(inM[:3:3], folds(lane.Outcome{Result: succeeds.Result, Installing: true}, "m ok; start proof; → proof 1 within 45m0s always"))
	const warning = "warning (this run serves the images of installations that are under way (one): it continues until they are done. Press Ctrl-C again to stop now; that breaks these installations)"
	looks := because("installing")
	looks.Installing = true
	for name, c := range map[string]struct {
		plan    string
		options survey.Options
		moves   []move
	}{
		"it outlasts an interrupt": {serves + installs, survey.Options{}, append(inWait[:4:4], interrupts("·"), folds(looks, "look proof 2 (installing); → proof 2 after 5s within 44m54s always"),
			folds(reached, "proof ok; end not_run (interrupted); ·"))},
		"an error of a look is retried": {serves + installs, survey.Options{}, append(inWait[:4:4], interrupts("·"), folds(lane.Outcome{Problem: away.Problem, Class: away.Class, Installing: true},
			"retry proof 2: no answer; → proof 2 after 5s within 44m55s always"))},
		"it is begun after an interrupt of the restart": {serves + installs, survey.Options{}, append(inRestart[:2:2], interrupts("·"), folds(began, "restart changed; "+warning+"; start proof; → proof 1 within 45m0s always"),
			folds(reached, "proof ok; end not_run (interrupted); ·"))},
		"it starts after a restart that was cancelled too late": {serves + installs, survey.Options{}, append(inRestart[:2:2], interrupts("·"),
			folds(lane.Outcome{Interrupted: true, Installing: true}, "restart not_run (interrupted); "+warning+"; start proof; → proof 1 within 45m0s always"))},
		"it is begun where the attempt before it had not begun": {serves + installs, survey.Options{}, append(inRestart[:2:2],
			folds(lane.Outcome{Problem: trouble.Problem, Class: trouble.Class, Installing: true}, "retry restart 2: trouble; → restart 2"), interrupts("·"),
			folds(cancelled, "restart not_run (interrupted); "+warning+"; start proof; → proof 1 within 45m0s always"))},
		"what lies between is not run": {serves + installs, survey.Options{}, append(inM[:3:3], interrupts("·"), folds(cancelled, "m not_run (interrupted); "+warning+"; start proof; → proof 1 within 45m0s always"))},
		"an installation that another run began": {serves + installs, only("proof"), []move{
			startsWith(lane.Past{Installing: true}, "host; start proof; → proof 1 within 45m0s always"), interrupts("·")}},
		"nothing was begun": {serves + installs, survey.Options{}, append(inRestart[:2:2], interrupts("·"), folds(cancelled, "restart not_run (interrupted); end not_run (interrupted); ·"))},
		"images that outlive the run": {publishes + installs, survey.Options{}, append(inM[:3:3], folds(lane.Outcome{Result: succeeds.Result, Installing: true}, "m ok; start proof; → proof 1 within 45m0s"),
			interrupts("·"), folds(cancelled, "proof not_run (interrupted); end not_run (interrupted); ·"))},
		"a dry run":          {serves + installs, survey.Options{DryRun: true}, append(inM[:3:3], interrupts("·"), folds(cancelled, "m not_run (interrupted); end not_run (interrupted); ·"))},
		"a host that failed": {serves + installs, survey.Options{}, append(inRestart[:2:2], interrupts("·"), folds(lane.Outcome{Problem: broken.Problem, Installing: true}, "restart failed: broken; end failed; ·"))},
		"a host that failed, whose wait runs nevertheless": {serves + hosts + "step \"power\" \"restart\" { to = \"restart\" }\nstep \"wait\" \"proof\" {\n to = \"esxi\"\n run_on = \"always\"\n}", survey.Options{},
			append(inRestart[:2:2], interrupts("·"), folds(lane.Outcome{Problem: broken.Problem, Installing: true}, "restart failed: broken; start proof; → proof 1 within 45m0s always"))},
		"a second wait is announced no more": {serves + hosts + "step \"power\" \"restart\" { to = \"restart\" }\nstep \"wait\" \"proof\" { to = \"esxi\" }\nstep \"wait\" \"more\" { to = \"esxi\" }", survey.Options{},
			append(inRestart[:2:2], interrupts("·"), folds(began, "restart changed; "+warning+"; start proof; → proof 1 within 45m0s always"),
				folds(lane.Outcome{Result: reached.Result, Installing: true}, "proof ok; start more; → more 1 within 45m0s always"))},
		"a wait that is for failures": {serves + hosts + "step \"power\" \"restart\" { to = \"restart\" }\nstep \"wait\" \"proof\" {\n to = \"esxi\"\n run_on = \"failure\"\n}\nstep \"wait\" \"other\" { to = \"esxi\" }", survey.Options{},
			append(inRestart[:2:2], interrupts("·"), folds(began, "restart changed; "+warning+"; start other; → other 1 within 45m0s always"))},
		"no wait is chosen": {serves + installs, survey.Options{Choice: survey.Choice{Steps: []string{"m"}}}, []move{
			startsWith(lane.Past{Installing: true}, "host; start m; → m 1"), interrupts("·"), folds(cancelled, "m not_run (interrupted); end not_run (interrupted); ·")}},
	} {
		t.Run(name, func(t *testing.T) { play(t, surveytest.Survey(t, c.plan, c.options), c.moves...) })
	}
}

// A host that is tried again begins with the step that failed, and with its first attempt.
func TestRetryAfterEachStep(t *testing.T) {
	const plan = hosts + `
step "note" "one" { takes = host.facts.model }
step "write" "two" { takes = step.one.text }
step "look" "three" { takes = step.two.text }
step "power" "four" { to = "on" }
step "note" "f" { run_on = "failure" }
step "note" "c" { run_on = "always" }
`
	way := []string{lane.FactsStep, "one", "two", "three", "four", "c"}
	outcome := func(id lane.TaskID) lane.Outcome {
		switch id.Step {
		case lane.FactsStep:
			return facts("model")
		case "three":
			return reached
		}
		return value(1)
	}
	for at, failing := range way[:5] {
		t.Run(failing, func(t *testing.T) {
			s := surveytest.Survey(t, plan, survey.Options{})
			l := lane.New(s, s.Hosts()[0])
			arguments := map[string]string{}
			follow := func(turn lane.Turn, fails string) (ran []string) {
				for !l.Done() {
					if turn.Ask != nil {
						turn = l.Pass(gates.Grant{})
						continue
					}
					task := turn.Action.Task
					ran = append(ran, task.ID.Step)
					if before, again := arguments[task.ID.Step]; again && before != string(task.Arguments) || task.Attempt != 1 {
						t.Errorf("%s is attempt %d with arguments %s, before they were %s", task.ID.Step, task.Attempt, task.Arguments, before)
					}
					arguments[task.ID.Step] = string(task.Arguments)
					o := outcome(task.ID)
					if task.ID.Step == fails {
						o = broken
					}
					turn = l.Fold(o)
				}
				return ran
			}
			checkWay(t, "before", follow(l.Start(lane.Past{}), failing), append(way[:at+1:at+1], "f", "c"))
			if l.Status() != event.Failed {
				t.Errorf("the host is %s before", l.Status())
			}
			checkWay(t, "again", follow(l.Retry(), ""), way[at:])
			if l.Status() != event.OK {
				t.Errorf("the host is %s in the end", l.Status())
			}
		})
	}
}

func checkWay(t *testing.T, when string, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: ran %v, want %v", when, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s: ran %v, want %v", when, got, want)
			return
		}
	}
}

func TestRetry(t *testing.T) {
	scenarios(t, map[string]scenario{
		"of a host that did not fail":  {steps: `step "note" "x" {}`, moves: []move{starts("host; start x; → x 1"), folds(succeeds, "x ok; end ok; ·"), retries("·")}},
		"of a host that did not begin": {steps: `step "write" "x" {}`, moves: []move{starts("? x flies judged"), retries("·")}},
		"fails again, and again": {steps: "step \"note\" \"x\" {}\nstep \"note\" \"y\" {}", moves: []move{
			starts("host; start x; → x 1"), folds(succeeds, "x ok; start y; → y 1"), folds(broken, "y failed: broken; end failed; ·"),
			retries("start y; → y 1"), folds(away, "y unreachable: no answer; end unreachable; ·"), retries("start y; → y 1"), folds(succeeds, "y ok; end ok; ·"), retries("·"),
		}},
		"asks again for a place in flight": {steps: "step \"write\" \"x\" {}\nstep \"note\" \"y\" {}\nstep \"note\" \"z\" {}", moves: []move{
			starts("? x flies judged"), passes("host; start x; → x 1"), folds(succeeds, "x ok; start y; → y 1"), folds(broken, "y failed: broken; end failed; ·"),
			retries("? y flies judged"), passes("start y; → y 1"), folds(succeeds, "y ok; start z; → z 1"),
		}},
		"leaves what it was busy with": {steps: "step \"write\" \"x\" {}\nstep \"note\" \"c\" { run_on = \"always\" }", moves: []move{
			starts("? x flies judged"), passes("host; start x; → x 1"), folds(broken, "x failed: broken; start c; → c 1 always"),
			retries("? x flies judged"), passes("start x; → x 1"), folds(succeeds, "x ok; start c; → c 1 always"), folds(succeeds, "c ok; end ok; ·"),
		}},
		"of a failed recall": {steps: "step \"build\" \"image\" {}\nstep \"note\" \"x\" { takes = step.image.text }", options: only("x"), moves: []move{
			starts("→ recall image 1"), folds(broken, "host; image failed: broken; end failed; ·"), retries("→ recall image 1"), folds(value(1), "start x; → x 1"),
		}},
	})
}

// While a lane that is tried again waits at a gate, it waits for no attempt.
func TestRetryAwaitsNothing(t *testing.T) {
	s := surveytest.Survey(t, hosts+"step \"write\" \"x\" {}\nstep \"note\" \"c\" {\n run_on = \"always\"\n throttle = 1\n}", survey.Options{})
	l := play(t, s, starts("? x flies judged"), passes("host; start x; → x 1"), folds(broken, "x failed: broken; ? c throttle 1"), passes("start c; → c 1 always"), retries("? x flies judged"))
	if l.Awaits(lane.TaskID{Host: "one", Step: "c"}) || l.Stand().In != "" {
		t.Errorf("the lane still waits for its cleanup, and stands at %+v", l.Stand())
	}
}

// The counts of a host that was tried again have its failure no more.
func TestCountsAfterRetry(t *testing.T) {
	s := surveytest.Survey(t, hosts+"step \"note\" \"x\" {}\nstep \"note\" \"y\" {}", survey.Options{})
	l := lane.New(s, s.Hosts()[0])
	l.Start(lane.Past{})
	l.Fold(wrote)
	l.Fold(broken)
	l.Retry()
	events := l.Fold(succeeds).Events
	end := events[len(events)-1]
	if want := (event.Counts{OK: 1, Changed: 1}); end.Counts == nil || *end.Counts != want || end.Status != event.Changed {
		t.Errorf("%s, %+v", end.Status, end.Counts)
	}
}

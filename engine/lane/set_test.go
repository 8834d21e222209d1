package lane_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"esxiplan/engine/event"
	"esxiplan/engine/lane"
	"esxiplan/engine/survey"
	"esxiplan/engine/survey/surveytest"
)

// group is a group of hosts, which are called by its name and a number from 1.
func group(name string, hosts int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "group %q {\n bmc {\n username = \"u\"\n password = \"p\"\n }\n", name)
	for i := range hosts {
		fmt.Fprintf(&b, " host \"%s%d\" {}\n", name, i+1)
	}
	return b.String() + "}\n"
}

// run is a set of lanes without a driver: what it is to do, and what it says.
type run struct {
	*lane.Set
	open   []lane.Task
	events []event.Event
}

func newRun(t testing.TB, plan string, o survey.Options) *run {
	t.Helper()
	return &run{Set: lane.NewSet(surveytest.Survey(t, plan, o))}
}

// begin starts the lanes, which have no past.
func (r *run) begin() *run {
	r.take(r.Start(func(string) lane.Past { return lane.Past{} }))
	return r
}

// take takes in an answer of the lanes.
func (r *run) take(events []event.Event, actions []lane.Action) {
	r.events = append(r.events, events...)
	for _, a := range actions {
		r.open = append(r.open, a.Task)
	}
}

// ends lets an attempt end that is open.
func (r *run) ends(t testing.TB, host, step string, o lane.Outcome) {
	t.Helper()
	i := slices.IndexFunc(r.open, func(task lane.Task) bool { return task.ID == lane.TaskID{Host: host, Step: step} })
	if i < 0 {
		t.Fatalf("step %s of host %s is not under way: %s", step, host, r.underWay())
	}
	r.open = slices.Delete(r.open, i, i+1)
	r.take(r.Fold(lane.TaskID{Host: host, Step: step}, o))
}

// underWay lists the attempts that are open.
func (r *run) underWay() string {
	var out []string
	for _, task := range r.open {
		out = append(out, task.ID.Host+" "+task.ID.Step)
	}
	return strings.Join(out, ", ")
}

// of lists what happened to a host.
func (r *run) of(host string) string {
	var out []string
	for _, e := range r.events {
		if e.Host == host {
			out = append(out, eventText(e))
		}
	}
	return strings.Join(out, "; ")
}

func wantUnderWay(t *testing.T, r *run, want string) {
	t.Helper()
	if got := r.underWay(); got != want {
		t.Errorf("under way: %s\n     want: %s", got, want)
	}
}

func TestSetBarrier(t *testing.T) {
	r := newRun(t, group("a", 4)+"step \"note\" \"x\" {}\nstep \"note\" \"y\" { barrier = true }", survey.Options{}).begin()
	wantUnderWay(t, r, "a1 x, a2 x, a3 x, a4 x")
	r.ends(t, "a2", "x", succeeds)
	r.ends(t, "a1", "x", succeeds)
	r.ends(t, "a4", "x", broken)
	wantUnderWay(t, r, "a3 x")
	r.ends(t, "a3", "x", succeeds)
	wantUnderWay(t, r, "a2 y, a1 y, a3 y")
}

// Facts come first, and a host that reads them keeps the others waiting at a barrier.
func TestSetBarrierWaitsForFacts(t *testing.T) {
	r := newRun(t, group("a", 2)+"step \"note\" \"x\" {\n barrier = true\n takes = host.facts.model\n}", survey.Options{}).begin()
	r.ends(t, "a1", lane.FactsStep, facts("m"))
	wantUnderWay(t, r, "a2 (facts)")
	r.ends(t, "a2", lane.FactsStep, facts("m"))
	wantUnderWay(t, r, "a1 x, a2 x")
}

func TestSetThrottleAndPlacesInFlight(t *testing.T) {
	r := newRun(t, group("a", 4)+"step \"write\" \"x\" {}\nstep \"note\" \"y\" { throttle = 1 }", survey.Options{InFlight: "2"}).begin()
	wantUnderWay(t, r, "a1 x, a2 x")
	r.ends(t, "a1", "x", succeeds)
	r.ends(t, "a2", "x", succeeds)
	wantUnderWay(t, r, "a1 y")
	r.ends(t, "a1", "y", succeeds)
	wantUnderWay(t, r, "a3 x, a2 y") // a3 asked first
	r.ends(t, "a2", "y", broken)
	wantUnderWay(t, r, "a3 x, a4 x")
}

func TestSetBudget(t *testing.T) {
	r := newRun(t, group("a", 4)+"step \"note\" \"x\" {}\nstep \"write\" \"y\" {}", survey.Options{MaxFailures: "1"}).begin()
	r.ends(t, "a1", "x", succeeds)
	r.ends(t, "a2", "x", succeeds)
	wantUnderWay(t, r, "a3 x, a4 x, a1 y")
	r.ends(t, "a3", "x", broken)
	r.ends(t, "a4", "x", away)
	r.ends(t, "a1", "y", succeeds)
	if got := r.of("a2"); !strings.HasSuffix(got, "end not_run (held back by the failure budget)") {
		t.Errorf("a2: %s", got)
	}
	s := r.Summary()
	if !r.Done() || !s.Budget || s.Exit != event.ExitBudget || s.Hosts[event.OK] != 1 || s.Hosts[event.Failed] != 1 || s.Hosts[event.Unreachable] != 1 || s.Hosts[event.NotRun] != 1 {
		t.Errorf("done %v, %+v", r.Done(), s)
	}
}

// An interrupt starts nothing that waits at a gate, and opens none.
func TestSetInterrupt(t *testing.T) {
	r := newRun(t, group("a", 3)+"step \"note\" \"x\" {}\nstep \"write\" \"y\" { barrier = true }\nstep \"note\" \"c\" {\n run_on = \"always\"\n throttle = 1\n}", survey.Options{InFlight: "1"}).begin()
	r.ends(t, "a1", "x", succeeds)
	r.ends(t, "a2", "x", succeeds)
	before := len(r.events)
	r.take(r.Interrupt())
	wantUnderWay(t, r, "a3 x, a1 c")
	if slices.ContainsFunc(r.events[before:], func(e event.Event) bool { return e.Kind == event.Warned }) {
		t.Errorf("nothing is served, and there is a warning: %+v", r.events[before:])
	}
	r.ends(t, "a3", "x", cancelled)
	r.ends(t, "a1", "c", succeeds)
	r.ends(t, "a2", "c", succeeds)
	r.ends(t, "a3", "c", succeeds)
	s := r.Summary()
	if !r.Done() || !s.Interrupted || s.Exit != event.ExitInterrupted || s.Hosts[event.NotRun] != 3 {
		t.Errorf("done %v, %+v", r.Done(), s)
	}
}

// A second interrupt starts nothing either: the end of one host opens no gate for another.
func TestSetAbandon(t *testing.T) {
	for name, plan := range map[string]string{
		"behind a throttle":         "step \"note\" \"x\" { throttle = 1 }",
		"behind the places":         "step \"write\" \"x\" {}",
		"behind a barrier":          "step \"note\" \"w\" {}\nstep \"note\" \"x\" { barrier = true }",
		"behind a cleanup's turn":   "step \"note\" \"w\" {}\nstep \"note\" \"x\" { \n run_on = \"always\"\n throttle = 1\n}",
		"behind its own first step": "step \"note\" \"x\" {}",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, group("a", 3)+plan, survey.Options{InFlight: "1"}).begin()
			for len(r.open) > 1 && r.open[0].ID.Step == "w" {
				r.ends(t, r.open[0].ID.Host, "w", succeeds)
			}
			before := len(r.events)
			for _, e := range r.Abandon() {
				if e.Kind != event.HostDone || e.Status != event.NotRun {
					t.Errorf("%s: %s", e.Host, eventText(e))
				}
				before++
			}
			if !r.Done() || r.Summary().Exit != event.ExitInterrupted {
				t.Errorf("done %v, %+v", r.Done(), r.Summary())
			}
			for _, task := range r.open {
				if r.Awaits(task.ID) {
					t.Errorf("%s of %s is awaited", task.ID.Step, task.ID.Host)
				}
			}
		})
	}
}

// The hosts whose installations an interrupt does not end are named, ten at the most.
func TestSetNamesServedHosts(t *testing.T) {
	const serves, wait = "media { listen = \"127.0.0.1:8090\" }\n", "step \"wait\" \"x\" { to = \"esxi\" }"
	for hosts, want := range map[int]string{2: "(a1, a2)", 12: "a9, a10, and 2 more)"} {
		r := newRun(t, serves+group("a", hosts)+wait, survey.Options{})
		r.take(r.Start(func(string) lane.Past { return lane.Past{Installing: true} }))
		began := len(r.events)
		r.take(r.Interrupt())
		if said := r.events[began:]; len(said) != 1 || said[0].Kind != event.Warned || !strings.Contains(said[0].Text, want) {
			t.Errorf("%d hosts: %+v", hosts, said)
		}
	}
}

// Hosts whose wait is still to come are named once; those that this run does not wait for
// are not.
func TestSetNamesServedHostsOnce(t *testing.T) {
	plan := "media { listen = \"127.0.0.1:8090\" }\n" + group("a", 1) + "step \"note\" \"x\" {}\nstep \"wait\" \"y\" { to = \"esxi\" }"
	for chosen, want := range map[string]string{"x y": "warning; x ok; start y; end not_run (interrupted)", "x": "x ok; end ok"} {
		r := newRun(t, plan, only(chosen))
		r.take(r.Start(func(string) lane.Past { return lane.Past{Installing: true} }))
		began := len(r.events)
		r.take(r.Interrupt())
		r.ends(t, "a1", "x", lane.Outcome{Result: succeeds.Result, Installing: true})
		if len(r.open) > 0 {
			r.take(r.Abandon(), nil)
		}
		var said []string
		for _, e := range r.events[began:] {
			said = append(said, strings.Split(eventText(e), " (this run serves")[0])
		}
		if got := strings.Join(said, "; "); got != want {
			t.Errorf("%s: %s, want %s", chosen, got, want)
		}
	}
}

// An interrupted attempt reports the interrupt before the driver does.
func TestSetLearnsOfTheInterrupt(t *testing.T) {
	r := newRun(t, group("a", 1)+"step \"note\" \"x\" {}", survey.Options{}).begin()
	r.ends(t, "a1", "x", cancelled)
	if s := r.Summary(); !r.Done() || s.Exit != event.ExitInterrupted {
		t.Errorf("done %v, %+v", r.Done(), s)
	}
}

// A host that is refused has failed for good.
func TestSetRefused(t *testing.T) {
	r := newRun(t, group("a", 2)+"step \"note\" \"x\" {}", survey.Options{})
	r.take(r.Start(func(host string) lane.Past {
		if host == "a1" {
			return lane.Past{Refused: &event.Problem{Summary: "the plan has changed"}}
		}
		return lane.Past{}
	}))
	r.ends(t, "a2", "x", succeeds)
	if events, actions := r.Retry("a1"); len(events)+len(actions) > 0 || r.HostFailed("a1") || !r.HostDone("a1") || !r.Done() {
		t.Errorf("%v %v, failed %v, done %v", events, actions, r.HostFailed("a1"), r.Done())
	}
	if s := r.Summary(); s.Exit != event.ExitFailed {
		t.Errorf("%+v", s)
	}
}

func TestSetRefusesStrangeOutcomes(t *testing.T) {
	for name, id := range map[string]lane.TaskID{"host": {Host: "b1", Step: "x"}, "step": {Host: "a1", Step: "y"}, "end": {Host: "a2", Step: "x"}} {
		r := newRun(t, group("a", 2)+"step \"note\" \"x\" {}", survey.Options{}).begin()
		r.ends(t, "a2", "x", succeeds)
		if events, actions := r.Fold(id, succeeds); len(events)+len(actions) > 0 {
			t.Errorf("%s: %v %v", name, events, actions)
		}
		if s := r.Summary(); s.Exit != event.ExitInternal || !strings.Contains(s.Internal, id.Host) {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// A bug that one lane finds fails the run.
func TestSetInternal(t *testing.T) {
	r := newRun(t, group("a", 1)+"step \"note\" \"x\" { on_error = \"continue\" }", survey.Options{}).begin()
	r.ends(t, "a1", "x", lane.Outcome{Internal: "x panicked"})
	if s := r.Summary(); s.Exit != event.ExitInternal || s.Internal != "x panicked" {
		t.Errorf("%+v", s)
	}
}

// Hosts that are tried again keep the bounds of the run, and are no failures any more.
func TestSetRetry(t *testing.T) {
	r := newRun(t, group("a", 3)+"step \"write\" \"x\" {}\nstep \"note\" \"y\" {}", survey.Options{InFlight: "1", MaxFailures: "1"}).begin()
	for _, host := range []string{"a1", "a2"} {
		r.ends(t, host, "x", succeeds)
		r.ends(t, host, "y", broken)
	}
	if !r.Done() || !r.Summary().Budget {
		t.Fatalf("the budget let a3 begin: %s", r.underWay())
	}
	for host, want := range map[string]bool{"a1": true, "a2": true, "a3": false, "b1": false} {
		if r.HostFailed(host) != want || r.HostDone(host) != (host != "b1") || r.Has(host) != (host != "b1") {
			t.Errorf("%s: failed %v, done %v", host, r.HostFailed(host), r.HostDone(host))
		}
		r.take(r.Retry(host))
	}
	if len(r.open) != 1 || r.Done() {
		t.Fatalf("under way: %s", r.underWay())
	}
	for len(r.open) > 0 {
		r.ends(t, r.open[0].ID.Host, "y", succeeds)
	}
	if s := r.Summary(); !r.Done() || s.Hosts[event.OK] != 2 {
		t.Errorf("done %v, %+v", r.Done(), s)
	}
}

// A barrier that many hosts pass at once takes no more of the stack than one host does.
func TestSetManyHosts(t *testing.T) {
	const hosts = 300
	r := newRun(t, group("a", hosts)+"step \"note\" \"x\" { barrier = true }\nstep \"note\" \"y\" { when = false }\nstep \"note\" \"z\" { barrier = true }", survey.Options{}).begin()
	for _, step := range []string{"x", "z"} {
		if len(r.open) != hosts {
			t.Fatalf("%d hosts are in %s", len(r.open), step)
		}
		for _, task := range slices.Clone(r.open) {
			r.ends(t, task.ID.Host, step, succeeds)
		}
	}
	if !r.Done() || r.Summary().Hosts[event.OK] != hosts {
		t.Errorf("%+v", r.Summary())
	}
}

// wild is a plan with all that lanes share.
var wild = group("a", 4) + group("b", 3) + `
step "note" "one" {
  takes   = host.facts.model
  retries = 1
}
step "write" "two" { barrier = true }
step "look" "three" {
  throttle = 2
  retries  = 2
  groups   = ["a"]
}
step "power" "four" {
  to       = "on"
  on_error = "continue"
}
step "note" "f" { run_on = "failure" }
step "write" "c" {
  run_on   = "always"
  throttle = 1
}
`

// TestWildRuns: whatever attempts come to, and whenever a run is interrupted, abandoned or
// its hosts are tried again, each host's events tell of one step after the other, a host
// has one attempt at a time, and the run comes to its end.
func TestWildRuns(t *testing.T) {
	var surveys []*survey.Survey
	for _, o := range []survey.Options{{InFlight: "1"}, {InFlight: "3"}, {}, {MaxFailures: "0"}, {MaxFailures: "2"}, {InFlight: "5", MaxFailures: "1"}} {
		surveys = append(surveys, surveytest.Survey(t, wild, o))
	}
	for seed := range uint64(300) {
		d := rand.New(rand.NewPCG(seed, 2))
		r := (&run{Set: lane.NewSet(surveys[d.IntN(len(surveys))])}).begin()
		for moves := 0; len(r.open) > 0 && !t.Failed(); moves++ {
			if moves > 2000 {
				t.Fatalf("seed %d: no end: %s", seed, r.underWay())
			}
			if abandoned := wildMove(t, r, d); abandoned {
				break
			}
			checkOneAttempt(t, r)
		}
		if !r.Done() {
			t.Fatalf("seed %d: nothing is under way, and not all hosts are at their end", seed)
		}
		checkStories(t, r)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// triedAgain marks in the events where a host was tried again.
const triedAgain = event.Kind("tried_again")

// wildMove lets something happen to a run; true: it was abandoned.
func wildMove(t *testing.T, r *run, d *rand.Rand) bool {
	interrupted := r.Summary().Interrupted
	switch n := d.IntN(100); {
	case n == 0:
		r.take(r.Abandon(), nil)
		return true
	case n == 1 && !interrupted:
		r.take(r.Interrupt())
		return false
	case n < 6 && !interrupted:
		host := fmt.Sprint([]string{"a", "b"}[d.IntN(2)], 1+d.IntN(4))
		if r.HostDone(host) && r.HostFailed(host) {
			r.events = append(r.events, event.Event{Kind: triedAgain, Host: host})
			r.take(r.Retry(host))
		}
		return false
	}
	task := r.open[d.IntN(len(r.open))]
	outcomes := []lane.Outcome{reached, reached, wrote, trouble, broken, away, overtime, because("booting")}
	if task.Mode == lane.ModeFacts {
		outcomes = []lane.Outcome{facts("m"), facts("m"), facts("m"), away, broken}
	}
	if interrupted && !task.Always {
		outcomes = append(outcomes, cancelled, cancelled)
	}
	r.ends(t, task.ID.Host, task.ID.Step, outcomes[d.IntN(len(outcomes))])
	return false
}

func checkOneAttempt(t *testing.T, r *run) {
	seen := map[string]bool{}
	for _, task := range r.open {
		if seen[task.ID.Host] || !r.Awaits(task.ID) {
			t.Errorf("%s has two attempts under way, or one that nothing awaits: %s", task.ID.Host, r.underWay())
		}
		seen[task.ID.Host] = true
	}
}

// checkStories holds the events of each host against what may follow what.
func checkStories(t *testing.T, r *run) {
	began, ended, in := map[string]bool{}, map[string]bool{}, map[string]string{}
	for _, e := range r.events {
		ok := true
		switch h := e.Host; e.Kind {
		case triedAgain:
			ended[h] = false
		case event.HostStarted:
			ok = !began[h] && !ended[h]
			began[h] = true
		case event.StepStarted:
			ok = began[h] && in[h] == "" && !ended[h]
			in[h] = e.Step
		case event.Retried, event.Progressed:
			ok = in[h] == e.Step && e.Attempt > 1
		case event.StepDone:
			ok = began[h] && (in[h] == e.Step || in[h] == "" && (e.Step == lane.FactsStep || e.Status == event.Skipped || e.Problem != nil))
			in[h] = ""
		case event.HostDone:
			ok = !ended[h]
			ended[h], in[h] = true, ""
		}
		if !ok {
			t.Errorf("%s: %s does not follow what was before: %s", e.Host, eventText(e), r.of(e.Host))
			return
		}
	}
	for _, host := range []string{"a1", "a2", "a3", "a4", "b1", "b2", "b3"} {
		if !ended[host] {
			t.Errorf("%s has no end: %s", host, r.of(host))
		}
	}
}

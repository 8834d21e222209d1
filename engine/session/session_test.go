package session_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/local"
	"esxiplan/engine/local/localtest"
	"esxiplan/engine/log"
	"esxiplan/engine/session"
	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/schema"
)

// site is a state folder and a plan, on which one process after the other works.
type site struct {
	*testing.T
	lab   *localtest.Lab
	plan  *schema.Plan
	state string
}

// at runs a test under simulated time, on a plan with these steps.
func at(t *testing.T, steps string, test func(*site)) {
	t.Helper()
	lab := localtest.New()
	plan := lab.Plan(t, steps)
	synctest.Test(t, func(t *testing.T) { test(&site{t, lab, plan, t.TempDir()}) })
}

// ended is a process that came to its end.
type ended struct {
	*session.Prepared
	summary event.Summary
	events  []event.Event // that it showed
	earlier []event.Event // that it showed of before
	err     error         // of Prepare, or of Run
}

// options completes those of a process.
func (s *site) options(o session.Options) session.Options {
	o.Types, o.State, o.Locks, o.Clock, o.Forks = s.lab.Types, s.state, []string{filepath.Join(s.state, "locks")}, local.NewClock(1), 10
	o.By, o.Version = event.Who{User: "ci"}, "0.2"
	return o
}

// world opens the doors of the lab's hosts.
type world struct {
	*localtest.Lab
	survey *survey.Survey
}

func (w world) Open(h *schema.Host) (*step.Host, error) { return w.Lab.Open(w.survey, h), nil }
func (world) Close()                                    {}

// prepare is a process that begins.
func (s *site) prepare(o session.Options) (*session.Prepared, error) {
	s.Helper()
	p, diags, err := session.Prepare(s.plan, s.options(o))
	if diags.HasErrors() {
		return nil, diags
	}
	return p, err
}

// run is a process from its beginning to its end, which comes long before an interrupt.
func (s *site) run(o session.Options) ended { s.Helper(); return s.interrupted(o, time.Hour) }

// interrupted is one that gets Ctrl-C after a time; 0: before it does anything.
func (s *site) interrupted(o session.Options, after time.Duration) (out ended) {
	s.Helper()
	p, err := s.prepare(o)
	if err != nil {
		return ended{err: err}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if after == 0 {
		cancel()
	}
	defer time.AfterFunc(after, cancel).Stop()
	out = ended{Prepared: p}
	out.summary, out.err = p.Run(ctx, context.Background(), session.Outlets{
		World:   func(*log.Log) (session.World, error) { return world{s.lab, p.Survey}, nil },
		Show:    func(e event.Event) { out.events = append(out.events, e) },
		Earlier: func(e event.Event) { out.earlier = append(out.earlier, e) },
	})
	time.Sleep(time.Minute) // runs differ in when they began and ended
	return out
}

// exits checks how a process ended, and what became of its hosts.
func (s *site) exits(e ended, exit int, hosts map[event.Status]int) {
	s.Helper()
	if e.err != nil {
		s.Fatal(e.err)
	}
	if e.summary.Exit != exit || !maps.Equal(e.summary.Hosts, hosts) {
		s.Errorf("exit %d, hosts %v, want %d, %v", e.summary.Exit, e.summary.Hosts, exit, hosts)
	}
}

// records are those of a run.
func (s *site) records(run string) (out []log.Record) {
	s.Helper()
	if err := log.Each(s.state, run, func(r log.Record) error { out = append(out, r); return nil }); err != nil {
		s.Fatal(err)
	}
	return out
}

// story is what the lanes said of each host, in order: what people read, without times.
func story(records []log.Record) map[string][]string {
	out := map[string][]string{}
	for _, r := range records {
		switch r.Kind {
		case event.HostStarted, event.StepStarted, event.Retried, event.StepDone, event.HostDone:
			out[r.Host] = append(out[r.Host], fmt.Sprint(r.Kind, " ", r.Step, " ", r.Status, " ", r.Attempt, " ", r.Text))
		}
	}
	return out
}

// attempts counts those of a step on a host that there were in the lab.
func (s *site) attempts(host, name string) int {
	return s.lab.Attempts[localtest.Task{Host: host, Step: name}]
}

func only(tags ...string) survey.Options { return survey.Options{Choice: survey.Choice{Tags: tags}} }

// says checks that an error has all that its reader needs.
func says(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

// isUsage checks that a wish cannot be met.
func isUsage(t *testing.T, err error, parts ...string) {
	t.Helper()
	says(t, err, parts...)
	var wish *session.UsageError
	if !errors.As(err, &wish) {
		t.Errorf("%v is no usage error", err)
	}
}

func isNotStarted(t *testing.T, err error, parts ...string) {
	t.Helper()
	says(t, err, parts...)
	var not *session.NotStarted
	if !errors.As(err, &not) {
		t.Errorf("%v does not say that nothing was started", err)
	}
}

// stages are three stages of a pipeline. Host two fails in the first one, once.
const stages = `step "fake" "x" {
  do   = host.name == "two" ? ["final", "ok"] : ["ok"]
  tags = ["one"]
}
step "fake_write" "y" {
  do   = ["write"]
  tags = ["two"]
}
step "fake" "z" {
  do   = ["ok"]
  tags = ["three"]
}`

func TestNewRun(t *testing.T) {
	at(t, stages, func(s *site) {
		p, err := s.prepare(session.Options{Run: "nightly-7"})
		if err != nil || p.Name != "nightly-7" || p.Continues != nil || len(p.Pending()) != 3 {
			t.Fatalf("%+v, %v", p, err)
		}
		if _, err := os.Stat(filepath.Join(s.state, "runs")); err == nil {
			t.Error("to prepare a run writes something")
		}
		e := s.run(session.Options{Run: "nightly-7", Command: "esxiplan run site.hcl"})
		s.exits(e, event.ExitFailed, map[event.Status]int{event.Changed: 2, event.Failed: 1})
		stage := s.records("nightly-7")[0].Stage
		if stage == nil || stage.Number != 1 || stage.Continued || stage.By.User != "ci" || stage.Command != "esxiplan run site.hcl" || !slices.Equal(stage.Hosts, []string{"one", "two", "three"}) || !slices.Equal(stage.Steps, []string{"x", "y", "z"}) || len(stage.Digests.Digests) != 3 {
			t.Errorf("the stage in the log is %+v", stage)
		}
		made := s.run(session.Options{})
		if made.Name == "" || made.Name == "nightly-7" || made.Continues != nil {
			t.Errorf("a run without a name is %q", made.Name)
		}
		runs, err := log.List(s.state)
		if err != nil || len(runs) != 2 || runs[1].Run != "nightly-7" || runs[1].Unfinished() || runs[1].Exit != event.ExitFailed {
			t.Errorf("runs: %+v, %v", runs, err)
		}
	})
}

// TestEndedStageAgain: a stage that is at its end does nothing when it is asked for again,
// and reports the same, with its earlier events.
func TestEndedStageAgain(t *testing.T) {
	at(t, stages, func(s *site) {
		first := s.run(session.Options{Run: "r"})
		attempts, before := maps.Clone(s.lab.Attempts), story(s.records("r"))
		for range 2 {
			again := s.run(session.Options{Run: "r"})
			s.exits(again, first.summary.Exit, first.summary.Hosts)
			if again.Continues == nil || len(again.Pending()) != 0 || !maps.Equal(attempts, s.lab.Attempts) {
				t.Errorf("it continues %+v, attempts %v", again.Continues, s.lab.Attempts)
			}
			for _, e := range again.events {
				if e.Kind != event.RunStarted && e.Kind != event.RunDone {
					t.Errorf("it shows as new: %+v", e)
				}
			}
			var earlier []log.Record
			for _, e := range again.earlier {
				earlier = append(earlier, log.Record{Event: e})
			}
			same(t, "shown of before", story(earlier), before)
			same(t, "in the log", story(s.records("r")), before)
		}
		if last := s.records("r"); last[len(last)-1].Summary.Exit != event.ExitFailed {
			t.Errorf("the log ends with %+v", last[len(last)-1])
		}
	})
}

func same(t *testing.T, what string, got, want map[string][]string) {
	t.Helper()
	for _, host := range slices.Sorted(maps.Keys(want)) {
		if !slices.Equal(got[host], want[host]) {
			t.Errorf("%s, of %s:\n%s\nnot\n%s", what, host, strings.Join(got[host], "\n"), strings.Join(want[host], "\n"))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d hosts, not %d", what, len(got), len(want))
	}
}

// TestStages: a host that failed in one stage is left out of the next ones, which end well
// for the others, until it is tried again.
func TestStages(t *testing.T) {
	at(t, stages, func(s *site) {
		s.exits(s.run(session.Options{Run: "r", Options: only("one")}), event.ExitFailed, map[event.Status]int{event.OK: 2, event.Failed: 1})
		second := s.run(session.Options{Run: "r", Options: only("two")})
		s.exits(second, event.ExitOK, map[event.Status]int{event.Changed: 2, event.NotRun: 1})
		if len(second.Pending()) != 0 || s.attempts("two", "y") != 0 {
			t.Error("a host that failed before is not left out")
		}
		i := slices.IndexFunc(second.events, func(e event.Event) bool { return e.Kind == event.HostDone && e.Host == "two" })
		if text := second.events[i].Text; text != "failed before in this run, in step x; --retry-failed tries it again" {
			t.Errorf("it says %q", text)
		}
		s.exits(s.run(session.Options{Run: "r", Options: only("three"), RetryFailed: true}), event.ExitOK, map[event.Status]int{event.OK: 3})
		var numbers []int
		for _, r := range s.records("r") {
			if r.Stage != nil {
				numbers = append(numbers, r.Stage.Number)
			}
		}
		if !slices.Equal(numbers, []int{1, 2, 3}) {
			t.Errorf("stages %v", numbers)
		}
		if runs, _ := log.List(s.state); len(runs) != 1 || runs[0].Stages != 3 || runs[0].Exit != event.ExitOK {
			t.Errorf("runs: %+v", runs)
		}
	})
}

// TestStageAgainAfterFailureInAnother: a stage that came to its end stays there, also for
// hosts that failed in a later one; one that did not is left as it is on them.
func TestStageAgainAfterFailureInAnother(t *testing.T) {
	at(t, `step "fake" "x" {
  do   = ["ok"]
  tags = ["one"]
}
step "fake" "y" {
  do   = host.name == "two" ? ["final", "ok"] : ["ok"]
  tags = ["two"]
}`, func(s *site) {
		s.run(session.Options{Run: "r", Options: only("one")})
		s.exits(s.run(session.Options{Run: "r", Options: only("two")}), event.ExitFailed, map[event.Status]int{event.OK: 2, event.Failed: 1})
		again := s.run(session.Options{Run: "r", Options: only("one")})
		s.exits(again, event.ExitOK, map[event.Status]int{event.OK: 3})
		if s.attempts("two", "x") != 1 {
			t.Error("a step that was done was done again")
		}
	})
	at(t, `step "fake" "w" {
  do   = ["ok"]
  tags = ["one"]
}
step "fake" "x" {
  do   = ["slow"]
  tags = ["one"]
}
step "fake" "y" {
  do   = host.name == "two" ? ["final", "ok"] : ["ok"]
  tags = ["two"]
}`, func(s *site) {
		s.interrupted(session.Options{Run: "r", Options: only("one")}, 10*time.Second)
		s.exits(s.run(session.Options{Run: "r", Options: only("two")}), event.ExitFailed, map[event.Status]int{event.OK: 2, event.Failed: 1})
		again := s.interrupted(session.Options{Run: "r", Options: only("one")}, 10*time.Second)
		if again.err != nil || s.attempts("two", "x") != 1 || s.attempts("one", "x") != 2 || again.summary.Hosts[event.NotRun] != 3 {
			t.Errorf("%v, %v, attempts %v", again.err, again.summary, s.lab.Attempts)
		}
	})
}

// TestRetryFailed: hosts that failed in the stage begin again with the step that failed.
func TestRetryFailed(t *testing.T) {
	at(t, `step "fake" "w" { do = ["ok"] }
step "fake" "x" { do = host.name == "two" ? ["final", "final", "ok"] : ["ok"] }
step "fake" "y" { do = ["ok"] }`, func(s *site) {
		failed := map[event.Status]int{event.OK: 2, event.Failed: 1}
		s.exits(s.run(session.Options{Run: "r"}), event.ExitFailed, failed)
		s.exits(s.run(session.Options{Run: "r"}), event.ExitFailed, failed)
		if n := s.attempts("two", "x"); n != 1 {
			t.Errorf("%d attempts without being asked to try again", n)
		}
		s.exits(s.run(session.Options{Run: "r", RetryFailed: true}), event.ExitFailed, failed)
		s.exits(s.run(session.Options{Run: "r", RetryFailed: true}), event.ExitOK, map[event.Status]int{event.OK: 3})
		s.exits(s.run(session.Options{Run: "r"}), event.ExitOK, map[event.Status]int{event.OK: 3})
		if s.attempts("two", "w") != 1 || s.attempts("two", "x") != 3 || s.attempts("two", "y") != 1 || s.attempts("one", "x") != 1 {
			t.Errorf("attempts %v", s.lab.Attempts)
		}
		var asked [][]string
		for _, r := range s.records("r") {
			if r.Kind == log.RetryAsked {
				asked = append(asked, r.Hosts)
			}
		}
		if fmt.Sprint(asked) != "[[two] [two]]" {
			t.Errorf("asked to try again: %v", asked)
		}
	})
}

// TestRetryInLaterStage: a host that failed in another stage and is let in to this one stays
// in, when this one is continued.
func TestRetryInLaterStage(t *testing.T) {
	at(t, `step "fake" "x" {
  do   = host.name == "two" ? ["final"] : ["ok"]
  tags = ["one"]
}
step "fake" "y" {
  do   = ["ok"]
  tags = ["two"]
}
step "fake" "z" {
  do   = ["stuck", "ok"]
  tags = ["two"]
}`, func(s *site) {
		s.run(session.Options{Run: "r", Options: only("one")})
		stopped := s.interrupted(session.Options{Run: "r", Options: only("two"), RetryFailed: true}, 10*time.Second)
		s.exits(stopped, event.ExitInterrupted, map[event.Status]int{event.NotRun: 3})
		s.exits(s.run(session.Options{Resume: true}), event.ExitOK, map[event.Status]int{event.OK: 3})
		if s.attempts("two", "y") != 1 {
			t.Errorf("attempts %v", s.lab.Attempts)
		}
	})
}

// TestInterrupted: a stage that was stopped is continued where it stopped.
func TestInterrupted(t *testing.T) {
	at(t, `step "fake" "w" { do = ["ok"] }
step "fake" "x" { do = host.name == "two" ? ["stuck", "ok"] : ["ok"] }
step "fake" "y" { do = ["ok"] }
step "fake" "z" {
  do     = ["ok"]
  run_on = "always"
}`, func(s *site) {
		s.exits(s.interrupted(session.Options{Run: "r"}, 10*time.Second), event.ExitInterrupted, map[event.Status]int{event.OK: 2, event.NotRun: 1})
		p, err := s.prepare(session.Options{Run: "r"})
		if err != nil || len(p.Pending()) != 1 || p.Pending()[0].Name != "two" {
			t.Errorf("pending %v, %v", p.Pending(), err)
		}
		s.exits(s.run(session.Options{Run: "r"}), event.ExitOK, map[event.Status]int{event.OK: 3})
		for task, want := range map[localtest.Task]int{{Host: "two", Step: "w"}: 1, {Host: "two", Step: "x"}: 2, {Host: "two", Step: "y"}: 1, {Host: "one", Step: "y"}: 1, {Host: "one", Step: "z"}: 1} {
			if n := s.lab.Attempts[task]; n != want {
				t.Errorf("%v was attempted %d times, want %d", task, n, want)
			}
		}
		s.exits(s.run(session.Options{Run: "r"}), event.ExitOK, map[event.Status]int{event.OK: 3})
	})
}

// TestInterruptedAtOnce: Ctrl-C before the first attempt ends the run as later ones do.
func TestInterruptedAtOnce(t *testing.T) {
	at(t, stages, func(s *site) {
		s.exits(s.interrupted(session.Options{Run: "r"}, 0), event.ExitInterrupted, map[event.Status]int{event.NotRun: 3})
		if len(s.lab.Attempts) > 0 {
			t.Errorf("attempts %v", s.lab.Attempts)
		}
		s.exits(s.run(session.Options{Resume: true}), event.ExitFailed, map[event.Status]int{event.Changed: 2, event.Failed: 1})
	})
}

// TestResume: the last run that did not end is continued, with its steps and hosts.
func TestResume(t *testing.T) {
	at(t, `step "fake" "x" {
  do   = ["stuck", "ok"]
  tags = ["one"]
}
step "fake" "y" {
  do   = ["ok"]
  tags = ["two"]
}`, func(s *site) {
		_, err := s.prepare(session.Options{Resume: true})
		isUsage(t, err, "nothing to resume", `no unfinished run of plan "plan"`, s.state)
		chosen := only("one")
		chosen.Limit = []string{"one,three"}
		s.interrupted(session.Options{Run: "stopped", Options: chosen}, 10*time.Second)
		s.run(session.Options{Run: "ended", Options: only("two")})
		offered, err := s.prepare(session.Options{})
		if err != nil || offered.Unfinished != nil {
			t.Errorf("the last run ended, and %+v is offered, %v", offered.Unfinished, err)
		}
		e := s.run(session.Options{Resume: true})
		s.exits(e, event.ExitOK, map[event.Status]int{event.OK: 2})
		if e.Name != "stopped" || s.attempts("one", "x") != 2 || s.attempts("two", "x") != 0 || s.attempts("one", "y") != 1 {
			t.Errorf("continued %s, attempts %v", e.Name, s.lab.Attempts)
		}
		_, err = s.prepare(session.Options{Resume: true, Options: only("one")})
		isUsage(t, err, "leave out --tags")
	})
}

// TestUnfinished: a new run is offered the last one that did not end, and is another one.
func TestUnfinished(t *testing.T) {
	at(t, `step "fake" "x" { do = ["stuck", "ok"] }`, func(s *site) {
		s.interrupted(session.Options{Run: "stopped"}, 10*time.Second)
		p, err := s.prepare(session.Options{})
		if err != nil || p.Unfinished == nil || p.Unfinished.Run != "stopped" || p.Name == "stopped" || p.Continues != nil {
			t.Errorf("%+v, %v", p, err)
		}
		for name, o := range map[string]session.Options{"a dry run": {Options: survey.Options{DryRun: true}}, "a run with a name": {Run: "other"}, "a rehearsal": {Apart: true}} {
			if p, err := s.prepare(o); err != nil || p.Unfinished != nil {
				t.Errorf("%s is offered %+v, %v", name, p.Unfinished, err)
			}
		}
	})
}

// TestOnlyFailed: a new run on what failed in the last one, in whatever stage, with the
// steps that this one had.
func TestOnlyFailed(t *testing.T) {
	at(t, stages, func(s *site) {
		_, err := s.prepare(session.Options{OnlyFailed: true})
		isUsage(t, err, `no run of plan "plan"`, "nothing has failed")
		s.run(session.Options{Run: "r", Options: only("one")})
		s.run(session.Options{Run: "r", Options: only("two")})
		e := s.run(session.Options{OnlyFailed: true})
		s.exits(e, event.ExitOK, map[event.Status]int{event.Changed: 1})
		if e.Name == "r" || s.attempts("two", "x") != 2 || s.attempts("two", "y") != 1 || s.attempts("two", "z") != 0 {
			t.Errorf("run %s, attempts %v", e.Name, s.lab.Attempts)
		}
		_, err = s.prepare(session.Options{OnlyFailed: true})
		isUsage(t, err, "no host failed in run "+e.Name)
	})
}

// TestOnlyFailedIn: the run that is named counts, whatever failed in later ones.
func TestOnlyFailedIn(t *testing.T) {
	at(t, stages, func(s *site) {
		s.run(session.Options{Run: "first"})
		s.run(session.Options{Run: "second", Options: survey.Options{Choice: survey.Choice{Limit: []string{"one"}}}})
		_, err := s.prepare(session.Options{OnlyFailed: true})
		isUsage(t, err, "no host failed in run second, the last one")
		_, err = s.prepare(session.Options{OnlyFailed: true, FailedIn: "second"})
		isUsage(t, err, `no host failed in run second of plan "plan"`)
		_, err = s.prepare(session.Options{OnlyFailed: true, FailedIn: "third"})
		isUsage(t, err, `has no run "third" of plan "plan"`, "esxiplan runs lists them")
		e := s.run(session.Options{OnlyFailed: true, FailedIn: "first"})
		s.exits(e, event.ExitOK, map[event.Status]int{event.Changed: 1})
		if s.attempts("two", "x") != 2 || s.attempts("one", "x") != 2 || s.attempts("three", "x") != 1 {
			t.Errorf("attempts %v", s.lab.Attempts)
		}
	})
}

func TestWishesThatExclude(t *testing.T) {
	at(t, stages, func(s *site) {
		for name, o := range map[string]session.Options{
			"resume and only failed": {Resume: true, OnlyFailed: true}, "a name and only failed": {Run: "r", OnlyFailed: true},
		} {
			t.Log(name)
			_, err := s.prepare(o)
			isUsage(t, err, "--only-failed starts a new run: it cannot be combined")
		}
		for _, name := range []string{"", "-x", ".hidden", "a/b", "../r", "a\nb", " a", strings.Repeat("x", 201), "a\x00"} {
			if name == "" {
				continue // one is made
			}
			_, err := s.prepare(session.Options{Run: name})
			says(t, err, "cannot be the name of a run", "letters, digits")
		}
		for _, name := range []string{"jenkins-lab-42", "2026-03-04T12.00", "a@b+c=d_e", "jenkins-My Job%2Fü-7", strings.Repeat("x", 200)} {
			if _, err := s.prepare(session.Options{Run: name}); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestBudget: a stage that the failure budget stopped stays stopped, and is continued with a
// greater one.
func TestBudget(t *testing.T) {
	at(t, `step "fake" "x" { do = host.name == "three" ? ["ok", "ok"] : ["final"] }
step "fake" "w" { do = ["ok"] }
step "fake_write" "y" { do = ["write"] }`, func(s *site) {
		budget := func(n string) survey.Options { return survey.Options{MaxFailures: n} }
		held := map[event.Status]int{event.Failed: 2, event.NotRun: 1}
		s.exits(s.run(session.Options{Run: "r", Options: budget("1")}), event.ExitBudget, held)
		s.exits(s.run(session.Options{Run: "r", Options: budget("1")}), event.ExitBudget, held)
		if s.attempts("three", "y") != 0 {
			t.Error("a host that was held back ran")
		}
		s.exits(s.run(session.Options{Run: "r", Options: budget("2")}), event.ExitFailed, map[event.Status]int{event.Failed: 2, event.Changed: 1})
		if s.attempts("three", "w") != 1 || s.attempts("three", "y") != 1 || s.attempts("one", "x") != 1 {
			t.Errorf("attempts %v", s.lab.Attempts)
		}
	})
}

// TestOtherLimits: what a stage did holds, also where it is continued with other limits.
func TestOtherLimits(t *testing.T) {
	const plan = `step "fake" "w" { do = ["ok"] }
step "fake_write" "x" { do = ["write"] }
step "fake" "y" { do = ["stuck", "ok"] }`
	for name, c := range map[string]struct{ before, after survey.Options }{
		"fewer in flight": {survey.Options{}, survey.Options{InFlight: "1"}},
		"more in flight":  {survey.Options{InFlight: "1"}, survey.Options{}},
		"fewer hosts":     {survey.Options{}, survey.Options{Choice: survey.Choice{Limit: []string{"two"}}}},
	} {
		at(t, plan, func(s *site) {
			s.interrupted(session.Options{Run: "r", Options: c.before}, 10*time.Second)
			for _, host := range []string{"one", "two", "three"} { // no one is stuck any more
				s.lab.Attempts[localtest.Task{Host: host, Step: "y"}] = 1
			}
			if e := s.run(session.Options{Run: "r", Options: c.after}); e.err != nil || e.summary.Exit != event.ExitOK || s.attempts("two", "x") != 1 {
				t.Errorf("%s: %v, %+v, attempts %v", name, e.err, e.summary, s.lab.Attempts)
			}
		})
	}
	at(t, plan+`
step "fake" "z" {
  do      = ["ok"]
  barrier = true
}`, func(s *site) {
		s.lab.Attempts[localtest.Task{Host: "two", Step: "y"}] = 1 // is not stuck
		s.exits(s.run(session.Options{Run: "r", Options: survey.Options{Choice: survey.Choice{Limit: []string{"two"}}}}), event.ExitOK, map[event.Status]int{event.Changed: 1})
		s.lab.Attempts[localtest.Task{Host: "one", Step: "y"}], s.lab.Attempts[localtest.Task{Host: "three", Step: "y"}] = 1, 1
		s.exits(s.run(session.Options{Run: "r"}), event.ExitOK, map[event.Status]int{event.Changed: 3})
		if s.attempts("two", "z") != 1 {
			t.Errorf("attempts %v", s.lab.Attempts)
		}
	})
}

// TestOtherPlan: a run is continued with what the plan said of a host when the run first had
// it. Where that changed, the host is refused, by what changed, as often as it is asked for;
// the others are continued.
func TestOtherPlan(t *testing.T) {
	at(t, stages, func(s *site) {
		s.run(session.Options{Run: "r", Options: only("one"), RetryFailed: true})
		s.rewrite("r", func(r log.Record) log.Record {
			if r.Stage != nil { // as if the plan had said something else of host one
				r.Stage.Digests.Digests["one"] = map[string]string{"disk": "another one"}
			}
			return r
		})
		for _, stage := range []string{"two", "two", "three", "one"} {
			e := s.run(session.Options{Run: "r", Options: only(stage)})
			if e.err != nil || e.summary.Exit != event.ExitFailed || e.summary.Hosts[event.Failed] < 1 || s.attempts("one", "y") != 0 || s.attempts("three", "y") != 1 {
				t.Errorf("stage %s: %v, %+v, attempts %v", stage, e.err, e.summary, s.lab.Attempts)
			}
		}
		i := slices.IndexFunc(s.records("r"), func(r log.Record) bool { return r.Step == "(plan)" })
		if i < 0 {
			t.Fatal("it does not say why")
		}
		p := s.records("r")[i]
		if p.Host != "one" || !strings.Contains(p.Problem.Summary, "since run r began") || !strings.Contains(p.Problem.Summary, "disk") || !strings.Contains(p.Problem.Next, "Start a new run, or put back") {
			t.Errorf("%s: %+v", p.Host, p.Problem)
		}
	})
}

// rewrite replaces the log of a run by one with other records.
func (s *site) rewrite(run string, as func(log.Record) log.Record) {
	s.Helper()
	records, other := s.records(run), s.TempDir()
	l, err := log.Open(other, run, log.Options{})
	if err != nil {
		s.Fatal(err)
	}
	for _, r := range records {
		r = as(r)
		if err == nil && r.Log != 0 {
			err = l.Keep(r)
		} else if err == nil {
			err = l.Later(r.Event)
		}
	}
	if err := errors.Join(err, l.Close(), os.Rename(filepath.Join(other, "runs", run+".jsonl"), filepath.Join(s.state, "runs", run+".jsonl"))); err != nil {
		s.Fatal(err)
	}
}

// TestRunOfAnotherPlan: the name of a run belongs to one plan.
func TestRunOfAnotherPlan(t *testing.T) {
	at(t, stages, func(s *site) {
		s.run(session.Options{Run: "r"})
		s.rewrite("r", func(r log.Record) log.Record {
			if r.Stage != nil {
				r.Stage.Plan = "lab"
			}
			if r.Plan != nil {
				r.Plan.Name = "lab"
			}
			return r
		})
		_, err := s.prepare(session.Options{Run: "r"})
		isUsage(t, err, `run r is one of plan "lab"`, `this is plan "plan"`, "give it another name")
	})
}

// TestUnknownMode: a run whose log says of an attempt what no task does is not continued.
func TestUnknownMode(t *testing.T) {
	at(t, stages, func(s *site) {
		s.run(session.Options{Run: "r"})
		s.rewrite("r", func(r log.Record) log.Record {
			if r.Kind == log.AttemptDone {
				r.Mode = "guess"
			}
			return r
		})
		if _, err := s.prepare(session.Options{Run: "r"}); err == nil || !strings.Contains(err.Error(), `has the unknown mode "guess"`) {
			t.Errorf("the run is continued: %v", err)
		}
	})
}

// TestOldRun: a run of version 0.1 is not continued, in whatever way it is asked for, and
// hinders no new one.
func TestOldRun(t *testing.T) {
	at(t, stages, func(s *site) {
		old := `{"schema":1,"seq":1,"time":"1999-12-31T23:00:00Z","run":"r","kind":"run_started","plan":{"name":"plan","files":[],"hosts":["one"],"steps":["x"]}}` + "\n" +
			`{"schema":1,"seq":2,"time":"1999-12-31T23:01:00Z","run":"r","host":"one","machine":"one","kind":"host_done","status":"failed"}` + "\n"
		if err := errors.Join(os.MkdirAll(filepath.Join(s.state, "runs"), 0o700), os.WriteFile(filepath.Join(s.state, "runs", "r.jsonl"), []byte(old), 0o600)); err != nil {
			t.Fatal(err)
		}
		_, err := s.prepare(session.Options{Run: "r"})
		isNotStarted(t, err, "the run r was made by an older esxiplan", "give the new one another name")
		_, err = s.prepare(session.Options{Resume: true})
		isUsage(t, err, "nothing to resume")
		_, err = s.prepare(session.Options{OnlyFailed: true})
		isUsage(t, err, "the run r was made by an older esxiplan", "start a new one")
		s.exits(s.run(session.Options{Run: "new"}), event.ExitFailed, map[event.Status]int{event.Changed: 2, event.Failed: 1})
	})
}

// TestAtOnce: two processes cannot continue one run, nor can one continue what another one
// continued since it looked.
func TestAtOnce(t *testing.T) {
	at(t, stages, func(s *site) {
		stale, err := s.prepare(session.Options{Run: "r"})
		if err != nil {
			t.Fatal(err)
		}
		first := make(chan ended)
		go func() { first <- s.run(session.Options{Run: "r"}) }()
		time.Sleep(500 * time.Millisecond) // its first steps take a second
		second := s.run(session.Options{Run: "r"})
		isNotStarted(t, second.err, "run r", "process")
		if p, err := s.prepare(session.Options{}); err != nil || p.Unfinished != nil {
			t.Errorf("a run that is under way is offered as unfinished: %+v, %v", p.Unfinished, err)
		}
		s.exits(<-first, event.ExitFailed, map[event.Status]int{event.Changed: 2, event.Failed: 1})
		before := story(s.records("r"))
		_, err = stale.Run(t.Context(), t.Context(), session.Outlets{})
		isUsage(t, err, "run r was continued by another process meanwhile", "start again")
		same(t, "after that", story(s.records("r")), before)
	})
}

// TestPrune: the log of an old run stays while a process is at work on the run, and while it
// can be resumed.
func TestPrune(t *testing.T) {
	at(t, `step "fake" "x" { do = ["stuck", "ok"] }`, func(s *site) {
		prune := func() session.Pruned {
			t.Helper()
			p, err := session.Prune(s.state, time.Now().Add(time.Hour), false)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		stopped := make(chan ended)
		go func() { stopped <- s.interrupted(session.Options{Run: "r"}, 10*time.Second) }()
		time.Sleep(time.Second)
		if p := prune(); len(p.Removed)+len(p.Resumable) > 0 {
			t.Errorf("a run that is under way: %+v", p)
		}
		<-stopped
		if p := prune(); len(p.Removed) > 0 || len(p.Resumable) != 1 || p.Resumable[0].Run != "r" {
			t.Errorf("a run that can be resumed: %+v", p)
		}
		if e := s.run(session.Options{Resume: true}); e.err != nil || e.Name != "r" {
			t.Fatalf("it is not resumed: %+v", e)
		}
		if p := prune(); len(p.Removed) != 1 || p.Removed[0].Run != "r" {
			t.Errorf("a run that ended: %+v", p)
		}
	})
}

// TestTracesOfNone: a dry run and a rehearsal leave no trace for other runs.
func TestTracesOfNone(t *testing.T) {
	at(t, stages, func(s *site) {
		e := s.run(session.Options{Run: "r", Options: survey.Options{DryRun: true}})
		if e.err != nil || len(e.events) == 0 {
			t.Errorf("%v, %d events", e.err, len(e.events))
		}
		if runs, err := log.List(s.state); err != nil || len(runs) != 0 {
			t.Errorf("a dry run made %v, %v", runs, err)
		}
		if p, err := s.prepare(session.Options{Run: "r"}); err != nil || p.Continues != nil {
			t.Errorf("a dry run is continued: %+v, %v", p.Continues, err)
		}
		stays := s.run(session.Options{Run: "r"})
		if e := s.run(session.Options{Apart: true}); e.err != nil || e.Continues != nil || e.Name == "r" {
			t.Errorf("a rehearsal continues %+v, %v", e.Continues, e.err)
		}
		s.exits(s.run(session.Options{Run: "r"}), stays.summary.Exit, stays.summary.Hosts)
	})
}

// TestNoWorld: if the doors cannot be opened, nothing was started, and there is no run.
func TestNoWorld(t *testing.T) {
	at(t, stages, func(s *site) {
		p, err := s.prepare(session.Options{Run: "r"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Run(t.Context(), t.Context(), session.Outlets{World: func(*log.Log) (session.World, error) { return nil, errors.New("the port is taken") }})
		isNotStarted(t, err, "the port is taken")
		if runs, err := log.List(s.state); err != nil || len(runs) != 0 {
			t.Errorf("runs: %+v, %v", runs, err)
		}
		if p, err := s.prepare(session.Options{Run: "r"}); err != nil || p.Continues != nil {
			t.Errorf("it would continue %+v, %v", p.Continues, err)
		}
	})
}

// TestDamagedLog: nothing is started if a log cannot be read.
func TestDamagedLog(t *testing.T) {
	at(t, stages, func(s *site) {
		s.run(session.Options{Run: "r"})
		b := s.log()
		b[len(b)/2] ^= 1
		if err := os.WriteFile(filepath.Join(s.state, "runs", "r.jsonl"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.prepare(session.Options{Run: "r"})
		isNotStarted(t, err, "is damaged at byte", "restore the file from a copy")
	})
}

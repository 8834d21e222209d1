package session_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/lane"
	"esxiplan/engine/local/localtest"
	"esxiplan/engine/log"
	"esxiplan/engine/session"
	"esxiplan/engine/survey"
)

// killed is the site as it is after a process that was killed when the log of the run r held
// these bytes: all attempts in the log took place.
func (s *site) killed(content []byte) *site {
	s.Helper()
	out := &site{s.T, s.lab, s.plan, s.TempDir()}
	name := filepath.Join(out.state, "runs", "r.jsonl")
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o600); err != nil {
		s.Fatal(err)
	}
	clear(s.lab.Attempts)
	for _, r := range out.records("r") {
		var o lane.Outcome
		if r.Kind == log.AttemptDone && json.Unmarshal(r.Outcome, &o) == nil && !o.Interrupted {
			s.lab.Attempts[localtest.Task{Host: r.Host, Step: r.Step}]++
		}
	}
	return out
}

// TestKilledAnywhere: whenever the process is killed, a run that is continued does all that
// it would have done, and its log holds what it would have held: each event of each host
// once, in its order.
func TestKilledAnywhere(t *testing.T) {
	for name, c := range map[string]struct {
		steps  string
		stages []session.Options // after which the log is cut; the last one is continued
	}{
		"retries, a failure, and what runs on it": {steps: `step "fake" "w" { do = ["retry", "ok"] }
step "fake" "x" { do = host.name == "two" ? ["retry", "final"] : ["ok"] }
step "fake_write" "y" {
  do    = ["write"]
  takes = step.w.text
}
step "fake" "f" {
  do     = ["ok"]
  run_on = "failure"
}
step "fake" "z" {
  do     = ["ok"]
  run_on = "always"
  when   = host.name != "three"
}`, stages: []session.Options{{}}},
		"gates": {steps: `step "fake" "w" {
  do       = ["ok"]
  throttle = 1
}
step "fake_write" "x" { do = ["write"] }
step "fake" "y" {
  do       = host.name == "one" ? ["final"] : ["ok"]
  on_error = "continue"
}
step "fake" "z" {
  do      = ["ok"]
  barrier = true
}`, stages: []session.Options{{}}},
		"in flight, and a budget": {steps: `step "fake_write" "x" { do = host.name == "one" ? ["final"] : ["write"] }
step "fake" "y" { do = ["ok"] }`, stages: []session.Options{{Options: survey.Options{InFlight: "1", MaxFailures: "0"}}}},
		"conditions that hold later": {steps: `step "fake" "x" {
  do    = ["ok"]
  until = result.value >= (host.name == "two" ? 4 : 2)
  delay = "50s"
}
step "fake" "y" {
  do       = ["ok"]
  throttle = 1
  until    = result.value >= 2
}`, stages: []session.Options{{}}},
		"stages":                       {steps: stages, stages: []session.Options{{Options: only("one")}, {Options: only("two")}}},
		"tried again":                  {steps: stages, stages: []session.Options{{Options: only("one")}, {Options: only("one"), RetryFailed: true}}},
		"tried again in another stage": {steps: stages, stages: []session.Options{{Options: only("one")}, {Options: only("two"), RetryFailed: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at(t, c.steps, func(s *site) { s.killAnywhere(c.stages) })
		})
	}
}

func (s *site) killAnywhere(stages []session.Options) {
	var whole ended
	begins := 0 // of the last stage, in the log
	for _, o := range stages {
		o.Run = "r"
		begins = len(s.log())
		whole = s.run(o)
	}
	if whole.err != nil {
		s.Fatal(whole.err)
	}
	content, want, done := s.log(), story(s.records("r")), maps.Clone(s.lab.Attempts)
	resume := stages[len(stages)-1]
	resume.Run = "r"
	for cut := begins; cut <= len(content); cut = nextLine(content, cut) {
		after := s.killed(content[:cut])
		asked := slices.ContainsFunc(after.records("r"), func(r log.Record) bool { return r.Kind == log.RetryAsked })
		again := resume
		again.RetryFailed = again.RetryFailed && !asked
		e := after.run(again)
		what := fmt.Sprintf("killed at byte %d, after %q", cut, lastLine(content[:cut]))
		if e.err != nil {
			s.Fatalf("%s: %v", what, e.err)
		}
		if e.summary.Exit != whole.summary.Exit || !maps.Equal(e.summary.Hosts, whole.summary.Hosts) {
			s.Errorf("%s: %+v, want %+v", what, e.summary, whole.summary)
		}
		same(s.T, what, story(after.records("r")), want)
		if !maps.Equal(s.lab.Attempts, done) {
			s.Errorf("%s: attempts %v, want %v", what, s.lab.Attempts, done)
		}
		if s.Failed() {
			return
		}
	}
}

func (s *site) log() []byte {
	b, err := os.ReadFile(filepath.Join(s.state, "runs", "r.jsonl"))
	if err != nil && !os.IsNotExist(err) {
		s.Fatal(err)
	}
	return b
}

// nextLine is where the next line ends, or behind the end.
func nextLine(b []byte, at int) int {
	if i := bytes.IndexByte(b[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(b) + 1
}

func lastLine(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\n"))
	return b[bytes.LastIndexByte(b, '\n')+1:]
}

// TestKilledAfterInterrupt: the same holds for a run that was stopped, continued, and killed.
func TestKilledAfterInterrupt(t *testing.T) {
	at(t, `step "fake" "x" { do = host.name == "two" ? ["late", "ok"] : ["stuck", "ok"] }
step "fake" "z" {
  do     = ["ok"]
  run_on = "always"
}`, func(s *site) {
		s.interrupted(session.Options{Run: "r"}, 10*time.Second)
		begins := len(s.log())
		whole := s.run(session.Options{Run: "r"})
		s.exits(whole, event.ExitFailed, map[event.Status]int{event.OK: 2, event.Failed: 1})
		content, want := s.log(), story(s.records("r"))
		for cut := begins; cut <= len(content); cut = nextLine(content, cut) {
			after := s.killed(content[:cut])
			for _, host := range []string{"one", "three"} { // the interrupted attempts took place as well
				after.lab.Attempts[localtest.Task{Host: host, Step: "x"}] = max(1, after.lab.Attempts[localtest.Task{Host: host, Step: "x"}])
			}
			e := after.run(session.Options{Run: "r"})
			what := fmt.Sprintf("killed at byte %d, after %q", cut, lastLine(content[:cut]))
			if e.err != nil || !maps.Equal(e.summary.Hosts, whole.summary.Hosts) {
				s.Fatalf("%s: %v, %+v", what, e.err, e.summary)
			}
			same(s.T, what, story(after.records("r")), want)
		}
	})
}

// TestWritesOfAKilledAttempt: a host at which a killed or interrupted attempt wrote is changed
// in the run that is continued, though no later attempt finds anything left to write.
func TestWritesOfAKilledAttempt(t *testing.T) {
	at(t, `step "fake_write" "y" { do = host.name == "one" ? ["write", "stuck", "ok"] : ["ok"] }`, func(s *site) {
		s.run(session.Options{Run: "r"})
		written := bytes.Index(s.log(), []byte(`"kind":"write"`))
		after := s.killed(s.log()[:nextLine(s.log(), written)])
		s.lab.Attempts[localtest.Task{Host: "one", Step: "y"}] = 1 // it was killed in the first one
		e := after.interrupted(session.Options{Run: "r"}, 10*time.Second)
		s.exits(e, event.ExitInterrupted, map[event.Status]int{event.OK: 2, event.NotRun: 1})
		e = after.run(session.Options{Run: "r"})
		s.exits(e, event.ExitOK, map[event.Status]int{event.Changed: 1, event.OK: 2})
		if n := s.attempts("one", "y"); n != 3 {
			t.Errorf("%d attempts, want 3", n)
		}
		for _, r := range after.records("r") {
			if r.Kind == event.StepDone && r.Host == "one" && r.Status != event.NotRun && r.Status != event.Changed {
				t.Errorf("step %s is %s", r.Step, r.Status)
			}
		}
		again := after.run(session.Options{Run: "r"}) // what its log holds gives the same
		s.exits(again, event.ExitOK, map[event.Status]int{event.Changed: 1, event.OK: 2})
	})
}

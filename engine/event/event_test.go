package event_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"

	"esxiplan/engine/event"
)

// TestSeconds: a length of time is a number of seconds with three decimals at the most,
// and is the same after it was written and read.
func TestSeconds(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		text string
	}{
		{0, "0"}, {time.Millisecond, "0.001"}, {1200 * time.Millisecond, "1.2"}, {44*time.Minute + 59*time.Second, "2699"},
		{-3 * time.Second, "-3"}, {300*24*time.Hour + 7*time.Millisecond, "25920000.007"},
	} {
		b, err := json.Marshal(event.Seconds(c.d))
		if err != nil || string(b) != c.text {
			t.Errorf("%s is written as %s, want %s (%v)", c.d, b, c.text, err)
		}
		var back event.Seconds
		if err := json.Unmarshal(b, &back); err != nil || time.Duration(back).Round(time.Microsecond) != c.d {
			t.Errorf("%s is read as %s (%v)", b, time.Duration(back), err)
		}
		if again, _ := json.Marshal(back); string(again) != c.text {
			t.Errorf("%s is written again as %s", c.text, again)
		}
	}
	if b, _ := json.Marshal(event.Seconds(1234567 * time.Nanosecond)); string(b) != "0.001" {
		t.Errorf("1.234567 ms is written as %s", b)
	}
	for _, bad := range []string{`"5s"`, `{}`, `true`} {
		var s event.Seconds
		if err := json.Unmarshal([]byte(bad), &s); err == nil {
			t.Errorf("%s is read as %s", bad, time.Duration(s))
		}
	}
	if b, _ := json.Marshal(event.Event{}); string(b) != `{"schema":0,"seq":0,"time":"0001-01-01T00:00:00Z","run":"","kind":""}` {
		t.Errorf("an event without a body is %s", b)
	}
}

// TestExitCode holds every combination of what a run can come to.
func TestExitCode(t *testing.T) {
	both := []bool{false, true}
	for _, interrupted := range both {
		for _, internal := range both {
			for _, budget := range both {
				for _, failed := range both {
					for _, unreachable := range both {
						s := summary(interrupted, internal, budget, failed, unreachable)
						if got, want := s.ExitCode(), exit(s); got != want {
							t.Errorf("%+v: exit %d, want %d", s, got, want)
						}
					}
				}
			}
		}
	}
	if code := new(event.Summary).ExitCode(); code != 0 {
		t.Errorf("a run without hosts: exit %d", code)
	}
}

func summary(interrupted, internal, budget, failed, unreachable bool) event.Summary {
	s := event.Summary{Hosts: map[event.Status]int{event.OK: 1, event.Changed: 1, event.Skipped: 1, event.Ignored: 1, event.NotRun: 1}, Interrupted: interrupted, Budget: budget}
	if internal {
		s.Internal = "the log cannot be written"
	}
	if failed {
		s.Hosts[event.Failed] = 2
	}
	if unreachable {
		s.Hosts[event.Unreachable] = 1
	}
	return s
}

// exit is the table of the README, the first row that applies.
func exit(s event.Summary) int {
	for _, row := range []struct {
		applies bool
		code    int
	}{
		{s.Interrupted, 130},
		{s.Internal != "", 70},
		{s.Budget, 8},
		{s.Hosts[event.Failed] > 0 && s.Hosts[event.Unreachable] > 0, 6},
		{s.Hosts[event.Unreachable] > 0, 4},
		{s.Hosts[event.Failed] > 0, 2},
	} {
		if row.applies {
			return row.code
		}
	}
	return 0
}

// TestFailure: two statuses are failures, an ignored failure is not one.
func TestFailure(t *testing.T) {
	for status, want := range map[event.Status]bool{
		event.OK: false, event.Changed: false, event.Skipped: false, event.Ignored: false, event.NotRun: false, "": false,
		event.Failed: true, event.Unreachable: true,
	} {
		if status.Failure() != want {
			t.Errorf("%q: failure %v", status, !want)
		}
	}
}

// TestCounts: each status counts in its own field; what was not run counts nowhere.
func TestCounts(t *testing.T) {
	for status, want := range map[event.Status]event.Counts{
		event.OK: {OK: 2}, event.Changed: {Changed: 2}, event.Skipped: {Skipped: 2}, event.Ignored: {Ignored: 2},
		event.Failed: {Failed: 2}, event.Unreachable: {Unreach: 2}, event.NotRun: {}, "": {},
	} {
		var c event.Counts
		c.Add(status)
		c.Add(status)
		if c != want {
			t.Errorf("twice %q counts %+v", status, c)
		}
	}
}

// TestFromDiagnostic: where the plan is at fault, the problem says at which place.
func TestFromDiagnostic(t *testing.T) {
	place := &hcl.Range{Filename: "rack7.hcl", Start: hcl.Pos{Line: 12, Column: 3}}
	for name, c := range map[string]struct {
		from hcl.Diagnostic
		want event.Problem
	}{
		"error":           {hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Unsuitable value", Detail: "must be bool, got string", Subject: place}, event.Problem{Summary: "Unsuitable value", Detail: "must be bool, got string", At: "rack7.hcl:12:3"}},
		"warning":         {hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Unused variable", Subject: place}, event.Problem{Summary: "Unused variable", At: "rack7.hcl:12:3", Warning: true}},
		"without place":   {hcl.Diagnostic{Severity: hcl.DiagError, Summary: "No plan"}, event.Problem{Summary: "No plan"}},
		"of a whole file": {hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Not text", Subject: &hcl.Range{Filename: "rack7.hcl"}}, event.Problem{Summary: "Not text"}},
	} {
		if got := event.FromDiagnostic(&c.from); !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, *got, c.want)
		}
	}
}

// TestChangeString: what a change reads like where nothing was, or will be.
func TestChangeString(t *testing.T) {
	for want, c := range map[string]event.Change{
		"insert slot 1: empty → http://a/b.iso": {Verb: event.Insert, Target: "slot 1", New: "http://a/b.iso"},
		"eject slot 1: http://a/b.iso → empty":  {Verb: event.Eject, Target: "slot 1", Old: "http://a/b.iso"},
		"reset power: On → ForceOff":            {Verb: event.Reset, Target: "power", Old: "On", New: "ForceOff"},
	} {
		if got := fmt.Sprint(c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

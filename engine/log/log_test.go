package log_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/log"
)

// hide is a masker that knows one word.
type hide string

func (h hide) Mask(text string) string          { return strings.ReplaceAll(text, string(h), "***") }
func (h hide) MaskResult(_, text string) string { return h.Mask(text) }
func (h hide) MaskState(_, text string) string  { return h.Mask(text) }

// Secrets are masked by value in all texts of an event.
func TestMasked(t *testing.T) {
	var shown event.Event
	j, err := log.Open(t.TempDir(), "run", log.Options{Show: func(e event.Event) { shown = e },
		Masker: hide("Secret")})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	evidence := []string{"Secret"}
	for name, e := range map[string]event.Event{
		"text":    {Kind: event.Warned, Text: "Secret"},
		"problem": {Kind: event.StepDone, Problem: &event.Problem{Summary: "Secret", Detail: "Secret", Next: "Secret"}},
		"verdict": {Kind: event.StepDone, Verdict: &event.Verdict{Reason: "Secret", Next: "Secret", Evidence: evidence}},
		"answer":  {Kind: event.StepDone, Problem: &event.Problem{Answer: &event.Answer{Request: "POST /Secret", Status: 400, Body: `{"error":"Secret"}`}}},
		"phase":   {Kind: event.Phased, Phase: &event.Entered{Evidence: "Secret", Model: "Secret"}},
		"open":    {Kind: event.StepDone, Verdict: &event.Verdict{Unchecked: []string{"Secret"}}},
		"command": {Kind: event.RunStarted, Plan: &event.PlanInfo{Note: "Secret", Commands: event.Commands{Continue: "run -e x=Secret", Resume: "Secret", Retry: "Secret", Show: "Secret", Eject: "Secret", PowerOn: "Secret"}}},
		"result":  {Kind: event.StepDone, Result: json.RawMessage(`{"a":["Secret"]}`)},
	} {
		if err := j.Note(e); err != nil {
			t.Fatal(err)
		}
		if b, _ := json.Marshal(shown); strings.Contains(string(b), "Secret") || !strings.Contains(string(b), "***") {
			t.Errorf("%s: %s", name, b)
		}
	}
	if evidence[0] != "Secret" {
		t.Error("what the step holds was changed")
	}
}

// A write that cannot be recorded is not made, and the run ends with 70.
func TestLogThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	j, err := log.Open(dir, "run", log.Options{})
	if err != nil {
		t.Fatal(err)
	}
	j.Close()
	if _, err := j.Append(event.Event{Kind: event.WriteMade, Host: "one", Write: &event.Change{Verb: event.Insert}}); err == nil {
		t.Error("a write to a closed log is durable")
	}
}

// A later process knows what an earlier one did; a last line cut short by a
// crash is no harm.
func TestHistory(t *testing.T) {
	dir := t.TempDir()
	j, err := log.Open(dir, "run1", log.Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	wipes := event.Intent{Boots: true, Installs: true}
	off := wipes
	off.Before = &event.Snapshot{Fingerprint: "aa"}
	for _, c := range []event.Change{
		{Verb: event.Insert, Target: "slot 1", New: "http://x/a.iso"}, {Verb: event.SetBoot, Target: "source", New: "cd"},
		{Verb: event.Reset, Target: "power", New: "ForceOff", Intent: off}, {Verb: event.Reset, Target: "power", New: "On", Intent: wipes},
	} {
		id, err := j.Append(event.Event{Kind: event.WriteMade, Host: "one", Step: "restart", Time: at, Write: &c})
		if err != nil || id == "" {
			t.Fatal(id, err)
		}
		if err := j.Later(event.Event{Kind: event.WriteDone, Host: "one", Step: "restart", Time: at, Settled: &event.Settled{Change: id, Fate: event.Done}}); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	f, _ := os.OpenFile(filepath.Join(dir, "runs", "run1.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	f.WriteString(`{"kind":"write","host":"one","write":{"action":"ins`)
	f.Close()

	later, err := log.Open(dir, "run2", log.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	h := later.History("one")
	last, ok := h.LastReset()
	if !ok || !last.Open || last.Run != "run1" || last.Before.Fingerprint != "aa" {
		t.Errorf("last reset: %+v", last)
	}
	if _, ok := h.Holds("http://x/a.iso"); !ok {
		t.Errorf("mounted: %v", h.Mounted())
	}
	if target, ok := h.BootSet(); ok {
		t.Errorf("the reset used up the override, but it reads %v", target)
	}
	if len(h.Made("restart")) != 0 {
		t.Error("writes of another run are not this step's")
	}
	later.Append(event.Event{Kind: event.StepDone, Host: "one", Status: event.OK, Verdict: &event.Verdict{Proven: true}})
	if last, _ := later.History("one").LastReset(); last.Open {
		t.Error("a proven installation leaves the reset open")
	}
}

// TestOldLogs: what version 0.1 wrote is understood: a proven installation is over, an
// open one is open, a refused write is not trusted, an eject has taken place.
func TestOldLogs(t *testing.T) {
	write := func(n int, write string) string {
		return fmt.Sprintf(`{"schema":1,"seq":%d,"run":"old","host":"one","machine":"one","step":"s","kind":"write","write":%s}`, n, write)
	}
	insert := write(1, `{"door":"bmc","action":"insert","target":"slot 1","old":"","new":"http://x/a.iso"}`)
	reset := write(2, `{"door":"bmc","action":"reset","target":"power","old":"Off","new":"On","risk":"wipes","boots":true}`)
	done := func(result string) string {
		return `{"schema":1,"seq":3,"run":"old","host":"one","machine":"one","step":"w","kind":"step_done","status":"ok","result":` + result + `}`
	}
	for name, c := range map[string]struct {
		lines   []string
		mounted int
		open    bool
	}{
		"under way":     {[]string{insert, reset}, 1, true},
		"proven":        {[]string{insert, reset, done(`{"proven":true,"goal":"esxi"}`)}, 1, false},
		"not proven":    {[]string{insert, reset, done(`{"proven":false,"goal":"esxi"}`)}, 1, true},
		"ejected":       {[]string{insert, write(4, `{"door":"bmc","action":"eject","target":"slot 1","old":"http://x/a.iso","new":""}`)}, 0, false},
		"reset refused": {[]string{insert, reset, write(5, `{"door":"bmc","action":"reset","target":"power","new":"On","boots":true,"refused":true}`)}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			os.MkdirAll(filepath.Join(dir, "runs"), 0o700)
			if err := os.WriteFile(filepath.Join(dir, "runs", "old.jsonl"), []byte(strings.Join(c.lines, "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			j, err := log.Dry(dir, "new", log.Options{})
			if err != nil {
				t.Fatal(err)
			}
			h := j.History("one")
			if _, open := h.Installing(); open != c.open || len(h.Mounted()) != c.mounted {
				t.Errorf("open %v, mounted %v", open, h.Mounted())
			}
			told, err := log.Tell(dir, "old")
			check(t, err)
			if proven := told.Whole.Proven(); proven != map[bool]int{true: 1}[name == "proven"] {
				t.Errorf("%d proven in what a report says", proven)
			}
		})
	}
}

// spellings are one BMC, as two plans may write it, and as a door names it.
var spellings = [][2]string{
	{"10.0.0.1", "https://10.0.0.1"}, {"10.0.0.1", "http://10.0.0.1"}, {"10.0.0.1", "HTTPS://10.0.0.1:443/"}, {"bmc.example", "https://BMC.example."}, {"fd00:0::a", "https://[fd00::a]"}, {"https://10.0.0.1:8443/", "10.0.0.1:8443"},
}

// TestLeftoverSessions are found by every spelling, also where the log of an earlier
// version has the plan's. A login of which no session was recorded is among them.
func TestLeftoverSessions(t *testing.T) {
	for _, pair := range spellings {
		state := t.TempDir()
		j, err := log.Open(state, "run1", log.Options{})
		if err != nil {
			t.Fatal(err)
		}
		asked := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		for _, id := range []string{"1", "2", "3", "4"} {
			if err := j.SessionAsked(pair[0], id, asked); err != nil {
				t.Fatal(err)
			}
			if id != "4" {
				j.SessionOpened(pair[0], id, "/"+id)
			}
		}
		j.SessionClosed(pair[1], "2")
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		later, err := log.Open(state, "run2", log.Options{})
		if err != nil {
			t.Fatal(err)
		}
		later.SessionClosed(pair[0], "1")
		left := later.Leftover(pair[1])
		if len(left) != 2 || left[0].ID != "3" || left[0].URI != "/3" || !left[0].Asked.Equal(asked) || left[1].ID != "4" || left[1].URI != "" {
			t.Errorf("%s left %v at %s", pair[0], left, pair[1])
		}
		later.Close()
	}
}

// TestLeftoverSessionsOfOldLogs: an earlier version recorded the URI only, which names
// the session in later logs, too.
func TestLeftoverSessionsOfOldLogs(t *testing.T) {
	state := t.TempDir()
	if err := os.MkdirAll(filepath.Join(state, "runs"), 0o700); err != nil {
		t.Fatal(err)
	}
	const old = `{"schema":1,"seq":1,"time":"2026-03-01T12:00:00Z","run":"a","host":"https://10.0.0.1","kind":"session_opened","session":"/1"}
{"schema":1,"seq":2,"time":"2026-03-01T12:00:00Z","run":"a","host":"https://10.0.0.1","kind":"session_opened","session":"/2"}
{"schema":1,"seq":3,"time":"2026-03-01T12:00:00Z","run":"a","host":"https://10.0.0.1","kind":"session_closed","session":"/1"}
`
	if err := os.WriteFile(filepath.Join(state, "runs", "a.jsonl"), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, run := range []string{"b", "c"} {
		j, err := log.Open(state, run, log.Options{})
		if err != nil {
			t.Fatal(err)
		}
		left := j.Leftover("https://10.0.0.1")
		if run == "b" && (len(left) != 1 || left[0].ID != "/2" || left[0].URI != "/2" || !left[0].Asked.IsZero()) || run == "c" && len(left) != 0 {
			t.Errorf("run %s: left %v", run, left)
		}
		j.SessionClosed("https://10.0.0.1", "/2")
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

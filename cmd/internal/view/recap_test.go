package view

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
)

// TestRecapInstalling: a machine that is being installed is called so, whatever was proven
// on it earlier in the run; one that was left powered off does not fold into others.
func TestRecapInstalling(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := newBoard()
	b.fold(event.Event{Kind: event.RunStarted, Time: began, Plan: &event.PlanInfo{Hosts: []string{"a"}, Of: 1, Continue: "esxiplan run p.hcl --start-at installed"}})
	b.fold(event.Event{Kind: event.StepDone, Host: "a", Status: event.Changed, Verdict: &event.Verdict{Proven: true, Version: "8.0.3"}})
	b.fold(event.Event{Kind: event.HostDone, Host: "a", Status: event.NotRun, Counts: &event.Counts{}, Left: &event.Left{Installing: began}})
	b.fold(event.Event{Kind: event.RunDone, Time: began.Add(time.Minute), Summary: &event.Summary{Hosts: map[event.Status]int{event.NotRun: 1}}})
	var out bytes.Buffer
	s := &Streams{Out: &out, Width: 120}
	b.recap(s, s.themeOf(false))
	for _, want := range []string{"being installed since", "Continue with: esxiplan run p.hcl --start-at installed\n", "1 host: 1 being installed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q:\n%s", want, out.String())
		}
	}
	left := row{left: event.Left{Off: true}}
	rows := []*row{&left}
	for range foldAbove {
		rows = append(rows, &row{})
	}
	if got := folded(rows); len(got) != 2 || got[0].more != 0 {
		t.Errorf("%d rows, the first stands for %d more", len(got), got[0].more)
	}
}

// TestNegativeSpan: while a clock is set back, lengths of time are not known.
func TestNegativeSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{-time.Millisecond: "?", -80000 * time.Hour: "?", 0: "0s", 90 * time.Second: "1m30s"} {
		if got := Span(d); got != want {
			t.Errorf("%v is shown as %q, not %q", d, got, want)
		}
	}
}

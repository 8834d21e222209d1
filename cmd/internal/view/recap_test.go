package view

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// TestRecapInstalling: a machine that is being installed is called so, whatever was proven
// on it earlier in the run; one that was left powered off does not fold into others.
func TestRecapInstalling(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var told story.Story
	for _, e := range []event.Event{
		{Kind: event.RunStarted, Time: began, Plan: &event.PlanInfo{Hosts: []string{"a"}, Of: 1, Commands: event.Commands{Continue: "esxiplan run p.hcl --start-at installed"}}},
		{Kind: event.StepDone, Host: "a", Status: event.Changed, Verdict: &event.Verdict{Proven: true, Version: "8.0.3"}},
		{Kind: event.HostDone, Host: "a", Status: event.NotRun, Counts: &event.Counts{}, Left: &event.Left{Installing: began}},
		{Kind: event.RunDone, Time: began.Add(time.Minute), Summary: &event.Summary{Hosts: map[event.Status]int{event.NotRun: 1}}},
	} {
		told.Event(e)
	}
	var out bytes.Buffer
	s := &Streams{Out: &out, OutWidth: 120}
	(&recap{&told, s, s.themeOf(false)}).write()
	for _, want := range []string{"being installed since", "Continue with: esxiplan run p.hcl --start-at installed\n", "1 host: 1 being installed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q:\n%s", want, out.String())
		}
	}
	rows := []row{{Host: &story.Host{Status: event.NotRun, Left: event.Left{Off: true}}}}
	for range foldAbove {
		rows = append(rows, row{Host: &story.Host{}})
	}
	if got := folded(rows, fineKey); len(got) != 2 || len(got[0].more) != 0 {
		t.Errorf("%d rows, the first stands for %d more", len(got), len(got[0].more))
	}
}

// TestFoldTroubles: hosts that failed for the same reason, each with its own address, stand in one row that
// names all of them; another reason is another row.
func TestFoldTroubles(t *testing.T) {
	host := func(name, why string) row {
		return row{name: name, Host: &story.Host{Name: name, Status: event.Failed, Steps: []*story.Step{{Name: "w", Status: event.Failed, Problem: &event.Problem{Summary: why}}}}}
	}
	got := folded([]row{host("a1", "no ESXi answers on 10.0.0.1"), host("a2", "no ESXi answers on 10.0.0.2"), host("a3", "the disk is gone")}, badKey)
	if len(got) != 2 || got[0].name != "a1 and 1 more" || got[0].more[0] != "a2" || got[1].name != "a3" {
		t.Errorf("%+v", got)
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

// TestEvidenceOfMany: of hosts that fold, the recap names the command that shows the evidence of one,
// and none where no log of the run is left.
func TestEvidenceOfMany(t *testing.T) {
	for show, want := range map[string]string{"esxiplan runs show r p.hcl --sim sim.json": "    See the evidence of a host with: esxiplan runs show r p.hcl --sim sim.json --host h1\n", "": ""} {
		var out bytes.Buffer
		s := &Streams{Out: &out, Width: 60}
		r := &recap{Story: &story.Story{Plan: event.PlanInfo{Commands: event.Commands{Show: show}}}, s: s, t: s.themeOf(false)}
		r.evidence(row{Host: &story.Host{Name: "h1", Proof: &event.Verdict{Proven: true, Version: "8.0.3", Build: "24022510"}}, more: []string{"h2"}})
		if got := out.String(); got != "    ESXi 8.0.3 build 24022510\n"+want {
			t.Errorf("with %q:\n%s", show, got)
		}
	}
}

package view

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// TestFoldPoweredOff: many machines that are left powered off are one paragraph, with one command
// that powers all of them on.
func TestFoldPoweredOff(t *testing.T) {
	recapOf := func(n int, asked bool) string {
		told := story.Story{}
		plan := &event.PlanInfo{Of: n, Commands: event.Commands{PowerOn: "esxiplan do power p.hcl action=on", Continue: "esxiplan run p.hcl --start-at installed"}}
		for i := range n {
			plan.Hosts = append(plan.Hosts, fmt.Sprint("h", i))
		}
		told.Event(event.Event{Kind: event.RunStarted, Plan: plan})
		for _, host := range plan.Hosts {
			left := event.Left{Off: true}
			if asked {
				left.Installing = time.Unix(1, 0)
			}
			told.Event(event.Event{Kind: event.HostDone, Host: host, Status: event.NotRun, Counts: &event.Counts{}, Left: &left})
		}
		told.Event(event.Event{Kind: event.RunDone, Summary: &event.Summary{Interrupted: true}})
		var out bytes.Buffer
		s := &Streams{Out: &out}
		(&recap{&told, s, s.themeOf(false)}).write()
		return out.String()
	}
	for _, c := range []struct {
		hosts int
		asked bool
		want  string
	}{
		{1, false, "h0 was powered off for its restart and is not on again; run the same command again to start it, or power it on (esxiplan do power p.hcl action=on --limit h0)\n"},
		{3, false, "h2 was powered off for its restart"},
		{4, false, "4 hosts were powered off for their restart and are not on again: h0, h1, h2, h3; run the same command again to start them, or power them on (esxiplan do power p.hcl action=on --limit h0,h1,h2,h3)\n"},
		{4, true, "4 hosts were powered off for their restart and are not on again: h0, h1, h2, h3; the BMCs were asked to start them; wait for them (the command below), which starts them once more if need be\n"},
	} {
		if got := recapOf(c.hosts, c.asked); !strings.Contains(got, c.want) || c.hosts > mostLines && strings.Count(got, "powered off for") != 1 {
			t.Errorf("%d hosts: want %q:\n%s", c.hosts, c.want, got)
		}
	}
}

// TestExpected: what is due within moments is expected now, and a spread is given where there is one.
func TestExpected(t *testing.T) {
	of := func(runs int, low, median, high time.Duration) string {
		return expected(event.Event{Phase: &event.Entered{Expected: &event.Expected{Runs: runs, Low: event.Seconds(low), Median: event.Seconds(median), High: event.Seconds(high)}}})
	}
	for got, want := range map[string]string{
		of(2, 80*time.Millisecond, 130*time.Millisecond, 180*time.Millisecond): ", proof expected now",
		of(4, 19*time.Minute, 23*time.Minute, 26*time.Minute):                  ", proof expected in 23m00s (19m00s to 26m00s in 4 earlier installations)",
		of(2, 23*time.Minute, 23*time.Minute, 23*time.Minute):                  ", proof expected in 23m00s (as in 2 earlier installations)",
		of(1, 23*time.Minute, 23*time.Minute, 23*time.Minute):                  ", proof expected in 23m00s",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	late := event.Event{Time: time.Unix(1000, 0), Phase: &event.Entered{Since: time.Unix(400, 0), Expected: &event.Expected{Runs: 1, Median: event.Seconds(23 * time.Minute)}}}
	if got := expected(late); got != ", proof expected in 13m00s" {
		t.Errorf("seen ten minutes ago: %q", got)
	}
}

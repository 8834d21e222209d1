package view

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// heard is what a heart wrote while a test does something else.
type heard struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (h *heard) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(b)
}

// take is what was written since the last time.
func (h *heard) take() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.text.Reset()
	return h.text.String()
}

// TestHeart: a run says how it stands once a minute of real time, from its start to its end.
func TestHeart(t *testing.T) {
	for _, format := range []string{"plain", "dense", "github"} {
		synctest.Test(t, func(t *testing.T) {
			var out heard
			s := &Streams{Out: &out, Err: &out}
			v, err := New(format, s)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Hour) // nothing has begun
			events := fleetUnderWay(time.Local, 60)
			shift := time.Since(events[0].Time) // the tape is played at once
			for _, e := range events {
				e.Time = e.Time.Add(shift)
				v.Event(e)
			}
			out.take()
			time.Sleep(3*time.Minute + time.Second)
			synctest.Wait()
			text := out.take()
			lines := strings.Split(strings.TrimSpace(text), "\n")
			const want = " after 1m00s: 16 of 60 installing, slowest: h0001 (in POST, "
			if len(lines) != 3 || !strings.Contains(lines[0], want) || !strings.HasSuffix(lines[2], ", 2 at work, 2 unproven, 2 unreachable, 8 proven, 30 waiting") {
				t.Errorf("%s: want three lines with %q:\n%s", format, want, text)
			}
			v.Event(event.Event{Kind: event.RunDone, Time: time.Now(), Summary: &event.Summary{}})
			out.take()
			time.Sleep(time.Hour)
			if text := out.take(); text != "" {
				t.Errorf("%s, after the end: %s", format, text)
			}
			v.Close() // a heart that beats on keeps the test from ending
		})
	}
}

// TestHeartStops: a view that is closed without the end of its run falls silent, too.
func TestHeartStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out heard
		v, _ := New("plain", &Streams{Out: &out, Err: &out})
		v.Event(event.Event{Kind: event.RunStarted, Time: time.Now(), Plan: &event.PlanInfo{Hosts: []string{"a"}}})
		v.Close()
		out.take()
		time.Sleep(time.Hour)
		if text := out.take(); text != "" {
			t.Error(text)
		}
	})
}

// underWayAfterProof is a run in which all steps of the installation are over and no host has come to
// its end: a is in a step after its proof, the plan ignored that b was given up, and c waits for its
// turn.
func underWayAfterProof(zone *time.Location) []event.Event {
	t := newTape(zone)
	t.begin(event.PlanInfo{Hosts: []string{"a", "b", "c"}})
	for _, host := range []string{"a", "b", "c"} {
		t.phased(host, event.PhaseReading, "127.0.0.1 read 241.0 MB of the image", earlierRuns)
	}
	t.done("a", "installed", 8*time.Minute, event.Event{Status: event.Changed, Verdict: proven})
	t.done("b", "installed", time.Minute, event.Event{Status: event.Ignored, Verdict: &event.Verdict{Seeks: true}, Problem: &event.Problem{Summary: "Gave up after 10 minutes"}})
	t.done("c", "installed", time.Minute, event.Event{Status: event.Changed, Verdict: proven})
	for _, host := range []string{"a", "b"} {
		t.add(time.Second, event.Event{Kind: event.StepStarted, Host: host, Step: "burn_in", Attempt: 1})
	}
	return t.events
}

// TestAtWorkAfterProof: a host that has not come to its end is at work, whatever is proven or given
// up; only its end counts for how much of the run is over.
func TestAtWorkAfterProof(t *testing.T) {
	events := underWayAfterProof(time.Local)
	frame := drawn(events, Streams{}, look{}, 80, 24)
	for _, want := range []string{"✓ a     burn_in", "✗ b     burn_in", "  0 % of 3 hosts", "3 at work (2 proven)"} {
		if !strings.Contains(frame, want) {
			t.Errorf("want %q:\n%s", want, frame)
		}
	}
	if strings.Contains(frame, "reading the image") || strings.Contains(frame, "overdue") {
		t.Errorf("an installation that is over is shown:\n%s", frame)
	}
	p := newPlain(&Streams{}, false)
	for _, e := range events {
		p.fold(clean(e))
	}
	if got, want := pulse(&p.story, p.story.Latest), "2 of 3 at work (1 proven), slowest: b (burn_in, 0s), 1 waiting"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestSlowest: the slowest host is the one in the earliest phase, of several the one that is in it for
// longest; when a host began does not matter.
func TestSlowest(t *testing.T) {
	tape := newTape(time.Local)
	tape.begin(event.PlanInfo{Hosts: []string{"a", "b", "c"}})
	tape.phased("a", event.PhaseReading, "", nil)
	tape.phased("b", event.PhasePost, "", nil)
	tape.phased("c", event.PhasePost, "", nil)
	slowest := func() string {
		s := &story.Story{}
		for _, e := range tape.events {
			s.Event(e)
		}
		_, name, _ := strings.Cut(pulse(s, s.Latest), "slowest: ")
		return name[:1]
	}
	if got := slowest(); got != "b" {
		t.Errorf("slowest: %s, and b is in POST for longest", got)
	}
	tape.add(time.Minute, event.Event{Kind: event.Phased, Host: "b", Step: "installed", Phase: &event.Entered{Phase: event.PhaseReading}})
	if got := slowest(); got != "c" {
		t.Errorf("slowest: %s, and c alone is in POST", got)
	}
	tape.done("c", "installed", time.Minute, event.Event{Status: event.Changed, Verdict: proven})
	tape.add(time.Second, event.Event{Kind: event.StepStarted, Host: "c", Step: "burn_in", Attempt: 1})
	if got := slowest(); got != "a" {
		t.Errorf("slowest: %s, and a reads its image for longest", got)
	}
}

// TestPulse: what is counted, at several moments of runs.
func TestPulse(t *testing.T) {
	for _, run := range stories(time.Local)[:1] {
		p := newPlain(&Streams{}, false)
		for _, e := range run.events {
			p.fold(clean(e))
		}
		if got, want := pulse(&p.story, p.story.Latest), "0 of 6 at work, 1 failed, 1 unreachable, 1 proven, 1 ok, 1 skipped, 1 not started"; got != strings.Replace(want, "1 failed", "1 unproven", 1) {
			t.Errorf("%s", got)
		}
	}
}

// TestInstallsAfterItWasGivenUp: a phase that is reported again after a wait was given up shows that
// the installation is under way, though another process saw it enter before that.
func TestInstallsAfterItWasGivenUp(t *testing.T) {
	run := newTape(time.Local)
	run.begin(event.PlanInfo{Hosts: []string{"a"}})
	run.phased("a", event.PhaseReading, "127.0.0.1 read 241.0 MB of the image", earlierRuns)
	entered := run.events[len(run.events)-1].Time
	run.done("a", "installed", time.Minute, event.Event{Status: event.Ignored, Verdict: &event.Verdict{Seeks: true}, Problem: &event.Problem{Summary: "Gave up after 10 minutes"}})
	run.add(time.Second, event.Event{Kind: event.StepStarted, Host: "a", Step: "installed_again", Attempt: 1})
	if frame := drawn(run.events, Streams{}, look{}, 80, 24); strings.Contains(frame, "1 installing") {
		t.Errorf("it was given up:\n%s", frame)
	}
	run.add(time.Second, event.Event{Kind: event.Phased, Host: "a", Step: "installed_again", Phase: &event.Entered{Phase: event.PhaseReading, Since: entered, Evidence: "seen before"}})
	if frame := drawn(run.events, Streams{}, look{}, 80, 24); !strings.Contains(frame, "1 installing") {
		t.Errorf("it is under way:\n%s", frame)
	}
}

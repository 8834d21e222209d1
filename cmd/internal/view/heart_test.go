package view

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"esxiplan/engine/event"
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
			const want = " after 1m00s: 16 of 60 installing, slowest: h0000 (reading the image, 62 %, 4.2 MB/s, "
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

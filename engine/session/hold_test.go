package session_test

import (
	"context"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/log"
	"esxiplan/engine/session"
	"esxiplan/engine/survey"
)

// held is a process to which somebody says after a time that no further host is to begin.
func (s *site) held(o session.Options, after time.Duration) (out ended) {
	s.Helper()
	p, err := s.prepare(o)
	if err != nil {
		return ended{err: err}
	}
	hold := make(chan struct{})
	defer time.AfterFunc(after, func() { close(hold) }).Stop()
	out = ended{Prepared: p}
	out.summary, out.err = p.Run(context.Background(), context.Background(), session.Outlets{
		World: func(*log.Log) (session.World, error) { return world{s.lab, p.Survey}, nil }, Hold: hold})
	time.Sleep(time.Minute)
	return out
}

// TestHold: hosts that have begun to write run to their end, and no further one begins; the run
// is continued where it stood.
func TestHold(t *testing.T) {
	at(t, `step "fake_write" "x" { do = ["write"] }
step "fake" "y" { do = ["ok"] }`, func(s *site) {
		one := survey.Options{InFlight: "1"}
		s.exits(s.held(session.Options{Run: "r", Options: one}, 1500*time.Millisecond), event.ExitInterrupted, map[event.Status]int{event.Changed: 1, event.NotRun: 2})
		if s.attempts("one", "y") != 1 || s.attempts("two", "x")+s.attempts("three", "x") != 0 {
			t.Errorf("attempts %v", s.lab.Attempts)
		}
		s.exits(s.run(session.Options{Resume: true}), event.ExitOK, map[event.Status]int{event.Changed: 3})
		if s.attempts("one", "x") != 1 || s.attempts("two", "x") != 1 {
			t.Errorf("attempts %v", s.lab.Attempts)
		}
	})
}

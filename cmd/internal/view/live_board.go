package view

import (
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// board keeps count of a story, so that a frame needs no look at every host: what an event
// changes is counted as it comes.
type board struct {
	story      *story.Story
	seats      map[string]*seat
	running    []*seat // in the order in which they began; those that ended are taken out now and then
	troubles   []*seat // in the order in which they failed
	counts     map[story.Standing]int
	installing int
	widest     int // name of a step with its type
}

// seat is what the board knows of a host.
type seat struct {
	*story.Host
	standing   story.Standing
	installing bool
	listed     bool      // in running
	counted    bool      // in troubles
	idle       time.Time // since when it is in no step, in real time; zero: it is in one
}

func newBoard(s *story.Story) *board {
	return &board{story: s, seats: map[string]*seat{}, counts: map[story.Standing]int{}}
}

// follow takes in what an event that the story has changed. The time is real.
func (b *board) follow(e event.Event, real time.Time) {
	if e.Kind == event.RunStarted {
		for _, h := range b.story.Hosts {
			b.judge(b.seat(h), real)
		}
	}
	if h := b.story.Host(e.Host); h != nil {
		b.judge(b.seat(h), real)
		if e.Kind == event.StepStarted {
			b.widest = max(b.widest, ansi.StringWidth(stepName(e.Step, e.Type)))
		}
	}
}

func (b *board) seat(h *story.Host) *seat {
	s := b.seats[h.Name]
	if s == nil {
		s = &seat{Host: h}
		b.seats[h.Name] = s
	}
	return s
}

// judge counts a host again.
func (b *board) judge(s *seat, real time.Time) {
	now := tally(s.Host)
	if now != s.standing {
		if s.standing != "" {
			b.counts[s.standing]--
		}
		b.counts[now]++
		s.standing = now
		b.list(s)
	}
	if installing := now == story.Running && installs(s.Host); installing != s.installing {
		s.installing = installing
		b.installing += map[bool]int{true: 1, false: -1}[installing]
	}
	switch in := s.Step() != nil; {
	case in:
		s.idle = time.Time{}
	case s.idle.IsZero():
		s.idle = real
	}
}

// list puts a host among those that are shown.
func (b *board) list(s *seat) {
	switch {
	case s.standing == story.Running && !s.listed:
		b.running, s.listed = append(b.tidied(), s), true
	case troubled(s.standing) && !s.counted:
		b.troubles, s.counted = append(b.troubles, s), true
	}
}

// tidied takes those out of running that have ended, once these are more than half.
func (b *board) tidied() []*seat {
	if len(b.running) < 2*b.counts[story.Running]+64 {
		return b.running
	}
	var kept []*seat
	for _, s := range b.running {
		if s.listed = s.standing == story.Running; s.listed {
			kept = append(kept, s)
		}
	}
	return kept
}

// moment is how long a host that is between two steps keeps its row, in real time.
const moment = 2 * time.Second

// rows are the hosts in trouble, then those at work, each in the order in which it came to that,
// and how many wait between two steps.
func (b *board) rows(real time.Time) (failed, working []*seat, waiting int) {
	for _, s := range b.troubles {
		if troubled(s.standing) {
			failed = append(failed, s)
		}
	}
	for _, s := range b.running {
		switch {
		case s.standing != story.Running:
		case !s.idle.IsZero() && real.Sub(s.idle) > moment:
			waiting++
		default:
			working = append(working, s)
		}
	}
	return failed, working, waiting
}

// matching are the hosts of the run in which a text occurs, those in trouble apart, in plan order.
func (b *board) matching(text string, now time.Time) (failed, others []*seat) {
	text = strings.ToLower(text)
	for _, h := range b.story.Hosts {
		switch s := b.seat(h); {
		case !strings.Contains(strings.ToLower(s.searched(now)), text):
		case troubled(s.standing):
			failed = append(failed, s)
		default:
			others = append(others, s)
		}
	}
	return failed, others
}

// searched is what a filter looks into.
func (s *seat) searched(now time.Time) string {
	words := []string{s.Name, s.Group, s.Machine, string(s.standing), s.Text}
	if s.standing == story.Running {
		at := placeOf(s.Host, now)
		words = append(words, at.step, at.what, at.shows)
	}
	if s.provenAtWork() {
		words = append(words, string(story.Proven))
	}
	if f := s.trouble(); f != nil {
		words = append(words, f.Name, f.Type, f.Problem.Summary)
	}
	return strings.Join(words, "\n")
}

// trouble is the step in which the host failed, or which waited in vain for a proof though the plan
// ignores that; nil: none did.
func (s *seat) trouble() *story.Step {
	if f := s.Failed(); f != nil {
		return f
	}
	if s.standing != story.Unproven {
		return nil
	}
	return s.GaveUp()
}

// provenAtWork reports a host whose installation is proven, and which has not come to its end.
func (s *seat) provenAtWork() bool { return s.standing == story.Running && s.Proof != nil }

// ended is how many hosts have come to their end.
func (b *board) ended() int {
	return len(b.story.Hosts) - b.counts[story.Running] - b.counts[queued]
}

package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// Options are what all targets of a run share.
type Options struct {
	Plan      string
	Simulated bool                // the machines are simulated ones
	Mask      func(string) string // takes secrets out of a text
}

// Sink sends messages about one run to its targets.
type Sink struct {
	senders []*sender
	story   story.Story
	work    sync.WaitGroup
	cancel  context.CancelFunc
}

// New starts to wait for events. Nothing is sent before a run starts.
func New(targets []Target, o Options) *Sink {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Sink{cancel: cancel}
	for _, t := range targets {
		sender := newSender(t, o)
		s.senders = append(s.senders, sender)
		s.work.Go(func() { sender.run(ctx) })
	}
	return s
}

// Event takes in an event of the run. It never waits for a target.
func (s *Sink) Event(e event.Event) {
	s.story.Event(e)
	switch e.Kind {
	case event.RunStarted, event.StepDone, event.HostDone, event.RunDone:
		for _, sender := range s.senders {
			sender.take(e, &s.story)
		}
	}
}

// Earlier takes in what happened before the run was continued: it counts in what is
// said at the end, and nothing is sent for it.
func (s *Sink) Earlier(e event.Event) { s.story.Event(e) }

// Close sends what is left, as long as ctx lasts, and says what of the whole run was not
// delivered, one line for each target. The run is over then: no event may follow.
func (s *Sink) Close(ctx context.Context) (undelivered []string) {
	for _, sender := range s.senders {
		close(sender.closing)
	}
	done := make(chan struct{})
	go func() {
		s.work.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.cancel()
		<-done
	}
	s.cancel()
	for _, sender := range s.senders {
		undelivered = append(undelivered, sender.report()...)
	}
	return undelivered
}

// sender sends to one target.
type sender struct {
	*client
	wake    chan struct{}
	closing chan struct{}
	lost    []string // kinds of messages that were not delivered
	why     error    // the last one was not
	garbled error    // of the template

	mu    sync.Mutex
	inbox *inbox
}

func newSender(t Target, o Options) *sender {
	return &sender{client: newClient(t, o.Mask), inbox: newInbox(t.On, o), wake: make(chan struct{}, 1), closing: make(chan struct{})}
}

// take folds an event, and wakes the goroutine that sends. That one cleans and escapes its
// messages in place, so nothing of the story, or of another sender's messages, may be in them.
func (s *sender) take(e event.Event, of *story.Story) {
	s.mu.Lock()
	s.inbox.take(e, of, time.Now())
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // it was woken already
	}
}

func (s *sender) next() (Message, time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inbox.next(time.Now(), s.hurries())
}

// hurries reports that the run is over.
func (s *sender) hurries() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// run sends until the run is over and everything was sent, or ctx ends.
func (s *sender) run(ctx context.Context) {
	defer s.close()
	for {
		hurries := s.hurries() // before it is looked what is left: what came before the end is there then
		m, wait, due := s.next()
		switch {
		case due:
			s.deliver(ctx, m)
		case hurries:
			return
		default:
			s.sleep(ctx, wait)
		}
	}
}

// sleep waits for an event or the end of the run, and where it is above 0 for a time.
func (s *sender) sleep(ctx context.Context, wait time.Duration) {
	var over <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-s.wake:
	case <-over:
	case <-s.closing:
	case <-ctx.Done():
	}
}

// deliver sends a message until it is taken, refused for good, or too old.
func (s *sender) deliver(ctx context.Context, m Message) {
	body, err := s.target.body(m, s.mask)
	if err != nil {
		s.garbled = err
	}
	ctx, cancel := context.WithTimeout(ctx, deliverFor)
	defer cancel()
	why := s.why // where there is no time for an attempt, the error of an earlier one says more
	for attempt := 1; ctx.Err() == nil; attempt++ {
		err := s.try(ctx, m.ID, body)
		if err == nil {
			return
		}
		if why = err; final(err) || !s.pause(ctx, pause(attempt, err)) {
			break
		}
	}
	s.lost, s.why = append(s.lost, m.Kind), cmp.Or(why, errNoTime)
}

// errNoTime is why a message was not even tried to be sent.
var errNoTime = errors.New("the run ended before it could be sent")

// lastPause is between attempts once the run is over.
const lastPause = time.Second

// pause waits before the next attempt; false: there is no time for one. The end of the run
// cuts the first pause short.
func (s *sender) pause(ctx context.Context, d time.Duration) bool {
	closing := s.closing
	if s.hurries() {
		closing, d = nil, min(d, lastPause)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-closing:
		return true
	case <-ctx.Done():
		return false
	}
}

// report says what was not delivered, and whether the template failed.
func (s *sender) report() (lines []string) {
	if len(s.lost) > 0 {
		lines = append(lines, fmt.Sprintf("notify %q: %s not delivered (%s): %s", s.target.Name, event.Count(len(s.lost), "message"), strings.Join(s.lost, ", "), s.mask(s.why.Error())))
	}
	if s.garbled != nil {
		lines = append(lines, fmt.Sprintf("notify %q: the built-in text was sent, because the %s", s.target.Name, s.mask(s.garbled.Error())))
	}
	return lines
}

// SendTest sends a test message to a target, once, and returns why it was not taken.
func SendTest(ctx context.Context, t Target, o Options) error {
	c := newClient(t, o.Mask)
	defer c.close()
	now := time.Now()
	m := newInbox(nil, o).make(Test, failures{}, now)
	body, err := t.body(m, o.Mask)
	if err != nil {
		return err
	}
	return c.try(ctx, m.ID, body)
}

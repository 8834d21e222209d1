package notify

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// What bounds how much is sent: failures are gathered before the first message that names
// one, and between two such messages.
const (
	gather     = 5 * time.Second
	between    = time.Minute
	mostListed = 50 // failed hosts in one message
)

// inbox folds the events of a run into what is still to be sent to one target. It keeps no
// queue: whatever happens, there is at most one message of each kind to send. It is pure; its
// owner locks it.
type inbox struct {
	on      []string
	started bool // a message about the start is due

	message Message // what all messages of the run have in common
	sent    int     // messages that were taken out

	known    map[string]bool // hosts whose failure is known
	pending  failures        // not sent yet
	first    time.Time
	lastSent time.Time // when failures were sent last
	ended    *ending
}

// ending is how the run ended.
type ending struct {
	result *Result
	failed failures // all of them, also those of earlier calls
}

// failures are hosts that failed: the first ones, and how many more.
type failures struct {
	hosts []FailedHost
	more  int
}

func (f *failures) add(h FailedHost) {
	if len(f.hosts) < mostListed {
		f.hosts = append(f.hosts, h)
		return
	}
	f.more++
}

func newInbox(on []string, o Options) *inbox {
	return &inbox{on: on, message: Message{Schema: Schema, Plan: o.Plan, Simulated: o.Simulated, Failures: []FailedHost{}},
		known: map[string]bool{}}
}

func (b *inbox) wants(kind string) bool { return slices.Contains(b.on, kind) }

// take folds an event that the story of the run has already. now is the time of this process,
// which is not that of a simulated run.
func (b *inbox) take(e event.Event, of *story.Story, now time.Time) {
	switch {
	case e.Kind == event.RunStarted && e.Plan != nil:
		b.message.Run, b.message.Hosts, b.message.Continued = e.Run, len(e.Plan.Hosts), e.Plan.Continued
		b.started = b.wants(Start)
	case (e.Kind == event.StepDone || e.Kind == event.HostDone) && e.Status.Failure():
		b.fail(of.Host(e.Host), now)
	case e.Kind == event.RunDone && e.Summary != nil && b.wants(End):
		b.ended = &ending{resultOf(of), failuresOf(of)}
	}
}

// fail takes in the first failure of a host: what follows from it is no news.
func (b *inbox) fail(h *story.Host, now time.Time) {
	if h == nil || b.known[h.Name] || !b.wants(Failure) {
		return
	}
	b.known[h.Name] = true
	if len(b.pending.hosts) == 0 {
		b.first = now
	}
	b.pending.add(failedHost(h))
}

// next takes out the message that is due. Else wait says when to ask again, 0 where nothing
// is pending. hurry: nothing more will come.
func (b *inbox) next(now time.Time, hurry bool) (m Message, wait time.Duration, ok bool) {
	switch {
	case b.started:
		b.started = false
		return b.make(Start, failures{}, now), 0, true
	case len(b.pending.hosts) > 0:
		due := b.first.Add(gather)
		if again := b.lastSent.Add(between); again.After(due) && !b.lastSent.IsZero() {
			due = again
		}
		if wait := due.Sub(now); wait > 0 && !hurry && b.ended == nil {
			return m, wait, false
		}
		m = b.make(Failure, b.pending, now)
		b.pending, b.lastSent = failures{}, now
		return m, 0, true
	case b.ended != nil:
		m = b.make(End, b.ended.failed, now)
		m.Result, b.ended = b.ended.result, nil
		return m, 0, true
	}
	return m, 0, false
}

// make fills in a message.
func (b *inbox) make(kind string, f failures, now time.Time) Message {
	b.sent++
	m := b.message
	m.Kind, m.Time, m.More = kind, stamp(now), f.more
	m.ID = fmt.Sprintf("%s/%s/%d", cmp.Or(m.Run, kind), now.UTC().Format("20060102T150405.000"), b.sent)
	m.Failures = append([]FailedHost{}, f.hosts...)
	return m
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

package log

import (
	"sync"

	"esxiplan/engine/event"
)

// order shows events in the order of their numbers. One that must be on disk first holds back
// those after it for that long.
type order struct {
	show func(event.Event)

	mu      sync.Mutex
	changed sync.Cond
	queue   []*seat
	busy    bool // somebody shows the head of the queue
}

// seat is that of an event in the queue.
type seat struct {
	e             event.Event
	given, passed bool // it may be shown; it was, or will not be
	dropped       bool
}

func newOrder(show func(event.Event)) *order {
	o := &order{show: show}
	o.changed.L = &o.mu
	return o
}

// take takes the place of the next event; give or drop must follow. Whoever numbers events
// calls it before the next number is given.
func (o *order) take() *seat {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := &seat{}
	o.queue = append(o.queue, p)
	return p
}

// give shows an event, as soon as those before it were. It returns when that is done, so that
// whoever works does not run ahead of a slow terminal, or when another one has to end first.
func (o *order) give(p *seat, e event.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p.e, p.given = e, true
	o.pass(p)
}

// drop gives up a place.
func (o *order) drop(p *seat) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p.given, p.dropped = true, true
	o.pass(p)
}

// pass shows what is at the head of the queue, at least up to a place.
func (o *order) pass(p *seat) {
	for len(o.queue) > 0 && o.queue[0].given {
		if o.busy {
			if p.passed {
				return
			}
			o.changed.Wait()
			continue
		}
		o.head()
	}
}

// head shows the first of the queue, and lets others take places meanwhile.
func (o *order) head() {
	first := o.queue[0]
	if !first.dropped {
		o.busy = true
		o.mu.Unlock()
		o.show(first.e)
		o.mu.Lock()
		o.busy = false
	}
	first.passed, o.queue = true, o.queue[1:]
	o.changed.Broadcast()
}

// end waits until what was given is shown.
func (o *order) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.busy || len(o.queue) > 0 && o.queue[0].given {
		o.changed.Wait()
	}
}

package engine

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Driver is the local driver: a goroutine per attempt, a clock, a bound on how
// many hosts do something at once.
type Driver struct {
	Machine *Machine
	Worker  *Worker
	Forks   int
}

type folded struct {
	id      TaskID
	outcome Outcome
}

// Run runs the machine to its end. When ctx ends, attempts under way are
// cancelled, steps with run_on = "always" still run, and sessions are closed;
// when hard ends, too, nothing is waited for any more.
func (d *Driver) Run(ctx, hard context.Context) (Summary, error) {
	r := &localRun{Driver: d, ctx: ctx, hard: hard, slots: make(chan struct{}, max(1, d.Forks)), done: make(chan folded, len(d.Machine.lanes))}
	events, actions := d.Machine.Start(d.Worker.Journal.History)
	r.handle(events, actions)
	interrupted := ctx.Done()
	for {
		_, over := d.Machine.Done()
		if over && r.busy == 0 {
			break
		}
		if r.busy == 0 {
			return r.end(errors.New("no host can go on, and none is at its end; this is a bug in esxiplan"))
		}
		select {
		case f := <-r.done:
			r.busy--
			r.handle(d.Machine.Fold(f.id, f.outcome))
		case <-interrupted:
			interrupted = nil
			r.handle(d.Machine.Interrupt())
		case <-hard.Done():
			for _, e := range d.Machine.Abandon() { // sessions are left to the next run
				r.note(e)
			}
			return r.end(nil)
		}
	}
	r.closing.Wait()
	return r.end(r.err)
}

// end sums up. What is still under way is left to its own end.
func (r *localRun) end(err error) (Summary, error) {
	s, _ := r.Machine.Done()
	if s.Internal == "" && err != nil {
		s.Internal = err.Error()
	}
	s.Exit = s.exit()
	return s, err
}

type localRun struct {
	*Driver
	ctx, hard context.Context
	slots     chan struct{}
	done      chan folded
	busy      int
	closing   sync.WaitGroup
	err       error // of the journal
}

// handle journals and shows events, and starts actions.
func (r *localRun) handle(events []Event, actions []Action) {
	for _, e := range events {
		e.Time = r.Worker.Clock.Now()
		if e.Kind == Progressed { // shown, not kept
			r.Worker.Journal.Show(e)
			continue
		}
		r.note(e)
		if e.Kind == HostDone {
			r.close(e.Host)
		}
	}
	for _, a := range actions {
		r.busy++
		go r.act(a)
	}
}

// note journals and shows an event; the end of a host with what stays behind.
func (r *localRun) note(e Event) {
	e.Time = r.Worker.Clock.Now()
	if e.Kind == HostDone {
		left := r.Worker.Journal.History(e.Host).Left()
		e.Left = &left
	}
	if err := r.Worker.Journal.Note(e); err != nil {
		r.err = err
	}
}

// close ends the host's sessions; a failure is a warning, no more.
func (r *localRun) close(host string) {
	r.closing.Go(func() {
		if err := r.Worker.Close(r.hard, host); err != nil {
			r.Worker.Journal.Note(Event{Kind: Warned, Time: r.Worker.Clock.Now(), Host: host, Text: err.Error()})
		}
	})
}

func (r *localRun) act(a Action) {
	ctx := r.ctx
	if a.Task.Always {
		ctx = r.hard
	}
	if r.pause(ctx, a.After) != nil || r.take(ctx) != nil {
		r.done <- folded{a.Task.ID, Outcome{Interrupted: true}}
		return
	}
	defer func() { <-r.slots }()
	o := r.Worker.Do(ctx, a.Task, r.sleep)
	r.done <- folded{a.Task.ID, o}
}

func (r *localRun) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	return r.Worker.Clock.Sleep(ctx, d)
}

// take waits for one of the slots that --forks gives.
func (r *localRun) take(ctx context.Context) error {
	select {
	case r.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sleep gives the slot back while a step waits.
func (r *localRun) sleep(ctx context.Context, d time.Duration) error {
	<-r.slots
	err := r.Worker.Clock.Sleep(ctx, d)
	r.slots <- struct{}{}
	return err
}

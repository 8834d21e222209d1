package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/lane"
	"esxiplan/engine/log"
)

// Driver runs the lanes of a run: a goroutine per attempt, a clock, a bound on how many
// hosts do something at once.
type Driver struct {
	Lanes  *lane.Set
	Worker *Worker
	Forks  int
	Hold   <-chan struct{} // when it is closed, no further host begins; nil: never
}

type folded struct {
	task    lane.Task
	outcome lane.Outcome
}

// Run runs the lanes to their end, beginning with these events and actions. When ctx ends,
// attempts under way are cancelled, steps with run_on = "always" still run, and sessions
// are closed; when hard ends, too, nothing is waited for any more. The error is that of the
// log: a run whose log cannot be written stops as by an interrupt.
func (d *Driver) Run(ctx, hard context.Context, events []event.Event, actions []lane.Action) (event.Summary, error) {
	asked := ctx
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r := &localRun{Driver: d, ctx: ctx, stop: stop, asked: asked, hard: hard, slots: make(chan struct{}, max(1, d.Forks)),
		done: make(chan folded, 64), over: make(chan struct{})}
	defer close(r.over)
	r.handle(events, actions)
	interrupted, hold := ctx.Done(), d.Hold
	for !d.Lanes.Done() || r.busy > 0 {
		if r.busy == 0 {
			return r.end(errors.New("no host can continue, and none is at its end; this is a bug in esxiplan"))
		}
		select {
		case f := <-r.done:
			r.fold(f)
		case <-interrupted:
			interrupted = nil
			r.keep(log.Record{Event: event.Event{Kind: log.Interrupted}})
			r.handle(d.Lanes.Interrupt())
		case <-hold:
			hold = nil
			r.handle(d.Lanes.Hold())
		case <-hard.Done():
			for _, e := range d.Lanes.Abandon() { // sessions are left to the next run
				r.note(e)
			}
			return r.end(nil)
		}
	}
	r.closing.Wait()
	return r.end(r.err)
}

// end sums up. What is still under way is left to its own end.
func (r *localRun) end(err error) (event.Summary, error) {
	s := r.Lanes.Summary()
	s.Interrupted = s.Interrupted && (err == nil || r.asked.Err() != nil)
	if s.Internal == "" && err != nil {
		s.Internal = err.Error()
	}
	s.Exit = s.ExitCode()
	return s, err
}

type localRun struct {
	*Driver
	ctx, hard context.Context
	stop      func()          // ends ctx
	asked     context.Context // ends when somebody wants the run to stop
	slots     chan struct{}
	done      chan folded
	over      chan struct{} // no one takes outcomes any more
	busy      int
	closing   sync.WaitGroup
	err       error // of the log
}

// fold logs the outcomes that are there, all at once, and hands them to the lanes.
func (r *localRun) fold(first folded) {
	batch := []folded{first}
	for more := true; more; {
		select {
		case f := <-r.done:
			batch = append(batch, f)
		default:
			more = false
		}
	}
	records := make([]log.Record, len(batch))
	for i := range batch {
		records[i] = batch[i].record()
	}
	r.busy -= len(batch)
	r.keep(records...)
	for _, f := range batch {
		r.handle(r.Lanes.Fold(f.task.ID, f.outcome))
	}
}

// record is the outcome as the log keeps it.
func (f *folded) record() log.Record {
	b, err := json.Marshal(f.outcome)
	if err != nil { // a step's result that is no JSON: the lane must see what the log has
		f.outcome = lane.Outcome{Internal: fmt.Sprintf("the result of %s on %s cannot be written as JSON: %v; this is a bug in esxiplan",
			f.task.ID.Step, f.task.ID.Host, err)}
		b, _ = json.Marshal(f.outcome)
	}
	return log.Record{Event: event.Event{Kind: log.AttemptDone, Host: f.task.ID.Host, Step: f.task.ID.Step, Type: f.task.Type,
		Attempt: f.task.Attempt}, Mode: string(f.task.Mode), Outcome: b}
}

// keep logs records.
func (r *localRun) keep(records ...log.Record) {
	for i := range records {
		records[i].Time = r.Worker.Clock.Now()
	}
	if err := r.Worker.Log.Keep(records...); err != nil {
		r.err = err
		r.stop()
	}
}

// handle logs and shows events, and starts actions.
func (r *localRun) handle(events []event.Event, actions []lane.Action) {
	for _, e := range events {
		e.Time = r.Worker.Clock.Now()
		if e.Kind == event.Progressed { // shown, not kept
			r.Worker.Log.Show(e)
			continue
		}
		r.note(e)
		if e.Kind == event.HostDone {
			r.close(e.Host)
		}
	}
	for _, a := range actions {
		r.busy++
		go r.act(a)
	}
}

// note logs and shows an event; the end of a host with what stays behind.
func (r *localRun) note(e event.Event) {
	e.Time = r.Worker.Clock.Now()
	if e.Kind == event.HostDone {
		left := r.Worker.Log.History(e.Host).Left()
		e.Left = &left
	}
	if err := r.Worker.Log.Note(e); err != nil {
		r.err = err
	}
}

// close ends the host's sessions, as one of those that do something at once; a failure is a
// warning, no more.
func (r *localRun) close(host string) {
	r.closing.Go(func() {
		if r.take(r.hard) == nil {
			defer func() { <-r.slots }()
		}
		if err := r.Worker.Close(r.hard, host); err != nil {
			r.Worker.Log.Note(event.Event{Kind: event.Warned, Time: r.Worker.Clock.Now(), Host: host, Text: err.Error()})
		}
	})
}

func (r *localRun) act(a lane.Action) {
	ctx := r.ctx
	if a.Task.Always {
		ctx = r.hard
	}
	o := lane.Outcome{Interrupted: true}
	if r.pause(ctx, a.After) == nil && r.take(ctx) == nil {
		o = r.Worker.Do(ctx, a.Task, r.sleep)
		<-r.slots
	}
	select {
	case r.done <- folded{a.Task, o}:
	case <-r.over:
	}
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

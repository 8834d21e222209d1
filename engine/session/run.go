package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/local"
	"esxiplan/engine/log"
	"esxiplan/engine/state"
	"esxiplan/engine/step"
	"esxiplan/schema"
)

// World opens the doors of hosts: real ones, shadows or those of simulated machines.
type World interface {
	Open(*schema.Host) (*step.Host, error)
	// Close ends what all hosts share, after the last one.
	Close()
}

// Outlets are how a run reaches the outside: machines and receivers of events.
type Outlets struct {
	World func(*log.Log) (World, error)
	Show  func(event.Event) // gets every event, one at a time
	// Earlier gets what the log holds of this stage before it is continued; nil: it
	// is not needed.
	Earlier func(event.Event)
	// Hold, when it is closed, lets no further host begin: see [lane.Set.Hold]. Nil: it never
	// is.
	Hold <-chan struct{}
}

// NotStarted is a run that did not start.
type NotStarted struct{ Err error }

func (e *NotStarted) Error() string { return e.Err.Error() }

func (e *NotStarted) Unwrap() error { return e.Err }

// Run takes the locks, opens the log and runs the stage to its end. When ctx ends, it stops
// at the next safe point; when hard ends, too, at once. The error is a [NotStarted], or that
// of the log; then the summary says internal error.
func (p *Prepared) Run(ctx, hard context.Context, o Outlets) (event.Summary, error) {
	held, release, err := p.lock(hard) // short; an interrupt ends a run, which it can only once that began
	if err != nil {
		return event.Summary{}, &NotStarted{err}
	}
	defer release()
	p.held, p.show = held, o.Show
	if p.show == nil {
		p.show = func(event.Event) {}
	}
	l, err := p.begin()
	if err != nil {
		return event.Summary{}, &NotStarted{err}
	}
	summary, err := p.runStage(ctx, hard, l, o)
	if closeErr := l.Close(); err == nil {
		err = closeErr
	}
	return summary, err
}

// begin opens the log. A run apart has no earlier log.
func (p *Prepared) begin() (l *log.Log, err error) {
	if l = p.log; l == nil {
		l, err = log.Dry(p.o.State, p.Name, p.logOptions())
	}
	if err == nil && !p.o.DryRun {
		err = l.Begin()
	}
	var continued *log.Continued
	if errors.As(err, &continued) {
		err = usageError("%s", continued)
	}
	return l, err
}

// lock takes the lock of the run, which only this state folder knows, and those of the
// machines that have something left to do. A dry run and a run apart take none.
func (p *Prepared) lock(ctx context.Context) (held func() error, release func(), err error) {
	if p.o.DryRun || p.o.Apart {
		return func() error { return nil }, func() {}, nil
	}
	if err := state.Make(p.o.State); err != nil {
		return nil, nil, err
	}
	run, err := lockRun(p.o.State, p.Name)
	if err != nil {
		return nil, nil, err
	}
	machines, err := p.lockMachines(ctx, p.Pending())
	if err != nil {
		run.Release()
		return nil, nil, err
	}
	held = func() error { return refusal(errors.Join(run.Held(), machines.Held())) }
	return held, func() { // locks that are not released expire
		machines.Release()
		run.Release()
	}, nil
}

// lockMachines takes the locks of machines, all or none.
func (p *Prepared) lockMachines(ctx context.Context, hosts []*schema.Host) (*state.Locks, error) {
	names := map[string]string{}
	for _, h := range hosts {
		names[h.BMC.Address.Key()] = fmt.Sprintf("%s (bmc %s)", h.Name, h.BMC.Address)
	}
	return state.Acquire(ctx, slices.Sorted(maps.Keys(names)), state.LockOptions{
		Folders: p.o.Locks, Holder: state.NewHolder(p.Name), Name: func(key string) string { return names[key] }})
}

// lockRun takes the lock of a run in a state folder.
func lockRun(folder, name string) (*state.Locks, error) {
	return state.Acquire(context.Background(), []string{"run-" + name}, state.LockOptions{
		Folders: state.OwnLocks(folder), Holder: state.NewHolder(name), Name: func(string) string { return "run " + name }})
}

// refusal is what a host fails with when the locks are lost.
func refusal(err error) error {
	var lost *state.Lost
	if errors.As(err, &lost) {
		return &step.Refusal{Guard: "lock", Reason: lost.Reason, Next: lost.Next}
	}
	return err
}

// runStage runs the stage, over a log that is open.
func (p *Prepared) runStage(ctx, hard context.Context, l *log.Log, o Outlets) (event.Summary, error) {
	if err := p.unchanged(l); err != nil {
		return event.Summary{}, &NotStarted{err}
	}
	w, err := o.World(l)
	if err != nil {
		return event.Summary{}, &NotStarted{err}
	}
	defer w.Close()
	if err := l.Keep(p.records()...); err != nil {
		return event.Summary{}, &NotStarted{err}
	}
	if o.Earlier != nil {
		for _, e := range p.stage.earlier {
			o.Earlier(e)
		}
	}
	p.stage.earlier = nil // they are many
	l.Note(event.Event{Kind: event.RunStarted, Time: p.o.Clock.Now(), Plan: p.info()})
	worker := &local.Worker{Plan: p.Plan, Types: p.o.Types, Open: w.Open, Clock: p.o.Clock, Log: l, Mask: p.mask}
	if !p.o.Fleeting {
		worker.Screen = p.keepScreen
	}
	driver := &local.Driver{Lanes: p.stage.lanes, Worker: worker, Forks: p.o.Forks, Hold: o.Hold}
	tidied := p.tidy(ctx, worker, l)
	summary, err := driver.Run(ctx, hard, p.stage.events, p.stage.actions)
	tidied.Wait()
	l.Note(event.Event{Kind: event.RunDone, Time: p.o.Clock.Now(), Summary: &summary})
	return summary, err
}

// keepScreen keeps what the screen of a host's machine showed, in the state folder.
func (p *Prepared) keepScreen(host string, at time.Time, png []byte) (string, error) {
	return state.KeepScreen(p.o.State, host, at, png)
}

// unchanged refuses machines that were reset, or proven installed, since the user agreed to wipe
// them.
func (p *Prepared) unchanged(l *log.Log) error {
	for host, before := range p.resets {
		now, ok := l.History(host).LastReset()
		switch {
		case !ok:
		case now.Change != before.Change:
			return fmt.Errorf("run %s has restarted host %s since this run was prepared; look at it with esxiplan status, and start again", now.Run, host)
		case now.ProvenAfter(before.ProvenAt):
			return fmt.Errorf("host %s was proven installed at %s, since this run was prepared; look at it with esxiplan status, and start again", host, step.ClockTime(now.ProvenAt))
		}
	}
	return nil
}

// tidy cleans up what a process that crashed after their last attempt left at machines, while
// the other hosts are at work.
func (p *Prepared) tidy(ctx context.Context, w *local.Worker, l *log.Log) *sync.WaitGroup {
	var work sync.WaitGroup
	if p.o.DryRun || p.o.Apart {
		return &work
	}
	slots := make(chan struct{}, max(1, p.o.Forks))
	for _, h := range p.Survey.Working() {
		if !p.stage.lanes.HostDone(h.Name) || len(l.Leftover(h.BMC.Address.URL())) == 0 && !l.History(h.Name).Debt() {
			continue
		}
		work.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			locks, err := p.lockMachines(ctx, []*schema.Host{h})
			if err != nil {
				return // another run works on it and may have done this
			}
			defer locks.Release()
			if err := w.Tidy(ctx, h.Name); err != nil {
				l.Note(event.Event{Kind: event.Warned, Time: p.o.Clock.Now(), Host: h.Name,
					Text: "what the run left at this machine before it was continued could not be put in order: " + err.Error()})
			}
		})
	}
	return &work
}

// mask masks secrets in a text.
func (p *Prepared) mask(text string) string {
	if p.o.Masker == nil {
		return text
	}
	return p.o.Masker.Mask(text)
}

// records open the stage in the log.
func (p *Prepared) records() []log.Record {
	now := p.o.Clock.Now()
	s := &log.Stage{Number: p.stage.number, Continued: p.stage.again, AdHoc: p.o.Only != "", Plan: p.Plan.Name,
		Files: slices.Sorted(maps.Keys(p.Plan.Files)), Steps: p.stepNames(),
		Command: p.mask(p.o.Command), By: p.o.By, Version: p.o.Version, Started: now, Applies: p.o.Applies, Digests: p.Plan.DigestHosts(p.Survey.Hosts())}
	for _, h := range p.Survey.Hosts() {
		s.Hosts = append(s.Hosts, h.Name)
	}
	out := []log.Record{{Event: event.Event{Kind: log.StageStarted, Time: now}, Stage: s}}
	if len(p.stage.retries) > 0 {
		out = append(out, log.Record{Event: event.Event{Kind: log.RetryAsked, Time: now}, Hosts: p.stage.retries})
	}
	return out
}

// info introduces the stage.
func (p *Prepared) info() *event.PlanInfo {
	s := p.Survey
	info := &event.PlanInfo{Name: p.Plan.Name, Files: slices.Sorted(maps.Keys(p.Plan.Files)), Steps: p.stepNames(), Types: map[string]string{}, DryRun: p.o.DryRun, Note: p.o.Note,
		Commands: p.Commands, Continued: p.Continues != nil, Of: len(p.Plan.Hosts()), Serves: s.Serves()}
	for _, step := range s.Steps() {
		info.Types[step.Name] = step.Type
	}
	for _, h := range s.Hosts() {
		info.Hosts = append(info.Hosts, h.Name)
	}
	return info
}

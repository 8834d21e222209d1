package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/spf13/cobra"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/schema"
)

// lookFlags are the flags of commands that look at machines and write nothing.
type lookFlags struct {
	planFlags
	forks int
	state string
	sim   string
	trace traceFlags
}

func (f *lookFlags) add(c *cobra.Command) {
	f.planFlags.add(c)
	f.addLimit(c)
	c.Flags().IntVarP(&f.forks, "forks", "f", envInt("ESXIPLAN_FORKS", 50), "how many BMCs are asked at once (ESXIPLAN_FORKS)")
	c.Flags().StringVar(&f.state, "state", "", "state folder, where tls = { first_use = true } keeps certificates (default: .esxiplan next to the plan)")
	c.Flags().StringVar(&f.sim, "sim", "", "file that esxiplan sim wrote: look at the machines that sim serves")
	f.trace.add(c)
}

// openWorld loads a plan and says how its machines are reached.
func (a *app) openWorld(paths []string, f *lookFlags) (*world, []*schema.Host, error) {
	if f.forks < 1 {
		return nil, nil, fmt.Errorf("--forks takes a number of hosts, 1 or more, not %d", f.forks)
	}
	p, where, err := a.loadAt(paths, &f.planFlags, f.sim, f.state)
	if err != nil {
		return nil, nil, err
	}
	hosts, diags := survey.Select(p, f.choice)
	if err := a.report(p, diags); err != nil {
		return nil, nil, err
	}
	if err := a.fit(&where, need{hosts: len(hosts), forks: f.forks}, &f.forks); err != nil {
		return nil, nil, err
	}
	t, err := newTracer(f.trace, a.streams.Err, a.secrets)
	return a.newWorld(p, where, t), hosts, err
}

// reader opens a host's BMC for reading: nothing records writes here, so it never writes.
func (w *world) reader(d *schema.Host, warn func(string)) (bmc.Client, error) {
	o := w.bmcLogin(d)
	o.Warn = func(text string) {
		w.warnOnce(d, func(format string, values ...any) { warn(fmt.Sprintf(format, values...)) }, text)
	}
	return bmc.Open(o)
}

// each does something for every item, so many at once. It panics as the first of them did,
// once all have ended.
func each[T any](items []T, forks int, do func(int, T)) {
	slots, panicked := make(chan struct{}, forks), make(chan string, 1)
	var work sync.WaitGroup
	for i, item := range items {
		slots <- struct{}{}
		work.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					select {
					case panicked <- fmt.Sprintf("%v\n%s", r, debug.Stack()):
					default:
					}
				}
				<-slots
			}()
			do(i, item)
		})
	}
	work.Wait()
	select {
	case reason := <-panicked:
		panic(reason)
	default:
	}
}

// explained is an error with what to do about it.
func explained(err error) string {
	if next := step.NextOf(err); next != "" {
		return err.Error() + ". " + next
	}
	return err.Error()
}

// lookExit is the exit code of a command that looked at many machines.
func lookExit(errs []error) error {
	failed, unreachable := false, false
	for _, err := range errs {
		switch {
		case err == nil:
		case errors.Is(err, context.Canceled):
			return exitCode(event.ExitInterrupted)
		case step.Classify(err) == step.Unreachable:
			unreachable = true
		default:
			failed = true
		}
	}
	switch {
	case failed && unreachable:
		return exitCode(event.ExitFailed + event.ExitUnreachable)
	case failed:
		return exitCode(event.ExitFailed)
	case unreachable:
		return exitCode(event.ExitUnreachable)
	}
	return nil
}

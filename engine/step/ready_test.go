package step_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/step"
)

// waking is a machine whose BMC is busy for a while.
type waking struct {
	*machine
	controller, post func() bool // whether it is still starting
}

func (w *waking) Ready(context.Context) (string, error) {
	if w.controller() {
		return "the controller reads NotReady", nil
	}
	return "", nil
}

func (w *waking) Power(context.Context) (bmc.Power, error) {
	return bmc.Power{State: bmc.On, Post: "InPost", Early: w.post()}, nil
}

// slow is an attempt whose clock is the test's.
type slow struct{ *attempt }

func (s slow) Now() time.Time { return time.Now() }

func (s slow) Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestReady: a BMC is waited for by its own signs, which are told; what does not end says
// what it was and what to do, and is not tried again.
func TestReady(t *testing.T) {
	until := func(d time.Duration) func() bool {
		end := time.Now().Add(d)
		return func() bool { return time.Now().Before(end) }
	}
	const never = 24 * time.Hour
	for name, c := range map[string]struct {
		controller, post time.Duration
		timeout          time.Duration // of the step; 0: none
		dry              bool
		want             string
		waits            time.Duration // at least
	}{
		"ready":                  {},
		"the controller starts":  {controller: 7 * time.Minute, waits: 7 * time.Minute},
		"POST":                   {post: 4 * time.Minute, waits: 4 * time.Minute},
		"one after the other":    {controller: 3 * time.Minute, post: 9 * time.Minute, waits: 9 * time.Minute},
		"never ready":            {controller: never, want: "the BMC is not ready after 10 minutes: the controller reads NotReady. Look at the machine's console", waits: 10 * time.Minute},
		"hangs in POST":          {post: never, want: "the machine is in POST, which has not found all devices yet (InPost). Look at", waits: 10 * time.Minute},
		"a shorter step timeout": {controller: never, timeout: 2 * time.Minute, want: "waiting until the BMC is ready (the controller reads NotReady)", waits: 2 * time.Minute},
		"dry run":                {controller: never, dry: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, step.Settings{DryRun: c.dry})
				b.SetBMC(&waking{b.m, until(c.controller), until(c.post)})
				b.Begin(slow{b.a})
				ctx := t.Context()
				if c.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.timeout)
					defer cancel()
				}
				began := time.Now()
				_, err := b.Ready(ctx)
				if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
				var failure *step.Failure
				if c.waits == 10*time.Minute && (!errors.As(err, &failure) || step.Classify(err) != step.Final) {
					t.Errorf("%v is tried again", err)
				}
				if took := time.Since(began); took < c.waits || took > c.waits+10*time.Second {
					t.Errorf("it waited for %s, want %s", took, c.waits)
				}
				if told, warned := b.a.told > 0, len(b.a.warned) > 0; told != (c.waits > 0 || c.dry) || warned != c.dry {
					t.Errorf("progress: %v, warnings: %v", told, b.a.warned)
				}
			})
		})
	}
}

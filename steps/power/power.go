// Package power is the step that changes a machine's power.
package power

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/step"
)

//go:embed doc.md
var doc string

// settle is how long a change of power may take; some BMCs refuse On for
// up to a minute after an off.
const settle = 2 * time.Minute

// Arguments of the step.
type Arguments struct {
	Action string `json:"action" enum:"on off restart graceful_off" doc:"What to do."`
}

// Result of the step.
type Result struct {
	Before string `json:"before" doc:"Power state before."`
	After  string `json:"after" doc:"Power state after."`
	Reset  bool   `json:"reset" doc:"Whether the machine was booted by this step."`
}

// Type is the step type.
var Type = step.Define(step.Spec[Arguments, Result]{
	Name: "power", Summary: "Powers a machine on or off, or restarts it exactly once.", Doc: doc, Writes: true, Resets: true,
	Boots:  func(c Arguments) bool { return c.Action == "on" || c.Action == "restart" },
	Policy: step.Policy{Retries: 6, Delay: 10 * time.Second, MaxDelay: time.Minute, Timeout: 20 * time.Minute},
	Run:    run,
})

func run(ctx context.Context, h *step.Host, c Arguments) (Result, error) {
	p, err := h.BMC.Power(ctx)
	if err != nil {
		return Result{}, err
	}
	r := Result{Before: string(p.State)}
	switch c.Action {
	case "on":
		err = reach(ctx, h, bmc.On, bmc.Reset{Type: bmc.ResetOn, Boots: true})
	case "off":
		err = reach(ctx, h, bmc.Off, bmc.Reset{Type: bmc.ResetForceOff})
	case "graceful_off":
		err = gracefulOff(ctx, h, p)
	case "restart":
		err = restart(ctx, h, p)
	}
	if err != nil {
		return Result{}, err
	}
	if p, err = h.BMC.Power(ctx); err != nil {
		return Result{}, err
	}
	r.After, r.Reset = string(p.State), bootRequested(h)
	return r, nil
}

// bootRequested reports whether this step, in this run, asked for a boot.
func bootRequested(h *step.Host) bool {
	for _, w := range h.Written() {
		if w.Boots && w.New != string(bmc.ResetForceOff) {
			return true
		}
	}
	return false
}

// reach brings the machine into a state, unless it is there already.
func reach(ctx context.Context, h *step.Host, want bmc.PowerState, by bmc.Reset) error {
	p, err := h.BMC.Power(ctx)
	if err != nil || p.State == want {
		return err
	}
	if !p.Allows(by.Type) {
		return fmt.Errorf("the BMC does not offer the reset %s; it offers %v", by.Type, p.Allowed)
	}
	return send(ctx, h, want, by)
}

// send asks for the reset and waits for the state. A refusal is none when the
// machine got where it should be meanwhile: somebody else was quicker. One that was
// there before proves nothing.
func send(ctx context.Context, h *step.Host, want bmc.PowerState, by bmc.Reset) error {
	before, err := h.BMC.Power(ctx)
	if err != nil {
		return err
	}
	err = h.BMC.Reset(ctx, by)
	var answered *bmc.Error
	if err != nil && (!errors.As(err, &answered) || before.State == want) {
		return err
	}
	if err != nil {
		if p, readErr := h.BMC.Power(ctx); readErr == nil && p.State == want {
			return nil
		}
		return err
	}
	return settled(ctx, h, want)
}

func settled(ctx context.Context, h *step.Host, want bmc.PowerState) error {
	return h.Until(ctx, settle, "the power state reads "+string(want), func(ctx context.Context) (bool, error) {
		p, err := h.BMC.Power(ctx)
		return p.State == want, err
	})
}

func gracefulOff(ctx context.Context, h *step.Host, p bmc.Power) error {
	if p.State == bmc.Off {
		return nil
	}
	if len(h.Written()) > 0 { // asked before, and not refused; a second request changes nothing
		return settled(ctx, h, bmc.Off)
	}
	return reach(ctx, h, bmc.Off, bmc.Reset{Type: bmc.ResetGracefulShutdown})
}

// restart boots the machine exactly once per run: from off by On; from on by
// ForceOff and On, the only way that is certain on all BMCs. What earlier attempts
// have done is in the record, and is not done again.
func restart(ctx context.Context, h *step.Host, p bmc.Power) error {
	if bootRequested(h) {
		return afterBoot(ctx, h)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case p.State == bmc.Off:
		return send(ctx, h, bmc.On, bmc.Reset{Type: bmc.ResetOn, Boots: true})
	case p.State != bmc.On:
		return &step.Unsettled{What: "the power state reads On or Off, not " + string(p.State)}
	case !p.Allows(bmc.ResetForceOff) && !p.Allows(bmc.ResetForceRestart):
		return fmt.Errorf("the BMC offers neither ForceOff nor ForceRestart, but %v; restart the machine by hand", p.Allowed)
	case !p.Allows(bmc.ResetForceOff):
		if err := h.BMC.Reset(ctx, bmc.Reset{Type: bmc.ResetForceRestart, Boots: true}); err != nil {
			return err
		}
		return restarted(ctx, h, p)
	}
	// The machine must not stay off because somebody pressed Ctrl-C in between.
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*settle)
	defer cancel()
	if err := send(whole, h, bmc.Off, bmc.Reset{Type: bmc.ResetForceOff, Boots: true}); err != nil {
		return err
	}
	return send(whole, h, bmc.On, bmc.Reset{Type: bmc.ResetOn, Boots: true})
}

// forced reports whether the restart was one request, which the power state need not show.
func forced(h *step.Host) bool {
	return slices.ContainsFunc(h.Written(), func(w step.Write) bool {
		return w.Boots && w.New != string(bmc.ResetOn) && w.New != string(bmc.ResetForceOff) && w.New != "ForceOn"
	})
}

// restarted demands a sign that a restart by one request took place: the power state
// was another, POST has come to another point, or the boot source override is used up.
// A machine that reads On all the time proves nothing; it is not restarted twice for that.
func restarted(ctx context.Context, h *step.Host, was bmc.Power) error {
	err := h.Until(ctx, settle, "a sign of the restart", func(ctx context.Context) (bool, error) {
		p, err := h.BMC.Power(ctx)
		if err != nil || p.State != bmc.On || was.Post != "" && p.Post != was.Post {
			return err == nil, err
		}
		boot, err := h.BMC.Boot(ctx)
		return boot.Target == bmc.BootNone, err
	})
	var unsettled *step.Unsettled
	if errors.As(err, &unsettled) {
		return errors.New("the BMC was asked for a restart, and nothing shows that the machine was restarted: it reads On, and its boot source override is still there. It is not asked again, for that could interrupt an installation; look at its console, power it off, and run again with --again")
	}
	if err != nil {
		return err
	}
	return settled(ctx, h, bmc.On)
}

// afterBoot goes on when a boot was asked for already. A machine that stays off
// did not get the request, so On may be asked for again: it is not a second boot.
func afterBoot(ctx context.Context, h *step.Host) error {
	if forced(h) {
		return restarted(ctx, h, bmc.Power{})
	}
	err := settled(ctx, h, bmc.On)
	var unsettled *step.Unsettled
	if !errors.As(err, &unsettled) {
		return err
	}
	p, err := h.BMC.Power(ctx)
	if err != nil {
		return err
	}
	if p.State != bmc.Off {
		return unsettled
	}
	return send(ctx, h, bmc.On, bmc.Reset{Type: bmc.ResetOn, Boots: true})
}

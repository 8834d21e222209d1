// Package power is the step that changes a machine's power.
package power

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
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
	Name: "power", Summary: "Powers a machine on or off, or restarts it exactly once.", Doc: doc,
	Most: step.Effects{Writes: true, Starts: true, Stops: true},
	Effects: func(c Arguments) step.Effects {
		return step.Effects{Writes: true, Starts: c.Action == "on" || c.Action == "restart", Stops: c.Action != "on"}
	},
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
		err = reach(ctx, h, bmc.On, bmc.ResetOn)
	case "off":
		err = reach(ctx, h, bmc.Off, bmc.ResetForceOff)
	case "graceful_off":
		err = gracefulOff(ctx, h)
	case "restart":
		err = restart(ctx, h)
	}
	if err != nil {
		return Result{}, err
	}
	if p, err = h.BMC.Power(context.WithoutCancel(ctx)); err != nil { // what was done is reported, also after an interrupt
		return Result{}, err
	}
	_, booted := asked(h, bmc.ResetType.Starts)
	r.After, r.Reset = string(p.State), booted
	return r, nil
}

// reach brings the machine into a state, unless it is there already.
func reach(ctx context.Context, h *step.Host, want bmc.PowerState, by bmc.ResetType) error {
	h.BMC.Refresh(0) // what the steps before read may be some seconds old
	p, err := h.BMC.Power(ctx)
	if err != nil || p.State == want {
		return err
	}
	if !p.Allows(by) {
		return fmt.Errorf("the BMC does not offer the reset %s; it offers %v", by, p.Allowed)
	}
	return send(ctx, ctx, h, want, by, event.Intent{})
}

// request asks for a reset. It returns the record, with what is known of its fate; none
// where the request was not made.
func request(ctx context.Context, h *step.Host, t bmc.ResetType, i event.Intent) (step.Made, error) {
	before := len(h.History().Made(h.StepName()))
	err := h.BMC.Reset(ctx, t, i)
	if made := h.History().Made(h.StepName()); len(made) > before {
		return made[len(made)-1], err
	}
	return step.Made{}, err
}

// send asks for a reset to a state in which the machine is not, and waits for that state,
// by a context of its own. A refusal does not count when the machine got there meanwhile: the BMC
// did it all the same, or somebody else was quicker.
func send(ctx, waits context.Context, h *step.Host, want bmc.PowerState, by bmc.ResetType, i event.Intent) error {
	made, err := request(ctx, h, by, i)
	if made.ID == "" {
		return err
	}
	if made.Fate == event.Refused {
		if p, readErr := steady(waits, h); readErr != nil || p.State != want {
			return err
		}
		h.Confirm(made.ID)
		return nil
	}
	return effect(waits, h, made, want)
}

// effect waits until a request shows its effect. One that shows none is noted as undone:
// its answer was lost, or a success that was none. What runs on a machine may take its
// time to shut down.
func effect(ctx context.Context, h *step.Host, made step.Made, want bmc.PowerState) error {
	err := settled(ctx, h, want)
	switch {
	case err == nil && made.Fate != event.Done:
		h.Confirm(made.ID)
	case err != nil && bmc.ResetType(made.New) != bmc.ResetGracefulShutdown && readsOther(ctx, h, want):
		h.Undone(made.ID)
	}
	return err
}

// readsOther reports that the power state is known, and another.
func readsOther(ctx context.Context, h *step.Host, than bmc.PowerState) bool {
	p, err := h.BMC.Power(ctx)
	return err == nil && p.State != than && (p.State == bmc.On || p.State == bmc.Off)
}

// settled waits for a power state.
func settled(ctx context.Context, h *step.Host, want bmc.PowerState) error {
	return watch(ctx, h, want, func(p bmc.Power) bool { return p.State == want })
}

// steady waits until the power state is no change of power that is under way.
func steady(ctx context.Context, h *step.Host) (p bmc.Power, err error) {
	err = watch(ctx, h, "On or Off", func(now bmc.Power) bool {
		p = now
		return p.State == bmc.On || p.State == bmc.Off
	})
	var unsettled *step.Unsettled
	if errors.As(err, &unsettled) {
		unsettled.What += "; it reads " + string(p.State)
	}
	return p, err
}

// watch reads the power state until ok says true. A BMC that stumbles meanwhile is asked
// again: that says nothing of the machine.
func watch(ctx context.Context, h *step.Host, want bmc.PowerState, ok func(bmc.Power) bool) error {
	var failed error
	err := h.Until(ctx, settle, "the power state reads "+string(want), func(ctx context.Context) (bool, error) {
		var p bmc.Power
		if p, failed = h.BMC.Power(ctx); failed != nil && (step.Classify(failed) == step.Final || ctx.Err() != nil) {
			return false, failed
		}
		return failed == nil && ok(p), nil
	})
	var unsettled *step.Unsettled
	if failed != nil && (err == nil || errors.As(err, &unsettled)) {
		return failed
	}
	return err
}

func gracefulOff(ctx context.Context, h *step.Host) error {
	if len(h.Made()) > 0 { // asked before, and not refused; a second request changes nothing
		return settled(ctx, h, bmc.Off)
	}
	return reach(ctx, h, bmc.Off, bmc.ResetGracefulShutdown)
}

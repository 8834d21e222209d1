// Package power is the step that changes a machine's power.
package power

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
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
		err = gracefulOff(ctx, h, p)
	case "restart":
		err = restart(ctx, h)
	}
	if err != nil {
		return Result{}, err
	}
	if p, err = h.BMC.Power(ctx); err != nil {
		return Result{}, err
	}
	_, booted := asked(h, bmc.ResetType.Starts)
	r.After, r.Reset = string(p.State), booted
	return r, nil
}

// reach brings the machine into a state, unless it is there already.
func reach(ctx context.Context, h *step.Host, want bmc.PowerState, by bmc.ResetType) error {
	p, err := h.BMC.Power(ctx)
	if err != nil || p.State == want {
		return err
	}
	if !p.Allows(by) {
		return fmt.Errorf("the BMC does not offer the reset %s; it offers %v", by, p.Allowed)
	}
	return send(ctx, h, want, by, step.Intent{})
}

// send asks for the reset and waits for the state. A refusal is none when the machine
// got where it should be meanwhile: the BMC did it late, or somebody else was quicker.
// A state that was there before proves nothing.
func send(ctx context.Context, h *step.Host, want bmc.PowerState, by bmc.ResetType, i step.Intent) error {
	before, err := h.BMC.Power(ctx)
	if err != nil {
		return err
	}
	err = h.BMC.Reset(ctx, by, i)
	var answered *bmc.Error
	if err != nil && (!errors.As(err, &answered) || before.State == want) {
		return err
	}
	if err == nil {
		return settled(ctx, h, want)
	}
	if p, readErr := h.BMC.Power(ctx); readErr == nil && p.State == want {
		h.Confirm(string(by))
		return nil
	}
	return err
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
	if len(h.Made()) > 0 { // asked before, and not refused; a second request changes nothing
		return settled(ctx, h, bmc.Off)
	}
	return reach(ctx, h, bmc.Off, bmc.ResetGracefulShutdown)
}

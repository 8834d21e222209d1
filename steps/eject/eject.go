// Package eject is the step that empties all virtual media slots.
package eject

import (
	"context"
	_ "embed"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/step"
)

//go:embed doc.md
var doc string

// Arguments of the step.
type Arguments struct {
	Force bool `json:"force" default:"false" doc:"Eject also while an installation of ours may be reading the medium."`
}

// Result of the step.
type Result struct {
	Ejected []string `json:"ejected" doc:"Slots that were emptied."`
}

// Type is the step type.
var Type = step.Define(step.Spec[Arguments, Result]{
	Name: "eject", Summary: "Empties every virtual media slot, wherever it lives.", Doc: doc, Most: step.Effects{Writes: true},
	Policy: step.Policy{Retries: 5, Delay: 5 * time.Second, MaxDelay: 30 * time.Second, Timeout: 10 * time.Minute},
	Run:    run,
})

func run(ctx context.Context, h *step.Host, c Arguments) (Result, error) {
	err := h.BMC.Prefetch(ctx, func(ctx context.Context, r bmc.Reader) {
		r.Slots(ctx)
		h.BMC.BeforeWrites(ctx, r)
	})
	if err != nil {
		return Result{}, err
	}
	ejected, err := h.Empty(ctx, func(bmc.Slot) bool { return true }, event.Intent{Force: c.Force})
	if err == nil {
		h.ForgetMounts() // a restart need not find what somebody else took out
	}
	return Result{ejected}, err
}

// Package eject is the step that empties all virtual media slots.
package eject

import (
	"cmp"
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
	All   bool `json:"all" default:"false" doc:"Eject also a floppy or USB image that esxiplan did not mount."`
	Force bool `json:"force" default:"false" doc:"Eject also while our installation may be reading the medium."`
}

// Result of the step.
type Result struct {
	Ejected []string `json:"ejected" doc:"Slots that were emptied."`
}

// Type is the step type.
var Type = step.Define(step.Spec[Arguments, Result]{
	Name: "eject", Summary: "Empties every virtual media slot that a CD can be in, wherever it lives.", Doc: doc, Most: step.Effects{Writes: true},
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
	kept := map[bmc.Link]bool{}
	ejected, err := h.Empty(ctx, func(s bmc.Slot) bool {
		keep := !c.All && step.Strangers(s, h.History())
		if keep && !kept[s.URI] {
			kept[s.URI] = true
			h.Warn("%s holds a floppy or USB image that esxiplan did not mount (%s): it stays; all = true ejects it", s.Name(), cmp.Or(s.Image, "unknown"))
		}
		return !keep
	}, event.Intent{Force: c.Force, All: c.All})
	if err == nil {
		h.ForgetMounts() // a restart need not find what somebody else took out
	}
	return Result{ejected}, err
}

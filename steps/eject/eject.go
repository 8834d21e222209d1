// Package eject is the step that empties all virtual media slots.
package eject

import (
	"context"
	_ "embed"
	"time"

	"esxiplan/engine/bmc"
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
	r := Result{Ejected: []string{}}
	emptied := map[string]bool{}
	for {
		slots, err := h.BMC.Slots(ctx)
		if err != nil {
			return r, err
		}
		s, ok := firstLoaded(slots)
		if !ok {
			forget(h)
			return r, nil
		}
		if emptied[s.URI] { // the list lags behind, or somebody mounts again
			return r, &step.Unsettled{What: s.Name() + " reads empty in the list of slots, too"}
		}
		emptied[s.URI] = true
		if err := h.BMC.Eject(ctx, s, step.Intent{Force: c.Force}); err != nil {
			return r, err
		}
		if err := h.Emptied(ctx, s); err != nil {
			return r, err
		}
		r.Ejected = append(r.Ejected, s.ID)
	}
}

// forget ends the demand that a restart finds our image, when no drive holds one.
func forget(h *step.Host) {
	for _, m := range h.History().Mounted() {
		h.Undone(m.Change)
	}
}

func firstLoaded(slots []bmc.Slot) (bmc.Slot, bool) {
	for _, s := range slots {
		if s.Loaded {
			return s, true
		}
	}
	return bmc.Slot{}, false
}

// Package wait is the step that waits for a goal, above all for the proof that
// a host was installed.
package wait

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/step"
)

//go:embed doc.md
var doc string

// Arguments of the step.
type Arguments struct {
	Goal string `json:"goal" enum:"esxi off on media_read look" default:"esxi" doc:"What to wait for; \"look\" only looks, for a plan whose until says the rest."`
}

// Result of the step.
type Result struct {
	Goal        string   `json:"goal" doc:"What was waited for."`
	Reached     bool     `json:"reached" doc:"Whether the goal is reached."`
	Reason      string   `json:"reason" doc:"Why not, in plain words."`
	Next        string   `json:"next" doc:"What to do about it."`
	Proven      bool     `json:"proven" doc:"Whether a new installation on this very machine is proven."`
	Version     string   `json:"version" doc:"Version of the ESXi that answers."`
	Build       string   `json:"build" doc:"Build of the ESXi that answers."`
	Fingerprint string   `json:"fingerprint" doc:"SHA-256 of its certificate."`
	Evidence    []string `json:"evidence" doc:"What the proof rests on."`
	Power       string   `json:"power" doc:"Power state, where the goal is on or off."`
	Elapsed     float64  `json:"elapsed" doc:"Seconds since our reset, 0 where none is recorded."`
}

// Type is the step type.
var Type = step.Define(step.Spec[Arguments, Result]{
	Name: "wait", Summary: "Waits for a goal: the proof of a new installation, a power state, or that the medium is read.", Doc: doc, Proves: true, Until: "reached",
	Policy: step.Policy{Delay: 5 * time.Second, MaxDelay: 5 * time.Second, Timeout: 45 * time.Minute},
	Run:    run,
})

func run(ctx context.Context, h *step.Host, c Arguments) (Result, error) {
	r := Result{Goal: c.Goal, Evidence: []string{}, Next: "Look at the machine's console, through its BMC, to see where it stands"}
	if last, ok := h.History().LastReset(); ok {
		r.Elapsed = h.Now().Sub(last.Time).Round(time.Millisecond).Seconds()
	}
	var err error
	switch c.Goal {
	case "on", "off":
		err = power(ctx, h, &r)
	case "media_read":
		err = mediaRead(h, &r)
	default:
		err = installed(ctx, h, &r)
	}
	if c.Goal == "look" {
		r.Reached = true
	}
	if r.Reached {
		r.Reason, r.Next = "", ""
	}
	return r, err
}

func power(ctx context.Context, h *step.Host, r *Result) error {
	p, err := h.BMC.Power(ctx)
	if err != nil {
		return err
	}
	want := map[string]bmc.PowerState{"on": bmc.On, "off": bmc.Off}[r.Goal]
	r.Power, r.Reached = string(p.State), p.State == want
	if !r.Reached {
		r.Reason = fmt.Sprintf("the power state is %s, not %s", p.State, want)
	}
	return nil
}

func mediaRead(h *step.Host, r *Result) error {
	if h.Media == nil {
		return fmt.Errorf("the plan has no media block, so nobody knows whether the medium is read")
	}
	read, _, known := h.MediaRead()
	if !known {
		return fmt.Errorf("only an image that this run or esxiplan serve serves can be seen to be read; wait for goal = \"esxi\" instead")
	}
	last, _ := h.History().LastReset()
	r.Reached = read > last.Before.MediaRead // mounting alone reads a little
	if !r.Reached {
		r.Reason = "the image was not read yet"
	}
	return nil
}

// Package wait is the step that waits for a goal, above all for the proof that
// a host was installed.
package wait

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/engine/step"
	"esxiplan/schema"
)

//go:embed doc.md
var doc string

// Arguments of the step.
type Arguments struct {
	Goal        string          `json:"goal" enum:"esxi off on media_read installer look" default:"esxi" doc:"What to wait for. \"installer\" is that the installer was loaded from our medium, which is the end of one that only checks (build_iso with dry_run); \"look\" only looks, for a plan whose until says the rest."`
	Eject       bool            `json:"eject" default:"true" doc:"Take our image out of the drive once the host is proven, and remove it from where it is published. false keeps both as they are."`
	OverrideFor schema.Duration `json:"override_for" default:"3m" doc:"On a BMC that knows only a continuous boot source override: how long after the reset it is taken away although nothing shows that the installer was loaded; twice as long while the BMC reports that the machine is in POST. Longer than the machine's POST, shorter than the shortest installation."`
}

// Result of the step.
type Result struct {
	Goal        string   `json:"goal" doc:"What was waited for."`
	Reached     bool     `json:"reached" doc:"Whether the goal is reached."`
	Ended       bool     `json:"ended" doc:"Whether nothing is being installed any more, though no installation is proven: a medium that only checks was loaded, or an install loop was broken."`
	Reason      string   `json:"reason" doc:"Why not, in plain words."`
	Next        string   `json:"next" doc:"What to do about it."`
	Proven      bool     `json:"proven" doc:"Whether a new installation on this very machine is proven."`
	Version     string   `json:"version" doc:"Version of the ESXi that answers."`
	Build       string   `json:"build" doc:"Build of the ESXi that answers."`
	Fingerprint string   `json:"fingerprint" doc:"SHA-256 of its certificate."`
	Evidence    []string `json:"evidence" doc:"What the proof, or the goal, rests on."`
	Unchecked   []string `json:"unchecked" doc:"What could not be checked for the proof, and why."`
	Power       string   `json:"power" doc:"Power state, where it was read."`
	Screen      string   `json:"screen" doc:"File with what the machine's screen showed when the wait was given up, where its BMC offers that."`
	Elapsed     float64  `json:"elapsed" doc:"Seconds since our reset, 0 where none is recorded."`
}

// Type is the step type.
var Type = step.Define(step.Spec[Arguments, Result]{
	Name: "wait", Summary: "Waits for a goal: the proof of a new installation, a power state, or that the medium is read.", Doc: doc, Until: "reached",
	Most:    step.Effects{Waits: true},
	Effects: func(c Arguments) step.Effects { return step.Effects{Waits: c.Goal == "esxi" || c.Goal == "installer"} },
	Verdict: func(r Result) event.Verdict {
		return event.Verdict{Proven: r.Proven, Ended: r.Ended, Seeks: r.Goal == "esxi" || r.Goal == "installer",
			Reason: r.Reason, Next: r.Next, Version: r.Version, Build: r.Build, Evidence: r.Evidence, Unchecked: r.Unchecked}
	},
	Policy: step.Policy{Delay: 5 * time.Second, MaxDelay: 5 * time.Second, Timeout: 45 * time.Minute},
	Run:    run,
})

func run(ctx context.Context, h *step.Host, c Arguments) (Result, error) {
	r := Result{Goal: c.Goal, Evidence: []string{}, Unchecked: []string{}, Next: "Look at the machine's console, through its BMC, to see where it stands"}
	if last, ok := h.History().LastReset(); ok {
		r.Elapsed = h.Now().Sub(last.Time).Round(time.Millisecond).Seconds()
	}
	var err error
	switch c.Goal {
	case "on", "off":
		err = power(ctx, h, &r)
	case "media_read":
		err = mediaRead(h, &r)
	case "installer":
		err = loaded(ctx, h, c, &r)
	case "look":
		err = look(ctx, h, &r)
	default:
		err = installed(ctx, h, c, &r)
	}
	if r.Reached {
		r.Reason, r.Next = "", ""
	}
	if err == nil {
		showScreen(ctx, h, &r)
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

// mediaRead looks whether the image was read since our reset: mounting alone reads a
// little, before it.
func mediaRead(h *step.Host, r *Result) error {
	if h.Media == nil {
		return fmt.Errorf("the plan has no media block, so it is not known whether the medium is read")
	}
	h.Watch()
	reads, known := reads(h)
	if !known {
		return fmt.Errorf("only an image that this run or esxiplan serve serves can be seen to be read; wait for goal = \"esxi\" instead")
	}
	last, err := restart(h)
	if err != nil {
		return err
	}
	since := reads.Since(last.Time)
	if r.Reached = since.Bytes > 0; !r.Reached {
		r.Reason = "the image was not read since the reset"
		return nil
	}
	r.Evidence = []string{fmt.Sprintf("%s read %.1f MB of the image after the reset, last at %s", h.Reader(since.By), megabytes(since.Bytes), clock(since.Last))}
	return nil
}

// restart is our last reset of the machine, which can have booted the image.
func restart(h *step.Host) (step.LastReset, error) {
	last, ok := h.History().LastReset()
	if !ok {
		return last, &step.Refusal{Guard: "proof", Reason: "no reset of this machine by us is on record, so what was read and loaded since cannot be distinguished from what was before", Next: "Restart it first (step power)"}
	}
	return last, bootable(h, last)
}

// bootable refuses a reset that is older than the image: nothing that it booted can be of it.
func bootable(h *step.Host, last step.LastReset) error {
	p, published := image(h)
	if !published || !p.Built.After(last.Time) {
		return nil
	}
	return &step.Refusal{Guard: "proof", Reason: fmt.Sprintf("the image was built at %s, after our last reset of this machine at %s, so the machine has not booted it yet", step.ClockTime(p.Built), step.ClockTime(last.Time)),
		Next: "Mount it and restart the machine (steps insert, one_time_boot, power), then wait again"}
}

// look tells what can be seen without a login, and is content with it: the plan's until
// says what it waits for.
func look(ctx context.Context, h *step.Host, r *Result) error {
	p, err := h.BMC.Power(ctx)
	if err != nil {
		return err
	}
	r.Power, r.Reached = string(p.State), true
	if h.ESXi == nil {
		return nil
	}
	probe, err := h.ESXi.Probe(ctx)
	if probe.State == esxi.Up {
		r.Fingerprint, r.Version, r.Build = probe.Fingerprint, probe.Version, probe.Build
	}
	return err
}

// loaded looks whether the installer was loaded from our medium since our reset. Only a
// medium that installs nothing has ended with that (what it found, it says on the machine's
// console); from any other the installation has just begun.
func loaded(ctx context.Context, h *step.Host, c Arguments, r *Result) error {
	last, err := restart(h)
	if err != nil {
		return err
	}
	w := &watch{h: h, c: c, last: last, reset: true}
	w.see(ctx)
	w.enter()
	if sign := w.loaded(); sign != "" {
		p, _ := image(h)
		r.Reached, r.Ended, r.Evidence = true, p.DryRun, []string{sign}
		return w.clearOverride(ctx, sign)
	}
	r.Reason = "nothing shows that the installer was loaded" + w.seenSoFar()
	if _, next := w.cause(); next != "" {
		r.Next = next
	}
	return w.act(ctx, r)
}

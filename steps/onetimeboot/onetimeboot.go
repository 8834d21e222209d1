// Package onetimeboot is the step that sets the boot source of the next boot.
package onetimeboot

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/step"
)

//go:embed doc.md
var doc string

// Arguments of the step.
type Arguments struct {
	Target   string `json:"target" enum:"cd pxe uefi_http disk none" doc:"What the machine boots from next time."`
	PowerOff bool   `json:"power_off" default:"false" doc:"Power the machine off first, for BMCs that change nothing while it is in POST."`
}

// Result of the step.
type Result struct {
	Target string `json:"target" doc:"The boot source that was read back."`
	Way    string `json:"way" doc:"Which of the machine's ways held: standard, settings, or one of the vendor's; empty when it was set already."`
}

// Type is the step type.
var Type = step.Define(step.Spec[Arguments, Result]{
	Name: "one_time_boot", Summary: "Sets the boot source of the next boot and reads it back.", Doc: doc,
	Most: step.Effects{Writes: true, Sets: true, Stops: true},
	Effects: func(c Arguments) step.Effects {
		return step.Effects{Writes: true, Sets: bmc.Target(c.Target) != bmc.BootNone && bmc.Target(c.Target) != bmc.BootDisk, Stops: c.PowerOff}
	},
	Policy: step.Policy{Retries: 6, Delay: 5 * time.Second, MaxDelay: 30 * time.Second, Timeout: 15 * time.Minute},
	Run:    run,
})

func run(ctx context.Context, h *step.Host, c Arguments) (Result, error) {
	target := bmc.Target(c.Target)
	err := h.BMC.Prefetch(ctx, func(ctx context.Context, r bmc.Reader) {
		r.Boot(ctx)
		h.BMC.BeforeWrites(ctx, r)
	})
	if err != nil {
		return Result{}, err
	}
	boot, err := h.BMC.Boot(ctx)
	if err != nil {
		return Result{}, err
	}
	ours, set := h.History().BootSet()
	if boot.Target == target && (boot.Once || set && ours.Target == c.Target) {
		forget(h, target)
		return Result{Target: c.Target}, kept(ctx, h, boot)
	}
	if err := probe(ctx, h, target, boot); err != nil {
		return Result{}, err
	}
	if c.PowerOff {
		if err := powerOff(ctx, h); err != nil {
			return Result{}, err
		}
	}
	if target == bmc.BootNone {
		return clear(ctx, h, boot.Target)
	}
	way, err := nextWay(ctx, h, target)
	if err != nil {
		return Result{}, err
	}
	if boot, err = h.BMC.Boot(ctx); err != nil {
		return Result{}, err
	}
	return Result{string(boot.Target), way}, kept(ctx, h, boot)
}

// probe finds out, before a stage sets an override that boots an installer, whether the service
// keeps it for one boot only. It sets the disk, which does no harm, where the service shows one
// that no boot uses up although nothing is set: so do some that know no others, and some that do.
func probe(ctx context.Context, h *step.Host, target bmc.Target, now bmc.Boot) error {
	p := h.Place()
	boots := target != bmc.BootNone && target != bmc.BootDisk
	if idle := now.Target == bmc.BootDisk && !now.Once; !boots || !idle || h.Settings.DryRun || p.Restarts && p.Waits || h.History().OnlyContinuous() {
		return nil
	}
	if _, err := nextWay(ctx, h, bmc.BootDisk); err != nil {
		return err
	}
	if _, err := h.BMC.Boot(ctx); err != nil { // which notes what it finds
		return err
	}
	if ours, set := h.History().BootSet(); set {
		h.Undone(ours.Change) // nothing is demanded of it
	}
	return step.CheckKept(h.History(), p)
}

// kept judges what is set, by this attempt or before. A service may know only overrides that
// no boot uses up: one that would start an installer again, and that this run cannot take
// away in time, is taken away at once.
func kept(ctx context.Context, h *step.Host, boot bmc.Boot) error {
	if !step.Loops(boot) {
		return nil
	}
	refusal := step.CheckKept(h.History(), h.Place())
	if refusal == nil {
		h.Warn("this BMC knows only a continuous boot source override; the wait step takes it away as soon as the installer is loaded")
		return nil
	}
	return errors.Join(refusal, h.ClearBoot(context.WithoutCancel(ctx)))
}

// forget ends the demand that a restart finds the boot source that we had set, when
// none is wanted and none is set.
func forget(h *step.Host, target bmc.Target) {
	if ours, set := h.History().BootSet(); set && target == bmc.BootNone {
		h.Undone(ours.Change)
	}
}

// holds is how long a BMC may take to show what was set.
const holds = 20 * time.Second

// nextWay tries one way after the other, until one reads back as set. What the BMC
// refuses for now is tried again by the next attempt, from the first way on.
func nextWay(ctx context.Context, h *step.Host, target bmc.Target) (string, error) {
	ways, err := h.BMC.Ways(ctx, target)
	if err != nil {
		return "", err
	}
	var failed []error
	for _, way := range ways {
		err := h.BMC.SetBoot(ctx, target, way)
		if err == nil {
			err = held(ctx, h, target)
		}
		if err == nil {
			return way, nil
		}
		var unsettled *step.Unsettled
		if !bmc.OtherWay(err) && !errors.As(err, &unsettled) {
			return "", err
		}
		failed = append(failed, fmt.Errorf("by %s: %w", way, err))
	}
	return "", &notHeld{errors.Join(failed...), slices.ContainsFunc(failed, func(err error) bool { return step.Classify(err) != step.Final })}
}

// notHeld is the end of the ladder. It is tried again when any way may hold later.
type notHeld struct {
	error
	again bool
}

func (e *notHeld) Unwrap() error { return e.error }

// Retryable makes the engine try again.
func (e *notHeld) Retryable() bool { return e.again }

func held(ctx context.Context, h *step.Host, target bmc.Target) error {
	return reads(ctx, h, string(target), func(b bmc.Boot) bool { return b.Target == target })
}

func reads(ctx context.Context, h *step.Host, what string, is func(bmc.Boot) bool) error {
	return h.Until(ctx, holds, "the boot source override reads "+what, func(ctx context.Context) (bool, error) {
		boot, err := h.BMC.Boot(ctx)
		return is(boot), err
	})
}

// clear takes away what is set. A service that cannot disable an override is left with
// one that boots the disk, which is what the machine does without any.
func clear(ctx context.Context, h *step.Host, before bmc.Target) (Result, error) {
	if err := h.ClearBoot(ctx); err != nil {
		return Result{}, err
	}
	var now bmc.Boot
	err := reads(ctx, h, string(bmc.BootNone), func(b bmc.Boot) bool {
		now = b
		return b.Target == bmc.BootNone || b.Target == bmc.BootDisk && (before != bmc.BootDisk || !b.Once)
	})
	if err == nil && now.Target == bmc.BootDisk {
		h.Warn("this BMC cannot take an override away; it is now set to boot the disk")
	}
	return Result{Target: string(now.Target)}, err
}

func powerOff(ctx context.Context, h *step.Host) error {
	p, err := h.BMC.Power(ctx)
	if err != nil || p.State == bmc.Off {
		return err
	}
	if err := h.BMC.Reset(ctx, bmc.ResetForceOff, event.Intent{}); err != nil {
		return err
	}
	return h.Until(ctx, time.Minute, "the machine is off", func(ctx context.Context) (bool, error) {
		p, err := h.BMC.Power(ctx)
		return p.State == bmc.Off, err
	})
}

package wait

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/step"
)

// tidy ends what the installation needed: an override that would boot it again, our image
// in the drive, and the published image. The drive is emptied also where the override
// stays: what it then boots is not there any more.
func (l *looking) tidy(ctx context.Context) error {
	override := endOverride(ctx, l.h)
	switch {
	case override == nil:
	case step.Classify(override) == step.Final && ctx.Err() == nil:
		override = &step.Failure{Reason: "the host is installed, but its boot source override stays: " + override.Error(),
			Next: "Take it away (esxiplan do one_time_boot … target=none), or the machine boots from there at its next restart"}
	default:
		override = fmt.Errorf("the host is installed, but its boot source override stays: %w", override)
	}
	return errors.Join(override, l.remove(ctx))
}

// remove takes the image out of the drive, then from where it is published. What may pass
// is tried again at the next look; what does not is no failure of a host that is installed.
func (l *looking) remove(ctx context.Context) error {
	if !l.c.Eject {
		return nil
	}
	if err := eject(ctx, l.h); err != nil && !hopeless(ctx, l.h, err) {
		return err
	} else if err != nil {
		l.h.Warn("the host is installed, but its medium stays in the drive; eject it (esxiplan do eject): %v", err)
	}
	if !l.published || l.h.Settings.KeepMedia {
		return nil
	}
	if err := l.h.Media.Unpublish(ctx, event.Intent{Force: true, All: true}); err != nil {
		l.h.Warn("the host is installed, but its image could not be removed: %v", err)
	}
	return nil
}

// eject takes our images out of their drives, also while the installation counts as under
// way: whoever calls it knows better.
func eject(ctx context.Context, h *step.Host) error {
	if _, published := latest(h); !published && len(h.History().Mounted()) == 0 && len(h.Made()) == 0 {
		return nil
	}
	if _, err := h.Empty(ctx, func(s bmc.Slot) bool { return ours(h, s) }, event.Intent{Force: true, All: true}); err != nil {
		return err
	}
	h.ForgetMounts()
	return nil
}

// ours reports that a drive holds our image: one that we mounted, also where we
// ejected it and it is still there, or one that we published, whoever mounted it.
func ours(h *step.Host, s bmc.Slot) bool {
	_, mounted := h.History().MountIn(s)
	return mounted || s.Image != "" && h.Holds(s.Image) || slices.ContainsFunc(h.Made(), func(m step.Made) bool {
		return m.Verb == event.Eject && m.Target == s.Name() && m.Old == s.Image
	})
}

// hopeless reports that it is useless to try an eject again: the BMC refuses it for good,
// or answers with success and does nothing.
func hopeless(ctx context.Context, h *step.Host, err error) bool {
	const enough = 2
	ejects := 0
	for _, m := range h.Made() {
		if m.Verb == event.Eject {
			ejects++
		}
	}
	var unsettled *step.Unsettled
	ignored := errors.As(err, &unsettled) && ejects >= enough
	return ctx.Err() == nil && (ignored || step.Classify(err) == step.Final)
}

// endOverride takes away an override that the machine would boot again from: one that no
// boot uses up, and one for the virtual CD that the BMC still shows after the boot.
func endOverride(ctx context.Context, h *step.Host) error {
	boot, err := h.BMC.Boot(ctx)
	if err != nil || !step.Loops(boot) && boot.Target != bmc.BootCD {
		return err
	}
	return h.ClearBoot(ctx)
}

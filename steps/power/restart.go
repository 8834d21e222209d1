package power

import (
	"context"
	"errors"
	"fmt"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/step"
)

// mostOffs is how often a ForceOff that shows no effect is asked for.
const mostOffs = 3

// asked finds the last request of this step in this run for a kind of reset, whatever
// came of it; took is whether one is not known to have failed.
func asked(h *step.Host, kind func(bmc.ResetType) bool) (last step.Made, took bool) {
	for _, m := range h.History().Made(h.StepName()) {
		if m.Verb == step.Reset && kind(bmc.ResetType(m.New)) {
			last, took = m, took || m.Took()
		}
	}
	return last, took
}

func isOff(t bmc.ResetType) bool { return !t.Starts() }

// restart boots the machine exactly once per run: from off by On; from on by ForceOff and
// On, the only way that is certain on all BMCs. What earlier attempts asked for is on
// record; what came of it is read from the machine. What came up after our first request
// is never forced off.
func restart(ctx context.Context, h *step.Host) error {
	if start, took := asked(h, bmc.ResetType.Starts); took {
		return afterStart(ctx, h, start)
	}
	p, err := h.BMC.Power(ctx)
	if err != nil {
		return err
	}
	off, took := asked(h, isOff)
	switch {
	case took && p.State == bmc.On:
		return cameUp(ctx, h, off)
	case took:
		return powerUp(ctx, h)
	}
	return begin(ctx, h)
}

// uncancelled is for requests of which the first must not be left alone.
func uncancelled(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 4*settle)
}

// powerUp starts a machine that is off by our own hand, from the guards on.
func powerUp(ctx context.Context, h *step.Host) error {
	intent, err := h.BMC.Admit(ctx)
	if err != nil {
		return err
	}
	whole, cancel := uncancelled(ctx)
	defer cancel()
	return start(whole, h, intent)
}

// begin restarts a machine, from the guards on. Ctrl-C is heard until the first request;
// then the machine must not stay off because of it.
func begin(ctx context.Context, h *step.Host) error {
	intent, err := h.BMC.Admit(ctx)
	if err != nil {
		return err
	}
	p, err := h.BMC.Power(ctx)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	whole, cancel := uncancelled(ctx)
	defer cancel()
	switch {
	case p.State == bmc.Off:
		return start(whole, h, intent)
	case p.State != bmc.On:
		return &step.Unsettled{What: "the power state reads On or Off, not " + string(p.State)}
	case !p.Allows(bmc.ResetForceOff) && !p.Allows(bmc.ResetForceRestart):
		return fmt.Errorf("the BMC offers neither ForceOff nor ForceRestart, but %v; restart the machine by hand", p.Allowed)
	case !p.Allows(bmc.ResetForceOff):
		if err := h.BMC.Reset(whole, bmc.ResetForceRestart, intent); err != nil {
			return err
		}
		return restarted(ctx, h, p)
	}
	if err := send(whole, h, bmc.Off, bmc.ResetForceOff, intent); err != nil {
		return err
	}
	return start(whole, h, intent)
}

// startPause is the pause before On is asked for again: some BMCs refuse it for up to a
// minute after an off.
const startPause = 10 * time.Second

// start powers the machine on that is off, by our hand or before; a refusal that may pass
// is tried again here, so that an interrupt does not leave the machine off.
func start(ctx context.Context, h *step.Host, i step.Intent) error {
	p, err := h.BMC.Power(ctx)
	if err != nil || p.State == bmc.On {
		return err
	}
	for end := h.Now().Add(settle); ; {
		if err = send(ctx, h, bmc.On, bmc.ResetOn, i); err == nil {
			return nil
		}
		if step.Classify(err) == step.Final || h.Now().Add(startPause).After(end) {
			break
		}
		if _, took := asked(h, bmc.ResetType.Starts); took { // not refused: the next attempt looks what came of it
			break
		}
		if sleepErr := h.Sleep(ctx, startPause); sleepErr != nil {
			return sleepErr
		}
	}
	if _, ours := asked(h, isOff); ours {
		return fmt.Errorf("the machine was powered off for its restart and is not on again: %w", err)
	}
	return err
}

// afterStart goes on when a boot was asked for already. A machine that stays off did not
// get the request, so On may be asked for again, by the guards: it is not a second boot.
func afterStart(ctx context.Context, h *step.Host, was step.Made) error {
	if t := bmc.ResetType(was.New); t != bmc.ResetOn && t != "ForceOn" { // one request, which the power state need not show
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
	return powerUp(ctx, h)
}

// cameUp judges a machine that is on although we asked for it to be powered off. When our
// On was answered by a refusal, it was done all the same. When what was set for the next
// boot is used up, somebody else started it. Either way it is booting, and stays on. Else
// our ForceOff had no effect, and is asked for again, by the guards.
func cameUp(ctx context.Context, h *step.Host, off step.Made) error {
	if start, _ := asked(h, bmc.ResetType.Starts); start.ID != "" {
		h.Confirm(start.New)
		return settled(ctx, h, bmc.On)
	}
	booted, err := bootedSince(ctx, h)
	if err != nil {
		return err
	}
	if booted {
		h.Warn("somebody else powered the machine on between our ForceOff and our On; it is left on, and not restarted again")
		return h.FoundStarted(ctx, off.Intent)
	}
	if offs := len(h.Made()); offs >= mostOffs {
		return fmt.Errorf("the BMC was asked %d times to power the machine off and reads On; power it off by hand, then run this again", offs)
	}
	return begin(ctx, h)
}

// bootedSince reports whether the machine used up the boot source that we had set.
func bootedSince(ctx context.Context, h *step.Host) (bool, error) {
	ours, set := h.History().BootSet()
	if !set || ours.Stays {
		return false, nil
	}
	boot, err := h.BMC.Boot(ctx)
	return err == nil && string(boot.Target) != ours.Target, err
}

// restarted demands a sign that a restart by one request took place: the power state
// was another, POST has come to another point, or the boot source override is used up.
// A machine that reads On all the time proves nothing; it is not restarted twice for that.
func restarted(ctx context.Context, h *step.Host, was bmc.Power) error {
	err := h.Until(ctx, settle, "a sign of the restart shows", func(ctx context.Context) (bool, error) {
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

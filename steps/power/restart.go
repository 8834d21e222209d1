package power

import (
	"context"
	"errors"
	"fmt"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/engine/step"
)

// mostOffs is how often a ForceOff that shows no effect is asked for.
const mostOffs = 3

// asked finds the last request of this step in this run for a kind of reset, whatever
// came of it; took is whether one is not known to have failed.
func asked(h *step.Host, kind func(bmc.ResetType) bool) (last step.Made, took bool) {
	for _, m := range h.History().Made(h.StepName()) {
		if m.Verb == event.Reset && kind(bmc.ResetType(m.New)) {
			last, took = m, took || m.Took()
		}
	}
	return last, took
}

func isOff(t bmc.ResetType) bool { return !t.Starts() }

func isOn(t bmc.ResetType) bool { return t == bmc.ResetOn || t == "ForceOn" }

// restart boots the machine exactly once per run: from off by On; from on by ForceOff and
// On, the only way that is certain on all BMCs. What earlier attempts asked for is on
// record; what came of it is read from the machine. Each further request passes the
// guards again, and what came up after our first request is never forced off.
func restart(ctx context.Context, h *step.Host) error {
	if last, took := asked(h, bmc.ResetType.Starts); took {
		if h.History().PreparedSince(last.ID) {
			return &step.Refusal{Guard: "restart", Reason: "this run has restarted the machine already, and something was mounted or set for its next boot since",
				Next: "Start a new run, which may restart it once more"}
		}
		return afterStart(ctx, h, last)
	}
	p, err := steady(ctx, h)
	if err != nil {
		return err
	}
	on, _ := asked(h, isOn)
	off, _ := asked(h, isOff)
	switch {
	case p.State == bmc.On && on.ID != "":
		h.Confirm(on.ID) // refused, or without effect for long: it was done all the same
		return nil
	case p.State == bmc.On && off.ID != "" && off.Took():
		return afterOff(ctx, h, off)
	case p.State == bmc.Off && off.ID != "":
		h.Confirm(off.ID)
		return powerUp(ctx, h)
	}
	return begin(ctx, h)
}

// uncancelled is for what must not be left half done: from the first request until the
// machine is on again.
func uncancelled(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 6*settle)
}

// powerUp starts a machine that is off by our own hand, from the guards on.
func powerUp(ctx context.Context, h *step.Host) error {
	whole, cancel := uncancelled(ctx)
	defer cancel()
	intent, err := h.BMC.Admit(ctx)
	if err != nil {
		return leftOff(h, err)
	}
	return start(whole, h, intent)
}

// begin restarts a machine, from the guards on. Ctrl-C is heard until the first request
// is on record; then the machine must not stay off because of it.
func begin(ctx context.Context, h *step.Host) error {
	intent, err := h.BMC.Admit(ctx)
	if err != nil {
		return err
	}
	p, err := steady(ctx, h)
	if err != nil {
		return err
	}
	switch {
	case p.State == bmc.Off:
		return start(ctx, h, intent)
	case p.Allows(bmc.ResetForceOff):
		return offAndOn(ctx, h, p, intent)
	case !p.Allows(bmc.ResetForceRestart):
		return fmt.Errorf("the BMC offers neither ForceOff nor ForceRestart, but %v; restart the machine by hand", p.Allowed)
	}
	if made, err := request(ctx, h, bmc.ResetForceRestart, intent); made.ID == "" || made.Fate == event.Refused {
		return err
	}
	return restarted(ctx, h, p)
}

// offAndOn forces the machine off and starts it again. From the first request on it is
// not interrupted.
func offAndOn(ctx context.Context, h *step.Host, was bmc.Power, i event.Intent) error {
	off, err := request(ctx, h, bmc.ResetForceOff, i)
	if off.ID == "" {
		return err
	}
	whole, cancel := uncancelled(ctx)
	defer cancel()
	if off.Fate == event.Refused {
		if p, readErr := steady(whole, h); readErr != nil || p.State != bmc.Off {
			return err
		}
	}
	goneOff, err := wentOff(whole, h, off, was)
	if err != nil || !goneOff {
		return err
	}
	return start(whole, h, i)
}

// afterOff continues when the machine reads On after a ForceOff of an earlier attempt.
func afterOff(ctx context.Context, h *step.Host, off step.Made) error {
	whole, cancel := uncancelled(ctx)
	defer cancel()
	goneOff, err := wentOff(whole, h, off, bmc.Power{})
	if err != nil || !goneOff {
		return err
	}
	return powerUp(ctx, h)
}

// wentOff watches what comes of a ForceOff. False without an error is that somebody else
// started the machine meanwhile: it is booting, and stays on.
func wentOff(ctx context.Context, h *step.Host, off step.Made, was bmc.Power) (bool, error) {
	gone, moved, isOn := false, false, false
	err := watch(ctx, h, bmc.Off, func(p bmc.Power) bool {
		isOn = p.State == bmc.On
		gone = gone || p.State == bmc.Off || p.State == bmc.PoweringOff || p.State == bmc.PoweringOn
		moved = moved || was.Post != "" && p.Post != was.Post
		return p.State == bmc.Off || gone && isOn
	})
	var unsettled *step.Unsettled
	switch {
	case err == nil && !isOn:
		if off.Fate != event.Done {
			h.Confirm(off.ID)
		}
		return true, nil
	case err == nil:
		return false, startedElsewhere(ctx, h, off.Intent)
	case !errors.As(err, &unsettled) || !isOn:
		return false, err
	}
	return false, withoutEffect(ctx, h, off, moved, was.Post != "" && !moved, unsettled)
}

// withoutEffect judges a ForceOff after which the machine read On all the time: either it
// was not done, or the machine came up again between two looks. It is asked for again, by
// the guards, only where something shows that it was not done.
func withoutEffect(ctx context.Context, h *step.Host, off step.Made, moved, same bool, unsettled error) error {
	up, waiting, err := override(ctx, h)
	switch {
	case err != nil:
		return err
	case up || moved:
		return startedElsewhere(ctx, h, off.Intent)
	}
	h.Undone(off.ID) // whatever came of it, the machine is on
	if !waiting && !same && !stillUp(ctx, h, off) {
		return &step.Failure{Reason: "the BMC was asked to power the machine off, and its power state reads On; " +
			"nothing shows whether the machine was restarted meanwhile, so it is not asked again, for that could interrupt an installation",
			Next: "Look at the machine's console; if it still runs what it ran before, power it off by hand, then run this again"}
	}
	if offs(h) >= mostOffs {
		return &step.Failure{Reason: fmt.Sprintf("the BMC was asked %d times to power the machine off, and its power state still reads On", mostOffs),
			Next: "Power it off by hand, then run this again"}
	}
	return unsettled
}

// offs counts the requests to power off that were not refused.
func offs(h *step.Host) (n int) {
	for _, m := range h.History().Made(h.StepName()) {
		if m.Verb == event.Reset && isOff(bmc.ResetType(m.New)) && m.Fate != event.Refused {
			n++
		}
	}
	return n
}

// override tells whether the boot source that we set was used up by a boot, or still
// waits for one. Neither is known where none of ours is set, or where no boot uses it up.
func override(ctx context.Context, h *step.Host) (used, waiting bool, err error) {
	boot, err := h.BMC.Boot(ctx)
	ours, set := h.History().BootSet()
	if err != nil || !set || ours.Stays {
		return false, false, err
	}
	waiting = string(boot.Target) == ours.Target
	return !waiting, waiting, nil
}

// stillUp reports that the ESXi that answered before the ForceOff answers still.
func stillUp(ctx context.Context, h *step.Host, off step.Made) bool {
	if h.ESXi == nil || off.Before == nil || off.Before.Fingerprint == "" {
		return false
	}
	p, err := h.ESXi.Probe(ctx)
	return err == nil && p.State == esxi.Up && p.Fingerprint == off.Before.Fingerprint
}

// startedElsewhere takes note of a machine that came up although we did not start it: it
// boots what we had set, and is not restarted again.
func startedElsewhere(ctx context.Context, h *step.Host, i event.Intent) error {
	if on, _ := asked(h, isOn); on.ID != "" {
		h.Confirm(on.ID)
		return nil
	}
	h.Warn("somebody else powered the machine on before we did; it is left on, and not restarted again")
	if err := h.FoundStarted(ctx, i); err != nil {
		return err
	}
	return settled(ctx, h, bmc.On)
}

// startPause is the pause before On is asked for again, and startTakes how long that goes
// on: some BMCs refuse On for up to a minute after an off.
const (
	startPause = 20 * time.Second
	startTakes = 2 * settle
)

// start powers the machine on that is off, by our hand or before. An On that is refused
// for now, or that shows no effect, is asked for again here, by the guards, so that an
// interrupt does not leave the machine off.
func start(ctx context.Context, h *step.Host, i event.Intent) error {
	admitted := i
	for end := h.Now().Add(startTakes); ; admitted = (event.Intent{}) {
		err := startOnce(ctx, h, i, admitted)
		if err == nil || step.Classify(err) == step.Final || h.Now().Add(startPause).After(end) {
			return leftOff(h, err)
		}
		if err := h.Sleep(ctx, startPause); err != nil {
			return leftOff(h, err)
		}
	}
}

// startOnce asks for On once, unless the machine is on already. What admitted the request
// is empty where the guards are to be passed again. Once On is on record, it is not
// interrupted.
func startOnce(ctx context.Context, h *step.Host, i, admitted event.Intent) error {
	p, err := steady(ctx, h)
	if err != nil {
		return err
	}
	if p.State == bmc.On {
		return startedElsewhere(ctx, h, i)
	}
	whole, cancel := uncancelled(ctx)
	defer cancel()
	if last, took := asked(h, isOn); took { // the BMC could not be read since
		return effect(whole, h, last, bmc.On)
	}
	return send(ctx, whole, h, bmc.On, bmc.ResetOn, admitted)
}

// leftOff says of a machine that we powered off that it is not on again.
func leftOff(h *step.Host, err error) error {
	off, ours := asked(h, isOff)
	if _, on := asked(h, bmc.ResetType.Starts); err == nil || !ours || on || !off.Boots {
		return err
	}
	const what = "the machine was powered off for its restart and is not on again: "
	var refusal *step.Refusal
	if errors.As(err, &refusal) {
		return &step.Refusal{Guard: refusal.Guard, Reason: what + refusal.Reason, Next: refusal.Next}
	}
	return fmt.Errorf(what+"%w", err)
}

// afterStart continues when a boot was asked for already. A machine that stays off did not
// get the request, so On may be asked for again, by the guards: it is not a second boot.
func afterStart(ctx context.Context, h *step.Host, was step.Made) error {
	if !isOn(bmc.ResetType(was.New)) { // one request, which the power state need not show
		return restarted(ctx, h, bmc.Power{})
	}
	err := effect(ctx, h, was, bmc.On)
	if _, took := asked(h, isOn); err == nil || took {
		return err
	}
	return powerUp(ctx, h)
}

// restarted demands a sign that a restart by one request took place: the power state was
// another, POST has come to another point, or the boot source override that we had set is
// used up. Where none was set, or one that no boot uses up, that none is set or one still is
// shows nothing. A machine that reads On all the time proves nothing; it is not restarted
// twice for that, and where nothing could have shown it, it is no failure.
func restarted(ctx context.Context, h *step.Host, was bmc.Power) error {
	last, _ := h.History().LastReset()
	uses := last.Boot.Target != "" && !last.Boot.Stays
	err := h.Until(ctx, settle, "a sign of the restart shows", func(ctx context.Context) (bool, error) {
		p, err := h.BMC.Power(ctx)
		if err != nil || p.State != bmc.On || was.Post != "" && p.Post != was.Post {
			return err == nil, err
		}
		if !uses {
			return false, nil
		}
		boot, err := h.BMC.Boot(ctx)
		return boot.Target == bmc.BootNone, err
	})
	var unsettled *step.Unsettled
	switch {
	case errors.As(err, &unsettled) && (uses || was.Post != ""):
		return noSign(was, uses)
	case errors.As(err, &unsettled):
		h.Warn("the BMC was asked for a restart, and nothing can show whether the machine was restarted: " +
			"its power state reads On all the time, the BMC reports nothing about POST, and none of our boot source overrides is used up by a boot")
	case err != nil:
		return err
	}
	return settled(ctx, h, bmc.On)
}

// noSign is the end of a restart that should have shown.
func noSign(was bmc.Power, uses bool) error {
	still := ""
	if was.Post != "" {
		still += ", and its POST state " + was.Post
	}
	if uses {
		still += ", and its boot source override is still set"
	}
	return &step.Failure{Reason: "the BMC was asked for a restart, and nothing shows that the machine was restarted: its power state reads On" +
		still + ". It is not asked again, for that could interrupt an installation",
		Next: "Look at the machine's console; if it was not restarted, power it off, and run this again with --again"}
}

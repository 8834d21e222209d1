package wait

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/media"
	"esxiplan/engine/step"
)

// How often the BMC is looked at while an installation goes on, and how long after the
// reset what it says is taken to be about the time after it.
const (
	lookEvery = time.Minute
	calm      = 2 * time.Minute
)

// quiet is how long after a reset an image that was not read is worth a word: by then
// every machine has been through POST.
const quiet = 10 * time.Minute

// watch is what is seen of a machine between the reset and the proof, and what has to be
// done about it meanwhile.
type watch struct {
	h     *step.Host
	c     Arguments
	last  step.LastReset
	reset bool // one of ours is on record

	reads  media.Reads
	since  media.Reading // what was read since the reset
	known  bool          // a server of ours knows
	sight  step.Sight
	hidden error // why the BMC could not be looked at
}

// see looks at image and BMC. That the BMC does not answer is no failure: it is not what
// is waited for.
func (w *watch) see(ctx context.Context) {
	w.reads, w.known = w.h.Reads()
	w.since = w.reads.Since(w.last.Time)
	if w.reset && w.elapsed() > calm {
		w.sight, w.hidden = w.h.Look(ctx, lookEvery)
	}
}

func (w *watch) elapsed() time.Duration { return w.h.Now().Sub(w.last.Time) }

// whole reports that the BMC had fetched all of the image before the reset, so that later
// silence says nothing.
func (w *watch) whole() bool {
	if w.h.Media == nil {
		return false
	}
	p, ok := w.h.Media.Latest(w.h.Name)
	return ok && w.reads.WholeBefore(w.last.Time, p.Size)
}

// loaded is the sign that the installer was loaded since the reset, "" where there is none.
func (w *watch) loaded() string {
	switch {
	case w.known && w.since.Loaded:
		return fmt.Sprintf("%s read the image up to its last module at %s", w.h.Reader(w.since.By), w.since.Last.Local().Format("15:04:05"))
	case w.reset && w.sight.Time.After(w.last.Time) && w.sight.Power.Booted:
		return "the BMC reports that the firmware has handed over (" + w.sight.Power.Post + ")"
	}
	return ""
}

// told is what was seen, for a reason.
func (w *watch) told() string {
	var parts []string
	switch {
	case !w.reset || !w.known:
	case w.since.Bytes > 0:
		parts = append(parts, fmt.Sprintf("%s read %.1f MB of the image since the reset, last at %s", w.h.Reader(w.since.By), float64(w.since.Bytes)/1e6, w.since.Last.Local().Format("15:04:05")))
	case w.whole():
		parts = append(parts, "the BMC had fetched the whole image before the reset, so that it is not read again says nothing")
	case w.elapsed() > quiet:
		parts = append(parts, fmt.Sprintf("the image was never read in the %s since the reset", w.elapsed().Round(time.Second)))
	}
	if w.hidden != nil {
		parts = append(parts, "its BMC could not be read: "+w.hidden.Error())
	} else if !w.sight.Time.IsZero() {
		parts = append(parts, "its BMC says: "+w.sight.String())
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, "; ")
}

// bootedElse reports that the image was never read although it was to be booted.
func (w *watch) bootedElse() bool {
	return w.reset && w.known && w.since.Bytes == 0 && !w.whole() && w.elapsed() > quiet
}

// act does what cannot wait for the proof: it ends an install loop, starts a machine that
// our reset left off, and takes away an override that no boot uses up.
func (w *watch) act(ctx context.Context, r *Result) error {
	r.Power = string(w.sight.Power.State)
	if w.bootedElse() {
		r.Next = "The machine booted something else: look at its boot order and at the BMC's boot override, then mount and restart again"
	}
	if !w.reset || !w.last.Open && !w.h.History().Debt() {
		return nil
	}
	if w.known && w.since.Boots > 1 {
		return w.breakLoop(ctx, r)
	}
	if w.sight.Power.State == bmc.Off && w.sight.Time.After(w.last.Time) {
		return w.finishOff(ctx, r)
	}
	return w.payDebt(ctx)
}

// payDebt takes a continuous override away as soon as it has done its work, at the latest
// after the time that the plan gives.
func (w *watch) payDebt(ctx context.Context) error {
	if !w.h.History().Debt() {
		return nil
	}
	sign := w.loaded()
	if sign == "" && w.elapsed() < time.Duration(w.c.OverrideFor) {
		return nil
	}
	return w.clearOverride(ctx, sign)
}

// clearOverride takes a continuous override of ours away. A BMC that stumbles is asked
// again at the next look.
func (w *watch) clearOverride(ctx context.Context, sign string) error {
	if !w.h.History().Debt() {
		return nil
	}
	if sign == "" {
		w.h.Warn("the continuous boot source override is taken away %s after the reset, though nothing shows that the installer was loaded", w.elapsed().Round(time.Second))
	}
	if err := step.ClearBoot(ctx, w.h.BMC); err != nil {
		return fmt.Errorf("the continuous boot source override could not be taken away, and would start the installer again: %w", err)
	}
	return nil
}

// breakLoop ends an installation that began again from its medium: its override and the
// medium are taken away.
func (w *watch) breakLoop(ctx context.Context, r *Result) error {
	if boot, err := w.h.BMC.Boot(ctx); err != nil {
		return err
	} else if step.Loops(boot) {
		if err := step.ClearBoot(ctx, w.h.BMC); err != nil {
			return err
		}
	}
	if err := eject(ctx, w.h); err != nil {
		return err
	}
	r.Ended = true
	r.Reason = fmt.Sprintf("the machine booted our medium %d times since the reset at %s: it installs again and again. The boot source override was taken away and the medium ejected", w.since.Boots, w.last.Time.Local().Format("15:04:05"))
	r.Next = "Look at its console: the last installation was cut short if it had begun. Put the disk before the CD in the firmware's boot order, then install it again"
	return nil
}

// finishOff starts a machine that is off although our reset should have started it: the
// request got lost. It is the same reset, once. A machine that has booted since is off by
// somebody else's will.
func (w *watch) finishOff(ctx context.Context, r *Result) error {
	boots := w.sight.Boot.Target != bmc.BootNone && w.sight.Boot.Target != bmc.BootDisk
	asked := slices.ContainsFunc(w.h.Made(), func(m step.Made) bool { return m.Verb == step.Reset })
	if w.h.History().Debt() || !boots || asked || w.since.Bytes > 0 {
		r.Reason = "the machine is off" + w.told()
		r.Next = "Somebody powered it off, or the installer did: power it on, and see on its console where it stands"
		return nil
	}
	w.h.Warn("the machine is off, and its boot source override is still set: our request to start it got lost; it is started now")
	intent, err := w.h.BMC.AdmitAgain(ctx, w.last)
	if err != nil {
		return err
	}
	return w.h.BMC.Reset(ctx, bmc.ResetOn, intent)
}

// eject takes our images out of their drives, also while the installation counts as under
// way: whoever calls it knows better.
func eject(ctx context.Context, h *step.Host) error {
	mounts := h.History().Mounted()
	if len(mounts) == 0 {
		return nil
	}
	ours := func(s bmc.Slot) bool {
		return slices.ContainsFunc(mounts, func(m step.Mount) bool { return s.Image == m.URL || s.Image == "" && s.Name() == m.Drive })
	}
	if _, err := h.Empty(ctx, ours, step.Intent{Force: true}); err != nil {
		return err
	}
	h.ForgetMounts()
	return nil
}

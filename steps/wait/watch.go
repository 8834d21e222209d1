package wait

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/media"
	"esxiplan/engine/step"
	"esxiplan/engine/text"
)

const (
	// lookEvery is how often the BMC is looked at while an installation is in progress.
	lookEvery = time.Minute
	// calm is how long after the reset what the BMC says is taken to be about the time
	// after it.
	calm = 2 * time.Minute
	// quiet is how long after a reset an image that was not read is worth a word: by then
	// every machine has been through POST.
	quiet = 10 * time.Minute
	// restartTakes is how long a machine may be off within a restart of its own.
	restartTakes = 30 * time.Second
)

// watch is what is seen of a machine between the reset and the proof, and what has to be
// done about it meanwhile.
type watch struct {
	h     *step.Host
	c     Arguments
	last  step.LastReset
	reset bool // one of ours is on record

	reads  media.Reads
	since  media.Reading // what was read since the reset
	known  bool          // our server knows
	sight  step.Sight    // zero: nothing was seen
	hidden error         // why the BMC could not be looked at
	old    bool          // the ESXi from before the reset answers

	causeSaid bool // the reason begins with what was read of the image
}

// see looks at image and BMC. That the BMC does not answer is no failure: it is not what
// is waited for.
func (w *watch) see(ctx context.Context) {
	w.h.Watch()
	w.reads, w.known = reads(w.h)
	w.since = w.reads.Since(w.last.Time)
	if !w.reset || w.elapsed() > calm {
		w.lookAt(ctx, lookEvery)
	}
}

// lookAt looks at the BMC. Half a look does not count: what was not read must not be acted upon.
func (w *watch) lookAt(ctx context.Context, age time.Duration) {
	if w.sight, w.hidden = w.h.Look(ctx, age); w.hidden != nil {
		w.sight = step.Sight{}
	}
}

// seen reports that the BMC was looked at since the reset.
func (w *watch) seen() bool { return w.sight.Time.After(w.last.Time) }

func (w *watch) elapsed() time.Duration { return w.h.Now().Sub(w.last.Time) }

// unread reports that the image was surely not read since the reset, by a machine that has
// no copy of it. Reading that went on at the reset may have gone on after it.
func (w *watch) unread() bool {
	if !w.reset || !w.known || w.since.Bytes > 0 || w.whole() {
		return false
	}
	return !slices.ContainsFunc(w.reads.Bouts, func(b media.Bout) bool {
		return b.From.Before(w.last.Time) && b.To.After(w.last.Time)
	})
}

// whole reports that the BMC had fetched all of the image before the reset, or may have, so
// that later silence says nothing.
func (w *watch) whole() bool {
	p, ok := image(w.h)
	return ok && w.reads.WholeBefore(w.last.Time, p.Size)
}

// loaded is the sign that the installer was loaded since the reset, "" where no sign is seen.
// A BMC cannot say what was booted: where the image is known not to be read, it was
// something else.
func (w *watch) loaded() string {
	switch {
	case w.known && w.since.Loaded:
		return fmt.Sprintf("%s read the image up to its last module at %s", w.h.Reader(w.since.By), clock(w.since.Last))
	case w.seen() && w.sight.Power.Booted && !w.unread():
		return "the BMC reports that the firmware has handed over (" + w.sight.Power.Post + ")"
	}
	return ""
}

// seenSoFar is what was seen, for a reason.
func (w *watch) seenSoFar() string {
	var parts []string
	switch {
	case !w.reset || !w.known || w.causeSaid:
	case w.since.Bytes > 0:
		parts = append(parts, fmt.Sprintf("%s read %.1f MB of the image since the reset, last at %s", w.h.Reader(w.since.By), megabytes(w.since.Bytes), clock(w.since.Last)))
	case w.whole() && w.reads.FetchedBefore(w.last.Time):
		parts = append(parts, "the BMC had fetched the whole image before the reset, so that it is not read again says nothing")
	case w.whole():
		parts = append(parts, "the BMC may have a copy of the image: before the reset as many bytes were read as it has, so that it is not read again says nothing")
	case w.bootedElse():
		parts = append(parts, fmt.Sprintf("the image was never read in the %s since the reset", text.Duration(w.elapsed())))
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
func (w *watch) bootedElse() bool { return w.unread() && w.elapsed() > quiet }

// act does what cannot wait for the proof: it ends an install loop, starts a machine that
// our reset left off, and takes away an override that no boot uses up.
func (w *watch) act(ctx context.Context, r *Result) error {
	r.Power = string(w.sight.Power.State)
	if !w.reset {
		return nil
	}
	if w.loops() {
		return w.breakLoop(ctx, r)
	}
	if w.off() {
		if err := w.finishOff(ctx, r); err != nil {
			return err
		}
	}
	return w.endDebt(ctx)
}

// debt reports an override that no boot uses up, on record or seen since the reset: the
// guards let the machine start with it because this step takes it away.
func (w *watch) debt() bool {
	return w.h.History().Debt() || w.last.Open && w.seen() && step.Loops(w.sight.Boot) && !w.cleared()
}

// cleared reports that the BMC answered with success when this step took the override away.
// One that it keeps all the same is not asked for again.
func (w *watch) cleared() bool {
	return slices.ContainsFunc(w.h.Made(), func(m step.Made) bool { return m.Verb == event.SetBoot && m.Fate == event.Done })
}

// endDebt takes a continuous override away as soon as it has done its work, at the latest
// after the time that the plan gives. Before, the machine would boot its disk.
func (w *watch) endDebt(ctx context.Context) error {
	sign, bound := w.loaded(), time.Duration(w.c.OverrideFor)
	if w.inPost() {
		bound *= 2
	}
	if sign == "" && w.h.Now().Sub(w.last.Asked) < bound {
		return nil
	}
	return w.clearOverride(ctx, sign)
}

// inPost reports that the BMC tells how far the firmware has come, and that it has not
// handed over. Some stop telling at some point, so it is not waited for alone.
func (w *watch) inPost() bool {
	p := w.sight.Power
	return w.seen() && p.State == bmc.On && p.Post != "" && !p.Booted
}

// clearOverride takes a continuous override away. A BMC that stumbles is asked again at
// the next look. With one that keeps it, the wait continues only where a loop would be seen.
func (w *watch) clearOverride(ctx context.Context, sign string) error {
	if !w.debt() || w.cleared() {
		return nil
	}
	err := w.h.ClearBoot(ctx)
	const stays = "the continuous boot source override could not be taken away, and would start the installer again"
	switch {
	case err == nil:
		w.noteCleared(sign)
		return nil
	case step.Classify(err) != step.Final || ctx.Err() != nil:
		return fmt.Errorf(stays+": %w", err)
	case w.cleared() && w.known && !w.whole():
		w.h.Warn(stays+"; the medium is ejected when the machine boots it again: %v", err)
		return nil
	}
	return &step.Failure{Reason: stays + ": " + err.Error(),
		Next: "When its console says that the installation is complete, eject the medium (esxiplan do eject … force=true), then take the override away (esxiplan do one_time_boot … target=none)"}
}

// noteCleared notes that the override is gone, and says so where that was a guess.
func (w *watch) noteCleared(sign string) {
	if ours, _ := w.h.History().BootSet(); w.h.History().Debt() { // gone without us
		w.h.Undone(ours.Change)
	} else if sign == "" {
		w.h.Warn("the continuous boot source override was taken away %s after the reset, though nothing shows that the installer was loaded", text.Duration(w.elapsed()))
	}
}

// loops reports that the machine booted our medium more than once, and may do so again.
func (w *watch) loops() bool {
	ours := w.last.Open || w.debt() || w.c.Eject && len(w.h.History().Mounted()) > 0
	return ours && w.known && w.since.Boots > 1
}

// breakLoop ends an installation that began again from its medium: its override and the
// medium are taken away.
func (w *watch) breakLoop(ctx context.Context, r *Result) error {
	what := fmt.Sprintf("the machine booted our medium %d times since the reset at %s: it installs again and again", w.since.Boots, clock(w.last.Time))
	override, medium := endOverride(ctx, w.h), eject(ctx, w.h)
	for _, err := range []error{override, medium} {
		if err != nil && !hopeless(ctx, w.h, err) {
			return fmt.Errorf("%s, and that could not be ended yet: %w", what, err)
		}
	}
	r.Ended = true
	r.Next = "Look at its console: if an installation was cut short, put the disk before the CD in the firmware's boot order, and install it again; else restart it, and it boots its disk"
	switch {
	case medium != nil:
		r.Reason = fmt.Sprintf("%s, and the medium could not be ejected: %v", what, medium)
		r.Next = "Power it off (step power), and empty the drive through its BMC"
	case override != nil:
		r.Reason = fmt.Sprintf("%s. The medium was ejected, but the boot source override stays: %v", what, override)
		r.Next = "Take the override away (esxiplan do one_time_boot … target=none), or set it to the disk at the BMC, then look at its console: if an installation was cut short, install it again, else restart it, and it boots its disk"
	case w.cleared():
		r.Reason = what + ". The boot source override was taken away, and the medium ejected"
	default:
		r.Reason = what + ". The medium was ejected"
	}
	return nil
}

func (w *watch) off() bool { return w.seen() && w.sight.Power.State == bmc.Off }

// finishOff starts a machine that is off although our reset should have started it: the
// request was lost. It is the same reset, once. A machine that has booted since is off by
// somebody else's will.
func (w *watch) finishOff(ctx context.Context, r *Result) error {
	if lost, err := w.lost(ctx); err != nil || !lost {
		if w.off() {
			r.Reason = "the machine is off" + w.seenSoFar()
			r.Next = "Somebody powered it off, or the installer did: power it on, and see on its console where it stands"
		}
		return err
	}
	r.Reason = "the machine was off, and its boot source override is still set: our request to start it was lost; it is started now"
	w.h.Warn("%s", r.Reason)
	intent, err := w.h.BMC.AdmitAgain(ctx, w.last)
	if err != nil {
		return err
	}
	return w.h.BMC.Reset(ctx, bmc.ResetOn, intent)
}

// lost reports that the machine was never started by our reset, and stays off: it may also
// be off for a moment within a restart of its own.
func (w *watch) lost(ctx context.Context) (bool, error) {
	if !w.neverStarted() {
		return false, nil
	}
	if !w.h.Settings.DryRun {
		if err := w.h.Sleep(ctx, restartTakes); err != nil {
			return false, err
		}
	}
	w.h.BMC.Refresh(0)
	w.lookAt(ctx, 0)
	return w.off() && w.neverStarted(), nil
}

// neverStarted reports that nothing shows a boot since our reset: what we set for it is
// still set, nothing was read, no BMC said that it was started, and it is not this step that
// started it.
func (w *watch) neverStarted() bool {
	history := w.h.History()
	set := w.sight.Boot.Target != bmc.BootNone && w.sight.Boot.Target != bmc.BootDisk && !step.Loops(w.sight.Boot)
	started := w.last.Step == w.h.StepName() || w.last.Fate == event.Done
	return w.last.Open && set && !started && !history.Debt() && w.since.Bytes == 0
}

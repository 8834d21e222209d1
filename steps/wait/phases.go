package wait

import (
	"fmt"

	"esxiplan/engine/event"
)

// enter notes how far the installation has come, by what was seen in this look.
func (w *watch) enter() {
	if !w.reset || !w.last.Open && w.last.Phase() == "" { // not a reset that installs
		return
	}
	if phase, evidence := w.phase(); phase != "" {
		w.h.Enter(phase, evidence)
	}
}

// How much of an image is read at most by a firmware that only looks what is on it, and by a
// boot loader for itself, before the modules, in bytes.
const (
	lookReads   = 1 << 20
	loaderReads = 16 << 20
)

// readByBMC is how many bytes of the image the BMC is known to have read since the reset.
func (w *watch) readByBMC() int64 {
	if !w.known || w.since.Other {
		return 0
	}
	return w.since.Bytes
}

// phase is the latest phase for which there is evidence, and that; "" where nothing shows one.
// What nothing shows is passed by: where the image is not served by us and the BMC does not
// tell how far a boot has come, a machine goes from its reset straight to the new ESXi.
func (w *watch) phase() (event.Phase, string) {
	post, read := w.sight.Power.Post, fmt.Sprintf("%s read %.1f MB of the image", w.h.Reader(w.since.By), megabytes(w.since.Bytes))
	switch {
	case w.rebooted():
		return event.PhaseRebooting, "the BMC reports POST again (" + post + "), after the installer was loaded"
	case w.known && w.since.Loaded:
		return event.PhaseInstaller, read + ", up to its last module"
	case w.handedOver() && w.sight.Power.Running:
		return event.PhaseInstaller, "the BMC reports that an operating system runs (" + post + ")"
	case w.readByBMC() > loaderReads:
		return event.PhaseReading, read
	case w.readByBMC() > lookReads:
		return event.PhaseLoader, read
	case w.handedOver():
		return event.PhaseLoader, "the BMC reports that the firmware has handed over (" + post + ")"
	case w.firstPost():
		return event.PhasePost, "the BMC reports POST: " + post
	case w.last.Fate == event.Done:
		return event.PhaseRestart, w.last.Answered()
	}
	return "", ""
}

// handedOver reports that the firmware has handed over, as far as the BMC says, and that
// nothing shows that it was to something else than our medium.
func (w *watch) handedOver() bool {
	return w.seen() && w.sight.Power.Booted && !w.unread() && !w.old
}

// firstPost reports that the machine is in POST, and that it cannot be the one after the
// installation: no other one was missed, or our medium was surely not read yet.
func (w *watch) firstPost() bool {
	return w.seen() && w.sight.Power.Posting && (w.sight.Throughout(w.last.Time) || w.unread())
}

// installs reports that the installer was loaded since the reset, by this look or an earlier
// one.
func (w *watch) installs() bool {
	return w.known && w.since.Loaded || !event.PhaseInstaller.After(w.last.Phase())
}

// rebooted reports that the machine is in POST once more since the installer was loaded.
func (w *watch) rebooted() bool {
	return w.installs() && w.since.Boots < 2 && w.seen() && w.sight.Power.Posting && w.sight.Through.After(w.last.Time)
}

package wait

import (
	"context"
	"fmt"
	"strings"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/engine/step"
	"esxiplan/engine/text"
)

// pauses is how long an image that is being read may rest: a loader waits for nothing so long.
const pauses = 3 * time.Minute

// because puts the cause, where what was seen tells one, before what the ESXi address shows.
func (l *looking) because(p esxi.Probe, reason string) string {
	cause, next := l.cause()
	if cause == "" {
		return reason
	}
	l.causeSaid, l.r.Next = true, next
	switch {
	case l.old && l.bootedElse():
		return "the machine booted its disk: " + reason + "; " + cause
	case l.old:
		return reason + "; " + cause
	}
	if there, ok := l.elsewhere(); ok && p.State == esxi.Silent && l.installs() {
		l.r.Next = "Look on the machine's console which address its ESXi has, and compare it with esxi.address, esxi.vlan and esxi.nic of the plan"
		reason += "; " + there
	}
	return cause + "; " + reason
}

// cause is what keeps the installation, as far as it was seen, and what to do about it; "" where
// nothing out of the ordinary was.
func (w *watch) cause() (cause, next string) {
	now := w.h.Now()
	p, _ := image(w.h)
	switch {
	case !w.reset, w.off():
		return "", ""
	case w.stuckInPost():
		return w.stuck(),
			"Look at the machine's console and at the BMC's log for what the firmware stops at; a machine with much memory may need a longer timeout of this step"
	case w.bootedElse():
		return fmt.Sprintf("the image was never read in the %s since the reset", text.Duration(w.elapsed())),
			"The machine booted something else: look at its boot order and at the BMC's boot override, then mount and restart again"
	case w.rebooting():
		at := w.last.Phases[len(w.last.Phases)-1].Time
		return fmt.Sprintf("the machine was seen to restart at %s, after the installer was loaded, and no new ESXi came up in the %s since", clock(at), text.Duration(now.Sub(at))),
			"Look at the machine's console: where its ESXi is up, compare its address, VLAN and network port with esxi of the plan; where it boots something else, look at the boot order"
	case w.known && w.since.Loaded:
		return fmt.Sprintf("the installer was loaded: %s. In the %s since %s", w.loaded(), text.Duration(now.Sub(w.since.Last)), w.nothingSince()),
			"Look at the machine's console: an installer that stopped says there why. One that still works needs a longer timeout of this step"
	case w.readByBMC() > 0 && now.Sub(w.since.Last) > pauses:
		return fmt.Sprintf("%s read %.1f MB of the image's %.1f MB since the reset and stopped at %s, %s ago", w.h.Reader(w.since.By), megabytes(w.since.Bytes), megabytes(p.Size),
				clock(w.since.Last), text.Duration(now.Sub(w.since.Last))),
			"Look at the machine's console for what its boot loader says, and find out what cuts the way from the BMC to the server of the image; then mount and restart again"
	}
	return "", ""
}

// stuckInPost reports a machine that is in POST later than any should be, has booted nothing of
// ours as far as is known, and was not seen to leave POST since the reset.
func (w *watch) stuckInPost() bool {
	booted := w.since.Bytes > 0 || !event.PhaseLoader.After(w.last.Phase())
	return w.firstPost() && w.elapsed() > quiet && !booted && !w.sight.Through.After(w.last.Time)
}

// stuck says of a machine that is stuck in POST since when. That it never left POST can say only
// who has watched since the reset: it may have booted something else before.
func (w *watch) stuck() string {
	after, post := text.Duration(w.elapsed()), w.sight.Power.Post
	if w.sight.Throughout(w.last.Time) {
		return fmt.Sprintf("the machine is still in POST %s after the reset (%s)", after, post)
	}
	return fmt.Sprintf("the machine is in POST %s after the reset (%s), and the image was not read since", after, post)
}

// rebooting reports a machine of which the last that was seen is the restart after the
// installation.
func (w *watch) rebooting() bool {
	last, _ := w.h.History().LastReset() // with the phase of this look
	if last.Phase() != event.PhaseRebooting {
		return false
	}
	w.last.Phases = last.Phases
	return true
}

// nothingSince says what was not seen of a machine since its installer was loaded. Only a BMC
// that tells how far the firmware has come would have shown a restart.
func (w *watch) nothingSince() string {
	if w.seen() && w.sight.Power.Post != "" {
		return "no restart of the machine was seen"
	}
	return "no new ESXi came up"
}

// elsewhere says under which other address this host knows the machine's network port, which is
// that of the plan.
func (l *looking) elsewhere() (string, bool) {
	x := l.h.Declared.ESXi
	if l.h.Neighbours == nil || x.NIC == nil {
		return "", false
	}
	for _, n := range l.h.Neighbours() {
		if strings.EqualFold(n.MAC, *x.NIC) && n.Address != x.Address {
			return fmt.Sprintf("the ARP table here has its network port %s at %s: its ESXi may be up under that address, unless the entry is from before the reset", *x.NIC, n.Address), true
		}
	}
	return "", false
}

// showScreen names, in what to do next, the file with what the machine's screen shows when the
// wait is given up.
func showScreen(ctx context.Context, h *step.Host, r *Result) {
	over := !r.Reached && (r.Ended || h.Last()) && (r.Goal == "esxi" || r.Goal == "installer")
	if !over || bmc.PowerState(r.Power) == bmc.Off {
		return
	}
	if r.Screen = h.LastScreen(ctx); r.Screen != "" {
		r.Next = "See what the machine's screen shows, in " + r.Screen + ". " + r.Next
	}
}

package step

import (
	"fmt"

	"esxiplan/engine/bmc"
)

// CheckOverride demands that the boot source that we set is still set, that a mounted
// image would be booted at all, and that an override that no boot uses up is
// taken away in time: by a wait that follows in this run.
func CheckOverride(h History, boot bmc.Boot, p Place) error {
	ours, set := h.BootSet()
	mounted := len(h.Mounted()) > 0
	switch {
	case set && string(boot.Target) != ours.Target:
		return &Refusal{"boot source", fmt.Sprintf("the boot source override reads %q, we had set %q: "+
			"somebody changed it, or the machine was restarted meanwhile", boot.Target, ours.Target),
			"Set it again (step one_time_boot), then restart; or take it back (target none), and restart without it"}
	case mounted && !set && h.OnlyContinuous() && (boot.Target == bmc.BootNone || boot.Target == bmc.BootDisk):
		return continuous("Set the boot source, restart and wait in one run", p)
	case mounted && !set && (boot.Target == bmc.BootNone || boot.Target == bmc.BootDisk):
		return &Refusal{"boot source", "our image is mounted, but no boot source override is set: the machine would boot its disk",
			"Set it (step one_time_boot), then restart; or take the image out (step eject)"}
	case Loops(boot) && !p.Waits && !set:
		return &Refusal{"boot source", fmt.Sprintf("the boot source override is %s, and no boot uses it up: the machine would boot that again and again", boot),
			"Take it away first (one_time_boot with target none)"}
	case Loops(boot) && !p.Waits:
		return continuous("Run the restart together with a wait step, which takes the override away in time", p)
	}
	return nil
}

// CheckKept refuses to set an override on a service that knows only continuous ones, in a
// run that does not also restart the machine and wait: it would have to be taken away at
// the end of this run, or start the installer at every boot.
func CheckKept(h History, p Place) error {
	if !h.OnlyContinuous() || p.Restarts && p.Waits {
		return nil
	}
	return continuous("Run this step, the restart and the wait in one run", p)
}

// continuous refuses what only one run can do on a service that knows no other overrides; it
// names the steps to join.
func continuous(next string, p Place) error {
	if p.Join != "" {
		next += ": " + p.Join
	} else {
		next += " (leave out --tags, or name all of their tags)"
	}
	return &Refusal{"boot source", "this BMC knows only a continuous boot source override, which would start the installer again and again", next}
}

// checkStage refuses to begin a stage that sets an override which it would have to take away
// again at its end.
func (d *BMC) checkStage() error {
	p := d.host.Place()
	if !p.Sets || p.Waits {
		return nil
	}
	return CheckKept(d.host.History(), p)
}

// MayInstall reports whether what we did, or what the BMC reports, leads a boot into an
// installer.
func MayInstall(h History, boot bmc.Boot) bool {
	ours, set := h.BootSet()
	switch {
	case len(h.Mounted()) > 0, set && ours.Target != string(bmc.BootDisk):
		return true
	}
	return boot.Target != bmc.BootNone && boot.Target != bmc.BootDisk && boot.Target != bmc.BootOther
}

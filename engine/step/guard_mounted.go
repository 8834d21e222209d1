package step

import (
	"cmp"
	"fmt"
	"slices"

	"esxiplan/engine/bmc"
)

// CheckMounted demands that what we mounted is still there and our only image
// there, and that a machine that is set to boot a virtual CD has one.
func CheckMounted(h History, p Place, drives []bmc.Slot, boot bmc.Boot) error {
	m, ok := h.Meant(p)
	switch {
	case !ok && boot.Target == bmc.BootCD:
		return CheckLoaded(drives)
	case !ok:
		return nil
	case !inDrive(h, drives, m.URL):
		return &Refusal{"medium", "our image " + m.URL + " is no longer in a drive: somebody ejected it, or the BMC lost it or never took it",
			"Mount it again (step insert), then restart; or run the step eject, and restart without it"}
	}
	for _, s := range drives {
		if other, ours := h.MountIn(s); ours && other.URL != m.URL {
			return &Refusal{"medium", fmt.Sprintf("two of our images are mounted: %s, and %s in %s; which of them the machine would boot is not known",
				m.URL, other.URL, s.Name()),
				"Take out the one that it is not to boot (step eject), then restart"}
		}
	}
	return nil
}

// CheckLoaded demands that a machine that boots a virtual CD has one in a drive.
func CheckLoaded(drives []bmc.Slot) error {
	if slices.ContainsFunc(drives, func(s bmc.Slot) bool { return s.Loaded }) {
		return nil
	}
	return &Refusal{"medium", "the machine would boot a virtual CD, but no drive holds one: it would wait at its console",
		"Mount the image (steps build_iso, insert), or take the override away (one_time_boot with target none)"}
}

// inDrive reports whether an image that we mounted is in a drive.
func inDrive(h History, drives []bmc.Slot, url string) bool {
	return slices.ContainsFunc(drives, func(s bmc.Slot) bool {
		m, ours := h.MountIn(s)
		return ours && m.URL == url
	})
}

// Strangers reports a drive for floppies and USB sticks that holds what is not on our record:
// none of our installations boots from there, and someone may be using it.
func Strangers(s bmc.Slot, h History) bool {
	_, ours := h.MountIn(s)
	return s.Stick && s.Loaded && !ours
}

// CheckStick protects what someone else mounted as a floppy or USB stick.
func CheckStick(s bmc.Slot, h History) error {
	if !Strangers(s, h) {
		return nil
	}
	return &Refusal{"medium", s.Name() + ", which takes floppies and USB sticks, holds " + cmp.Or(s.Image, "an unknown image") + ", which esxiplan did not mount",
		"Leave it, or take it out with the step eject and all = true"}
}

// CheckEject protects the medium of one of our installations that is in progress: any image of
// which the BMC does not tell what it is may be that.
func CheckEject(s bmc.Slot, h History) error {
	last, open := h.Installing()
	if !open {
		return nil
	}
	for _, m := range h.Mounted() {
		if s.Image == m.URL || s.Image == "" {
			return &Refusal{"medium", s.Name() + " holds the medium of an installation that began at " + ClockTime(last.Time) + " and is neither proven nor timed out",
				"Wait for its end (step wait), or set force = true"}
		}
	}
	return nil
}

package step

import (
	"fmt"
	"slices"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
)

// CheckConsent demands that somebody agreed before a machine is restarted into an
// installer, or before the power of one is changed that is on, or might be.
func CheckConsent(s Settings, power bmc.PowerState, installs bool) error {
	switch {
	case installs && s.Consent.Wipe, !installs && s.Consent.Stop:
		return nil
	case installs:
		return &Refusal{"consent", "this restart would boot what is mounted or set for it, and no one was asked whether that may wipe the machine",
			"Run it again with --yes"}
	case power != bmc.Off:
		return &Refusal{"consent", "the machine is on (power state " + string(power) + "), and no one was asked whether what runs on it may be stopped",
			"Run it again with --yes"}
	}
	return nil
}

// CheckBarred refuses a host about which nothing was agreed, because it was refused or out of reach
// when somebody was asked.
func CheckBarred(c Consent) error {
	if c.Barred == "" {
		return nil
	}
	return &Refusal{"consent", "nothing was agreed about this host: " + c.Barred, "Start the run again; it asks again"}
}

// CheckAgreed demands that the disks which an installer is about to overwrite are those that
// somebody was shown who agreed. Who agreed without being asked (--yes) was shown none.
func CheckAgreed(c Consent, erases []event.Disk) error {
	if c.Shown == nil || len(erases) == 0 || slices.EqualFunc(c.Shown.Disks, erases, event.Disk.Same) {
		return nil
	}
	return &Refusal{"consent", fmt.Sprintf("the installer would overwrite %s, and what was agreed to is %s", diskList(erases), diskList(c.Shown.Disks)),
		"Look at the machine's disks with esxiplan discover, then start the run again"}
}

func diskList(disks []event.Disk) string {
	text := ""
	for i, d := range disks {
		if i > 0 {
			text += "; and "
		}
		text += d.String()
	}
	return text
}

package step

import (
	"slices"

	"esxiplan/engine/bmc"
)

// CheckDrive demands a virtual drive that takes a CD image by URL.
func CheckDrive(drives []bmc.Slot) error {
	if slices.ContainsFunc(drives, func(s bmc.Slot) bool { return s.CD }) {
		return nil
	}
	return &Refusal{"medium", "the BMC offers no virtual CD drive", "Check its license and that virtual media is enabled"}
}

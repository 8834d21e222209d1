package step

import (
	"fmt"

	"esxiplan/engine/bmc"
)

// CheckLicense refuses to mount by a BMC whose license does not cover it.
func CheckLicense(l bmc.License) error {
	if l.Media == nil || *l.Media {
		return nil
	}
	return &Refusal{"license", fmt.Sprintf("the BMC's license (%s) does not cover virtual media", l.Name), "Install one that does, then run this again"}
}

package step

import (
	"fmt"
	"strings"

	"esxiplan/schema"
)

// CheckRemote refuses disks that no BMC confirms where a storage network is connected:
// what the plan names may be a LUN that others use.
func CheckRemote(trusted []*schema.Disk, san []string) error {
	if len(trusted) == 0 || len(san) == 0 {
		return nil
	}
	return &Refusal{"remote disk", fmt.Sprintf("%s is not confirmed by the BMC (confirm = false), and a storage network is connected (%s): "+
		"it may be a LUN that others use", trusted[0].String(), strings.Join(san, ", ")),
		"Name a local disk that the BMC confirms (serial, wwn or model, without confirm = false), " +
			"or take the machine out of the storage network's zones for the installation"}
}

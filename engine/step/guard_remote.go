package step

import (
	"fmt"
	"strings"

	"esxiplan/schema"
)

// CheckRemote refuses disks that no BMC confirms where what the plan names may be a LUN that
// others use: a storage network is connected (as the BMC says), or the running ESXi sees LUNs
// of one. What no one says is not known, and refuses nothing.
func CheckRemote(x *schema.ESXi, san, luns []string) error {
	var why, next string
	switch {
	case len(luns) > 0:
		why, next = "the running ESXi sees LUNs of a storage network ("+strings.Join(luns, "; ")+")",
			"take the machine's access to them away for the installation (zones, LUN masking, iSCSI targets)"
	case len(san) > 0:
		why, next = "a storage network is connected ("+strings.Join(san, ", ")+")", "take the machine out of the storage network's zones for the installation"
	}
	_, trusted := byConfirmation(x)
	if len(trusted) == 0 || why == "" {
		return nil
	}
	return &Refusal{"remote disk", fmt.Sprintf("%s is not confirmed by the BMC (confirm = false), and %s: it may be a LUN that others use", trusted[0].String(), why),
		"Name a local disk that the BMC confirms (serial, wwn or model, without confirm = false), or " + next}
}

package step

import (
	"fmt"
	"strings"

	"esxiplan/engine/bmc"
	"esxiplan/schema"
)

// CheckIdentity compares what the BMC says with what the plan demands.
func CheckIdentity(d *schema.Host, id bmc.Identity) error {
	if d.Vendor != "auto" && d.Vendor != id.Vendor {
		return &Refusal{"identity", fmt.Sprintf("the plan says vendor %q, the BMC at %s is of %q (%s %s)", d.Vendor, d.BMC.Address, id.Vendor,
			id.Manufacturer, id.Model),
			"Correct vendor or address in the plan"}
	}
	if d.Serial != "" && !strings.EqualFold(d.Serial, id.Serial) && !strings.EqualFold(d.Serial, id.Board) {
		return &Refusal{"identity", fmt.Sprintf("the plan demands serial number %s, the machine behind %s is %s", d.Serial, d.BMC.Address, id.Serial),
			"Correct serial or address in the plan: this may be another machine"}
	}
	return nil
}

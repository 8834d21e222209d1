// Package vendors lists the vendors, in the order in which they are tried. A new
// vendor is a folder and a line here.
package vendors

import (
	"esxiplan/engine/bmc"
	"esxiplan/engine/bmc/ami"
	"esxiplan/engine/bmc/cisco"
	"esxiplan/engine/bmc/dell"
	"esxiplan/engine/bmc/fujitsu"
	"esxiplan/engine/bmc/hpe"
	"esxiplan/engine/bmc/huawei"
	"esxiplan/engine/bmc/lenovo"
	"esxiplan/engine/bmc/openbmc"
	"esxiplan/engine/bmc/supermicro"
)

// All returns the vendors; the plain standard, which takes every BMC, is last.
// Firmware that names itself comes before the makers of machines, other firmware that is
// sold under many names after them.
func All() []bmc.Vendor {
	return []bmc.Vendor{
		openbmc.Vendor,
		dell.Vendor,
		hpe.Vendor,
		lenovo.Vendor,
		supermicro.Vendor,
		fujitsu.Vendor,
		huawei.Vendor,
		cisco.Vendor,
		ami.Vendor,
		standard,
	}
}

// Names lists the vendors as plans write them.
func Names() []string {
	var names []string
	for _, v := range All() {
		names = append(names, v.Name)
	}
	return names
}

var standard = bmc.Vendor{
	Name: "redfish", Summary: "any other BMC that keeps to the standard",
	Match: func(bmc.Identity, bmc.RootDocument) bool { return true },
	New:   func(r *bmc.Redfish) bmc.Client { return r },

	KeepsContext: true,
}

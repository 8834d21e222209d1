// Package lenovo is what Lenovo's XCC does differently from the standard.
package lenovo

import (
	"strings"

	"esxiplan/engine/bmc"
)

// Vendor is Lenovo, XCC 2.50 and later, XCC2, XCC3.
var Vendor = bmc.Vendor{
	Name: "lenovo",
	Match: func(id bmc.Identity, root bmc.RootDocument) bool {
		_, oem := root.Oem["Lenovo"]
		return oem || root.Vendor == "Lenovo" || id.Manufacturer == "Lenovo"
	},
	New: newClient,
	Messages: map[string]bmc.Advice{
		"SourceDoesNotSupportProtocol": {Text: "the XCC does not fetch images by this protocol", Next: "publish the image under another one: https for XCC2 and later, http for the first XCC"},
		"Conflict":                     {Text: "the virtual drive is in use", Next: "close open consoles and unmount what they mounted", Retry: true},
	},
}

// newClient keeps to the slots EXT1 to EXT4: XCC gives all ten slots the same
// media types, but RDOC* take uploads only and Remote* cannot be written. EXT*
// have no actions; the standard patches such slots.
func newClient(r *bmc.Redfish) bmc.Client {
	r.SetRules(bmc.Rules{
		SlotUsable:  func(id string) bool { return strings.HasPrefix(id, "EXT") },
		BootDevices: []bmc.BootDevice{{Controller: "M.2", Model: "ThinkSystem M.2"}},
	})
	return r
}

// Package cisco is what Cisco's IMC does differently from the standard.
package cisco

import (
	"regexp"

	"esxiplan/engine/bmc"
)

// Vendor is Cisco, IMC of UCS C, B and X.
var Vendor = bmc.Vendor{
	Name: "cisco", Summary: "Cisco IMC",
	Match: func(id bmc.Identity, root bmc.RootDocument) bool {
		_, oem := root.Oem["Cisco"]
		return oem || root.Vendor == "Cisco Systems Inc." || len(id.Manufacturer) >= 5 && id.Manufacturer[:5] == "Cisco"
	},
	New: func(r *bmc.Redfish) bmc.Client {
		r.SetRules(bmc.Rules{VolumeModel: raid.FindString, Uplinks: true})
		return r
	},
	Quirks: []bmc.Quirk{
		{What: "some slots belong to the console and answer an insert with 400 or 405: the next one takes it", Models: "IMC", Source: "bmc-facts §3, §4", Profiles: "cisco/imc"},
		{What: "slots offer DVD only", Models: "UCS B and X", Source: "bmc-facts §3", Profiles: "cisco/imc"},
		{What: "ports of an adapter are its uplinks, with addresses of their own; the host's NICs are its functions, without those that have a WWPN", Models: "IMC with a VIC", Source: "field report", Profiles: "cisco/imc"},
		{What: "empty FlexFlash slots are drives of the model NA without a size; a volume's VolumeType shows its RAID level", Models: "IMC", Source: "field report", Profiles: "cisco/imc"},
		{What: "no EthernetInterfaces", Models: "UCS B and X", Source: "bmc-facts §13", Profiles: "cisco/imc"},
	},
}

// raid is the part number of a RAID controller, which is the model of its volumes.
var raid = regexp.MustCompile(`UCSC-M?RAID[\w-]+`)

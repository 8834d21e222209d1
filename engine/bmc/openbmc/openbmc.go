// Package openbmc is what forks of OpenBMC do differently from the standard; upstream
// has no virtual media at all.
package openbmc

import (
	"context"

	"esxiplan/engine/bmc"
)

// Vendor is OpenBMC.
var Vendor = bmc.Vendor{
	Name: "openbmc", Summary: "forks of OpenBMC with virtual media, on machines of any maker",
	Match: func(id bmc.Identity, root bmc.RootDocument) bool {
		_, oem := root.Oem["OpenBmc"]
		return oem || id.Generation == "OpenBmc"
	},
	New:          newClient,
	KeepsContext: true,
	Messages: map[string]bmc.Advice{
		"ResourceAtUriInUnknownFormat": {Text: "OpenBMC fetches images by https only", Next: "serve them by https: media.listen_tls, or an https url"},
	},
	Quirks: []bmc.Quirk{
		{What: "images by https only; http is refused with ResourceAtUriInUnknownFormat", Models: "bmcweb with virtual media", Source: "bmc-facts §4, §9", Profiles: "openbmc/bmcweb"},
		{What: "only the service root has maker and model", Models: "GH200 24.05", Source: "recording GH200", Profiles: "openbmc/gb300"},
		{What: "the host's system and that of its GPU baseboard; only the first can be reset", Models: "GH200, GB200, GB300, DGX", Source: "recordings GH200, GB300, DGX H100", Profiles: "openbmc/gb300"},
		{What: "Slot_0 can only eject, USB1 and USB2 insert", Models: "GB300 70.01", Source: "recording GB300", Profiles: "openbmc/gb300"},
		{What: "slots without an insert action are for consoles (proxy)", Models: "bmcweb with virtual media", Source: "bmc-facts §3", Profiles: "openbmc/bmcweb"},
		{What: "ActionInfo lists the reset types; a restart while off is accepted", Models: "bmcweb", Source: "recording GH200; bmc-facts §7", Profiles: "openbmc/bmcweb"},
		{What: "a login may bear a Context, which its session shows", Models: "newer bmcweb", Source: "its redfish_sessions.hpp", Profiles: "openbmc/bmcweb"},
		{What: "idles at Continuous with target Hdd or None", Models: "GH200 24.05", Source: "recording GH200", Profiles: "openbmc/bmcweb"},
	},
}

type client struct{ *bmc.Redfish }

func newClient(r *bmc.Redfish) bmc.Client {
	c := &client{r}
	r.SetRules(bmc.Rules{
		ModelInRoot: true,
		SlotUsable:  func(_ string, action bool) bool { return action },
		Prepare: func(_ context.Context, _ bmc.Slot, url string) ([]bmc.Preparation, error) {
			return nil, bmc.Scheme(url, "https")
		},
	})
	return c
}

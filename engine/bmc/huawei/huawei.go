// Package huawei is what the iBMC of Huawei and xFusion does differently from the standard.
package huawei

import (
	"context"
	"encoding/json"
	"strings"

	"esxiplan/engine/bmc"
)

// Vendor is Huawei and xFusion, iBMC.
var Vendor = bmc.Vendor{
	Name: "huawei", Summary: "Huawei and xFusion iBMC",
	Match: func(id bmc.Identity, root bmc.RootDocument) bool {
		_, huawei := root.Oem["Huawei"]
		_, xfusion := root.Oem["xFusion"]
		return huawei || xfusion || id.Manufacturer == "Huawei" || id.Manufacturer == "XFUSION" || id.Manufacturer == "xFusion"
	},
	New: newClient,
	Messages: map[string]bmc.Advice{
		"FileTransferProtocolMismatch": {Text: "the iBMC does not fetch images by this protocol", Next: "publish the image under another one: many iBMCs take https, some NFS and CIFS only"},
		"ConnectionFailed":             {Text: "the iBMC could not connect to the image", Next: "check route and firewall from the iBMC to the image's URL", Retry: true},
		"VirtualMediaIsInUse":          {Text: "the virtual drive is in use", Next: "close open consoles", Retry: true},
	},
	Quirks: []bmc.Quirk{
		{What: "mount and unmount are VmmControl in the slot's Oem object and begin a task", Models: "iBMC", Source: "bmc-facts §4, §5, §14", Profiles: "huawei/ibmc"},
		{What: "PATCH without If-Match answers 412", Models: "iBMC", Source: "bmc-facts §6, §8", Profiles: "huawei/ibmc"},
		{What: "a session shows user, address and time in its Oem object only", Models: "iBMC", Source: "vendor's documentation (creating a session)", Profiles: "huawei/ibmc"},
		{What: "ManagedBy is missing, Managers is there; ForcePowerCycle instead of PowerCycle", Models: "1288H", Source: "bmc-facts §2, §7", Profiles: "huawei/ibmc"},
	},
}

type client struct{ *bmc.Redfish }

func newClient(r *bmc.Redfish) bmc.Client {
	r.SetRules(bmc.Rules{DriveState: driveState})
	return &client{r}
}

func driveState(oem map[string]json.RawMessage) string {
	var o struct{ FirmwareStatus string }
	bmc.OemObject(oem, &o, "Huawei", "xFusion")
	return o.FirmwareStatus
}

// control finds the action, whatever the brand of its key.
func (c *client) control(ctx context.Context, s bmc.Slot) (bmc.Link, error) {
	var d struct {
		Oem map[string]struct {
			Actions map[string]struct {
				Target bmc.Link `json:"target"`
			}
		}
	}
	if err := c.Get(ctx, s.URI, &d); err != nil {
		return "", err
	}
	for _, brand := range d.Oem {
		for name, action := range brand.Actions {
			if strings.HasSuffix(name, ".VmmControl") {
				return action.Target, nil
			}
		}
	}
	return "", nil
}

// Insert implements [bmc.Client].
func (c *client) Insert(ctx context.Context, s bmc.Slot, url string, r bmc.Record) error {
	target, err := c.control(ctx, s)
	if err != nil || target == "" {
		return orStandard(err, func() error { return c.Redfish.Insert(ctx, s, url, r) })
	}
	return c.Post(ctx, bmc.InsertCommand(s, url, r), target, map[string]string{"VmmControlType": "Connect", "Image": url})
}

// Eject implements [bmc.Client].
func (c *client) Eject(ctx context.Context, s bmc.Slot, r bmc.Record) error {
	target, err := c.control(ctx, s)
	if err != nil || target == "" {
		return orStandard(err, func() error { return c.Redfish.Eject(ctx, s, r) })
	}
	return c.Emptied(ctx, s, c.Post(ctx, bmc.EjectCommand(s, r), target, map[string]string{"VmmControlType": "Disconnect"}))
}

func orStandard(err error, standard func() error) error {
	if err != nil {
		return err
	}
	return standard()
}

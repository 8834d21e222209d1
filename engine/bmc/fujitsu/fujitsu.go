// Package fujitsu is what the iRMC of Fujitsu and Fsas does differently from the standard.
package fujitsu

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"esxiplan/engine/bmc"
)

// Vendor is Fujitsu and Fsas, iRMC S5 and S6.
var Vendor = bmc.Vendor{
	Name: "fujitsu", Summary: "Fujitsu and Fsas iRMC S5, S6",
	Match: func(id bmc.Identity, root bmc.RootDocument) bool {
		_, old := root.Oem["ts_fujitsu"]
		_, fsas := root.Oem["Fsas"]
		maker := strings.ToUpper(id.Manufacturer)
		return old || fsas || strings.HasPrefix(maker, "FUJITSU") || strings.HasPrefix(maker, "FSAS")
	},
	New: newClient,
	Quirks: []bmc.Quirk{
		{What: "slot 0 takes an ISO; insert wants Inserted and TransferProtocolType, and finishes later", Models: "iRMC S5, S6", Source: "bmc-facts §3, §4", Profiles: "fujitsu/irmc"},
		{What: "remote mounts must be enabled in Oem VirtualMedia, with If-Match", Models: "iRMC S5, S6", Source: "bmc-facts §4", Profiles: "fujitsu/irmc"},
		{What: "one-time boot is Oem BootConfig: BootDevice with NextBootOnlyEnabled", Models: "iRMC S5, S6", Source: "bmc-facts §6", Profiles: "fujitsu/irmc"},
	},
}

// settles is how long the iRMC takes after a change of its media settings.
const settles = 10 * time.Second

type client struct{ *bmc.Redfish }

func newClient(r *bmc.Redfish) bmc.Client {
	c := &client{r}
	everything := []bmc.Target{bmc.BootCD, bmc.BootPXE, bmc.BootDisk}
	r.SetRules(bmc.Rules{
		SlotUsable:   func(id string, _ bool) bool { return id == "0" },
		InsertFields: []string{"Inserted", "TransferProtocolType"},
		Prepare:      c.prepare,
		Ways:         []bmc.Way{{Name: "BootConfig", Targets: everything, Read: c.readBoot, Set: c.setBoot}},
		Unfit:        func(bmc.Target) bool { return true },
	})
	return c
}

// oem links to the vendor's document of the system. The brand's key changed when the
// company was renamed.
func (c *client) oem(ctx context.Context, name string) (bmc.Link, error) {
	var s struct{ Oem map[string]json.RawMessage }
	if err := c.Get(ctx, c.System(), &s); err != nil {
		return "", err
	}
	for _, key := range []string{"Fsas", "ts_fujitsu"} {
		if _, ok := s.Oem[key]; ok {
			return c.System().Join("Oem/" + key + "/" + name), nil
		}
	}
	return c.System().Join("Oem/ts_fujitsu/" + name), nil
}

// prepare enables remote mounts of a CD.
func (c *client) prepare(ctx context.Context, _ bmc.Slot, _ string) ([]bmc.Preparation, error) {
	uri, err := c.oem(ctx, "VirtualMedia")
	if err != nil {
		return nil, err
	}
	var d struct {
		RemoteMountEnabled *bool
		CDImage            struct{ MaximumNumberOfDevices *int }
	}
	if err := c.Get(ctx, uri, &d); err != nil {
		if bmc.Absent(err) {
			return nil, nil
		}
		return nil, err
	}
	change := map[string]any{}
	if d.RemoteMountEnabled != nil && !*d.RemoteMountEnabled {
		change["RemoteMountEnabled"] = true
	}
	if n := d.CDImage.MaximumNumberOfDevices; n != nil && *n == 0 {
		change["CDImage"] = map[string]int{"MaximumNumberOfDevices": 1}
	}
	if len(change) == 0 {
		return nil, nil
	}
	enable := bmc.NewPreparation("remote mount", "disabled", "enabled", func(ctx context.Context, w bmc.Command) error {
		if err := c.Patch(ctx, w, uri, change); err != nil {
			return err
		}
		return c.Sleep(ctx, settles)
	})
	return []bmc.Preparation{enable}, nil
}

var devices = map[bmc.Target]string{bmc.BootCD: "Cd", bmc.BootPXE: "Pxe", bmc.BootDisk: "Hdd", bmc.BootNone: "None"}

func (c *client) readBoot(ctx context.Context) (bmc.Boot, error) {
	out := bmc.Boot{Target: bmc.BootNone, Once: true}
	uri, err := c.oem(ctx, "BootConfig")
	if err != nil {
		return out, err
	}
	var d struct {
		BootDevice          string
		NextBootOnlyEnabled bool
	}
	if err := c.Get(ctx, uri, &d); err != nil || d.BootDevice == "" || d.BootDevice == "None" {
		return out, err
	}
	out.Target, out.Once = bmc.BootOther, d.NextBootOnlyEnabled
	for t, name := range devices {
		if name == d.BootDevice {
			out.Target = t
		}
	}
	return out, nil
}

func (c *client) setBoot(ctx context.Context, w bmc.Command, t bmc.Target) error {
	uri, err := c.oem(ctx, "BootConfig")
	if err != nil {
		return err
	}
	var tag struct{}
	if err := c.Get(ctx, uri, &tag); err != nil {
		return err
	}
	return c.Patch(ctx, w, uri, map[string]any{"BootDevice": devices[t], "NextBootOnlyEnabled": true})
}

// Package hpe is what HPE's iLO does differently from the standard.
package hpe

import (
	"context"
	"errors"

	"esxiplan/engine/bmc"
)

// Vendor is HPE, iLO 5 to 7.
var Vendor = bmc.Vendor{
	Name: "hpe",
	Match: func(id bmc.Identity, root bmc.RootDocument) bool {
		_, hpe := root.Oem["Hpe"]
		_, hp := root.Oem["Hp"] // iLO 4
		return hpe || hp || root.Vendor == "HPE" || id.Manufacturer == "HPE" || id.Manufacturer == "HP"
	},
	New: newClient,
	Messages: map[string]bmc.Advice{
		"UnableToModifyDuringSystemPOST":       {Text: "the iLO changes nothing while the machine is in POST", Next: "wait, or power it off first: one_time_boot { power_off = true }", Retry: true},
		"InvalidOperationForSystemState":       {Text: "the machine's power state does not allow this now", Retry: true},
		"ResourceInUseWithDetail":              {Text: "the iLO is busy with another change", Retry: true},
		"LicenseKeyRequired":                   {Text: "the iLO has no licence for virtual media by script", Next: "install an iLO Advanced licence"},
		"VirtualMediaIsDisabled":               {Text: "virtual media is disabled in the iLO's settings", Next: "enable it under Security, Access Settings"},
		"MaxVirtualMediaConnectionEstablished": {Text: "the virtual drive is in use, perhaps by a console", Next: "close open consoles", Retry: true},
	},
}

type client struct{ *bmc.Redfish }

func newClient(r *bmc.Redfish) bmc.Client {
	r.SetRules(bmc.Rules{BootDevices: []bmc.BootDevice{{Controller: "NS204i"}}})
	return &client{r}
}

// SetBoot falls back to the slot's BootOnNextServerReset: some iLO 6 hosts
// refuse every override with UnsupportedOperation.
func (c *client) SetBoot(ctx context.Context, t bmc.Target) (string, error) {
	if t == bmc.BootNone {
		if err := c.clearSlot(ctx); err != nil {
			return "", err
		}
	}
	way, err := c.Redfish.SetBoot(ctx, t)
	var e *bmc.Error
	if t != bmc.BootCD || !errors.As(err, &e) || !e.Has("UnsupportedOperation") {
		return way, err
	}
	slot, ok, findErr := c.drive(ctx)
	if findErr != nil || !ok {
		return way, errors.Join(err, findErr)
	}
	w := bmc.Write{Action: "boot", Target: "source", Old: string(bmc.BootNone), New: string(bmc.BootCD), Repeat: true}
	body := map[string]any{"Oem": map[string]any{"Hpe": map[string]any{"BootOnNextServerReset": true}}}
	return "BootOnNextServerReset", c.Patch(ctx, w, slot.URI, body)
}

// clearSlot takes away what the slot's own way has set.
func (c *client) clearSlot(ctx context.Context) error {
	slot, ok, err := c.drive(ctx)
	if err != nil || !ok || !c.bootsSlot(ctx, slot) {
		return err
	}
	w := bmc.Write{Action: "boot", Target: "source", Old: string(bmc.BootCD), New: string(bmc.BootNone)}
	return c.Patch(ctx, w, slot.URI, map[string]any{"Oem": map[string]any{"Hpe": map[string]any{"BootOnNextServerReset": false}}})
}

func (c *client) bootsSlot(ctx context.Context, slot bmc.Slot) bool {
	var d struct {
		Oem struct {
			Hpe struct{ BootOnNextServerReset bool }
		}
	}
	return c.Get(ctx, slot.URI, &d) == nil && d.Oem.Hpe.BootOnNextServerReset
}

// drive is the slot with a CD in it, else the first that takes one.
func (c *client) drive(ctx context.Context) (bmc.Slot, bool, error) {
	slots, err := c.Slots(ctx)
	if err != nil || len(slots) == 0 || !slots[0].CD {
		return bmc.Slot{}, false, err
	}
	for _, s := range slots {
		if s.CD && s.Loaded {
			return s, true, nil
		}
	}
	return slots[0], true, nil
}

// Boot also sees a slot that is set to boot at the next reset.
func (c *client) Boot(ctx context.Context) (bmc.Boot, error) {
	boot, err := c.Redfish.Boot(ctx)
	if err != nil || boot.Target != bmc.BootNone {
		return boot, err
	}
	slot, ok, err := c.drive(ctx)
	if err != nil || !ok || !slot.Loaded {
		return boot, err
	}
	if c.bootsSlot(ctx, slot) {
		boot.Target, boot.Once = bmc.BootCD, true
	}
	return boot, nil
}

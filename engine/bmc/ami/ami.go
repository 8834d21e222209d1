// Package ami is what BMCs with AMI's MegaRAC do differently from the standard,
// under whatever name they are sold.
package ami

import (
	"context"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/bmc"
)

// Vendor is AMI MegaRAC, also as sold by Inspur, Gigabyte, ASRock Rack and NVIDIA.
var Vendor = bmc.Vendor{
	Name: "ami", Summary: "AMI MegaRAC; Inspur, Gigabyte, ASRock Rack, NVIDIA DGX",
	Match: func(id bmc.Identity, root bmc.RootDocument) bool {
		_, oem := root.Oem["Ami"]
		brands := []string{"Inspur", "IEIT SYSTEMS", "GIGABYTE", "Giga Computing", "ASRockRack"}
		return oem || root.Vendor == "AMI" || slices.ContainsFunc(brands, func(b string) bool { return strings.EqualFold(b, id.Manufacturer) })
	},
	New: func(r *bmc.Redfish) bmc.Client { return New(r, "") },
	Messages: map[string]bmc.Advice{
		"PreconditionHeaderMissing": {Text: "the BMC wants to know which state is changed", Retry: true},
	},
	Quirks: []bmc.Quirk{
		{What: "PATCH without If-Match answers 428 Ami.1.0.PreconditionHeaderMissing", Models: "MegaRAC", Source: "bmc-facts §6, §8", Profiles: "ami/megarac ami/inspur lenovo/tsm"},
		{What: "remote media must be enabled (EnableRMedia) and takes ten seconds to start; before that there are no slots", Models: "MegaRAC", Source: "recording DGX H100 (empty collection, actions); bmc-facts §4", Profiles: "ami/megarac lenovo/tsm"},
		{What: "insert wants TransferProtocolType and begins a task", Models: "MegaRAC", Source: "bmc-facts §4, §14", Profiles: "ami/megarac lenovo/tsm"},
		{What: "mode, enabled and target go together, or the mode is reset", Models: "MegaRAC, Inspur, ASRock Rack", Source: "bmc-facts §6", Profiles: "ami/megarac ami/inspur"},
	},
}

// How long the media service takes after it was enabled, mostly and at most.
const (
	starts   = 10 * time.Second
	restarts = 3 * time.Minute
)

type client struct {
	*bmc.Redfish
	scheme string // the only one that images may have; "": any
}

// New makes a client. scheme is the only protocol by which images are fetched, "" any.
func New(r *bmc.Redfish, scheme string) bmc.Client {
	c := &client{r, scheme}
	r.SetRules(bmc.Rules{Mode: bmc.ModeAlways, InsertFields: []string{"TransferProtocolType"}, Prepare: c.prepare,
		Flow: &bmc.Flow{ID: "CD (not yet enabled)", Find: c.find, Insert: c.mount, Eject: func(context.Context, bmc.Command, bmc.Slot) error { return nil }}})
	return r
}

// remoteMedia finds the action that enables remote media, where it is not enabled.
// Where that stands, in the standard's place or in Oem, differs, so suffixes count.
func (c *client) remoteMedia(ctx context.Context) (target bmc.Link, err error) {
	var m struct {
		Actions struct {
			Oem map[string]struct {
				Target bmc.Link `json:"target"`
			}
		}
		Oem struct {
			Ami struct {
				VirtualMedia struct{ RMediaStatus string }
			}
		}
	}
	if err := c.Get(ctx, c.Manager(), &m); err != nil || m.Oem.Ami.VirtualMedia.RMediaStatus == "Enabled" {
		return "", err
	}
	for name, a := range m.Actions.Oem {
		if strings.HasSuffix(name, ".EnableRMedia") {
			target = a.Target
		}
	}
	return target, nil
}

// find lets one drive stand for those that will be there when remote media is enabled.
func (c *client) find(ctx context.Context, shown []bmc.Slot) (bmc.Slot, bool, error) {
	if len(shown) > 0 {
		return bmc.Slot{}, false, nil
	}
	target, err := c.remoteMedia(ctx)
	return bmc.Slot{URI: c.Manager()}, target != "", err
}

// mount puts the image into the first drive that is there now: to prepare made it appear.
func (c *client) mount(ctx context.Context, w bmc.Command, _ bmc.Slot) error {
	for waited := time.Duration(0); waited < restarts; waited += starts {
		c.Refresh(0)
		slots, err := c.Slots(ctx)
		if err != nil {
			return err
		}
		if len(slots) > 0 && slots[0].URI != c.Manager() {
			return c.Insert(ctx, slots[0], w.New, w.Record)
		}
		if err := c.Sleep(ctx, starts); err != nil {
			return err
		}
	}
	return &bmc.ErrBusy{What: "the BMC shows no virtual drive yet although remote media is enabled"}
}

func (c *client) prepare(ctx context.Context, _ bmc.Slot, url string) ([]bmc.Preparation, error) {
	if err := bmc.Scheme(url, c.scheme); err != nil {
		return nil, err
	}
	target, err := c.remoteMedia(ctx)
	if err != nil || target == "" {
		return nil, err
	}
	enable := bmc.NewPreparation("remote media", "disabled", "enabled", func(ctx context.Context, w bmc.Command) error {
		if err := c.Post(ctx, w, target, map[string]string{"RMediaState": "Enable"}); err != nil {
			return err
		}
		return c.Sleep(ctx, starts)
	})
	return []bmc.Preparation{enable}, nil
}

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

// starts is how long the media service takes after it was enabled.
const starts = 10 * time.Second

type client struct {
	*bmc.Redfish
	scheme string // the only one that images may have; "": any
}

// New makes a client. scheme is the only protocol by which images are fetched, "" any.
func New(r *bmc.Redfish, scheme string) bmc.Client {
	c := &client{r, scheme}
	r.SetRules(bmc.Rules{SendMode: true, InsertFields: []string{"TransferProtocolType"}, Prepare: c.prepare})
	return c
}

type action struct {
	Target string `json:"target"`
}

// remoteMedia finds the action that enables remote media, where it is not enabled.
// Where that stands, in the standard's place or in Oem, differs, so suffixes count.
func (c *client) remoteMedia(ctx context.Context) (target string, err error) {
	var m struct {
		Actions struct {
			Oem map[string]action
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

// Slots implements [bmc.Reader]. Where remote media is not enabled, one slot stands
// for those that will be there then.
func (c *client) Slots(ctx context.Context) ([]bmc.Slot, error) {
	slots, err := c.Redfish.Slots(ctx)
	if err != nil || len(slots) > 0 {
		return slots, err
	}
	target, err := c.remoteMedia(ctx)
	if err != nil || target == "" {
		return slots, err
	}
	return []bmc.Slot{{ID: pending, URI: c.Manager(), Place: "manager", CD: true}}, nil
}

// pending is the ID of a slot that is not there yet.
const pending = "CD (not yet enabled)"

// Slot implements [bmc.Reader].
func (c *client) Slot(ctx context.Context, s bmc.Slot) (bmc.Slot, error) {
	if s.ID != pending {
		return c.Redfish.Slot(ctx, s)
	}
	slots, err := c.Slots(ctx)
	if err != nil || len(slots) == 0 {
		return s, err
	}
	return slots[0], nil
}

// Preparations implements [bmc.Reader].
func (c *client) Preparations(ctx context.Context, s bmc.Slot, url string) ([]bmc.Preparation, error) {
	if s.ID == pending {
		return c.prepare(ctx, s, url)
	}
	return c.Redfish.Preparations(ctx, s, url)
}

func (c *client) prepare(ctx context.Context, _ bmc.Slot, url string) ([]bmc.Preparation, error) {
	if err := bmc.Scheme(url, c.scheme); err != nil {
		return nil, err
	}
	target, err := c.remoteMedia(ctx)
	if err != nil || target == "" {
		return nil, err
	}
	enable := bmc.NewPreparation("remote media", "disabled", "enabled", func(ctx context.Context, w bmc.Write) error {
		if err := c.Post(ctx, w, target, map[string]string{"RMediaState": "Enable"}); err != nil {
			return err
		}
		return c.Sleep(ctx, starts)
	})
	return []bmc.Preparation{enable}, nil
}

// Insert implements [bmc.Client]. The slot may only appear when remote media is enabled.
func (c *client) Insert(ctx context.Context, s bmc.Slot, url string) error {
	if s.ID != pending {
		return c.Redfish.Insert(ctx, s, url)
	}
	needs, err := c.prepare(ctx, s, url)
	if err != nil {
		return err
	}
	if err := bmc.Prepare(ctx, needs); err != nil {
		return err
	}
	c.Refresh()
	slots, err := c.Redfish.Slots(ctx)
	if err != nil {
		return err
	}
	if len(slots) == 0 || !slots[0].CD {
		return &bmc.ErrUnsupported{What: "the BMC shows no virtual drive although remote media is enabled"}
	}
	return c.Redfish.Insert(ctx, slots[0], url)
}

// Package ami is what BMCs with AMI's MegaRAC do differently from the standard,
// under whatever name they are sold.
package ami

import (
	"context"
	"slices"
	"strconv"
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
		{What: "ConfigureCDInstance must be given the number of virtual CDs, and restarts media for three minutes", Models: "MegaRAC set to none", Source: "recordings DGX H100, H262-Z63 (actions); bmc-facts §4", Profiles: "ami/megarac-nocd"},
		{What: "BootSourceOverrideMode is that of the last override; FBO001 of the BIOS is the boot mode", Models: "Gigabyte, MegaRAC 12.84", Source: "recording H262-Z63", Profiles: "ami/gigabyte"},
		{What: "a drive has no MediaTypes, and no property shows whether remote media is enabled: it is if there are drives", Models: "Gigabyte, MegaRAC 12.84", Source: "recording H262-Z63", Profiles: "ami/gigabyte"},
		{What: "insert wants TransferProtocolType and begins a task", Models: "MegaRAC", Source: "bmc-facts §4, §14", Profiles: "ami/megarac lenovo/tsm"},
		{What: "mode, enabled and target go together, or the mode is reset", Models: "MegaRAC, Inspur, ASRock Rack", Source: "bmc-facts §6", Profiles: "ami/megarac ami/inspur"},
	},
}

// How long the media service takes after it was enabled, mostly and at most.
const (
	starts   = 10 * time.Second
	restarts = 3 * time.Minute
)

// instances is how many virtual CDs are configured if the BMC has none: all.
const instances = 4

type client struct {
	*bmc.Redfish
	scheme string // the only one that images may have; "": any
}

// New makes a client. scheme is the only protocol by which images are fetched, "" any.
func New(r *bmc.Redfish, scheme string) bmc.Client {
	c := &client{r, scheme}
	r.SetRules(bmc.Rules{Mode: bmc.ModeAlways, BIOSMode: "FBO001", StaleMode: true, InsertFields: []string{"TransferProtocolType"}, Prepare: c.prepare,
		Flow: &bmc.Flow{ID: "CD (not yet enabled)", Find: c.find, Insert: c.mount, Eject: func(context.Context, bmc.Command, bmc.Slot) error { return nil }}})
	return r
}

// media is what the manager says of its remote media. The actions are in the standard's
// place or in Oem, so only the suffix of a name counts.
type media struct {
	status            string // "": it does not say
	instances         *int   // of virtual CDs; nil: it does not say
	enable, configure bmc.Link
}

func (c *client) media(ctx context.Context) (media, error) {
	var d struct {
		Actions struct {
			Oem map[string]struct {
				Target bmc.Link `json:"target"`
			}
		}
		Oem struct {
			Ami struct {
				VirtualMedia struct {
					RMediaStatus string
					CDInstances  *int
				}
			}
		}
	}
	if err := c.GetManager(ctx, &d); err != nil {
		return media{}, err
	}
	m := media{status: d.Oem.Ami.VirtualMedia.RMediaStatus, instances: d.Oem.Ami.VirtualMedia.CDInstances}
	for name, a := range d.Actions.Oem {
		switch {
		case strings.HasSuffix(name, ".EnableRMedia"):
			m.enable = a.Target
		case strings.HasSuffix(name, ".ConfigureCDInstance"):
			m.configure = a.Target
		}
	}
	return m, nil
}

// off reports remote media that must be enabled: the manager says so, or shows no drive.
func (m media) off(shown bool) bool {
	return m.enable != "" && m.status != "Enabled" && (m.status != "" || !shown)
}

// without reports a manager that is set to offer no virtual CD.
func (m media) without() bool { return m.configure != "" && m.instances != nil && *m.instances == 0 }

// find returns one drive as a placeholder for those that appear when remote media is enabled.
func (c *client) find(ctx context.Context, shown []bmc.Slot) (bmc.Slot, bool, error) {
	if len(shown) > 0 {
		return bmc.Slot{}, false, nil
	}
	m, err := c.media(ctx)
	return bmc.Slot{URI: c.Manager()}, m.off(false) || m.without(), err
}

// mount puts the image into the first drive, which exists since the preparation.
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

func (c *client) prepare(ctx context.Context, s bmc.Slot, url string) ([]bmc.Preparation, error) {
	if err := bmc.Scheme(url, c.scheme); err != nil {
		return nil, err
	}
	m, err := c.media(ctx)
	if err != nil {
		return nil, err
	}
	var out []bmc.Preparation
	if m.off(s.URI != c.Manager()) {
		out = append(out, c.setting("remote media", "disabled", "enabled", m.enable, map[string]any{"RMediaState": "Enable"}, starts))
	}
	if m.without() {
		out = append(out, c.setting("virtual CDs", "0", strconv.Itoa(instances), m.configure, map[string]any{"CDInstance": instances}, restarts))
	}
	return out, nil
}

// setting is a preparation that posts to an action, and waits until it shows.
func (c *client) setting(target, old, now string, action bmc.Link, body map[string]any, wait time.Duration) bmc.Preparation {
	return bmc.NewPreparation(target, old, now, func(ctx context.Context, w bmc.Command) error {
		if err := c.Post(ctx, w, action, body); err != nil {
			return err
		}
		return c.Sleep(ctx, wait)
	})
}

// Package hpe is what HPE's iLO does differently from the standard.
//
// What a machine's screen shows is not read: the vendor's Redfish reference has no resource or
// action for it.
package hpe

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"esxiplan/engine/bmc"
)

// Vendor is HPE, iLO 4 to 7.
var Vendor = bmc.Vendor{
	Name: "hpe", Summary: "HPE iLO 4, 5, 6 and 7",
	Match: func(id bmc.Identity, root bmc.RootDocument) bool {
		_, hpe := root.Oem["Hpe"]
		_, hp := root.Oem["Hp"] // iLO 4
		// HPE also sells machines with other firmware, such as the Cray EX425.
		return hpe || hp || root.Vendor == "HPE" || strings.HasPrefix(id.Generation, "iLO")
	},
	New: newClient,
	Messages: map[string]bmc.Advice{
		"UnableToModifyDuringSystemPOST":            {Text: "the iLO changes nothing while the machine is in POST", Next: "wait, or power it off first: one_time_boot { power_off = true }", Retry: true},
		"InvalidOperationForSystemState":            {Text: "the machine's power state does not allow this now", Retry: true},
		"ResourceInUseWithDetail":                   {Text: "the iLO is busy with another change", Retry: true},
		"LicenseKeyRequired":                        {Text: "the iLO has no license for virtual media by script", Next: "install an iLO Advanced license"},
		"VirtualMediaIsDisabled":                    {Text: "virtual media is disabled in the iLO's settings", Next: "enable it under Security, Access Settings"},
		"MaxVirtualMediaConnectionEstablished":      {Text: "the virtual drive is in use, perhaps by a console", Next: "close open consoles", Retry: true},
		"NoVirtualMediaConnectionAvailable":         {Text: "the virtual drive is empty"},
		"NoScriptedVirtualMediaConnectionAvailable": {Text: "the virtual drive is empty"},
		"UnsupportedOperation":                      {Text: "the iLO of this machine does not do this"},
		"UnableToModifyAfterVirtualMediaInsert":     {Text: "the iLO does not change a drive that holds an image"},
		"ServerConfigurationLockEnabled":            {Text: "the Server Configuration Lock is on", Next: "turn it off in the system utilities"},
	},
	Quirks: []bmc.Quirk{
		{What: "links end in a slash; success comes inside an error object; an eject wants {}", Models: "iLO 4 to 7", Source: "recorded exchanges of iLO 4 and 5; bmc-facts §2, §4, §5", Profiles: "hpe/ilo4 hpe/ilo5 hpe/ilo6 hpe/ilo6-nooverride hpe/ilo7"},
		{What: "an empty slot answers an eject with 400 NoVirtualMediaConnectionAvailable", Models: "iLO 5 to 7", Source: "bmc-facts §5", Profiles: "hpe/ilo5 hpe/ilo6 hpe/ilo7"},
		{What: "an image that cannot be read is answered with success", Models: "iLO 5", Source: "bmc-facts §10", Profiles: "hpe/ilo5 hpe/ilo6 hpe/ilo7"},
		{What: "a session shows the client's address and the time of the login in its Oem object", Models: "iLO 4 to 7", Source: "vendor's documentation (Redfish authentication and sessions)", Profiles: "hpe/ilo4 hpe/ilo5 hpe/ilo6 hpe/ilo6-nooverride hpe/ilo7"},
		{What: "no boot changes in POST", Models: "iLO 5 to 7", Source: "bmc-facts §6", Profiles: "hpe/ilo5 hpe/ilo6 hpe/ilo7"},
		{What: "every override is refused with UnsupportedOperation; BootOnNextServerReset of the slot holds", Models: "some iLO 6", Source: "bmc-facts §6", Profiles: "hpe/ilo6-nooverride"},
		{What: "the system shows no boot mode; BootMode of the BIOS does", Models: "XL675d with iLO 5 2.55", Source: "recording XL675d", Profiles: "hpe/ilo5-nomode"},
		{What: "the WWN of a volume is labelled as a UUID", Models: "Smart Array with iLO 5", Source: "recording DL385 Gen10 Plus v2", Profiles: "hpe/ilo5"},
		{What: "Oem key Hp; insert and eject are actions in the slot's Oem object; storage under SmartStorage only", Models: "iLO 4", Source: "bmc-facts §4, §5, §13", Profiles: "hpe/ilo4"},
	},
}

type client struct{ *bmc.Redfish }

func newClient(r *bmc.Redfish) bmc.Client {
	c := &client{r}
	r.SetRules(bmc.Rules{
		BootDevices: []bmc.BootDevice{{Controller: "NS204i"}},
		BIOSMode:    "BootMode",
		VolumeModel: volumeModel,
		WWNInUUID:   "600508b1", // HPE's own
		Ways:        []bmc.Way{{Name: "BootOnNextServerReset", Targets: []bmc.Target{bmc.BootCD}, Read: c.readSlotBoot, Set: c.setSlotBoot}},
		Post:        post,
		Posting:     posting,
		Early:       early,
		Licenses:    c.licenses,
		Covers:      covers,
		Disks:       c.smartStorage,
		NICs:        c.baseAdapters,
	})
	return c
}

// posting tells the states before FinishedPost.
func posting(post string) bool { return early(post) || post == "InPostDiscoveryComplete" }

// early reports the states before InPostDiscoveryComplete.
func early(post string) bool {
	return slices.Contains([]string{"Reset", "InPost", "InPostDiscoveryStart"}, post)
}

// volumeModel is the one name of all volumes of a Smart Array. Those of an MR controller have
// a WWN.
func volumeModel(controller string) string {
	if strings.Contains(controller, "Smart Array") || strings.Contains(controller, " SR Gen") {
		return "LOGICAL VOLUME"
	}
	return ""
}

func post(oem map[string]json.RawMessage) string {
	var o struct{ PostState string }
	bmc.OemObject(oem, &o, "Hpe", "Hp")
	if o.PostState == "Unknown" {
		return ""
	}
	return o.PostState
}

// slotOem is what a virtual drive says beyond the standard.
type slotOem struct {
	Oem map[string]json.RawMessage
}

func (d slotOem) boots() (boots bool, key string) {
	for _, key := range []string{"Hpe", "Hp"} {
		var o struct{ BootOnNextServerReset *bool }
		if bmc.OemObject(d.Oem, &o, key) && o.BootOnNextServerReset != nil {
			return *o.BootOnNextServerReset, key
		}
	}
	return false, ""
}

// readSlotBoot reports a loaded slot that is set to boot at the next reset.
func (c *client) readSlotBoot(ctx context.Context) (bmc.Boot, error) {
	out := bmc.Boot{Target: bmc.BootNone, Once: true}
	slot, ok, err := c.drive(ctx)
	if err != nil || !ok || !slot.Loaded {
		return out, err
	}
	var d slotOem
	err = c.Get(ctx, slot.URI, &d)
	if boots, _ := d.boots(); boots {
		out.Target = bmc.BootCD
	}
	return out, err
}

func (c *client) setSlotBoot(ctx context.Context, w bmc.Command, t bmc.Target) error {
	slot, ok, err := c.drive(ctx)
	if err != nil {
		return err
	}
	var d slotOem
	if ok {
		err = c.Get(ctx, slot.URI, &d)
	}
	_, key := d.boots()
	if err != nil || key == "" {
		return firstError(err, &bmc.ErrUnsupported{What: "the virtual drive has no BootOnNextServerReset"})
	}
	return c.Patch(ctx, w, slot.URI, map[string]any{"Oem": map[string]any{key: map[string]any{"BootOnNextServerReset": t == bmc.BootCD}}})
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
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

// licenses are listed by a service of the manager; old firmware names the one in the
// manager itself.
func (c *client) licenses(ctx context.Context) (names []string, err error) {
	var m struct{ Oem map[string]json.RawMessage }
	if err := c.GetManager(ctx, &m); err != nil {
		return nil, err
	}
	var o struct {
		License struct{ LicenseString string }
		Links   struct{ LicenseService bmc.Link }
	}
	bmc.OemObject(m.Oem, &o, "Hpe", "Hp")
	if name := o.License.LicenseString; name != "" {
		return []string{name}, nil
	}
	err = c.Members(ctx, o.Links.LicenseService, func(raw json.RawMessage) error {
		var l struct{ License string }
		if bmc.Decode(raw, &l) == nil && l.License != "" {
			names = append(names, l.License)
		}
		return nil
	})
	return names, err
}

// covers: a standard license mounts nothing by script.
func covers(names []string) *bool {
	yes := slices.ContainsFunc(names, func(n string) bool { return !strings.Contains(n, "Standard") && !strings.Contains(n, "Essentials") })
	return &yes
}

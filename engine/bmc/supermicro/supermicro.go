// Package supermicro is what Supermicro's BMCs do differently from the standard.
package supermicro

import (
	"context"
	"net/url"
	"strings"

	"esxiplan/engine/bmc"
)

// Vendor is Supermicro, X10 to X14 and their H-siblings.
var Vendor = bmc.Vendor{
	Name: "supermicro", Summary: "Supermicro X10 to X14, H11 to H14, ARS",
	Match: func(id bmc.Identity, root bmc.RootDocument) bool {
		_, oem := root.Oem["Supermicro"]
		return oem || id.Manufacturer == "Supermicro" // its name as the root's vendor also stands before other firmware
	},
	New: newClient,
	Messages: map[string]bmc.Advice{
		"OemLicenseNotPassed": {Text: "the BMC has no license for this", Next: "install an SFT-OOB-LIC or SFT-DCMS-SINGLE license"},
		"LicenseNotActivated": {Text: "the BMC has no license for this", Next: "install an SFT-OOB-LIC or SFT-DCMS-SINGLE license"},
	},
	Quirks: []bmc.Quirk{
		{What: "insert takes Image alone: no other property is in the list of valid ones", Models: "X11 to X14", Source: "bmc-facts §4", Profiles: "supermicro/x13 supermicro/x11"},
		{What: "UsbCd is the virtual CD; mode, enabled and target go together, or the mode is reset to Legacy", Models: "all", Source: "recordings X10SDV, SYS-821GE; bmc-facts §6", Profiles: "supermicro/x10 supermicro/x11 supermicro/x13"},
		{What: "Cd is the virtual CD although UsbCd is offered", Models: "ARS-111GL-NHR", Source: "bmc-facts §6", Profiles: "supermicro/ars"},
		{What: "Image stays filled after an eject; the eject action shows only while something is mounted", Models: "X11 to X13", Source: "recording SYS-821GE (no eject action); bmc-facts §5", Profiles: "supermicro/x11 supermicro/x13"},
		{What: "licenses are texts of JSON under LicenseManager/QueryLicense", Models: "X13", Source: "recording SYS-821GE", Profiles: "supermicro/x13"},
		{What: "no slots; the image is configured (Host, Path) and mounted by IsoConfig", Models: "X10, early X11", Source: "recording X10SDV; bmc-facts §4", Profiles: "supermicro/x10"},
	},
}

func newClient(r *bmc.Redfish) bmc.Client {
	c := &client{Redfish: r}
	rules := bmc.Rules{Mode: bmc.ModeReported, Licenses: c.licenses, Covers: covers, Flow: &bmc.Flow{ID: "CfgCD", Find: c.find, Insert: c.mount, Eject: c.unmount}}
	if id, _ := r.Identity(context.Background()); strings.Contains(id.Model, "ARS-111GL-NHR") {
		rules.CD = "Cd"
	}
	r.SetRules(rules)
	return r
}

// licenses are those that the license manager shows: texts that hold JSON.
func (c *client) licenses(ctx context.Context) (names []string, err error) {
	var m struct {
		Oem struct {
			Supermicro struct{ LicenseManager bmc.Link }
		}
	}
	if err := c.GetManager(ctx, &m); err != nil || m.Oem.Supermicro.LicenseManager == "" {
		return nil, err
	}
	var active struct{ Licenses []string }
	if err := c.Get(ctx, m.Oem.Supermicro.LicenseManager.Join("QueryLicense"), &active); err != nil {
		return nil, err
	}
	for _, text := range active.Licenses {
		var l struct {
			ProductKey struct{ Node struct{ LicenseName string } }
		}
		if bmc.Decode([]byte(text), &l) == nil && l.ProductKey.Node.LicenseName != "" {
			names = append(names, l.ProductKey.Node.LicenseName)
		}
	}
	return names, nil
}

// covers: these two allow all of Redfish; what is allowed without them differs.
func covers(names []string) *bool {
	for _, name := range names {
		if name == "SFT-OOB-LIC" || strings.HasPrefix(name, "SFT-DCMS") {
			yes := true
			return &yes
		}
	}
	return nil
}

// client mounts by the image configuration where the BMC has no slots of the standard.
type client struct {
	*bmc.Redfish
	asked  bool
	config bmc.Link // the image configuration, where there is one; found once
}

// imageDocument is the image configuration.
type imageDocument struct {
	Host, Path string
	Actions    struct {
		Mount   struct{ Target bmc.Link } `json:"#IsoConfig.Mount"`
		Unmount struct{ Target bmc.Link } `json:"#IsoConfig.UnMount"`
	}
}

// configuration finds the image configuration: a link in the Oem object of the slots'
// collection, under the vendor's key or bare.
func (c *client) configuration(ctx context.Context) (bmc.Link, error) {
	if c.asked {
		return c.config, nil
	}
	var m struct{ VirtualMedia bmc.Link }
	if err := c.GetManager(ctx, &m); err != nil {
		return "", err
	}
	var collection struct {
		Oem struct {
			Supermicro         struct{ VirtualMediaConfig bmc.Link }
			VirtualMediaConfig bmc.Link
		}
	}
	if m.VirtualMedia != "" && m.VirtualMedia.Last() != "VirtualMedia" { // that one is the standard's
		if err := c.Get(ctx, m.VirtualMedia, &collection); err != nil && !bmc.Absent(err) {
			return "", err
		}
	}
	c.asked, c.config = true, collection.Oem.Supermicro.VirtualMediaConfig
	if c.config == "" {
		c.config = collection.Oem.VirtualMediaConfig
	}
	return c.config, nil
}

// find takes the image configuration for a drive. A slot appears next to it while
// something is mounted: that is how it is recognized.
func (c *client) find(ctx context.Context, shown []bmc.Slot) (s bmc.Slot, has bool, err error) {
	s.URI, err = c.configuration(ctx)
	if err != nil || s.URI == "" {
		return s, false, err
	}
	for _, slot := range shown {
		s.Loaded = s.Loaded || slot.Loaded
	}
	if s.Loaded {
		var d imageDocument
		err = c.Get(ctx, s.URI, &d)
		s.Image = d.Host + d.Path
	}
	return s, true, err
}

// mount configures the image, then mounts it: one mount, though it takes two requests.
func (c *client) mount(ctx context.Context, w bmc.Command, s bmc.Slot) error {
	u, err := url.Parse(w.New)
	if err != nil {
		return err
	}
	var d imageDocument
	if err := c.Get(ctx, s.URI, &d); err != nil {
		return err
	}
	body := map[string]string{"Host": u.Scheme + "://" + u.Host, "Path": u.EscapedPath(), "Username": "", "Password": ""}
	if err := c.Patch(ctx, w, s.URI, body); err != nil {
		return err
	}
	w.Repeat = true
	return c.Post(ctx, w, d.Actions.Mount.Target, struct{}{})
}

func (c *client) unmount(ctx context.Context, w bmc.Command, s bmc.Slot) error {
	var d imageDocument
	if err := c.Get(ctx, s.URI, &d); err != nil {
		return err
	}
	return c.Post(ctx, w, d.Actions.Unmount.Target, struct{}{})
}

// Package dell is what Dell's iDRAC does differently from the standard.
package dell

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"esxiplan/engine/bmc"
)

// Vendor is Dell, iDRAC 8 to 10.
var Vendor = bmc.Vendor{
	Name: "dell", Summary: "Dell iDRAC 8, 9 and 10",
	Match: func(id bmc.Identity, root bmc.RootDocument) bool {
		_, oem := root.Oem["Dell"]
		// iDRAC8 2.40 says neither Vendor nor Oem, and blanks as manufacturer.
		return root.Vendor == "Dell" || oem || strings.HasPrefix(id.Manufacturer, "Dell") || id.System == "System.Embedded.1"
	},
	New: newClient,
	Messages: map[string]bmc.Advice{
		"RAC0218": {Text: "the iDRAC's session table is full", Next: "end sessions that are not in use; they also end after 30 idle minutes", Retry: true},
		"SYS518":  {Text: "the iDRAC is reloading its data", Retry: true},
		"SYS446":  {Text: "the iDRAC failed internally, mostly because it could not read the image", Next: "check that the iDRAC reaches the image's URL; else reset the iDRAC", Retry: true},
		"SYS424":  {Text: "the iDRAC wants a value of another type", Next: "this is a bug in esxiplan; please report it with --trace"},
		"RAC0904": {Text: "the iDRAC cannot read the image", Next: "check route, firewall and name resolution from the iDRAC to the image's URL"},
		"VRM0012": {Text: "another virtual device of the iDRAC is in use", Next: "eject both CD and RemovableDisk (step eject), and close open consoles", Retry: true},
		"VRM0021": {Text: "another virtual device of the iDRAC is in use", Next: "eject both CD and RemovableDisk (step eject), and close open consoles", Retry: true},
		"RAC0679": {Text: "a job of the iDRAC is running", Retry: true},
		"LC068":   {Text: "a configuration job of the iDRAC is pending", Next: "let it run by a restart, or delete it from the job queue"},
		// iDRAC10 answers so for up to a minute after a power-off.
		"ActionParameterValueConflict": {Text: "the iDRAC is still busy with the last change of power", Retry: true},
	},
	Quirks: []bmc.Quirk{
		{What: "SKU is the service tag, SerialNumber the board's", Models: "all", Source: "recordings 13G, R750; bmc-facts §13", Profiles: "dell/idrac8 dell/idrac9 dell/idrac9-4.40 dell/idrac10"},
		{What: "empty slots answer an eject with 500 VRM0021; CD and RemovableDisk share one channel", Models: "iDRAC9 before 6.00", Source: "bmc-facts §5", Profiles: "dell/idrac9-4.40"},
		{What: "Inserted still reads true for a moment after an eject", Models: "iDRAC9", Source: "bmc-facts §5", Profiles: "dell/idrac9 dell/idrac9-4.40"},
		{What: "Cd is a physical drive; the attributes ServerBoot.1.* boot the virtual one", Models: "iDRAC9 before 4.40.10 (Intel), 6.00 (AMD)", Source: "bmc-facts §6", Profiles: "dell/idrac9-4.40"},
		{What: "the attributes cannot be written; a configuration import can", Models: "iDRAC8", Source: "bmc-facts §6", Profiles: "dell/idrac8"},
		{What: "slot 1 alone boots; the image reads back empty; boot is written in the settings; If-Match on an action answers 412; 409 for up to a minute after a power-off", Models: "iDRAC10", Source: "recorded insert of an R670; bmc-facts §3, §6, §7, §8, §10", Profiles: "dell/idrac10"},
		{What: "VirtualMedia.1.Attached must not read Detached", Models: "all", Source: "bmc-facts §4", Profiles: "dell/idrac9 dell/idrac9-4.40 dell/idrac10"},
		{What: "a login that bears a credential answers 415", Models: "iDRAC9 since 5.x", Source: "community.general#5886", Profiles: "dell/idrac9 dell/idrac10"},
		{What: "a volume of a PERC has no model, serial number or WWN; ESXi shows the controller's name, Adapter cut to Adp", Models: "PERC H330 to H755", Source: "recording R740 (volume); bmc-facts, corrections", Profiles: "dell/idrac9-perc"},
		{What: "only the id of a NIC shows where it is, and which port of its adapter it is; the port number of some adapters is that of their slot", Models: "iDRAC8, iDRAC9", Source: "recordings 13G, R740, R750", Profiles: "dell/idrac9-perc"},
		{What: "NonRAID, Ready, Online and Foreign in DellPhysicalDisk show a drive's use", Models: "iDRAC9", Source: "recording R740", Profiles: "dell/idrac9-perc"},
		{What: "DellLCService.ExportServerScreenShot answers with what the screen shows, as a PNG in base64", Models: "iDRAC9 since 4.40, iDRAC10", Source: "recordings R750; vendor's script ExportServerScreenShotOemREDFISH", Profiles: "dell/idrac9 dell/idrac9-4.40 dell/idrac10"},
		{What: "System Lockdown refuses every change", Models: "iDRAC9 and 10", Source: "bmc-facts §16", Profiles: "dell/idrac9"},
	},
}

type client struct {
	*bmc.Redfish
	attributesURI bmc.Link         // found once
	links         *managerDocument // of the manager: they do not change
}

func newClient(r *bmc.Redfish) bmc.Client {
	c := &client{Redfish: r}
	id, _ := r.Identity(context.Background())
	rules := bmc.Rules{
		SerialFromSKU: true,
		// BOSS-S1 shows as AHCI.Slot.5-1
		BootDevices: []bmc.BootDevice{{Controller: "BOSS", Model: "DELLBOSS VD"}, {Controller: "AHCI.Slot", Model: "DELLBOSS VD"}},
		BIOSMode:    "BootMode",
		Place:       place,
		VolumeModel: volumeModel,
		DriveState:  driveState,
		Prepare:     c.prepare,
		Licenses:    c.licenses,
		Covers:      covers,
		Ready:       c.ready,
		Ways: []bmc.Way{
			{Name: "attributes", Targets: []bmc.Target{bmc.BootCD}, Read: c.readAttributesBoot, Set: c.setAttributesBoot},
			{Name: "configuration import", Targets: []bmc.Target{bmc.BootCD}, Read: c.readAttributesBoot, Set: c.importBoot},
		},
		Unfit: func(t bmc.Target) bool { return t == bmc.BootCD && physical(id) },
	}
	if generation(id) <= 13 {
		rules.Ways = rules.Ways[1:]
	}
	if generation(id) >= 17 { // slot 2 accepts an image nevertheless
		rules.SlotUsable = func(id string, _ bool) bool { return id == "1" }
		rules.SettingsFirst = true
	}
	r.SetRules(rules)
	return c
}

// volumeModel is the name that a PERC gives its volumes: "PERC H740P Adapter" shows as
// "PERC H740P Adp".
func volumeModel(controller string) string {
	name := perc.FindString(controller)
	return strings.TrimSpace(strings.Replace(name, "Adapter", "Adp", 1))
}

var perc = regexp.MustCompile(`PERC \w+(?: (?:Adapter|Mini|Front|Embedded|MX))?`)

// place takes an FQDD apart: "NIC.Slot.8-2-1" is the first partition of port 2 in slot 8.
func place(id string) (slot, port string) {
	if m := fqdd.FindStringSubmatch(id); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

var fqdd = regexp.MustCompile(`^([A-Za-z]+\.[A-Za-z]+\.\w+)(?:-(\d+))?(?:-\d+)*$`)

func driveState(oem map[string]json.RawMessage) string {
	var o struct{ DellPhysicalDisk struct{ RaidStatus string } }
	bmc.OemObject(oem, &o, "Dell")
	return o.DellPhysicalDisk.RaidStatus
}

// generation is that of the server: 12 and 13 have an iDRAC8, 14 to 16 an iDRAC9,
// 17 an iDRAC10, whose version numbers start again at 1.
func generation(id bmc.Identity) int {
	n := 14
	fmt.Sscanf(id.Generation, "%dG", &n)
	return n
}

// physical reports iDRACs that take "Cd" for a physical drive.
func physical(id bmc.Identity) bool {
	g := generation(id)
	if g <= 13 {
		return true
	}
	var major, minor, patch int
	n, _ := fmt.Sscanf(id.Firmware, "%d.%d.%d", &major, &minor, &patch)
	if n < 3 || g >= 17 {
		return false
	}
	amd := strings.HasSuffix(id.Model, "5") // R6515, R7525, C6525 …
	return major < 4 || major == 4 && (minor < 40 || minor == 40 && patch < 10) || amd && major < 6
}

// managerDocument is what Dell adds to a manager.
type managerDocument struct {
	Links struct {
		Oem struct {
			Dell struct {
				DellAttributes []bmc.Link
				Licenses       bmc.Link `json:"DellLicenseCollection"`
				Lifecycle      bmc.Link `json:"DellLCService"`
			}
		}
	}
	Actions struct {
		Oem map[string]struct {
			Target bmc.Link `json:"target"`
		}
	}
}

func (c *client) manager(ctx context.Context) (managerDocument, error) {
	if c.links != nil {
		return *c.links, nil
	}
	var m managerDocument
	if err := c.GetManager(ctx, &m); err != nil {
		return m, err
	}
	c.links = &m
	return m, nil
}

// attributes reads the iDRAC's own attributes: by the link whose last part names the
// iDRAC, among those of system and lifecycle controller; on old firmware in their only place.
func (c *client) attributes(ctx context.Context) (bmc.Link, map[string]any, error) {
	var doc struct{ Attributes map[string]any }
	if c.attributesURI == "" {
		m, err := c.manager(ctx)
		if err != nil {
			return "", nil, err
		}
		c.attributesURI = c.Manager().Join("Attributes")
		for _, l := range m.Links.Oem.Dell.DellAttributes {
			if l.Last() == "iDRAC.Embedded.1" {
				c.attributesURI = l
			}
		}
	}
	err := c.Get(ctx, c.attributesURI, &doc)
	return c.attributesURI, doc.Attributes, err
}

// prepare attaches the virtual drives. Lockdown mode is reported before anything is tried.
func (c *client) prepare(ctx context.Context, _ bmc.Slot, _ string) ([]bmc.Preparation, error) {
	uri, values, err := c.attributes(ctx)
	if err != nil {
		if bmc.Absent(err) {
			return nil, nil
		}
		return nil, err
	}
	if values["Lockdown.1.SystemLockdown"] == "Enabled" {
		return nil, &bmc.ErrUnsupported{What: "System Lockdown is on, so the iDRAC refuses every change; turn it off in the iDRAC"}
	}
	if values["VirtualMedia.1.Attached"] != "Detached" {
		return nil, nil
	}
	attach := bmc.NewPreparation("virtual media", "Detached", "Attached", func(ctx context.Context, w bmc.Command) error {
		return c.Patch(ctx, w, uri, map[string]any{"Attributes": map[string]any{"VirtualMedia.1.Attached": "Attached"}})
	})
	return []bmc.Preparation{attach}, nil
}

// readAttributesBoot reads an override set by attributes. BootOnce alone says
// nothing: it reads Enabled on an idle iDRAC.
func (c *client) readAttributesBoot(ctx context.Context) (bmc.Boot, error) {
	out := bmc.Boot{Target: bmc.BootNone, Once: true}
	_, values, err := c.attributes(ctx)
	if err == nil && values["ServerBoot.1.FirstBootDevice"] == "VCD-DVD" {
		out.Target, out.Once = bmc.BootCD, values["ServerBoot.1.BootOnce"] == "Enabled"
	}
	return out, err
}

func (c *client) setAttributesBoot(ctx context.Context, w bmc.Command, t bmc.Target) error {
	uri, _, err := c.attributes(ctx)
	if err != nil {
		return err
	}
	return c.Patch(ctx, w, uri, map[string]any{"Attributes": bootAttributes(t)})
}

func bootAttributes(t bmc.Target) map[string]any {
	if t == bmc.BootNone {
		return map[string]any{"ServerBoot.1.FirstBootDevice": "Normal"}
	}
	return map[string]any{"ServerBoot.1.BootOnce": "Enabled", "ServerBoot.1.FirstBootDevice": "VCD-DVD"}
}

// importBoot sets the same attributes by importing a configuration of two lines. The
// action's name differs between iDRACs, so its suffix counts; iDRAC10 wants the
// target as a list, older ones may want a string.
func (c *client) importBoot(ctx context.Context, w bmc.Command, t bmc.Target) error {
	m, err := c.manager(ctx)
	if err != nil {
		return err
	}
	var target bmc.Link
	for name, action := range m.Actions.Oem {
		if strings.HasSuffix(name, ".ImportSystemConfiguration") {
			target = action.Target
		}
	}
	if target == "" {
		return &bmc.ErrUnsupported{What: "the iDRAC offers no import of a configuration"}
	}
	body := map[string]any{"ImportBuffer": bootConfiguration(t), "ShareParameters": map[string]any{"Target": []string{"IDRAC"}}}
	err = c.Post(ctx, w, target, body)
	if bmc.Says(err, "SYS424", "PropertyValueTypeError", "ActionParameterValueTypeError") {
		body["ShareParameters"], w.Repeat = map[string]any{"Target": "IDRAC"}, true
		err = c.Post(ctx, w, target, body)
	}
	return err
}

// bootConfiguration has no white space: iDRACs stumble over it.
func bootConfiguration(t bmc.Target) string {
	attributes := bootAttributes(t)
	var b strings.Builder
	b.WriteString(`<SystemConfiguration><Component FQDD="iDRAC.Embedded.1">`)
	for _, name := range []string{"ServerBoot.1.BootOnce", "ServerBoot.1.FirstBootDevice"} {
		if value, ok := attributes[name]; ok {
			fmt.Fprintf(&b, `<Attribute Name="%s">%v</Attribute>`, strings.Replace(name, ".1.", ".1#", 1), value)
		}
	}
	b.WriteString(`</Component></SystemConfiguration>`)
	return b.String()
}

// licenses reads those of iDRACs that do not have the standard's service.
func (c *client) licenses(ctx context.Context) (names []string, err error) {
	m, err := c.manager(ctx)
	if err != nil {
		return nil, err
	}
	err = c.Members(ctx, m.Links.Oem.Dell.Licenses, func(raw json.RawMessage) error {
		var l struct{ LicenseDescription []string }
		if bmc.Decode(raw, &l) == nil {
			names = append(names, l.LicenseDescription...)
		}
		return nil
	})
	return names, err
}

// covers: Express and Basic mount nothing by URL. A license for keys says nothing of media.
func covers(names []string) *bool {
	levels := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return strings.Contains(n, "Key Manager") })
	if len(levels) == 0 {
		return nil
	}
	yes := slices.ContainsFunc(levels, func(n string) bool { return strings.Contains(n, "Enterprise") || strings.Contains(n, "Datacenter") })
	return &yes
}

// Screen implements [bmc.Screener]: iDRAC 9 from 4.40 on, and iDRAC 10, export it.
func (c *client) Screen(ctx context.Context) ([]byte, error) {
	m, err := c.manager(ctx)
	if err != nil {
		return nil, err
	}
	if m.Links.Oem.Dell.Lifecycle == "" {
		return nil, &bmc.ErrUnsupported{What: "the iDRAC does not show the machine's screen"}
	}
	var s struct{ ServerScreenshotFile []byte } // base64
	err = c.Ask(ctx, m.Links.Oem.Dell.Lifecycle.Join("Actions/DellLCService.ExportServerScreenShot"), map[string]string{"FileType": "ServerScreenShot"}, &s)
	switch {
	case err != nil && bmc.Absent(err), err == nil && len(s.ServerScreenshotFile) == 0:
		return nil, &bmc.ErrUnsupported{What: "the iDRAC does not show the machine's screen"}
	case err != nil:
		return nil, err
	}
	return s.ServerScreenshotFile, nil
}

// ready asks the Lifecycle Controller, which is a POST that changes nothing; a dry
// run cannot ask.
func (c *client) ready(ctx context.Context) (string, error) {
	m, err := c.manager(ctx)
	if err != nil || c.ReadOnly() || m.Links.Oem.Dell.Lifecycle == "" {
		return "", err
	}
	var s struct{ LCStatus, RTStatus string }
	err = c.Ask(ctx, m.Links.Oem.Dell.Lifecycle.Join("Actions/DellLCService.GetRemoteServicesAPIStatus"), struct{}{}, &s)
	if err != nil {
		if bmc.Absent(err) {
			return "", nil
		}
		return "", err
	}
	for _, status := range []string{s.LCStatus, s.RTStatus} {
		if status != "Ready" && status != "Disabled" && status != "" {
			return "the Lifecycle Controller reads " + status, nil
		}
	}
	return "", nil
}

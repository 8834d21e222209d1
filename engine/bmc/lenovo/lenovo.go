// Package lenovo is what Lenovo's XCC does differently from the standard.
//
// What a machine's screen shows is not read: the XCC's Redfish exports only the screen of the
// last crash of an operating system, and its web page gets the present one by an interface of
// its own.
package lenovo

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"

	"esxiplan/engine/bmc"
	"esxiplan/engine/bmc/ami"
)

// Vendor is Lenovo: XCC, XCC2, XCC3 and the TSM of some AMD machines.
var Vendor = bmc.Vendor{
	Name: "lenovo", Summary: "Lenovo XCC, XCC2, XCC3 and TSM",
	Match: func(id bmc.Identity, root bmc.RootDocument) bool {
		_, oem := root.Oem["Lenovo"]
		return oem || root.Vendor == "Lenovo" || id.Manufacturer == "Lenovo"
	},
	New: newClient,
	Messages: map[string]bmc.Advice{
		"SourceDoesNotSupportProtocol": {Text: "the XCC does not fetch images by this protocol", Next: "publish the image under another one: https for XCC2 and later, http for the first XCC"},
		"Conflict":                     {Text: "the virtual drive is in use", Next: "close open consoles and unmount what they mounted", Retry: true},
		"PropertyMissing":              {Text: "the XCC reports a missing property in the request"},
	},
	Quirks: []bmc.Quirk{
		{What: "ten slots of one media type, of which EXT* alone take a URL; no actions, slots are patched with Inserted", Models: "XCC 2.50 and later, XCC2, XCC3", Source: "recording SR670 V2; bmc-facts §3, §4", Profiles: "lenovo/xcc lenovo/xcc2 lenovo/xcc3"},
		{What: "the tag of the system changes when media are attached; a stale one answers 412", Models: "XCC", Source: "bmc-facts §6, §8", Profiles: "lenovo/xcc lenovo/xcc2 lenovo/xcc3"},
		{What: "VerifyCertificate of the slot must be false before an https insert", Models: "XCC2, XCC3", Source: "bmc-facts §4", Profiles: "lenovo/xcc2 lenovo/xcc3"},
		{What: "no slots before something is mounted; Oem.Lenovo.RemoteMap mounts", Models: "XCC before 2.50", Source: "bmc-facts §3", Profiles: "lenovo/xcc-1.90"},
		{What: "an AMI MegaRAC: remote media must be enabled, inserts are tasks, no plain http", Models: "TSM of SR635, SR655", Source: "bmc-facts §3, §4, §14", Profiles: "lenovo/tsm"},
	},
}

// newClient keeps to the slots EXT1 to EXT4: XCC gives all ten slots the same
// media types, but RDOC* take uploads only and Remote* cannot be written. EXT*
// have no actions; the standard patches such slots.
func newClient(r *bmc.Redfish) bmc.Client {
	if _, tsm := r.Root().Oem["Ami"]; tsm {
		return ami.New(r, "https")
	}
	c := &client{Redfish: r}
	r.SetRules(bmc.Rules{
		SlotUsable:  func(id string, _ bool) bool { return strings.HasPrefix(id, "EXT") },
		BootDevices: []bmc.BootDevice{{Controller: "M.2", Model: "ThinkSystem M.2"}},
		BIOSMode:    "BootModes_SystemBootMode",
		VolumeModel: volumeModel,
		DriveState:  driveState,
		Post:        status,
		Covers:      covers,
		Flow:        &bmc.Flow{ID: "RemoteMap", Find: c.find, Insert: c.mount, Eject: c.unmount},
	})
	return r
}

// covers: the levels that mount by URL are known; whether another one does, is unknown.
func covers(names []string) *bool {
	for _, level := range []string{"Enterprise", "Advanced", "Platinum"} {
		if strings.Contains(strings.Join(names, " "), level) {
			yes := true
			return &yes
		}
	}
	return nil
}

// volumeModel is the name that a RAID adapter gives its volumes: "ThinkSystem RAID 930-8i 2GB
// Flash PCIe 12Gb Adapter" shows as "RAID 930-8i-2GB".
func volumeModel(controller string) string {
	m := raid.FindStringSubmatch(controller)
	if m == nil {
		return ""
	}
	return strings.TrimSuffix(m[1]+"-"+m[2], "-")
}

var raid = regexp.MustCompile(`(RAID \d+\w*-\d+i)(?:[ -](\d+GB))?`)

func driveState(oem map[string]json.RawMessage) string {
	var o struct{ DriveStatus string }
	bmc.OemObject(oem, &o, "Lenovo")
	return o.DriveStatus
}

func status(oem map[string]json.RawMessage) string {
	var o struct{ SystemStatus string }
	bmc.OemObject(oem, &o, "Lenovo")
	return o.SystemStatus
}

// client maps images through Oem.Lenovo.RemoteMap where the XCC shows no slots.
type client struct {
	*bmc.Redfish
	mapURI bmc.Link // of RemoteMap, once it is known
}

type remoteMap struct {
	MountImages bmc.Link
	Actions     struct {
		Mount struct {
			Target bmc.Link `json:"target"`
		} `json:"#LenovoRemoteMapService.Mount"`
		Unmount struct {
			Target bmc.Link `json:"target"`
		} `json:"#LenovoRemoteMapService.UMount"`
	}
}

// find takes RemoteMap for a drive where no EXT slot is shown. What is mapped shows as
// slots of other names.
func (c *client) find(ctx context.Context, shown []bmc.Slot) (mapped bmc.Slot, has bool, err error) {
	if len(shown) > 0 && shown[0].CD {
		return mapped, false, nil
	}
	if c.mapURI == "" {
		var m struct {
			Oem struct{ Lenovo struct{ RemoteMap bmc.Link } }
		}
		if err := c.GetManager(ctx, &m); err != nil || m.Oem.Lenovo.RemoteMap == "" {
			return mapped, false, err
		}
		c.mapURI = m.Oem.Lenovo.RemoteMap
	}
	mapped.URI = c.mapURI
	for _, s := range shown {
		if s.Loaded {
			mapped.Loaded, mapped.Image = true, s.Image
		}
	}
	return mapped, true, nil
}

// mount puts the image into RemoteMap's list and mounts the list: one mount, though it
// takes two requests.
func (c *client) mount(ctx context.Context, w bmc.Command, s bmc.Slot) error {
	var m remoteMap
	if err := c.Get(ctx, s.URI, &m); err != nil {
		return err
	}
	protocol, _, _ := strings.Cut(w.New, ":")
	image := map[string]any{"FilePath": w.New, "Type": strings.ToUpper(protocol), "Username": "", "Password": "", "Domain": "", "Readonly": true, "Options": ""}
	listed, err := c.listed(ctx, m.MountImages, w.New)
	if err != nil {
		return err
	}
	if !listed {
		if err := c.Post(ctx, w, m.MountImages, image); err != nil {
			return err
		}
		w.Repeat = true
	}
	return c.Post(ctx, w, m.Actions.Mount.Target, struct{}{})
}

// listed reports whether an image is in the list already, from an attempt before.
func (c *client) listed(ctx context.Context, uri bmc.Link, url string) (found bool, err error) {
	err = c.Members(ctx, uri, func(raw json.RawMessage) error {
		var image struct{ FilePath string }
		found = found || bmc.Decode(raw, &image) == nil && image.FilePath == url
		return nil
	})
	if bmc.Absent(err) {
		err = nil
	}
	return found, err
}

func (c *client) unmount(ctx context.Context, w bmc.Command, _ bmc.Slot) error {
	var m remoteMap
	if err := c.Get(ctx, c.mapURI, &m); err != nil {
		return err
	}
	return c.Post(ctx, w, m.Actions.Unmount.Target, struct{}{})
}

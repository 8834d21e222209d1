package hpe

import (
	"cmp"
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"esxiplan/engine/bmc"
)

// systemLinks are the links of a computer system that the standard does not have.
func (c *client) systemLinks(ctx context.Context) (storage, adapters bmc.Link, err error) {
	var s struct{ Oem map[string]json.RawMessage }
	if err := c.Get(ctx, c.System(), &s); err != nil {
		return "", "", err
	}
	type links struct {
		SmartStorage    bmc.Link
		NetworkAdapters bmc.Link
	}
	var o struct {
		Links    links
		LinksOld links `json:"links"` // iLO 4
	}
	bmc.OemObject(s.Oem, &o, "Hpe", "Hp")
	for _, l := range []links{o.Links, o.LinksOld} {
		if storage == "" {
			storage = l.SmartStorage
		}
		if adapters == "" {
			adapters = l.NetworkAdapters
		}
	}
	return storage, adapters, nil
}

// smartStorage reads RAID volumes and drives where only SmartStorage has them: iLO 4,
// and iLO 5 with controllers of old firmware.
func (c *client) smartStorage(ctx context.Context) ([]bmc.Disk, error) {
	root, _, err := c.systemLinks(ctx)
	if err != nil || root == "" {
		return nil, err
	}
	var out []bmc.Disk
	err = c.Members(ctx, root.Join("ArrayControllers"), func(raw json.RawMessage) error {
		var a struct {
			Model string
			Links struct{ LogicalDrives, PhysicalDrives bmc.Link }
			Old   struct{ LogicalDrives, PhysicalDrives bmc.Link } `json:"links"`
		}
		if bmc.Decode(raw, &a) != nil {
			return nil
		}
		logical, physical := cmp.Or(a.Links.LogicalDrives, a.Old.LogicalDrives), cmp.Or(a.Links.PhysicalDrives, a.Old.PhysicalDrives)
		volumes, err := c.logicalDrives(ctx, logical, a.Model)
		if err != nil || len(volumes) > 0 { // only each of them lists its drives; an operating system does not see those
			out = append(out, volumes...)
			return err
		}
		drives, err := c.physicalDrives(ctx, physical, a.Model)
		out = append(out, drives...)
		return err
	})
	return out, err
}

func (c *client) logicalDrives(ctx context.Context, uri bmc.Link, controller string) ([]bmc.Disk, error) {
	var out []bmc.Disk
	err := c.Members(ctx, uri, func(raw json.RawMessage) error {
		var d struct {
			LogicalDriveName       string
			VolumeUniqueIdentifier string
			CapacityMiB            float64
			Raid                   string
			Status                 struct{ Health string }
		}
		if bmc.Decode(raw, &d) == nil {
			disk := bmc.Disk{Model: volumeModel(controller), Name: d.LogicalDriveName, Controller: controller, Bytes: int64(d.CapacityMiB) << 20, Volume: true, RAID: raidType(d.Raid),
				Health: d.Status.Health}
			if d.VolumeUniqueIdentifier != "" {
				disk.WWN = []string{strings.ToLower(d.VolumeUniqueIdentifier)}
			}
			out = append(out, disk)
		}
		return nil
	})
	if bmc.Absent(err) {
		err = nil
	}
	return out, err
}

func raidType(level string) string {
	if level == "" {
		return ""
	}
	return "RAID" + level
}

func (c *client) physicalDrives(ctx context.Context, uri bmc.Link, controller string) ([]bmc.Disk, error) {
	var out []bmc.Disk
	err := c.Members(ctx, uri, func(raw json.RawMessage) error {
		var d struct {
			Model, SerialNumber, Location, MediaType, InterfaceType string
			CapacityMiB                                             float64
			Status                                                  struct{ Health string }
		}
		if bmc.Decode(raw, &d) == nil && (d.Model != "" || d.SerialNumber != "") {
			out = append(out, bmc.Disk{Model: strings.TrimSpace(d.Model), Serial: strings.TrimSpace(d.SerialNumber), Name: strings.TrimSpace(d.Location), Controller: controller,
				Bytes: int64(d.CapacityMiB) << 20, Media: d.MediaType, Protocol: d.InterfaceType, Health: d.Status.Health})
		}
		return nil
	})
	if bmc.Absent(err) {
		err = nil
	}
	return out, err
}

// baseAdapters reads the ports that iLO 4 and 5 list under BaseNetworkAdapters, which
// iLO 7 no longer has.
func (c *client) baseAdapters(ctx context.Context) ([]bmc.NIC, error) {
	_, uri, err := c.systemLinks(ctx)
	if err != nil || uri == "" {
		return nil, err
	}
	var out []bmc.NIC
	err = c.Members(ctx, uri, func(raw json.RawMessage) error {
		var a struct {
			ID            string `json:"Id"`
			Name          string
			Location      string
			Structured    string `json:"StructuredName"` // "NIC.Slot.1.1"
			PhysicalPorts []struct {
				MacAddress string
				LinkStatus string
				SpeedMbps  float64
			}
		}
		if bmc.Decode(raw, &a) != nil {
			return nil
		}
		for i, p := range a.PhysicalPorts {
			if nic, ok := bmc.NewNIC(p.MacAddress, p.LinkStatus); ok {
				nic.ID, nic.Adapter, nic.Slot, nic.Port, nic.Mbps = a.ID+"/"+strconv.Itoa(i+1), strings.TrimSpace(a.Name), cmp.Or(strings.TrimSpace(a.Location), a.Structured), strconv.Itoa(i+1), int64(p.SpeedMbps)
				out = append(out, nic)
			}
		}
		return nil
	})
	return out, err
}

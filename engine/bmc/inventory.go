package bmc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Inventory implements [Reader]. It is read once per process: it takes many
// requests, and the hardware does not change while a host is installed.
func (r *Redfish) Inventory(ctx context.Context) (Inventory, error) {
	if r.stock != nil {
		return *r.stock, nil
	}
	var s systemDocument
	if err := r.get(ctx, r.system, &s); err != nil {
		return Inventory{}, err
	}
	var out Inventory
	for _, read := range []func(context.Context, systemDocument, *Inventory) error{r.readDisks, r.readNICs, r.readSecureBoot} {
		if err := read(ctx, s, &out); err != nil && !absent(err) {
			return Inventory{}, err
		}
	}
	r.stock = &out
	return out, nil
}

// absent reports that the BMC does not have the resource: unknown, no error.
func absent(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented)
}

func (r *Redfish) readDisks(ctx context.Context, s systemDocument, out *Inventory) error {
	if s.Storage.ID == "" {
		return nil
	}
	disks := []Disk{}
	err := r.members(ctx, s.Storage.ID, func(raw json.RawMessage) error {
		var d storageDocument
		if lenient(raw, &d) != nil {
			return nil
		}
		found, err := r.disksOf(ctx, d)
		disks = append(disks, found...)
		return err
	})
	if err != nil {
		return err
	}
	out.Disks = unique(disks)
	return nil
}

// disksOf lists what the operating system sees of one storage unit: the RAID
// volumes, and the drives that are in none.
func (r *Redfish) disksOf(ctx context.Context, d storageDocument) ([]Disk, error) {
	controller := d.ID + " " + d.Name
	for _, c := range d.StorageControllers {
		controller += " " + c.Name + " " + c.Model
	}
	family, known := r.bootDevice(controller)
	if known && family == "" {
		family = d.Name
	}
	var volumes []Disk
	used := map[string]bool{}
	err := r.members(ctx, d.Volumes.ID, func(raw json.RawMessage) error {
		var v volumeDocument
		if lenient(raw, &v) == nil && v.VolumeType != "RawDevice" {
			volumes = append(volumes, v.disk(d.Name, family))
			for _, l := range v.Links.Drives {
				used[strings.TrimSuffix(l.ID, "/")] = true
			}
		}
		return nil
	})
	if err != nil && !absent(err) {
		return nil, err
	}
	if len(volumes) > 0 && len(used) == 0 { // who is in them is not said; their drives are not seen
		return volumes, nil
	}
	d.Drives = slices.DeleteFunc(d.Drives, func(l link) bool { return used[strings.TrimSuffix(l.ID, "/")] })
	drives, err := r.drivesOf(ctx, d)
	return append(volumes, drives...), err
}

func (r *Redfish) bootDevice(controller string) (string, bool) {
	for _, b := range r.rules.BootDevices {
		if strings.Contains(strings.ToLower(controller), strings.ToLower(b.Controller)) {
			return b.Model, true // an empty model: ESXi shows the controller's own name
		}
	}
	return "", false
}

func (v volumeDocument) disk(controller, family string) Disk {
	name := v.DisplayName
	if name == "" {
		name = v.Name
	}
	out := Disk{Model: family, Bytes: int64(v.CapacityBytes), Name: name, Controller: controller, Volume: true}
	for _, id := range v.Identifiers {
		out.WWN = appendWWN(out.WWN, id)
	}
	return out
}

func (r *Redfish) drivesOf(ctx context.Context, d storageDocument) ([]Disk, error) {
	var out []Disk
	for _, l := range d.Drives {
		var drive driveDocument
		if err := r.get(ctx, l.ID, &drive); err != nil {
			if absent(err) {
				continue
			}
			return nil, err
		}
		if drive.Status.State == "Absent" || drive.Model == "" && drive.SerialNumber == "" {
			continue // an empty bay
		}
		disk := Disk{Model: strings.TrimSpace(drive.Model), Serial: strings.TrimSpace(drive.SerialNumber), Bytes: int64(drive.CapacityBytes), Name: drive.Name, Controller: d.Name}
		for _, id := range drive.Identifiers {
			disk.WWN = appendWWN(disk.WWN, id)
		}
		out = append(out, disk)
	}
	return out, nil
}

var hexadecimal = regexp.MustCompile(`^[0-9a-f]{16}([0-9a-f]{16})?$`)

// appendWWN adds a durable name that is a world wide name. BMCs write them with
// colons, dashes or a prefix, and mislabel their format; an EUI comes in either byte
// order (recorded: drives behind an MR controller), so both are kept.
func appendWWN(list []string, id identifierDocument) []string {
	name := strings.NewReplacer(":", "", "-", "", "naa.", "", "eui.", "", "0x", "").Replace(strings.ToLower(id.DurableName))
	if !hexadecimal.MatchString(name) {
		return list
	}
	list = append(list, name)
	if id.DurableNameFormat == "EUI" && len(name) == 16 {
		var turned strings.Builder
		for i := len(name) - 2; i >= 0; i -= 2 {
			turned.WriteString(name[i : i+2])
		}
		list = append(list, turned.String())
	}
	return list
}

// unique drops drives that are listed under two controllers.
func unique(disks []Disk) []Disk {
	seen := map[string]bool{}
	out := []Disk{}
	for _, d := range disks {
		key := d.Serial
		if key != "" && seen[key] {
			continue
		}
		seen[key] = true
		out = append(out, d)
	}
	return out
}

func (r *Redfish) readNICs(ctx context.Context, s systemDocument, out *Inventory) error {
	if s.EthernetInterfaces.ID == "" {
		return nil
	}
	nics := []NIC{}
	err := r.members(ctx, s.EthernetInterfaces.ID, func(raw json.RawMessage) error {
		var d ethernetDocument
		if lenient(raw, &d) != nil || d.Links.HostInterface.ID != "" {
			return nil // the link between BMC and host is no port
		}
		for _, text := range []string{d.PermanentMACAddress, d.MACAddress, d.MacAddress} {
			if mac := normaliseMAC(text); mac != "" {
				nics = append(nics, NIC{ID: d.ID, MAC: mac, Link: d.LinkStatus})
				break
			}
		}
		return nil
	})
	if err == nil && len(nics) > 0 {
		out.NICs = nics
	}
	return err
}

func (r *Redfish) readSecureBoot(ctx context.Context, s systemDocument, out *Inventory) error {
	if s.SecureBoot.ID == "" {
		return nil
	}
	var d secureBootDocument
	if err := r.get(ctx, s.SecureBoot.ID, &d); err != nil {
		return err
	}
	switch d.Current {
	case "Enabled", "Disabled":
		on := d.Current == "Enabled"
		out.SecureBoot = &on
	default:
		out.SecureBoot = d.Enabled
	}
	return nil
}

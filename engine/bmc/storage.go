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
	s, err := get[systemDocument](ctx, r, r.system)
	if err != nil {
		return Inventory{}, err
	}
	var out Inventory
	for _, read := range []func(context.Context, *systemDocument, *Inventory) error{r.readStorage, r.readNICs, r.readSecureBoot} {
		if err := read(ctx, s, &out); err != nil {
			return out, err
		}
	}
	if out.Unread == nil { // else it may be read later
		r.stock = &out
	}
	return out, nil
}

// unread reports an answer that leaves the disks unknown: the BMC stumbles over a resource
// of its storage, or does not let the user see it. One that is busy is waited for.
func unread(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status >= 400 && e.Status != http.StatusServiceUnavailable && e.Status != http.StatusTooManyRequests
}

// absent reports that the BMC does not have the resource: unknown, no error.
func absent(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented)
}

// readStorage reads the disks. Of a BMC that does not answer one request for them, none are
// believed: the one that is missing may match the plan's disk, too.
func (r *Redfish) readStorage(ctx context.Context, s *systemDocument, out *Inventory) error {
	err := r.readDisks(ctx, s, out)
	if unread(err) {
		out.Disks, out.Unread = nil, err
		return nil
	}
	return err
}

// readDisks reads what the system lists under Storage, else under SimpleStorage,
// and what only the vendor knows of. A list that names no device at all says nothing:
// some BMCs show one before they have looked. The disks stay unknown.
func (r *Redfish) readDisks(ctx context.Context, s *systemDocument, out *Inventory) error {
	disks, err := r.standardDisks(ctx, s.Storage)
	if err != nil && !absent(err) {
		return err
	}
	if r.rules.Disks != nil {
		more, err := r.rules.Disks(ctx)
		if err != nil && !absent(err) {
			return err
		}
		disks = append(disks, more...)
	}
	if len(disks) == 0 {
		if disks, err = r.simpleDisks(ctx, s.SimpleStorage); err != nil && !absent(err) {
			return err
		}
	}
	if len(disks) > 0 {
		out.Disks = unique(disks)
	}
	return nil
}

func (r *Redfish) standardDisks(ctx context.Context, uri Link) ([]Disk, error) {
	var out []Disk
	err := r.Members(ctx, uri, func(raw json.RawMessage) error {
		var d storageDocument
		if lenient(raw, &d) != nil {
			return nil
		}
		found, err := r.disksOf(ctx, d)
		out = append(out, found...)
		return err
	})
	return out, err
}

// disksOf lists what the operating system sees of one storage unit: the RAID
// volumes, and the drives that are in none.
func (r *Redfish) disksOf(ctx context.Context, d storageDocument) ([]Disk, error) {
	controller := d.ID + " " + d.Name
	for _, c := range d.StorageControllers {
		controller += " " + c.Name + " " + c.Model
	}
	family, boot := r.bootDevice(controller)
	if boot && family == "" {
		family = d.Name
	}
	var volumes []Disk
	used := map[Link]bool{}
	err := r.Members(ctx, d.Volumes, func(raw json.RawMessage) error {
		var v volumeDocument
		if lenient(raw, &v) == nil && v.VolumeType != "RawDevice" {
			disk := v.disk(d.Name, family)
			disk.Boot = boot
			volumes = append(volumes, disk)
			for _, l := range v.Links.Drives {
				used[l.bare()] = true
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
	d.Drives = slices.DeleteFunc(d.Drives, func(l Link) bool { return used[l.bare()] })
	drives, err := r.drivesOf(ctx, d)
	for i := range drives { // without a volume, ESXi sees the controller's drives themselves
		drives[i].Boot = boot
	}
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
	out := Disk{Model: family, Bytes: int64(v.CapacityBytes), Name: name, Controller: controller, Volume: true, RAID: v.RAIDType, Health: v.Status.Health}
	for _, id := range v.Identifiers {
		out.WWN = appendWWN(out.WWN, id)
	}
	return out
}

func (r *Redfish) drivesOf(ctx context.Context, d storageDocument) ([]Disk, error) {
	var out []Disk
	for _, l := range d.Drives {
		if l == "" {
			continue
		}
		var drive driveDocument
		if err := r.Get(ctx, l, &drive); err != nil {
			if absent(err) {
				continue
			}
			return nil, err
		}
		if drive.Status.State == "Absent" || drive.Model == "" && drive.SerialNumber == "" {
			continue // an empty bay
		}
		out = append(out, drive.disk(d.Name))
	}
	return out, nil
}

func (d driveDocument) disk(controller string) Disk {
	out := Disk{Model: strings.TrimSpace(d.Model), Serial: strings.TrimSpace(d.SerialNumber), Bytes: int64(d.CapacityBytes), Name: d.Name, Controller: controller,
		Media: d.MediaType, Protocol: d.Protocol, Health: d.Status.Health}
	for _, id := range d.Identifiers {
		out.WWN = appendWWN(out.WWN, id)
	}
	return out
}

// simpleDisks reads the older form, in which a drive has no serial number.
func (r *Redfish) simpleDisks(ctx context.Context, uri Link) ([]Disk, error) {
	var out []Disk
	err := r.Members(ctx, uri, func(raw json.RawMessage) error {
		var d simpleStorageDocument
		if lenient(raw, &d) != nil {
			return nil
		}
		for _, device := range d.Devices {
			if device.Status.State != "Absent" && device.Model != "" {
				out = append(out, Disk{Model: strings.TrimSpace(device.Model), Bytes: int64(device.CapacityBytes), Name: device.Name, Controller: d.Name,
					Health: device.Status.Health})
			}
		}
		return nil
	})
	return out, err
}

// wwnExtras are what BMCs write into a world wide name beside its digits.
var wwnExtras = strings.NewReplacer(":", "", "-", "", "naa.", "", "eui.", "", "0x", "")

var hexadecimal = regexp.MustCompile(`^[0-9a-f]{16}([0-9a-f]{16})?$`)

// appendWWN adds a durable name that is a world wide name. BMCs write them with
// colons, dashes or a prefix, and mislabel their format; an EUI comes in either byte
// order (recorded: drives behind an MR controller), so both are kept.
func appendWWN(list []string, id identifierDocument) []string {
	name := wwnExtras.Replace(strings.ToLower(id.DurableName))
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

// unique drops what is listed twice: under two controllers, or in an older form, too.
func unique(disks []Disk) []Disk {
	out := []Disk{}
	for _, d := range disks {
		if !slices.ContainsFunc(out, d.same) {
			out = append(out, d)
		}
	}
	return out
}

// same reports that two entries are one device: a name that both have is the same, and
// none contradicts. What firmware writes where it knows no serial number is no name.
func (d Disk) same(other Disk) bool {
	agree := func(a, b string) bool { return a == b || a == "" || b == "" }
	wwns := len(d.WWN) == 0 || len(other.WWN) == 0 || slices.Equal(d.WWN, other.WWN)
	named := realSerial(d.Serial) && d.Serial == other.Serial || len(d.WWN) > 0 && slices.Equal(d.WWN, other.WWN)
	return named && wwns && agree(d.Serial, other.Serial) && agree(d.Model, other.Model)
}

func realSerial(text string) bool {
	switch strings.ToLower(text) {
	case "", "n/a", "na", "none", "unknown", "not available", "not specified", "to be filled by o.e.m.":
		return false
	}
	return strings.Trim(text, "0-. ") != ""
}

// Absent reports that the BMC does not have what was asked for: unknown, no failure.
func Absent(err error) bool { return absent(err) }

func (r *Redfish) readSecureBoot(ctx context.Context, s *systemDocument, out *Inventory) error {
	if s.SecureBoot == "" {
		return nil
	}
	var d secureBootDocument
	if err := r.Get(ctx, s.SecureBoot, &d); err != nil {
		if absent(err) {
			return nil
		}
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

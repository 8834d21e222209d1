package bmc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
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
	for _, read := range []func(context.Context, *systemDocument, *Inventory) error{r.readDisks, r.readNICs, r.readSecureBoot} {
		if err := read(ctx, s, &out); err != nil {
			return out, err
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

// disksOf lists the RAID volumes of one storage unit, and its drives with what keeps an
// operating system from seeing them.
func (r *Redfish) disksOf(ctx context.Context, d storageDocument) ([]Disk, error) {
	u := r.unit(d)
	if err := r.readVolumes(ctx, u); err != nil && !absent(err) {
		return nil, err
	}
	drives, err := r.drivesOf(ctx, u)
	return append(u.volumes, drives...), err
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
			if device.Status.State != "Absent" && meaningful(device.Model) != "" {
				out = append(out, Disk{Model: meaningful(device.Model), Bytes: int64(device.CapacityBytes), Name: strings.TrimSpace(device.Name),
					Controller: strings.TrimSpace(d.Name), Health: device.Status.Health})
			}
		}
		return nil
	})
	return out, err
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

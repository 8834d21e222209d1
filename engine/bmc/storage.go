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
	err = every(
		func() error { return r.readStorage(ctx, s, &out) },
		func() error { return r.readNICs(ctx, s, &out) },
		func() error { return r.readSecureBoot(ctx, s, &out) })
	if err == nil && r.ahead == nil { // reading ahead may find that the BMC was not ready
		r.stock = &out
	}
	return out, err
}

// unread reports an answer that leaves the disks unknown: the BMC stumbles over a resource
// of its storage, or does not let the user see it. The caller waits for one that is busy.
func unread(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status >= 400 && e.Status != http.StatusServiceUnavailable && e.Status != http.StatusTooManyRequests
}

// absent reports that the BMC does not have the resource: unknown, no error.
func absent(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented)
}

// readStorage reads the disks. If the BMC does not answer one request for them, it returns
// none: the missing disk may match the plan's disk, too.
func (r *Redfish) readStorage(ctx context.Context, s *systemDocument, out *Inventory) error {
	err := r.readDisks(ctx, s, out)
	if unread(err) {
		out.Disks, out.Unread = nil, err
		return nil
	}
	return err
}

// readDisks reads what the system lists under Storage, else under SimpleStorage,
// and what only the vendor knows. A list that names no device at all says nothing:
// some BMCs show one before they have looked. The disks stay unknown.
func (r *Redfish) readDisks(ctx context.Context, s *systemDocument, out *Inventory) error {
	var disks, more []Disk
	err := every(
		func() (err error) {
			disks, err = r.standardDisks(ctx, s.Storage)
			return unlessAbsent(err)
		},
		func() (err error) {
			if r.rules.Disks != nil {
				more, err = r.rules.Disks(ctx)
			}
			return unlessAbsent(err)
		})
	if err != nil {
		return err
	}
	if disks = append(disks, more...); len(disks) == 0 {
		if disks, err = r.simpleDisks(ctx, s.SimpleStorage); unlessAbsent(err) != nil {
			return err
		}
	}
	if len(disks) > 0 {
		out.Disks = unique(disks)
	}
	return nil
}

// unlessAbsent drops the error that the BMC does not have the resource.
func unlessAbsent(err error) error {
	if absent(err) {
		return nil
	}
	return err
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

// disksOf lists the RAID volumes of one storage unit, and its drives with what hides them
// from an operating system.
func (r *Redfish) disksOf(ctx context.Context, d storageDocument) ([]Disk, error) {
	u := r.unit(d)
	var drives []Disk
	err := every(
		func() error { return unlessAbsent(r.readVolumes(ctx, u)) },
		func() (err error) {
			drives, err = r.drivesOf(ctx, u)
			return err
		})
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

// Absent reports that the BMC does not have what was requested: unknown, no failure.
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

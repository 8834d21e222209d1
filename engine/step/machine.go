package step

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/schema"
)

// meet looks once at a machine that is about to be changed, where that is asked for: a dry run
// shows it to people, and a saved plan is for the machine as it was then. What runs on one that
// this run has restarted or stopped is not what it was.
func (d *BMC) meet(ctx context.Context) error {
	h := d.host
	approved := h.Settings.Approved
	if h.machine != nil || !h.Settings.DryRun && approved == nil {
		return nil
	}
	look := describeMachine
	if approved != nil && approved.Machine != nil && h.History().Stopped() {
		look = func(ctx context.Context, h *Host) (event.Machine, error) {
			m, err := identify(ctx, h)
			m.Runs, m.Disks = approved.Machine.Runs, approved.Machine.Disks
			return m, err
		}
	}
	m, err := look(ctx, h)
	if err != nil {
		return err
	}
	if err := CheckSameMachine(approved, m); err != nil {
		return err
	}
	h.machine, h.introduce = &m, true
	return nil
}

// introduced adds the machine to the first change that is recorded of it.
func (h *Host) introduced(c event.Change) event.Change {
	if h.introduce {
		c.Machine, h.introduce = h.machine, false
	}
	return c
}

// identify says which machine it is.
func identify(ctx context.Context, h *Host) (event.Machine, error) {
	id, err := h.BMC.Identity(ctx)
	return event.Machine{Vendor: id.Vendor, Model: id.Model, Serial: id.Serial, UUID: id.UUID, Firmware: strings.TrimSpace(id.Generation + " " + id.Firmware)}, err
}

func describeMachine(ctx context.Context, h *Host) (event.Machine, error) {
	m, err := identify(ctx, h)
	if err != nil {
		return event.Machine{}, err
	}
	use, err := LookInto(ctx, h)
	if err != nil {
		return event.Machine{}, err
	}
	m.Runs = use.running()
	if h.Settings.Installs {
		m.Disks, err = Overwritten(ctx, h.Declared.ESXi, h.BMC, use.System)
		if ctx.Err() != nil {
			return m, err
		} // else a guard says so, before the restart; other changes do not need the disk
	}
	return m, nil
}

// running is what runs on the machine, for people and saved plans.
func (u Use) running() event.Running {
	r := event.Running{Power: string(u.Power), Use: string(u.State), Reason: u.Reason, Fingerprint: u.Before.Fingerprint, Build: u.Before.Build, Product: u.Product}
	if s := u.System; s != nil {
		r.VMs, r.VCenter, r.VSAN, r.Installed, r.Booted = s.VMs, s.VCenter, s.VSAN, s.Installed, s.Booted
	}
	slices.Sort(r.VMs)
	return r
}

// Overwritten are the disks that an installation overwrites, each resolved to exactly one device
// that the BMC reports, or taken at the plan's word (confirm = false).
func Overwritten(ctx context.Context, x *schema.ESXi, c bmc.Reader, running *esxi.System) ([]event.Disk, error) {
	if err := CheckDisk(ctx, x, c); err != nil {
		return nil, err
	}
	stock, err := c.Inventory(ctx)
	if err != nil {
		return nil, err
	}
	var out []event.Disk
	for i, want := range append([]schema.Disk{*x.Disk}, x.Wipe...) {
		d := event.Disk{Wanted: want.String(), Cleared: i > 0, Taken: true}
		if found, err := ResolveDisk(&want, stock.Disks); err == nil && (want.Confirm == nil || *want.Confirm) {
			d = event.Disk{Wanted: d.Wanted, Cleared: d.Cleared, Model: found.Model, Serial: found.Serial, WWN: found.WWN, Bytes: found.Bytes,
				Size: found.Size(), Name: found.Name, Controller: found.Controller, RAID: found.RAID, Holds: holds(running, found)}
		}
		out = append(out, d)
	}
	return out, nil
}

// holds are the datastores that the running ESXi has on a disk; nil: no one could look.
func holds(running *esxi.System, d bmc.Disk) []string {
	if running == nil || running.Datastores == nil {
		return nil
	}
	out := []string{}
	for _, s := range running.Datastores {
		if slices.ContainsFunc(s.Disks, func(name string) bool { return isNamed(d, name) }) {
			out = append(out, fmt.Sprintf("datastore %q", s.Name))
		}
	}
	return out
}

// isNamed reports whether ESXi gives a disk this name: it holds a WWN, or, for SATA and NVMe
// disks, the serial number at its end.
func isNamed(d bmc.Disk, name string) bool {
	if slices.Contains(d.WWN, plainWWN(name)) {
		return true
	}
	return len(d.Serial) >= leastSerial && strings.HasPrefix(name, "t10.") && strings.HasSuffix(strings.TrimRight(name, "_"), strings.ReplaceAll(d.Serial, " ", "_"))
}

// leastSerial is the length of a serial number that tells a disk in a name.
const leastSerial = 6

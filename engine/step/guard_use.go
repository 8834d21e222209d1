package step

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"esxiplan/engine/bmc"
	"esxiplan/engine/descriptor"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
)

// Use is whether a machine may be reset, and what answered on its ESXi address.
type Use struct {
	Power      bmc.PowerState
	State      UseState
	Reason     string
	Before     event.Snapshot
	Other      string       // another machine answers on the ESXi address
	Foreign    string       // an image in a drive from which another esxiplan may be installing
	Installing *LastReset   // one of our installations is in progress
	Wait       string       // how to wait for it
	LUNs       []string     // of a storage network, as the running ESXi sees them; see [esxi.System]
	Product    string       // that answers on the ESXi address, "" where nothing does
	System     *esxi.System // what runs there, where it was looked into; nil: it was not
}

// UseState is what is known of the use of a machine.
type UseState string

// A machine is free (off, or looked into and without virtual machines, vCenter and vSAN),
// busy, or no one could look.
const (
	Free       UseState = "free"
	Busy       UseState = "busy"
	UseUnknown UseState = "unknown"
)

// LookInto finds out whether a machine is in use. It uses the login of the running
// ESXi at most once per run.
func LookInto(ctx context.Context, h *Host) (Use, error) {
	power, err := h.BMC.Power(ctx)
	if err != nil {
		return Use{}, err
	}
	use := Use{Power: power.State, State: UseUnknown, Reason: "it is on, and the plan declares no ESXi to look into",
		Before: event.Snapshot{State: string(esxi.Silent)}}
	if last, open := h.History().Installing(); open && last.Run != h.attempt.Run() && !h.Settings.Again {
		use.Installing, use.Wait = &last, h.Settings.waitForIt()
	}
	if h.ESXi == nil {
		return use.off(), nil
	}
	probe, err := h.ESXi.Probe(ctx)
	if err != nil {
		return Use{}, err
	}
	use.Before = event.Snapshot{State: string(probe.State), Fingerprint: probe.Fingerprint, Build: probe.Build}
	use.Product = probe.Product
	if power.State == bmc.Off {
		if probe.State != esxi.Silent {
			use.Other = fmt.Sprintf("%s answers on %s although this machine is off", probe.Product, h.Declared.ESXi.Address)
		}
		return use.off(), nil
	}
	if probe.State != esxi.Up {
		use.Reason = fmt.Sprintf("it is on, and no ESXi answers on %s (%s)", h.Declared.ESXi.Address, probe.Reason)
		use.Foreign, err = foreignTo(ctx, h)
		return use, err
	}
	return use.inspect(ctx, h, probe)
}

func (u Use) off() Use {
	if u.Power == bmc.Off {
		u.State, u.Reason = Free, "it is off"
	}
	return u
}

func (u Use) inspect(ctx context.Context, h *Host, probe esxi.Probe) (Use, error) {
	system, err := h.ESXi.Inspect(ctx, esxi.Current, probe.Fingerprint)
	switch {
	case errors.Is(err, esxi.ErrNoLogin):
		u.Reason = "it runs " + probe.Product + ", and the plan gives no login to look into it"
		return u, nil
	case err != nil:
		if ctx.Err() != nil {
			return u, ctx.Err()
		}
		if descriptor.Exhausted(err) { // that says nothing about the machine
			return u, err
		}
		u.Reason = "it runs " + probe.Product + ", which could not be looked into: " + err.Error()
		return u, nil
	}
	id, err := h.BMC.Identity(ctx)
	if err != nil {
		return u, err
	}
	if same, known := SameMachine(system, id); known && !same {
		u.Other = fmt.Sprintf("the ESXi on %s runs on another machine (serial %s)", h.Declared.ESXi.Address, strings.Join(system.Serials, ", "))
		u.Reason = "it is on, and " + u.Other
		return u, nil
	}
	u.Before.Installed, u.LUNs, u.System = system.Installed, system.LUNs, &system
	u.State, u.Reason = Free, "its ESXi runs no virtual machine"
	if busy := system.Busy(); busy != "" {
		u.State, u.Reason = Busy, busy
	}
	return u, nil
}

// checkSeen runs the guards about what was seen of a machine's use, and, where an installation
// overwrites disks, of storage that others use.
func (h *Host) checkSeen(u Use, installs bool) error {
	if err := CheckUse(u, h.Declared.AllowRunning); err != nil || !installs {
		return err
	}
	return CheckRemote(h.Declared.ESXi, nil, u.LUNs)
}

// CheckUse refuses a machine that is in use, or might be, unless the plan allows it. While
// one of our installations is in progress there is one way out only: to wait for it.
func CheckUse(u Use, allowRunning bool) error {
	if u.Installing != nil {
		return &Refusal{"in use", fmt.Sprintf("esxiplan has been installing this machine since %s (run %s)", ClockTime(u.Installing.Time),
			u.Installing.Run), u.Wait}
	}
	if err := CheckForeign(u.Foreign); err != nil {
		return err
	}
	if u.Other != "" {
		return &Refusal{"address", u.Other, "Free the address, or correct esxi.address"}
	}
	if u.State == Free || allowRunning {
		return nil
	}
	if u.State == Busy {
		return &Refusal{"in use", "the machine is in use: " + u.Reason, "Move its virtual machines away and power it off, or set allow_running = true"}
	}
	return &Refusal{"in use", "cannot determine whether the machine is in use: " + u.Reason,
		"Power it off, or give esxi.current (the login of the running ESXi), or set allow_running = true"}
}

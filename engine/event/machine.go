package event

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Disk is a disk that an installer overwrites: what the plan calls it, and which device of the
// machine that is.
type Disk struct {
	Wanted     string   `json:"wanted"`            // the plan's selector, such as: model "DELLBOSS VD"
	Cleared    bool     `json:"cleared,omitempty"` // one of esxi.wipe, on which nothing is installed
	Taken      bool     `json:"taken,omitempty"`   // taken at the plan's word (confirm = false): the rest is unknown
	Unread     bool     `json:"unread,omitempty"`  // the machine was not looked at: the rest is unknown
	Model      string   `json:"model,omitempty"`
	Serial     string   `json:"serial,omitempty"`
	WWN        []string `json:"wwn,omitempty"`
	Bytes      int64    `json:"bytes,omitempty"` // 0: the BMC does not say
	Size       string   `json:"size,omitempty"`  // for people
	Name       string   `json:"name,omitempty"`  // what the BMC calls it, which often tells the slot
	Controller string   `json:"controller,omitempty"`
	RAID       string   `json:"raid,omitempty"`
	// Holds is what is on the disk as far as the running ESXi tells, such as: datastore
	// "datastore1". nil: no one could look.
	Holds []string `json:"holds,omitzero"`
}

// Same reports whether two descriptions are of one disk. What is on it does not count.
func (d Disk) Same(other Disk) bool {
	return d.Wanted == other.Wanted && d.Cleared == other.Cleared && d.Model == other.Model && d.Serial == other.Serial &&
		slices.Equal(d.WWN, other.WWN) && d.Bytes == other.Bytes && d.Name == other.Name
}

// String names the disk for people: model, serial number, WWN, size and place, as far as known.
func (d Disk) String() string {
	if d.Unread {
		return d.Wanted + " (" + NotLooked + ")"
	}
	if d.Taken {
		return d.Wanted + " (not confirmed by the BMC: confirm = false)"
	}
	parts := []string{d.Model}
	add := func(format, value string) {
		if value != "" {
			parts = append(parts, fmt.Sprintf(format, value))
		}
	}
	add("serial %s", d.Serial)
	add("WWN %s", strings.Join(d.WWN, " "))
	add("%s", d.RAID)
	add("%s", d.Size)
	add("in %s", d.Name)
	if d.Controller != d.Name {
		add("on %s", d.Controller)
	}
	return strings.TrimPrefix(strings.Join(parts, ", "), ", ")
}

// Machine is a machine as it was found: which one it is, and what runs on it.
type Machine struct {
	Vendor   string  `json:"vendor"`
	Model    string  `json:"model,omitempty"`
	Serial   string  `json:"serial,omitempty"`
	UUID     string  `json:"uuid,omitempty"`
	Firmware string  `json:"firmware,omitempty"` // of the BMC, with its model
	Runs     Running `json:"runs"`
	// Disks are those that an installation by this plan overwrites; nil: the plan installs
	// nothing there, or they are not to be found.
	Disks []Disk `json:"disks,omitempty"`
}

// Running is what runs on a machine.
type Running struct {
	Power string `json:"power"` // power state, in Redfish's words
	// Use is free, busy or unknown, and Reason why.
	Use         string    `json:"use"`
	Reason      string    `json:"reason"`
	Product     string    `json:"product,omitempty"` // that answers on the ESXi address, "" where nothing does
	Build       string    `json:"build,omitempty"`
	Fingerprint string    `json:"fingerprint,omitempty"` // of its certificate
	VMs         []string  `json:"vms,omitempty"`         // powered on
	VCenter     string    `json:"vcenter,omitempty"`
	VSAN        bool      `json:"vsan,omitempty"`
	Installed   time.Time `json:"installed,omitzero"`
	Booted      time.Time `json:"booted,omitzero"`
}

// Changes says in words how a machine differs from what it was; empty: it does not. That it was
// restarted meanwhile is no difference, nor is another version of the BMC's firmware.
func (m Machine) Changes(now Machine) (out []string) {
	was, is := m.Runs, now.Runs
	for _, d := range []struct{ what, before, after string }{
		{"vendor", m.Vendor, now.Vendor}, {"model", m.Model, now.Model}, {"serial number", m.Serial, now.Serial}, {"UUID", m.UUID, now.UUID},
		{"power state", was.Power, is.Power}, {"what answers on the ESXi address", was.Product, is.Product}, {"its build", was.Build, is.Build},
		{"its certificate", was.Fingerprint, is.Fingerprint}, {"virtual machines", strings.Join(was.VMs, ", "), strings.Join(is.VMs, ", ")},
		{"disk to install on", listDisks(m.Disks), listDisks(now.Disks)}, {"vCenter", was.VCenter, is.VCenter}, {"vSAN", yesNo(was.VSAN), yesNo(is.VSAN)}, {"use of the machine", was.Use, is.Use},
	} {
		if d.before != d.after {
			out = append(out, fmt.Sprintf("%s: %s → %s", d.what, orNone(d.before), orNone(d.after)))
		}
	}
	return out
}

func listDisks(disks []Disk) string {
	var names []string
	for _, d := range disks {
		names = append(names, d.String())
	}
	return strings.Join(names, "; and ")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// Medium is what is on our installer medium, as far as people are to read it: secrets
// are hidden.
type Medium struct {
	Source    string   `json:"source,omitempty"` // the installer image
	Kickstart string   `json:"kickstart,omitempty"`
	Options   []string `json:"kernel_options,omitempty"` // that boot.cfg gets, without ks=
}

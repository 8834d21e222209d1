package proposal_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/proposal"
)

// fleet are hosts that differ in their own values only.
func fleet(n int) *proposal.Proposal {
	p := &proposal.Proposal{Schema: proposal.Schema, Plan: "lab", Steps: []string{"installer", "cd", "restart"}, Summary: proposal.Summary{Hosts: map[proposal.Outcome]int{}}}
	for i := range n {
		p.Hosts = append(p.Hosts, machine(i))
		p.Summary.Hosts[proposal.Install]++
	}
	return p
}

func machine(i int) *proposal.Host {
	name, address, mac := fmt.Sprintf("esxi-%d", i+1), fmt.Sprintf("10.0.%d.%d", i/200, i%200+1), fmt.Sprintf("B4:96:91:A7:%02X:%02X", i/200, i%200)
	url := fmt.Sprintf("http://10.9.9.9/iso/%032x/%s.iso", i*7919+1, name)
	booted := time.Date(2026, 8, 1, 10, i%60, 0, 0, time.UTC)
	disk := event.Disk{Wanted: `model "BOSS"`, Model: "BOSS", Serial: fmt.Sprintf("D%05d", i), WWN: []string{fmt.Sprintf("5001ac37f33%05x", i)}, Bytes: 480e9, Size: "480 GB", Holds: []string{}}
	kickstart := fmt.Sprintf("network --ip='%s' --device='%s' --hostname='%s'\n%s", address, mac, name, strings.Repeat("# the same on all hosts\n", 120))
	return &proposal.Host{Host: name, Group: "lab", BMC: fmt.Sprintf("10.1.%d.%d", i/200, i%200+1), Address: address, Outcome: proposal.Install,
		Machine: &event.Machine{Vendor: "v", Model: "R750", Serial: fmt.Sprintf("S%05d", i), UUID: fmt.Sprintf("uuid-%d", i), Firmware: fmt.Sprint("7.", i%3),
			Runs: event.Running{Power: "On", Use: "free", Reason: "no VM on " + address, Product: "ESXi 7", Fingerprint: fmt.Sprint("sha256:", i), Booted: booted, Installed: booted}},
		Changes: []event.Planned{
			{Step: "installer", Change: event.Change{Door: event.DoorMedia, Verb: event.Publish, Target: "image", New: url, Makes: &event.Medium{Kickstart: kickstart}, Intent: event.Intent{Medium: fmt.Sprint("digest", i)}}},
			{Step: "restart", Change: event.Change{Door: event.DoorBMC, Verb: event.Reset, Target: "power", Old: "On", New: "ForceRestart", Risk: event.Wipes, Intent: event.Intent{Boots: true, Installs: true, Erases: []event.Disk{disk}}}},
		},
		Warnings: []string{"the NIC " + mac + " of " + name + " has no link"}}
}

// TestBlocksJoin: hosts that differ in names, addresses, serial numbers and times are one
// block; what differs is in columns, and as a name in the texts.
func TestBlocksJoin(t *testing.T) {
	blocks := proposal.Blocks(fleet(12))
	if len(blocks) != 1 || len(blocks[0].Hosts) != 12 {
		t.Fatalf("%d blocks", len(blocks))
	}
	b := blocks[0]
	var names []string
	for _, c := range b.Columns {
		names = append(names, c.Name)
		if len(c.Values) != 12 {
			t.Errorf("column %s has %d values", c.Name, len(c.Values))
		}
	}
	if want := []string{"host", "BMC", "ESXi", "serial", "UUID", "disk serial", "disk WWN", "NIC", "token", "up since"}; !slices.Equal(names, want) {
		t.Errorf("columns %v, want %v", names, want)
	}
	if b.Columns[0].Values[11] != "esxi-12" || b.Columns[9].Values[1] != "2026-08-01 10:01 UTC" {
		t.Errorf("columns %v", b.Columns)
	}
	c := b.Host.Changes
	for have, want := range map[string]string{
		b.Host.Host: "{host}", b.Host.Warnings[0]: "the NIC {NIC} of {host} has no link", c[0].New: "http://10.9.9.9/iso/{token}/{host}.iso",
		c[1].Erases[0].String(): "BOSS, serial {disk serial}, WWN {disk WWN}, 480 GB", b.Host.Machine.Runs.Reason: "no VM on {ESXi}",
		strings.SplitN(c[0].Makes.Kickstart, "\n", 2)[0]: "network --ip='{ESXi}' --device='{NIC}' --hostname='{host}'",
		b.Host.Machine.Runs.Fingerprint:                  "", b.Host.Machine.Firmware: "", b.Host.Machine.Model: "R750",
	} {
		if have != want {
			t.Errorf("%q, want %q", have, want)
		}
	}
}

// TestHostnamesOfTheirOwn: a hostname that does not follow from name or address is shown.
func TestHostnamesOfTheirOwn(t *testing.T) {
	for format, minor := range map[string]bool{"web%d": false, "esxi-10-0-0-%d": true, "esxi-%d.example": true} {
		p := fleet(2)
		for i, h := range p.Hosts {
			h.Warnings = nil
			h.Changes[0].Makes.Kickstart = fmt.Sprintf("network --hostname='"+format+"'\n", i+1)
		}
		columns := proposal.Blocks(p)[0].Columns
		i := slices.IndexFunc(columns, func(c proposal.Column) bool { return c.Name == "hostname" })
		if i < 0 || columns[i].Minor != minor {
			t.Errorf("%s: column %d of %+v", format, i, columns)
		}
	}
}

// TestProblemsJoin: a guard that refuses several hosts for their NICs is one block.
func TestProblemsJoin(t *testing.T) {
	p := &proposal.Proposal{}
	for i := range 3 {
		p.Hosts = append(p.Hosts, &proposal.Host{Host: fmt.Sprint("h", i), Outcome: proposal.Refused,
			Problem: &event.Problem{Summary: fmt.Sprintf("h%d has no NIC b4:96:91:a7:00:0%d", i, i), At: fmt.Sprintf("lab.hcl:%d:1", 10+i)}})
	}
	if b := proposal.Blocks(p); len(b) != 1 || b[0].Host.Problem.Summary != "{host} has no NIC {NIC}" || b[0].Host.Problem.At != "{place}" {
		t.Errorf("%d blocks, the first says %+v", len(b), b[0].Host.Problem)
	}
}

// TestBlocksKeepApart: what a reviewer must see of each host joins no other.
func TestBlocksKeepApart(t *testing.T) {
	for what, edit := range map[string]func(h *proposal.Host){
		"outcome":        func(h *proposal.Host) { h.Outcome = proposal.Undecided },
		"group":          func(h *proposal.Host) { h.Group = "other" },
		"model":          func(h *proposal.Host) { h.Machine.Model = "R760" },
		"disk's model":   func(h *proposal.Host) { h.Changes[1].Erases[0].Model = "PERC" },
		"disk's size":    func(h *proposal.Host) { h.Changes[1].Erases[0].Bytes++ },
		"disk's content": func(h *proposal.Host) { h.Changes[1].Erases[0].Holds = []string{"datastore x"} },
		"unknown disk":   func(h *proposal.Host) { h.Changes[1].Erases[0].Holds = nil },
		"slot":           func(h *proposal.Host) { h.Changes[1].Erases[0].Name = "Bay 2" },
		"second disk": func(h *proposal.Host) {
			h.Changes[1].Erases = append(h.Changes[1].Erases, event.Disk{Model: "BOSS", Cleared: true})
		},
		"VMs":                   func(h *proposal.Host) { h.Machine.Runs.VMs = []string{h.Host} },
		"power":                 func(h *proposal.Host) { h.Machine.Runs.Power = "Off" },
		"system":                func(h *proposal.Host) { h.Machine.Runs.Product = "ESXi 8" },
		"use":                   func(h *proposal.Host) { h.Machine.Runs.Use = "unknown" },
		"vCenter":               func(h *proposal.Host) { h.Machine.Runs.VCenter = "vc" },
		"no time":               func(h *proposal.Host) { h.Machine.Runs.Booted = time.Time{} },
		"changes":               func(h *proposal.Host) { h.Changes = h.Changes[:1] },
		"slot of the image":     func(h *proposal.Host) { h.Changes[0].Target = "slot 2" },
		"kickstart":             func(h *proposal.Host) { h.Changes[0].Makes.Kickstart += "reboot\n" },
		"kernel options":        func(h *proposal.Host) { h.Changes[0].Makes.Options = []string{"x"} },
		"published image":       func(h *proposal.Host) { h.Changes[0].Replaces = &event.Medium{Kickstart: "x"} },
		"warning":               func(h *proposal.Host) { h.Warnings = nil },
		"problem":               func(h *proposal.Host) { h.Problem = &event.Problem{Summary: "x"} },
		"open":                  func(h *proposal.Host) { h.Open = []proposal.Open{{Step: "a", What: "b"}} },
		"risk":                  func(h *proposal.Host) { h.Changes[1].Risk = event.Reboots },
		"part of a longer name": func(h *proposal.Host) { h.Changes[0].New = strings.Replace(h.Changes[0].New, h.Host, h.Host+"0", 1) },
	} {
		p := fleet(3)
		edit(p.Hosts[1])
		if blocks := proposal.Blocks(p); len(blocks) != 2 || len(blocks[0].Hosts)+len(blocks[1].Hosts) != 3 {
			t.Errorf("%s: %d blocks", what, len(blocks))
		}
	}
}

// TestBlocksOrder: hosts in trouble come first, the rest stays in the order of the plan.
func TestBlocksOrder(t *testing.T) {
	p := fleet(5)
	p.Hosts[0].Group = "first"
	p.Hosts[2].Outcome, p.Hosts[2].Problem = proposal.Unreachable, &event.Problem{Summary: "x"}
	p.Hosts[4].Outcome, p.Hosts[4].Problem = proposal.Refused, &event.Problem{Summary: "x"}
	var got []string
	for _, b := range proposal.Blocks(p) {
		for _, h := range b.Hosts {
			got = append(got, h.Host)
		}
	}
	if want := []string{"esxi-5", "esxi-3", "esxi-1", "esxi-2", "esxi-4"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestBlocksLeaveTheProposal: a block is a copy; one host is shown as it is.
func TestBlocksLeaveTheProposal(t *testing.T) {
	p := fleet(3)
	proposal.Blocks(p)
	if !reflect.DeepEqual(p, fleet(3)) {
		t.Error("the proposal has changed")
	}
	one := proposal.Blocks(fleet(1))
	if !reflect.DeepEqual(one[0].Host, machine(0)) || one[0].Columns != nil {
		t.Errorf("%+v", one[0])
	}
	if blocks := proposal.Blocks(&proposal.Proposal{}); len(blocks) != 0 {
		t.Errorf("%d blocks of no host", len(blocks))
	}
}

// TestBlocksAreFast: the work grows with the hosts, not with their square.
func TestBlocksAreFast(t *testing.T) {
	began := time.Now()
	if blocks := proposal.Blocks(fleet(500)); len(blocks) != 1 {
		t.Errorf("%d blocks", len(blocks))
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("500 hosts took %v", took)
	}
}

func BenchmarkBlocks(b *testing.B) {
	for _, n := range []int{500, 1000} {
		p := fleet(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				proposal.Blocks(p)
			}
		})
	}
}

package view

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/media/kickstart"
	"esxiplan/engine/proposal"
)

// site makes proposals as dry runs do: events through [proposal.Fold].
type site struct {
	t        *testing.T
	events   []event.Event
	names    []string
	declared map[string]proposal.Host
}

func newSite(t *testing.T) *site { return &site{t: t, declared: map[string]proposal.Host{}} }

// rig is a machine of a site before it is changed.
type rig struct {
	name, group, vendor, model, serial, bmc, esxi, mac string
	slot                                               string
	disk                                               event.Disk
	runs                                               event.Running
}

// boot is when the old systems were started.
var boot = time.Date(2026, 8, 1, 10, 22, 0, 0, time.UTC)

// dell is the i-th of equal machines with a BOSS volume.
func dell(i int) rig {
	return rig{name: fmt.Sprintf("esxi-%02d", i+1), group: "dell", vendor: "dell", model: "PowerEdge R750", serial: fmt.Sprintf("7XQ%04X", 0x4a3f+i*571),
		bmc: fmt.Sprintf("10.172.18.%d", 101+i), esxi: fmt.Sprintf("10.172.19.%d", 101+i), mac: fmt.Sprintf("B4:96:91:A7:%02X:%02X", i/200, 10+i%200), slot: "slot 1",
		disk: event.Disk{Wanted: `model "DELLBOSS VD"`, Model: "DELLBOSS VD", WWN: []string{fmt.Sprintf("5001ac37f33%05x", 0xa33b+i*4099)}, Bytes: 480e9, Size: "480 GB",
			Name: "Disk.Virtual.0:AHCI.Slot.1-1", Controller: "BOSS-S2", RAID: "RAID1", Holds: []string{`datastore "datastore1"`}},
		runs: event.Running{Power: "On", Use: "free", Reason: "its ESXi runs no virtual machine", Product: "VMware ESXi 7.0.3", Build: "19482537",
			Fingerprint: fmt.Sprintf("sha256:%064x", i), Installed: boot.AddDate(-2, 0, i), Booted: boot.Add(time.Duration(i) * 17 * time.Minute)}}
}

// hpe is the i-th of machines with an NVMe pair whose current system was not looked into.
func hpe(i int) rig {
	r := dell(i)
	r.name, r.group, r.vendor, r.model, r.slot = fmt.Sprintf("hpe-%02d", i+1), "hpe", "hpe", "ProLiant DL360 Gen10 Plus", "slot 2"
	r.serial, r.bmc, r.esxi = fmt.Sprintf("CZ2240%04d", 117+i*31), fmt.Sprintf("10.172.20.%d", 11+i), fmt.Sprintf("10.172.21.%d", 11+i)
	r.disk = event.Disk{Wanted: fmt.Sprintf("serial %q", fmt.Sprintf("PFZDK0ARH%05d", 31+i)), Model: "HPE NS204i-p Gen10+ Boot Controller", Serial: fmt.Sprintf("PFZDK0ARH%05d", 31+i), Bytes: 480e9, Size: "480 GB",
		Name: "Slot 3", Controller: "NS204i-p", RAID: "RAID1"}
	r.runs = event.Running{Power: "Off", Use: "free", Reason: "it is off"}
	return r
}

func (s *site) host(name, group, bmc, esxi string) {
	s.names = append(s.names, name)
	s.declared[name] = proposal.Host{Group: group, BMC: bmc, Address: esxi}
	s.add(event.Event{Kind: event.HostStarted, Host: name, Group: group})
}

func (s *site) add(e event.Event) { s.events = append(s.events, e) }

func (s *site) end(host string, status event.Status, text string) {
	s.add(event.Event{Kind: event.HostDone, Host: host, Status: status, Text: text, Counts: &event.Counts{}})
}

func (s *site) write(host, step, kind string, c event.Change) {
	s.add(event.Event{Kind: event.WriteMade, Host: host, Step: step, Type: kind, Write: &c})
}

func (r rig) machine() *event.Machine {
	return &event.Machine{Vendor: r.vendor, Model: r.model, Serial: r.serial, UUID: "4c4c4544-0058-5110-8054-" + strings.ToLower(r.serial) + "0000", Firmware: "7.10.30.00", Runs: r.runs}
}

// url is that of the image of a machine.
func (r rig) url() string {
	return fmt.Sprintf("http://172.20.17.20/iso/redfish/%032x/%s.iso", len(r.serial)*7919+int(r.disk.Bytes)+hash(r.name), r.name)
}

func hash(text string) (n int) {
	for _, c := range text {
		n = n*31 + int(c)
	}
	return n & 0xffffffff
}

// medium is what is on the image of a machine.
func (s *site) medium(r rig, edit func(*kickstart.Script)) *event.Medium {
	script := kickstart.Script{RootHash: kickstart.Sample, Disk: kickstart.Disk{Kind: "model", Text: r.disk.Model},
		Network: kickstart.Network{Device: r.mac, Address: r.esxi, Netmask: "255.255.255.0", Gateway: "10.172.19.1", Nameservers: []string{"10.172.16.53"},
			Hostname: "esxi-" + strings.ReplaceAll(r.esxi, ".", "-")}}
	if r.disk.Serial != "" {
		script.Disk = kickstart.Disk{Kind: "serial", Text: r.disk.Serial}
	}
	if edit != nil {
		edit(&script)
	}
	text, err := script.Render()
	if err != nil {
		s.t.Fatal(err)
	}
	return &event.Medium{Source: "VMware-VMvisor-Installer-8.0U3-24022510.x86_64.iso 8.0.3 build 24022510 (sha256 9f86d081884c…)", Kickstart: kickstart.Hide(string(text)),
		Options: []string{"systemMediaSize=small"}}
}

// install is a machine that would be installed. edit changes its events before they are kept.
func (s *site) install(r rig, replaces *event.Medium, leftover string) {
	s.host(r.name, r.group, r.bmc, r.esxi)
	machine := r.machine()
	published := event.Change{Door: event.DoorMedia, Verb: event.Publish, Target: "image", New: r.url(), Makes: s.medium(r, nil), Replaces: replaces}
	if replaces != nil {
		published.Old = strings.Replace(r.url(), "/redfish/", "/redfish/0", 1)
	}
	s.write(r.name, "installer", "build_iso", published)
	if leftover != "" {
		s.write(r.name, "leftovers", "eject", event.Change{Door: event.DoorBMC, Verb: event.Eject, Target: r.slot, Old: leftover, Machine: machine})
	}
	s.write(r.name, "installer_cd", "insert", event.Change{Door: event.DoorBMC, Verb: event.Insert, Target: r.slot, New: r.url(), Risk: event.Mounts, Machine: machine})
	s.write(r.name, "cd", "one_time_boot", event.Change{Door: event.DoorBMC, Verb: event.SetBoot, Target: "source", Old: "none", New: "cd"})
	s.restart(r)
	s.add(event.Event{Kind: event.StepDone, Host: r.name, Step: "installed", Type: "wait", Status: event.OK})
	s.end(r.name, event.Changed, "")
}

func (s *site) restart(r rig) {
	i := event.Intent{Boots: true, Installs: true, Erases: []event.Disk{r.disk}}
	power := r.runs.Power
	if power == "On" {
		s.write(r.name, "restart", "power", event.Change{Door: event.DoorBMC, Verb: event.Reset, Target: "power", Old: "On", New: "ForceOff", Risk: event.Wipes, Intent: i})
		power = "Off"
	}
	s.write(r.name, "restart", "power", event.Change{Door: event.DoorBMC, Verb: event.Reset, Target: "power", Old: power, New: "On", Risk: event.Wipes, Intent: i})
}

// refuse is a machine that a guard does not let be restarted.
func (s *site) refuse(r rig, vms ...string) {
	s.host(r.name, r.group, r.bmc, r.esxi)
	r.runs.VMs, r.runs.Use, r.runs.Product, r.runs.Power = vms, "busy", "VMware ESXi 7.0.3", "On"
	s.write(r.name, "installer", "build_iso", event.Change{Door: event.DoorMedia, Verb: event.Publish, Target: "image", New: r.url(), Makes: s.medium(r, nil)})
	s.write(r.name, "installer_cd", "insert", event.Change{Door: event.DoorBMC, Verb: event.Insert, Target: r.slot, New: r.url(), Risk: event.Mounts, Machine: r.machine()})
	s.fail(r.name, event.Failed, "restart", event.Problem{Guard: "in use", Summary: "the machine is in use: it runs " + event.Count(len(vms), "virtual machine"),
		Next: "Move its virtual machines away and power it off, or set allow_running = true", At: "rack7.hcl:133:1"})
}

func (s *site) fail(host string, status event.Status, step string, p event.Problem) {
	s.add(event.Event{Kind: event.StepDone, Host: host, Step: step, Status: status, Problem: &p})
	s.end(host, status, "")
}

// off is a machine that would be powered off, and stays off.
func (s *site) off(r rig) {
	s.host(r.name, r.group, r.bmc, r.esxi)
	s.write(r.name, "off", "power", event.Change{Door: event.DoorBMC, Verb: event.Reset, Target: "power", Old: "On", New: "GracefulShutdown", Risk: event.PowersOff, Machine: r.machine()})
	s.end(r.name, event.Changed, "")
}

func (s *site) unchanged(name, group string) {
	s.host(name, group, "", "")
	s.end(name, event.OK, "")
}

func (s *site) fold(note string) *proposal.Proposal {
	f := proposal.Fold{Declared: s.declared}
	f.Event(event.Event{Kind: event.RunStarted, Plan: &event.PlanInfo{Name: "rack7", Hosts: s.names, Note: note,
		Steps: []string{"login", "installer", "leftovers", "installer_cd", "cd", "restart", "installed"}}})
	for _, e := range s.events {
		f.Event(e)
	}
	return f.Proposal()
}

// equalSite has n machines that differ in names, addresses and serial numbers only.
func equalSite(t *testing.T, n int) *proposal.Proposal {
	s := newSite(t)
	for i := range n {
		s.install(dell(i), nil, "")
	}
	return s.fold("")
}

// mixedSite has a host for each way to end, of several makers.
func mixedSite(t *testing.T) *proposal.Proposal {
	s := newSite(t)
	for i := range 3 {
		s.install(dell(i), s.medium(dell(i), func(k *kickstart.Script) { k.Network.Gateway = "10.172.19.254" }), "")
	}
	s.install(hpe(0), nil, "http://192.0.2.1/somebody-elses.iso")
	s.install(hpe(1), nil, "http://192.0.2.1/somebody-elses.iso")
	s.refuse(hpe(2), "build-agent-1", "build-agent-2", "git")
	s.host("lenovo-01", "lenovo", "10.172.22.11", "10.172.23.11")
	s.fail("lenovo-01", event.Unreachable, "login", event.Problem{Summary: "GET https://10.172.22.11/redfish/v1/: no answer within 30s", Next: "Check that the address is that of a BMC and that its web server is on.", At: "rack7.hcl:85:1"})
	s.host("lenovo-02", "lenovo", "10.172.22.12", "10.172.23.12")
	s.end("lenovo-02", event.Skipped, "protected")
	s.unchanged("dell-90", "dell")
	s.unchanged("dell-91", "dell")
	off := dell(40)
	off.name, off.runs.VMs = "esxi-old", []string{"legacy-db"}
	s.off(off)
	s.continuous(dell(41))
	return s.fold("")
}

// continuous is a machine whose service knows only overrides that stay, and warns.
func (s *site) continuous(r rig) {
	s.host(r.name, r.group, r.bmc, r.esxi)
	s.add(event.Event{Kind: event.Warned, Host: r.name, Step: "cd", Text: "this BMC knows only a boot source override that stays: it will be cleared once the installer was loaded"})
	r.runs = event.Running{Power: "On", Use: "unknown", Reason: "it is on, and no ESXi answers on " + r.esxi + " (connection refused)"}
	s.write(r.name, "cd", "one_time_boot", event.Change{Door: event.DoorBMC, Verb: event.SetBoot, Target: "source", Old: "disk (continuous)", New: "cd", Machine: r.machine()})
	r.disk = event.Disk{Wanted: `name "mpx.vmhba32:C0:T0:L0"`, Taken: true}
	s.restart(r)
	s.add(event.Event{Kind: event.StepDone, Host: r.name, Step: "installed", Status: event.Skipped, Text: event.Undecided})
	s.end(r.name, event.Changed, "")
}

// hostileSite has names and answers that would be markup, mentions or commands elsewhere.
func hostileSite(t *testing.T) *proposal.Proposal {
	s := newSite(t)
	evil := "a|b`c @everyone <img src=x onerror=alert(1)> [l](http://x.example) \x1b[31mred --> ``` </details> #1 $x$ www.x.example"
	r := dell(0)
	r.name, r.group, r.model, r.serial, r.slot = evil+"1", evil, evil, "S|`@a", "slot "+evil
	r.disk.Model, r.disk.Holds = evil, []string{evil}
	r.runs.Product, r.runs.VMs, r.runs.VCenter = evil, []string{evil}, evil
	s.host(r.name, evil, evil, evil)
	s.write(r.name, evil, evil, event.Change{Door: event.DoorMedia, Verb: event.Publish, Target: evil, Old: evil, New: evil, Machine: r.machine(),
		Makes:    &event.Medium{Source: evil, Kickstart: "one\n```\n</details>\n@everyone\n~~~~\n", Options: []string{evil}},
		Replaces: &event.Medium{Source: "x", Kickstart: "one\n````\n<img>\n", Options: nil}})
	s.restart(r)
	s.add(event.Event{Kind: event.Warned, Host: r.name, Text: evil})
	s.end(r.name, event.Changed, "")
	s.host(evil+"2", evil, evil, evil)
	s.fail(evil+"2", event.Failed, evil, event.Problem{Guard: evil, Summary: evil, Detail: evil + "\n\n# heading", Next: evil, At: evil})
	p := s.fold(evil)
	p.Plan, p.Steps = evil, []string{evil}
	return p
}

// offlineSite was not looked at.
func offlineSite(t *testing.T) *proposal.Proposal {
	s := newSite(t)
	for i := range 2 {
		r := dell(i)
		s.host(r.name, r.group, r.bmc, r.esxi)
		s.write(r.name, "installer", "build_iso", event.Change{Door: event.DoorMedia, Verb: event.Publish, Target: "image", New: "http:" + event.Unbuilt, Makes: s.medium(r, nil)})
		s.end(r.name, event.NotRun, "interrupted")
	}
	p := s.fold("placeholders: image esxi is a generated one")
	p.Offline = true
	for _, h := range p.Hosts {
		h.Text = "the machine was not looked at"
	}
	return p
}

// bigSite has n hosts; where they are different, no two fold.
func bigSite(t *testing.T, n int, different bool) *proposal.Proposal {
	s := newSite(t)
	for i := range n {
		r := dell(i)
		r.name = fmt.Sprintf("esxi-%03d", i+1)
		r.bmc, r.esxi = fmt.Sprintf("10.172.%d.%d", 18+i/200*2, i%200+11), fmt.Sprintf("10.172.%d.%d", 19+i/200*2, i%200+11)
		if different {
			r.disk.Holds = []string{fmt.Sprintf("datastore \"local-%03d\"", i)}
			r.runs.VCenter = fmt.Sprintf("vc-%03d.example", i)
		}
		if i%50 == 49 {
			s.refuse(r, slices.Repeat([]string{fmt.Sprintf("vm-%03d", i)}, 1)...)
			continue
		}
		s.install(r, nil, "")
	}
	return s.fold("")
}

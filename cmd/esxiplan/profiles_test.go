package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/event"
	"esxiplan/engine/log"
	"esxiplan/engine/proposal"
	"esxiplan/engine/step"
	"esxiplan/engine/twin"
)

// startStates are how machines are found: with an ESXi that can be looked into, or on, with
// nothing to look into, and by which fault.
var startStates = map[string]struct {
	current, allow bool
	fault          string
}{
	"off":      {},
	"on":       {current: true},
	"unknown":  {allow: true, fault: "unknown-use"},
	"leftover": {current: true, fault: "leftover"},
	"override": {current: true, fault: "old-override"},
	"busy":     {current: true, allow: true, fault: "busy"},
}

// profilePlan is a plan with a host for each profile and start state, served over HTTP and
// HTTPS at once: some firmware takes only one of them.
func profilePlan(profiles []bmcsim.Profile) (plan string, flags []string) {
	var b strings.Builder
	b.WriteString(`plan "profiles" {}
image "esxi" { source = "VMware-VMvisor-Installer-8.0U3-24022510.iso" }
media {
  listen     = "127.0.0.1:0"
  listen_tls = "127.0.0.1:0"
}
group "all" {
  bmc {
    username = "root"
    password = "calvin-test"
    tls      = { verify = false }
  }
  esxi {
    netmask       = "255.255.0.0"
    gateway       = "10.9.0.1"
    disk          = { serial = upper("S-${host.name}") }
    root_password = "Test-password-1x"
  }
`)
	n := 0
	for _, p := range profiles {
		for state, s := range startStates {
			n++
			name := strings.NewReplacer("/", "-", ".", "-").Replace(p.Name) + "-" + state
			https := len(p.Schemes) > 0 && !slices.Contains(p.Schemes, "http")
			current := ""
			if s.current {
				current = `current = { username = "root", password = "Test-password-1x" }`
			}
			fmt.Fprintf(&b, "host %q {\n  allow_running = %v\n  bmc { address = \"10.8.%d.%d\" }\n  vars = { https = %v }\n  esxi {\n    address = \"10.9.%[3]d.%[4]d\"\n    %[6]s\n  }\n}\n", name, s.allow, 1+n/200, 2+n%200, https, current)
			flags = append(flags, "--profile", name+"="+p.Name)
			if s.fault != "" {
				flags = append(flags, "--fault", name+"="+s.fault)
			}
		}
	}
	b.WriteString(`}
step "precheck" "login" {}
step "build_iso" "installer" { image = image.esxi }
step "eject" "leftovers" {}
step "insert" "cd" { image = host.vars.https ? step.installer.https_url : step.installer.url }
step "one_time_boot" "cd_once" { target = "cd" }
step "power" "restart" { action = "restart" }
step "wait" "installed" {}
`)
	return b.String(), flags
}

// TestEveryProfile installs a machine of every simulated firmware from every start state:
// each is proven, by exactly one installation, and leaves its drive empty. The plan before it
// only reads, and names the changes that the run makes: all of them, and no others.
func TestEveryProfile(t *testing.T) {
	t.Parallel()
	profiles := bmcsim.Profiles()
	plan, flags := profilePlan(profiles)
	s := simulatePlan(t, plan, append(flags, "--speed", slowed(30), "--tally", "tally.json")...)
	planned := s.proposal("--forks", "200")
	s.onlyRead()
	out, err := s.run("--forks", "200", "--run", "profiles").CombinedOutput()
	s.asPlanned(planned, "profiles")
	hosts := len(profiles) * len(startStates)
	if want := fmt.Sprintf("%d hosts: %d changed, %d proven installed", hosts, hosts, hosts); err != nil || !strings.Contains(string(out), want) {
		recap, _, _ := strings.Cut(string(out), "RECAP")
		t.Fatalf("%v, want %q:\n%s", err, want, string(out)[len(recap):])
	}
	for _, tally := range s.end() {
		if tally.Installs != 1 || tally.SessionsOpened != tally.SessionsClosed || tally.Inserts != 1 {
			t.Errorf("%+v", tally)
		}
	}
	if strings.Contains(string(out), "still mounted") {
		t.Errorf("media stay mounted:\n%s", out)
	}
}

// proposal is what esxiplan plan finds.
func (s *simulated) proposal(flags ...string) *proposal.Proposal {
	s.t.Helper()
	c := s.command(append([]string{"plan", "fleet.hcl", "--sim", "sim.json", "--json"}, flags...)...)
	var errors bytes.Buffer
	c.Stderr = &errors
	out, err := c.Output()
	p := &proposal.Proposal{}
	if err == nil {
		err = json.Unmarshal(out, p)
	}
	if err != nil {
		s.t.Fatalf("%v: %s%s", err, out, &errors)
	}
	return p
}

// onlyRead demands that no machine was asked for more than readings, sessions apart.
func (s *simulated) onlyRead() {
	s.t.Helper()
	for _, e := range s.log() {
		session := strings.Contains(e.Path, "/Sessions") && (e.Method == "POST" || e.Method == "DELETE")
		if e.Door == "bmc" && e.Method != "GET" && e.Method != "HEAD" && !session || e.Door == "esxi" && !slices.Contains(readingMethods, e.Path) {
			s.t.Errorf("%s %s of %s is no reading request", e.Method, e.Path, e.Host)
		}
	}
}

// asPlanned demands that a run made the changes of a plan, and no others.
func (s *simulated) asPlanned(p *proposal.Proposal, run string) {
	s.t.Helper()
	folders, _ := filepath.Glob(filepath.Join(s.dir, ".esxiplan", "sim", "*"))
	if len(folders) != 1 {
		s.t.Fatalf("%d state folders", len(folders))
	}
	made := map[string][]step.Made{}
	if err := log.Each(folders[0], run, func(r log.Record) error {
		switch host := r.Host; {
		case r.Kind == event.WriteMade:
			made[host] = append(made[host], step.Made{Step: r.Step, Change: *r.Write, Fate: event.Unknown})
		case r.Kind == event.WriteDone:
			if i := slices.IndexFunc(made[host], func(m step.Made) bool { return m.ID == r.Settled.Change }); i >= 0 {
				made[host][i].Fate = r.Settled.Fate
			}
		}
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	changes := 0
	for _, h := range p.Hosts {
		var real []event.Planned
		for _, m := range step.Effective(made[h.Host]) {
			real = append(real, event.Planned{Step: m.Step, Change: m.Change})
		}
		changes += len(real)
		if missing, extra := event.Differences(h.Changes, real, isImage); len(missing)+len(extra) > 0 {
			s.t.Errorf("host %s: planned and not made:\n%smade and not planned:\n%s", h.Host, listed(missing), listed(extra))
		}
	}
	if len(p.Hosts) == 0 || changes < 5*len(p.Hosts) {
		s.t.Errorf("%d hosts, %d changes", len(p.Hosts), changes)
	}
}

// isImage reports the URL of an image that a run published.
func isImage(url string) bool {
	return strings.HasSuffix(url, ".iso") && !strings.Contains(url, "somebody")
}

func listed(changes []event.Planned) string {
	var b strings.Builder
	for _, c := range changes {
		fmt.Fprintf(&b, "  %s: %s [%s] %v\n", c.Step, c, c.Risk, c.Erases)
	}
	return b.String()
}

// end ends the simulator and returns what became of its machines.
func (s *simulated) end() (tallies []twin.Tally) {
	s.t.Helper()
	s.stop()
	b, err := os.ReadFile(filepath.Join(s.dir, "tally.json"))
	if err == nil {
		err = json.Unmarshal(b, &tallies)
	}
	if err != nil || len(tallies) == 0 {
		s.t.Fatalf("the simulator left no tally: %v", err)
	}
	return tallies
}

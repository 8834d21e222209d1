package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"esxiplan/engine/bmc/bmcsim"
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
// each is proven, by exactly one installation, and leaves its drive empty.
func TestEveryProfile(t *testing.T) {
	t.Parallel()
	profiles := bmcsim.Profiles()
	plan, flags := profilePlan(profiles)
	s := simulatePlan(t, plan, append(flags, "--speed", "30", "--tally", "tally.json")...)
	out, err := s.run("--forks", "200").CombinedOutput()
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

package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestKilledApply: a run that applies a saved plan and is killed in the middle of its restart is
// continued by the same command, by nothing else, and installs each machine once.
func TestKilledApply(t *testing.T) {
	t.Parallel()
	// The images do not end with the process that is killed: an installation goes on without it.
	s := simulatePlan(t, fleetPlan(2, "directory = \"media\"\n  url = \"http://203.0.113.1/iso\""), "--speed", "150", "--tally", "tally.json")
	says(t, s.command("plan", "fleet.hcl", "--sim", "sim.json", "--out", "a.plan"), "Plan: 2 hosts to install")
	apply := s.command("apply", "a.plan", "--sim", "sim.json", "--run", "first")
	if err := apply.Start(); err != nil {
		t.Fatal(err)
	}
	for !s.asked("ComputerSystem.Reset") {
		pause()
	}
	apply.Process.Kill()
	apply.Wait()
	says(t, s.command("run", "fleet.hcl", "--sim", "sim.json", "--run", "first", "--resume", "--yes"), "applies a saved plan, and nothing else may be done in it: continue it with esxiplan apply a.plan --sim sim.json")
	says(t, s.command("apply", "a.plan", "--sim", "sim.json", "--run", "second"), "run first applies this plan already")
	says(t, s.command("apply", "a.plan", "--sim", "sim.json", "--max-age", "0s"), "2 hosts: 2 changed, 2 proven installed")
	says(t, s.command("apply", "a.plan", "--sim", "sim.json"), "this plan was applied before: run first")
	for _, tally := range s.end() {
		if tally.Installs != 1 {
			t.Errorf("%+v", tally)
		}
	}
}

// asked reports that a machine was asked for something.
func (s *simulated) asked(path string) bool {
	for _, e := range s.log() {
		if strings.Contains(e.Path, path) {
			return true
		}
	}
	return false
}

// swapHost is a plan of one host whose disk, serial number and login are given. Its machine is on where it has one.
func swapHost(disk, more, current string) string {
	return `plan "one" {}
image "esxi" { source = "VMware-VMvisor-Installer-8.0U3-24022510.iso" }
media { listen = "127.0.0.1:0" }
group "all" {
  vendor = "dell"
  bmc {
    username = "root"
    password = "calvin-test"
    tls      = { verify = false }
  }
  host "h1" {
    allow_running = true
    ` + more + `
    bmc { address = "10.8.1.2" }
    esxi {
      address       = "10.9.1.2"
      netmask       = "255.255.0.0"
      gateway       = "10.9.0.1"
      disk          = ` + disk + `
      root_password = "Test-password-1x"
      ` + current + `
    }
  }
}
step "build_iso" "installer" { image = image.esxi }
step "eject" "leftovers" {}
step "insert" "cd" { image = step.installer.url }
step "one_time_boot" "cd_once" { target = "cd" }
step "power" "restart" { action = "restart" }
step "wait" "installed" {}
`
}

// TestApplyElsewhere: a saved plan that meets another machine, another disk or another use than
// when it was made writes nothing there.
func TestApplyElsewhere(t *testing.T) {
	t.Parallel()
	const disk, login = `{ model = "MZVL2256HCHQ" }`, `current = { username = "root", password = "Test-password-1x" }`
	for name, c := range map[string]struct{ plan, sim, fault, says string }{
		"serial": {swapHost(disk, "", ""), swapHost(disk, `serial = "OTHER01"`, ""), "", "the machine is not as it was when the plan was saved: serial number: 105FC12 → OTHER01\n"},
		"disk":   {swapHost(disk, "", ""), swapHost(`{ serial = "SWAPPED01" }`, "", ""), "", "the machine is not as it was when the plan was saved: disk to install on: MZVL2256HCHQ, serial "},
		"VMs":    {swapHost(disk, "", login), swapHost(disk, "", login), "busy", "virtual machines: none → build-agent-1, build-agent-2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulatePlan(t, c.plan, "--speed", "200")
			says(t, s.command("plan", "fleet.hcl", "--sim", "sim.json", "--out", "a.plan"), "Plan: 1 host to install")
			s.stop()
			flags := []string{"--speed", "200", "--tally", "tally.json"}
			if c.fault != "" {
				flags = append(flags, "--fault", c.fault)
			}
			other := simulatePlan(t, c.sim, flags...)
			apply := other.command("apply", filepath.Join(s.dir, "a.plan"), "--sim", filepath.Join(other.dir, "sim.json"))
			apply.Dir = s.dir
			says(t, apply, c.says, "1 host: 1 failed")
			for _, tally := range other.end() {
				if tally.Installs != 0 || tally.PowerChanges != 0 {
					t.Errorf("%+v", tally)
				}
			}
		})
	}
}

package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// emulated is a plan with a host for each emulator, and the flags of its simulation.
func emulated(faults ...string) (plan string, flags []string) {
	head, rest, _ := strings.Cut(oneHost(served, installs), "  host \"h\" {")
	_, steps, _ := strings.Cut(rest, "\n}\n")
	for i, name := range []string{"sushy", "hpe", "mockup"} {
		head += fmt.Sprintf("  host %q {\n    bmc { address = \"10.8.1.%d\" }\n    esxi { address = \"10.9.1.%[2]d\" }\n  }\n", name, i+2)
		flags = append(flags, "--profile", name+"=emulator/"+name)
	}
	for _, fault := range faults {
		flags = append(flags, "--fault", fault)
	}
	return head + "}\n" + steps, append(flags, "--speed", "200", "--tally", "tally.json")
}

// says demands of a command's output that it has each text.
func says(t *testing.T, c *exec.Cmd, want ...string) {
	t.Helper()
	out, _ := c.CombinedOutput()
	for _, text := range want {
		if !strings.Contains(string(out), text) {
			t.Errorf("%v: no %q in\n%s", c.Args[1:], text, out)
		}
	}
}

// TestEmulators: an emulator with a file of users, one that was given none, and a tree of files
// are read, and what they do comes to the verdict that is true, with a message that helps.
func TestEmulators(t *testing.T) {
	const nothing = "The BMC answered the insert with success, and does not show the image"
	for name, faults := range map[string][]string{"password": nil, "no password": {"sushy=no-login", "hpe=no-login"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan, flags := emulated(faults...)
			s := simulatePlan(t, plan, flags...)
			says(t, s.command("discover", "fleet.hcl", "--sim", "sim.json"), "Virtual machine", "HPE Cray EX425", "3500RX")
			says(t, s.command("status", "fleet.hcl", "--sim", "sim.json", "--once"), "disk (continuous)", "silent")
			says(t, s.run("--dry-run"), "Plan: 3 hosts to install (3 disks erased, 3 restarts)")
			says(t, s.command("do", "power", "fleet.hcl", "action=off", "--sim", "sim.json", "--yes", "--limit", "mockup"), "1 host: 1 ok")
			says(t, s.command("do", "one_time_boot", "fleet.hcl", "target=pxe", "--sim", "sim.json", "--yes", "--limit", "mockup"), "1 host: 1 failed", "until the boot source override reads pxe", "such as a mockup server")
			says(t, s.run(), "3 hosts: 2 changed, 1 failed, 2 proven installed", nothing, "such as a mockup server")
			for _, tally := range s.end() {
				if want := map[string]int{"sushy": 1, "hpe": 1}[tally.Host]; tally.Installs != want {
					t.Errorf("%+v", tally)
				}
			}
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		t.Parallel()
		plan, flags := emulated("sushy=wrong-password", "hpe=wrong-password")
		s := simulatePlan(t, plan, flags...)
		const basic = "Basic authentication (GET /redfish/v1/Systems) was answered 401"
		wrong := []string{basic, "a session (POST /redfish/v1/SessionService/Sessions) was answered 401", "orrect username or password in the plan"}
		says(t, s.command("discover", "fleet.hcl", "--sim", "sim.json"), append(wrong, "3500RX")...)
		says(t, s.command("status", "fleet.hcl", "--sim", "sim.json", "--once"), wrong...)
		says(t, s.run("--limit", "sushy,hpe"), append(wrong, "2 hosts: 2 failed")...)
		says(t, s.command("do", "power", "fleet.hcl", "action=on", "--sim", "sim.json", "--yes", "--limit", "sushy,hpe"), append(wrong, "2 hosts: 2 failed")...)
	})
}

// TestStageOfContinuousService: a stage that sets the boot source without the restart and the
// wait refuses on a service that knows only continuous overrides: found out without setting
// one that boots an installer, and known before its first write. The refusal names the stages
// to join, with which the machine is installed.
func TestStageOfContinuousService(t *testing.T) {
	t.Parallel()
	s := simulatePlan(t, oneHost(published, installs), "--speed", "200", "--profile", "h=emulator/sushy")
	says(t, s.run("--tags", "build"), "1 host: 1 changed")
	const join = "in one run: cd_once, restart and installed (--tags mount,reboot,wait)"
	out, _ := s.run("--tags", "mount").CombinedOutput()
	if !strings.Contains(string(out), join) || strings.Contains(string(out), "→ cd") {
		t.Errorf("%s", out)
	}
	out, _ = s.run("--tags", "mount").CombinedOutput()
	if !strings.Contains(string(out), join) || strings.Contains(string(out), "→") && !strings.Contains(string(out), "changed=0") {
		t.Errorf("%s", out)
	}
	says(t, s.run("--tags", "reboot"), "knows only a continuous boot source override", join)
	says(t, s.run("--tags", "mount,reboot,wait"), "1 proven installed")
}

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// oneHost is a plan for a machine that the BMC called h shows, with a media block and steps.
func oneHost(media, steps string) string {
	return fmt.Sprintf(`plan "one" {}
image "esxi" { source = "VMware-VMvisor-Installer-8.0U3-24022510.iso" }
%s
group "all" {
  bmc {
    username = "root"
    password = "calvin-test"
    tls      = { verify = false }
  }
  esxi {
    netmask       = "255.255.0.0"
    gateway       = "10.9.0.1"
    disk          = { serial = "S1" }
    root_password = "Test-password-1x"
  }
  host "h" {
    bmc { address = "10.8.1.2" }
    esxi { address = "10.9.1.2" }
  }
}
%s
`, media, steps)
}

const (
	served    = "media { listen = \"127.0.0.1:0\" }"
	published = "media {\n  directory = \"media\"\n  url = \"http://203.0.113.1/iso\"\n}"
	installs  = `
step "build_iso" "installer" {
  tags = ["build"]
  image = image.esxi
}
step "insert" "cd" {
  tags = ["mount"]
  image = step.installer.url
}
step "one_time_boot" "cd_once" {
  tags   = ["mount"]
  target = "cd"
}
step "power" "restart" {
  tags = ["reboot"]
  action = "restart"
}
step "wait" "installed" {
  tags = ["wait"]
}
`
)

// TestContinuous: on a service that knows only a continuous override a machine is installed
// once: the override is taken away by the sign that the installer was loaded, or, where
// none can come, in time.
func TestContinuous(t *testing.T) {
	for name, c := range map[string]struct{ media, profile, says string }{
		"streams from us": {served, "redfish/continuous", "takes it away as soon as the installer is loaded"},
		"fetched at once": {served, "redfish/emulator", "was taken away 3 minutes"},
		"from a folder":   {published, "redfish/continuous", "takes it away as soon as the installer is loaded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulatePlan(t, oneHost(c.media, installs), "--speed", "200", "--profile", "h="+c.profile, "--tally", "tally.json")
			out, err := s.run().CombinedOutput()
			if err != nil || !strings.Contains(string(out), "1 proven installed") || !strings.Contains(string(out), c.says) {
				t.Errorf("%v\n%s", err, out)
			}
			if tally := s.end()[0]; tally.Installs != 1 {
				t.Errorf("%+v", tally)
			}
		})
	}
}

// TestContinuousRestartedAgain: a further restart, after the wait, has nothing to do with
// the override of the first one.
func TestContinuousRestartedAgain(t *testing.T) {
	t.Parallel()
	again := "step \"power\" \"again\" {\n  action = \"restart\"\n}\n"
	s := simulatePlan(t, oneHost(published, installs+again), "--speed", "200", "--profile", "h=redfish/continuous", "--tally", "tally.json")
	out, _ := s.run().CombinedOutput() // the guards of the second have their say: it is in use
	if !strings.Contains(string(out), "1 proven installed") || !strings.Contains(string(out), "again (power): Refused: cannot determine whether the machine is in use") {
		t.Errorf("%s", out)
	}
	if tally := s.end()[0]; tally.Installs != 1 {
		t.Errorf("%+v", tally)
	}
}

// TestContinuousFromSomebodysServer: nobody tells what is read of the image, and the BMC
// does not tell how far the machine is: the override is taken away in time all the same.
func TestContinuousFromSomebodysServer(t *testing.T) {
	t.Parallel()
	s := simulatePlan(t, oneHost(published, installs), "--speed", "200", "--profile", "h=redfish/continuous", "--tally", "tally.json")
	if out, err := s.run("--tags", "build").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var sim struct {
		Directory string `json:"media_directory"`
	}
	b, _ := os.ReadFile(filepath.Join(s.dir, "sim.json"))
	json.Unmarshal(b, &sim)
	images, _ := filepath.Glob(filepath.Join(sim.Directory, "*", "h.iso"))
	if len(images) != 1 {
		t.Fatalf("published: %v", images)
	}
	web := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(images[0]))))
	defer web.Close()
	_, steps, _ := strings.Cut(installs, "step \"insert\"")
	steps = strings.Replace("step \"insert\""+steps, "step.installer.url", fmt.Sprintf("%q", web.URL+"/h.iso"), 1)
	if err := os.WriteFile(filepath.Join(s.dir, "fleet.hcl"), []byte(oneHost("", steps)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := s.run().CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1 proven installed") || !strings.Contains(string(out), "though nothing shows that the installer was loaded") {
		t.Errorf("%v\n%s", err, out)
	}
	if tally := s.end()[0]; tally.Installs != 1 {
		t.Errorf("%+v", tally)
	}
}

// TestContinuousInStages: a stage that could not take the override away in time does not
// leave it behind: found out once, it is taken away at once; known, it is not set at all.
func TestContinuousInStages(t *testing.T) {
	t.Parallel()
	s := simulatePlan(t, oneHost(published, installs), "--speed", "200", "--profile", "h=redfish/continuous")
	if out, err := s.run("--tags", "build").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const refusal = "Refused: this BMC knows only a continuous boot source override, which would start the installer again and again"
	out, err := s.run("--tags", "mount").CombinedOutput()
	if err == nil || !strings.Contains(string(out), refusal) || !strings.Contains(string(out), "Run this step, the restart and the wait in one run") {
		t.Errorf("%v\n%s", err, out)
	}
	before := s.patches("h")
	if out, err := s.run("--tags", "mount").CombinedOutput(); err == nil || !strings.Contains(string(out), refusal) {
		t.Errorf("%v\n%s", err, out)
	}
	if after := s.patches("h"); after != before {
		t.Errorf("the override was set again: %d writes to the system, %d before", after, before)
	}
	if out, err := s.run("--tags", "mount,reboot,wait").CombinedOutput(); err != nil || !strings.Contains(string(out), "1 proven installed") {
		t.Errorf("%v\n%s", err, out)
	}
}

// patches counts changes of a host's computer system.
func (s *simulated) patches(host string) (n int) {
	for _, e := range s.log() {
		if e.Host == host && e.Method == "PATCH" && strings.Contains(e.Path, "/Systems/") && !strings.Contains(e.Path, "VirtualMedia") {
			n++
		}
	}
	return n
}

// TestDebtAfterAKill: a run that was killed leaves a continuous override. status says so,
// and whoever comes next takes it away.
func TestDebtAfterAKill(t *testing.T) {
	for _, next := range [][]string{{"--tags", "wait"}, {"--limit", "h"}} {
		t.Run(strings.Join(next, " "), func(t *testing.T) {
			t.Parallel()
			s := simulatePlan(t, oneHost(published, installs), "--speed", "60", "--profile", "h=redfish/emulator", "--tally", "tally.json")
			c := s.run()
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			s.until("the machine is reset", func() bool { return s.resets("h", "\"On\"") > 0 })
			<-time.After(200 * time.Millisecond)
			c.Process.Kill()
			c.Wait()
			status, _ := s.command("status", "fleet.hcl", "--sim", "sim.json", "--once").CombinedOutput()
			if !strings.Contains(string(status), "cd (continuous)") || !strings.Contains(string(status), "starts from cd at every boot") {
				t.Errorf("status:\n%s", status)
			}
			s.run(next...).CombinedOutput()
			status, _ = s.command("status", "fleet.hcl", "--sim", "sim.json", "--once").CombinedOutput()
			if strings.Contains(string(status), "cd (continuous)") {
				t.Errorf("the override is still there:\n%s", status)
			}
			if tally := s.end()[0]; tally.Installs > 1 {
				t.Errorf("%+v", tally)
			}
		})
	}
}

// TestLoop: firmware that boots the medium as long as it is in the drive, whatever is set,
// installs a second time: that is recognised, ended and said.
func TestLoop(t *testing.T) {
	t.Parallel()
	s := simulatePlan(t, oneHost(served, installs), "--speed", "200", "--profile", "h=redfish/standard", "--fault", "loop", "--tally", "tally.json")
	out, err := s.run().CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the machine booted our medium 2 times since the reset at") || !strings.Contains(string(out), "The medium was ejected") {
		t.Errorf("%v\n%s", err, out)
	}
	if tally := s.end()[0]; tally.Installs > 2 {
		t.Errorf("%+v", tally)
	}
}

// Package fleet is a plan and its simulated machines, in a folder of its own, for programs
// that measure esxiplan or try to break it.
package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Fleet is a plan, site.hcl, with the machines that esxiplan sim serves for it.
type Fleet struct {
	Binary, Dir string
	Hosts       int

	sim *exec.Cmd
}

// Arguments of a media block.
const (
	Folder = "directory = \"media\"\n  url = \"http://203.0.113.1/iso\"" // images are published to a folder
	Serve  = "listen = \"127.0.0.1:0\""                                  // the run serves them itself
)

// Tally is what the simulator counted for one machine.
type Tally struct {
	Host           string
	Boots          []string
	PowerChanges   int `json:"power_changes"`
	Inserts        int
	Installs       int
	SessionsOpened int `json:"sessions_opened"`
	SessionsClosed int `json:"sessions_closed"`
	Requests       int
}

// New makes a folder with a plan. media are the arguments of its media block: Folder, Serve,
// or others.
func New(binary string, hosts int, media string) (*Fleet, error) {
	dir, err := os.MkdirTemp("", "esxiplan-bench-")
	if err != nil {
		return nil, err
	}
	f := &Fleet{Binary: binary, Dir: dir, Hosts: hosts}
	return f, os.WriteFile(filepath.Join(dir, "site.hcl"), []byte(plan(hosts, media)), 0o600)
}

// Remove removes the folder.
func (f *Fleet) Remove() { os.RemoveAll(f.Dir) }

// Command is one of esxiplan in the folder.
func (f *Fleet) Command(args ...string) *exec.Cmd {
	c := exec.Command(f.Binary, args...)
	c.Dir = f.Dir
	return c
}

// Start begins the simulation and waits until it serves; sim.json describes it.
func (f *Fleet) Start(flags ...string) error {
	f.sim = f.Command(append([]string{"sim", "site.hcl", "--tally", "tally.json"}, flags...)...)
	var said bytes.Buffer
	f.sim.Stderr = &said
	if err := f.sim.Start(); err != nil {
		return err
	}
	for range 1200 {
		if _, err := os.Stat(filepath.Join(f.Dir, "sim.json")); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	f.sim.Process.Kill()
	f.sim.Wait()
	return fmt.Errorf("esxiplan sim has not served %d machines within a minute: %s", f.Hosts, &said)
}

// Stop ends the simulation and returns what it counted.
func (f *Fleet) Stop() ([]Tally, error) {
	f.sim.Process.Signal(syscall.SIGTERM)
	f.sim.Wait()
	b, err := os.ReadFile(filepath.Join(f.Dir, "tally.json"))
	if err != nil {
		return nil, err
	}
	var tallies []Tally
	return tallies, json.Unmarshal(b, &tallies)
}

// vendors are those of the hosts, in turn.
var vendors = []string{"dell", "hpe", "lenovo", "supermicro", "ami", "huawei", "fujitsu"}

// VendorOf is the vendor of a host of the plan.
func VendorOf(host string) string {
	n, _ := strconv.Atoi(strings.TrimPrefix(host, "h"))
	return vendors[n%len(vendors)]
}

// plan is one for hosts of seven vendors, with five stages by tags. media are the arguments of its block.
func plan(hosts int, media string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan \"storm\" {}\nimage \"esxi\" {\n  source = \"ESXi-8.0U3-24022510.iso\"\n}\nmedia {\n  %s\n}\n", media)
	for g, vendor := range vendors {
		fmt.Fprintf(&b, "group %q {\n  vendor = %[1]q\n  bmc {\n    username = \"root\"\n    password = \"calvin-bench\"\n    tls      = { verify = false }\n  }\n  esxi {\n    netmask       = \"255.255.0.0\"\n    gateway       = \"10.9.0.1\"\n    disk          = { model = \"MTFDKBA480TFR\" }\n    root_password = \"Bench-password-1x\"\n    current       = { username = \"root\", password = \"Bench-password-1x\" }\n  }\n", vendor)
		for i := g; i < hosts; i += len(vendors) {
			fmt.Fprintf(&b, "  host \"h%04d\" {\n    bmc { address = \"10.8.%d.%d\" }\n    esxi { address = \"10.9.%[2]d.%[3]d\" }\n  }\n", i, 1+i/200, 2+i%200)
		}
		b.WriteString("}\n")
	}
	b.WriteString(`step "precheck" "login" { tags = ["pre-check"] }
step "build_iso" "installer" {
  tags  = ["build-iso"]
  image = image.esxi
}
step "eject" "leftovers" { tags = ["mount-iso"] }
step "insert" "cd" {
  tags  = ["mount-iso"]
  image = step.installer.url
}
step "one_time_boot" "cd_once" {
  tags   = ["mount-iso"]
  target = "cd"
}
step "power" "restart" {
  tags   = ["reboot"]
  action = "restart"
}
step "wait" "installed" {
  tags    = ["post-check"]
  retries = 240
  delay   = "30s"
}
`)
	return b.String()
}

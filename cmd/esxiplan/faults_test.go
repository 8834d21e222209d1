package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"esxiplan/engine/event"
	"esxiplan/engine/twin"
)

// trouble is what becomes of a machine that has a fault, or that is found in some state.
type trouble struct {
	fault   string // "": none
	reason  string // part of why the step failed; "": the host is proven
	next    string // part of what to do
	profile string // firmware that shows the fault; "": dell/idrac9
	off     bool   // it is off at the start, else an ESXi runs there into which the plan can log in
	allow   bool   // the plan allows what runs there to be stopped
	chance  bool   // chance decides whether it is proven, and what fails otherwise
}

// troubles are those of every fault, by its name, and of every state in which a machine may be
// found.
var troubles = map[string]trouble{
	"dead-bmc":       {fault: "dead-bmc", reason: "the BMC closed the connection without an answer", next: "that the BMC is up"},
	"hang":           {fault: "hang", reason: "the BMC gave no answer in time", next: "that the BMC is up"},
	"html":           {fault: "html", reason: "it sent a web page instead of Redfish", next: "Check that the address is that of a BMC"},
	"wrong-password": {fault: "wrong-password", reason: `refuses the login of user "root"`, next: "Correct username or password in the plan"},
	"no-login":       {fault: "no-login"},
	"wrong-serial":   {fault: "wrong-serial", reason: "the plan demands serial number SN", next: "Correct serial or address in the plan"},
	"two-disks":      {fault: "two-disks", reason: "2 disks of this machine match model MTFDKBA480TFR", next: "Name the disk by serial or wwn"},
	"no-disk":        {fault: "no-disk", reason: "no disk of this machine matches model MTFDKBA480TFR", next: "Correct esxi.disk"},
	"no-license":     {fault: "no-license", reason: "the BMC's license (Standard) does not cover virtual media", next: "Install one that does"},
	"no-drive":       {fault: "no-drive", reason: "the BMC offers no virtual CD drive", next: "Check its license"},
	"lockdown":       {fault: "lockdown", reason: "System Lockdown is on", next: "Change that in the BMC"},
	"no-nic":         {fault: "no-nic", reason: "the machine has no network port with the MAC address", next: "Correct esxi.nic"},
	"secure-boot":    {fault: "secure-boot"}, // without parts for the first boot it hinders nothing
	"san":            {fault: "san"},         // a warning: the BMC confirms the disk
	"remote-luns":    {fault: "remote-luns"}, // the same
	"not-ready":      {fault: "not-ready", reason: "BMC is not ready after 10 minutes: the Lifecycle Controller reads NotReady", next: "reset a BMC that does not get ready"},
	"busy":           {fault: "busy", reason: "the machine is in use: 2 virtual machines run on it", next: "Move its virtual machines away"},
	"unknown-use":    {fault: "unknown-use", reason: "cannot determine whether the machine is in use: it is on, and no ESXi answers", next: "Power it off"},
	"other-machine":  {fault: "other-machine", reason: "runs on another machine (serial ANOTHER)", next: "Free the address"},
	"leftover":       {fault: "leftover"}, // it is ejected
	"old-override":   {fault: "old-override"},
	"boots-disk":     {fault: "boots-disk", reason: "minutes: the machine booted its disk: the old ESXi still answers on", next: ".png. The machine booted something else: look at its boot order"},
	"lost-answer":    {fault: "lost-answer"},
	"lost-login":     {fault: "lost-login"},
	"lost-insert":    {fault: "lost-insert"},
	"idle-drop":      {fault: "idle-drop"},
	"busy-bmc":       {fault: "busy-bmc"},
	"one-at-a-time":  {fault: "one-at-a-time"},
	"out-of-order":   {fault: "out-of-order"},
	"drops-fourth":   {fault: "drops-fourth"},
	"storm":          {fault: "storm", chance: true},
	"half-image":     {fault: "half-image", profile: "redfish/emulator", reason: "image is inserted, but it fetched only", next: "Find out what cuts the transfer"},
	"late-on":        {fault: "late-on"},
	"early-on":       {fault: "early-on"},
	"stays-off":      {fault: "stays-off"},
	"loop":           {fault: "loop", reason: "it installs again and again. The medium was ejected", next: "put the disk before the CD"},
	"keeps-override": {fault: "keeps-override", profile: "redfish/continuous", reason: "The medium was ejected, but the boot source override stays", next: "Take the override away"},

	"found-off":         {off: true},
	"found-off-disk":    {off: true, fault: "boots-disk", reason: "minutes: the image was never read in the", next: ".png. The machine booted something else"},
	"found-on-allowed":  {allow: true},
	"found-unknown":     {fault: "unknown-use", allow: true},
	"found-ilo-loop":    {profile: "hpe/ilo6", fault: "loop", reason: "it installs again and again", next: "Look at its console"},
	"found-xcc-disk":    {profile: "lenovo/xcc", fault: "boots-disk", reason: "the machine booted its disk: the old ESXi still answers on", next: "look at its boot order"},
	"found-no-progress": {profile: "dell/idrac9-4.40"},
}

// troublesPlan is a plan with a host for each, and the flags that give them their faults.
func troublesPlan() (plan string, flags []string) {
	var b strings.Builder
	b.WriteString(`plan "troubles" {}
image "esxi" { source = "VMware-VMvisor-Installer-8.0U3-24022510.iso" }
media { listen = "127.0.0.1:0" }
group "all" {
  bmc {
    username = "root"
    password = "calvin-test"
    tls      = { verify = false }
  }
  esxi {
    netmask       = "255.255.0.0"
    gateway       = "10.9.0.1"
    disk          = { model = "MTFDKBA480TFR" }
    root_password = "Test-password-1x"
  }
`)
	for i, name := range slices.Sorted(maps.Keys(troubles)) {
		c, current := troubles[name], `current = { username = "root", password = "Test-password-1x" }`
		if c.off {
			current = ""
		}
		fmt.Fprintf(&b, "host %q {\n  serial = \"SN%03d\"\n  allow_running = %v\n  bmc { address = \"10.8.1.%d\" }\n  esxi {\n    address = \"10.9.1.%[4]d\"\n    nic = \"00:00:5e:00:53:%02[4]x\"\n    %[5]s\n  }\n}\n", name, i, c.allow, 1+i, current)
		if c.fault != "" {
			flags = append(flags, "--fault", name+"="+c.fault)
		}
		if c.profile == "" {
			c.profile = "dell/idrac9"
		}
		flags = append(flags, "--profile", name+"="+c.profile)
	}
	b.WriteString(`}
step "precheck" "login" {}
step "build_iso" "installer" { image = image.esxi }
step "eject" "leftovers" {}
step "insert" "cd" { image = step.installer.url }
step "one_time_boot" "cd_once" { target = "cd" }
step "power" "restart" { action = "restart" }
step "wait" "installed" {
  delay   = "15s"
  timeout = "22m"
}
`)
	return b.String(), flags
}

// TestEveryTrouble rehearses every fault and every state in which a machine may be found: the
// host is proven, or the step that fails says the true reason, and what to do next.
func TestEveryTrouble(t *testing.T) {
	t.Parallel()
	for kind := range twin.FaultKinds {
		if troubles[kind].fault != kind {
			t.Errorf("the fault %s has no line", kind)
		}
	}
	plan, flags := troublesPlan()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plan.hcl"), []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], append(flags, "rehearse", "plan.hcl", "--speed", slowed(75), "--forks", "200", "--state", "state", "-o", "plain", "--events", "events.jsonl", "--report", "json=report.json")...)
	var errors bytes.Buffer
	c.Dir, c.Env, c.Stderr = dir, append(os.Environ(), "ESXIPLAN_AS_COMMAND=1"), &errors
	recap, _ := c.Output()
	out, err := os.ReadFile(filepath.Join(dir, "events.jsonl"))
	if err != nil {
		t.Fatalf("%v\n%s", err, &errors)
	}
	failed, proven, phases := map[string]event.Event{}, map[string]bool{}, map[string][]event.Entered{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var e event.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%v: %s", err, lines.Bytes())
		}
		switch {
		case e.Kind == event.Phased:
			phases[e.Host] = append(phases[e.Host], *e.Phase)
		case e.Kind == event.StepDone && e.Status.Failure():
			failed[e.Host] = e
		case e.Kind == event.StepDone && e.Verdict != nil && e.Verdict.Proven:
			proven[e.Host] = true
		}
	}
	if len(failed)+len(proven) == 0 {
		t.Fatalf("%s", &errors)
	}
	for name, c := range troubles {
		e, ok := failed[name]
		switch {
		case ok == proven[name]:
			t.Errorf("%s: failed %v, proven %v", name, ok, proven[name])
		case c.chance && (!ok || e.Problem.Next != ""):
		case ok && (c.reason == "" || !strings.Contains(e.Problem.Summary, c.reason) || e.Problem.Next == "" || !strings.Contains(e.Problem.Next, c.next)):
			t.Errorf("%s: %s failed: %s\n\tnext: %s\n\twant %q, next %q", name, e.Step, e.Problem.Summary, e.Problem.Next, c.reason, c.next)
		case !ok && c.reason != "":
			t.Errorf("%s: proven, want %q", name, c.reason)
		}
		inOrder(t, name, phases[name], proven[name])
		if ok && !strings.Contains(string(recap), c.reason) { // rows that differ in numbers fold
			t.Errorf("%s: the recap does not say: %s", name, c.reason)
		}
	}
	reported(t, filepath.Join(dir, "report.json"), failed, proven)
}

// reported demands that the report says of each host what the events say.
func reported(t *testing.T, file string, failed map[string]event.Event, proven map[string]bool) {
	t.Helper()
	var report struct {
		Hosts []struct{ Host, Standing, Reason, Advice string }
	}
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &report)
	}
	if err != nil || len(report.Hosts) != len(troubles) {
		t.Fatalf("%d hosts in the report: %v", len(report.Hosts), err)
	}
	for _, h := range report.Hosts {
		if (h.Standing == "proven") != proven[h.Host] {
			t.Errorf("%s is reported %s; proven: %v", h.Host, h.Standing, proven[h.Host])
		}
		if e, ok := failed[h.Host]; ok && (!strings.Contains(h.Reason, imageToken.ReplaceAllString(e.Problem.Summary, "/…/")) || h.Advice != e.Problem.Next) {
			t.Errorf("%s is reported: %s\n\tadvice: %s\n\twant %s\n\tadvice: %s", h.Host, h.Reason, h.Advice, e.Problem.Summary, e.Problem.Next)
		}
	}
}

// inOrder demands that a host went through the phases in their order, each with its evidence,
// and that it is proven if, and only if, that is the last one.
func inOrder(t *testing.T, host string, phases []event.Entered, proven bool) {
	t.Helper()
	var last event.Phase
	for _, p := range phases {
		if !p.Phase.After(last) || p.Evidence == "" || p.Reset.IsZero() || p.Model == "" {
			t.Errorf("%s: after %q came %+v", host, last, p)
		}
		last = p.Phase
	}
	if proven != (last == event.PhaseProven) {
		t.Errorf("%s: proven %v, and the last phase is %q", host, proven, last)
	}
}

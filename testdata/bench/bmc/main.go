// Command bmc measures what esxiplan does with many BMCs.
//
// The storm installs hosts whose BMCs answer 5 % of all requests with 503, 2 % with a
// reset connection and 1 % not at all, lose 1 % of the answers and do nothing for 1 %
// of the writes: every host must converge or say why not, be restarted at most once,
// and get its image once. A session stays only where the answer to a login was lost and
// the firmware does not show by what to recognise it; it expires. Discover reads machines whose BMCs take 50 ms per answer.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	esxiplan := flag.String("esxiplan", "bin/esxiplan", "the binary")
	storm := flag.Int("storm", 200, "hosts in the storm; 0 is none")
	discover := flag.Int("discover", 500, "BMCs to discover; 0 is none")
	flag.Parse()
	binary, err := filepath.Abs(*esxiplan)
	if err == nil && *storm > 0 {
		err = inFolder(binary, *storm, runStorm)
	}
	if err == nil && *discover > 0 {
		err = inFolder(binary, *discover, runDiscover)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// fleet is a plan and its simulated machines.
type fleet struct {
	binary, dir string
	hosts       int
	sim         *exec.Cmd
}

func inFolder(binary string, hosts int, measure func(*fleet) error) error {
	dir, err := os.MkdirTemp("", "esxiplan-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f := &fleet{binary: binary, dir: dir, hosts: hosts}
	if err := os.WriteFile(filepath.Join(dir, "site.hcl"), []byte(plan(hosts)), 0o600); err != nil {
		return err
	}
	return measure(f)
}

// start begins the simulation and waits until it serves.
func (f *fleet) start(flags ...string) error {
	f.sim = exec.Command(f.binary, append([]string{"sim", "site.hcl"}, flags...)...)
	f.sim.Dir = f.dir
	if err := f.sim.Start(); err != nil {
		return err
	}
	for range 1200 {
		if _, err := os.Stat(filepath.Join(f.dir, "sim.json")); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("esxiplan sim does not start")
}

func (f *fleet) stop() {
	f.sim.Process.Signal(syscall.SIGTERM)
	f.sim.Wait()
}

// tally is what the simulator counted for one machine.
type tally struct {
	Host           string
	Boots          []string
	PowerChanges   int `json:"power_changes"`
	Inserts        int
	SessionsOpened int `json:"sessions_opened"`
	SessionsClosed int `json:"sessions_closed"`
	Requests       int
}

var totals = regexp.MustCompile(`(?m)^\d+ hosts?: .*$`)

func runStorm(f *fleet) error {
	if err := f.start("--speed", "20", "--fault", "storm", "--tally", "tally.json"); err != nil {
		return err
	}
	run := exec.Command(f.binary, "run", "site.hcl", "--sim", "sim.json", "--yes", "--forks", "100")
	run.Dir = f.dir
	began := time.Now()
	out, _ := run.Output()
	took := time.Since(began)
	f.stop()
	b, err := os.ReadFile(filepath.Join(f.dir, "tally.json"))
	if err != nil {
		return err
	}
	var tallies []tally
	if err := json.Unmarshal(b, &tallies); err != nil {
		return err
	}
	fmt.Printf("storm, %d hosts: %s (%s, exit %d)\n", f.hosts, strings.TrimSpace(totals.FindString(string(out))), took.Round(time.Second), run.ProcessState.ExitCode())
	told := strings.Count(string(out), "  proven ") + strings.Count(string(out), "failed=1") + strings.Count(string(out), "unreachable=1")
	if exit := run.ProcessState.ExitCode(); told < f.hosts && !strings.Contains(string(out), fmt.Sprintf("%d proven installed", f.hosts)) || exit == 1 || exit > 6 {
		return fmt.Errorf("not every host came to an end with a reason (exit %d):\n%s", exit, out)
	}
	return judge(tallies, string(out))
}

// judge prints what the machines saw, and fails on what must not be.
func judge(tallies []tally, recap string) error {
	var opened, closed, requests, boots, inserts int
	var wrong []string
	for _, t := range tallies {
		opened, closed, requests, inserts = opened+t.SessionsOpened, closed+t.SessionsClosed, requests+t.Requests, inserts+t.Inserts
		fromCD := len(slices.DeleteFunc(slices.Clone(t.Boots), func(b string) bool { return b != "Cd" }))
		boots += fromCD
		if fromCD > 1 || t.PowerChanges > 2 {
			wrong = append(wrong, fmt.Sprintf("%s: %d changes of power, boots %v", t.Host, t.PowerChanges, t.Boots))
		}
		if t.Inserts > 1 {
			wrong = append(wrong, fmt.Sprintf("%s: %d inserts", t.Host, t.Inserts))
		}
	}
	fmt.Printf("  %d requests, %d booted our medium, %d inserts, sessions opened %d, closed %d\n", requests, boots, inserts, opened, closed)
	for line := range strings.Lines(recap) {
		if strings.Contains(line, "failed=1") || strings.Contains(line, "unreachable=1") || strings.HasPrefix(line, "    ") {
			fmt.Print("  ", line)
		}
	}
	if opened-closed > len(tallies)/20 { // five times as many as logins whose answer is lost
		wrong = append(wrong, fmt.Sprintf("%d sessions stay open", opened-closed))
	}
	if len(wrong) > 0 {
		return fmt.Errorf("what must not be: %s", strings.Join(wrong, "; "))
	}
	return nil
}

func runDiscover(f *fleet) error {
	if err := f.start("--latency", "50ms"); err != nil {
		return err
	}
	defer f.stop()
	discover := exec.Command(f.binary, "discover", "site.hcl", "--sim", "sim.json", "--forks", fmt.Sprint(f.hosts), "--html", "page.html")
	discover.Dir = f.dir
	began := time.Now()
	out, err := discover.Output()
	took := time.Since(began)
	if err != nil {
		return fmt.Errorf("discover: %w", err)
	}
	if rows := strings.Count(string(out), "\n") - 1; rows != f.hosts {
		return fmt.Errorf("discover found %d of %d machines", rows, f.hosts)
	}
	if took > 10*time.Second {
		return fmt.Errorf("discover took %s, more than 10 s", took)
	}
	usage := discover.ProcessState.SysUsage().(*syscall.Rusage)
	fmt.Printf("discover, %d BMCs of 50 ms latency: %s (aim 10), CPU %s, peak %.0f MB\n", f.hosts, took.Round(10*time.Millisecond),
		(discover.ProcessState.UserTime() + discover.ProcessState.SystemTime()).Round(10*time.Millisecond), float64(usage.Maxrss)/1000)
	return nil
}

// plan is one for hosts of seven vendors.
func plan(hosts int) string {
	vendors := []string{"dell", "hpe", "lenovo", "supermicro", "ami", "huawei", "fujitsu"}
	var b strings.Builder
	b.WriteString("plan \"storm\" {}\nimage \"esxi\" {\n  source = \"ESXi-8.0U3-24022510.iso\"\n}\nmedia {\n  listen = \"127.0.0.1:0\"\n}\n")
	for g, vendor := range vendors {
		fmt.Fprintf(&b, "group %q {\n  vendor = %[1]q\n  bmc {\n    username = \"root\"\n    password = \"calvin-bench\"\n    tls      = { verify = false }\n  }\n  esxi {\n    netmask       = \"255.255.0.0\"\n    gateway       = \"10.9.0.1\"\n    disk          = { model = \"MTFDKBA480TFR\" }\n    root_password = \"Bench-password-1x\"\n    current       = { username = \"root\", password = \"Bench-password-1x\" }\n  }\n", vendor)
		for i := g; i < hosts; i += len(vendors) {
			fmt.Fprintf(&b, "  host \"h%04d\" {\n    bmc { address = \"10.8.%d.%d\" }\n    esxi { address = \"10.9.%[2]d.%[3]d\" }\n  }\n", i, 1+i/200, 2+i%200)
		}
		b.WriteString("}\n")
	}
	b.WriteString(`step "precheck" "login" {}
step "build_iso" "installer" { image = image.esxi }
step "eject" "leftovers" {}
step "insert" "cd" { image = step.installer.url }
step "one_time_boot" "cd_once" { target = "cd" }
step "power" "restart" { action = "restart" }
step "wait" "installed" {
  retries = 60
  delay   = "30s"
}
`)
	return b.String()
}

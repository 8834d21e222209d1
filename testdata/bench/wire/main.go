// Command wire counts what the way to the restart costs on the wire, for every simulated
// firmware: round trips that follow one another, requests, connections, and seconds, from the
// first request to the request that starts the machine, where each answer takes half a second,
// as real BMCs take.
//
// Round trips are counted as the largest number of requests of which none overlaps another.
// Members are drives, volumes, slots and ports beyond ten, which $expand cannot bring. Where a
// firmware makes a run wait, such as for a task, the looks at it count, too.
//
// Usage: go run ./testdata/bench/wire [-latency 500ms] [-sim OTHER-BINARY] [-show HOST] [-skip PROFILE]
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"esxiplan/engine/bmc/bmcsim"
)

func main() {
	esxiplan := flag.String("esxiplan", "bin/esxiplan", "the binary that runs the plan")
	sim := flag.String("sim", "", "the binary that simulates the machines; empty: the same")
	latency := flag.Duration("latency", 500*time.Millisecond, "how long each answer takes")
	limit := flag.Duration("limit", 4*time.Minute, "how long the way to the restart may take")
	show := flag.String("show", "", "host whose requests are listed, such as dell-idrac9")
	skip := flag.String("skip", "", "a firmware that is left out, such as ami/megarac-nocd, which takes three minutes to show its drives")
	flag.Parse()
	if *sim == "" {
		*sim = *esxiplan
	}
	if err := measure(*esxiplan, *sim, *show, *skip, *latency, *limit); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// request is a line of the simulator's log.
type request struct {
	Host, Door string
	bmcsim.Request
}

// starts reports the request that starts a machine, or powers it off to start it.
func (q request) starts() bool {
	return strings.HasSuffix(strings.TrimSuffix(q.Path, "/"), "ComputerSystem.Reset")
}

func measure(run, sim, show, skip string, latency, limit time.Duration) error {
	dir, err := os.MkdirTemp("", "esxiplan-wire-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	hosts := map[string]string{} // profile by host
	var names, secure []string
	for _, p := range bmcsim.Profiles() {
		if p.Name == skip {
			continue
		}
		name := strings.NewReplacer("/", "-", ".", "-").Replace(p.Name)
		if names, hosts[name] = append(names, name), p.Name; len(p.Schemes) > 0 && p.Schemes[0] == "https" {
			secure = append(secure, strconv.Quote(name))
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "site.hcl"), []byte(plan(names, secure)), 0o600); err != nil {
		return err
	}
	args := []string{"sim", "site.hcl", "--log", "log.jsonl", "--tally", "tally.json", "--latency", latency.String(), "--speed", "1"}
	for _, name := range names {
		args = append(args, "--profile", name+"="+hosts[name])
	}
	machines, err := begin(dir, sim, args...)
	if err != nil {
		return err
	}
	defer end(machines)
	if err := await(filepath.Join(dir, "sim.json"), time.Minute); err != nil {
		return err
	}
	installs, err := begin(dir, run, "run", "site.hcl", "--sim", "sim.json", "--yes", "--forks", fmt.Sprint(len(names)))
	if err != nil {
		return err
	}
	seen := restarts(filepath.Join(dir, "log.jsonl"), len(names), limit)
	end(installs)
	err = report(names, hosts, seen)
	for _, q := range seen[show] {
		fmt.Printf("%6.2f %6.2f  %d %s %s\n", q.Came.Sub(seen[show][0].Came).Seconds(), q.Left.Sub(seen[show][0].Came).Seconds(), q.Status, q.Method, q.Path)
	}
	return err
}

// begin starts a command in the folder; what it says comes up when it fails.
func begin(dir, binary string, args ...string) (*exec.Cmd, error) {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	c := exec.Command(binary, args...)
	c.Dir = dir
	c.Stderr = &bytes.Buffer{}
	return c, c.Start()
}

func end(c *exec.Cmd) {
	c.Process.Signal(syscall.SIGTERM)
	time.Sleep(time.Second)
	c.Process.Signal(syscall.SIGTERM) // now
	c.Wait()
}

func await(file string, limit time.Duration) error {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the simulation has not served within %s", limit)
}

// restarts reads the log until each host was told to start, and returns what each was asked
// up to that.
func restarts(file string, hosts int, limit time.Duration) map[string][]request {
	for end := time.Now().Add(limit); ; time.Sleep(500 * time.Millisecond) {
		seen, restarted := read(file)
		if restarted == hosts || time.Now().After(end) {
			return seen
		}
	}
}

func read(file string) (seen map[string][]request, restarted int) {
	seen = map[string][]request{}
	over := map[string]bool{}
	text, _ := os.ReadFile(file)
	for line := range bytes.Lines(text) {
		var q request
		if json.Unmarshal(line, &q) != nil || q.Door != "bmc" || over[q.Host] {
			continue
		}
		if seen[q.Host] = append(seen[q.Host], q); q.starts() && q.Status < 300 {
			over[q.Host] = true
		}
	}
	return seen, len(over)
}

// trips is the largest number of requests of which none overlaps another.
func trips(requests []request) (n int) {
	slices.SortFunc(requests, func(a, b request) int { return a.Left.Compare(b.Left) })
	var last time.Time
	for _, q := range requests {
		if !q.Came.Before(last) {
			n, last = n+1, q.Left
		}
	}
	return n
}

// most is how many requests were under way at the same time.
func most(requests []request) (n int) {
	for _, q := range requests {
		same := 0
		for _, other := range requests {
			if !other.Came.After(q.Came) && other.Left.After(q.Came) {
				same++
			}
		}
		n = max(n, same)
	}
	return n
}

// mostTrips is what is aimed at.
const mostTrips = 20

// report prints the counts, and fails where they are not as aimed at.
func report(names []string, hosts map[string]string, seen map[string][]request) error {
	var wrong []string
	fmt.Printf("%-22s %6s %8s %8s %8s\n", "to the restart of", "trips", "requests", "at once", "seconds")
	for _, name := range names {
		q := seen[name]
		if len(q) == 0 || !q[len(q)-1].starts() {
			fmt.Printf("%-22s not restarted: %d requests\n", hosts[name], len(q))
			wrong = append(wrong, hosts[name]+" was not restarted")
			continue
		}
		first, last := q[0].Came, q[len(q)-1].Left
		n := trips(q)
		fmt.Printf("%-22s %6d %8d %8d %8.1f\n", hosts[name], n, len(q), most(q), last.Sub(first).Seconds())
		if n > mostTrips {
			wrong = append(wrong, fmt.Sprintf("%s takes %d round trips", hosts[name], n))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("more than %d round trips, or no restart: %s", mostTrips, strings.Join(wrong, "; "))
	}
	return nil
}

// plan installs the hosts; those that secure quotes take images by https only.
func plan(hosts, secure []string) string {
	var b strings.Builder
	b.WriteString(`plan "wire" {}
image "esxi" { source = "ESXi-8.0U3-24022510.iso" }
media {
  listen     = "127.0.0.1:0"
  listen_tls = "127.0.0.1:0"
}
group "machines" {
  bmc {
    username = "root"
    password = "calvin-bench"
    tls      = { verify = false }
  }
  esxi {
    netmask       = "255.255.0.0"
    gateway       = "10.9.0.1"
    disk          = { model = "MTFDKBA480TFR" }
    root_password = "Bench-password-1x"
    current       = { username = "root", password = "Bench-password-1x" }
  }
`)
	for i, name := range hosts {
		fmt.Fprintf(&b, "  host %q {\n    bmc { address = \"10.8.1.%d\" }\n    esxi { address = \"10.9.1.%[2]d\" }\n  }\n", name, 2+i)
	}
	fmt.Fprintf(&b, `}
step "precheck" "login" {}
step "build_iso" "installer" { image = image.esxi }
step "eject" "leftovers" {}
step "insert" "cd" { image = contains([%s], host.name) ? step.installer.https_url : step.installer.url }
step "one_time_boot" "cd_once" { target = "cd" }
step "power" "restart" { action = "restart" }
step "wait" "installed" {
  retries = 240
  delay   = "30s"
}
`, strings.Join(secure, ", "))
	return b.String()
}

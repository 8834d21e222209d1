// Command bmc measures what esxiplan does with many BMCs.
//
// The storm installs hosts whose BMCs answer 5 % of all requests with 503, 2 % with a
// reset connection and 1 % not at all, lose 1 % of the answers and do nothing for 1 %
// of the writes: every host must converge or say why not, be restarted at most once,
// and get its image once. A session stays only where the answer to a login was lost and
// the firmware does not show by what to recognise it; it expires. Discover reads machines
// whose BMCs take 50 ms, and 500 ms, per answer.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"esxiplan/testdata/bench/fleet"
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
		for _, c := range []struct{ latency, aim time.Duration }{{50 * time.Millisecond, 3 * time.Second}, {500 * time.Millisecond, 25 * time.Second}} {
			err = errors.Join(err, inFolder(binary, *discover, func(f *fleet.Fleet) error { return runDiscover(f, c.latency, c.aim) }))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func inFolder(binary string, hosts int, measure func(*fleet.Fleet) error) error {
	f, err := fleet.New(binary, hosts, fleet.Serve)
	if err != nil {
		return err
	}
	defer f.Remove()
	return measure(f)
}

var totals = regexp.MustCompile(`(?m)^\d+ hosts?: .*$`)

func runStorm(f *fleet.Fleet) error {
	if err := f.Start("--speed", "20", "--fault", "storm"); err != nil {
		return err
	}
	run := f.Command("run", "site.hcl", "--sim", "sim.json", "--yes", "--forks", "100")
	began := time.Now()
	out, _ := run.Output()
	took := time.Since(began)
	tallies, err := f.Stop()
	if err != nil {
		return err
	}
	fmt.Printf("storm, %d hosts: %s (%s, exit %d)\n", f.Hosts, strings.TrimSpace(totals.FindString(string(out))), took.Round(time.Second), run.ProcessState.ExitCode())
	told := strings.Count(string(out), "  proven ") + strings.Count(string(out), "failed=1") + strings.Count(string(out), "unreachable=1")
	if exit := run.ProcessState.ExitCode(); told < f.Hosts && !strings.Contains(string(out), fmt.Sprintf("%d proven installed", f.Hosts)) || exit == 1 || exit > 6 {
		return fmt.Errorf("not every host came to an end with a reason (exit %d):\n%s", exit, out)
	}
	return judge(tallies, string(out))
}

// judge prints what the machines saw, and fails on what must not be.
func judge(tallies []fleet.Tally, recap string) error {
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

// runDiscover fails where discovery takes three times what it aims at.
func runDiscover(f *fleet.Fleet, latency, aim time.Duration) error {
	if err := f.Start("--latency", latency.String(), "--speed", "1"); err != nil {
		return err
	}
	defer f.Stop()
	discover := f.Command("discover", "site.hcl", "--sim", "sim.json", "--forks", fmt.Sprint(f.Hosts), "--html", "page.html")
	began := time.Now()
	out, err := discover.Output()
	took := time.Since(began)
	if err != nil {
		return fmt.Errorf("discover: %w", err)
	}
	if rows := strings.Count(string(out), "\n") - 1; rows != f.Hosts {
		return fmt.Errorf("discover found %d of %d machines", rows, f.Hosts)
	}
	if took > 3*aim {
		return fmt.Errorf("discover took %s, more than %s", took, 3*aim)
	}
	usage := discover.ProcessState.SysUsage().(*syscall.Rusage)
	fmt.Printf("discover, %d BMCs of %s latency: %s (aim %s), CPU %s, peak %.0f MB\n", f.Hosts, latency, took.Round(10*time.Millisecond), aim,
		(discover.ProcessState.UserTime() + discover.ProcessState.SystemTime()).Round(10*time.Millisecond), float64(usage.Maxrss)/1000)
	return nil
}

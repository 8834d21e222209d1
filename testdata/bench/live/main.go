// Command live measures what the live view of a run costs: the CPU time, user and system, of
// esxiplan run on a terminal of 160 × 50, against that of a run which writes its events as JSON
// lines to nowhere. The machines are those of esxiplan sim, another process. It prints the ratio
// next to the aim; and what the view takes of a processor while nothing changes.
//
// Runs differ from each other by a few percent. So it makes several rounds, each with a run of
// both kinds one after the other, and takes the median of the ratios of the rounds: one round that
// something else on the computer disturbed does not change it.
//
// With -most it is a test that fails where the median is above a bound. That belongs well above
// the aim, so that only a view that costs too much reaches it, such as one that makes a frame for
// each event, and not a computer that is busy.
//
// Usage: go run ./testdata/bench/live [-hosts 1000] [-rounds 3] [-speed 0] [-most 0] [-idle 20s]
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"esxiplan/testdata/bench/fleet"
)

func main() {
	esxiplan := flag.String("esxiplan", "bin/esxiplan", "the binary")
	hosts := flag.Int("hosts", 1000, "size of the fleet")
	rounds := flag.Int("rounds", 3, "runs of each kind")
	speed := flag.Int("speed", 0, "how much faster than real time the machines run; 0 chooses by size")
	most := flag.Float64("most", 0, "fail where the CPU time of live is more than so many times that of jsonl; 0 only measures")
	span := flag.Duration("idle", 20*time.Second, "how long to measure a view in which only the clocks change; 0 leaves that out")
	flag.Parse()
	binary, err := filepath.Abs(*esxiplan)
	if err == nil {
		err = compare(binary, *hosts, max(1, *rounds), *speed, *most)
	}
	if err == nil && *span > 0 {
		err = stand(binary, *span)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "live:", err)
		os.Exit(1)
	}
}

// speedFor is how much faster than real time so many machines can run on two cores without a
// host that times out.
func speedFor(hosts int) int { return max(20, min(50, 15000/max(1, hosts))) }

// aim is the ratio of CPU times that the view is built for.
const aim = 1.1

// compare measures rounds of both kinds, and fails where the median of their ratios is above most.
func compare(binary string, hosts, rounds, speed int, most float64) error {
	if speed == 0 {
		speed = speedFor(hosts)
	}
	var ratios []float64
	for range rounds {
		ratio, err := round(binary, hosts, speed)
		if err != nil {
			return err
		}
		ratios = append(ratios, ratio)
	}
	slices.Sort(ratios)
	median := ratios[len(ratios)/2]
	fmt.Printf("CPU of live to jsonl: %.2f, the median of %d from %.2f to %.2f (aim %.1f)\n", median, rounds, ratios[0], ratios[rounds-1], aim)
	if most > 0 && median > most {
		return fmt.Errorf("the live view takes %.2f times the CPU time of -o jsonl, and %.2f at the most is allowed: "+
			"look for work that is done for each event or each host rather than for each frame (go test -bench Frame ./cmd/internal/view)", median, most)
	}
	return nil
}

// round is the ratio of the CPU times of a run of each kind.
func round(binary string, hosts, speed int) (float64, error) {
	took := map[string]time.Duration{}
	for _, form := range []string{"jsonl", "live"} {
		cpu, err := measure(binary, form, hosts, speed)
		if err != nil {
			return 0, fmt.Errorf("-o %s with %d hosts: %w", form, hosts, err)
		}
		fmt.Printf("run, %d hosts, -o %-5s: CPU %6.2f s\n", hosts, form, cpu.Seconds())
		took[form] = cpu
	}
	return took["live"].Seconds() / took["jsonl"].Seconds(), nil
}

// stand measures the view while nothing but its clocks changes.
func stand(binary string, span time.Duration) error {
	share, err := idle(binary, span)
	if err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	fmt.Printf("CPU of live while machines install: %.2f %% of a processor (aim 1)\n", 100*share)
	return nil
}

// measure runs the plan once, and returns the CPU time of the run's process.
func measure(binary, form string, hosts, speed int) (time.Duration, error) {
	f, err := fleet.New(binary, hosts, fleet.Folder)
	if err != nil {
		return 0, err
	}
	defer f.Remove()
	if err := f.Start("--speed", fmt.Sprint(speed)); err != nil {
		return 0, err
	}
	run, said, err := begin(f, form)
	if err == nil {
		err = run.Wait()
	}
	if _, stopped := f.Stop(); err == nil {
		err = stopped
	}
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, said)
	}
	return run.ProcessState.UserTime() + run.ProcessState.SystemTime(), whole(f, said)
}

// whole checks that a run installed all of its hosts, by its events, which each run writes to a
// file.
func whole(f *fleet.Fleet, said fmt.Stringer) error {
	b, err := os.ReadFile(filepath.Join(f.Dir, "events.jsonl"))
	if err != nil {
		return err
	}
	if n := bytes.Count(b, []byte(`"verdict":{"proven":true`)); n != f.Hosts || !bytes.Contains(b, []byte(`"kind":"run_done"`)) {
		return fmt.Errorf("%d of %d hosts are proven:\n%s", n, f.Hosts, said)
	}
	return nil
}

// begin starts a run: on a terminal where it is to be live.
func begin(f *fleet.Fleet, form string) (run *exec.Cmd, said fmt.Stringer, err error) {
	run = f.Command("run", "site.hcl", "--sim", "sim.json", "--yes", "-o", form, "--events", "events.jsonl")
	run.Env = append(clean(os.Environ()), "TERM=xterm-256color", "LANG=C.UTF-8")
	if form != "live" {
		var problems bytes.Buffer
		run.Stderr = &problems
		return run, &problems, run.Start()
	}
	screen, err := startOnTerminal(run, 160, 50)
	return run, screen, err
}

// clean takes out of an environment what makes a terminal count as the log of a CI system.
func clean(environment []string) (out []string) {
	for _, v := range environment {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "CI", "GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION", "COLUMNS", "TERM", "LANG", "LC_ALL":
		default:
			out = append(out, v)
		}
	}
	return out
}

// idle is what a live view of three hosts takes of a processor while their machines install, in
// real time, and nothing changes but the clocks.
func idle(binary string, span time.Duration) (share float64, err error) {
	f, err := fleet.New(binary, 3, fleet.Folder)
	if err != nil {
		return 0, err
	}
	defer f.Remove()
	if err := f.Start("--speed", "1"); err != nil {
		return 0, err
	}
	defer f.Stop()
	run, said, err := begin(f, "live")
	if err != nil {
		return 0, err
	}
	defer func() {
		run.Process.Kill()
		run.Wait()
	}()
	if err := reach(said, "3 installing", 3*time.Minute); err != nil {
		return 0, err
	}
	before, err := cpuOf(run.Process.Pid)
	if err != nil {
		return 0, err
	}
	time.Sleep(span)
	after, err := cpuOf(run.Process.Pid)
	return (after - before).Seconds() / span.Seconds(), err
}

// reach waits until a text is on the screen.
func reach(screen fmt.Stringer, text string, patience time.Duration) error {
	for end := time.Now().Add(patience); !strings.Contains(screen.String(), text); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("within %s the screen does not say %q:\n%s", patience, text, screen)
		}
	}
	return nil
}

// cpuOf is the CPU time that a process has used, from the times in its stat file, which count
// in hundredths of a second.
func cpuOf(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(b, []byte(") "))
	fields := strings.Fields(string(rest))
	if len(fields) < 13 {
		return 0, io.ErrUnexpectedEOF
	}
	var ticks int64
	for _, field := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"esxiplan/engine/twin"
)

// simulated is esxiplan sim in a folder of its own.
type simulated struct {
	t    *testing.T
	dir  string
	stop func()
}

func simulate(t *testing.T, hosts int, flags ...string) *simulated {
	t.Helper()
	return simulatePlan(t, fleetPlan(hosts, "directory = \"media\"\n  url = \"http://203.0.113.1/iso\""), flags...)
}

// slowed is the speed of simulated machines in a test whose hosts keep both cores busy. The race
// detector slows esxiplan, but not the machines' clock: at full speed one that has a continuous
// boot override would install again before anyone could take it away.
func slowed(speed int) string {
	if raceDetector {
		speed /= 3
	}
	return strconv.Itoa(speed)
}

func simulatePlan(t *testing.T, plan string, flags ...string) *simulated {
	t.Helper()
	s := &simulated{t: t, dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(s.dir, "fleet.hcl"), []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	c := s.command(append([]string{"sim", "fleet.hcl", "--log", "log.jsonl"}, flags...)...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	s.stop = sync.OnceFunc(func() {
		c.Process.Signal(syscall.SIGTERM)
		c.Wait()
	})
	t.Cleanup(s.stop)
	for range 200 {
		if _, err := os.Stat(filepath.Join(s.dir, "sim.json")); err == nil {
			return s
		}
		pause()
	}
	t.Fatal("esxiplan sim did not start")
	return nil
}

func (s *simulated) command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Dir, c.Env = s.dir, append(os.Environ(), "ESXIPLAN_AS_COMMAND=1")
	return c
}

func (s *simulated) run(args ...string) *exec.Cmd {
	return s.command(append([]string{"run", "fleet.hcl", "--sim", "sim.json", "--yes"}, args...)...)
}

func (s *simulated) log() (out []twin.Entry) {
	f, err := os.Open(filepath.Join(s.dir, "log.jsonl"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e twin.Entry
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			out = append(out, e)
		}
	}
	return out
}

// open counts BMC sessions that were opened and not closed.
func (s *simulated) open() (n int) {
	for _, e := range s.log() {
		path := strings.TrimSuffix(e.Path, "/")
		switch {
		case e.Method == "POST" && strings.HasSuffix(path, "/Sessions") && e.Status == 201:
			n++
		case e.Method == "DELETE" && strings.Contains(path, "/Sessions/") && e.Status < 300:
			n--
		}
	}
	return n
}

func (s *simulated) resets(host, kind string) (n int) {
	for _, e := range s.log() {
		if e.Host == host && strings.HasSuffix(e.Path, "ComputerSystem.Reset") && strings.Contains(e.Body, kind) {
			n++
		}
	}
	return n
}

// TestInterruptedAnywhere presses Ctrl-C at many moments: exit 130, a recap, no
// session left open, and the next run goes on without a second reset.
func TestInterruptedAnywhere(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{50, 150, 250, 350, 500, 800, 1500} {
		t.Run((after * time.Millisecond).String(), func(t *testing.T) {
			t.Parallel()
			s := simulate(t, 3, "--speed", "100")
			c := s.run()
			var out, progress bytes.Buffer
			c.Stdout, c.Stderr = &out, &progress
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(after*time.Millisecond, func() { c.Process.Signal(os.Interrupt) })
			defer timer.Stop()
			c.Wait()
			if code := c.ProcessState.ExitCode(); code != 130 && code != -1 {
				t.Errorf("exit %d\n%s%s", code, out.String(), progress.String())
			}
			if c.ProcessState.ExitCode() == 130 && !strings.Contains(out.String(), "interrupted") {
				t.Errorf("no recap:\n%s%s", out.String(), progress.String())
			}
			if n := s.open(); n != 0 {
				t.Errorf("%d sessions stay open", n)
			}
			for _, name := range []string{"media"} {
				left, _ := filepath.Glob(filepath.Join(s.dir, name, "*", ".esxiplan-*"))
				if len(left) > 0 {
					t.Errorf("half-written files: %v", left)
				}
			}
		})
	}
}

// TestKilledAndAgain kills the run right after the reset. The next run refuses a
// second reset, waits for the proof, and closes the session that was left.
func TestKilledAndAgain(t *testing.T) {
	t.Parallel()
	s := simulate(t, 3, "--speed", "60")
	c := s.run("--limit", "h000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	s.until("the machine is reset", func() bool { return s.resets("h000", "\"On\"") > 0 })
	c.Process.Kill()
	c.Wait()
	if out, err := s.run("--limit", "h000", "--tags", "reboot").CombinedOutput(); err == nil || !strings.Contains(string(out), "neither proven nor timed out") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := s.run("--limit", "h000", "--tags", "post-check").CombinedOutput(); err != nil || !strings.Contains(string(out), "1 proven installed") {
		t.Errorf("%v\n%s", err, out)
	}
	if n := s.resets("h000", "\"On\""); n != 1 {
		t.Errorf("%d boots were asked for, one must be", n)
	}
	if n := s.open(); n != 0 {
		t.Errorf("%d sessions stay open", n)
	}
}

// TestTwoRunsAtOnce: the second finds the hosts locked and starts nothing.
func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	s := simulate(t, 3, "--speed", "20")
	first := s.run("--limit", "h000")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	s.until("the first run asks a BMC", func() bool { return len(s.log()) > 0 })
	second := s.run("--tags", "pre-check")
	out, _ := second.CombinedOutput()
	if second.ProcessState.ExitCode() != 5 || !strings.Contains(string(out), "h000 (bmc 10.8.1.2) is locked by run") {
		t.Errorf("exit %d\n%s", second.ProcessState.ExitCode(), out)
	}
	first.Process.Signal(os.Interrupt)
	first.Wait()
}

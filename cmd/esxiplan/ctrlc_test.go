package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
)

// running is a run that a test watches, interrupts or kills.
type running struct {
	t       *testing.T
	c       *exec.Cmd
	dir     string
	out     bytes.Buffer
	err     bytes.Buffer
	heard   chan struct{} // closed when the run says that it heard the interrupt
	stopped time.Time     // when it said so, by the real clock
	ended   chan struct{}
}

// begin starts a command of esxiplan in the background.
func (s *simulated) begin(c *exec.Cmd) *running {
	s.t.Helper()
	r := &running{t: s.t, c: c, dir: s.dir, heard: make(chan struct{}), ended: make(chan struct{})}
	c.Stdout = &r.out
	pipe, err := c.StderrPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	go r.listen(pipe)
	s.t.Cleanup(func() {
		c.Process.Kill()
		<-r.ended
	})
	return r
}

// listen notes when the run hears an interrupt, and its end.
func (r *running) listen(pipe io.Reader) {
	defer close(r.ended)
	heard := false
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		if !heard && strings.HasPrefix(lines.Text(), "interrupted: stopping") {
			r.stopped, heard = time.Now(), true
			close(r.heard)
		}
		fmt.Fprintln(&r.err, lines.Text())
	}
	r.c.Wait()
}

// interrupt presses Ctrl-C.
func (r *running) interrupt() { r.c.Process.Signal(os.Interrupt) }

// wait waits for the end and returns the exit code.
func (r *running) wait() int {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(2 * time.Minute):
		r.c.Process.Signal(syscall.SIGQUIT)
		<-r.ended
		r.t.Fatalf("the run does not end:\n%s%s", r.out.String(), r.err.String())
	}
	return r.c.ProcessState.ExitCode()
}

// said is all that the run wrote; only after its end.
func (r *running) said() string { return r.out.String() + r.err.String() }

// events reads the logs in the state folder, as far as they are written.
func (s *simulated) events(state string) (out []event.Event) {
	files, err := filepath.Glob(filepath.Join(s.dir, state, "runs", "*.jsonl"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			s.t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			var e event.Event
			if json.Unmarshal(line, &e) == nil {
				out = append(out, e)
			}
		}
	}
	return out
}

// simulatedState is where runs against a simulation keep theirs.
const simulatedState = ".esxiplan/sim/*"

// resetsOnRecord are the requests for resets, oldest first.
func (s *simulated) resetsOnRecord(state string) (out []event.Event) {
	for _, e := range s.events(state) {
		if e.Kind == event.WriteMade && e.Write.Verb == event.Reset {
			out = append(out, e)
		}
	}
	return out
}

// until waits until a condition holds.
func (s *simulated) until(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(end) {
			s.t.Fatalf("waited in vain until %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// clock is that of the simulation.
func (s *simulated) at(real time.Time) time.Time {
	f, err := readSimFile(filepath.Join(s.dir, "sim.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	return f.Start.Add(time.Duration(float64(real.Sub(f.Start)) * f.Speed))
}

// isOff reports that the last reset of a host that took effect powered it off.
func (s *simulated) isOff(host string) (off bool) {
	for _, e := range s.log() {
		var body struct{ ResetType bmc.ResetType }
		if e.Host == host && strings.HasSuffix(e.Path, "ComputerSystem.Reset") && e.Status < 300 && json.Unmarshal([]byte(e.Body), &body) == nil {
			off = !body.ResetType.Starts()
		}
	}
	return off
}

// TestCtrlCStartsNothing presses Ctrl-C at many moments of the restarts of fifteen
// machines: after the line that says so, none gets its first reset, and none is left off
// without the recap saying so.
func TestCtrlCStartsNothing(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 28} {
		for _, firmware := range []string{"", "dell/idrac10"} { // that one refuses On for a while after an off
			t.Run(fmt.Sprintf("after %d requests %s", n, firmware), func(t *testing.T) {
				t.Parallel()
				interruptedRestarts(t, n, firmware)
			})
		}
	}
}

func interruptedRestarts(t *testing.T, after int, firmware string) {
	const hosts = 15
	flags := []string{"--speed", "60", "--latency", "3ms"}
	for i := 0; firmware != "" && i < hosts; i += 3 {
		flags = append(flags, "--profile", fmt.Sprintf("h%03d=%s", i, firmware))
	}
	s := simulate(t, hosts, flags...)
	r := s.begin(s.run("--tags", "build-iso,mount-iso,reboot,post-check")) // goes on for long after the last reset
	s.until("enough resets are on record", func() bool { return len(s.resetsOnRecord(simulatedState)) >= after })
	r.interrupt()
	if code := r.wait(); code != event.ExitInterrupted {
		t.Fatalf("exit %d\n%s", code, r.said())
	}
	began, stopped := map[string]bool{}, s.at(r.stopped)
	for _, e := range s.resetsOnRecord(simulatedState) {
		if !began[e.Host] && e.Time.After(stopped) {
			t.Errorf("%s: first reset %s %s after the run said that it stops", e.Host, e.Write, e.Time.Sub(stopped))
		}
		began[e.Host] = true
	}
	for i := range hosts {
		host := fmt.Sprintf("h%03d", i)
		if s.isOff(host) != strings.Contains(r.out.String(), host+" was powered off for its restart and is not on again") {
			t.Errorf("%s is off: %v, and the recap says otherwise\n%s", host, s.isOff(host), r.out.String())
		}
	}
	if n := s.open(); n != 0 {
		t.Errorf("%d sessions stay open", n)
	}
}

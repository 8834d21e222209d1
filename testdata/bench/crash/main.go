// Command crash kills runs and continues them. A run of some simulated hosts is killed
// (kill -9) when it has written its Nth event, for many N over the whole of it, and then
// continued: all hosts must be proven, each machine booted from our medium once and got its
// image once, no session may stay open, and the log must have every record once.
//
// With -stages the run is five calls in one run name, as a pipeline makes them, and the
// stage that is killed is called again. With -signal the process gets another signal.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"esxiplan/testdata/bench/fleet"
)

// options say what is tried.
type options struct {
	binary string
	hosts  int
	points int
	speed  int
	stages bool
	signal syscall.Signal
}

var signals = map[string]syscall.Signal{"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "INT": syscall.SIGINT}

func main() {
	var o options
	flag.StringVar(&o.binary, "esxiplan", "bin/esxiplan", "the binary")
	flag.IntVar(&o.hosts, "hosts", 12, "hosts of a run")
	flag.IntVar(&o.points, "points", 200, "moments at which a run is ended")
	flag.IntVar(&o.speed, "speed", 200, "how much faster than real time the machines run")
	flag.BoolVar(&o.stages, "stages", false, "five stages in one run")
	parallel := flag.Int("parallel", 4, "runs at once")
	signal := flag.String("signal", "KILL", "the signal: KILL, TERM, HUP or INT")
	flag.Parse()
	var err error
	if o.binary, err = filepath.Abs(o.binary); err == nil {
		var known bool
		if o.signal, known = signals[*signal]; !known {
			err = fmt.Errorf("no signal %s", *signal)
		}
	}
	if err == nil {
		err = o.try(*parallel)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// try ends runs at points that are spread over all events of one that is left alone.
func (o options) try(parallel int) error {
	whole, err := o.at(1 << 30)
	if err != nil {
		return fmt.Errorf("a run that is left alone: %w", err)
	}
	fmt.Printf("%d hosts, %d events in a run; ended by %s at %d points\n", o.hosts, whole.events, o.signal, o.points)
	var mu sync.Mutex
	var wrong []string
	killed := 0
	slots := make(chan struct{}, parallel)
	var work sync.WaitGroup
	for i := range o.points {
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			n := 1 + i*whole.events/o.points
			r, err := o.at(n)
			mu.Lock()
			defer mu.Unlock()
			if r.ended {
				killed++
			}
			if err != nil {
				wrong = append(wrong, fmt.Sprintf("ended at event %d: %v", n, err))
				fmt.Println(wrong[len(wrong)-1])
			}
		})
	}
	work.Wait()
	fmt.Printf("%d runs were ended before their end and continued, %d came out wrong\n", killed, len(wrong))
	if len(wrong) > 0 {
		return fmt.Errorf("%d of %d", len(wrong), o.points)
	}
	return nil
}

// result is what one run came to.
type result struct {
	events int
	ended  bool // by us
}

// at ends a run at its nth event, continues it, and judges what came of it.
func (o options) at(n int) (r result, err error) {
	f, err := fleet.New(o.binary, o.hosts, "directory = \"media\"\n  url = \"http://203.0.113.1/iso\"")
	if err != nil {
		return r, err
	}
	defer f.Remove()
	if err := f.Start("--speed", fmt.Sprint(o.speed)); err != nil {
		return r, err
	}
	out, err := o.run(f, n, &r)
	tallies, stopErr := f.Stop()
	switch {
	case err != nil:
		return r, fmt.Errorf("%w\n%s", err, out)
	case stopErr != nil:
		return r, stopErr
	}
	if err := judge(tallies); err != nil {
		return r, fmt.Errorf("%w\n%s", err, out)
	}
	return r, judgeLogs(f)
}

// run makes all calls of a run; the one in which the nth event comes is ended there and
// made again.
func (o options) run(f *fleet.Fleet, n int, r *result) (out string, err error) {
	calls := [][]string{{}}
	if o.stages {
		calls = nil
		for _, tag := range []string{"pre-check", "build-iso", "mount-iso", "reboot", "post-check"} {
			calls = append(calls, []string{"--tags", tag})
		}
	}
	for _, call := range calls {
		args := append([]string{"run", "site.hcl", "--sim", "sim.json", "--yes", "--run", "crash"}, call...)
		c := f.Command(append(args, "-o", "jsonl")...)
		said, ended, err := o.endAt(c, n-r.events)
		r.events += bytes.Count(said, []byte("\n"))
		if ended {
			r.ended = true
			said, err = f.Command(args...).CombinedOutput()
		}
		out += string(said)
		if err != nil {
			return out, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
		}
	}
	if r.ended && !o.stages && !strings.Contains(out, fmt.Sprintf("%d proven installed", f.Hosts)) {
		return out, fmt.Errorf("not all hosts are proven")
	}
	return out, nil
}

// endAt runs a command and ends it when it has written n lines.
func (o options) endAt(c *exec.Cmd, n int) (said []byte, ended bool, err error) {
	stdout, err := c.StdoutPipe()
	if err != nil {
		return nil, false, err
	}
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		return nil, false, err
	}
	lines := bufio.NewReader(stdout)
	for {
		line, readErr := lines.ReadBytes('\n')
		said = append(said, line...)
		if n--; n == 0 {
			ended = true
			c.Process.Signal(o.signal)
		}
		if readErr == io.EOF {
			break
		}
	}
	err = c.Wait()
	if err != nil {
		said = append(said, stderr.Bytes()...)
	}
	return said, ended, err
}

// judge says what must not be.
func judge(tallies []fleet.Tally) error {
	var wrong []string
	for _, t := range tallies {
		cd := len(slices.DeleteFunc(slices.Clone(t.Boots), func(b string) bool { return b != "Cd" }))
		if cd != 1 || t.PowerChanges > 2 || t.Inserts != 1 || t.Installs != 1 || t.SessionsOpened != t.SessionsClosed {
			wrong = append(wrong, fmt.Sprintf("%+v", t))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("what must not be: %s", strings.Join(wrong, "; "))
	}
	return nil
}

// judgeLogs demands that the log has every record once, and every step of every host.
func judgeLogs(f *fleet.Fleet) error {
	logs, err := filepath.Glob(filepath.Join(f.Dir, ".esxiplan/sim/*/runs/*.jsonl"))
	if err != nil || len(logs) != 1 {
		return fmt.Errorf("logs %v, %v", logs, err)
	}
	b, err := os.ReadFile(logs[0])
	if err != nil {
		return err
	}
	seqs, done := map[uint64]bool{}, map[string]int{}
	for line := range bytes.Lines(b) {
		var e struct {
			Seq                      uint64
			Kind, Host, Step, Status string
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		if seqs[e.Seq] {
			return fmt.Errorf("two records have the number %d", e.Seq)
		}
		seqs[e.Seq] = true
		if e.Kind == "step_done" && e.Status != "not_run" {
			done[e.Host+" "+e.Step]++
		}
	}
	for task, n := range done {
		if n != 1 {
			return fmt.Errorf("%s is done %d times in the log", task, n)
		}
	}
	if len(done) != f.Hosts*7 {
		return fmt.Errorf("%d tasks are done in the log, not %d", len(done), f.Hosts*7)
	}
	return nil
}

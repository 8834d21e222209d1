// Command crash kills runs and continues them. A run of some simulated hosts is killed
// (kill -9) when it has written its Nth event, for many N over the whole of it, and then
// continued: all hosts must be proven, each machine booted from our medium once and got its
// image once, no session may stay open, and the log must have every record once.
//
// What ended a run is continued by the same command, or, with -resume, by run --resume; where
// that finds nothing to resume, the log must have no stage that is open, and the same command
// comes next. With -stages the run is five calls in one run name, as a pipeline makes them, and
// the stage that is killed is continued. With -signal the process gets another signal; STOP
// only stops it for a while, which must not be seen in what becomes of the run.
//
// With -full the run is not killed: from its Nth event on it can write to no file, as on a disk
// that is full or a file system that became read-only. It must end by itself with exit code 70.
//
// With -serve the run serves the images itself. A server that is killed breaks installations
// that are under way, so that a host may fail then; what it must not do is restart twice, get its
// image twice, leave a session or be called proven.
//
// The output of what comes out wrong is written to a file.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"esxiplan/testdata/bench/fleet"
)

// options say what is tried.
type options struct {
	binary string
	hosts  int
	points int
	speed  int
	stages bool
	resume bool
	serve  bool
	full   bool
	signal syscall.Signal
	pause  time.Duration // between SIGSTOP and SIGCONT
}

var signals = map[string]syscall.Signal{"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "STOP": syscall.SIGSTOP}

func main() {
	var o options
	flag.StringVar(&o.binary, "esxiplan", "bin/esxiplan", "the binary")
	flag.IntVar(&o.hosts, "hosts", 12, "hosts of a run")
	flag.IntVar(&o.points, "points", 200, "moments at which a run is ended")
	flag.IntVar(&o.speed, "speed", 200, "how much faster than real time the machines run")
	flag.BoolVar(&o.stages, "stages", false, "five stages in one run")
	flag.BoolVar(&o.resume, "resume", false, "continue with run --resume, not with the same command")
	flag.BoolVar(&o.serve, "serve", false, "the run serves the images itself")
	flag.BoolVar(&o.full, "full", false, "let the run write to no file any more, instead of a signal")
	flag.DurationVar(&o.pause, "pause", 2*time.Second, "how long STOP stops a run; less than the lease of its locks")
	parallel := flag.Int("parallel", 4, "runs at once")
	signal := flag.String("signal", "KILL", "the signal: KILL, TERM, HUP, INT or STOP")
	flag.Parse()
	var err error
	if o.binary, err = filepath.Abs(o.binary); err == nil {
		var known bool
		if o.signal, known = signals[*signal]; !known {
			err = fmt.Errorf("no signal %s: give KILL, TERM, HUP, INT or STOP", *signal)
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
	began := time.Now()
	fmt.Printf("%d hosts, %d events in a run; %s at %d points\n", o.hosts, whole.events, o.what(), o.points)
	var mu sync.Mutex
	var all tally
	slots := make(chan struct{}, parallel)
	var work sync.WaitGroup
	for i := range o.points {
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			n, r, err := o.part(i, whole.events)
			mu.Lock()
			defer mu.Unlock()
			all.add(n, r, err)
		})
	}
	work.Wait()
	return all.report(o, time.Since(began))
}

// what is what happens to a run.
func (o options) what() string {
	if o.full {
		return "no file can be written"
	}
	return fmt.Sprintf("signal %q", o.signal)
}

// part gives a run the signal at the ith of all points, which is the nth event. How often hosts
// are looked at varies, so that a run may end before it: then one of its own length is tried.
func (o options) part(i, events int) (n int, r result, err error) {
	for range 3 {
		n = 1 + i*events/o.points
		if r, err = o.at(n); r.hit || err != nil {
			break
		}
		events = r.events
	}
	return n, r, err
}

// tally is what came of all runs.
type tally struct {
	hit, unresumed, failed int
	wrong                  []string // texts of what came out wrong
}

func (t *tally) add(n int, r result, err error) {
	if r.hit {
		t.hit++
	}
	if r.unresumed {
		t.unresumed++
	}
	if r.exit != 0 {
		t.failed++
	}
	if err != nil {
		t.wrong = append(t.wrong, fmt.Sprintf("event %d: %v", n, err))
		first, _, _ := strings.Cut(t.wrong[len(t.wrong)-1], "\n")
		fmt.Printf("  wrong at %.160s\n", first)
	}
}

// report prints the sums, and writes what came out wrong to a file.
func (t *tally) report(o options, took time.Duration) error {
	fmt.Printf("%d runs got the signal before their end, %d came out wrong (%s)\n", t.hit, len(t.wrong), took.Round(time.Second))
	if o.resume {
		fmt.Printf("  %d had nothing to resume, and the same command was right\n", t.unresumed)
	}
	if o.serve {
		fmt.Printf("  %d ended with hosts whose installation broke with the server\n", t.failed)
	}
	if len(t.wrong) == 0 {
		return nil
	}
	file, err := os.CreateTemp("", "esxiplan-crash-*.txt")
	if err != nil {
		return err
	}
	_, err = file.WriteString(strings.Join(t.wrong, "\n\n"))
	return errors.Join(fmt.Errorf("%d of %d points came out wrong: %s has their output", len(t.wrong), o.points, file.Name()), err, file.Close())
}

// result is what one run came to.
type result struct {
	events    int
	hit       bool // it got the signal
	unresumed bool // --resume found nothing to resume
	exit      int  // of the last call
}

// at gives a run the signal at its nth event, continues it, and judges what came of it.
func (o options) at(n int) (r result, err error) {
	media := fleet.Folder
	if o.serve {
		media = fleet.Serve
	}
	f, err := fleet.New(o.binary, o.hosts, media)
	if err != nil {
		return r, err
	}
	defer f.Remove()
	if err := f.Start("--speed", fmt.Sprint(o.speed)); err != nil {
		return r, err
	}
	out, err := o.run(f, n, &r)
	tallies, stopErr := f.Stop()
	if err == nil {
		var proven map[string]bool
		if proven, err = judgeLogs(f, r.exit == 0); err == nil {
			err = errors.Join(stopErr, judge(tallies, proven))
		}
	}
	if err != nil {
		return r, fmt.Errorf("%w\n%s", err, out)
	}
	return r, nil
}

// run makes all calls of a run; the one in which the nth event comes gets the signal there and
// is continued.
func (o options) run(f *fleet.Fleet, n int, r *result) (out string, err error) {
	for _, call := range o.calls() {
		said, hit, err := o.signalAt(f.Command(append(call, "-o", "jsonl")...), n-r.events)
		r.events += bytes.Count(said, []byte("\n"))
		r.hit = r.hit || hit
		if hit && o.full && !endedByItself(err) {
			return out + string(said), fmt.Errorf("%s, which can write to no file: %w", strings.Join(call, " "), err)
		}
		if hit && o.signal != syscall.SIGSTOP {
			said, err = o.resumed(f, call, r)
		}
		out += string(said)
		var exit *exec.ExitError
		if errors.As(err, &exit) && r.hit && o.serve && slices.Contains([]int{2, 4, 6}, exit.ExitCode()) {
			r.exit, err = exit.ExitCode(), nil
		}
		if err != nil {
			return out, fmt.Errorf("%s: %w", strings.Join(call, " "), err)
		}
	}
	return out, nil
}

// calls are the commands of a run.
func (o options) calls() (calls [][]string) {
	call := []string{"run", "site.hcl", "--sim", "sim.json", "--yes", "--run", "crash"}
	if !o.stages {
		return [][]string{call}
	}
	for _, tag := range []string{"pre-check", "build-iso", "mount-iso", "reboot", "post-check"} {
		calls = append(calls, append(slices.Clone(call), "--tags", tag))
	}
	return calls
}

// resumed continues what a call began.
func (o options) resumed(f *fleet.Fleet, call []string, r *result) ([]byte, error) {
	if !o.resume {
		return f.Command(call...).CombinedOutput()
	}
	open, err := stageOpen(f)
	if err != nil {
		return nil, err
	}
	out, err := f.Command("run", "site.hcl", "--sim", "sim.json", "--yes", "--resume").CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("nothing to resume")) {
		return out, err
	}
	if r.unresumed = true; open {
		return out, errors.New("--resume finds nothing to resume, but the log has a stage that did not end")
	}
	more, err := f.Command(call...).CombinedOutput()
	return append(out, more...), err
}

// signalAt runs a command and sends it the signal when it has written n lines.
func (o options) signalAt(c *exec.Cmd, n int) (said []byte, hit bool, err error) {
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
	var sendErr error
	for {
		line, readErr := lines.ReadBytes('\n')
		said = append(said, line...)
		if n--; n == 0 {
			hit, sendErr = true, o.send(c.Process)
		}
		if readErr != nil {
			break
		}
	}
	err = c.Wait()
	if err != nil {
		said = append(said, stderr.Bytes()...)
	}
	return said, hit, errors.Join(sendErr, err)
}

// endedByItself reports a run that could not be logged any more and said so, or that had nothing
// left to log.
func endedByItself(err error) bool {
	var exit *exec.ExitError
	return err == nil || errors.As(err, &exit) && exit.ExitCode() == 70
}

// send gives a run its signal. It may have ended by then.
func (o options) send(p *os.Process) error {
	if o.full {
		return growNoFile(p.Pid)
	}
	p.Signal(o.signal)
	if o.signal == syscall.SIGSTOP {
		time.Sleep(o.pause)
		p.Signal(syscall.SIGCONT)
	}
	return nil
}

// mayStay is how many sessions may stay open on a host's BMC: one on firmware that shows of a
// session only its user. One that a killed process was just opening cannot be told from
// another client's there, so that it is left to expire.
func mayStay(host string) int {
	if slices.Contains([]string{"supermicro", "ami", "fujitsu"}, fleet.VendorOf(host)) {
		return 1
	}
	return 0
}

// judge says what must not be. A host that is not proven need not have done anything.
func judge(tallies []fleet.Tally, proven map[string]bool) error {
	var wrong []string
	for _, t := range tallies {
		cd := len(slices.DeleteFunc(slices.Clone(t.Boots), func(b string) bool { return b != "Cd" }))
		twice := cd > 1 || t.PowerChanges > 2 || t.Inserts > 1 || t.Installs > 1
		if twice || t.SessionsOpened-t.SessionsClosed > mayStay(t.Host) || proven[t.Host] && (cd != 1 || t.Inserts != 1 || t.Installs != 1) {
			wrong = append(wrong, fmt.Sprintf("proven %t: %+v", proven[t.Host], t))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("what must not be: %s", strings.Join(wrong, "; "))
	}
	return nil
}

// record is what is read of one in a log.
type record struct {
	Seq                      uint64
	Kind, Host, Step, Status string
	Summary                  struct{ Interrupted bool }
	Verdict                  struct{ Proven bool }
}

func logFiles(f *fleet.Fleet) ([]string, error) {
	return filepath.Glob(filepath.Join(f.Dir, ".esxiplan/sim/*/runs/*.jsonl"))
}

// stageOpen reports that a stage in the log has not come to its end.
func stageOpen(f *fleet.Fleet) (open bool, err error) {
	logs, err := logFiles(f)
	if err != nil || len(logs) == 0 {
		return false, err
	}
	b, err := os.ReadFile(logs[0])
	for line := range bytes.Lines(b) {
		var r record
		if json.Unmarshal(line, &r) != nil {
			break // torn by the signal
		}
		switch r.Kind {
		case "stage_started":
			open = true
		case "run_done":
			open = r.Summary.Interrupted
		}
	}
	return open, err
}

// writing are the steps that change something at every host, in one process or in another.
var writing = []string{"installer", "cd", "cd_once", "restart"}

// judgeLogs demands that the log has every record once and that each step which changed
// something says so, and, after a run without failures,
// every step of every host and that all are proven. It returns the hosts that are proven.
func judgeLogs(f *fleet.Fleet, all bool) (proven map[string]bool, err error) {
	logs, err := logFiles(f)
	if err != nil || len(logs) != 1 {
		return nil, fmt.Errorf("logs %v, %v", logs, err)
	}
	b, err := os.ReadFile(logs[0])
	if err != nil {
		return nil, err
	}
	seqs, done, proven := map[uint64]bool{}, map[string]bool{}, map[string]bool{}
	for line := range bytes.Lines(b) {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, err
		}
		if seqs[r.Seq] {
			return nil, fmt.Errorf("two records have the number %d", r.Seq)
		}
		seqs[r.Seq] = true
		if r.Kind != "step_done" || r.Status == "not_run" {
			continue
		}
		task := r.Host + " " + r.Step
		if done[task] {
			return nil, fmt.Errorf("%s is done twice in the log", task)
		}
		done[task] = true
		if slices.Contains(writing, r.Step) && r.Status == "ok" {
			return nil, fmt.Errorf("%s is ok in the log, but the run made its changes", task)
		}
		if r.Verdict.Proven {
			proven[r.Host] = true
		}
	}
	if all && (len(done) != f.Hosts*7 || len(proven) != f.Hosts) {
		return nil, fmt.Errorf("in the log %d tasks are done, not %d, and %d hosts proven, not %d", len(done), f.Hosts*7, len(proven), f.Hosts)
	}
	return proven, nil
}

package log_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"esxiplan/engine/event"
	"esxiplan/engine/log"
)

// read is the log of the run, record by record.
func read(t testing.TB, state string) (out []log.Record) {
	t.Helper()
	check(t, log.Each(state, "run", func(r log.Record) error { out = append(out, r); return nil }))
	return out
}

func insert(host string) event.Event {
	return event.Event{Kind: event.WriteMade, Host: host, Step: "s", Time: noon, Write: &event.Change{Verb: event.Insert, Target: "slot CD1", New: "http://x/" + host}}
}

// TestContinued: a run that is continued counts on, in its records, its changes and its
// checksums.
func TestContinued(t *testing.T) {
	state := t.TempDir()
	var ids []string
	for process := range 4 {
		l, err := log.Open(state, "run", log.Options{})
		check(t, err)
		if l.Before() != 3*process {
			t.Errorf("process %d finds %d records before it", process, l.Before())
		}
		check(t, l.Keep(log.Record{Event: event.Event{Kind: log.StageStarted, Time: noon}, Stage: &log.Stage{Number: 1}}))
		id, err := l.Append(insert("one"))
		check(t, err)
		ids = append(ids, id)
		if process%2 == 0 {
			check(t, l.Note(event.Event{Kind: event.RunDone, Time: noon}))
			check(t, l.Close())
			continue
		}
		check(t, l.Keep(log.Record{Event: event.Event{Kind: log.Interrupted, Time: noon}})) // and is killed
	}
	for i, r := range read(t, state) {
		if r.Seq != uint64(i+1) || r.Run != "run" {
			t.Errorf("record %d is number %d of run %q", i+1, r.Seq, r.Run)
		}
	}
	if want := []string{"run.2", "run.5", "run.8", "run.11"}; fmt.Sprint(ids) != fmt.Sprint(want) {
		t.Errorf("changes %v, want %v", ids, want)
	}
	if n := sealed(content(t, state)); n != 12 {
		t.Errorf("%d records have the checksum that they should have, want 12", n)
	}
}

// TestFirstRecord: that of a log says its version, whatever it is, so that the log cannot be
// taken for one that had none.
func TestFirstRecord(t *testing.T) {
	state := t.TempDir()
	l, err := log.Open(state, "run", log.Options{})
	check(t, err)
	_, err = l.Append(insert("one"))
	check(t, err)
	_, err = l.Append(insert("two"))
	check(t, err)
	check(t, l.Close())
	if r := read(t, state); r[0].Log != log.Version || r[1].Log != 0 {
		t.Errorf("versions %d and %d", r[0].Log, r[1].Log)
	}
}

// TestManyAppend: hosts that append at once share what makes their records durable; each
// record is there when it is acknowledged, and each host's are in their order.
func TestManyAppend(t *testing.T) {
	const hosts, each = 200, 5
	state := t.TempDir()
	var shown []event.Event
	l, err := log.Open(state, "run", log.Options{Show: func(e event.Event) { shown = append(shown, e) }})
	check(t, err)
	var all sync.WaitGroup
	var ids sync.Map
	for h := range hosts {
		all.Go(func() {
			for n := range each {
				e := insert(fmt.Sprint("h", h))
				e.Attempt = n
				id, err := l.Append(e)
				if _, double := ids.LoadOrStore(id, e.Host); double || err != nil {
					t.Errorf("%s: %v", id, err)
				}
			}
		})
	}
	all.Wait()
	next := map[string]int{}
	for i, r := range read(t, state) { // before it is closed
		if host, ok := ids.Load(r.Write.ID); !ok || host != r.Host || r.Attempt != next[r.Host] || r.Seq != uint64(i+1) {
			t.Fatalf("record %d: %+v", i, r)
		}
		next[r.Host]++
	}
	if len(next) != hosts || len(shown) != hosts*each || sealed(content(t, state)) != hosts*each {
		t.Errorf("%d hosts, %d shown, %d valid", len(next), len(shown), sealed(content(t, state)))
	}
	check(t, l.Close())
}

// TestOneWriteServesMany: while one batch is made durable, the next one gathers.
func TestOneWriteServesMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, writes := make(chan struct{}), 0
		state := t.TempDir()
		l, err := log.Open(state, "run", log.Options{Held: func() error { writes++; <-slow; return nil }}) // asked before each write
		check(t, err)
		var all sync.WaitGroup
		acknowledged := atomic.Int32{}
		for h := range 200 {
			all.Go(func() {
				if _, err := l.Append(insert(fmt.Sprint("h", h))); err != nil {
					t.Error(err)
				}
				acknowledged.Add(1)
			})
		}
		synctest.Wait()
		if writes != 1 || acknowledged.Load() != 0 {
			t.Errorf("%d writes, and %d records acknowledged before one ended", writes, acknowledged.Load())
		}
		close(slow)
		all.Wait()
		if writes != 2 || len(read(t, state)) != 200 {
			t.Errorf("%d writes for %d records, want 2 for 200", writes, len(read(t, state)))
		}
		check(t, l.Close())
	})
}

// TestLater: an event that may be forgotten becomes durable with the next that may not.
func TestLater(t *testing.T) {
	state := t.TempDir()
	l, err := log.Open(state, "run", log.Options{})
	check(t, err)
	check(t, l.Later(event.Event{Kind: event.WriteDone, Host: "one", Time: noon, Settled: &event.Settled{Change: "run.1", Fate: event.Done}}))
	if b := content(t, state); len(b) > 0 {
		t.Errorf("written at once: %s", b)
	}
	_, err = l.Append(insert("one"))
	check(t, err)
	if r := read(t, state); len(r) != 2 || r[0].Kind != event.WriteDone {
		t.Errorf("%+v", r)
	}
	check(t, l.Note(event.Event{Kind: event.RunDone, Time: noon}))
	check(t, l.Later(event.Event{Kind: event.RunDone, Time: noon}))
	check(t, l.Close())
	if r := read(t, state); len(r) != 4 {
		t.Errorf("%d records after the end, want 4", len(r))
	}
}

// TestClosedAmidWork: a step that a second Ctrl-C left behind may still want to record
// something. What it is told holds: a record is in the log, or it is refused, and the
// snapshot knows no more than the log.
func TestClosedAmidWork(t *testing.T) {
	state := t.TempDir()
	l, err := log.Open(state, "run", log.Options{})
	check(t, err)
	var all sync.WaitGroup
	var ids sync.Map
	for h := range 50 {
		all.Go(func() {
			for {
				id, err := l.Append(insert(fmt.Sprint("h", h)))
				if err != nil {
					return
				}
				ids.Store(id, true)
				l.History(fmt.Sprint("h", h))
			}
		})
	}
	_, err = l.Append(insert("one"))
	check(t, err)
	check(t, l.Close())
	all.Wait()
	for _, r := range read(t, state) {
		if _, ok := ids.LoadAndDelete(r.Write.ID); !ok && r.Host != "one" {
			t.Errorf("%s was refused, and is in the log", r.Write.ID)
		}
	}
	ids.Range(func(id, _ any) bool { t.Errorf("%s was acknowledged, and is not in the log", id); return true })
	var machines []string
	for h := range 50 {
		machines = append(machines, fmt.Sprint("h", h))
	}
	if got, want := known(t, state, machines), known(t, copyLogs(t, state), machines); got != want {
		t.Errorf("the snapshot knows\n%s\nthe log\n%s", got, want)
	}
	if _, err := l.Append(insert("one")); err == nil || !strings.Contains(err.Error(), "is closed") {
		t.Errorf("after its end: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

// TestLockLost: a process whose run another one took over writes nothing more, neither to
// the log nor to the snapshot.
func TestLockLost(t *testing.T) {
	state, lost := t.TempDir(), error(nil)
	l, err := log.Open(state, "run", log.Options{Held: func() error { return lost }})
	check(t, err)
	_, err = l.Append(insert("one"))
	check(t, err)
	before := content(t, state)
	check(t, l.Later(event.Event{Kind: event.WriteDone, Host: "one", Time: noon}))
	lost = errors.New("the lock was taken over by run other")
	l.Note(event.Event{Kind: event.HostDone, Host: "one", Time: noon})
	if err := l.SessionAsked("10.0.0.1", "1", noon); err != lost {
		t.Errorf("a login: %v", err)
	}
	if _, err := l.Append(insert("two")); err != lost {
		t.Errorf("an event: %v", err)
	}
	if err := l.Keep(log.Record{Event: event.Event{Kind: log.Interrupted, Time: noon}}); err != lost {
		t.Errorf("a record: %v", err)
	}
	if err := l.Close(); !errors.Is(err, lost) {
		t.Errorf("closed: %v", err)
	}
	if after := content(t, state); string(after) != string(before) {
		t.Errorf("written after that: %s", after[len(before):])
	}
	if _, err := os.Stat(snapshotOf(state)); err == nil {
		t.Error("a snapshot was written")
	}
}

// fullDisk makes the process that has this variable fill a log until its file cannot grow.
const fullDisk = "ESXIPLAN_TEST_FULL_DISK"

// TestFullDisk: what cannot be made durable is refused, and is not there afterwards; the
// error names the file and is final.
func TestFullDisk(t *testing.T) {
	if state := os.Getenv(fullDisk); state != "" {
		fill(t, state)
		return
	}
	state := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.count=1")
	child.Env = append(os.Environ(), fullDisk+"="+state)
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var acknowledged int
	b, err := os.ReadFile(filepath.Join(state, "acknowledged"))
	check(t, err)
	check(t, json.Unmarshal(b, &acknowledged))
	whole := content(t, state)
	if n := sealed(whole); n != acknowledged || n < 3 || len(lines(whole)) != n {
		t.Errorf("%d lines, of which %d hold records; %d were acknowledged", len(lines(whole)), n, acknowledged)
	}
	l, err := log.Open(state, "run", log.Options{}) // with space
	check(t, err)
	check(t, l.Keep(log.Record{Event: event.Event{Kind: log.Interrupted, Time: noon}}))
	check(t, l.Close())
	if n := len(read(t, state)); n != acknowledged+1 {
		t.Errorf("%d records, %d were acknowledged before", n, acknowledged)
	}
}

// fill appends to a log, three records at once, in a process whose files may become 2,000
// bytes long.
func fill(t *testing.T, state string) {
	signal.Ignore(syscall.SIGXFSZ)
	l, err := log.Open(state, "run", log.Options{})
	check(t, err)
	check(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 2000, Max: 2000}))
	acknowledged := 0
	for err == nil {
		r := log.Record{Event: event.Event{Kind: log.AttemptDone, Host: "one", Step: "s", Time: noon}}
		if err = l.Keep(r, r, r); err == nil {
			acknowledged += 3
		}
	}
	if !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), logOf(state)) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("it says %v", err)
	}
	for what, again := range map[string]error{"records": l.Keep(log.Record{}), "a note": l.Note(event.Event{}), "what may be forgotten": l.Later(event.Event{}), "the end": l.Close()} {
		if again == nil || !strings.Contains(again.Error(), err.Error()) {
			t.Errorf("%s afterwards: %v", what, again)
		}
	}
	check(t, os.WriteFile(filepath.Join(state, "acknowledged"), fmt.Append(nil, acknowledged), 0o600))
}

// TestNoStateFolder: where no log can be begun, it says where, and what to do.
func TestNoStateFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(file, nil, 0o600))
	inTheWay := t.TempDir()
	check(t, os.MkdirAll(logOf(inTheWay), 0o700))
	for _, state := range []string{file, filepath.Join(file, "below"), inTheWay} {
		if _, err := log.Open(state, "run", log.Options{}); err == nil || !strings.Contains(err.Error(), state) || !strings.Contains(err.Error(), "--state") {
			t.Errorf("%s: %v", state, err)
		}
	}
}

// TestStages: what the list of runs says of one, whenever its process was killed.
func TestStages(t *testing.T) {
	state := t.TempDir()
	l, err := log.Open(state, "run", log.Options{})
	check(t, err)
	if runs, err := log.List(state); err != nil || len(runs) != 0 {
		t.Errorf("a log without a record is %v, %v", runs, err)
	}
	is := func(what string, unfinished bool, stages, hosts, exit int) {
		t.Helper()
		runs, err := log.List(state)
		check(t, err)
		if i := runs[0]; i.Run != "run" || i.Unfinished() != unfinished || i.Stages != stages || i.Hosts != hosts || i.Exit != exit {
			t.Errorf("%s: %+v", what, i)
		}
	}
	stage := func(number int, hosts ...string) {
		check(t, l.Keep(log.Record{Event: event.Event{Kind: log.StageStarted, Time: noon}, Stage: &log.Stage{Number: number, Plan: "lab", Hosts: hosts}}))
	}
	ended := func(s event.Summary) {
		_, err := l.Append(event.Event{Kind: event.RunDone, Time: noon, Summary: &s})
		check(t, err)
	}
	stage(1, "one")
	is("begun", true, 1, 1, 0)
	ended(event.Summary{Exit: event.ExitFailed})
	is("failed", false, 1, 1, event.ExitFailed)
	stage(2, "one", "two")
	is("second stage begun", true, 2, 2, 0)
	ended(event.Summary{Exit: event.ExitInterrupted, Interrupted: true})
	is("interrupted", true, 2, 2, event.ExitInterrupted)
	stage(2, "one", "two")
	is("continued", true, 2, 2, 0)
	ended(event.Summary{})
	is("ended", false, 2, 2, 0)
	check(t, l.Close())
}

package log_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/log"
)

func snapshotOf(state string) string { return filepath.Join(state, "snapshot.json") }

// known is all that the logs of a state folder tell: of machines, of sessions and of runs.
func known(t *testing.T, state string, machines []string) string {
	t.Helper()
	l, err := log.Dry(state, "asks", log.Options{})
	check(t, err)
	runs, err := log.List(state)
	check(t, err)
	all := map[string]any{"runs": runs}
	for _, m := range machines {
		h := l.History(m)
		last, _ := h.LastReset()
		boot, _ := h.BootSet()
		taken, _ := h.Taken()
		left := l.Leftover(m)
		slices.SortFunc(left, func(a, b bmc.Session) int { return strings.Compare(a.ID, b.ID) })
		all[m] = map[string]any{"last": last, "boot": boot, "taken": taken, "mounted": h.Mounted(), "left": h.Left(), "continuous": h.OnlyContinuous(), "sessions": left, "model": h.Model()}
	}
	for _, model := range []string{"R750", "DL380"} {
		for _, phase := range event.Phases {
			all[model+" "+string(phase)] = l.Expected(model, phase)
		}
	}
	b, err := json.MarshalIndent(all, "", " ")
	check(t, err)
	return string(b)
}

// copyLogs makes a state folder with the same logs and no snapshot.
func copyLogs(t *testing.T, state string) string {
	t.Helper()
	out := t.TempDir()
	check(t, os.CopyFS(filepath.Join(out, "runs"), os.DirFS(filepath.Join(state, "runs"))))
	return out
}

// site is a state folder in which several processes work at once, each on machines that no
// other one has.
type site struct {
	*testing.T
	*rand.Rand
	state    string
	now      time.Time
	machines map[string]*process // at work; nil: free
	runs     map[string]*process // at work; nil: ended, by Close or by a crash
	older    []byte              // a snapshot from before
}

type process struct {
	run      string
	log      *log.Log
	machines []string
	changes  []string
	sessions []string
}

func newSite(t *testing.T, seed uint64) *site {
	s := &site{t, rand.New(rand.NewPCG(seed, 2)), t.TempDir(), noon, map[string]*process{}, map[string]*process{}, nil}
	for _, m := range []string{"m1", "m2", "m3", "m4", "m5"} {
		s.machines[m] = nil
	}
	check(t, os.MkdirAll(filepath.Join(s.state, "runs"), 0o700))
	return s
}

func (s *site) event(k event.Kind, machine string) event.Event {
	s.now = s.now.Add(time.Second)
	return event.Event{Kind: k, Host: machine, Step: "s", Time: s.now}
}

func any1[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// names are those of machines or runs that are at work, or that are not, in a fixed order.
func names(of map[string]*process, atWork bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(of)), func(name string) bool { return (of[name] != nil) != atWork })
}

// step lets something happen.
func (s *site) step() {
	free, ended, busy := names(s.machines, false), names(s.runs, false), names(s.runs, true)
	switch n := s.IntN(20); {
	case n < 3 && len(free) > 1:
		run := fmt.Sprintf("run%d", len(s.runs)+1)
		if len(ended) > 0 && s.IntN(2) == 0 {
			run = any1(s.Rand, ended)
		}
		s.begin(run, free[:1+s.IntN(2)])
	case n < 5 && len(busy) > 0:
		s.end(s.runs[any1(s.Rand, busy)], s.IntN(2) == 0)
	case n == 5:
		s.harmSnapshot()
	case n == 6 && len(ended) > 0:
		s.harmLog(any1(s.Rand, ended))
	case len(busy) > 0:
		s.act(s.runs[any1(s.Rand, busy)])
	}
}

func (s *site) begin(run string, machines []string) {
	l, err := log.Open(s.state, run, log.Options{})
	check(s, err)
	p := &process{run: run, log: l, machines: machines}
	s.runs[run] = p
	for _, m := range machines {
		s.machines[m] = p
	}
	e := s.event(log.StageStarted, "")
	check(s, l.Keep(log.Record{Event: e, Stage: &log.Stage{Number: 1, Plan: "lab", Hosts: machines, Steps: []string{"s"}, Started: e.Time}}))
}

// end ends a process: it closes its log, or is killed.
func (s *site) end(p *process, killed bool) {
	if !killed {
		e := s.event(event.RunDone, "")
		e.Summary = &event.Summary{Hosts: map[event.Status]int{event.OK: len(p.machines)}}
		check(s, p.log.Note(e))
		check(s, p.log.Close())
	}
	s.runs[p.run] = nil
	for _, m := range p.machines {
		s.machines[m] = nil
	}
}

// act does something to a machine.
func (s *site) act(p *process) {
	machine := any1(s.Rand, p.machines)
	switch n := s.IntN(10); {
	case n == 9:
		e := s.event(event.Phased, machine)
		last, _ := p.log.History(machine).LastReset()
		e.Phase = &event.Entered{Phase: any1(s.Rand, event.Phases), Evidence: "x", Reset: last.Time, Model: any1(s.Rand, []string{"", "R750", "DL380"}),
			Watched: last.Time.Add(time.Duration(s.IntN(10)) * time.Minute)}
		check(s, p.log.Later(e))
	case n < 3 && len(p.changes) > 0:
		e := s.event(event.WriteDone, machine)
		e.Settled = &event.Settled{Change: any1(s.Rand, p.changes), Fate: any1(s.Rand, []event.Fate{event.Done, event.Refused, event.Unknown, event.Undone}), Stays: s.IntN(5) == 0}
		check(s, p.log.Later(e))
	case n == 3:
		e := s.event(event.StepDone, machine)
		e.Status, e.Verdict = event.OK, &event.Verdict{Proven: s.IntN(2) == 0, Ended: s.IntN(2) == 0}
		check(s, p.log.Later(e))
	case n == 4:
		uri := fmt.Sprintf("/%s/%d", p.run, s.now.Unix())
		p.sessions = append(p.sessions, uri)
		check(s, p.log.SessionAsked(machine, uri, s.now))
		if s.IntN(3) > 0 {
			p.log.SessionOpened(machine, uri, uri)
		}
	case n == 6: // tells nothing, whatever it looks like
		e := s.event(event.HostStarted, machine)
		e.Step, e.Text = `s","kind":"step_done`, `","kind":"write","verdict":{"proven":true}`
		check(s, p.log.Later(e))
	case n == 5 && len(p.sessions) > 0:
		p.log.SessionClosed(machine, p.sessions[0])
		p.sessions = p.sessions[1:]
	default:
		e := s.event(event.WriteMade, machine)
		c := any1(s.Rand, []event.Change{
			{Verb: event.Insert, Target: "slot CD1", New: "http://x/a.iso"}, {Verb: event.Eject, Target: "slot CD1", Old: "http://x/a.iso"},
			{Verb: event.SetBoot, New: "cd"}, {Verb: event.SetBoot, New: "none"},
			{Verb: event.Reset, New: "ForceOff", Intent: event.Intent{Boots: true, Before: &event.Snapshot{Fingerprint: "aa"}}},
			{Verb: event.Reset, New: "On", Intent: event.Intent{Boots: true, Installs: true, Medium: "m"}},
		})
		e.Write = &c
		id, err := p.log.Append(e)
		check(s, err)
		p.changes = append(p.changes, id)
	}
}

// harmSnapshot deletes or damages the snapshot, or puts an older one in its place.
func (s *site) harmSnapshot() {
	b, err := os.ReadFile(snapshotOf(s.state))
	if err != nil || len(b) == 0 {
		return
	}
	switch s.IntN(5) {
	case 0:
		check(s, os.Remove(snapshotOf(s.state)))
		return
	case 1:
		b[s.IntN(len(b))] ^= 4
	case 2:
		b = b[:s.IntN(len(b))]
	case 3:
		s.older, b = b, s.older
	case 4:
		b = otherVersion(b)
	}
	check(s, os.WriteFile(snapshotOf(s.state), b, 0o600))
}

// otherVersion makes a snapshot that an esxiplan to come may have written: it is valid, and
// what this one would read of it is not so.
func otherVersion(b []byte) []byte {
	body, _, _ := bytes.Cut(b, []byte("\n"))
	body = bytes.Replace(body, []byte(`"version":4`), []byte(`"version":9`), 1)
	body = bytes.ReplaceAll(body, []byte(`"slot CD1"`), []byte(`"slot CD7"`))
	return fmt.Appendf(body, "\n%08x\n", crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

// harmLog makes a log shorter, as a copy from before is, or as a crash leaves it.
func (s *site) harmLog(run string) {
	name := filepath.Join(s.state, "runs", run+".jsonl")
	b, err := os.ReadFile(name)
	check(s, err)
	if l := lines(b); len(l) > 1 && s.IntN(2) == 0 {
		b = bytes.Join(l[:1+s.IntN(len(l)-1)], nil)
	}
	if s.IntN(2) == 0 {
		b = append(b, `{"schema":1,"seq":99,"time":"2026-`...)
	}
	check(s, os.WriteFile(name, b, 0o600))
}

// TestSnapshot: what is known of machines, sessions and runs by the snapshot and the rest of
// the logs is what the logs alone tell, whatever happened to the snapshot, and in whatever
// order processes worked and ended.
func TestSnapshot(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, seed)
			machines, seen := slices.Sorted(maps.Keys(s.machines)), false
			for n := range 120 {
				s.step()
				if _, err := os.Stat(snapshotOf(s.state)); err == nil {
					seen = true
				}
				if n%6 > 0 {
					continue
				}
				if got, want := known(t, s.state, machines), known(t, copyLogs(t, s.state), machines); got != want {
					t.Fatalf("after %d steps it is known that\n%s\nbut the logs say\n%s", n, got, want)
				}
			}
			if !seen {
				t.Error("no snapshot was ever written")
			}
		})
	}
}

// change records a change and its fate.
func change(t *testing.T, l *log.Log, machine string, at time.Time, c event.Change) {
	t.Helper()
	id, err := l.Append(event.Event{Kind: event.WriteMade, Host: machine, Step: "s", Time: at, Write: &c})
	check(t, err)
	check(t, l.Later(event.Event{Kind: event.WriteDone, Host: machine, Step: "s", Time: at, Settled: &event.Settled{Change: id, Fate: event.Done}}))
}

var (
	installs = event.Change{Verb: event.Reset, New: "On", Intent: event.Intent{Boots: true, Installs: true}}
	mounts   = event.Change{Verb: event.Insert, Target: "slot CD1", New: "http://x/a.iso"}
)

// write makes the log of a run that did things to a machine and ended, or not.
func write(t *testing.T, state, run, machine string, at time.Time, ended bool, changes ...event.Change) {
	t.Helper()
	l, err := log.Open(state, run, log.Options{})
	check(t, err)
	check(t, l.Keep(log.Record{Event: event.Event{Kind: log.StageStarted, Time: at}, Stage: &log.Stage{Number: 1, Plan: "lab", Hosts: []string{machine}, Steps: []string{"s"}}}))
	for _, c := range changes {
		change(t, l, machine, at, c)
	}
	if ended {
		check(t, l.Note(event.Event{Kind: event.RunDone, Time: at, Summary: &event.Summary{}}))
	}
	check(t, l.Close())
}

func proves(t *testing.T, state, run, machine string, at time.Time) {
	t.Helper()
	l, err := log.Open(state, run, log.Options{})
	check(t, err)
	check(t, l.Keep(log.Record{Event: event.Event{Kind: log.StageStarted, Time: at}, Stage: &log.Stage{Number: 2, Plan: "lab", Hosts: []string{machine}}}))
	_, err = l.Append(event.Event{Kind: event.StepDone, Host: machine, Status: event.OK, Time: at, Verdict: &event.Verdict{Proven: true}})
	check(t, err)
	check(t, l.Note(event.Event{Kind: event.RunDone, Time: at, Summary: &event.Summary{}}))
	check(t, l.Close())
}

func installing(t *testing.T, state, machine string) bool {
	t.Helper()
	l, err := log.Dry(state, "asks", log.Options{})
	check(t, err)
	_, open := l.History(machine).Installing()
	return open
}

// TestClockSetBack: the stages of a log count in the order in which they stand there.
func TestClockSetBack(t *testing.T) {
	state := t.TempDir()
	write(t, state, "run", "m1", noon, true, installs)
	proves(t, state, "run", "m1", noon.Add(-time.Hour))
	check(t, os.Remove(snapshotOf(state)))
	if installing(t, state, "m1") {
		t.Error("an installation that was proven is open")
	}
}

// TestSnapshotOfAnotherLog: a log that was replaced by another one of the same name, longer
// than what the snapshot has of it, is read from its start.
func TestSnapshotOfAnotherLog(t *testing.T) {
	state := t.TempDir()
	write(t, state, "run", "m1", noon, true, mounts)
	check(t, os.Remove(logOf(state)))
	other := t.TempDir()
	write(t, other, "run", "m2", noon.Add(time.Hour), true, mounts, installs, mounts)
	check(t, os.WriteFile(logOf(state), content(t, other), 0o600))
	if !installing(t, state, "m2") {
		t.Error("the log that is there now was not read")
	}
}

// TestRemovedLogStaysKnown: also where a run of the same name begins and is killed.
func TestRemovedLogStaysKnown(t *testing.T) {
	state := t.TempDir()
	write(t, state, "run", "m1", noon, true, installs)
	proves(t, state, "run", "m1", noon.Add(time.Minute))
	gone, err := log.Prune(state, log.PruneOptions{Before: noon.Add(time.Hour)})
	if err != nil || len(gone.Removed) != 1 {
		t.Fatal(gone, err)
	}
	knows := func() {
		t.Helper()
		l, err := log.Dry(state, "asks", log.Options{})
		check(t, err)
		if last, _ := l.History("m1").LastReset(); last.Run != "run" {
			t.Errorf("what the removed log told is forgotten: %+v", last)
		}
	}
	knows()
	again, err := log.Open(state, "run", log.Options{})
	check(t, err)
	for n := range 20 {
		check(t, again.Keep(log.Record{Event: event.Event{Kind: log.StageStarted, Time: noon.Add(2 * time.Hour)}, Stage: &log.Stage{Number: 1, Plan: "lab"}}))
		if n == 0 || n == 19 {
			knows()
		}
	}
	if i := again.Info(); !i.Began.Equal(noon.Add(2*time.Hour)) || again.Before() != 0 {
		t.Errorf("the new run of that name began %s, with %d records before it", i.Began, again.Before())
	}
}

// TestRemovedWhileAtWork: a process that ends after a prune keeps what the removed logs told.
func TestRemovedWhileAtWork(t *testing.T) {
	state := t.TempDir()
	busy, err := log.Open(state, "busy", log.Options{})
	check(t, err)
	check(t, busy.Keep(log.Record{Event: event.Event{Kind: log.StageStarted, Time: noon}, Stage: &log.Stage{Number: 1, Plan: "lab"}}))
	write(t, state, "run", "m1", noon.Add(time.Minute), true, installs)
	proves(t, state, "run", "m1", noon.Add(2*time.Minute))
	gone, err := log.Prune(state, log.PruneOptions{Before: noon.Add(time.Hour)})
	if err != nil || len(gone.Removed) != 1 || gone.Removed[0].Run != "run" {
		t.Fatal(gone, err)
	}
	check(t, busy.Close())
	l, err := log.Dry(state, "asks", log.Options{})
	check(t, err)
	if last, _ := l.History("m1").LastReset(); last.Run != "run" {
		t.Errorf("the process that ended last made its snapshot without it: %+v", last)
	}
}

// TestPrune: which logs are removed.
func TestPrune(t *testing.T) {
	state := t.TempDir()
	off := event.Change{Verb: event.Reset, New: "ForceOff", Intent: event.Intent{Boots: true}}
	write(t, state, "installing", "m1", noon, true, installs)
	write(t, state, "mounted", "m2", noon, true, mounts)
	write(t, state, "boots", "m3", noon, true, event.Change{Verb: event.SetBoot, New: "cd"})
	write(t, state, "off", "m4", noon, true, off)
	write(t, state, "not-ended", "m5", noon, false)
	write(t, state, "recent", "m5", noon.Add(2*time.Hour), true)
	write(t, state, "old", "m5", noon, true)
	write(t, state, "mount", "m2", noon, true) // whose name begins as another one does
	runs := func() (names []string) {
		infos, err := log.List(state)
		check(t, err)
		for _, i := range infos {
			names = append(names, i.Run)
		}
		slices.Sort(names)
		return names
	}
	all := runs()
	pruned := func(dry bool) string {
		gone, err := log.Prune(state, log.PruneOptions{Before: noon.Add(time.Hour), Dry: dry})
		check(t, err)
		var names []string
		for _, i := range gone.Removed {
			names = append(names, i.Run)
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	if got := pruned(true); got != "mount old" || !slices.Equal(runs(), all) {
		t.Errorf("would remove %s, and left %v", got, runs())
	}
	if got := pruned(false); got != "mount old" || len(runs()) != len(all)-2 {
		t.Errorf("removed %s, and left %v", got, runs())
	}
	if got := pruned(false); got != "" {
		t.Errorf("removed %s at last", got)
	}
	if !installing(t, state, "m1") {
		t.Error("an open installation is forgotten")
	}
}

// TestPruneWithoutSnapshot: where what the logs tell cannot be kept, none is removed.
func TestPruneWithoutSnapshot(t *testing.T) {
	state := t.TempDir()
	write(t, state, "run", "m1", noon, true)
	check(t, os.Remove(snapshotOf(state)))
	check(t, os.MkdirAll(filepath.Join(snapshotOf(state), "in-the-way"), 0o700)) // stops a rename, also root's
	gone, err := log.Prune(state, log.PruneOptions{Before: noon.Add(time.Hour)})
	if err == nil || len(gone.Removed) != 0 || !strings.Contains(err.Error(), "nothing was removed") {
		t.Errorf("removed %v, %v", gone, err)
	}
	if n, err := records(state); n == 0 || err != nil {
		t.Errorf("the log is gone: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(state, "*.new")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestDamageBehindSnapshot: where a log is damaged behind what the snapshot has of it, the
// place is still that in the file.
func TestDamageBehindSnapshot(t *testing.T) {
	whole := small(t)
	state := folder(t, whole)
	l, err := log.Open(state, "other", log.Options{})
	check(t, err)
	check(t, l.Keep(log.Record{Event: event.Event{Kind: log.Interrupted, Time: noon}}))
	check(t, l.Close())
	check(t, os.WriteFile(logOf(state), append(whole, "{}\n"...), 0o600))
	_, err = log.Dry(state, "next", log.Options{})
	isDamaged(t, err, len(whole), bytes.Count(whole, []byte("\n"))+1)
}

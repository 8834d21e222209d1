package log

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/step"
	"esxiplan/schema"
)

// suffix is that of the file of a log.
const suffix = ".jsonl"

func runsDir(state string) string { return filepath.Join(state, "runs") }

func snapshotFile(state string) string { return filepath.Join(state, "snapshot.json") }

// snapshotVersion is that of the snapshot; another one is not read.
const snapshotVersion = 2

// past is what all logs of a state folder add up to. Its exported fields are the snapshot.
type past struct {
	Version  int                      `json:"version"`
	Logs     map[string]*mark         `json:"logs"` // by run
	Machines map[string]*step.History `json:"machines"`
	Left     map[string][]string      `json:"left"` // sessions of BMCs that nobody closed, by BMC

	run string // the one under way
}

// mark is how far a log went into a past, and what it is about.
type mark struct {
	Size   int64 `json:"size"`
	Chain  chain `json:"chain,omitempty"`
	Legacy bool  `json:"legacy,omitempty"`
	Info
}

func newPast() *past {
	return &past{Version: snapshotVersion, Logs: map[string]*mark{}, Machines: map[string]*step.History{}, Left: map[string][]string{}}
}

// load reads the snapshot, and the logs as far as they are not in it.
func load(state string) (*past, error) {
	sizes, err := logSizes(state)
	if err != nil {
		return nil, err
	}
	p, ok := loadSnapshot(snapshotFile(state))
	if !ok || p.disagrees(sizes) {
		p = newPast()
	}
	var fresh []segment
	for run, size := range sizes {
		if m := p.Logs[run]; m == nil || m.Size < size {
			more, err := p.segments(state, run)
			if err != nil {
				return nil, err
			}
			fresh = append(fresh, more...)
		}
	}
	slices.SortStableFunc(fresh, func(a, b segment) int { return a.began.Compare(b.began) })
	for _, s := range fresh {
		if err := p.read(state, s); err != nil {
			return nil, err
		}
	}
	if len(fresh) > saveAfter {
		p.save(state)
	}
	return p, nil
}

// saveAfter is how many stages may be missing in a snapshot before one is written at once.
const saveAfter = 20

// logSizes are the sizes of all logs, by run.
func logSizes(state string) (map[string]int64, error) {
	files, err := os.ReadDir(runsDir(state))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("state folder: %w; choose another with --state", err)
	}
	sizes := map[string]int64{}
	for _, f := range files {
		run, isLog := strings.CutSuffix(f.Name(), suffix)
		if !isLog {
			continue
		}
		info, err := f.Info()
		if err != nil {
			return nil, fmt.Errorf("state folder: %w; choose another with --state", err)
		}
		sizes[run] = info.Size()
	}
	return sizes, nil
}

// loadSnapshot reads a snapshot; ok is false where it is missing or damaged.
func loadSnapshot(name string) (*past, bool) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, false
	}
	body, sum, ok := bytes.Cut(b, []byte("\n"))
	if !ok || string(bytes.TrimSpace(sum)) != checksum(body) {
		return nil, false
	}
	p := newPast()
	if json.Unmarshal(body, p) != nil || p.Version != snapshotVersion {
		return nil, false
	}
	return p, true
}

func checksum(b []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(b, castagnoli)) }

// save writes the snapshot, whole or not at all.
func (p *past) save(state string) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(state, "snapshot-*.new")
	if err != nil {
		return err
	}
	_, err = f.Write(append(append(b, '\n'), checksum(b)+"\n"...))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), snapshotFile(state))
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// disagrees reports a log that is shorter than what went into the snapshot: it is not the
// same one any more.
func (p *past) disagrees(sizes map[string]int64) bool {
	for run, m := range p.Logs {
		if size, there := sizes[run]; there && size < m.Size {
			return true
		}
	}
	return false
}

// segment is one stage in a log: what happened without another run between.
type segment struct {
	run   string
	began time.Time
	from  end
	upTo  int64
}

// segments finds the stages of a log behind what is known of it.
func (p *past) segments(state, run string) (out []segment, err error) {
	at := p.Logs[run].end()
	size := at.size
	_, err = read(filepath.Join(runsDir(state), run+suffix), at, func(r Record, line []byte) error {
		if len(out) == 0 || r.Kind == StageStarted {
			out = append(out, segment{run: run, began: r.Time, from: end{size: size}})
		}
		size += int64(len(line))
		out[len(out)-1].upTo = size
		return nil
	})
	if len(out) > 0 {
		out[0].from = at
	}
	return out, err
}

func (m *mark) end() end {
	if m == nil {
		return end{}
	}
	return end{m.Size, m.Chain, m.Legacy}
}

// read folds a stage.
func (p *past) read(state string, s segment) error {
	size := s.from.size
	at, err := read(filepath.Join(runsDir(state), s.run+suffix), p.Logs[s.run].end(), func(r Record, line []byte) error {
		if size >= s.upTo {
			return errStop
		}
		size += int64(len(line))
		p.foldLine(r, line)
		return nil
	})
	if err == nil {
		p.mark(s.run, at)
	}
	return err
}

// mark notes how far a log went into this past.
func (p *past) mark(run string, at end) {
	m := p.logOf(run)
	m.Size, m.Chain, m.Legacy = at.size, at.chain, at.legacy
}

func (p *past) logOf(run string) *mark {
	m := p.Logs[run]
	if m == nil {
		m = &mark{}
		p.Logs[run] = m
	}
	return m
}

// foldLine folds a record that was read from a log.
func (p *past) foldLine(r Record, line []byte) {
	if r.Kind == event.WriteMade && r.Write != nil && r.Write.ID == "" {
		p.foldOld(r, line)
		return
	}
	p.fold(r)
}

// follow says which run is under way.
func (p *past) follow(run string) {
	p.run = run
	for _, h := range p.Machines {
		h.Follow(run)
	}
}

// of is the history of a machine.
func (p *past) of(machine string) *step.History {
	h := p.Machines[machine]
	if h == nil {
		h = &step.History{}
		h.Follow(p.run)
		p.Machines[machine] = h
	}
	return h
}

// fold takes a record into the history of its machine, and into what is known of its run.
func (p *past) fold(r Record) {
	p.logOf(r.Run).Info.fold(r)
	switch r.Kind {
	case SessionOpened:
		bmc := bmcOf(r.Host)
		p.Left[bmc] = append(p.Left[bmc], r.Session)
	case SessionClosed:
		bmc := bmcOf(r.Host)
		p.Left[bmc] = slices.DeleteFunc(p.Left[bmc], func(s string) bool { return s == r.Session })
		if len(p.Left[bmc]) == 0 {
			delete(p.Left, bmc)
		}
	}
	if about, ok := aboutMachine(r); ok {
		p.of(r.Machine).Fold(about)
	}
}

// recount takes in a record of the run under way that is in the histories already.
func (p *past) recount(r Record) {
	if about, ok := aboutMachine(r); ok {
		p.of(r.Machine).Recount(about)
	}
}

// aboutMachine is a record as far as it tells of a machine.
func aboutMachine(r Record) (out step.Record, ok bool) {
	out = step.Record{Run: r.Run, Step: r.Step, Time: r.Time, Failed: r.Status == event.Failed || r.Status == event.Ignored}
	switch r.Kind {
	case event.WriteMade:
		out.Change = r.Write
	case event.WriteDone:
		out.Settled = r.Settled
	case event.StepDone:
		if out.Verdict = r.Verdict; out.Verdict == nil {
			out.Verdict = oldVerdict(r.Event)
		}
	}
	return out, out.Change != nil || out.Settled != nil || out.Verdict != nil
}

// foldOld takes in a write from a log of version 0.1, where a write had no ID: it counts as
// done, and a second line with the same write said that it was refused or only found so.
// Such a line is left out: then more counts as done, which is the safe side.
func (p *past) foldOld(r Record, line []byte) {
	var old struct {
		Write struct{ Refused, Found bool } `json:"write"`
	}
	if json.Unmarshal(line, &old) != nil || old.Write.Refused || old.Write.Found && r.Write.Verb == event.Reset {
		return
	}
	r.Write.ID = fmt.Sprintf("%s.%d", r.Run, r.Seq)
	p.fold(r)
	p.fold(Record{Event: event.Event{Kind: event.WriteDone, Run: r.Run, Machine: r.Machine, Settled: &event.Settled{Change: r.Write.ID, Fate: event.Done}}})
}

// oldVerdict is the verdict in a log of version 0.1: it stood in the result.
func oldVerdict(e event.Event) *event.Verdict {
	var old struct {
		Proven *bool
		Goal   string
	}
	if len(e.Result) == 0 || json.Unmarshal(e.Result, &old) != nil || old.Proven == nil {
		return nil
	}
	return &event.Verdict{Proven: *old.Proven, Seeks: old.Goal == "esxi"}
}

// bmcOf is the BMC of a session, which records name by its address: its URL, or what the
// plan said where an earlier version wrote the log.
func bmcOf(address string) string {
	a, err := schema.ParseAddress(address)
	if err != nil {
		return address
	}
	return a.Key()
}

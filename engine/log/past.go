package log

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/private"
	"esxiplan/engine/step"
)

// suffix is that of the file of a log.
const suffix = ".jsonl"

// runsFolder is the folder of the logs in the state folder.
const runsFolder = "runs"

func runsDir(state string) string { return filepath.Join(state, runsFolder) }

func logFile(state, run string) string { return filepath.Join(runsDir(state), run+suffix) }

const snapshotName = "snapshot.json"

func snapshotFile(state string) string { return filepath.Join(state, snapshotName) }

// unfinishedSnapshot is the pattern of the names of snapshots that are being written.
const unfinishedSnapshot = "snapshot-*.new"

// snapshotVersion is that of the snapshot; another one is not read.
const snapshotVersion = 4

// past is what all logs of a state folder add up to. Its exported fields are the snapshot.
type past struct {
	Version  int                      `json:"version"`
	Logs     map[string]*mark         `json:"logs"` // by run
	Machines map[string]*step.History `json:"machines"`
	Left     map[string][]session     `json:"left"`   // logins whose sessions no one closed, by BMC
	Models   map[string]installations `json:"models"` // the latest ones of each model

	run   string           // the one under way
	fresh int64            // bytes of logs that were read because they were not in the snapshot
	sizes map[string]int64 // of the logs that are there, by run
	from  fs.FileInfo      // the snapshot; nil: there was none
}

// mark is how far a log went into a past, and what it is about.
type mark struct {
	Size   int64 `json:"size"`
	Chain  chain `json:"chain,omitempty"`
	Legacy bool  `json:"legacy,omitempty"`
	Info
}

// Past is what the logs of a state folder held when it was read.
type Past struct {
	state string
	past  *past
}

// Read reads the snapshot of a state folder, and what its logs tell after that.
func Read(state string) (*Past, error) {
	p, err := load(state)
	return &Past{state, p}, err
}

// Runs lists the runs, the latest first.
func (p *Past) Runs() []Info { return p.past.list() }

func newPast() *past {
	return &past{Version: snapshotVersion, Logs: map[string]*mark{}, Machines: map[string]*step.History{}, Left: map[string][]session{}, Models: map[string]installations{}}
}

// load reads the snapshot, and the logs as far as they are not in it. A snapshot that does
// not fit the logs is of no use; the logs alone say then whether they are damaged, and where.
func load(state string) (*past, error) {
	from, _ := os.Stat(snapshotFile(state))
	p, ok := loadSnapshot(state)
	sizes, err := logSizes(state) // after the snapshot: logs only grow
	if err != nil {
		return nil, err
	}
	if !ok || p.disagrees(sizes) || p.catchUp(state, sizes) != nil {
		p = newPast()
		if err := p.catchUp(state, sizes); err != nil {
			return nil, err
		}
	}
	p.from, p.sizes = from, sizes
	if p.fresh > saveAfter && p.save(state) == nil { // when that fails, the next process reads as much
		p.from, _ = os.Stat(snapshotFile(state))
	}
	return p, nil
}

// saveAfter is how many bytes of logs may be missing in a snapshot before one is written at
// once.
const saveAfter = 1 << 20

// unusable says what to do about a file of the state folder that cannot be read or written.
func unusable(err error) error {
	return fmt.Errorf("state folder: %w; choose another with --state", err)
}

// logSizes are the sizes of all logs, by run.
func logSizes(state string) (map[string]int64, error) {
	files, err := os.ReadDir(runsDir(state))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, unusable(err)
	}
	sizes := map[string]int64{}
	for _, f := range files {
		run, isLog := strings.CutSuffix(f.Name(), suffix)
		if !isLog {
			continue
		}
		switch info, err := f.Info(); {
		case errors.Is(err, fs.ErrNotExist): // another process pruned it meanwhile
		case err == nil && !info.Mode().IsRegular():
			return nil, unusable(&fs.PathError{Op: "read", Path: logFile(state, run), Err: private.ErrIrregular})
		case err != nil:
			return nil, unusable(err)
		default:
			sizes[run] = info.Size()
		}
	}
	return sizes, nil
}

// loadSnapshot reads a snapshot; ok is false where it is missing, damaged or not ours.
func loadSnapshot(state string) (*past, bool) {
	b, err := readSnapshot(state)
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

func readSnapshot(state string) ([]byte, error) {
	root, err := os.OpenRoot(state)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, info, err := private.Open(root, snapshotName, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := private.Check(f.Name(), info); err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

func checksum(b []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(b, castagnoli)) }

// save writes the snapshot, whole or not at all.
func (p *past) save(state string) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(state, unfinishedSnapshot)
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
		return err
	}
	removeUnfinished(state)
	return nil
}

// renew writes the snapshot. Where another process wrote one since this past was loaded, it
// is taken up: it may hold what was in a log that is removed by now.
func (p *past) renew(state string) error {
	if now, _ := os.Stat(snapshotFile(state)); !sameFile(p.from, now) {
		merged, err := load(state)
		if err != nil {
			return err
		}
		p = merged
	}
	return p.save(state)
}

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// update takes in what the logs of other runs than this one tell since they were read.
func (p *past) update(state, but string) error {
	sizes, err := logSizes(state)
	if err != nil {
		return err
	}
	delete(sizes, but)
	if err = errReplaced; !p.disagrees(sizes) {
		err = p.catchUp(state, sizes)
	}
	if errors.Is(err, errReplaced) {
		return fmt.Errorf("logs in %s were replaced since this run was prepared: start again", runsDir(state))
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

// head is a stage in a log that is to be read next.
type head struct {
	run   string
	began time.Time
}

// after orders heads, the latest first. Where two began at once, the name decides, so that
// the same logs always give the same histories.
func (h head) after(other head) int {
	return cmp.Or(other.began.Compare(h.began), strings.Compare(other.run, h.run))
}

// catchUp reads the logs as far as they are not in this past, stage by stage, the oldest
// first. Within a stage no other run works on its machines, so that each machine's records
// come in the order in which they were made.
func (p *past) catchUp(state string, sizes map[string]int64) error {
	var heads []head
	for run, size := range sizes {
		if m := p.Logs[run]; m != nil && m.Size == size {
			continue
		}
		h, any, err := p.head(state, run)
		switch {
		case errors.Is(err, fs.ErrNotExist): // another process pruned it meanwhile
		case err != nil:
			return err
		case any:
			heads = append(heads, h)
		}
	}
	slices.SortFunc(heads, head.after)
	for len(heads) > 0 {
		last := len(heads) - 1
		next, more, err := p.readStage(state, heads[last].run)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		heads = heads[:last]
		if more {
			i, _ := slices.BinarySearchFunc(heads, next, head.after)
			heads = slices.Insert(heads, i, next)
		}
	}
	return nil
}

// head looks at the first record of a log that is not in this past.
func (p *past) head(state, run string) (h head, any bool, err error) {
	_, err = readSome(state, run, p.Logs[run].end(), tells, func(r Record, _ []byte) error {
		h, any = head{run, r.Time}, true
		return errStop
	})
	return h, any, err
}

// readStage folds the next stage of a log, and returns the one that follows.
func (p *past) readStage(state, run string) (next head, more bool, err error) {
	from, first := p.Logs[run].end(), true
	at, err := readSome(state, run, from, tells, func(r Record, old []byte) error {
		if !first && r.Kind == StageStarted {
			next, more = head{run, r.Time}, true
			return errStop
		}
		first = false
		p.foldRead(run, r, old)
		return nil
	})
	if err == nil {
		p.mark(run, at)
		p.fresh += at.size - from.size
	}
	return next, more, err
}

func (m *mark) end() end {
	if m == nil {
		return end{}
	}
	return end{m.Size, m.Chain, m.Legacy}
}

// mark notes how far a log went into this past.
func (p *past) mark(run string, at end) {
	m := p.logOf(run)
	m.Size, m.Chain, m.Legacy = at.size, at.chain, at.legacy
}

func (p *past) logOf(run string) *mark {
	m := p.Logs[run]
	if m == nil {
		m = &mark{Info: Info{Run: run}}
		p.Logs[run] = m
	}
	return m
}

// tells reports a line that tells more than that time went by, of its run, its machine or a
// BMC. Most do not: outcomes, and steps without a verdict.
func tells(body []byte) bool {
	switch event.Kind(field(body, "kind")) {
	case StageStarted, SessionAsked, SessionOpened, SessionClosed, event.RunStarted, event.RunDone, event.HostDone, event.WriteMade, event.WriteDone, event.Phased:
		return true
	case event.StepDone:
		return bytes.Contains(body, []byte(`"verdict":{`))
	}
	return false
}

// foldRead folds a record that was read from the log of a run; old is its line where that is
// of version 0.1.
func (p *past) foldRead(run string, r Record, old []byte) {
	if old != nil && r.Kind == event.WriteMade && r.Write != nil && r.Write.ID == "" {
		p.foldOld(run, r, old)
		return
	}
	p.fold(run, r)
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

// fold takes a record of a run's log into the history of its machine, and into what is known
// of the run.
func (p *past) fold(run string, r Record) {
	p.logOf(run).Info.fold(r)
	if r.OfSession() {
		p.foldSession(r)
		return
	}
	if about, ok := aboutMachine(r); ok {
		p.of(r.Machine).Fold(about)
	}
	if r.Kind == event.Phased && r.Phase != nil && r.Phase.Phase == event.PhaseProven {
		p.learn(r.Machine, *r.Phase)
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
		out.Verdict = r.Verdict
	case event.Phased:
		out.Entered = r.Phase
	}
	return out, out.Change != nil || out.Settled != nil || out.Verdict != nil || out.Entered != nil
}

// foldOld takes in a write from a log of version 0.1, where a write had no ID: it counts as
// done, and a second line with the same write said that it was refused or only found so.
// Such a line is left out: then more counts as done, which is the safe side.
func (p *past) foldOld(run string, r Record, line []byte) {
	var old struct {
		Write struct{ Refused, Found bool } `json:"write"`
	}
	if json.Unmarshal(line, &old) != nil || old.Write.Refused || old.Write.Found && r.Write.Verb == event.Reset {
		return
	}
	r.Write.ID = fmt.Sprintf("%s.%d", r.Run, r.Seq)
	p.fold(run, r)
	p.fold(run, Record{Event: event.Event{Kind: event.WriteDone, Run: r.Run, Machine: r.Machine, Settled: &event.Settled{Change: r.Write.ID, Fate: event.Done}}})
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

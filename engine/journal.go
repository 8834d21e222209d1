package engine

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"esxiplan/engine/step"
	"esxiplan/schema"
)

// keepRuns bounds how many earlier journals are read for their history.
const keepRuns = 2000

// Journal is the durable log of a run, and what earlier journals in the same
// state folder tell of each host. A line is on disk when Append returns; hosts
// that append at the same time share one fsync.
type Journal struct {
	run  string
	path string
	file *os.File
	o    JournalOptions

	mu       sync.Mutex
	cond     *sync.Cond
	seq      uint64
	pending  []byte
	appended uint64
	synced   uint64
	flushing bool
	err      error

	past map[string]*step.History // by machine
	left map[string][]session     // logins of earlier runs, by BMC

	showing sync.Mutex
}

// JournalOptions connect a journal with its run.
type JournalOptions struct {
	Mask    func(string) string      // takes secrets out of texts; nil does nothing
	Show    func(Event)              // is told of every event, one at a time; may be nil
	Machine func(host string) string // which machine a host of the plan is; nil: the host's name
}

// NewRunID makes an id that sorts by time, to the millisecond: what a later run did
// must not be taken for earlier.
func NewRunID(now time.Time) string {
	b := make([]byte, 2)
	rand.Read(b)
	return fmt.Sprintf("%s-%03x%s", now.UTC().Format("20060102-150405"), now.Nanosecond()/1e6, hex.EncodeToString(b)[:3])
}

// OpenJournal starts the journal of a run in the state folder.
func OpenJournal(state, run string, o JournalOptions) (*Journal, error) {
	dir := filepath.Join(state, "runs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	j, err := DryJournal(state, run, o)
	if err != nil {
		return nil, err
	}
	j.path = filepath.Join(dir, run+".jsonl")
	j.file, err = os.OpenFile(j.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return j, nil
}

// DryJournal knows the past and writes nothing: the journal of a dry run.
func DryJournal(state, run string, o JournalOptions) (*Journal, error) {
	if o.Mask == nil {
		o.Mask = func(s string) string { return s }
	}
	if o.Machine == nil {
		o.Machine = func(host string) string { return host }
	}
	j := &Journal{run: run, o: o, past: map[string]*step.History{}, left: map[string][]session{}}
	j.cond = sync.NewCond(&j.mu)
	err := j.readPast(filepath.Join(state, "runs"))
	return j, err
}

// readPast folds the newest journals.
func (j *Journal) readPast(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return err
	}
	slices.Sort(files)
	for _, name := range files[max(0, len(files)-keepRuns):] {
		b, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read an earlier journal: %w", err)
		}
		if err := j.readJournal(b); err != nil {
			return fmt.Errorf("the journal %s is damaged (%w): what it tells of resets is not known. Repair it, or move it away if you know the state of its machines", name, err)
		}
	}
	return nil
}

// readJournal folds one journal. A last line cut short by a crash is skipped: it
// was never acknowledged, so the write that it announces was not made.
func (j *Journal) readJournal(b []byte) error {
	number := 0
	for line := range bytes.Lines(b) {
		number++
		if !bytes.HasSuffix(line, []byte{'\n'}) {
			return nil
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if e.Kind == WriteMade && e.Write != nil && e.Write.ID == "" {
			j.foldOld(e, line)
			continue
		}
		j.foldSession(e)
		j.fold(e)
	}
	return nil
}

// of is the history of a machine.
func (j *Journal) of(machine string) *step.History {
	h := j.past[machine]
	if h == nil {
		h = &step.History{}
		h.Follow(j.run)
		j.past[machine] = h
	}
	return h
}

// fold takes an event into the history of its machine. A session is left over
// only when it is of an earlier run: this one's are in use.
func (j *Journal) fold(e Event) {
	r := step.Record{Run: e.Run, Step: e.Step, Time: e.Time, Failed: e.Status == Failed || e.Status == Ignored}
	switch {
	case e.Kind == WriteMade && e.Write != nil:
		r.Change = e.Write
	case e.Kind == WriteDone:
		r.Settled = e.Settled
	case e.Kind == StepDone:
		if r.Verdict = e.Verdict; r.Verdict == nil {
			r.Verdict = oldVerdict(e)
		}
	case e.Kind == sessionEnd:
		bmc := bmcOf(e.Host)
		j.left[bmc] = slices.DeleteFunc(j.left[bmc], func(s session) bool { return s.ID == loginOf(e) })
		return
	}
	if r.Change != nil || r.Settled != nil || r.Verdict != nil {
		j.of(e.Machine).Fold(r)
	}
}

// session is a login whose session may be open: what the door to a BMC keeps here.
type session = struct {
	ID, URI string
	Asked   time.Time
}

// foldSession takes in a login of an earlier run.
func (j *Journal) foldSession(e Event) {
	bmc := bmcOf(e.Host)
	switch e.Kind {
	case sessionAsk:
		j.left[bmc] = append(j.left[bmc], session{ID: loginOf(e), Asked: e.Time})
	case sessionOpen:
		i := slices.IndexFunc(j.left[bmc], func(s session) bool { return s.ID == loginOf(e) })
		if i < 0 {
			j.left[bmc] = append(j.left[bmc], session{ID: loginOf(e), URI: e.Session})
			return
		}
		j.left[bmc][i].URI = e.Session
	}
}

// loginOf is the ID of a login; in the journal of an earlier version it is the session's URI.
func loginOf(e Event) string {
	if e.Login == "" {
		return e.Session
	}
	return e.Login
}

// foldOld takes in a write from a journal of version 0.1, where a write had no ID: it counts
// as done, and a second line with the same write said that it was refused or only found so.
// Such a line is left out: then more counts as done, which is the safe side.
func (j *Journal) foldOld(e Event, line []byte) {
	var old struct {
		Write struct{ Refused, Found bool } `json:"write"`
	}
	if json.Unmarshal(line, &old) != nil || old.Write.Refused || old.Write.Found && e.Write.Verb == step.Reset {
		return
	}
	e.Write.ID = fmt.Sprintf("%s.%d", e.Run, e.Seq)
	j.fold(e)
	j.fold(Event{Kind: WriteDone, Run: e.Run, Machine: e.Machine, Settled: &step.Settled{Change: e.Write.ID, Fate: step.Done}})
}

// oldVerdict is the verdict in a journal of version 0.1: it stood in the result.
func oldVerdict(e Event) *step.Verdict {
	var old struct {
		Proven *bool
		Goal   string
	}
	if len(e.Result) == 0 || json.Unmarshal(e.Result, &old) != nil || old.Proven == nil {
		return nil
	}
	return &step.Verdict{Proven: *old.Proven, Seeks: old.Goal == "esxi"}
}

// bmcOf is the BMC of a session, which events name by its address: its URL, or what the
// plan said where an earlier version wrote the journal.
func bmcOf(address string) string {
	key, err := keyOf(address)
	if err != nil {
		return address
	}
	return key
}

// Run is the id of the run.
func (j *Journal) Run() string { return j.run }

// Append makes an event durable, then shows it. A change gets its ID.
func (j *Journal) Append(e Event) (id string, err error) {
	j.mu.Lock()
	err = j.add(&e)
	if err == nil && j.file != nil {
		err = j.flush(j.appended)
	}
	j.mu.Unlock()
	if err == nil {
		j.Show(e)
	}
	if e.Write != nil {
		id = e.Write.ID
	}
	return id, err
}

// Later shows an event that becomes durable with the next one: when a crash forgets it,
// the next process knows less, and nothing wrong.
func (j *Journal) Later(e Event) error {
	j.mu.Lock()
	err := j.add(&e)
	j.mu.Unlock()
	j.Show(e)
	return err
}

// Note shows an event and makes it durable soon: with the next write at the latest.
func (j *Journal) Note(e Event) error {
	j.mu.Lock()
	err := j.add(&e)
	if err == nil && j.file != nil {
		n := j.appended
		go func() {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.flush(n)
		}()
	}
	j.mu.Unlock()
	j.Show(e)
	return err
}

// Show shows an event without keeping it.
func (j *Journal) Show(e Event) {
	if e.Seq == 0 {
		j.mu.Lock()
		j.seq++
		e.Schema, e.Seq, e.Run = EventSchema, j.seq, j.run
		j.mu.Unlock()
	}
	j.showing.Lock()
	defer j.showing.Unlock()
	if j.o.Show != nil {
		j.o.Show(j.masked(e))
	}
}

// add stamps an event, takes it into the history and into the next batch.
func (j *Journal) add(e *Event) error {
	j.seq++
	e.Schema, e.Seq, e.Run = EventSchema, j.seq, j.run
	if e.Host != "" && e.Kind != sessionAsk && e.Kind != sessionOpen && e.Kind != sessionEnd {
		e.Machine = j.o.Machine(e.Host)
	}
	if e.Write != nil {
		change := *e.Write
		change.ID = fmt.Sprintf("%s.%d", j.run, e.Seq)
		e.Write = &change
	}
	j.fold(*e)
	if j.file == nil {
		return nil
	}
	b, err := json.Marshal(j.masked(*e))
	if err != nil {
		return err
	}
	j.pending = append(append(j.pending, b...), '\n')
	j.appended++
	return j.err
}

// flush waits until line n is on disk; whoever finds nobody flushing does it
// for all.
func (j *Journal) flush(n uint64) error {
	for j.synced < n && j.err == nil {
		if j.flushing {
			j.cond.Wait()
			continue
		}
		j.flushing = true
		batch, upTo := j.pending, j.appended
		j.pending = nil
		j.mu.Unlock()
		_, writeErr := j.file.Write(batch)
		err := errors.Join(writeErr, j.file.Sync())
		j.mu.Lock()
		j.flushing, j.synced = false, upTo
		if err != nil {
			j.err = fmt.Errorf("journal %s cannot be written: %w", j.path, err)
		}
		j.cond.Broadcast()
	}
	return j.err
}

// Close makes everything durable and closes the file.
func (j *Journal) Close() error {
	if j.file == nil {
		return nil
	}
	j.mu.Lock()
	err := j.flush(j.appended)
	for j.flushing {
		j.cond.Wait()
	}
	j.mu.Unlock()
	return errors.Join(err, j.file.Close())
}

// SessionAsked notes that a login to a BMC is about to be sent.
func (j *Journal) SessionAsked(address, id string, at time.Time) error {
	return j.session(Event{Kind: sessionAsk, Host: address, Login: id, Time: at})
}

// SessionOpened notes the session that a login opened by its URI, never by its token.
func (j *Journal) SessionOpened(address, id, uri string) {
	j.session(Event{Kind: sessionOpen, Host: address, Login: id, Session: uri, Time: time.Now()})
}

// SessionClosed notes that nothing is left to do about a login.
func (j *Journal) SessionClosed(address, id string) {
	j.session(Event{Kind: sessionEnd, Host: address, Login: id, Time: time.Now()})
}

// session keeps what concerns only later runs: it is not shown.
func (j *Journal) session(e Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.add(&e); err != nil || j.file == nil || e.Kind == sessionEnd {
		return err
	}
	return j.flush(j.appended)
}

// Leftover lists the logins of crashed runs whose sessions may be open on a BMC.
func (j *Journal) Leftover(address string) []session {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.left[bmcOf(address)])
}

// History is what this and earlier runs did to a host's machine.
func (j *Journal) History(host string) step.History {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.of(j.o.Machine(host)).Copy()
}

// masked takes secrets out of the texts of an event, should one ever get there.
// Names, times and numbers are left, and writes: they are states and URLs, which
// cannot hold a secret by their type, and later runs read them back.
func (j *Journal) masked(e Event) Event {
	e.Text = j.o.Mask(e.Text)
	if e.Problem != nil {
		p := *e.Problem
		p.Summary, p.Detail, p.Next = j.o.Mask(p.Summary), j.o.Mask(p.Detail), j.o.Mask(p.Next)
		e.Problem = &p
	}
	if e.Verdict != nil {
		v := *e.Verdict
		v.Reason, v.Next, v.Evidence = j.o.Mask(v.Reason), j.o.Mask(v.Next), slices.Clone(v.Evidence)
		for i, sign := range v.Evidence {
			v.Evidence[i] = j.o.Mask(sign)
		}
		e.Verdict = &v
	}
	if e.Plan != nil {
		p := *e.Plan
		p.Continue, p.Note = j.o.Mask(p.Continue), j.o.Mask(p.Note)
		e.Plan = &p
	}
	if len(e.Result) > 0 && j.o.Mask(string(e.Result)) != string(e.Result) {
		e.Result = maskedJSON(e.Result, j.o.Mask)
	}
	return e
}

// maskedJSON masks the strings in a document.
func maskedJSON(raw json.RawMessage, mask func(string) string) json.RawMessage {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return nil
	}
	b, err := json.Marshal(maskValue(v, mask))
	if err != nil {
		return nil
	}
	return b
}

func maskValue(v any, mask func(string) string) any {
	switch v := v.(type) {
	case string:
		return mask(v)
	case []any:
		for i := range v {
			v[i] = maskValue(v[i], mask)
		}
	case map[string]any:
		for k := range v {
			v[k] = maskValue(v[k], mask)
		}
	}
	return v
}

// keyOf is the key of an address that a door hands back.
func keyOf(address string) (string, error) {
	a, err := schema.ParseAddress(address)
	return a.Key(), err
}

// Pins keeps the certificates seen on first use, one file per BMC.
type Pins struct {
	Dir      string
	ReadOnly bool // a dry run keeps nothing
}

func (p Pins) file(address string) (string, error) {
	key, err := keyOf(address)
	return filepath.Join(p.Dir, "pins", key), err
}

// Pin returns the certificate seen first.
func (p Pins) Pin(address string) (string, bool) {
	file, err := p.file(address)
	if err != nil {
		return "unreadable: " + err.Error(), true
	}
	b, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false
	case err != nil:
		return "unreadable: " + err.Error(), true // trusts nobody rather than anybody
	}
	return strings.TrimSpace(string(b)), true
}

// SetPin keeps the certificate seen first.
func (p Pins) SetPin(address, fingerprint string) error {
	if p.ReadOnly {
		return nil
	}
	file, err := p.file(address)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(p.Dir, "pins"), 0o700); err != nil {
		return err
	}
	temporary := file + ".new"
	if err := os.WriteFile(temporary, []byte(fingerprint+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, file)
}

// Refusals keeps refused logins per system in a folder, so that the runs after one
// another do not lock an account together. Dry runs keep them, too: they log in.
type Refusals struct{ Dir string }

// file is that of one system: a newly installed one has another certificate, and counts
// anew.
func (r Refusals) file(address, fingerprint string) (string, error) {
	key, err := keyOf(address)
	return filepath.Join(r.Dir, "refused", key+"-"+fingerprint[:min(len(fingerprint), 16)]), err
}

// Between counts those of a time. What cannot be read counts as many: the account is spared.
func (r Refusals) Between(address, fingerprint string, from, to time.Time) int {
	file, err := r.file(address, fingerprint)
	if err != nil {
		return math.MaxInt
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	if err != nil {
		return math.MaxInt
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		at, err := time.Parse(time.RFC3339, strings.TrimSpace(line))
		if err == nil && at.After(from) && !at.After(to.Add(time.Minute)) {
			n++
		}
	}
	return n
}

// Add notes one.
func (r Refusals) Add(address, fingerprint string, t time.Time) error {
	file, err := r.file(address, fingerprint)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(t.UTC().Format(time.RFC3339) + "\n")
	return errors.Join(err, f.Close())
}

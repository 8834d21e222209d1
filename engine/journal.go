package engine

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"esxiplan/engine/step"
)

// keepRuns bounds how many earlier journals are read for their history.
const keepRuns = 100

// Journal is the durable log of a run, and what earlier journals in the same
// state folder tell of each host. A line is on disk when Append returns; hosts
// that append at the same time share one fsync.
type Journal struct {
	run  string
	path string
	file *os.File
	mask func([]byte) []byte

	mu       sync.Mutex
	cond     *sync.Cond
	seq      uint64
	pending  []byte
	appended uint64
	synced   uint64
	flushing bool
	err      error

	past map[string]*past // by host
	left map[string][]string

	showing sync.Mutex
	show    func(Event)
}

// past is what journals know of one host.
type past struct {
	inserted string
	boot     string
	reset    *step.LastReset
	written  map[string][]step.Write // by step, of this run only
}

// NewRunID makes an id that sorts by time.
func NewRunID(now time.Time) string {
	b := make([]byte, 3)
	rand.Read(b)
	return now.UTC().Format("20060102-150405") + "-" + hex.EncodeToString(b)
}

// OpenJournal starts the journal of a run in the state folder. mask takes
// secrets out of what is written, should one ever get there; nil does nothing.
// show is told of every event, one at a time.
func OpenJournal(state, run string, mask func([]byte) []byte, show func(Event)) (*Journal, error) {
	dir := filepath.Join(state, "runs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	j := newJournal(run, mask, show)
	if err := j.readPast(dir); err != nil {
		return nil, err
	}
	j.path = filepath.Join(dir, run+".jsonl")
	var err error
	j.file, err = os.OpenFile(j.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return j, nil
}

// DryJournal knows the past and writes nothing: the journal of a dry run.
func DryJournal(state, run string, show func(Event)) (*Journal, error) {
	j := newJournal(run, nil, show)
	err := j.readPast(filepath.Join(state, "runs"))
	return j, err
}

func newJournal(run string, mask func([]byte) []byte, show func(Event)) *Journal {
	if mask == nil {
		mask = func(b []byte) []byte { return b }
	}
	j := &Journal{run: run, mask: mask, past: map[string]*past{}, left: map[string][]string{}, show: show}
	j.cond = sync.NewCond(&j.mu)
	return j
}

// readPast folds the newest journals. A last line cut short by a crash is
// skipped: it was never acknowledged.
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
		lines := bufio.NewScanner(bytes.NewReader(b))
		lines.Buffer(nil, 8<<20)
		for lines.Scan() {
			var e Event
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				j.fold(e)
			}
		}
	}
	return nil
}

func (j *Journal) of(host string) *past {
	p := j.past[host]
	if p == nil {
		p = &past{written: map[string][]step.Write{}}
		j.past[host] = p
	}
	return p
}

// fold takes an event into the history of its host.
func (j *Journal) fold(e Event) {
	switch e.Kind {
	case WriteMade:
		j.of(e.Host).fold(e, e.Run == j.run)
	case StepDone:
		j.of(e.Host).settle(e)
	case sessionOpen:
		j.left[e.Host] = append(j.left[e.Host], e.Session)
	case sessionEnd:
		j.left[e.Host] = slices.DeleteFunc(j.left[e.Host], func(s string) bool { return s == e.Session })
	}
}

func (p *past) fold(e Event, thisRun bool) {
	w := *e.Write
	if thisRun {
		p.written[e.Step] = append(p.written[e.Step], w)
	}
	switch w.Action {
	case "insert":
		p.inserted = w.New
	case "eject":
		if w.Old == p.inserted {
			p.inserted = ""
		}
	case "boot":
		p.boot = w.New
	case "reset":
		if w.Boots && (p.reset == nil || p.reset.Run != e.Run || p.reset.Step != e.Step) {
			p.reset = &step.LastReset{Run: e.Run, Step: e.Step, Time: e.Time, Open: w.Risk == step.Wipes}
			if w.Before != nil {
				p.reset.Before = *w.Before
			}
		}
		if w.Boots && w.New != "ForceOff" {
			p.boot = ""
		}
	}
}

// settle closes the last reset when a step proved the installation, or gave up
// waiting for it.
func (p *past) settle(e Event) {
	if p.reset == nil || len(e.Result) == 0 {
		return
	}
	var result struct {
		Proven *bool  `json:"proven"`
		Goal   string `json:"goal"`
	}
	if json.Unmarshal(e.Result, &result) != nil || result.Proven == nil || result.Goal != "esxi" {
		return
	}
	if *result.Proven || e.Status == Failed || e.Status == Ignored {
		p.reset.Open = false
	}
}

// Run is the id of the run.
func (j *Journal) Run() string { return j.run }

// Append makes an event durable, then shows it.
func (j *Journal) Append(e Event) error {
	j.mu.Lock()
	err := j.add(&e)
	if err == nil && j.file != nil {
		err = j.flush(j.appended)
	}
	j.mu.Unlock()
	if err == nil {
		j.Show(e)
	}
	return err
}

// Note shows an event and makes it durable soon: with the next write at the latest.
func (j *Journal) Note(e Event) error {
	j.mu.Lock()
	err := j.add(&e)
	if err == nil && j.file != nil && !j.flushing {
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
	if j.show != nil {
		j.show(e)
	}
}

// add stamps an event, takes it into the history and into the next batch.
func (j *Journal) add(e *Event) error {
	j.seq++
	e.Schema, e.Seq, e.Run = EventSchema, j.seq, j.run
	j.fold(*e)
	if j.file == nil {
		return nil
	}
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	j.pending = append(append(j.pending, j.mask(b)...), '\n')
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

// SessionOpened notes a session of a BMC by its URI, never by its token.
func (j *Journal) SessionOpened(address, uri string) {
	j.session(Event{Kind: sessionOpen, Host: address, Session: uri, Time: time.Now()})
}

// SessionClosed notes its end.
func (j *Journal) SessionClosed(address, uri string) {
	j.session(Event{Kind: sessionEnd, Host: address, Session: uri, Time: time.Now()})
}

// session keeps what concerns only later runs: it is not shown.
func (j *Journal) session(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.add(&e) == nil && j.file != nil && e.Kind == sessionOpen {
		j.flush(j.appended)
	}
}

// Leftover lists sessions that a crashed run left on a BMC.
func (j *Journal) Leftover(address string) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.left[address])
}

// History is what this and earlier runs did to a host.
func (j *Journal) History(host string) step.History { return history{j, host} }

type history struct {
	journal *Journal
	host    string
}

func (h history) with(read func(*past)) {
	h.journal.mu.Lock()
	defer h.journal.mu.Unlock()
	read(h.journal.of(h.host))
}

func (h history) Inserted() (url string, ok bool) {
	h.with(func(p *past) { url = p.inserted })
	return url, url != ""
}

func (h history) BootSet() (target string, ok bool) {
	h.with(func(p *past) { target = p.boot })
	return target, target != "" && target != "none"
}

func (h history) LastReset() (last step.LastReset, ok bool) {
	h.with(func(p *past) {
		if p.reset != nil {
			last, ok = *p.reset, true
		}
	})
	return last, ok
}

func (h history) Written(name string) (out []step.Write) {
	h.with(func(p *past) { out = slices.Clone(p.written[name]) })
	return out
}

// Pins keeps the certificates seen on first use, one file per BMC.
type Pins struct{ Dir string }

func (p Pins) file(address string) string {
	return filepath.Join(p.Dir, "pins", strings.Map(func(r rune) rune {
		if strings.ContainsRune("/:[]", r) {
			return '_'
		}
		return r
	}, address))
}

// Pin returns the certificate seen first.
func (p Pins) Pin(address string) (string, bool) {
	b, err := os.ReadFile(p.file(address))
	return strings.TrimSpace(string(b)), err == nil
}

// SetPin keeps the certificate seen first.
func (p Pins) SetPin(address, fingerprint string) error {
	if err := os.MkdirAll(filepath.Join(p.Dir, "pins"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(p.file(address), []byte(fingerprint+"\n"), 0o600)
}

package log

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"sync"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/private"
	"esxiplan/engine/secret"
	"esxiplan/engine/step"
	"esxiplan/engine/text"
)

// Masker takes secrets out of texts, as [secret.Masker] does.
type Masker interface {
	Mask(text string) string             // that people see
	MaskResult(host, text string) string // of an attempt, which a later run reads back
	MaskState(host, text string) string  // or an address, which is compared later
}

// Options connect a log with its run.
type Options struct {
	Masker  Masker            // nil does nothing
	Secrets map[string]string // what a secret is called, by its text
	// Secret gives a text by another name than that in Secrets, where it has several; nil: it
	// has none.
	Secret  func(name string) (text string, ok bool)
	Show    func(event.Event)        // gets every event, one at a time; may be nil
	Machine func(host string) string // which machine a host of the plan is; nil: the host's name
	Held    func() error             // whether the run is still ours to write to; nil: it is
}

// Log is the log of a run under way, and what earlier runs in the same state folder tell
// of each machine. It may be used by several goroutines.
type Log struct {
	run     string
	state   string
	path    string
	file    *os.File // nil in a dry run
	o       Options
	secrets secrets

	mu       sync.Mutex
	cond     *sync.Cond
	seq      uint64
	at       end   // of what is pending
	durable  int64 // bytes that are on disk
	pending  []byte
	appended uint64
	synced   uint64
	flushing bool
	closed   bool
	err      error // final

	outcomes map[string]outcome // the last one of each host that this process logged
	past     *past
	inUse    map[string]bool // logins of this process
	records  []Record        // of the run before this process, until they are handed over
	before   int             // how many these are

	order *order
}

// runName is what a run may be called: its log is a file of that name.
var runName = regexp.MustCompile(`^[\pL\pN][\pL\pN ._+=@%-]*$`)

// longestName is that of a run in bytes; file systems take 255, and its files have suffixes.
const longestName = 200

// CheckName reports what is wrong with the name of a run.
func CheckName(name string) error {
	if !runName.MatchString(name) || len(name) > longestName {
		return fmt.Errorf("%q cannot be the name of a run: use up to %d letters, digits, blanks and . _ + = @ %% -, and begin with a letter or a digit",
			name, longestName)
	}
	return nil
}

// Open begins the log of a run in the state folder, or continues it.
func Open(state, run string, o Options) (*Log, error) {
	l, err := Dry(state, run, o)
	if err != nil {
		return nil, err
	}
	if err := l.Begin(); err != nil {
		return nil, err
	}
	return l, nil
}

// Dry knows the past and writes nothing: the log of a dry run.
func Dry(state, run string, o Options) (*Log, error) {
	p, err := Read(state)
	if err != nil {
		return nil, err
	}
	return p.Log(run, o)
}

// Log is the log of a run as far as it is written: it knows the past and, before Begin,
// writes nothing. It takes the past over.
func (p *Past) Log(run string, o Options) (*Log, error) {
	if o.Masker == nil {
		o.Masker = secret.New("")
	}
	if o.Machine == nil {
		o.Machine = func(host string) string { return host }
	}
	if o.Held == nil {
		o.Held = func() error { return nil }
	}
	if err := CheckName(run); err != nil {
		return nil, err
	}
	l := &Log{run: run, state: p.state, path: logFile(p.state, run), o: o, secrets: newSecrets(o.Secrets, o.Secret), inUse: map[string]bool{}, outcomes: map[string]outcome{}, past: p.past}
	l.cond = sync.NewCond(&l.mu)
	l.order = newOrder(func(e event.Event) {
		if o.Show != nil {
			o.Show(o.masked(e))
		}
	})
	l.past.follow(run)
	return l, l.continues()
}

// continues reads what the run did before.
func (l *Log) continues() error {
	var err error
	l.at, err = read(l.state, l.run, func(r Record) error {
		l.records, l.seq = append(l.records, r), max(l.seq, r.Seq)
		l.past.recount(r)
		return nil
	})
	l.before = len(l.records)
	if errors.Is(err, os.ErrNotExist) {
		delete(l.past.Logs, l.run) // of an earlier run with this name, whose log was removed
		return nil
	}
	if err == nil && l.at.legacy {
		return fmt.Errorf("the run %s was made by an older esxiplan, whose runs cannot be continued: give the new one another name", l.run)
	}
	return err
}

// Continued is a run that another process continued, or whose log was removed, since it was
// read.
type Continued struct{ Run string }

func (e *Continued) Error() string {
	return fmt.Sprintf("run %s was continued by another process meanwhile; look at it with esxiplan runs show %[1]s, and start again", e.Run)
}

// Begin opens the log for what is to come, after what other processes logged since it was
// read. The error is a [Continued] where that is of this run.
func (l *Log) Begin() error {
	if l.at.size == 0 {
		if err := l.create(); err != nil {
			return unusable(err)
		}
	}
	file, err := openLog(l.state, l.run, os.O_RDWR|os.O_APPEND)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &Continued{l.run}
	case err != nil:
		return unusable(err)
	}
	if err := l.begin(file); err != nil {
		return errors.Join(err, file.Close())
	}
	l.file, l.durable = file, l.at.size
	return nil
}

// create makes an empty log where no log exists.
func (l *Log) create() error {
	runs, err := private.MakeSub(l.state, runsFolder)
	if err != nil {
		return err
	}
	defer runs.Close()
	if err := private.Create(runs, l.run+suffix, nil); !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// begin makes sure that nothing was missed, and cuts off a record that a crash cut short.
func (l *Log) begin(file *os.File) error {
	if err := l.ends(file); err != nil {
		return err
	}
	if err := l.past.update(l.state, l.run); err != nil {
		return err
	}
	if err := file.Truncate(l.at.size); err != nil {
		return unusable(err)
	}
	return nil
}

// ends reports a log that does not end where it was read to, by the histories, too.
func (l *Log) ends(file *os.File) error {
	more := &Continued{l.run}
	if l.past.Logs[l.run].end().size != l.at.size || errors.Is(l.at.find(file), errReplaced) {
		return more
	}
	_, err := readLines(l.path, file, l.at, everything, func(Record, []byte) error { return more })
	return err
}

// MakeName makes the name of a run that sorts by time, to the millisecond.
func MakeName(now time.Time) string {
	b := make([]byte, 2)
	rand.Read(b)
	return fmt.Sprintf("%s-%03x%s", now.UTC().Format("20060102-150405"), now.Nanosecond()/1e6, hex.EncodeToString(b)[:3])
}

// Info is what the log says of the run as a whole.
func (l *Log) Info() Info {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.past.logOf(l.run).Info
}

// Before is how many records the run had before this process.
func (l *Log) Before() int { return l.before }

// Run is the name of the run.
func (l *Log) Run() string { return l.run }

// Records hands over those of the run before this process, oldest first, secrets in their
// places. The log keeps them no longer: they are many.
func (l *Log) Records() ([]Record, error) {
	out := l.records
	l.records = nil
	for i := range out {
		var err error
		if out[i].Outcome, err = l.secrets.reveal(out[i].Outcome); err != nil {
			return nil, fmt.Errorf("run %s cannot be continued: record %d of its log: %w", l.run, out[i].Seq, err)
		}
	}
	return out, nil
}

// Append makes an event durable, then shows it. A change gets its ID.
func (l *Log) Append(e event.Event) (id string, err error) {
	r := Record{Event: e}
	at, err := l.enter(&r, func() error { return l.flush(l.appended) })
	switch {
	case at == nil:
	case err == nil:
		l.order.give(at, r.Event)
	default:
		l.order.drop(at)
	}
	if r.Write != nil {
		id = r.Write.ID
	}
	return id, err
}

// enter adds an event and takes its place among those that are shown; then is done before
// anything else is added.
func (l *Log) enter(r *Record, then func() error) (*seat, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.add(r); err != nil {
		return nil, err
	}
	at := l.order.take()
	return at, then()
}

// Keep makes records durable that only the log has.
func (l *Log) Keep(records ...Record) error {
	all := make([]*Record, len(records))
	for i := range records {
		records[i].Log = Version
		all[i] = &records[i]
	}
	return l.keep(all...)
}

func (l *Log) keep(records ...*Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		if err := l.add(r); err != nil {
			return err
		}
	}
	return l.flush(l.appended)
}

// Later shows an event that becomes durable with the next one: when a crash forgets it,
// the next process knows less, and nothing wrong.
func (l *Log) Later(e event.Event) error {
	return l.tell(e, func() error { return nil })
}

// Note shows an event and makes it durable soon: with the next write at the latest.
func (l *Log) Note(e event.Event) error { return l.tell(e, l.soon) }

// soon writes what is pending, without a wait for it.
func (l *Log) soon() error {
	if l.file != nil {
		n := l.appended
		go func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.flush(n)
		}()
	}
	return nil
}

// tell adds an event and shows it, also where the log cannot take it any more.
func (l *Log) tell(e event.Event, then func() error) error {
	r := Record{Event: e}
	at, err := l.enter(&r, then)
	if err != nil {
		l.Show(e)
		return err
	}
	l.order.give(at, r.Event)
	return nil
}

// Show shows an event without keeping it.
func (l *Log) Show(e event.Event) {
	l.mu.Lock()
	l.seq++
	e.Schema, e.Seq, e.Run = event.Schema, l.seq, l.run
	at := l.order.take()
	l.mu.Unlock()
	l.order.give(at, e)
}

// add stamps a record, and takes it into the next batch and into the history.
func (l *Log) add(r *Record) error {
	if l.err != nil {
		return l.err
	}
	if l.closed {
		return fmt.Errorf("the log %s is closed", l.path)
	}
	l.stamp(r)
	if l.file != nil {
		if err := l.seal(*r); err != nil {
			return err
		}
	}
	known := *r
	known.Event = l.o.masked(r.Event) // as the next process reads it, and as the snapshot keeps it
	l.past.fold(l.run, known)
	return nil
}

// stamp says where a record belongs. The first one of a log has the version, so that the
// log cannot be taken for one of version 0.1.
func (l *Log) stamp(r *Record) {
	l.seq++
	r.Schema, r.Seq, r.Run = event.Schema, l.seq, l.run
	if l.at.size == 0 {
		r.Log = Version
	}
	if r.Host != "" && !r.OfSession() {
		r.Machine = l.o.Machine(r.Host)
	}
	if r.Write != nil {
		change := *r.Write
		change.ID = fmt.Sprintf("%s.%d", l.run, r.Seq)
		r.Write = &change
	}
}

// seal takes a record into the next batch, without secrets.
func (l *Log) seal(r Record) error {
	r.Event = l.o.masked(r.Event)
	r.Outcome = l.secrets.refer(r.Outcome, func(text string) string { return l.o.Masker.MaskResult(r.Host, text) })
	b, err := l.at.chain.seal(l.shorten(r))
	if err != nil {
		return err
	}
	l.pending = append(l.pending, b...)
	l.at.size += int64(len(b))
	l.appended++
	return nil
}

// flush waits until line n is on disk; whoever finds no one flushing does it for all.
func (l *Log) flush(n uint64) error {
	for l.file != nil && l.synced < n && l.err == nil {
		if l.flushing {
			l.cond.Wait()
			continue
		}
		l.flushing = true
		batch, upTo := l.pending, l.appended
		l.pending = nil
		l.mu.Unlock()
		err := l.write(batch)
		l.mu.Lock()
		l.flushing, l.synced, l.err = false, upTo, err
		l.cond.Broadcast()
	}
	return l.err
}

// write makes a batch durable, if the run is still ours to write to. What cannot be made
// durable is taken back: the log ends with what was acknowledged.
func (l *Log) write(batch []byte) error {
	if err := l.o.Held(); err != nil {
		return err
	}
	_, err := l.file.Write(batch)
	if err == nil {
		err = l.file.Sync()
	}
	if err == nil {
		l.durable += int64(len(batch))
		return nil
	}
	if l.o.Held() == nil {
		l.file.Truncate(l.durable) // where that fails, too, more counts as asked for than was
	}
	return fmt.Errorf("the log %s cannot be written: %w; make room or repair the disk, then continue the run", l.path, err)
}

// Close makes everything durable, closes the file and takes the log into the snapshot.
// What comes later is refused.
func (l *Log) Close() error {
	l.order.end()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil || l.closed {
		return nil
	}
	l.closed = true
	err := l.flush(l.appended)
	for l.flushing {
		l.cond.Wait()
	}
	err = errors.Join(err, l.file.Close())
	if err == nil && l.o.Held() == nil {
		l.past.mark(l.run, l.at)
		l.past.renew(l.state) // when that fails, the next process reads the logs
	}
	return err
}

// History is what this and earlier runs did to a host's machine.
func (l *Log) History(host string) step.History {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.past.of(l.o.Machine(host)).Copy()
}

// masked takes secrets out of the texts of an event. Names, times and numbers are left, and
// what a write sets: a state, or our URL, which cannot hold a secret and which later
// runs read back. What it found was said by the machine.
func (o Options) masked(e event.Event) event.Event {
	mask := o.Masker.Mask
	e.Text = mask(e.Text)
	if e.Write != nil {
		w := *e.Write
		w.Old = o.Masker.MaskState(e.Host, w.Old)
		w.Makes, w.Replaces, w.Machine = maskedMedium(w.Makes, mask), maskedMedium(w.Replaces, mask), maskedMachine(w.Machine, mask)
		e.Write = &w
	}
	if e.Problem != nil {
		p := *e.Problem
		p.Summary, p.Detail, p.Next, p.Answer = mask(p.Summary), mask(p.Detail), mask(p.Next), maskedAnswer(p.Answer, mask)
		e.Problem = &p
	}
	if e.Verdict != nil {
		v := *e.Verdict
		v.Reason, v.Next, v.Version, v.Build = mask(v.Reason), mask(v.Next), mask(v.Version), mask(v.Build)
		v.Evidence, v.Unchecked = maskedLines(v.Evidence, mask), maskedLines(v.Unchecked, mask)
		e.Verdict = &v
	}
	if e.Phase != nil {
		p := *e.Phase
		p.Evidence, p.Model = mask(p.Evidence), mask(p.Model)
		e.Phase = &p
	}
	if e.Plan != nil {
		p := *e.Plan
		p.Note, p.Commands = mask(p.Note), p.Commands.Each(mask)
		e.Plan = &p
	}
	if e.Summary != nil {
		s := *e.Summary
		s.Internal = mask(s.Internal)
		e.Summary = &s
	}
	e.Result = text.InJSON(e.Result, mask)
	return e
}

func maskedLines(lines []string, mask func(string) string) []string {
	lines = slices.Clone(lines)
	for i, line := range lines {
		lines[i] = mask(line)
	}
	return lines
}

// maskedMedium takes secrets out of what is on a medium.
func maskedMedium(m *event.Medium, mask func(string) string) *event.Medium {
	if m == nil {
		return nil
	}
	out := event.Medium{Source: mask(m.Source), Kickstart: mask(m.Kickstart)}
	for _, o := range m.Options {
		out.Options = append(out.Options, mask(o))
	}
	return &out
}

// maskedAnswer takes secrets out of what a BMC answered.
func maskedAnswer(a *event.Answer, mask func(string) string) *event.Answer {
	if a == nil {
		return nil
	}
	return &event.Answer{Request: mask(a.Request), Status: a.Status, Body: mask(a.Body)}
}

// maskedMachine takes secrets out of what a machine said of itself. Its identity is left: it is
// compared later.
func maskedMachine(m *event.Machine, mask func(string) string) *event.Machine {
	if m == nil {
		return nil
	}
	out := *m
	out.Runs.Reason = mask(m.Runs.Reason)
	return &out
}

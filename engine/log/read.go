package log

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"esxiplan/engine/event"
	"esxiplan/engine/private"
)

// Damaged is a log whose records cannot be trusted.
type Damaged struct {
	File   string
	Offset int64 // of the first record that cannot be read, in bytes
	Line   int
	Err    error
}

func (e *Damaged) Error() string {
	return fmt.Sprintf("the log %s is damaged at byte %d (line %d): %v. What it tells of its machines after that is not known: "+
		"restore the file from a copy, or, if you know the state of these machines, move it out of the folder", e.File, e.Offset, e.Line, e.Err)
}

func (e *Damaged) Unwrap() error { return e.Err }

// errStop ends the reading of a log before a record, without an error.
var errStop = errors.New("far enough")

// errReplaced is a log that does not begin with what was read of it before.
var errReplaced = errors.New("the log is not the one that was read before")

var errNoChecksum = errors.New("it has no checksum")

// end is where a log stands after it was read.
type end struct {
	size   int64 // bytes that hold records; what follows was cut short by a crash
	chain  chain
	legacy bool // of version 0.1, without checksums
}

// openLog opens a log that exists.
func openLog(state, run string, flag int) (*os.File, error) {
	runs, err := private.OpenSub(state, runsFolder)
	if err != nil {
		return nil, err
	}
	defer runs.Close()
	f, info, err := private.Open(runs, run+suffix, flag)
	if err != nil {
		return nil, err
	}
	if err := private.Check(f.Name(), info); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// read hands all records of a log to a function, each attempt as one.
func read(state, run string, each func(Record) error) (end, error) {
	attempts := attempts{}
	return readSome(state, run, end{}, everything, func(r Record, _ []byte) error {
		r, err := attempts.restore(r)
		if err != nil {
			return err
		}
		return each(r)
	})
}

// everything wants each line.
func everything([]byte) bool { return true }

// readSome hands records to a function as they are in the log, from a place where it stood
// before; with its line those of version 0.1. Of the records whose line is not wanted it reads
// kind and time only, which takes a tenth of the time.
func readSome(state, run string, from end, wanted func([]byte) bool, each func(Record, []byte) error) (end, error) {
	f, err := openLog(state, run, os.O_RDONLY)
	if err != nil {
		return from, unusable(err)
	}
	defer f.Close()
	if err := from.find(f); err != nil {
		return from, err
	}
	return readLines(logFile(state, run), f, from, wanted, each)
}

// find goes to the place where the log stood, if what is before it is still the same: the
// checksum there covers all of it.
func (e end) find(f io.ReadSeeker) error {
	mark := e.chain.mark()
	if e.size == 0 || e.legacy {
		mark = nil
	}
	if _, err := f.Seek(e.size-int64(len(mark)), io.SeekStart); err != nil {
		return err
	}
	have := make([]byte, len(mark))
	if _, err := io.ReadFull(f, have); err != nil || !bytes.Equal(have, mark) {
		return errReplaced
	}
	return nil
}

func readLines(name string, f io.Reader, at end, wanted func([]byte) bool, each func(Record, []byte) error) (end, error) {
	lines := bufio.NewReaderSize(f, 256<<10)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return at, at.checkTail(name, number, line)
		}
		if err != nil {
			return at, unusable(err)
		}
		before := at
		r, err := at.line(bytes.TrimSuffix(line, []byte("\n")), wanted)
		if err == nil && before.size == 0 && at.legacy && nextIsSealed(lines) {
			err = errNoChecksum
		}
		var later *newer
		switch {
		case errors.As(err, &later):
			return before, fmt.Errorf("the log %s cannot be read from line %d: %w", name, number, err)
		case err != nil:
			return before, &Damaged{name, before.size, number, err}
		}
		var old []byte
		if at.legacy {
			old = line
		}
		var unfit misfit
		switch err := each(r, old); {
		case errors.Is(err, errStop):
			return before, nil
		case errors.As(err, &unfit):
			return before, &Damaged{name, before.size, number, unfit}
		case err != nil:
			return before, err
		}
		at.size += int64(len(line))
	}
}

// line reads one line. The first one says by its checksum that the log is not of version 0.1.
func (e *end) line(line []byte, wanted func([]byte) bool) (Record, error) {
	_, _, sealed := split(line)
	e.legacy = e.legacy || e.size == 0 && !sealed
	switch {
	case e.legacy && sealed:
		return Record{}, errors.New("it has a checksum, and the lines before it have none")
	case e.legacy:
		return readOld(line)
	}
	body, err := e.chain.unseal(line)
	switch {
	case err != nil:
		return Record{}, err
	case !wanted(body):
		return skim(body)
	}
	return parse(body)
}

// nextIsSealed looks at the next line: if it has a checksum, the first one had one.
func nextIsSealed(lines *bufio.Reader) bool {
	ahead, _ := lines.Peek(lines.Buffered())
	line, _, _ := bytes.Cut(ahead, []byte("\n"))
	_, _, sealed := split(line)
	return sealed
}

// skim reads kind and time of a record from its line, which has a valid checksum, so it was
// written by this package: both stand before all that may hold others. Quotes within texts
// are escaped there.
func skim(body []byte) (r Record, err error) {
	r.Kind = event.Kind(field(body, "kind"))
	return r, r.Time.UnmarshalText(field(body, "time"))
}

// field is the text of a field of a record that stands before all bodies.
func field(body []byte, name string) []byte {
	_, rest, _ := bytes.Cut(body, []byte(`,"`+name+`":"`))
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return value
}

// checkTail judges what follows the last end of a line. A write that was cut short leaves a
// part of a line, or the NULs of a block that was never written; it was not acknowledged. A
// record that is there whole with something else behind it has lost its end later.
func (e end) checkTail(name string, number int, tail []byte) error {
	whole := bytes.LastIndex(tail, []byte(sumBegins)) + sumLength
	if e.legacy || whole < sumLength || whole > len(tail) || len(bytes.Trim(tail[whole:], "\x00")) == 0 {
		return nil
	}
	if _, err := e.chain.unseal(tail[:whole]); err != nil {
		return nil
	}
	return &Damaged{name, e.size, number, errors.New("the record is complete, but its line has no end")}
}

// oldKeys and oldKinds are those of a record of version 0.1.
var oldKeys = strings.Fields("schema seq time run host machine group step type attempt kind status text write settled verdict problem result " +
	"delay elapsed progress counts left summary plan session")

var oldKinds = strings.Fields("run_started host_started step_started write write_done progress retry warning step_done host_done diagnostic " +
	"run_done session_opened session_closed")

// readOld reads a line of version 0.1. It must not be a newer one whose checksum is damaged,
// so all that it holds must be known.
func readOld(line []byte) (r Record, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return r, fmt.Errorf("it has no checksum, and is no record: %w", err)
	}
	for key := range fields {
		if !slices.Contains(oldKeys, key) {
			return r, errNoChecksum
		}
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("it is no record: %w", err)
	}
	if r.Schema != 1 || !slices.Contains(oldKinds, string(r.Kind)) {
		return r, errors.New("it has no checksum, and is no record of version 0.1")
	}
	if r.Kind == event.StepDone {
		r.Verdict = oldVerdict(r.Event)
	}
	return r, nil
}

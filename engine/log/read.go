package log

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Damaged is a log whose records cannot be trusted.
type Damaged struct {
	File   string
	Offset int64 // of the first record that cannot be read, in bytes
	Line   int
	Err    error
}

func (e *Damaged) Error() string {
	return fmt.Sprintf("the log %s is damaged at byte %d (line %d): %v. What it tells of its machines after that is not known: restore the file from a copy, or, if you know the state of these machines, move it out of the folder", e.File, e.Offset, e.Line, e.Err)
}

func (e *Damaged) Unwrap() error { return e.Err }

// errStop ends the reading of a log before a record, without an error.
var errStop = errors.New("far enough")

// end is where a log stands after it was read.
type end struct {
	size   int64 // bytes that hold records; what follows was cut short by a crash
	chain  chain
	legacy bool // of version 0.1, without checksums
}

// read hands the records of a log to a function, from a place where it stood before.
func read(name string, from end, each func(Record, []byte) error) (end, error) {
	f, err := os.Open(name)
	if err != nil {
		return from, err
	}
	defer f.Close()
	if _, err := f.Seek(from.size, io.SeekStart); err != nil {
		return from, err
	}
	return readLines(name, f, from, each)
}

func readLines(name string, f io.Reader, at end, each func(Record, []byte) error) (end, error) {
	lines := bufio.NewReaderSize(f, 64<<10)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return at, nil // a line that was cut short was never acknowledged
		}
		if err != nil {
			return at, err
		}
		if at.size == 0 {
			_, _, sealed := split(bytes.TrimSuffix(line, []byte("\n")))
			at.legacy = !sealed
		}
		before := at
		r, err := at.line(bytes.TrimSuffix(line, []byte("\n")))
		if err == nil {
			err = each(r, line)
		}
		switch {
		case errors.Is(err, errStop):
			return before, nil
		case err != nil:
			return before, &Damaged{name, before.size, number, err}
		}
		at.size += int64(len(line))
	}
}

// line reads one line.
func (e *end) line(line []byte) (r Record, err error) {
	if !e.legacy {
		return e.chain.unseal(line)
	}
	if _, _, sealed := split(line); sealed {
		return r, errors.New("it has a checksum, and the lines before it have none")
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return r, err
	}
	if r.Log != 0 {
		return r, errors.New("it has no checksum")
	}
	return r, nil
}

package log_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/log"
	"esxiplan/schema"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// small is a log of a few records of each kind that a log has.
func small(t testing.TB) []byte {
	t.Helper()
	state := t.TempDir()
	l, err := log.Open(state, "run", log.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stage := log.Stage{Number: 1, Plan: "lab", Hosts: []string{"one"}, Steps: []string{"restart"}, Started: noon, Digests: schema.Digests{Digests: map[string]map[string]string{"one": {"disk": "aa"}}}}
	check(t, l.Keep(log.Record{Event: event.Event{Kind: log.StageStarted, Time: noon}, Stage: &stage}))
	check(t, l.Note(event.Event{Kind: event.RunStarted, Time: noon, Plan: &event.PlanInfo{Name: "lab", Hosts: []string{"one"}, Steps: []string{"restart"}}}))
	id, err := l.Append(event.Event{Kind: event.WriteMade, Host: "one", Step: "restart", Time: noon, Write: &event.Change{Verb: event.Reset, New: "On", Intent: event.Intent{Boots: true, Installs: true}}})
	check(t, err)
	check(t, l.Later(event.Event{Kind: event.WriteDone, Host: "one", Step: "restart", Time: noon, Settled: &event.Settled{Change: id, Fate: event.Done}}))
	check(t, l.Keep(log.Record{Event: event.Event{Kind: log.AttemptDone, Host: "one", Step: "restart", Time: noon}, Outcome: json.RawMessage(`{"result":{"before":"on"}}`)}))
	check(t, l.Keep(log.Record{Event: event.Event{Kind: log.AttemptDone, Host: "one", Step: "restart", Attempt: 1, Time: noon}, Outcome: json.RawMessage(`{"result":{"before":"off"}}`)}))
	check(t, l.Note(event.Event{Kind: event.RunDone, Time: noon, Summary: &event.Summary{Hosts: map[event.Status]int{event.OK: 1}}}))
	check(t, l.Close())
	return content(t, state)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func logOf(state string) string { return filepath.Join(state, "runs", "run.jsonl") }

func content(t testing.TB, state string) []byte {
	t.Helper()
	b, err := os.ReadFile(logOf(state))
	check(t, err)
	return b
}

// folder makes a state folder in which the log of the run holds these bytes.
func folder(t testing.TB, b []byte) string {
	t.Helper()
	state := t.TempDir()
	check(t, os.MkdirAll(filepath.Join(state, "runs"), 0o700))
	check(t, os.WriteFile(logOf(state), b, 0o600))
	return state
}

// lines of a log, each with its end.
func lines(b []byte) [][]byte { return slices.Collect(bytes.Lines(b)) }

// records counts what can be read of the log of the run.
func records(state string) (n int, err error) {
	err = log.Each(state, "run", func(log.Record) error { n++; return nil })
	return n, err
}

// isDamaged checks that a log is refused at a line, with the place, a reason and a way out.
func isDamaged(t *testing.T, err error, offset, line int) {
	t.Helper()
	var d *log.Damaged
	if !errors.As(err, &d) || d.Offset != int64(offset) || d.Line != line {
		t.Fatalf("got %v, want damage at byte %d, line %d", err, offset, line)
	}
	for _, part := range []string{fmt.Sprintf("at byte %d (line %d)", offset, line), d.Err.Error(), "restore the file from a copy", "move it out"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

// old is a record of version 0.1.
const old = `{"schema":1,"seq":1,"run":"run","kind":"host_done"}` + "\n"

// TestDamage: a log that was changed is refused by all that read it, with the place.
func TestDamage(t *testing.T) {
	whole := small(t)
	l := lines(whole)
	for name, c := range map[string]struct {
		log  [][]byte
		line int    // from 1
		why  string // part of the reason
	}{
		"a letter":                 {[][]byte{l[0], bytes.Replace(l[1], []byte("lab"), []byte("lob"), 1), l[2]}, 2, "its checksum is"},
		"a checksum":               {[][]byte{l[0], bytes.Replace(l[1], []byte(`"sum":"`), []byte(`"sum":"0`), 1), l[2]}, 2, "no checksum"},
		"no checksum":              {[][]byte{l[0], append(l[1][:len(l[1])-len(`,"sum":"01234567"}`)-1:len(l[1])-len(`,"sum":"01234567"}`)-1], "}\n"...), l[2]}, 2, "no checksum"},
		"no checksum at the start": {[][]byte{append(l[0][:len(l[0])-len(`,"sum":"01234567"}`)-1:len(l[0])-len(`,"sum":"01234567"}`)-1], "}\n"...)}, 1, "no checksum"},
		"a key that no one knows":  {[][]byte{bytes.Replace(l[0], []byte(`"sum"`), []byte(`"sun"`), 1)}, 1, "no checksum"},
		"no first line":            {l[1:], 1, "its checksum is"},
		"a line twice":             {[][]byte{l[0], l[1], l[1], l[2]}, 3, "its checksum is"},
		"swapped":                  {[][]byte{l[0], l[2], l[1], l[3]}, 2, "its checksum is"},
		"an empty line":            {[][]byte{l[0], []byte("\n"), l[1]}, 2, "no checksum"},
		"NULs within":              {[][]byte{l[0], bytes.Repeat([]byte{0}, 4096), l[1]}, 2, "its checksum is"},
		"half a line within":       {[][]byte{l[0], l[1][:20], l[2]}, 2, "its checksum is"},
		"an old line behind":       {[][]byte{l[0], []byte(old)}, 2, "no checksum"},
		"a new line behind an old": {[][]byte{[]byte(old), l[0]}, 1, "no checksum"},
		"a new line behind two":    {[][]byte{[]byte(old), []byte(old), l[0]}, 3, "the lines before it have none"},
		"a last line with no end":  {[][]byte{l[0], append(l[1][:len(l[1])-1:len(l[1])-1], 'x')}, 2, "its line has no end"},
		"something else":           {[][]byte{[]byte("# notes\n")}, 1, "is no record"},
		"an unknown kind":          {[][]byte{[]byte(strings.Replace(old, "host_done", "st7b", 1))}, 1, "is no record of version 0.1"},
		"an empty object":          {[][]byte{[]byte("{}\n")}, 1, "is no record of version 0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			state, offset := folder(t, bytes.Join(c.log, nil)), len(bytes.Join(c.log[:c.line-1], nil))
			n, err := records(state)
			isDamaged(t, err, offset, c.line)
			if !strings.Contains(err.Error(), c.why) || n != c.line-1 {
				t.Errorf("%d records, then %v, want the reason %q", n, err, c.why)
			}
			_, err = log.Open(state, "run", log.Options{})
			isDamaged(t, err, offset, c.line)
			_, err = log.Dry(state, "other", log.Options{})
			isDamaged(t, err, offset, c.line)
			_, err = log.List(state)
			isDamaged(t, err, offset, c.line)
		})
	}
}

// TestEveryByte: no byte of a log can be changed unnoticed. (A last line whose end became a
// NUL looks as one that a crash cut short.)
func TestEveryByte(t *testing.T) {
	whole := small(t)
	state := folder(t, whole)
	file, err := os.OpenFile(logOf(state), os.O_WRONLY, 0)
	check(t, err)
	defer file.Close()
	change := func(at int, b byte) {
		_, err := file.WriteAt([]byte{b}, int64(at))
		check(t, err)
	}
	offset, number := 0, 1
	for at, b := range whole {
		for _, mask := range []byte{0x01, 0x20, 0x80} {
			change(at, b^mask)
			n, err := records(state)
			isDamaged(t, err, offset, number)
			if n != number-1 {
				t.Fatalf("byte %d: %d records were believed, want %d", at, n, number-1)
			}
		}
		change(at, b)
		if b == '\n' {
			offset, number = at+1, number+1
		}
	}
}

// TestEveryLine: no line can be removed, doubled or moved unnoticed.
func TestEveryLine(t *testing.T) {
	l := lines(small(t))
	for i := range l {
		offset := len(bytes.Join(l[:i], nil))
		refused := func(at int, parts ...[][]byte) {
			t.Helper()
			_, err := records(folder(t, bytes.Join(slices.Concat(parts...), nil)))
			isDamaged(t, err, at, bytes.Count(bytes.Join(slices.Concat(parts...), nil)[:at], []byte("\n"))+1)
		}
		refused(offset+len(l[i]), l[:i+1], l[i:])
		if i+1 < len(l) { // without its last line, a log is what it was before
			refused(offset, l[:i], l[i+1:])
			refused(offset, l[:i], l[i+1:i+2], l[i:i+1], l[i+2:])
		}
	}
}

// TestTorn: a log whose last record was cut short is read up to there, wherever that was,
// and what is appended afterwards continues it.
func TestTorn(t *testing.T) {
	whole := small(t)
	l := lines(whole)
	last := len(whole) - len(l[len(l)-1])
	for _, nuls := range []int{0, 1, 600} {
		for cut := last; cut < len(whole); cut++ {
			state := folder(t, append(whole[:cut:cut], make([]byte, nuls)...))
			if n, err := records(state); err != nil || n != len(l)-1 {
				t.Fatalf("cut at %d: %d records, %v", cut, n, err)
			}
			if cut%16 > 0 { // each continuation costs an fsync
				continue
			}
			continued, err := log.Open(state, "run", log.Options{})
			check(t, err)
			check(t, continued.Keep(log.Record{Event: event.Event{Kind: log.Interrupted, Time: noon}}))
			check(t, continued.Close())
			b := content(t, state)
			if n := sealed(b); !bytes.HasPrefix(b, whole[:last]) || n != len(l) {
				t.Fatalf("cut at %d, then continued: %d records", cut, n)
			}
		}
	}
}

var seal = regexp.MustCompile(`^(.+),"sum":"([0-9a-f]{8})"}\n$`)

// sealed counts the lines at the start of a log whose checksums cover all before them.
func sealed(b []byte) (n int) {
	sum := uint32(0)
	for line := range bytes.Lines(b) {
		parts := seal.FindSubmatch(line)
		if parts == nil {
			return n
		}
		sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), parts[1])
		if string(parts[2]) != fmt.Sprintf("%08x", sum) {
			return n
		}
		n++
	}
	return n
}

// TestErrorOfReader: that a reader of records fails does not make the log a damaged one.
func TestErrorOfReader(t *testing.T) {
	full := errors.New("no space left")
	err := log.Each(folder(t, small(t)), "run", func(log.Record) error { return full })
	if err != full {
		t.Errorf("got %v", err)
	}
}

// TestOldLogsEndThere: a log of version 0.1 is read, and cannot be continued.
func TestOldLogsEndThere(t *testing.T) {
	state := folder(t, []byte(`{"schema":1,"seq":1,"run":"run","kind":"run_started","plan":{"name":"lab"}}`+"\n"))
	if n, err := records(state); err != nil || n != 1 {
		t.Errorf("%d records, %v", n, err)
	}
	if _, err := log.Open(state, "run", log.Options{}); err == nil || !strings.Contains(err.Error(), "older esxiplan") || !strings.Contains(err.Error(), "another name") {
		t.Errorf("continued: %v", err)
	}
}

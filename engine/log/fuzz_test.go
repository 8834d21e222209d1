package log_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"esxiplan/engine/log"
)

// scratch is a state folder whose one log can be written anew quickly.
type scratch struct {
	state string
	file  *os.File
}

func newScratch(t testing.TB) *scratch {
	s := &scratch{state: t.TempDir()}
	check(t, os.MkdirAll(filepath.Dir(logOf(s.state)), 0o700))
	f, err := os.Create(logOf(s.state))
	check(t, err)
	t.Cleanup(func() { f.Close() })
	s.file = f
	return s
}

// read reads a log with these bytes: what is believed of it, and why no more is. All that
// reads logs must agree.
func (s *scratch) read(t *testing.T, b []byte) (believed []log.Record, err error) {
	_, writeErr := s.file.WriteAt(b, 0)
	check(t, writeErr)
	check(t, s.file.Truncate(int64(len(b))))
	err = log.Each(s.state, "run", func(r log.Record) error { believed = append(believed, r); return nil })
	if _, otherErr := log.Dry(s.state, "other", log.Options{}); (otherErr == nil) != (err == nil) {
		t.Fatalf("one reader says %v, the other %v", err, otherErr)
	}
	return believed, err
}

// isOld reports a log without checksums: one of version 0.1, none of whose lines may hold
// what only later ones have.
func (s *scratch) isOld(t *testing.T, b []byte, n int) bool {
	if n == 0 || sealed(b) > 0 {
		return false
	}
	for _, line := range lines(b)[:n] {
		var keys map[string]json.RawMessage
		check(t, json.Unmarshal(line, &keys))
		if keys["sum"] != nil || keys["log"] != nil {
			t.Fatalf("%s was believed to be of version 0.1", line)
		}
	}
	if l, err := log.Open(s.state, "run", log.Options{}); err == nil {
		l.Close()
		t.Fatalf("a log without checksums was continued: %s", b)
	}
	return true
}

// FuzzLog: whatever a log holds, no record is believed that its checksum does not cover with
// all before it, and nothing but a last line that was cut short is passed over in silence. A
// log that was damaged in one place gives the first of its records, and is not taken for one
// that never had checksums.
func FuzzLog(f *testing.F) {
	whole := small(f)
	state := folder(f, whole)
	original := read(f, state)
	l := lines(whole)
	for _, b := range [][]byte{whole, whole[:len(whole)-9], bytes.Join(l[1:], nil), append(whole, 0, 0, 0), []byte(`{"schema":1,"seq":1,"run":"run","host":"one","kind":"write","write":{"action":"reset","new":"On","boots":true,"refused":true}}` + "\n"), {}} {
		f.Add(b, uint16(0), uint8(0), []byte{})
	}
	for _, at := range []int{0, len(l[0]) - 30, len(l[0]) - 1, len(l[0]), len(whole) - 1} {
		f.Add([]byte{}, uint16(at), uint8(1), []byte("x"))
		f.Add([]byte{}, uint16(at), uint8(18), []byte{})
		f.Add([]byte{}, uint16(at), uint8(0), []byte("{}\n"))
	}
	s := newScratch(f)
	f.Fuzz(func(t *testing.T, any []byte, at uint16, cut uint8, with []byte) {
		s.judge(t, any)
		damaged := spliced(whole, int(at), int(cut), with[:min(len(with), 64)])
		believed, old := s.judge(t, damaged)
		if old || len(believed) > 0 && !reflect.DeepEqual(believed, original[:len(believed)]) {
			t.Fatalf("a damaged log became another one: %q", damaged)
		}
	})
}

// judge reads a log, and checks that what is believed of it may be.
func (s *scratch) judge(t *testing.T, b []byte) (believed []log.Record, old bool) {
	believed, err := s.read(t, b)
	old = s.isOld(t, b, len(believed))
	if !old && len(believed) > sealed(b) {
		t.Fatalf("%d records were believed, of which %d have a valid checksum: %q", len(believed), sealed(b), b)
	}
	if rest := bytes.Join(lines(b)[len(believed):], nil); err == nil && bytes.Contains(rest, []byte("\n")) {
		t.Fatalf("passed over in silence: %q", rest)
	}
	if err != nil && !strings.Contains(err.Error(), "is damaged at byte") {
		t.Fatalf("it says %v", err)
	}
	return believed, old
}

// spliced puts something into the place of some bytes.
func spliced(whole []byte, at, cut int, with []byte) []byte {
	at = min(at, len(whole))
	return bytes.Join([][]byte{whole[:at], with, whole[min(at+cut, len(whole)):]}, nil)
}

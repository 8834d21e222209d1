package session_test

import (
	"encoding/binary"
	"maps"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"esxiplan/engine/event"
	"esxiplan/engine/session"
	"esxiplan/engine/survey"
)

// opens counts how often the files of a folder are opened, as the kernel reports it.
type opens struct {
	t  *testing.T
	fd int
}

func watchOpens(t *testing.T, folders ...string) *opens {
	t.Helper()
	fd, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	for _, folder := range folders {
		if _, err := syscall.InotifyAddWatch(fd, folder, syscall.IN_OPEN); err != nil {
			t.Fatal(err)
		}
	}
	return &opens{t, fd}
}

// since counts, by name, what was opened since it was asked before.
func (o *opens) since() map[string]int {
	o.t.Helper()
	count, b := map[string]int{}, make([]byte, 64<<10)
	for {
		n, err := syscall.Read(o.fd, b)
		if err == syscall.EAGAIN {
			return count
		}
		if err != nil {
			o.t.Fatal(err)
		}
		for at := 0; at < n; {
			length := int(binary.NativeEndian.Uint32(b[at+12:]))
			name := b[at+syscall.SizeofInotifyEvent:][:length]
			at += syscall.SizeofInotifyEvent + length
			if file := strings.TrimRight(string(name), "\x00"); filepath.Ext(file) == ".json" || filepath.Ext(file) == ".jsonl" {
				count[file]++
			}
		}
	}
}

// TestReadOnce: to prepare a run and to run it opens the snapshot once, no log that is in the
// snapshot, and the log of the run itself to read it and to write it.
func TestReadOnce(t *testing.T) {
	at(t, strings.Replace(stages, `["final", "ok"]`, `["final"]`, 1), func(s *site) {
		for _, run := range []string{"old", "older", "r"} {
			s.run(session.Options{Run: run, Options: only("one")})
		}
		o := watchOpens(t, s.state, filepath.Join(s.state, "runs"))
		is := func(what string, options session.Options, want map[string]int) {
			t.Helper()
			if e := s.run(options); e.err != nil {
				t.Fatal(e.err)
			}
			if got := o.since(); !maps.Equal(got, want) {
				t.Errorf("%s opens %v, want %v", what, got, want)
			}
		}
		is("the next stage of a run", session.Options{Run: "r", Options: only("two")}, map[string]int{"snapshot.json": 1, "r.jsonl": 2})
		is("a new run", session.Options{Run: "new"}, map[string]int{"snapshot.json": 1, "new.jsonl": 2}) // made, then opened
		is("a dry run", session.Options{Run: "dry", Options: survey.Options{DryRun: true}}, map[string]int{"snapshot.json": 1})
		stopped := s.interrupted(session.Options{Run: "stopped"}, 0)
		s.exits(stopped, event.ExitInterrupted, stopped.summary.Hosts)
		o.since()
		is("a run that is resumed", session.Options{Resume: true}, map[string]int{"snapshot.json": 1, "stopped.jsonl": 2})
		is("a dry run on failed hosts", session.Options{OnlyFailed: true, Options: survey.Options{DryRun: true}}, map[string]int{"snapshot.json": 1, "stopped.jsonl": 1})
	})
}

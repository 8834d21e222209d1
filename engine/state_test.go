package engine_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"esxiplan/engine"
	"esxiplan/schema"
)

// spellings are one BMC, as two plans may write it, and as a door names it.
var spellings = [][2]string{
	{"10.0.0.1", "https://10.0.0.1"}, {"10.0.0.1", "http://10.0.0.1"}, {"10.0.0.1", "HTTPS://10.0.0.1:443/"}, {"bmc.example", "https://BMC.example."}, {"fd00:0::a", "https://[fd00::a]"}, {"https://10.0.0.1:8443/", "10.0.0.1:8443"},
}

func at(t *testing.T, address string) []*schema.Host {
	t.Helper()
	a, err := schema.ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	return []*schema.Host{{Name: "h", BMC: schema.BMC{Address: a}}}
}

// TestLockHoldsForAllSpellings: two plans that write a BMC's address in two ways lock
// one machine.
func TestLockHoldsForAllSpellings(t *testing.T) {
	for _, pair := range spellings {
		state := t.TempDir()
		release, err := engine.Lock(state, at(t, pair[0]), "one")
		if err != nil {
			t.Fatal(err)
		}
		var locked *engine.ErrLocked
		if _, err := engine.Lock(state, at(t, pair[1]), "two"); !errors.As(err, &locked) {
			t.Errorf("%s is locked, %s is not: %v", pair[0], pair[1], err)
		}
		release()
		other, err := engine.Lock(state, append(at(t, pair[0]), at(t, "10.0.0.9")...), "three")
		if err != nil {
			t.Error(err)
		}
		other()
	}
}

// TestStateFolderKnowsAllSpellings: what a state folder keeps of a BMC is found again
// by every spelling, and by the names that earlier versions gave to plain addresses.
func TestStateFolderKnowsAllSpellings(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, pair := range spellings {
		state := t.TempDir()
		pins, refused := engine.Pins{Dir: state}, engine.Refusals{Dir: state}
		if err := errors.Join(pins.SetPin(pair[0], "aa"), refused.Add(pair[0], "0123456789abcdef0123", now)); err != nil {
			t.Fatal(err)
		}
		if got, ok := pins.Pin(pair[1]); !ok || got != "aa" {
			t.Errorf("pinned for %s, not for %s: %q", pair[0], pair[1], got)
		}
		if n := refused.Between(pair[1], "0123456789abcdef0123", now.Add(-time.Minute), now); n != 1 {
			t.Errorf("refused at %s, at %s %d times", pair[0], pair[1], n)
		}
		if n := refused.Between(pair[1], "ff", now.Add(-time.Minute), now); n != 0 {
			t.Errorf("another system on %s counts %d refusals", pair[1], n)
		}
	}
	state := t.TempDir()
	for name, text := range map[string]string{"pins/10.0.0.1": "aa\n", "refused/10.0.0.1-0123456789abcdef": "2026-01-02T03:04:05Z\n"} {
		name = filepath.Join(state, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := (engine.Pins{Dir: state}).Pin("https://10.0.0.1"); got != "aa" {
		t.Errorf("the pin of an earlier version is %q", got)
	}
	if n := (engine.Refusals{Dir: state}).Between("10.0.0.1", "0123456789abcdef0123", now.Add(-time.Minute), now); n != 1 {
		t.Errorf("the refusal of an earlier version counts %d", n)
	}
}

// TestStateFolderTrustsNoOddAddress: an address that names no file is not trusted, and
// no login is tried there.
func TestStateFolderTrustsNoOddAddress(t *testing.T) {
	state := t.TempDir()
	pins, refused := engine.Pins{Dir: state}, engine.Refusals{Dir: state}
	for _, address := range []string{"", "..", "../../x", "a/b"} {
		if got, ok := pins.Pin(address); !ok || got == "" {
			t.Errorf("%q: pinned %q, %v", address, got, ok)
		}
		if n := refused.Between(address, "aa", time.Time{}, time.Now()); n != math.MaxInt {
			t.Errorf("%q: %d refusals", address, n)
		}
		if pins.SetPin(address, "aa") == nil || refused.Add(address, "aa", time.Now()) == nil {
			t.Errorf("%q is kept", address)
		}
	}
}

// TestLeftoverSessions are found by every spelling, also where the journal of an earlier
// version has the plan's. A login of which no session was recorded is among them.
func TestLeftoverSessions(t *testing.T) {
	for _, pair := range spellings {
		state := t.TempDir()
		j, err := engine.OpenJournal(state, "run1", engine.JournalOptions{})
		if err != nil {
			t.Fatal(err)
		}
		asked := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		for _, id := range []string{"1", "2", "3", "4"} {
			if err := j.SessionAsked(pair[0], id, asked); err != nil {
				t.Fatal(err)
			}
			if id != "4" {
				j.SessionOpened(pair[0], id, "/"+id)
			}
		}
		j.SessionClosed(pair[1], "2")
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		later, err := engine.OpenJournal(state, "run2", engine.JournalOptions{})
		if err != nil {
			t.Fatal(err)
		}
		later.SessionClosed(pair[0], "1")
		left := later.Leftover(pair[1])
		if len(left) != 2 || left[0].ID != "3" || left[0].URI != "/3" || !left[0].Asked.Equal(asked) || left[1].ID != "4" || left[1].URI != "" {
			t.Errorf("%s left %v at %s", pair[0], left, pair[1])
		}
		later.Close()
	}
}

// TestLeftoverSessionsOfOldJournals: an earlier version recorded the URI only, which names
// the session in later journals, too.
func TestLeftoverSessionsOfOldJournals(t *testing.T) {
	state := t.TempDir()
	if err := os.MkdirAll(filepath.Join(state, "runs"), 0o700); err != nil {
		t.Fatal(err)
	}
	const old = `{"schema":1,"seq":1,"time":"2026-03-01T12:00:00Z","run":"a","host":"https://10.0.0.1","kind":"session_opened","session":"/1"}
{"schema":1,"seq":2,"time":"2026-03-01T12:00:00Z","run":"a","host":"https://10.0.0.1","kind":"session_opened","session":"/2"}
{"schema":1,"seq":3,"time":"2026-03-01T12:00:00Z","run":"a","host":"https://10.0.0.1","kind":"session_closed","session":"/1"}
`
	if err := os.WriteFile(filepath.Join(state, "runs", "a.jsonl"), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, run := range []string{"b", "c"} {
		j, err := engine.OpenJournal(state, run, engine.JournalOptions{})
		if err != nil {
			t.Fatal(err)
		}
		left := j.Leftover("https://10.0.0.1")
		if run == "b" && (len(left) != 1 || left[0].ID != "/2" || left[0].URI != "/2" || !left[0].Asked.IsZero()) || run == "c" && len(left) != 0 {
			t.Errorf("run %s: left %v", run, left)
		}
		j.SessionClosed("https://10.0.0.1", "/2")
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

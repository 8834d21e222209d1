package engine_test

import (
	"testing"

	"esxiplan/engine"
)

// spellings are one BMC, as two plans may write it, and as a door names it.
var spellings = [][2]string{
	{"10.0.0.1", "https://10.0.0.1"}, {"10.0.0.1", "http://10.0.0.1"}, {"10.0.0.1", "HTTPS://10.0.0.1:443/"}, {"bmc.example", "https://BMC.example."}, {"fd00:0::a", "https://[fd00::a]"}, {"https://10.0.0.1:8443/", "10.0.0.1:8443"},
}

// TestLeftoverSessions are found by every spelling, also where the journal of an earlier
// version has the plan's.
func TestLeftoverSessions(t *testing.T) {
	for _, pair := range spellings {
		state := t.TempDir()
		j, err := engine.OpenJournal(state, "run1", engine.JournalOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, uri := range []string{"/1", "/2", "/3"} {
			j.SessionOpened(pair[0], uri)
		}
		j.SessionClosed(pair[1], "/2")
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		later, err := engine.OpenJournal(state, "run2", engine.JournalOptions{})
		if err != nil {
			t.Fatal(err)
		}
		later.SessionClosed(pair[0], "/1")
		if left := later.Leftover(pair[1]); len(left) != 1 || left[0] != "/3" {
			t.Errorf("%s left %v at %s", pair[0], left, pair[1])
		}
		later.Close()
	}
}

package state

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"
	"unicode"

	"esxiplan/engine/event"
	"esxiplan/engine/text"
)

// Holder is who holds a lock.
type Holder struct {
	Run string `json:"run"`
	event.Who
	Since time.Time `json:"since"` // when Acquire took the locks
}

// jobVariables are those in which CI systems name the job: Jenkins, GitLab, GitHub.
var jobVariables = []string{"BUILD_TAG", "CI_JOB_URL", "GITHUB_RUN_ID"}

// NewHolder is this process, for a run.
func NewHolder(run string) Holder { return Holder{Run: run, Who: Self()} }

// Self is the user and job for which this process works.
func Self() event.Who {
	w := event.Who{User: userName(), PID: os.Getpid()}
	w.Host, _ = os.Hostname()
	for _, name := range jobVariables {
		w.Job = cmp.Or(w.Job, os.Getenv(name))
	}
	return w
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "user " + strconv.Itoa(os.Geteuid()) // of a container without /etc/passwd
}

// String names the holder: run, user, host, process and job.
func (h Holder) String() string {
	text := fmt.Sprintf("run %s of %s@%s, process %d", shown(h.Run), shown(h.User), shown(h.Host), h.PID)
	if h.Job != "" {
		text += ", job " + shown(h.Job)
	}
	return text
}

// shown is a text of another process, safe for a terminal.
func shown(text string) string {
	const longest = 200
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// since says when, by the clock of this host, and how long before now that was.
func since(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	layout := "15:04"
	if t.Format(time.DateOnly) != now.Format(time.DateOnly) {
		layout = "2006-01-02 15:04"
	}
	at := t.Format(layout)
	if d := now.Sub(t); d >= 0 { // else the clocks of two hosts differ
		at += " (" + text.Duration(d) + " ago)"
	}
	return at
}

// record is what a holder file holds.
type record struct {
	Holder
	process
	Lease int64 `json:"lease_ms"`
}

func (r record) lease() time.Duration { return time.Duration(r.Lease) * time.Millisecond }

// longestLease bounds the lease that is read: a damaged file must not lock a machine for years.
const longestLease = 24 * time.Hour

// parseRecord reads a holder file.
func parseRecord(b []byte) (record, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, err
	}
	if r.Lease <= 0 || r.Lease > longestLease.Milliseconds() || r.PID <= 0 {
		return record{}, errors.New("lease or process are out of range")
	}
	return r, nil
}

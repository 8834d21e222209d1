package log

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"esxiplan/engine/event"
	"esxiplan/schema"
)

// Version is that of what the log adds to the events. Fields are added, never re-used; a log
// with records of a later version is refused, for it may say what this one does not know.
// Version 2 added [Repeat].
const Version = 2

// The kinds of records that only the log has.
const (
	StageStarted  event.Kind = "stage_started"
	AttemptDone   event.Kind = "attempt_done"
	Interrupted   event.Kind = "interrupted"   // somebody stopped the run
	RetryAsked    event.Kind = "retry_asked"   // hosts that failed are tried again
	SessionAsked  event.Kind = "session_asked" // a login is about to be sent
	SessionOpened event.Kind = "session_opened"
	SessionClosed event.Kind = "session_closed"
)

// Record is one line of a log: an event, or one of the kinds that only the log has.
type Record struct {
	event.Event
	Log     int             `json:"log,omitempty"`     // Version, in records that only the log has
	Stage   *Stage          `json:"stage,omitempty"`   // stage_started
	Mode    string          `json:"mode,omitempty"`    // attempt_done: what the task was to do
	Outcome json.RawMessage `json:"outcome,omitempty"` // attempt_done
	Repeat  *Repeat         `json:"repeat,omitempty"`  // attempt_done, in the place of outcome; readers get that
	Hosts   []string        `json:"hosts,omitempty"`   // retry_asked
	Session string          `json:"session,omitempty"` // session_*: URI, never a token
	Login   string          `json:"login,omitempty"`   // session_*: ID of the login
}

// OfSession reports a record about a session of a BMC, whose Host is the address of that.
func (r Record) OfSession() bool {
	return r.Kind == SessionAsked || r.Kind == SessionOpened || r.Kind == SessionClosed
}

// Stage is a part of a run: what one call of esxiplan was asked to do.
type Stage struct {
	Number    int       `json:"number"` // from 1
	Continued bool      `json:"continued,omitempty"`
	AdHoc     bool      `json:"ad_hoc,omitempty"` // one step, run by hand
	Plan      string    `json:"plan"`
	Files     []string  `json:"files,omitempty"`
	Hosts     []string  `json:"hosts"`
	Steps     []string  `json:"steps"`
	Command   string    `json:"command,omitempty"` // by which it was asked for, without secrets
	By        event.Who `json:"by"`
	Version   string    `json:"version"` // of esxiplan
	Started   time.Time `json:"started"`
	// Applies is the checksum of the saved plan that the stage applies, "" where it applies
	// none.
	Applies string `json:"applies,omitempty"`
	// Digests are those of what the plan says of each host, so that a changed plan is noticed
	// and what differs can be named.
	schema.Digests
}

// Key tells the stages of a run apart: one that runs the same steps is the same stage.
func (s Stage) Key() string { return StageKey(s.Steps) }

// StageKey is the key of a stage that runs these steps.
func StageKey(steps []string) string { return strings.Join(steps, " ") }

// chain is the checksum of a log's lines so far (CRC-32C).
type chain uint32

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A line ends with its checksum: ,"sum":"0123abcd"}
const (
	sumBegins = `,"sum":"`
	sumEnds   = `"}`
	sumLength = len(sumBegins) + 8 + len(sumEnds)
)

// seal makes a line of a record and carries the chain on.
func (c *chain) seal(r Record) ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	body := b[:len(b)-1] // without the closing brace
	*c = chain(crc32.Update(uint32(*c), castagnoli, body))
	return append(append(body, sumBegins...), c.mark()...), nil
}

// mark is how the last line ends of a log with this checksum.
func (c chain) mark() []byte { return fmt.Appendf(nil, "%08x%s\n", uint32(c), sumEnds) }

// split takes a line apart; ok is false where it has no checksum.
func split(line []byte) (body []byte, sum string, ok bool) {
	at := len(line) - sumLength
	if at < 1 || !bytes.HasPrefix(line[at:], []byte(sumBegins)) || !bytes.HasSuffix(line, []byte(sumEnds)) {
		return nil, "", false
	}
	return line[:at], string(line[at+len(sumBegins) : len(line)-len(sumEnds)]), true
}

// unseal takes the checksum off a line, and carries the chain on. What is left lacks the
// closing brace.
func (c *chain) unseal(line []byte) (body []byte, err error) {
	body, sum, ok := split(line)
	if !ok {
		return nil, errNoChecksum
	}
	*c = chain(crc32.Update(uint32(*c), castagnoli, body))
	if want := fmt.Sprintf("%08x", uint32(*c)); sum != want {
		return nil, fmt.Errorf("its checksum is %q, but the line and those before it give %q", sum, want)
	}
	return body, nil
}

// parse reads a record from what unseal left of its line, whose checksum it overwrites.
func parse(body []byte) (r Record, err error) {
	err = json.Unmarshal(append(body, '}'), &r)
	if err == nil && r.Log > Version {
		err = &newer{r.Log}
	}
	return r, err
}

// newer is a record of a version that this esxiplan does not know.
type newer struct{ version int }

func (e *newer) Error() string {
	return fmt.Sprintf("a newer esxiplan wrote it (format %d; this one reads formats up to %d): continue with that version", e.version, Version)
}

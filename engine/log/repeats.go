package log

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A step that waits is tried every few seconds for most of an hour, and comes to the same
// each time but for times, counts and the like. Such outcomes are logged together, as the words
// that differ, when the host has something else to say, or when the first of them is as old as
// this. So that is how much of its waiting a host may lose in a crash, and nothing that
// followed from it: a record about the host comes after the outcomes before it.
const holdFor = 2 * time.Minute

// Repeats are attempts of one task, in succession, whose outcomes differ from that of the
// attempt before them in some words only, numbers among them.
type Repeats struct {
	At     []int  `json:"at"`     // which words of the outcome differ, from 0
	Values string `json:"values"` // what these are, separated by blanks, the attempts by commas; none: as before
}

// series is the last attempt of a host that was logged, and the attempts since.
type series struct {
	of     Record // as it is in the log
	text   string // its outcome without the words
	words  []string
	latest time.Time
	held   [][]string // words of the attempts that are not in the log yet
}

// hold keeps back the outcome of an attempt that repeats the one before it; due reports that
// it must not be kept back any longer.
func (l *Log) hold(r *Record) (held, due bool) {
	s := l.series[r.Host]
	if s == nil || r.Kind != AttemptDone || s.of.Step != r.Step || s.of.Attempt+len(s.held)+1 != r.Attempt {
		return false, false
	}
	text, words := takeWords(r.Outcome)
	if text != s.text {
		return false, false
	}
	s.held, s.latest = append(s.held, words), r.Time
	return true, r.Time.Sub(s.of.Time) >= holdFor
}

// follow makes a record, when it is in the log, what later attempts may repeat.
func (l *Log) follow(r Record) {
	if r.Kind == AttemptDone && r.Mode == "" && l.file != nil {
		s := &series{of: r}
		s.text, s.words = takeWords(r.Outcome)
		l.series[r.Host] = s
	}
}

// release takes what was kept back into the next batch: of one host, or, for a record of no
// host in particular, of all. A session concerns later runs only, and comes after nothing.
func (l *Log) release(before *Record) error {
	hosts := []string{before.Host}
	switch {
	case before.ofSession():
		return nil
	case before.Host == "":
		hosts = slices.Sorted(maps.Keys(l.series))
	}
	return l.releaseHosts(hosts)
}

func (l *Log) releaseHosts(hosts []string) error {
	for _, host := range hosts {
		if s := l.series[host]; s != nil && len(s.held) > 0 {
			if err := l.append(s.record()); err != nil {
				return err
			}
		}
	}
	return nil
}

// record is that of the attempts that were kept back, which begin a series anew.
func (s *series) record() *Record {
	r := &Record{Log: Version, Repeats: repeated(s.words, s.held)}
	r.Kind, r.Host, r.Step, r.Attempt, r.Time = AttemptsDone, s.of.Host, s.of.Step, s.of.Attempt+1, s.latest
	s.of.Attempt, s.of.Time = s.of.Attempt+len(s.held), s.latest
	s.words, s.held = s.held[len(s.held)-1], nil
	return r
}

// repeated names the words that differ from those before, in any attempt.
func repeated(before []string, attempts [][]string) *Repeats {
	out := &Repeats{At: []int{}}
	for i := range before {
		if slices.ContainsFunc(attempts, func(words []string) bool { return words[i] != before[i] }) {
			out.At = append(out.At, i)
		}
	}
	lines := make([]string, len(attempts))
	for n, words := range attempts {
		values := make([]string, len(out.At))
		for k, i := range out.At {
			if words[i] != before[i] {
				values[k] = words[i]
			}
		}
		lines[n], before = strings.Join(values, " "), words
	}
	out.Values = strings.Join(lines, ",")
	return out
}

// place stands for a word in a document that was taken apart. No JSON has it.
const place = '\x00'

// takeWords takes a document apart: its text with a place for each word, and the words. Those
// are the runs of letters and digits in its texts, and its words; true, false and null are
// none, for what they say is no detail.
func takeWords(doc []byte) (text string, words []string) {
	var out strings.Builder
	quoted := false
	for i := 0; i < len(doc); {
		if n := word(doc[i:], quoted); n > 0 {
			out.WriteByte(place)
			words = append(words, string(doc[i:i+n]))
			i += n
			continue
		}
		if quoted && doc[i] == '\\' && i+1 < len(doc) { // of what follows it nothing is a quote
			out.WriteByte(doc[i])
			i++
		} else if doc[i] == '"' {
			quoted = !quoted
		}
		out.WriteByte(doc[i])
		i++
	}
	return out.String(), words
}

// word is the length of the word that a document continues with, within a text or outside.
func word(doc []byte, quoted bool) (n int) {
	for _, c := range doc {
		digit, letter := c >= '0' && c <= '9', c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !digit && !(quoted && letter) && !(!quoted && c == '.') {
			break
		}
		n++
	}
	return n
}

// putWords puts words in their places.
func putWords(text string, words []string) json.RawMessage {
	var out strings.Builder
	for _, word := range words {
		before, after, _ := strings.Cut(text, string(place))
		out.WriteString(before)
		out.WriteString(word)
		text = after
	}
	out.WriteString(text)
	return json.RawMessage(out.String())
}

// misfit is a record that does not continue what is before it.
type misfit struct{ error }

var errNoSeries = misfit{errors.New("it repeats an attempt that is not before it")}

// attempts are the last one of each host, from which those are restored that repeat it.
type attempts map[string]Record

// each hands on a record, or one for each attempt that it stands for. These have the time of
// the last of them.
func (a attempts) each(r Record, each func(Record) error) error {
	switch r.Kind {
	case AttemptDone:
		a[r.Host] = r
	case AttemptsDone:
		return a.repeat(r, each)
	}
	return each(r)
}

func (a attempts) repeat(r Record, each func(Record) error) error {
	last, ok := a[r.Host]
	if !ok || r.Repeats == nil || last.Step != r.Step || last.Attempt+1 != r.Attempt {
		return errNoSeries
	}
	text, words := takeWords(last.Outcome)
	last.Seq, last.Time, last.Log = r.Seq, r.Time, r.Log
	for line := range strings.SplitSeq(r.Repeats.Values, ",") {
		last.Attempt++
		if err := r.Repeats.set(words, line); err != nil {
			return err
		}
		if last.Outcome = putWords(text, words); !json.Valid(last.Outcome) {
			return misfit{errors.New("it does not restore the outcome of an attempt")}
		}
		a[r.Host] = last
		if err := each(last); err != nil {
			return err
		}
	}
	return nil
}

// set changes the words to those of one attempt.
func (p *Repeats) set(words []string, line string) error {
	values := strings.Split(line, " ")
	if len(p.At) == 0 && line == "" {
		return nil
	}
	if len(values) != len(p.At) {
		return misfit{fmt.Errorf("of an attempt it has %d words, not %d", len(values), len(p.At))}
	}
	for k, i := range p.At {
		if i < 0 || i >= len(words) {
			return misfit{fmt.Errorf("the attempt before it has no word %d", i)}
		}
		words[i] = cmp.Or(values[k], words[i])
	}
	return nil
}

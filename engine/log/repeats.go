package log

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Repeat is the outcome of an attempt that differs from the outcome of the attempt before it
// in some words only, numbers among them. A step that waits is tried every few seconds for most
// of an hour, and comes to the same each time but for times and counts.
type Repeat struct {
	At    []int    `json:"at,omitempty"`    // which words of the outcome differ, from 0
	Words []string `json:"words,omitempty"` // what these are now
}

// outcome is the last outcome of a host in the log, taken apart, and the attempt that it is of.
type outcome struct {
	step, mode string
	attempt    int
	text       string // without its words
	words      []string
}

// repeats reports whether an outcome may be logged as the words that differ from one before it.
func (o outcome) repeats(before outcome) bool {
	return o.step == before.step && o.attempt == before.attempt+1 && o.mode == "" && before.mode == "" && o.text == before.text
}

// shorten replaces an outcome that repeats the one before it, and leaves out what the record
// has in common with the record of that one.
func (l *Log) shorten(r Record) Record {
	if r.Kind != AttemptDone {
		return r
	}
	before, now := l.outcomes[r.Host], outcome{step: r.Step, mode: r.Mode, attempt: r.Attempt}
	now.text, now.words = takeWords(r.Outcome)
	l.outcomes[r.Host] = now
	if !now.repeats(before) {
		return r
	}
	r.Outcome, r.Repeat = nil, &Repeat{}
	r.Run, r.Machine, r.Step, r.Type, r.Attempt = "", "", "", "", 0
	for i, word := range now.words {
		if word != before.words[i] {
			r.Repeat.At, r.Repeat.Words = append(r.Repeat.At, i), append(r.Repeat.Words, word)
		}
	}
	return r
}

// place stands for a word in a document that was taken apart. No JSON has it.
const place = '\x00'

// takeWords takes a document apart: its text with a place for each word, and the words. Those
// are the runs of letters and digits in its texts, and its numbers; true, false and null are
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

// attempts are the last one of each host, from which those are restored that repeat it.
type attempts map[string]Record

// restore makes a record whole that repeats the attempt before it.
func (a attempts) restore(r Record) (Record, error) {
	if r.Kind != AttemptDone {
		return r, nil
	}
	if r.Repeat != nil {
		last, ok := a[r.Host]
		if !ok {
			return r, misfit{errors.New("it repeats an attempt that is not before it")}
		}
		outcome, err := r.Repeat.of(last.Outcome)
		if err != nil {
			return r, misfit{err}
		}
		last.Seq, last.Time, last.Attempt, last.Outcome = r.Seq, r.Time, last.Attempt+1, outcome
		r = last
	}
	a[r.Host] = r
	return r, nil
}

// of is the outcome that repeats another one.
func (p *Repeat) of(before json.RawMessage) (json.RawMessage, error) {
	if len(p.At) != len(p.Words) {
		return nil, fmt.Errorf("it names %d words, and has %d", len(p.At), len(p.Words))
	}
	text, words := takeWords(before)
	for k, i := range p.At {
		if i < 0 || i >= len(words) {
			return nil, fmt.Errorf("the attempt before it has no word %d", i)
		}
		words[i] = p.Words[k]
	}
	out := putWords(text, words)
	if !json.Valid(out) {
		return nil, errors.New("it does not restore the outcome of an attempt")
	}
	return out, nil
}

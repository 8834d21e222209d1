package secret

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// standsAlone reports whether a part of a text is a whole value: a word, and neither a key
// nor a bare value of a JSON document.
func standsAlone(text string, from, to int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:from])
	after, _ := utf8.DecodeRuneInString(text[to:])
	if from > 0 && inWord(before) && !endsColor(text[:from]) || to < len(text) && inWord(after) {
		return false
	}
	key := before == '"' && strings.HasPrefix(text[to:], `":`)
	return !key && !isBare(text, from)
}

func inWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// endsColor reports whether a text ends with a sequence that colours what follows.
func endsColor(text string) bool {
	parameters := strings.TrimRight(strings.TrimSuffix(text, "m"), "0123456789;")
	return strings.HasSuffix(text, "m") && strings.HasSuffix(parameters, "\x1b[")
}

// isBare reports whether a JSON value without quotes begins at a place.
func isBare(text string, from int) bool {
	before := strings.TrimRight(text[:from], " ")
	return strings.HasSuffix(before, `":`) && from < len(text) && (text[from] == '-' || strings.IndexByte("0123456789tfn", text[from]) >= 0) && bareEnds(text[from:])
}

// bareEnds reports whether a JSON value without quotes ends as it does in a document.
func bareEnds(text string) bool {
	rest := strings.TrimLeft(text, "-+.0123456789abcdefghijklmnopqrstuvwxyzE")
	return rest == "" || strings.IndexByte(",}]\n\r ", rest[0]) >= 0
}

// run is a part of a text in which all characters are of one kind. The last one is kept: a
// machine may repeat a secret in a run of any length, which must not be walked for each time.
type run struct{ from, to int }

// seek goes to the run that a place is in, or at an end of, and reports whether it is another
// one than before.
func (r *run) seek(text string, at int, is func(byte) bool) (moved bool) {
	if r.from < r.to && r.from <= at && at <= r.to {
		return false
	}
	for r.from = at; r.from > 0 && is(text[r.from-1]); r.from-- {
	}
	for r.to = at; r.to < len(text) && is(text[r.to]); r.to++ {
	}
	return true
}

// whole widens a place so that it cuts through no escape and no number of a JSON document,
// which would then be invalid.
func (f *finder) whole(s span) span {
	s.from, s.to = f.escapeBegin(s.from), f.escapeEnd(s.to)
	if f.numbers.seek(f.text, s.from, inNumber) {
		f.bare = isBare(f.text, f.numbers.from)
	}
	if f.bare {
		s.from, s.to, s.quoted = f.numbers.from, max(s.to, f.numbers.to), true
		for s.to < len(f.text) && inNumber(f.text[s.to]) {
			s.to++
		}
	}
	return s
}

func inNumber(c byte) bool { return c >= '0' && c <= '9' || strings.IndexByte("+-.eE", c) >= 0 }

func isBackslash(c byte) bool { return c == '\\' }

// longestEscape is that of one JSON escape.
const longestEscape = len(`\u0000`)

// escapeBegin is the start of the JSON escape in whose middle a place is, else the place.
func (f *finder) escapeBegin(at int) int {
	for begin := at - 1; begin >= 0 && begin > at-longestEscape; begin-- {
		if n := f.escapeLength(begin); n > 0 && begin+n > at {
			return begin
		}
	}
	return at
}

func (f *finder) escapeEnd(at int) int {
	if begin := f.escapeBegin(at); begin < at {
		return min(len(f.text), begin+f.escapeLength(begin))
	}
	return at
}

// escapeLength is the length of the JSON escape that begins at a place; 0: no escape does.
func (f *finder) escapeLength(at int) int {
	if f.text[at] != '\\' {
		return 0
	}
	if f.slashes.seek(f.text, at, isBackslash); (at-f.slashes.from)%2 == 1 { // this one is the second of two
		return 0
	}
	if at+1 < len(f.text) && f.text[at+1] == 'u' {
		return longestEscape
	}
	return 2
}

// ReplaceValue replaces a [Short] secret where it is a whole value of a text.
func ReplaceValue(text, short, by string) string {
	var out strings.Builder
	rest := 0
	for i := 0; i+len(short) <= len(text); i++ {
		if short != "" && i >= rest && strings.HasPrefix(text[i:], short) && standsAlone(text, i, i+len(short)) {
			out.WriteString(text[rest:i] + by)
			rest = i + len(short)
		}
	}
	return out.String() + text[rest:]
}

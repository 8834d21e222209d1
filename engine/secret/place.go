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

// whole widens a place so that it cuts through no escape and no number of a JSON document,
// which would be none any more.
func whole(text string, s span) span {
	s.from, s.to = escapeBegin(text, s.from), escapeEnd(text, s.to)
	first := strings.LastIndexFunc(text[:s.from], func(r rune) bool { return !inNumber(r) }) + 1
	if isBare(text, first) {
		s.from, s.quoted = first, true
		for s.to < len(text) && inNumber(rune(text[s.to])) {
			s.to++
		}
	}
	return s
}

func inNumber(r rune) bool { return r >= '0' && r <= '9' || strings.ContainsRune("+-.eE", r) }

// longestEscape is that of one JSON escape.
const longestEscape = len(`\u0000`)

// escapeBegin is the begin of the JSON escape in whose middle a place is, else the place.
func escapeBegin(text string, at int) int {
	for begin := at - 1; begin >= 0 && begin > at-longestEscape; begin-- {
		if n := escapeLength(text, begin); n > 0 && begin+n > at {
			return begin
		}
	}
	return at
}

func escapeEnd(text string, at int) int {
	if begin := escapeBegin(text, at); begin < at {
		return min(len(text), begin+escapeLength(text, begin))
	}
	return at
}

// escapeLength is the length of the JSON escape that begins at a place; 0: none does.
func escapeLength(text string, at int) int {
	if text[at] != '\\' {
		return 0
	}
	escaped := at - len(strings.TrimRight(text[:at], `\`))
	if escaped%2 == 1 { // this backslash is the second of two
		return 0
	}
	if at+1 < len(text) && text[at+1] == 'u' {
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

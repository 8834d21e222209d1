package secret

import (
	"html"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// reading is a text, or what it says when its escapes are undone.
type reading struct {
	text string
	at   []int // where each byte, and the end, is in the text as it is; nil: in its place
}

// place is where a byte of the reading is in the text.
func (r reading) place(i int) int {
	if r.at == nil {
		return i
	}
	return r.at[i]
}

// escape is a way to write a character by others.
type escape struct {
	sign byte // with which it begins
	// undo reads the escape with which a text begins: what it stands for, and its length;
	// 0: it begins with no escape.
	undo func(text string) (said string, length int)
}

var escapes = []escape{{'\\', undoBackslash}, {'%', undoPercent}, {'&', undoEntity}}

// decode undoes the escapes of one kind; any is false without any.
func (r reading) decode(e escape) (inner reading, any bool) {
	var b strings.Builder
	for i := strings.IndexByte(r.text, e.sign); i >= 0 && i < len(r.text); {
		said, length := "", 0
		if r.text[i] == e.sign {
			said, length = e.undo(r.text[i:])
		}
		if length == 0 {
			if any {
				b.WriteByte(r.text[i])
				inner.at = append(inner.at, r.place(i))
			}
			i++
			continue
		}
		if !any {
			any = true
			b.WriteString(r.text[:i])
			for before := range i {
				inner.at = append(inner.at, r.place(before))
			}
		}
		b.WriteString(said)
		for range len(said) {
			inner.at = append(inner.at, r.place(i))
		}
		i += length
	}
	inner.text, inner.at = b.String(), append(inner.at, r.place(len(r.text)))
	return inner, any
}

// plainEscapes are those of one letter in JSON and in Go.
const plainEscapes, plainSaid = `"\/'nrtbf`, "\"\\/'\n\r\t\b\f"

func undoBackslash(text string) (string, int) {
	if len(text) < 2 {
		return "", 0
	}
	if i := strings.IndexByte(plainEscapes, text[1]); i >= 0 {
		return plainSaid[i : i+1], 2
	}
	switch text[1] {
	case 'x':
		if n, ok := hexAt(text, 2, 2); ok {
			return string([]byte{byte(n)}), 4
		}
	case 'u':
		return undoUnicode(text)
	}
	return "", 0
}

// undoUnicode reads \u with four digits, or two of these that encode one character.
func undoUnicode(text string) (string, int) {
	n, ok := hexAt(text, 2, 4)
	if !ok {
		return "", 0
	}
	if r := rune(n); !utf16.IsSurrogate(r) {
		return string(r), 6
	}
	if strings.HasPrefix(text[6:], `\u`) {
		if low, ok := hexAt(text, 8, 4); ok {
			if r := utf16.DecodeRune(rune(n), rune(low)); r != utf8.RuneError {
				return string(r), 12
			}
		}
	}
	return "", 0
}

func undoPercent(text string) (string, int) {
	if n, ok := hexAt(text, 1, 2); ok {
		return string([]byte{byte(n)}), 3
	}
	return "", 0
}

// longestEntity bounds the length of an HTML entity for a character of a secret.
const longestEntity = 12

func undoEntity(text string) (string, int) {
	end := strings.IndexByte(text[:min(len(text), longestEntity)], ';')
	if end < 0 {
		return "", 0
	}
	if said := html.UnescapeString(text[:end+1]); said != text[:end+1] {
		return said, end + 1
	}
	return "", 0
}

func hexAt(text string, from, digits int) (uint64, bool) {
	if len(text) < from+digits {
		return 0, false
	}
	n, err := strconv.ParseUint(text[from:from+digits], 16, 32)
	return n, err == nil
}

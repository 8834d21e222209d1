// Package text cleans what machines say before anything else sees it.
//
// A BMC or an ESXi may send any character, and what it sends ends on a terminal, in a log,
// in a page. The doors call [Value] on what they decode and [Clean] on what they quote, once,
// where the text enters. [Lines] is for text that keeps its lines, such as a body that a
// trace shows. The package knows no secret: it does not mask.
package text

import (
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Most is how many characters of one text are kept: far more than any name, version or
// message of a machine that was recorded.
const Most = 1000

// replacement replaces a character that must not be shown.
const replacement = utf8.RuneError

// Clean makes one line of at most [Most] characters: blanks for line breaks and tabs, U+FFFD
// for what could control a terminal or hide in a text.
func Clean(s string) string { return Short(s, Most) }

// Short is [Clean] for at most n characters; what is cut off is shown as an ellipsis.
func Short(s string, n int) string {
	if len(s) <= n && isPlain(s) {
		return s
	}
	var b strings.Builder
	kept := 0
	for _, r := range s {
		if kept++; kept > n {
			b.WriteRune('…')
			break
		}
		b.WriteRune(inLine(r))
	}
	return b.String()
}

// Lines keeps line breaks, tabs and the length of a text, and replaces the rest as [Clean] does.
func Lines(s string) string {
	if isPlain(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return shown(r)
	}, s)
}

// isPlain reports printable ASCII, which is nearly all that machines say.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func inLine(r rune) rune {
	switch r {
	case '\n', '\r', '\t', '\v', '\f', '\u0085', '\u2028', '\u2029':
		return ' '
	}
	return shown(r)
}

// shown replaces what has no shape of its own: control characters, C1 controls such as
// U+009B, and the format characters, among which are the bidirectional controls and most of
// zero width. Invalid UTF-8 arrives as U+FFFD already.
func shown(r rune) rune {
	if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp) || unicode.Is(invisible, r) {
		return replacement
	}
	return r
}

// invisible are characters of zero width that Unicode counts as letters or marks.
var invisible = &unicode.RangeTable{
	R16: []unicode.Range16{{0x034f, 0x034f, 1}, {0x115f, 0x1160, 1}, {0x17b4, 0x17b5, 1}, {0x180b, 0x180f, 1}, {0x2065, 0x2065, 1}, {0x3164, 0x3164, 1}, {0xfe00, 0xfe0f, 1}, {0xffa0, 0xffa0, 1}},
	R32: []unicode.Range32{{0xe0000, 0xe0fff, 1}},
}

// Raw is implemented by types of text that must stay as it came, because it is sent back or
// checked by its own rules.
type Raw interface{ RawText() }

var raw = reflect.TypeFor[Raw]()

// Value cleans every text in a value that was decoded, in place: in exported fields, lists,
// maps with their keys, and behind pointers. Bytes and [Raw] texts stay as they are.
func Value(pointer any) {
	v := reflect.ValueOf(pointer)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		cleanValue(v.Elem())
	}
}

func cleanValue(v reflect.Value) {
	if v.Type().Implements(raw) {
		return
	}
	switch v.Kind() {
	case reflect.String:
		if s := v.String(); !isPlain(s) || len(s) > Most {
			v.SetString(Clean(s))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				cleanValue(v.Field(i))
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 { // bytes
			return
		}
		for i := range v.Len() {
			cleanValue(v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			cleanValue(v.Elem())
		}
	case reflect.Interface:
		if !v.IsNil() {
			v.Set(cleaned(v.Elem()))
		}
	case reflect.Map:
		cleanMap(v)
	}
}

// cleaned is a clean copy of what cannot be changed in place.
func cleaned(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	cleanValue(c)
	return c
}

func cleanMap(m reflect.Value) {
	for _, key := range m.MapKeys() {
		value, as := cleaned(m.MapIndex(key)), cleaned(key)
		if as.Interface() != key.Interface() {
			m.SetMapIndex(key, reflect.Value{})
		}
		m.SetMapIndex(as, value)
	}
}

package secret

import (
	"encoding/hex"
	"strings"

	"esxiplan/engine/text"
)

// formsOf are the encodings of a long secret without escapes.
func formsOf(secret string) []string {
	forms := append([]string{secret}, hexOf(secret)...)
	if blanks := strings.ReplaceAll(secret, " ", "+"); blanks != secret { // as in the query of a URL
		forms = append(forms, blanks)
	}
	for _, read := range []string{asLatin1(secret), text.Clean(secret)} { // a door cleans what a machine says before it is masked
		if read != secret {
			forms = append(forms, read)
		}
	}
	for _, encoding := range encodings {
		for before := range 3 {
			encoded := encoding.EncodeToString(append(make([]byte, before), secret...))
			first := (before*8 + 5) / 6            // the characters before it contain bits of the preceding text
			last := (before + len(secret)) * 8 / 6 // and the one at it of the following text
			forms = append(forms, encoded[first:last])
		}
	}
	return forms
}

// asLatin1 is what a machine makes of a text if it takes bytes for characters.
func asLatin1(text string) string {
	characters := make([]rune, len(text))
	for i := range len(text) {
		characters[i] = rune(text[i])
	}
	return string(characters)
}

func hexOf(text string) []string {
	lower := hex.EncodeToString([]byte(text))
	return []string{lower, strings.ToUpper(lower)}
}

// keyed is how many bytes of a form are looked up.
const keyed = 6

// table finds many forms in one pass over a text, whatever their number: the text at a
// place is looked up by its first bytes. Unlike an automaton it takes a further form
// without being rebuilt, which sessions need all the time.
type table struct {
	filter []uint64 // bits by hash: nearly all places of a text end here
	forms  map[uint64][]string
}

const filterBits = 18

func newTable() table {
	return table{filter: make([]uint64, 1<<filterBits/64), forms: map[uint64][]string{}}
}

func (t *table) add(form string) {
	var key uint64
	for i := range keyed {
		key = shifted(key, form[i])
	}
	for _, known := range t.forms[key] {
		if known == form {
			return
		}
	}
	t.forms[key] = append(t.forms[key], form)
	word, bit := slot(key)
	t.filter[word] |= bit
}

// shifted is the key one byte further in a text.
func shifted(key uint64, next byte) uint64 { return key>>8 | uint64(next)<<(8*(keyed-1)) }

// slot is the place of a key in the filter.
func slot(key uint64) (word int, bit uint64) {
	hash := key * 0x9e3779b97f4a7c15 >> (64 - filterBits)
	return int(hash / 64), 1 << (hash % 64)
}

// scan finds all forms in a text, also those that were cut off.
func (t *table) scan(text string, found func(from, to int)) {
	if len(t.forms) == 0 {
		return
	}
	var key uint64
	for i := range len(text) {
		key = shifted(key, text[i])
		word, bit := slot(key)
		if t.filter[word]&bit == 0 || i < keyed-1 {
			continue
		}
		from := i - (keyed - 1)
		for _, form := range t.forms[key] {
			if n := common(text[from:], form); n == len(form) || n >= keyed && isCut(text[from+n:]) {
				found(from, from+n)
			}
		}
	}
}

// common is the length of the common beginning of two texts.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// isCut reports an ellipsis after a text that was cut off.
func isCut(rest string) bool { return strings.HasPrefix(rest, "…") || strings.HasPrefix(rest, "...") }

package text

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for given, want := range map[string]string{
		"":                           "",
		"PowerEdge R750":             "PowerEdge R750",
		"Größe 10 µm, 日本":            "Größe 10 µm, 日本",
		"a\x1b[31mb\a":               "a\uFFFD[31mb\uFFFD",
		"a\u009b31mb":                "a\uFFFD31mb",
		"a\x9b31mb\xff":              "a\uFFFD31mb\uFFFD",
		"one\ntwo\r\nthree\tfour":    "one two  three four",
		"one\u2028two\u0085three":    "one two three",
		"a\u202eb\u2066c\u200fd":     "a\uFFFDb\uFFFDc\uFFFDd",
		"a\u200bb\ufeffc\u00add":     "a\uFFFDb\uFFFDc\uFFFDd",
		"a\u3164b\U000e0041c\ufe0fd": "a\uFFFDb\uFFFDc\uFFFDd",
		"a\x00\x7fb":                 "a\uFFFD\uFFFDb",
	} {
		if got := Clean(given); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}

func TestCleanIsBounded(t *testing.T) {
	for _, c := range []string{"x", "é", "\x1b"} {
		got := Clean(strings.Repeat(c, 5000))
		if utf8.RuneCountInString(got) != Most+1 || !strings.HasSuffix(got, "…") {
			t.Errorf("%q: %d characters, ends in %q", c, utf8.RuneCountInString(got), got[len(got)-3:])
		}
		if whole := strings.Repeat("é", Most); Clean(whole) != whole {
			t.Error("a text of just the length is cut")
		}
	}
}

func TestLinesKeepsLines(t *testing.T) {
	long := strings.Repeat("x", 5000)
	if got, want := Lines("a\n\tb\r\x1b\u009b\u202e"+long), "a\n\tb\uFFFD\uFFFD\uFFFD\uFFFD"+long; got != want {
		t.Errorf("%q", got)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b]0;title\x07\u009b\xff\u202e\n")
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		for _, r := range got {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				t.Errorf("%q leaves %q", s, r)
			}
		}
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > Most+1 || Clean(got) != got && utf8.RuneCountInString(got) <= Most {
			t.Errorf("%q becomes %q", s, got)
		}
	})
}

type link string

func (link) RawText() {}

// TestValue cleans what decoders make, wherever the text is, and nothing but text.
func TestValue(t *testing.T) {
	type inner struct{ Name string }
	type document struct {
		Name   string
		Kind   kind
		List   []string
		Inner  inner
		Many   []inner
		Map    map[string]any
		Shared *string
		Any    any
		Raw    json.RawMessage
		Link   link
		secret string
	}
	const evil, clean = "a\x1bb", "a\uFFFDb"
	text := evil
	got := document{evil, evil, []string{evil}, inner{evil}, []inner{{evil}}, map[string]any{evil: []any{evil, 1.5, nil}, "plain": map[string]any{"k": evil}}, &text, evil, json.RawMessage(evil), evil, evil}
	Value(&got)
	text = clean
	want := document{clean, clean, []string{clean}, inner{clean}, []inner{{clean}}, map[string]any{clean: []any{clean, 1.5, nil}, "plain": map[string]any{"k": clean}}, &text, clean, json.RawMessage(evil), evil, evil}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	Value(nil)
	Value((*document)(nil))
	Value(got) // no pointer: nothing to change
}

type kind string

package markdown

import (
	"html"
	"regexp"
	"strings"
	"testing"

	"esxiplan/engine/text"
)

// TestCodeSpan: no value is markup, and each can be read as it is.
func TestCodeSpan(t *testing.T) {
	for value, want := range map[string]string{
		"":                     "<code>&#32;</code>",
		"esxi-01":              "<code>esxi-01</code>",
		"@everyone":            "<code>&#64;everyone</code>",
		"a|b":                  "<code>a&#124;b</code>",
		"`x`":                  "<code>&#96;x&#96;</code>",
		"<img src=x>":          "<code>&lt;img src=x&gt;</code>",
		"[l](http://x)":        "<code>&#91;l&#93;(http&#58;//x)</code>",
		"one\ntwo":             "<code>one two</code>",
		"\x1b[1m":              "<code>\uFFFD&#91;1m</code>",
		"</code>":              "<code>&lt;/code&gt;</code>",
		strings.Repeat("x", 5): "<code>xxxxx</code>",
	} {
		if got := Code(value); got != want {
			t.Errorf("%q becomes %s, not %s", value, got, want)
		}
	}
}

func TestCell(t *testing.T) {
	for value, want := range map[string]string{"": "", "10.0.0.1": "10.0.0.1", "1.": "<code>1.</code>", "www.x": "<code>www&#46;x</code>", "B4:96": "<code>B4:96</code>", "-": "<code>-</code>"} {
		if got := Cell(value); got != want {
			t.Errorf("%q becomes %s, not %s", value, got, want)
		}
	}
}

func TestFence(t *testing.T) {
	for code, want := range map[string]string{
		"a\n":                 "```diff\na\n```\n",
		"a\n```\n</details>":  "````diff\na\n```\n</details>\n````\n",
		" `````` x\x1b\u202e": "```````diff\n `````` x\uFFFD\uFFFD\n```````\n",
	} {
		if got := Fence("diff", code); got != want {
			t.Errorf("%q becomes %q, not %q", code, got, want)
		}
	}
}

func TestComment(t *testing.T) {
	for name, want := range map[string]string{"lab": "lab", "rack-7 b": "rack-7 b", "a-->b": "a-%2D%3Eb", "--!>": "%2D%2D%21%3E", "ä": "%C3%A4", "a--": "a-%2D", "": ""} {
		if got := Comment(name); got != want {
			t.Errorf("%q becomes %q, not %q", name, got, want)
		}
	}
}

// FuzzEscape: whatever a value is, it is one element of text, a fence that ends where it
// should, and a comment that does.
func FuzzEscape(f *testing.F) {
	for _, seed := range []string{"", "a|b", "```\n</details>", "@everyone", "-->", "\x1b[31m", "http://x.example", "\u202e", "&lt;", "\xff", "www.WWW.x"} {
		f.Add(seed)
	}
	element := regexp.MustCompile("^<code>[^<>`|*_@\\[\\]\\\\~!$\\n]*</code>$")
	mark := regexp.MustCompile(`^[A-Za-z0-9 ._%-]*$`)
	f.Fuzz(func(t *testing.T, value string) {
		got := Code(value)
		if !element.MatchString(got) || strings.Contains(got, "://") {
			t.Errorf("%q becomes %q", value, got)
		}
		if shown := html.UnescapeString(got[len("<code>") : len(got)-len("</code>")]); strings.TrimSpace(shown) != strings.TrimSpace(text.Short(value, longestValue)) {
			t.Errorf("%q is read as %q", value, shown)
		}
		if c := Cell(value); c != "" && c != got && !harmless.MatchString(c) {
			t.Errorf("%q becomes the cell %q", value, c)
		}
		lines := strings.Split(strings.TrimSuffix(Fence("", value), "\n"), "\n")
		ticks := lines[0]
		for i, line := range lines[1:] {
			if strings.Contains(line, ticks) != (i == len(lines)-2) {
				t.Errorf("%q: the fence ends at line %d of %d", value, i+2, len(lines))
			}
		}
		if c := Comment(value); !mark.MatchString(c) || strings.Contains(c, "--") || strings.HasPrefix(c, "-") || strings.HasSuffix(c, "-") {
			t.Errorf("%q becomes the comment %q", value, c)
		}
	})
}

package text

import (
	"regexp"
	"strings"
	"testing"
)

func TestMarkdown(t *testing.T) {
	for given, want := range map[string]string{
		"":                       "",
		" \n ":                   "",
		"esxi-17.lab":            "<code>esxi-17.lab</code>",
		"MTFDKBA480TFR (slot 3)": "<code>MTFDKBA480TFR (slot 3)</code>",
		"@everyone":              "<code>&#64;everyone</code>",
		"a|b\\|c":                "<code>a&#124;b&#92;&#124;c</code>",
		"`x` **y** _z_":          "<code>&#96;x&#96; &#42;&#42;y&#42;&#42; &#95;z&#95;</code>",
		"![x](http://e.com/p)":   "<code>&#33;&#91;x&#93;(http&#58;//e.com/p)</code>",
		"www.example.com":        "<code>www&#46;example.com</code>",
		"</code><img src=x>":     "<code>&#60;/code&#62;&#60;img src&#61;x&#62;</code>",
		"&#64;x #12 $y$":         "<code>&#38;&#35;64;x &#35;12 &#36;y&#36;</code>",
		"one\n\n# two\r\n/close": "<code>one  &#35; two  /close</code>",
		"a\x1b[31m\u202eb":       "<code>a\uFFFD&#91;31m\uFFFDb</code>",
	} {
		if got := Markdown(given); got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", given, got, want)
		}
	}
}

func TestFence(t *testing.T) {
	for given, want := range map[string]string{
		"a\nb\n":          "```diff\na\nb\n```\n",
		"```\n# out\n```": "````diff\n```\n# out\n```\n````\n",
		"@x\n/close\x1b":  "```diff\n@x\n/close\uFFFD\n```\n",
	} {
		if got := Fence("diff", given); got != want {
			t.Errorf("%q: %q", given, got)
		}
	}
}

func TestCommand(t *testing.T) {
	got := Command("error", "100% wrong\n::set-output name=x::y", "file", "a,b:c.hcl", "line", "3", "col", "")
	if want := "::error file=a%2Cb%3Ac.hcl,line=3::100%25 wrong%0A::set-output name=x::y"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := Command("endgroup", ""); got != "::endgroup::" {
		t.Error(got)
	}
}

func TestLogLines(t *testing.T) {
	for given, want := range map[string]string{
		"host ok\n":                           "host ok\n",
		"a::b ::c":                            "a::b ::c",
		"::add-mask::x":                       ": :add-mask::x",
		"ok\n  \t::stop-commands::x\n":        "ok\n  \t: :stop-commands::x\n",
		"\u00a0\u3000::error::x":              "\u00a0\u3000: :error::x",
		"ok\r::error::x":                      "ok\r: :error::x",
		":::x":                                ": ::x",
		": :x":                                ": :x",
		"x ##[add-path]/tmp":                  "x ## [add-path]/tmp",
		"##vso[task.setvariable]x ###[y":      "##vso [task.setvariable]x ### [y",
		"##teamcity[x # [y] ## [z] #[w] a[b]": "##teamcity [x # [y] ## [z] #[w] a[b]",
	} {
		if got := LogLines(given); got != want {
			t.Errorf("%q:\ngot  %q\nwant %q", given, got, want)
		}
	}
}

// TestLog: however the output comes in parts, the lines are the same, and commands that are
// meant come through.
func TestLog(t *testing.T) {
	const text = "ok\n::a::b\n  ##[c]\n"
	var parts strings.Builder
	l := &Log{Out: &parts}
	for i := range len(text) {
		if n, err := l.Write([]byte{text[i]}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if parts.String() != LogLines(text) {
		t.Errorf("%q", parts.String())
	}
	l.Commands = true
	l.Write([]byte("::error::x\n"))
	if !strings.HasSuffix(parts.String(), "\n::error::x\n") {
		t.Errorf("%q", parts.String())
	}
}

var (
	isCommand = regexp.MustCompile(`(?m)^[\s\p{Zs}]*::|##[A-Za-z]*\[`)
	isActive  = regexp.MustCompile("[`*_\\[\\]<>@|~$:!\\\\\n]|&[^#]|#[^0-9]|(?i:www\\.)")
)

// FuzzMarkup: no text becomes a command of a log, or anything but text in Markdown.
func FuzzMarkup(f *testing.F) {
	for _, s := range []string{"::error::x", "x\n ::y", "##[z]", "a|b", "</code>@x", "```\n~~~", "\u2003::x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := LogLines(s); isCommand.MatchString(got) {
			t.Errorf("%q becomes a command: %q", s, got)
		}
		inside, ok := strings.CutPrefix(Markdown(s), "<code>")
		inside, end := strings.CutSuffix(inside, "</code>")
		if ok != end || isActive.MatchString(inside) {
			t.Errorf("%q is active: %q", s, inside)
		}
		block := Fence("", s)
		fence, rest, _ := strings.Cut(block, "\n")
		if inside, ok := strings.CutSuffix(rest, "\n"+fence+"\n"); !ok || strings.Contains(inside, fence) {
			t.Errorf("%q leaves its block: %q", s, block)
		}
		if got := Command("error", s, "file", s); strings.Count(got, "\n") > 0 || strings.Count(strings.SplitN(got[2:], "::", 2)[0], ",") > 0 {
			t.Errorf("%q leaves its command: %q", s, got)
		}
	})
}

package text

import (
	"regexp"
	"strings"
	"testing"
)

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
		if got := Command("error", s, "file", s); strings.Count(got, "\n") > 0 || strings.Count(strings.SplitN(got[2:], "::", 2)[0], ",") > 0 {
			t.Errorf("%q leaves its command: %q", s, got)
		}
	})
}

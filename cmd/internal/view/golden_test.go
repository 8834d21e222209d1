package view

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"esxiplan/engine/event"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// terminals are what the plain view is shown on.
var terminals = []struct {
	name string
	Streams
}{
	{"80 columns", Streams{Width: 80}},
	{"120 columns", Streams{Width: 120}},
	{"no terminal", Streams{}},
	{"120 columns, colours", Streams{Width: 120, Color: true, ColorErr: true}},
	{"80 columns, ASCII, verbose", Streams{Width: 80, ASCII: true, Verbose: true}},
}

// golden compares text with a file of testdata; -update writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	got = strings.ReplaceAll(got, "\x1b", "␛") // for people who review the file
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs at %s\n(go test ./cmd/internal/view -update rewrites it)", path, firstDifference(string(want), got))
	}
}

func firstDifference(want, got string) string {
	old, now := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(old), len(now)) {
		if old[i] != now[i] {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, old[i], now[i])
		}
	}
	return fmt.Sprintf("its end: %d lines, want %d", len(now), len(old))
}

// show feeds a story to a view and returns what the view wrote.
func show(t *testing.T, format string, s Streams, run tale) (stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	s.Out, s.Err, s.OutWidth = &out, &err, s.Width // a terminal is both
	v, problem := New(format, &s)
	if problem != nil {
		t.Fatal(problem)
	}
	for _, e := range run.earlier {
		v.Earlier(e)
	}
	if out.Len()+err.Len() > 0 {
		t.Errorf("what was shown before is shown again:\n%s%s", out.String(), err.String())
	}
	for _, e := range run.events {
		v.Event(e)
	}
	v.Close()
	return out.String(), err.String()
}

// TestPlain: what people read of a run, on each kind of terminal.
func TestPlain(t *testing.T) {
	for _, run := range stories(time.Local) { // times are shown in local time, so the files hold everywhere
		t.Run(run.name, func(t *testing.T) {
			var all strings.Builder
			for _, terminal := range terminals {
				stdout, stderr := show(t, "plain", terminal.Streams, run)
				fmt.Fprintf(&all, "==== %s: stderr\n%s==== %s: stdout\n%s", terminal.name, stderr, terminal.name, stdout)
			}
			golden(t, run.name, all.String())
		})
	}
}

// TestPlainKeepsToTheTerminal: progress lines never exceed the terminal, an ASCII terminal
// gets ASCII, and without colours there is no escape sequence, whatever machines say.
func TestPlainKeepsToTheTerminal(t *testing.T) {
	for _, run := range stories(time.Local) {
		for _, terminal := range terminals {
			stdout, stderr := show(t, "plain", terminal.Streams, run)
			if terminal.Width > 0 {
				for line := range strings.Lines(stderr) {
					if n := ansi.StringWidth(strings.TrimSuffix(line, "\n")); n > terminal.Width {
						t.Errorf("%s, %s: %d columns: %s", run.name, terminal.name, n, line)
					}
				}
			}
			for _, r := range stdout + stderr {
				if terminal.ASCII && r > '~' || !terminal.Color && r == '\x1b' {
					t.Errorf("%s, %s: %q was written", run.name, terminal.name, r)
				}
			}
		}
	}
}

// TestJSONLines: the events as programs read them; the schema only grows.
func TestJSONLines(t *testing.T) {
	for _, run := range stories(time.UTC)[:2] {
		stdout, stderr := show(t, "jsonl", Streams{Width: 80}, run)
		if stderr != "" {
			t.Errorf("stderr: %s", stderr)
		}
		golden(t, run.name+".jsonl", stdout)
		lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
		if len(lines) != len(run.events) {
			t.Errorf("%d lines for %d events", len(lines), len(run.events))
		}
		for _, line := range lines {
			var e event.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Errorf("%v: %s", err, line)
			}
			if again, _ := json.Marshal(e); string(again) != line {
				t.Errorf("read and written again\n%s\nis\n%s", line, again)
			}
		}
	}
}

// TestLine: the log of a host, line by line, as runs show --host writes it.
func TestLine(t *testing.T) {
	for _, terminal := range []struct {
		name string
		Streams
	}{{"lines", Streams{Width: 80}}, {"lines.colour", Streams{Width: 80, Color: true}}, {"lines.ascii", Streams{ASCII: true, Verbose: true}}} {
		var out bytes.Buffer
		terminal.Out = &out
		for _, e := range sixHosts(time.Local) {
			if e.Host != "" {
				Line(&terminal.Streams, e)
			}
		}
		golden(t, terminal.name, out.String())
	}
}

// TestControlCharacters: nothing that a machine says reaches a terminal as a command.
func TestControlCharacters(t *testing.T) {
	const evil = "a\x1b]0;title\x07\u009b2Jb"
	problem := &event.Problem{Summary: evil, Detail: evil, Next: evil}
	tape := newTape(time.Local)
	tape.begin(event.PlanInfo{Hosts: []string{"dell-01"}, DryRun: true})
	tape.host("dell-01")
	tape.add(0, event.Event{Kind: event.Warned, Host: "dell-01", Text: evil})
	tape.add(0, event.Event{Kind: event.Retried, Host: "dell-01", Step: "login", Problem: problem})
	tape.write("dell-01", "insert", event.Change{Verb: event.Insert, Target: evil, Old: evil, New: evil, Makes: &event.Medium{Kickstart: evil}})
	tape.done("dell-01", "installed", 0, event.Event{Status: event.Changed, Result: json.RawMessage("\"a\u009bb\""), Verdict: &event.Verdict{Proven: true, Version: evil, Build: evil, Evidence: []string{evil}}})
	tape.done("dell-01", "login", 0, event.Event{Status: event.Failed, Problem: problem})
	tape.end("dell-01", event.Failed, event.Counts{}, evil, nil)
	events := tape.finish(event.Summary{Hosts: map[event.Status]int{event.Failed: 1}, Internal: evil})
	stdout, stderr := show(t, "plain", Streams{Verbose: true}, tale{events: events})
	var log bytes.Buffer
	for _, e := range events {
		Line(&Streams{Out: &log, Verbose: true}, e)
	}
	for name, text := range map[string]string{"stdout": stdout, "stderr": stderr, "log": log.String()} {
		if !strings.Contains(text, "a\uFFFD") {
			t.Errorf("%s does not show what the machine said:\n%s", name, text)
		}
		if i := strings.IndexAny(text, "\x1b\x07\u009b"); i >= 0 {
			t.Errorf("%s has a control character: %q", name, text[max(0, i-40):i+4])
		}
	}
}

// TestCommandsStayWhole: what people copy from the recap is on one line, however narrow
// the terminal is.
func TestCommandsStayWhole(t *testing.T) {
	stdout, _ := show(t, "plain", Streams{Width: 40}, tale{events: interrupted(time.Local)})
	for _, want := range []string{
		"\nContinue with: esxiplan run rack7.hcl --start-at installed --limit dell-01,dell-02\n",
		"\nResume this run with: esxiplan run rack7.hcl --run nightly-7\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("want %q:\n%s", want, stdout)
		}
	}
}

// TestWrap: lines break between words only, and keep their indent.
func TestWrap(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"short", "short"},
		{"one two three", "one two\nthree"},
		{"a --limit dell-01,dell-02 b", "a --limit\ndell-01,dell-02\nb"},
		{"  indented text here", "  indented\ntext here"},
		{"two\nlines stay two", "two\nlines stay\ntwo"},
		{"\x1b[1mbold\x1b[0m words", "\x1b[1mbold\x1b[0m words"},
	} {
		if got := wrap(c.text, 10); got != c.want {
			t.Errorf("%q is wrapped to %q, want %q", c.text, got, c.want)
		}
	}
}

// TestNewRefuses: an unknown format is refused with those that exist.
func TestNewRefuses(t *testing.T) {
	_, err := New("xml", &Streams{})
	if err == nil || !strings.Contains(err.Error(), `"xml"`) || !strings.Contains(err.Error(), "plain, jsonl") {
		t.Errorf("%v", err)
	}
	for _, format := range Formats {
		if _, err := New(format, &Streams{}); err != nil {
			t.Error(err)
		}
	}
}

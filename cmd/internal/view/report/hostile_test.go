package report

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
)

// evil would be markup, a command of a terminal or the end of a document wherever it is not
// escaped.
const evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>|`*_@team #1 ]]><!-- \x00\x1b[2J\u202e\xff{{.Run}} ${x} & \"q\" 'p'"

// hostile is a run in which all that a plan or a machine can choose is evil.
func hostile() []event.Event {
	t := begin(evil, "ok-host")
	t.events[0].Plan.Name, t.events[0].Plan.Note = evil, evil
	t.events[0].Plan.Commands = event.Commands{Continue: evil, Resume: evil, Show: evil, Retry: evil, Eject: evil}
	p := &event.Problem{Summary: evil, Detail: evil, Next: evil, At: evil, Guard: evil, Answer: &event.Answer{Request: evil, Status: 500, Body: evil}}
	t.add(0, event.Event{Kind: event.HostStarted, Host: evil, Group: evil, Machine: evil})
	t.add(0, event.Event{Kind: event.Warned, Host: evil, Step: evil, Text: evil})
	t.add(0, event.Event{Kind: event.Warned, Text: evil})
	result, _ := json.Marshal(map[string]string{"vendor": evil, "model": evil, "serial": evil})
	t.step(evil, evil, time.Second, event.Event{Type: evil, Status: event.OK, Text: evil, Result: result})
	t.write(evil, evil, event.Change{Verb: event.Insert, Target: evil, Old: evil, New: evil}, event.Done)
	t.phase(evil, event.PhaseReading, evil)
	t.step(evil, "installed", time.Second, event.Event{Status: event.Failed, Problem: p})
	t.end(evil, event.Failed, event.Left{Mounted: []string{evil}, Boots: evil}, evil)
	t.host("ok-host")
	t.step("ok-host", "installed", time.Second, event.Event{Status: event.Changed, Verdict: &event.Verdict{Proven: true, Version: evil, Build: evil, Evidence: []string{evil}, Unchecked: []string{evil}}})
	t.end("ok-host", event.Changed, event.Left{}, "")
	return t.finish(event.Summary{Hosts: map[event.Status]int{event.Failed: 1, event.Changed: 1}, Internal: evil})
}

// hostileAbout is evil, too.
var hostileAbout = About{Version: "1", By: evil, Command: evil, Applied: evil}

// TestHostileText: no text of a plan or a machine is markup in any kind of report.
func TestHostileText(t *testing.T) {
	for _, kind := range Kinds {
		got := written(t, kind, hostile(), hostileAbout)
		switch kind {
		case HTML, Markdown, JUnit:
			if kind == HTML && (strings.Contains(got, "<img") || strings.Contains(got, "<script>alert")) {
				t.Error("text is markup")
			}
			if i := strings.IndexAny(got, "\x00\x1b\u202e"); i >= 0 {
				t.Errorf("%s has the control character %q", kind, got[i:i+4])
			}
		case JSON:
			if !json.Valid([]byte(got)) {
				t.Error("the JSON is not valid")
			}
		}
	}
}

// TestHostileMarkdown: lines begin as this package writes them, and names are within code.
func TestHostileMarkdown(t *testing.T) {
	got := written(t, Markdown, hostile(), hostileAbout)
	fenced := false
	for line := range strings.Lines(got) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			continue
		}
		if outside := regexp.MustCompile(`<code>.*?</code>`).ReplaceAllString(line, ""); !fenced && (strings.ContainsAny(outside, "@[]$&") || strings.Contains(outside, "<img")) {
			t.Errorf("outside of code: %s", line)
		}
	}
	if fenced {
		t.Error("a fence has no end")
	}
}

// TestHostilePage: the page has one data block, which is JSON, one script and one style, and its
// policy lets nothing else run.
func TestHostilePage(t *testing.T) {
	page := written(t, HTML, hostile(), hostileAbout)
	if n := strings.Count(page, "<script"); n != 2 || strings.Count(page, "</script>") != 2 || strings.Count(page, "<style>") != 1 {
		t.Fatalf("%d scripts", n)
	}
	_, rest, _ := strings.Cut(page, `<script type="application/json" id="data">`)
	data, _, _ := strings.Cut(rest, "</script>")
	var d pageData
	if err := json.Unmarshal([]byte(data), &d); err != nil || len(d.Hosts) != 2 {
		t.Errorf("the data: %v, %d hosts", err, len(d.Hosts))
	}
	policy := "content=\"default-src 'none'; style-src '" + hash(style) + "'; script-src '" + hash(script) + "'; base-uri 'none'; form-action 'none'\""
	if !strings.Contains(page, strings.ReplaceAll(policy, "+", "&#43;")) && !strings.Contains(page, policy) {
		t.Errorf("the policy is another one:\n%.900s", page)
	}
	if bad := regexp.MustCompile(`<[a-z]+[^>]* (on[a-z]+|src|style|action)=|<link|<iframe|@import|url\(`).FindString(page); bad != "" {
		t.Errorf("the page has %s", bad)
	}
}

// TestHostileJUnit is XML that can be read again, with each name as it is but for what XML cannot
// hold.
func TestHostileJUnit(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(written(t, JUnit, hostile(), hostileAbout)))
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzPack: a text that was packed is shown as it was.
func FuzzPack(f *testing.F) {
	for _, seed := range []string{"", "plain", "h17 read 418.2 MB", evil, "\x01 1 \x01", "12345678 12345678", "a=1,b=(2)"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := &packer{at: map[string]int{}}
		p.pack("another text 1234567")
		if got := unpack(p.texts, p.pack(text)); got != clean(text) {
			t.Errorf("%q is shown as %q", text, got)
		}
	})
}

// unpack does what the page's script does.
func unpack(texts []string, v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int:
		return texts[v]
	case []any:
		out := texts[v[0].(int)]
		for _, word := range v[1:] {
			out = strings.Replace(out, place, unpack(texts, word), 1)
		}
		return out
	}
	return ""
}

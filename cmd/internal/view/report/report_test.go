package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// extension is what files of a kind are called.
var extension = map[Kind]string{JUnit: "xml", JSON: "json", Markdown: "md", HTML: "html"}

// TestGolden: a run with a host for each standing, in all kinds that people or programs read as
// they are.
func TestGolden(t *testing.T) {
	for _, kind := range []Kind{JUnit, JSON, Markdown} {
		golden(t, "mixed."+extension[kind], written(t, kind, mixed(), about))
	}
}

// TestSameFromTheLog: events that were written as JSON and read again give the same bytes.
func TestSameFromTheLog(t *testing.T) {
	events := mixed()
	events[3].Elapsed = event.Seconds(1234567 * time.Microsecond)
	var read []event.Event
	for i, e := range events {
		events[i].Time = e.Time.In(time.FixedZone("", 3600))
		b, err := json.Marshal(events[i])
		if err != nil {
			t.Fatal(err)
		}
		var again event.Event
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatal(err)
		}
		read = append(read, again)
	}
	for _, kind := range Kinds {
		if written(t, kind, events, about) != written(t, kind, read, about) {
			t.Errorf("%s: another report from the log", kind)
		}
	}
}

// TestNothingIsInstalledThatIsNot: in no report of a run, cut off after any of its events, is a
// host called proven before its proof came.
func TestNothingIsInstalledThatIsNot(t *testing.T) {
	events := mixed()
	proof := 0
	for i, e := range events {
		if e.Verdict != nil && e.Verdict.Proven {
			proof = i
		}
	}
	for n := 1; n < len(events); n++ {
		r := &Recorder{}
		for _, e := range events[:n] {
			r.Event(e)
		}
		run := newRun(&r.story, about)
		for _, h := range run.hosts {
			version, _ := h.version()
			if (version != "" || h.standing == story.Proven) && (n <= proof || h.Name != "dell-01") {
				t.Errorf("after %d events %s is %s, version %q", n, h.Name, h.standing, version)
			}
		}
		if got := run.outcome(); !strings.HasPrefix(got, "not ended") {
			t.Errorf("after %d of %d events the run is said to be %s", n, len(events), got)
		}
	}
}

// TestKilled: of a run whose process died it is said that it has no end, and of a machine that
// was started into the installer, that it may be installing.
func TestKilled(t *testing.T) {
	tape := begin("dell-01", "dell-02")
	tape.host("dell-01")
	tape.write("dell-01", "restart", restart, event.Done)
	tape.phase("dell-01", event.PhaseReading, "12 MB were read")
	for kind, wants := range map[Kind][]string{
		JUnit:    {`type="not_ended"`, "restarted into the installer, and no proof is recorded, last seen reading the image", `message="not started"`},
		JSON:     {`"ended": false`, `"standing": "running"`},
		Markdown: {"not ended: it is still under way, or its process died", "--resume"},
		HTML:     {"not ended: it is still under way, or its process died"},
	} {
		got := written(t, kind, tape.events, about)
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s has no %q:\n%s", kind, want, got)
			}
		}
	}
}

// TestMarkdownFits: whatever the size of a run, code hosts take its report, in which what is left
// out is counted.
func TestMarkdownFits(t *testing.T) {
	events := fleet(1000)
	for i, e := range events { // each trouble is one of its own
		if e.Problem != nil {
			p := *e.Problem
			p.Summary = strings.Repeat(string(rune('a'+i%26))+" ", 100) + e.Host
			events[i].Problem = &p
		}
	}
	for name, events := range map[string][]event.Event{"alike": fleet(1000), "different": events} {
		got := written(t, Markdown, events, about)
		if len(got) > 60_000 || !strings.HasPrefix(got, "<!-- esxiplan report: rack7 -->\n") || !strings.HasSuffix(got, "</sub>\n") {
			t.Errorf("%s: %d bytes, ends with %q", name, len(got), got[len(got)-40:])
		}
		if !strings.Contains(got, "1000 hosts: 80 failed, 20 not started, 900 proven") || !strings.Contains(got, "Left out for lack of room") {
			t.Errorf("%s: totals or what is left out are missing:\n%.600s", name, got)
		}
		if strings.Count(got, "<details>") != strings.Count(got, "</details>") {
			t.Errorf("%s: a fold is not closed", name)
		}
	}
}

// TestFleetPage: the page of 1,000 hosts can be kept, sent and opened. KEEP=FOLDER keeps the
// reports, to look at them.
func TestFleetPage(t *testing.T) {
	events := fleet(1000)
	page := written(t, HTML, events, about)
	if len(page) > 3_000_000 {
		t.Errorf("the page has %d bytes", len(page))
	}
	if n := strings.Count(page, "<tr data-standing="); n != 1000 {
		t.Errorf("the table has %d hosts without the script", n)
	}
	if folder := os.Getenv("KEEP"); folder != "" {
		for _, kind := range Kinds {
			for name, events := range map[string][]event.Event{"fleet": events, "mixed": mixed(), "hostile": hostile()} {
				os.WriteFile(filepath.Join(folder, name+"."+extension[kind]), []byte(written(t, kind, events, about)), 0o644)
			}
		}
	}
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"esxiplan/cmd/internal/view"
	"esxiplan/cmd/internal/view/report"
	"esxiplan/engine/event"
	"esxiplan/engine/session"
	"esxiplan/schema"
)

// recorded is a run that ended.
func recorded() *report.Recorder {
	r := &report.Recorder{}
	at := time.Date(2026, 1, 14, 9, 30, 0, 0, time.UTC)
	r.Event(event.Event{Kind: event.RunStarted, Time: at, Run: "r", Plan: &event.PlanInfo{Name: "p", Commands: event.Commands{Show: "esxiplan runs show r p.hcl --sim sim.json"}}})
	r.Event(event.Event{Kind: event.RunDone, Time: at.Add(time.Minute), Run: "r", Summary: &event.Summary{}})
	return r
}

// TestReportThatCannotBeWritten: that one report fails is an error that names it, does not keep
// the others from being written, and leaves no part of a file.
func TestReportThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone")
	if err := os.Mkdir(gone, 0o755); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	a := &app{streams: &view.Streams{Err: &said}}
	f := &reportFlag{given: []string{"html=" + filepath.Join(gone, "a.html"), "json=" + filepath.Join(dir, "a.json")}}
	if err := f.check(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	err := f.write(a, recorded(), report.About{})
	if err == nil || !strings.Contains(err.Error(), "a.html: the report was not written") || !strings.Contains(err.Error(), "make room, then write it with: esxiplan runs show r p.hcl --sim sim.json --report html="+gone) {
		t.Errorf("%v", err)
	}
	if got := said.String(); !strings.Contains(got, "wrote report json") || strings.Contains(got, "html") {
		t.Errorf("said: %s", got)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 || entries[0].Name() != "a.json" {
		t.Errorf("left are %v", entries)
	}
}

// TestReportOfNoRun: where no run begins, such as on a machine that is locked, an earlier report
// stays as it is, also where the run that would be continued has a log.
func TestReportOfNoRun(t *testing.T) {
	earlier := filepath.Join(t.TempDir(), "r.json")
	if err := os.WriteFile(earlier, []byte("earlier"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &runFlags{}
	f.outputs.reports.given = []string{"json=" + earlier}
	if err := f.outputs.check(false); err != nil {
		t.Fatal(err)
	}
	a := newApp(nil, &view.Streams{Err: &bytes.Buffer{}})
	r := &request{app: a, flags: f, plan: &schema.Plan{}, prepared: &session.Prepared{}}
	content := func() string {
		b, _ := os.ReadFile(earlier)
		return string(b)
	}
	begin := func() *reportView {
		t.Helper()
		v, err := r.recordReports()
		if err != nil {
			t.Fatal(err)
		}
		return v.(*reportView)
	}
	v := begin()
	v.Recorder.Event(event.Event{Kind: event.RunStarted, Run: "r", Plan: &event.PlanInfo{}}) // of an earlier call, from the log
	if err := v.Close(); err != nil || content() != "earlier" {
		t.Errorf("no run began: %v, %q", err, content())
	}
	v = begin()
	v.Event(event.Event{Kind: event.RunStarted, Run: "r", Plan: &event.PlanInfo{}})
	if content() != "" {
		t.Error("the earlier report stays while the run is under way")
	}
	if err := v.Close(); err != nil || !strings.Contains(content(), "esxiplan report") {
		t.Errorf("the run began: %v, %q", err, content())
	}
}

// TestReportWithoutALog: of a rehearsal no log is left from which the report could be written.
func TestReportWithoutALog(t *testing.T) {
	r := &report.Recorder{}
	r.Event(event.Event{Kind: event.RunStarted, Time: time.Date(2026, 1, 14, 9, 30, 0, 0, time.UTC), Run: "r", Plan: &event.PlanInfo{Name: "p"}})
	gone := filepath.Join(t.TempDir(), "gone", "a.html")
	f := &reportFlag{files: []reportFile{{report.HTML, gone, gone}}}
	err := f.write(&app{streams: &view.Streams{Err: &bytes.Buffer{}}}, r, report.About{})
	if err == nil || !strings.Contains(err.Error(), "the report was not written") || strings.Contains(err.Error(), "runs show") {
		t.Errorf("%v", err)
	}
}

// TestReportThroughALink replaces the file that a link names, and not the link.
func TestReportThroughALink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "real.json"), filepath.Join(dir, "latest.json")
	if err := os.WriteFile(target, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	f := &reportFlag{given: []string{"json=" + link}}
	if err := f.check(); err != nil {
		t.Fatal(err)
	}
	if err := f.write(&app{streams: &view.Streams{Err: &bytes.Buffer{}}}, recorded(), report.About{}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	b, _ := os.ReadFile(target)
	if err != nil || info.Mode()&os.ModeSymlink == 0 || !bytes.Contains(b, []byte("esxiplan report")) {
		t.Errorf("%v, %v, %.40s", info, err, b)
	}
}

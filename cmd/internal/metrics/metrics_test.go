package metrics_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"esxiplan/cmd/internal/metrics"
	"esxiplan/engine/event"
)

// aRun is a run of ten hosts, of which one failed after two retries.
func aRun() *metrics.Run {
	r := metrics.New("0.1.0", true)
	at := time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC)
	r.Event(event.Event{Kind: event.RunStarted, Run: "nightly-7", Time: at, Plan: &event.PlanInfo{Name: `la"b`, Hosts: make([]string, 10)}})
	for i := range 10 {
		e := event.Event{Kind: event.StepDone, Host: fmt.Sprint("h", i), Step: "installed", Type: "wait", Status: event.OK, Elapsed: event.Seconds(time.Duration(i+1) * time.Minute), Verdict: &event.Verdict{Proven: true}}
		if i == 9 {
			r.Event(event.Event{Kind: event.Retried, Host: "h9", Step: "installed", Type: "wait"})
			r.Event(event.Event{Kind: event.Retried, Host: "h9", Step: "installed", Type: "wait"})
			e.Status, e.Verdict = event.Failed, nil
		}
		r.Event(e)
	}
	r.Event(event.Event{Kind: event.StepDone, Host: "h0", Step: "late", Type: "power", Status: event.Skipped})
	r.Event(event.Event{Kind: event.RunDone, Time: at.Add(11 * time.Minute), Summary: &event.Summary{Exit: 2, Hosts: map[event.Status]int{event.Changed: 9, event.Failed: 1}}})
	return r
}

// TestMetrics: what a run came to, in a form that Prometheus reads.
func TestMetrics(t *testing.T) {
	var b bytes.Buffer
	if err := aRun().Write(&b); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	for name, f := range families {
		if f.GetHelp() == "" || !strings.HasPrefix(name, "esxiplan_run_") {
			t.Errorf("%s: %q", name, f.GetHelp())
		}
		if len(f.Metric) > 7 {
			t.Errorf("%s has %d series", name, len(f.Metric))
		}
	}
	for _, line := range []string{
		`esxiplan_run_info{plan="la\"b",run="nightly-7",version="0.1.0",simulated="true"} 1`,
		`esxiplan_run_hosts{plan="la\"b",status="changed"} 9`,
		`esxiplan_run_hosts{plan="la\"b",status="unreachable"} 0`,
		`esxiplan_run_hosts_proven{plan="la\"b"} 9`,
		`esxiplan_run_duration_seconds{plan="la\"b"} 660`,
		`esxiplan_run_exit_code{plan="la\"b"} 2`,
		`esxiplan_run_end_timestamp_seconds{plan="la\"b"} 1.78825026e+09`,
		`esxiplan_run_step_retries{plan="la\"b",step="installed",type="wait"} 2`,
		`esxiplan_run_step_results{plan="la\"b",step="installed",type="wait",status="ok"} 9`,
		`esxiplan_run_step_results{plan="la\"b",step="late",type="power",status="skipped"} 1`,
		`esxiplan_run_step_duration_seconds{plan="la\"b",step="installed",type="wait",quantile="0.5"} 300`,
		`esxiplan_run_step_duration_seconds{plan="la\"b",step="installed",type="wait",quantile="0.9"} 540`,
		`esxiplan_run_step_duration_seconds{plan="la\"b",step="installed",type="wait",quantile="1"} 600`,
		`esxiplan_run_step_duration_seconds_count{plan="la\"b",step="installed",type="wait"} 10`,
		`# TYPE esxiplan_run_step_duration_seconds summary`,
	} {
		if !strings.Contains(b.String(), line+"\n") {
			t.Errorf("there is no line %s in\n%s", line, b.String())
		}
	}
}

// TestUnderWay: what is known while a run is under way has no end and no exit code.
func TestUnderWay(t *testing.T) {
	r := metrics.New("0.1.0", false)
	r.Event(event.Event{Kind: event.RunStarted, Run: "r1", Plan: &event.PlanInfo{Name: "lab", Hosts: []string{"h1", "h2"}}})
	r.Event(event.Event{Kind: event.HostDone, Host: "h1", Status: event.Failed, Left: &event.Left{Installing: time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC)}})
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); strings.Contains(text, "exit_code") || strings.Contains(text, "end_timestamp") || !strings.Contains(text, `esxiplan_run_hosts{plan="lab",status="failed"} 1`+"\n") ||
		!strings.Contains(text, `esxiplan_run_hosts_standing{plan="lab",standing="installing"} 1`+"\n") || !strings.Contains(text, `standing="powered_off"} 0`+"\n") {
		t.Error(text)
	}
}

// TestFile: a collector sees the former file or the new one, and a run that did not begin
// leaves the former one.
func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "esxiplan.prom")
	if err := metrics.Check(name); err != nil {
		t.Fatal(err)
	}
	if err := aRun().WriteFile(name); err != nil {
		t.Fatal(err)
	}
	if err := metrics.New("0.1.0", false).WriteFile(name); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode() != 0o644 || info.Size() == 0 {
		t.Errorf("%v, %v", info, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(name)); len(left) != 1 {
		t.Errorf("%v", left)
	}
	link := filepath.Join(t.TempDir(), "link.prom")
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	if metrics.Check(link) == nil {
		t.Error("a link would be replaced itself")
	}
	for _, bad := range []string{filepath.Join(name, "x.prom"), filepath.Dir(name)} {
		if metrics.Check(bad) == nil || aRun().WriteFile(bad) == nil {
			t.Errorf("%s can be written", bad)
		}
	}
}

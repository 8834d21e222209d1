package metrics

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// Run is what is known of a run. It may be used by several goroutines.
type Run struct {
	version   string
	simulated bool

	mu         sync.Mutex
	plan, name string
	hosts      int
	began      time.Time
	ended      time.Time // zero: it has not
	exit       int
	done       map[event.Status]int // hosts
	story      story.Story
	retries    map[step]int
	steps      map[step]*results
	order      []step // as they ended first
}

// step is a step of the plan.
type step struct{ name, kind string }

// results are how a step ended on its hosts.
type results struct {
	byStatus map[event.Status]int
	seconds  []float64 // where it ran
}

// New is a run that has not begun. version is that of esxiplan; simulated are the machines.
func New(version string, simulated bool) *Run {
	return &Run{version: version, simulated: simulated, done: map[event.Status]int{}, retries: map[step]int{}, steps: map[step]*results{}}
}

// Earlier takes in what happened before the run was continued: of the hosts it counts what was
// proven.
func (r *Run) Earlier(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.story.Event(e)
}

// Event takes in an event of the run.
func (r *Run) Event(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.story.Event(e)
	at := step{e.Step, e.Type}
	switch {
	case e.Kind == event.RunStarted && e.Plan != nil:
		r.plan, r.name, r.hosts, r.began = e.Plan.Name, e.Run, len(e.Plan.Hosts), e.Time
	case e.Kind == event.Retried:
		r.retries[at]++
	case e.Kind == event.StepDone:
		r.step(at, e)
	case e.Kind == event.HostDone:
		r.done[e.Status]++
	case e.Kind == event.RunDone && e.Summary != nil:
		r.ended, r.exit, r.done = e.Time, e.Summary.Exit, e.Summary.Hosts
	}
}

func (r *Run) step(at step, e event.Event) {
	of := r.steps[at]
	if of == nil {
		of = &results{byStatus: map[event.Status]int{}}
		r.steps[at], r.order = of, append(r.order, at)
	}
	of.byStatus[e.Status]++
	if e.Status != event.Skipped && e.Status != event.NotRun {
		of.seconds = append(of.seconds, time.Duration(e.Elapsed).Seconds())
	}
}

// Write writes the metrics in the text format of Prometheus; nothing of a run that did not
// begin.
func (r *Run) Write(w io.Writer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.plan == "" {
		return nil
	}
	for _, f := range r.families() {
		if _, err := expfmt.MetricFamilyToText(w, f); err != nil {
			return err
		}
	}
	return nil
}

// statuses are those of hosts and steps, each of which has a series, also where it is 0.
var statuses = []event.Status{event.OK, event.Changed, event.Skipped, event.Ignored, event.Failed, event.Unreachable, event.NotRun}

func (r *Run) families() (out []*dto.MetricFamily) {
	plan := label("plan", r.plan)
	gauge := func(name, help string, value float64) {
		out = append(out, family(name, help, dto.MetricType_GAUGE, metric(value, plan)))
	}
	out = append(out, family("esxiplan_run_info", "The run that the other metrics are of; always 1.", dto.MetricType_GAUGE,
		metric(1, plan, label("run", r.name), label("version", r.version), label("simulated", fmt.Sprint(r.simulated)))))
	gauge("esxiplan_run_start_timestamp_seconds", "When the run, or this stage of it, began.", stamp(r.began))
	if !r.ended.IsZero() {
		gauge("esxiplan_run_end_timestamp_seconds", "When it ended.", stamp(r.ended))
		gauge("esxiplan_run_duration_seconds", "How long it took.", r.ended.Sub(r.began).Seconds())
		gauge("esxiplan_run_exit_code", "Exit code of the run: 0 success, 2 hosts failed, 4 unreachable, 6 both; the README has all.", float64(r.exit))
	}
	out = append(out, r.hostsByStatus(plan), r.hostsByStanding(plan))
	gauge("esxiplan_run_hosts_planned", "How many hosts the run has.", float64(r.hosts))
	gauge("esxiplan_run_hosts_proven", "How many hosts have an installation that this stage of the run proved.", float64(r.story.Proven()))
	return append(out, r.stepFamilies(plan)...)
}

func (r *Run) hostsByStatus(plan *dto.LabelPair) *dto.MetricFamily {
	var all []*dto.Metric
	for _, s := range statuses {
		all = append(all, metric(float64(r.done[s]), plan, label("status", string(s))))
	}
	return family("esxiplan_run_hosts", "Hosts that have ended, by how they ended.", dto.MetricType_GAUGE, all...)
}

// urgent are the standings that no status says.
var urgent = []story.Standing{story.PoweredOff, story.Installing, story.Unproven, story.Refused}

// hostsByStanding says which machines need someone, such as those that are powered off or being
// installed although the run has ended.
func (r *Run) hostsByStanding(plan *dto.LabelPair) *dto.MetricFamily {
	var all []*dto.Metric
	count := r.story.Count()
	for _, s := range urgent {
		all = append(all, metric(float64(count[s]), plan, label("standing", strings.ReplaceAll(string(s), " ", "_"))))
	}
	return family("esxiplan_run_hosts_standing", "Hosts left powered off or installing, unproven, or refused by a guard.", dto.MetricType_GAUGE, all...)
}

func (r *Run) stepFamilies(plan *dto.LabelPair) (out []*dto.MetricFamily) {
	var durations, results, retries []*dto.Metric
	for _, at := range r.order {
		labels := []*dto.LabelPair{plan, label("step", at.name), label("type", at.kind)}
		of := r.steps[at]
		for _, s := range slices.Sorted(maps.Keys(of.byStatus)) {
			results = append(results, metric(float64(of.byStatus[s]), append(slices.Clone(labels), label("status", string(s)))...))
		}
		retries = append(retries, metric(float64(r.retries[at]), labels...))
		if len(of.seconds) > 0 {
			durations = append(durations, summary(of.seconds, labels))
		}
	}
	for _, f := range []*dto.MetricFamily{
		family("esxiplan_run_step_results", "Hosts by how the step ended on them.", dto.MetricType_GAUGE, results...),
		family("esxiplan_run_step_retries", "Attempts of the step that followed an error.", dto.MetricType_GAUGE, retries...),
		family("esxiplan_run_step_duration_seconds", "How long the step took on a host, attempts and pauses together.", dto.MetricType_SUMMARY, durations...),
	} {
		if len(f.Metric) > 0 { // a family without a series is not valid
			out = append(out, f)
		}
	}
	return out
}

// summary has the median, the slowest tenth and the slowest.
func summary(seconds []float64, labels []*dto.LabelPair) *dto.Metric {
	slices.Sort(seconds)
	count, sum := uint64(len(seconds)), 0.0
	for _, s := range seconds {
		sum += s
	}
	s := &dto.Summary{SampleCount: &count, SampleSum: &sum}
	for _, q := range []float64{0.5, 0.9, 1} {
		value := seconds[int(math.Ceil(q*float64(len(seconds))))-1]
		s.Quantile = append(s.Quantile, &dto.Quantile{Quantile: &q, Value: &value})
	}
	return &dto.Metric{Label: labels, Summary: s}
}

func family(name, help string, kind dto.MetricType, metrics ...*dto.Metric) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Help: &help, Type: &kind, Metric: metrics}
}

func metric(value float64, labels ...*dto.LabelPair) *dto.Metric {
	return &dto.Metric{Label: labels, Gauge: &dto.Gauge{Value: &value}}
}

func label(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }

func stamp(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// WriteFile writes the metrics into a file that another user's collector may read. A reader
// sees the former file or this one, never a part. A symbolic link would be replaced itself:
// [Check] refuses it, and whoever takes links follows them first.
func (r *Run) WriteFile(name string) error {
	var b bytes.Buffer
	if err := r.Write(&b); err != nil || b.Len() == 0 {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".esxiplan-*.prom.new")
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// Check reports why a file could not be written, before there is anything to write.
func Check(name string) error {
	if info, err := os.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return &os.PathError{Op: "write", Path: name, Err: errors.New("it is not a regular file")}
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".esxiplan-*.prom.new")
	if err != nil {
		return err
	}
	return cmp.Or(f.Close(), os.Remove(f.Name()))
}

// Package report writes what came of a run into files that people keep: JUnit for CI systems,
// JSON for programs, Markdown for tickets, and a page of HTML that needs nothing else.
//
// All kinds are made from one [Recorder], which takes in the events of a run while it is under
// way, or later from its log: the same events give the same bytes. What a report says of a host
// is its [story.Standing] first. Nothing is said to be installed that is not proven, and a run
// that did not end is called so.
//
// Events come here without secrets, as the log masks them. What else a report says stands in
// [About], which the caller masks. Whatever a plan or a machine chose is written as text, not
// as markup.
package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// Kind is a form of report.
type Kind string

// The kinds of reports.
const (
	JUnit    Kind = "junit"    // XML for CI systems: a suite per host, a case per step
	JSON     Kind = "json"     // all of it, for programs
	Markdown Kind = "markdown" // for a ticket, a comment or the summary of a job
	HTML     Kind = "html"     // one page, with the log of each host
)

// Kinds are all kinds.
var Kinds = []Kind{JUnit, JSON, Markdown, HTML}

// About is what the events of a run do not say.
type About struct {
	Version string // of esxiplan that ran it
	By      string // who started its last stage
	Command string // by which that was asked for
	Applied string // text of the saved plan that was applied; "": none was
}

// Recorder takes in the events of a run. The zero value is ready.
type Recorder struct {
	// NoLog leaves out the logs of hosts, which only reports of kind html have.
	NoLog bool

	story    story.Story
	log      map[string][]line // by host
	describe func(event.Event) string
}

// line is a line of a host's log.
type line struct {
	at   time.Time
	text string
}

// Event takes in an event, in the order of the log. Progress is left out: it is over when a
// report is read, and no log has it.
func (r *Recorder) Event(e event.Event) {
	if e.Kind == event.Progressed {
		return
	}
	e.Time, e.Elapsed = e.Time.Round(0).UTC(), event.Seconds(time.Duration(e.Elapsed).Truncate(time.Millisecond))
	r.story.Event(e)
	if e.Host == "" || r.NoLog {
		return
	}
	if r.log == nil {
		r.log, r.describe = map[string][]line{}, view.Describer()
	}
	if text := r.describe(e); text != "" {
		r.log[e.Host] = append(r.log[e.Host], line{e.Time, text})
	}
}

// Show is the command that shows the run, "" where its log does not outlast it.
func (r *Recorder) Show() string { return r.story.Plan.Show }

// Empty reports that no run began.
func (r *Recorder) Empty() bool { return r.story.Began.IsZero() }

// Write writes a report of what was taken in so far.
func (r *Recorder) Write(w io.Writer, kind Kind, about About) error {
	run := newRun(&r.story, about)
	switch kind {
	case JUnit:
		return writeJUnit(w, run)
	case JSON:
		return writeJSON(w, run)
	case Markdown:
		return writeMarkdown(w, run)
	case HTML:
		return writeHTML(w, run, r.log)
	}
	return fmt.Errorf("there is no report %q", kind)
}

// run is a run as reports show it.
type run struct {
	*story.Story
	About
	hosts []*host
	first time.Time // when its first stage began, as far as is known
}

// host is a host as reports show it.
type host struct {
	*story.Host
	standing story.Standing
	why      string // in words; "" where the standing says all
	next     string // what to do about it, in words
	commands []view.Command
}

func newRun(s *story.Story, about About) *run {
	r := &run{Story: s, About: about, first: s.Began}
	for _, h := range s.Hosts {
		for _, step := range h.Steps {
			if step.Began.Before(r.first) {
				r.first = step.Began
			}
		}
		one := &host{Host: h, standing: h.Standing(), commands: view.NextOf(s, h)}
		one.why, one.next = r.reason(one)
		r.hosts = append(r.hosts, one)
	}
	return r
}

// outcome says how the run itself ended.
func (r *run) outcome() string {
	switch s := r.Summary; {
	case s == nil:
		return "not ended: it is still under way, or its process died"
	case s.Interrupted:
		return fmt.Sprintf("interrupted (exit %d)", s.Exit)
	case s.Internal != "":
		return fmt.Sprintf("stopped: %s (exit %d)", s.Internal, s.Exit)
	case s.Budget:
		return fmt.Sprintf("stopped by the failure budget (exit %d)", s.Exit)
	case s.Exit != event.ExitOK:
		return fmt.Sprintf("ended with failures (exit %d)", s.Exit)
	}
	return "ended without failures"
}

// times say when the run began, and how long it took. Stages may lie hours apart: of several it is
// said how long the last one took.
func (r *run) times() string {
	if r.first.Equal(r.Began) {
		return "began " + moment(r.Began) + ", took " + view.Span(r.Took())
	}
	return "began " + moment(r.first) + ", last stage at " + moment(r.Began) + ", which took " + view.Span(r.Took())
}

// whole reports that the run came to its end.
func (r *run) whole() bool {
	return r.Summary != nil && !r.Summary.Interrupted && r.Summary.Internal == "" && !r.Summary.Budget
}

// totals counts the hosts by their standing, the most urgent first, and the proven installations
// where those are more.
func (r *run) totals() string {
	n := r.Count()
	parts := []string{}
	for _, s := range story.Standings {
		if n[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[s], s))
		}
	}
	text := event.Count(len(r.Hosts), "host") + ": " + strings.Join(parts, ", ")
	if proven := r.Proven(); proven > n[story.Proven] {
		text += "; " + event.Count(proven, "installation") + " proven"
	}
	return text
}

// reason says why a host stands where it stands, and what to do about it.
func (r *run) reason(h *host) (why, next string) {
	parts := []string{h.provenBefore(), r.state(h)}
	for _, s := range h.causes() {
		parts = append(parts, view.StepName(s.Name, s.Type)+": "+sentence(s.Problem.Summary, s.Problem.Detail))
		next = cmp.Or(next, s.Problem.Next)
	}
	parts = compact(append(parts, view.Stays(h.Left)))
	for i, p := range parts {
		parts[i] = strings.TrimSuffix(p, ".")
	}
	return strings.Join(parts, "; "), next
}

// causes are the steps for which a host is in trouble. An unproven one has the wait that was given
// up first, also where the plan ignores that it failed.
func (h *host) causes() (out []*story.Step) {
	if s := h.GaveUp(); s != nil && s.Problem != nil && h.standing == story.Unproven {
		out = append(out, s)
	}
	if s := h.Failed(); s != nil && !slices.Contains(out, s) {
		out = append(out, s)
	}
	return out
}

// provenBefore says what is proven of a host that came into trouble after it.
func (h *host) provenBefore() string {
	p := h.proof()
	if p == nil || h.standing == story.Proven {
		return ""
	}
	return "ESXi " + p.Version + " build " + p.Build + " was proven before"
}

// state says what the machine does, as far as the standing does not say it.
func (r *run) state(h *host) string {
	switch h.standing {
	case story.Installing:
		return "being installed since " + moment(h.Left.Installing) + h.LastSeen()
	case story.PoweredOff:
		return "powered off for its restart, and not on again"
	case story.Proven:
		return "ESXi " + h.Proof.Version + " build " + h.Proof.Build
	case story.Refused:
		return "refused by the guard " + h.Guard()
	case story.Running:
		return r.unfinished(h)
	}
	if h.Text != string(h.standing) {
		return h.Text
	}
	return ""
}

// unfinished says where a host was when the report was made. What runs on after the death of
// esxiplan is the installation.
func (r *run) unfinished(h *host) string {
	text := "between two steps"
	if s := h.Step(); s != nil {
		text = "in step " + view.StepName(s.Name, s.Type)
	}
	text += ", last record at " + moment(h.Latest)
	switch {
	case h.SwitchedOff():
		text += "; it was switched off for a restart, and no start is recorded"
	case h.Installs():
		text += "; it was restarted into the installer, and no proof is recorded" + h.LastSeen()
	}
	return text
}

// step finds what became of a step on the host, nil where it did not come to it.
func (h *host) step(name string) *story.Step {
	for _, s := range h.Steps {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// missed says why a host did not come to a step.
func (h *host) missed() string {
	failed := h.Failed()
	switch {
	case h.standing == story.Skipped:
		return sentence("skipped", h.Text)
	case failed != nil:
		return "not run: the host failed before, in step " + failed.Name
	case h.Began.IsZero():
		return sentence("not started", strings.TrimPrefix(h.Text, string(story.Waiting)))
	case h.Status == "":
		return "not run: the host had not come to it when this report was made"
	}
	return sentence("not run", h.Text)
}

// proof is the proof of the installation that is on the host, also where the host failed after it;
// nil: none is proven.
func (h *host) proof() *event.Verdict {
	if h.standing != story.Proven && !h.Proved() {
		return nil
	}
	return h.Proof
}

// version is the ESXi that is proven to be on the host.
func (h *host) version() (version, build string) {
	p := h.proof()
	if p == nil {
		return "", ""
	}
	return p.Version, p.Build
}

// evidence is what the proof of a host rests on, and what it could not.
func (h *host) evidence() (rests, unchecked []string) {
	p := h.proof()
	if p == nil {
		return nil, nil
	}
	return p.Evidence, p.Unchecked
}

// sentence joins what is said with its details.
func sentence(text, detail string) string {
	if detail == "" {
		return text
	}
	return strings.TrimSuffix(text, ".") + ": " + detail
}

// compact leaves out what is empty.
func compact(parts []string) (out []string) {
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return out
}

// moment is a time for people. All reports are in UTC, so that they read the same everywhere.
func moment(t time.Time) string {
	if t.IsZero() {
		return "?"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// statusOf is a step's status in words, also where it has none.
func statusOf(s *story.Step) string {
	switch {
	case s == nil:
		return "not run"
	case s.Status == "":
		return "not ended"
	case s.Status == event.NotRun:
		return "interrupted"
	}
	return string(s.Status)
}

// took is how long a step took, 0 where it has not ended.
func took(s *story.Step) time.Duration {
	if s == nil {
		return 0
	}
	return time.Duration(s.Took)
}

package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// The elements of JUnit's XML that all its schemas have: that of Apache Ant, which demands most,
// and those of Jenkins, which GitLab reads, too. Elements stand in the order of Ant's schema.
type (
	suites struct {
		XMLName xml.Name `xml:"testsuites"`
		Suites  []suite  `xml:"testsuite"`
	}
	suite struct {
		Package    string     `xml:"package,attr"` // the plan
		ID         int        `xml:"id,attr"`
		Name       string     `xml:"name,attr"`
		Timestamp  string     `xml:"timestamp,attr"` // UTC; the schema allows no zone
		Hostname   string     `xml:"hostname,attr"`
		Tests      int        `xml:"tests,attr"`
		Failures   int        `xml:"failures,attr"`
		Errors     int        `xml:"errors,attr"`
		Skipped    int        `xml:"skipped,attr"`
		Time       string     `xml:"time,attr"` // seconds
		Properties []property `xml:"properties>property"`
		Cases      []testcase `xml:"testcase"`
		Out        string     `xml:"system-out"`
		Err        string     `xml:"system-err"`
	}
	property struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	testcase struct {
		Name    string  `xml:"name,attr"`
		Class   string  `xml:"classname,attr"`
		Time    string  `xml:"time,attr"`
		Skipped *result `xml:"skipped"`
		Error   *result `xml:"error"`
		Failure *result `xml:"failure"`
	}
	result struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

func writeJUnit(w io.Writer, r *run) error {
	var doc suites
	for i, h := range r.hosts {
		doc.Suites = append(doc.Suites, r.suite(i, h))
	}
	if !r.whole() {
		doc.Suites = append(doc.Suites, r.cutShort(len(doc.Suites)))
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(doc); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// suite is a host. Each step of the run is a case, also where the host did not come to it.
func (r *run) suite(id int, h *host) suite {
	began := h.Began
	if began.IsZero() {
		began = r.Began
	}
	s := r.newSuite(id, h.Name, began, h.Took())
	for _, c := range r.Steps {
		s.add(caseOf(r.class(h.Name), c, h))
	}
	s.Properties, s.Out, s.Err = r.properties(h), clean(outline(h)), clean(warnings(h.Notes))
	return s
}

func (r *run) newSuite(id int, name string, began time.Time, took time.Duration) suite {
	name = clean(name)
	return suite{Package: clean(r.Plan.Name), ID: id, Name: name, Hostname: name, Timestamp: began.UTC().Format("2006-01-02T15:04:05"), Time: seconds(took), Properties: []property{}}
}

// class is the class of a host's cases. CI systems take dots for levels of packages, so those in
// a name are not kept.
func (r *run) class(host string) string {
	return clean(r.Plan.Name) + "." + strings.ReplaceAll(clean(host), ".", "_")
}

func (s *suite) add(c testcase) {
	s.Cases, s.Tests = append(s.Cases, c), s.Tests+1
	switch {
	case c.Skipped != nil:
		s.Skipped++
	case c.Error != nil:
		s.Errors++
	case c.Failure != nil:
		s.Failures++
	}
}

// caseOf is a step of a host. What did not come to its end is an error: a CI system must not
// take it for a step that was left out on purpose. An installation that is unproven is one, too,
// whatever the plan ignores.
func caseOf(class string, c story.Column, h *host) testcase {
	s := h.step(c.Name)
	out := testcase{Name: clean(view.StepName(c.Name, c.Type)), Class: class, Time: seconds(took(s))}
	switch {
	case s == nil:
		out.Skipped = newResult("not_run", h.missed(), "")
	case s.Status == event.Failed:
		out.Failure = newResult(kindOf(s), summaryOf(s), explained(s))
	case s.Status == event.Unreachable:
		out.Error = newResult("unreachable", summaryOf(s), explained(s))
	case s.Status == event.NotRun:
		out.Error = newResult("interrupted", sentence("interrupted", s.Text), h.why)
	case s.Status == "":
		out.Error = newResult("not_ended", "not ended when this report was made", h.why)
	case s.Status == event.Ignored && slices.Contains(h.causes(), s):
		out.Error = newResult(string(h.standing), "unproven, which the plan ignores: "+summaryOf(s), explained(s))
	case s.Status == event.Ignored:
		out.Skipped = newResult("ignored", "failed, and ignored as the plan says: "+summaryOf(s), explained(s))
	case s.Status == event.Skipped:
		out.Skipped = newResult("skipped", sentence("skipped", s.Text), "")
	}
	return out
}

func newResult(kind, message, text string) *result {
	return &result{Type: clean(kind), Message: clean(message), Text: clean(text)}
}

// kindOf is how a step failed.
func kindOf(s *story.Step) string {
	if s.Problem != nil && s.Problem.Guard != "" {
		return "refused by guard " + s.Problem.Guard
	}
	return string(event.Failed)
}

func summaryOf(s *story.Step) string {
	if s.Problem == nil {
		return s.Text
	}
	return s.Problem.Summary
}

// explained is all that is known of a failure, one line each.
func explained(s *story.Step) string {
	p := s.Problem
	if p == nil {
		return s.Text
	}
	lines := []string{p.Summary, p.Detail, labelled("next", p.Next), labelled("at", p.At)}
	if s.Attempt > 1 {
		lines = append(lines, event.Count(s.Attempt, "attempt"))
	}
	return strings.Join(compact(lines), "\n")
}

func labelled(label, text string) string {
	if text == "" {
		return ""
	}
	return label + ": " + text
}

// properties say which machine it was, and what the verdict rests on.
func (r *run) properties(h *host) []property {
	version, build := h.version()
	out := []property{}
	add := func(name, value string) {
		if value != "" {
			out = append(out, property{name, clean(value)})
		}
	}
	add("run", r.Run)
	add("plan", r.Plan.Name)
	add("esxiplan", r.About.Version)
	add("group", h.Group)
	add("machine", h.Machine)
	add("vendor", h.Vendor)
	add("model", h.Model)
	add("serial", h.Serial)
	add("standing", string(h.standing))
	add("reason", h.why)
	add("guard", h.Guard())
	add("version", version)
	add("build", build)
	rests, unchecked := h.evidence()
	for i, text := range rests {
		add(fmt.Sprintf("evidence.%d", i+1), text)
	}
	for i, text := range unchecked {
		add(fmt.Sprintf("unchecked.%d", i+1), text)
	}
	return out
}

// outline is what a person reads of a host: where it stands, what that rests on, what was changed,
// and what to do next.
func outline(h *host) string {
	lines := []string{sentence(string(h.standing), h.why), labelled("next", h.next)}
	for _, c := range h.commands {
		lines = append(lines, c.Why+": "+c.Line)
	}
	rests, unchecked := h.evidence()
	for _, text := range rests {
		lines = append(lines, "evidence: "+text)
	}
	for _, text := range unchecked {
		lines = append(lines, "not checked: "+text)
	}
	for _, s := range h.Steps {
		for _, c := range s.Changes {
			lines = append(lines, labelled(s.Name, changed(c)))
		}
	}
	return strings.Join(compact(lines), "\n")
}

// changed is a change with what came of it.
func changed(c *story.Change) string {
	text := c.String()
	if c.Found {
		text += " (found on the machine: made by something else)"
	}
	if c.Fate != "" && c.Fate != event.Done {
		text += " (" + string(c.Fate) + ")"
	}
	return text
}

func warnings(notes []story.Note) string {
	var lines []string
	for _, n := range notes {
		lines = append(lines, "warning: "+n.Text)
	}
	return strings.Join(lines, "\n")
}

// cutShort is the run itself where it did not come to its end, so that no CI system takes what
// it reads for all of it.
func (r *run) cutShort(id int) suite {
	s := r.newSuite(id, "run "+r.Run, r.Began, r.Took())
	s.add(testcase{Name: "end of the run", Class: r.class("(run)"), Time: seconds(r.Took()), Error: newResult("not_ended", sentence("run "+r.Run, r.outcome()), r.totals())})
	s.Err = clean(warnings(r.Notes))
	return s
}

// seconds is a length of time as the schemas have it.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", max(0, d).Seconds()) }

// clean takes out what has no place in a file for people, and what XML cannot hold.
func clean(text string) string { return view.Clean(text) }

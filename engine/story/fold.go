package story

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/event"
)

// Event takes in an event. Events come in the order of their numbers.
func (s *Story) Event(e event.Event) {
	if !e.Whole() {
		return
	}
	if e.Time.After(s.Latest) {
		s.Latest = e.Time
	}
	if e.Run != "" {
		s.Run = e.Run
	}
	switch e.Kind {
	case event.RunStarted:
		s.begin(e)
	case event.RunDone:
		s.Summary, s.Ended = e.Summary, e.Time
	case event.WriteDone:
		s.settle(e)
	case event.Warned, event.Diagnosed:
		s.note(e)
	}
	if e.Host != "" {
		s.host(e.Host).fold(s, e)
	}
}

// begin takes in the start of a stage.
func (s *Story) begin(e event.Event) {
	s.Plan, s.Began, s.Ended, s.Summary = *e.Plan, e.Time, time.Time{}, nil
	for _, name := range e.Plan.Steps {
		s.column(name, e.Plan.Types[name])
	}
	for _, name := range e.Plan.Hosts {
		s.host(name).resume()
	}
	s.order(e.Plan.Hosts)
}

// order puts the hosts of the latest stage into the order of its plan, behind those that only
// earlier stages had.
func (s *Story) order(names []string) {
	place := map[string]int{}
	for i, name := range names {
		place[name] = i + 1
	}
	slices.SortStableFunc(s.Hosts, func(a, b *Host) int { return place[a.Name] - place[b.Name] })
}

// column takes in a step of the run. One that the plan does not have, such as that of the
// machine's facts, comes before its steps.
func (s *Story) column(name, kind string) {
	i := slices.IndexFunc(s.Steps, func(c Column) bool { return c.Name == name })
	switch {
	case i >= 0 && s.Steps[i].Type == "":
		s.Steps[i].Type = kind
	case i >= 0:
	case slices.Contains(s.Plan.Steps, name):
		s.Steps = append(s.Steps, Column{name, kind})
	default:
		s.Steps = slices.Insert(s.Steps, 0, Column{name, kind})
	}
}

// resume takes in that a host which an earlier call left before its end is under way again.
func (h *Host) resume() {
	if h.Status != event.NotRun {
		return
	}
	h.Status, h.Text, h.Ended = "", "", time.Time{}
	if n := len(h.Steps); n > 0 && h.Steps[n-1].Status == event.NotRun {
		h.Steps[n-1].Status = ""
	}
}

func (s *Story) host(name string) *Host {
	if h := s.byName[name]; h != nil {
		return h
	}
	if s.byName == nil {
		s.byName, s.settled = map[string]*Host{}, map[string]*Change{}
	}
	h := &Host{Name: name}
	s.byName[name], s.Hosts = h, append(s.Hosts, h)
	return h
}

// settle takes in what came of a change.
func (s *Story) settle(e event.Event) {
	c := s.settled[e.Settled.Change]
	if c == nil {
		return
	}
	c.Fate = e.Settled.Fate
	h := s.byName[e.Host]
	if h == nil || c.ended == nil {
		return
	}
	switch {
	case c.Fate == event.Refused && h.Proof == nil:
		h.Proof = c.ended
	case c.Fate == event.Done && h.Proof == c.ended: // it was answered by a refusal, and took place
		h.Proof, h.Phase = nil, nil
	}
}

// note takes in a warning or a diagnostic; the same one counts once.
func (s *Story) note(e event.Event) {
	notes := &s.Notes
	if e.Host != "" {
		notes = &s.host(e.Host).Notes
	}
	text := e.Text
	if e.Problem != nil {
		text = e.Problem.Summary
		if e.Problem.Detail != "" {
			text += ": " + e.Problem.Detail
		}
	}
	for _, n := range *notes {
		if n.Text == text && n.Step == e.Step {
			return
		}
	}
	*notes = append(*notes, Note{e.Time, e.Step, text})
}

func (h *Host) fold(s *Story, e event.Event) {
	h.Latest = e.Time
	if e.Machine != "" {
		h.Machine = e.Machine
	}
	if e.Group != "" {
		h.Group = e.Group
	}
	if e.Step != "" && (e.Kind == event.StepStarted || e.Kind == event.StepDone) {
		s.column(e.Step, e.Type)
	}
	switch e.Kind {
	case event.HostStarted:
		h.Began, h.tried, h.Ended, h.Status, h.Text = e.Time, e.Time, time.Time{}, "", ""
	case event.HostDone:
		h.end(e, s.Plan.DryRun)
	case event.Phased:
		h.enter(e)
	case event.StepStarted:
		h.restart(e)
	case event.WriteMade:
		h.change(s, e)
	case event.Progressed:
		h.passRetry(e.Step)
		h.step(e).progress(e)
	case event.Retried:
		step := h.step(e)
		step.Attempt, step.Retry = e.Attempt, e.Problem
	case event.StepDone:
		h.stepDone(e)
	}
}

// end takes in how a host ended. A later stage leaves out a host that failed before, which does
// not change what it came to. One that succeeded before and was not run by a later stage did not
// come to its end.
func (h *Host) end(e event.Event, dry bool) {
	if e.Left != nil && !dry {
		h.Left = *e.Left
	}
	if e.Status == event.NotRun && h.Status.Failure() {
		return
	}
	h.Status, h.Text, h.Ended = e.Status, e.Text, e.Time
	if e.Counts != nil {
		h.Counts = *e.Counts
	}
}

// step finds the step that an event is about, or begins it.
func (h *Host) step(e event.Event) *Step {
	for i := len(h.Steps) - 1; i >= 0; i-- {
		if h.Steps[i].Name == e.Step {
			return h.Steps[i]
		}
	}
	step := &Step{Name: e.Step, Type: e.Type, Attempt: e.Attempt, Began: e.Time}
	h.Steps = append(h.Steps, step)
	return step
}

// passRetry takes in that the attempt for which a step was to be tried again is under way.
func (h *Host) passRetry(step string) {
	for _, s := range h.Steps {
		if s.Name == step && s.Retry != nil {
			s.Retry = nil
		}
	}
}

// enter takes in that the installation was seen in a phase.
func (h *Host) enter(e event.Event) {
	h.passRetry(e.Step)
	since := e.Phase.Since
	if since.IsZero() {
		since = e.Time
	}
	repeats := h.Phase != nil && h.Phase.Phase == e.Phase.Phase
	h.Phase = &Phase{*e.Phase, since, e.Time}
	if !repeats {
		h.Phases = append(h.Phases, h.Phase)
	}
}

// restart takes in that a step began. One that is tried again stands last again: only what it
// wrote counts still. A step that the plan does not have, such as that of the machine's facts, is
// logged only where it fails: that another one begins shows that the host has passed it.
func (h *Host) restart(e event.Event) {
	if h.Status.Failure() {
		h.tried = e.Time
	}
	changes := h.step(e).Changes
	h.Steps = slices.DeleteFunc(h.Steps, func(s *Step) bool { return s.Name == e.Step || strings.HasPrefix(s.Name, "(") })
	h.step(e).Changes = changes
	h.Status = ""
}

// change takes in a write. A boot counts once, though ForceOff and On are two requests, and one
// may be repeated. One into an installer ends what was proven before.
func (h *Host) change(s *Story, e event.Event) {
	step, c := h.step(e), &Change{Time: e.Time, Change: *e.Write}
	if c.Verb == event.Reset && c.Boots && !step.boots() {
		h.Resets++
	}
	if c.Boots && c.Installs && !s.Plan.DryRun {
		c.ended, h.Proof, h.Phase = h.Proof, nil, nil
	}
	step.Changes = append(step.Changes, c)
	if c.ID != "" {
		s.settled[c.ID] = c
	}
}

func (s *Step) boots() bool {
	for _, c := range s.Changes {
		if c.Verb == event.Reset && c.Boots {
			return true
		}
	}
	return false
}

func (h *Host) stepDone(e event.Event) {
	s := h.step(e)
	s.Status, s.Took, s.Text, s.Problem, s.Verdict, s.Retry = e.Status, e.Elapsed, e.Text, e.Problem, e.Verdict, nil
	s.Pending = ""
	if e.Type != "" {
		s.Type = e.Type
	}
	if e.Attempt > 0 {
		s.Attempt = e.Attempt
	}
	s.Ended = e.Time
	if v := e.Verdict; v != nil && v.Proven && e.Status != event.Failed {
		h.Proof = v
	}
	h.identify(e.Result)
}

// identify takes in which machine it is, where the result of a step says so.
func (h *Host) identify(result json.RawMessage) {
	var is struct{ Vendor, Model, Serial string }
	if len(result) == 0 || json.Unmarshal(result, &is) != nil || is.Vendor == "" && is.Model == "" {
		return
	}
	h.Vendor, h.Model, h.Serial = is.Vendor, is.Model, is.Serial
}

// smooth is how much the latest report counts in the rate.
const smooth = 0.3

// progress takes in a report of how far a step has come.
func (s *Step) progress(e event.Event) {
	if e.Progress == nil {
		s.Pending = e.Text
		return
	}
	p := s.Progress
	if p == nil || e.Progress.Done < p.Done || e.Text != p.Text {
		s.Progress = &Progress{Progress: *e.Progress, Text: e.Text, Time: e.Time, Since: e.Time}
		return
	}
	if passed := e.Time.Sub(p.Time).Seconds(); passed > 0 {
		rate := float64(e.Progress.Done-p.Done) / passed
		if p.Rate > 0 {
			rate = smooth*rate + (1-smooth)*p.Rate
		}
		p.Rate = rate
	}
	p.Progress, p.Time = *e.Progress, e.Time
}

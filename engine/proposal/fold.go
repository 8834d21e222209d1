package proposal

import (
	"fmt"
	"slices"

	"esxiplan/engine/event"
)

// Fold makes a proposal of the events of a dry run. The zero value is ready; Declare says what
// the plan declares of a host.
type Fold struct {
	// Declared are group, BMC and ESXi address of the plan's hosts, by name, which events do
	// not report for hosts that never start.
	Declared map[string]Host

	p      *Proposal
	failed map[string]event.Event // the last step of each host that failed
}

// Event takes in an event.
func (f *Fold) Event(e event.Event) {
	if e.Kind == event.RunStarted {
		f.begin(e)
		return
	}
	if f.p == nil || e.Host == "" {
		return
	}
	h := f.p.Of(e.Host)
	if h == nil {
		return
	}
	switch e.Kind {
	case event.WriteMade:
		f.change(h, e)
	case event.Warned:
		if !slices.Contains(h.Warnings, e.Text) {
			h.Warnings = append(h.Warnings, e.Text)
		}
	case event.StepDone:
		f.step(h, e)
	case event.HostDone:
		f.end(h, e)
	}
}

func (f *Fold) begin(e event.Event) {
	f.p = &Proposal{Schema: Schema, Plan: e.Plan.Name, Steps: e.Plan.Steps, Note: e.Plan.Note}
	f.failed = map[string]event.Event{}
	for _, name := range e.Plan.Hosts {
		h := f.Declared[name]
		h.Host, h.Outcome, h.Changes = name, Undecided, []event.Planned{}
		f.p.Hosts = append(f.p.Hosts, &h)
	}
}

// change takes in a write, without what differs from one dry run to the next. A repeat
// in another form is the same change, and what was found on a machine is no change.
func (f *Fold) change(h *Host, e event.Event) {
	c := *e.Write
	if c.Repeat || c.Found {
		return
	}
	if c.Machine != nil && h.Machine == nil {
		h.Machine = c.Machine
	}
	c.ID, c.Machine, c.Before, c.Request = "", nil, nil, ""
	h.Changes = append(h.Changes, event.Planned{Step: e.Step, Type: e.Type, Change: c})
}

func (f *Fold) step(h *Host, e event.Event) {
	switch {
	case e.Status.Failure():
		f.failed[e.Host] = e
	case e.Status == event.Ignored && e.Problem != nil:
		h.Warnings = append(h.Warnings, fmt.Sprintf("step %s fails and is ignored (on_error = \"continue\"): %s", e.Step, e.Problem.Summary))
	case e.Text == event.Undecided:
		h.Open = append(h.Open, Open{e.Step, "whether it runs is " + e.Text})
	case len(e.Result) == 0 && e.Text == "" && (e.Status == event.OK || e.Status == event.Changed):
		h.Open = append(h.Open, Open{e.Step, "its result is known after the restart"})
	}
}

func (f *Fold) end(h *Host, e event.Event) {
	switch e.Status {
	case event.Failed, event.Unreachable:
		h.Outcome = map[event.Status]Outcome{event.Failed: Refused, event.Unreachable: Unreachable}[e.Status]
		h.Problem, h.Step = f.failed[e.Host].Problem.WithoutAnswer(), f.failed[e.Host].Step
	case event.Skipped:
		h.Outcome, h.Text = LeftOut, e.Text
	case event.NotRun:
		h.Outcome, h.Text = LeftOut, e.Text
		if e.Text == "interrupted" {
			h.Outcome = Undecided
		}
	default:
		h.Outcome = OutcomeOf(h)
	}
}

// OutcomeOf is the outcome of a host's changes.
func OutcomeOf(h *Host) Outcome {
	switch {
	case h.Wipes():
		return Install
	case len(h.Changes) > 0:
		return Change
	}
	return Unchanged
}

// Proposal is the proposal of the events; nil: no run began.
func (f *Fold) Proposal() *Proposal {
	if f.p != nil {
		f.p.Summarise()
	}
	return f.p
}

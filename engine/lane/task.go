package lane

import (
	"encoding/json"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/gates"
	"esxiplan/engine/step"
)

// TaskID names a task: one step on one host.
type TaskID struct {
	Host string `json:"host"`
	Step string `json:"step"`
}

// Mode is what a task is to do.
type Mode string

// A task runs its step, recalls what an earlier run of the step left, or gathers the
// host's facts.
const (
	ModeRun    Mode = ""
	ModeRecall Mode = "recall"
	ModeFacts  Mode = "facts"
)

// Known reports a mode that a task can have; a log may contain another one.
func (m Mode) Known() bool { return m == ModeRun || m == ModeRecall || m == ModeFacts }

// FactsStep is the name under which facts are gathered; no step can have it.
const FactsStep = "(facts)"

// Task is one attempt to be made. It is plain data and survives JSON.
type Task struct {
	ID        TaskID          `json:"id"`
	Type      string          `json:"type"`
	Mode      Mode            `json:"mode,omitempty"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
	Attempt   int             `json:"attempt"`
	Limit     time.Duration   `json:"limit,omitempty"`  // what is left of the step's timeout; 0: no bound
	Pause     time.Duration   `json:"pause,omitempty"`  // until the next look, where the goal is not reached
	Final     bool            `json:"final,omitempty"`  // no retries are left
	Always    bool            `json:"always,omitempty"` // runs although the run was interrupted
	Place     step.Place      `json:"place,omitzero"`
	// Changes are those, by ID, of earlier attempts of this task whose outcome the lane does
	// not have, because their process was killed or they were interrupted. They count as those
	// of this attempt.
	Changes []string `json:"changes,omitempty"`
	// Facts are what the host's disk or NIC are chosen by, if the plan leaves that to the
	// machine.
	Facts json.RawMessage `json:"facts,omitempty"`
}

// Outcome is how one attempt ended: with a result or with a problem. It is plain data: the
// log holds it whole, and a lane that folds it again goes the same way.
type Outcome struct {
	Result      json.RawMessage `json:"result,omitempty"`
	Problem     *event.Problem  `json:"problem,omitempty"`
	Class       step.Class      `json:"class,omitempty"`
	Writes      int             `json:"writes,omitempty"`     // changes that took place
	Installing  bool            `json:"installing,omitempty"` // our installation is under way on the machine
	Elapsed     time.Duration   `json:"elapsed,omitempty"`    // nanoseconds
	Interrupted bool            `json:"interrupted,omitempty"`
	TimedOut    bool            `json:"timed_out,omitempty"` // the step's timeout ended the attempt
	Shadow      bool            `json:"shadow,omitempty"`    // made over shadows: a goal that is not reached is unknown
	Internal    string          `json:"internal,omitempty"`  // a panic, or a log that cannot be written
}

// Action asks the driver to make an attempt after a pause.
type Action struct {
	Task  Task
	After time.Duration
}

// Turn is what a lane answers: the events to report, and what comes next. At most one of
// Action and Ask is set; neither is set if the lane is at its end, or waits for what it
// asked for before.
type Turn struct {
	Events []event.Event
	Action *Action
	Ask    *gates.Request
}

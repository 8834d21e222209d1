package event

import (
	"encoding/json"
	"math"
	"time"
)

// Schema is the version of the event format. Fields are added, never re-used.
const Schema = 1

// Kind is the kind of an event.
type Kind string

// The kinds of events.
const (
	RunStarted  Kind = "run_started"
	HostStarted Kind = "host_started"
	StepStarted Kind = "step_started"
	WriteMade   Kind = "write"      // about to be made
	WriteDone   Kind = "write_done" // what came of it
	Progressed  Kind = "progress"
	Phased      Kind = "phase" // the installation came into another phase
	Retried     Kind = "retry"
	Warned      Kind = "warning"
	StepDone    Kind = "step_done"
	HostDone    Kind = "host_done"
	Diagnosed   Kind = "diagnostic"
	RunDone     Kind = "run_done"
)

// Status is how a step, a host or a run ended.
type Status string

// The statuses, in Ansible's words.
const (
	OK          Status = "ok"
	Changed     Status = "changed"
	Skipped     Status = "skipped"
	Ignored     Status = "ignored"
	Failed      Status = "failed"
	Unreachable Status = "unreachable"
	NotRun      Status = "not_run"
)

// Undecided is why a dry run leaves a step out whose condition only the run can know.
const Undecided = "decided during the run"

// Failure reports that a step or a host ended in trouble: it failed or was unreachable.
func (s Status) Failure() bool { return s == Failed || s == Unreachable }

// Event is one thing that happened in a run, as people and programs read it. Which bodies are set depends on the kind.
type Event struct {
	Schema  int       `json:"schema"`
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Run     string    `json:"run"`
	Host    string    `json:"host,omitempty"`
	Machine string    `json:"machine,omitempty"` // address of the host's BMC, and its system
	Group   string    `json:"group,omitempty"`
	Step    string    `json:"step,omitempty"`
	Type    string    `json:"type,omitempty"`
	Attempt int       `json:"attempt,omitempty"`
	Kind    Kind      `json:"kind"`
	Status  Status    `json:"status,omitempty"`

	Text     string          `json:"text,omitempty"`    // warning, progress, why skipped
	Write    *Change         `json:"write,omitempty"`   // write
	Settled  *Settled        `json:"settled,omitempty"` // write_done
	Verdict  *Verdict        `json:"verdict,omitempty"` // step_done of a step that judges the installation
	Problem  *Problem        `json:"problem,omitempty"` // retry, step_done, diagnostic
	Result   json.RawMessage `json:"result,omitempty"`  // step_done
	Delay    Seconds         `json:"delay,omitempty"`   // retry
	Elapsed  Seconds         `json:"elapsed,omitempty"` // step_done, host_done, run_done
	Progress *Progress       `json:"progress,omitempty"`
	Phase    *Entered        `json:"phase,omitempty"`   // phase
	Counts   *Counts         `json:"counts,omitempty"`  // host_done
	Left     *Left           `json:"left,omitempty"`    // host_done: what stays behind at the machine
	Summary  *Summary        `json:"summary,omitempty"` // run_done
	Plan     *PlanInfo       `json:"plan,omitempty"`    // run_started
}

// Seconds is a length of time, written as a number of seconds.
type Seconds time.Duration

// MarshalJSON writes seconds with three decimals at the most.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(float64(time.Duration(s).Milliseconds()) / 1000)
}

// UnmarshalJSON reads a number of seconds, to the millisecond.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	var f float64
	err := json.Unmarshal(b, &f)
	*s = Seconds(time.Duration(math.Round(f*1000)) * time.Millisecond)
	return err
}

// Progress is how far something long has come; Total 0 is unknown.
type Progress struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total,omitempty"`
}

// PlanInfo introduces a run, or a stage of one.
type PlanInfo struct {
	Name  string   `json:"name"`
	Files []string `json:"files"`
	Hosts []string `json:"hosts"`
	Steps []string `json:"steps"`
	// Types are those of the steps, by name.
	Types  map[string]string `json:"types,omitempty"`
	DryRun bool              `json:"dry_run,omitempty"`
	Note   string            `json:"note,omitempty"` // placeholders of a rehearsal
	Commands
	Continued bool `json:"continued,omitempty"` // the run began before, in another call
	Of        int  `json:"of,omitempty"`        // hosts in the plan, of which the run has some
	Serves    bool `json:"serves,omitempty"`    // the images of the run end with it
}

// Commands are those that people paste after a run, each "" where it does not apply. What is about
// some hosts takes --limit, or --host for one.
type Commands struct {
	Continue string `json:"continue,omitempty"` // waits for installations which this run began
	Resume   string `json:"resume,omitempty"`   // continues the run itself
	Retry    string `json:"retry,omitempty"`    // runs its steps again on the hosts that failed
	Show     string `json:"show,omitempty"`     // shows what the run did
	Eject    string `json:"eject,omitempty"`    // takes our media out of drives
	PowerOn  string `json:"power_on,omitempty"` // powers machines on
}

// Each applies a function to each command.
func (c Commands) Each(f func(string) string) Commands {
	for _, line := range []*string{&c.Continue, &c.Resume, &c.Retry, &c.Show, &c.Eject, &c.PowerOn} {
		*line = f(*line)
	}
	return c
}

// Counts are the tasks of a host by status, and how many retries they took.
type Counts struct {
	OK      int `json:"ok"`
	Changed int `json:"changed"`
	Skipped int `json:"skipped"`
	Ignored int `json:"ignored"`
	Failed  int `json:"failed"`
	Unreach int `json:"unreachable"`
	Retried int `json:"retried"`
}

// Add counts a task that ended.
func (c *Counts) Add(s Status) {
	switch s {
	case OK:
		c.OK++
	case Changed:
		c.Changed++
	case Skipped:
		c.Skipped++
	case Ignored:
		c.Ignored++
	case Failed:
		c.Failed++
	case Unreachable:
		c.Unreach++
	}
}

// Summary is the end of a run.
type Summary struct {
	Hosts       map[Status]int `json:"hosts"`
	Interrupted bool           `json:"interrupted,omitempty"`
	Budget      bool           `json:"budget,omitempty"` // stopped by the failure budget
	Internal    string         `json:"internal,omitempty"`
	Exit        int            `json:"exit"`
}

// Exit codes of a run, the first that applies.
const (
	ExitOK          = 0
	ExitUsage       = 1
	ExitFailed      = 2
	ExitDiffers     = 3
	ExitUnreachable = 4
	ExitRefused     = 5
	ExitBoth        = 6
	ExitBudget      = 8
	ExitInternal    = 70
	ExitInterrupted = 130
)

// ExitCode is what the run returns to the shell.
func (s *Summary) ExitCode() int {
	failed, unreachable := s.Hosts[Failed] > 0, s.Hosts[Unreachable] > 0
	switch {
	case s.Interrupted:
		return ExitInterrupted
	case s.Internal != "":
		return ExitInternal
	case s.Budget:
		return ExitBudget
	case failed && unreachable:
		return ExitBoth
	case unreachable:
		return ExitUnreachable
	case failed:
		return ExitFailed
	}
	return ExitOK
}

package notify

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
	"esxiplan/engine/text"
)

// Schema is the version of the form of messages. Fields are added, never re-used.
const Schema = 1

// The kinds of messages.
const (
	Start   = "start"
	Failure = "failure"
	End     = "end"
	Test    = "test"
)

// Message is what is sent: the JSON body of a webhook, and what templates refer to.
type Message struct {
	Schema    int          `json:"schema" doc:"Version of this form, 1. Fields are added, never re-used."`
	Kind      string       `json:"kind" doc:"\"start\", \"failure\", \"end\", or \"test\" for one that esxiplan notify sends."`
	ID        string       `json:"id" doc:"Identifies the message; it is the same in each attempt to deliver one."`
	Time      string       `json:"time" doc:"When the message was made, as RFC 3339 writes it, in UTC."`
	Plan      string       `json:"plan" doc:"Name of the plan."`
	Run       string       `json:"run" doc:"Name of the run."`
	Text      string       `json:"text" doc:"The message for people: by the template, or the built-in one."`
	Simulated bool         `json:"simulated" doc:"Whether the machines are simulated ones."`
	Continued bool         `json:"continued" doc:"Whether the run began in an earlier call."`
	Hosts     int          `json:"hosts" doc:"How many hosts the run has."`
	Failures  []FailedHost `json:"failures" doc:"Hosts that failed: since the last message, or in all where the kind is \"end\", also before the run was continued."`
	More      int          `json:"more" doc:"How many hosts failed in addition to those that are listed."`
	Result    *Result      `json:"result" doc:"How the run ended; null where the kind is not \"end\"."`
}

// FailedHost is a host that failed or could not be reached.
type FailedHost struct {
	Host    string `json:"host" doc:"Name of the host."`
	Machine string `json:"machine" doc:"Address of its BMC."`
	Group   string `json:"group" doc:"Its group."`
	Step    string `json:"step" doc:"Name of the step that failed."`
	Type    string `json:"type" doc:"Type of that step."`
	Status  string `json:"status" doc:"\"failed\" or \"unreachable\"."`
	Summary string `json:"summary" doc:"What happened."`
	Detail  string `json:"detail" doc:"More about it, or empty."`
	Next    string `json:"next" doc:"What to do about it, or empty."`
	Time    string `json:"time" doc:"When the step failed."`
}

// Result is how a run ended.
type Result struct {
	Exit        int     `json:"exit" doc:"Exit code."`
	Elapsed     float64 `json:"elapsed" doc:"Duration in seconds."`
	Interrupted bool    `json:"interrupted" doc:"Whether the run was interrupted."`
	Budget      bool    `json:"budget" doc:"Whether the failure budget stopped the run."`
	Internal    string  `json:"internal" doc:"An error of esxiplan itself that ended the run, or empty."`
	Proven      int     `json:"proven" doc:"How many hosts have an installation that this stage of the run proved."`
	Installing  int     `json:"installing" doc:"How many machines are still being installed, which the end of the run does not stop."`
	PoweredOff  int     `json:"powered_off" doc:"How many machines the run powered off for a restart and did not power on again."`
	Unproven    int     `json:"unproven" doc:"How many hosts were restarted into the installer and not proven, also where the plan ignores that failure."`
	Refused     int     `json:"refused" doc:"How many hosts a guard refused."`
	Changed     int     `json:"changed" doc:"How many hosts changed."`
	OK          int     `json:"ok" doc:"How many hosts had nothing to change."`
	Failed      int     `json:"failed" doc:"How many hosts failed."`
	Unreachable int     `json:"unreachable" doc:"How many hosts could not be reached."`
	Skipped     int     `json:"skipped" doc:"How many hosts were skipped."`
	Ignored     int     `json:"ignored" doc:"How many hosts failed where the plan ignores it."`
	NotRun      int     `json:"not_run" doc:"How many hosts were not run."`
}

// resultOf is how a run ended that has a summary.
func resultOf(of *story.Story) *Result {
	s, n := of.Summary, of.Count()
	return &Result{Exit: s.Exit, Elapsed: of.Took().Seconds(), Interrupted: s.Interrupted, Budget: s.Budget, Internal: s.Internal,
		Proven: of.Proven(), Installing: n[story.Installing], PoweredOff: n[story.PoweredOff], Unproven: n[story.Unproven], Refused: n[story.Refused],
		Changed: s.Hosts[event.Changed], OK: s.Hosts[event.OK], Failed: s.Hosts[event.Failed], Unreachable: s.Hosts[event.Unreachable],
		Skipped: s.Hosts[event.Skipped], Ignored: s.Hosts[event.Ignored], NotRun: s.Hosts[event.NotRun]}
}

// failuresOf are the hosts that failed, in the order of the plan.
func failuresOf(of *story.Story) (f failures) {
	for _, h := range of.Hosts {
		if h.Status.Failure() || h.Failed() != nil {
			f.add(failedHost(h))
		}
	}
	return f
}

// failedHost is what is known of a host that failed.
func failedHost(h *story.Host) FailedHost {
	f := FailedHost{Host: h.Name, Machine: h.Machine, Group: h.Group, Status: string(h.Status), Summary: h.Text, Time: stamp(h.Latest)}
	if s := h.Failed(); s != nil {
		f.Step, f.Type, f.Status, f.Time = s.Name, s.Type, string(s.Status), stamp(s.Ended)
		f.Summary, f.Detail, f.Next = cmp.Or(s.Problem.Summary, s.Text), s.Problem.Detail, s.Problem.Next
	}
	return f
}

// mostShown is how many failed hosts stand in the built-in text.
const mostShown = 10

// builtIn is the text of a message without a template.
func (m Message) builtIn() string {
	lines := []string{m.title()}
	for _, f := range m.Failures[:min(len(m.Failures), mostShown)] {
		lines = append(lines, f.lines()...)
	}
	if more := max(0, len(m.Failures)-mostShown) + m.More; more > 0 {
		lines = append(lines, fmt.Sprintf("… and %s more", event.Count(more, "host")))
	}
	return strings.Join(lines, "\n")
}

// title is the first line.
func (m Message) title() string {
	run := fmt.Sprintf("esxiplan: run %s of plan %q", m.Run, m.Plan)
	if m.Simulated {
		run += " (simulated machines)"
	}
	switch m.Kind {
	case Start:
		return fmt.Sprintf("%s %s: %s", run, m.verb("started", "was continued"), event.Count(m.Hosts, "host"))
	case Failure:
		return fmt.Sprintf("%s: %s failed", run, event.Count(len(m.Failures)+m.More, "host"))
	case End:
		return run + " " + m.Result.words()
	}
	return fmt.Sprintf("esxiplan: a test message of plan %q", m.Plan)
}

func (m Message) verb(first, again string) string {
	if m.Continued {
		return again
	}
	return first
}

// words say how the run ended.
func (r *Result) words() string {
	how := "ended"
	switch {
	case r.Interrupted:
		how = "was interrupted"
	case r.Internal != "":
		how = "was ended by an internal error"
	case r.Budget:
		how = "was stopped by its failure budget"
	}
	said := fmt.Sprintf("%s after %s: %s (exit code %d)", how, text.Duration(time.Duration(r.Elapsed*float64(time.Second))), r.counts(), r.Exit)
	if r.Internal != "" {
		said += "\n" + r.Internal
	}
	return said
}

// counts are the hosts by status, and what is true of their machines.
func (r *Result) counts() string {
	var parts []string
	for _, c := range []struct {
		n    int
		word string
	}{{r.Changed, "changed"}, {r.OK, "ok"}, {r.Failed, "failed"}, {r.Unreachable, "unreachable"}, {r.Skipped, "skipped"}, {r.Ignored, "ignored"}, {r.NotRun, "not run"},
		{r.PoweredOff, "powered off"}, {r.Installing, "being installed"}, {r.Proven, "proven installed"}, {r.Unproven, "unproven"}, {r.Refused, "refused by a guard"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.word))
		}
	}
	if len(parts) == 0 {
		return "no hosts"
	}
	return strings.Join(parts, ", ")
}

// lines say of a host what happened and what to do.
func (f FailedHost) lines() []string {
	what := f.Summary
	if what == "" {
		what = f.Status
	}
	where := f.Host
	if f.Step != "" {
		where += ", step " + f.Step
	}
	if f.Type != "" {
		where += " (" + f.Type + ")"
	}
	lines := []string{fmt.Sprintf("• %s: %s", where, what)}
	if f.Next != "" {
		lines = append(lines, "   next: "+f.Next)
	}
	return lines
}

package lane

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"esxiplan/engine/event"
	"esxiplan/engine/gates"
	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/schema"
)

// Lane is one host's way through the steps.
type Lane struct {
	survey  *survey.Survey
	host    *schema.Host
	next    int // the step to start, or the one that runs
	results map[string]cty.Value
	facts   cty.Value
	raw     json.RawMessage // facts by which disk or NIC were chosen
	stale   string          // why there is no medium of what the plan is now
	counts  event.Counts
	task    *running

	began       bool
	gathered    bool // the facts were asked for
	done        bool
	granted     bool // the gates let it begin the next step
	inFlight    bool
	wasInFlight bool         // before it was tried again: it needs a place in flight for whatever comes next
	held        bool         // by the failure budget, or by the user
	holds       bool         // the user wants no further host to begin, and this one has not
	broken      event.Status // "", or how a step ended that stopped the host
	brokenAt    int          // index of that step

	interrupted bool // the run is
	stopped     bool // by that
	missed      bool // a step, or the end of one, because of that
	leftOut     string
	refused     bool // the plan changed for this host
	installing  bool // by the records, or the last outcome: our installation is under way
	warned      bool // the warning that an interrupt does not end it was given
	internal    string

	turn Turn
}

// running is the task that a lane is busy with.
type running struct {
	step     *schema.Step
	typ      *step.Type
	task     Task
	policy   policy
	spent    time.Duration // attempts and pauses
	errors   int
	writes   int
	last     json.RawMessage // result of the last attempt that had one
	throttle bool
}

// Past is what is known of a host before its first step.
type Past struct {
	Installing bool           // an installation that an earlier run or stage began is under way
	LeftOut    string         // why the run leaves the host out, "" if it does not
	Refused    *event.Problem // why the run cannot be continued on this host; nil: it can, or leaves it out
}

// PlanStep is the name under which a host fails whose plan changed during the run; no step
// can have it.
const PlanStep = "(plan)"

// New makes the lane of a host.
func New(s *survey.Survey, h *schema.Host) *Lane {
	return &Lane{survey: s, host: h, results: map[string]cty.Value{}}
}

// Start begins the lane.
func (l *Lane) Start(p Past) Turn {
	l.installing, l.leftOut = p.Installing, p.LeftOut
	if l.survey.IsProtected(l.host) {
		l.leftOut = protected
	}
	if p.Refused != nil && l.leftOut == "" {
		l.begin()
		l.emit(event.Event{Kind: event.StepDone, Step: PlanStep, Status: event.Failed, Problem: p.Refused})
		l.fail(event.Failed)
		l.refused = true
	}
	l.advance()
	return l.take()
}

// Pass takes in the answer of the gates to what the lane asked for.
func (l *Lane) Pass(g gates.Grant) Turn {
	l.granted, l.held = !g.Held, l.held || g.Held
	l.advance()
	return l.take()
}

// Interrupt stops the lane: what waits at a gate does not start; what runs is folded when
// it ends; steps with run_on = "always" still run.
func (l *Lane) Interrupt() Turn {
	l.interrupted = true
	if !l.done && l.task == nil {
		l.stopped, l.granted = true, false
		l.advance()
	}
	return l.take()
}

// Hold keeps the lane from beginning: it makes no first write, and no first step where it has
// not made one. One that has written, or whose machine is being installed, continues to its end.
// What it waits for at a gate must have been taken back: it asks again.
func (l *Lane) Hold() Turn {
	if !l.done && !l.held && !l.inFlight && !l.wasInFlight && !l.installing && l.broken == "" {
		l.holds = true
		if l.task == nil {
			l.advance()
		}
	}
	return l.take()
}

// waits reports a lane that waits at a gate.
func (l *Lane) waits() bool { return !l.done && l.task == nil }

// Abandon ends the lane where it is: it waits for nothing any more.
func (l *Lane) Abandon() Turn {
	if !l.done {
		l.interrupted, l.stopped, l.missed, l.task = true, true, true, nil
		l.finish()
	}
	return l.take()
}

// Retry lets a lane that failed begin again with the step that failed. It
// no longer waits for what it was busy with.
func (l *Lane) Retry() Turn {
	if l.broken != "" && !l.refused {
		l.task = nil
		l.broken, l.done, l.next, l.gathered = "", false, l.brokenAt, l.facts != cty.NilVal
		l.inFlight, l.wasInFlight = false, l.inFlight || l.wasInFlight
		l.counts.Failed, l.counts.Unreach, l.internal = 0, 0, ""
		l.advance()
	}
	return l.take()
}

// Stand is how far the lane has come, for the gates.
func (l *Lane) Stand() gates.Stand {
	s := gates.Stand{At: l.next, InFlight: l.inFlight && !l.done, Failed: l.broken != ""}
	switch {
	case l.done, l.held, l.stopped, l.broken != "":
		s.At = gates.Gone
	case l.task != nil && l.task.task.Mode == ModeFacts:
		s.At = -1
	}
	if l.task != nil && l.task.throttle {
		s.In = l.task.step.Name
	}
	return s
}

// Done reports that the lane is at its end.
func (l *Lane) Done() bool { return l.done }

// take returns the turn.
func (l *Lane) take() Turn {
	t := l.turn
	l.turn = Turn{}
	return t
}

func (l *Lane) emit(e event.Event) {
	e.Host, e.Group = l.host.Name, l.host.Group
	l.turn.Events = append(l.turn.Events, e)
}

func (l *Lane) steps() []*schema.Step { return l.survey.Plan.Steps }

// advance takes the lane on until it is busy, at a gate, or at its end.
func (l *Lane) advance() {
	if l.leftOut != "" || l.refused {
		l.finish()
		return
	}
	if !l.gathered && !l.interrupted && l.survey.NeedsFacts(l.host) {
		l.gather()
		return
	}
	for ; l.next < len(l.steps()); l.next++ {
		s := l.steps()[l.next]
		if !l.due(s) {
			l.leave(s)
			continue
		}
		r, needed := l.request(s)
		if l.holds && (r.Judged || r.InFlight || !l.began) {
			l.held, l.missed = true, true
			l.leave(s)
			continue
		}
		if needed && !l.granted {
			l.turn.Ask = &r
			return
		}
		l.granted = false
		if l.start(s) {
			return
		}
	}
	l.finish()
}

// gather reads the host's facts before its first step.
func (l *Lane) gather() {
	l.gathered = true
	l.begin()
	l.act(&running{step: l.steps()[0], task: Task{ID: TaskID{l.host.Name, FactsStep}, Mode: ModeFacts, Attempt: 1}, policy: policy{retries: 3, delay: 5 * time.Second, maxDelay: time.Minute}}, 0)
}

// request is what the lane asks the gates for before a step, if it needs any.
func (l *Lane) request(s *schema.Step) (r gates.Request, needed bool) {
	if l.survey.Treatment(l.host, s) != schema.Runs {
		return r, false
	}
	most := l.survey.Type(s).Most
	r = gates.Request{Host: l.host.Name, Group: l.host.Group, Step: s.Name, At: l.next, Barrier: s.Policy.Barrier && !l.stopped, InFlight: (most.Writes || l.wasInFlight) && !l.inFlight}
	if s.Policy.Throttle != nil {
		r.Throttle = *s.Policy.Throttle
	}
	r.Judged = (r.InFlight || most.Starts) && s.Policy.RunOn == "success" && l.broken == ""
	return r, r.Barrier || r.InFlight || r.Judged || r.Throttle > 0
}

// due reports whether the lane, in the state in which it is, takes the step.
func (l *Lane) due(s *schema.Step) bool {
	if l.survey.Treatment(l.host, s) == schema.Skipped {
		return false
	}
	if l.interrupted {
		l.stopped = true
	}
	if l.stopped && l.servedOn(s) {
		if !l.warned {
			l.warned = true
			l.turn.Events = append(l.turn.Events, servedWarning([]string{l.host.Name}))
		}
		return true
	}
	if l.stopped || l.held {
		always := s.Policy.RunOn == "always" && l.began
		l.missed = l.missed || l.wants(s) && !always
		return always
	}
	return l.wants(s)
}

// wants reports whether the step applies to a lane that has come as far as this one.
func (l *Lane) wants(s *schema.Step) bool {
	switch s.Policy.RunOn {
	case "always":
		return true
	case "failure":
		return l.broken != ""
	}
	return l.broken == ""
}

// servedOn reports a wait for the end of an installation that would break if this run
// stopped serving its image: an interrupt does not end it.
func (l *Lane) servedOn(s *schema.Step) bool {
	return l.installing && l.broken == "" && l.wants(s) && !l.survey.Options.DryRun && l.survey.Serves() && l.survey.Waits(l.host, s)
}

// outlasts reports a lane that an interrupt leaves at a wait, or before one.
func (l *Lane) outlasts() bool {
	return !l.done && slices.ContainsFunc(l.steps()[l.next:], func(s *schema.Step) bool {
		return l.survey.Treatment(l.host, s) == schema.Runs && l.servedOn(s)
	})
}

// servedWarning says why an interrupt does not end the run for these hosts.
func servedWarning(hosts []string) event.Event {
	if most := 10; len(hosts) > most {
		hosts = append(hosts[:most:most], fmt.Sprintf("and %d more", len(hosts)-most))
	}
	return event.Event{Kind: event.Warned, Text: fmt.Sprintf("this run serves the images of installations that are under way (%s): it continues until they are done. Press Ctrl-C again to stop now; that breaks these installations", strings.Join(hosts, ", "))}
}

// leave leaves out a step: its result is an object of nulls.
func (l *Lane) leave(s *schema.Step) {
	l.results[s.Name] = l.survey.Type(s).Result.Null()
}

func (l *Lane) begin() {
	if !l.began {
		l.began = true
		l.emit(event.Event{Kind: event.HostStarted})
	}
}

// start begins a step. It reports false when the step is over at once: skipped, done
// already, or failed before it ran.
func (l *Lane) start(s *schema.Step) bool {
	scope := schema.Scope{Host: l.host, Facts: l.facts, Results: l.results}
	recall := l.survey.Treatment(l.host, s) == schema.Recalled
	if !recall {
		l.begin()
		if over := l.conditions(s, scope); over {
			return false
		}
	}
	arguments, ok := l.arguments(s, scope, recall)
	if !ok {
		return false
	}
	r := l.prepare(s, arguments)
	if recall {
		r.task.Mode = ModeRecall
	} else {
		r.throttle = s.Policy.Throttle != nil
		l.inFlight = l.inFlight || l.wasInFlight || r.typ.Most.Writes
		l.emit(event.Event{Kind: event.StepStarted, Step: s.Name, Type: s.Type})
	}
	l.act(r, 0)
	return true
}

// prepare makes the task of a step.
func (l *Lane) prepare(s *schema.Step, arguments json.RawMessage) *running {
	t := l.survey.Type(s)
	return &running{step: s, typ: t, policy: policyOf(s, t), task: Task{
		ID: TaskID{l.host.Name, s.Name}, Type: s.Type, Arguments: arguments, Attempt: 1, Always: s.Policy.RunOn == "always" || l.servedOn(s),
		Place: l.survey.Place(l.host, s, l.results, l.stale), Facts: l.raw}}
}

// arguments evaluates those of a step; if that fails, the step is over.
func (l *Lane) arguments(s *schema.Step, scope schema.Scope, recall bool) (json.RawMessage, bool) {
	value, diags := l.survey.Plan.Arguments(s, scope)
	switch {
	case recall && (diags.HasErrors() || !value.IsWhollyKnown()) && !l.survey.Needed(l.host, s.Name):
		l.leave(s) // it was to be compared with, and cannot be
		return nil, false
	case diags.HasErrors():
		l.end(s, event.Failed, event.FromDiagnostic(diags[0]), nil)
		return nil, false
	case !value.IsWhollyKnown():
		l.skip(s, "decided during the run")
		return nil, false
	}
	value, _ = value.UnmarkDeep()
	b, err := ctyjson.Marshal(value, value.Type())
	if err != nil {
		l.end(s, event.Failed, &event.Problem{Summary: "The arguments cannot be written as JSON", Detail: err.Error(), At: event.Place(s.Range)}, nil)
		return nil, false
	}
	return b, true
}

func (l *Lane) skip(s *schema.Step, why string) {
	l.leave(s)
	l.emit(event.Event{Kind: event.StepDone, Step: s.Name, Type: s.Type, Status: event.Skipped, Text: why})
	l.counts.Add(event.Skipped)
}

func (l *Lane) act(r *running, after time.Duration) {
	l.task = r
	r.spent += after
	if r.policy.timeout > 0 {
		r.task.Limit = max(r.policy.timeout-r.spent, time.Millisecond)
	}
	r.task.Pause, r.task.Final = r.policy.delay, r.task.Attempt > r.policy.retries
	l.turn.Action = &Action{r.task, after}
}

// close ends the lane's task.
func (l *Lane) close(status event.Status, p *event.Problem, result json.RawMessage) {
	r := l.task
	defer func() { l.task = nil }()
	switch {
	case r.task.Mode == ModeFacts && p != nil:
		l.emit(event.Event{Kind: event.StepDone, Step: FactsStep, Status: status, Problem: p})
		l.fail(status)
	case r.task.Mode == ModeRecall && p == nil: // interrupted; it was not to run
		l.leave(r.step)
		l.next++
	case r.task.Mode != ModeFacts:
		l.end(r.step, status, p, result)
		l.next++
	}
}

// end reports how a step ended and what that means for the host.
func (l *Lane) end(s *schema.Step, status event.Status, p *event.Problem, result json.RawMessage) {
	l.begin() // where a result could not be recalled, no step began before
	bad := status.Failure()
	if bad && s.Policy.OnError == "continue" {
		status, bad = event.Ignored, false
	}
	e := event.Event{Kind: event.StepDone, Step: s.Name, Type: s.Type, Status: status, Problem: p, Result: result, Verdict: l.verdict(s, status, result)}
	if status == event.NotRun {
		e.Text = "interrupted"
		if l.task != nil && l.task.writes > 0 {
			e.Text = fmt.Sprintf("interrupted after %s; see the log of the run, and run the step again to finish it", event.Count(l.task.writes, "write"))
			l.counts.Add(event.Changed)
		}
	}
	if l.task != nil {
		e.Attempt, e.Elapsed = l.task.task.Attempt, event.Seconds(l.task.spent)
	}
	l.emit(e)
	if l.results[s.Name] == cty.NilVal || bad || status == event.Ignored {
		l.leave(s)
	}
	if bad {
		l.fail(status)
		return
	}
	l.counts.Add(status)
}

// verdict is what a step that ended says of the installation. A wait for its end counts in a
// dry run as met; one that failed without a result says nothing: the installation may continue.
func (l *Lane) verdict(s *schema.Step, status event.Status, result json.RawMessage) *event.Verdict {
	t := l.survey.Type(s)
	if v := t.Verdict(result); v != nil || !l.survey.Options.DryRun || !l.survey.Waits(l.host, s) || status != event.OK && status != event.Changed {
		return v
	}
	return &event.Verdict{Ended: true}
}

func (l *Lane) fail(status event.Status) {
	l.counts.Add(status)
	if l.broken == "" {
		l.broken, l.brokenAt = status, l.next
	}
}

func (l *Lane) finish() {
	if l.done {
		return
	}
	l.done = true
	counts := l.counts
	l.emit(event.Event{Kind: event.HostDone, Status: l.Status(), Counts: &counts, Text: l.remark()})
}

// Status is the status of the host.
func (l *Lane) Status() event.Status {
	switch {
	case l.broken != "":
		return l.broken
	case l.leftOut == protected:
		return event.Skipped
	case l.leftOut != "", l.missed, l.held:
		return event.NotRun
	case !l.began:
		return event.Skipped
	case l.counts.Changed > 0:
		return event.Changed
	}
	return event.OK
}

// protected is why a host that the plan protects is left out.
const protected = "protected"

func (l *Lane) remark() string {
	switch {
	case l.broken != "":
		return ""
	case l.leftOut != "":
		return l.leftOut
	case l.held && l.holds:
		return "held back by the user"
	case l.held:
		return "held back by the failure budget"
	case l.missed:
		return "interrupted"
	case !l.began:
		return "no step applies"
	}
	return ""
}

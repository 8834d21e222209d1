package lane

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"esxiplan/engine/event"
	"esxiplan/engine/step"
	"esxiplan/engine/text"
	"esxiplan/schema"
)

// Awaits reports whether the lane waits for the outcome of an attempt of this task.
func (l *Lane) Awaits(id TaskID) bool { return l.task != nil && l.task.task.ID == id }

// Fold takes in how an attempt ended.
func (l *Lane) Fold(o Outcome) Turn {
	r := l.task
	r.spent += o.Elapsed
	r.writes += o.Writes
	l.installing = o.Installing || o.Interrupted && l.installing // an attempt that did not begin says nothing about the machine
	switch {
	case o.Internal != "":
		l.broke(o.Internal)
	case o.Interrupted:
		l.interrupted, l.stopped, l.missed = true, true, true
		l.close(event.NotRun, nil, nil)
	case o.Problem != nil:
		l.foldError(r, o)
	default:
		l.foldResult(r, o)
	}
	if !l.done && l.task == nil {
		l.advance()
	}
	return l.take()
}

// broke ends the host with an internal error.
func (l *Lane) broke(why string) {
	l.internal = why
	l.close(event.Failed, &event.Problem{Summary: "Internal error", Detail: why}, nil)
}

func (l *Lane) foldError(r *running, o Outcome) {
	status := event.Failed
	if o.Class == step.Unreachable {
		status = event.Unreachable
	}
	if r.task.Mode == ModeRecall && !l.survey.Needed(l.host, r.step.Name) { // only to be compared with
		l.stale, l.task = o.Problem.Summary, nil
		l.leave(r.step)
		l.next++
		return
	}
	if o.TimedOut && r.last != nil { // the deadline cut a look short; what the last one saw counts
		l.close(event.Failed, unmet(r, r.last), r.last)
		return
	}
	r.errors++
	pause := backoff(r.policy, r.errors, r.task)
	if o.Class == step.Final || !l.again(r, pause, o.Problem) {
		l.close(status, o.Problem, nil)
	}
}

// again schedules a further attempt while retries and time are left; otherwise it returns
// false. After an interrupt the step stops there, and a continued run resumes there.
func (l *Lane) again(r *running, pause time.Duration, why *event.Problem) bool {
	if r.task.Attempt > r.policy.retries {
		return false
	}
	if r.policy.timeout > 0 && r.spent+pause >= r.policy.timeout {
		return false
	}
	if l.interrupted && !r.task.Always {
		l.stopped, l.missed = true, true
		l.close(event.NotRun, why, nil)
		return true
	}
	r.task.Attempt++
	if why != nil { // a condition that does not hold yet is no retry
		l.counts.Retried++
	}
	e := event.Event{Kind: event.Retried, Step: r.step.Name, Type: r.step.Type, Attempt: r.task.Attempt, Problem: why.WithoutAnswer(), Delay: event.Seconds(pause)}
	switch {
	case why == nil:
		e.Kind, e.Text = event.Progressed, r.reason()
		l.emit(e)
	case r.task.Mode == ModeRun:
		l.emit(e)
	}
	l.act(r, pause)
	return true
}

// foldResult judges failed_when, then until.
func (l *Lane) foldResult(r *running, o Outcome) {
	if r.task.Mode == ModeFacts {
		l.resolve(o.Result)
		return
	}
	result, err := r.typ.Result.FromJSON(o.Result)
	if err != nil {
		l.broke(fmt.Sprintf("result of %s: %v", r.step.Type, err))
		return
	}
	l.results[r.step.Name], r.last = result, o.Result
	if r.task.Mode == ModeRecall {
		l.task = nil
		l.next++
		return
	}
	scope := schema.Scope{Host: l.host, Facts: l.facts, Results: l.results, Result: result, Attempt: r.task.Attempt}
	if met, err := l.met(r, scope); err == nil && !met && o.Shadow {
		scope.Result = cty.UnknownVal(r.typ.Result.Type())
	}
	failed, _, err := l.survey.Plan.Condition(r.step, "failed_when", scope)
	switch {
	case err != nil:
		l.close(event.Failed, conditionProblem(r.step, "failed_when", err), o.Result)
	case failed != cty.NilVal && failed.IsKnown() && failed.True():
		l.close(event.Failed, &event.Problem{Summary: "failed_when is true", Detail: "The step came to a result that the plan calls a failure.", At: event.Place(r.step.Conditions["failed_when"].Expr.Range())}, o.Result)
	default:
		l.judgeUntil(r, o, scope)
	}
}

// resolve gives a host its facts, and chooses by them what the plan lets them choose.
func (l *Lane) resolve(raw json.RawMessage) {
	host, facts, diags := step.Resolve(l.survey.Plan, l.host, raw)
	if diags.HasErrors() {
		l.close(event.Failed, event.FromDiagnostic(diags[0]), nil)
		return
	}
	if l.host.Deferred() {
		l.raw = raw
		l.emit(event.Event{Kind: event.Warned, Step: FactsStep, Text: "chosen by its facts: " + strings.Join(step.DiskNames(host.ESXi), ", ")})
	}
	l.host, l.facts, l.task = host, facts, nil
}

func (l *Lane) judgeUntil(r *running, o Outcome, scope schema.Scope) {
	met, err := l.met(r, scope)
	switch {
	case err != nil:
		l.close(event.Failed, conditionProblem(r.step, "until", err), o.Result)
		return
	case !scope.Result.IsKnown(): // a dry run's: only the run can know
		l.results[r.step.Name] = cty.UnknownVal(r.typ.Result.Type())
		l.close(r.success(), nil, nil)
		return
	}
	if v := r.typ.Verdict(o.Result); !met && v != nil && v.Ended {
		l.close(event.Failed, unmet(r, o.Result), o.Result)
		return
	}
	if !met {
		r.errors = 0
		if !l.again(r, r.policy.delay, nil) {
			l.close(event.Failed, unmet(r, o.Result), o.Result)
		}
		return
	}
	l.close(r.success(), nil, o.Result)
}

// success is the end of a step that reached its goal.
func (r *running) success() event.Status {
	if r.writes > 0 {
		return event.Changed
	}
	return event.OK
}

// met judges the plan's until, else the attribute that the step type names.
func (l *Lane) met(r *running, scope schema.Scope) (bool, error) {
	value, given, err := l.survey.Plan.Condition(r.step, "until", scope)
	if err != nil {
		return false, err
	}
	if given {
		return !value.IsKnown() || value.True(), nil
	}
	if r.typ.Until == "" {
		return true, nil
	}
	attribute := scope.Result.GetAttr(r.typ.Until)
	return !attribute.IsKnown() || !attribute.IsNull() && attribute.True(), nil
}

// conditions judges when and done_when; true means that the step is over.
func (l *Lane) conditions(s *schema.Step, scope schema.Scope) bool {
	for _, name := range []string{"when", "done_when"} {
		value, given, err := l.survey.Plan.Condition(s, name, scope)
		switch {
		case err != nil:
			l.end(s, event.Failed, conditionProblem(s, name, err), nil)
			return true
		case !given:
		case !value.IsKnown():
			l.skip(s, event.Undecided)
			return true
		case name == "when" && value.False():
			l.skip(s, "when is false")
			return true
		case name == "done_when" && value.True():
			l.leave(s)
			l.emit(event.Event{Kind: event.StepDone, Step: s.Name, Type: s.Type, Status: event.OK, Text: "done_when is true"})
			l.counts.Add(event.OK)
			return true
		}
	}
	return false
}

func conditionProblem(s *schema.Step, name string, err error) *event.Problem {
	p := &event.Problem{Summary: fmt.Sprintf("The condition %s cannot be evaluated", name), Detail: err.Error(), At: event.Place(s.Conditions[name].Expr.Range())}
	var diags hcl.Diagnostics
	if errors.As(err, &diags) && len(diags) > 0 {
		p.Detail = diags[0].Detail
	}
	return p
}

// reason is why the last look did not reach its goal, if the step says it.
func (r *running) reason() string {
	if v := r.typ.Verdict(r.last); v != nil && v.Reason != "" {
		return v.Reason
	}
	return "not yet"
}

// unmet explains a goal that was not reached, in the step's own words if it has any.
func unmet(r *running, result json.RawMessage) *event.Problem {
	p := &event.Problem{Summary: "The goal was not reached in time", At: event.Place(r.step.Range),
		Detail: fmt.Sprintf("After %s in %s the condition of this step still does not hold.", event.Count(r.task.Attempt, "attempt"), text.Duration(r.spent))}
	if v := r.typ.Verdict(result); v != nil && v.Reason != "" {
		p.Summary = fmt.Sprintf("Gave up after %s: %s", text.Duration(r.spent), v.Reason)
		p.Detail, p.Next = "", v.Next+"."
	}
	return p
}

// policy is what applies to one step of the plan: its own arguments over its type's policy.
type policy struct {
	retries         int
	delay, maxDelay time.Duration
	timeout         time.Duration
}

func policyOf(s *schema.Step, t *step.Type) policy {
	p := policy{t.Policy.Retries, t.Policy.Delay, t.Policy.MaxDelay, t.Policy.Timeout}
	_, until := s.Conditions["until"]
	if until && p.retries == 0 {
		p.retries, p.delay = 3, 5*time.Second
	}
	set := func(d *schema.Duration, into *time.Duration) {
		if d != nil {
			*into = time.Duration(*d)
		}
	}
	set(s.Policy.Delay, &p.delay)
	set(s.Policy.MaxDelay, &p.maxDelay)
	p.maxDelay = max(p.maxDelay, p.delay)
	switch {
	case s.Policy.Retries != nil:
		p.retries, p.timeout = *s.Policy.Retries, 0
		if t.Until != "" { // a step that looks ends after retries × delay, however long a look takes
			p.timeout = time.Duration(p.retries+1) * p.delay
		}
	case t.Until != "": // the timeout alone ends it
		p.retries = math.MaxInt
	}
	set(s.Policy.Timeout, &p.timeout)
	return p
}

// backoff doubles the delay with each error, up to the maximum, and spreads it by a fifth
// so that hosts do not retry at the same moment; the spread comes from the task's name,
// because a lane has no random numbers.
func backoff(p policy, errors int, t Task) time.Duration {
	d := p.delay << min(errors-1, 10)
	if d > p.maxDelay || d < 0 {
		d = p.maxDelay
	}
	h := fnv.New32a()
	fmt.Fprint(h, t.ID.Host, t.ID.Step, t.Attempt)
	return d - d/10 + d/5*time.Duration(h.Sum32()%1000)/1000
}

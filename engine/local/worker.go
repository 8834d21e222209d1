package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"esxiplan/engine/event"
	"esxiplan/engine/lane"
	"esxiplan/engine/log"
	"esxiplan/engine/step"
	"esxiplan/engine/text"
	"esxiplan/schema"
)

// Worker carries out attempts. Open opens a host's doors: real ones, shadows or
// twins; the worker does not know which.
type Worker struct {
	Plan  *schema.Plan
	Types []*step.Type
	Open  func(*schema.Host) (*step.Host, error)
	Clock *Clock
	Log   *log.Log
	Mask  func(string) string // takes secrets out of the trace of a panic; nil does nothing
	// Screen keeps what the screen of a host's machine showed at a time, a PNG image, and
	// returns the name of the file; nil: screens are not kept.
	Screen func(host string, at time.Time, png []byte) (file string, err error)

	mu    sync.Mutex
	hosts map[string]*opened
}

// opened is a host with its doors, and the task that it last had.
type opened struct {
	*step.Host
	last lane.Task
}

func (w *Worker) host(name string) (*opened, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h, ok := w.hosts[name]; ok {
		return h, nil
	}
	declared, ok := w.Plan.Host(name)
	if !ok {
		return nil, fmt.Errorf("the plan has no host %q", name)
	}
	h, err := w.Open(declared)
	if err != nil {
		return nil, err
	}
	if w.hosts == nil {
		w.hosts = map[string]*opened{}
	}
	w.hosts[name] = &opened{Host: h}
	return w.hosts[name], nil
}

// Close ends the sessions of a host, after what we owe its machine. That is recorded as of
// the host's last task, and its waits hold up nothing.
func (w *Worker) Close(ctx context.Context, name string) (err error) {
	defer w.recovered("closing the sessions of "+name, &err)
	w.mu.Lock()
	h := w.hosts[name]
	delete(w.hosts, name)
	w.mu.Unlock()
	if h == nil {
		return nil
	}
	if h.last.ID.Host != "" {
		h.Begin(&attempt{worker: w, task: h.last, sleep: w.Clock.Sleep})
	}
	return h.Close(ctx)
}

// TidyStep is the name under which is recorded what is put in order at a host's machine after
// its last step; no step can have it.
const TidyStep = "(tidy)"

// Tidy puts in order what a process left behind that crashed after a host's last attempt:
// sessions on the BMC, which are closed when one is opened there, and a boot source override
// that no boot uses up.
func (w *Worker) Tidy(ctx context.Context, name string) (err error) {
	defer w.recovered("putting the machine of "+name+" in order", &err)
	declared, ok := w.Plan.Host(name)
	if !ok {
		return fmt.Errorf("the plan has no host %q", name)
	}
	h, err := w.Open(declared) // doors of its own: the run may close those of the host meanwhile
	if err != nil {
		return err
	}
	h.Begin(&attempt{worker: w, task: lane.Task{ID: lane.TaskID{Host: name, Step: TidyStep}, Attempt: 1}, sleep: w.Clock.Sleep})
	_, err = h.BMC.Power(ctx)
	return errors.Join(err, h.Close(ctx))
}

// recovered makes an error of a panic; it is deferred.
func (w *Worker) recovered(what string, err *error) {
	if r := recover(); r != nil {
		*err = errors.New(w.panicked(what, r, debug.Stack()))
	}
}

// Do carries out one attempt. sleep is how the attempt waits; it may let other
// hosts work meanwhile.
func (w *Worker) Do(ctx context.Context, t lane.Task, sleep func(context.Context, time.Duration) error) (o lane.Outcome) {
	began := w.Clock.Now()
	a := &attempt{worker: w, task: t, began: began, sleep: sleep, changes: slices.Clone(t.Changes)}
	defer func() {
		if r := recover(); r != nil {
			o = lane.Outcome{Internal: w.panicked(fmt.Sprintf("%s on %s", t.ID.Step, t.ID.Host), r, debug.Stack())}
		}
		history := a.History()
		_, o.Installing = history.Installing()
		o.Writes, o.Elapsed, o.Shadow = a.took(history), w.Clock.Now().Sub(began), a.shadow
		if a.logErr != nil {
			o.Internal = a.logErr.Error()
		}
	}()
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if t.Limit > 0 {
		bounded, cancel = context.WithTimeout(ctx, w.Clock.Real(t.Limit))
	}
	defer cancel()
	result, err := w.run(bounded, t, a)
	switch {
	case err == nil:
		return lane.Outcome{Result: result}
	case ctx.Err() != nil && step.Interrupted(err):
		return lane.Outcome{Interrupted: true}
	case ctx.Err() == nil && bounded.Err() != nil:
		s, _ := w.Plan.Step(t.ID.Step)
		return lane.Outcome{Problem: overtime(s, t.Limit, err), Class: step.Classify(err), TimedOut: true}
	}
	return w.failure(t, err)
}

// overtime is what is said of a step that its own timeout ended.
func overtime(s *schema.Step, limit time.Duration, err error) *event.Problem {
	p := problemOf(s, err)
	ended := fmt.Sprintf("The step's timeout ended it after %s", text.Duration(limit))
	const next = "Find out what keeps the machine or its BMC so long, or give the step more time (timeout, or retries and delay)."
	var waited *step.Unsettled
	switch {
	case errors.As(err, &waited):
		p.Summary, p.Next = ended+", still waiting until "+waited.What, next
	case err == context.DeadlineExceeded: // it tells nothing that this does not
		p.Summary, p.Next = ended+", before it was done", next
	default:
		p.Summary = ended + ": " + p.Summary
	}
	return p
}

func (w *Worker) failure(t lane.Task, err error) lane.Outcome {
	s, ok := w.Plan.Step(t.ID.Step)
	if !ok {
		s = &schema.Step{Range: w.Plan.Steps[0].Range}
	}
	return lane.Outcome{Problem: problemOf(s, err), Class: step.Classify(err)}
}

func (w *Worker) run(ctx context.Context, t lane.Task, a *attempt) (json.RawMessage, error) {
	h, err := w.host(t.ID.Host)
	if err != nil {
		return nil, err
	}
	h.Begin(a)
	h.last, a.shadow = t, h.Settings.DryRun
	if t.Attempt > 1 && h.BMC != nil { // what the last attempt read may be why it failed
		h.BMC.Refresh(0)
	}
	if t.Mode == lane.ModeFacts {
		return w.facts(ctx, h.Host)
	}
	if len(t.Facts) > 0 && h.Declared.Deferred() {
		resolved, _, diags := step.Resolve(w.Plan, h.Declared, t.Facts)
		if diags.HasErrors() {
			return nil, diags
		}
		h.Declared = resolved
	}
	for _, typ := range w.Types {
		if typ.Name == t.Type {
			if t.Mode == lane.ModeRecall {
				return typ.Recall(ctx, h.Host, t.Arguments)
			}
			return typ.Run(ctx, h.Host, t.Arguments)
		}
	}
	return nil, fmt.Errorf("there is no step type %q", t.Type)
}

// facts reads a host's facts.
func (w *Worker) facts(ctx context.Context, h *step.Host) (json.RawMessage, error) {
	facts, err := step.ReadFacts(ctx, h)
	if err != nil {
		return nil, err
	}
	return json.Marshal(facts)
}

// attempt is what the step sees of the engine.
type attempt struct {
	worker  *Worker
	task    lane.Task
	began   time.Time
	sleep   func(context.Context, time.Duration) error
	changes []string // that this attempt recorded, or one before it that was cut off
	shadow  bool     // the doors are shadows
	logErr  error
}

func (a *attempt) event(k event.Kind) event.Event {
	return event.Event{Kind: k, Time: a.worker.Clock.Now(), Run: a.worker.Log.Run(), Host: a.task.ID.Host, Step: a.task.ID.Step, Type: a.task.Type,
		Attempt: a.task.Attempt}
}

func (a *attempt) Run() string       { return a.worker.Log.Run() }
func (a *attempt) Step() string      { return a.task.ID.Step }
func (a *attempt) Place() step.Place { return a.task.Place }
func (a *attempt) Now() time.Time    { return a.worker.Clock.Now() }

// Record implements step.Attempt: durable first, then shown. An interrupt is heard until
// then; the time is taken before, so that none is recorded with one after the interrupt.
func (a *attempt) Record(ctx context.Context, c event.Change) (string, error) {
	e := a.event(event.WriteMade)
	e.Write = &c
	if err := ctx.Err(); err != nil {
		return "", err
	}
	id, err := a.worker.Log.Append(e)
	var refusal *step.Refusal
	if errors.As(err, &refusal) { // the run has lost its locks
		return "", refusal
	}
	if err != nil {
		a.logErr = err
		return "", errors.New("the write could not be recorded, so it was not made")
	}
	a.changes = append(a.changes, id)
	return id, nil
}

// Settle implements step.Attempt. What must not be forgotten by a crash is made durable.
func (a *attempt) Settle(s event.Settled) {
	e := a.event(event.WriteDone)
	e.Settled = &s
	var err error
	if s.Stays {
		_, err = a.worker.Log.Append(e)
	} else {
		err = a.worker.Log.Later(e)
	}
	if err != nil {
		a.logErr = err
	}
}

// took counts the changes of this attempt that took place, as far as is known, with those of
// attempts before it that were cut off.
func (a *attempt) took(h step.History) (n int) {
	for _, m := range step.Effective(h.Made(a.task.ID.Step)) {
		if slices.Contains(a.changes, m.ID) {
			n++
		}
	}
	return n
}

func (a *attempt) Progress(done, total int64, what string) {
	e := a.event(event.Progressed)
	e.Progress, e.Text = &event.Progress{Done: done, Total: total}, what
	a.worker.Log.Show(e)
}

// Phase implements step.Attempt. It is kept for what later runs learn from it; a crash may
// forget it.
func (a *attempt) Phase(p event.Entered) {
	p.Expected = a.worker.Log.Expected(p.Model, p.Phase)
	e := a.event(event.Phased)
	e.Phase = &p
	if err := a.worker.Log.Later(e); err != nil {
		a.logErr = err
	}
}

// screenTakes is how long a BMC may take to show a machine's screen, before the step's
// timeout ends.
const screenTakes = 10 * time.Second

// Last implements step.Attempt: retries are used up, or what is left of the timeout is too
// short for the pause and another look like this one.
func (a *attempt) Last() bool {
	took := a.worker.Clock.Now().Sub(a.began)
	return a.task.Final || a.task.Limit > 0 && a.task.Limit-took <= a.task.Pause+took+screenTakes
}

// KeepScreen implements step.Attempt.
func (a *attempt) KeepScreen(png []byte) (string, error) {
	if a.worker.Screen == nil {
		return "", nil
	}
	return a.worker.Screen(a.task.ID.Host, a.Now(), png)
}

func (a *attempt) Warn(text string) {
	e := a.event(event.Warned)
	e.Text = text
	if err := a.worker.Log.Later(e); err != nil {
		a.logErr = err
	}
}

func (a *attempt) Sleep(ctx context.Context, d time.Duration) error { return a.sleep(ctx, d) }
func (a *attempt) History() step.History                            { return a.worker.Log.History(a.task.ID.Host) }

// problemOf turns an error of an attempt into data: the one place where errors
// of steps and doors become what people read.
func problemOf(s *schema.Step, err error) *event.Problem {
	p := &event.Problem{Summary: firstUpper(err.Error()), At: event.Place(s.Range), Answer: step.AnswerOf(err)}
	var refusal *step.Refusal
	var failure *step.Failure
	var argument *schema.ArgumentError
	switch {
	case errors.As(err, &refusal):
		p.Summary, p.Next, p.Guard = "Refused: "+refusal.Reason, refusal.Next+".", refusal.Guard
	case errors.As(err, &failure):
		p.Summary, p.Next = firstUpper(failure.Reason), failure.Next+"."
	case errors.As(err, &argument):
		p.At = event.Place(argumentRange(s, argument.Path))
	default:
		what, next := step.Apart(err)
		if p.Summary = firstUpper(what); next != "" {
			p.Next = firstUpper(next) + "."
		}
	}
	return p
}

func argumentRange(s *schema.Step, path cty.Path) hcl.Range {
	if len(path) > 0 {
		if name, ok := path[0].(cty.GetAttrStep); ok {
			if attr, ok := s.Arguments[name.Name]; ok {
				return attr.Expr.Range()
			}
		}
	}
	return s.Range
}

// firstUpper begins a sentence, unless it begins with the name of an argument.
func firstUpper(text string) string {
	word, _, _ := strings.Cut(text, " ")
	if text == "" || strings.ContainsAny(word, "._/") {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

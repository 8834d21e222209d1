package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"esxiplan/engine/step"
	"esxiplan/schema"
)

// Worker carries out attempts. Open opens a host's doors: real ones, shadows or
// twins; the worker does not know which.
type Worker struct {
	Plan    *schema.Plan
	Types   []*step.Type
	Open    func(*schema.Host) (*step.Host, error)
	Clock   *Clock
	Journal *Journal
	Held    func() error // asked before each write, which its error prevents; nil: no lock is needed

	mu    sync.Mutex
	hosts map[string]*opened
}

// opened is a host with its doors, and the task that it last had.
type opened struct {
	*step.Host
	last Task
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
func (w *Worker) Close(ctx context.Context, name string) error {
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

// Do carries out one attempt. sleep is how the attempt waits; it may let other
// hosts work meanwhile.
func (w *Worker) Do(ctx context.Context, t Task, sleep func(context.Context, time.Duration) error) (o Outcome) {
	began := w.Clock.Now()
	a := &attempt{worker: w, task: t, sleep: sleep}
	defer func() {
		if r := recover(); r != nil {
			o = Outcome{Internal: fmt.Sprintf("%s on %s panicked: %v\n%s", t.ID.Step, t.ID.Host, r, debug.Stack())}
		}
		history := a.History()
		_, o.Installing = history.Installing()
		o.Writes, o.Elapsed = a.took(history), w.Clock.Now().Sub(began)
		if a.journalErr != nil {
			o.Internal = a.journalErr.Error()
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
		return Outcome{Result: result}
	case ctx.Err() != nil && step.Interrupted(err):
		return Outcome{Interrupted: true}
	case ctx.Err() == nil && bounded.Err() != nil:
		s, _ := w.Plan.Step(t.ID.Step)
		return Outcome{Problem: overtime(s, t.Limit, err), Class: step.Classify(err), TimedOut: true}
	}
	return w.failure(t, err)
}

// overtime is what is said of a step that its own timeout ended.
func overtime(s *schema.Step, limit time.Duration, err error) *Problem {
	p := problemOf(s, err)
	ended := fmt.Sprintf("The step's timeout ended it after %s", limit.Round(time.Second))
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

func (w *Worker) failure(t Task, err error) Outcome {
	s, ok := w.Plan.Step(t.ID.Step)
	if !ok {
		s = &schema.Step{Range: w.Plan.Steps[0].Range}
	}
	return Outcome{Problem: problemOf(s, err), Class: step.Classify(err)}
}

func (w *Worker) run(ctx context.Context, t Task, a *attempt) (json.RawMessage, error) {
	h, err := w.host(t.ID.Host)
	if err != nil {
		return nil, err
	}
	h.Begin(a)
	h.last = t
	if t.Mode == ModeFacts {
		return w.facts(ctx, h.Host)
	}
	if len(t.Facts) > 0 && h.Declared.Late() {
		resolved, _, diags := Resolve(w.Plan, h.Declared, t.Facts)
		if diags.HasErrors() {
			return nil, diags
		}
		h.Declared = resolved
	}
	for _, typ := range w.Types {
		if typ.Name == t.Type {
			if t.Mode == ModeRecall {
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

// Resolve chooses a host's disk and NIC by its facts, where the plan leaves that to the
// machine. value is the facts as expressions see them.
func Resolve(p *schema.Plan, h *schema.Host, facts json.RawMessage) (resolved *schema.Host, value cty.Value, diags hcl.Diagnostics) {
	value, err := factsObject.FromJSON(facts)
	if err != nil {
		return nil, cty.NilVal, hcl.Diagnostics{usage("Facts that cannot be understood", "What the BMC of host %q reported cannot be decoded: %v. Look at it with esxiplan discover --json, and report it.", h.Name, err)}
	}
	resolved, diags = p.Resolve(h, value)
	return resolved, value, diags
}

var factsObject = schema.Of[step.Facts]()

// attempt is what the step sees of the engine.
type attempt struct {
	worker     *Worker
	task       Task
	sleep      func(context.Context, time.Duration) error
	changes    []string // that this attempt recorded
	journalErr error
}

func (a *attempt) event(k Kind) Event {
	return Event{Kind: k, Time: a.worker.Clock.Now(), Run: a.worker.Journal.run, Host: a.task.ID.Host, Step: a.task.ID.Step, Type: a.task.Type, Attempt: a.task.Attempt}
}

func (a *attempt) Run() string       { return a.worker.Journal.run }
func (a *attempt) Step() string      { return a.task.ID.Step }
func (a *attempt) Place() step.Place { return a.task.Place }
func (a *attempt) Now() time.Time    { return a.worker.Clock.Now() }

// Record implements step.Attempt: durable first, then shown, and neither when the locks of the
// run are lost. An interrupt is heard until
// then; the time is taken before, so that none is recorded with one after the interrupt.
func (a *attempt) Record(ctx context.Context, c step.Change) (string, error) {
	e := a.event(WriteMade)
	e.Write = &c
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if held := a.worker.Held; held != nil {
		if err := held(); err != nil {
			return "", err
		}
	}
	id, err := a.worker.Journal.Append(e)
	if err != nil {
		a.journalErr = err
		return "", errors.New("the write could not be recorded, so it was not made")
	}
	a.changes = append(a.changes, id)
	return id, nil
}

// Settle implements step.Attempt. What must not be forgotten by a crash is made durable.
func (a *attempt) Settle(s step.Settled) {
	e := a.event(WriteDone)
	e.Settled = &s
	var err error
	if s.Stays {
		_, err = a.worker.Journal.Append(e)
	} else {
		err = a.worker.Journal.Later(e)
	}
	if err != nil {
		a.journalErr = err
	}
}

// took counts the changes of this attempt that took place, as far as is known.
func (a *attempt) took(h step.History) (n int) {
	for _, m := range step.Effective(h.Made(a.task.ID.Step)) {
		if slices.Contains(a.changes, m.ID) {
			n++
		}
	}
	return n
}

func (a *attempt) Progress(done, total int64, what string) {
	e := a.event(Progressed)
	e.Progress, e.Text = &Progress{done, total}, what
	a.worker.Journal.Show(e)
}

func (a *attempt) Warn(text string) {
	e := a.event(Warned)
	e.Text = text
	a.worker.Journal.Show(e)
}

func (a *attempt) Sleep(ctx context.Context, d time.Duration) error { return a.sleep(ctx, d) }
func (a *attempt) History() step.History                            { return a.worker.Journal.History(a.task.ID.Host) }

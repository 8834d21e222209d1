package session

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"esxiplan/engine/event"
	"esxiplan/engine/lane"
	"esxiplan/engine/log"
	"esxiplan/schema"
)

// stage is the stage of a run that is to be run, as far as its log has come.
type stage struct {
	lanes   *lane.Set
	number  int
	again   bool          // this stage has begun before
	events  []event.Event // that no process has logged
	earlier []event.Event // of this stage, that are in the log
	actions []lane.Action // that are open
	retries []string      // hosts that failed and are tried again
}

// foldRun folds the records of the run into fresh lanes.
func (p *Prepared) foldRun(records []log.Record, installing func(host string) bool) error {
	f := &folding{Prepared: p, installing: installing, key: log.StageKey(p.stepNames()), failed: map[string]failure{}, over: map[string]bool{},
		digests: map[string]map[string]string{}, known: map[string][]event.Event{}, open: map[string]lane.Action{}, cut: map[lane.TaskID][]string{}}
	f.survey(records)
	p.stage = stage{lanes: lane.NewSet(p.Survey), number: 1 + f.stages, again: f.again, earlier: f.earlier}
	if f.again {
		p.stage.number = f.number
		p.stage.lanes.Replay()
	}
	f.take(p.stage.lanes.Start(f.past))
	if err := f.fold(records); err != nil {
		return err
	}
	if p.o.RetryFailed {
		f.retry()
	}
	f.take(p.stage.lanes.Live())
	p.stage.events, p.stage.actions = f.events, f.pending()
	return nil
}

// failure is how a failed host ended.
type failure struct {
	key  string // of the stage
	step string
}

// folding is the fold of a run's log.
type folding struct {
	*Prepared
	installing func(host string) bool
	key        string // of the stage that is to be run
	stages     int
	number     int  // of that stage, if it began before
	again      bool // it did
	failed     map[string]failure
	over       map[string]bool              // hosts that came to their end in this stage
	digests    map[string]map[string]string // of each host, when the run first had it
	known      map[string][]event.Event     // of this stage, by host, that the log has
	earlier    []event.Event
	events     []event.Event
	open       map[string]lane.Action   // attempts that are not done, by host
	cut        map[lane.TaskID][]string // changes of attempts whose outcome was not folded, by ID
}

// survey reads what the records say about the run as a whole.
func (f *folding) survey(records []log.Record) {
	current, steps, ours := "", map[string]string{}, map[string]bool{}
	for _, h := range f.Survey.Hosts() {
		ours[h.Name] = true
	}
	for _, r := range records {
		switch {
		case r.Kind == log.StageStarted && r.Stage != nil:
			current = r.Stage.Key()
			f.begin(*r.Stage)
		case r.Kind == log.RetryAsked && current == f.key:
			for _, host := range r.Hosts {
				delete(f.failed, host)
				delete(f.over, host)
			}
		case r.Kind == event.StepDone && r.Status.Failure():
			steps[r.Host] = r.Step
		case r.Kind == event.HostDone:
			f.end(r, failure{current, steps[r.Host]})
		}
		if current == f.key && r.Log == 0 && ours[r.Host] {
			f.earlier = append(f.earlier, r.Event)
			f.known[r.Host] = append(f.known[r.Host], r.Event)
		}
	}
}

// begin takes in that a stage began. What the plan said of a host when the run first had it
// is what the run can be continued with.
func (f *folding) begin(s log.Stage) {
	f.stages = max(f.stages, s.Number)
	if s.Key() == f.key {
		f.again, f.number = true, s.Number
	}
	for host := range s.Digests.Digests {
		if _, had := f.digests[host]; !had {
			f.digests[host], _ = s.Digests.Of(host)
		}
	}
}

// end takes in that a host came to its end in a stage.
func (f *folding) end(r log.Record, how failure) {
	if how.key == f.key {
		f.over[r.Host] = r.Status != event.NotRun
	}
	switch {
	case how.step == lane.PlanStep: // that was of the plan as it was then
	case r.Status.Failure():
		f.failed[r.Host] = how
	case r.Status == event.OK, r.Status == event.Changed:
		delete(f.failed, r.Host)
	}
}

// past is what is known of a host before the first step of the stage.
func (f *folding) past(host string) (p lane.Past) {
	if before, ok := f.failedElsewhere(host); ok && f.o.RetryFailed {
		f.stage.retries = append(f.stage.retries, host)
	} else if ok {
		p.LeftOut = fmt.Sprintf("failed before in this run, in step %s; --retry-failed tries it again", before.step)
	}
	if parts, ok := f.digests[host]; ok {
		p.Refused = f.changed(host, parts)
	}
	p.Installing = f.installing(host)
	return p
}

// failedElsewhere reports a host that failed in another stage, and did not come to its end in
// this one.
func (f *folding) failedElsewhere(host string) (failure, bool) {
	before, ok := f.failed[host]
	return before, ok && before.key != f.key && !f.over[host]
}

// changed is why the run cannot be continued on a host whose part of the plan is not what
// it was; nil if it is.
func (f *folding) changed(host string, before map[string]string) *event.Problem {
	h, _ := f.Plan.Host(host)
	differs := schema.DifferingParts(before, f.Plan.Parts(h))
	if len(differs) == 0 {
		return nil
	}
	return &event.Problem{Summary: fmt.Sprintf("The plan has changed for this host since run %s began: %s", f.Name, strings.Join(differs, ", ")),
		Next: "Start a new run, or put back what the run began with."}
}

// fold takes the outcomes of the stage into the lanes.
func (f *folding) fold(records []log.Record) error {
	ours, stopped := false, false
	for _, r := range records {
		switch {
		case r.Kind == log.StageStarted && r.Stage != nil:
			ours, stopped = r.Stage.Key() == f.key, false
		case !ours:
		case r.Kind == log.Interrupted:
			stopped = true
		case r.Kind == log.RetryAsked:
			for _, host := range r.Hosts {
				f.take(f.stage.lanes.Retry(host))
				maps.DeleteFunc(f.cut, func(id lane.TaskID, _ []string) bool { return id.Host == host })
			}
		case r.Kind == event.WriteMade && r.Write != nil:
			id := lane.TaskID{Host: r.Host, Step: r.Step}
			f.cut[id] = append(f.cut[id], r.Write.ID)
		case r.Kind == event.StepStarted, r.Kind == event.StepDone:
			f.take(f.stage.lanes.Admit(lane.TaskID{Host: r.Host, Step: r.Step}))
		case r.Kind == log.AttemptDone:
			if err := f.foldAttempt(r, stopped); err != nil {
				return err
			}
		}
	}
	return nil
}

// foldAttempt folds the outcome of one attempt. An interrupted one is still open; what ran
// because of the interrupt is not what comes next, and nothing comes next on a host that the
// stage leaves out.
func (f *folding) foldAttempt(r log.Record, stopped bool) error {
	if !lane.Mode(r.Mode).Known() {
		return fmt.Errorf("run %s cannot be continued: its log is damaged, or of a newer esxiplan: "+
			"record %d, of step %s on host %s, has the unknown mode %q. Restore the log from a copy, or start a new run",
			f.Name, r.Seq, r.Step, r.Host, r.Mode)
	}
	var o lane.Outcome
	if err := json.Unmarshal(r.Outcome, &o); err != nil {
		return fmt.Errorf("run %s cannot be continued: record %d of its log has no outcome: %w", f.Name, r.Seq, err)
	}
	id := lane.TaskID{Host: r.Host, Step: r.Step}
	_, leftOut := f.failedElsewhere(r.Host)
	switch {
	case o.Interrupted, !f.stage.lanes.Has(r.Host):
		return nil
	case f.stage.lanes.Awaits(id):
		delete(f.open, r.Host)
		delete(f.cut, id)
		f.take(f.stage.lanes.Fold(id, o))
		return nil
	case stopped, leftOut, f.refused(r.Host):
		return nil
	}
	return fmt.Errorf("run %s cannot be continued: record %d of its log is the outcome of step %s on host %s, "+
		"which does not come there by this plan. Start a new run", f.Name, r.Seq, r.Step, r.Host)
}

// refused reports a host whose plan changed, so that its outcomes mean nothing here.
func (f *folding) refused(host string) bool {
	parts, ok := f.digests[host]
	return ok && f.changed(host, parts) != nil
}

// retry lets the hosts try again that failed in this stage.
func (f *folding) retry() {
	for _, h := range f.Survey.Working() {
		if f.stage.lanes.HostFailed(h.Name) {
			f.stage.retries = append(f.stage.retries, h.Name)
		}
	}
	for _, host := range f.stage.retries {
		f.take(f.stage.lanes.Retry(host))
	}
}

// take takes in what the lanes answered. Events that the log has already are dropped.
func (f *folding) take(events []event.Event, actions []lane.Action) {
	for _, e := range events {
		if e.Kind != event.Progressed && !f.logged(e) {
			f.events = append(f.events, e)
		}
	}
	for _, a := range actions {
		f.open[a.Task.ID.Host] = a
	}
}

// logged reports that the log has an event, and skips it with those before it. After one that
// it lacks it has no other of that host: what looks like one is from another time.
func (f *folding) logged(e event.Event) bool {
	known := f.known[e.Host]
	i := slices.IndexFunc(known, func(k event.Event) bool {
		return k.Kind == e.Kind && k.Step == e.Step && k.Status == e.Status && k.Attempt == e.Attempt && (e.Kind != event.Warned || k.Text == e.Text)
	})
	f.known[e.Host] = known[i+1:]
	if i < 0 {
		f.known[e.Host] = nil
	}
	return i >= 0
}

// pending are the attempts that are open, in plan order. Their pauses are over if the
// stage had begun.
func (f *folding) pending() (out []lane.Action) {
	for _, h := range f.Survey.Hosts() {
		if a, ok := f.open[h.Name]; ok && f.stage.lanes.Awaits(a.Task.ID) {
			if f.again {
				a.After = 0
			}
			a.Task.Changes = f.cut[a.Task.ID]
			out = append(out, a)
		}
	}
	return out
}

package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"esxiplan/engine/step"
	"esxiplan/schema"
)

// Options choose what a run does.
type Options struct {
	Selection
	DryRun      bool
	InFlight    string // "" takes the plan's
	MaxFailures string // "" is no budget
}

// Machine decides what happens next. It is pure: no goroutine, no clock, no I/O,
// and the same outcomes in the same order give the same events and actions.
type Machine struct {
	plan   *schema.Plan
	types  map[string]*step.Type
	o      Options
	chosen map[string]bool
	lanes  []*lane
	byHost map[string]*lane

	inFlight      int            // bound for all hosts, -1 is none
	groupInFlight map[string]int // bound by group
	budget        int            // failures allowed, -1 is none

	flying   map[string]int // hosts in flight by group; "" is all
	inStep   map[string]int // hosts in a step, for throttle
	failures int

	interrupted bool
	overBudget  bool
	internal    string

	events  []Event
	actions []Action
}

// lane is one host's way through the plan.
type lane struct {
	host    *schema.Host
	next    int // the step to start, or the one that runs
	results map[string]cty.Value
	facts   cty.Value
	raw     json.RawMessage // facts by which disk or NIC were chosen
	stale   string          // why there is no medium of what the plan is now
	counts  Counts
	began   bool
	waiting bool // at a gate
	done    bool
	flying  bool
	held    bool   // by the failure budget
	broken  Status // "", or how a step ended that stopped the host
	stopped bool   // by an interrupt
	missed  bool   // a step, or the end of one, because of that
	task    *running

	protected  bool // left out, because the run writes
	installing bool // by the records, or the last outcome: an installation of ours is under way
	served     bool // it was said that an interrupt does not end it
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

// policy is what holds for one step of the plan: its own words over its type's.
type policy struct {
	retries         int
	delay, maxDelay time.Duration
	timeout         time.Duration
}

// New prepares a run. Diagnostics say what of the selection, or of the plan under
// this selection, cannot work.
func New(p *schema.Plan, types []*step.Type, o Options) (*Machine, hcl.Diagnostics) {
	m := &Machine{plan: p, types: map[string]*step.Type{}, o: o, byHost: map[string]*lane{},
		groupInFlight: map[string]int{}, flying: map[string]int{}, inStep: map[string]int{}}
	for _, t := range types {
		m.types[t.Name] = t
	}
	chosen, diags := o.steps(p)
	hosts, moreDiags := o.hosts(p)
	diags = append(diags, moreDiags...)
	m.chosen = chosen
	for _, h := range hosts {
		l := &lane{host: h, results: map[string]cty.Value{}, protected: h.Protected && m.changes(h)}
		m.lanes = append(m.lanes, l)
		m.byHost[h.Name] = l
	}
	diags = append(diags, m.setLimits()...)
	if !diags.HasErrors() {
		diags = append(diags, m.checkSense()...)
	}
	if !diags.HasErrors() {
		diags = append(diags, p.CheckSteps(m.selection)...)
	}
	return m, diags
}

func (m *Machine) setLimits() hcl.Diagnostics {
	var diags hcl.Diagnostics
	read := func(what, text string, hosts, least int) int {
		n, err := limitOf(text, hosts, least)
		if err != nil {
			diags = append(diags, usage("Invalid limit", "%s: %v.", what, err))
		}
		return n
	}
	inFlight := m.o.InFlight
	if inFlight == "" {
		inFlight = m.plan.InFlight
	}
	working := len(m.Working())
	m.inFlight = read("in_flight", inFlight, working, 1)
	m.budget = read("--max-failures", m.o.MaxFailures, working, 0)
	if m.budget >= 0 && m.inFlight < 0 {
		m.inFlight = max(1, m.budget)
	}
	for _, g := range m.plan.Groups {
		m.groupInFlight[g.Name] = read("in_flight of group "+g.Name, g.InFlight, len(g.Hosts), 1)
	}
	return diags
}

// checkSense refuses a run in which no host has anything to do, and one whose
// hosts would wait for one another for ever: those in flight at a barrier, the
// others for a place in flight.
func (m *Machine) checkSense() hcl.Diagnostics {
	busy, writes := false, false
	for _, s := range m.Steps() {
		for _, l := range m.lanes {
			busy = busy || s.Applies(l.host)
		}
		bound := m.inFlight >= 0 && m.inFlight < len(m.Working())
		for _, g := range m.plan.Groups {
			bound = bound || m.groupInFlight[g.Name] >= 0 && m.groupInFlight[g.Name] < len(g.Hosts)
		}
		if s.Policy.Barrier && writes && bound {
			return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Barrier that cannot open", Subject: &s.Range,
				Detail: fmt.Sprintf("Step %q waits for all hosts, but in_flight (or --max-failures, which bounds it, too) lets only some of them begin to write before it. Raise the bound, or take the barrier away.", s.Name)}}
		}
		writes = writes || m.types[s.Type].Most.Writes
	}
	if !busy {
		return hcl.Diagnostics{usage("Nothing to run", "None of the chosen steps applies to any of the chosen hosts.")}
	}
	return nil
}

// Hosts lists the hosts of the run in plan order.
func (m *Machine) Hosts() []*schema.Host {
	var hosts []*schema.Host
	for _, l := range m.lanes {
		hosts = append(hosts, l.host)
	}
	return hosts
}

// Steps lists the chosen steps in plan order.
func (m *Machine) Steps() []*schema.Step {
	var steps []*schema.Step
	for _, s := range m.plan.Steps {
		if m.chosen[s.Name] {
			steps = append(steps, s)
		}
	}
	return steps
}

// changes reports whether the run changes something for a host: its machine, the medium
// that is made for it, or what an installation leaves behind.
func (m *Machine) changes(h *schema.Host) bool {
	return slices.ContainsFunc(m.Steps(), func(s *schema.Step) bool {
		most := m.types[s.Type].Most
		return s.Applies(h) && (most.Writes || most.Builds || most.Waits)
	})
}

// Protected lists the hosts that are left out because the plan protects them.
func (m *Machine) Protected() []*schema.Host {
	return m.hosts(func(l *lane) bool { return l.protected })
}

// Working lists the other hosts of the run.
func (m *Machine) Working() []*schema.Host {
	return m.hosts(func(l *lane) bool { return !l.protected })
}

func (m *Machine) hosts(is func(*lane) bool) (out []*schema.Host) {
	for _, l := range m.lanes {
		if is(l) {
			out = append(out, l.host)
		}
	}
	return out
}

// Settings are what the guards of a host need to know of the plan and the run.
func (m *Machine) Settings(h *schema.Host) step.Settings {
	s := step.Settings{DryRun: m.o.DryRun, StopsServing: m.stopsServing(h)}
	for _, st := range m.plan.Steps {
		most := m.types[st.Type].Most
		if !st.Applies(h) {
			continue
		}
		s.Installs = s.Installs || most.Mounts || m.sets(h, st)
		if m.goesOnAt(h, st) {
			s.WaitStep = st.Name
		}
	}
	return s
}

// WaitStep is the name of the plan's last step that waits for the end of an installation
// of a host, "" where there is none.
func (m *Machine) WaitStep() (name string) {
	for _, s := range m.plan.Steps {
		if slices.ContainsFunc(m.lanes, func(l *lane) bool { return m.goesOnAt(l.host, s) }) {
			name = s.Name
		}
	}
	return name
}

// goesOnAt reports a step of the plan at which a later run can wait for the end of an
// installation.
func (m *Machine) goesOnAt(h *schema.Host, s *schema.Step) bool {
	return s.Name != m.o.Only && s.Applies(h) && m.waits(h, s)
}

// sets reports whether a step sets a boot source other than the disk.
func (m *Machine) sets(h *schema.Host, s *schema.Step) bool {
	return m.may(h, s, func(e step.Effects) bool { return e.Sets })
}

// serves reports that the images of this run end with it.
func (m *Machine) serves() bool { return m.plan.Media != nil && m.plan.Media.Serves() }

// effects are what a step does on a host, as far as its arguments are known from these
// results; where they are not, the most that it may do.
func (m *Machine) effects(h *schema.Host, s *schema.Step, results map[string]cty.Value) step.Effects {
	t := m.types[s.Type]
	known := map[string]cty.Value{}
	for _, other := range m.plan.Steps {
		if v, ok := results[other.Name]; ok && v != cty.NilVal && !v.IsNull() {
			known[other.Name] = v
		} else {
			known[other.Name] = cty.UnknownVal(m.types[other.Type].Result.Type())
		}
	}
	value, diags := m.plan.Arguments(s, schema.Scope{Host: h, Results: known})
	if diags.HasErrors() || !value.IsWhollyKnown() {
		return t.Effects(nil)
	}
	value, _ = value.UnmarkDeep()
	b, err := ctyjson.Marshal(value, value.Type())
	if err != nil {
		return t.Effects(nil)
	}
	return t.Effects(b)
}

// may reports whether a step has an effect on a host, as far as that is known before the
// run.
func (m *Machine) may(h *schema.Host, s *schema.Step, has func(step.Effects) bool) bool {
	return has(m.types[s.Type].Most) && has(m.effects(h, s, nil))
}

// waits reports whether a step waits for the end of an installation.
func (m *Machine) waits(h *schema.Host, s *schema.Step) bool {
	return m.may(h, s, func(e step.Effects) bool { return e.Waits })
}

// starts reports whether a step may start the machine.
func (m *Machine) starts(h *schema.Host, s *schema.Step) bool {
	return m.may(h, s, func(e step.Effects) bool { return e.Starts })
}

// place is what a step must know of the plan around it: what the steps before it, since
// the last proof, lay ready to be booted, and what this run does after it.
func (m *Machine) place(l *lane, at *schema.Step) (p step.Place) {
	if t := m.types[at.Type]; !t.Most.Writes && !t.Most.Waits {
		return p // it reads
	}
	i := slices.Index(m.plan.Steps, at)
	for _, s := range m.plan.Steps[:i] {
		if s.Applies(l.host) {
			m.layReady(&p, l, s, m.types[s.Type].Most)
		}
	}
	starts := m.starts(l.host, at)
	p.Restarts, p.Waits = m.after(l, m.plan.Steps[i+1:], starts)
	p.BootsMedium = p.BootsMedium && starts && m.o.Only == "" // by hand, a start is but a start
	p.Waits = p.Waits || m.waits(l.host, at)
	if p.Medium == "" {
		p.Stale = l.stale
	}
	return p
}

// after tells whether these steps restart the machine, and whether a wait follows the next
// start, before a further one; started is that the step before them starts it.
func (m *Machine) after(l *lane, steps []*schema.Step, started bool) (restarts, waits bool) {
	for _, s := range steps {
		switch {
		case !s.Applies(l.host) || !m.chosen[s.Name]:
		case m.starts(l.host, s) && started:
			return true, false
		case m.starts(l.host, s):
			restarts, started = true, true
		case started && m.waits(l.host, s) && unconditional(s):
			return restarts, true
		}
	}
	return restarts, false
}

// unconditional reports that a step surely runs on a host that has come so far.
func unconditional(s *schema.Step) bool {
	_, when := s.Conditions["when"]
	return !when && s.Policy.RunOn != "failure"
}

// layReady takes in a step before the one whose place is asked for.
func (m *Machine) layReady(p *step.Place, l *lane, s *schema.Step, most step.Effects) {
	switch {
	case m.waits(l.host, s):
		p.BootsMedium = false // Medium stays: what is in the drive all the same must be it
	case most.Mounts:
		p.BootsMedium, p.Medium = true, m.effects(l.host, s, l.results).Medium
	case m.sets(l.host, s):
		p.BootsMedium = true
	}
}

// usesDisk reports whether a step needs to know the host's disk.
func (m *Machine) usesDisk(h *schema.Host, s *schema.Step) bool {
	t := m.types[s.Type]
	return t.Most.Disk || m.starts(h, s)
}

// Wipes lists the hosts that this run may start an installer on.
func (m *Machine) Wipes() []*schema.Host {
	return m.hosts(func(l *lane) bool {
		return !l.protected && m.Settings(l.host).Installs && m.any(l.host, func(e step.Effects) bool { return e.Starts })
	})
}

// Stops lists the hosts whose machine this run may power off or restart.
func (m *Machine) Stops() []*schema.Host {
	return m.hosts(func(l *lane) bool {
		return !l.protected && m.any(l.host, func(e step.Effects) bool { return e.Stops })
	})
}

// any reports whether a chosen step has an effect on a host.
func (m *Machine) any(h *schema.Host, has func(step.Effects) bool) bool {
	return slices.ContainsFunc(m.Steps(), func(s *schema.Step) bool {
		return s.Applies(h) && m.may(h, s, has)
	})
}

// Serving refuses a run that mounts images which it stops serving before anybody could
// have booted them: "" when it does not.
func (m *Machine) Serving() string {
	if !m.mountsOurs() || !slices.ContainsFunc(m.Working(), m.stopsServing) {
		return ""
	}
	return "this run would mount images that it serves itself (media.listen) and end before they are read. Run the wait step, too, or publish to a directory (media.directory and url)"
}

// stopsServing reports that the images of this run end with it, and that it waits for no
// installation of the host.
func (m *Machine) stopsServing(h *schema.Host) bool {
	return m.serves() && !m.any(h, func(e step.Effects) bool { return e.Waits })
}

// mountsOurs reports a chosen step that mounts what a step of the plan builds.
func (m *Machine) mountsOurs() bool {
	return slices.ContainsFunc(m.Steps(), func(s *schema.Step) bool {
		return m.types[s.Type].Most.Mounts && slices.ContainsFunc(m.plan.Steps, func(build *schema.Step) bool {
			return m.types[build.Type].Most.Builds && s.RefersTo("step", build.Name)
		})
	})
}

// selection says what the run does with a step on a host: it runs it, leaves it
// out, or recalls its result because a step that runs needs it.
func (m *Machine) selection(h *schema.Host, s *schema.Step) schema.Choice {
	switch {
	case m.byHost[h.Name] == nil || !s.Applies(h):
		return schema.Skipped
	case m.chosen[s.Name]:
		return schema.Runs
	case m.types[s.Type].Recall != nil && (m.needed(h, s.Name) || m.compared(h, s.Name)):
		return schema.Recalled
	}
	return schema.Skipped
}

// needed reports whether a step that runs refers to the result of another.
func (m *Machine) needed(h *schema.Host, name string) bool {
	return slices.ContainsFunc(m.plan.Steps, func(s *schema.Step) bool {
		return m.chosen[s.Name] && s.Applies(h) && s.RefersTo("step", name)
	})
}

// compared reports whether the result of a step says what a restart of this run should
// boot: that of a step to whose result one refers that mounts, before one that starts the
// machine. What was mounted is compared with it.
func (m *Machine) compared(h *schema.Host, name string) bool {
	mounts := false
	for _, s := range m.plan.Steps {
		if !s.Applies(h) {
			continue
		}
		if mounts && m.chosen[s.Name] && m.starts(h, s) {
			return true
		}
		mounts = mounts || m.types[s.Type].Most.Mounts && s.RefersTo("step", name)
	}
	return false
}

// needsFacts: where an expression refers to them, or a step needs the disk or NIC that
// they choose.
func (m *Machine) needsFacts(l *lane) bool {
	if l.host.Late() && slices.ContainsFunc(m.Steps(), func(s *schema.Step) bool { return s.Applies(l.host) && m.usesDisk(l.host, s) }) {
		return true
	}
	return slices.ContainsFunc(m.plan.Steps, func(s *schema.Step) bool {
		return m.selection(l.host, s) != schema.Skipped && s.RefersTo("host", "facts")
	})
}

// Start begins the run: each host as far as the gates let it. history is what is on record
// of a host: an installation that an earlier run began may be under way.
func (m *Machine) Start(history func(host string) step.History) ([]Event, []Action) {
	for _, l := range m.lanes {
		_, l.installing = history(l.host.Name).Installing()
		m.advance(l)
	}
	return m.flush()
}

func (m *Machine) flush() ([]Event, []Action) {
	for again := true; again; {
		again = false
		for _, l := range m.lanes {
			if l.waiting {
				m.advance(l)
				again = again || !l.waiting
			}
		}
	}
	events, actions := m.events, m.actions
	m.events, m.actions = nil, nil
	return events, actions
}

func (m *Machine) emit(l *lane, e Event) {
	e.Host, e.Group = l.host.Name, l.host.Group
	m.events = append(m.events, e)
}

// advance takes a lane on until it is busy, at a gate, or at its end.
func (m *Machine) advance(l *lane) {
	l.waiting = false
	if l.protected {
		m.finish(l)
		return
	}
	if !l.began && !m.interrupted && m.needsFacts(l) {
		m.begin(l)
		m.act(l, &running{step: m.plan.Steps[0], task: Task{ID: TaskID{l.host.Name, factsStep}, Mode: ModeFacts, Attempt: 1}, policy: policy{retries: 3, delay: 5 * time.Second, maxDelay: time.Minute}}, 0)
		return
	}
	for ; l.next < len(m.plan.Steps); l.next++ {
		s := m.plan.Steps[l.next]
		if !m.due(l, s) {
			m.skipSilently(l, s)
			continue
		}
		if m.selection(l.host, s) == schema.Runs && !m.gate(l, s) {
			return
		}
		if m.start(l, s) {
			return
		}
	}
	m.finish(l)
}

// due reports whether the lane, in the state in which it is, takes the step.
func (m *Machine) due(l *lane, s *schema.Step) bool {
	if m.selection(l.host, s) == schema.Skipped {
		return false
	}
	if m.interrupted {
		l.stopped = true
	}
	if l.stopped && m.servedOn(l, s) {
		if !l.served {
			m.warnServed([]*schema.Host{l.host})
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

// wants reports whether the step is for a lane that came so far as this one.
func (l *lane) wants(s *schema.Step) bool {
	switch s.Policy.RunOn {
	case "always":
		return true
	case "failure":
		return l.broken != ""
	}
	return l.broken == ""
}

// servedOn reports a wait for the end of an installation that would break when this run
// stopped serving its image: an interrupt does not end it.
func (m *Machine) servedOn(l *lane, s *schema.Step) bool {
	return l.installing && l.broken == "" && !m.o.DryRun && m.serves() && m.waits(l.host, s)
}

// goesOn reports a lane that an interrupt leaves at a wait, or before one.
func (m *Machine) goesOn(l *lane) bool {
	return !l.done && slices.ContainsFunc(m.plan.Steps[l.next:], func(s *schema.Step) bool {
		return m.selection(l.host, s) == schema.Runs && m.servedOn(l, s)
	})
}

func (m *Machine) skipSilently(l *lane, s *schema.Step) {
	l.results[s.Name] = m.types[s.Type].Result.Null()
}

// gate holds a lane back: at a barrier, before a full step, before too many
// hosts are in flight. A budget that is used up ends the lane instead.
func (m *Machine) gate(l *lane, s *schema.Step) bool {
	t := m.types[s.Type]
	open := !s.Policy.Barrier || m.allArrived(l.next) || l.stopped
	if s.Policy.Throttle != nil && m.inStep[s.Name] >= *s.Policy.Throttle {
		open = false
	}
	if (t.Most.Writes && !l.flying || t.Most.Starts) && s.Policy.RunOn == "success" && l.broken == "" {
		if m.budget >= 0 && m.failures > m.budget {
			m.hold(l)
			return false
		}
	}
	if t.Most.Writes && !l.flying && !m.mayFly(l) {
		open = false
	}
	l.waiting = !open
	return open
}

func (m *Machine) hold(l *lane) {
	l.held, m.overBudget = true, true
	m.advance(l)
}

// allArrived reports whether no host is still on its way to a step. A host that
// failed or was stopped has arrived.
func (m *Machine) allArrived(index int) bool {
	for _, l := range m.lanes {
		gathering := l.task != nil && l.task.task.Mode == ModeFacts
		if !l.done && !l.held && l.broken == "" && !l.stopped && (l.next < index || gathering) {
			return false
		}
	}
	return true
}

func (m *Machine) mayFly(l *lane) bool {
	group := m.groupInFlight[l.host.Group]
	return (m.inFlight < 0 || m.flying[""] < m.inFlight) && (group < 0 || m.flying[l.host.Group] < group)
}

func (m *Machine) begin(l *lane) {
	if !l.began {
		l.began = true
		m.emit(l, Event{Kind: HostStarted})
	}
}

// start begins a step. It reports false when the step is over at once: skipped,
// done already, or failed before it ran.
func (m *Machine) start(l *lane, s *schema.Step) bool {
	t := m.types[s.Type]
	scope := schema.Scope{Host: l.host, Facts: l.facts, Results: l.results}
	recall := m.selection(l.host, s) == schema.Recalled
	if !recall {
		m.begin(l)
		if over := m.conditions(l, s, scope); over {
			return false
		}
	}
	arguments, diags := m.plan.Arguments(s, scope)
	if recall && (diags.HasErrors() || !arguments.IsWhollyKnown()) && !m.needed(l.host, s.Name) {
		m.skipSilently(l, s) // it was to be compared with, and cannot be
		return false
	}
	if diags.HasErrors() {
		m.end(l, s, Failed, FromDiagnostic(diags[0]), nil)
		return false
	}
	if !arguments.IsWhollyKnown() {
		m.skip(l, s, "decided during the run")
		return false
	}
	b, err := ctyjson.Marshal(arguments, arguments.Type())
	if err != nil {
		m.end(l, s, Failed, problemOf(s, err), nil)
		return false
	}
	r := &running{step: s, typ: t, policy: policyOf(s, t), task: Task{ID: TaskID{l.host.Name, s.Name}, Type: s.Type, Arguments: b, Attempt: 1, Always: s.Policy.RunOn == "always" || m.servedOn(l, s), Place: m.place(l, s), Facts: l.raw}}
	if recall {
		r.task.Mode = ModeRecall
	} else {
		m.take(l, s, t, r)
		m.emit(l, Event{Kind: StepStarted, Step: s.Name, Type: s.Type})
	}
	m.act(l, r, 0)
	return true
}

// conditions judges when and done_when; true means that the step is over.
func (m *Machine) conditions(l *lane, s *schema.Step, scope schema.Scope) bool {
	for _, name := range []string{"when", "done_when"} {
		value, given, err := m.plan.Condition(s, name, scope)
		switch {
		case err != nil:
			m.end(l, s, Failed, conditionProblem(s, name, err), nil)
			return true
		case !given:
		case !value.IsKnown():
			m.skip(l, s, "decided during the run")
			return true
		case name == "when" && value.False():
			m.skip(l, s, "when is false")
			return true
		case name == "done_when" && value.True():
			m.skipSilently(l, s)
			m.emit(l, Event{Kind: StepDone, Step: s.Name, Type: s.Type, Status: OK, Text: "done_when is true"})
			l.counts.add(OK)
			return true
		}
	}
	return false
}

func conditionProblem(s *schema.Step, name string, err error) *Problem {
	p := &Problem{Summary: fmt.Sprintf("The condition %s cannot be evaluated", name), Detail: err.Error(), At: place(s.Conditions[name].Expr.Range())}
	var diags hcl.Diagnostics
	if errors.As(err, &diags) && len(diags) > 0 {
		p.Detail = diags[0].Detail
	}
	return p
}

func (m *Machine) skip(l *lane, s *schema.Step, why string) {
	m.skipSilently(l, s)
	m.emit(l, Event{Kind: StepDone, Step: s.Name, Type: s.Type, Status: Skipped, Text: why})
	l.counts.add(Skipped)
}

// take counts the host against the limits of the step and of the run.
func (m *Machine) take(l *lane, s *schema.Step, t *step.Type, r *running) {
	if s.Policy.Throttle != nil {
		m.inStep[s.Name]++
		r.throttle = true
	}
	if t.Most.Writes && !l.flying {
		l.flying = true
		m.flying[""]++
		m.flying[l.host.Group]++
	}
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

func (m *Machine) act(l *lane, r *running, after time.Duration) {
	l.task = r
	r.spent += after
	if r.policy.timeout > 0 {
		r.task.Limit = max(r.policy.timeout-r.spent, time.Millisecond)
	}
	m.actions = append(m.actions, Action{r.task, after})
}

// Fold takes in how an attempt ended.
func (m *Machine) Fold(id TaskID, o Outcome) ([]Event, []Action) {
	l := m.byHost[id.Host]
	if l == nil || l.task == nil || l.task.task.ID != id {
		m.internal = fmt.Sprintf("an outcome came for %s on %s, which does not run", id.Step, id.Host)
		return nil, nil
	}
	r := l.task
	r.spent += o.Elapsed
	r.writes += o.Writes
	l.installing = o.Installing
	switch {
	case o.Internal != "":
		m.internal = o.Internal
		m.close(l, Failed, &Problem{Summary: "Internal error", Detail: o.Internal}, nil)
	case o.Interrupted:
		m.interrupted, l.stopped, l.missed = true, true, true
		m.close(l, NotRun, nil, nil)
	case o.Problem != nil:
		m.foldError(l, r, o)
	default:
		m.foldResult(l, r, o)
	}
	if !l.done && l.task == nil {
		m.advance(l)
	}
	return m.flush()
}

func (m *Machine) foldError(l *lane, r *running, o Outcome) {
	status := Failed
	if o.Class == step.Unreachable {
		status = Unreachable
	}
	if r.task.Mode == ModeRecall && !m.needed(l.host, r.step.Name) { // only to be compared with
		l.stale, l.task = o.Problem.Summary, nil
		m.skipSilently(l, r.step)
		l.next++
		return
	}
	if o.TimedOut && r.last != nil { // the deadline cut a look short; what the last one saw counts
		m.close(l, Failed, unmet(r, r.last), r.last)
		return
	}
	r.errors++
	pause := backoff(r.policy, r.errors, r.task)
	if o.Class == step.Final || !m.again(l, r, pause, o.Problem) {
		m.close(l, status, o.Problem, nil)
	}
}

// backoff doubles the delay with each error, up to the maximum, and spreads it by
// a fifth so that hosts do not knock in step; the spread comes from the task's
// name, for the machine has no dice.
func backoff(p policy, errors int, t Task) time.Duration {
	d := p.delay << min(errors-1, 10)
	if d > p.maxDelay || d < 0 {
		d = p.maxDelay
	}
	h := fnv.New32a()
	fmt.Fprint(h, t.ID.Host, t.ID.Step, t.Attempt)
	return d - d/10 + d/5*time.Duration(h.Sum32()%1000)/1000
}

// again schedules a further attempt where retries and time are left.
func (m *Machine) again(l *lane, r *running, pause time.Duration, why *Problem) bool {
	if r.task.Attempt > r.policy.retries || m.interrupted && !r.task.Always {
		return false
	}
	if r.policy.timeout > 0 && r.spent+pause >= r.policy.timeout {
		return false
	}
	r.task.Attempt++
	if why != nil { // a condition that does not hold yet is no retry
		l.counts.Retried++
	}
	switch {
	case why == nil:
		m.emit(l, Event{Kind: Progressed, Step: r.step.Name, Type: r.step.Type, Attempt: r.task.Attempt, Text: r.reason(), Delay: Seconds(pause)})
	case r.task.Mode == ModeRun:
		m.emit(l, Event{Kind: Retried, Step: r.step.Name, Type: r.step.Type, Attempt: r.task.Attempt, Problem: why, Delay: Seconds(pause)})
	}
	m.act(l, r, pause)
	return true
}

// resolve gives a host its facts, and chooses by them what the plan lets them choose.
func (m *Machine) resolve(l *lane, raw json.RawMessage) {
	host, facts, diags := Resolve(m.plan, l.host, raw)
	if diags.HasErrors() {
		m.close(l, Failed, FromDiagnostic(diags[0]), nil)
		return
	}
	if l.host.Late() {
		l.raw = raw
		m.emit(l, Event{Kind: Warned, Step: factsStep, Text: "chosen by its facts: " + strings.Join(step.DiskNames(host.ESXi), ", ")})
	}
	l.host, l.facts, l.task = host, facts, nil
}

// foldResult judges failed_when, then until.
func (m *Machine) foldResult(l *lane, r *running, o Outcome) {
	if r.task.Mode == ModeFacts {
		m.resolve(l, o.Result)
		return
	}
	result, err := r.typ.Result.FromJSON(o.Result)
	if err != nil {
		m.internal = fmt.Sprintf("result of %s: %v", r.step.Type, err)
		m.close(l, Failed, &Problem{Summary: "Internal error", Detail: m.internal}, nil)
		return
	}
	l.results[r.step.Name], r.last = result, o.Result
	if r.task.Mode == ModeRecall {
		l.task = nil
		l.next++
		return
	}
	scope := schema.Scope{Host: l.host, Facts: l.facts, Results: l.results, Result: result, Attempt: r.task.Attempt}
	if met, err := m.met(r, scope); err == nil && !met && m.o.DryRun {
		scope.Result = cty.UnknownVal(r.typ.Result.Type())
	}
	failed, _, err := m.plan.Condition(r.step, "failed_when", scope)
	if err != nil {
		m.close(l, Failed, conditionProblem(r.step, "failed_when", err), o.Result)
		return
	}
	if failed != cty.NilVal && failed.IsKnown() && failed.True() {
		m.close(l, Failed, &Problem{Summary: "failed_when is true", Detail: "The step came to a result that the plan calls a failure.", At: place(r.step.Conditions["failed_when"].Expr.Range())}, o.Result)
		return
	}
	m.judgeUntil(l, r, o, scope)
}

func (m *Machine) judgeUntil(l *lane, r *running, o Outcome, scope schema.Scope) {
	unknown := !scope.Result.IsKnown() // a dry run's
	met, err := m.met(r, scope)
	if err != nil {
		m.close(l, Failed, conditionProblem(r.step, "until", err), o.Result)
		return
	}
	if unknown { // only the run can know
		l.results[r.step.Name] = cty.UnknownVal(r.typ.Result.Type())
		m.close(l, OK, nil, nil)
		return
	}
	if v := r.typ.Verdict(o.Result); !met && v != nil && v.Ended {
		m.close(l, Failed, unmet(r, o.Result), o.Result)
		return
	}
	if !met {
		r.errors = 0
		if m.again(l, r, r.policy.delay, nil) {
			return
		}
		m.close(l, Failed, unmet(r, o.Result), o.Result)
		return
	}
	status := OK
	if r.writes > 0 {
		status = Changed
	}
	m.close(l, status, nil, o.Result)
}

// met judges the plan's until, else the attribute that the step type names.
func (m *Machine) met(r *running, scope schema.Scope) (bool, error) {
	value, given, err := m.plan.Condition(r.step, "until", scope)
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

// reason is why the last look did not reach its goal, where the step tells.
func (r *running) reason() string {
	if v := r.typ.Verdict(r.last); v != nil && v.Reason != "" {
		return v.Reason
	}
	return "not yet"
}

// unmet explains a goal that was not reached, in the step's own words where it has any.
func unmet(r *running, result json.RawMessage) *Problem {
	p := &Problem{Summary: "The goal was not reached in time", At: place(r.step.Range),
		Detail: fmt.Sprintf("After %d attempts in %s the condition of this step still does not hold.", r.task.Attempt, r.spent.Round(time.Second))}
	if v := r.typ.Verdict(result); v != nil && v.Reason != "" {
		p.Summary = fmt.Sprintf("Gave up after %s: %s", r.spent.Round(time.Second), v.Reason)
		p.Detail, p.Next = "", v.Next+"."
	}
	return p
}

// close ends the lane's task.
func (m *Machine) close(l *lane, status Status, p *Problem, result json.RawMessage) {
	r := l.task
	defer func() { l.task = nil }()
	if r.throttle {
		m.inStep[r.step.Name]--
	}
	switch {
	case r.task.Mode == ModeFacts && p != nil:
		m.emit(l, Event{Kind: StepDone, Step: factsStep, Status: status, Problem: p})
		m.fail(l, status)
	case r.task.Mode != ModeFacts:
		m.end(l, r.step, status, p, result)
		l.next++
	}
}

// end reports how a step ended and what that means for the host.
func (m *Machine) end(l *lane, s *schema.Step, status Status, p *Problem, result json.RawMessage) {
	bad := status == Failed || status == Unreachable
	if bad && s.Policy.OnError == "continue" {
		status, bad = Ignored, false
	}
	e := Event{Kind: StepDone, Step: s.Name, Type: s.Type, Status: status, Problem: p, Result: result, Verdict: m.verdict(s, status, result)}
	if status == NotRun {
		e.Text = "interrupted"
		if l.task != nil && l.task.writes > 0 {
			e.Text = fmt.Sprintf("interrupted after %d writes; see the journal, and run the step again to finish it", l.task.writes)
			l.counts.add(Changed)
		}
	}
	if l.task != nil {
		e.Attempt, e.Elapsed = l.task.task.Attempt, Seconds(l.task.spent)
	}
	m.emit(l, e)
	if l.results[s.Name] == cty.NilVal || bad || status == Ignored {
		m.skipSilently(l, s)
	}
	if bad {
		m.fail(l, status)
		return
	}
	l.counts.add(status)
}

// verdict is what a step that ended says of the installation. A wait in a dry run counts
// as met; one that failed without a result says nothing: the installation may go on.
func (m *Machine) verdict(s *schema.Step, status Status, result json.RawMessage) *step.Verdict {
	t := m.types[s.Type]
	if v := t.Verdict(result); v != nil || !t.Most.Waits || !m.o.DryRun || status != OK {
		return v
	}
	return &step.Verdict{Ended: true}
}

func (m *Machine) fail(l *lane, status Status) {
	l.counts.add(status)
	if l.broken == "" {
		m.failures++
		l.broken = status
	}
}

func (m *Machine) finish(l *lane) {
	if l.done {
		return
	}
	l.done = true
	if l.flying {
		m.flying[""]--
		m.flying[l.host.Group]--
	}
	m.emit(l, Event{Kind: HostDone, Status: l.status(), Counts: &l.counts, Text: l.remark()})
}

func (l *lane) status() Status {
	switch {
	case l.broken != "":
		return l.broken
	case l.protected:
		return Skipped
	case l.missed, l.held:
		return NotRun
	case !l.began:
		return Skipped
	case l.counts.Changed > 0:
		return Changed
	}
	return OK
}

func (l *lane) remark() string {
	switch {
	case l.broken != "":
		return ""
	case l.protected:
		return "protected"
	case l.held:
		return "held back by the failure budget"
	case l.missed:
		return "interrupted"
	case !l.began:
		return "no step applies"
	}
	return ""
}

// Interrupt stops the run: what waits at a gate does not start; what runs is
// folded when it ends; steps with run_on = "always" still run.
func (m *Machine) Interrupt() ([]Event, []Action) {
	m.interrupted = true
	m.warnServed(m.hosts(m.goesOn))
	for _, l := range m.lanes {
		if !l.done && l.task == nil {
			l.stopped = true
			l.waiting = true
		}
	}
	return m.flush()
}

// warnServed says why an interrupt does not end the run for these hosts.
func (m *Machine) warnServed(hosts []*schema.Host) {
	if len(hosts) == 0 {
		return
	}
	for _, h := range hosts {
		m.byHost[h.Name].served = true
	}
	m.events = append(m.events, Event{Kind: Warned, Text: fmt.Sprintf("this run serves the images of installations that are under way (%s): it continues until they are done. Press Ctrl-C again to stop now; that breaks these installations", names(hosts))})
}

// Abandon ends all hosts where they are: nothing is waited for any more.
func (m *Machine) Abandon() []Event {
	m.interrupted = true
	for _, l := range m.lanes {
		if !l.done {
			l.stopped, l.missed = true, true
			m.finish(l)
		}
	}
	events := m.events
	m.events = nil
	return events
}

// Done reports whether all hosts are at their end, and how the run ended.
func (m *Machine) Done() (Summary, bool) {
	s := Summary{Hosts: map[Status]int{}, Interrupted: m.interrupted, Budget: m.overBudget, Internal: m.internal}
	done := true
	for _, l := range m.lanes {
		done = done && l.done
		s.Hosts[l.status()]++
	}
	s.Exit = s.exit()
	return s, done
}

// names lists hosts for people.
func names(hosts []*schema.Host) string {
	var out []string
	for _, h := range hosts {
		out = append(out, h.Name)
	}
	if most := 10; len(out) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(out[:most], ", "), len(out)-most)
	}
	return strings.Join(out, ", ")
}

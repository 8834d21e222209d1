package lane

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"esxiplan/engine/event"
	"esxiplan/engine/gates"
	"esxiplan/engine/survey"
)

// Set is the lanes of a run with the gates that they share, in one process. It is pure.
type Set struct {
	survey *survey.Survey
	lanes  []*Lane
	byHost map[string]*Lane
	gates  *gates.Gates
	ended  map[*Lane]bool

	interrupted bool
	held        bool // the failure budget held a host back
	internal    string

	replays bool
	asked   map[string]asked // by host, while the log is read
	came    int              // how many asked then

	events  []event.Event
	actions []Action
}

// asked is what a lane waits for while the log is read, with its place in the order in which
// lanes asked.
type asked struct {
	gates.Request
	number int
}

// NewSet makes a lane for each host of a run.
func NewSet(s *survey.Survey) *Set {
	m := &Set{survey: s, byHost: map[string]*Lane{}, ended: map[*Lane]bool{}}
	groups, barriers := map[string]string{}, []int{}
	for _, h := range s.Hosts() {
		l := New(s, h)
		m.lanes, m.byHost[h.Name], groups[h.Name] = append(m.lanes, l), l, h.Group
	}
	for i, st := range s.Plan.Steps {
		if st.Policy.Barrier {
			barriers = append(barriers, i)
		}
	}
	m.gates = gates.New(s.Limits(), groups, barriers)
	return m
}

// Replay is called before Start if the outcomes of a log follow. Until Live, the gates pass no
// host: the log says which hosts passed them then, whatever the limits are now.
func (m *Set) Replay() { m.replays, m.asked = true, map[string]asked{} }

// Admit lets a host that waits at the gates of a step begin it: it began it before.
func (m *Set) Admit(id TaskID) ([]event.Event, []Action) {
	if waits, ok := m.asked[id.Host]; !ok || waits.Step != id.Step {
		return nil, nil
	}
	delete(m.asked, id.Host)
	m.turn(m.pass(gates.Grant{Host: id.Host}))
	return m.flush()
}

// Live ends the reading of the log: the waiting hosts ask the gates, in the order in which
// they came.
func (m *Set) Live() ([]event.Event, []Action) {
	m.replays = false
	for _, a := range slices.SortedFunc(maps.Values(m.asked), func(a, b asked) int { return a.number - b.number }) {
		for _, g := range m.gates.Ask(a.Request) {
			m.turn(m.pass(g))
		}
	}
	m.asked = nil
	return m.flush()
}

// ask asks the gates.
func (m *Set) ask(r gates.Request) []gates.Grant {
	if m.replays {
		m.came++
		m.asked[r.Host] = asked{r, m.came}
		return nil
	}
	return m.gates.Ask(r)
}

// pass gives a lane the answer of the gates.
func (m *Set) pass(g gates.Grant) (*Lane, Turn) {
	m.held = m.held || g.Held
	l := m.byHost[g.Host]
	return l, l.Pass(g)
}

// Start begins the run, each host as far as the gates let it.
func (m *Set) Start(past func(host string) Past) ([]event.Event, []Action) {
	for _, l := range m.lanes {
		m.turn(l, l.Start(past(l.host.Name)))
	}
	return m.flush()
}

// Fold takes in how an attempt ended.
func (m *Set) Fold(id TaskID, o Outcome) ([]event.Event, []Action) {
	l := m.byHost[id.Host]
	if l == nil || !l.Awaits(id) {
		m.internal = fmt.Sprintf("an outcome came for %s on %s, which does not run", id.Step, id.Host)
		return nil, nil
	}
	m.interrupted = m.interrupted || o.Interrupted
	m.turn(l, l.Fold(o))
	return m.flush()
}

// Awaits reports whether the run waits for an outcome of this task.
func (m *Set) Awaits(id TaskID) bool {
	l := m.byHost[id.Host]
	return l != nil && l.Awaits(id)
}

// Has reports a host of the run.
func (m *Set) Has(host string) bool { return m.byHost[host] != nil }

// HostDone reports a host that is at its end.
func (m *Set) HostDone(host string) bool { return m.Has(host) && m.byHost[host].done }

// HostFailed reports a host that failed, and could be tried again.
func (m *Set) HostFailed(host string) bool {
	return m.Has(host) && m.byHost[host].broken != "" && !m.byHost[host].refused
}

// LeftOut lists the hosts that failed before in the run, in plan order.
func (m *Set) LeftOut() (hosts []string) {
	for _, l := range m.lanes {
		if l.leftOut != "" && l.leftOut != protected {
			hosts = append(hosts, l.host.Name)
		}
	}
	return hosts
}

// Retry lets a host that failed begin again with the step that failed.
func (m *Set) Retry(host string) ([]event.Event, []Action) {
	l := m.byHost[host]
	if l == nil || l.broken == "" || l.refused {
		return nil, nil
	}
	delete(m.ended, l)
	delete(m.asked, host)
	m.turn(l, l.Retry())
	return m.flush()
}

// Interrupt stops the run: what waits at a gate does not start; what runs is folded when it
// ends; steps with run_on = "always" still run.
func (m *Set) Interrupt() ([]event.Event, []Action) {
	m.interrupted = true
	m.gates.Clear()
	var outlast []string
	for _, l := range m.lanes {
		if l.outlasts() {
			l.warned, outlast = true, append(outlast, l.host.Name)
		}
	}
	if len(outlast) > 0 {
		m.events = append(m.events, servedWarning(outlast))
	}
	for _, l := range m.lanes {
		if !l.done {
			m.turn(l, l.Interrupt())
		}
	}
	return m.flush()
}

// Hold lets no further host begin: those that have not come to their first write make none, and
// the others run to their end. A run that held a host back is interrupted: it can be resumed.
func (m *Set) Hold() ([]event.Event, []Action) {
	turns := make([]Turn, len(m.lanes))
	for i, l := range m.lanes { // all, before the gates answer any of them
		waits := l.waits()
		if turns[i] = l.Hold(); waits && l.holds {
			m.gates.Withdraw(l.host.Name)
		}
	}
	for i, l := range m.lanes {
		m.turn(l, turns[i])
	}
	return m.flush()
}

// Abandon ends all hosts where they are: the run waits for nothing any more.
func (m *Set) Abandon() []event.Event {
	m.interrupted = true
	m.gates.Clear()
	for _, l := range m.lanes {
		m.turn(l, l.Abandon())
	}
	events, _ := m.flush()
	return events
}

// turn processes what a lane answered, and what the gates answer to that, until nothing
// follows. Turns are queued, so that a barrier with many hosts needs no deep stack.
func (m *Set) turn(l *Lane, t Turn) {
	type answer struct {
		*Lane
		Turn
	}
	for answers := []answer{{l, t}}; len(answers) > 0; answers = answers[1:] {
		l, t := answers[0].Lane, answers[0].Turn
		m.events = append(m.events, t.Events...)
		if t.Action != nil {
			m.actions = append(m.actions, *t.Action)
		}
		if l.done {
			m.ended[l] = true
		}
		grants := m.gates.Report(l.host.Name, l.Stand())
		if t.Ask != nil {
			grants = append(grants, m.ask(*t.Ask)...)
		}
		for _, g := range grants {
			l, t := m.pass(g)
			answers = append(answers, answer{l, t})
		}
	}
}

func (m *Set) flush() ([]event.Event, []Action) {
	events, actions := m.events, m.actions
	m.events, m.actions = nil, nil
	return events, actions
}

// Done reports whether all hosts are at their end.
func (m *Set) Done() bool { return len(m.ended) == len(m.lanes) }

// Summary is the state of the run.
func (m *Set) Summary() event.Summary {
	s := event.Summary{Hosts: map[event.Status]int{}, Interrupted: m.interrupted, Budget: m.held, Internal: m.internal}
	for _, l := range m.lanes {
		s.Hosts[l.Status()]++
		s.Interrupted = s.Interrupted || l.held && l.holds
		s.Internal = cmp.Or(s.Internal, l.internal)
	}
	s.Exit = s.ExitCode()
	return s
}

// Package gates holds what the lanes of a run share: barriers, throttled steps, how many
// hosts are in flight, and the failure budget. It is pure: it gets requests and what the
// hosts have come to, and answers with grants; no goroutine, clock or I/O.
//
// A lane asks before a step ([Gates.Ask]) and waits for a [Grant]. After each thing that
// happens to a lane, its [Stand] is reported ([Gates.Report]), which may let others pass.
// The work of a call does not grow with the number of hosts: those that wait for the same
// things share one queue, and a barrier counts the hosts that it waits for.
package gates

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// Limits bound what hosts do together; -1 is no bound.
type Limits struct {
	InFlight int            // hosts between first write and end
	Groups   map[string]int // the same, by group; a group without an entry has no bound
	Failures int            // hosts that may have failed before the run is stopped
}

// Request asks to begin a step.
type Request struct {
	Host, Group string
	Step        string
	At          int  // index of the step in the plan
	Barrier     bool // wait until all hosts have arrived
	Throttle    int  // hosts that may be in the step at once; 0: no bound
	InFlight    bool // the host's first write: it needs a place in flight
	Judged      bool // the failure budget may hold the host back
}

// Grant is the answer to a request: go, or be held back by the failure budget.
type Grant struct {
	Host string
	Held bool
}

// Stand is how far a host has come.
type Stand struct {
	At       int    // index of the step that it has arrived at; Gone: no host waits for it
	In       string // the throttled step that it is in, "" for none
	InFlight bool   // it is in flight
	Failed   bool
}

// Gone is the place of a host that has failed, was stopped, or is at its end.
const Gone = math.MaxInt

// Gates are the gates of one run.
type Gates struct {
	limits   Limits
	stands   map[string]Stand
	groups   map[string]string // of hosts
	barriers map[int]int       // hosts that have not arrived, by index of the step
	inStep   map[string]int
	inFlight int
	inGroup  map[string]int
	failures int
	queues   map[queueKey]*queue
	asked    int // requests so far: the order in which they came
}

// queueKey is what the hosts in a queue wait for.
type queueKey struct {
	at                        int
	group                     string // "" where the group does not bound them
	barrier, inFlight, judged bool
}

type queue struct {
	key     queueKey
	waiting []numbered // never empty
}

// numbered is a request with its place in the order in which they came.
type numbered struct {
	Request
	number int
}

func (q *queue) first() int { return q.waiting[0].number }

// New makes the gates for hosts, given with their groups, of a plan that has barriers
// before the steps with these indexes.
func New(l Limits, groups map[string]string, barriers []int) *Gates {
	g := &Gates{limits: l, groups: groups, stands: map[string]Stand{}, barriers: map[int]int{}, inStep: map[string]int{}, inGroup: map[string]int{},
		queues: map[queueKey]*queue{}}
	for _, at := range barriers {
		g.barriers[at] = len(groups)
	}
	for host := range groups {
		g.stands[host] = Stand{At: -1}
	}
	return g
}

// Ask takes a request; the grants may include the answer to it.
func (g *Gates) Ask(r Request) []Grant {
	g.arrive(r.Host, r.At)
	key := queueKey{at: r.At, barrier: r.Barrier, inFlight: r.InFlight, judged: r.Judged}
	if r.InFlight && g.limitOf(r.Group) >= 0 {
		key.group = r.Group
	}
	q := g.queues[key]
	if q == nil {
		q = &queue{key: key}
		g.queues[key] = q
	}
	g.asked++
	q.waiting = append(q.waiting, numbered{r, g.asked})
	return g.open()
}

// Clear withdraws all requests: the run is interrupted, and lanes ask again for what still
// runs.
func (g *Gates) Clear() { clear(g.queues) }

// Withdraw takes back the request of a host.
func (g *Gates) Withdraw(host string) {
	for key, q := range g.queues {
		q.waiting = slices.DeleteFunc(q.waiting, func(r numbered) bool { return r.Host == host })
		if len(q.waiting) == 0 {
			delete(g.queues, key)
		}
	}
}

// Report takes in how far a host has come.
func (g *Gates) Report(host string, s Stand) []Grant {
	before := g.stands[host]
	s.At = max(s.At, before.At)
	if s == before {
		return nil
	}
	g.arrive(host, s.At)
	g.enter(host, s)
	switch {
	case s.Failed && !before.Failed:
		g.failures++
	case before.Failed && !s.Failed: // it is tried again
		g.failures--
	}
	g.stands[host] = s
	return g.open()
}

// OverBudget reports that more hosts have failed than the budget allows; one that is tried
// again has not.
func (g *Gates) OverBudget() bool { return g.limits.Failures >= 0 && g.failures > g.limits.Failures }

// arrive counts a host at the barriers up to a step.
func (g *Gates) arrive(host string, at int) {
	s := g.stands[host]
	for barrier := range g.barriers {
		if s.At < barrier && barrier <= at {
			g.barriers[barrier]--
		}
	}
	s.At = max(s.At, at)
	g.stands[host] = s
}

// enter moves a host between throttled steps, and into or out of flight.
func (g *Gates) enter(host string, now Stand) {
	before := g.stands[host]
	if before.In != now.In {
		g.inStep[before.In]--
		g.inStep[now.In]++
	}
	if before.InFlight == now.InFlight {
		return
	}
	n := 1
	if before.InFlight {
		n = -1
	}
	g.inFlight += n
	g.inGroup[g.groups[host]] += n
}

// open grants what can be granted, the oldest request first. A request that cannot be
// granted now stops its queue only: further grants leave less room, never more.
func (g *Gates) open() (grants []Grant) {
	order := slices.SortedFunc(maps.Values(g.queues), func(a, b *queue) int { return cmp.Compare(a.first(), b.first()) })
	for len(order) > 0 {
		q := order[0]
		grant, ok := g.grant(q.waiting[0].Request)
		switch {
		case !ok:
			order = order[1:]
			continue
		case len(q.waiting) == 1:
			delete(g.queues, q.key)
			order = order[1:]
		default:
			q.waiting = q.waiting[1:]
			sink(order)
		}
		grants = append(grants, grant)
	}
	return grants
}

// sink moves the first queue to where its oldest request belongs.
func sink(order []*queue) {
	for i := 1; i < len(order) && order[i].first() < order[i-1].first(); i++ {
		order[i-1], order[i] = order[i], order[i-1]
	}
}

// grant answers a request, if it can be answered now.
func (g *Gates) grant(r Request) (Grant, bool) {
	if r.Judged && g.OverBudget() {
		return Grant{r.Host, true}, true
	}
	full := r.Throttle > 0 && g.inStep[r.Step] >= r.Throttle
	if full || r.Barrier && g.barriers[r.At] > 0 || r.InFlight && !g.hasPlace(r.Group) {
		return Grant{}, false
	}
	s := g.stands[r.Host]
	if r.Throttle > 0 {
		s.In = r.Step
	}
	s.InFlight = s.InFlight || r.InFlight
	g.enter(r.Host, s)
	g.stands[r.Host] = s
	return Grant{Host: r.Host}, true
}

// hasPlace reports that one more host of a group may be in flight.
func (g *Gates) hasPlace(group string) bool {
	within := func(limit, n int) bool { return limit < 0 || n < limit }
	return within(g.limits.InFlight, g.inFlight) && within(g.limitOf(group), g.inGroup[group])
}

// limitOf is how many hosts of a group may be in flight; -1 is no bound.
func (g *Gates) limitOf(group string) int {
	if limit, bound := g.limits.Groups[group]; bound {
		return limit
	}
	return -1
}

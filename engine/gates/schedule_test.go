package gates_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"esxiplan/engine/gates"
)

// naive follows the rules of the gates by looking at every host and every request each time.
type naive struct {
	limits  gates.Limits
	groups  map[string]string
	stands  map[string]gates.Stand
	waiting []gates.Request
}

func newNaive(l gates.Limits, groups map[string]string) *naive {
	n := &naive{limits: l, groups: groups, stands: map[string]gates.Stand{}}
	for host := range groups {
		n.stands[host] = gates.Stand{At: -1}
	}
	return n
}

func (n *naive) ask(r gates.Request) []gates.Grant {
	s := n.stands[r.Host]
	s.At = max(s.At, r.At)
	n.stands[r.Host] = s
	n.waiting = append(n.waiting, r)
	return n.grants()
}

func (n *naive) report(host string, s gates.Stand) []gates.Grant {
	s.At = max(s.At, n.stands[host].At)
	n.stands[host] = s
	return n.grants()
}

func (n *naive) count(is func(host string, s gates.Stand) bool) (count int) {
	for host, s := range n.stands {
		if is(host, s) {
			count++
		}
	}
	return count
}

func (n *naive) grants() (out []gates.Grant) {
	var rest []gates.Request
	for _, r := range n.waiting {
		failures := n.count(func(_ string, s gates.Stand) bool { return s.Failed })
		switch {
		case r.Judged && n.limits.Failures >= 0 && failures > n.limits.Failures:
			out = append(out, gates.Grant{Host: r.Host, Held: true})
		case n.may(r):
			s := n.stands[r.Host]
			s.InFlight = s.InFlight || r.InFlight
			if r.Throttle > 0 {
				s.In = r.Step
			}
			n.stands[r.Host] = s
			out = append(out, gates.Grant{Host: r.Host})
		default:
			rest = append(rest, r)
		}
	}
	n.waiting = rest
	return out
}

func (n *naive) may(r gates.Request) bool {
	away := n.count(func(_ string, s gates.Stand) bool { return s.At < r.At })
	inStep := n.count(func(_ string, s gates.Stand) bool { return s.In == r.Step })
	inFlight := n.count(func(_ string, s gates.Stand) bool { return s.InFlight })
	inGroup := n.count(func(host string, s gates.Stand) bool { return s.InFlight && n.groups[host] == r.Group })
	limit, bound := n.limits.Groups[r.Group]
	switch {
	case r.Barrier && away > 0, r.Throttle > 0 && inStep >= r.Throttle:
		return false
	case !r.InFlight:
		return true
	}
	return (n.limits.InFlight < 0 || inFlight < n.limits.InFlight) && (!bound || limit < 0 || inGroup < limit)
}

// phase is what a host of a schedule does.
type phase int

const (
	gathering phase = iota // its facts
	working
	waiting // at a gate
	done
)

type walker struct {
	name, group           string
	at                    int // index of its step
	phase                 phase
	inFlight              bool
	failed, held, stopped bool
	gone                  bool // it has been at its end, or on its way there
}

type plannedStep struct {
	barrier, writes, judged, always bool
	throttle                        int
}

// schedule moves hosts through steps, in an order that a seed decides, over the gates and
// over the naive rules.
type schedule struct {
	t       *testing.T
	rand    *rand.Rand
	limits  gates.Limits
	steps   []plannedStep
	walkers []*walker
	gates   *gates.Gates
	naive   *naive
	granted []gates.Grant // and not taken yet
	calls   int
}

func newSchedule(t *testing.T, seed uint64) *schedule {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &schedule{t: t, rand: r}
	s.limits = gates.Limits{InFlight: r.IntN(5) - 1, Failures: r.IntN(4) - 1, Groups: map[string]int{}}
	if s.limits.InFlight == 0 {
		s.limits.InFlight = -1
	}
	for _, group := range []string{"a", "b"} {
		if limit := r.IntN(4) - 1; limit != 0 {
			s.limits.Groups[group] = limit
		}
	}
	s.plan()
	groups, barriers := map[string]string{}, []int{}
	for i := range 1 + r.IntN(9) {
		group := []string{"a", "b", "c"}[r.IntN(3)]
		w := &walker{name: fmt.Sprint(group, i), group: group}
		s.walkers, groups[w.name] = append(s.walkers, w), group
	}
	for i, step := range s.steps {
		if step.barrier {
			barriers = append(barriers, i)
		}
	}
	s.gates, s.naive = gates.New(s.limits, groups, barriers), newNaive(s.limits, groups)
	return s
}

// plan makes steps; after a write there is a barrier only where all hosts may be in flight,
// as every plan that can be run has it.
func (s *schedule) plan() {
	bound := s.limits.InFlight >= 0 || s.limits.Groups["a"] > 0 || s.limits.Groups["b"] > 0
	wrote := false
	for range 1 + s.rand.IntN(5) {
		step := plannedStep{barrier: s.chance(3) && !(wrote && bound), writes: s.chance(2), judged: s.chance(2), always: s.chance(5)}
		if s.chance(3) {
			step.throttle = 1 + s.rand.IntN(2)
		}
		wrote = wrote || step.writes
		s.steps = append(s.steps, step)
	}
}

// chance is true once in n times.
func (s *schedule) chance(n int) bool { return s.rand.IntN(n) == 0 }

// run moves a random host until no host can move.
func (s *schedule) run() {
	for _, w := range s.walkers {
		w.phase = working
		if s.chance(2) {
			w.phase = gathering
			s.report(w)
		} else {
			s.advance(w)
		}
		s.take()
	}
	for {
		var free []*walker
		for _, w := range s.walkers {
			if w.phase == working || w.phase == gathering {
				free = append(free, w)
			}
		}
		if len(free) == 0 {
			break
		}
		s.move(free[s.rand.IntN(len(free))])
		s.take()
	}
	for _, w := range s.walkers {
		if w.phase != done {
			s.t.Fatalf("%s waits for ever before step %d", w.name, w.at)
		}
	}
}

// move lets something happen to a host that is busy; sometimes to the run as a whole.
func (s *schedule) move(w *walker) {
	switch {
	case s.chance(60):
		s.interrupt()
		return
	case s.chance(20):
		s.retry()
		return
	case s.chance(30):
		w.stopped = true
	case s.chance(8):
		w.failed = true
	}
	if w.phase == working {
		w.at++
	}
	s.advance(w)
}

func (s *schedule) interrupt() {
	s.gates.Clear()
	s.naive.waiting = nil
	for _, w := range s.walkers {
		w.stopped = true
		if w.phase == waiting {
			s.advance(w)
		}
	}
}

// retry lets the first host that failed begin again.
func (s *schedule) retry() {
	i := slices.IndexFunc(s.walkers, func(w *walker) bool { return w.phase == done && w.failed && !w.stopped && !w.held })
	if i >= 0 {
		w := s.walkers[i]
		w.failed, w.at = false, s.rand.IntN(len(s.steps))
		s.advance(w)
	}
}

// advance takes a host on until it is busy, at a gate, or at its end.
func (s *schedule) advance(w *walker) {
	for ; w.at < len(s.steps); w.at++ {
		step := s.steps[w.at]
		if (w.failed || w.held || w.stopped) && !step.always {
			continue
		}
		r := gates.Request{Host: w.name, Group: w.group, Step: fmt.Sprint(w.at), At: w.at, Barrier: step.barrier && !w.stopped, Throttle: step.throttle,
			InFlight: step.writes && !w.inFlight, Judged: step.judged && !step.always}
		w.phase = waiting
		s.report(w)
		s.call(func() []gates.Grant { return s.gates.Ask(r) }, func() []gates.Grant { return s.naive.ask(r) })
		return
	}
	w.phase, w.inFlight = done, false
	s.report(w)
}

// take lets the hosts go that were granted their request, a few of which find nothing to do.
func (s *schedule) take() {
	for ; len(s.granted) > 0; s.granted = s.granted[1:] {
		g := s.granted[0]
		i := slices.IndexFunc(s.walkers, func(w *walker) bool { return w.name == g.Host })
		w := s.walkers[i]
		if w.phase != waiting {
			s.t.Fatalf("%s was granted what it did not ask for", w.name)
		}
		step := s.steps[w.at]
		switch {
		case g.Held:
			w.held = true
			s.advance(w)
		case s.chance(10):
			w.at++
			s.advance(w)
		default:
			s.checkArrived(w, step)
			w.phase, w.inFlight = working, w.inFlight || step.writes
			s.report(w)
		}
	}
}

func (s *schedule) report(w *walker) {
	stand := gates.Stand{At: w.at, InFlight: w.inFlight, Failed: w.failed}
	switch {
	case w.phase == done, w.failed, w.held, w.stopped:
		stand.At, w.gone = gates.Gone, true
	case w.phase == gathering:
		stand.At = -1
	}
	if w.phase == working && s.steps[w.at].throttle > 0 {
		stand.In = fmt.Sprint(w.at)
	}
	s.call(func() []gates.Grant { return s.gates.Report(w.name, stand) }, func() []gates.Grant { return s.naive.report(w.name, stand) })
}

// call compares the answers of the gates and of the naive rules, and checks the bounds.
func (s *schedule) call(real, model func() []gates.Grant) {
	s.calls++
	got, want := real(), model()
	if !slices.Equal(got, want) {
		s.t.Fatalf("call %d is answered with %q, by the rules it is %q", s.calls, grantText(got), grantText(want))
	}
	s.granted = append(s.granted, got...)
	s.checkBounds()
}

// checkBounds counts what the hosts really do.
func (s *schedule) checkBounds() {
	inFlight, inGroup, inStep := 0, map[string]int{}, map[int]int{}
	for _, w := range s.walkers {
		if w.inFlight {
			inFlight++
			inGroup[w.group]++
		}
		if w.phase == working {
			inStep[w.at]++
		}
	}
	if limit := s.limits.InFlight; limit >= 0 && inFlight > limit {
		s.t.Fatalf("%d hosts are in flight, %d may be", inFlight, limit)
	}
	for group, limit := range s.limits.Groups {
		if limit >= 0 && inGroup[group] > limit {
			s.t.Fatalf("%d hosts of group %s are in flight, %d may be", inGroup[group], group, limit)
		}
	}
	for at, step := range s.steps {
		if step.throttle > 0 && inStep[at] > step.throttle {
			s.t.Fatalf("%d hosts are in step %d, %d may be", inStep[at], at, step.throttle)
		}
	}
}

// checkArrived holds a host that passes a barrier against where the others are.
func (s *schedule) checkArrived(w *walker, step plannedStep) {
	if !step.barrier || w.stopped {
		return
	}
	for _, other := range s.walkers {
		if !other.gone && (other.phase == gathering || other.at < w.at) {
			s.t.Fatalf("%s passed the barrier before step %d, and %s had not arrived", w.name, w.at, other.name)
		}
	}
}

// TestSchedules: in whatever order hosts arrive, fail, are stopped and are tried again, the
// gates answer as the plain rules do, keep every bound, and let no host wait for ever.
func TestSchedules(t *testing.T) {
	for seed := range uint64(5000) {
		s := newSchedule(t, seed)
		s.run()
		if t.Failed() {
			return
		}
	}
}

// BenchmarkGates takes hosts through gathering facts, a barrier before their first write,
// and their time in flight, fifty at once. The work per host must not grow with their number.
func BenchmarkGates(b *testing.B) {
	for _, hosts := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint("hosts=", hosts), func(b *testing.B) {
			names, groups := make([]string, hosts), map[string]string{}
			for i := range names {
				names[i] = fmt.Sprint("host", i)
				groups[names[i]] = fmt.Sprint("group", i%10)
			}
			b.ReportAllocs()
			for b.Loop() {
				fleet(b, names, groups)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*hosts), "ns/host")
		})
	}
}

// fleet is one run of all hosts.
func fleet(b *testing.B, names []string, groups map[string]string) {
	g := gates.New(gates.Limits{InFlight: 50, Failures: len(names)}, groups, []int{1})
	var granted []gates.Grant
	for _, host := range names {
		g.Report(host, gates.Stand{At: -1})
	}
	for _, host := range names {
		g.Report(host, gates.Stand{At: 0})
	}
	for _, host := range names {
		granted = append(granted, g.Report(host, gates.Stand{At: 1})...)
		granted = append(granted, g.Ask(gates.Request{Host: host, Group: groups[host], Step: "write", At: 1, Barrier: true, InFlight: true, Judged: true})...)
	}
	landed := 0
	for ; len(granted) > 0; granted = granted[1:] {
		host := granted[0].Host
		g.Report(host, gates.Stand{At: 1, InFlight: true})
		g.Report(host, gates.Stand{At: 2, InFlight: true})
		granted = append(granted, g.Report(host, gates.Stand{At: gates.Gone})...)
		landed++
	}
	if landed != len(names) {
		b.Fatalf("%d of %d hosts came to their end", landed, len(names))
	}
}

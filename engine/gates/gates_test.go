package gates_test

import (
	"strings"
	"testing"

	"esxiplan/engine/gates"
)

// move is one call to the gates and its answer: the hosts that may go, in order, each that
// the failure budget holds back with a dash before its name.
type move struct {
	call func(*gates.Gates) []gates.Grant
	want string
}

// asks is a request of a host; its group is the first letter of its name.
func asks(host string, r gates.Request, want string) move {
	r.Host, r.Group, r.Step = host, host[:1], string(rune('A'+r.At))
	return move{func(g *gates.Gates) []gates.Grant { return g.Ask(r) }, want}
}

func reports(host string, s gates.Stand, want string) move {
	return move{func(g *gates.Gates) []gates.Grant { return g.Report(host, s) }, want}
}

func clears() move {
	return move{func(g *gates.Gates) []gates.Grant { g.Clear(); return nil }, ""}
}

func withdraws(host string) move {
	return move{func(g *gates.Gates) []gates.Grant { g.Withdraw(host); return nil }, ""}
}

// grantText writes grants as a move does.
func grantText(grants []gates.Grant) string {
	var out []string
	for _, g := range grants {
		if g.Held {
			g.Host = "-" + g.Host
		}
		out = append(out, g.Host)
	}
	return strings.Join(out, " ")
}

// groupsOf makes hosts, each in the group of its first letter.
func groupsOf(hosts string) map[string]string {
	groups := map[string]string{}
	for _, h := range strings.Fields(hosts) {
		groups[h] = h[:1]
	}
	return groups
}

var (
	unbound    = gates.Limits{InFlight: -1, Failures: -1}
	gone       = gates.Stand{At: gates.Gone}
	failed     = gates.Stand{At: gates.Gone, Failed: true}
	inFlight   = gates.Stand{InFlight: true}
	landed     = gates.Stand{At: gates.Gone}
	barrier    = gates.Request{At: 2, Barrier: true}
	throttle   = gates.Request{At: 1, Throttle: 1}
	needsPlace = gates.Request{At: 1, InFlight: true}
	judged     = gates.Request{At: 1, Judged: true}
)

func TestGates(t *testing.T) {
	for name, c := range map[string]struct {
		hosts    string
		limits   gates.Limits
		barriers []int
		moves    []move
	}{
		"without a bound a request is granted at once": {"a1", unbound, nil, []move{
			asks("a1", gates.Request{InFlight: true, Judged: true}, "a1"),
		}},
		"a barrier opens when the last host has arrived": {"a1 a2 a3", unbound, []int{2}, []move{
			asks("a2", barrier, ""), asks("a1", barrier, ""), reports("a3", gates.Stand{At: 1}, ""), asks("a3", barrier, "a2 a1 a3"),
		}},
		"a host that is beyond a barrier has arrived": {"a1 a2", unbound, []int{2}, []move{
			asks("a1", barrier, ""), reports("a2", gates.Stand{At: 3}, "a1"),
		}},
		"a host that failed has arrived": {"a1 a2", unbound, []int{2}, []move{
			asks("a1", barrier, ""), reports("a2", failed, "a1"),
		}},
		"a host that is at its end has arrived": {"a1 a2", unbound, []int{2}, []move{
			reports("a2", gone, ""), asks("a1", barrier, "a1"),
		}},
		"a host that gathers facts has not arrived": {"a1 a2", unbound, []int{0}, []move{
			asks("a1", gates.Request{Barrier: true}, ""), reports("a2", gates.Stand{At: -1}, ""), reports("a2", gates.Stand{At: 0}, "a1"),
		}},
		"a host does not lose its arrival": {"a1 a2", unbound, []int{2}, []move{
			reports("a1", failed, ""), reports("a1", gates.Stand{At: 0}, ""), asks("a2", barrier, "a2"),
		}},
		"each barrier counts for itself": {"a1 a2", unbound, []int{1, 3}, []move{
			asks("a1", gates.Request{At: 1, Barrier: true}, ""), reports("a2", gates.Stand{At: 2}, "a1"),
			asks("a1", gates.Request{At: 3, Barrier: true}, ""), reports("a2", gates.Stand{At: 3}, "a1"),
		}},
		"a step takes as many hosts as its throttle": {"a1 a2 a3", unbound, nil, []move{
			asks("a1", throttle, "a1"), asks("a2", throttle, ""), asks("a3", throttle, ""),
			reports("a1", gates.Stand{At: 2}, "a2"), reports("a2", failed, "a3"),
		}},
		"each step has a throttle of its own": {"a1 a2", unbound, nil, []move{
			asks("a1", throttle, "a1"), asks("a2", gates.Request{At: 2, Throttle: 1}, "a2"),
		}},
		"a host moves from one throttled step to the next": {"a1 a2", unbound, nil, []move{
			asks("a1", throttle, "a1"), asks("a2", throttle, ""), reports("a1", gates.Stand{At: 2}, "a2"), asks("a1", gates.Request{At: 2, Throttle: 1}, "a1"),
			reports("a2", gates.Stand{At: 2}, ""), asks("a2", gates.Request{At: 2, Throttle: 1}, ""), reports("a1", gone, "a2"),
		}},
		"places in flight are bounded": {"a1 a2 b1", gates.Limits{InFlight: 2, Failures: -1}, nil, []move{
			asks("a1", needsPlace, "a1"), asks("a2", needsPlace, "a2"), asks("b1", needsPlace, ""), reports("a1", inFlight, ""), reports("a1", landed, "b1"),
		}},
		"a host in flight needs no second place": {"a1 a2", gates.Limits{InFlight: 1, Failures: -1}, nil, []move{
			asks("a1", needsPlace, "a1"), asks("a1", gates.Request{At: 2, Judged: true}, "a1"), asks("a2", needsPlace, ""), reports("a1", landed, "a2"),
		}},
		"a place that was granted and not used is free": {"a1 a2", gates.Limits{InFlight: 1, Failures: -1}, nil, []move{
			asks("a1", needsPlace, "a1"), asks("a2", needsPlace, ""), reports("a1", gates.Stand{At: 2}, "a2"),
		}},
		"a group bounds its own hosts": {"a1 a2 b1 b2", gates.Limits{InFlight: 3, Failures: -1, Groups: map[string]int{"a": 1, "b": -1}}, nil, []move{
			asks("a1", needsPlace, "a1"), asks("a2", needsPlace, ""), asks("b1", needsPlace, "b1"), asks("b2", needsPlace, "b2"),
			reports("b1", landed, ""), reports("a1", landed, "a2"),
		}},
		"a group without an entry has no bound": {"a1 a2", gates.Limits{InFlight: -1, Failures: -1, Groups: map[string]int{"b": 1}}, nil, []move{
			asks("a1", needsPlace, "a1"), asks("a2", needsPlace, "a2"),
		}},
		"the budget holds back what asks after it is spent": {"a1 a2 a3", gates.Limits{InFlight: -1, Failures: 1}, nil, []move{
			reports("a1", failed, ""), asks("a2", judged, "a2"), reports("a2", failed, ""), asks("a3", judged, "-a3"),
		}},
		"the budget holds back what waits already": {"a1 a2 a3", gates.Limits{InFlight: 1, Failures: 0}, []int{2}, []move{
			asks("a1", gates.Request{At: 1, InFlight: true, Judged: true}, "a1"), asks("a2", gates.Request{At: 1, InFlight: true, Judged: true}, ""),
			asks("a3", gates.Request{At: 2, Barrier: true, Judged: true}, ""), reports("a1", failed, "-a2 -a3"),
		}},
		"the budget does not hold back what it does not judge": {"a1 a2", gates.Limits{InFlight: -1, Failures: 0}, nil, []move{
			reports("a1", failed, ""), asks("a2", needsPlace, "a2"), asks("a2", throttle, "a2"),
		}},
		"a host fails once, however often it says so": {"a1 a2", gates.Limits{InFlight: -1, Failures: 1}, nil, []move{
			reports("a1", gates.Stand{At: 1, Failed: true}, ""), reports("a1", failed, ""), asks("a2", judged, "a2"),
		}},
		"a host that is tried again is no failure": {"a1 a2", gates.Limits{InFlight: -1, Failures: 0}, nil, []move{
			reports("a1", failed, ""), reports("a1", gates.Stand{At: 1}, ""), asks("a1", judged, "a1"), asks("a2", judged, "a2"),
			reports("a1", failed, ""), asks("a2", judged, "-a2"),
		}},
		"the first to ask passes first, whatever the step": {"a1 a2 a3 a4", gates.Limits{InFlight: 1, Failures: -1}, nil, []move{
			asks("a1", needsPlace, "a1"), asks("a2", needsPlace, ""), asks("a3", gates.Request{At: 2, InFlight: true}, ""), asks("a4", needsPlace, ""),
			reports("a1", landed, "a2"), reports("a2", landed, "a3"), reports("a3", landed, "a4"),
		}},
		"the first to ask passes first, whatever the group": {"a1 a2 a3 b1", gates.Limits{InFlight: 1, Failures: -1, Groups: map[string]int{"a": 1, "b": 1}}, nil, []move{
			asks("a1", needsPlace, "a1"), asks("a2", needsPlace, ""), asks("b1", needsPlace, ""), asks("a3", needsPlace, ""),
			reports("a1", landed, "a2"), reports("a2", landed, "b1"), reports("b1", landed, "a3"),
		}},
		"those that are granted at once go in the order in which they asked": {"a1 a2 a3 a4", gates.Limits{InFlight: 3, Failures: -1}, []int{2}, []move{
			asks("a1", gates.Request{At: 2, Barrier: true, InFlight: true}, ""), asks("a2", gates.Request{At: 2, Barrier: true}, ""),
			asks("a3", gates.Request{At: 2, Barrier: true, InFlight: true}, ""), reports("a4", gone, "a1 a2 a3"),
		}},
		"who cannot go does not stop who can": {"a1 a2 b1", gates.Limits{InFlight: -1, Failures: -1, Groups: map[string]int{"a": 1}}, nil, []move{
			asks("a1", needsPlace, "a1"), asks("a2", needsPlace, ""), asks("b1", needsPlace, "b1"),
		}},
		"a host that waits for no barrier passes those that do": {"a1 a2 a3", unbound, []int{2}, []move{
			asks("a1", barrier, ""), asks("a2", gates.Request{At: 2, Throttle: 1}, "a2"),
		}},
		"what was asked before a Clear is not granted": {"a1 a2 a3", gates.Limits{InFlight: 1, Failures: -1}, []int{2}, []move{
			asks("a1", needsPlace, "a1"), asks("a2", needsPlace, ""), asks("a3", barrier, ""), clears(), reports("a1", landed, ""), reports("a2", gone, ""),
			asks("a3", needsPlace, "a3"),
		}},
		"what was taken back is not granted, and what others asked is": {"a1 a2 a3", gates.Limits{InFlight: 1, Failures: -1}, nil, []move{
			asks("a1", needsPlace, "a1"), asks("a2", needsPlace, ""), asks("a3", needsPlace, ""), withdraws("a2"), reports("a1", landed, "a3"),
		}},
		"the only request of its kind is taken back": {"a1 a2", gates.Limits{InFlight: 1, Failures: -1}, nil, []move{
			asks("a1", needsPlace, "a1"), asks("a2", needsPlace, ""), withdraws("a2"), withdraws("a2"), reports("a1", landed, ""), asks("a2", needsPlace, "a2"),
		}},
		"a Clear leaves the hosts where they are": {"a1 a2", unbound, []int{2}, []move{
			asks("a1", barrier, ""), asks("a2", throttle, "a2"), clears(), asks("a1", throttle, ""), reports("a2", gates.Stand{At: 2}, "a1"),
		}},
		"a report that brings nothing new grants nothing": {"a1", unbound, nil, []move{
			reports("a1", gates.Stand{At: 1}, ""), reports("a1", gates.Stand{At: 1}, ""),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := gates.New(c.limits, groupsOf(c.hosts), c.barriers)
			for i, m := range c.moves {
				if got := grantText(m.call(g)); got != m.want {
					t.Fatalf("call %d is answered with %q, want %q", i+1, got, m.want)
				}
			}
		})
	}
}

func TestOverBudget(t *testing.T) {
	for name, c := range map[string]struct {
		budget, failures int
		want             bool
	}{
		"no budget":        {-1, 3, false},
		"none may fail":    {0, 1, true},
		"none failed":      {0, 0, false},
		"as many as may":   {2, 2, false},
		"more than may be": {2, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := gates.New(gates.Limits{InFlight: -1, Failures: c.budget}, groupsOf("a1 a2 a3"), nil)
			for _, host := range []string{"a1", "a2", "a3"}[:c.failures] {
				g.Report(host, failed)
			}
			if g.OverBudget() != c.want {
				t.Errorf("%d failures of %d: over budget is %v", c.failures, c.budget, g.OverBudget())
			}
		})
	}
}

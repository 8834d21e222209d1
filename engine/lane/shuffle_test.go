package lane_test

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"esxiplan/engine/event"
	"esxiplan/engine/lane"
	"esxiplan/engine/survey"
	"esxiplan/engine/survey/surveytest"
)

// shuffled is a plan on which hosts meet at a barrier and take turns in a step, and of which
// each takes a way of its own.
var shuffled = group("a", 3) + group("b", 2) + `
step "note" "one" {
  takes   = host.facts.model
  retries = 2
}
step "write" "two" {
  barrier = true
  takes   = step.one.text
}
step "look" "three" {
  throttle = 1
  retries  = 2
  when     = step.two.value > 0
}
step "note" "four" {
  on_error = "continue"
  groups   = ["b"]
}
step "note" "c" { run_on = "always" }
`

// attemptOf is one attempt of a task.
type attemptOf struct {
	lane.TaskID
	attempt int
}

// fates decides what each attempt comes to, whenever it is made.
func fates(seed uint64) map[attemptOf]lane.Outcome {
	d := rand.New(rand.NewPCG(seed, 3))
	outcomes := []lane.Outcome{reached, reached, wrote, value(1), value(2), trouble, away, broken, because("booting")}
	out := map[attemptOf]lane.Outcome{}
	for _, host := range []string{"a1", "a2", "a3", "b1", "b2"} {
		for attempt := range 4 {
			out[attemptOf{lane.TaskID{Host: host, Step: lane.FactsStep}, attempt + 1}] = []lane.Outcome{facts("model " + host), facts("model " + host), away}[d.IntN(3)]
			for _, step := range []string{"one", "two", "three", "four", "c"} {
				out[attemptOf{lane.TaskID{Host: host, Step: step}, attempt + 1}] = outcomes[d.IntN(len(outcomes))]
			}
		}
	}
	return out
}

// way is what happened to a host, and what was asked for it, in order.
type way struct {
	events  []event.Event
	actions []lane.Action
}

// wander runs a survey's lanes with these outcomes, in an order that d decides.
func wander(t *testing.T, s *survey.Survey, outcomes map[attemptOf]lane.Outcome, d *rand.Rand) map[string]*way {
	set, ways, open := lane.NewSet(s), map[string]*way{}, []lane.Task{}
	for _, h := range s.Hosts() {
		ways[h.Name] = &way{}
	}
	take := func(events []event.Event, actions []lane.Action) {
		for _, e := range events {
			ways[e.Host].events = append(ways[e.Host].events, e)
		}
		for _, a := range actions {
			ways[a.Task.ID.Host].actions = append(ways[a.Task.ID.Host].actions, a)
			open = append(open, a.Task)
		}
	}
	take(set.Start(func(string) lane.Past { return lane.Past{} }))
	for len(open) > 0 {
		i := d.IntN(len(open))
		task := open[i]
		open[i] = open[len(open)-1]
		open = open[:len(open)-1]
		take(set.Fold(task.ID, outcomes[attemptOf{task.ID, task.Attempt}]))
	}
	if !set.Done() {
		t.Fatal("nothing is under way, and not all hosts are at their end")
	}
	return ways
}

// TestShuffledOutcomes: in whatever order the outcomes of hosts come, each host goes the
// same way.
func TestShuffledOutcomes(t *testing.T) {
	s := surveytest.Survey(t, shuffled, survey.Options{})
	kinds, statuses := map[event.Kind]int{}, map[event.Status]int{}
	for seed := range uint64(10) {
		outcomes := fates(seed)
		want := wander(t, s, outcomes, rand.New(rand.NewPCG(0, seed)))
		for _, w := range want {
			for _, e := range w.events {
				kinds[e.Kind]++
				statuses[e.Status]++
			}
		}
		for order := range uint64(100) {
			got := wander(t, s, outcomes, rand.New(rand.NewPCG(order+1, seed)))
			for host := range want {
				if !reflect.DeepEqual(got[host], want[host]) {
					t.Fatalf("outcomes %d, order %d: host %s went another way:\n%+v\n%+v", seed, order, host, got[host], want[host])
				}
			}
		}
	}
	for _, kind := range []event.Kind{event.Retried, event.Progressed, event.StepDone} {
		if kinds[kind] == 0 {
			t.Errorf("no host had a %s: the test shows less than it should", kind)
		}
	}
	for _, status := range []event.Status{event.OK, event.Changed, event.Skipped, event.Ignored, event.Failed, event.Unreachable} {
		if statuses[status] == 0 {
			t.Errorf("nothing ended %s: the test shows less than it should", status)
		}
	}
}

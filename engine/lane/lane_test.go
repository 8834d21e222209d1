package lane_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/gates"
	"esxiplan/engine/lane"
	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/engine/survey/surveytest"
)

// hosts are a plan without steps.
const hosts = `
group "a" {
  bmc {
    username = "u"
    password = "p"
  }
  host "one" {}
}
`

// move is something that happens to a lane, and the turn that it answers with, as
// turnText writes it.
type move struct {
	do      func(*lane.Lane) lane.Turn
	want    string
	outcome *lane.Outcome // that is folded
}

func starts(want string) move { return startsWith(lane.Past{}, want) }

func startsWith(p lane.Past, want string) move {
	return move{do: func(l *lane.Lane) lane.Turn { return l.Start(p) }, want: want}
}

func folds(o lane.Outcome, want string) move {
	return move{want: want, outcome: &o}
}

func passes(want string) move {
	return move{do: func(l *lane.Lane) lane.Turn { return l.Pass(gates.Grant{}) }, want: want}
}

func isHeld(want string) move {
	return move{do: func(l *lane.Lane) lane.Turn { return l.Pass(gates.Grant{Held: true}) }, want: want}
}

func interrupts(want string) move { return move{do: (*lane.Lane).Interrupt, want: want} }

func holds(want string) move { return move{do: (*lane.Lane).Hold, want: want} }

func abandons(want string) move { return move{do: (*lane.Lane).Abandon, want: want} }

func retries(want string) move { return move{do: (*lane.Lane).Retry, want: want} }

// result is an outcome with a result, after a second.
func result(r surveytest.Result) lane.Outcome {
	return lane.Outcome{Result: document(r), Elapsed: time.Second}
}

func document(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

var (
	succeeds  = result(surveytest.Result{})
	reached   = result(surveytest.Result{Done: true})
	wrote     = lane.Outcome{Result: succeeds.Result, Writes: 2, Elapsed: time.Second}
	began     = lane.Outcome{Result: succeeds.Result, Writes: 1, Installing: true, Elapsed: time.Second}
	trouble   = lane.Outcome{Problem: &event.Problem{Summary: "trouble"}, Class: step.Retryable, Elapsed: time.Second}
	broken    = lane.Outcome{Problem: &event.Problem{Summary: "broken"}, Class: step.Final, Elapsed: time.Second}
	away      = lane.Outcome{Problem: &event.Problem{Summary: "no answer"}, Class: step.Unreachable, Elapsed: time.Second}
	overtime  = lane.Outcome{Problem: &event.Problem{Summary: "took too long"}, Class: step.Retryable, TimedOut: true, Elapsed: time.Minute}
	cancelled = lane.Outcome{Interrupted: true}
)

// turnText writes a turn: its events, one after another, then what comes next: an attempt
// ("→"), a request to the gates ("?"), or nothing ("·").
func turnText(t lane.Turn) string {
	var out []string
	for _, e := range t.Events {
		out = append(out, eventText(e))
	}
	switch {
	case t.Action != nil:
		out = append(out, "→ "+actionText(*t.Action))
	case t.Ask != nil:
		out = append(out, "? "+requestText(*t.Ask))
	default:
		out = append(out, "·")
	}
	return strings.Join(out, "; ")
}

func eventText(e event.Event) string {
	text := map[event.Kind]string{
		event.HostStarted: "host", event.StepStarted: "start " + e.Step, event.Warned: "warning", event.HostDone: "end " + string(e.Status),
		event.StepDone: e.Step + " " + string(e.Status), event.Retried: fmt.Sprintf("retry %s %d", e.Step, e.Attempt), event.Progressed: fmt.Sprintf("look %s %d", e.Step, e.Attempt),
	}[e.Kind]
	if e.Text != "" {
		text += " (" + e.Text + ")"
	}
	if e.Problem != nil {
		text += ": " + e.Problem.Summary
	}
	return text
}

func actionText(a lane.Action) string {
	text := fmt.Sprintf("%s %d", a.Task.ID.Step, a.Task.Attempt)
	if a.Task.Mode == lane.ModeRecall {
		text = "recall " + text
	}
	if a.After > 0 {
		text += " after " + a.After.Round(time.Second).String()
	}
	if a.Task.Limit > 0 {
		text += " within " + a.Task.Limit.Round(time.Second).String()
	}
	if a.Task.Always {
		text += " always"
	}
	return text
}

func requestText(r gates.Request) string {
	text := r.Step
	if r.Throttle > 0 {
		text += fmt.Sprint(" throttle ", r.Throttle)
	}
	if r.Barrier {
		text += " barrier"
	}
	if r.InFlight {
		text += " flies"
	}
	if r.Judged {
		text += " judged"
	}
	return text
}

// play lets moves happen to the lane of the plan's first host. Of each turn, whatever
// happened, at most one of Action and Ask is set, and its task survives JSON.
func play(t *testing.T, s *survey.Survey, moves ...move) *lane.Lane {
	t.Helper()
	l := lane.New(s, s.Hosts()[0])
	for i, m := range moves {
		turn := m.play(l, s.Options.DryRun)
		if turn.Action != nil && turn.Ask != nil {
			t.Fatalf("move %d is answered with an action and a request", i+1)
		}
		if turn.Action != nil {
			checkPlain(t, turn.Action.Task)
		}
		if got := turnText(turn); got != m.want {
			t.Fatalf("move %d\n got %s\nwant %s", i+1, got, m.want)
		}
	}
	return l
}

// play makes a move; in a dry run an outcome is that of an attempt over shadows.
func (m move) play(l *lane.Lane, dry bool) lane.Turn {
	if m.outcome == nil {
		return m.do(l)
	}
	o := *m.outcome
	o.Shadow = dry
	return l.Fold(o)
}

func checkPlain(t *testing.T, task lane.Task) {
	t.Helper()
	var back lane.Task
	if err := json.Unmarshal(document(task), &back); err != nil || !reflect.DeepEqual(task, back) {
		t.Errorf("%+v becomes %+v: %v", task, back, err)
	}
}

// scenario is a plan, and what happens to its host.
type scenario struct {
	steps   string
	options survey.Options
	moves   []move
}

func scenarios(t *testing.T, table map[string]scenario) {
	t.Helper()
	for name, c := range table {
		t.Run(name, func(t *testing.T) {
			play(t, surveytest.Survey(t, hosts+c.steps, c.options), c.moves...)
		})
	}
}

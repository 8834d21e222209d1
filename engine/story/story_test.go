package story

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"esxiplan/engine/event"
)

var start = time.Date(2026, 1, 14, 9, 30, 0, 0, time.UTC)

// tell folds events, one a minute, of a run with one host.
func tell(events ...event.Event) (*Story, *Host) {
	s := &Story{}
	at := start
	s.Event(event.Event{Kind: event.RunStarted, Time: at, Run: "r", Plan: &event.PlanInfo{Name: "p", Hosts: []string{"a"}}})
	for _, e := range events {
		at = at.Add(time.Minute)
		e.Time, e.Host = at, "a"
		s.Event(e)
	}
	return s, s.Host("a")
}

func done(step string, status event.Status, v *event.Verdict, p *event.Problem) event.Event {
	return event.Event{Kind: event.StepDone, Step: step, Status: status, Verdict: v, Problem: p}
}

func seen(p event.Phase) event.Event {
	return event.Event{Kind: event.Phased, Step: "w", Phase: &event.Entered{Phase: p}}
}

func ended(status event.Status, left event.Left) event.Event {
	return event.Event{Kind: event.HostDone, Status: status, Counts: &event.Counts{}, Left: &left}
}

var (
	began    = event.Event{Kind: event.HostStarted}
	proof    = &event.Verdict{Proven: true, Seeks: true, Version: "8.0.3"}
	unproven = &event.Verdict{Seeks: true, Reason: "the old ESXi still answers"}
	trouble  = &event.Problem{Summary: "the BMC answers 500"}
	noProof  = &event.Problem{Guard: "proof", Summary: "unproven: the login was refused"}
	refusal  = &event.Problem{Guard: "serial", Summary: "the machine has another serial number"}
	again    = event.Event{Kind: event.StepStarted, Step: "w"}
	boot     = event.Event{Kind: event.WriteMade, Step: "restart", Write: &event.Change{ID: "r.9", Verb: event.Reset, New: "On", Intent: event.Intent{Boots: true, Installs: true}}}
	stop     = event.Event{Kind: event.WriteMade, Step: "restart", Write: &event.Change{ID: "r.8", Verb: event.Reset, New: "ForceOff", Intent: event.Intent{Boots: true, Installs: true}}}
)

func settled(f event.Fate) event.Event {
	return event.Event{Kind: event.WriteDone, Step: "restart", Settled: &event.Settled{Change: "r.9", Fate: f}}
}

// TestStanding: what is true of a host is judged from records; a machine that is being wiped is
// called so whatever became of the run.
func TestStanding(t *testing.T) {
	installing := event.Left{Installing: start}
	for name, c := range map[string]struct {
		events []event.Event
		want   Standing
	}{
		"given up, and ignored by the plan":           {[]event.Event{began, boot, done("w", event.Ignored, unproven, trouble), ended(event.Changed, event.Left{})}, Unproven},
		"restarted after the proof, refused at first": {[]event.Event{began, done("w", event.Changed, proof, nil), boot, settled(event.Refused), settled(event.Done), ended(event.Changed, event.Left{})}, Changed},
		"interrupted, then continued":                 {[]event.Event{began, boot, ended(event.NotRun, installing), {Kind: event.RunStarted, Plan: &event.PlanInfo{Hosts: []string{"a"}, Continued: true}}}, Running},
		"continued, and interrupted again":            {[]event.Event{began, boot, ended(event.NotRun, installing), {Kind: event.RunStarted, Plan: &event.PlanInfo{Hosts: []string{"a"}}}, ended(event.NotRun, installing)}, Installing},
		"an event without its body":                   {[]event.Event{began, {Kind: event.WriteMade}, {Kind: event.WriteDone}, {Kind: event.RunStarted}, {Kind: event.Phased}, {Kind: event.Retried}}, Running},
		"never begun":                                 {nil, Waiting},
		"held back":                                   {[]event.Event{ended(event.NotRun, event.Left{})}, Waiting},
		"under way":                                   {[]event.Event{began}, Running},
		"stopped before its end":                      {[]event.Event{began, ended(event.NotRun, event.Left{})}, Interrupted},
		"stopped while it installs":                   {[]event.Event{began, boot, ended(event.NotRun, installing)}, Installing},
		"failed while it installs":                    {[]event.Event{began, boot, done("cleanup", event.Failed, nil, trouble), ended(event.Failed, installing)}, Installing},
		"left off":                                    {[]event.Event{began, boot, ended(event.NotRun, event.Left{Installing: start, Off: true})}, PoweredOff},
		"proven":                                      {[]event.Event{began, boot, done("w", event.Changed, proof, nil), ended(event.Changed, event.Left{})}, Proven},
		"proven, then failed":                         {[]event.Event{began, boot, done("w", event.Changed, proof, nil), done("x", event.Failed, nil, trouble), ended(event.Failed, event.Left{})}, Failed},
		"a proof in a step that failed":               {[]event.Event{began, boot, done("w", event.Failed, proof, trouble), ended(event.Failed, event.Left{})}, Failed},
		"seen as new, and what came after failed":     {[]event.Event{began, boot, seen(event.PhaseProven), done("w", event.Failed, nil, trouble), ended(event.Failed, installing)}, Failed},
		"seen as new, and then rebooting":             {[]event.Event{began, boot, seen(event.PhaseProven), seen(event.PhaseRebooting), done("w", event.Failed, nil, trouble), ended(event.Failed, installing)}, Installing},
		"restarted after the proof":                   {[]event.Event{began, done("w", event.Changed, proof, nil), boot, done("w", event.Failed, unproven, trouble), ended(event.Failed, event.Left{})}, Unproven},
		"restarted after the proof, in vain":          {[]event.Event{began, done("w", event.Changed, proof, nil), boot, settled(event.Refused), ended(event.Changed, event.Left{})}, Proven},
		"restarted after the proof, who knows":        {[]event.Event{began, done("w", event.Changed, proof, nil), boot, settled(event.Unknown), ended(event.Changed, event.Left{})}, Changed},
		"given up":                                    {[]event.Event{began, boot, done("w", event.Failed, unproven, trouble), ended(event.Failed, event.Left{})}, Unproven},
		"refused":                                     {[]event.Event{began, done("p", event.Failed, nil, &event.Problem{Guard: "serial"}), ended(event.Failed, event.Left{})}, Refused},
		"failed":                                      {[]event.Event{began, done("p", event.Failed, nil, trouble), ended(event.Failed, event.Left{})}, Failed},
		"unreachable":                                 {[]event.Event{began, done("p", event.Unreachable, nil, trouble), ended(event.Unreachable, event.Left{})}, Unreachable},
		"nothing to do":                               {[]event.Event{began, done("p", event.OK, nil, nil), ended(event.OK, event.Left{})}, OK},
		"protected":                                   {[]event.Event{ended(event.Skipped, event.Left{})}, Skipped},
		"failed, and left out of a later stage":       {[]event.Event{began, done("p", event.Failed, nil, trouble), ended(event.Failed, event.Left{}), ended(event.NotRun, event.Left{})}, Failed},
		"held back in a later stage":                  {[]event.Event{began, ended(event.Changed, event.Left{}), ended(event.NotRun, event.Left{})}, Interrupted},
		"no proof is possible":                        {[]event.Event{began, boot, done("w", event.Failed, nil, noProof), ended(event.Failed, installing)}, Unproven},
		"no proof is possible, of an earlier restart": {[]event.Event{began, done("w", event.Failed, nil, noProof), ended(event.Failed, installing)}, Unproven},
		"no proof is possible, and ignored":           {[]event.Event{began, boot, done("w", event.Ignored, nil, noProof), ended(event.Changed, installing)}, Unproven},
		"no proof was possible, and restarted since":  {[]event.Event{began, boot, done("w", event.Ignored, nil, noProof), boot, ended(event.Changed, event.Left{Installing: start.Add(4 * time.Minute)})}, Installing},
		"no proof is possible without a restart":      {[]event.Event{began, done("w", event.Failed, nil, noProof), ended(event.Failed, event.Left{})}, Refused},
		"facts at last":                               {[]event.Event{began, done("(facts)", event.Unreachable, nil, trouble), ended(event.Unreachable, event.Left{}), again, done("w", event.Changed, proof, nil), ended(event.Changed, event.Left{})}, Proven},
		"facts at last, and refused":                  {[]event.Event{began, done("(facts)", event.Unreachable, nil, trouble), ended(event.Unreachable, event.Left{}), again, done("w", event.Failed, nil, refusal), ended(event.Failed, event.Left{})}, Refused},
		"failed before, and refused elsewhere":        {[]event.Event{began, done("p", event.Failed, nil, trouble), ended(event.Failed, event.Left{}), again, done("w", event.Failed, nil, refusal), ended(event.Failed, event.Left{})}, Refused},
	} {
		t.Run(name, func(t *testing.T) {
			s, h := tell(c.events...)
			if h.Standing() != c.want || s.Count()[c.want] != 1 {
				t.Errorf("%s, want %s", h.Standing(), c.want)
			}
		})
	}
}

// TestTriedAgain: a step that is tried again stands last, without its old problem and with what
// it wrote; a boot in two requests counts once.
func TestTriedAgain(t *testing.T) {
	_, h := tell(began, boot, boot, settled(event.Done), done("restart", event.Failed, nil, trouble), done("cleanup", event.OK, nil, nil),
		event.Event{Kind: event.StepStarted, Step: "restart", Type: "power", Attempt: 1})
	if len(h.Steps) != 2 || h.Step() == nil || h.Step().Name != "restart" || len(h.Troubles()) != 0 {
		t.Fatalf("%+v", h.Steps)
	}
	if len(h.Step().Changes) != 2 || h.Resets != 1 || h.Step().Changes[1].Fate != event.Done {
		t.Errorf("%d changes, %d resets", len(h.Step().Changes), h.Resets)
	}
}

// TestSwitchedOff: a process that dies between the two requests of a restart leaves a machine off,
// in which nothing is being installed.
func TestSwitchedOff(t *testing.T) {
	for name, c := range map[string]struct {
		events        []event.Event
		off, installs bool
	}{
		"nothing asked":     {[]event.Event{began}, false, false},
		"switched off":      {[]event.Event{began, stop}, true, false},
		"and started":       {[]event.Event{began, stop, boot}, false, true},
		"started in vain":   {[]event.Event{began, stop, boot, settled(event.Refused)}, true, false},
		"restarted at once": {[]event.Event{began, boot}, false, true},
	} {
		_, h := tell(c.events...)
		if h.SwitchedOff() != c.off || h.Installs() != c.installs {
			t.Errorf("%s: switched off %v, installs %v", name, h.SwitchedOff(), h.Installs())
		}
	}
}

// TestRetryPasses: why a step is tried again is said until the next attempt shows anything.
func TestRetryPasses(t *testing.T) {
	retried := event.Event{Kind: event.Retried, Step: "w", Attempt: 2, Problem: trouble}
	for _, next := range []event.Event{{Kind: event.Progressed, Step: "w", Text: "no ESXi answers yet"}, seen(event.PhaseReading)} {
		_, h := tell(began, again, retried)
		if s := h.Step(); s.Retry != trouble || s.Attempt != 2 {
			t.Errorf("%+v", s)
		}
		_, h = tell(began, again, retried, next)
		if s := h.Step(); s.Retry != nil || s.Attempt != 2 {
			t.Errorf("%s: %+v", next.Kind, s)
		}
	}
}

// TestProgress: the rate is that of the last reports; what begins again begins at no rate.
func TestProgress(t *testing.T) {
	report := func(n int64) event.Event {
		return event.Event{Kind: event.Progressed, Step: "w", Progress: &event.Progress{Done: n, Total: 1000}}
	}
	_, h := tell(began, report(0), report(60))
	if p := h.Step().Progress; p.Rate != 1 || p.Done != 60 {
		t.Errorf("%+v", p)
	}
	_, h = tell(began, report(0), report(60), report(5))
	if p := h.Step().Progress; p.Rate != 0 || p.Done != 5 {
		t.Errorf("%+v", p)
	}
}

// TestPending: a look that found nothing new says why, until the step has ended.
func TestPending(t *testing.T) {
	look := event.Event{Kind: event.Progressed, Step: "w", Text: "no ESXi answers yet"}
	_, h := tell(began, look)
	if h.Step().Pending != look.Text || h.Step().Progress != nil {
		t.Errorf("%+v", h.Step())
	}
	_, h = tell(began, look, done("w", event.Changed, proof, nil))
	if h.Steps[0].Pending != "" {
		t.Error("pending after its end")
	}
}

// TestRemaining counts down from the phase that the machine entered, and never below nothing.
func TestRemaining(t *testing.T) {
	minutes := func(n int) event.Seconds { return event.Seconds(time.Duration(n) * time.Minute) }
	phase := event.Event{Kind: event.Phased, Phase: &event.Entered{Phase: event.PhaseReading, Expected: &event.Expected{Runs: 3, Median: minutes(10), Low: minutes(6), High: minutes(30)}}}
	_, h := tell(began, phase)
	since := h.Phase.Since
	if median, low, high, ok := h.Remaining(since.Add(7 * time.Minute)); !ok || median != 3*time.Minute || low != 0 || high != 23*time.Minute {
		t.Error(median, low, high, ok)
	}
	_, h = tell(began, phase, done("w", event.Changed, proof, nil))
	if _, _, _, ok := h.Remaining(since); ok {
		t.Error("what is proven still takes time")
	}
	if _, _, _, ok := (&Host{}).Remaining(since); ok {
		t.Error("a time is expected of a host of which no phase was seen")
	}
}

// TestColumns: the steps of all stages, each once, in the order of the plan; what the plan does not have comes first.
func TestColumns(t *testing.T) {
	s := &Story{}
	for _, e := range []event.Event{
		{Kind: event.RunStarted, Plan: &event.PlanInfo{Steps: []string{"login", "cd"}, Hosts: []string{"a"}, Types: map[string]string{"cd": "one_time_boot"}}},
		{Kind: event.StepStarted, Host: "a", Step: "(facts)"},
		{Kind: event.StepStarted, Host: "a", Step: "login", Type: "precheck"},
		{Kind: event.RunStarted, Plan: &event.PlanInfo{Steps: []string{"cd", "restart"}, Hosts: []string{"a"}}},
	} {
		s.Event(e)
	}
	if want := []Column{{"(facts)", ""}, {"login", "precheck"}, {"cd", "one_time_boot"}, {"restart", ""}}; !slices.Equal(s.Steps, want) {
		t.Errorf("%v", s.Steps)
	}
}

// TestOrder: hosts stand in the order of the latest plan, whatever the log began with.
func TestOrder(t *testing.T) {
	s := &Story{}
	for _, host := range []string{"c", "a", "old"} {
		s.Event(event.Event{Kind: event.HostStarted, Host: host})
	}
	s.Event(event.Event{Kind: event.RunStarted, Plan: &event.PlanInfo{Hosts: []string{"a", "b", "c"}}})
	var names []string
	for _, h := range s.Hosts {
		names = append(names, h.Name)
	}
	if want := []string{"old", "a", "b", "c"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
}

// TestIdentity: which machine a host is, is what a step found out; a result that does not say so changes nothing.
func TestIdentity(t *testing.T) {
	result := func(text string) event.Event {
		return event.Event{Kind: event.StepDone, Step: "login", Status: event.OK, Result: json.RawMessage(text)}
	}
	_, h := tell(began, result(`{"vendor":"dell","model":"R750","serial":"7XQ"}`), result(`{"url":"http://x"}`), result(`[1]`), result(`{"model":5}`))
	if h.Vendor != "dell" || h.Model != "R750" || h.Serial != "7XQ" {
		t.Errorf("%+v", h)
	}
}

// TestPhases: all phases that were seen stay known, with their times; the present one is the last.
func TestPhases(t *testing.T) {
	in := func(p event.Phase) event.Event {
		return event.Event{Kind: event.Phased, Phase: &event.Entered{Phase: p}}
	}
	before := event.Event{Kind: event.Phased, Phase: &event.Entered{Phase: event.PhaseReading, Since: start}}
	if _, h := tell(began, before, before); len(h.Phases) != 1 || !h.Phase.Since.Equal(start) {
		t.Errorf("seen before: %+v", h.Phases)
	}
	_, h := tell(began, in(event.PhasePost), in(event.PhaseReading), boot, in(event.PhasePost))
	if len(h.Phases) != 3 || h.Phase != h.Phases[2] || !h.Phases[0].Since.Before(h.Phases[1].Since) {
		t.Errorf("%+v", h.Phases)
	}
}

package local_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/lane"
	"esxiplan/engine/local"
	"esxiplan/engine/local/localtest"
	"esxiplan/engine/log"
	"esxiplan/engine/secret"
	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/engine/survey/surveytest"
	"esxiplan/schema"
)

const pin = "7391-sesame"

// replayed is a plan with all that a log must be enough for: retries, facts, a recalled
// result, secrets, a barrier, a throttle and a failure budget.
const replayed = `
variable "pin" {
  type      = string
  default   = "` + pin + `"
  sensitive = true
}
group "a" {
  bmc {
    username = "u"
    password = "p"
  }
  host "one" {}
  host "two" {}
  host "three" {}
  host "four" {}
  host "five" {}
}
step "keep" "image" {
  do   = ["ok"]
  key  = var.pin
  tags = ["build"]
}
step "echo" "look" {
  do    = host.name == "one" ? ["retry", "retry", "ok"] : host.name == "two" ? ["retry", "gone", "final"] : ["ok"]
  takes = host.facts.model
  key   = var.pin
}
step "change" "mount" {
  do      = host.name == "four" ? ["retry", "write"] : ["write"]
  takes   = step.image.text
  barrier = true
}
step "echo" "turn" {
  do       = host.name == "three" ? ["ok", "final"] : ["ok"]
  takes    = step.look.text
  until    = result.value >= 2
  throttle = 2
}
step "reset" "restart" {
  do    = ["write"]
  takes = "${step.mount.text} ${step.turn.value}"
}
step "echo" "report" {
  do     = ["ok"]
  takes  = step.look.text
  run_on = "always"
}
`

// secretArguments are those of a step that may hand a secret on.
type secretArguments struct {
	Do    []string      `json:"do" doc:"What each attempt does, as of the fake step."`
	Takes *string       `json:"takes" doc:"Anything."`
	Key   schema.Secret `json:"key" default:"-" doc:"A secret, which the result has."`
}

// seen is what a step saw of one attempt: what the driver was asked to do.
type seen struct {
	host, step, kind string
	arguments        string
	place            step.Place
}

// witness has step types that keep what they see.
type witness struct {
	mu       sync.Mutex
	attempts map[string]int
	seen     map[string][]seen // by host
}

func (w *witness) types() []*step.Type {
	spec := step.Spec[secretArguments, localtest.Result]{
		Summary: "Does what the plan says, and hands its secret on.", Doc: "```hcl\n```", Policy: step.Policy{Retries: 2, Delay: time.Second, MaxDelay: 4 * time.Second},
		Run: func(ctx context.Context, h *step.Host, a secretArguments) (localtest.Result, error) {
			n := w.attempt(h)
			r, err := localtest.Do(ctx, h, a.Do[min(n, len(a.Do)-1)], n+1)
			if !a.Key.IsZero() {
				r.Text = "the key is " + a.Key.Reveal()
			}
			return r, err
		},
	}
	var types []*step.Type
	for name, most := range map[string]step.Effects{"echo": {}, "change": {Writes: true}, "reset": {Writes: true, Starts: true}, "keep": {Builds: true}} {
		s := spec
		if s.Name, s.Most = name, most; most.Builds {
			s.Recall = spec.Run
		}
		types = append(types, w.watch(step.Define(s)))
	}
	return types
}

// attempt counts the attempts of a step on a host, from 0.
func (w *witness) attempt(h *step.Host) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := h.Name + "/" + h.StepName()
	w.attempts[key]++
	return w.attempts[key] - 1
}

// watch lets a step type keep what it is given.
func (w *witness) watch(t *step.Type) *step.Type {
	through := func(run func(context.Context, *step.Host, json.RawMessage) (json.RawMessage, error)) func(context.Context, *step.Host, json.RawMessage) (json.RawMessage, error) {
		if run == nil {
			return nil
		}
		return func(ctx context.Context, h *step.Host, arguments json.RawMessage) (json.RawMessage, error) {
			w.mu.Lock()
			w.seen[h.Name] = append(w.seen[h.Name], seen{h.Name, h.StepName(), t.Name, string(arguments), h.Place()})
			w.mu.Unlock()
			return run(ctx, h, arguments)
		}
	}
	t.Run, t.Recall = through(t.Run), through(t.Recall)
	return t
}

// machine is a BMC that reports facts.
type machine struct{ localtest.Drive }

func (machine) Identity(context.Context) (bmc.Identity, error) { return bmc.Identity{Model: "R1"}, nil }
func (machine) Boot(context.Context) (bmc.Boot, error)         { return bmc.Boot{}, nil }
func (machine) Slots(context.Context) ([]bmc.Slot, error)      { return nil, nil }
func (machine) Inventory(context.Context) (bmc.Inventory, error) {
	return bmc.Inventory{}, nil
}
func (machine) Network(context.Context) (bmc.Network, error) { return bmc.Network{}, nil }

// recording is a run that was driven, and its log.
type recording struct {
	survey  *survey.Survey
	summary event.Summary
	witness *witness
	dir     string
	options log.Options
}

// record drives the plan under simulated time. interrupt > 0 stops it then.
func record(t *testing.T, o survey.Options, interrupt time.Duration) recording {
	t.Helper()
	w := &witness{attempts: map[string]int{}, seen: map[string][]seen{}}
	types := w.types()
	p := surveytest.Load(t, replayed, types)
	s, diags := survey.New(p, types, o)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	masker := secret.New(schema.Hidden)
	masker.Add(pin)
	r := recording{survey: s, witness: w, dir: t.TempDir(), options: log.Options{
		Secrets: map[string]string{pin: "var.pin"}, Masker: masker}}
	synctest.Test(t, func(t *testing.T) {
		l, err := log.Open(r.dir, "run", r.options)
		if err != nil {
			t.Fatal(err)
		}
		worker := &local.Worker{Plan: p, Types: types, Clock: local.NewClock(1), Log: l, Open: func(h *schema.Host) (*step.Host, error) {
			host := step.NewHost(p.Name, h, s.Settings(h))
			host.SetMedia(localtest.Shelf{})
			host.SetBMC(machine{})
			return host, nil
		}}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		if interrupt > 0 {
			time.AfterFunc(interrupt, cancel)
		}
		lanes := lane.NewSet(s)
		events, actions := lanes.Start(func(string) lane.Past { return lane.Past{} })
		driver := &local.Driver{Lanes: lanes, Worker: worker, Forks: 10}
		if r.summary, err = driver.Run(ctx, context.Background(), events, actions); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// replay folds the log of a recording into fresh lanes, notes their events in a log of its
// own, and holds each attempt against what the driver was asked to do.
type replay struct {
	t     *testing.T
	lanes *lane.Set
	log   *log.Log
	open  map[string]lane.Task // by host
	seen  map[string][]seen    // and not folded yet
}

func (r *replay) take(events []event.Event, actions []lane.Action) {
	for _, e := range events {
		if e.Kind != event.Progressed {
			r.log.Note(e)
		}
	}
	for _, a := range actions {
		r.open[a.Task.ID.Host] = a.Task
	}
}

func (r *replay) fold(rec log.Record) {
	switch rec.Kind {
	case log.Interrupted:
		r.take(r.lanes.Interrupt())
	case log.AttemptDone:
		var o lane.Outcome
		if err := json.Unmarshal(rec.Outcome, &o); err != nil {
			r.t.Fatal(err)
		}
		r.check(rec, o)
		r.take(r.lanes.Fold(lane.TaskID{Host: rec.Host, Step: rec.Step}, o))
	}
}

// check compares the attempt that the lanes ask for with the one that was made.
func (r *replay) check(rec log.Record, o lane.Outcome) {
	task := r.open[rec.Host]
	if !r.lanes.Awaits(task.ID) || task.ID.Step != rec.Step || task.Type != rec.Type || task.Attempt != rec.Attempt || string(task.Mode) != rec.Mode {
		r.t.Fatalf("record %d is of attempt %d of %s on %s (%s), the lanes ask for %+v", rec.Seq, rec.Attempt, rec.Step, rec.Host, rec.Mode, task)
	}
	if task.Mode == lane.ModeFacts {
		return
	}
	want := seen{rec.Host, rec.Step, rec.Type, string(task.Arguments), task.Place}
	if made := r.seen[rec.Host]; len(made) > 0 && made[0] == want {
		r.seen[rec.Host] = made[1:]
	} else if !o.Interrupted { // one that was cancelled may not have begun
		r.t.Fatalf("record %d: the lanes ask for %+v, the driver was asked for %+v", rec.Seq, want, made)
	}
}

// again replays a recording, and returns the events that the replay came to.
func (rec recording) again(t *testing.T) []log.Record {
	t.Helper()
	l, err := log.Dry(rec.dir, "run", rec.options)
	if err != nil {
		t.Fatal(err)
	}
	records, err := l.Records()
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "again")
	r := &replay{t: t, lanes: lane.NewSet(rec.survey), open: map[string]lane.Task{}, seen: rec.witness.seen}
	if r.log, err = log.Open(copied, "run", rec.options); err != nil {
		t.Fatal(err)
	}
	r.take(r.lanes.Start(func(string) lane.Past { return lane.Past{} }))
	for _, record := range records {
		r.fold(record)
	}
	if err := r.log.Close(); err != nil {
		t.Fatal(err)
	}
	for host, rest := range r.seen {
		if len(rest) > 0 {
			t.Errorf("%s was asked for more: %+v", host, rest)
		}
	}
	if got, want := fmt.Sprint(r.lanes.Summary()), fmt.Sprint(rec.summary); !r.lanes.Done() || got != want {
		t.Errorf("done %v, %s; the run ended with %s", r.lanes.Done(), got, want)
	}
	return readEvents(t, copied)
}

// readEvents reads the events of a log that lanes come to, without what only a run has.
func readEvents(t *testing.T, dir string) (out []log.Record) {
	t.Helper()
	err := log.Each(dir, "run", func(r log.Record) error {
		switch r.Kind {
		case event.HostStarted, event.StepStarted, event.Retried, event.StepDone, event.HostDone, event.Warned:
			r.Seq, r.Time, r.Left = 0, time.Time{}, nil
			out = append(out, r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func line(t *testing.T, r log.Record) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestReplayOfALog: a log alone, folded into fresh lanes and gates, gives the events of the run
// that it is of, in their order, and asks for the attempts that the driver made, with the
// arguments that they had. Secrets are in these arguments, and not in the log.
func TestReplayOfALog(t *testing.T) {
	left := survey.Choice{SkipTags: []string{"build"}}
	for name, c := range map[string]struct {
		options   survey.Options
		interrupt time.Duration
		exit      int
		shows     []string // what the log must have, so that the test shows what it should
	}{
		"to its end": {survey.Options{Choice: left}, 0, event.ExitFailed, []string{`"retry"`, `"mode":"recall"`, `"mode":"facts"`, `"repeat"`, "${{var.pin}}", `"changed"`, `"failed"`}},
		"stopped by the budget": {survey.Options{Choice: left, MaxFailures: "1", InFlight: "2"}, 0, event.ExitBudget,
			[]string{`"retry"`, `"mode":"recall"`, "${{var.pin}}", `"not_run"`, "held back by the failure budget"}},
		"interrupted in a retry":   {survey.Options{Choice: left}, 2500 * time.Millisecond, event.ExitInterrupted, []string{`"interrupted"`, `"not_run"`}},
		"interrupted at a barrier": {survey.Options{Choice: left}, 4500 * time.Millisecond, event.ExitInterrupted, []string{`"interrupted"`, `"not_run"`}},
		"interrupted in a turn":    {survey.Options{Choice: left}, 9 * time.Second, event.ExitInterrupted, []string{`"interrupted"`, `"not_run"`}},
	} {
		t.Run(name, func(t *testing.T) {
			run := record(t, c.options, c.interrupt)
			if run.summary.Exit != c.exit {
				t.Errorf("exit %d, want %d: %+v", run.summary.Exit, c.exit, run.summary)
			}
			text, err := os.ReadFile(filepath.Join(run.dir, "runs", "run.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			for _, must := range c.shows {
				if !strings.Contains(string(text), must) {
					t.Errorf("the log has no %s: the test shows less than it should", must)
				}
			}
			if strings.Contains(string(text), pin) {
				t.Error("the secret is in the log")
			}
			checkSecretsReach(t, run.witness)
			compare(t, run.again(t), readEvents(t, run.dir))
		})
	}
}

// checkSecretsReach makes sure that a later step was given a secret which only the result
// of an earlier one had.
func checkSecretsReach(t *testing.T, w *witness) {
	t.Helper()
	for _, attempts := range w.seen {
		if slices.ContainsFunc(attempts, func(s seen) bool {
			return s.step != "look" && strings.Contains(s.arguments, "the key is "+pin)
		}) {
			return
		}
	}
	t.Error("no step was given the secret that a result had: the test shows less than it should")
}

func compare(t *testing.T, got, want []log.Record) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Fatalf("the replay lacks %s", line(t, want[i]))
		case i >= len(want):
			t.Fatalf("the log lacks %s", line(t, got[i]))
		case line(t, got[i]) != line(t, want[i]):
			t.Fatalf("event %d\nreplayed %s\nlogged   %s", i+1, line(t, got[i]), line(t, want[i]))
		}
	}
}

// Package surveytest makes plans of step types that declare effects but cannot run, for the
// tests of what surveys and lanes decide.
package surveytest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/schema"
)

// Arguments are those of every step type here.
type Arguments struct {
	To    string        `json:"to" default:"-" doc:"The goal, the action or the target of the step."`
	Takes *string       `json:"takes" doc:"Anything; the image of an insert."`
	Key   schema.Secret `json:"key" default:"-" doc:"A secret."`
}

// Result is that of every step type here.
type Result struct {
	Value  int    `json:"value" doc:"A number."`
	Text   string `json:"text" doc:"Some text."`
	Done   bool   `json:"done" doc:"The goal of the step is reached."`
	Ended  bool   `json:"ended" doc:"Nothing is being installed any more."`
	Reason string `json:"reason" doc:"Why the goal is not reached."`
	Next   string `json:"next" doc:"What to do about it."`
}

// Types are the step types: note has no effect, read needs the host's disk and has ten
// minutes, write changes the machine and is retried twice after a second, look repeats until
// its result is done, wait waits for an installation where its goal is "esxi". build, insert,
// boot and power have the effects of the real step types; only build can be recalled.
func Types() []*step.Type {
	return []*step.Type{
		define(step.Spec[Arguments, Result]{Name: "note"}),
		define(step.Spec[Arguments, Result]{Name: "read", Most: step.Effects{Disk: true}, Policy: step.Policy{Timeout: 10 * time.Minute}}),
		define(step.Spec[Arguments, Result]{Name: "write", Most: step.Effects{Writes: true},
			Policy: step.Policy{Retries: 2, Delay: time.Second, MaxDelay: 4 * time.Second}}),
		define(step.Spec[Arguments, Result]{Name: "look", Until: "done", Verdict: verdict, Policy: polling}),
		define(step.Spec[Arguments, Result]{Name: "wait", Until: "done", Verdict: verdict, Policy: polling, Most: step.Effects{Waits: true},
			Effects: func(a Arguments) step.Effects { return step.Effects{Waits: a.To == "esxi"} }}),
		define(step.Spec[Arguments, Result]{Name: "build", Most: step.Effects{Builds: true, Disk: true}, Recall: never,
			Effects: func(a Arguments) step.Effects {
				return step.Effects{Builds: true, Disk: true, FirstBoot: a.To == "firstboot"}
			}}),
		define(step.Spec[Arguments, Result]{Name: "insert", Most: step.Effects{Writes: true, Mounts: true},
			Effects: func(a Arguments) step.Effects {
				return step.Effects{Writes: true, Mounts: true, Medium: text(a.Takes)}
			}}),
		define(step.Spec[Arguments, Result]{Name: "boot", Most: step.Effects{Writes: true, Sets: true},
			Effects: func(a Arguments) step.Effects { return step.Effects{Writes: true, Sets: a.To != "disk"} }}),
		define(step.Spec[Arguments, Result]{Name: "power", Most: step.Effects{Writes: true, Starts: true, Stops: true},
			Effects: func(a Arguments) step.Effects {
				return step.Effects{Writes: true, Starts: a.To != "off", Stops: a.To != "on"}
			}}),
	}
}

var polling = step.Policy{Delay: 5 * time.Second, MaxDelay: 5 * time.Second, Timeout: 45 * time.Minute}

// never is the run of a step type that only declares what it would do.
func never(context.Context, *step.Host, Arguments) (Result, error) {
	return Result{}, errors.New("this step type can only be surveyed")
}

func define(s step.Spec[Arguments, Result]) *step.Type {
	s.Summary, s.Doc, s.Run = "Says what it would do.", "```hcl\n```", never
	return step.Define(s)
}

func verdict(r Result) event.Verdict {
	return event.Verdict{Proven: r.Done, Ended: r.Done || r.Ended, Reason: r.Reason, Next: r.Next}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Load reads a plan of these step types, which must be valid.
func Load(t testing.TB, text string, types []*step.Type) *schema.Plan {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plan.hcl")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	known := schema.Known{Version: "0.1", Steps: map[string]schema.StepType{}, Facts: schema.Of[step.Facts]()}
	for _, typ := range types {
		known.Steps[typ.Name] = schema.StepType{Arguments: typ.Arguments, Result: typ.Result}
	}
	p, diags := schema.Load([]string{file}, schema.Input{}, known)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return p
}

// Survey surveys a run of a plan, which must make sense.
func Survey(t testing.TB, text string, o survey.Options) *survey.Survey {
	t.Helper()
	types := Types()
	s, diags := survey.New(Load(t, text, types), types, o)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return s
}

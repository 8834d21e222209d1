package step

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"esxiplan/engine/event"
	"esxiplan/schema"
)

// Policy is what a step type does where the plan says nothing.
type Policy struct {
	Retries  int
	Delay    time.Duration
	MaxDelay time.Duration
	Timeout  time.Duration
}

// Effects is what a step does to the world around it, as far as others must know: the
// engine, the guards and the question that a run asks before it starts.
type Effects struct {
	Writes bool // changes the machine, so that the host counts as in flight; what ends an installation does not count
	Starts bool // starts the machine
	Stops  bool // stops what runs on it; a restart does both
	Builds bool // makes the host's installer medium
	Mounts bool // mounts an image: the plan installs
	Medium string
	Sets   bool // sets the boot source of the next boot: the plan installs
	Waits  bool // waits for the end of an installation
	Disk   bool // needs to know the host's disk
	// FirstBoot: the medium has parts for the first boot, which Secure Boot skips. As with
	// Medium, Most does not have it: it counts where the arguments are known to say so.
	FirstBoot bool
}

// Spec declares a step type. C is the struct of its arguments, O of its result.
type Spec[C, O any] struct {
	Name     string   // HCL label, lower_snake
	Summary  string   // one sentence
	Doc      string   // doc.md: prose and a complete example
	Requires []string // arguments that a host must have, such as "esxi.disk"
	// Most is the most that the step does, whatever its arguments. Effects is what it
	// does with given ones; nil: always that.
	Most    Effects
	Effects func(C) Effects
	// Verdict is what a result says about the machine's installation; nil: nothing.
	Verdict func(O) event.Verdict
	Until   string // the condition of success where the plan gives none; "" means no condition
	Policy  Policy
	Run     func(ctx context.Context, h *Host, c C) (O, error)
	// Recall returns what an earlier run left, for runs that leave this step out
	// but need its result. nil: nothing can be recalled.
	Recall func(ctx context.Context, h *Host, c C) (O, error)
}

// Type is a step type as the engine sees it.
type Type struct {
	Name, Summary, Doc string
	Requires           []string
	Most               Effects
	Until              string
	Policy             Policy
	Arguments, Result  *schema.Object
	Run                func(ctx context.Context, h *Host, arguments json.RawMessage) (json.RawMessage, error)
	Recall             func(ctx context.Context, h *Host, arguments json.RawMessage) (json.RawMessage, error)

	effects func(arguments json.RawMessage) Effects
	verdict func(result json.RawMessage) *event.Verdict
}

// Define makes a step type.
func Define[C, O any](s Spec[C, O]) *Type {
	t := &Type{
		Name: s.Name, Summary: s.Summary, Doc: s.Doc, Requires: s.Requires, Most: s.Most, Until: s.Until, Policy: s.Policy,
		Arguments: schema.Of[C](), Result: schema.Of[O](), Run: typed(s.Run),
	}
	if s.Recall != nil {
		t.Recall = typed(s.Recall)
	}
	if s.Effects != nil {
		t.effects = func(arguments json.RawMessage) Effects {
			var c C
			if json.Unmarshal(arguments, &c) != nil {
				return s.Most
			}
			return s.Effects(c)
		}
	}
	if s.Verdict != nil {
		t.verdict = func(result json.RawMessage) *event.Verdict {
			var o O
			if json.Unmarshal(result, &o) != nil {
				return nil
			}
			v := s.Verdict(o)
			return &v
		}
	}
	return t
}

// Effects is what the step does with these arguments; nil, or what cannot be read: the
// most that it may do.
func (t *Type) Effects(arguments json.RawMessage) Effects {
	if t.effects == nil || arguments == nil {
		return t.Most
	}
	return t.effects(arguments)
}

// Verdict is what a result says about the machine's installation; nil: nothing.
func (t *Type) Verdict(result json.RawMessage) *event.Verdict {
	if t.verdict == nil || len(result) == 0 {
		return nil
	}
	return t.verdict(result)
}

func typed[C, O any](run func(context.Context, *Host, C) (O, error)) func(context.Context, *Host, json.RawMessage) (json.RawMessage, error) {
	return func(ctx context.Context, h *Host, arguments json.RawMessage) (json.RawMessage, error) {
		var c C
		if err := json.Unmarshal(arguments, &c); err != nil {
			return nil, fmt.Errorf("arguments: %w", err)
		}
		o, err := run(ctx, h, c)
		if err != nil {
			return nil, err
		}
		return json.Marshal(o)
	}
}

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Validate reports what is wrong with a list of step types.
func Validate(types []*Type) error {
	var problems []error
	seen := map[string]bool{}
	for _, t := range types {
		if !namePattern.MatchString(t.Name) || seen[t.Name] {
			problems = append(problems, fmt.Errorf("step type %q: bad or second name", t.Name))
		}
		seen[t.Name] = true
		if t.Summary == "" || !strings.HasSuffix(t.Summary, ".") || !strings.Contains(t.Doc, "```hcl") {
			problems = append(problems, fmt.Errorf("step type %q: needs a sentence as summary and a doc with an example", t.Name))
		}
	}
	return errors.Join(problems...)
}

package step

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"esxiplan/schema"
)

// Policy is what a step type does where the plan says nothing.
type Policy struct {
	Retries  int
	Delay    time.Duration
	MaxDelay time.Duration
	Timeout  time.Duration
}

// Spec declares a step type. C is the struct of its arguments, O of its result.
type Spec[C, O any] struct {
	Name     string       // HCL label, lower_snake
	Summary  string       // one sentence
	Doc      string       // doc.md: prose and a complete example
	Requires []string     // arguments that a host must have, such as "esxi.disk"
	Writes   bool         // may change a machine, so that it counts as in flight
	Resets   bool         // may reset a machine
	Boots    func(C) bool // whether a reset with these arguments starts the machine; nil: it does
	Disk     bool         // looks at the host's disk
	Mounts   bool         // mounts media or overrides the boot source: the plan installs
	Proves   bool         // its result says by `proven` whether an installation is done
	Until    string       // the condition of success where the plan gives none; "" is none
	Policy   Policy
	Run      func(ctx context.Context, h *Host, c C) (O, error)
	// Recall returns what an earlier run left, for runs that leave this step out
	// but need its result. nil: nothing can be recalled.
	Recall func(ctx context.Context, h *Host, c C) (O, error)
}

// Type is a step type as the engine sees it.
type Type struct {
	Name, Summary, Doc             string
	Requires                       []string
	Writes, Resets, Mounts, Proves bool
	Disk                           bool
	Boots                          func(arguments json.RawMessage) bool
	Until                          string
	Policy                         Policy
	Arguments, Result              *schema.Object
	Run                            func(ctx context.Context, h *Host, arguments json.RawMessage) (json.RawMessage, error)
	Recall                         func(ctx context.Context, h *Host, arguments json.RawMessage) (json.RawMessage, error)
}

// Define makes a step type.
func Define[C, O any](s Spec[C, O]) *Type {
	t := &Type{
		Name: s.Name, Summary: s.Summary, Doc: s.Doc, Requires: s.Requires, Until: s.Until, Policy: s.Policy,
		Writes: s.Writes, Resets: s.Resets, Mounts: s.Mounts, Proves: s.Proves, Disk: s.Disk,
		Arguments: schema.Of[C](), Result: schema.Of[O](), Run: typed(s.Run),
	}
	if s.Recall != nil {
		t.Recall = typed(s.Recall)
	}
	if s.Boots != nil {
		t.Boots = func(arguments json.RawMessage) bool {
			var c C
			return json.Unmarshal(arguments, &c) != nil || s.Boots(c)
		}
	}
	return t
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

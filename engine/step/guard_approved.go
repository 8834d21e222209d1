package step

import (
	"fmt"
	"strings"

	"esxiplan/engine/event"
)

// Approved is what a saved plan allows for a host: these changes, at this machine.
type Approved struct {
	Machine *event.Machine // as it was when the plan was made; nil: nothing was to be written to it
	Changes []event.Planned
}

// CheckApproved refuses a change that is not in the saved plan; nil allows all. ours is as for
// [event.Planned.Covers].
func CheckApproved(a *Approved, step string, c event.Change, ours func(url string) bool) error {
	if a == nil || event.Allowed(a.Changes, step, c, ours) {
		return nil
	}
	same := ""
	for _, p := range a.Changes {
		if p.Step == step {
			same += "; " + p.String()
		}
	}
	planned := "it has no change by this step"
	if same != "" {
		planned = "by this step it has: " + strings.TrimPrefix(same, "; ")
	}
	return &Refusal{"approval", fmt.Sprintf("the saved plan does not hold the change that is needed now: %s. For this host, %s", c, planned), newPlan}
}

// CheckSameMachine refuses a machine that is not as it was when the plan was saved; nil allows
// all.
func CheckSameMachine(a *Approved, now event.Machine) error {
	if a == nil {
		return nil
	}
	if a.Machine == nil {
		return &Refusal{"approval", "the saved plan holds no change of this machine, and one is needed now", newPlan}
	}
	if differs := a.Machine.Changes(now); len(differs) > 0 {
		return &Refusal{"approval", "the machine is not as it was when the plan was saved: " + strings.Join(differs, "; "), newPlan}
	}
	return nil
}

const newPlan = "Make a new plan (esxiplan plan --out FILE), have it approved, and apply that one"

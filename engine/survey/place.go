package survey

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"esxiplan/engine/step"
	"esxiplan/schema"
)

// Place is what a step must know of the plan around it: what the steps before it, since the
// last proof, made ready to be booted, and what this run does after it. results are those
// that the host has come to; stale is why no medium matches the plan as it is now.
func (s *Survey) Place(h *schema.Host, at *schema.Step, results map[string]cty.Value, stale string) (p step.Place) {
	if most := s.types[at.Type].Most; !most.Writes && !most.Waits {
		return p // it reads
	}
	i := slices.Index(s.Plan.Steps, at)
	for _, st := range s.Plan.Steps[:i] {
		if st.Applies(h) {
			s.makeReady(&p, h, st, results)
		}
	}
	starts := s.Starts(h, at)
	p.Restarts, p.Waits = s.after(h, s.Plan.Steps[i+1:], starts)
	p.BootsMedium = p.BootsMedium && starts && s.Options.Only == "" // by hand, a start is but a start
	p.Waits = p.Waits || s.Waits(h, at)
	p.Sets = slices.ContainsFunc(s.Plan.Steps[i+1:], func(st *schema.Step) bool { return st.Applies(h) && s.chosen[st.Name] && s.sets(h, st) })
	p.Join = s.join(h, i)
	if p.Medium == "" {
		p.Stale = stale
	}
	return p
}

// makeReady takes in a step before the one whose place is determined.
func (s *Survey) makeReady(p *step.Place, h *schema.Host, st *schema.Step, results map[string]cty.Value) {
	switch {
	case s.Waits(h, st):
		p.BootsMedium = false // Medium stays: an image in the drive must still be it
	case s.types[st.Type].Most.Mounts:
		p.BootsMedium, p.Medium = true, s.Effects(h, st, results).Medium
	case s.sets(h, st):
		p.BootsMedium = true
	}
}

// after reports whether these steps restart the machine, and whether a wait follows the next
// start, before a further one; started is that the step before them starts it.
func (s *Survey) after(h *schema.Host, steps []*schema.Step, started bool) (restarts, waits bool) {
	for _, st := range steps {
		switch {
		case !st.Applies(h) || !s.chosen[st.Name]:
		case s.Starts(h, st) && started:
			return true, false
		case s.Starts(h, st):
			restarts, started = true, true
		case started && s.Waits(h, st) && unconditional(st):
			return restarts, true
		}
	}
	return restarts, false
}

// join names the steps of the installation around the i-th step that must be in one run if no
// boot uses up an override: the one that sets the boot source, the restart and the wait. It
// is "" if the plan lacks one, or this run has them all.
func (s *Survey) join(h *schema.Host, i int) string {
	var chain []*schema.Step
	for n, st := range s.Plan.Steps {
		switch {
		case !st.Applies(h):
		case s.sets(h, st) && (n <= i || len(chain) == 0):
			chain = []*schema.Step{st}
		case len(chain) == 1 && s.Starts(h, st), len(chain) == 2 && s.Waits(h, st) && unconditional(st):
			chain = append(chain, st)
		}
	}
	chosen := func(st *schema.Step) bool { return s.chosen[st.Name] }
	if len(chain) < 3 || !slices.ContainsFunc(chain, func(st *schema.Step) bool { return !chosen(st) }) {
		return ""
	}
	return joined(chain)
}

// joined names three steps, and the tags that choose them if each has one.
func joined(chain []*schema.Step) string {
	names := fmt.Sprintf("%s, %s and %s", chain[0].Name, chain[1].Name, chain[2].Name)
	var tags []string
	for _, st := range chain {
		if len(st.Policy.Tags) == 0 {
			return names
		}
		if tag := st.Policy.Tags[0]; !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return names + " (--tags " + strings.Join(tags, ",") + ")"
}

// unconditional reports that a step certainly runs on a host that has come so far.
func unconditional(st *schema.Step) bool {
	_, when := st.Conditions["when"]
	return !when && st.Policy.RunOn != "failure"
}

package survey

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"esxiplan/engine/gates"
	"esxiplan/engine/step"
	"esxiplan/schema"
)

// Options choose what a run does.
type Options struct {
	Choice
	DryRun      bool
	InFlight    string // "" takes the plan's
	MaxFailures string // "" is no budget
}

// Survey is what a run will touch.
type Survey struct {
	Plan    *schema.Plan
	Options Options

	types     map[string]*step.Type
	chosen    map[string]bool
	hosts     []*schema.Host
	protected map[string]bool // hosts of the run that are left out
	limits    gates.Limits

	mu     sync.Mutex
	before map[task]step.Effects // as far as they are known before the run
}

// task is one step on one host.
type task struct{ host, step string }

// New surveys a run. Diagnostics say what cannot work in the choice, or in the plan under this
// choice.
func New(p *schema.Plan, types []*step.Type, o Options) (*Survey, hcl.Diagnostics) {
	s := &Survey{Plan: p, Options: o, types: map[string]*step.Type{}, protected: map[string]bool{}, before: map[task]step.Effects{}}
	for _, t := range types {
		s.types[t.Name] = t
	}
	chosen, diags := o.steps(p)
	hosts, moreDiags := o.hosts(p)
	diags = append(diags, moreDiags...)
	s.chosen, s.hosts = chosen, hosts
	in := map[string]bool{}
	for _, h := range hosts {
		in[h.Name] = true
		s.protected[h.Name] = h.Protected && s.changes(h)
	}
	diags = append(diags, s.setLimits()...)
	if !diags.HasErrors() {
		diags = append(diags, s.checkSense()...)
	}
	if !diags.HasErrors() {
		diags = append(diags, p.CheckSteps(func(h *schema.Host, st *schema.Step) schema.Treatment {
			if !in[h.Name] {
				return schema.Skipped
			}
			return s.Treatment(h, st)
		})...)
	}
	return s, diags
}

func (s *Survey) setLimits() hcl.Diagnostics {
	var diags hcl.Diagnostics
	read := func(what, text string, hosts, least int) int {
		n, err := limitOf(text, hosts, least)
		if err != nil {
			diags = append(diags, usage("Invalid limit", "%s: %v.", what, err))
		}
		return n
	}
	inFlight := s.Options.InFlight
	if inFlight == "" {
		inFlight = s.Plan.InFlight
	}
	working := len(s.Working())
	l := gates.Limits{InFlight: read("in_flight", inFlight, working, 1), Failures: read("--max-failures", s.Options.MaxFailures, working, 0),
		Groups: map[string]int{}}
	if l.Failures >= 0 && l.InFlight < 0 {
		l.InFlight = max(1, l.Failures)
	}
	for _, g := range s.Plan.Groups {
		l.Groups[g.Name] = read("in_flight of group "+g.Name, g.InFlight, len(g.Hosts), 1)
	}
	s.limits = l
	return diags
}

// Limits bound what the hosts of the run do together.
func (s *Survey) Limits() gates.Limits { return s.limits }

// checkSense refuses a run in which no host has anything to do, and one whose hosts would
// wait for one another for ever: those in flight at a barrier, the others for a place in
// flight.
func (s *Survey) checkSense() hcl.Diagnostics {
	busy, writes, bound := false, false, s.bound()
	for _, st := range s.Steps() {
		busy = busy || slices.ContainsFunc(s.hosts, st.Applies)
		if st.Policy.Barrier && writes && bound {
			return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Barrier that cannot open", Subject: &st.Range,
				Detail: fmt.Sprintf("Step %q waits for all hosts, but in_flight (or --max-failures, which bounds it, "+
					"too) lets only some of them begin to write before it. Raise the bound, or take the barrier away.", st.Name)}}
		}
		writes = writes || s.types[st.Type].Most.Writes
	}
	if !busy {
		return hcl.Diagnostics{usage("Nothing to run", "None of the chosen steps applies to any of the chosen hosts.")}
	}
	return nil
}

// bound reports that not all hosts may be in flight at once.
func (s *Survey) bound() bool {
	within := func(limit, hosts int) bool { return limit >= 0 && limit < hosts }
	working, inGroup := s.Working(), map[string]int{}
	for _, h := range working {
		inGroup[h.Group]++
	}
	return within(s.limits.InFlight, len(working)) || slices.ContainsFunc(s.Plan.Groups, func(g *schema.Group) bool {
		return within(s.limits.Groups[g.Name], inGroup[g.Name])
	})
}

// Type is the type of a step.
func (s *Survey) Type(st *schema.Step) *step.Type { return s.types[st.Type] }

// Hosts lists the hosts of the run in plan order.
func (s *Survey) Hosts() []*schema.Host { return s.hosts }

// Steps lists the chosen steps in plan order.
func (s *Survey) Steps() []*schema.Step {
	var steps []*schema.Step
	for _, st := range s.Plan.Steps {
		if s.chosen[st.Name] {
			steps = append(steps, st)
		}
	}
	return steps
}

// changes reports whether the run changes something for a host: its machine, the medium
// that is made for it, or what an installation leaves behind.
func (s *Survey) changes(h *schema.Host) bool {
	return slices.ContainsFunc(s.Steps(), func(st *schema.Step) bool {
		most := s.types[st.Type].Most
		return st.Applies(h) && (most.Writes || most.Builds || most.Waits)
	})
}

// IsProtected reports a host that is left out because the plan protects it.
func (s *Survey) IsProtected(h *schema.Host) bool { return s.protected[h.Name] }

// Protected lists the hosts that are left out because the plan protects them.
func (s *Survey) Protected() []*schema.Host { return s.hostsThat(s.IsProtected) }

// Working lists the other hosts of the run.
func (s *Survey) Working() []*schema.Host {
	return s.hostsThat(func(h *schema.Host) bool { return !s.IsProtected(h) })
}

func (s *Survey) hostsThat(is func(*schema.Host) bool) (out []*schema.Host) {
	for _, h := range s.hosts {
		if is(h) {
			out = append(out, h)
		}
	}
	return out
}

// Wipes lists the hosts that this run may start an installer on.
func (s *Survey) Wipes() []*schema.Host {
	return s.hostsThat(func(h *schema.Host) bool {
		return !s.IsProtected(h) && s.Settings(h).Installs && s.any(h, func(e step.Effects) bool { return e.Starts })
	})
}

// Stops lists the hosts whose machine this run may power off or restart.
func (s *Survey) Stops() []*schema.Host {
	return s.hostsThat(func(h *schema.Host) bool {
		return !s.IsProtected(h) && s.any(h, func(e step.Effects) bool { return e.Stops })
	})
}

// any reports whether a chosen step has an effect on a host.
func (s *Survey) any(h *schema.Host, has func(step.Effects) bool) bool {
	return slices.ContainsFunc(s.Steps(), func(st *schema.Step) bool {
		return st.Applies(h) && s.may(h, st, has)
	})
}

// Settings are what the guards of a host need to know of the plan and the run.
func (s *Survey) Settings(h *schema.Host) step.Settings {
	out := step.Settings{DryRun: s.Options.DryRun, StopsServing: s.stopsServing(h)}
	for _, st := range s.Plan.Steps {
		most := s.types[st.Type].Most
		if !st.Applies(h) {
			continue
		}
		out.Installs = out.Installs || most.Mounts || s.sets(h, st)
		if most.Mounts {
			out.Medium = cmp.Or(out.Medium, s.Beforehand(h, st).Medium)
		}
		out.FirstBoot = out.FirstBoot || unconditional(st) && s.Beforehand(h, st).FirstBoot
		if s.awaits(h, st) {
			out.WaitStep = st.Name
		}
	}
	return out
}

// WaitStep is the name of the plan's last step that waits for the end of an installation
// of a host, "" without such a step.
func (s *Survey) WaitStep() (name string) {
	for _, st := range s.Plan.Steps {
		if slices.ContainsFunc(s.hosts, func(h *schema.Host) bool { return s.awaits(h, st) }) {
			name = st.Name
		}
	}
	return name
}

// awaits reports a step of the plan at which a later run can wait for the end of an
// installation.
func (s *Survey) awaits(h *schema.Host, st *schema.Step) bool {
	return st.Name != s.Options.Only && st.Applies(h) && s.Waits(h, st)
}

// Serves reports that the images of this run end with it.
func (s *Survey) Serves() bool { return s.Plan.Media != nil && s.Plan.Media.Serves() }

// Serving refuses a run that mounts images which it stops serving before anything could
// have booted them: "" if it does not.
func (s *Survey) Serving() string {
	if !s.mountsOurs() || !slices.ContainsFunc(s.Working(), s.stopsServing) {
		return ""
	}
	return "this run would mount images that it serves itself (media.listen) and end before they are read. " +
		"Run the wait step, too, or publish to a directory (media.directory and url)"
}

// stopsServing reports that the images of this run end with it, and that it waits for no
// installation of the host.
func (s *Survey) stopsServing(h *schema.Host) bool {
	return s.Serves() && !s.any(h, func(e step.Effects) bool { return e.Waits })
}

// mountsOurs reports a chosen step that mounts what a step of the plan builds.
func (s *Survey) mountsOurs() bool {
	return slices.ContainsFunc(s.Steps(), func(st *schema.Step) bool {
		return s.types[st.Type].Most.Mounts && slices.ContainsFunc(s.Plan.Steps, func(build *schema.Step) bool {
			return s.types[build.Type].Most.Builds && st.RefersTo("step", build.Name)
		})
	})
}

// Treatment says what the run does with a step on one of its hosts: it runs it, leaves it
// out, or recalls its result because a step that runs needs it.
func (s *Survey) Treatment(h *schema.Host, st *schema.Step) schema.Treatment {
	switch {
	case !st.Applies(h):
		return schema.Skipped
	case s.chosen[st.Name]:
		return schema.Runs
	case s.types[st.Type].Recall != nil && (s.Needed(h, st.Name) || s.compared(h, st.Name)):
		return schema.Recalled
	}
	return schema.Skipped
}

// Needed reports whether a step that runs refers to the result of another.
func (s *Survey) Needed(h *schema.Host, name string) bool {
	return slices.ContainsFunc(s.Plan.Steps, func(st *schema.Step) bool {
		return s.chosen[st.Name] && st.Applies(h) && st.RefersTo("step", name)
	})
}

// compared reports whether the result of a step says what a restart of this run should
// boot: that of a step to whose result a mounting step refers, before a step that starts the
// machine. What was mounted is compared with it.
func (s *Survey) compared(h *schema.Host, name string) bool {
	mounts := false
	for _, st := range s.Plan.Steps {
		if !st.Applies(h) {
			continue
		}
		if mounts && s.chosen[st.Name] && s.Starts(h, st) {
			return true
		}
		mounts = mounts || s.types[st.Type].Most.Mounts && st.RefersTo("step", name)
	}
	return false
}

// NeedsFacts reports that a host's facts are read before its first step: an expression
// refers to them, or a step needs the disk or NIC that they choose.
func (s *Survey) NeedsFacts(h *schema.Host) bool {
	if h.Deferred() && slices.ContainsFunc(s.Steps(), func(st *schema.Step) bool { return st.Applies(h) && s.usesDisk(h, st) }) {
		return true
	}
	return slices.ContainsFunc(s.Plan.Steps, func(st *schema.Step) bool {
		return s.Treatment(h, st) != schema.Skipped && st.RefersTo("host", "facts")
	})
}

// usesDisk reports whether a step needs to know the host's disk.
func (s *Survey) usesDisk(h *schema.Host, st *schema.Step) bool {
	return s.types[st.Type].Most.Disk || s.Starts(h, st)
}

// Effects are what a step does on a host, as far as its arguments are known from these
// results; if they are unknown, the most that it may do.
func (s *Survey) Effects(h *schema.Host, st *schema.Step, results map[string]cty.Value) step.Effects {
	t := s.types[st.Type]
	known := map[string]cty.Value{}
	for _, other := range s.Plan.Steps {
		if v, ok := results[other.Name]; ok && v != cty.NilVal && !v.IsNull() {
			known[other.Name] = v
		} else {
			known[other.Name] = cty.UnknownVal(s.types[other.Type].Result.Type())
		}
	}
	value, diags := s.Plan.Arguments(st, schema.Scope{Host: h, Results: known})
	if diags.HasErrors() || !value.IsWhollyKnown() {
		return t.Effects(nil)
	}
	value, _ = value.UnmarkDeep()
	b, err := ctyjson.Marshal(value, value.Type())
	if err != nil {
		return t.Effects(nil)
	}
	return t.Effects(b)
}

// may reports whether a step has an effect on a host, as far as that is known before the
// run.
func (s *Survey) may(h *schema.Host, st *schema.Step, has func(step.Effects) bool) bool {
	return has(s.types[st.Type].Most) && has(s.Beforehand(h, st))
}

// Beforehand are the effects of a step as far as they are known before the run, computed
// once.
func (s *Survey) Beforehand(h *schema.Host, st *schema.Step) step.Effects {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := task{h.Name, st.Name}
	e, ok := s.before[key]
	if !ok {
		e = s.Effects(h, st, nil)
		s.before[key] = e
	}
	return e
}

// sets reports whether a step sets a boot source other than the disk.
func (s *Survey) sets(h *schema.Host, st *schema.Step) bool {
	return s.may(h, st, func(e step.Effects) bool { return e.Sets })
}

// Waits reports whether a step waits for the end of an installation.
func (s *Survey) Waits(h *schema.Host, st *schema.Step) bool {
	return s.may(h, st, func(e step.Effects) bool { return e.Waits })
}

// Starts reports whether a step may start the machine.
func (s *Survey) Starts(h *schema.Host, st *schema.Step) bool {
	return s.may(h, st, func(e step.Effects) bool { return e.Starts })
}

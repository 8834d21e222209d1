package proposal

import (
	"fmt"
	"slices"
	"strings"

	"esxiplan/engine/event"
)

// Schema is the version of the form. Fields are added, never re-used; the JSON Schema is
// engine/proposal/proposal.schema.json.
const Schema = 1

// Outcome is what would happen to a host.
type Outcome string

// The outcomes, worst first.
const (
	Refused     Outcome = "refused"     // a guard says no, or a step would fail
	Unreachable Outcome = "unreachable" // its BMC does not answer
	Install     Outcome = "install"     // its disks are erased
	Change      Outcome = "change"      // something is written, and no disk erased
	Unchanged   Outcome = "unchanged"   // nothing is written
	LeftOut     Outcome = "left_out"    // protected by the plan, or it failed before in the run
	Undecided   Outcome = "undecided"   // the dry run was stopped, or the machine was not looked at
)

// Proposal is what a run would do, host by host.
type Proposal struct {
	Schema  int      `json:"schema"`
	Plan    string   `json:"plan"`
	Steps   []string `json:"steps"`
	Offline bool     `json:"offline,omitempty"` // no machine was looked at
	Note    string   `json:"note,omitempty"`    // placeholders of a simulation
	Hosts   []*Host  `json:"hosts"`
	Summary Summary  `json:"summary"`
}

// Document is a proposal as a JSON document, with what is not compared at its end.
type Document struct {
	*Proposal
	Made Made `json:"made"`
}

// Host is what a run would do to one host.
type Host struct {
	Host     string          `json:"host"`
	Group    string          `json:"group,omitempty"`
	BMC      string          `json:"bmc,omitempty"`     // address, and system where there are several
	Address  string          `json:"address,omitempty"` // of the ESXi that is to be there
	Outcome  Outcome         `json:"outcome"`
	Text     string          `json:"text,omitempty"`    // why it is left out, or what was not looked at
	Machine  *event.Machine  `json:"machine,omitempty"` // as it is now; nil: nothing is to be written to it
	Changes  []event.Planned `json:"changes"`
	Open     []Open          `json:"open,omitempty"`     // what only the run can know
	Warnings []string        `json:"warnings,omitempty"` // of the dry run
	Problem  *event.Problem  `json:"problem,omitempty"`  // why it is refused or unreachable
	Step     string          `json:"step,omitempty"`     // that met the problem
}

// Open is what only the run can know of a step.
type Open struct {
	Step string `json:"step"`
	What string `json:"what"`
}

// Summary counts hosts.
type Summary struct {
	Hosts    map[Outcome]int `json:"hosts"`
	Disks    int             `json:"disks_erased"`
	Restarts int             `json:"restarts"` // of hosts that are installed
	Others   int             `json:"other_restarts"`
	Offs     int             `json:"power_offs"`
}

// Erases are the disks that an installer would overwrite on the host.
func (h *Host) Erases() []event.Disk {
	for _, c := range h.Changes {
		if c.Risk == event.Wipes && len(c.Erases) > 0 {
			return c.Erases
		}
	}
	return nil
}

// Restarts counts the boots of the machine: ForceOff and On are one.
func (h *Host) Restarts() int {
	steps := map[string]bool{}
	for _, c := range h.Changes {
		if c.Verb == event.Reset && c.Boots {
			steps[c.Step] = true
		}
	}
	return len(steps)
}

// risks reports a change of a risk.
func (h *Host) risks(r event.Risk) bool {
	return slices.ContainsFunc(h.Changes, func(c event.Planned) bool { return c.Risk == r })
}

// Stops reports that the machine would be restarted or powered off.
func (h *Host) Stops() bool {
	return h.risks(event.Reboots) || h.risks(event.PowersOff) || h.risks(event.Wipes)
}

// Wipes reports that disks of the host would be erased.
func (h *Host) Wipes() bool { return h.risks(event.Wipes) }

// Of is a host of the proposal; nil: it has no host of this name.
func (p *Proposal) Of(host string) *Host {
	if i := slices.IndexFunc(p.Hosts, func(h *Host) bool { return h.Host == host }); i >= 0 {
		return p.Hosts[i]
	}
	return nil
}

// With lists the hosts of an outcome, in the order of the plan.
func (p *Proposal) With(outcomes ...Outcome) (out []*Host) {
	for _, h := range p.Hosts {
		if slices.Contains(outcomes, h.Outcome) {
			out = append(out, h)
		}
	}
	return out
}

// Summarise counts the hosts.
func (p *Proposal) Summarise() {
	s := Summary{Hosts: map[Outcome]int{}}
	for _, h := range p.Hosts {
		s.Hosts[h.Outcome]++
		if h.Outcome != Install && h.Outcome != Change {
			continue
		}
		s.Disks += len(h.Erases())
		if h.Outcome == Install {
			s.Restarts += h.Restarts()
		} else {
			s.Others += h.Restarts()
		}
		if h.risks(event.PowersOff) {
			s.Offs++
		}
	}
	p.Summary = s
}

// String is the summary in one sentence, such as: Plan: 12 hosts to install (12 disks erased,
// 12 restarts), 3 without change, 1 refused.
func (s Summary) String() string {
	var parts []string
	add := func(o Outcome, format string) {
		if n := s.Hosts[o]; n > 0 {
			parts = append(parts, fmt.Sprintf(format, n))
		}
	}
	if n := s.Hosts[Install]; n > 0 {
		parts = append(parts, fmt.Sprintf("%s to install (%s erased, %s)", event.Count(n, "host"), event.Count(s.Disks, "disk"), event.Count(s.Restarts, "restart")))
	}
	if n := s.Hosts[Change]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d to change", n)+s.stops())
	}
	add(Unchanged, "%d without change")
	add(LeftOut, "%d left out")
	add(Undecided, "%d not decided")
	add(Unreachable, "%d unreachable")
	add(Refused, "%d refused")
	if len(parts) == 0 {
		parts = []string{"no host"}
	}
	return "Plan: " + strings.Join(parts, ", ")
}

// stops says how many machines are restarted or powered off, except those that are installed.
func (s Summary) stops() string {
	var parts []string
	if s.Others > 0 {
		parts = append(parts, event.Count(s.Others, "restart"))
	}
	if s.Offs > 0 {
		parts = append(parts, fmt.Sprintf("%d powered off", s.Offs))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// Exit is the exit code of a plan. detailed is --detailed-exitcode: changes are 2, and hosts
// that are refused or unreachable 1 or 4.
func (s Summary) Exit(detailed bool) int {
	refused, unreachable := s.Hosts[Refused] > 0, s.Hosts[Unreachable] > 0
	switch {
	case detailed && refused:
		return event.ExitUsage
	case refused && unreachable:
		return event.ExitBoth
	case refused:
		return event.ExitFailed
	case unreachable:
		return event.ExitUnreachable
	case detailed && s.Hosts[Install]+s.Hosts[Change] > 0:
		return exitChanges
	}
	return event.ExitOK
}

// exitChanges is the exit code of a plan with changes, if the caller asks for it.
const exitChanges = 2

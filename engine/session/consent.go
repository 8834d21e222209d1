package session

import (
	"esxiplan/engine/proposal"
	"esxiplan/engine/step"
)

// Agreement is what the user agreed to; the zero value is nothing.
type Agreement struct {
	all      bool
	hosts    map[string]step.Consent
	approved map[string]*step.Approved // nil: the run applies no saved plan
}

// Everything agrees to all that a run may do, as --yes does.
func Everything() Agreement { return Agreement{all: true} }

// Agree agrees to what a proposal shows of wiping and stopping machines, and to no more: a
// machine that was off when it was made, and is on by then, is not stopped, and no other disk is
// erased than those that were shown.
func Agree(p *proposal.Proposal) Agreement {
	a := Agreement{hosts: map[string]step.Consent{}}
	for _, h := range p.With(proposal.Refused, proposal.Unreachable, proposal.Undecided) {
		a.hosts[h.Host] = step.Consent{Barred: "it was " + string(h.Outcome) + " when the question was asked"}
	}
	for _, h := range p.With(proposal.Install, proposal.Change) {
		c := step.Consent{Stop: h.Stops(), Wipe: h.Wipes()}
		if c.Wipe {
			c.Shown = &step.Shown{Disks: h.Erases()}
		}
		a.hosts[h.Host] = c
	}
	return a
}

// Apply agrees to the changes of a proposal, and to no other change at all.
func Apply(p *proposal.Proposal) Agreement {
	a := Agree(p)
	a.approved = map[string]*step.Approved{}
	for _, h := range p.Hosts {
		a.approved[h.Host] = &step.Approved{Machine: h.Machine, Changes: h.Changes}
	}
	return a
}

// Of is what may be done to a host.
func (a Agreement) Of(host string) step.Consent {
	if a.all {
		return step.Consent{Stop: true, Wipe: true}
	}
	return a.hosts[host]
}

// Approved is what a saved plan allows for a host; nil: the run applies none, and its guards
// decide alone. A host that is not in the saved plan must not be changed.
func (a Agreement) Approved(host string) *step.Approved {
	switch {
	case a.approved == nil:
		return nil
	case a.approved[host] == nil:
		return &step.Approved{}
	}
	return a.approved[host]
}

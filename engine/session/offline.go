package session

import (
	"esxiplan/engine/event"
	"esxiplan/engine/proposal"
	"esxiplan/engine/step"
	"esxiplan/schema"
)

// Offline is what the run would do as far as the plan alone shows: it reads no machine.
// declared is as for [proposal.Fold].
func (p *Prepared) Offline(declared map[string]proposal.Host) *proposal.Proposal {
	out := &proposal.Proposal{Schema: proposal.Schema, Plan: p.Plan.Name, Steps: p.stepNames(), Offline: true, Note: p.o.Note}
	for _, h := range p.Survey.Hosts() {
		d := declared[h.Name]
		d.Host, d.Changes = h.Name, []event.Planned{}
		if p.Survey.IsProtected(h) {
			d.Outcome, d.Text = proposal.LeftOut, "protected"
		} else {
			p.predict(h, &d)
		}
		out.Hosts = append(out.Hosts, &d)
	}
	out.Summarise()
	return out
}

// predict says what the steps do to a host.
func (p *Prepared) predict(h *schema.Host, d *proposal.Host) {
	for _, s := range p.Survey.Steps() {
		if !s.Applies(h) {
			continue
		}
		effects := p.Survey.Beforehand(h, s)
		changes := predicted(h, effects, p.Survey.Settings(h).Installs)
		for _, c := range changes {
			d.Changes = append(d.Changes, event.Planned{Step: s.Name, Type: s.Type, Change: c})
		}
		if len(changes) == 0 && effects.Writes {
			d.Open = append(d.Open, proposal.Open{Step: s.Name, What: "what it writes depends on the machine, which was not looked at"})
		}
	}
	d.Outcome = proposal.OutcomeOf(d)
}

// predicted are the changes that a step may make at most, as far as its arguments say. The
// present state is not known, nor, if New is empty, which requests change it.
func predicted(h *schema.Host, e step.Effects, installs bool) (out []event.Change) {
	add := func(is bool, c event.Change) {
		if c.Old = event.NotLooked; is {
			out = append(out, c)
		}
	}
	add(e.Builds, event.Change{Door: event.DoorMedia, Verb: event.Publish, Target: "image", New: event.Unbuilt})
	add(e.Mounts, event.Change{Door: event.DoorBMC, Verb: event.Insert, Target: "virtual media", New: event.Unbuilt, Risk: event.Mounts})
	add(e.Sets, event.Change{Door: event.DoorBMC, Verb: event.SetBoot, Target: "source"})
	reset := event.Change{Door: event.DoorBMC, Verb: event.Reset, Target: "power"}
	switch {
	case e.Starts && installs:
		reset.Risk, reset.Intent = event.Wipes, event.Intent{Boots: true, Installs: true, Erases: unread(h)}
	case e.Starts:
		reset.Risk, reset.Intent = event.Reboots, event.Intent{Boots: true}
	default:
		reset.Risk = event.PowersOff
	}
	add(e.Starts || e.Stops, reset)
	return out
}

// unread are the disks that an installation overwrites, in the words of the plan.
func unread(h *schema.Host) (out []event.Disk) {
	if h.ESXi == nil || h.ESXi.Disk == nil {
		return nil
	}
	for i, d := range append([]schema.Disk{*h.ESXi.Disk}, h.ESXi.Wipe...) {
		out = append(out, event.Disk{Wanted: d.String(), Cleared: i > 0, Unread: true})
	}
	return out
}

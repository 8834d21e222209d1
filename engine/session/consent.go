package session

import (
	"slices"

	"esxiplan/engine/step"
	"esxiplan/schema"
)

// Question is what somebody has to agree to before a run starts.
type Question struct {
	Wipes []*schema.Host // restarted into an installer, which wipes disks
	Stops []*schema.Host // powered off or restarted, not wiped, and on, or perhaps on
}

// Question is what a run that was prepared has to ask. running says which of the machines
// that the run would stop are on, or may be; it is asked once, and not about machines that
// are wiped: who agrees to that has agreed to their restart.
func (p *Prepared) Question(running func([]*schema.Host) []*schema.Host) Question {
	return question(p.Wipes(), p.Stops(), running)
}

func question(wipes, stops []*schema.Host, running func([]*schema.Host) []*schema.Host) Question {
	q := Question{Wipes: wipes}
	stops = slices.DeleteFunc(slices.Clone(stops), func(h *schema.Host) bool { return slices.Contains(wipes, h) })
	if len(stops) > 0 {
		q.Stops = running(stops)
	}
	return q
}

// Needed reports that there is something to agree to.
func (q Question) Needed() bool { return len(q.Wipes)+len(q.Stops) > 0 }

// Agreement is what was agreed to; the zero value is nothing.
type Agreement struct {
	all   bool
	hosts map[string]step.Consent
}

// Everything agrees to all that a run may do, as --yes does.
func Everything() Agreement { return Agreement{all: true} }

// Yes agrees to what was asked, and to no more: a machine that was off when the question was
// asked, and is on by then, is not stopped.
func (q Question) Yes() Agreement {
	a := Agreement{hosts: map[string]step.Consent{}}
	for _, h := range q.Stops {
		a.hosts[h.Name] = step.Consent{Stop: true}
	}
	for _, h := range q.Wipes {
		a.hosts[h.Name] = step.Consent{Stop: true, Wipe: true}
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

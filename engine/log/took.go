package log

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/step"
)

// installation is how long one took that was proven: from each phase that was seen to the
// proof.
type installation struct {
	Machine string                        `json:"machine"`
	Proven  time.Time                     `json:"proven"`
	From    map[event.Phase]event.Seconds `json:"from"`
}

// installations are those of one model, in the order of their proofs.
type installations []installation

// keptInstallations is how many of a model are kept, the latest.
const keptInstallations = 50

// learn takes in how long the installation took that has just been proven on a machine, where
// the wait that proved it watched from the reset on. Who looks late sees phases, and the proof,
// late.
func (p *past) learn(machine string, proven event.Entered) {
	h := p.of(machine)
	last, ok := h.LastReset()
	watched := !proven.Watched.IsZero() && proven.Watched.Sub(last.Time) <= step.Lapse
	if !ok || last.Phase() != event.PhaseProven || h.Model() == "" || !watched {
		return
	}
	i := installation{machine, last.Phases[len(last.Phases)-1].Time, map[event.Phase]event.Seconds{}}
	for _, passed := range last.Phases {
		from := passed.Time
		if passed.Phase == event.PhaseRestart {
			from = last.Time
		}
		if took := i.Proven.Sub(from); took > 0 {
			i.From[passed.Phase] = event.Seconds(took.Round(time.Millisecond)) // as it is written
		}
	}
	p.Models[h.Model()] = p.Models[h.Model()].with(i)
}

// with adds one. The order in which logs are read does not matter.
func (all installations) with(i installation) installations {
	at, known := slices.BinarySearchFunc(all, i, func(a, b installation) int {
		return cmp.Or(a.Proven.Compare(b.Proven), strings.Compare(a.Machine, b.Machine))
	})
	if known {
		return all
	}
	all = slices.Insert(slices.Clip(all), at, i)
	return all[max(0, len(all)-keptInstallations):]
}

// expected is how long they took from a phase; nil where none was seen in it.
func (all installations) expected(from event.Phase) *event.Expected {
	var took []event.Seconds
	for _, i := range all {
		if t, seen := i.From[from]; seen {
			took = append(took, t)
		}
	}
	if len(took) == 0 {
		return nil
	}
	slices.Sort(took)
	n := len(took)
	return &event.Expected{Runs: n, Median: (took[(n-1)/2] + took[n/2]) / 2, Low: took[0], High: took[n-1]}
}

// Expected is how long the latest installations of a model took from a phase to the proof, by
// what the logs told when they were read; nil where none is known.
func (p *Past) Expected(model string, from event.Phase) *event.Expected {
	return p.past.Models[model].expected(from)
}

// Expected is how long the latest installations of a model took from a phase to the proof;
// nil where none is known.
func (l *Log) Expected(model string, from event.Phase) *event.Expected {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.past.Models[model].expected(from)
}

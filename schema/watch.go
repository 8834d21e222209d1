package schema

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Bounds of the evaluation of a plan as a whole. They are the last defence: what is known to
// grow is stopped earlier (see [meter]), with a better message.
const (
	longestEvaluation = 10 * time.Second // of time and of processor time: a busy machine is no attack, and neither is a user at a prompt
	mostHeap          = 128 << 20        // bytes, of new objects that are in use; with garbage it may be twice as much
	mostHeapPerHost   = 64 << 10         // and for each host more
	mostHeapPerMade   = 8 << 10          // for each that a range or a dynamic block makes
	mostStacks        = 64 << 20         // bytes
	lookEvery         = 2 * time.Millisecond
)

// Bounds of a plan that is not trusted: its author bears no cost. All that is
// made of it before a rehearsal shares the first ones.
const (
	untrustedTakes        = time.Second
	untrustedTakesPerHost = time.Millisecond

	rehearsalTakes       = 10 * time.Minute // by the wall clock: a plan can also wait
	mostRehearsed        = 256 << 20        // bytes
	mostRehearsedPerHost = 2 << 20
)

// bounds are what may be used.
type bounds struct {
	elapsed, processor time.Duration // exceeding both is too much
	heap               uint64
	what               string // takes it, for messages
	remedy             string
}

// smaller is the remedy for what takes too much to evaluate.
const smaller = "Make its lists and texts smaller."

// bounds are those of the evaluation of a plan.
func (m *meter) bounds(hosts int) bounds {
	b := bounds{longestEvaluation, longestEvaluation, mostHeap + uint64(hosts)*mostHeapPerHost, "The evaluation of the plan", smaller}
	if m.untrusted {
		b.elapsed = untrustedTakes + time.Duration(hosts)*untrustedTakesPerHost
		b.processor = b.elapsed
	}
	return b
}

// Within runs what a command makes of a plan, and abandons it when an untrusted plan makes
// that take more than is left of the bounds of its evaluation. A caller that gets a problem
// must not touch the plan again, and must end the process soon.
func (p *Plan) Within(work func()) *hcl.Diagnostic {
	if !p.Untrusted() {
		work()
		return nil
	}
	return watch(p.meter, p.meter.began, p.meter.bounds(len(p.Hosts())), work)
}

// Rehearse is [Plan.Within] for a rehearsal, which may take minutes.
func (p *Plan) Rehearse(work func()) *hcl.Diagnostic {
	if !p.Untrusted() {
		work()
		return nil
	}
	heap := mostRehearsed + uint64(len(p.Hosts()))*mostRehearsedPerHost
	return watch(p.meter, used(), bounds{rehearsalTakes, 0, heap, "The rehearsal of the plan", "Rehearse fewer hosts (--limit), or make its timeouts shorter."}, work)
}

// watch waits for the evaluation of a plan, which cannot be interrupted, while it keeps to
// the bounds. If it does not, watch reports that and abandons it: a caller that gets that
// problem must end the process soon. A panic is passed on.
func watch(m *meter, began usage, most bounds, evaluate func()) *hcl.Diagnostic {
	done := make(chan error, 1)
	go func() {
		defer func() {
			var err error
			if r := recover(); r != nil {
				err = fmt.Errorf("%v\n%s", r, debug.Stack())
			}
			done <- err
		}()
		evaluate()
	}()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				panic(err)
			}
			return nil
		case <-ticker.C:
			now := most
			now.heap += uint64(m.expanded.Load()) * mostHeapPerMade
			u := used()
			if u.objects > began.objects+now.heap {
				runtime.GC() // how much of it is garbage is known too late otherwise: the collector waits for twice what is live
				u = used()
			}
			if text := u.excess(began, now); text != "" {
				m.stopped.Store(true)
				return m.overrun(most, text)
			}
		}
	}
}

// usage is what the process used up to a moment.
type usage struct {
	at        time.Time
	processor time.Duration
	live      uint64 // bytes, of objects that were in use when garbage was last collected
	objects   uint64 // bytes, of all objects, garbage as well
	stacks    uint64 // bytes
}

func used() usage {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	return usage{time.Now(), processorTime(), samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[2].Value.Uint64()}
}

// excess says which bound was exceeded since a moment.
func (u usage) excess(began usage, most bounds) string {
	heap := most.heap
	switch {
	case u.live > began.live+heap, u.objects > began.objects+began.live+2*heap:
		return fmt.Sprintf("takes more than %d MiB of memory", heap>>20)
	case u.stacks > began.stacks+mostStacks:
		return fmt.Sprintf("takes more than %d MiB of stack: something is nested too deeply", mostStacks>>20)
	case u.at.Sub(began.at) > most.elapsed && u.processor-began.processor > most.processor:
		return fmt.Sprintf("takes more than %v", most.elapsed)
	}
	return ""
}

func (m *meter) overrun(most bounds, text string) *hcl.Diagnostic {
	if m.untrusted {
		text += ", which is the limit of a plan that is not trusted (--untrusted)"
	}
	at := m.at.Load()
	if at == nil {
		return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Evaluates to too much", Detail: most.what + " " + text + ". " + most.remedy}
	}
	return problem(*at, "Evaluates to too much", "%s %s, and this argument was being evaluated then. %s", most.what, text, most.remedy)
}

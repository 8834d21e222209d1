package schema

import (
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Bounds of the evaluation of a plan as a whole. They are the last line: what is known to
// grow is stopped before (see [meter]), with a better message.
const (
	longestEvaluation = 10 * time.Second // of time and of processor time: a busy machine is no bomb, nor is a person who is asked
	mostHeap          = 128 << 20        // bytes, of new objects that are in use; with garbage it may be twice as much
	mostHeapPerHost   = 64 << 10         // and for each host more
	mostHeapPerMade   = 8 << 10          // for each that a range or a dynamic block makes
	mostStacks        = 64 << 20         // bytes
	lookEvery         = 2 * time.Millisecond
)

// watch waits for the evaluation of a plan, which cannot be interrupted, while it keeps to
// the bounds. Where it does not, watch tells so and leaves it behind: whoever gets that
// problem must end the process soon. A panic comes through.
func watch(m *meter, hosts int, evaluate func()) *hcl.Diagnostic {
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
	began := used()
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
			heap := mostHeap + uint64(hosts)*mostHeapPerHost + uint64(m.expanded.Load())*mostHeapPerMade
			if text := used().excess(began, heap); text != "" {
				m.stopped.Store(true)
				return m.overrun(text)
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

// excess says what is too much since a moment.
func (u usage) excess(began usage, heap uint64) string {
	switch {
	case u.live > began.live+heap, u.objects > began.objects+began.live+2*heap:
		return fmt.Sprintf("takes more than %d MiB of memory", heap>>20)
	case u.stacks > began.stacks+mostStacks:
		return fmt.Sprintf("takes more than %d MiB of stack: something is nested too deeply", mostStacks>>20)
	case u.at.Sub(began.at) > longestEvaluation && u.processor-began.processor > longestEvaluation:
		return fmt.Sprintf("takes more than %v", longestEvaluation)
	}
	return ""
}

func (m *meter) overrun(text string) *hcl.Diagnostic {
	at := m.at.Load()
	if at == nil {
		return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Evaluates to too much", Detail: "The evaluation of the plan " + text + ". Make its lists and texts smaller."}
	}
	return problem(*at, "Evaluates to too much", "The evaluation of the plan %s, and this argument was being evaluated then. Make its lists and texts smaller.", text)
}

package main

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/event"
)

// readings is a progress line that says how many BMCs have answered or failed, and for which it
// waits. Several goroutines may use it.
type readings struct {
	*view.ProgressLine
	total int
	began time.Time

	mu      sync.Mutex
	done    int
	failed  int
	waiting []string // hosts whose BMCs are asked now, the one that was asked first at the front
}

// newReadings begins to count so many BMCs, until Close.
func (a *app) newReadings(total int) *readings {
	r := &readings{total: total, began: time.Now()}
	r.ProgressLine = view.NewProgressLine(a.streams, r.text)
	return r
}

// count reads the BMC of a host, which it names meanwhile and counts afterwards.
func (r *readings) count(host string, read func() error) {
	r.mu.Lock()
	r.waiting = append(r.waiting, host)
	r.mu.Unlock()

	err := read()

	r.mu.Lock()
	defer r.mu.Unlock()
	at := slices.Index(r.waiting, host)
	r.waiting = slices.Delete(r.waiting, at, at+1)
	r.done++
	if err != nil {
		r.failed++
	}
}

func (r *readings) text() (string, []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	took := time.Since(r.began).Round(time.Second)
	done := fmt.Sprintf("read %d of %s in %s", r.done, event.Count(r.total, "BMC"), view.Span(took))
	if r.failed > 0 {
		done += fmt.Sprintf(", %d failed", r.failed)
	}
	return done, slices.Clone(r.waiting)
}

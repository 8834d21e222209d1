package schema

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestWatch abandons an evaluation that takes too much, and lets a panic through, on the
// goroutine that loads the plan: there it can be reported.
func TestWatch(t *testing.T) {
	for want, take := range map[string]func(*meter){"MiB of stack": func(m *meter) { deep(m, 0, [100]int{}) }, "MiB of memory": grow} {
		runtime.GC()  // what other tests left does not count as taken
		m := &meter{} // of its own: the evaluation continues for a moment
		if d := watch(m, used(), m.bounds(0), func() { take(m) }); d == nil || !strings.Contains(d.Detail, want) {
			t.Errorf("%s: %v", want, d)
		}
	}
	if d := watch(&meter{}, used(), new(meter).bounds(0), func() {}); d != nil {
		t.Errorf("what ends at once: %v", d)
	}
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(error).Error(), "oh") {
			t.Errorf("recovered %v", r)
		}
	}()
	watch(&meter{}, used(), new(meter).bounds(0), func() { panic("oh") })
}

// deep calls itself until it is stopped.
func deep(m *meter, n int, room [100]int) int {
	if m.stopped.Load() {
		return n
	}
	return deep(m, n+1, room) + room[n%len(room)]
}

// grow takes far more memory than the bound, and keeps it until it is stopped, or for as
// long as a busy machine may take to look.
func grow(m *meter) {
	var kept [][]byte
	for end := time.Now().Add(30 * time.Second); !m.stopped.Load() && time.Now().Before(end); {
		if len(kept) < 4*mostHeap>>20 {
			kept = append(kept, make([]byte, 1<<20))
		} else {
			time.Sleep(time.Millisecond)
		}
	}
	runtime.KeepAlive(kept)
}

// TestTimeOfEvaluation counts neither the time of a prompt nor that in which others use the
// processors.
func TestTimeOfEvaluation(t *testing.T) {
	began, long := usage{at: time.Now()}, longestEvaluation+time.Second
	for _, c := range []struct {
		elapsed, processor time.Duration
		excess             bool
	}{{long, 0, false}, {0, long, false}, {long, long, true}} {
		u := usage{at: began.at.Add(c.elapsed), processor: c.processor}
		if got := u.excess(began, new(meter).bounds(0)) != ""; got != c.excess {
			t.Errorf("%v elapsed, %v of the processors: %v", c.elapsed, c.processor, got)
		}
	}
}

// TestUntrustedBounds: what is made of a plan that is not trusted shares the bounds of its
// evaluation, a rehearsal is measured by the wall clock, and a trusted plan is not
// watched.
func TestUntrustedBounds(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	waits := func() { <-end }
	runtime.GC() // what earlier tests kept is not this plan's
	m := &meter{untrusted: true}
	d := watch(m, used(), bounds{elapsed: time.Millisecond, processor: 0, heap: 1 << 62, what: "The rehearsal", remedy: "Rehearse less."}, waits)
	if d == nil || !strings.Contains(d.Detail, "The rehearsal takes more than 1ms, which is the limit of a plan that is not trusted (--untrusted). Rehearse less.") {
		t.Errorf("%v", d)
	}
	long := used()
	long.at, long.processor = long.at.Add(-time.Hour), long.processor-time.Hour
	p := &Plan{access: &Access{Untrusted: true}, meter: &meter{untrusted: true, began: long}}
	if d := p.Within(waits); d == nil || !strings.Contains(d.Detail, "takes more than 1s") {
		t.Errorf("what comes after the evaluation is not bounded: %v", d)
	}
	done := false
	if d := p.Rehearse(func() { done = true }); d != nil || !done {
		t.Errorf("a rehearsal has its own bounds: %v", d)
	}
	trusted := &Plan{access: &Access{}, meter: &meter{began: long}}
	if d := trusted.Within(func() { done = false }); d != nil || done {
		t.Errorf("a trusted plan: %v", d)
	}
	if most := m.bounds(500); most.elapsed != untrustedTakes+500*time.Millisecond || most.elapsed != most.processor {
		t.Errorf("500 hosts have %v", most.elapsed)
	}
}

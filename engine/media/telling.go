package media

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Served is what one client read of an image within a second, or a request or connection
// that was refused.
type Served struct {
	Client, Path    string
	Requests, Bytes int64  // requests that began or continued
	Refused         string // why, "" for what was served
}

// teller passes on what is to be logged. Any client can cause refusals, as fast as the
// network is: some of them are logged, and the others are counted.
type teller struct {
	log func(Served) // nil: nothing is logged

	mu     sync.Mutex
	tokens float64
	filled time.Time
	left   int64     // refusals that were not logged
	summed time.Time // when they were counted last
}

// Of refusals so many are logged at once, and after that one a second. The count of the others
// is logged every ten seconds.
const (
	refusalsAtOnce = 20
	refusalsSum    = 10 * time.Second
	longestPath    = 200 // bytes of it that are logged
)

// tell logs what was served, and as many refusals as are worth reading.
func (t *teller) tell(e Served) {
	if t.log == nil || e.Refused != "" && !t.worth(time.Now()) {
		return
	}
	if len(e.Path) > longestPath {
		e.Path = e.Path[:longestPath] + "…"
	}
	t.log(e)
}

// worth takes a token for a refusal, or counts it.
func (t *teller) worth(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tokens = min(refusalsAtOnce, t.tokens+now.Sub(t.filled).Seconds())
	t.filled = now
	if t.tokens < 1 {
		t.left++
		return false
	}
	t.tokens--
	return true
}

// sum logs how many refusals were not logged, when that is due or the server ends.
func (t *teller) sum(now time.Time, end bool) {
	t.mu.Lock()
	left := t.left
	if left == 0 || now.Sub(t.summed) < refusalsSum && !end {
		t.mu.Unlock()
		return
	}
	t.left, t.summed = 0, now
	t.mu.Unlock()
	t.log(Served{Refused: fmt.Sprintf("%d more refused requests and closed connections are not shown", left)})
}

// Write logs connections that failed, as http.Server reports them.
func (t *teller) Write(p []byte) (int, error) {
	t.tell(Served{Refused: strings.TrimSpace(string(p))})
	return len(p), nil
}

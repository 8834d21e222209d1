package bmc

import (
	"context"
	"fmt"
	"sync"
)

// Logins watches one credential across all BMCs of a run: after three BMCs
// refused it, it is wrong, and is not used further.
type Logins struct {
	mu      sync.Mutex
	changed chan struct{}
	state   map[string]*credential
}

type credential struct {
	accepted bool
	pending  int
	refused  int
}

const maxRefusals = 3

// NewLogins starts with no credential known.
func NewLogins() *Logins {
	return &Logins{changed: make(chan struct{}), state: map[string]*credential{}}
}

// begin waits until the credential may be tried. Until one BMC has accepted it,
// no more than three try it at the same time.
func (l *Logins) begin(ctx context.Context, key string) error {
	for {
		l.mu.Lock()
		c := l.state[key]
		if c == nil {
			c = &credential{}
			l.state[key] = c
		}
		if c.refused >= maxRefusals {
			l.mu.Unlock()
			return fmt.Errorf("not tried, because %d other BMCs refused the same user and password", c.refused)
		}
		if c.accepted || c.refused+c.pending < maxRefusals {
			c.pending++
			l.mu.Unlock()
			return nil
		}
		wait := l.changed
		l.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type verdict int

const (
	noVerdict verdict = iota
	accepted
	refused
)

func (l *Logins) end(key string, v verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.state[key]
	c.pending--
	switch v {
	case accepted:
		c.accepted = true
	case refused:
		c.refused++
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

package local

import (
	"context"
	"time"
)

// Clock is the time of a run. Speed 1 is the real one; a rehearsal runs faster.
type Clock struct {
	start time.Time
	speed float64
}

// NewClock starts a clock now. Speed 0 means 1.
func NewClock(speed float64) *Clock {
	if speed <= 0 {
		speed = 1
	}
	return &Clock{time.Now(), speed}
}

// NewClockAt makes the clock that another process started at start with a speed.
func NewClockAt(start time.Time, speed float64) *Clock { return &Clock{start, speed} }

// Origin is when the clock was started, and its speed.
func (c *Clock) Origin() (time.Time, float64) { return c.start, c.speed }

// Now is the time of the run.
func (c *Clock) Now() time.Time { return c.At(time.Now()) }

// At is what the clock showed at a time of the real one.
func (c *Clock) At(t time.Time) time.Time { return c.start.Add(c.Scaled(t.Sub(c.start))) }

// Scaled is how much of the run's time d of the real one is.
func (c *Clock) Scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * c.speed)
}

// Real is how long d of the run's time takes.
func (c *Clock) Real(d time.Duration) time.Duration { return time.Duration(float64(d) / c.speed) }

// Sleep waits for d of the run's time, or for the end of ctx.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(c.Real(d))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

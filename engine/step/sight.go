package step

import (
	"context"
	"time"

	"esxiplan/engine/bmc"
)

// Lapse is the longest pause between two looks at an installation that count as watching it: in
// a longer one a machine can pass from one phase into another, and through POST, unseen. Who
// begins to look that soon after a reset has watched it from the reset on.
const Lapse = 5 * time.Minute

// series are looks of which none came more than a [Lapse] after the one before it.
type series struct{ since, latest time.Time }

// look adds a look; after a longer pause, it begins another series.
func (s *series) look(now time.Time) {
	if now.Sub(s.latest) > Lapse {
		s.since = now
	}
	s.latest = now
}

// Watch notes that a wait looks at the installation now, by whatever way. What it enters in the
// log tells since when it has watched.
func (h *Host) Watch() { h.watched.look(h.Now()) }

// Sight is what one look at a machine through its BMC showed.
type Sight struct {
	Time   time.Time
	Power  bmc.Power
	Boot   bmc.Boot
	Drives []bmc.Slot // that hold our image, or may
	// Through is when the firmware was last seen to have left POST, zero where it never was.
	Through time.Time
	// Since is when the first of the looks was that led to this one without a pause longer than
	// a [Lapse]: only this process's own. Looks that failed show nothing and do not count.
	Since time.Time
}

// Throughout reports that the BMC was looked at since soon after a reset, so that the machine
// left no POST since without being seen.
func (s Sight) Throughout(reset time.Time) bool {
	return s.Time.After(reset) && s.Since.Sub(reset) <= Lapse
}

// String is the sight in words.
func (s Sight) String() string {
	text := "power state " + string(s.Power.State)
	if s.Power.Post != "" {
		text += ", " + s.Power.Post
	}
	for _, d := range s.Drives {
		if d.Loaded {
			text += ", " + d.Name() + " holds " + d.Shown()
		}
	}
	if s.Boot.Target != bmc.BootNone {
		text += ", set to boot " + s.Boot.String()
	}
	return text
}

// Look looks at the machine through its BMC, unless it did so, or tried to, less than an
// age ago: BMCs are slow, and what waits looks often.
func (h *Host) Look(ctx context.Context, age time.Duration) (Sight, error) {
	if !h.seen.Time.IsZero() && h.Now().Sub(h.seen.Time) < age {
		return h.seen, h.unseen
	}
	through := h.seen.Through
	h.seen, h.unseen = h.look(ctx)
	if p := h.seen.Power; p.Post != "" && !p.Posting && p.State == bmc.On {
		through = h.seen.Time
	}
	if h.unseen == nil {
		h.sights.look(h.seen.Time)
	}
	h.seen.Through, h.seen.Since = through, h.sights.since
	return h.seen, h.unseen
}

func (h *Host) look(ctx context.Context) (s Sight, err error) {
	s.Time = h.Now()
	err = h.BMC.Prefetch(ctx, func(ctx context.Context, r bmc.Reader) {
		r.Power(ctx)
		boot, _ := r.Boot(ctx)
		h.BMC.drives(ctx, r, boot)
	})
	if err != nil {
		return s, err
	}
	if s.Power, err = h.BMC.Power(ctx); err != nil {
		return s, err
	}
	if s.Boot, err = h.BMC.Boot(ctx); err != nil {
		return s, err
	}
	s.Drives, err = h.BMC.drives(ctx, h.BMC.Reader, s.Boot)
	return s, err
}

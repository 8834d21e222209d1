package step

import (
	"context"
	"time"

	"esxiplan/engine/bmc"
)

// Sight is what one look at a machine through its BMC showed.
type Sight struct {
	Time   time.Time
	Power  bmc.Power
	Boot   bmc.Boot
	Drives []bmc.Slot // that hold our image, or may
	// Through is when the firmware was last seen to have left POST, zero where it never was.
	Through time.Time
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
	h.seen.Through = through
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

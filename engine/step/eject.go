package step

import (
	"context"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
)

// Empty ejects what is in the drives that which picks, one after the other, and waits
// until each reads empty: a BMC may show one drive in two places. It returns the IDs of
// the drives that it emptied.
func (h *Host) Empty(ctx context.Context, which func(bmc.Slot) bool, i event.Intent) (ejected []string, err error) {
	ejected = []string{}
	emptied := map[bmc.Link]bool{}
	for {
		slots, err := h.BMC.Slots(ctx)
		if err != nil {
			return ejected, err
		}
		s, ok := firstLoaded(slots, which)
		if !ok {
			return ejected, nil
		}
		if emptied[s.URI] { // the list lags behind, or somebody mounts again
			return ejected, &Unsettled{What: s.Name() + " reads empty in the list of slots, too"}
		}
		emptied[s.URI] = true
		if err := h.BMC.Eject(ctx, s, i); err != nil {
			return ejected, err
		}
		if err := h.Emptied(ctx, s); err != nil {
			return ejected, err
		}
		ejected = append(ejected, s.ID)
	}
}

func firstLoaded(slots []bmc.Slot, which func(bmc.Slot) bool) (bmc.Slot, bool) {
	for _, s := range slots {
		if s.Loaded && which(s) {
			return s, true
		}
	}
	return bmc.Slot{}, false
}

// Emptied waits until a virtual media slot reads empty: some BMCs keep showing an
// image for a while after they ejected it.
func (h *Host) Emptied(ctx context.Context, s bmc.Slot) error {
	return h.Until(ctx, 45*time.Second, s.Name()+" reads empty", func(ctx context.Context) (bool, error) {
		now, err := h.BMC.Slot(ctx, s)
		return !now.Loaded, err
	})
}

// ForgetMounts notes that no drive holds one of our images any more.
func (h *Host) ForgetMounts() {
	for _, m := range h.History().Mounted() {
		h.Undone(m.Change)
	}
}

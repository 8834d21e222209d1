package step

import (
	"context"
	"errors"
	"fmt"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/text"
)

// readyWithin is how long a BMC may take to get ready, or a machine to find its devices,
// after it was started. The timeout of a step that waits for it must be longer.
const readyWithin = 10 * time.Minute

// Ready waits until the BMC knows its machine: its own controller is up, and POST has found
// all devices, as far as the BMC reports either. What it waits for is reported as progress. A dry
// run does not wait, and warns.
func (h *Host) Ready(ctx context.Context) (p bmc.Power, err error) {
	var busy string
	err = h.Until(ctx, readyWithin, "the BMC is ready", func(ctx context.Context) (bool, error) {
		now, power, err := h.unready(ctx)
		if err != nil {
			return false, err
		}
		busy, p = now, power
		if busy != "" {
			h.Progress(0, 0, busy)
		}
		return busy == "", nil
	})
	var late *Unsettled
	switch {
	case err == nil && busy != "":
		h.Warn("%s; a real run waits up to %s for its end", busy, text.Duration(readyWithin))
	case errors.As(err, &late) && late.After < readyWithin: // the step's own timeout
		late.What += " (" + busy + ")"
	case errors.As(err, &late):
		err = &Failure{fmt.Sprintf("the BMC is not ready after %s: %s", text.Duration(readyWithin), busy),
			"Look at the machine's console and at the BMC's log. Power off a machine that hangs in POST, reset a BMC that does not get ready, then run this again"}
	}
	return p, err
}

// unready is what the BMC is still busy with, "" when it is ready, and the power state.
func (h *Host) unready(ctx context.Context) (busy string, p bmc.Power, err error) {
	if busy, err = h.BMC.Ready(ctx); busy != "" || err != nil {
		return busy, p, err
	}
	if p, err = h.BMC.Power(ctx); err == nil && p.Early {
		busy = "the machine is in POST, which has not found all devices yet (" + p.Post + ")"
	}
	return busy, p, err
}

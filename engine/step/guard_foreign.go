package step

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
)

// published is the form of the URLs of images that esxiplan publishes.
var published = regexp.MustCompile(`/[0-9a-f]{32}/[A-Za-z0-9._-]+\.iso$`)

// stillAlone is how long a look at the drives holds: a step may try several.
const stillAlone = 30 * time.Second

// checkForeign refuses to touch a machine that another esxiplan, with records of its own,
// may be installing: a drive holds an image of that kind which is not ours, the machine is
// on, and no ESXi is up on it. Once our own image is in the drive there is no such.
func (d *BMC) checkForeign(ctx context.Context) error {
	h := d.host
	if d.inserted != nil || h.Settings.Again || !d.alone.IsZero() && h.Now().Sub(d.alone) < stillAlone {
		return nil
	}
	power, err := d.Power(ctx)
	if err != nil || power.State == bmc.Off {
		return err
	}
	if h.ESXi != nil {
		p, err := h.ESXi.Probe(ctx)
		if err != nil || p.State == esxi.Up {
			return err
		}
	}
	image, err := foreignTo(ctx, h)
	if err != nil {
		return err
	}
	if err := CheckForeign(image); err != nil {
		return err
	}
	d.alone = h.Now()
	return nil
}

// foreignTo looks for an image of another esxiplan in the drives.
func foreignTo(ctx context.Context, h *Host) (string, error) {
	if h.Settings.Again || h.BMC.inserted != nil {
		return "", nil
	}
	drives, err := h.BMC.Slots(ctx)
	return foreign(drives, h.History()), err
}

// foreign finds an image that an esxiplan published and that is not on our record.
func foreign(drives []bmc.Slot, h History) string {
	for _, s := range drives {
		if _, ours := h.Holds(s.Image); s.Loaded && !ours && published.MatchString(s.Image) {
			return s.Image
		}
	}
	return ""
}

// CheckForeign refuses a machine that is on, with no ESXi up, and with an image of another
// esxiplan in a drive: it may be installing from it. "" is no such image.
func CheckForeign(image string) error {
	if image == "" {
		return nil
	}
	return &Refusal{"medium", fmt.Sprintf("another esxiplan run may be installing this machine: "+
		"a drive holds %s, which is not on record here, the machine is on, and no ESXi answers", image),
		"Wait for that run, or use its state folder (--state); if it is over, eject the image with force = true, or use --again"}
}

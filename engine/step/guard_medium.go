package step

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"esxiplan/engine/descriptor"
	"esxiplan/engine/media"
)

// mountAgain is the way out where the image in the drive is not the one to boot.
const mountAgain = "Build and mount it again (steps build_iso, eject, insert), then restart"

// checkMedium demands that the medium that would be booted is the one that this plan
// would put there now, is whole, and is still served. It returns the digest of what is
// on it.
func (d *BMC) checkMedium(ctx context.Context) (digest string, err error) {
	h := d.host
	if err := CheckPlanned(h.History(), h.Place()); err != nil {
		return "", err
	}
	m, _ := h.History().Meant(h.Place())
	if m.URL == "" || h.Media == nil {
		return m.Medium, nil
	}
	if err := d.checkServed(ctx, m); err != nil {
		return m.Medium, err
	}
	if !h.Holds(m.URL) {
		return m.Medium, nil
	}
	if err := CheckServing(h.Settings); err != nil {
		return m.Medium, err
	}
	p, _ := h.Media.Latest(h.Name)
	if err := CheckBuilt(m, p, DiskNames(h.Declared.ESXi)); err != nil || !p.FirstBoot {
		return m.Medium, err
	}
	stock, err := d.Inventory(ctx)
	if err != nil {
		return m.Medium, err
	}
	return m.Medium, CheckSecureBoot(stock.SecureBoot)
}

// checkServed demands that the image is still there, for those that can be asked from
// here, and that the BMC did not stop half-way where it fetched all of it at once.
func (d *BMC) checkServed(ctx context.Context, m Mount) error {
	h := d.host
	err := h.Media.Check(ctx, h.Name, m.URL)
	var fetch *media.ErrFetch
	switch {
	case errors.As(err, &fetch) && !fetch.Final:
		h.Warn("the mounted image could not be checked from here: %v", err)
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case descriptor.Exhausted(err):
		return err
	case err != nil:
		return &Refusal{"medium", "the mounted image can no longer be read: " + err.Error(), mountAgain}
	}
	if !h.Holds(m.URL) {
		return nil
	}
	return d.checkWhole(ctx)
}

// checkWhole waits for a fetch that is under way, and demands that it came to its end.
func (d *BMC) checkWhole(ctx context.Context) error {
	h := d.host
	_, err := h.FetchEnds(ctx)
	var late *Unsettled
	if err != nil && !errors.As(err, &late) {
		return err
	}
	if reads, known := h.Media.Reads(h.Name); known {
		return CheckWhole(reads)
	}
	return nil
}

// CheckServing refuses to boot an image that goes before it is read.
func CheckServing(s Settings) error {
	if !s.StopsServing {
		return nil
	}
	return &Refusal{"medium", "the machine would boot an image that this run serves itself (media.listen), and the run ends before it is read",
		"Run the wait step, too (leave out --tags, or name its tag), or publish to a directory (media.directory and url)"}
}

// Holds reports whether an image is the one that was last published for the host.
func (h *Host) Holds(url string) bool {
	if h.Media == nil {
		return false
	}
	p, ok := h.Media.Latest(h.Name)
	return ok && p.At(url)
}

// CheckWhole refuses an image of which the BMC began to fetch all and did not come to the
// end, or not yet: the machine would boot a part of it.
func CheckWhole(r media.Reads) error {
	switch {
	case r.Fetching != nil:
		return &Refusal{"medium", fmt.Sprintf("the BMC is still fetching the image: %s, the last of it at %s", r.Fetching, ClockTime(r.Fetching.At)),
			"Run it again when it is done; where it makes no progress, mount the image again (steps eject, insert)"}
	case r.Cut != nil:
		return &Refusal{"medium", fmt.Sprintf("the BMC fetched only %s of the image (at %s), and nothing after that", r.Cut, ClockTime(r.Cut.At)),
			"Mount it again (steps eject, insert), then restart"}
	}
	return nil
}

// CheckPlanned demands that what is mounted is what the plan would mount now.
func CheckPlanned(h History, p Place) error {
	mounts := h.Mounted()
	if p.Stale != "" && len(mounts) > 0 {
		return &Refusal{"medium", "what is mounted is not what this plan would install now. " + p.Stale, mountAgain}
	}
	if p.Medium == "" || len(mounts) == 0 {
		return nil
	}
	if _, ok := h.Holds(p.Medium); ok {
		return nil
	}
	return &Refusal{"medium", fmt.Sprintf("the mounted image %s is not the one that this plan would mount now (%s)", mounts[0].URL, p.Medium),
		"Mount it (steps eject, insert), then restart"}
}

// CheckBuilt demands that the medium that was mounted still is what lies at its URL, and
// installs on the disks that the plan names now, which are those that were shown and
// confirmed.
func CheckBuilt(m Mount, p media.Published, disks []string) error {
	if p.Disks != nil && !slices.Equal(p.Disks, disks) {
		return &Refusal{"medium", fmt.Sprintf("the mounted medium was built for another disk (%s) than the plan names now (%s)",
			strings.Join(p.Disks, ", "), strings.Join(disks, ", ")), mountAgain}
	}
	if m.Medium != "" && p.Digest != "" && m.Medium != p.Digest {
		return &Refusal{"medium", fmt.Sprintf("what lies at %s was replaced after it was mounted: digest %.12s…, mounted was %.12s…", m.URL, p.Digest,
			m.Medium), mountAgain}
	}
	return nil
}

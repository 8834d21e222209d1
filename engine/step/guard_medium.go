package step

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"esxiplan/engine/media"
)

// checkMedium demands that the medium that would be booted is the one that this plan
// would put there now, is whole, and is still served. It returns the digest of what is
// on it.
func (d *BMC) checkMedium(ctx context.Context) (digest string, err error) {
	h := d.host
	m, planned := h.History().Holds(h.Place().Medium)
	if err := CheckPlanned(h.History(), h.Place()); err != nil || h.Media == nil {
		return m.Medium, err
	}
	if !planned {
		mounts := h.History().Mounted()
		if len(mounts) == 0 {
			return "", nil
		}
		m = mounts[0]
	}
	if err := h.Media.Fetch(ctx, m.URL); err != nil {
		var fetch *media.ErrFetch
		if !errors.As(err, &fetch) || !fetch.Final {
			h.Warn("the mounted image could not be checked from here: %v", err)
		} else {
			return m.Medium, &Refusal{"medium", "the mounted image can no longer be read: " + err.Error(), "Build and mount it again (steps build_iso, eject, insert), then restart"}
		}
	}
	p, ok := h.Media.Latest(h.Name)
	if !ok || p.URL != m.URL && p.HTTPSURL != m.URL {
		return m.Medium, nil
	}
	if err := CheckBuilt(m, p, DiskNames(h.Declared.ESXi)); err != nil || !p.FirstBoot {
		return m.Medium, err
	}
	stock, err := d.Inventory(ctx)
	if err != nil {
		return m.Medium, err
	}
	return m.Medium, CheckSecureBoot(stock.SecureBoot)
}

// CheckPlanned demands that what is mounted is what the plan would mount now.
func CheckPlanned(h History, p Place) error {
	mounts := h.Mounted()
	if p.Stale != "" && len(mounts) > 0 {
		return &Refusal{"medium", "what is mounted is not what this plan would install now: " + p.Stale, "Build and mount it again (steps build_iso, eject, insert), then restart"}
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
	const again = "Build and mount it again (steps build_iso, eject, insert), then restart"
	if p.Disks != nil && !slices.Equal(p.Disks, disks) {
		return &Refusal{"medium", fmt.Sprintf("the mounted medium was built for another disk (%s) than the plan names now (%s)", strings.Join(p.Disks, ", "), strings.Join(disks, ", ")), again}
	}
	if m.Medium != "" && p.SHA256 != "" && m.Medium != p.SHA256 {
		return &Refusal{"medium", fmt.Sprintf("what lies at %s was replaced after it was mounted: digest %.12s…, mounted was %.12s…", m.URL, p.SHA256, m.Medium), again}
	}
	return nil
}

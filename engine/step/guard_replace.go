package step

import (
	"slices"

	"esxiplan/engine/media"
)

// CheckReplace keeps the image from which a machine is being installed: another one in its
// place would take it away.
func CheckReplace(h History, latest media.Published, s Settings) error {
	last, open := h.Installing()
	mounted := slices.ContainsFunc(h.Mounted(), func(m Mount) bool { return latest.At(m.URL) })
	if !open || !mounted {
		return nil
	}
	return &Refusal{"medium", "the machine was reset by us at " + clockTime(last.Time) + " and may be installing from the image that is published, which a new one would take away",
		s.waitForIt() + ", or build all the same with --again"}
}

package step

import (
	"slices"

	"esxiplan/engine/media"
)

// CheckReplace keeps the image from which a machine is being installed: it must not be
// removed, nor taken away by another one in its place.
func CheckReplace(h History, latest media.Published, s Settings) error {
	last, open := h.Installing()
	mounted := slices.ContainsFunc(h.Mounted(), func(m Mount) bool { return latest.At(m.URL) })
	if !open || !mounted {
		return nil
	}
	return &Refusal{"medium", "the machine was reset by us at " + ClockTime(last.Time) +
		" and may be installing from the image that is published, which would be taken away",
		s.waitForIt() + ", or continue all the same with --again"}
}

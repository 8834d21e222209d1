package wait

import (
	"slices"

	"esxiplan/engine/media"
	"esxiplan/engine/step"
)

// latest is the image that was last published for the host.
func latest(h *step.Host) (media.Published, bool) {
	if h.Media == nil {
		return media.Published{}, false
	}
	return h.Media.Latest(h.Name)
}

// image is our image that the machine was to boot. Where what we mounted is another
// one, such as one on somebody's web server, what was published for the host tells nothing.
func image(h *step.Host) (media.Published, bool) {
	mounts := h.History().Mounted()
	ours := slices.ContainsFunc(mounts, func(m step.Mount) bool { return h.Holds(m.URL) })
	if len(mounts) > 0 && !ours {
		return media.Published{}, false
	}
	return latest(h)
}

// reads is what was read of that image; known is false where none of our servers serves it.
func reads(h *step.Host) (reads media.Reads, known bool) {
	if _, ok := image(h); !ok {
		return media.Reads{}, false
	}
	return h.Reads()
}

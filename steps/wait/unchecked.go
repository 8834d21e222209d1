package wait

import "esxiplan/engine/esxi"

// unchecked are the signs of a new installation that the proof does not rest on, each with the
// reason.
func (l *looking) unchecked(s esxi.System) []string {
	out := []string{}
	add := func(missing bool, sign string) {
		if missing {
			out = append(out, sign)
		}
	}
	add(!l.reset, "that it is newer than a reset: no reset of this machine by us is on record, so its dates are compared with when the image was built")
	add(l.reset && !l.certified(), "the certificate: none is known from before the reset")
	add(s.Installed.IsZero(), "when it was installed: this ESXi does not report it")
	add(s.Booted.IsZero(), "when it was booted: this ESXi does not report it")
	add(!l.published, "the build: the image that the machine was to boot was not built by this plan")
	add(l.published && l.media.Build == "", "the build: the image does not state its build")
	if sign := l.unseenReading(); sign != "" {
		out = append(out, sign)
	}
	return out
}

// unseenReading is why it is not known that the image was read after the reset, "" where it was
// seen.
func (l *looking) unseenReading() string {
	switch {
	case !l.reset:
		return ""
	case !l.known:
		return "that the image was read: neither this run nor esxiplan serve serves it"
	case l.since.Bytes > 0:
		return ""
	case l.whole():
		return "that the image was read after the reset: the BMC has, or may have, its own copy of it"
	}
	return "that the image was read after the reset: the server of the image saw no read"
}

package event

import (
	"slices"
	"strings"
)

// Planned is a change that a dry run found to be needed, and the step that makes it.
type Planned struct {
	Step string `json:"step"`
	Type string `json:"type,omitempty"`
	Change
}

// Covers reports whether a change that a step is about to make is the planned one. It is the
// one definition of "exactly as planned": the guard of applied plans asks it, and so does the
// test that compares plans with the runs after them. ours says whether a URL is that of an image
// of ours for this host.
//
//   - The power state before a reset does not count: a machine that went off by itself needs one
//     request less, and one that was switched on needs another one, which is not planned.
//   - The URL of an image that is built during the run is not known when it is planned.
//   - Some BMCs do not tell which image they hold, of ours as of any.
//   - Our image may go into another drive than planned, where the BMC refuses the first one.
//   - A change that is made a second time finds its own trace.
func (p Planned) Covers(step string, c Change, ours func(url string) bool) bool {
	if p.Step != step || p.Door != c.Door || p.Verb != c.Verb || p.Risk != c.Risk || !slices.EqualFunc(p.Erases, c.Erases, Disk.Same) {
		return false
	}
	same := func(planned, real string) bool {
		return planned == real || unbuilt(planned, real) && ours(real) || c.Verb == Eject && isUnbuilt(planned) && real == UnknownImage
	}
	makes := same(p.New, c.New) || c.Verb == Publish && unbuilt(p.New, c.New)
	finds := c.Verb == Reset || same(p.Old, c.Old) || same(p.New, c.Old)
	drive := c.Verb == Insert && ours(c.New) || c.Verb == Eject && ours(c.Old)
	return makes && finds && (p.Target == c.Target || drive)
}

// Allowed reports whether a change that a step is about to make is among those that were
// planned. To take an override away again that no boot uses up belongs to having set it: that a
// BMC has no other kind shows only when it is set. To take our image out again belongs to an
// insert that is tried again, as where the BMC read a part of it only.
func Allowed(planned []Planned, step string, c Change, ours func(url string) bool) bool {
	return slices.ContainsFunc(planned, func(p Planned) bool {
		return p.Covers(step, c, ours) || clears(c) && p.Verb == SetBoot && !clears(p.Change) ||
			p.Step == step && p.Verb == Insert && c.Verb == Eject && ours(c.Old)
	})
}

func clears(c Change) bool { return c.Verb == SetBoot && c.New == noOverride }

// noOverride is the boot source where none is set, in the words of plans.
const noOverride = "none"

// Differences compares the changes that were planned with those that were made: missing are those
// that were planned and not made, and extra those that were made and not planned.
func Differences(planned, made []Planned, ours func(url string) bool) (missing, extra []Planned) {
	for _, p := range planned {
		if !slices.ContainsFunc(made, func(m Planned) bool { return p.Covers(m.Step, m.Change, ours) }) {
			missing = append(missing, p)
		}
	}
	for _, m := range made {
		if !Allowed(planned, m.Step, m.Change, ours) {
			extra = append(extra, m)
		}
	}
	return missing, extra
}

// Unbuilt stands in a URL, behind its scheme, for what is known only when the image is built.
const Unbuilt = "(new image)"

// NotLooked stands for what is at a machine that was not looked at.
const NotLooked = "not looked at"

// UnknownImage stands for what is in a drive of a BMC that does not tell.
const UnknownImage = "unknown image"

func isUnbuilt(url string) bool { return strings.HasSuffix(url, Unbuilt) }

// unbuilt reports a URL that was not known when it was planned, and by its scheme may be this one.
func unbuilt(planned, real string) bool {
	return isUnbuilt(planned) && strings.HasPrefix(real, strings.TrimSuffix(planned, Unbuilt))
}

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
//   - Our image may go into another drive than planned, where the BMC refuses the first one.
//   - A change that is made a second time finds its own trace.
func (p Planned) Covers(step string, c Change, ours func(url string) bool) bool {
	if p.Step != step || p.Door != c.Door || p.Verb != c.Verb || p.Risk != c.Risk || !slices.EqualFunc(p.Erases, c.Erases, Disk.Same) {
		return false
	}
	same := func(planned, real string) bool {
		return planned == real || unbuilt(planned, real) && (c.Verb == Publish || ours(real))
	}
	drive := (c.Verb == Insert && ours(c.New) || c.Verb == Eject && ours(c.Old))
	return (p.Target == c.Target || drive) && same(p.New, c.New) &&
		(c.Verb == Reset || same(p.Old, c.Old) || same(p.New, c.Old))
}

// Unbuilt stands in a URL, behind its scheme, for what is known only when the image is built.
const Unbuilt = "(new image)"

// unbuilt reports a URL that was not known when it was planned, and by its scheme may be this one.
func unbuilt(planned, real string) bool {
	scheme, ok := strings.CutSuffix(planned, Unbuilt)
	return ok && strings.HasPrefix(real, scheme)
}

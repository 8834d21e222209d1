package media

import (
	"fmt"
	"strings"

	"esxiplan/engine/media/kickstart"
)

// remedy is what to do about a medium that is missing, or not the plan's.
const remedy = "run build_iso first, then eject and insert"

// ErrFetch is an image that could not be fetched through its URL.
type ErrFetch struct {
	URL    string
	Reason string
	Final  bool // false: the server could not be reached from here, which says little about the BMC
}

func (e *ErrFetch) Error() string { return fmt.Sprintf("GET %s: %s", e.URL, e.Reason) }

// Retryable makes the engine try again when the server could not be reached.
func (e *ErrFetch) Retryable() bool { return !e.Final }

// ErrGone is an image that a URL named once and that no longer exists, or is no longer
// the host's. No retry changes that.
type ErrGone struct{ URL, Reason string }

func (e *ErrGone) Error() string {
	return fmt.Sprintf("the published image %s is gone: %s; %s", e.URL, e.Reason, remedy)
}

// Retryable is false: only another build brings the image back.
func (e *ErrGone) Retryable() bool { return false }

// ErrNotBuilt is the answer for a host that has no image made from the present inputs.
type ErrNotBuilt struct {
	Host    string
	Reason  string   // why no image exists; "" if one from other inputs does
	Differs []string // what differs between that one and the plan, in words
}

func (e *ErrNotBuilt) Error() string {
	switch {
	case e.Reason != "":
		return e.Reason + ": " + remedy
	case len(e.Differs) == 0:
		return fmt.Sprintf("no image has been built for %s: %s", e.Host, remedy)
	}
	return fmt.Sprintf("the image of %s was not built from the plan as it is now (%s): %s", e.Host, strings.Join(e.Differs, "; "), remedy)
}

// Is makes errors.Is(err, &ErrNotBuilt{}) true for every error of this kind.
func (e *ErrNotBuilt) Is(target error) bool {
	other, ok := target.(*ErrNotBuilt)
	return ok && other.Host == "" && other.Reason == "" && other.Differs == nil
}

// Retryable is false: only a build makes the image.
func (e *ErrNotBuilt) Retryable() bool { return false }

// ErrKickstart is a kickstart with which the installation would fail or do
// something unintended.
type ErrKickstart struct{ Findings []kickstart.Finding }

func (e *ErrKickstart) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the kickstart cannot be used")
	for _, f := range e.Findings {
		fmt.Fprintf(&b, "\nline %d, column %d: %s [%s]. %s %s", f.Line, f.Column, f.Text, f.Rule, f.Reason, f.Remedy)
	}
	return b.String()
}

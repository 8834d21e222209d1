// Package descriptor knows how many files and connections this process may hold open at
// once, and recognises the errors that come when it has no more. Such an error says
// something about this machine only, never about a BMC, an ESXi or an image.
//
// The soft limit needs no raising here: Go's os package sets it to the hard one when the
// process starts.
package descriptor

import (
	"errors"
	"syscall"
)

// Advice says what to do when there are too few descriptors.
const Advice = "raise the limit of this process (ulimit -n, or LimitNOFILE of its service)"

// Exhausted reports whether an error came because this process, or this machine, had no
// descriptor left.
func Exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

package session

import (
	"errors"
	"time"

	"esxiplan/engine/log"
	"esxiplan/engine/state"
)

// Pruned is what [Prune] did.
type Pruned struct {
	log.Pruned
	Screens int // how many images of machines' screens were removed
}

// Prune removes the logs of a state folder's runs whose last record is older than a time, as
// [log.Prune] does, and what machines showed on their screens before that time; dry removes
// nothing. A run that a process is working on stays.
func Prune(folder string, before time.Time, dry bool) (out Pruned, err error) {
	if out.Pruned, err = pruneLogs(folder, before, dry); err != nil {
		return out, err
	}
	out.Screens, err = state.PruneScreens(folder, before, dry)
	return out, err
}

func pruneLogs(folder string, before time.Time, dry bool) (log.Pruned, error) {
	return log.Prune(folder, log.PruneOptions{Before: before, Dry: dry, Lock: func(run string) (release func(), err error) {
		locks, err := lockRun(folder, run)
		var atWork *state.Locked
		switch {
		case errors.As(err, &atWork):
			return nil, nil
		case err != nil:
			return nil, err
		}
		return func() { locks.Release() }, nil
	}})
}

package session

import (
	"errors"
	"time"

	"esxiplan/engine/log"
	"esxiplan/engine/state"
)

// Prune removes the logs of a state folder's runs whose last record is older than a time, as
// [log.Prune] does; dry removes nothing. A run that a process is working on stays.
func Prune(folder string, before time.Time, dry bool) (log.Pruned, error) {
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

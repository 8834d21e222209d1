package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"esxiplan/engine/local"
	"esxiplan/engine/state"
	"esxiplan/schema"
)

// site is where the machines of a plan are, and what is kept of them: real machines, or
// those of a simulation in another process or in this one.
type site struct {
	clock *local.Clock
	sim   *simulation // nil: real machines
	note  string      // which placeholders replace real things
	state string      // folder
	locks []string    // folders of locks; two plans may meet in one
	thrift
}

// loadAt loads a plan and says where its machines are: those of the simulation that a file
// describes, or with no file the real ones.
func (a *app) loadAt(paths []string, f *planFlags, simulated, folder string) (*schema.Plan, site, error) {
	if simulated == "" {
		p, err := a.load(paths, f, nil)
		if err != nil {
			return nil, site{}, err
		}
		dir, err := stateDir(p.Dir, folder)
		if err != nil {
			return nil, site{}, err
		}
		s := site{clock: local.NewClock(1), state: dir}
		s.locks = state.LockFolders(s.state)
		return p, s, nil
	}
	file, err := readSimFile(simulated)
	if err != nil {
		return nil, site{}, err
	}
	p, err := a.load(paths, f, file.secret)
	if err != nil {
		return nil, site{}, err
	}
	dir, err := stateDir(p.Dir, folder)
	if err != nil {
		return nil, site{}, err
	}
	s := site{clock: local.NewClockAt(file.Start, file.Speed), sim: &file.simulation, note: file.note(), state: simState(dir, folder, file.Start)}
	s.locks = state.OwnLocks(s.state)
	return p, s, nil
}

// stateDir is the state folder: next to the plan unless --state gives another. There it may
// have come along with the plan, so that one that leads elsewhere is not followed unasked.
func stateDir(place, flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	dir := filepath.Join(place, ".esxiplan")
	if info, err := os.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return "", fmt.Errorf("the state folder %s is a link, which may have come with the plan: remove it, or name its target with --state if that folder is yours", dir)
	}
	return dir, nil
}

// simState keeps what is known of simulated machines apart from what is known of real
// ones, and of those of another simulation, unless --state chose the folder.
func simState(state, flag string, started time.Time) string {
	if flag != "" {
		return state
	}
	return filepath.Join(state, "sim", started.UTC().Format("20060102-150405.000"))
}

package log

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/event"
)

// Info is what a log says of its run as a whole.
type Info struct {
	Run     string    `json:"run"`
	Plan    string    `json:"plan"`
	Began   time.Time `json:"began"`
	Latest  time.Time `json:"latest"` // its last record
	By      Who       `json:"by"`
	Version string    `json:"version,omitempty"` // of esxiplan
	Stages  int       `json:"stages"`
	Hosts   int       `json:"hosts"` // of the last stage
	Steps   []string  `json:"steps,omitempty"`
	Ended   bool      `json:"ended"` // the last stage came to its end
	Exit    int       `json:"exit"`  // of the last stage, where it ended
	// Counts are the hosts of the last stage by status, where it ended.
	Counts map[event.Status]int `json:"counts,omitempty"`
	// Interrupted: the last stage was stopped before its end.
	Interrupted bool `json:"interrupted,omitempty"`
}

// Unfinished reports a run whose last stage did not come to its end: it was stopped, its
// process ended, or its log could not be written.
func (i Info) Unfinished() bool { return !i.Ended || i.Interrupted || i.Exit == event.ExitInternal }

// fold takes in a record.
func (i *Info) fold(r Record) {
	if i.Run == "" {
		i.Run, i.Began = r.Run, r.Time
	}
	if r.Time.After(i.Latest) {
		i.Latest = r.Time
	}
	switch {
	case r.Kind == StageStarted && r.Stage != nil:
		i.Plan, i.By, i.Version, i.Stages = r.Stage.Plan, r.Stage.By, r.Stage.Version, max(i.Stages, r.Stage.Number)
	case r.Kind == event.RunStarted && r.Plan != nil:
		i.Plan, i.Hosts, i.Steps, i.Ended = r.Plan.Name, len(r.Plan.Hosts), r.Plan.Steps, false
		i.Stages = max(i.Stages, 1)
	case r.Kind == event.RunDone && r.Summary != nil:
		i.Ended, i.Exit, i.Counts, i.Interrupted = true, r.Summary.Exit, r.Summary.Hosts, r.Summary.Interrupted
	}
}

// List lists the runs of a state folder, the latest first.
func List(state string) ([]Info, error) {
	p, err := load(state)
	if err != nil {
		return nil, err
	}
	sizes, err := logSizes(state)
	if err != nil {
		return nil, err
	}
	var out []Info
	for run, m := range p.Logs {
		if _, there := sizes[run]; there {
			out = append(out, m.Info)
		}
	}
	slices.SortFunc(out, func(a, b Info) int {
		if c := b.Latest.Compare(a.Latest); c != 0 {
			return c
		}
		return strings.Compare(b.Run, a.Run)
	})
	return out, nil
}

// ErrNoRun is a run that the state folder does not have.
type ErrNoRun struct{ Run, State string }

func (e *ErrNoRun) Error() string {
	return fmt.Sprintf("%s has no run %q; esxiplan runs lists them", e.State, e.Run)
}

// Each hands the records of a run to a function, oldest first, as the log keeps them.
func Each(state, run string, each func(Record) error) error {
	if err := CheckName(run); err != nil {
		return err
	}
	_, err := read(filepath.Join(runsDir(state), run+suffix), end{}, func(r Record, _ []byte) error { return each(r) })
	if errors.Is(err, fs.ErrNotExist) {
		return &ErrNoRun{run, state}
	}
	return err
}

// needs reports a run of which something is still open at a machine.
func (p *past) needs(run string) bool {
	for _, h := range p.Machines {
		if h.Open(run) {
			return true
		}
	}
	return false
}

// Prune removes the logs of runs whose last record is older than a time, and that ended; a
// log stays while an installation, a mounted image or a boot source that it tells of is
// open. What the others tell of machines stays known, by the snapshot. It returns what it removed; dry
// removes nothing.
func Prune(state string, before time.Time, dry bool) ([]Info, error) {
	p, err := load(state)
	if err != nil {
		return nil, err
	}
	infos, err := List(state)
	if err != nil {
		return nil, err
	}
	old := slices.DeleteFunc(infos, func(i Info) bool { return !i.Ended || !i.Latest.Before(before) || p.needs(i.Run) })
	if dry || len(old) == 0 {
		return old, nil
	}
	if err := p.save(state); err != nil {
		return nil, fmt.Errorf("nothing was removed, because what these logs tell of machines could not be kept: %w", err)
	}
	for n, i := range old {
		if err := os.Remove(filepath.Join(runsDir(state), i.Run+suffix)); err != nil {
			return old[:n], err
		}
	}
	return old, nil
}

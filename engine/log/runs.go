package log

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
	By      event.Who `json:"by"`
	Version string    `json:"version,omitempty"` // of esxiplan
	Stages  int       `json:"stage_count"`
	Hosts   int       `json:"host_count"` // of the last stage
	Steps   []string  `json:"steps,omitempty"`
	Ended   bool      `json:"ended"` // the last stage came to its end
	Exit    int       `json:"exit"`  // of the last stage, where it ended
	// Counts are the hosts of the last stage by status, where it ended.
	Counts map[event.Status]int `json:"counts,omitempty"`
	// Interrupted: the last stage was stopped before its end.
	Interrupted bool `json:"interrupted,omitempty"`
	AdHoc       bool `json:"ad_hoc,omitempty"` // one step, run by hand
	// Applies is the checksum of the saved plan that its last stage applies, and Applied those
	// of all.
	Applies string   `json:"applies,omitempty"`
	Applied []string `json:"applied,omitempty"`
	Command string   `json:"command,omitempty"` // by which its last stage was asked for
	// Open are the stages in which hosts did not come to their end, the latest last: they were
	// stopped, their process ended, the log could not be written, or the failure budget held
	// them back.
	Open []OpenStage `json:"open,omitempty"`
	// Call are the hosts of the present call of esxiplan that did not come to their end yet.
	Call []string `json:"call,omitempty"`
}

// OpenStage is a stage of a run with the hosts that did not come to their end in it.
type OpenStage struct {
	Key   string          `json:"key"`
	Hosts map[string]bool `json:"hosts"`
}

// Unfinished reports a run that can be continued where it stood: a stage of it did not come
// to its end.
func (i Info) Unfinished() bool { return len(i.Open) > 0 && !i.AdHoc }

// fold takes in a record.
func (i *Info) fold(r Record) {
	if i.Began.IsZero() {
		i.Began = r.Time
	}
	if r.Time.After(i.Latest) {
		i.Latest = r.Time
	}
	switch {
	case r.Kind == StageStarted && r.Stage != nil:
		i.Plan, i.By, i.Version, i.Stages = r.Stage.Plan, r.Stage.By, r.Stage.Version, max(i.Stages, r.Stage.Number)
		i.AdHoc, i.Applies, i.Command = r.Stage.AdHoc, r.Stage.Applies, r.Stage.Command
		if i.Applies != "" && !slices.Contains(i.Applied, i.Applies) {
			i.Applied = append(i.Applied, i.Applies)
		}
		i.begin(len(r.Stage.Hosts), r.Stage.Steps)
		i.open(r.Stage.Key(), r.Stage.Hosts)
	case r.Kind == event.RunStarted && r.Plan != nil:
		i.Plan, i.Stages = r.Plan.Name, max(i.Stages, 1)
		i.begin(len(r.Plan.Hosts), r.Plan.Steps)
	case r.Kind == event.RunDone && r.Summary != nil:
		i.Ended, i.Exit, i.Counts, i.Interrupted = true, r.Summary.Exit, r.Summary.Hosts, r.Summary.Interrupted
		if !i.Interrupted && i.Exit != event.ExitInternal && i.Exit != event.ExitBudget {
			i.close(i.Call...)
		}
		i.Call = nil
	case r.Kind == event.HostDone && r.Status != event.NotRun:
		i.close(r.Host)
	}
}

// open takes in that a stage was begun, or continued, with these hosts.
func (i *Info) open(key string, hosts []string) {
	s := OpenStage{Key: key, Hosts: map[string]bool{}}
	if at := slices.IndexFunc(i.Open, func(s OpenStage) bool { return s.Key == key }); at >= 0 {
		s = i.Open[at]
		i.Open = slices.Delete(i.Open, at, at+1)
	}
	for _, h := range hosts {
		s.Hosts[h] = true
	}
	i.Open, i.Call = append(i.Open, s), hosts
}

// close takes in that hosts came to their end in the present stage.
func (i *Info) close(hosts ...string) {
	last := len(i.Open) - 1
	if last < 0 || i.Open[last].Key != StageKey(i.Steps) {
		return
	}
	for _, h := range hosts {
		delete(i.Open[last].Hosts, h)
	}
	if len(i.Open[last].Hosts) == 0 {
		i.Open = i.Open[:last]
	}
}

// begin begins a stage.
func (i *Info) begin(hosts int, steps []string) {
	i.Hosts, i.Steps = hosts, steps
	i.Ended, i.Exit, i.Counts, i.Interrupted = false, 0, nil, false
}

// List lists the runs of a state folder, the latest first.
func List(state string) ([]Info, error) {
	p, err := Read(state)
	if err != nil {
		return nil, err
	}
	return p.Runs(), nil
}

// Names are the names of the runs of a state folder. Only the folder is read, and nothing is
// written to it.
func Names(state string) ([]string, error) {
	sizes, err := logSizes(state)
	return slices.Sorted(maps.Keys(sizes)), err
}

// list lists the runs whose logs are there and hold something, the latest first.
func (p *past) list() []Info {
	var out []Info
	for run, m := range p.Logs {
		if p.sizes[run] > 0 && m.Size > 0 {
			out = append(out, m.Info)
		}
	}
	slices.SortFunc(out, func(a, b Info) int {
		if c := b.Latest.Compare(a.Latest); c != 0 {
			return c
		}
		return strings.Compare(b.Run, a.Run)
	})
	return out
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
	_, err := read(state, run, each)
	if errors.Is(err, fs.ErrNotExist) {
		return &ErrNoRun{run, state}
	}
	return err
}

package log

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"esxiplan/engine/event"
)

// PruneOptions say which logs to remove.
type PruneOptions struct {
	Before time.Time // the last record of a log that may be removed is older
	Dry    bool      // remove nothing
	// Lock takes the lock of a run, so that no process continues it meanwhile; release is nil
	// where one is at work on it. Without Lock, a run that did not end counts as such.
	Lock func(run string) (release func(), err error)
}

// Pruned is what [Prune] did with the logs that are old enough.
type Pruned struct {
	Removed   []Info
	Resumable []Info // kept, because these runs can be continued where they stood
}

// Prune removes the logs of old runs, ended or killed. A log stays while an installation, a
// mounted image or a boot source that it tells of is open, while a process is at work on its
// run, and while the run can be resumed: a host did not come to its end in it, and no later
// run has worked on that host's machine. What the logs tell of machines stays known, by the
// snapshot.
func Prune(state string, o PruneOptions) (out Pruned, err error) {
	p, err := load(state)
	if err != nil {
		return out, err
	}
	open := p.open()
	old := slices.DeleteFunc(p.list(), func(i Info) bool { return !i.Latest.Before(o.Before) || open[i.Run] })
	old, release, err := o.lock(old)
	if err != nil {
		return out, fmt.Errorf("nothing was removed: %w", err)
	}
	defer release()
	if old, out.Resumable, err = p.divide(state, old); err != nil {
		return out, fmt.Errorf("nothing was removed, because it is not known which runs can be resumed: %w", err)
	}
	if o.Dry {
		out.Removed = old
		return out, nil
	}
	removeUnfinished(state)
	if len(old) == 0 {
		return out, nil
	}
	if err := p.save(state); err != nil {
		return out, fmt.Errorf("nothing was removed, because what these logs tell of machines could not be kept: %w; "+
			"make room in %s or make it writable, and try again", err, state)
	}
	out.Removed, err = p.remove(state, old)
	return out, err
}

// lock takes the locks of the runs that did not say that they ended, and leaves out those at
// which a process is at work.
func (o PruneOptions) lock(runs []Info) (locked []Info, release func(), err error) {
	var releases []func()
	release = func() {
		for _, r := range releases {
			r()
		}
	}
	for _, i := range runs {
		if i.Ended {
			locked = append(locked, i)
			continue
		}
		if o.Lock == nil {
			continue
		}
		switch r, err := o.Lock(i.Run); {
		case err != nil:
			release()
			return nil, nil, err
		case r != nil:
			locked, releases = append(locked, i), append(releases, r)
		}
	}
	return locked, release, nil
}

// open are the runs of which something is still open at a machine.
func (p *past) open() map[string]bool {
	runs := map[string]bool{}
	for _, h := range p.Machines {
		for _, run := range h.OpenRuns() {
			runs[run] = true
		}
	}
	return runs
}

// divide tells the runs that are over from those that can be resumed.
func (p *past) divide(state string, runs []Info) (over, resumable []Info, err error) {
	var open []unfinished
	for _, i := range runs {
		if !i.Unfinished() {
			over = append(over, i)
			continue
		}
		left, err := targetsLeft(state, i)
		if err != nil {
			return nil, nil, err
		}
		open = append(open, unfinished{i, left})
	}
	if err := p.takeUp(state, open); err != nil {
		return nil, nil, err
	}
	for _, u := range open {
		if len(u.left) > 0 {
			resumable = append(resumable, u.Info)
		} else {
			over = append(over, u.Info)
		}
	}
	return over, resumable, nil
}

// unfinished is a run in which hosts did not come to their end, with those that no later run
// has taken up.
type unfinished struct {
	Info
	left map[target]bool
}

// takeUp takes away what later runs have taken up. The snapshot does not have the hosts of
// runs, so their logs are read, as long as they matter.
func (p *past) takeUp(state string, open []unfinished) error {
	for _, later := range p.list() { // the latest first
		earlier := slices.DeleteFunc(slices.Clone(open), func(u unfinished) bool { return len(u.left) == 0 || !u.Latest.Before(later.Latest) })
		if later.AdHoc || len(earlier) == 0 {
			continue
		}
		err := eachBegun(state, later.Run, func(r Record) {
			for _, u := range earlier {
				if r.Time.After(u.Latest) {
					delete(u.left, target{machine: r.Machine})
					delete(u.left, target{plan: later.Plan, host: r.Host})
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// target is a machine, or a host of a plan where a run did not come to its machine.
type target struct{ machine, plan, host string }

// targetsLeft are the hosts that did not come to their end in a run.
func targetsLeft(state string, i Info) (map[target]bool, error) {
	machines := map[string]string{}
	if err := eachBegun(state, i.Run, func(r Record) { machines[r.Host] = r.Machine }); err != nil {
		return nil, err
	}
	out := map[target]bool{}
	for _, stage := range i.Open {
		for host := range stage.Hosts {
			if machine, begun := machines[host]; begun {
				out[target{machine: machine}] = true
			} else {
				out[target{plan: i.Plan, host: host}] = true
			}
		}
	}
	return out, nil
}

// eachBegun hands over the records with which a run began to work on hosts. A log that
// another process removed meanwhile has none.
func eachBegun(state, run string, each func(Record)) error {
	begins := func(body []byte) bool { return event.Kind(field(body, "kind")) == event.HostStarted }
	_, err := readSome(state, run, end{}, begins, func(r Record, _ []byte) error {
		if r.Kind == event.HostStarted {
			each(r)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// remove removes the logs of runs, and forgets how far they were read: a later run may have
// the same name.
func (p *past) remove(state string, old []Info) (gone []Info, err error) {
	for _, i := range old {
		if err = os.Remove(logFile(state, i.Run)); err != nil {
			break
		}
		if err = removePlan(state, i.Run); err != nil {
			break
		}
		delete(p.Logs, i.Run)
		gone = append(gone, i)
	}
	return gone, errors.Join(err, p.save(state))
}

// abandoned is how old a snapshot must be that is still being written, so that its writer is
// certainly dead: writing one takes seconds.
const abandoned = time.Hour

// removeUnfinished removes the snapshots that killed processes did not finish. It is only
// about their space: where it fails, the next one does it.
func removeUnfinished(state string) {
	names, _ := fs.Glob(os.DirFS(state), unfinishedSnapshot)
	for _, name := range names {
		name = filepath.Join(state, name)
		if info, err := os.Lstat(name); err == nil && time.Since(info.ModTime()) > abandoned {
			os.Remove(name)
		}
	}
}

package session

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"esxiplan/engine/event"
	"esxiplan/engine/lane"
	"esxiplan/engine/local"
	"esxiplan/engine/log"
	"esxiplan/engine/state"
	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/schema"
)

// Options say what is to be run, and how.
type Options struct {
	survey.Options
	Types []*step.Type
	State string   // state folder
	Locks []string // folders of locks
	Clock *local.Clock
	Forks int

	Run         string // name of the run; "": a new one is made
	Resume      bool   // continue the last run of the plan that did not end
	RetryFailed bool   // try hosts again that failed in the run
	OnlyFailed  bool   // a new run, on the hosts that failed in the last one

	By      log.Who
	Version string // of esxiplan
	Command string // by which the run was asked for, without secrets
	Secrets map[string]string
	Mask    func(string) string
	Note    string // placeholders of a simulation
	// Apart is a run that other runs need not know of: a rehearsal.
	Apart bool
}

// Prepared is a run that could start.
type Prepared struct {
	Plan   *schema.Plan
	Survey *survey.Survey
	Name   string // of the run
	// Continues is what the log of the run tells; nil: it is a new one.
	Continues *log.Info
	// Unfinished is the last run of the plan, where it did not end and this is another one.
	Unfinished *log.Info
	// Proven are the hosts which that run installed and this one would wipe.
	Proven []string
	// Continue is the command that waits for installations which this run began, "" where
	// there is none, and Resume that which continues the run itself; the caller knows them.
	Continue, Resume string

	o      Options
	stage  stage
	resets map[string]string // the last reset of each host that may be wiped, when it was asked for
	before []log.Info        // runs of the plan, the latest first, of which this may be a repetition
}

// SetForks sets how many hosts do something at once.
func (p *Prepared) SetForks(n int) { p.o.Forks = n }

// Unusable is a wish that cannot be met: a usage error.
type Unusable struct{ Reason string }

func (e *Unusable) Error() string { return e.Reason }

func unusable(format string, values ...any) error { return &Unusable{fmt.Sprintf(format, values...)} }

// Prepare says what a run would do. Diagnostics are about the plan under this choice; an
// error is about the run.
func Prepare(p *schema.Plan, o Options) (*Prepared, hcl.Diagnostics, error) {
	out := &Prepared{Plan: p, o: o}
	if err := out.name(); err != nil {
		return nil, nil, err
	}
	s, diags := survey.New(p, o.Types, out.o.Options)
	if diags.HasErrors() {
		return nil, diags, nil
	}
	if reason := s.Serving(); reason != "" {
		return nil, diags, errors.New(reason)
	}
	out.Survey = s
	if err := out.readRun(); err != nil {
		return nil, diags, err
	}
	return out, diags, nil
}

// name finds out which run is meant.
func (p *Prepared) name() error {
	o := &p.o
	switch {
	case o.OnlyFailed && (o.Resume || o.Run != ""):
		return unusable("--only-failed starts a new run: it cannot be combined with --run and --resume, which continue one")
	case o.RetryFailed && o.Run == "" && !o.Resume:
		return unusable("--retry-failed continues a run: say which with --run NAME or --resume, or start a new run on the failed hosts with --only-failed")
	case (o.Resume || o.OnlyFailed) && o.chosen():
		return unusable("--resume and --only-failed take steps and hosts from the earlier run: leave out --tags, --skip-tags, --start-at and --limit")
	}
	p.Name = cmp.Or(o.Run, log.MakeName(o.Clock.Now()))
	if err := log.CheckName(p.Name); err != nil || o.Apart {
		return err
	}
	runs, err := log.List(o.State)
	if err != nil {
		return &NotStarted{err}
	}
	runs = slices.DeleteFunc(runs, func(i log.Info) bool { return i.Plan != p.Plan.Name || i.AdHoc })
	switch {
	case o.Resume:
		return p.resume(runs)
	case o.OnlyFailed:
		return p.onlyFailed(runs)
	case !o.DryRun && o.Only == "":
		p.before = runs
	}
	return nil
}

// live reports a run at which another process is at work.
func (p *Prepared) live(run string) bool {
	locks, err := p.lockRun(run)
	if err == nil {
		locks.Release()
	}
	var locked *state.Locked
	return errors.As(err, &locked)
}

// chosen reports that steps or hosts were chosen by hand.
func (o Options) chosen() bool {
	return len(o.Tags)+len(o.SkipTags)+len(o.Limit) > 0 || o.StartAt != "" || o.Only != ""
}

// resume takes steps and hosts of the latest stage that did not come to its end, of the run
// that was named, else of the last one that has such a stage.
func (p *Prepared) resume(runs []log.Info) error {
	if named := p.o.Run; named != "" {
		runs = slices.DeleteFunc(runs, func(i log.Info) bool { return i.Run != named })
	}
	i := slices.IndexFunc(runs, log.Info.Unfinished)
	switch {
	case i < 0 && p.o.Run != "":
		return unusable("nothing to resume: %s has no unfinished run %q of plan %q; esxiplan runs lists them", p.o.State, p.o.Run, p.Plan.Name)
	case i < 0:
		return unusable("nothing to resume: %s has no unfinished run of plan %q", p.o.State, p.Plan.Name)
	}
	p.Name = runs[i].Run
	stages, err := stagesOf(p.o.State, p.Name)
	if err != nil {
		return err
	}
	open := runs[i].Open[len(runs[i].Open)-1].Key
	hosts := map[string]bool{}
	for _, s := range stages {
		if s.Key() != open {
			continue
		}
		p.o.Steps = s.Steps
		for _, h := range s.Hosts {
			hosts[h] = true
		}
	}
	p.o.Hosts = slices.Sorted(maps.Keys(hosts))
	return nil
}

// onlyFailed takes the failed hosts of the last run, and the steps of all its stages: a host
// that failed in one has to go through the later ones, too.
func (p *Prepared) onlyFailed(runs []log.Info) error {
	if len(runs) == 0 {
		return unusable("there is no run of plan %q in %s: nothing has failed", p.Plan.Name, p.o.State)
	}
	stages, err := stagesOf(p.o.State, runs[0].Run)
	if err != nil {
		return err
	}
	failed, err := failedHosts(p.o.State, runs[0].Run)
	if err != nil {
		return err
	}
	if len(failed) == 0 {
		return unusable("no host failed in run %s, the last one of plan %q", runs[0].Run, p.Plan.Name)
	}
	for _, s := range stages {
		p.o.Steps = append(p.o.Steps, s.Steps...)
	}
	p.o.Hosts = failed
	return nil
}

// stagesOf are the stages of a run, one at least, in the order in which they began.
func stagesOf(state, run string) (stages []log.Stage, err error) {
	err = log.Each(state, run, func(r log.Record) error {
		if r.Kind == log.StageStarted && r.Stage != nil {
			stages = append(stages, *r.Stage)
		}
		return nil
	})
	if err == nil && len(stages) == 0 {
		err = unusable("the run %s was made by an older esxiplan and cannot be continued: start a new one", run)
	}
	return stages, err
}

// failedHosts are the hosts of a run whose last end was a failure, in the order in which
// they failed.
func failedHosts(state, run string) ([]string, error) {
	at, refused := map[string]uint64{}, map[string]bool{} // the record of the failure
	err := log.Each(state, run, func(r log.Record) error {
		switch {
		case r.Kind == event.StepDone && r.Step == lane.PlanStep:
			refused[r.Host] = true
		case r.Kind != event.HostDone, r.Status == event.NotRun:
		case refused[r.Host]: // that is of the plan then, not of the host
			delete(refused, r.Host)
		case r.Status.Failure():
			at[r.Host] = r.Seq
		default:
			delete(at, r.Host)
		}
		return nil
	})
	return slices.SortedFunc(maps.Keys(at), func(a, b string) int { return cmp.Compare(at[a], at[b]) }), err
}

// readRun reads what the run did before, and what another one that did not end did.
func (p *Prepared) readRun() error {
	if p.o.Apart {
		return p.foldRun(nil, func(string) bool { return false })
	}
	l, err := log.Dry(p.o.State, p.Name, log.Options{Secrets: p.o.Secrets, Secret: p.Plan.SecretText, Machine: p.machineOf})
	if err != nil {
		return &NotStarted{err}
	}
	p.findUnfinished(l)
	records, err := l.Records()
	if err != nil {
		return &NotStarted{err}
	}
	if len(records) > 0 {
		info := l.Info()
		p.Continues = &info
		if info.Plan != p.Plan.Name {
			return unusable("run %s is one of plan %q, and this is plan %q: give it another name", p.Name, info.Plan, p.Plan.Name)
		}
	}
	err = p.foldRun(records, func(host string) bool {
		_, open := l.History(host).Installing()
		return open
	})
	p.resets = map[string]string{}
	for _, h := range p.Survey.Wipes() {
		last, _ := l.History(h.Name).LastReset()
		p.resets[h.Name] = last.Change
	}
	return err
}

// Wipes lists the hosts that the run may still start an installer on.
func (p *Prepared) Wipes() []*schema.Host { return p.stillPending(p.Survey.Wipes()) }

// Stops lists the hosts whose machine the run may still power off or restart.
func (p *Prepared) Stops() []*schema.Host { return p.stillPending(p.Survey.Stops()) }

func (p *Prepared) stillPending(hosts []*schema.Host) []*schema.Host {
	return slices.DeleteFunc(hosts, func(h *schema.Host) bool { return p.stage.lanes.HostDone(h.Name) })
}

// findUnfinished finds an unfinished run: one that installed hosts which this one would wipe,
// and which no run has reset since, or else, for a run without a name, the last one.
func (p *Prepared) findUnfinished(l *log.Log) {
	proven := map[string][]string{}
	for _, h := range p.Survey.Wipes() {
		if last, ok := l.History(h.Name).LastReset(); ok && last.Proven {
			proven[last.Run] = append(proven[last.Run], h.Name)
		}
	}
	for i, info := range p.before {
		if info.Run != p.Name && info.Unfinished() && (i == 0 && p.o.Run == "" || len(proven[info.Run]) > 0) && !p.live(info.Run) {
			p.Unfinished, p.Proven = &p.before[i], proven[info.Run]
		}
		if len(p.Proven) > 0 {
			return
		}
	}
}

// machineOf tells machines apart whatever plans call them.
func (p *Prepared) machineOf(host string) string {
	h, ok := p.Plan.Host(host)
	if !ok {
		return host
	}
	return h.Machine()
}

// LeftOut lists the hosts that the stage leaves out because they failed before in the run.
func (p *Prepared) LeftOut() []string { return p.stage.lanes.LeftOut() }

// Ago is how long ago something was, for people.
func (p *Prepared) Ago(t time.Time) time.Duration {
	return p.o.Clock.Now().Sub(t).Round(time.Second)
}

// Pending lists the hosts that have something left to do.
func (p *Prepared) Pending() (out []*schema.Host) {
	for _, h := range p.Survey.Working() {
		if !p.stage.lanes.HostDone(h.Name) {
			out = append(out, h)
		}
	}
	return out
}

// stepNames are those of the chosen steps.
func (p *Prepared) stepNames() (names []string) {
	for _, s := range p.Survey.Steps() {
		names = append(names, s.Name)
	}
	return names
}

package session

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"esxiplan/engine/event"
	"esxiplan/engine/lane"
	"esxiplan/engine/local"
	"esxiplan/engine/log"
	"esxiplan/engine/state"
	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/engine/text"
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
	OnlyFailed  bool   // a new run, on the hosts that failed in an earlier one
	FailedIn    string // name of the earlier run, with OnlyFailed; "": the last one
	Applies     string // checksum of the saved plan that the run applies; "": none

	By      event.Who
	Version string // of esxiplan
	Command string // by which the run was asked for, without secrets
	Secrets map[string]string
	Masker  log.Masker // nil does nothing
	Note    string     // placeholders of a simulation
	// Apart is a run that other runs need not know about: a rehearsal.
	Apart bool
	// Fleeting: the state folder goes with the run, so that no file in it is worth naming.
	Fleeting bool
}

// Prepared is a run that could start.
type Prepared struct {
	Plan   *schema.Plan
	Survey *survey.Survey
	Name   string // of the run
	// Continues is what the log of the run says; nil: it is a new one.
	Continues *log.Info
	// Unfinished is the last run of the plan, if it did not end and this is another one.
	Unfinished *log.Info
	// Proven are the hosts which that run installed and this one would wipe.
	Proven []string
	// ProvenSince are the hosts that failed in the run which this one tries again, and that were
	// installed and proven after that: they are left out.
	ProvenSince []string
	// Commands are those that follow on the run; the caller knows them.
	Commands event.Commands

	o      Options
	log    *log.Log // as it was read; nil: the run is apart
	show   func(event.Event)
	held   func() error // whether the locks are still ours
	stage  stage
	failed map[string]time.Time      // when the hosts failed that are tried again
	resets map[string]step.LastReset // the last reset of each host that may be wiped, when it was asked for
	before []log.Info                // runs of the plan, the latest first, of which this may be a repetition
}

// SetForks sets how many hosts do something at once.
func (p *Prepared) SetForks(n int) { p.o.Forks = n }

// UsageError is a request that cannot be met as it was given; another command can.
type UsageError struct{ Reason string }

func (e *UsageError) Error() string { return e.Reason }

func usageError(format string, values ...any) error {
	return &UsageError{fmt.Sprintf(format, values...)}
}

// Prepare says what a run would do. Diagnostics are about the plan under this choice; an
// error is about the run.
func Prepare(p *schema.Plan, o Options) (*Prepared, hcl.Diagnostics, error) {
	out := &Prepared{Plan: p, o: o}
	records, err := out.read()
	if err != nil {
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
	if err := out.fold(records); err != nil {
		return nil, diags, err
	}
	return out, diags, out.sameApproval()
}

// read determines which run is meant, and reads its log: logs are read once before the run,
// unless other processes write them meanwhile.
func (p *Prepared) read() ([]log.Record, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	p.Name = cmp.Or(p.o.Run, log.MakeName(p.o.Clock.Now()))
	if err := log.CheckName(p.Name); err != nil || p.o.Apart {
		return nil, err
	}
	past, err := log.Read(p.o.State)
	if err != nil {
		return nil, &NotStarted{err}
	}
	if err := p.choose(past.Runs()); err != nil {
		return nil, err
	}
	if p.log, err = past.Log(p.Name, p.logOptions()); err != nil {
		return nil, &NotStarted{err}
	}
	records, err := p.log.Records()
	if err != nil {
		return nil, &NotStarted{err}
	}
	switch {
	case p.o.Resume:
		p.resume(records)
	case p.o.OnlyFailed:
		err = p.leaveOutProven()
	}
	return records, err
}

// logOptions connect the log with the run, which may begin later.
func (p *Prepared) logOptions() log.Options {
	return log.Options{Masker: p.o.Masker, Secrets: p.o.Secrets, Secret: p.Plan.SecretText, Machine: p.machineOf,
		Show: func(e event.Event) { p.show(e) }, Held: func() error { return p.held() }}
}

// check refuses options that exclude one another.
func (p *Prepared) check() error {
	o := &p.o
	switch {
	case o.OnlyFailed && (o.Resume || o.Run != ""):
		return usageError("--only-failed starts a new run: it cannot be combined with --run and --resume, which continue one")
	case o.RetryFailed && o.Run == "" && !o.Resume:
		return usageError("--retry-failed continues a run: say which with --run NAME or --resume, or start a new run on the failed hosts with --only-failed")
	case (o.Resume || o.OnlyFailed) && o.chosen():
		return usageError("--resume and --only-failed take steps and hosts from the earlier run: leave out --tags, --skip-tags, --start-at and --limit")
	}
	return nil
}

// choose finds the run that is continued or repeated among those of the state folder.
func (p *Prepared) choose(runs []log.Info) error {
	runs = slices.DeleteFunc(runs, func(i log.Info) bool { return i.Plan != p.Plan.Name || i.AdHoc })
	switch {
	case p.o.Applies != "":
		return p.chooseApplied(runs)
	case p.o.Resume:
		return p.chooseOpen(runs)
	case p.o.OnlyFailed:
		return p.onlyFailed(runs)
	case !p.o.DryRun && p.o.Only == "":
		p.before = runs
	}
	return nil
}

// live reports a run that another process is working on.
func (p *Prepared) live(run string) bool {
	locks, err := lockRun(p.o.State, run)
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

// chooseOpen takes the run that was named, else the last one, with a stage that did not come
// to its end.
func (p *Prepared) chooseOpen(runs []log.Info) error {
	if named := p.o.Run; named != "" {
		runs = slices.DeleteFunc(runs, func(i log.Info) bool { return i.Run != named })
	}
	i := slices.IndexFunc(runs, log.Info.Unfinished)
	switch {
	case i < 0 && p.o.Run != "":
		return usageError("nothing to resume: %s has no unfinished run %q of plan %q; esxiplan runs lists them", p.o.State, p.o.Run, p.Plan.Name)
	case i < 0:
		return usageError("nothing to resume: %s has no unfinished run of plan %q", p.o.State, p.Plan.Name)
	}
	p.Name = runs[i].Run
	return nil
}

// chooseApplied takes the run that began to apply the saved plan and did not come to its end;
// if there is none, this is another run. A saved plan is applied once.
func (p *Prepared) chooseApplied(runs []log.Info) error {
	i := slices.IndexFunc(runs, func(i log.Info) bool { return slices.Contains(i.Applied, p.o.Applies) })
	switch {
	case i < 0:
		return nil
	case !runs[i].Unfinished() && !runs[i].Interrupted: // a run that was stopped at its very end can be continued
		return &NotStarted{fmt.Errorf("this plan was applied before: run %s, begun by %s %s. Make a new plan (esxiplan plan --out FILE); esxiplan runs show %[1]s shows what that run did",
			runs[i].Run, runs[i].By, p.Ago(runs[i].Began))}
	case p.o.Run != "" && p.o.Run != runs[i].Run:
		return usageError("run %s applies this plan already, and did not come to its end: continue it without --run, or with --run %[1]s", runs[i].Run)
	}
	p.Name = runs[i].Run
	return nil
}

// sameApproval refuses to continue a stage that applies a saved plan without that plan.
func (p *Prepared) sameApproval() error {
	if p.Continues == nil || !p.stage.again || p.o.DryRun || p.Continues.Applies == p.o.Applies {
		return nil
	}
	if p.Continues.Applies == "" {
		return usageError("run %s began without a saved plan: give the run that applies one another name", p.Name)
	}
	return usageError("run %s applies a saved plan, and nothing else may be done in it: continue it with %s", p.Name, p.Continues.Command)
}

// resume takes steps and hosts of the latest stage that did not come to its end.
func (p *Prepared) resume(records []log.Record) {
	open, hosts := p.log.Info().Open, map[string]bool{}
	for _, r := range records {
		if r.Stage == nil || len(open) == 0 || r.Stage.Key() != open[len(open)-1].Key {
			continue
		}
		p.o.Steps = r.Stage.Steps
		for _, h := range r.Stage.Hosts {
			hosts[h] = true
		}
	}
	p.o.Hosts = slices.Sorted(maps.Keys(hosts))
}

// onlyFailed takes the failed hosts of the run that was named, else of the last one, and the
// steps of all its stages: a host that failed in one has to go through the later ones, too.
func (p *Prepared) onlyFailed(runs []log.Info) error {
	run, err := p.failedIn(runs)
	if err != nil {
		return err
	}
	f := failures{at: map[string]log.Record{}, refused: map[string]bool{}}
	err = log.Each(p.o.State, run, func(r log.Record) error {
		f.fold(r)
		return nil
	})
	switch {
	case err != nil:
		return err
	case !f.staged:
		return usageError("the run %s was made by an older esxiplan and cannot be continued: start a new one", run)
	case len(f.at) == 0 && p.o.FailedIn != "":
		return usageError("no host failed in run %s of plan %q", run, p.Plan.Name)
	case len(f.at) == 0:
		return usageError("no host failed in run %s, the last one of plan %q", run, p.Plan.Name)
	}
	p.o.FailedIn, p.o.Steps, p.failed = run, f.steps, map[string]time.Time{}
	for host, r := range f.at {
		p.failed[host] = r.Time
	}
	p.o.Hosts = slices.SortedFunc(maps.Keys(f.at), func(a, b string) int { return cmp.Compare(f.at[a].Seq, f.at[b].Seq) })
	return nil
}

// failedIn is the run whose failed hosts are tried again.
func (p *Prepared) failedIn(runs []log.Info) (string, error) {
	named := p.o.FailedIn
	switch {
	case named == "" && len(runs) == 0:
		return "", usageError("there is no run of plan %q in %s: nothing has failed", p.Plan.Name, p.o.State)
	case named == "":
		return runs[0].Run, nil
	case !slices.ContainsFunc(runs, func(i log.Info) bool { return i.Run == named }):
		return "", usageError("%s has no run %q of plan %q whose failed hosts can be tried again; esxiplan runs lists them", p.o.State, named, p.Plan.Name)
	}
	return named, nil
}

// leaveOutProven leaves out the hosts that were proven after they failed, in whatever run: they
// would be wiped although they are installed.
func (p *Prepared) leaveOutProven() error {
	p.o.Hosts = slices.DeleteFunc(p.o.Hosts, func(host string) bool {
		last, ok := p.log.History(host).LastReset()
		since := ok && last.ProvenAfter(p.failed[host])
		if since {
			p.ProvenSince = append(p.ProvenSince, host)
		}
		return since
	})
	if len(p.o.Hosts) == 0 {
		return usageError("nothing to try again: every host that failed in run %s was installed and proven since: %s", p.o.FailedIn, strings.Join(p.ProvenSince, ", "))
	}
	return nil
}

// failures are the hosts of a run whose last end was a failure.
type failures struct {
	staged  bool                  // the run has stages
	steps   []string              // of all of these
	at      map[string]log.Record // of a host's failure
	refused map[string]bool       // hosts that did not begin, because the plan had changed
}

func (f *failures) fold(r log.Record) {
	switch {
	case r.Kind == log.StageStarted && r.Stage != nil:
		f.staged, f.steps = true, append(f.steps, r.Stage.Steps...)
	case r.Kind == event.StepDone && r.Step == lane.PlanStep:
		f.refused[r.Host] = true
	case r.Kind != event.HostDone, r.Status == event.NotRun:
	case f.refused[r.Host]: // that is of the plan then, not of the host
		delete(f.refused, r.Host)
	case r.Status.Failure():
		f.at[r.Host] = r
	default:
		delete(f.at, r.Host)
	}
}

// fold finds out from the records of the run what is left to do, and what another run that
// did not end did.
func (p *Prepared) fold(records []log.Record) error {
	if p.o.Apart {
		return p.foldRun(nil, func(string) bool { return false })
	}
	p.findUnfinished(p.log)
	if p.log.Before() > 0 {
		info := p.log.Info()
		p.Continues = &info
		if info.Plan != p.Plan.Name {
			return usageError("run %s is one of plan %q, and this is plan %q: give it another name", p.Name, info.Plan, p.Plan.Name)
		}
	}
	err := p.foldRun(records, func(host string) bool {
		_, open := p.log.History(host).Installing()
		return open
	})
	p.resets = map[string]step.LastReset{}
	for _, h := range p.Survey.Wipes() {
		p.resets[h.Name], _ = p.log.History(h.Name).LastReset()
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

// machineOf identifies a machine, whatever plans call it.
func (p *Prepared) machineOf(host string) string {
	h, ok := p.Plan.Host(host)
	if !ok {
		return host
	}
	return h.Machine()
}

// LeftOut lists the hosts that the stage leaves out because they failed before in the run.
func (p *Prepared) LeftOut() []string { return p.stage.lanes.LeftOut() }

// Ago says how long ago something was, for people, or when, if that is still to come by the clock
// here.
func (p *Prepared) Ago(t time.Time) string {
	if d := p.o.Clock.Now().Sub(t); d >= 0 {
		return text.Duration(d) + " ago"
	}
	return "at " + t.Local().Format("2006-01-02 15:04") + " (the clock here is behind that: was it set back?)"
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

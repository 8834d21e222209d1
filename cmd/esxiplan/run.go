package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/log"
	"esxiplan/engine/session"
	"esxiplan/engine/state"
	"esxiplan/engine/survey"
	"esxiplan/engine/text"
	"esxiplan/schema"
	"esxiplan/steps/all"
)

// runFlags are the flags of run; rehearse shares them.
type runFlags struct {
	planFlags
	dry         bool
	check       bool
	yes         bool
	again       bool
	keepMedia   bool
	name        string
	resume      bool
	byHand      string // the command, where it is do
	retryFailed bool
	onlyFailed  failedRun
	prune       bool
	forks       int
	inFlight    string
	maxFailures string
	output      string
	outputs     outputFlags
	state       string
	sim         string
	trace       traceFlags
	planned     planOutput
}

func (f *runFlags) add(c *cobra.Command) {
	f.planFlags.add(c)
	f.addSelection(c)
	f.addRun(c)
}

// addRun adds how a run goes, whatever is chosen to run.
func (f *runFlags) addRun(c *cobra.Command) {
	c.Flags().IntVarP(&f.forks, "forks", "f", envInt("ESXIPLAN_FORKS", 50), "how many hosts do something at once (ESXIPLAN_FORKS)")
	c.Flags().StringVar(&f.inFlight, "in-flight", "", "how many hosts may be between first write and end: N or P%")
	c.Flags().StringVar(&f.maxFailures, "max-failures", "", "stop when more hosts than this failed: N or P%")
	c.Flags().StringVarP(&f.output, "output", "o", "auto", "output: "+strings.Join(view.Formats, ", ")+"; auto is live on a terminal, and plain elsewhere and in CI")
	f.outputs.add(c)
	c.Flags().StringVar(&f.state, "state", "", "state folder (default: .esxiplan next to the plan)")
	c.Flags().BoolVar(&f.prune, "prune", false, "at the end remove published images of hosts that are no longer in the plan")
	c.Flags().BoolVar(&f.keepMedia, "keep-media", false, "leave published images after the proof of installation")
	f.trace.add(c)
}

func envInt(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

func (a *app) runCommand() *cobra.Command {
	f := &runFlags{}
	c := &cobra.Command{
		Use:   "run PLAN…",
		Short: "Run a plan",
		Long: `Run a plan: each host goes through the steps on its own, and a host that fails
does not affect the others.

A run that may wipe machines lists hosts and disks first and asks; --yes answers.

A run has a name (--run NAME; by default one is made). The same name continues the
run: with the same steps from where it stood, also after a crash or Ctrl-C; with
other steps (--tags) as its next stage, without the hosts that failed before
(--retry-failed includes them). --resume continues the last unfinished stage;
--only-failed starts a new run on the hosts that failed in the last one, --only-failed=RUN
on those that failed in RUN. esxiplan runs lists runs.

On a terminal a run is shown as a table with keys (? lists them); elsewhere as lines,
with one a minute that says how it stands. -o chooses; --events FILE writes every
event to a file, too.

A plan is a program of its author's: also a dry run sends the passwords that it
gives to the addresses that it names, and env() reads passwords from the
environment. Run only plans that you trust or have read. Where CI is set, env()
reads only BMC_* and ESXIPLAN_*; --allow-env adds names.

Exit codes: 0 success, 1 plan or usage error, 2 hosts failed, 4 hosts unreachable,
6 both, 5 nothing was started, 8 stopped by the failure budget, 70 internal error,
130 interrupted.`,
		Example: "  esxiplan run site.hcl --dry-run\n  esxiplan run site.hcl --tags mount-iso --limit rack7\n" +
			"  esxiplan run site.hcl --run \"$BUILD_TAG\" --tags reboot --yes\n  esxiplan run site.hcl --resume\n  esxiplan run site.hcl --yes -o jsonl",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f.dry = f.dry || f.check
			if c.Flags().Changed("run") && f.name == "" {
				return errors.New("--run takes the name of a run, and the name given is empty: is a variable not set?")
			}
			return a.run(args, f)
		},
	}
	f.add(c)
	f.addReal(c)
	f.addContinue(c)
	return c
}

// addContinue adds which run it is.
func (f *runFlags) addContinue(c *cobra.Command) {
	c.Flags().StringVar(&f.name, "run", "", "name of the run: a new one, or one to continue (default: a new name)")
	c.Flags().BoolVar(&f.resume, "resume", false, "continue the last unfinished stage, of the run that --run names or of the last one that has any")
	c.Flags().BoolVar(&f.retryFailed, "retry-failed", false, "with --run or --resume: also retry the hosts that failed")
	c.Flags().Var(&f.onlyFailed, "only-failed", "start a new run with the steps of the last one, or of RUN, on the hosts that failed in it")
	c.Flags().Lookup("only-failed").NoOptDefVal = lastRun
}

// failedRun is the value of --only-failed, which may name the run whose failed hosts are meant.
type failedRun struct {
	given bool
	run   string
}

// lastRun is the value of --only-failed without a name; no run can be called that.
const lastRun = "<RUN>"

// String implements [pflag.Value].
func (f *failedRun) String() string { return f.run }

// Type implements [pflag.Value]: the help shows no name of a value that must follow.
func (f *failedRun) Type() string { return "" }

// Set implements [pflag.Value].
func (f *failedRun) Set(run string) error {
	f.given, f.run = true, run
	return nil
}

// name is that of the run, "" for the last one.
func (f *failedRun) name() string {
	if f.run == lastRun {
		return ""
	}
	return f.run
}

// check refuses a name that is empty, since the last run may be another one than was meant, and
// what flags without a name take.
func (f *failedRun) check() error {
	switch {
	case f.given && f.run == "":
		return errors.New("--only-failed= takes the name of a run, and the name given is empty: is a variable not set?")
	case f.run == "true" || f.run == "false":
		return fmt.Errorf("--only-failed=%s: this flag takes no value, or the name of a run, such as --only-failed=nightly-7", f.run)
	}
	return nil
}

// addReal adds what only runs on machines have, not rehearsals.
func (f *runFlags) addReal(c *cobra.Command) {
	c.Flags().BoolVar(&f.dry, "dry-run", false, "show what would be written; writes nothing")
	c.Flags().BoolVarP(&f.check, "check", "C", false, "the same as --dry-run")
	f.planned.add(c)
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask before a run that wipes")
	c.Flags().BoolVar(&f.again, "again", false, "reset machines although their last reset is neither proven nor timed out")
	c.Flags().StringVar(&f.sim, "sim", "", "run against the machines that esxiplan sim serves: the file that it wrote")
}

func (a *app) run(paths []string, f *runFlags) error {
	a.jsonl = f.output == "jsonl"
	if f.planned.offline && f.dry {
		return a.planOffline(paths, f)
	}
	p, where, err := a.loadAt(paths, &f.planFlags, f.sim, f.state)
	if err != nil {
		return err
	}
	return (&request{app: a, paths: paths, flags: f, plan: p, site: where}).run()
}

// request asks for a run, a dry run or a rehearsal of a plan.
type request struct {
	*app
	site
	paths     []string // of the plan, as they were given
	flags     *runFlags
	plan      *schema.Plan
	rehearsal bool // no one is asked, nothing real can be wiped

	requests func(host string, x bmc.Exchange) // gets the requests to BMCs; nil: it need not

	saved    *savedPlan // that is applied; nil: none is
	prepared *session.Prepared
	agreed   session.Agreement
	hold     chan struct{} // closed: no further host is to begin
}

func (r *request) run() error {
	if err := r.prepare(); err != nil {
		return err
	}
	s := r.prepared.Survey
	if left := s.Protected(); len(left) == len(s.Hosts()) {
		r.sayBefore("nothing was started: the plan says protected = true for every chosen host (" + strings.Join(hostNames(left), ", ") +
			"). Remove it where a host may be changed")
		return exitCode(event.ExitRefused)
	}
	if left := r.prepared.LeftOut(); len(left) > 0 && len(left) == len(s.Working()) {
		return r.refuse(fmt.Errorf("every chosen host failed before in run %s (%s). --retry-failed includes them", r.prepared.Name, strings.Join(left, ", ")))
	}
	if r.flags.dry {
		return r.planIt()
	}
	if err := r.consent(); err != nil {
		return err
	}
	return r.start()
}

// prepare says what the run would do.
func (r *request) prepare() error {
	f := r.flags
	if f.forks < 1 {
		return fmt.Errorf("--forks takes a number of hosts, 1 or more, not %d", f.forks)
	}
	if err := cmp.Or(f.onlyFailed.check(), r.checkOutput()); err != nil {
		return err
	}
	if err := f.outputs.refuseInputs(r.sources()); err != nil {
		return err
	}
	if f.prune && (r.plan.Media == nil || r.plan.Media.Directory == nil) {
		return fmt.Errorf("--prune takes images out of media.directory, which the plan does not have")
	}
	prepared, diags, err := session.Prepare(r.plan, r.options())
	if reportErr := r.report(r.plan, diags); reportErr != nil {
		return reportErr
	}
	var notStarted *session.NotStarted
	if errors.As(err, &notStarted) {
		return r.refuse(err)
	}
	if err != nil {
		return err
	}
	prepared.Commands = r.commands(prepared)
	r.prepared = prepared
	if proven := prepared.ProvenSince; len(proven) > 0 {
		fmt.Fprintf(r.streams.Err, "note: left out, because they were installed and proven since they failed: %s\n", strings.Join(proven, ", "))
	}
	return r.reckon()
}

// reckon fits the run into what this process may open. A rehearsal opens no connections.
func (r *request) reckon() error {
	if r.rehearsal {
		return nil
	}
	s := r.prepared.Survey
	n := need{hosts: len(s.Working()), forks: r.flags.forks}
	if n.reading = n.hosts; !s.Serves() || r.flags.dry {
		n.reading = 0
	} else if most := s.Limits().InFlight; most >= 0 {
		n.reading = min(n.reading, most)
	}
	if err := r.fit(&r.site, n, &r.flags.forks); err != nil {
		return err
	}
	r.prepared.SetForks(r.flags.forks)
	return nil
}

func (r *request) options() session.Options {
	f := r.flags
	return session.Options{
		Options: survey.Options{Choice: f.choice, DryRun: f.dry, InFlight: f.inFlight, MaxFailures: f.maxFailures},
		Types:   all.Types(), State: r.state, Locks: r.locks, Clock: r.clock, Forks: f.forks,
		Run: f.name, Applies: r.saved.checksum(), Resume: f.resume, RetryFailed: f.retryFailed, OnlyFailed: f.onlyFailed.given, FailedIn: f.onlyFailed.name(), Apart: r.rehearsal, Fleeting: r.rehearsal && r.flags.state == "",
		By: state.Self(), Version: version, Command: r.commandLine(), Secrets: r.plan.SecretNames(), Masker: r.secrets, Note: r.note,
	}
}

// refuse ends a run that did not start.
func (r *request) refuse(err error) error {
	r.sayBefore("nothing was started: " + err.Error())
	return exitCode(event.ExitRefused)
}

// command is the beginning of a command that runs the plan again as it was given.
func (r *request) command() []string {
	f := r.flags
	if r.saved != nil {
		return r.saved.command(f)
	}
	command := append([]string{"esxiplan", "run"}, r.paths...)
	for _, folder := range f.allowRead {
		command = append(command, "--allow-read", folder)
	}
	for _, name := range f.allowEnv {
		command = append(command, "--allow-env", name)
	}
	for _, file := range f.files {
		command = append(command, "--var-file", file)
	}
	for _, set := range f.set {
		if !r.secret(set) {
			command = append(command, "-e", set)
		}
	}
	return append(command, f.places()...)
}

// secret reports a value given by -e that must not be shown.
func (r *request) secret(set string) bool {
	name, value, _ := strings.Cut(set, "=")
	return r.plan.Sensitive(name) || r.secrets.Mask(value) != value
}

// line is a command as people paste it. What was given as a secret is to be in the environment:
// the shell says so, and runs nothing, where it is not. A variables file goes before the
// environment, so that with one the value goes where it was before it, too.
func (r *request) line(words []string) string {
	before, after := "", ""
	for _, set := range r.flags.set {
		if !r.secret(set) {
			continue
		}
		name, _, _ := strings.Cut(set, "=")
		variable := "ESXIPLAN_VAR_" + strings.ReplaceAll(name, "-", "_")
		value := fmt.Sprintf("${%s:?set this variable first}", variable)
		if len(r.flags.files) == 0 && !strings.Contains(name, "-") {
			before += fmt.Sprintf(`%s="%s" `, variable, value)
		} else {
			after += fmt.Sprintf(` -e "%s=%s"`, name, value)
		}
	}
	return before + shellLine(words) + after
}

// places are the flags that say where state and machines are.
func (f *runFlags) places() (words []string) {
	for _, flag := range []struct{ name, value string }{{"--state", f.state}, {"--sim", f.sim}} {
		if flag.value != "" {
			words = append(words, flag.name, flag.value)
		}
	}
	return words
}

// commandLine is the command by which the run was asked for, for the log; "" for a rehearsal,
// which is no run that is asked for again.
func (r *request) commandLine() string {
	if r.rehearsal {
		return ""
	}
	if r.flags.byHand != "" {
		return r.flags.byHand
	}
	if r.saved != nil {
		return r.line(r.command())
	}
	command, c := r.command(), r.flags.choice
	for _, list := range []struct {
		name   string
		values []string
	}{{"--tags", c.Tags}, {"--skip-tags", c.SkipTags}, {"--limit", c.Limit}} {
		for _, v := range list.values {
			command = append(command, list.name, v)
		}
	}
	if c.StartAt != "" {
		command = append(command, "--start-at", c.StartAt)
	}
	return r.line(command)
}

// commands are those that follow on the run. The machines of a rehearsal are gone after it.
func (r *request) commands(p *session.Prepared) (c event.Commands) {
	if r.rehearsal || r.flags.dry {
		return c
	}
	c.Continue = r.continuation(p.Survey)
	if len(r.paths) > 0 {
		c.Show = shellLine(slices.Concat([]string{"esxiplan", "runs", "show", p.Name, r.paths[0]}, r.flags.places()))
	}
	if r.flags.byHand == "" {
		c.Resume = r.resumption(p.Name)
	}
	if r.saved != nil { // its plan is not run by its files
		return c
	}
	c.Eject, c.PowerOn = r.byHand("eject"), r.byHand("power", "action=on")
	if r.flags.byHand == "" {
		c.Retry = r.line(slices.Concat(r.command(), []string{"--only-failed=" + p.Name}, r.flags.limits()))
	}
	return c
}

// byHand is the command that runs one step on hosts of the plan.
func (r *request) byHand(step string, arguments ...string) string {
	plan := r.command()[2:] // after esxiplan run
	return r.line(slices.Concat([]string{"esxiplan", "do", step}, plan, arguments))
}

// continuation is the command that waits for installations which this run began, "" where
// the plan has no step for that.
func (r *request) continuation(s *survey.Survey) string {
	wait := s.WaitStep()
	if wait == "" || r.saved != nil { // what applies a saved plan is continued by applying it
		return ""
	}
	return r.line(slices.Concat(r.command(), []string{"--start-at", wait}, r.flags.limits()))
}

// resumption is the command that continues a run where it stood: its steps and hosts are in
// its log.
func (r *request) resumption(run string) string {
	command := r.command()
	if r.saved == nil {
		command = append(command, "--run", run, "--resume")
	}
	return r.line(append(command, r.flags.limits()...))
}

// limits are the flags that say how careful a run is, and what it leaves.
func (f *runFlags) limits() (words []string) {
	for _, flag := range []struct{ name, value string }{{"--in-flight", f.inFlight}, {"--max-failures", f.maxFailures}} {
		if flag.value != "" {
			words = append(words, flag.name, flag.value)
		}
	}
	if f.keepMedia {
		words = append(words, "--keep-media")
	}
	return words
}

// shellWord writes a word so that a POSIX shell reads it as one.
func shellWord(word string) string { return text.ShellWord(word) }

// shellLine writes a command so that a POSIX shell reads these words.
func shellLine(words []string) string { return text.ShellLine(words) }

// start runs what was prepared and agreed to.
func (r *request) start() error {
	followers, err := r.follow()
	if err != nil {
		return err
	}
	defer followers.close() // after the recap
	v, err := r.views()
	if err != nil {
		return err
	}
	summary, err := r.execute(r.prepared, session.Outlets{Show: followers.show(v.Event), Earlier: followers.earlier(v.Earlier), Hold: r.hold})
	closeErr := v.Close()
	if err != nil {
		return err
	}
	if closeErr != nil {
		r.sayBefore(closeErr.Error())
		summary.Exit = cmp.Or(summary.Exit, event.ExitUsage)
	}
	if summary.Exit != event.ExitOK {
		return exitCode(summary.Exit)
	}
	return nil
}

// execute runs a prepared run over doors to the outside. An error is one of usage, or, as an
// exit code, a run that did not start, which was said; else the summary tells.
func (r *request) execute(prepared *session.Prepared, o session.Outlets) (event.Summary, error) {
	r.streams.Verbose = r.flags.trace.verbose > 0
	trace, err := newTracer(r.flags.trace, r.streams.Err, r.secrets)
	if err != nil {
		return event.Summary{}, err
	}
	defer trace.close()
	trace.follow = r.requests
	w := r.newWorld(r.plan, r.site, trace)
	if r.flags.prune {
		w.atEnd = func() { r.prune(w) }
	}
	soft, hard, stop := interruptsOn(func(text string) { fmt.Fprintln(r.streams.Err, text) }, r.leave)
	defer stop()
	o.World = func(l *log.Log) (session.World, error) {
		if prepared == r.prepared {
			r.keepPlan(l.Run())
		}
		return w, w.begin(prepared.Survey, l, r.flags, r.agreed)
	}
	summary, err := prepared.Run(soft, hard, o)
	var notStarted *session.NotStarted
	var unusable *session.UsageError
	switch {
	case errors.As(err, &unusable):
		return summary, err
	case errors.As(err, &notStarted):
		return summary, r.refuse(err)
	case err != nil && summary.Exit == event.ExitOK:
		r.sayBefore(err.Error())
		summary.Exit = event.ExitInternal
	}
	return summary, nil
}

// prune takes away images whose hosts have left the plan. That it fails is no
// failure of the run.
func (r *request) prune(w *world) {
	keep := func(host string) bool { _, known := r.plan.Host(host); return known }
	gone, err := w.library.Prune(r.plan.Name, keep, r.flags.dry)
	verb := "pruned"
	if r.flags.dry {
		verb = "would prune"
	}
	for _, what := range gone {
		fmt.Fprintf(r.streams.Err, "%s %s\n", verb, what)
	}
	if err != nil {
		fmt.Fprintf(r.streams.Err, "--prune: %v\n", err)
	}
}

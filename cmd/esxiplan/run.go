package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine"
	"esxiplan/engine/bmc"
	"esxiplan/engine/state"
	"esxiplan/engine/step"
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
	prune       bool
	forks       int
	inFlight    string
	maxFailures string
	output      string
	state       string
	sim         string
	trace       traceFlags
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
	c.Flags().StringVarP(&f.output, "output", "o", "plain", "output: "+strings.Join(view.Formats, " or "))
	c.Flags().StringVar(&f.state, "state", "", "state folder (default: .esxiplan beside the plan)")
	c.Flags().BoolVar(&f.prune, "prune", false, "at the end take away published images that no host of the plan has any more")
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
		Long: `Run a plan: each host goes through the steps on its own; one host's trouble stays its own.

A run that may wipe machines lists hosts and disks first and asks; --yes answers. Exit codes:
0 all well, 1 plan or usage error, 2 hosts failed, 4 hosts unreachable, 6 both, 5 nothing was started,
8 stopped by the failure budget, 70 internal error, 130 interrupted.`,
		Example: "  esxiplan run site.hcl --dry-run\n  esxiplan run site.hcl --tags mount-iso --limit rack7\n  esxiplan run site.hcl --yes -o jsonl",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			f.dry = f.dry || f.check
			return a.run(args, f)
		},
	}
	f.add(c)
	f.addReal(c)
	return c
}

// addReal adds what only runs on machines have, not rehearsals.
func (f *runFlags) addReal(c *cobra.Command) {
	c.Flags().BoolVar(&f.dry, "dry-run", false, "show what would be written; writes nothing")
	c.Flags().BoolVarP(&f.check, "check", "C", false, "the same as --dry-run")
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask before a run that wipes")
	c.Flags().BoolVar(&f.again, "again", false, "reset machines although their last reset is neither proven nor timed out")
	c.Flags().StringVar(&f.sim, "sim", "", "run against the machines that esxiplan sim serves: the file that it wrote")
}

func (a *app) run(paths []string, f *runFlags) error {
	a.jsonl = f.output == "jsonl"
	var file *simFile
	var standIn func(string) string
	if f.sim != "" {
		var err error
		if file, err = readSimFile(f.sim); err != nil {
			return err
		}
		standIn = file.secret
	}
	p, err := a.load(paths, &f.planFlags, standIn)
	if err != nil {
		return err
	}
	e := &execution{app: a, paths: paths, flags: f, plan: p, clock: engine.NewClock(1), state: stateDir(p, f.state)}
	if file != nil {
		e.clock, e.sim, e.note = engine.NewClockAt(file.Start, file.Speed), &file.simulation, file.note()
		e.state = simState(e.state, f.state, file.Start)
	}
	return e.execute()
}

// execution is one run, dry run or rehearsal of a loaded plan.
type execution struct {
	*app
	paths []string // of the plan, as they were given
	flags *runFlags
	plan  *schema.Plan
	clock *engine.Clock
	state string
	sim   *simulation
	note  string
	// rehearsal: nobody is asked, nothing real can be wiped.
	rehearsal bool

	machine *engine.Machine
	agreed  map[string]step.Consent // by host, or everyHost
	held    func() error            // nil in a dry run
}

func (e *execution) execute() error {
	var err error
	e.streams.Verbose = e.flags.trace.verbose > 0
	e.machine, err = e.prepare()
	if err != nil {
		return err
	}
	if left := e.machine.Protected(); len(left) == len(e.machine.Hosts()) {
		e.sayBefore("nothing was started: the plan says protected = true for every chosen host (" + strings.Join(hostNames(left), ", ") + "). Remove it where a host may be changed")
		return exitCode(engine.ExitRefused)
	}
	if !e.flags.dry {
		if err := e.consent(); err != nil {
			return err
		}
		if err := state.Make(e.state); err != nil {
			return e.refuse(err)
		}
	}
	run := engine.NewRunID(e.clock.Now())
	if !e.flags.dry {
		locks, err := e.lock(run)
		if err != nil {
			return e.refuse(err)
		}
		defer e.unlock(locks)
	}
	return e.drive(run)
}

// refuse ends a run that did not start.
func (e *execution) refuse(err error) error {
	e.sayBefore("nothing was started: " + err.Error())
	return exitCode(engine.ExitRefused)
}

func (e *execution) prepare() (*engine.Machine, error) {
	if e.flags.forks < 1 {
		return nil, fmt.Errorf("--forks takes a number of hosts, 1 or more, not %d", e.flags.forks)
	}
	if _, err := view.New(e.flags.output, e.streams); err != nil {
		return nil, err
	}
	m, diags := engine.New(e.plan, all.Types(), engine.Options{
		Selection: e.flags.selection, DryRun: e.flags.dry, InFlight: e.flags.inFlight, MaxFailures: e.flags.maxFailures,
	})
	if err := e.report(e.plan, diags); err != nil {
		return nil, err
	}
	if e.flags.prune && (e.plan.Media == nil || e.plan.Media.Directory == nil) {
		return nil, fmt.Errorf("--prune takes images out of media.directory, which the plan does not have")
	}
	if reason := m.Serving(); reason != "" {
		return nil, errors.New(reason)
	}
	return m, nil
}

// continuation is the command that waits for installations which this run began, "" where
// the plan has no step for that.
func (e *execution) continuation() string {
	wait := e.machine.WaitStep()
	if wait == "" || e.rehearsal {
		return ""
	}
	command := append([]string{"esxiplan", "run"}, e.paths...)
	for _, folder := range e.flags.allowRead {
		command = append(command, "--allow-read", folder)
	}
	for _, file := range e.flags.files {
		command = append(command, "--var-file", file)
	}
	for _, set := range e.flags.set {
		name, _, _ := strings.Cut(set, "=")
		if e.plan.Sensitive(name) {
			set = name + "=…"
		}
		command = append(command, "-e", set)
	}
	for _, flag := range []struct{ name, value string }{{"--state", e.flags.state}, {"--sim", e.flags.sim}} {
		if flag.value != "" {
			command = append(command, flag.name, flag.value)
		}
	}
	command = append(command, "--start-at", wait)
	for i, word := range command {
		command[i] = shellWord(word)
	}
	return strings.Join(command, " ")
}

// plainWord is what a shell takes as it stands.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=,@%+…-]+$`)

// shellWord writes a word so that a POSIX shell reads it as one.
func shellWord(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func (e *execution) drive(run string) error {
	v, err := view.New(e.flags.output, e.streams)
	if err != nil {
		return err // was checked before
	}
	open := engine.OpenJournal
	if e.flags.dry {
		open = engine.DryJournal
	}
	journal, err := open(e.state, run, engine.JournalOptions{Mask: masker(secretsOf(e.plan)), Show: v.Event, Machine: e.machineOf})
	if err != nil {
		return e.refuse(err)
	}
	trace, err := newTracer(e.flags.trace, e.streams.Err, masker(secretsOf(e.plan)))
	if err != nil {
		return errors.Join(err, journal.Close())
	}
	defer trace.close()
	w := &world{plan: e.plan, trace: trace, machine: e.machine, journal: journal, clock: e.clock, state: e.state, dry: e.flags.dry, again: e.flags.again, keep: e.flags.keepMedia, consent: e.agreed,
		sim: e.sim, logins: bmc.NewLogins(), warned: map[string]bool{}}
	if err := w.openStore(); err != nil {
		journal.Close()
		return err
	}
	summary := e.loop(w, journal)
	if e.flags.prune {
		e.prune(w)
	}
	w.close()
	closeErr := journal.Close()
	v.Close()
	if closeErr != nil && summary.Exit == 0 {
		e.sayBefore(closeErr.Error())
		return exitCode(engine.ExitInternal)
	}
	if summary.Exit != engine.ExitOK {
		return exitCode(summary.Exit)
	}
	return nil
}

// prune takes away images whose hosts have left the plan. That it fails is no
// failure of the run.
func (e *execution) prune(w *world) {
	keep := func(host string) bool { _, known := e.plan.Host(host); return known }
	gone, err := w.library.Prune(e.plan.Name, keep, e.flags.dry)
	verb := "pruned"
	if e.flags.dry {
		verb = "would prune"
	}
	for _, what := range gone {
		fmt.Fprintf(e.streams.Err, "%s %s\n", verb, what)
	}
	if err != nil {
		fmt.Fprintf(e.streams.Err, "--prune: %v\n", err)
	}
}

// machineOf tells machines apart whatever plans call them.
func (e *execution) machineOf(host string) string {
	h, ok := e.plan.Host(host)
	if !ok {
		return host
	}
	return h.Machine()
}

func (e *execution) loop(w *world, journal *engine.Journal) engine.Summary {
	var steps, files, hosts []string
	for _, h := range e.machine.Hosts() {
		hosts = append(hosts, h.Name)
	}
	for _, s := range e.machine.Steps() {
		steps = append(steps, s.Name)
	}
	for name := range e.plan.Files {
		files = append(files, name)
	}
	journal.Note(engine.Event{Kind: engine.RunStarted, Time: e.clock.Now(), Plan: &engine.PlanInfo{
		Name: e.plan.Name, Files: files, Hosts: hosts, Steps: steps, DryRun: e.flags.dry, Note: e.note,
		Continue: e.continuation(), Of: len(e.plan.Hosts()), Serves: e.plan.Media != nil && e.plan.Media.Serves()}})
	soft, hard, stop := interrupts(func(text string) { fmt.Fprintln(e.streams.Err, text) })
	defer stop()
	worker := &engine.Worker{Plan: e.plan, Types: all.Types(), Open: w.open, Clock: e.clock, Journal: journal, Held: e.held}
	driver := &engine.Driver{Machine: e.machine, Worker: worker, Forks: e.flags.forks}
	summary, _ := driver.Run(soft, hard)
	journal.Note(engine.Event{Kind: engine.RunDone, Time: e.clock.Now(), Summary: &summary})
	return summary
}

// shortestMasked bounds what is masked by value: shorter words would hide half of
// every text. By type no secret gets there anyway.
const shortestMasked = 6

// masker replaces secrets by value, in the forms in which they could appear.
func masker(secrets []string) func(string) string {
	var pairs []string
	for _, s := range secrets {
		if len(s) < shortestMasked {
			continue
		}
		quoted, _ := json.Marshal(s)
		for _, form := range []string{s, strings.TrimSuffix(strings.TrimPrefix(string(quoted), `"`), `"`), url.QueryEscape(s), url.PathEscape(s), base64.StdEncoding.EncodeToString([]byte(s))} {
			pairs = append(pairs, form, schema.Hidden)
		}
	}
	return strings.NewReplacer(pairs...).Replace
}

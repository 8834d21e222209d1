package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/event"
	"esxiplan/engine/log"
	"esxiplan/engine/session"
	"esxiplan/schema"
)

// runsFlags say where the logs of runs are.
type runsFlags struct {
	state  string
	sim    string
	asJSON bool
}

func (f *runsFlags) add(c *cobra.Command) {
	c.PersistentFlags().StringVar(&f.state, "state", "", "state folder (default: .esxiplan next to the plan, or in the current directory)")
	c.PersistentFlags().StringVar(&f.sim, "sim", "", "file that esxiplan sim wrote: runs against the machines that sim serves")
	c.PersistentFlags().BoolVar(&f.asJSON, "json", false, "write JSON")
}

// folder is the state folder of a plan, of which only the place counts.
func (f *runsFlags) folder(plans []string) (string, error) {
	dir, err := stateDir(placeOf(plans), f.state)
	if err != nil || f.sim == "" {
		return dir, err
	}
	file, err := readSimFile(f.sim)
	if err != nil {
		return "", err
	}
	return simState(dir, f.state, file.Start), nil
}

// placeOf is the folder of a plan.
func placeOf(plans []string) string {
	if len(plans) == 0 {
		return "."
	}
	if info, err := os.Stat(plans[0]); err == nil && info.IsDir() {
		return plans[0]
	}
	return filepath.Dir(plans[0])
}

func (a *app) runsCommand() *cobra.Command {
	f := &runsFlags{}
	c := &cobra.Command{
		Use:   "runs [PLAN]",
		Short: "List runs, and show what they did",
		Long: `List the runs of a state folder, the latest first: when each began, how its last
stage ended, by whom it was started. An unfinished run can be continued:
esxiplan run PLAN --resume, or by its name with --run RUN --resume.`,
		Example: "  esxiplan runs site.hcl\n  esxiplan runs show nightly-7 site.hcl --host 10.172.18.191\n  esxiplan runs diff nightly-6 nightly-7\n" +
			"  esxiplan runs prune --keep 90d",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			state, err := f.folder(args)
			if err != nil {
				return err
			}
			return a.listRuns(state, f.asJSON)
		},
	}
	f.add(c)
	c.AddCommand(a.runsShowCommand(f), a.runsDiffCommand(f), a.runsPruneCommand(f))
	return c
}

func (a *app) listRuns(state string, asJSON bool) error {
	runs, err := log.List(state)
	if err != nil {
		return err
	}
	if asJSON {
		return a.writeJSON(runs)
	}
	if len(runs) == 0 {
		fmt.Fprintf(a.streams.Out, "no run in %s\n", state)
		return nil
	}
	var rows []listRow
	for _, i := range runs {
		rows = append(rows, listRow{{"run", i.Run}, {"began", when(i.Began)}, {"state", howEnded(i)}, {"took", view.Span(i.Latest.Sub(i.Began))},
			{"stages", strconv.Itoa(i.Stages)}, {"hosts", strconv.Itoa(i.Hosts)}, {"plan", i.Plan}, {"by", i.By.String()}})
	}
	a.printWide(rows)
	return nil
}

// when is a time for people.
func when(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// howEnded says how the last stage of a run ended.
func howEnded(i log.Info) string {
	if !i.Ended {
		return "unfinished: still running, or its process died"
	}
	var parts []string
	for _, s := range []event.Status{event.OK, event.Changed, event.Skipped, event.NotRun, event.Failed, event.Unreachable} {
		if n := i.Counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	text := strings.Join(parts, ", ")
	if i.Interrupted {
		text = "interrupted: " + text
	}
	text = fmt.Sprintf("%s (exit %d)", text, i.Exit)
	if n := len(i.Open); n > 0 && !i.Interrupted {
		text += fmt.Sprintf("; unfinished: %s", event.Count(n, "stage"))
	}
	return text
}

func (a *app) runsShowCommand(f *runsFlags) *cobra.Command {
	show := &runShown{runsFlags: f}
	c := &cobra.Command{
		Use:   "show RUN [PLAN]",
		Short: "Show what a run did: its stages and hosts, or with --host everything about one host",
		Long: `Show what a run did, from its log: its stages and hosts, or with --host everything about one
host. --report KIND=FILE writes reports of it instead, as run --report does at the end of a run.`,
		Example: "  esxiplan runs show nightly-7 site.hcl\n  esxiplan runs show nightly-7 site.hcl --host 10.172.18.191\n" +
			"  esxiplan runs show nightly-7 site.hcl --report html=nightly-7.html",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error { return a.show(show, args) },
	}
	show.add(c)
	return c
}

// runShown is what of a run is shown.
type runShown struct {
	*runsFlags
	host    string
	reports reportFlag
}

func (s *runShown) add(c *cobra.Command) {
	c.Flags().StringVar(&s.host, "host", "", "show the log of this host of a run, in order of time")
	s.reports.add(c, "of the run, from its log")
}

// show shows a run: its name, and perhaps the plan.
func (a *app) show(s *runShown, args []string) error {
	state, err := s.folder(args[1:])
	if err != nil {
		return err
	}
	if err := s.reports.check(); err != nil {
		return err
	}
	switch {
	case len(s.reports.files) > 0 && s.host != "":
		return errors.New("--report writes about the whole run: leave out --host")
	case len(s.reports.files) > 0 && s.asJSON:
		return errors.New("--report writes files and shows nothing: leave out --json, or write --report json=FILE")
	case len(s.reports.files) > 0:
		return a.reportRun(state, args[0], s.reports)
	case s.host != "":
		return a.showHost(state, args[0], s.host, s.asJSON)
	}
	return a.showRun(state, args[0], s.asJSON)
}

func (a *app) showRun(state, run string, asJSON bool) error {
	s, err := log.Tell(state, run)
	if err != nil {
		return err
	}
	if asJSON {
		return a.writeJSON(s)
	}
	a.printText("run %s of plan %q, %s", s.Run, s.Plan, howEnded(s.Info))
	for _, p := range s.Parts {
		began := "began"
		if p.Continued {
			began = "continued"
		}
		a.printText("stage %d %s %s by %s with esxiplan %s: %s, steps %s", p.Number, began, when(p.Started), p.By, p.Version,
			event.Count(len(p.Hosts), "host"), strings.Join(p.Steps, " "))
		if p.Command != "" {
			a.printText("  %s", p.Command)
		}
	}
	var rows []listRow
	for _, h := range s.Hosts {
		rows = append(rows, listRow{{"host", h.Name}, {"status", string(h.Standing)}, {"took", view.Span(h.Took())},
			{"resets", strconv.Itoa(h.Resets)}, {"about", about(h)}})
	}
	a.printWide(rows)
	return nil
}

// about says what matters most about a host.
func about(h *log.HostStory) string {
	failed, step := h.Failed(), h.Step()
	switch {
	case failed != nil && h.Status.Failure():
		return failed.Name + ": " + failed.Problem.Summary
	case step != nil:
		return "in step " + step.Name
	case h.Proof != nil:
		return "ESXi " + h.Proof.Version + " build " + h.Proof.Build
	}
	return h.Text
}

// showHost shows all that a log has of one host, in order of time.
func (a *app) showHost(state, run, host string, asJSON bool) error {
	var records []log.Record
	err := log.Each(state, run, func(r log.Record) error {
		if r.Host == host {
			records = append(records, r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return fmt.Errorf("run %s has nothing about a host %q; esxiplan runs show %[1]s lists its hosts", run, host)
	}
	if asJSON {
		return a.writeJSON(records)
	}
	for _, r := range records {
		view.Line(a.streams, r.Event)
	}
	return nil
}

func (a *app) runsDiffCommand(f *runsFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "diff RUN RUN [PLAN]",
		Short: "Show how two runs differ, host by host: how they ended, and what the plan said",
		Args:  cobra.RangeArgs(2, 3),
		RunE: func(_ *cobra.Command, args []string) error {
			state, err := f.folder(args[2:])
			if err != nil {
				return err
			}
			before, err := log.Tell(state, args[0])
			if err != nil {
				return err
			}
			after, err := log.Tell(state, args[1])
			if err != nil {
				return err
			}
			rows := differences(before, after)
			switch {
			case f.asJSON:
				return a.writeJSON(rows)
			case len(rows) == 0:
				fmt.Fprintln(a.streams.Out, "no difference")
				return nil
			}
			fmt.Fprintf(a.streams.Out, "before: run %s, after: run %s\n", before.Run, after.Run)
			a.printWide(rows)
			return nil
		},
	}
}

// differences are the hosts of two runs that ended in another way, or for which the plan
// said something else.
func differences(before, after *log.Story) []listRow {
	rows := []listRow{}
	old, now := byHost(before), byHost(after)
	var names []string
	for _, h := range before.Hosts {
		names = append(names, h.Name)
	}
	for _, h := range after.Hosts {
		if old[h.Name] == nil {
			names = append(names, h.Name)
		}
	}
	for _, name := range names {
		a, b := ended(old[name]), ended(now[name])
		plan := partsThatDiffer(old[name], now[name])
		if a != b || plan != "" {
			rows = append(rows, listRow{{"host", name}, {"before", a}, {"after", b}, {"plan differs in", plan}})
		}
	}
	return rows
}

func byHost(s *log.Story) map[string]*log.HostStory {
	out := map[string]*log.HostStory{}
	for _, h := range s.Hosts {
		out[h.Name] = h
	}
	return out
}

// ended says how a host ended, "-" where it was not in the run.
func ended(h *log.HostStory) string {
	if h == nil {
		return "-"
	}
	if text := about(h); text != "" {
		return string(h.Standing) + ": " + text
	}
	return string(h.Standing)
}

func partsThatDiffer(a, b *log.HostStory) string {
	if a == nil || b == nil {
		return ""
	}
	return strings.Join(schema.DifferingParts(a.Digests, b.Digests), ", ")
}

func (a *app) runsPruneCommand(f *runsFlags) *cobra.Command {
	var keep string
	var dry bool
	c := &cobra.Command{
		Use:   "prune [PLAN] --keep 90d",
		Short: "Remove the logs of old runs and old images of machines' screens; the known state of machines is kept",
		Long: `Remove the logs of runs whose last record is older than --keep. The log of a
run stays while something that it began is open at a machine: an installation
that is neither proven nor timed out, an image in a drive, a boot source that
is set. It stays, too, while the run can be resumed: it was interrupted or its
process was killed, and no later run has worked on the hosts that it did not
finish. The known state of machines is kept.

Images of machines' screens (screens/HOST-TIME.png in the state folder) are
removed by their own age.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			age, err := days(keep)
			if err != nil {
				return fmt.Errorf("--keep %s: %w", keep, err)
			}
			state, err := f.folder(args)
			if err != nil {
				return err
			}
			pruned, err := session.Prune(state, time.Now().Add(-age), dry)
			for _, i := range pruned.Resumable {
				fmt.Fprintf(a.streams.Err, "kept %s: can be resumed with %s\n", i.Run, f.resumption(args, i.Run))
			}
			if f.asJSON {
				a.printScreens(a.streams.Err, pruned, dry)
				return errors.Join(a.writeJSON(append([]log.Info{}, pruned.Removed...)), err)
			}
			a.printRemoved(pruned, dry)
			if len(pruned.Removed)+pruned.Screens == 0 && err == nil {
				fmt.Fprintln(a.streams.Out, "nothing to remove")
			}
			return err
		},
	}
	c.Flags().StringVar(&keep, "keep", "90d", "remove logs and images older than this: 90d, 12h")
	c.Flags().BoolVar(&dry, "dry-run", false, "show what would be removed")
	return c
}

// resumption is the command that continues a run of these plan files where it stood.
func (f *runsFlags) resumption(plans []string, run string) string {
	if len(plans) == 0 {
		plans = []string{"PLAN"} // its state folder was found without it
	}
	command := append([]string{"esxiplan", "run"}, plans...)
	for _, flag := range []struct{ name, value string }{{"--state", f.state}, {"--sim", f.sim}, {"--run", run}} {
		if flag.value != "" {
			command = append(command, flag.name, flag.value)
		}
	}
	return shellLine(append(command, "--resume"))
}

// printRemoved lists the runs whose logs were removed, by name, and counts the screens.
func (a *app) printRemoved(pruned session.Pruned, dry bool) {
	for _, i := range slices.SortedFunc(slices.Values(pruned.Removed), func(a, b log.Info) int { return strings.Compare(a.Run, b.Run) }) {
		end := "ended"
		if !i.Ended {
			end = "was killed after"
		}
		fmt.Fprintf(a.streams.Out, "%s %s, which %s %s\n", removal(dry), i.Run, end, when(i.Latest))
	}
	a.printScreens(a.streams.Out, pruned, dry)
}

// printScreens counts the images of screens that were removed.
func (a *app) printScreens(out io.Writer, pruned session.Pruned, dry bool) {
	if pruned.Screens > 0 {
		fmt.Fprintf(out, "%s %s of machines' screens\n", removal(dry), event.Count(pruned.Screens, "image"))
	}
}

// removal is what happens to what is listed.
func removal(dry bool) string {
	if dry {
		return "would remove"
	}
	return "removed"
}

// days reads a length of time that may be in days.
func days(text string) (time.Duration, error) {
	number, inDays := strings.CutSuffix(text, "d")
	if !inDays {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return 0, fmt.Errorf("write a number of days such as 90d, or hours such as 12h")
		}
		return d, nil
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > 36500 {
		return 0, fmt.Errorf("write a number of days such as 90d, or hours such as 12h")
	}
	return time.Duration(n) * 24 * time.Hour, nil
}

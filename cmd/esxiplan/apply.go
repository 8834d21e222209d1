package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/log"
	"esxiplan/engine/proposal"
)

// savedPlan is a saved plan that is applied.
type savedPlan struct {
	*proposal.Saved
	file   string
	maxAge time.Duration
}

// checksum identifies the saved plan; "" where no plan is applied.
func (s *savedPlan) checksum() string {
	if s == nil {
		return ""
	}
	return s.Checksum
}

// command applies the saved plan again, as it was asked for.
func (s *savedPlan) command(f *runFlags) []string {
	return append([]string{"esxiplan", "apply", s.file}, f.places()...)
}

func (a *app) applyCommand() *cobra.Command {
	f := &runFlags{yes: true}
	maxAge := "24h"
	c := &cobra.Command{
		Use:   "apply FILE",
		Short: "Make exactly the changes of a saved plan",
		Long: `Make exactly the changes of a plan that esxiplan plan --out FILE saved. A saved plan
was approved: apply asks no questions.

The plan is refused as a whole when its files, its installer image, a secret or the
version of esxiplan changed since, when it was applied before, or when it is older than
--max-age. A host is refused, before the write, when its machine is not what
it was (serial number, disk, what runs there), and when a change is needed that the plan
does not hold. Hosts that the plan refused or did not reach are left out.

Apply it in the folder in which it was made, and give secrets that -e gave again. The same
command continues a run that was interrupted or killed. The state folder (--state) records
which plans were applied: keep it where all jobs see it.`,
		Example: "  esxiplan apply rack7.plan\n  esxiplan apply rack7.plan --in-flight 10 --max-failures 2\n  esxiplan apply rack7.plan --max-age 3d",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			age, err := readAge(maxAge)
			if err != nil {
				return err
			}
			return a.apply(args[0], f, age)
		},
	}
	c.Flags().StringArrayVarP(&f.set, "var", "e", nil, "set a variable with a secret, which the saved plan does not hold: name=value")
	c.Flags().StringVar(&maxAge, "max-age", maxAge, "refuse a plan that is older: 12h, 7d")
	c.Flags().StringVar(&f.name, "run", "", "name of the run (default: a new name)")
	c.Flags().StringVar(&f.sim, "sim", "", "file that esxiplan sim wrote: apply it to the machines that sim serves")
	f.addRun(c)
	return c
}

// readAge reads a length of time in days, or as Go writes them.
func readAge(text string) (time.Duration, error) {
	if number, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		if _, err := fmt.Sscanf(number, "%d", &n); err == nil && n >= 0 && n < 10_000 && fmt.Sprint(n) == number {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("--max-age takes a duration such as 12h or 7d, not %q", text)
	}
	return d, nil
}

func (a *app) apply(file string, f *runFlags, maxAge time.Duration) error {
	a.jsonl = f.output == "jsonl"
	saved, err := proposal.Read(file)
	if err != nil {
		return err
	}
	r := &request{app: a, flags: f, saved: &savedPlan{saved, file, maxAge}, paths: saved.Request.Paths}
	if err := saved.CheckMade(version); err != nil {
		return r.refuseSaved(err)
	}
	for _, path := range r.paths {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("saved plan %s was made from %s, which does not exist here: apply it in the folder in which it was made", file, path)
		}
	}
	r.askAgain(saved.Request)
	if r.plan, r.site, err = a.loadAt(r.paths, &f.planFlags, f.sim, f.state); err != nil {
		return err
	}
	if err := saved.Check(r.inputs(saved.Inputs.Salt, saved.Proposal)); err != nil {
		return r.refuseSaved(err)
	}
	return r.run()
}

func (r *request) refuseSaved(err error) error {
	return r.refuse(fmt.Errorf("saved plan %s: %w", r.saved.file, err))
}

// askAgain asks for what the saved plan was made for.
func (r *request) askAgain(q proposal.Request) {
	f := r.flags
	f.set = append(q.Set, f.set...)
	f.files, f.allowRead, f.allowEnv = q.VarFiles, q.AllowRead, q.AllowEnv
	f.again, f.keepMedia = q.Again, f.keepMedia || q.KeepMedia
	f.choice.Steps, f.choice.Hosts = q.Steps, r.saved.Proposal.Applicable()
}

// introduce says what is about to be applied, and to which hosts it is not.
func (r *request) introduce() {
	p := r.saved.Proposal
	fmt.Fprintf(r.streams.Err, "applying %s, made by %s %s\n%s\n", r.saved.file, r.saved.Made.By, r.prepared.Ago(r.saved.Made.Time), p.Summary)
	var out []string
	for _, h := range p.With(proposal.Refused, proposal.Unreachable, proposal.Undecided, proposal.LeftOut) {
		out = append(out, fmt.Sprintf("%s (%s)", h.Host, h.Outcome))
	}
	if len(out) > 0 {
		fmt.Fprintf(r.streams.Err, "left out, as in the plan: %s\n", strings.Join(out, ", "))
	}
}

func (a *app) showCommand() *cobra.Command {
	var o planOutput
	run := &runShown{runsFlags: &runsFlags{}}
	form := "plain"
	c := &cobra.Command{
		Use:   "show FILE|RUN [PLAN]",
		Short: "Show a saved plan, or what a run did",
		Long: `Show a plan that esxiplan plan --out FILE saved, as esxiplan plan showed it then. No machine is
looked at.

What is not a file is the name of a run: it is shown as esxiplan runs show does, or written into
reports (--report).`,
		Example: "  esxiplan show rack7.plan\n  esxiplan show rack7.plan --markdown\n  esxiplan show nightly-7 site.hcl --report html=nightly-7.html",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if isRun(args[0]) {
				if run.asJSON = o.json || form == asJSON; o.markdown || o.diff || form != "plain" && form != asJSON {
					return fmt.Errorf("%s is the name of a run, which is shown as text or with --json: --report markdown=FILE writes Markdown", args[0])
				}
				return a.show(run, args)
			}
			if foreign := c.Flags().Changed; len(args) > 1 || foreign("report") || foreign("host") || foreign("state") || foreign("sim") {
				return fmt.Errorf("%s is a file: --report, --host, --state, --sim and a plan belong to the name of a run", args[0])
			}
			s, err := proposal.Read(args[0])
			if err != nil {
				return err
			}
			if form, err = o.form(form); err == nil {
				err = checkForm(form, []string{"plain"}, true)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(a.streams.Err, "saved plan %s, made by %s at %s with esxiplan %s\n", args[0], view.Clean(s.Made.By.String()), s.Made.Time.Format("2006-01-02 15:04 UTC"), view.Clean(s.Made.Version))
			return a.showProposal(s.Proposal, s.Made, form, o.diff)
		},
	}
	c.Flags().StringVarP(&form, "output", "o", form, "output: plain, "+strings.Join(planForms, ", "))
	c.Flags().BoolVar(&o.json, "json", false, "the same as -o json")
	c.Flags().BoolVar(&o.markdown, "markdown", false, "the same as -o markdown")
	c.Flags().BoolVar(&o.diff, "diff", false, "show kickstarts whole where nothing was published before")
	c.Flags().StringVar(&run.state, "state", "", "state folder of the run (default: .esxiplan next to the plan, or in the current directory)")
	c.Flags().StringVar(&run.sim, "sim", "", "a run against the machines that esxiplan sim serves: the file that it wrote")
	run.add(c)
	return c
}

// isRun reports that what is to be shown is the name of a run, and not a file.
func isRun(name string) bool {
	_, err := os.Stat(name)
	return err != nil && log.CheckName(name) == nil && !strings.HasSuffix(name, ".plan")
}

package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/event"
	"esxiplan/engine/local"
	"esxiplan/engine/media"
	"esxiplan/engine/proposal"
	"esxiplan/engine/session"
	"esxiplan/engine/state"
	"esxiplan/schema"
)

// planOutput is how a plan is shown, and where it is saved.
type planOutput struct {
	out      string
	offline  bool
	json     bool
	markdown bool
	detailed bool
	diff     bool
}

// add adds the flags of what a plan is for; run --dry-run has them, too.
func (f *planOutput) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.json, "json", false, "the same as -o json: the plan as one JSON document")
	c.Flags().BoolVar(&f.markdown, "markdown", false, "the same as -o markdown: for a pull request")
	c.Flags().BoolVar(&f.diff, "diff", false, "show kickstarts whole where nothing was published before")
	c.Flags().BoolVar(&f.offline, "offline", false, "contact no machine; the plan says what it does not know, and missing secrets are replaced by random ones")
	c.Flags().BoolVar(&f.detailed, "detailed-exitcode", false, "exit 0 without changes, 2 with changes, 1 with hosts that are refused, 4 with unreachable ones")
}

// The forms of output that show a plan; those of package view show its events.
const (
	asJSON     = "json"
	asMarkdown = "markdown"
	asGitHub   = "github"
	asGitLab   = "gitlab"
)

// runForms are those of a run that a dry run has, too.
var runForms = []string{"plain", "jsonl"}

var planForms = []string{asJSON, asMarkdown, asGitHub, asGitLab}

func (a *app) planCommand() *cobra.Command {
	f := &runFlags{dry: true}
	c := &cobra.Command{
		Use:   "plan PLAN…",
		Short: "Show what a run would do, host by host, and save it to be approved and applied",
		Long: `Show what a run would do, without writing anything: the run's own steps run against
shadows of the machines, which are only read. For each host: the changes in their order, the
disks that will be erased as the BMC reports them, what runs there now, and how the
kickstart differs from the one that was published last.

--out FILE saves the plan. esxiplan show FILE shows it again, and esxiplan apply FILE
makes exactly these changes: a host that needs another one is refused, before the write,
and so is one whose machine has changed since. The file holds no secret.

Same plan files, same machines, same output, byte by byte.

Exit codes: 0, or 2 with hosts that are refused, 4 with hosts that are unreachable, 6 with
both. With --detailed-exitcode: 0 nothing to do, 2 changes, 1 hosts refused, 4 unreachable.`,
		Example: "  esxiplan plan site.hcl\n  esxiplan plan site.hcl --limit rack7 --out rack7.plan\n  esxiplan plan site.hcl --markdown > comment.md\n" +
			"  esxiplan plan site.hcl --offline -o github",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("out") && f.planned.out == "" {
				return errors.New("--out takes the name of a file, and the name given is empty: is a variable not set?")
			}
			return a.run(args, f)
		},
	}
	f.add(c)
	c.Flags().Lookup("output").Usage = "output: " + strings.Join(slices.Concat(runForms, planForms), ", ")
	c.Flags().Lookup("output").DefValue = "plain"
	f.planned.add(c)
	c.Flags().MarkHidden("report") // of what a run did
	c.Flags().StringVar(&f.planned.out, "out", "", "save the plan to this file")
	c.Flags().BoolVar(&f.again, "again", false, "plan to reset machines although their last reset is neither proven nor timed out")
	c.Flags().StringVar(&f.sim, "sim", "", "file that esxiplan sim wrote: plan for the machines that sim serves")
	f.addContinue(c)
	return c
}

// form is the form of output that was asked for, by -o or by a flag of its own.
func (f *planOutput) form(output string) (string, error) {
	switch {
	case f.json && f.markdown:
		return "", errors.New("give either --json or --markdown")
	case f.json:
		return asJSON, nil
	case f.markdown:
		return asMarkdown, nil
	}
	return output, nil
}

// checkOutput refuses forms of output that do not exist, and those that only plans have.
func (r *request) checkOutput() (err error) {
	f := r.flags
	if f.output, err = f.planned.form(f.output); err != nil {
		return err
	}
	if err := f.outputs.check(f.dry); err != nil {
		return err
	}
	if f.planned.offline && !f.dry {
		return errors.New("--offline looks at no machine: it belongs to esxiplan plan, and to run --dry-run")
	}
	if f.dry {
		f.output = cmp.Or(map[string]string{"auto": "plain"}[f.output], f.output)
		return checkForm(f.output, runForms, true)
	}
	if f.output == "live" && r.streams.Screen == nil {
		return errors.New("-o live needs a terminal: standard output and standard error must be one, TERM not dumb, and esxiplan in its foreground, outside of CI. " +
			"-o auto takes what there is")
	}
	return checkForm(f.output, view.Formats, false)
}

// checkForm refuses a form that is neither one of these nor, where a plan is shown, one of plans.
func checkForm(form string, forms []string, plan bool) error {
	isPlan := slices.Contains(planForms, form)
	switch {
	case slices.Contains(forms, form), plan && isPlan:
		return nil
	case isPlan:
		return fmt.Errorf("-o %s shows what a run would do: it belongs to esxiplan plan, and to run --dry-run", form)
	case plan:
		forms = slices.Concat(forms, planForms)
	}
	return fmt.Errorf("there is no output format %q; there are %s", form, strings.Join(forms, ", "))
}

// planIt makes a dry run and shows what it found.
func (r *request) planIt() error {
	if out := r.flags.planned.out; out != "" && (r.flags.name != "" || r.flags.resume || r.flags.onlyFailed.given) {
		return errors.New("--out saves a plan of a run of its own: it cannot be combined with --run, --resume and --only-failed")
	}
	p, exit, err := r.proposed()
	if err != nil {
		return err
	}
	made := r.made(p)
	if out := r.flags.planned.out; out != "" {
		if err := r.save(p, made, out); err != nil {
			return err
		}
	}
	if err := r.show(p, made); err != nil {
		return err
	}
	if exit == event.ExitOK {
		exit = p.Summary.Exit(r.flags.planned.detailed)
	}
	if exit != event.ExitOK {
		return exitCode(exit)
	}
	return nil
}

// proposed is what the run would do. The exit code is that of a dry run that did not come to its
// end.
func (r *request) proposed() (*proposal.Proposal, int, error) {
	if r.flags.planned.offline {
		p := r.prepared.Offline(r.declared())
		r.foretellMedia(p)
		return p, event.ExitOK, nil
	}
	return r.propose(r.prepared)
}

// planOffline shows what is known from the plan alone. Nothing is read but files of the plan, and no
// secret is needed.
func (a *app) planOffline(paths []string, f *runFlags) error {
	if f.sim != "" || f.name != "" || f.resume || f.onlyFailed.given {
		return errors.New("--offline looks neither at machines nor at earlier runs: leave out --sim, --run, --resume and --only-failed")
	}
	if f.untrusted && f.planned.out != "" {
		return errors.New("--out saves a plan to be applied, and one that is not trusted is never run")
	}
	made := &secrets{}
	p, err := a.load(paths, &f.planFlags, made.secret)
	if err != nil {
		return err
	}
	r := &request{app: a, paths: paths, flags: f, plan: p, site: site{clock: local.NewClock(1)}, rehearsal: true}
	if d := p.Within(func() { err = r.run() }); d != nil {
		return a.report(p, hcl.Diagnostics{d})
	}
	return err
}

// foretellMedia says what would be on the hosts' media, as far as it is known from the plan.
func (r *request) foretellMedia(p *proposal.Proposal) {
	j := newMediaJudge(r.plan)
	for _, h := range p.Hosts {
		declared, _ := r.plan.Host(h.Host)
		for i, c := range h.Changes {
			if s, ok := r.plan.Step(c.Step); ok && c.Verb == event.Publish {
				h.Changes[i].Makes = j.preview(declared, s)
			}
		}
	}
}

// propose makes a dry run. Its events are shown only to who asks for details, or for events.
func (r *request) propose(prepared *session.Prepared) (*proposal.Proposal, int, error) {
	fold := &proposal.Fold{Declared: r.declared()}
	show := func(event.Event) {}
	switch {
	case r.flags.output == "jsonl" && r.flags.dry, r.flags.trace.verbose > 0:
		form := "plain"
		if r.flags.output == "jsonl" && r.flags.dry {
			form = "jsonl"
		}
		v, err := view.New(form, r.streams)
		if err != nil {
			return nil, 0, err
		}
		show = v.Event
	default:
		write(r.streams.Err, r.streams.Plain(fmt.Sprintf("plan %q: looking at %s …", r.plan.Name, event.Count(len(prepared.Survey.Working()), "host")))+"\n")
	}
	summary, err := r.execute(prepared, session.Outlets{Show: func(e event.Event) {
		fold.Event(e)
		show(e)
	}})
	if err != nil {
		return nil, 0, err
	}
	switch summary.Exit {
	case event.ExitInterrupted, event.ExitInternal, event.ExitBudget:
		return fold.Proposal(), summary.Exit, nil
	}
	return fold.Proposal(), event.ExitOK, nil
}

// declared is what a proposal says of hosts that the dry run does not come to.
func (r *request) declared() map[string]proposal.Host {
	out := map[string]proposal.Host{}
	for _, h := range r.plan.Hosts() {
		d := proposal.Host{Group: h.Group, BMC: h.Machine()}
		if h.ESXi != nil {
			d.Address = h.ESXi.Address
		}
		out[h.Name] = d
	}
	return out
}

// made says who made a proposal, and when.
func (r *request) made(p *proposal.Proposal) proposal.Made {
	made := proposal.Made{Time: r.clock.Now().UTC(), By: state.Self(), Version: version}
	if !r.flags.planned.offline {
		made.Estimate = session.Estimate(r.state, p)
	}
	return made
}

// show shows a proposal in the form that was asked for.
func (r *request) show(p *proposal.Proposal, made proposal.Made) error {
	return r.showProposal(p, made, r.flags.output, r.flags.planned.diff)
}

func (a *app) showProposal(p *proposal.Proposal, made proposal.Made, form string, diff bool) error {
	switch form {
	case asJSON:
		return a.writeJSON(proposal.Document{Proposal: p, Made: made})
	case asMarkdown:
		view.ProposalMarkdown(a.streams.Out, p, view.MarkdownOptions{Footer: footer(made)})
	case asGitHub, asGitLab:
		return a.showProblems(form, problemsOf(p), nil)
	case "plain":
		view.Proposal(a.streams, p, view.ProposalOptions{Diff: diff})
		if made.Estimate != "" {
			fmt.Fprintln(a.streams.Err, made.Estimate)
		}
	}
	return nil
}

// footer is the line under a comment.
func footer(m proposal.Made) string {
	text := fmt.Sprintf("Made %s by %s with esxiplan %s.", m.Time.Format("2006-01-02 15:04 UTC"), m.By, m.Version)
	if m.Estimate != "" {
		text += " " + m.Estimate
	}
	return text
}

// save saves a proposal with what it is held to when it is applied.
func (r *request) save(p *proposal.Proposal, made proposal.Made, path string) error {
	s := &proposal.Saved{Made: made, Proposal: p, Request: r.asked(), Inputs: r.inputs(proposal.NewSalt(), p)}
	if err := s.Write(path); err != nil {
		return err
	}
	fmt.Fprintf(r.streams.Err, "saved to %s; apply it with: %s\n", path, shellLine([]string{"esxiplan", "apply", path}))
	return nil
}

// asked is what was asked for, without secrets.
func (r *request) asked() proposal.Request {
	f := r.flags
	out := proposal.Request{Paths: r.paths, VarFiles: f.files, AllowRead: f.allowRead, AllowEnv: f.allowEnv, Again: f.again, KeepMedia: f.keepMedia}
	for _, set := range f.set {
		if name, value, _ := strings.Cut(set, "="); !r.plan.Sensitive(name) && !r.isSecret(value) {
			out.Set = append(out.Set, set)
		}
	}
	for _, s := range r.prepared.Survey.Steps() {
		out.Steps = append(out.Steps, s.Name)
	}
	out.Hosts = hostNames(r.prepared.Survey.Hosts())
	return out
}

// isSecret reports a value that contains a secret of the plan: that of a variable which the plan
// does not call sensitive may all the same be a password.
func (r *request) isSecret(value string) bool {
	for text := range r.plan.SecretNames() {
		if text != "" && strings.Contains(value, text) {
			return true
		}
	}
	return false
}

// inputs digests what a proposal is made from.
func (r *request) inputs(salt string, p *proposal.Proposal) proposal.Inputs {
	images, o := map[string]string{}, media.Options{Dir: r.plan.Dir, Cache: r.state}
	if r.site.sim != nil {
		o.Placeholders = r.site.sim.Placeholders
	}
	for _, i := range r.plan.Images {
		images[i.Source] = media.ImageDigest(o, media.Source{Name: i.Name, Path: i.Source})
	}
	var hosts []*schema.Host
	for _, h := range p.Hosts {
		if declared, ok := r.plan.Host(h.Host); ok {
			hosts = append(hosts, declared)
		}
	}
	return proposal.InputsOf(r.plan, hosts, images, salt)
}

// problemsOf are the hosts that a plan refuses or does not reach, for annotations at the places
// in the plan where they show.
func problemsOf(p *proposal.Proposal) (diags hcl.Diagnostics) {
	for _, h := range p.With(proposal.Refused, proposal.Unreachable) {
		d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: fmt.Sprintf("Host %s %s", h.Host, h.Outcome), Subject: &hcl.Range{}}
		if q := h.Problem; q != nil {
			d.Detail = strings.TrimSpace(strings.Join([]string{q.Summary, q.Detail, q.Next}, "\n"))
			*d.Subject = rangeOf(q.At)
		}
		diags = append(diags, d)
	}
	return diags
}

// rangeOf is the place that [event.Place] writes; zero where the text is not a place.
func rangeOf(place string) hcl.Range {
	parts := strings.Split(place, ":")
	n := len(parts)
	if n < 3 {
		return hcl.Range{}
	}
	line, lineErr := strconv.Atoi(parts[n-2])
	column, columnErr := strconv.Atoi(parts[n-1])
	if lineErr != nil || columnErr != nil {
		return hcl.Range{}
	}
	at := hcl.Pos{Line: line, Column: column}
	return hcl.Range{Filename: strings.Join(parts[:n-2], ":"), Start: at, End: at}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"
	"github.com/zclconf/go-cty/cty"

	"esxiplan/engine/event"
	"esxiplan/engine/media"
	"esxiplan/engine/media/kickstart"
	"esxiplan/engine/survey"
	"esxiplan/engine/text"
	"esxiplan/schema"
	"esxiplan/steps/buildiso"
	"esxiplan/steps/wait"
)

func (a *app) kickstartCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "kickstart",
		Short: "Show the kickstart of a host, or check your own",
	}
	c.AddCommand(a.kickstartRenderCommand(), a.kickstartLintCommand(), a.kickstartRulesCommand())
	return c
}

func (a *app) kickstartRenderCommand() *cobra.Command {
	f := &planFlags{}
	var host, stepName string
	var asJSON bool
	c := &cobra.Command{
		Use:   "render PLAN… --host HOST",
		Short: "Show the kickstart that a host's medium would hold, with its secrets hidden",
		Long: "Show the kickstart that build_iso would put on a host's medium, without passwords and serial numbers. Nothing is read from machines; " +
			"missing secrets are replaced by random ones.",
		Example: "  esxiplan kickstart render site.hcl --host 10.172.18.191",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := a.render(args, f, host, stepName)
			if err != nil {
				return err
			}
			if asJSON {
				return a.writeJSON(r)
			}
			for _, w := range r.Warnings {
				fmt.Fprintln(a.streams.Err, "warning: "+w)
			}
			write(a.streams.Out, r.Kickstart)
			return nil
		},
	}
	f.add(c)
	c.Flags().StringVar(&host, "host", "", "host of the plan")
	c.Flags().StringVar(&stepName, "step", "", "name of the build_iso step, where the plan has several")
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	c.MarkFlagRequired("host")
	return c
}

// rendered is a host's kickstart.
type rendered struct {
	Host      string   `json:"host"`
	Step      string   `json:"step"`
	Kickstart string   `json:"kickstart"`
	Warnings  []string `json:"warnings"`
}

func (a *app) render(paths []string, f *planFlags, hostName, stepName string) (rendered, error) {
	made := &secrets{}
	p, err := a.load(paths, f, made.secret)
	if err != nil {
		return rendered{}, err
	}
	var r rendered
	if d := p.Within(func() { r, err = a.renderHost(p, hostName, stepName) }); d != nil {
		return rendered{}, a.report(p, hcl.Diagnostics{d})
	}
	return r, err
}

func (a *app) renderHost(p *schema.Plan, hostName, stepName string) (rendered, error) {
	h, ok := p.Host(hostName)
	if !ok {
		names := survey.HostNames(p)
		return rendered{}, fmt.Errorf("there is no host %q in the plan%s", hostName, schema.DidYouMean(hostName, names))
	}
	s, err := buildStep(p, h, stepName)
	if err != nil {
		return rendered{}, err
	}
	var arguments buildiso.Arguments
	if err := a.report(p, p.Decode(s, h, &arguments)); err != nil {
		return rendered{}, err
	}
	r, err := buildiso.Request(p.Name, h, arguments)
	if err != nil {
		return rendered{}, a.report(p, p.Settle(hcl.Diagnostics{mediumProblem(s, h, err)}))
	}
	text, warnings, err := r.Preview(imageVersion(p, &arguments.Image))
	return rendered{h.Name, s.Name, text, append([]string{}, warnings...)}, err
}

// judgeMedia finds errors in the media of all hosts, as far as they are known without a
// machine, and steps that wait for a new ESXi although the medium before them only checks.
// An error that several hosts share is one problem. Hosts with other problems are left out.
func judgeMedia(p *schema.Plan) (diags hcl.Diagnostics) {
	j := newMediaJudge(p)
	for _, h := range p.Hosts() {
		if h.Valid() {
			j.host(h)
		}
	}
	for _, s := range p.Steps {
		diags = append(diags, j.media[s]...)
	}
	return p.Settle(append(diags, j.waitDiags...))
}

func newMediaJudge(p *schema.Plan) *mediaJudge {
	return &mediaJudge{plan: p, found: map[string]*hcl.Diagnostic{}, versions: map[imageID]string{}, media: map[*schema.Step]hcl.Diagnostics{}, waits: map[*schema.Step]bool{}}
}

// preview is what the plan would put on a host's medium; nil where it cannot be known before the
// run, or where the medium cannot be built, which validate reports.
func (j *mediaJudge) preview(h *schema.Host, s *schema.Step) *event.Medium {
	var arguments buildiso.Arguments
	if j.plan.Decode(s, h, &arguments).HasErrors() {
		return nil
	}
	r, err := buildiso.Request(j.plan.Name, h, arguments)
	if err != nil {
		return nil
	}
	script, _, err := r.Preview(j.version(&arguments.Image))
	if err != nil {
		return nil
	}
	return &event.Medium{Source: filepath.Base(arguments.Image.Source), Kickstart: script, Options: r.Options}
}

// mediaJudge goes from host to host and remembers what is the same for all.
type mediaJudge struct {
	plan      *schema.Plan
	found     map[string]*hcl.Diagnostic // errors by step and text
	versions  map[imageID]string
	media     map[*schema.Step]hcl.Diagnostics // errors by the step that makes the medium
	waits     map[*schema.Step]bool            // waits that cannot succeed
	waitDiags hcl.Diagnostics
}

func (j *mediaJudge) host(h *schema.Host) {
	var checks *schema.Step // makes the medium, which installs nothing
	for _, s := range j.plan.Steps {
		switch {
		case !s.Applies(h):
		case s.Type == buildiso.Type.Name:
			checks = nil
			if j.medium(h, s) {
				checks = s
			}
		case checks != nil && !j.waits[s] && waitsForESXi(j.plan, h, s):
			j.waits[s] = true
			j.waitDiags = append(j.waitDiags, waitProblem(h, s, checks))
		}
	}
}

// medium finds what keeps a host's medium from being built, and reports whether the step
// surely makes one with which the installer writes nothing. What depends on conditions is
// left to the run.
func (j *mediaJudge) medium(h *schema.Host, s *schema.Step) (onlyChecks bool) {
	var arguments buildiso.Arguments
	if j.plan.Decode(s, h, &arguments).HasErrors() {
		return false
	}
	r, err := buildiso.Request(j.plan.Name, h, arguments)
	onlyChecks = err == nil && len(s.Conditions) == 0 && !r.Installs()
	if err == nil {
		err = j.judge(r, arguments)
	}
	if err == nil {
		return onlyChecks
	}
	key := s.Name + err.Error()
	if known := j.found[key]; known != nil {
		schema.Concerning(known, h)
		return onlyChecks
	}
	j.found[key] = mediumProblem(s, h, err)
	j.media[s] = append(j.media[s], j.found[key])
	return onlyChecks
}

func (j *mediaJudge) judge(r media.Request, arguments buildiso.Arguments) error {
	version := j.version(&arguments.Image)
	if err := r.Judge(version); err != nil {
		return arguments.Attribute(err)
	}
	return arguments.CheckMediaSize(version)
}

// imageID is all of an image block that decides about its version.
type imageID struct {
	source, version string
	given           bool
}

// version is that of an image. The file is opened once.
func (j *mediaJudge) version(i *schema.Image) string {
	id := imageID{i.Source, deref(i.Version), i.Version != nil}
	if _, known := j.versions[id]; !known {
		j.versions[id] = imageVersion(j.plan, i)
	}
	return j.versions[id]
}

// waitsForESXi reports a step that surely waits for a new ESXi.
func waitsForESXi(p *schema.Plan, h *schema.Host, s *schema.Step) bool {
	var arguments wait.Arguments
	return s.Type == wait.Type.Name && len(s.Conditions) == 0 && !p.Decode(s, h, &arguments).HasErrors() && arguments.Goal == "esxi"
}

func waitProblem(h *schema.Host, s, build *schema.Step) *hcl.Diagnostic {
	at := s.Range
	if goal := s.Arguments["goal"]; goal != nil {
		at = goal.Expr.Range()
	}
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Wait that cannot succeed", Subject: &at,
		Detail: fmt.Sprintf("Step %q waits for a new ESXi on host %q, but the medium of step %q installs nothing (dryrun; %s at %s:%d:%d). "+
			"Write goal = \"installer\" here, or build a medium that installs.",
			s.Name, h.Name, build.Name, build.Type, filepath.Base(build.Range.Filename), build.Range.Start.Line, build.Range.Start.Column)}
}

// mediumProblem is the diagnostic about a host's medium.
func mediumProblem(s *schema.Step, h *schema.Host, err error) *hcl.Diagnostic {
	at := argumentAt(s, err)
	detail := err.Error()
	if !strings.HasSuffix(detail, ".") {
		detail += "."
	}
	return schema.Concerning(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Medium cannot be built", Detail: detail, Subject: &at}, h)
}

// argumentAt is the place of the argument that an error is about, else that of the step.
func argumentAt(s *schema.Step, err error) hcl.Range {
	var at *schema.ArgumentError
	if errors.As(err, &at) && len(at.Path) > 0 {
		if root, ok := at.Path[0].(cty.GetAttrStep); ok && s.Arguments[root.Name] != nil {
			return s.Arguments[root.Name].Expr.Range()
		}
	}
	return s.Range
}

// imageVersion is what the plan says, else the image itself, else its name.
func imageVersion(p *schema.Plan, i *schema.Image) string {
	if i.Version == nil {
		if installer, err := openInstaller(p, i); err == nil {
			defer installer.Close()
			return installer.Version
		}
	}
	version, _ := versionOf(i)
	return version
}

// openInstaller opens an image of the plan.
func openInstaller(p *schema.Plan, i *schema.Image) (*media.Installer, error) {
	file, err := p.Open(i.Source)
	if err != nil {
		return nil, err
	}
	return media.NewInstaller(file)
}

// buildStep finds the step that builds a host's medium.
func buildStep(p *schema.Plan, h *schema.Host, name string) (*schema.Step, error) {
	var found []*schema.Step
	var names []string
	for _, s := range p.Steps {
		if s.Type == buildiso.Type.Name && s.Applies(h) && (name == "" || s.Name == name) {
			found, names = append(found, s), append(names, s.Name)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("no step build_iso %q of the plan applies to host %s", name, h.Name)
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("several steps build a medium for host %s: choose one by --step %s", h.Name, strings.Join(names, " or --step "))
}

func (a *app) kickstartLintCommand() *cobra.Command {
	var version, secureBoot string
	var asJSON bool
	c := &cobra.Command{
		Use:   "lint FILE…",
		Short: "Check kickstarts for errors",
		Long: `Check kickstarts for ESXi for what the installer would refuse, silently ignore, or read as something else. Each finding says where, why it matters and what to do. "# esxiplan:ignore RULE" on a line, or alone on the line
before, silences a rule there. - reads standard input. Exit 1 when there are errors. Whether it writes to the disks of a
plan only is checked where the plan is: validate PLAN.`,
		Example: "  esxiplan kickstart lint ks.cfg\n  esxiplan kickstart lint --version 8.0.3 --secure-boot off ks/*.cfg",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			conditions := kickstart.Conditions{Version: version}
			switch secureBoot {
			case "on", "off":
				on := secureBoot == "on"
				conditions.SecureBoot = &on
			case "":
			default:
				return fmt.Errorf("--secure-boot takes on or off, not %q", secureBoot)
			}
			if _, known := kickstart.Release(version); version != "" && !known {
				return fmt.Errorf("--version %q is not a version of ESXi such as 8.0.3", version)
			}
			return a.lint(args, conditions, asJSON)
		},
	}
	c.Flags().StringVar(&version, "version", "", "version of ESXi, such as 8.0.3")
	c.Flags().StringVar(&secureBoot, "secure-boot", "", "on or off: whether the machines boot with Secure Boot")
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

// linted are the findings of one file.
type linted struct {
	File     string              `json:"file"`
	Findings []kickstart.Finding `json:"findings"`
}

func (a *app) lint(files []string, conditions kickstart.Conditions, asJSON bool) error {
	all := []linted{}
	failed := 0
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, file := range files {
		text, err := a.readText(ctx, file)
		if errors.Is(err, errInterrupted) {
			fmt.Fprintln(a.streams.Err, "esxiplan: "+err.Error())
			return exitCode(event.ExitInterrupted)
		}
		if err != nil { // the others are judged all the same
			fmt.Fprintln(a.streams.Err, "esxiplan: "+err.Error())
			failed++
			continue
		}
		found := append([]kickstart.Finding{}, kickstart.Lint(text, conditions)...)
		failed += len(kickstart.Errors(found))
		all = append(all, linted{file, found})
	}
	if asJSON {
		if err := a.writeJSON(all); err != nil {
			return err
		}
	} else {
		a.printLint(all)
	}
	if failed > 0 {
		return exitCode(event.ExitUsage)
	}
	return nil
}

// maxText bounds what is read as a kickstart.
const maxText = 4 << 20

// readText reads a file, standard input (-) or a pipe, up to maxText bytes. A pipe may stay
// open for ever and say nothing, so that reading ends with the context, too.
func (a *app) readText(ctx context.Context, file string) ([]byte, error) {
	type answer struct {
		text []byte
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		text, err := a.readBounded(file)
		done <- answer{text, err}
	}()
	select {
	case got := <-done:
		return got.text, got.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w before its end", file, errInterrupted)
	}
}

var errInterrupted = errors.New("interrupted")

func (a *app) readBounded(file string) ([]byte, error) {
	from := a.in
	if file != "-" {
		info, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		if info.Mode()&(os.ModeDir|os.ModeDevice|os.ModeSocket) != 0 && info.Mode()&os.ModeCharDevice == 0 {
			return nil, fmt.Errorf("%s is neither a file nor a pipe", file)
		}
		if from, err = os.Open(file); err != nil {
			return nil, err
		}
		defer from.Close()
	}
	text, err := io.ReadAll(io.LimitReader(from, maxText+1))
	if len(text) > maxText {
		err = fmt.Errorf("%s is larger than %d MiB, so it is not a kickstart", file, maxText>>20)
	}
	return text, err
}

func (a *app) printLint(all []linted) {
	errors, warnings := 0, 0
	for _, l := range all {
		for _, f := range l.Findings {
			fmt.Fprintf(a.streams.Out, "%s:%s\n    %s\n    %s\n", text.Clean(l.File), f, f.Reason, f.Remedy)
		}
		n := len(kickstart.Errors(l.Findings))
		errors, warnings = errors+n, warnings+len(l.Findings)-n
	}
	fmt.Fprintf(a.streams.Err, "%s: %s, %s\n", event.Count(len(all), "file"), event.Count(errors, "error"), event.Count(warnings, "warning"))
}

func (a *app) kickstartRulesCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "rules",
		Short: "List the rules of lint",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return a.writeJSON(kickstart.Rules())
			}
			for _, r := range kickstart.Rules() {
				fmt.Fprintf(a.streams.Out, "%s (%s)\n    %s\n    %s\n", r.ID, r.Severity, r.Reason, r.Remedy)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

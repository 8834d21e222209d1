package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/event"
	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/schema"
	"esxiplan/steps/all"
)

func stepTypes() []*step.Type { return all.Types() }

func (a *app) validateCommand() *cobra.Command {
	f := &planFlags{}
	var asJSON, offline bool
	var output string
	c := &cobra.Command{
		Use:   "validate PLAN…",
		Short: "Check all of a plan that can be checked without a machine",
		Long: `Check all of a plan that can be checked without a machine, and show all problems at once: where, what, why, and what
to do. Whatever depends on a faulty part is treated as unknown, so that each problem is reported once.
Exit 1 when there are errors.`,
		Example: "  esxiplan validate site.hcl\n  esxiplan validate site.hcl --offline        where the images are not at hand\n" +
			"  esxiplan validate site.hcl -o github        annotations in a pull request\n  esxiplan validate site.hcl -o gitlab > gl-code-quality-report.json",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if asJSON {
				output = "json"
			}
			if !slices.Contains(view.ProblemFormats, output) {
				return fmt.Errorf("--output takes %s, not %q", strings.Join(view.ProblemFormats, ", "), output)
			}
			made := &secrets{}
			p, diags := check(args, f.input(made.secret), offline)
			a.learn(p)
			if err := a.showProblems(output, diags, p.Files); err != nil {
				return err
			}
			if diags.HasErrors() {
				return exitCode(event.ExitUsage)
			}
			if output == "text" {
				fmt.Fprintf(a.streams.Out, "plan %q is valid: %s, %s\n", p.Name, event.Count(len(p.Hosts()), "host"), event.Count(len(p.Steps), "step"))
			}
			return nil
		},
	}
	f.add(c)
	c.Flags().BoolVar(&offline, "offline", false, "do not look for the installer images of the plan")
	c.Flags().BoolVar(&asJSON, "json", false, "the same as --output json")
	c.Flags().StringVarP(&output, "output", "o", "text", "how to write the problems: "+strings.Join(view.ProblemFormats, ", "))
	return c
}

// check loads a plan and finds all that can be found without a machine. offline: the
// installer images are not looked for.
func check(paths []string, in schema.Input, offline bool) (*schema.Plan, hcl.Diagnostics) {
	p, diags := schema.Load(paths, in, known())
	if d := p.Within(func() { diags = append(diags, judge(p, offline, !diags.HasErrors())...) }); d != nil {
		return p, append(diags, d)
	}
	return p, schema.Sorted(diags)
}

// judge finds what is wrong with a plan beyond what loading finds. whole: it was loaded without
// errors.
func judge(p *schema.Plan, offline, whole bool) (diags hcl.Diagnostics) {
	if whole && len(p.Steps) > 0 {
		_, diags = survey.New(p, stepTypes(), survey.Options{})
	}
	if !offline {
		diags = append(diags, p.CheckImages()...)
	}
	diags = append(diags, p.CheckPasswords()...)
	return append(diags, judgeMedia(p)...)
}

// showProblems writes problems in a form for people or programs. That of GitHub is commands to
// its runner, the only ones that a plan may make esxiplan write.
func (a *app) showProblems(form string, diags hcl.Diagnostics, files map[string]*hcl.File) error {
	if form == asGitHub && a.console != nil {
		a.console.Commands = true
	}
	return view.Problems(form, a.streams, diags, files)
}

package main

import (
	"fmt"

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

// judge finds what is wrong with a plan that could be loaded.
func judge(p *schema.Plan) hcl.Diagnostics {
	var found hcl.Diagnostics
	if d := p.Within(func() {
		if len(p.Steps) > 0 {
			_, found = survey.New(p, stepTypes(), survey.Options{})
		}
		if !found.HasErrors() {
			found = append(found, judgeMedia(p)...)
		}
	}); d != nil {
		return hcl.Diagnostics{d}
	}
	return found
}

func (a *app) validateCommand() *cobra.Command {
	f := &planFlags{}
	var asJSON bool
	c := &cobra.Command{
		Use:   "validate PLAN…",
		Short: "Check all of a plan that can be checked without a machine",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			made := &secrets{}
			p, diags := schema.Load(args, f.input(made.secret), known())
			a.learn(p)
			if !diags.HasErrors() {
				diags = append(diags, judge(p)...)
			}
			if asJSON {
				if err := view.DiagnosticsJSON(a.streams.Out, diags, p.Files); err != nil {
					return err
				}
			} else {
				view.Diagnostics(a.streams, diags, p.Files)
			}
			if diags.HasErrors() {
				return exitCode(event.ExitUsage)
			}
			if !asJSON {
				fmt.Fprintf(a.streams.Out, "plan %q is valid: %s, %s\n", p.Name, event.Count(len(p.Hosts()), "host"), event.Count(len(p.Steps), "step"))
			}
			return nil
		},
	}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "write the problems as JSON")
	return c
}

package main

import (
	"fmt"

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
	var asJSON bool
	c := &cobra.Command{
		Use:   "validate PLAN…",
		Short: "Check all of a plan that can be checked without a machine",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			made := &secrets{}
			p, diags := schema.Load(args, f.input(made.secret), known())
			a.learn(p)
			if !diags.HasErrors() && len(p.Steps) > 0 {
				_, more := survey.New(p, stepTypes(), survey.Options{})
				diags = append(diags, more...)
			}
			if !diags.HasErrors() {
				diags = append(diags, judgeMedia(p)...)
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

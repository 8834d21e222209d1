package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/spf13/cobra"
	"github.com/zclconf/go-cty/cty"

	"esxiplan/schema"
)

// adHoc is the name of the step that do adds to the plan.
const adHoc = "ad_hoc"

func (a *app) doCommand() *cobra.Command {
	f := &runFlags{}
	c := &cobra.Command{
		Use:   "do STEP PLAN… [NAME=VALUE…]",
		Short: "Run one step on the plan's hosts, without writing it into the plan",
		Long: `Run one step on hosts of a plan: empty the drives, power machines off, set the boot source.

The step is added to the end of the plan for this run only; the plan's own steps do not run. All guards
apply, and take into account what the plan's own steps prepare or protect. Arguments are those of the step (see
esxiplan doc STEP); values are words, or expressions of the plan's language.

STEP is one of these types:

` + typeHelp(),
		Example: `  esxiplan do eject site.hcl --limit rack7
  esxiplan do power site.hcl action=off --limit 10.172.18.191
  esxiplan do one_time_boot site.hcl target=cd
  esxiplan do insert site.hcl image=http://172.20.17.20/rescue.iso`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			f.dry = f.dry || f.check
			paths, source, err := adHocStep(args)
			if err != nil {
				return err
			}
			f.planFlags.step, f.planFlags.choice.Only = source, adHoc
			f.byHand = byHand(args)
			return a.run(paths, f)
		},
	}
	f.planFlags.add(c)
	f.addLimit(c)
	f.addRun(c)
	f.addReal(c)
	return c
}

// typeHelp explains the types of steps, one on a line.
func typeHelp() string {
	var b strings.Builder
	for _, t := range stepTypes() {
		fmt.Fprintf(&b, "  %-14s %s\n", t.Name, t.Summary)
	}
	return b.String()
}

// byHand is the command for the log; what is given to the step may be a secret, and is left
// out.
func byHand(args []string) string {
	words := []string{"esxiplan", "do"}
	for _, arg := range args {
		if name, _, given := strings.Cut(arg, "="); given {
			arg = name + "=…"
		}
		words = append(words, arg)
	}
	return shellLine(words)
}

// adHocStep writes the step block that the command line means.
func adHocStep(args []string) (paths []string, source string, err error) {
	name := args[0]
	if !slices.Contains(typeNames(), name) {
		return nil, "", noStepType(name)
	}
	file := hclwrite.NewEmptyFile()
	block := file.Body().AppendNewBlock("step", []string{name, adHoc})
	for _, arg := range args[1:] {
		key, value, isArgument := strings.Cut(arg, "=")
		if !isArgument || !hclsyntax.ValidIdentifier(key) {
			paths = append(paths, arg)
			continue
		}
		if value == "…" { // copied from what runs show says
			return nil, "", fmt.Errorf("do %s: %s: this is what output shows instead of a value: give the value", name, arg)
		}
		block.Body().SetAttributeRaw(key, valueTokens(value))
	}
	if len(paths) == 0 {
		return nil, "", fmt.Errorf("do %s: name the plan whose hosts are meant", name)
	}
	return paths, string(file.Bytes()), nil
}

// valueTokens takes a value for an expression where it is one that could be meant;
// words and addresses are strings.
func valueTokens(value string) hclwrite.Tokens {
	x, diags := hclsyntax.ParseExpression([]byte(value), schema.CommandLine, hcl.InitialPos)
	if diags.HasErrors() || word(x) {
		return hclwrite.TokensForValue(cty.StringVal(value))
	}
	return hclwrite.Tokens{{Type: hclsyntax.TokenIdent, Bytes: []byte(value)}}
}

// word reports an expression that is but a name, such as cd or off.
func word(x hclsyntax.Expression) bool {
	t, ok := x.(*hclsyntax.ScopeTraversalExpr)
	return ok && len(t.Traversal) == 1
}

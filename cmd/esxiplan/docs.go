package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"esxiplan/engine/notify"
	"esxiplan/engine/step"
	"esxiplan/engine/text"
	"esxiplan/schema"
)

func (a *app) docCommand() *cobra.Command {
	var markdown bool
	c := &cobra.Command{
		Use:   "doc [STEP | vendors | notify]",
		Short: "Explain the steps, how each vendor's BMCs differ, or the notify block",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == vendorsTopic {
				writeVendors(a.streams.Out)
				return nil
			}
			if len(args) == 1 && args[0] == notifyTopic {
				writeNotify(a.streams.Out)
				return nil
			}
			if markdown {
				writeReference(a.streams.Out)
				return nil
			}
			if len(args) == 0 {
				write(a.streams.Out, typeHelp())
				fmt.Fprintf(a.streams.Out, "\n  %-14s %s\n", vendorsTopic, "How each vendor's BMCs differ from the standard, and how that is known.")
				fmt.Fprintf(a.streams.Out, "  %-14s %s\n", notifyTopic, "The notify block, and the messages that it sends.")
				return nil
			}
			for _, t := range stepTypes() {
				if t.Name == args[0] {
					writeStep(a.streams.Out, t)
					return nil
				}
			}
			return noStepType(args[0])
		},
	}
	c.Flags().BoolVar(&markdown, "markdown", false, "write the reference of the whole language as Markdown")
	return c
}

// typeNames are the names of the step types.
func typeNames() (names []string) {
	for _, t := range stepTypes() {
		names = append(names, t.Name)
	}
	return names
}

// noStepType is the error for a name that no step type has.
func noStepType(name string) error {
	names := typeNames()
	return fmt.Errorf("there is no step %q; there are %s%s", name, strings.Join(names, ", "), schema.DidYouMean(name, names))
}

func writeStep(w io.Writer, t *step.Type) {
	fmt.Fprintf(w, "# %s\n\n%s\n\n%s\n", t.Name, t.Summary, strings.TrimSpace(t.Doc))
	if len(t.Arguments.Arguments) > 0 {
		fmt.Fprintf(w, "\n## Arguments\n\n")
		t.Arguments.WriteMarkdown(w)
	}
	fmt.Fprintf(w, "\n## Result\n\n")
	t.Result.WriteMarkdown(w)
	fmt.Fprintf(w, "\n## Defaults\n\n%d retries, %s apart (up to %s), within %s.\n\n", t.Policy.Retries, text.Duration(t.Policy.Delay), text.Duration(t.Policy.MaxDelay), text.Duration(t.Policy.Timeout))
}

// writeReference writes steps/README.md.
func writeReference(w io.Writer) {
	fmt.Fprintf(w, "<!-- Written by make docs; a test fails when it is stale. -->\n\nReference of hosts and steps. `esxiplan doc STEP` shows a part of it.\n\n")
	host, bmc, esxi := schema.HostObjects()
	for _, part := range []struct {
		title  string
		object *schema.Object
	}{{"Arguments of groups and hosts", host}, {"The bmc block", bmc}, {"The esxi block", esxi}, {"Arguments of every step", schema.CommonObject()}} {
		fmt.Fprintf(w, "# %s\n\n", part.title)
		part.object.WriteMarkdown(w)
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, severalHosts)
	writeNotify(w)
	fmt.Fprintf(w, "# host.facts\n\nWhat a machine reports about itself, for the expressions of steps and of `esxi.disk`, `esxi.wipe` and `esxi.nic`. "+
		"It is read before a host's first step where an expression needs it.\n\n")
	schema.Of[step.Facts]().WriteMarkdown(w)
	fmt.Fprintln(w)
	for _, doc := range schema.ConditionDocs() {
		fmt.Fprintf(w, "- `%s`: %s\n", doc[0], doc[1])
	}
	fmt.Fprintln(w)
	for _, t := range stepTypes() {
		writeStep(w, t)
	}
}

// notifyTopic is the part of the documentation about messages.
const notifyTopic = "notify"

// writeNotify documents the notify block and what it sends.
func writeNotify(w io.Writer) {
	fmt.Fprintf(w, "# The notify block\n\nOf `notify \"NAME\" { … }` there may be several.\n\n")
	schema.NotifyObject().WriteMarkdown(w)
	fmt.Fprintf(w, "\n## The message\n\nThe JSON body of `format = \"webhook\"`, and what a template may refer to as `message`.\n\n")
	schema.Of[notify.Message]().WriteMarkdown(w)
	fmt.Fprintf(w, "\nEach element of `failures`:\n\n")
	schema.Of[notify.FailedHost]().WriteMarkdown(w)
	fmt.Fprintf(w, "\nThe `result`:\n\n")
	schema.Of[notify.Result]().WriteMarkdown(w)
	fmt.Fprintln(w)
}

// severalHosts documents the blocks that make several hosts. They have no arguments of a Go
// struct from which that could be derived.
const severalHosts = "# Several hosts of one block\n\n" +
	"`dynamic \"host\"`, in a group, makes a host of each element of a collection:\n\n" +
	"- `for_each`: a list, set, map or object, such as `csvdecode(file(\"rack.csv\"))`. It may refer to `var`, `local`, `image`, `group` and `path`, and is neither null nor sensitive.\n" +
	"- `iterator`: a word such as `row`, by which `labels` and `content` know the element: `row.key` (the position in a list, the key in a map) and `row.value`.\n" +
	"- `labels`: a list of one text, the name of the host.\n" +
	"- `content`: a block that holds what a host block does.\n\n" +
	"`host \"esxi[01:40]\"` makes a host of each number of a range, `[01:40:2]` of every second one, `[a:f]` of each letter. Several ranges multiply; the last one runs fastest.\n\n" +
	"`host.index` is the position of a host in what its block makes, from 0. In a block of one host it is null.\n\n"

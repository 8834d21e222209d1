package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine"
	"esxiplan/engine/step"
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
			p, diags := schema.Load(args, schema.Input{Set: f.set, Files: f.files, Environ: os.LookupEnv, AllowDir: f.allowRead, StandIn: made.secret}, known())
			if !diags.HasErrors() && len(p.Steps) > 0 {
				_, more := engine.New(p, stepTypes(), engine.Options{})
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
				return exitCode(engine.ExitUsage)
			}
			if !asJSON {
				fmt.Fprintf(a.streams.Out, "plan %q is valid: hosts %d, steps %d\n", p.Name, len(p.Hosts()), len(p.Steps))
			}
			return nil
		},
	}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "write the problems as JSON")
	return c
}

func (a *app) fmtCommand() *cobra.Command {
	var check, diff bool
	c := &cobra.Command{
		Use:   "fmt [FILE or FOLDER]…",
		Short: "Bring plan files into the usual form",
		Long:  "Rewrite plan files in the usual form. - reads standard input and writes to standard output. Without arguments: the present folder.",
		RunE: func(_ *cobra.Command, args []string) error {
			return a.format(args, check, diff)
		},
	}
	c.Flags().BoolVar(&check, "check", false, "write nothing; exit 3 when a file differs")
	c.Flags().BoolVar(&diff, "diff", false, "show what differs")
	return c
}

func (a *app) format(args []string, check, diff bool) error {
	if len(args) == 0 {
		args = []string{"."}
	}
	if slices.Contains(args, "-") {
		return a.formatStdin(check, diff)
	}
	files, err := formatFiles(args)
	if err != nil {
		return err
	}
	differs, broken := false, false
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		out, err := a.formatted(source, name)
		if err != nil {
			broken = true
			continue
		}
		if string(out) == string(source) {
			continue
		}
		differs = true
		fmt.Fprintln(a.streams.Out, name)
		if diff {
			a.printDiff(name, source, out)
		}
		if !check {
			if err := replaceFile(name, out); err != nil {
				return err
			}
		}
	}
	switch {
	case broken:
		return exitCode(engine.ExitUsage)
	case check && differs:
		return exitCode(engine.ExitDiffers)
	}
	return nil
}

func (a *app) formatStdin(check, diff bool) error {
	source, err := io.ReadAll(a.in)
	if err != nil {
		return err
	}
	out, err := a.formatted(source, "<stdin>")
	if err != nil {
		return exitCode(engine.ExitUsage)
	}
	switch {
	case diff:
		a.printDiff("<stdin>", source, out)
	case !check:
		a.streams.Out.Write(out)
	}
	if check && string(out) != string(source) {
		return exitCode(engine.ExitDiffers)
	}
	return nil
}

// formatted formats a file that can be parsed; one that cannot is left alone.
func (a *app) formatted(source []byte, name string) ([]byte, error) {
	parser := hclparse.NewParser()
	if _, diags := parser.ParseHCL(source, name); diags.HasErrors() {
		view.Diagnostics(a.streams, diags, parser.Files())
		return nil, diags
	}
	return hclwrite.Format(source), nil
}

func formatFiles(args []string) ([]string, error) {
	var files []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, arg)
			continue
		}
		found, err := schema.PlanFiles(arg)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return files, nil
}

func (a *app) printDiff(name string, before, after []byte) {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: difflib.SplitLines(string(before)), B: difflib.SplitLines(string(after)), FromFile: "old/" + name, ToFile: "new/" + name, Context: 3})
	if err == nil {
		write(a.streams.Out, text)
	}
}

// replaceFile keeps the file's mode and never leaves half of it.
func replaceFile(name string, data []byte) error {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".esxiplan-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), info.Mode()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// listable is what list lists.
var listable = []string{"hosts", "steps", "tags", "vars"}

func (a *app) listCommand() *cobra.Command {
	f := &planFlags{}
	var asJSON bool
	c := &cobra.Command{
		Use:       "list (hosts|steps|tags|vars) PLAN…",
		Short:     "List what is in a plan",
		Args:      cobra.MinimumNArgs(2),
		ValidArgs: listable,
		RunE: func(_ *cobra.Command, args []string) error {
			rows, err := a.listRows(args[0], args[1:], f)
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(a.streams.Out)
				encoder.SetIndent("", "  ")
				return encoder.Encode(rows)
			}
			a.printRows(rows)
			return nil
		},
	}
	f.add(c)
	f.addSelection(c)
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

// listRow is a row of a list: names of columns and their texts, in order.
type listRow [][2]string

// MarshalJSON writes the row as an object in the order of its columns.
func (r listRow) MarshalJSON() ([]byte, error) {
	parts := make([]string, len(r))
	for i, cell := range r {
		key, _ := json.Marshal(cell[0])
		var content any = cell[1]
		if slices.Contains([]string{"tags", "groups", "steps"}, cell[0]) { // lists
			content = strings.FieldsFunc(cell[1], func(r rune) bool { return r == ',' })
		}
		value, err := json.Marshal(content)
		if err != nil {
			return nil, err
		}
		parts[i] = string(key) + ":" + string(value)
	}
	return []byte("{" + strings.Join(parts, ",") + "}"), nil
}

func (a *app) listRows(what string, paths []string, f *planFlags) ([]listRow, error) {
	made := &secrets{}
	p, err := a.load(paths, f, made.secret)
	if err != nil {
		return nil, err
	}
	m, diags := engine.New(p, stepTypes(), engine.Options{Selection: f.selection, DryRun: true})
	if err := a.report(p, selectionOnly(diags)); err != nil {
		return nil, err
	}
	rows := []listRow{}
	switch what {
	case "hosts":
		for _, h := range m.Hosts() {
			rows = append(rows, hostRow(h))
		}
	case "steps":
		for _, s := range m.Steps() {
			rows = append(rows, listRow{{"name", s.Name}, {"type", s.Type}, {"tags", strings.Join(s.Policy.Tags, ",")}, {"groups", strings.Join(s.Policy.Groups, ",")}})
		}
	case "tags":
		for _, tag := range engine.Tags(p) {
			var steps []string
			for _, s := range p.Steps {
				if slices.Contains(s.Policy.Tags, tag) {
					steps = append(steps, s.Name)
				}
			}
			rows = append(rows, listRow{{"tag", tag}, {"steps", strings.Join(steps, ",")}})
		}
	case "vars":
		for _, v := range p.Variables {
			value := schema.Hidden
			if !v.Sensitive {
				value = schema.Text(v.Value)
			}
			rows = append(rows, listRow{{"name", v.Name}, {"value", value}, {"origin", v.Origin}, {"description", v.Description}})
		}
	default:
		return nil, fmt.Errorf("list takes hosts, steps, tags or vars, not %q", what)
	}
	return rows, nil
}

// selectionOnly keeps what concerns the selection itself: a list must also work
// where the selected steps could not run.
func selectionOnly(diags hcl.Diagnostics) hcl.Diagnostics {
	return slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool { return d.Subject != nil || d.Summary == "Nothing to run" })
}

func hostRow(h *schema.Host) listRow {
	row := listRow{{"name", h.Name}, {"group", h.Group}, {"vendor", h.Vendor}, {"bmc", h.BMC.Address.String()}, {"serial", h.Serial}, {"esxi", ""}, {"disk", ""}}
	if h.ESXi != nil {
		row[5][1] = h.ESXi.Address
		if h.ESXi.Disk != nil {
			row[6][1] = h.ESXi.Disk.String()
		}
	}
	return row
}

func (a *app) printRows(rows []listRow) { write(a.streams.Out, a.table(rows)) }

// printWide prints rows that may be wider than the terminal: each line is cut there.
func (a *app) printWide(rows []listRow) {
	for line := range strings.Lines(a.table(rows)) {
		if a.streams.Width > 0 {
			line = ansi.Truncate(strings.TrimSuffix(line, "\n"), a.streams.Width, "…") + "\n"
		}
		write(a.streams.Out, line)
	}
}

// table lays rows out in columns.
func (a *app) table(rows []listRow) string {
	if len(rows) == 0 {
		return ""
	}
	var b strings.Builder
	widths := make([]int, len(rows[0]))
	head := make(listRow, len(rows[0]))
	for i, cell := range rows[0] {
		head[i] = [2]string{cell[0], strings.ToUpper(cell[0])}
	}
	rows = append([]listRow{head}, rows...)
	for _, row := range rows {
		for i := range row {
			row[i][1] = strings.ReplaceAll(view.Clean(row[i][1]), "\n", " ")
			widths[i] = max(widths[i], ansi.StringWidth(row[i][1]))
		}
	}
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += cell[1] + strings.Repeat(" ", widths[i]-ansi.StringWidth(cell[1])+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

func (a *app) docCommand() *cobra.Command {
	var markdown bool
	c := &cobra.Command{
		Use:   "doc [STEP | vendors]",
		Short: "Explain the steps, or how each vendor's BMCs differ",
		Args:  cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return append(typeNames(), vendorsTopic), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == vendorsTopic {
				writeVendors(a.streams.Out)
				return nil
			}
			if markdown {
				writeReference(a.streams.Out)
				return nil
			}
			if len(args) == 0 {
				for _, t := range stepTypes() {
					fmt.Fprintf(a.streams.Out, "%-14s %s\n", t.Name, t.Summary)
				}
				fmt.Fprintf(a.streams.Out, "\n%-14s %s\n", vendorsTopic, "How each vendor's BMCs differ from the standard, and how that is known.")
				return nil
			}
			for _, t := range stepTypes() {
				if t.Name == args[0] {
					writeStep(a.streams.Out, t)
					return nil
				}
			}
			return fmt.Errorf("there is no step %q; there are %s%s", args[0], strings.Join(typeNames(), ", "), schema.DidYouMean(args[0], typeNames()))
		},
	}
	c.Flags().BoolVar(&markdown, "markdown", false, "write the reference of the whole language as Markdown")
	return c
}

func typeNames() []string {
	var names []string
	for _, t := range stepTypes() {
		names = append(names, t.Name)
	}
	return names
}

func writeStep(w io.Writer, t *step.Type) {
	fmt.Fprintf(w, "# %s\n\n%s\n\n%s\n", t.Name, t.Summary, strings.TrimSpace(t.Doc))
	if len(t.Arguments.Arguments) > 0 {
		fmt.Fprintf(w, "\n## Arguments\n\n")
		t.Arguments.WriteMarkdown(w)
	}
	fmt.Fprintf(w, "\n## Result\n\n")
	t.Result.WriteMarkdown(w)
	fmt.Fprintf(w, "\n## Defaults\n\n%d retries, %s apart (up to %s), within %s.\n\n", t.Policy.Retries, t.Policy.Delay, t.Policy.MaxDelay, t.Policy.Timeout)
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
	fmt.Fprintf(w, "# host.facts\n\nWhat a machine says of itself, in the expressions of steps and of `esxi.disk`, `esxi.wipe` and `esxi.nic`. It is read before a host's first step where an expression needs it.\n\n")
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

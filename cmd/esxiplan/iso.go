package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/event"
	"esxiplan/engine/media"
	"esxiplan/engine/media/isocheck"
)

func (a *app) isoCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "iso",
		Short: "Inspect, build, verify and compare installer images",
		Long: `Inspect installer images and work with them outside of a plan. Nothing is re-mastered: files are laid over
the vendor's image, and everything else stays at its place, byte for byte.`,
	}
	c.AddCommand(a.isoInspectCommand(), a.isoBuildCommand(), a.isoVerifyCommand(), a.isoDiffCommand())
	return c
}

func (a *app) writeJSON(v any) error {
	e := json.NewEncoder(a.streams.Out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (a *app) isoInspectCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "inspect FILE",
		Short:   "Show what an image is: version, trees, boot entries, boot.cfg, warnings",
		Example: "  esxiplan iso inspect VMware-VMvisor-Installer-8.0U3-24022510.x86_64.iso",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := media.Describe(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return a.writeJSON(d)
			}
			a.printDescription(d)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

func (a *app) printDescription(d media.Description) {
	row := func(name, format string, values ...any) {
		fmt.Fprintf(a.streams.Out, "%-11s %s\n", name, fmt.Sprintf(format, values...))
	}
	row("file", "%s, %d bytes", d.File, d.Size)
	row("label", "%s", d.Label)
	if d.Installer == "" {
		row("installer", "ESXi %s build %s", orQuestion(d.Version), orQuestion(d.Build))
	} else {
		row("installer", "no: %s", d.Installer)
	}
	for _, t := range d.Trees {
		row("tree", "%s: %d files in %d directories, %d bytes free in the root", t, t.Files, t.Directories, t.Free)
	}
	for _, e := range d.Boot {
		row("boot", "%s, %d bytes at block %d", e.Firmware, e.Bytes, e.Block)
	}
	for _, b := range d.Configs {
		row("boot.cfg", "%s: %s %s, %d modules", b.Path, b.Kernel, b.Options, b.Modules)
	}
	if d.Kickstart != "" {
		row("kickstart", "%s", d.Kickstart)
	}
	for _, w := range d.Warnings {
		row("warning", "%s [%s]", w.Text, w.ID)
	}
}

func orQuestion(text string) string {
	if text == "" {
		return "?"
	}
	return text
}

func (a *app) isoBuildCommand() *cobra.Command {
	var kickstart string
	var options, files []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "build SOURCE OUT",
		Short: "Lay a kickstart and further files over an image",
		Long: `Lay a kickstart over an installer image, make both boot.cfg files call it, and write the result. The kickstart is
linted first: what would make the installation fail is refused. An independent checker reads the result back
before it gets its name. How much of a large image is written is shown in one line on a terminal, else once a minute. In a plan the step build_iso does this for every host.`,
		Example: "  esxiplan iso build esxi.iso host1.iso --kickstart ks.cfg --kernel-option systemMediaSize=small",
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			assembly := media.Assembly{Source: args[0], Out: args[1], Options: options, Files: map[string][]byte{}}
			if err := readAssembly(&assembly, kickstart, files); err != nil {
				return err
			}
			progress := view.NewByteProgress(a.streams, "of "+args[1]+" written")
			assembly.Written = progress.Set
			done, err := media.Assemble(assembly)
			progress.Close()
			if err != nil {
				return err
			}
			if asJSON {
				return a.writeJSON(done)
			}
			for _, w := range done.Warnings {
				fmt.Fprintln(a.streams.Err, "warning: "+w)
			}
			fmt.Fprintf(a.streams.Out, "%s: %d bytes, of which %d are not the source's\n", done.File, done.Size, done.Own)
			return nil
		},
	}
	c.Flags().StringVar(&kickstart, "kickstart", "", "kickstart for the installer")
	c.Flags().StringArrayVar(&options, "kernel-option", nil, "a further option for the installer's kernel; those that lead it elsewhere are refused")
	c.Flags().StringArrayVar(&files, "file", nil, "a file to add or replace: /PATH=FILE, with an upper-case 8.3 name")
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

func readAssembly(assembly *media.Assembly, kickstart string, files []string) error {
	var err error
	if kickstart != "" {
		if assembly.Kickstart, err = readRegular(kickstart); err != nil {
			return err
		}
	} else if len(assembly.Options) > 0 {
		return fmt.Errorf("--kernel-option goes with --kickstart")
	}
	for _, spec := range files {
		path, file, ok := strings.Cut(spec, "=")
		if !ok || !strings.HasPrefix(path, "/") {
			return fmt.Errorf("--file %s: write /PATH=FILE", spec)
		}
		if assembly.Files[path], err = readRegular(file); err != nil {
			return err
		}
	}
	if assembly.Kickstart == nil && len(assembly.Files) == 0 {
		return fmt.Errorf("nothing to lay over the image: give --kickstart or --file")
	}
	return nil
}

func readRegular(path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // reading a pipe could wait for ever
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return os.ReadFile(path)
}

func (a *app) isoVerifyCommand() *cobra.Command {
	var base string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check strictly whether all readers find the same files in an image",
		Long: `Check an image strictly: descriptors, directories, path tables, Rock Ridge, Joliet, boot catalog and partition
table must agree, nothing may lie over something else, and a UEFI boot image must hold the loader EFI/BOOT/BOOTX64.EFI.
With --base it must also be that installer image with an overlay: every byte that an overlay does not change is the base's, and every file is the base's own or lies behind it.
A base that is not a whole installer image is an error. Exit 1 when there is an error; warnings do not count.`,
		Example: "  esxiplan iso verify host1.iso --base esxi.iso",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			report, err := media.Verify(args[0], base)
			if err != nil {
				return err
			}
			if asJSON {
				err = a.writeJSON(verified{args[0], report.OK(), report})
			} else {
				a.printReport(args[0], report)
			}
			if err == nil && !report.OK() {
				return exitCode(event.ExitUsage)
			}
			return err
		},
	}
	c.Flags().StringVar(&base, "base", "", "the installer image that it was built from")
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

// verified is a report with its verdict.
type verified struct {
	File string `json:"file"`
	OK   bool   `json:"ok"`
	isocheck.Report
}

func (a *app) printReport(path string, r isocheck.Report) {
	for _, f := range r.Findings {
		fmt.Fprintln(a.streams.Out, f)
	}
	verdict := "valid"
	if !r.OK() {
		verdict = "invalid"
	}
	fmt.Fprintf(a.streams.Out, "%s is %s: %s, %s, %s\n", path, verdict, event.Count(r.Trees, "tree"), event.Count(r.Directories, "directory"),
		event.Count(r.Files, "file"))
}

func (a *app) isoDiffCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "diff A B",
		Short:   "List how two images differ, such as a host's from the vendor's",
		Long:    "Compare two images file by file. Passwords and serial numbers in kickstarts are hidden.",
		Example: "  esxiplan iso diff esxi.iso host1.iso",
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := media.Diff(args[0], args[1])
			if err != nil {
				return err
			}
			if asJSON {
				return a.writeJSON(c)
			}
			a.printComparison(c)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

func (a *app) printComparison(c media.Comparison) {
	for _, f := range c.Files {
		switch f.Kind {
		case "added":
			fmt.Fprintf(a.streams.Out, "%s was added, %d bytes\n", f.Path, f.After)
		case "removed":
			fmt.Fprintf(a.streams.Out, "%s was removed, %d bytes\n", f.Path, f.Before)
		case "moved":
			fmt.Fprintf(a.streams.Out, "%s lies elsewhere, with the same %d bytes\n", f.Path, f.After)
		default:
			a.printText("%s was changed, %d → %d bytes", f.Path, f.Before, f.After)
		}
		if f.Text {
			a.printLines(f.Old, f.New)
		}
	}
	for _, n := range c.Notes {
		fmt.Fprintln(a.streams.Out, n)
	}
	if len(c.Files)+len(c.Notes) == 0 {
		fmt.Fprintln(a.streams.Out, "no difference")
	}
}

// printLines shows which lines of a text differ.
func (a *app) printLines(old, now string) {
	matcher := difflib.NewMatcher(difflib.SplitLines(old), difflib.SplitLines(now))
	before, after := difflib.SplitLines(old), difflib.SplitLines(now)
	for _, op := range matcher.GetOpCodes() {
		if op.Tag == 'e' {
			continue
		}
		for _, line := range before[op.I1:op.I2] {
			a.printLine("-", line)
		}
		for _, line := range after[op.J1:op.J2] {
			a.printLine("+", line)
		}
	}
}

func (a *app) printLine(sign, line string) {
	if line = strings.TrimRight(line, "\r\n"); line != "" {
		fmt.Fprintf(a.streams.Out, "  %s %s\n", sign, line)
	}
}

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/spf13/cobra"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/event"
	"esxiplan/schema"
)

func (a *app) fmtCommand() *cobra.Command {
	f := &planFlags{}
	var check, diff bool
	c := &cobra.Command{
		Use:   "fmt [FILE or FOLDER]…",
		Short: "Bring plan files into the canonical format",
		Long:  "Rewrite plan files in the canonical format. - reads standard input and writes to standard output. Without arguments: the current directory.",
		RunE: func(_ *cobra.Command, args []string) error {
			if f.untrusted && !check {
				return errors.New("fmt --untrusted takes --check: a plan that is not trusted is not rewritten")
			}
			return a.format(args, &schema.Access{Untrusted: f.untrusted}, check, diff)
		},
	}
	f.addTrust(c)
	c.Flags().BoolVar(&check, "check", false, "write nothing; exit 3 when a file differs")
	c.Flags().BoolVar(&diff, "diff", false, "show what differs")
	return c
}

func (a *app) format(args []string, access *schema.Access, check, diff bool) error {
	if len(args) == 0 {
		args = []string{"."}
	}
	if slices.Contains(args, "-") {
		return a.formatStdin(check, diff)
	}
	files, err := formatFiles(args, access)
	if err != nil {
		return err
	}
	differs, broken := false, false
	for _, name := range files {
		source, err := access.Read(name)
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
		return exitCode(event.ExitUsage)
	case check && differs:
		return exitCode(event.ExitDiffers)
	}
	return nil
}

func (a *app) formatStdin(check, diff bool) error {
	source, err := schema.ReadAll(a.in, "<stdin>")
	if err != nil {
		return err
	}
	out, err := a.formatted(source, "<stdin>")
	if err != nil {
		return exitCode(event.ExitUsage)
	}
	switch {
	case diff:
		a.printDiff("<stdin>", source, out)
	case !check:
		a.streams.Out.Write(out)
	}
	if check && string(out) != string(source) {
		return exitCode(event.ExitDiffers)
	}
	return nil
}

// formatted formats a file that can be parsed; one that cannot is left alone.
func (a *app) formatted(source []byte, name string) ([]byte, error) {
	if d := schema.CheckSource(source, name); d != nil {
		diags := hcl.Diagnostics{d}
		view.Diagnostics(a.streams, diags, map[string]*hcl.File{name: {Bytes: source}})
		return nil, diags
	}
	parser := hclparse.NewParser()
	if _, diags := parser.ParseHCL(source, name); diags.HasErrors() {
		view.Diagnostics(a.streams, diags, parser.Files())
		return nil, diags
	}
	return hclwrite.Format(source), nil
}

func formatFiles(args []string, access *schema.Access) ([]string, error) {
	var files []string
	for _, arg := range args {
		found, err := access.List(arg)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return files, nil
}

func (a *app) printDiff(name string, before, after []byte) {
	write(a.streams.Out, view.UnifiedDiff("old/"+name, "new/"+name, string(before), string(after)))
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

package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestNothingRunsPrograms: no plan can start one, because no package knows how to.
func TestNothingRunsPrograms(t *testing.T) {
	for _, p := range packages(t) {
		if !strings.HasPrefix(p.ImportPath, "esxiplan/testdata/") && (slices.Contains(p.Imports, "os/exec") || slices.Contains(p.Imports, "plugin")) {
			t.Errorf("%s can run programs", p.ImportPath)
		}
	}
}

// TestUntrustedIsRefusedByDefault: a command takes the flag only where it is known to read, and
// a dry run where it looks at no machine.
func TestUntrustedIsRefusedByDefault(t *testing.T) {
	for line, want := range map[string]string{
		"validate": "", "list": "", "rehearse": "", "fmt": "", "render": "",
		"run": "never run", "run --dry-run": "sends the passwords", "run --check": "sends the passwords", "run --offline": "never run",
		"run --dry-run --offline": "", "run --check --offline": "", "plan": "sends the passwords", "plan --offline": "",
		"apply": "never run", "do": "never run", "do --dry-run": "never run", "sim": "never run", "discover": "never run", "status": "never run", "anything": "never run",
	} {
		words := strings.Fields(line)
		f := &planFlags{}
		c := &cobra.Command{Use: words[0], RunE: func(*cobra.Command, []string) error { return nil }}
		f.add(c)
		for _, flag := range []string{"dry-run", "check", "offline"} {
			c.Flags().Bool(flag, false, "")
		}
		c.SetArgs(append(words[1:], "--untrusted"))
		c.SilenceUsage, c.SilenceErrors = true, true
		if err := c.Execute(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestEveryCommandKnowsUntrusted: what loads a plan takes the flag, or refuses it with a reason.
func TestEveryCommandKnowsUntrusted(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Flags().Lookup("var-file") != nil && (c.Flags().Lookup("untrusted") == nil || c.PreRunE == nil) {
			t.Errorf("%s loads plans, and has no --untrusted", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newApp(os.Stdin, newStreams(os.Stdout, os.Stderr)).command())
}

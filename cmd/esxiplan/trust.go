package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// readers are the commands that talk to no machine, whatever the plan says. The others
// refuse a plan that is not trusted.
var readers = []string{"validate", "list", "rehearse", "fmt", "render"}

// addTrust adds the flag of a plan whose author may be anyone, and refuses it to commands that
// run plans.
func (f *planFlags) addTrust(c *cobra.Command) {
	c.Flags().BoolVar(&f.untrusted, "untrusted", false, "do not trust the plan, such as a pull request from a fork: it reads only files below its folder and --allow-read, "+
		"of the environment only "+variablesOnly+" that --allow-env names, and opens no connection")
	c.PreRunE = func(c *cobra.Command, _ []string) error { return f.trust(c) }
}

// trust refuses to run a plan that is not trusted: only what reads it, or rehearses it, takes
// it. A dry run does where it looks at no machine.
func (f *planFlags) trust(c *cobra.Command) error {
	if !f.untrusted {
		return nil
	}
	dry := c.Name() == "plan" || isSet(c, "dry-run") || isSet(c, "check")
	switch {
	case slices.Contains(readers, c.Name()):
	case dry && isSet(c, "offline"):
	case c.Name() == "plan" || c.Name() == "run":
		return fmt.Errorf("%s --untrusted: a plan that is not trusted is never run, and a dry run sends the passwords that it gives to the addresses that it names. Use --untrusted with validate, rehearse or plan --offline; run it once it is reviewed", c.Name())
	default:
		return fmt.Errorf("%s --untrusted: a plan that is not trusted is never run, and this command talks to the machines that it names, or listens for them. Use --untrusted with validate, list, rehearse or kickstart render; run it once it is reviewed", c.Name())
	}
	for _, name := range f.allowEnv {
		if !strings.HasPrefix(name, "ESXIPLAN_VAR_") {
			return fmt.Errorf("--allow-env %s: a plan that is not trusted may read no environment variables but %s. Give the value to a variable of the plan: ESXIPLAN_VAR_<name>, -e or --var-file", name, variablesOnly)
		}
	}
	return nil
}

// variablesOnly are the environment variables that a plan which is not trusted may be given.
const variablesOnly = "ESXIPLAN_VAR_*"

// isSet reports a flag that is true; a command without it has it not.
func isSet(c *cobra.Command, name string) bool {
	flag := c.Flags().Lookup(name)
	return flag != nil && flag.Value.String() == "true"
}

// expected makes placeholders only of secrets that are meant for esxiplan: env() of any
// other variable is an attempt to read it, which is to be seen.
func expected(placeholder func(string) string) func(string) string {
	return func(name string) string {
		if placeholder == nil || !slices.ContainsFunc(envInCI, func(pattern string) bool { return strings.HasPrefix(name, strings.TrimSuffix(pattern, "*")) }) {
			return ""
		}
		return placeholder(name)
	}
}

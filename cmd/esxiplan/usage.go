package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"esxiplan/schema"
)

// addUsage lets a command and those below it say in words what is wrong with a command line, and
// what to write instead.
func addUsage(c *cobra.Command) {
	c.SetFlagErrorFunc(flagError)
	if len(c.Commands()) > 0 && !c.Runnable() { // cobra shows the help for an unknown command, and succeeds
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		c.DisableFlagsInUseLine = true
		c.Args = cobra.NoArgs
	}
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error { return argumentsError(c, args, check(c, args)) }
	}
	for _, sub := range c.Commands() {
		addUsage(sub)
	}
}

// argumentsError says what is wrong with the arguments of a command, nil where nothing is.
func argumentsError(c *cobra.Command, args []string, err error) error {
	if len(args) > 0 && len(c.Commands()) > 0 && (err != nil || mistyped(c, args[0])) {
		return unknownCommand(c, args[0])
	}
	name := strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
	switch {
	case err == nil:
		return nil
	case strings.HasPrefix(err.Error(), "unknown command"): // of cobra.NoArgs
		return fmt.Errorf("%s takes no arguments, got %q", name, args[0])
	}
	return fmt.Errorf("%s %s. Usage: %s (esxiplan %[1]s --help explains it)", name, countsInWords(err.Error()), c.UseLine())
}

// mistyped reports an argument that is no file, and nearly the name of a subcommand.
func mistyped(c *cobra.Command, arg string) bool {
	_, err := os.Lstat(arg)
	return err != nil && schema.DidYouMean(arg, subcommands(c)) != "."
}

func subcommands(c *cobra.Command) (names []string) {
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

func unknownCommand(c *cobra.Command, name string) error {
	of := ""
	if c.HasParent() {
		of = " of " + c.CommandPath()
	}
	return fmt.Errorf("unknown command %q%s%s %s --help lists the commands", name, of, schema.DidYouMean(name, subcommands(c)), c.CommandPath())
}

// countsInWords writes cobra's "1 arg(s), only received 0" as people do.
func countsInWords(text string) string {
	return strings.NewReplacer(" 1 arg(s)", " 1 argument", "arg(s)", "arguments", "only received", "got", "received", "got").Replace(text)
}

// flagError says what is wrong with a flag, with an example of a value.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		return unknownFlag(c, unknown)
	case errors.As(err, &missing):
		flag := missing.GetFlag()
		return fmt.Errorf("--%s needs a value%s: %s", flag.Name, suchAs(flag), flag.Usage)
	case errors.As(err, &invalid):
		return invalidValue(invalid.GetFlag(), invalid.GetValue())
	}
	return fmt.Errorf("%w: write --name value or --name=value; %s --help lists the flags", err, c.CommandPath())
}

// unknownFlag comes before an unknown command is found, whose flags are not known either.
func unknownFlag(c *cobra.Command, err *pflag.NotExistError) error {
	if args := c.Flags().Args(); len(args) > 0 && !c.HasParent() {
		return unknownCommand(c, args[0])
	}
	if group := err.GetSpecifiedShortnames(); group != "" {
		return fmt.Errorf("unknown flag -%s in -%s: %s --help lists the flags", err.GetSpecifiedName()[:1], group, c.CommandPath())
	}
	var names []string
	c.Flags().VisitAll(func(flag *pflag.Flag) { names = append(names, "--"+flag.Name) })
	given := "--" + err.GetSpecifiedName()
	return fmt.Errorf("unknown flag %s%s %s --help lists the flags", given, schema.DidYouMean(given, names), c.CommandPath())
}

// examples are values of flags, by the type of the flag where the name has none.
var examples = map[string]string{"forks": "50", "speed": "60", "every": "5s", "latency": "20ms", "int": "50", "float64": "2.5", "duration": "30s"}

// suchAs gives an example of a number or a time, "" for other flags.
func suchAs(flag *pflag.Flag) string {
	for _, key := range []string{flag.Name, flag.Value.Type()} {
		if example := examples[key]; example != "" {
			return " such as " + example
		}
	}
	return ""
}

func invalidValue(flag *pflag.Flag, value string) error {
	wants := map[string]string{
		"int": "a whole number" + suchAs(flag), "float64": "a number" + suchAs(flag), "duration": "a time with its unit" + suchAs(flag),
		"bool": "true or false, and means true where no value is given", "count": "no value: write -v, -vv or -vvv",
	}[flag.Value.Type()]
	if wants == "" {
		wants = "another value (" + flag.Usage + ")"
	}
	return fmt.Errorf("--%s takes %s, not %q", flag.Name, wants, value)
}

// forksVariable is the environment variable that replaces the default of --forks.
const forksVariable = "ESXIPLAN_FORKS"

// checkEnvironment refuses a number in the environment that is not one, where it would count.
func checkEnvironment(c *cobra.Command) error {
	flag, text := c.Flags().Lookup("forks"), os.Getenv(forksVariable)
	if flag == nil || flag.Changed || text == "" {
		return nil
	}
	if n, err := strconv.Atoi(text); err != nil || n < 1 {
		return fmt.Errorf("the environment variable %s is %q: it takes a whole number of hosts, 1 or more, such as 50. Correct or unset it, or give --forks", forksVariable, text)
	}
	return nil
}

// fastest is the highest speed at which simulated machines can be distinguished from broken ones: what takes a
// second there takes 0.1 ms.
const fastest = 10000

// checkSpeed refuses a speed at which no clock can run.
func checkSpeed(speed float64) error {
	if math.IsNaN(speed) || speed <= 0 || speed > fastest {
		return fmt.Errorf("--speed takes a number above 0, at most %d, such as 60, not %g", fastest, speed)
	}
	return nil
}

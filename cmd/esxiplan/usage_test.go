package main

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"esxiplan/cmd/internal/view"
)

// said is the error of a command line.
func said(t *testing.T, words ...string) string {
	t.Helper()
	var out bytes.Buffer
	a := newApp(os.Stdin, &view.Streams{Out: &out, Err: &out})
	c := a.command()
	c.SetArgs(words)
	err := c.Execute()
	if err == nil {
		t.Fatalf("%q is accepted:\n%s", words, out.String())
	}
	return err.Error()
}

// everyFlag calls a function for each flag of each command.
func everyFlag(t *testing.T, do func(words []string, flag *pflag.Flag)) {
	t.Helper()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		c.LocalFlags().VisitAll(func(flag *pflag.Flag) { do(strings.Fields(c.CommandPath())[1:], flag) })
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newApp(os.Stdin, &view.Streams{}).command())
}

// inGo are words of Go and of its libraries.
var inGo = regexp.MustCompile(`strconv|time:|Parse|invalid argument|syntax|%!|missing unit`)

// TestBadValues: a value that a flag cannot have is refused, on every command, by a message that
// names the flag and the value, and that gives an example.
func TestBadValues(t *testing.T) {
	wants := map[string]string{"int": " takes a whole number such as ", "float64": " takes a number such as ", "duration": " takes a time with its unit such as ",
		"bool": " takes true or false", "count": " takes no value"}
	numbers := 0
	everyFlag(t, func(words []string, flag *pflag.Flag) {
		want := wants[flag.Value.Type()]
		if want == "" || flag.Name == "help" {
			return
		}
		if slices.Contains([]string{"int", "float64", "duration"}, flag.Value.Type()) {
			numbers++
		}
		for _, value := range []string{"x", "5 apples", "99999999999999999999999e999"} {
			text := said(t, append(slices.Clone(words), "--"+flag.Name+"="+value)...)
			if !strings.HasPrefix(text, "--"+flag.Name+want) || !strings.Contains(text, value) || inGo.MatchString(text) {
				t.Errorf("%q: %s", words, text)
			}
		}
	})
	if numbers < 8 {
		t.Errorf("%d flags take numbers", numbers)
	}
}

// TestMissingValues: a flag without its value says what belongs there.
func TestMissingValues(t *testing.T) {
	everyFlag(t, func(words []string, flag *pflag.Flag) {
		if flag.NoOptDefVal != "" {
			return
		}
		if text := said(t, append(slices.Clone(words), "--"+flag.Name)...); !strings.HasPrefix(text, "--"+flag.Name+" needs a value") || !strings.HasSuffix(text, ": "+flag.Usage) {
			t.Errorf("%q: %s", words, text)
		}
	})
}

// TestForksFromTheEnvironment: a number of the environment that is none is refused where it would
// count, and nowhere else.
func TestForksFromTheEnvironment(t *testing.T) {
	t.Chdir(t.TempDir())
	commands := 0
	everyFlag(t, func(words []string, flag *pflag.Flag) {
		if flag.Name != "forks" {
			return
		}
		commands++
		for _, value := range []string{"abc", "0", "-1", "1.5", "99999999999999999999"} {
			t.Setenv("ESXIPLAN_FORKS", value)
			line := append(slices.Clone(words), "nowhere.hcl")
			if words[0] == "do" {
				line = append(slices.Clone(words), "power", "nowhere.hcl")
			}
			if text := said(t, line...); !strings.HasPrefix(text, `the environment variable ESXIPLAN_FORKS is "`+value+`"`) {
				t.Errorf("%q with %s: %s", words, value, text)
			}
			if text := said(t, append(line, "--forks", "3")...); strings.Contains(text, "ESXIPLAN_FORKS") {
				t.Errorf("%q --forks 3 with %s: %s", words, value, text)
			}
		}
	})
	if commands < 6 {
		t.Errorf("%d commands have --forks", commands)
	}
	if text := said(t, "validate", "nowhere.hcl"); strings.Contains(text, "ESXIPLAN_FORKS") {
		t.Error(text)
	}
}

// TestUsage: what is wrong with a command line, and what to write instead.
func TestUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	for line, want := range map[string]string{
		"rn":                            `unknown command "rn". Did you mean "run"? esxiplan --help lists the commands`,
		"frobnicate --limit x":          `unknown command "frobnicate". esxiplan --help lists the commands`,
		"iso inspct x.iso":              `unknown command "inspct" of esxiplan iso. Did you mean "inspect"? esxiplan iso --help lists the commands`,
		"kickstart frobnicate":          `unknown command "frobnicate" of esxiplan kickstart. esxiplan kickstart --help lists the commands`,
		"runs shw nightly-7":            `unknown command "shw" of esxiplan runs. Did you mean "show"? esxiplan runs --help lists the commands`,
		"run site.hcl --lmit one":       `unknown flag --lmit. Did you mean "--limit"? esxiplan run --help lists the flags`,
		"run site.hcl -vq":              `unknown flag -q in -q: esxiplan run --help lists the flags`,
		"run":                           `run requires at least 1 argument, got 0. Usage: esxiplan run PLAN… [flags] (esxiplan run --help explains it)`,
		"runs diff one":                 `runs diff accepts between 2 and 3 arguments, got 1. Usage: esxiplan runs diff RUN RUN [PLAN] [flags] (esxiplan runs diff --help explains it)`,
		"version now":                   `version takes no arguments, got "now"`,
		"run site.hcl --=x":             `bad flag syntax: --=x: write --name value or --name=value; esxiplan run --help lists the flags`,
		"status site.hcl --every -5s":   `--every takes a second or more, not -5s: BMCs are slow`,
		"status site.hcl --every 5":     `--every takes a time with its unit such as 5s, not "5"`,
		"sim site.hcl --speed 0":        `--speed takes a number above 0, at most 10000, such as 60, not 0`,
		"sim site.hcl --speed NaN":      `--speed takes a number above 0, at most 10000, such as 60, not NaN`,
		"rehearse site.hcl --speed -1":  `--speed takes a number above 0, at most 10000, such as 60, not -1`,
		"rehearse site.hcl --speed Inf": `--speed takes a number above 0, at most 10000, such as 60, not +Inf`,
		"sim site.hcl --latency -1s":    `--latency takes 0 or a time such as 20ms, not -1s`,
		"discover site.hcl --forks 0":   `--forks takes a number of hosts, 1 or more, not 0`,
		"discover 10.0.0.1 --forks -1":  `--forks takes a number of hosts, 1 or more, not -1`,
		"discover site.hcl -o tabel":    `-o takes table, details or json, not "tabel". Did you mean "table"?`,
		"runs prune --keep soon":        `--keep soon: write a number of days such as 90d, or hours such as 12h`,
	} {
		t.Setenv("ESXIPLAN_BMC_PASSWORD", "Not-sent-1x")
		if got := said(t, strings.Fields(line)...); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", line, got, want)
		}
	}
}

// TestVersionFlag: --version says the same as the command, and -v stays the flag of details.
func TestVersionFlag(t *testing.T) {
	for _, line := range []string{"--version", "version"} {
		var out bytes.Buffer
		c := newApp(os.Stdin, &view.Streams{Out: &out, Err: &out}).command()
		c.SetArgs([]string{line})
		if err := c.Execute(); err != nil || out.String() != "esxiplan "+version+"\n" {
			t.Errorf("%s: %q, %v", line, out.String(), err)
		}
	}
	if text := said(t, "-v"); !strings.HasPrefix(text, "unknown flag -v") {
		t.Error(text)
	}
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/bmc/vendors"
	"esxiplan/engine/event"
	"esxiplan/engine/media/kickstart"
	"esxiplan/engine/notify"
	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/engine/text"
	"esxiplan/schema"
	"esxiplan/steps/all"
)

// planFlags are the flags of every command that loads a plan.
type planFlags struct {
	set       []string
	files     []string
	allowRead []string
	allowEnv  []string
	untrusted bool
	step      string // a further step block
	choice    survey.Choice
}

func (f *planFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVarP(&f.set, "var", "e", nil, "set a variable: name=value")
	c.Flags().StringArrayVar(&f.files, "var-file", nil, "read variables from a file")
	c.Flags().StringArrayVar(&f.allowRead, "allow-read", nil, "an additional folder below which file() may read")
	c.Flags().StringArrayVar(&f.allowEnv, "allow-env", nil, "additional environment variables that env() may read: NAME or PREFIX*; where CI is set, only "+strings.Join(envInCI, " and ")+" are allowed without it")
	f.addTrust(c)
}

func (f *planFlags) addSelection(c *cobra.Command) {
	c.Flags().StringArrayVarP(&f.choice.Tags, "tags", "t", nil, "only steps with one of these tags")
	c.Flags().StringArrayVar(&f.choice.SkipTags, "skip-tags", nil, "leave out steps with one of these tags")
	f.addLimit(c)
	c.Flags().StringVar(&f.choice.StartAt, "start-at", "", "start at the step of this name")
}

func (f *planFlags) addLimit(c *cobra.Command) {
	c.Flags().StringArrayVarP(&f.choice.Limit, "limit", "l", nil, "only these hosts and groups; globs; !x excludes x, &x keeps only what is also in x")
}

// input is where the values of a plan come from.
func (f *planFlags) input(placeholder func(string) string) schema.Input {
	if f.untrusted {
		placeholder = expected(placeholder)
	}
	return schema.Input{Set: f.set, Files: f.files, Environ: os.LookupEnv, AllowEnv: f.readable(), AllowDir: f.allowRead, Placeholder: placeholder, Step: f.step, Untrusted: f.untrusted}
}

// envInCI is what env() may read in a job of a CI system: variables meant for esxiplan. The
// others are secrets of the pipeline, and the plan may be a stranger's pull request.
var envInCI = []string{"BMC_*", "ESXIPLAN_*"}

// readable is what env() may read, nil for everything.
func (f *planFlags) readable() []string {
	if f.untrusted {
		return f.allowEnv
	}
	if len(f.allowEnv) == 0 && os.Getenv("CI") == "" {
		return nil
	}
	return append(slices.Clone(envInCI), f.allowEnv...)
}

// known describes steps, vendors and facts to the language.
func known() schema.Known {
	k := schema.Known{Version: version, Steps: map[string]schema.StepType{}, Vendors: vendors.Names(), Facts: schema.Of[step.Facts](), Message: schema.Of[notify.Message](),
		RootPassword: kickstart.CheckPassword}
	for _, t := range all.Types() {
		k.Steps[t.Name] = schema.StepType{Arguments: t.Arguments, Result: t.Result, Requires: t.Requires}
	}
	return k
}

// load reads a plan and reports all its problems. placeholder makes up missing
// secrets; nil in runs on real machines.
func (a *app) load(paths []string, f *planFlags, placeholder func(string) string) (*schema.Plan, error) {
	in := f.input(placeholder)
	if term.IsTerminal(int(a.in.Fd())) && !f.untrusted { // its question may be for any secret
		in.Ask = a.ask
	}
	p, diags := schema.Load(paths, in, known())
	a.learn(p)
	return p, a.report(p, diags)
}

// report shows diagnostics; errors among them end the command.
func (a *app) report(p *schema.Plan, diags hcl.Diagnostics) error {
	view.Diagnostics(a.streams, diags, p.Files)
	for _, d := range diags {
		a.event(event.FromDiagnostic(d))
	}
	if diags.HasErrors() {
		return exitCode(event.ExitUsage)
	}
	return nil
}

// event writes a problem that comes before a run as an event.
func (a *app) event(p *event.Problem) {
	if !a.jsonl {
		return
	}
	v, err := view.New("jsonl", a.streams)
	if err == nil {
		shown := *p // a plan may have characters in its names that draw on a terminal
		shown.Summary, shown.Detail, shown.At = text.Clean(p.Summary), text.Lines(p.Detail), text.Clean(p.At)
		v.Event(event.Event{Schema: event.Schema, Time: time.Now(), Kind: event.Diagnosed, Problem: &shown})
	}
}

// sayBefore says why nothing was started.
func (a *app) sayBefore(reason string) {
	fmt.Fprintln(a.streams.Err, "esxiplan: "+reason)
	a.event(&event.Problem{Summary: reason})
}

// ask asks for a variable's value; what is sensitive is not echoed.
func (a *app) ask(v *schema.Variable) (string, error) {
	prompt := "variable " + v.Name
	if v.Description != "" {
		prompt += " (" + v.Description + ")"
	}
	write(a.streams.Err, prompt+": ")
	if v.Sensitive {
		b, err := a.readHidden()
		write(a.streams.Err, "\n")
		if err == nil && len(b) == 0 {
			err = errors.New("the answer is empty")
		}
		return string(b), err
	}
	return a.readLine()
}

// readHidden reads without echo, and gives the terminal its echo back when it is
// interrupted.
func (a *app) readHidden() ([]byte, error) {
	fd := int(a.in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	defer close(done)
	defer signal.Stop(signals)
	go func() {
		select {
		case <-signals:
			term.Restore(fd, before)
			os.Exit(event.ExitInterrupted)
		case <-done:
		}
	}()
	return term.ReadPassword(fd)
}

func (a *app) readLine() (string, error) {
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && line == "" {
		return "", fmt.Errorf("no answer: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/log"
	"esxiplan/engine/survey"
	"esxiplan/engine/twin"
	"esxiplan/schema"
)

// completer offers what a word on the command line may become. Whatever goes wrong, it offers
// nothing: it talks to no machine, asks for nothing and says nothing.
type completer func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective)

// flagValues complete the values of flags, by their names, on every command that has them.
func (a *app) flagValues() map[string]completer {
	return map[string]completer{
		"tags":      ofList(survey.Tags),
		"skip-tags": ofList(survey.Tags),
		"limit":     ofList(survey.HostNames),
		"start-at":  ofPlan(stepNames),
		"step":      ofPlan(func(p *schema.Plan) []string { return stepsOf(p, "build_iso") }),
		"host":      ofPlan(hostsOf),
		"var":       ofPlan(variableNames),
		"fault":     completeFault,
		"profile":   completeProfile,
		"output": func(c *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
			return offer(word, formsOf(c))
		},
		"report":      completeReport,
		"run":         completeRun,
		"only-failed": completeRun,
		"color":       ofWords("auto", "always", "never"),
		"secure-boot": ofWords("on", "off"),
	}
}

// freeValues are flags whose values no one can offer: numbers, times and names that are no files.
var freeValues = []string{"in-flight", "max-failures", "max-age", "keep", "username", "password-env", "fingerprint", "system",
	"allow-env", "allow", "listen", "listen-tls", "version", "kernel-option"}

// argumentValues complete the arguments of commands, by the path of the command. Of the others,
// those that take a plan complete the names of plan files.
var argumentValues = map[string]completer{
	"esxiplan do":        completeDo,
	"esxiplan doc":       completeTopic,
	"esxiplan list":      completeList,
	"esxiplan show":      completeSaved,
	"esxiplan runs show": completeRuns(1),
	"esxiplan runs diff": completeRuns(2),
}

// addCompletion completes flags and arguments of a command and of those below it.
func (a *app) addCompletion(c *cobra.Command) {
	values := a.flagValues()
	c.LocalFlags().VisitAll(func(flag *pflag.Flag) {
		complete := values[flag.Name]
		if slices.Contains([]string{"int", "float64", "duration"}, flag.Value.Type()) || slices.Contains(freeValues, flag.Name) {
			complete = ofWords()
		}
		if complete != nil {
			c.RegisterFlagCompletionFunc(flag.Name, complete)
		}
	})
	complete := argumentValues[c.CommandPath()]
	if complete == nil && strings.Contains(c.Use, "PLAN") {
		complete = func(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
			return files(word, nil)
		}
	}
	if complete != nil {
		c.ValidArgsFunction = complete
	}
	for _, sub := range c.Commands() {
		a.addCompletion(sub)
	}
}

// offer offers candidates, of which the shell takes those that begin with the word; a tab separates
// one from its explanation. No blank follows where one of these is only the beginning of a word.
func offer(word string, candidates []string) ([]string, cobra.ShellCompDirective) {
	directive := cobra.ShellCompDirectiveNoFileComp
	if slices.ContainsFunc(candidates, func(c string) bool { return strings.HasPrefix(c, word) && unfinished(c) }) {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return candidates, directive
}

func unfinished(candidate string) bool {
	text, _, _ := strings.Cut(candidate, "\t")
	return strings.HasSuffix(text, "=") || strings.HasSuffix(text, string(filepath.Separator))
}

func ofWords(words ...string) completer {
	return func(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		return offer(word, words)
	}
}

// ofPlan offers words from the plan on the command line.
func ofPlan(words func(*schema.Plan) []string) completer {
	return func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		return offer(word, wordsOf(planOn(c, args), words))
	}
}

// ofList offers words from the plan for the last element of a list, but those that it has.
func ofList(words func(*schema.Plan) []string) completer {
	return func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		begin := strings.LastIndex(word, ",") + 1
		for begin < len(word) && strings.ContainsRune("!&", rune(word[begin])) { // of --limit
			begin++
		}
		given := strings.Split(word[:begin], ",")
		var out []string
		for _, w := range wordsOf(planOn(c, args), words) {
			if !slices.Contains(given, w) {
				out = append(out, word[:begin]+w)
			}
		}
		return offer(word, out)
	}
}

func wordsOf(p *schema.Plan, words func(*schema.Plan) []string) []string {
	if p == nil {
		return nil
	}
	return words(p)
}

// completeWithin is how long a shell waits for words of a plan.
const completeWithin = 2 * time.Second

// planOn is the plan that the command line names, nil where it has errors or takes too long. Missing
// secrets are made up: completion must not ask.
func planOn(c *cobra.Command, args []string) *schema.Plan {
	paths := plansAmong(c, args)
	if len(paths) == 0 {
		return nil
	}
	in := flagsOn(c).input((&secrets{}).secret)
	loaded := make(chan *schema.Plan, 1)
	go func() {
		p, diags := schema.Load(paths, in, known())
		if diags.HasErrors() {
			p = nil
		}
		loaded <- p
	}()
	select {
	case p := <-loaded:
		return p
	case <-time.After(completeWithin):
		return nil
	}
}

// plansAmong are the arguments that name plans.
func plansAmong(c *cobra.Command, args []string) []string {
	others := map[string]int{"esxiplan list": 1, "esxiplan do": 1, "esxiplan show": 1, "esxiplan runs show": 1, "esxiplan runs diff": 2}[c.CommandPath()]
	args = args[min(others, len(args)):]
	if c.Name() != "do" {
		return args
	}
	return slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.Contains(arg, "=") })
}

// flagsOn are the flags on the command line by which a plan is read.
func flagsOn(c *cobra.Command) *planFlags {
	list := func(name string) []string {
		values, _ := c.Flags().GetStringArray(name)
		return values
	}
	return &planFlags{set: list("var"), files: list("var-file"), allowRead: list("allow-read"), allowEnv: list("allow-env"), untrusted: isSet(c, "untrusted")}
}

func textOn(c *cobra.Command, flag string) string {
	value, _ := c.Flags().GetString(flag)
	return value
}

func hostsOf(p *schema.Plan) (names []string) {
	for _, h := range p.Hosts() {
		names = append(names, h.Name)
	}
	return names
}

func stepNames(p *schema.Plan) (names []string) {
	for _, s := range p.Steps {
		names = append(names, s.Name+"\t"+s.Type)
	}
	return names
}

func stepsOf(p *schema.Plan, typ string) (names []string) {
	for _, s := range p.Steps {
		if s.Type == typ {
			names = append(names, s.Name)
		}
	}
	return names
}

func variableNames(p *schema.Plan) (names []string) {
	for _, v := range p.Variables {
		names = append(names, v.Name+"=\t"+v.Description)
	}
	return names
}

// completeFault completes KIND, or HOST=KIND.
func completeFault(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	host, _, one := strings.Cut(word, "=")
	var out []string
	for _, kind := range slices.Sorted(maps.Keys(twin.FaultKinds)) {
		if one {
			kind = host + "=" + kind
		}
		out = append(out, kind+"\t"+twin.FaultKinds[strings.TrimPrefix(kind, host+"=")])
	}
	if !one {
		out = append(out, withEquals(wordsOf(planOn(c, args), hostsOf))...)
	}
	return offer(word, out)
}

func withEquals(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = name + "="
	}
	return out
}

// completeProfile completes HOST=VENDOR/FIRMWARE, by the vendor of the host.
func completeProfile(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	p := planOn(c, args)
	name, _, hasHost := strings.Cut(word, "=")
	if !hasHost || p == nil {
		return offer(word, withEquals(wordsOf(p, hostsOf)))
	}
	h, ok := p.Host(name)
	if !ok {
		return offer(word, nil)
	}
	var out []string
	for _, profile := range bmcsim.All() {
		if h.Vendor == "auto" || strings.HasPrefix(profile.Name, h.Vendor+"/") {
			out = append(out, name+"="+profile.Name+"\t"+words(profile.Model, profile.Firmware))
		}
	}
	return offer(word, out)
}

// formsOf are the forms of output of a command.
func formsOf(c *cobra.Command) []string {
	switch c.Name() {
	case "discover":
		return discoverForms
	case "validate":
		return view.ProblemFormats
	case "show":
		return append([]string{"plain"}, planForms...)
	}
	if c.Name() == "plan" || isSet(c, "dry-run") || isSet(c, "check") {
		return slices.Concat(view.Formats, planForms)
	}
	return view.Formats
}

// completeReport completes KIND=FILE; the shell knows the files.
func completeReport(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	if strings.Contains(word, "=") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return offer(word, withEquals([]string{"html", "json", "junit", "markdown"}))
}

// completeRun completes the name of a run in the state folder that the command line means.
func completeRun(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	return offer(word, runsOn(c, plansAmong(c, args)))
}

func runsOn(c *cobra.Command, plans []string) []string {
	f := runsFlags{state: textOn(c, "state"), sim: textOn(c, "sim")}
	folder, err := f.folder(plans)
	if err != nil {
		return nil
	}
	names, _ := log.Names(folder)
	return names
}

// completeRuns completes so many names of runs, and a plan after them.
func completeRuns(n int) completer {
	return func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) < n {
			return completeRun(c, args, word)
		}
		return files(word, nil)
	}
}

// completeSaved completes the file of a saved plan or the name of a run, and the plan of a run.
func completeSaved(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return files(word, nil)
	}
	out, _ := offer(word, runsOn(c, nil))
	return out, cobra.ShellCompDirectiveDefault
}

// completeList completes what is listed, and the plan.
func completeList(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return offer(word, listable)
	}
	return files(word, nil)
}

// completeTopic completes what doc explains, one word.
func completeTopic(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return offer(word, nil)
	}
	return offer(word, append(explainedTypes(), vendorsTopic+"\tHow each vendor's BMCs differ from the standard.", notifyTopic+"\tThe notify block, and the messages that it sends."))
}

// completeDo completes the type of the step, the plan, and the step's arguments.
func completeDo(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return offer(word, explainedTypes())
	}
	if name, _, hasName := strings.Cut(word, "="); hasName {
		return offer(word, argumentsOf(args[0], func(a *schema.Argument) []string { return valuesOf(a, name) }))
	}
	if len(plansAmong(c, args)) == 0 && word == "" {
		return files(word, nil)
	}
	given := strings.Join(args, "\n") + "\n"
	return files(word, argumentsOf(args[0], func(a *schema.Argument) []string {
		if strings.Contains(given, "\n"+a.Name+"=") {
			return nil
		}
		return []string{a.Name + "=\t" + a.Doc}
	}))
}

func explainedTypes() (out []string) {
	for _, t := range stepTypes() {
		out = append(out, t.Name+"\t"+t.Summary)
	}
	return out
}

// argumentsOf collects words about the arguments of a type of step.
func argumentsOf(typ string, words func(*schema.Argument) []string) (out []string) {
	for _, t := range stepTypes() {
		if t.Name != typ {
			continue
		}
		for _, a := range t.Arguments.Arguments {
			out = append(out, words(a)...)
		}
	}
	return out
}

// valuesOf are the values that an argument may have, where they are few and it has this name.
func valuesOf(a *schema.Argument, name string) (out []string) {
	if a.Name != name {
		return nil
	}
	values := a.Enum
	if a.Type.FriendlyName() == "bool" {
		values = []string{"true", "false"}
	}
	for _, v := range values {
		out = append(out, name+"="+v)
	}
	return out
}

// files offers plan files and folders, and further words. Where none of them fits, as after ~, the
// shell offers its own.
func files(word string, further []string) ([]string, cobra.ShellCompDirective) {
	dir, begin := filepath.Split(word)
	entries, _ := os.ReadDir(filepath.Join(".", dir))
	if filepath.IsAbs(dir) {
		entries, _ = os.ReadDir(dir)
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasPrefix(name, ".") && !strings.HasPrefix(begin, "."):
		case e.IsDir():
			further = append(further, dir+name+string(filepath.Separator))
		case filepath.Ext(name) == ".hcl":
			further = append(further, dir+name)
		}
	}
	out, directive := offer(word, further)
	return out, directive &^ cobra.ShellCompDirectiveNoFileComp
}

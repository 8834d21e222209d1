// Package survey says what a run will touch, from the text of its plan: which steps and
// hosts it chooses, which machines it may wipe or stop, what each step finds ready and what
// follows it, and whether the choice makes sense. It is pure: it reads no machine, no file
// and no clock.
//
// [New] takes a plan and the [Options] of a run; what it returns is used by the consent
// of a run before it starts, by the guards ([Survey.Settings]) and by the lanes.
package survey

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"esxiplan/schema"
)

// Choice chooses steps by tags and hosts by patterns, as Ansible does.
type Choice struct {
	Tags     []string
	SkipTags []string
	Limit    []string
	StartAt  string // name of the first step
	Only     string // name of the one step to run, by hand; the tags do not count then
	// Steps and Hosts are what an earlier run chose, by name; tags and limits do not count
	// then. nil: they do.
	Steps, Hosts []string
}

// specialTags have a meaning of their own.
var specialTags = []string{"all", "always", "never", "tagged", "untagged"}

// words splits what people give to --tags: several times, by commas, by blanks.
func words(values []string) []string {
	var out []string
	for _, v := range values {
		out = append(out, strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	return out
}

// Tags lists the plan's tags in order of appearance.
func Tags(p *schema.Plan) []string {
	var tags []string
	for _, s := range p.Steps {
		for _, t := range s.Policy.Tags {
			if !slices.Contains(tags, t) {
				tags = append(tags, t)
			}
		}
	}
	return tags
}

// steps picks the steps that the tags choose.
func (c Choice) steps(p *schema.Plan) (map[string]bool, hcl.Diagnostics) {
	switch {
	case c.Only != "":
		return map[string]bool{c.Only: true}, nil
	case c.Steps != nil:
		return c.stepsOf(p)
	}
	var diags hcl.Diagnostics
	known := append(Tags(p), specialTags...)
	tags, skip := words(c.Tags), words(c.SkipTags)
	if len(c.Tags) > 0 && len(tags) == 0 {
		return nil, hcl.Diagnostics{usage("Nothing to run", "--tags is empty. Leave it out to mean all steps.")}
	}
	for _, t := range append(slices.Clone(tags), skip...) {
		if !slices.Contains(known, t) {
			diags = append(diags, usage("Unknown tag", "No step has the tag %q; the tags are %s%s", t, strings.Join(Tags(p), ", "), schema.DidYouMean(t, known)))
		}
	}
	chosen := map[string]bool{}
	started := c.StartAt == ""
	for _, st := range p.Steps {
		started = started || st.Name == c.StartAt
		if started && wanted(st.Policy.Tags, tags, skip) {
			chosen[st.Name] = true
		}
	}
	if !started {
		diags = append(diags, usage("Unknown step", "The plan has no step %q to start at.", c.StartAt))
	}
	if len(chosen) == 0 && !diags.HasErrors() {
		diags = append(diags, usage("Nothing to run", "No step is left by --tags, --skip-tags and --start-at. See esxiplan list tags."))
	}
	return chosen, diags
}

// stepsOf finds the steps that an earlier run chose.
func (c Choice) stepsOf(p *schema.Plan) (map[string]bool, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	chosen := map[string]bool{}
	for _, name := range c.Steps {
		if _, ok := p.Step(name); !ok {
			diags = append(diags, usage("A step is gone", "The run that is to be continued has the step %q, which the plan no longer has. "+
				"Put it back, or start a new run.", name))
		}
		chosen[name] = true
	}
	return chosen, diags
}

// hostsOf finds the hosts that an earlier run chose.
func (c Choice) hostsOf(p *schema.Plan) (out []*schema.Host, diags hcl.Diagnostics) {
	wanted := map[string]bool{}
	for _, name := range c.Hosts {
		wanted[name] = true
		if _, ok := p.Host(name); !ok {
			diags = append(diags, usage("A host is gone", "The run that is to be continued has the host %q, which the plan no longer has. "+
				"Put it back, or start a new run.", name))
		}
	}
	for _, h := range p.Hosts() {
		if wanted[h.Name] {
			out = append(out, h)
		}
	}
	return out, diags
}

// wanted is Ansible's rule. A step tagged `always` joins every choice, one tagged
// `never` only a choice that names one of its tags; --skip-tags has the last word,
// but `all` and `tagged` do not skip what is `always`.
func wanted(have, tags, skip []string) bool {
	if len(tags) == 0 {
		tags = []string{"all"}
	}
	always, never := slices.Contains(have, "always"), slices.Contains(have, "never")
	named := func(words []string) bool {
		return slices.ContainsFunc(have, func(t string) bool { return slices.Contains(words, t) })
	}
	general := func(words []string) bool {
		return slices.Contains(words, "all") || slices.Contains(words, "tagged") && len(have) > 0 || slices.Contains(words, "untagged") && len(have) == 0
	}
	chosen := always || named(tags) || !never && general(tags)
	skipped := named(skip) || general(skip) && !always
	return chosen && !skipped
}

// Select picks the hosts that a choice leaves, if no step is run.
func Select(p *schema.Plan, c Choice) ([]*schema.Host, hcl.Diagnostics) { return c.hosts(p) }

// hosts picks the hosts that --limit leaves: names, labels with ranges as the plan writes
// them, groups and globs, joined;
// `!x` removes, `&x` keeps only what is also in x.
func (c Choice) hosts(p *schema.Plan) ([]*schema.Host, hcl.Diagnostics) {
	if c.Hosts != nil {
		return c.hostsOf(p)
	}
	var diags hcl.Diagnostics
	all := p.Hosts()
	patterns := words(c.Limit)
	if len(c.Limit) == 0 {
		return all, nil
	}
	if len(patterns) == 0 {
		return nil, hcl.Diagnostics{usage("Nothing to run", "--limit is empty. Leave it out, or say all, to mean all hosts.")}
	}
	chosen := map[*schema.Host]bool{}
	patterns = inOrder(patterns)
	for _, pattern := range patterns {
		sign, name := byte(0), pattern
		if pattern[0] == '!' || pattern[0] == '&' {
			sign, name = pattern[0], pattern[1:]
		}
		found := map[*schema.Host]bool{}
		for _, h := range all {
			if matchesHost(h, name) {
				found[h] = true
			}
		}
		if len(found) == 0 {
			diags = append(diags, usage("Unknown host", "--limit: no host or group matches %q%s", name, schema.DidYouMean(name, HostNames(p))))
		}
		for _, h := range all {
			switch {
			case sign == 0 && found[h]:
				chosen[h] = true
			case sign == '!' && found[h], sign == '&' && !found[h]:
				delete(chosen, h)
			}
		}
	}
	var out []*schema.Host
	for _, h := range all {
		if chosen[h] {
			out = append(out, h)
		}
	}
	if len(out) == 0 && !diags.HasErrors() {
		diags = append(diags, usage("Nothing to run", "--limit leaves no host. See esxiplan list hosts."))
	}
	return out, diags
}

// inOrder puts plain patterns first, then those that keep, then those that
// remove, whatever their order on the command line. Without a plain one, all hosts are meant.
func inOrder(patterns []string) []string {
	rank := func(p string) int { return strings.IndexByte("&!", p[0]) }
	slices.SortStableFunc(patterns, func(a, b string) int { return rank(a) - rank(b) })
	if rank(patterns[0]) >= 0 {
		return append([]string{"all"}, patterns...)
	}
	return patterns
}

func matchesHost(h *schema.Host, pattern string) bool {
	if pattern == "all" || pattern == h.Name || pattern == h.Group || pattern == h.Label() {
		return true
	}
	name, _ := path.Match(pattern, h.Name)
	group, _ := path.Match(pattern, h.Group)
	return name || group
}

// HostNames lists what --limit can name: groups and hosts.
func HostNames(p *schema.Plan) []string {
	var names []string
	for _, g := range p.Groups {
		names = append(names, g.Name)
		for _, h := range g.Hosts {
			names = append(names, h.Name)
		}
	}
	return names
}

func usage(summary, format string, values ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, values...)}
}

// limitOf reads a number of hosts or a percentage of them; "" is no limit (-1).
// A percentage of a few hosts is at least one for in_flight, and may be none
// for a budget.
func limitOf(text string, hosts, least int) (int, error) {
	if text == "" {
		return -1, nil
	}
	number, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || n < 0 || percent && n > 100 {
		return 0, fmt.Errorf("%q is neither a number of hosts nor a percentage such as \"10%%\"", text)
	}
	if percent {
		n = n * hosts / 100
	}
	return max(n, least), nil
}

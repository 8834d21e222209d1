package view

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"esxiplan/engine/event"
	"esxiplan/engine/proposal"
)

func proposalMarkdown(t *testing.T, p *proposal.Proposal, o MarkdownOptions) string {
	t.Helper()
	var out bytes.Buffer
	if err := ProposalMarkdown(&out, p, o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestProposalMarkdown: what a pull request shows.
func TestProposalMarkdown(t *testing.T) {
	for name, p := range map[string]*proposal.Proposal{"plan.3": equalSite(t, 3), "plan.40": equalSite(t, 40), "plan.mixed": mixedSite(t),
		"plan.offline": offlineSite(t), "plan.hostile": hostileSite(t)} {
		text := proposalMarkdown(t, p, MarkdownOptions{Footer: "About 25 minutes, as earlier runs took\nmade by ci@build-7"})
		checkMarkdown(t, name, text)
		golden(t, name+".md", text)
	}
}

// TestProposalMarkdownIsShort: a comment has room for 500 hosts, whatever they are, and says
// what it leaves out.
func TestProposalMarkdownIsShort(t *testing.T) {
	for name, c := range map[string]struct {
		p     *proposal.Proposal
		wants []string
	}{
		"equal":     {bigSite(t, 500, false), []string{"10 refused", "|esxi-001|7XQ4A3F|5001ac37f330a33b|", "|esxi-499|"}},
		"different": {bigSite(t, 500, true), []string{"10 refused", "|esxi-001|7XQ4A3F|5001ac37f330a33b|", "|esxi-499|", "Left out for lack of room", "details of 4"}},
		"refused":   {refusedSite(t, 500), []string{"500 refused", "more, see the job's log"}},
		"long":      {longSite(t, 500), []string{"500 hosts to install", "see the job's log"}},
	} {
		text := proposalMarkdown(t, c.p, MarkdownOptions{Footer: strings.Repeat("@", 5000)})
		checkMarkdown(t, name, text)
		if len(text) >= 60_000 {
			t.Errorf("%s: %d bytes", name, len(text))
		}
		for _, want := range c.wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s: want %q in\n%.3000s", name, want, text)
			}
		}
		golden(t, "plan.500."+name+".md", fmt.Sprintf("%d bytes\n%s", len(text), excerpt(text)))
	}
}

// excerpt is the start of a long text, and its end.
func excerpt(text string) string {
	lines := strings.SplitAfter(text, "\n")
	if len(lines) < 60 {
		return text
	}
	return strings.Join(lines[:40], "") + fmt.Sprintf("[… %d lines]\n", len(lines)-55) + strings.Join(lines[len(lines)-15:], "")
}

// refusedSite has hosts that fail for reasons of their own.
func refusedSite(t *testing.T, n int) *proposal.Proposal {
	s := newSite(t)
	for i := range n {
		name := fmt.Sprintf("h%03d", i)
		s.host(name, "g", "", "")
		s.fail(name, event.Failed, fmt.Sprintf("step%d", i), event.Problem{Summary: strings.Repeat("*", 300+i), Next: "Look at it"})
	}
	return s.fold("")
}

// longSite has values that become much longer when they are escaped.
func longSite(t *testing.T, n int) *proposal.Proposal {
	s := newSite(t)
	for i := range n {
		r := dell(i)
		r.name = fmt.Sprintf("%s%03d", strings.Repeat("@", 200), i)
		r.model, r.group = r.name, r.name
		s.install(r, nil, strings.Repeat("|", 300))
	}
	return s.fold("")
}

var (
	tags     = regexp.MustCompile(`</?([a-z0-9]+)[^>]*>`)
	codeTags = regexp.MustCompile(`<code>[^<]*</code>`)
)

// checkMarkdown holds text against what a renderer needs to show it as it is meant.
func checkMarkdown(t *testing.T, name, text string) {
	t.Helper()
	first, rest, _ := strings.Cut(text, "\n")
	if !strings.HasPrefix(first, "<!-- esxiplan plan: ") || strings.Count(first, "--") != 2 || !strings.HasSuffix(first, " -->") || strings.Count(first, ">") != 1 {
		t.Errorf("%s: the mark is %q", name, first)
	}
	fenced, open, cells := "", 0, 0
	for n, line := range strings.Split(rest, "\n") {
		bad := func(format string, a ...any) {
			t.Errorf("%s: line %d: %s: %.300s", name, n+2, fmt.Sprintf(format, a...), line)
		}
		if ticks := line[:len(line)-len(strings.TrimLeft(line, "`"))]; fenced != "" {
			if line == fenced {
				fenced = ""
			} else if len(ticks) >= len(fenced) {
				bad("the fence ends early")
			}
			continue
		} else if len(ticks) >= 3 {
			fenced = ticks
			continue
		}
		open += strings.Count(line, "<details>") - strings.Count(line, "</details>")
		if open < 0 || open > 1 {
			bad("<details> is not balanced")
		}
		for _, tag := range tags.FindAllStringSubmatch(line, -1) {
			if !strings.Contains(" details summary code b br sub ", " "+tag[1]+" ") {
				bad("a tag %s", tag[0])
			}
		}
		if outside := codeTags.ReplaceAllString(line, "CODE"); strings.ContainsAny(outside, "@`[]\\$~") || strings.Contains(outside, "://") || strings.Contains(outside, "![") || strings.Contains(outside, "www.") {
			bad("markup outside of code: %s", outside)
		}
		for _, c := range codeTags.FindAllString(line, -1) {
			if strings.ContainsAny(c, "@`[]\\$~|*_") || strings.Contains(c, "://") {
				bad("markup in code: %s", c)
			}
		}
		if !strings.HasPrefix(line, "|") {
			cells = 0
		} else if count := strings.Count(line, "|"); cells > 0 && count != cells {
			bad("%d cells, and %d above", count-1, cells-1)
		} else {
			cells = count
		}
	}
	if fenced != "" || open != 0 {
		t.Errorf("%s: at the end %d <details> and the fence %q are open", name, open, fenced)
	}
}

package view

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"esxiplan/engine/proposal"
)

// screens are what a proposal is shown on.
var screens = []struct {
	name string
	Streams
}{
	{"80 columns", Streams{Width: 80}},
	{"120 columns", Streams{Width: 120}},
	{"200 columns, colours", Streams{Width: 200, Color: true}},
	{"no terminal, ASCII", Streams{ASCII: true}},
}

func proposalText(p *proposal.Proposal, s Streams, o ProposalOptions) string {
	var out bytes.Buffer
	s.Out = &out
	Proposal(&s, p, o)
	return out.String()
}

// TestProposal: what people read of a plan, on each kind of terminal.
func TestProposal(t *testing.T) {
	for name, p := range map[string]*proposal.Proposal{
		"plan.3": equalSite(t, 3), "plan.40": equalSite(t, 40), "plan.mixed": mixedSite(t), "plan.offline": offlineSite(t), "plan.hostile": hostileSite(t),
	} {
		var all strings.Builder
		for _, screen := range screens {
			fmt.Fprintf(&all, "==== %s\n%s", screen.name, proposalText(p, screen.Streams, ProposalOptions{}))
			fmt.Fprintf(&all, "==== %s, brief\n%s", screen.name, proposalText(p, screen.Streams, ProposalOptions{Brief: true}))
		}
		fmt.Fprintf(&all, "==== 120 columns, --diff\n%s", proposalText(p, Streams{Width: 120}, ProposalOptions{Diff: true}))
		golden(t, name, all.String())
	}
}

// TestProposalKeepsToTheTerminal: an ASCII terminal gets ASCII, and no escape sequence comes
// from a plan or a machine. Lines fit, but for words that are longer than the terminal is wide.
func TestProposalKeepsToTheTerminal(t *testing.T) {
	for name, p := range map[string]*proposal.Proposal{"equal": equalSite(t, 40), "mixed": mixedSite(t), "hostile": hostileSite(t)} {
		for _, screen := range screens {
			for _, o := range []ProposalOptions{{}, {Brief: true}, {Diff: true}} {
				text := proposalText(p, screen.Streams, o)
				for _, r := range text {
					if screen.ASCII && r > '~' || !screen.Color && r == '\x1b' {
						t.Errorf("%s, %s: %q was written", name, screen.name, r)
					}
				}
				for line := range strings.Lines(text) {
					line = strings.TrimSuffix(line, "\n")
					if screen.Width > 0 && ansi.StringWidth(line) > screen.Width && strings.Contains(strings.TrimSpace(line), " ") && name != "hostile" {
						t.Errorf("%s, %s: %d columns: %s", name, screen.name, ansi.StringWidth(line), line)
					}
				}
			}
		}
	}
}

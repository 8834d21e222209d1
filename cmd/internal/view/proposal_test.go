package view

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"esxiplan/engine/event"
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
	s.Out, s.OutWidth = &out, s.Width
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

// TestManyHostsFitOnAScreen: 40 equal hosts are one block, each with the numbers by which people
// know the machine and its disk.
func TestManyHostsFitOnAScreen(t *testing.T) {
	p := equalSite(t, 40)
	for _, width := range []int{80, 100, 120, 160, 200} {
		for _, o := range []ProposalOptions{{}, {Brief: true}} {
			text := proposalText(p, Streams{Width: width}, o)
			if n := strings.Count(text, "\n"); n > 50 {
				t.Errorf("%d columns: %d lines", width, n)
			}
			for _, h := range p.Hosts {
				for _, want := range []string{h.Host, h.Machine.Serial, h.Erases()[0].WWN[0]} {
					if !strings.Contains(text, want) {
						t.Errorf("%d columns: %s is missing", width, want)
					}
				}
			}
		}
	}
}

// TestProposalHidesNoDisk: however many and different the hosts are, and however narrow the
// terminal, each disk that will be erased is named.
func TestProposalHidesNoDisk(t *testing.T) {
	for name, p := range map[string]*proposal.Proposal{"equal": bigSite(t, 200, false), "different": bigSite(t, 60, true), "mixed": mixedSite(t)} {
		for _, width := range []int{0, 60, 80, 200} {
			for _, o := range []ProposalOptions{{}, {Brief: true}} {
				text := strings.Join(strings.Fields(proposalText(p, Streams{Width: width}, o)), " ") // without line breaks
				for _, h := range p.With(proposal.Install) {
					for _, d := range h.Erases() {
						if id := cmp.Or(d.Serial, strings.Join(d.WWN, " "), d.Wanted); !strings.Contains(text, id) || !strings.Contains(text, h.Host) {
							t.Errorf("%s, %d columns, brief %v: %s of %s is missing", name, width, o.Brief, id, h.Host)
						}
					}
				}
			}
		}
	}
}

// TestProposalSpeaksOfTheFuture: nothing in a proposal happened.
func TestProposalSpeaksOfTheFuture(t *testing.T) {
	past := regexp.MustCompile(`\b(changed|installed|mounted|ejected|restarted|published|ok)\b`)
	future := regexp.MustCompile(`will be \w+|the published installer image|(kickstart|kernel options) \(published\)|(step|·) \w+ \(\w+\)|step \w+|restart installed|\? installed|<code>installed`)
	p := mixedSite(t)
	for name, text := range map[string]string{"text": proposalText(p, Streams{}, ProposalOptions{}), "brief": proposalText(p, Streams{}, ProposalOptions{Brief: true}), "Markdown": proposalMarkdown(t, p, MarkdownOptions{})} {
		for line := range strings.Lines(text) {
			if found := past.FindString(future.ReplaceAllString(line, "")); found != "" {
				t.Errorf("%s says %q: %s", name, found, line)
			}
		}
	}
}

// TestProposalIsStable: equal proposals are equal bytes.
func TestProposalIsStable(t *testing.T) {
	for range 5 {
		if a, b := proposalText(mixedSite(t), Streams{Width: 80}, ProposalOptions{}), proposalText(mixedSite(t), Streams{Width: 80}, ProposalOptions{}); a != b {
			t.Fatalf("two texts differ:\n%s\n%s", a, b)
		}
		if a, b := proposalMarkdown(t, mixedSite(t), MarkdownOptions{}), proposalMarkdown(t, mixedSite(t), MarkdownOptions{}); a != b {
			t.Fatalf("two comments differ:\n%s\n%s", a, b)
		}
	}
}

// TestChangeWords: each kind of change, in words of the future.
func TestChangeWords(t *testing.T) {
	reset := func(step, old, new string, risk event.Risk) event.Planned {
		return event.Planned{Step: step, Change: event.Change{Verb: event.Reset, Target: "power", Old: old, New: new, Risk: risk}}
	}
	change := func(v event.Verb, target, old, new string) event.Planned {
		return event.Planned{Step: "s", Change: event.Change{Verb: v, Target: target, Old: old, New: new}}
	}
	for name, c := range map[string]struct {
		changes []event.Planned
		want    []string
	}{
		"mount":    {[]event.Planned{change(event.Insert, "slot 1", "", "http://x/a.iso")}, []string{"+ http://x/a.iso will be mounted in slot 1 (now: empty)"}},
		"unbuilt":  {[]event.Planned{change(event.Publish, "image", "", "http:"+event.Unbuilt)}, []string{"+ an installer image will be published (its URL is known when it is built)"}},
		"remove":   {[]event.Planned{change(event.Remove, "image", "http://x/a.iso", "")}, []string{"- the published installer image will be removed: http://x/a.iso"}},
		"clear":    {[]event.Planned{change(event.SetBoot, "source", "cd", "none")}, []string{"- the boot source override will be cleared (now: cd)"}},
		"every":    {[]event.Planned{change(event.SetBoot, "source", "", "cd (continuous)")}, []string{"~ every boot will be from cd (now: none)"}},
		"prepare":  {[]event.Planned{change(event.Prepare, "USB mass storage", "off", "on")}, []string{"~ USB mass storage will be set to on (now: off)"}},
		"by then":  {[]event.Planned{change(event.Eject, "slot 1", "x", ""), change(event.Insert, "slot 1", "", "y")}, []string{"- x will be ejected from slot 1", "+ y will be mounted in slot 1"}},
		"restart":  {[]event.Planned{reset("a", "On", "ForceOff", event.Reboots), reset("a", "Off", "On", event.Reboots)}, []string{"! the machine will be restarted (ForceOff, On; now: On)"}},
		"off":      {[]event.Planned{reset("a", "On", "ForceOff", event.PowersOff)}, []string{"! the machine will be powered off, and stays off (ForceOff; now: On)"}},
		"off, on":  {[]event.Planned{reset("a", "On", "ForceOff", event.PowersOff), reset("b", "Off", "On", event.Wipes)}, []string{"! the machine will be powered off (ForceOff; now: On)", "! the machine will be powered on (On; by then: Off)"}},
		"unknown":  {[]event.Planned{change("paint", "wall", "white", "red")}, []string{"~ paint wall will be red (now: white)"}},
		"no state": {[]event.Planned{reset("a", "", "ForceRestart", event.Reboots)}, []string{"! the machine will be restarted (ForceRestart; now: unknown)"}},
	} {
		var got []string
		for _, s := range inText.changes(&proposal.Host{Changes: c.changes}) {
			got = append(got, s.sign+" "+s.text)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestRunsWords: what runs on a machine, or that it is not known.
func TestRunsWords(t *testing.T) {
	for want, r := range map[string]event.Running{
		"nothing, it is powered off":                                                     {Power: "Off", Use: "free"},
		"unknown: it is on, and no ESXi answers":                                         {Power: "On", Use: "unknown", Reason: "it is on, and no ESXi answers"},
		"ESXi 7, whether it is in use is unknown: the plan has no login":                 {Power: "On", Use: "unknown", Product: "ESXi 7", Reason: "the plan has no login"},
		"ESXi 7 build 12, 2 VMs powered on: a, b, member of a vSAN":                      {Power: "On", Use: "busy", Product: "ESXi 7", Build: "12", VMs: []string{"a", "b"}, VSAN: true},
		"ESXi 7, no VM powered on, managed by vCenter vc, up since 2026-08-01 10:22 UTC": {Power: "On", Use: "busy", Product: "ESXi 7", VCenter: "vc", Booted: boot},
		"unknown: it was not looked at":                                                  {Power: "On"},
	} {
		if got := inText.runs(&event.Machine{Runs: r}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestDiskWords: what is on a disk, that nothing is, and that it is not known.
func TestDiskWords(t *testing.T) {
	d := event.Disk{Model: "BOSS", Serial: "S1", Size: "480 GB"}
	for want, holds := range map[string][]string{
		"BOSS, serial S1, 480 GB; contents unknown: they could not be read": nil,
		"BOSS, serial S1, 480 GB; no datastore on it":                       {},
		"BOSS, serial S1, 480 GB; on it: a, b":                              {"a", "b"},
	} {
		d.Holds = holds
		if got := inText.disk(d); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

package view

import (
	"strings"

	"esxiplan/engine/event"
	"esxiplan/engine/proposal"
)

// brief is a line per host: its serial number, the disks that will be erased and what runs
// there. Of many hosts those with equal disks and systems are listed together; each host and its
// disks stay named.
func (v *proposed) brief() {
	if len(v.p.Hosts) > mostBrief {
		for _, b := range proposal.Blocks(briefly(v.p)) {
			v.briefBlock(b)
		}
	} else {
		for _, h := range ordered(v.p) {
			v.briefHost(h)
		}
	}
	v.line("")
}

// mostBrief is the number of hosts above which those fold that are alike.
const mostBrief = 12

// ordered are the hosts, those in trouble first.
func ordered(p *proposal.Proposal) []*proposal.Host {
	trouble := p.With(proposal.Refused, proposal.Unreachable)
	return append(trouble, p.With(proposal.Install, proposal.Change, proposal.Unchanged, proposal.LeftOut, proposal.Undecided)...)
}

func (v *proposed) briefHost(h *proposal.Host) {
	v.say("", v.t.bold.Render(inText.value(h.Host))+" "+strings.Join(v.briefWords(h), " "+v.t.dot+" "), "  ")
}

// briefWords are outcome, serial number, disks and what runs on a machine.
func (v *proposed) briefWords(h *proposal.Host) []string {
	parts := []string{v.outcome(h.Outcome)}
	if h.Problem != nil {
		parts[0] += ": " + inText.value(h.Problem.Summary)
		return parts
	}
	if h.Text != "" {
		parts[0] += ": " + inText.value(h.Text)
	}
	if m := h.Machine; m != nil && m.Serial != "" && !strings.Contains(m.Serial, "{") {
		parts = append(parts, "serial "+inText.value(m.Serial))
	}
	if stop := stops(h); stop != "" {
		parts = append(parts, stop)
	}
	for _, d := range h.Erases() {
		parts = append(parts, v.t.bad.Render("erases")+" "+inText.diskInShort(d))
	}
	if h.Machine != nil {
		parts = append(parts, "runs now: "+inText.runsInShort(h.Machine))
	}
	return parts
}

// stops says what becomes of the machine's power, "" where nothing does or an installer boots.
func stops(h *proposal.Host) string {
	for _, c := range h.Changes {
		switch c.Risk {
		case event.Wipes:
			return ""
		case event.PowersOff:
			return "will be powered off"
		case event.Reboots:
			return "will be restarted"
		}
	}
	return ""
}

// briefly leaves of a proposal what the brief form shows, so that hosts fold that differ in the
// rest only.
func briefly(p *proposal.Proposal) *proposal.Proposal {
	out := *p
	out.Hosts = nil
	for _, h := range p.Hosts {
		b := *h
		b.BMC, b.Address, b.Open, b.Warnings, b.Changes = "", "", nil, nil, nil
		for _, c := range h.Changes {
			if c.Verb == event.Reset {
				c.Step = ""
				b.Changes = append(b.Changes, c)
			}
		}
		out.Hosts = append(out.Hosts, &b)
	}
	return &out
}

func (v *proposed) briefBlock(b proposal.Block) {
	if isIdle(b.Host) {
		v.idle(b)
		return
	}
	words := v.briefWords(b.Host)
	if b.Host.Machine != nil && len(b.Hosts) > 1 {
		words = append([]string{words[0], inText.value(b.Host.Machine.Model)}, words[1:]...)
	}
	v.say("", v.t.bold.Render(inText.title(b))+" "+strings.Join(words, " "+v.t.dot+" "), "  ")
	v.table(b)
}

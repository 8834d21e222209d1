package view

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"esxiplan/cmd/internal/view/markdown"
	"esxiplan/engine/event"
	"esxiplan/engine/proposal"
)

// MarkdownOptions say how a proposal is written for a pull request.
type MarkdownOptions struct {
	Footer string // who made it, and how long it may take: what does not compare, a line each
	Diff   bool   // the whole of kickstarts that replace none
}

// mostMarkdown is how many bytes the Markdown has at most: code hosts refuse comments of
// 65,536 characters.
const mostMarkdown = 59_500

// ProposalMarkdown writes what a run would do for a pull request. The first line is a mark by
// which a bot finds the comment that it made before. Summary and refusals come first; of what
// there is no room for, counts stay.
func ProposalMarkdown(w io.Writer, p *proposal.Proposal, o MarkdownOptions) error {
	m := &inMarkdown{p: p, o: o, blocks: proposal.Blocks(p)}
	_, err := io.WriteString(w, m.write())
	return err
}

// inMarkdown writes a proposal. Nothing that comes from a plan or a machine is written without
// going through inCode, inCells, fence or comment.
type inMarkdown struct {
	p      *proposal.Proposal
	o      MarkdownOptions
	blocks []proposal.Block
}

var (
	inCode  = words{value: markdown.Code}
	inCells = words{value: markdown.Cell}
)

// detail is how much of a block is written.
type detail int

const (
	whole detail = iota
	lean         // the columns that tell machines and disks apart, and the start of diffs
)

// write chooses the most detail for which there is room.
func (m *inMarkdown) write() string {
	head, foot := m.head(), m.foot()
	for _, d := range []detail{whole, lean} {
		if body := m.body(d); len(head)+len(body)+len(foot) <= mostMarkdown {
			return head + body + foot
		}
	}
	return head + m.cut(mostMarkdown-len(head)-len(foot)) + foot
}

func (m *inMarkdown) head() string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- esxiplan plan: %s -->\n### Plan %s\n\n**%s**\n\n", markdown.Comment(m.p.Plan), markdown.Code(m.p.Plan), inCode.total(m.p))
	if m.p.Offline {
		b.WriteString("Offline: no machine was looked at, so disks, what runs there and whether a guard refuses are unknown.\n\n")
	}
	if m.p.Note != "" {
		b.WriteString(markdown.Code(m.p.Note) + "\n\n")
	}
	m.refusals(&b)
	return b.String()
}

// mostRefusals is how many bytes the list of refusals has at most.
const mostRefusals = 12_000

// refusals lists the hosts in trouble, with the way out. Those with one problem are one item.
func (m *inMarkdown) refusals(b *strings.Builder) {
	var order []string
	hosts := map[string][]string{}
	for _, block := range m.blocks {
		if block.Host.Problem == nil {
			continue
		}
		problem := m.problem(block.Host)
		if hosts[problem] == nil {
			order = append(order, problem)
		}
		for _, h := range block.Hosts {
			hosts[problem] = append(hosts[problem], h.Host)
		}
	}
	if len(order) == 0 {
		return
	}
	b.WriteString("#### Refused or unreachable\n\n")
	written, left := 0, 0
	for _, problem := range order {
		item := "- " + inCells.some(hosts[problem], mostListed) + ": " + problem + "\n"
		if written+len(item) > mostRefusals {
			left += len(hosts[problem])
			continue
		}
		written += len(item)
		b.WriteString(item)
	}
	if left > 0 {
		fmt.Fprintf(b, "- … and %d more, see the job's log\n", left)
	}
	b.WriteString("\n")
}

// mostListed is how many hosts of one problem are named.
const mostListed = 40

func (m *inMarkdown) problem(h *proposal.Host) string {
	out := outcome(h.Outcome) + ": " + markdown.Code(h.Problem.Summary)
	if h.Problem.Detail != "" {
		out += " " + markdown.Code(h.Problem.Detail)
	}
	if h.Problem.Next != "" {
		out += "<br>**Next:** " + markdown.Code(h.Problem.Next)
	}
	if h.Step != "" {
		out += "<br>in step " + markdown.Code(h.Step)
		if h.Problem.At != "" {
			out += " at " + markdown.Code(h.Problem.At)
		}
	}
	return out
}

// foot is what does not compare, apart from the rest.
func (m *inMarkdown) foot() string {
	if m.o.Footer == "" {
		return ""
	}
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(m.o.Footer), "\n") {
		if lines = append(lines, markdown.Code(line)); len(lines) == mostFoot {
			break
		}
	}
	return "---\n<sub>" + strings.Join(lines, "<br>") + "</sub>\n"
}

// mostFoot is how many lines the footer has at most.
const mostFoot = 3

// body is all blocks, those to which nothing happens last.
func (m *inMarkdown) body(d detail) string {
	var b strings.Builder
	for _, block := range m.blocks {
		if !isListed(block.Host) {
			b.WriteString(m.block(block, d))
		}
	}
	return b.String() + m.idle()
}

// isListed reports a host of which the list of refusals or that of idle hosts says all.
func isListed(h *proposal.Host) bool {
	return len(h.Changes) == 0 && len(h.Warnings) == 0 && len(h.Open) == 0
}

func (m *inMarkdown) idle() string {
	var b strings.Builder
	for _, block := range m.blocks {
		if !isIdle(block.Host) {
			continue
		}
		var names []string
		for _, h := range block.Hosts {
			names = append(names, h.Host)
		}
		b.WriteString("- " + inCells.some(names, mostListed) + ": " + outcome(block.Host.Outcome))
		if block.Host.Text != "" {
			b.WriteString(": " + markdown.Code(block.Host.Text))
		}
		b.WriteString("\n")
	}
	if b.Len() == 0 {
		return ""
	}
	return "#### Nothing will be written to\n\n" + b.String() + "\n"
}

// block is one fold: its summary names hosts, outcome and disks.
func (m *inMarkdown) block(block proposal.Block, d detail) string {
	var b strings.Builder
	h := block.Host
	summary := append([]string{"<b>" + inCode.title(block) + " " + outcome(h.Outcome) + "</b>"}, inCode.facts(block)...)
	fmt.Fprintf(&b, "<details><summary>%s</summary>\n\n", strings.Join(summary, " · "))
	if h.Text != "" {
		b.WriteString("- " + markdown.Code(h.Text) + "\n")
	}
	if h.Machine != nil {
		b.WriteString("- runs now: " + inCode.runs(h.Machine) + "\n")
	}
	for _, disk := range h.Erases() {
		b.WriteString("- **will be erased:** " + inCode.disk(disk) + "\n")
	}
	if h.Problem != nil && len(h.Changes) > 0 {
		b.WriteString("- before that, the run would make these changes:\n")
	}
	diffs := m.changes(&b, h)
	for _, text := range inCode.open(h) {
		b.WriteString("- <code>?</code> " + text + "\n")
	}
	for _, text := range h.Warnings {
		b.WriteString("- **warning:** " + markdown.Code(text) + "\n")
	}
	b.WriteString("\n")
	for _, diff := range diffs {
		b.WriteString(markdown.Fence("diff", shorten(diff, d)) + "\n")
	}
	b.WriteString(table(block, d) + "</details>\n\n")
	return b.String()
}

func (m *inMarkdown) changes(b *strings.Builder, h *proposal.Host) (diffs []string) {
	for _, c := range inCode.changes(h) {
		b.WriteString("- " + markdown.Code(c.sign) + " " + c.text)
		if c.risk != "" {
			b.WriteString(" **" + string(c.risk) + "**")
		}
		b.WriteString(" (step " + markdown.Code(c.step) + ")\n")
		if c.medium == nil {
			continue
		}
		facts, diff := inCode.medium(*c.medium, m.o.Diff)
		for _, f := range facts {
			b.WriteString("  - " + f + "\n")
		}
		if diff != "" {
			diffs = append(diffs, diff)
		}
	}
	return diffs
}

// mostDiff is how many lines of a diff are written where there is little room.
const mostDiff = 40

func shorten(diff string, d detail) string {
	lines := strings.SplitAfter(diff, "\n")
	if d == whole || len(lines) <= mostDiff {
		return diff
	}
	return strings.Join(lines[:mostDiff], "") + fmt.Sprintf("… and %d more lines, see the job's log\n", len(lines)-mostDiff)
}

// table is what differs between the hosts of a block.
func table(block proposal.Block, d detail) string {
	columns := important(block.Columns)
	if d == lean {
		columns = columns[:essential(columns)]
	}
	columns = slices.DeleteFunc(columns, func(c proposal.Column) bool { return c.Minor })
	if len(columns) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(markdown.Row(names(columns)...) + markdown.Row(slices.Repeat([]string{"---"}, len(columns))...))
	for i := range block.Hosts {
		cells := make([]string, len(columns))
		for k, c := range columns {
			cells[k] = markdown.Cell(c.Values[i])
		}
		b.WriteString(markdown.Row(cells...))
	}
	if left := len(block.Columns) - len(columns); left > 0 {
		fmt.Fprintf(&b, "\nMore differs: %s\n", strings.Join(others(block.Columns, columns), ", "))
	}
	return b.String() + "\n"
}

func names(columns []proposal.Column) (out []string) {
	for _, c := range columns {
		out = append(out, c.Name)
	}
	return out
}

func others(all, shown []proposal.Column) (out []string) {
	for _, name := range names(all) {
		if !slices.Contains(names(shown), name) {
			out = append(out, name)
		}
	}
	return out
}

// mostLeftOut is room for the sentence that says what is left out.
const mostLeftOut = 400

// cut is a body for which there is no room: the disks that will be erased, then as many blocks
// as fit.
func (m *inMarkdown) cut(room int) string {
	room -= mostLeftOut
	out, disksLeft := m.disks(room)
	room -= len(out)
	blocksLeft, hostsLeft := 0, 0
	for _, block := range m.blocks {
		if isListed(block.Host) {
			continue
		}
		if text := m.block(block, lean); len(text) <= room {
			out, room = out+text, room-len(text)
			continue
		}
		blocksLeft, hostsLeft = blocksLeft+1, hostsLeft+len(block.Hosts)
	}
	if idle := m.idle(); len(idle) <= room {
		out += idle
	} else {
		out += fmt.Sprintf("The names of hosts to which nothing will be written (%d) are left out.\n\n", len(m.p.Hosts)-m.busy())
	}
	if blocksLeft+disksLeft > 0 {
		out += fmt.Sprintf("**Left out for lack of room, see the job's log:** details of %s (%s)", event.Count(hostsLeft, "host"), event.Count(blocksLeft, "block"))
		if disksLeft > 0 {
			out += " and " + event.Count(disksLeft, "host") + " of the lists of disks that will be erased"
		}
		out += ".\n\n"
	}
	return out
}

// busy counts the hosts to which something happens, or that are in trouble.
func (m *inMarkdown) busy() (n int) {
	for _, h := range m.p.Hosts {
		if !isIdle(h) {
			n++
		}
	}
	return n
}

// disks lists the disks that will be erased, as far as there is room: those of equal machines
// are one table. left counts the hosts that are not listed.
func (m *inMarkdown) disks(room int) (out string, left int) {
	var order []string
	rows := map[string][]string{}
	for _, h := range m.p.Hosts {
		if h.Outcome != proposal.Install {
			continue
		}
		kind := kindOf(h)
		if rows[kind] == nil {
			order = append(order, kind)
		}
		rows[kind] = append(rows[kind], diskRow(h))
	}
	if len(order) == 0 {
		return "", 0
	}
	out = "#### Disks that will be erased\n\n"
	for _, kind := range order {
		text := kind + "\n\n" + markdown.Row("host", "serial", "disk") + markdown.Row("---", "---", "---")
		if len(out)+len(text)+mostLeftOut > room {
			left += len(rows[kind])
			continue
		}
		out += text
		written := 0
		for _, r := range rows[kind] {
			if len(out)+len(r)+mostLeftOut > room {
				break
			}
			out, written = out+r, written+1
		}
		if more := len(rows[kind]) - written; more > 0 {
			out += markdown.Row(fmt.Sprintf("… and %d more, see the job's log", more), "", "")
			left += more
		}
		out += "\n"
	}
	return out, left
}

// kindOf is what machines have in common whose disks stand in one table.
func kindOf(h *proposal.Host) string {
	var parts []string
	if h.Group != "" {
		parts = append(parts, "group "+markdown.Code(h.Group))
	}
	if h.Machine != nil && h.Machine.Model != "" {
		parts = append(parts, markdown.Code(h.Machine.Model))
	}
	for _, d := range h.Erases() {
		parts = append(parts, markdown.Code(cmp.Or(strings.TrimSpace(d.Model+" "+d.Size), d.Wanted)))
	}
	return strings.Join(parts, ", ")
}

func diskRow(h *proposal.Host) string {
	var disks []string
	for _, d := range h.Erases() {
		disks = append(disks, markdown.Cell(cmp.Or(d.Serial, strings.Join(d.WWN, " "), d.Name, d.Wanted)))
	}
	serial := ""
	if h.Machine != nil {
		serial = markdown.Cell(h.Machine.Serial)
	}
	return markdown.Row(markdown.Cell(h.Host), serial, strings.Join(disks, ", "))
}

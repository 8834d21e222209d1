package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// look is what the reader of a live view wants to see.
type look struct {
	filter string // a text that a host must have in it
	typing bool   // the filter
	failed bool   // only hosts in trouble
	chosen string // the host under the cursor
	open   bool   // its log is unfolded
	help   bool
	asking bool // whether the run is to stop after the present hosts
	held   bool // it does
}

// picture is one frame of a run. What it shows is a function of these values only.
type picture struct {
	*board
	look
	s             *Streams
	t             theme
	names         int // width of the longest name of a host
	width, height int
	keys          bool      // somebody can press some
	now           time.Time // of the run

	failing, working []*seat
	proven           int                    // of those at work
	sums             map[story.Standing]int // with those that wait between two steps as queued
}

// newPicture takes the hosts of this moment into a frame. The time is real.
func newPicture(f picture, real time.Time) *picture {
	waiting := 0
	f.failing, f.working, waiting = f.rows(real)
	for _, s := range f.working {
		if s.provenAtWork() {
			f.proven++
		}
	}
	f.sums = maps.Clone(f.counts)
	f.sums[story.Running] -= waiting
	f.sums[queued] += waiting
	return &f
}

// scrollback are the lines of the terminal that are left to what was written above the frame.
const scrollback = 4

// String draws the frame: the hosts, what became of those that are not shown, the bar, and what
// can be pressed.
func (f *picture) String() string {
	foot := append([]string{f.bar(), f.totals()}, f.foot()...)
	lines := append(f.body(max(3, f.height-scrollback-len(foot))), foot...)
	for i, line := range lines {
		lines[i] = ansi.Truncate(inOneLine.Replace(line), f.width, ellipsis(f.s.ASCII))
	}
	return strings.Join(lines, "\n")
}

// body has a line of headings and the rows, at most so many lines.
func (f *picture) body(room int) []string {
	failed, running, what := f.wanted()
	if len(failed)+len(running) == 0 {
		return []string{f.t.dim.Render("  " + what)}
	}
	var log []string
	if f.open {
		log = f.log(min(room/2, 12))
	}
	rows := f.window(failed, running, max(1, room-2-len(log))) // 2: headings, and those that are not shown
	c := f.columns(rows)
	lines := []string{f.t.dim.Render(c.headings())}
	for _, s := range rows {
		lines = append(lines, f.row(c, s))
		if s.Name == f.chosen {
			lines = append(lines, log...)
		}
	}
	if more := f.more(rows, len(failed)+len(running)); more != "" {
		lines = append(lines, f.t.dim.Render("  "+more))
	}
	return lines
}

// wanted are the hosts to show, and what to say where there are none.
func (f *picture) wanted() (failed, running []*seat, none string) {
	switch {
	case f.filter != "":
		return nil, f.matching(f.filter, f.now), "no host has " + fmt.Sprintf("%q", f.filter) + " in it"
	case f.failed:
		return f.failing, nil, "no host has failed"
	}
	return f.failing, f.working, "no host is at work"
}

// window are the rows for which there is room: around the cursor; without one the latest
// failures, up to half of the rows where the others need theirs, and those at work for longest.
func (f *picture) window(failed, running []*seat, room int) []*seat {
	all := slices.Concat(failed, running)
	if len(all) <= room {
		return all
	}
	if at := slices.IndexFunc(all, func(s *seat) bool { return s.Name == f.chosen }); at >= 0 {
		from := min(max(0, at-room/2), len(all)-room)
		return all[from : from+room]
	}
	n := min(len(failed), max(room/2, room-len(running)))
	return slices.Concat(failed[len(failed)-n:], running[:room-n])
}

// more counts the hosts that have no row.
func (f *picture) more(shown []*seat, listed int) string {
	if rest := listed - len(shown); f.filter != "" || f.failed {
		if rest > 0 {
			return fmt.Sprintf("%d more of these", rest)
		}
		return ""
	}
	hidden := maps.Clone(f.sums)
	for _, s := range shown {
		hidden[s.standing]--
	}
	text := standings(hidden)
	if text == "" {
		return ""
	}
	return fmt.Sprintf("%d more: %s", len(f.story.Hosts)-len(shown), text)
}

// standings counts hosts that are at work, too.
func standings(counts map[story.Standing]int) string {
	text := listed(counts)
	if n := counts[story.Running]; n > 0 {
		text = strings.TrimSuffix(fmt.Sprintf("%d at work, %s", n, text), ", ")
	}
	return text
}

// columns are the widths of a row; 0 is a column that is not shown.
type columns struct {
	host, step, try, stage, took, left int
	dots                               string // where a text is cut off
}

const (
	edge  = 2 // columns before a row
	gap   = 2 // between columns
	wide  = 110
	brief = 8  // width of what is left, on a narrow terminal
	full  = 16 // and on a wide one
)

// columns gives the names of hosts and steps what they need, up to a share, and the stage what
// is left. Both widths only grow, so that rows keep their shape.
func (f *picture) columns(rows []*seat) columns {
	c := columns{host: min(max(f.names, 4), f.width/4), step: min(max(f.widest, 4), f.width/4), took: 7, dots: ellipsis(f.s.ASCII)}
	if f.width >= wide {
		c.try = 3
	}
	if slices.ContainsFunc(rows, func(s *seat) bool { return s.installing && s.Phase != nil }) {
		c.left = brief
		if f.width >= wide {
			c.left = full
		}
	}
	c.stage = f.width - edge
	for _, w := range []int{c.host, c.step, c.try, c.took, c.left} {
		if w > 0 {
			c.stage -= w + gap
		}
	}
	c.stage = max(8, c.stage)
	return c
}

func (c columns) headings() string {
	return strings.Repeat(" ", edge) + c.join("host", "step", "try", "stage", "time", "left")
}

// join puts texts into their columns.
func (c columns) join(host, step, try, stage, took, left string) string {
	cells := []string{c.cell(host, c.host), c.cell(step, c.step)}
	if c.try > 0 {
		cells = append(cells, right(try, c.try))
	}
	cells = append(cells, c.cell(stage, c.stage), right(took, c.took))
	if c.left > 0 {
		cells = append(cells, left)
	}
	return strings.TrimRight(strings.Join(cells, strings.Repeat(" ", gap)), " ")
}

// inOneLine takes out what would break a row.
var inOneLine = strings.NewReplacer("\n", " ", "\t", " ")

// cell makes a text as wide as its column.
func (c columns) cell(text string, width int) string {
	text = ansi.Truncate(inOneLine.Replace(text), width, c.dots)
	return text + strings.Repeat(" ", width-ansi.StringWidth(text))
}

func right(text string, width int) string {
	return strings.Repeat(" ", max(0, width-ansi.StringWidth(text))) + text
}

// row is the line of a host.
func (f *picture) row(c columns, s *seat) string {
	mark, color := f.mark(s)
	if s.Name == f.chosen {
		mark = f.glyph("› ", "> ")
	}
	text := f.cells(c, s, color)
	if s.Name == f.chosen {
		text = f.t.bold.Render(ansi.Strip(text))
	}
	return color.Render(mark) + f.s.plain(text)
}

// mark is what a row begins with: in trouble, or at work after its proof.
func (f *picture) mark(s *seat) (mark string, color lipgloss.Style) {
	switch {
	case troubled(s.standing), s.standing == story.Running && s.GaveUp() != nil && !s.installing:
		return f.glyph("✗ ", "x "), f.t.bad
	case s.provenAtWork():
		return f.glyph("✓ ", "+ "), f.t.ok
	}
	return "  ", f.t.none
}

// cells are the columns of a host: where it is, or what became of it.
func (f *picture) cells(c columns, s *seat, color lipgloss.Style) string {
	host := func(name string) string { return color.Render(c.cell(name, c.host)) }
	if s.standing == story.Running {
		at := placeOf(s.Host, f.now)
		return c.join(host(s.Name), at.step, tries(at.attempt), at.stage(), elapsed(at.since), f.left(c, s.Host))
	}
	step, took, stage := "", "", string(s.standing)
	if failed := s.Failed(); failed != nil {
		step, stage = stepName(failed.Name, failed.Type), stage+": "+strings.TrimPrefix(failed.Problem.Summary, "Refused: ")
	} else if s.Proof != nil && s.standing == story.Proven {
		stage += fmt.Sprintf(": ESXi %s build %s", s.Proof.Version, s.Proof.Build)
	} else if s.Text != "" {
		stage += ": " + s.Text
	}
	if !s.Began.IsZero() {
		took = elapsed(s.Took())
	}
	return c.join(host(s.Name), step, "", stage, took, "")
}

func tries(n int) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprint(n)
}

// stage is what is seen of a host, what changes most first.
func (p place) stage() string {
	text := p.what
	if p.amount != "" {
		text = strings.TrimPrefix(text+", "+p.amount, ", ")
	}
	if p.shows != "" {
		text = strings.TrimPrefix(text+": "+p.shows, ": ")
	}
	return text
}

// left is how long the installation still takes, as far as the column goes.
func (f *picture) left(c columns, h *story.Host) string {
	median, spread := left(h, f.now)
	if c.left >= full {
		return strings.TrimSpace(median + " " + spread)
	}
	return median
}

// bar is how much of the run is over, and since when it runs.
func (f *picture) bar() string {
	total := len(f.story.Hosts)
	done := 100 * f.ended() / max(1, total)
	text := fmt.Sprintf("  %d %% of %s  %s", done, event.Count(total, "host"), elapsed(f.now.Sub(f.story.Began)))
	return f.segments(min(max(10, f.width-ansi.StringWidth(text)-1), 80), max(1, total)) + text
}

// totals are how many hosts there are of each kind.
func (f *picture) totals() string {
	var parts []string
	if n := f.sums[story.Running]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d at work", n)+f.among())
	}
	for _, s := range tallied {
		if n := f.sums[s]; n > 0 {
			parts = append(parts, f.tone(s).Render(listed(map[story.Standing]int{s: n})))
		}
	}
	return strings.Join(parts, ", ")
}

// segments are the parts of the bar: hosts that are done, in trouble, at work, and not begun.
func (f *picture) segments(width, total int) string {
	bad := 0
	for s, n := range f.sums {
		if troubled(s) {
			bad += n
		}
	}
	var b strings.Builder
	drawn, hosts := 0, 0
	for _, part := range []struct {
		n     int
		glyph string
		style lipgloss.Style
	}{{f.ended() - bad, f.glyph("█", "#"), f.t.ok}, {bad, f.glyph("▓", "x"), f.t.bad}, {f.sums[story.Running], f.glyph("▒", "="), f.t.changed}, {total, f.glyph("░", "."), f.t.dim}} {
		hosts = min(total, hosts+part.n)
		n := hosts*width/total - drawn
		if n > 0 {
			b.WriteString(part.style.Render(strings.Repeat(part.glyph, n)))
		}
		drawn += n
	}
	return b.String()
}

// tone is the colour of a standing.
func (f *picture) tone(s story.Standing) lipgloss.Style {
	switch {
	case troubled(s):
		return f.t.bad
	case s == story.Proven, s == story.OK:
		return f.t.ok
	case s == story.Changed:
		return f.t.changed
	}
	return f.t.none
}

// foot is what can be pressed now.
func (f *picture) foot() []string {
	if !f.keys {
		return nil
	}
	dim := f.t.dim.Render
	switch {
	case f.asking:
		return []string{f.t.bold.Render("Stop after the present hosts? No further host begins to write. y/n")}
	case f.typing:
		return []string{"/" + f.filter + f.glyph("▏", "_") + dim("   Enter keeps it, Esc clears it")}
	case f.help:
		return f.helped()
	}
	keys := []string{f.glyph("↑↓", "j/k") + " select", "Enter log", "/ filter", "f failed", "s stop after these", "? help", "q stop"}
	switch {
	case f.filter != "":
		keys = []string{"filter " + fmt.Sprintf("%q", f.filter), "/ other", "Esc all hosts", "Enter log", "q stop"}
	case f.failed:
		keys = []string{"failed hosts", "f all hosts", "Enter log", "q stop"}
	case f.held:
		keys[4] = "stops after these"
	}
	return []string{dim("  " + strings.Join(keys, "  "))}
}

func (f *picture) helped() (lines []string) {
	for _, k := range [][2]string{
		{f.glyph("↑ ↓", "up down") + " j k", "select a host; Esc ends the selection"},
		{"Enter, blank", "unfold or fold its log"},
		{"/", "show hosts with a text in name, group, step, stage or problem"},
		{"f", "show failed hosts only, or all again"},
		{"s", "stop after the present hosts: no further one begins to write"},
		{"q, Ctrl-C", "stop at the next safe point; once more: stop now"},
		{"Ctrl-Z", "suspend esxiplan: the run stands still, machines do not"},
		{"?", "close this help"},
	} {
		lines = append(lines, "  "+f.t.bold.Render(fmt.Sprintf("%-14s", k[0]))+" "+k[1])
	}
	return lines
}

// glyph is a character that a terminal without UTF-8 shows as another one.
func (f *picture) glyph(utf8, ascii string) string {
	if f.s.ASCII {
		return ascii
	}
	return utf8
}

// among says what those at work are at, where that is known.
func (f *picture) among() string {
	var parts []string
	if f.installing > 0 {
		parts = append(parts, fmt.Sprintf("%d installing", f.installing))
	}
	if f.proven > 0 {
		parts = append(parts, fmt.Sprintf("%d proven", f.proven))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// log is the end of what the chosen host did, at most so many lines.
func (f *picture) log(most int) (lines []string) {
	h := f.story.Host(f.chosen)
	if h == nil {
		return nil
	}
	for _, e := range entriesOf(h, f.now) {
		head := "    " + f.t.dim.Render(e.time.Local().Format(time.TimeOnly)) + " "
		for line := range strings.SplitSeq(wrap(f.s.plain(e.text), max(20, f.width-ansi.StringWidth(head))), "\n") {
			lines = append(lines, head+line)
			head = strings.Repeat(" ", ansi.StringWidth(head))
		}
	}
	return lines[max(0, len(lines)-most):]
}

// entry is a line of the log of a host.
type entry struct {
	time time.Time
	text string
}

// entriesOf are the lines of the log of a host, as its story has them.
func entriesOf(h *story.Host, now time.Time) (out []entry) {
	for _, s := range h.Steps {
		out = append(out, entry{s.Began, stepName(s.Name, s.Type) + " started"})
		for _, c := range s.Changes {
			out = append(out, entry{c.Time, "  " + c.String()})
		}
		if s.Status != "" {
			out = append(out, entry{s.Began.Add(time.Duration(s.Took)), ended(s)})
		}
	}
	for _, n := range h.Notes {
		out = append(out, entry{n.Time, "warning: " + n.Text})
	}
	if h.Step() != nil {
		if stage := placeOf(h, now).stage(); stage != "" {
			out = append(out, entry{now, stage})
		}
	}
	slices.SortStableFunc(out, func(a, b entry) int { return a.time.Compare(b.time) })
	return out
}

// ended is how a step came to its end.
func ended(s *story.Step) string {
	text := fmt.Sprintf("%s %s (%s)", stepName(s.Name, s.Type), s.Status, short(time.Duration(s.Took)))
	why := s.Text
	if s.Problem != nil {
		why = inFull(s.Problem)
	}
	return strings.TrimSuffix(text+": "+why, ": ")
}

// inFull is all that a problem says, a line each.
func inFull(p *event.Problem) string {
	lines := []string{p.Summary, p.Detail}
	if p.Next != "" {
		lines = append(lines, "next: "+p.Next)
	}
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return line == "" }), "\n")
}

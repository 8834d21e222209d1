package view

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
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

// scrollback are the lines of the terminal that are left to what was written above the frame, on
// one of 24 lines or more.
const scrollback = 4

// String draws the frame: the hosts, what became of those that are not shown, the bar, and what
// can be pressed.
func (f *picture) String() string {
	foot := f.foot()
	lines := append(f.body(f.room(len(foot))), foot...)
	for i, line := range lines {
		lines[i] = ansi.Truncate(f.s.plain(inOneLine.Replace(line)), f.width, ellipsis(f.s.ASCII))
	}
	return strings.Join(lines, "\n")
}

// room is how many lines the hosts can have above so many others. On a low terminal fewer are left
// to what was written above the frame, down to none.
func (f *picture) room(foot int) int {
	return max(1, f.height-foot-min(scrollback, f.height/6, max(0, f.height-foot-lowBody)))
}

const (
	leastBody = 2 // lines that are kept for hosts: one, and those that are not shown
	lowBody   = 6 // below that there are no headings
)

// body has a line of headings and the rows, at most so many lines.
func (f *picture) body(room int) []string {
	failed, running, what := f.wanted()
	if len(failed)+len(running) == 0 {
		return []string{f.t.dim.Render("  " + what)}
	}
	var lines, log []string
	if f.open {
		log = f.log(max(0, min(room/2, room-3, 12)))
	}
	most := room - 1 - len(log) // 1: those that are not shown
	if room >= lowBody {
		most--
	}
	rows := f.window(failed, running, max(1, most))
	c := f.columns(rows)
	if room >= lowBody {
		lines = append(lines, f.t.dim.Render(c.headings()))
	}
	for _, s := range rows {
		lines = append(lines, f.row(c, s))
		if s.Name == f.chosen {
			lines = append(lines, log...)
		}
	}
	if more := f.more(rows, slices.Concat(failed, running)); more != "" && len(lines) < room {
		lines = append(lines, f.t.dim.Render("  "+more))
	}
	return lines
}

// wanted are the hosts to show, and what to say where there are none.
func (f *picture) wanted() (failed, running []*seat, none string) {
	switch {
	case f.filter != "":
		failed, running = f.matching(f.filter, f.now)
		return failed, running, "no host has " + fmt.Sprintf("%q", f.filter) + " in it"
	case f.failed:
		return f.failing, nil, "no host has failed"
	}
	return f.failing, f.working, "no host is at work"
}

// window are the rows for which there is room: around the cursor; without one the latest
// failures, up to half of the rows where the others need theirs but at least one, and those at work
// for longest.
func (f *picture) window(failed, running []*seat, room int) []*seat {
	all := slices.Concat(failed, running)
	if len(all) <= room {
		return all
	}
	if at := slices.IndexFunc(all, func(s *seat) bool { return s.Name == f.chosen }); at >= 0 {
		from := min(max(0, at-room/2), len(all)-room)
		return all[from : from+room]
	}
	n := min(len(failed), max(1, room/2, room-len(running)))
	return slices.Concat(failed[len(failed)-n:], running[:room-n])
}

// more counts the hosts that have no row, of those listed where the reader has chosen some.
func (f *picture) more(shown, listed []*seat) string {
	hidden, all, these := maps.Clone(f.sums), len(f.story.Hosts), ""
	if f.filter != "" || f.failed {
		hidden, all, these = map[story.Standing]int{}, len(listed), " of these"
		for _, s := range listed {
			hidden[s.standing]++
		}
	}
	for _, s := range shown {
		hidden[s.standing]--
	}
	say := func(counts map[story.Standing]int) string {
		return fmt.Sprintf("%d more%s: %s", all-len(shown), these, strings.Join(parts(counts, nil), ", "))
	}
	switch text := say(hidden); {
	case all == len(shown):
		return ""
	case ansi.StringWidth(text) > f.width-edge:
		return say(inSum(hidden))
	default:
		return text
	}
}

// columns are the widths of a row; 0 is a column that is not shown.
type columns struct {
	host, step, try, took, stage, left int

	alone int                 // width of a stage after which nothing comes
	shown func(string) string // what a terminal can show of a text
	dots  string              // where a text is cut off
}

const (
	edge  = 2 // columns before a row
	gap   = 2 // between columns
	wide  = 110
	brief = 8  // width of what is left, on a narrow terminal
	full  = 18 // and on a wide one

	shortStep  = 10 // a step is not cut to less
	enough     = 24 // for the phase of a host
	leastStage = 16
	mostStage  = 100 // what is left stands near the stage also on a very wide terminal
)

// columns gives the names of hosts and steps what they need, up to a share, and the stage what
// is left. Both widths only grow, so that rows keep their shape. On a narrow terminal the stage
// takes columns from the others, from the step first.
func (f *picture) columns(rows []*seat) columns {
	c := columns{host: min(max(f.names, 4), max(f.width/4, 10)), step: min(max(f.widest, 4), 2*f.width/7), took: 7, shown: f.s.plain, dots: ellipsis(f.s.ASCII)}
	if f.width >= wide {
		c.try = 3
	}
	c.left = f.leftWidth(rows)
	c.step = max(min(c.step, shortStep), min(c.step, c.step+c.rest(f.width)-enough))
	for _, column := range []*int{&c.step, &c.left, &c.took} {
		if c.rest(f.width) < leastStage {
			*column = 0
		}
	}
	if c.stage = max(0, c.rest(f.width)); c.left > 0 {
		c.alone = gap + c.left
	}
	c.alone += c.stage
	c.stage = min(c.stage, mostStage)
	return c
}

// leftWidth is the width of what is left, 0 where that is known of no row.
func (f *picture) leftWidth(rows []*seat) int {
	c := columns{left: brief}
	if f.width >= wide {
		c.left = full
	}
	if slices.ContainsFunc(rows, func(s *seat) bool { return s.installing && f.left(c, s.Host) != "" }) {
		return c.left
	}
	return 0
}

// rest is what the other columns leave to the stage.
func (c columns) rest(width int) int {
	width -= edge
	for _, w := range []int{c.host, c.step, c.try, c.took, c.left} {
		if w > 0 {
			width -= w + gap
		}
	}
	return width
}

func (c columns) headings() string {
	return strings.Repeat(" ", edge) + c.join("host", "step", "try", "time", "stage", "left")
}

// join puts texts into their columns. Where the time that is left is unknown, the stage extends
// to the edge of the terminal.
func (c columns) join(host, step, try, took, stage, left string) string {
	cells := []string{c.cell(host, c.host)}
	if c.step > 0 {
		cells = append(cells, c.cell(c.shorter(step), c.step))
	}
	if c.try > 0 {
		cells = append(cells, right(try, c.try))
	}
	if c.took > 0 {
		cells = append(cells, right(took, c.took))
	}
	if c.left > 0 && left != "" {
		cells = append(cells, c.cell(withoutRequest(stage, c.stage), c.stage), left)
	} else {
		cells = append(cells, c.cell(withoutRequest(stage, c.alone), c.alone))
	}
	return strings.TrimRight(strings.Join(cells, strings.Repeat(" ", gap)), " ")
}

// request is what a problem says that a BMC answered to.
var request = regexp.MustCompile(`(^|: )[A-Z]+ /\S*: `)

// withoutRequest leaves out to which request an answer came, where there is no room for both.
func withoutRequest(stage string, width int) string {
	if ansi.StringWidth(stage) <= width {
		return stage
	}
	return request.ReplaceAllString(stage, "$1")
}

// shorter is a step without its type, where there is no room for both.
func (c columns) shorter(step string) string {
	if name, _, typed := strings.Cut(step, " ("); typed && ansi.StringWidth(step) > c.step {
		return name
	}
	return step
}

// name is that of a host in its column. One that is too long loses its domain first; an address has none. Machines of one
// rack are often named alike up to their last characters, so a long name is cut in its middle.
func (c columns) name(host string) string {
	host = c.shown(inOneLine.Replace(host))
	label, _, _ := strings.Cut(host, ".")
	if _, err := netip.ParseAddr(host); err == nil {
		label = host
	}
	if tail := (c.host - ansi.StringWidth(c.dots)) / 2; ansi.StringWidth(label) > c.host && tail > 0 {
		host = ansi.Truncate(label, c.host-tail, c.dots) + ansi.TruncateLeft(label, ansi.StringWidth(label)-tail, "")
	}
	return c.cell(host, c.host)
}

// inOneLine takes out what would break a row.
var inOneLine = strings.NewReplacer("\n", " ", "\t", " ")

// cell makes a text as wide as its column.
func (c columns) cell(text string, width int) string {
	text = ansi.Truncate(c.shown(inOneLine.Replace(text)), width, c.dots)
	return text + strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
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
	return color.Render(mark) + text
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
	host := func(name string) string { return color.Render(c.name(name)) }
	if s.standing == story.Running {
		at := placeOf(s.Host, f.now)
		return c.join(host(s.Name), at.step, tries(at.attempt), elapsed(at.since), at.stage(), f.left(c, s.Host))
	}
	step, took, stage := "", "", wordsFor(s.standing)
	if failed := s.trouble(); failed != nil {
		step, stage = stepName(failed.Name, failed.Type), stage+": "+why(failed.Problem, stage)
	} else if s.Proof != nil && s.standing == story.Proven {
		stage += fmt.Sprintf(": ESXi %s build %s", s.Proof.Version, s.Proof.Build)
	} else if s.Text != "" {
		stage += ": " + s.Text
	}
	if !s.Began.IsZero() {
		took = elapsed(s.Took())
	}
	return c.join(host(s.Name), step, "", took, stage, "")
}

// why is the reason of a problem, without what its row says already: the standing, and how long
// it took.
func why(p *event.Problem, standing string) string {
	reason := strings.TrimPrefix(p.Summary, "Refused: ")
	if rest, gaveUp := strings.CutPrefix(reason, "Gave up after "); gaveUp {
		if _, after, found := strings.Cut(rest, ": "); found {
			reason = after
		}
	}
	return strings.TrimPrefix(reason, standing+": ")
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
	if room := f.width - ansi.StringWidth(text) - 1; room >= 5 {
		return f.segments(min(room, 80), max(1, total)) + text
	}
	return strings.TrimSpace(text)
}

// totals are how many hosts there are of each kind, at most so many lines. Where that is not
// enough, those in trouble are one number, and the end is cut off.
func (f *picture) totals(most int) []string {
	lines := f.packed(f.sums)
	if len(lines) > most {
		lines = f.packed(inSum(f.sums))
	}
	if len(lines) > most {
		lines = append(lines[:most-1], strings.Join(lines[most-1:], " "))
	}
	return lines
}

// packed are counts in lines as wide as the frame.
func (f *picture) packed(counts map[story.Standing]int) []string {
	return packed(parts(counts, func(s story.Standing, text string) string {
		if s == story.Running {
			text += f.among()
		}
		return f.tone(s).Render(text)
	}), f.width)
}

// inSum counts those in trouble as one kind.
func inSum(counts map[story.Standing]int) map[story.Standing]int {
	sum := maps.Clone(counts)
	for s, n := range counts {
		if troubled(s) {
			delete(sum, s)
			sum[inTrouble] += n
		}
	}
	return sum
}

// segments are the parts of the bar: hosts that are done, in trouble, at work, and not begun. One
// in trouble is seen among a thousand.
func (f *picture) segments(width, total int) string {
	bad := inSum(f.sums)[inTrouble]
	var b strings.Builder
	drawn, hosts := 0, 0
	for i, part := range []struct {
		n     int
		glyph string
		style lipgloss.Style
	}{{f.ended() - bad, f.glyph("█", "#"), f.t.ok}, {bad, f.glyph("▓", "x"), f.t.bad}, {f.sums[story.Running], f.glyph("▒", "="), f.t.changed}, {total, f.glyph("░", "."), f.t.dim}} {
		hosts = min(total, hosts+part.n)
		n := max(0, hosts*width/total-drawn)
		if i == 1 && bad > 0 {
			n = max(1, n)
		}
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
	case troubled(s), s == inTrouble:
		return f.t.bad
	case s == story.Proven, s == story.OK:
		return f.t.ok
	case s == story.Changed:
		return f.t.changed
	}
	return f.t.none
}

// foot is what stands below the hosts: the bar, the totals, and what can be pressed. On a low
// terminal the totals and a question stay, what can be pressed goes first.
func (f *picture) foot() []string {
	totals, keys, most := f.totals(max(1, f.height/4)), f.keyLines(), max(1, f.height-leastBody)
	if question := f.asking || f.typing; !question {
		keys = keys[:max(0, min(len(keys), most-1-len(totals)))]
	}
	if len(totals)+len(keys) < most {
		totals = append([]string{f.bar()}, totals...)
	}
	return append(totals, keys...)
}

// keyLines are what can be pressed now.
func (f *picture) keyLines() []string {
	if !f.keys {
		return nil
	}
	switch {
	case f.asking:
		return []string{f.t.bold.Render("Stop after the present hosts (y/n)? No further host begins to write.")}
	case f.typing:
		return []string{f.prompt()}
	case f.help:
		return f.helped()
	}
	return []string{f.t.dim.Render("  " + f.hints())}
}

// prompt is the end of the filter that is typed.
func (f *picture) prompt() string {
	typed := "/" + f.filter
	if over := ansi.StringWidth(typed) + 1 - f.width; over > 0 {
		typed = ansi.TruncateLeft(typed, over, "")
	}
	return typed + f.glyph("▏", "_") + f.t.dim.Render("   Enter keeps it, Esc clears it")
}

// hints are keys, as many as there is room for: those that a reader cannot do without come first.
func (f *picture) hints() string {
	keys := []string{"q stop", "? help", f.glyph("↑↓", "j/k") + " select", "Enter log", "/ filter", "f failed", "s stop after these"}
	switch {
	case f.filter != "":
		keys = []string{"filter " + fmt.Sprintf("%q", ansi.Truncate(f.filter, f.width/3, ellipsis(f.s.ASCII))), "/ other", "Esc all hosts", "Enter log", "q stop"}
	case f.failed:
		keys = []string{"failed hosts", "f all hosts", "Enter log", "q stop"}
	case f.held:
		keys = append([]string{"stops after these"}, keys[:6]...)
	}
	text := keys[0]
	for _, key := range keys[1:] {
		if longer := text + "  " + key; ansi.StringWidth(longer) <= f.width-edge {
			text = longer
		}
	}
	return text
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

package view

import (
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"esxiplan/engine/proposal"
	"esxiplan/engine/text"
)

// mostRows is how many rows of a table fit on a screen with the rest of a block. Where there
// are more hosts, several stand in a row if there is room.
const mostRows = 24

const (
	cellGap = 2
	sideGap = 4 // between hosts that stand in one row
)

// grid is a table of what differs between the hosts of a block.
type grid struct {
	columns []proposal.Column
	common  []string // what the values of a column begin with, and is said once
	up      int      // hosts in a row
	widths  []int
}

// table shows what differs between the hosts of a block.
func (v *proposed) table(b proposal.Block) {
	if len(b.Columns) == 0 {
		return
	}
	columns := slices.Clone(b.Columns)
	for i := range columns {
		columns[i].Values = slices.Clone(columns[i].Values)
		for k := range columns[i].Values {
			columns[i].Values[k] = v.s.plain(text.Clean(columns[i].Values[k]))
		}
	}
	g, left := arrange(columns, v.s.OutWidth-2)
	var notes []string
	for i, c := range g.columns {
		if g.common[i] != "" {
			notes = append(notes, c.Name+" "+g.common[i]+"*")
		}
	}
	if len(notes) > 0 {
		v.say("  ", v.t.dim.Render(strings.Join(notes, ", ")), "  ")
	}
	for i, row := range g.rows() {
		if i == 0 {
			row = v.t.dim.Render(row)
		}
		v.line("  " + row)
	}
	if len(left) > 0 {
		v.say("  ", v.t.dim.Render("also different: "+strings.Join(left, ", ")+" (--json has all)"), "  ")
	}
}

// arrange chooses columns and their form for a width; 0 or less is any. left are the names of
// columns for which there is no room.
func arrange(columns []proposal.Column, width int) (g grid, left []string) {
	columns = important(columns)
	if width <= 0 {
		shown := slices.DeleteFunc(slices.Clone(columns), func(c proposal.Column) bool { return c.Minor })
		return newGrid(shown, 1, 0), minor(columns)
	}
	up := (len(columns[0].Values) + mostRows - 1) / mostRows
	for ; up > 1; up-- {
		if least := newGrid(columns[:essential(columns)], up, shortAddresses); least.width() <= least.room(width) {
			break
		}
	}
	for short := range shortAll + 1 {
		g, left = fill(columns, up, short, width)
		complete := up > 1 || short == shortAddresses || !slices.ContainsFunc(left, isWanted)
		if complete && g.width() <= g.room(width) {
			break
		}
	}
	narrowGrid(&g, g.room(width))
	return g, append(left, minor(columns)...)
}

// isWanted reports a column for which others are shortened.
func isWanted(name string) bool { return name != "up since" }

// fill takes the columns that no table goes without, and of the others those for which there
// is room.
func fill(columns []proposal.Column, up, short, width int) (g grid, left []string) {
	need := essential(columns)
	g = newGrid(columns[:need], up, short)
	taken := slices.Clone(columns[:need])
	for _, c := range columns[need:] {
		if c.Minor {
			continue
		}
		if wider := newGrid(append(taken, c), up, short); wider.width() <= wider.room(width) {
			g, taken = wider, append(taken, c)
		} else {
			left = append(left, c.Name)
		}
	}
	return g, left
}

// minor are the names of columns that no terminal shows.
func minor(columns []proposal.Column) (out []string) {
	for _, c := range columns {
		if c.Minor {
			out = append(out, c.Name)
		}
	}
	return out
}

// room is what one of several hosts in a row has of a width.
func (g grid) room(width int) int { return (width - sideGap*(g.up-1)) / g.up }

func newGrid(columns []proposal.Column, up, short int) grid {
	g := grid{up: up}
	for _, c := range columns {
		common := commonStart(c, short)
		values := make([]string, len(c.Values))
		width := ansi.StringWidth(c.Name)
		for i, text := range c.Values {
			values[i] = strings.TrimPrefix(text, common)
			width = max(width, ansi.StringWidth(values[i]))
		}
		g.columns = append(g.columns, proposal.Column{Name: c.Name, Minor: c.Minor, Values: values})
		g.common, g.widths = append(g.common, common), append(g.widths, width)
	}
	return g
}

// width is that of one host's cells.
func (g grid) width() int {
	total := -cellGap
	for _, w := range g.widths {
		total += w + cellGap
	}
	return total
}

// The degrees to which values are shortened by what all of a column begin with. WWNs are
// shortened only where they would be cut.
const (
	shortAddresses = 1
	shortAll       = 2
)

// commonStart is what addresses and WWNs of a column begin with, to a degree. The last part of an
// address and four characters of a WWN stay.
func commonStart(c proposal.Column, degree int) string {
	isWWN := strings.HasPrefix(c.Name, "disk WWN")
	if isWWN && degree < shortAll || degree < shortAddresses || !isWWN && !slices.Contains([]string{"BMC", "ESXi", "NIC"}, c.Name) {
		return ""
	}
	start := c.Values[0]
	for _, text := range c.Values {
		start = start[:sharedLength(start, text)]
	}
	if isWWN {
		return start[:min(len(start), max(0, len(c.Values[0])-4))]
	}
	return start[:strings.LastIndexAny(start, ".:")+1]
}

func sharedLength(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// important puts the columns by which people know a machine and its disk first, then those
// that tell least last.
func important(columns []proposal.Column) []proposal.Column {
	out := slices.Clone(columns)
	slices.SortStableFunc(out, func(a, b proposal.Column) int { return weight(a, columns) - weight(b, columns) })
	return out
}

func weight(c proposal.Column, all []proposal.Column) int {
	hasSerial := slices.ContainsFunc(all, func(o proposal.Column) bool { return o.Name == "disk serial" })
	switch {
	case c.Name == "host":
		return 0
	case c.Name == "serial":
		return 1
	case strings.HasPrefix(c.Name, "disk serial"), strings.HasPrefix(c.Name, "disk WWN") && !hasSerial:
		return 2
	case c.Minor:
		return 4
	}
	return 3
}

// essential is how many of the columns no table goes without.
func essential(columns []proposal.Column) int {
	n := 0
	for _, c := range columns {
		if weight(c, columns) <= 2 {
			n++
		}
	}
	return n
}

// narrowGrid takes from the widest column until all fit. The host's name stays.
func narrowGrid(g *grid, room int) {
	const least = 6
	for g.width() > room && len(g.widths) > 1 {
		others := g.widths[1:]
		widest := slices.Index(others, slices.Max(others))
		if others[widest] <= least {
			return
		}
		others[widest]--
	}
}

// rows are the lines of the table, the first of them the names of the columns.
func (g grid) rows() []string {
	n := len(g.columns[0].Values)
	height := (n + g.up - 1) / g.up
	out := make([]string, height+1)
	for side := range g.up {
		if side*height >= n {
			break
		}
		for row := range out {
			text := g.names()
			if i := side*height + row - 1; row > 0 && i < n {
				text = g.row(i)
			} else if row > 0 {
				continue
			}
			if side > 0 {
				out[row] += strings.Repeat(" ", sideGap)
			}
			out[row] += text
		}
	}
	for i := range out {
		out[i] = strings.TrimRight(out[i], " ")
	}
	return out
}

func (g grid) names() string {
	var cells []string
	for _, c := range g.columns {
		cells = append(cells, strings.ReplaceAll(strings.ToUpper(c.Name), "ESXI", "ESXi"))
	}
	return g.cells(cells)
}

func (g grid) row(i int) string {
	var cells []string
	for _, c := range g.columns {
		cells = append(cells, c.Values[i])
	}
	return g.cells(cells)
}

func (g grid) cells(cells []string) string {
	line := ""
	for i, text := range cells {
		if i > 0 {
			line += strings.Repeat(" ", cellGap)
		}
		text = ansi.Truncate(text, g.widths[i], "~")
		line += text + strings.Repeat(" ", max(0, g.widths[i]-ansi.StringWidth(text)))
	}
	return line
}

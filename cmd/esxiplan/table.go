package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"esxiplan/cmd/internal/view"
)

// listRow is a row of a list: names of columns and their texts, in order.
type listRow [][2]string

// MarshalJSON writes the row as an object in the order of its columns.
func (r listRow) MarshalJSON() ([]byte, error) {
	parts := make([]string, len(r))
	for i, cell := range r {
		key, _ := json.Marshal(cell[0])
		var content any = cell[1]
		if slices.Contains([]string{"tags", "groups", "steps", "types"}, cell[0]) { // lists
			content = strings.FieldsFunc(cell[1], func(r rune) bool { return r == ',' })
		}
		value, err := json.Marshal(content)
		if err != nil {
			return nil, err
		}
		parts[i] = string(key) + ":" + string(value)
	}
	return []byte("{" + strings.Join(parts, ",") + "}"), nil
}

// printText writes a line that may hold more than the terminal can show.
func (a *app) printText(format string, values ...any) {
	write(a.streams.Out, a.streams.Plain(fmt.Sprintf(format, values...))+"\n")
}

func (a *app) printRows(rows []listRow) { write(a.streams.Out, a.table(rows, 0)) }

// printWide prints rows that may be wider than the terminal: the widest columns are cut.
func (a *app) printWide(rows []listRow) { write(a.streams.Out, a.table(rows, a.streams.OutWidth)) }

// columnGap is the blanks between two columns.
const columnGap = 2

// printFolded prints rows that may be wider than the terminal: they continue on the next line.
func (a *app) printFolded(rows []listRow) {
	for _, lines := range a.folded(rows, a.streams.OutWidth) {
		write(a.streams.Out, strings.Join(lines, "\n")+"\n")
	}
}

// table lays rows out in columns, within a width; 0 is any.
func (a *app) table(rows []listRow, width int) string {
	if len(rows) == 0 {
		return ""
	}
	rows, widths := a.measured(rows)
	narrow(widths, width)
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			text := a.streams.Cut(cell[1], widths[i])
			line += text + strings.Repeat(" ", widths[i]-ansi.StringWidth(text)+columnGap)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// measured puts a head before the rows, and says how wide each column is. Secrets are masked
// before that: what is cut or filled up to a width is no longer what it was.
func (a *app) measured(rows []listRow) ([]listRow, []int) {
	widths := make([]int, len(rows[0]))
	head := make(listRow, len(rows[0]))
	for i, cell := range rows[0] {
		head[i] = [2]string{cell[0], strings.ToUpper(cell[0])}
	}
	rows = append([]listRow{head}, rows...)
	for _, row := range rows {
		for i := range row {
			row[i][1] = strings.ReplaceAll(a.streams.Plain(view.Clean(a.secrets.Mask(row[i][1]))), "\n", " ")
			widths[i] = max(widths[i], ansi.StringWidth(row[i][1]))
		}
	}
	return rows, widths
}

// narrow takes from the widest column until all fit, or each is as narrow as a short word. The
// first one stays: it names the row.
func narrow(widths []int, limit int) {
	const least = 6
	total := -columnGap
	for _, w := range widths {
		total += w + columnGap
	}
	for ; limit > 0 && len(widths) > 1 && total > limit; total-- {
		others := widths[1:]
		widest := slices.Index(others, slices.Max(others))
		if others[widest] <= least {
			return
		}
		others[widest]--
	}
}

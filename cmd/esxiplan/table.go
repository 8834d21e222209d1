package main

import (
	"encoding/json"
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
		if slices.Contains([]string{"tags", "groups", "steps"}, cell[0]) { // lists
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

func (a *app) printRows(rows []listRow) { write(a.streams.Out, a.table(rows)) }

// printWide prints rows that may be wider than the terminal: each line is cut there.
func (a *app) printWide(rows []listRow) {
	for line := range strings.Lines(a.table(rows)) {
		if a.streams.Width > 0 {
			line = ansi.Truncate(strings.TrimSuffix(line, "\n"), a.streams.Width, "…") + "\n"
		}
		write(a.streams.Out, line)
	}
}

// table lays rows out in columns. Secrets go before that: what is cut or filled up to a
// width is no longer what it was.
func (a *app) table(rows []listRow) string {
	if len(rows) == 0 {
		return ""
	}
	var b strings.Builder
	widths := make([]int, len(rows[0]))
	head := make(listRow, len(rows[0]))
	for i, cell := range rows[0] {
		head[i] = [2]string{cell[0], strings.ToUpper(cell[0])}
	}
	rows = append([]listRow{head}, rows...)
	for _, row := range rows {
		for i := range row {
			row[i][1] = strings.ReplaceAll(view.Clean(a.secrets.Mask(row[i][1])), "\n", " ")
			widths[i] = max(widths[i], ansi.StringWidth(row[i][1]))
		}
	}
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += cell[1] + strings.Repeat(" ", widths[i]-ansi.StringWidth(cell[1])+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

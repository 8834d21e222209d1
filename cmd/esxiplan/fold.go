package main

import (
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// leastWrapped is the fewest columns of the terminal in which a text is broken into lines; in
// fewer it would be a word a line.
const leastWrapped = 24

// shelf is a column of a folded table.
type shelf struct {
	column int // of the row
	at     int // where it begins on the line
	width  int // within which its texts are wrapped
}

// folded lays rows out within a width without cutting them: a row that does not fit continues on
// a line below its first column, and a text that is wider than a line is wrapped. 0 is any width.
// Each element holds the lines of one row, the first one those of the head.
func (a *app) folded(rows []listRow, width int) [][]string {
	if len(rows) == 0 {
		return nil
	}
	rows, widths := a.measured(rows)
	shelves := fold(widths, width)
	if len(shelves) > 1 {
		shelves = fold(filledOnly(rows, widths), width)
	}
	blocks := make([][]string, len(rows))
	for i, row := range rows {
		blocks[i] = foldedRow(row, shelves)
	}
	return blocks
}

// filledOnly are the widths of columns that have a text in some row; the others get 0, and no
// room.
func filledOnly(rows []listRow, widths []int) []int {
	out := slices.Clone(widths)
	for i := range out {
		if !slices.ContainsFunc(rows[1:], func(row listRow) bool { return row[i][1] != "" }) {
			out[i] = 0
		}
	}
	return out
}

// fold spreads columns over lines. A column is put where it fits whole; the last one is also
// wrapped in what a line has left.
func fold(widths []int, limit int) (lines [][]shelf) {
	indent := widths[0] + columnGap
	if limit > 0 && indent > limit/2 {
		indent = 2 * columnGap
	}
	var line []shelf
	at := 0
	for i, width := range widths {
		if i > 0 && width == 0 {
			continue
		}
		left := limit - at
		fits := limit == 0 || width <= left || i == len(widths)-1 && left >= leastWrapped
		if !fits && len(line) > 0 {
			lines, line, at = append(lines, line), nil, indent
		}
		if limit > 0 {
			width = max(1, min(width, limit-at))
		}
		line = append(line, shelf{i, at, width})
		at += width + columnGap
	}
	return append(lines, line)
}

// foldedRow are the lines of a row; those on which it has nothing are left out.
func foldedRow(row listRow, shelves [][]shelf) (out []string) {
	for _, shelf := range shelves {
		var lines []string
		for _, s := range shelf {
			for n, text := range strings.Split(ansi.Wrap(row[s.column][1], s.width, ""), "\n") {
				if n == len(lines) {
					lines = append(lines, "")
				}
				if text = strings.TrimSpace(text); text != "" {
					lines[n] += strings.Repeat(" ", max(0, s.at-ansi.StringWidth(lines[n]))) + text
				}
			}
		}
		out = append(out, slices.DeleteFunc(lines, func(line string) bool { return line == "" })...)
	}
	return out
}

package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"esxiplan/schema"
)

// tables are CSV files into which cells are filled, by name.
type tables map[string]*table

// table is a CSV file. Everything in it stays as it is, byte for byte, but empty cells that
// are filled.
type table struct {
	text    []byte
	columns []string
	rows    map[int]tableRow // by the line in which each begins
	fills   map[int]string   // by the place in the text
}

// tableRow is the cells of a row, and where in the text each of them begins.
type tableRow struct {
	cells []string
	at    []int
}

// fill puts a text into an empty cell. The error says why that is not safe.
func (t tables) fill(c schema.Cell, text string) error {
	if t[c.File] == nil {
		source, err := schema.ReadFile(c.File)
		if err != nil {
			return err
		}
		read, err := readTable(source)
		if err != nil {
			return err
		}
		t[c.File] = read
	}
	return t[c.File].fill(c, text)
}

func readTable(text []byte) (*table, error) {
	t := &table{text: text, rows: map[int]tableRow{}, fills: map[int]string{}}
	lines := []int{0} // where each begins
	for i, c := range text {
		if c == '\n' {
			lines = append(lines, i+1)
		}
	}
	reader := csv.NewReader(bytes.NewReader(text))
	for {
		cells, err := reader.Read()
		switch {
		case errors.Is(err, io.EOF):
			return t, nil
		case err != nil:
			return nil, err
		case t.columns == nil:
			t.columns = cells
			continue
		}
		row := tableRow{cells, make([]int, len(cells))}
		for i := range cells {
			line, column := reader.FieldPos(i)
			row.at[i] = lines[line-1] + column - 1
		}
		line, _ := reader.FieldPos(0)
		t.rows[line] = row
	}
}

func (t *table) fill(c schema.Cell, text string) error {
	column := slices.Index(t.columns, c.Column)
	row, ok := t.rows[c.Line]
	switch {
	case strings.ContainsAny(text, ",\"\r\n") || strings.TrimSpace(text) != text:
		return errors.New("the text contains characters that are special in a CSV file")
	case column < 0 || !ok:
		return fmt.Errorf("%s changed since the plan was read", c.File)
	}
	at := row.at[column]
	if row.cells[column] != "" || t.fills[at] != "" || at < len(t.text) && !slices.Contains([]byte(",\r\n"), t.text[at]) {
		return errors.New("its cell is not empty")
	}
	t.fills[at] = text
	return nil
}

// filled is the file as it will be.
func (t *table) filled() []byte {
	var out []byte
	done := 0
	for _, at := range slices.Sorted(maps.Keys(t.fills)) {
		out = append(append(out, t.text[done:at]...), t.fills[at]...)
		done = at
	}
	return append(out, t.text[done:]...)
}

// texts are the files as they will be, read again: nothing else in them may have changed.
func (t tables) texts() (map[string][]byte, error) {
	out := map[string][]byte{}
	for name, table := range t {
		if len(table.fills) == 0 {
			continue
		}
		text := table.filled()
		after, err := readTable(text)
		if err != nil || !table.onlyFilled(after) {
			return nil, fmt.Errorf("nothing was written: %s would no longer be the same table; fill its cells by hand, and report this", name)
		}
		out[name] = text
	}
	return out, nil
}

// onlyFilled reports whether another table differs from this one in the cells that are to
// be filled, and in nothing else.
func (t *table) onlyFilled(after *table) bool {
	if len(t.rows) != len(after.rows) || !slices.Equal(t.columns, after.columns) {
		return false
	}
	for line, row := range t.rows {
		for i, cell := range row.cells {
			if fill := t.fills[row.at[i]]; fill != "" {
				cell = fill
			}
			if other := after.rows[line].cells; i >= len(other) || other[i] != cell {
				return false
			}
		}
	}
	return true
}

// fillRow writes what was found into the row that made a host, where an argument is taken
// from an empty cell of a CSV file. What it cannot write it shows, with the row. It returns
// how much was written.
func (a *app) fillRow(tables tables, h *schema.Host, list []addition) (written int) {
	for _, add := range list {
		cell, ok := h.Cell(add.path())
		if ok && add.text != "" {
			if err := tables.fill(cell, add.text); err == nil {
				fmt.Fprintf(a.streams.Err, "%s: %s = %s (%s:%d, column %s)\n", h.Name, add.name, add.value, cell.File, cell.Line, cell.Column)
				written++
				continue
			}
		}
		fmt.Fprintf(a.streams.Err, "%s: %s = %s is not written: the host is made by %v\n", h.Name, add.name, add.value, h.Origin())
	}
	return written
}

// adviseShared says for each block that makes several hosts what to do with what was not
// written.
func (a *app) adviseShared(hosts []*schema.Host) {
	advised := map[hcl.Range]bool{}
	for _, h := range hosts {
		o := h.Origin()
		if advised[o.Block] {
			continue
		}
		advised[o.Block] = true
		at := fmt.Sprintf("%s:%d", o.Block.Filename, o.Block.Start.Line)
		if o.Label != "" {
			fmt.Fprintf(a.streams.Err, "host %q at %s makes several hosts, and an argument there holds for all of them. Take what differs from a table, such as serial = { %s = \"…\" }[host.name]\n",
				o.Label, at, h.Name)
			continue
		}
		fmt.Fprintf(a.streams.Err, "The dynamic block at %s makes several hosts. Write what was found into their rows, and take it from there in the block's content, such as serial = %s.value.serial\n",
			at, o.Iterator)
	}
}

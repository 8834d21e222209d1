package main

import (
	"os"
	"path/filepath"
	"testing"

	"esxiplan/schema"
)

// TestFillTable: an empty cell is filled, and not one byte else is another.
func TestFillTable(t *testing.T) {
	for name, c := range map[string]struct {
		before string
		cell   schema.Cell
		text   string
		after  string // "" where nothing may be written
	}{
		"in the middle":         {"n,s,m\nh1,,x\n", schema.Cell{Line: 2, Column: "s"}, "S1", "n,s,m\nh1,S1,x\n"},
		"the last of a line":    {"n,s\nh1,\nh2,\n", schema.Cell{Line: 2, Column: "s"}, "S1", "n,s\nh1,S1\nh2,\n"},
		"the last of the file":  {"n,s\nh1,", schema.Cell{Line: 2, Column: "s"}, "S1", "n,s\nh1,S1"},
		"line ends of Windows":  {"n,s\r\nh1,\r\nh2,\r\n", schema.Cell{Line: 3, Column: "s"}, "S2", "n,s\r\nh1,\r\nh2,S2\r\n"},
		"behind quoted lines":   {"n,o,s\nh1,\"a\nb, c\",\n\nh2,é,\n", schema.Cell{Line: 5, Column: "s"}, "S2", "n,o,s\nh1,\"a\nb, c\",\n\nh2,é,S2\n"},
		"within quoted lines":   {"n,o,s\nh1,\"a\nb\",\n", schema.Cell{Line: 2, Column: "s"}, "S1", "n,o,s\nh1,\"a\nb\",S1\n"},
		"a cell that is full":   {"n,s\nh1,S0\n", schema.Cell{Line: 2, Column: "s"}, "S1", ""},
		"a cell of two quotes":  {"n,s\nh1,\"\"\n", schema.Cell{Line: 2, Column: "s"}, "S1", ""},
		"no such column":        {"n,s\nh1,\n", schema.Cell{Line: 2, Column: "x"}, "S1", ""},
		"no such line":          {"n,s\nh1,\n", schema.Cell{Line: 3, Column: "s"}, "S1", ""},
		"a text with a comma":   {"n,s\nh1,\n", schema.Cell{Line: 2, Column: "s"}, "S,1", ""},
		"a text with a quote":   {"n,s\nh1,\n", schema.Cell{Line: 2, Column: "s"}, `S"1`, ""},
		"a text of two lines":   {"n,s\nh1,\n", schema.Cell{Line: 2, Column: "s"}, "S\n1", ""},
		"a text with blanks":    {"n,s\nh1,\n", schema.Cell{Line: 2, Column: "s"}, "S1 ", ""},
		"a file that is broken": {"n,s\nh1,\"\n", schema.Cell{Line: 2, Column: "s"}, "S1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.cell.File = filepath.Join(t.TempDir(), "rows.csv")
			if err := os.WriteFile(c.cell.File, []byte(c.before), 0o600); err != nil {
				t.Fatal(err)
			}
			all := tables{}
			err := all.fill(c.cell, c.text)
			texts, textErr := all.texts()
			if (err != nil) != (c.after == "") || textErr != nil || c.after != "" && string(texts[c.cell.File]) != c.after {
				t.Errorf("%v %v %q", err, textErr, texts[c.cell.File])
			}
		})
	}
}

// TestFillTableOnce: two hosts cannot fill one cell.
func TestFillTableOnce(t *testing.T) {
	name := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(name, []byte("n,s\nh1,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all, cell := tables{}, schema.Cell{File: name, Line: 2, Column: "s"}
	if err := all.fill(cell, "S1"); err != nil {
		t.Fatal(err)
	}
	if err := all.fill(cell, "S2"); err == nil {
		t.Error("the second text is taken")
	}
}

package schema

import (
	"encoding/csv"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// writtenAt finds where the rows of a dynamic block are written, as far as that is certain:
// the line of a CSV file that holds the same values, or the place in the plan of a list that
// is written there. It is called only if a row is to be shown.
func (l *loader) writtenAt(t *template) {
	if l.literalRows(t) {
		return
	}
	lines, taken := l.csvLines(), map[string]int{}
	for _, r := range t.rows {
		text := canonical(r.value)
		places := lines[text]
		if n := taken[text]; n < len(places) && sameFile(places) { // equal rows are taken in their order
			r.at = places[n]
		}
		taken[text]++
	}
}

// line is a line of a file.
type line struct {
	file   string
	number int
	csv    bool // of a table, not of a plan
}

func (l line) String() string {
	if l.number == 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d", l.file, l.number)
}

func sameFile(lines []line) bool {
	return !slices.ContainsFunc(lines, func(l line) bool { return l.file != lines[0].file })
}

// csvLines finds the rows of all CSV files that the plan has read, by what they hold.
func (l *loader) csvLines() map[string][]line {
	l.files.mu.Lock()
	defer l.files.mu.Unlock()
	if l.lines != nil {
		return l.lines
	}
	l.lines = map[string][]line{}
	for name, text := range l.files.read {
		if strings.EqualFold(filepath.Ext(name), ".csv") {
			l.addLines(name, text)
		}
	}
	return l.lines
}

func (l *loader) addLines(name, text string) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(l.plan.Dir, name)
	}
	reader := csv.NewReader(strings.NewReader(text))
	columns, err := reader.Read()
	for err == nil {
		var cells []string
		if cells, err = reader.Read(); err == nil {
			number, _ := reader.FieldPos(0)
			key := rowText(columns, cells)
			l.lines[key] = append(l.lines[key], line{name, number, true})
		}
	}
}

// rowText is what [canonical] writes of the object that csvdecode makes of a row.
func rowText(columns, cells []string) string {
	order := make([]int, len(columns))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(columns[a], columns[b]) })
	var b strings.Builder
	b.WriteByte('{')
	for _, i := range order {
		b.WriteString(strconv.Quote(cty.NormalizeString(columns[i])) + ":" + strconv.Quote(cty.NormalizeString(cells[i])) + ",")
	}
	b.WriteByte('}')
	return b.String()
}

// literalRows finds the rows in a list or an object that is written in the plan, in for_each
// itself or in a local.
func (l *loader) literalRows(t *template) bool {
	expr := t.forEach.Expr
	if path, diags := hcl.AbsTraversalForExpr(expr); !diags.HasErrors() && len(path) == 2 {
		if name, ok := attributeName(path, "local"); ok && l.plan.locals[name] != nil {
			expr = l.plan.locals[name].Expr
		}
	}
	if list, diags := hcl.ExprList(expr); !diags.HasErrors() && len(list) == len(t.rows) {
		for i, r := range t.rows {
			r.at = lineOf(list[i].Range())
		}
		return true
	}
	pairs, diags := hcl.ExprMap(expr)
	if diags.HasErrors() {
		return false
	}
	places := map[string]line{}
	for _, pair := range pairs {
		if key, diags := pair.Key.Value(nil); !diags.HasErrors() && key.Type() == cty.String && key.IsKnown() && !key.IsNull() {
			places[key.AsString()] = lineOf(pair.Key.Range())
		}
	}
	for _, r := range t.rows {
		if r.key.Type() == cty.String {
			r.at = places[r.key.AsString()]
		}
	}
	return true
}

func lineOf(r hcl.Range) line { return line{file: r.Filename, number: r.Start.Line} }

// Cell is the place in a CSV file where one argument of one host is written.
type Cell struct {
	File   string
	Line   int    // where its row begins, from 1
	Column string // name in the first line
}

// Cell finds where the argument at a path, such as "serial" or "esxi.nic", is written; ok is
// false if it does not come from one column of a CSV file.
func (h *Host) Cell(path string) (c Cell, ok bool) {
	attr, own := h.said.at(path)
	if h.row == nil || !own {
		return Cell{}, false
	}
	h.row.origin()
	if !h.row.at.csv {
		return Cell{}, false
	}
	column, ok := h.row.of.column(attr.Expr)
	return Cell{h.row.at.file, h.row.at.number, column}, ok
}

// column is the only member of the iterator's value to which an expression refers.
func (t *template) column(expr hcl.Expression) (name string, ok bool) {
	for _, path := range expr.Variables() {
		member, named := attributeName(path, t.iterator)
		if !named || member != "value" || len(path) < 3 {
			return "", false
		}
		column, named := memberName(path[2])
		if !named || name != "" && column != name {
			return "", false
		}
		name = column
	}
	return name, name != ""
}

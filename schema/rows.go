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
// is written there. It is asked for only where a row is to be shown.
func (l *loader) writtenAt(t *template) {
	if t.located {
		return
	}
	t.located = true
	if l.literalRows(t) {
		return
	}
	lines, taken := l.csvLines(), map[string]int{}
	for _, r := range t.rows {
		text := canonical(r.value)
		places := lines[text]
		if n := taken[text]; n < len(places) && sameFile(places) { // equal rows are taken in their order
			r.place = places[n].String()
		}
		taken[text]++
	}
}

// line is a place in a table.
type line struct {
	file   string
	number int
}

func (l line) String() string { return fmt.Sprintf("%s:%d", l.file, l.number) }

func sameFile(lines []line) bool {
	return !slices.ContainsFunc(lines, func(l line) bool { return l.file != lines[0].file })
}

// csvLines finds the rows of all CSV files that the plan has read, by what they hold.
func (l *loader) csvLines() map[string][]line {
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
			l.lines[key] = append(l.lines[key], line{name, number})
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
		if name, ok := attributeName(path, "local"); ok && l.localAttrs[name] != nil {
			expr = l.localAttrs[name].Expr
		}
	}
	if list, diags := hcl.ExprList(expr); !diags.HasErrors() && len(list) == len(t.rows) {
		for i, r := range t.rows {
			r.place = shortPosition(list[i].Range())
		}
		return true
	}
	pairs, diags := hcl.ExprMap(expr)
	if diags.HasErrors() {
		return false
	}
	places := map[string]string{}
	for _, pair := range pairs {
		if key, diags := pair.Key.Value(nil); !diags.HasErrors() && key.Type() == cty.String && key.IsKnown() && !key.IsNull() {
			places[key.AsString()] = shortPosition(pair.Key.Range())
		}
	}
	for _, r := range t.rows {
		if r.key.Type() == cty.String {
			r.place = places[r.key.AsString()]
		}
	}
	return true
}

func shortPosition(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

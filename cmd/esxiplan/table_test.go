package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"esxiplan/cmd/internal/view"
)

// TestNarrow: the widest columns give way first, none below a short word and never the first,
// and a table of any width stays as it is.
func TestNarrow(t *testing.T) {
	for _, c := range []struct {
		widths []int
		limit  int
		want   []int
	}{
		{[]int{8, 30, 10}, 0, []int{8, 30, 10}},
		{[]int{8, 30, 10}, 52, []int{8, 30, 10}},
		{[]int{8, 30, 10}, 40, []int{8, 18, 10}},
		{[]int{8, 30, 20}, 40, []int{8, 14, 14}},
		{[]int{3, 30, 20}, 10, []int{3, 6, 6}},
		{[]int{30, 9, 8}, 40, []int{30, 6, 6}},
		{[]int{30}, 10, []int{30}},
	} {
		got := slices.Clone(c.widths)
		if narrow(got, c.limit); !slices.Equal(got, c.want) {
			t.Errorf("%v within %d: %v, not %v", c.widths, c.limit, got, c.want)
		}
	}
}

// TestTablesInASCII: a terminal without UTF-8 gets tables of ASCII, also where a cell is cut, whose
// columns stand below each other.
func TestTablesInASCII(t *testing.T) {
	var out bytes.Buffer
	a := newApp(nil, &view.Streams{Out: &out, ASCII: true, OutWidth: 40})
	rows := func() []listRow {
		return []listRow{{{"host", "a"}, {"about", "no disk of this machine matches → two do not"}, {"took", "3m01s"}}, {{"host", "b"}, {"about", "ok…"}, {"took", "1s"}}}
	}
	a.printWide(rows())
	a.printFolded(rows())
	a.printText("  esxiplan run p.hcl -e %s", "bmc_password=…")
	if i := strings.IndexFunc(out.String(), func(r rune) bool { return r > '~' }); i >= 0 {
		t.Errorf("not ASCII:\n%s", out.String())
	}
	lines := strings.Split(out.String(), "\n")
	if at := strings.Index(lines[1], "3m01s"); at < 0 || strings.Index(lines[2], "1s") != at || !strings.Contains(lines[1], "...") {
		t.Errorf("the columns do not stand below each other:\n%s", out.String())
	}
	if !strings.HasSuffix(out.String(), "bmc_password=...\n") {
		t.Errorf("%q", out.String())
	}
}

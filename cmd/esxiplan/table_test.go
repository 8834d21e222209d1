package main

import (
	"slices"
	"testing"
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

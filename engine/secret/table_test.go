package secret

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestTableFindsWhatASearchFinds compares the table with a search for each form at each place,
// in texts of few letters, so that forms begin alike, contain each other and are cut off.
func TestTableFindsWhatASearchFinds(t *testing.T) {
	random := rand.New(rand.NewPCG(14, 6))
	for range 2000 {
		table, forms := newTable(), make([]string, 1+random.IntN(20))
		for i := range forms {
			forms[i] = letters(random, "ab", keyed+random.IntN(6))
			table.add(forms[i])
		}
		text := letters(random, "abab.", 80)
		got := map[[2]int]bool{}
		table.scan(text, func(from, to int) { got[[2]int{from, to}] = true })
		for from := range text {
			for to := from + keyed; to <= len(text); to++ {
				want := slices.ContainsFunc(forms, func(form string) bool {
					return form == text[from:to] || strings.HasPrefix(form, text[from:to]) && isCut(text[to:])
				})
				if place := [2]int{from, to}; got[place] != want {
					t.Fatalf("forms %q in %q: found at %v: %v, want %v", forms, text, place, got[place], want)
				}
			}
		}
	}
}

func letters(random *rand.Rand, of string, n int) string {
	text := make([]byte, n)
	for i := range text {
		text[i] = of[random.IntN(len(of))]
	}
	return string(text)
}

// TestTreeKeepsCommonBeginningsOnce: what many passwords begin with alike, and forms that are
// added again, take no room and are not compared again.
func TestTreeKeepsCommonBeginningsOnce(t *testing.T) {
	tree := &node{}
	for range 2 {
		for _, text := range []string{"VMware1!-h1", "VMware1!-h2", "VMware1!", "VMware1!-h12", "Calvin"} {
			tree.add(text)
		}
	}
	const want = "(Calvin.)(VMware1!.(-h(1.(2.))(2.)))"
	if got := drawn(tree); got != want {
		t.Errorf("the tree is %s, want %s", got, want)
	}
}

// drawn shows a tree; a full stop is where a text ends.
func drawn(n *node) string {
	var below []string
	for _, child := range n.next {
		text := child.text
		if child.whole {
			text += "."
		}
		below = append(below, "("+text+drawn(child)+")")
	}
	slices.Sort(below)
	return strings.Join(below, "")
}

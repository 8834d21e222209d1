package secret

import "strings"

// keyed is how many bytes of a form are looked up.
const keyed = 6

// table finds many forms in one pass over a text, whatever their number: the text at a
// place is looked up by its first bytes, and what follows in a tree. Unlike an automaton it
// takes a further form without being rebuilt, which sessions need all the time.
type table struct {
	filter []uint64 // bits by hash: nearly all places of a text end here
	rest   map[uint64]*node
}

const filterBits = 18

func newTable() table {
	return table{filter: make([]uint64, 1<<filterBits/64), rest: map[uint64]*node{}}
}

func (t *table) add(form string) {
	var key uint64
	for i := range keyed {
		key = shifted(key, form[i])
	}
	rest := t.rest[key]
	if rest == nil {
		rest = &node{}
		t.rest[key] = rest
	}
	rest.add(form[keyed:])
	word, bit := slot(key)
	t.filter[word] |= bit
}

// shifted is the key one byte further in a text.
func shifted(key uint64, next byte) uint64 { return key>>8 | uint64(next)<<(8*(keyed-1)) }

// slot is the place of a key in the filter.
func slot(key uint64) (word int, bit uint64) {
	hash := key * 0x9e3779b97f4a7c15 >> (64 - filterBits)
	return int(hash / 64), 1 << (hash % 64)
}

// scan finds all forms in a text, also those that were cut off.
func (t *table) scan(text string, found func(from, to int)) {
	if len(t.rest) == 0 {
		return
	}
	var key uint64
	for i := range len(text) {
		key = shifted(key, text[i])
		word, bit := slot(key)
		if t.filter[word]&bit == 0 || i < keyed-1 {
			continue
		}
		if rest := t.rest[key]; rest != nil {
			rest.walk(text[i+1:], func(n int, whole bool) {
				if whole || isCut(text[i+1+n:]) {
					found(i-(keyed-1), i+1+n)
				}
			})
		}
	}
}

// isCut reports an ellipsis after a text that was cut off.
func isCut(rest string) bool { return strings.HasPrefix(rest, "…") || strings.HasPrefix(rest, "...") }

// node is a place in a tree of texts, in which what several of them begin with stands once.
// Ten thousand hosts have passwords that begin alike, at least behind the same user name.
type node struct {
	text  string // from the node above to here
	whole bool   // a text ends here
	next  []*node
}

func (n *node) add(text string) {
	if text == "" {
		n.whole = true
		return
	}
	below := n.towards(text)
	if below == nil {
		n.next = append(n.next, &node{text: text, whole: true})
		return
	}
	same := common(below.text, text)
	if same < len(below.text) {
		below.split(same)
	}
	below.add(text[same:])
}

// towards is the node below that begins as a text does. There is no more than one.
func (n *node) towards(text string) *node {
	for _, below := range n.next {
		if below.text[0] == text[0] {
			return below
		}
	}
	return nil
}

func (n *node) split(at int) {
	rest := *n
	rest.text = n.text[at:]
	*n = node{text: n.text[:at], next: []*node{&rest}}
}

// walk follows a text down the tree. It tells how many bytes of the text are in the tree at
// each node and where the text leaves the tree, and whether one of the tree ends there.
func (n *node) walk(text string, passed func(same int, whole bool)) {
	at := 0
	passed(at, n.whole)
	for at < len(text) {
		if n = n.towards(text[at:]); n == nil {
			return
		}
		same := common(n.text, text[at:])
		at += same
		if same < len(n.text) {
			passed(at, false)
			return
		}
		passed(at, n.whole)
	}
}

// common is the length of the common beginning of two texts.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

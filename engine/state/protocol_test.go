package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"esxiplan/engine/event"
)

// player is one process in a game for the lock of "a", which goes through its steps when the
// test says so.
type player struct {
	*lockFolder
	dead  map[string][]claim
	err   error
	holds bool
}

func join(t *testing.T, dir, name string) *player {
	t.Helper()
	self := record{Holder: Holder{Run: name, Who: event.Who{Host: "host of " + name, PID: os.Getpid()}}, process: thisProcess(), Lease: time.Minute.Milliseconds()}
	p, err := enter(dir, self, []string{"a"}, func(key string) string { return key })
	if err != nil {
		t.Fatal(err)
	}
	return &player{lockFolder: p}
}

// step is one step of the protocol. One that failed takes no more of them.
func step(do func(p *player)) func(*player) {
	return func(p *player) {
		if p.err == nil {
			do(p)
		}
		if p.err != nil {
			p.holds = false
			p.withdraw()
		}
	}
}

var (
	looks   = step(func(p *player) { p.dead, p.err = p.survey() })
	claims  = step(func(p *player) { p.err = p.claim("a", p.dead["a"]) })
	settles = step(func(p *player) { p.err = p.verify(); p.holds = p.err == nil })
	signs   = step(func(p *player) { _, p.err = p.touch() })
	checks  = step(func(p *player) { p.err = p.check(); p.holds = p.err == nil })
	gives   = step(func(p *player) { p.holds, p.err = false, p.withdraw() })
)

// orders lists all ways to deal the steps of players, each in its own order.
func orders(left []int) (all [][]int) {
	for i := range left {
		if left[i] > 0 {
			rest := append([]int(nil), left...)
			rest[i]--
			for _, o := range orders(rest) {
				all = append(all, append([]int{i}, o...))
			}
		}
	}
	if all == nil {
		return [][]int{nil}
	}
	return all
}

// TestNeverTwoHolders goes through all orders in which the steps of several processes can take
// place: one whose lease is over and that awakes, and others that want its lock, of which one
// gives it back again. Two of them never hold it, and each holder knows that it holds it.
func TestNeverTwoHolders(t *testing.T) {
	awakes, takes := []func(*player){signs, checks}, []func(*player){looks, claims, settles}
	takesAndGives := []func(*player){looks, claims, settles, gives}
	takesTwice := append(takesAndGives[:4:4], takes...)
	for name, scripts := range map[string][][]func(*player){
		"awakes, takes":                   {awakes, takes},
		"awakes, takes, takes and gives":  {awakes, takes, takesAndGives},
		"crashed, takes, takes and gives": {nil, takes, takesAndGives},
		"crashed, takes, takes twice":     {nil, takes, takesTwice},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var counts []int
			for _, s := range scripts {
				counts = append(counts, len(s))
			}
			held := 0
			for _, order := range orders(counts) {
				held += play(t, scripts, order)
			}
			if held == 0 {
				t.Error("no process ever gets the lock")
			}
		})
	}
}

// play deals the steps in an order and returns how many hold the lock in the end.
func play(t *testing.T, scripts [][]func(*player), order []int) (held int) {
	t.Helper()
	dir := t.TempDir()
	players := []*player{join(t, dir, "first")}
	players[0].err = errors.Join(players[0].claim("a", nil))
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "holders", players[0].file()), old, old); err != nil {
		t.Fatal(err)
	}
	for i := range scripts[1:] {
		players = append(players, join(t, dir, fmt.Sprint("taker", i)))
	}
	next := make([]int, len(scripts))
	for at, i := range order {
		scripts[i][next[i]](players[i])
		next[i]++
		held = 0
		for _, p := range players {
			if p.holds && p.exists() { // as Held judges, until the next renewal
				held++
			}
		}
		if held > 1 {
			t.Fatalf("two holders after %v of %v", order[:at+1], order)
		}
	}
	for _, p := range players {
		p.leave()
	}
	return held
}

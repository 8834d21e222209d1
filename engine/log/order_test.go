package log_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"esxiplan/engine/event"
	"esxiplan/engine/log"
)

// TestShownInOrder: whoever logs and shows, at once and each in another way, what is shown
// stands in the order of its numbers, each event once, and all of it when the log is closed.
func TestShownInOrder(t *testing.T) {
	var shown []uint64
	l, err := log.Open(t.TempDir(), "run", log.Options{Show: func(e event.Event) { shown = append(shown, e.Seq) }})
	check(t, err)
	var all sync.WaitGroup
	const writers, each = 8, 60
	for w := range writers {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for range each {
				e := event.Event{Kind: event.Warned, Host: fmt.Sprint("h", w), Time: noon}
				switch r.IntN(4) {
				case 0:
					_, err := l.Append(e)
					check(t, err)
				case 1:
					check(t, l.Later(e))
				case 2:
					check(t, l.Note(e))
				default:
					l.Show(e)
				}
			}
		})
	}
	all.Wait()
	check(t, l.Close())
	if len(shown) != writers*each {
		t.Fatalf("%d events were shown, not %d", len(shown), writers*each)
	}
	for i := range shown[1:] {
		if shown[i] >= shown[i+1] {
			t.Fatalf("%d is shown before %d", shown[i], shown[i+1])
		}
	}
}

// TestShownWhenItCannotBeLogged: an event that a closed log refuses is still shown, unless it
// must be on disk first.
func TestShownWhenItCannotBeLogged(t *testing.T) {
	var shown []string
	l, err := log.Open(t.TempDir(), "run", log.Options{Show: func(e event.Event) { shown = append(shown, e.Text) }})
	check(t, err)
	check(t, l.Close())
	if _, err := l.Append(event.Event{Kind: event.Warned, Text: "append"}); err == nil {
		t.Error("a closed log takes an event")
	}
	if l.Note(event.Event{Kind: event.Warned, Text: "note"}) == nil || l.Later(event.Event{Kind: event.Warned, Text: "later"}) == nil {
		t.Error("a closed log takes an event")
	}
	if fmt.Sprint(shown) != "[note later]" {
		t.Error(shown)
	}
}

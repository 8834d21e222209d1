package event_test

import (
	"testing"

	"esxiplan/engine/event"
)

func TestCount(t *testing.T) {
	for _, c := range []struct {
		n           int
		thing, want string
	}{
		{0, "host", "0 hosts"}, {1, "host", "1 host"}, {2, "host", "2 hosts"},
		{1, "directory", "1 directory"}, {3, "directory", "3 directories"}, {90, "day", "90 days"},
	} {
		if got := event.Count(c.n, c.thing); got != c.want {
			t.Errorf("%d of %q: %q, want %q", c.n, c.thing, got, c.want)
		}
	}
}

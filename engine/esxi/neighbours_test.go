package esxi

import (
	"slices"
	"testing"
)

// TestNeighbours: those that answered are read from the kernel's table, and nothing from what
// is none.
func TestNeighbours(t *testing.T) {
	const table = `IP address       HW type     Flags       HW address            Mask     Device
192.0.2.77       0x1         0x2         b4:96:91:a7:3f:d6     *        eth0
192.0.2.78       0x1         0x0         00:00:00:00:00:00     *        eth0
192.0.2.79       0x1         0x6         00:00:5e:00:53:01     *        eth0
cut off
`
	want := []Neighbour{{"192.0.2.77", "B4:96:91:A7:3F:D6"}, {"192.0.2.79", "00:00:5E:00:53:01"}}
	if got := parseNeighbours(table); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

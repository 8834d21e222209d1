package esxi

import (
	"os"
	"strings"
)

// Neighbour is an address on a network of this computer, and the MAC address of its port.
type Neighbour struct{ Address, MAC string }

// Neighbours are the IPv4 neighbours that the kernel knows, from Linux's /proc/net/arp; none
// on other systems. It knows those only with which this computer has talked lately.
func Neighbours() []Neighbour {
	b, err := os.ReadFile("/proc/net/arp")
	if err != nil {
		return nil
	}
	return parseNeighbours(string(b))
}

// parseNeighbours reads the kernel's table: a head, then address, type, flags, MAC address,
// mask and device of each neighbour. Flags 0x0 are of one that does not answer.
func parseNeighbours(table string) (out []Neighbour) {
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) == 6 && strings.HasPrefix(f[2], "0x") && f[2] != "0x0" {
			out = append(out, Neighbour{f[0], strings.ToUpper(f[3])})
		}
	}
	return out
}

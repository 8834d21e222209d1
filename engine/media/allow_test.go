package media

import (
	"fmt"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

// TestAdmits: which entry admits which client, and which client counts as a host's BMC.
func TestAdmits(t *testing.T) {
	general := newAllowList("198.51.100.0/24", "192.0.2.7", "::ffff:192.0.2.8", "other.invalid", "")
	for name, c := range map[string]struct {
		client string
		bmc    string
		admits bool
		is     relation
	}{
		"the BMC":                     {"192.0.2.1", "192.0.2.1", true, theBMC},
		"the BMC in another form":     {"::ffff:192.0.2.1", "192.0.2.1", true, theBMC},
		"the BMC by its name":         {"203.0.113.5", "bmc.invalid", true, theBMC},
		"the BMC of another host":     {"203.0.113.7", "192.0.2.1", false, another},
		"a network":                   {"198.51.100.9", "192.0.2.1", true, another},
		"an address":                  {"192.0.2.7", "192.0.2.1", true, another},
		"an address, written long":    {"192.0.2.8", "192.0.2.1", true, another},
		"this machine":                {"127.0.0.1", "192.0.2.1", true, another},
		"a stranger":                  {"203.0.113.6", "192.0.2.1", false, another},
		"a stranger, an unknown name": {"203.0.113.6", "nowhere.invalid", false, notKnown},
	} {
		t.Run(name, func(t *testing.T) {
			d := doorkeeper{known: map[string]lookedUp{}}
			for host, addresses := range map[string][]netip.Addr{"bmc.invalid": {netip.MustParseAddr("203.0.113.5")}, "other.invalid": nil, "nowhere.invalid": nil} {
				d.known[host] = lookedUp{addresses, time.Now().Add(time.Hour)}
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(c.client), 1234).String()
			own := newAllowList(c.bmc)
			if d.admits(r, own, general) != c.admits || d.relation(r, own) != c.is {
				t.Errorf("admitted: %v, is %q", d.admits(r, own, general), d.relation(r, own))
			}
		})
	}
}

// TestAdmitsLooksUpNoOtherName: a BMC that the plan gives by name does not wait for the
// names of all others.
func TestAdmitsLooksUpNoOtherName(t *testing.T) {
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("bmc%d.invalid", i))
	}
	d := doorkeeper{known: map[string]lookedUp{"bmc999.invalid": {[]netip.Addr{netip.MustParseAddr("203.0.113.5")}, time.Now().Add(time.Hour)}}}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "203.0.113.5:1234"
	if !d.admits(r, newAllowList("bmc999.invalid"), newAllowList(names...)) || len(d.known) != 1 {
		t.Errorf("%d names were looked up", len(d.known))
	}
}

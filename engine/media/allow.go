package media

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Anybody in an allow-list lets every client read.
const Anybody = "any"

// CheckAllowed judges what is to go into an allow-list: addresses, networks such as
// 192.0.2.0/24, names that can be looked up, and [Anybody].
func CheckAllowed(names []string) error {
	for _, name := range names {
		if _, err := netip.ParsePrefix(name); err == nil || name == Anybody {
			continue
		}
		if _, err := netip.ParseAddr(name); err == nil {
			continue
		}
		if _, err := net.LookupHost(name); err != nil {
			return fmt.Errorf("%q is neither an address, nor a network, nor a name that can be looked up: %w", name, err)
		}
	}
	return nil
}

// allowList is a parsed list of the clients that may read: a plan has an address for each of
// its hosts, and every request asks.
type allowList struct {
	anybody   bool
	networks  []netip.Prefix
	addresses map[netip.Addr]bool
	names     []string // to be looked up
}

// newAllowList parses what [CheckAllowed] accepts; anything else allows no client.
func newAllowList(names ...string) allowList {
	a := allowList{addresses: map[netip.Addr]bool{}}
	for _, name := range names {
		if network, err := netip.ParsePrefix(name); err == nil {
			a.networks = append(a.networks, network)
			continue
		}
		address, err := netip.ParseAddr(name)
		switch {
		case name == Anybody:
			a.anybody = true
		case name == "":
		case err != nil:
			a.names = append(a.names, name)
		default:
			a.addresses[plainAddress(address)] = true
		}
	}
	return a
}

// holds reports whether the list itself names an address.
func (a allowList) holds(address netip.Addr) bool {
	return a.anybody || a.addresses[address] ||
		slices.ContainsFunc(a.networks, func(n netip.Prefix) bool { return n.Contains(address) })
}

// doorkeeper judges clients by allow-lists. Names are looked up outside of any lock, at
// most once a minute: BMCs get new addresses.
type doorkeeper struct {
	offline bool // no name is looked up, so that none has an address

	mu    sync.Mutex
	known map[string]lookedUp
}

type lookedUp struct {
	addresses []netip.Addr
	until     time.Time
}

// lookupTakes bounds how long a name server may keep a client waiting.
const lookupTakes = 2 * time.Second

func plainAddress(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// admits lets this machine's own addresses through, and those in the lists. Names are looked
// up in the order of the lists, and only as many as needed.
func (d *doorkeeper) admits(r *http.Request, lists ...allowList) bool {
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	address := plainAddress(client.Addr())
	if slices.ContainsFunc(lists, func(a allowList) bool { return a.holds(address) }) || ownAddress(address) {
		return true
	}
	return slices.ContainsFunc(lists, func(a allowList) bool {
		return slices.ContainsFunc(a.names, func(host string) bool {
			return slices.Contains(d.lookup(r.Context(), host), address)
		})
	})
}

// relation is whether a client is the host's BMC, as far as the server that it reads from
// can determine: only servers resolve names.
type relation string

const (
	notKnown relation = ""
	theBMC   relation = "bmc"
	another  relation = "other"
)

// relation judges a client by what the list names as the BMC. It is unknown as long as the
// BMC's name has no address.
func (d *doorkeeper) relation(r *http.Request, bmc allowList) relation {
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return notKnown
	}
	address := plainAddress(client.Addr())
	known, same := len(bmc.addresses) > 0, bmc.addresses[address]
	for _, name := range bmc.names {
		found := d.lookup(r.Context(), name)
		known, same = known || len(found) > 0, same || slices.Contains(found, address)
	}
	switch {
	case !known:
		return notKnown
	case same:
		return theBMC
	}
	return another
}

// lookup answers from memory for a minute; known addresses stay when a name server does not
// answer. A client that disconnects must not end it: the next ones need it, too.
func (d *doorkeeper) lookup(ctx context.Context, host string) []netip.Addr {
	d.mu.Lock()
	known := d.known[host]
	d.mu.Unlock()
	if d.offline || time.Now().Before(known.until) {
		return known.addresses
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTakes)
	defer cancel()
	if found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host); err == nil {
		known.addresses = nil
		for _, ip := range found {
			known.addresses = append(known.addresses, plainAddress(ip))
		}
	}
	known.until = time.Now().Add(time.Minute)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil {
		d.known = map[string]lookedUp{}
	}
	d.known[host] = known
	return known.addresses
}

func ownAddress(client netip.Addr) bool {
	if client.IsLoopback() {
		return true
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(client.AsSlice()) {
			return true
		}
	}
	return false
}

// clientOf is the address of a request's client.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

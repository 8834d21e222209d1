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

// allowList judges clients by addresses, networks and names. Names are looked up
// outside of any lock, at most once a minute: BMCs get new addresses.
type allowList struct {
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

// allows lets this machine's own addresses through, and those behind the names.
func (a *allowList) allows(r *http.Request, names []string) bool {
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	address := plainAddress(client.Addr())
	var unknown []string
	for _, name := range names {
		if network, err := netip.ParsePrefix(name); name == Anybody || err == nil && network.Contains(address) {
			return true
		}
		if ip, err := netip.ParseAddr(name); err != nil {
			unknown = append(unknown, name)
		} else if plainAddress(ip) == address {
			return true
		}
	}
	return ownAddress(address) || slices.ContainsFunc(unknown, func(host string) bool {
		return slices.Contains(a.lookup(r.Context(), host), address)
	})
}

// lookup answers from memory for a minute; what was known stays when a name server
// does not answer.
func (a *allowList) lookup(ctx context.Context, host string) []netip.Addr {
	a.mu.Lock()
	known := a.known[host]
	a.mu.Unlock()
	if time.Now().Before(known.until) {
		return known.addresses
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTakes)
	defer cancel()
	if found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host); err == nil {
		known.addresses = nil
		for _, ip := range found {
			known.addresses = append(known.addresses, plainAddress(ip))
		}
	}
	known.until = time.Now().Add(time.Minute)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil {
		a.known = map[string]lookedUp{}
	}
	a.known[host] = known
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

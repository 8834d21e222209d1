package media

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Anybody in an allow-list lets every client read.
const Anybody = "any"

// allowList lets clients through whose addresses stand behind the names, and this
// machine itself. Names are looked up anew every minute: BMCs get new addresses.
type allowList struct {
	names func() []string

	mu        sync.Mutex
	until     time.Time
	addresses map[netip.Addr]bool
	anybody   bool
}

func (a *allowList) refresh() {
	if time.Now().Before(a.until) {
		return
	}
	a.addresses, a.anybody, a.until = map[netip.Addr]bool{}, false, time.Now().Add(time.Minute)
	for _, name := range a.names() {
		if name == Anybody {
			a.anybody = true
			continue
		}
		host := HostOnly(name)
		found, err := net.LookupHost(host)
		if err != nil {
			found = []string{host}
		}
		for _, text := range found {
			if ip, err := netip.ParseAddr(text); err == nil {
				a.addresses[plainAddress(ip)] = true
			}
		}
	}
}

func plainAddress(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// allows judges a request's client.
func (a *allowList) allows(r *http.Request) bool {
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	address := plainAddress(client.Addr())
	a.mu.Lock()
	a.refresh()
	allowed := a.anybody || a.addresses[address]
	a.mu.Unlock()
	return allowed || ownAddress(address)
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
func clientOf(r *http.Request) string { return HostOnly(r.RemoteAddr) }

// HostOnly is the host of an address, which may have a scheme and a port.
func HostOnly(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}
	address = strings.TrimSuffix(address, "/")
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return strings.Trim(address, "[]")
}

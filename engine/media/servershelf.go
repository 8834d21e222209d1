package media

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"
)

// serverShelf keeps overlays in the state folder, out of which this process serves images.
type serverShelf struct {
	directoryShelf
	images    *handler
	url0      string
	sockets   Sockets
	announced *Addresses // in a dry run
	probe     DialFunc
}

func (s *serverShelf) urls(token, host, bmc string) (url, https string, err error) {
	file := "/" + token + "/" + fileName(host) + ".iso"
	if s.url0 != "" {
		return s.url0 + file, "", nil
	}
	at := s.addresses()
	if at.HTTPS != "" {
		if https, err = s.base("https", at.HTTPS, bmc); err != nil {
			return "", "", err
		}
		https += file
	}
	if at.HTTP == "" {
		return https, "", nil
	}
	url, err = s.base("http", at.HTTP, bmc)
	return url + file, https, err
}

// addresses are where BMCs find the server: where it listens, or in a dry run would listen.
func (s *serverShelf) addresses() (at Addresses) {
	if s.sockets.HTTP != nil {
		at.HTTP = s.sockets.HTTP.Addr().String()
	}
	if s.sockets.HTTPS != nil {
		at.HTTPS = s.sockets.HTTPS.Addr().String()
	}
	if s.announced != nil {
		at = s.announced.Again(at) // a port that the plan leaves open is the real one
	}
	return at
}

// base is the address under which a BMC finds a listener.
func (s *serverShelf) base(scheme, address, bmc string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if host, err = s.ownAddress(bmc); err != nil {
			return "", fmt.Errorf("there is no route to the BMC %s, so the address under which it reaches this machine is not known: set media.url (%w)", bmc, err)
		}
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}

// ownAddress is the address from which this machine talks to bmc. A UDP socket
// finds it without sending anything.
func (s *serverShelf) ownAddress(bmc string) (string, error) {
	dial := s.probe
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := dial(ctx, "udp", net.JoinHostPort(bmc, "443"))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	return host, err
}

// dial reaches the announced addresses of a dry run where it really listens.
func (s *serverShelf) dial(other DialFunc) DialFunc {
	if other == nil {
		other = (&net.Dialer{}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if l := s.listener(address); l != nil {
			return (&net.Dialer{}).DialContext(ctx, network, l.Addr().String())
		}
		return other(ctx, network, address)
	}
}

// listener is the one that represents an address in a dry run, nil for none.
func (s *serverShelf) listener(address string) net.Listener {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil
	}
	if u, err := url.Parse(s.url0); err == nil && s.url0 != "" {
		own := u.Host
		if u.Port() == "" {
			own = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
		}
		if own != address {
			return nil
		}
		if u.Scheme == "https" && s.sockets.HTTPS != nil || s.sockets.HTTP == nil {
			return s.sockets.HTTPS
		}
		return s.sockets.HTTP
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ownAddress(plainAddress(ip)) {
		return nil
	}
	at := s.addresses()
	for given, l := range map[string]net.Listener{at.HTTP: s.sockets.HTTP, at.HTTPS: s.sockets.HTTPS} {
		if _, p, err := net.SplitHostPort(given); err == nil && p == port {
			return l
		}
	}
	return nil
}

// missing implements shelf: this process must be able to serve the image at the published
// URL.
func (s *serverShelf) missing(e entry) error {
	if err := s.directoryShelf.missing(e); err != nil {
		return err
	}
	url, https, err := s.urls(e.Token, e.Host, e.BMC)
	if err != nil {
		return err
	}
	if url != e.URL || https != e.HTTPSURL {
		return fmt.Errorf("it was served at %s, this run serves at %s", withoutFile(e.URL), withoutFile(url))
	}
	_, err = s.images.item(e.Token, fileName(e.Host))
	return err
}

// reads are known where this process serves the image, also before it is read.
// In a dry run another process may be serving it.
func (s *serverShelf) reads(e entry, clock func() time.Time) (Reads, bool) {
	if s.images.readOnly {
		return s.manifest.notes(e)
	}
	if r, ok := s.images.live(e); ok {
		return r, true
	}
	if s.missing(e) == nil {
		return s.images.live(e)
	}
	return s.manifest.reads(e, clock)
}

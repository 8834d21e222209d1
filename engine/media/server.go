package media

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Server serves the images of a plan from this process: each is its source with a few
// KB laid over. Those few KB are kept in the state folder, so that a later process serves
// the images again, under the same URLs, until they are removed.
type Server struct {
	*Library
	images    *imageServer
	endpoints *endpoints
}

// ServerOptions say how a [Server] is reached and by whom.
type ServerOptions struct {
	Options
	Sockets
	URL   string   // how BMCs reach it; "": http, our address on the way to each BMC
	Allow []string // who may read, beside this machine's own addresses; empty: everybody
	State string   // folder for manifest, overlays and what was read
	Probe DialFunc // how our address on the way to a BMC is found; nil: by a UDP socket
	// DryRun names the addresses at which a real run would listen. URLs are then made
	// from them, this process reaches them at the sockets, and nothing is written down.
	DryRun *Addresses
}

// NewServer starts serving on the listeners, also what earlier processes published and
// nobody removed.
func NewServer(o ServerOptions) (*Server, error) {
	if o.URL != "" {
		if err := checkBaseURL(o.URL); err != nil {
			return nil, err
		}
	}
	if len(o.Allow) == 0 {
		o.Allow = []string{Anybody}
	}
	m := manifest{o.State, o.Plan}
	images := &imageServer{dir: o.State, manifest: m, allowed: newAllowList(o.Allow...), widen: "media.allow", now: o.Now, readOnly: o.DryRun != nil}
	shelf := &serverShelf{directoryShelf: directoryShelf{dir: o.State, overlays: true, manifest: m}, images: images, url0: strings.TrimSuffix(o.URL, "/"), sockets: o.Sockets, announced: o.DryRun, probe: o.Probe}
	if o.DryRun != nil {
		o.Dial = shelf.dial(o.Dial)
	}
	images.begin()
	return &Server{newLibrary(shelf, m, o.Options), images, o.start(images, io.Discard)}, nil
}

// Resumed returns what was published for a host, by whichever process, and is served by
// this one at the URL that it was published under.
func (s *Server) Resumed(host string) (Published, bool) {
	e, ok := s.manifest.read(host)
	if !ok || s.shelf.missing(e) != nil {
		return Published{}, false
	}
	return e.published(), true
}

// ServeHTTP serves one image; there is no index and no other path.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.images.ServeHTTP(w, r) }

// Close ends the server: reads under way get a moment to finish, and what was read is
// written down. The images stay for the next process.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	s.endpoints.Close(ctx)
	s.images.end()
	s.Library.Close()
}

// Sockets are where a server listens: by HTTP, by HTTPS or both at once.
type Sockets struct {
	HTTP        net.Listener
	HTTPS       net.Listener
	Certificate tls.Certificate // of HTTPS
}

// Addresses are where a server is to listen, "" for nowhere.
type Addresses struct{ HTTP, HTTPS string }

// Listen opens the sockets; an empty address opens none. The certificate is that of
// [Certificate].
func Listen(http, https, certificate, key, folder string) (s Sockets, err error) {
	return Addresses{http, https}.listen(certificate, key, folder)
}

// Listen opens the sockets. Where a port is 0, it is that of last, if it is free: so the URLs
// of what was published before stay good.
func (a Addresses) Listen(last Addresses, certificate, key, folder string) (Sockets, error) {
	again := a.Again(last)
	for try := 0; again != a && try < portTries; try++ {
		if s, err := again.listen(certificate, key, folder); err == nil {
			return s, nil
		}
		time.Sleep(portPause)
	}
	return a.listen(certificate, key, folder)
}

// The port of an earlier process may be in use for a moment longer than the process.
const (
	portTries = 5
	portPause = 200 * time.Millisecond
)

// Again are the addresses with the ports of last where they leave the port open.
func (a Addresses) Again(last Addresses) Addresses {
	return Addresses{again(a.HTTP, last.HTTP), again(a.HTTPS, last.HTTPS)}
}

// Loopback are addresses of this machine alone, at any port.
func (a Addresses) Loopback() Addresses {
	for _, address := range []*string{&a.HTTP, &a.HTTPS} {
		if *address != "" {
			*address = "127.0.0.1:0"
		}
	}
	return a
}

// again is an address with the port of the last one, where any port will do.
func again(address, last string) string {
	host, port, err := net.SplitHostPort(address)
	_, lastPort, errLast := net.SplitHostPort(last)
	if err != nil || errLast != nil || port != "0" {
		return address
	}
	return net.JoinHostPort(host, lastPort)
}

func (a Addresses) listen(certificate, key, folder string) (s Sockets, err error) {
	if a.HTTP != "" {
		if s.HTTP, err = net.Listen("tcp", a.HTTP); err != nil {
			return s, err
		}
	}
	if a.HTTPS == "" {
		return s, nil
	}
	if s.Certificate, err = Certificate(certificate, key, folder); err == nil {
		s.HTTPS, err = net.Listen("tcp", a.HTTPS)
	}
	if err != nil {
		return s, errors.Join(err, s.Close())
	}
	return s, nil
}

// LastAddresses are those under which a plan's images were published last by a [Server]
// with this state folder; images that are still kept come first.
func LastAddresses(state, plan string) (last Addresses) {
	m := manifest{state, plan}
	shelf := directoryShelf{dir: state, overlays: true, manifest: m}
	entries, _ := m.all()
	var best entry
	kept := false
	for _, e := range entries {
		is := shelf.missing(e) == nil
		if e.Plan == plan && (is && !kept || is == kept && e.Built.After(best.Built)) {
			best, kept = e, is
		}
	}
	for _, text := range []string{best.URL, best.HTTPSURL} {
		switch u, err := url.Parse(text); {
		case err != nil:
		case u.Scheme == "http":
			last.HTTP = u.Host
		case u.Scheme == "https":
			last.HTTPS = u.Host
		}
	}
	return last
}

// Addr is where the first socket listens.
func (s Sockets) Addr() net.Addr {
	if s.HTTP != nil {
		return s.HTTP.Addr()
	}
	return s.HTTPS.Addr()
}

// Close closes sockets that nobody serves.
func (s Sockets) Close() error {
	var err error
	for _, l := range []net.Listener{s.HTTP, s.HTTPS} {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}

// endpoints are sockets that are served.
type endpoints struct {
	servers []*http.Server
	done    sync.WaitGroup
	failed  chan error
}

// start serves on every socket. What goes wrong with connections, such as a BMC
// that does not like our certificate, goes to trouble.
func (s Sockets) start(handler http.Handler, trouble io.Writer) *endpoints {
	e := &endpoints{failed: make(chan error, 2)}
	for _, l := range []net.Listener{s.HTTP, s.HTTPS} {
		if l == nil {
			continue
		}
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: log.New(trouble, "", 0)}
		e.servers = append(e.servers, server)
		serve := func() error { return server.Serve(l) }
		if l == s.HTTPS {
			server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{s.Certificate}, MinVersion: tls.VersionTLS12}
			serve = func() error { return server.ServeTLS(l, "", "") }
		}
		e.done.Go(func() {
			if err := serve(); !errors.Is(err, http.ErrServerClosed) {
				e.failed <- err
			}
		})
	}
	return e
}

// Close ends accepting, lets reads under way finish until the context ends, and
// returns when all is closed.
func (e *endpoints) Close(ctx context.Context) {
	for _, s := range e.servers {
		e.done.Go(func() {
			if s.Shutdown(ctx) != nil {
				s.Close()
			}
		})
	}
	e.done.Wait()
}

// serverShelf keeps overlays in the state folder, out of which this process serves images.
type serverShelf struct {
	directoryShelf
	images    *imageServer
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
		at.HTTP, at.HTTPS = announced(s.announced.HTTP, at.HTTP), announced(s.announced.HTTPS, at.HTTPS)
	}
	return at
}

// announced is an address that a plan gives; a port that it leaves open is the real one.
func announced(address, real string) string {
	if host, port, err := net.SplitHostPort(address); err == nil && port == "0" {
		_, port, _ = net.SplitHostPort(real)
		return net.JoinHostPort(host, port)
	}
	return address
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
	conn, err := dial(ctx, "udp", net.JoinHostPort(HostOnly(bmc), "443"))
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

// listener is the one that stands for an address in a dry run, nil for none.
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

// missing implements shelf: the image must be one that this process can serve, at the
// URL that was published.
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

// reads are known where this process serves the image, also when nobody read it yet.
// In a dry run another process may be serving it.
func (s *serverShelf) reads(e entry) (Reads, bool) {
	if s.images.readOnly {
		r, err := s.manifest.readNotes(e)
		return r, err == nil
	}
	if r, ok := s.images.live(e); ok {
		return r, true
	}
	if s.missing(e) == nil {
		return s.images.live(e)
	}
	return s.manifest.reads(e)
}

package media

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

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

// Listen opens the sockets. A port 0 becomes that of last, if it is free: so the URLs of
// what was published before stay valid.
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

// Again returns the addresses with the ports of last where they give none.
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
	m := manifest{dir: state, plan: plan}
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

// Close closes sockets that are not served.
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
	unwatch func()
}

// Headers of BMCs have a few hundred bytes, and come at once.
const (
	longestHeader = 16 << 10
	headerTakes   = 20 * time.Second
	staysIdle     = 2 * time.Minute
	streams       = 8 // of a connection by HTTP/2
)

// start serves on every socket, within the bounds of the handler. Failures of
// connections, such as a BMC that rejects our certificate, are logged.
func (s Sockets) start(h *handler) *endpoints {
	ctx, unwatch := context.WithCancel(context.Background())
	e := &endpoints{failed: make(chan error, 2), unwatch: unwatch}
	e.done.Go(func() { h.clients.watch(ctx) })
	for _, l := range []net.Listener{s.HTTP, s.HTTPS} {
		if l == nil {
			continue
		}
		server := h.server()
		e.servers = append(e.servers, server)
		serve := func() error { return server.Serve(bounded{l, h.clients}) }
		if l == s.HTTPS {
			server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{s.Certificate}, MinVersion: tls.VersionTLS12}
			serve = func() error { return server.ServeTLS(bounded{l, h.clients}, "", "") }
		}
		e.done.Go(func() {
			if err := serve(); !errors.Is(err, http.ErrServerClosed) {
				e.failed <- err
			}
		})
	}
	return e
}

// server answers requests on one socket.
func (s *handler) server() *http.Server {
	return &http.Server{
		Handler: s, ErrorLog: log.New(&s.teller, "", 0), ConnState: s.clients.changed,
		ReadHeaderTimeout: headerTakes, IdleTimeout: staysIdle, MaxHeaderBytes: longestHeader,
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: streams},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connection{}, c) },
	}
}

// Close ends accepting, lets reads under way finish until the context ends, and
// returns when all is closed.
func (e *endpoints) Close(ctx context.Context) {
	e.unwatch()
	for _, s := range e.servers {
		e.done.Go(func() {
			if s.Shutdown(ctx) != nil {
				s.Close()
			}
		})
	}
	e.done.Wait()
}

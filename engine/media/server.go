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
	"path"
	"strings"
	"sync"
	"time"

	"esxiplan/engine/media/iso"
)

// Server serves the images of this process: nothing lies on disk, each image
// is its source with a few KB laid over.
type Server struct {
	*Library
	endpoints *endpoints
}

// ServerOptions say how a [Server] is reached and by whom.
type ServerOptions struct {
	Options
	Sockets
	URL   string   // how BMCs reach it; "": http, our address on the way to each BMC
	Allow []string // who may read, beside this machine's own addresses; see [CheckAllowed]; empty: everybody
	State string   // folder for the manifest
	Probe DialFunc // how our address on the way to a BMC is found; nil: by a UDP socket
}

// NewServer starts serving on the listeners.
func NewServer(o ServerOptions) (*Server, error) {
	if o.URL != "" {
		if err := checkBaseURL(o.URL); err != nil {
			return nil, err
		}
	}
	names := o.Allow
	if len(names) == 0 {
		names = []string{Anybody}
	}
	shelf := &serverShelf{url0: strings.TrimSuffix(o.URL, "/"), sockets: o.Sockets, probe: o.Probe, allowed: names, images: map[string]content{}, count: map[string]*counter{}}
	return &Server{newLibrary(shelf, manifest{o.State, o.Plan}, o.Options), o.start(shelf, io.Discard)}, nil
}

// Close ends the server: reads under way get a moment to finish.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	s.endpoints.Close(ctx)
	s.Library.Close()
}

// Sockets are where a server listens: by HTTP, by HTTPS or both at once.
type Sockets struct {
	HTTP        net.Listener
	HTTPS       net.Listener
	Certificate tls.Certificate // of HTTPS
}

// Listen opens the sockets; an empty address opens none. The certificate is that of
// [Certificate].
func Listen(http, https, certificate, key, folder string) (s Sockets, err error) {
	if http != "" {
		if s.HTTP, err = net.Listen("tcp", http); err != nil {
			return s, err
		}
	}
	if https == "" {
		return s, nil
	}
	if s.Certificate, err = Certificate(certificate, key, folder); err == nil {
		s.HTTPS, err = net.Listen("tcp", https)
	}
	if err != nil {
		return s, errors.Join(err, s.Close())
	}
	return s, nil
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

// serverShelf keeps images in memory and serves them.
type serverShelf struct {
	url0    string
	sockets Sockets
	probe   DialFunc
	allow   allowList
	allowed []string

	mu     sync.RWMutex
	images map[string]content  // by path
	count  map[string]*counter // by host
}

func (s *serverShelf) urls(token, host, bmc string) (url, https string, err error) {
	file := "/" + token + "/" + fileName(host) + ".iso"
	if s.url0 != "" {
		return s.url0 + file, "", nil
	}
	if l := s.sockets.HTTPS; l != nil {
		if https, err = s.base("https", l, bmc); err != nil {
			return "", "", err
		}
		https += file
	}
	if s.sockets.HTTP == nil {
		return https, "", nil
	}
	url, err = s.base("http", s.sockets.HTTP, bmc)
	return url + file, https, err
}

// base is the address under which a BMC finds a listener.
func (s *serverShelf) base(scheme string, l net.Listener, bmc string) (string, error) {
	address := l.Addr().(*net.TCPAddr)
	own := address.IP.String()
	if address.IP.IsUnspecified() {
		var err error
		if own, err = s.ownAddress(bmc); err != nil {
			return "", fmt.Errorf("no way to the BMC %s, so the address under which it finds this machine is not known: set media.url (%w)", bmc, err)
		}
	}
	return scheme + "://" + net.JoinHostPort(own, fmt.Sprint(address.Port)), nil
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

func (s *serverShelf) holds(e entry) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.images["/"+e.file()]
	return ok
}

func (s *serverShelf) put(e entry, image *iso.Image, source *Installer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count[e.Host] == nil {
		s.count[e.Host] = &counter{}
	}
	s.images["/"+e.file()] = content{file: source.path, stat: source.stat, image: image, digest: e.SHA256, modified: e.Built, count: s.count[e.Host]}
	return nil
}

func (s *serverShelf) remove(e entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.images, "/"+e.file())
	return nil
}

func (s *serverShelf) sweep(map[string]bool, bool) ([]string, error) { return nil, nil }

func (s *serverShelf) reads(e entry) (Reads, bool) {
	s.mu.RLock()
	c := s.count[e.Host]
	s.mu.RUnlock()
	if c == nil {
		return Reads{}, false
	}
	return c.get(), true
}

// ServeHTTP serves one image; there is no index and no other path.
func (s *serverShelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.allow.allows(r, s.allowed) {
		http.Error(w, "not allowed", http.StatusForbidden)
		return
	}
	s.mu.RLock()
	c, ok := s.images[lastTwo(r.URL.Path)]
	s.mu.RUnlock()
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	c.serve(w, r)
}

// lastTwo are token and file name of a path: media.url may have a path of its own.
func lastTwo(p string) string {
	dir, file := path.Split(path.Clean(p))
	return "/" + path.Base(dir) + "/" + file
}

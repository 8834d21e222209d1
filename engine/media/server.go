package media

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Server serves the images of this process: nothing lies on disk, each image
// is its source with a few KB laid over.
type Server struct {
	*Library
	shelf *serverShelf
	http  *http.Server
	done  chan struct{}
}

// ServerOptions say how a [Server] is reached and by whom.
type ServerOptions struct {
	Options
	Listener net.Listener
	URL      string   // how BMCs reach it; "": http, our address on the way to each BMC
	Allow    []string // addresses that may read, beside this machine's own; empty: everybody
	State    string   // folder for the manifest
	Probe    DialFunc // how our address on the way to a BMC is found; nil: by a UDP socket
}

// NewServer starts serving on the listener.
func NewServer(o ServerOptions) (*Server, error) {
	if o.URL != "" {
		if err := checkBaseURL(o.URL); err != nil {
			return nil, err
		}
	}
	shelf := &serverShelf{url0: strings.TrimSuffix(o.URL, "/"), address: o.Listener.Addr().(*net.TCPAddr), probe: o.Probe, images: map[string]served{}, count: map[string]*counter{}}
	s := &Server{Library: newLibrary(shelf, o.State, o.Options), shelf: shelf, done: make(chan struct{})}
	s.http = &http.Server{Handler: allowList(o.Allow, shelf), ReadHeaderTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute}
	go func() {
		defer close(s.done)
		s.http.Serve(o.Listener)
	}()
	return s, nil
}

// Close ends the server: reads under way get a moment to finish.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	<-s.done
	s.Library.Close()
}

type served struct {
	entry
	image *Image
}

type counter struct {
	mu sync.Mutex
	Reads
}

func (c *counter) add(bytes, requests int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Bytes += bytes
	c.Count += requests
	c.Last = time.Now()
}

// serverShelf keeps images in memory and serves them.
type serverShelf struct {
	url0    string
	address *net.TCPAddr
	probe   DialFunc

	mu     sync.RWMutex
	images map[string]served // by path
	count  map[string]*counter
}

func (s *serverShelf) url(token, host, bmc string) (string, error) {
	base := s.url0
	if base == "" {
		own, err := s.ownAddress(bmc)
		if err != nil {
			return "", fmt.Errorf("no way to the BMC %s, so the address under which it finds this machine is not known: set media.url (%w)", bmc, err)
		}
		base = "http://" + net.JoinHostPort(own, fmt.Sprint(s.address.Port))
	}
	return base + "/" + token + "/" + fileName(host) + ".iso", nil
}

// ownAddress is the address from which this machine talks to bmc. A UDP socket
// finds it without sending anything.
func (s *serverShelf) ownAddress(bmc string) (string, error) {
	if !s.address.IP.IsUnspecified() {
		return s.address.IP.String(), nil
	}
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

func (s *serverShelf) holds(e entry) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.images["/"+e.file()]
	return ok
}

func (s *serverShelf) put(e entry, image *Image) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images["/"+e.file()] = served{e, image}
	if s.count[e.Host] == nil {
		s.count[e.Host] = &counter{}
	}
	return nil
}

func (s *serverShelf) remove(e entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.images, "/"+e.file())
	return nil
}

func (s *serverShelf) reads(host string) (Reads, bool) {
	s.mu.RLock()
	c := s.count[host]
	s.mu.RUnlock()
	if c == nil {
		return Reads{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Reads, true
}

// ServeHTTP serves one image; there is no index and no other path.
func (s *serverShelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	image, ok := s.images[lastTwo(r.URL.Path)]
	count := s.count[image.Host]
	s.mu.RUnlock()
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	header(w, image.SHA256)
	body := io.NewSectionReader(image.image, 0, image.image.Size())
	cw := &countingWriter{ResponseWriter: w}
	if r.UserAgent() != userAgent { // our own reads prove nothing
		cw.counter = count
		count.add(0, 1)
	}
	http.ServeContent(cw, r, "", image.Built, body)
}

// lastTwo are token and file name of a path: media.url may have a path of its own.
func lastTwo(p string) string {
	dir, file := path.Split(path.Clean(p))
	return "/" + path.Base(dir) + "/" + file
}

func header(w http.ResponseWriter, digest string) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("ETag", `"`+digest[:32]+`"`)
}

type countingWriter struct {
	http.ResponseWriter
	n       int64
	counter *counter // counts while it goes: a BMC may read for minutes; may be nil
}

// copyBuffers serve BMCs that read in thousands of small ranges.
var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// ReadFrom makes io.Copy use a buffer of the pool.
func (c *countingWriter) ReadFrom(r io.Reader) (int64, error) {
	buffer := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buffer)
	return io.CopyBuffer(struct{ io.Writer }{c}, r, *buffer)
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	if c.counter != nil {
		c.counter.add(int64(n), 0)
	}
	return n, err
}

// HostOnly is the host of a BMC's address, which may have a scheme and a port.
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

// allowList lets through the addresses named, and this machine itself.
func allowList(allow []string, next http.Handler) http.Handler {
	if len(allow) == 0 {
		return next
	}
	allowed := map[netip.Addr]bool{}
	for _, name := range allow {
		addresses, err := net.LookupHost(HostOnly(name))
		if err != nil {
			addresses = []string{HostOnly(name)}
		}
		for _, a := range addresses {
			if ip, err := netip.ParseAddr(a); err == nil {
				allowed[ip.Unmap().WithZone("")] = true
			}
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !allowed[client.Addr().Unmap().WithZone("")] && !ownAddress(client.Addr()) {
			http.Error(w, "not allowed", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func ownAddress(client netip.Addr) bool {
	if client.IsLoopback() || client.Unmap().IsLoopback() {
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

var publishedPath = regexp.MustCompile(`^(?:/[A-Za-z0-9._-]+)*?/([0-9a-f]{32})/([A-Za-z0-9._-]+\.iso)$`)

// ServeDirectory is a handler for what a [NewDirectory] store published: images
// only, by their whole path, whatever prefix stands before it; no index, no manifest.
func ServeDirectory(dir string, allow []string, logged func(r *http.Request, bytes int64)) http.Handler {
	return allowList(allow, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := publishedPath.FindStringSubmatch(r.URL.Path)
		if m == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.NotFound(w, r)
			return
		}
		f, err := os.Open(filepath.Join(dir, m[1], m[2]))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() {
			http.NotFound(w, r)
			return
		}
		header(w, m[1]) // the token changes with the content
		cw := &countingWriter{ResponseWriter: w}
		http.ServeContent(cw, r, "", info.ModTime(), f)
		if logged != nil {
			logged(r, cw.n)
		}
	}))
}

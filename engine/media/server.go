package media

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Two servers share one handler: that of a run, which serves what the run publishes, and that
// of esxiplan serve, which serves what runs publish into a folder.

// Server serves the images of a plan from this process: each is its source with a few
// KB laid over it. Those few KB are kept in the state folder, so that a later process serves
// the images again, under the same URLs, until they are removed.
type Server struct {
	*Library
	images    *handler
	endpoints *endpoints
}

// ServerOptions say how a [Server] is reached and by whom.
type ServerOptions struct {
	Options
	Sockets
	URL   string   // how BMCs reach it; "": http, our address on the way to each BMC
	Allow []string // who may read, besides this machine's own addresses; see [CheckAllowed]; empty: every client
	State string   // folder for manifest, overlays and what was read
	Probe DialFunc // how our address on the way to a BMC is found; nil: by a UDP socket
	Bounds
	// DryRun names the addresses at which a real run would listen. URLs are then made
	// from them, this process reaches them at the sockets, and nothing is written down.
	DryRun *Addresses
}

// NewServer starts serving on the listeners, also what earlier processes published and
// no process removed.
func NewServer(o ServerOptions) (*Server, error) {
	if o.URL != "" {
		if err := checkBaseURL(o.URL); err != nil {
			return nil, err
		}
	}
	if len(o.Allow) == 0 {
		o.Allow = []string{Anybody}
	}
	m := manifest{o.State, o.Plan, &entries{}}
	images := &handler{dir: o.State, manifest: m, bounds: o.Bounds, allowed: newAllowList(o.Allow...), widen: "media.allow",
		now: o.Now, readOnly: o.DryRun != nil, door: doorkeeper{offline: o.Dial != nil}}
	shelf := &serverShelf{directoryShelf: directoryShelf{dir: o.State, overlays: true, manifest: m}, images: images,
		url0: strings.TrimSuffix(o.URL, "/"), sockets: o.Sockets, announced: o.DryRun, probe: o.Probe}
	library := newLibrary(shelf, m, o.Options)
	if o.DryRun != nil {
		library.client = newFetcher(shelf.dial(o.Dial))
	}
	images.begin()
	return &Server{library, images, o.start(images)}, nil
}

// ServeHTTP serves one image; there is no index and no other path.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.images.ServeHTTP(w, r) }

// Close ends the server: reads under way get a moment to finish, and what was read is
// written down. The images stay for the next process.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), s.images.bounds.End/2)
	defer cancel()
	s.endpoints.Close(ctx)
	s.images.end()
	s.Library.Close()
}

// DirectoryServer serves what a [NewDirectory] store published, so that no other web
// server is needed.
type DirectoryServer struct {
	*handler
	*endpoints
}

// DirectoryServerOptions say how a [DirectoryServer] is reached and by whom.
type DirectoryServerOptions struct {
	Sockets
	Dir   string
	Allow []string         // who may read besides a host's own BMC; see [CheckAllowed]
	Now   func() time.Time // the clock of the runs that ask what was read; nil: the real one
	Every time.Duration    // how often counts are written down; 0: every second
	Log   func(Served)
	// Simulated BMCs have addresses of their own, so that no name is looked up.
	Simulated bool
	Bounds
}

// ServeDirectory starts serving.
func ServeDirectory(o DirectoryServerOptions) *DirectoryServer {
	s := &handler{dir: o.Dir, manifest: manifest{dir: manifestFolder(o.Dir)}, bounds: o.Bounds, name: serverName(o.Sockets),
		allowed: newAllowList(o.Allow...), widen: "--allow", now: o.Now, every: o.Every, teller: teller{log: o.Log}, door: doorkeeper{offline: o.Simulated}}
	s.begin()
	return &DirectoryServer{s, o.start(s)}
}

// CheckReadable reports why what was published in a folder could not be served by
// this user: manifest and overlays are for the user who publishes.
func CheckReadable(dir string) error {
	manifests := manifestFolder(dir)
	info, err := os.Lstat(manifests)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // nothing was published yet
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is not a directory: the manifests of what is served must be in it, and not where a link leads", manifests)
	}
	files, err := os.ReadDir(manifests)
	for _, f := range files {
		if err == nil && f.Type().IsRegular() {
			_, err = readRegular(filepath.Join(manifests, f.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("what was published cannot be served: %w; run as the user who publishes", err)
	}
	return nil
}

// Failed receives the error that ended serving by itself.
func (s *DirectoryServer) Failed() <-chan error { return s.failed }

// Close ends serving. Answers under way may continue until the context ends, and not longer
// than the bounds say.
func (s *DirectoryServer) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.bounds.End)
	defer cancel()
	s.endpoints.Close(ctx)
	s.end()
}

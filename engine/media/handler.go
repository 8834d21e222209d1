package media

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"esxiplan/engine/descriptor"
	"esxiplan/engine/media/iso"
)

// handler is what both servers share: it answers requests for what a folder and its manifest
// hold, whole files and overlays: images only, by their whole path, whatever prefix
// precedes it; no index, no manifest. An image is for its host's BMC, this machine, and the
// clients of the allow-list. What was read of each is noted next to the manifest, where every
// process finds it.
type handler struct {
	dir      string
	manifest manifest
	name     string    // under which it notes what is read, "" in a folder that only one server has
	process  string    // a new one for each process
	allowed  allowList // besides a host's own BMC
	widen    string    // what widens the allow-list, for messages
	door     doorkeeper
	now      func() time.Time
	every    time.Duration // how often counts are written down
	readOnly bool          // nothing is written down
	bounds   Bounds
	clients  *connections
	teller

	mu     sync.Mutex
	items  map[string]*item      // by path below dir
	bases  map[string]*Installer // by path
	silent bool                  // what was read could not be noted, and that was logged
	early  chan struct{}         // counts are to be written down at once
	quit   chan struct{}
	ended  sync.WaitGroup

	requests
}

// item is a served image with what it was made from.
type item struct {
	content
	owner
	token  string
	name   string    // of its file, without the ending
	stamp  time.Time // of the overlay's file
	path   string    // below the folder
	logged Reads     // what was logged
}

// owner is whose image it is.
type owner struct {
	host  string
	bmc   string
	allow allowList // the BMC
	notes manifest  // of the host's plan
}

var publishedPath = regexp.MustCompile(`^(?:.*)/([0-9a-f]{32})/([A-Za-z0-9._-]+)\.iso$`)

// ServeHTTP serves one image.
func (s *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter(s.bounds.Connections) {
		unavailable(w, errBusy)
		return
	}
	defer s.leave()
	err := errNoImage
	var i *item
	if m := publishedPath.FindStringSubmatch(r.URL.Path); m != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		i, err = s.item(m[1], m[2])
	}
	if err != nil {
		s.tell(Served{Client: clientOf(r), Path: r.URL.Path, Refused: err.Error()})
		w.Header().Set("Connection", "close") // other clients may have its place
		unavailable(w, err)
		return
	}
	s.mu.Lock()
	bmc, allow, image := i.bmc, i.allow, i.content // as they are now: the manifest may come later
	s.mu.Unlock()
	if !s.door.admits(r, allow, s.allowed) { // its own BMC first: others may have names to look up
		s.tell(Served{Client: clientOf(r), Path: r.URL.Path, Refused: "the client is not the BMC of this host (" + bmc + "); " + s.widen + " adds others"})
		w.Header().Set("Connection", "close")
		http.Error(w, "not allowed", http.StatusForbidden)
		return
	}
	if r.UserAgent() == userAgent { // a build fetches its image back: so it comes through this server
		image.count.mark()
	} else {
		image.count.identify(clientOf(r), s.door.relation(r, allow))
	}
	s.clients.know(r)
	image.serve(w, r)
}

// unavailable answers that an image cannot be served: for now, where that is the fault of this
// machine, else for good.
func unavailable(w http.ResponseWriter, err error) {
	if descriptor.Exhausted(err) || errors.Is(err, errBusy) {
		w.Header().Set("Retry-After", "2")
		http.Error(w, "this server cannot serve more for now", http.StatusServiceUnavailable)
		return
	}
	http.Error(w, "there is no such image", http.StatusNotFound)
}

// requests are those under way. Their lock is held for no other work, because every request
// takes it.
type requests struct {
	entry  sync.Mutex
	closed bool           // no further request is served
	open   int            // how many are under way
	busy   sync.WaitGroup // them
}

// enter admits a request unless the server is ending, or has too many.
func (r *requests) enter(most int) bool {
	r.entry.Lock()
	defer r.entry.Unlock()
	if r.closed || r.open >= most {
		return false
	}
	r.busy.Add(1)
	r.open++
	return true
}

func (r *requests) leave() {
	r.entry.Lock()
	r.open--
	r.entry.Unlock()
	r.busy.Done()
}

// end admits no more requests, and returns a channel that closes when the last one has ended.
func (r *requests) end() (idle <-chan struct{}) {
	r.entry.Lock()
	r.closed = true
	r.entry.Unlock()
	done := make(chan struct{})
	go func() { r.busy.Wait(); close(done) }()
	return done
}

var (
	errNoImage = errors.New("there is no such image")
	errBusy    = errors.New("the server ends, or has as many requests as it takes")
)

// file is the place of an image, or next to which its overlay is.
func (s *handler) file(token, name string) string {
	return filepath.Join(s.dir, token, name+".iso")
}

// stat finds the file of an image: its overlay, or the whole of it (overlay is "", else a name
// below the folder).
func (s *handler) stat(token, name string) (overlay string, info os.FileInfo, err error) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return "", nil, err
	}
	defer root.Close()
	image := filepath.Join(token, name+".iso")
	overlay = overlayOf(image)
	if info, err = lstatRegular(root, overlay); errors.Is(err, fs.ErrNotExist) {
		overlay = ""
		info, err = lstatRegular(root, image)
	}
	return overlay, info, err
}

// item finds an image: a whole file, or an overlay that is laid over its base. What was
// read of it counts further when its file was rewritten.
func (s *handler) item(token, name string) (*item, error) {
	file := s.file(token, name)
	overlay, info, err := s.stat(token, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errNoImage
	case err != nil:
		return nil, fmt.Errorf("what is there cannot be served: %w", err)
	}
	s.mu.Lock()
	i, ok := s.items[file]
	s.mu.Unlock()
	if ok && i.is(overlay, info) { // looked at without the lock, for which others wait
		return i, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok = s.items[file]; ok && i.is(overlay, info) {
		return i, nil
	}
	next := &item{token: token, name: name, path: token + "/" + name + ".iso", stamp: info.ModTime(),
		content: content{file: file, digest: token, modified: info.ModTime()}}
	next.open = func() (*os.File, error) { return openBelow(s.dir, filepath.FromSlash(next.path)) }
	if ok {
		next.count, next.owner, next.logged = i.count, i.owner, i.logged
	} else {
		next.count = newCounter(s.now, s.hurry)
	}
	if err := s.introduce(next, name); err != nil && (!ok || descriptor.Exhausted(err)) {
		return nil, err
	}
	if overlay != "" {
		if err := s.restore(next, overlay); err != nil {
			return nil, err
		}
	}
	s.items[file] = next
	return next, nil
}

// is reports whether the item is what was found in the folder.
func (i *item) is(overlay string, info os.FileInfo) bool {
	return i.stamp.Equal(info.ModTime()) && (overlay == "") == (i.image == nil) && !i.outdated()
}

// outdated reports whether the file over which an image was laid is no longer what it was.
func (i *item) outdated() bool {
	if i.image == nil {
		return false
	}
	now, err := os.Stat(i.file)
	return err != nil || !sameFile(now, i.stat)
}

// introduce looks up whose image it is: what no manifest names is not served. One that was
// known may be between two manifests.
func (s *handler) introduce(i *item, name string) error {
	e, notes, err := s.manifest.byToken(i.token, name)
	if err != nil {
		return err
	}
	known := i.host != ""
	i.owner, i.digest = owner{e.Host, e.BMC, newAllowList(e.BMC), notes}, e.SHA256
	i.count.know(e.Landmarks)
	if known {
		return nil
	}
	if n, ok := readNote(notes.readsPath(e.Host, s.name), e); ok {
		i.count.resume(n.Reads)
		i.logged = n.Reads
	}
	return nil
}

func (s *handler) restore(i *item, overlay string) error {
	image, source, err := restore(s.dir, overlay, s.base)
	if err != nil {
		return err
	}
	i.image, i.file, i.stat = image, source.path, source.stat
	i.open = func() (*os.File, error) { return openRegular(source.path) }
	return nil
}

// base opens the image over which an overlay was laid, once for all. One that was
// replaced meanwhile is closed: a client that still reads it gets an error.
func (s *handler) base(b base) (*Installer, error) {
	if i, ok := s.bases[b.Path]; ok {
		if !i.Changed() && b.is(i.stat) {
			return i, nil
		}
		i.Close()
		delete(s.bases, b.Path)
	}
	i, err := OpenInstaller(b.Path, iso.Identity(b.SHA256))
	if err != nil {
		return nil, err
	}
	if !b.is(i.stat) {
		i.Close()
		return nil, fmt.Errorf("%s is no longer the file over which this image was laid: run build_iso again", b.Path)
	}
	s.bases[b.Path] = i
	return i, nil
}

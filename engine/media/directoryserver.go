package media

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"esxiplan/engine/media/iso"
)

// DirectoryServer serves what a [NewDirectory] store published, so that no other web
// server is needed: images only, by their whole path, whatever prefix stands before it;
// no index, no manifest. An image is for its host's BMC, this machine, and whom the
// allow-list adds. What was read of each is noted in the manifest, where every run finds it.
type DirectoryServer struct {
	dir      string
	manifest manifest
	allowed  []string // beside a host's own BMC
	allow    allowList
	log      func(Served)

	mu     sync.Mutex
	items  map[string]*item      // by path below dir
	bases  map[string]*Installer // by path
	silent bool                  // what was read could not be noted, and that was told
	quit   chan struct{}
	ended  sync.WaitGroup

	*endpoints
}

// Served is what one client read of an image within a second, or a request that
// was refused.
type Served struct {
	Client, Path    string
	Requests, Bytes int64
	Refused         string // why, "" for what was served
}

// item is a served image with what it was made from.
type item struct {
	content
	host  string // "" as long as no entry of the manifest is known
	bmc   string
	notes manifest // of the host's plan
	token string
	stamp time.Time // of the overlay's file
	path  string    // below the folder
	told  Reads     // what the log knows
}

// DirectoryServerOptions say how a [DirectoryServer] is reached and by whom.
type DirectoryServerOptions struct {
	Sockets
	Dir   string
	Allow []string // who may read beside a host's own BMC; see [CheckAllowed]
	Log   func(Served)
}

// flushEvery is how often counts are written down.
const flushEvery = time.Second

// ServeDirectory starts serving.
func ServeDirectory(o DirectoryServerOptions) *DirectoryServer {
	s := &DirectoryServer{dir: o.Dir, manifest: manifest{dir: manifestFolder(o.Dir)}, allowed: o.Allow, log: o.Log,
		items: map[string]*item{}, bases: map[string]*Installer{}, quit: make(chan struct{})}
	if err := s.manifest.pulse(); err != nil {
		s.complain(err)
	}
	s.ended.Go(s.flushAlways)
	s.endpoints = o.start(s, troubles{o.Log})
	return s
}

// CheckReadable reports why what was published in a folder could not be served by
// this user: manifest and overlays are for the user who publishes.
func CheckReadable(dir string) error {
	files, err := os.ReadDir(manifestFolder(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was published yet
	}
	for _, f := range files {
		if err == nil && !f.IsDir() {
			_, err = os.ReadFile(filepath.Join(manifestFolder(dir), f.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("what was published cannot be served: %w; run as the user who publishes", err)
	}
	return nil
}

// troubles are connections that came to nothing, as log entries.
type troubles struct{ log func(Served) }

func (t troubles) Write(p []byte) (int, error) {
	if t.log != nil {
		t.log(Served{Refused: strings.TrimSpace(string(p))})
	}
	return len(p), nil
}

// Failed receives the error that ended serving by itself.
func (s *DirectoryServer) Failed() <-chan error { return s.failed }

// Close ends serving; reads under way may finish until the context ends.
func (s *DirectoryServer) Close(ctx context.Context) {
	s.endpoints.Close(ctx)
	close(s.quit)
	s.ended.Wait()
	for _, i := range s.bases {
		i.Close()
	}
}

func (s *DirectoryServer) flushAlways() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for pulsed := time.Now(); ; {
		select {
		case <-tick.C:
		case <-s.quit:
			s.flush()
			return
		}
		s.flush()
		if time.Since(pulsed) >= pulseEvery {
			pulsed = time.Now()
			if err := s.manifest.pulse(); err != nil {
				s.complain(err)
			}
		}
	}
}

// flush writes down and logs the counts that changed.
func (s *DirectoryServer) flush() {
	s.mu.Lock()
	items := slices.Collect(maps.Values(s.items))
	s.mu.Unlock()
	for _, i := range items {
		reads, changed := i.count.take()
		if !changed {
			continue
		}
		if n := reads.Count - i.told.Count; n > 0 || reads.Bytes > i.told.Bytes {
			s.tell(Served{Client: reads.By, Path: i.path, Requests: n, Bytes: reads.Bytes - i.told.Bytes})
		}
		i.told = reads
		if host, notes := s.hostOf(i); host != "" {
			if err := notes.note(host, noted{i.token, reads}); err != nil {
				i.count.mark() // once more
				s.complain(err)
			}
		}
	}
}

func (s *DirectoryServer) hostOf(i *item) (string, manifest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return i.host, i.notes
}

// complain tells once that nobody learns what is read.
func (s *DirectoryServer) complain(err error) {
	s.mu.Lock()
	told := s.silent
	s.silent = true
	s.mu.Unlock()
	if !told {
		s.tell(Served{Refused: fmt.Sprintf("what is read cannot be noted, so runs will not know it: %v", err)})
	}
}

func (s *DirectoryServer) tell(e Served) {
	if s.log != nil {
		s.log(e)
	}
}

var publishedPath = regexp.MustCompile(`^(?:.*)/([0-9a-f]{32})/([A-Za-z0-9._-]+)\.iso$`)

// ServeHTTP serves one image.
func (s *DirectoryServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := fmt.Errorf("there is no such image")
	var i *item
	if m := publishedPath.FindStringSubmatch(r.URL.Path); m != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		i, err = s.item(m[1], m[2])
	}
	if err != nil {
		s.tell(Served{Client: clientOf(r), Path: r.URL.Path, Refused: err.Error()})
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	bmc, image := i.bmc, i.content // as they are now: the manifest may come later
	s.mu.Unlock()
	if names := append([]string{bmc}, s.allowed...); !s.allow.allows(r, names) {
		s.tell(Served{Client: clientOf(r), Path: r.URL.Path, Refused: "the client is not the BMC of this host (" + bmc + "); --allow adds others"})
		http.Error(w, "not allowed", http.StatusForbidden)
		return
	}
	if r.UserAgent() == userAgent { // a build fetches its image back: so it comes through this server
		image.count.mark()
	}
	image.serve(w, r)
}

// item finds an image: a whole file, or an overlay that is laid over its base.
func (s *DirectoryServer) item(token, name string) (*item, error) {
	file := filepath.Join(s.dir, token, name+".iso")
	overlay := overlayOf(file)
	info, err := os.Stat(overlay)
	if err != nil {
		overlay = ""
		info, err = os.Stat(file)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.items[file]
	if err != nil {
		delete(s.items, file)
		return nil, fmt.Errorf("there is no such image")
	}
	if !ok || !i.stamp.Equal(info.ModTime()) || (overlay == "") != (i.image == nil) {
		i = &item{token: token, path: token + "/" + name + ".iso", stamp: info.ModTime(), content: content{file: file, digest: token, modified: info.ModTime(), count: &counter{}}}
		if overlay != "" {
			if err := s.restore(i, overlay); err != nil {
				return nil, err
			}
		}
		s.items[file] = i
	}
	if i.host == "" {
		s.introduce(i, name)
	}
	return i, nil
}

// introduce looks up whose image it is: an image may be asked for before its build
// has written the manifest.
func (s *DirectoryServer) introduce(i *item, name string) {
	e, notes, ok := s.manifest.byToken(i.token, name)
	if !ok {
		return
	}
	i.host, i.bmc, i.notes, i.digest = e.Host, e.BMC, notes, e.SHA256
	if reads, known := notes.reads(e); known {
		i.count.resume(reads)
		i.told = reads
	}
}

func (s *DirectoryServer) restore(i *item, overlay string) error {
	image, source, err := restore(overlay, s.base)
	if err != nil {
		return err
	}
	i.image, i.file, i.stat = image, source.path, source.stat
	return nil
}

// base opens the image over which an overlay was laid, once for all. One that was
// replaced meanwhile is closed: whoever still reads it is told.
func (s *DirectoryServer) base(b base) (*Installer, error) {
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

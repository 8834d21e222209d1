package media

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"esxiplan/engine/media/iso"
)

// DirectoryServer serves what a [NewDirectory] store published, so that no other web
// server is needed: images only, by their whole path, whatever prefix stands before it;
// no index, no manifest. It notes what was read of each image in the manifest, where
// every run finds it.
type DirectoryServer struct {
	dir      string
	manifest manifest
	allow    allowList
	log      func(Served)
	sources  *sources

	mu    sync.Mutex
	items map[string]*item // by path below dir
	quit  chan struct{}
	ended sync.WaitGroup

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
	host  string
	token string
	stamp time.Time // of the overlay's file
	path  string    // below the folder
	told  Reads     // what the log knows
}

// DirectoryServerOptions say how a [DirectoryServer] is reached and by whom.
type DirectoryServerOptions struct {
	Sockets
	Dir   string
	Allow []string // addresses that may read; empty: the BMCs of the hosts whose images are there
	Log   func(Served)
}

// flushEvery is how often counts are written down.
const flushEvery = time.Second

// ServeDirectory starts serving.
func ServeDirectory(o DirectoryServerOptions) *DirectoryServer {
	s := &DirectoryServer{dir: o.Dir, manifest: manifestIn(o.Dir), log: o.Log, items: map[string]*item{}, quit: make(chan struct{}),
		sources: &sources{open: map[string]*sourceEntry{}}}
	s.allow.names = func() []string {
		if len(o.Allow) > 0 {
			return o.Allow
		}
		var bmcs []string
		for _, e := range s.manifest.all() {
			bmcs = append(bmcs, e.BMC)
		}
		return bmcs
	}
	s.ended.Go(s.flushAlways)
	s.endpoints = o.start(s, troubles{o.Log})
	return s
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
	s.sources.close()
}

func (s *DirectoryServer) flushAlways() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.flush()
		case <-s.quit:
			s.flush()
			return
		}
	}
}

// flush writes down and logs the counts that changed. A folder that cannot be written
// to is served all the same; then no other process learns what was read.
func (s *DirectoryServer) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.items {
		reads, changed := i.count.take()
		if !changed {
			continue
		}
		if n := reads.Count - i.told.Count; n > 0 || reads.Bytes > i.told.Bytes {
			s.tell(Served{Client: reads.By, Path: i.path, Requests: n, Bytes: reads.Bytes - i.told.Bytes})
		}
		i.told = reads
		if e, ok := s.manifest.read(i.host); ok && e.Token == i.token {
			s.manifest.note(i.host, noted{i.token, reads})
		}
	}
}

func (s *DirectoryServer) tell(e Served) {
	if s.log != nil {
		s.log(e)
	}
}

var publishedPath = regexp.MustCompile(`^(?:/[A-Za-z0-9._-]+)*?/([0-9a-f]{32})/([A-Za-z0-9._-]+)\.iso$`)

// ServeHTTP serves one image.
func (s *DirectoryServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.allow.allows(r) {
		s.tell(Served{Client: clientOf(r), Path: r.URL.Path, Refused: "the client is no BMC of a published image; --allow adds addresses"})
		http.Error(w, "not allowed", http.StatusForbidden)
		return
	}
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
	if r.UserAgent() == userAgent { // a build fetches its image back: so it comes through this server
		i.count.mark()
	}
	i.serve(w, r)
}

// item finds an image: a whole file, or an overlay that is laid over its base.
func (s *DirectoryServer) item(token, name string) (*item, error) {
	file := filepath.Join(s.dir, token, name+".iso")
	overlay := overlayOf(file)
	info, err := os.Stat(overlay)
	if err != nil {
		if info, err = os.Stat(file); err != nil {
			return nil, fmt.Errorf("there is no such image")
		}
		overlay = ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.items[file]; ok && i.stamp.Equal(info.ModTime()) && (overlay == "") == (i.image == nil) {
		return i, nil
	}
	i := &item{token: token, path: token + "/" + name + ".iso", stamp: info.ModTime(), content: content{file: file, digest: token, modified: info.ModTime(), count: &counter{}}}
	if e, ok := readEntry(filepath.Join(s.manifest.dir, name+".json")); ok && e.Token == token {
		i.host, i.digest = e.Host, e.SHA256
		i.count.reads, _ = s.manifest.reads(e)
		i.told = i.count.reads
	}
	if overlay != "" {
		if err := s.restore(i, overlay); err != nil {
			return nil, err
		}
	}
	s.items[file] = i
	return i, nil
}

func (s *DirectoryServer) restore(i *item, overlay string) error {
	image, source, err := restore(overlay, s.base)
	if err != nil {
		return err
	}
	i.image, i.file, i.stat = image, source.path, source.stat
	return nil
}

// base opens the image over which an overlay was laid, once for all.
func (s *DirectoryServer) base(b base) (*Installer, error) {
	s.sources.mu.Lock()
	defer s.sources.mu.Unlock()
	key := b.Path + b.SHA256
	if e, ok := s.sources.open[key]; ok && !e.installer.Changed() {
		return e.installer, nil
	}
	i, err := OpenInstaller(b.Path, iso.Identity(b.SHA256))
	if err != nil {
		return nil, err
	}
	if i.stat.Size() != b.Size || !i.stat.ModTime().Equal(b.Modified) {
		i.Close()
		return nil, fmt.Errorf("%s is no longer the image from which this one was made: run build_iso again", b.Path)
	}
	s.sources.open[key] = &sourceEntry{installer: i}
	return i, nil
}

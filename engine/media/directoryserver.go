package media

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// DirectoryServer serves what a [NewDirectory] store published, so that no other web
// server is needed.
type DirectoryServer struct {
	*imageServer
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
}

// ServeDirectory starts serving.
func ServeDirectory(o DirectoryServerOptions) *DirectoryServer {
	s := &imageServer{dir: o.Dir, manifest: manifest{dir: manifestFolder(o.Dir)}, name: serverName(o.Sockets), allowed: newAllowList(o.Allow...), widen: "--allow", now: o.Now, every: o.Every, log: o.Log}
	s.begin()
	return &DirectoryServer{s, o.start(s, troubles{o.Log})}
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
	s.end()
}

package media

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"esxiplan/engine/descriptor"
	"esxiplan/engine/media/iso"
)

// sources opens installer images, each once per process.
type sources struct {
	dir          string            // where relative paths start
	placeholders map[string]string // images to use instead of others
	cache        string            // folder for checksums, "" without
	confined     func(path string) (*os.File, error)

	mu   sync.Mutex
	open map[string]*sourceEntry // by path
}

// sourceEntry is what is known of a source: the installer, or why its file is not one.
type sourceEntry struct {
	mu        sync.Mutex
	installer *Installer
	digest    string
	err       error
	judged    os.FileInfo // the file of which err was found
}

// get opens a source, checks it once, and refuses it when the file changed since.
func (s *sources) get(src Source) (*sourceEntry, error) {
	src = s.located(src)
	s.mu.Lock()
	e, ok := s.open[src.Path]
	if !ok {
		e = &sourceEntry{}
		s.open[src.Path] = e
	}
	s.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.installer == nil {
		if err := e.open(s, src); err != nil {
			return nil, err
		}
	}
	if e.installer.Changed() {
		return nil, fmt.Errorf("installer image %s was changed or replaced while the run used it; start again", src.Path)
	}
	return e, nil
}

// open reads the source. A failure holds for all hosts only if the same file would fail
// again: a file that could not be opened for one host may exist for the next.
func (e *sourceEntry) open(s *sources, src Source) error {
	now, err := os.Stat(src.Path)
	if err == nil && e.err != nil && sameFile(now, e.judged) {
		return e.err
	}
	e.err = nil
	i, digest, failed := s.read(src)
	var trouble *os.PathError
	switch {
	case failed == nil:
		e.installer, e.digest = i, digest
	case err == nil && !errors.As(failed, &trouble):
		e.err, e.judged = failed, now
	}
	return failed
}

func (s *sources) located(src Source) Source {
	if placeholder, ok := s.placeholders[src.Path]; ok {
		src.Path, src.SHA256 = placeholder, ""
	} else if !filepath.IsAbs(src.Path) {
		src.Path = filepath.Join(s.dir, src.Path)
	}
	return src
}

// file opens a source where it is located.
func (s *sources) file(path string) (*os.File, error) {
	if s.confined == nil || slices.Contains(slices.Collect(maps.Values(s.placeholders)), path) {
		return openRegular(path)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return s.confined(absolute)
}

func (s *sources) read(src Source) (*Installer, string, error) {
	want := checksum(src.SHA256)
	if b, err := hex.DecodeString(want); want != "" && (err != nil || len(b) != sha256.Size) {
		return nil, "", fmt.Errorf("image.%s.sha256 %q is not a SHA-256 checksum, which has 64 hexadecimal digits", src.Name, src.SHA256)
	}
	file, err := s.file(src.Path)
	if descriptor.Exhausted(err) {
		return nil, "", fmt.Errorf("cannot read the installer image: %w", err)
	}
	if err != nil {
		return nil, "", &errNoSource{err}
	}
	digest, err := s.digest(file, src.Path)
	if err == nil && want != "" && want != digest {
		err = fmt.Errorf("it has SHA-256 %s, but the plan demands %s: fetch it again, or correct image.%s.sha256", digest, want, src.Name)
	}
	var i *Installer
	if err == nil {
		i, err = newInstaller(file, src.Path, []iso.Option{iso.Identity(digest)})
	}
	if err != nil {
		file.Close()
		return nil, "", fmt.Errorf("installer image %s: %w", src.Path, err)
	}
	return i, digest, nil
}

// checksum is a checksum as a plan gives it, in hexadecimal.
func checksum(text string) string { return strings.ToLower(strings.TrimPrefix(text, "sha256:")) }

// errNoSource is an installer image that cannot be opened here. What was made from it
// may still be judged by the manifest.
type errNoSource struct{ err error }

func (e *errNoSource) Error() string { return "cannot read the installer image: " + e.err.Error() }
func (e *errNoSource) Unwrap() error { return e.err }

// known is a checksum as it is kept: it holds for the file as long as device,
// inode, size and time of change are the same.
type known struct {
	Path     string    `json:"path"`
	Device   uint64    `json:"device"`
	Inode    uint64    `json:"inode"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	SHA256   string    `json:"sha256"`
}

// digest is the file's SHA-256: reading 600 MB takes about a second, so it is kept.
func (s *sources) digest(f *os.File, path string) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	now := known{Path: path, Size: info.Size(), Modified: info.ModTime().UTC()}
	now.Device, now.Inode = identityOf(info)
	file := s.cacheFile(path)
	var kept known
	if b, err := readRegular(file); err == nil && json.Unmarshal(b, &kept) == nil && len(kept.SHA256) == 64 {
		now.SHA256 = kept.SHA256
		if now == kept {
			return kept.SHA256, nil
		}
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, info.Size())); err != nil {
		return "", err
	}
	if after, err := f.Stat(); err != nil || !sameFile(after, info) {
		return "", errors.Join(err, fmt.Errorf("%w: it is still being written; start again when it is whole", iso.ErrChanged))
	}
	now.SHA256 = hex.EncodeToString(h.Sum(nil))
	s.keep(file, now)
	return now.SHA256, nil
}

func (s *sources) cacheFile(path string) string {
	if s.cache == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(s.cache, "sources", hex.EncodeToString(sum[:8])+".json")
}

// keep writes a checksum down; it ignores errors. A file that changed a moment ago may
// change again without its time showing it.
func (s *sources) keep(file string, k known) {
	if file == "" || k.Inode == 0 || time.Since(k.Modified) < 2*time.Second {
		return
	}
	if _, err := os.Stat(s.cache); err != nil {
		return
	}
	if makeFolder(filepath.Dir(file), 0o700) == nil {
		writeJSON(file, k)
	}
}

func (s *sources) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.open {
		if e.installer != nil {
			e.installer.Close()
		}
	}
	s.open = map[string]*sourceEntry{}
}

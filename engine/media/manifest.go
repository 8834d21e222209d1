package media

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// manifestSchema is the version of the manifest's form.
const manifestSchema = 2

// entry is the manifest of one host's image. It holds no secret, but it names the
// unguessable URL: mode 0600.
type entry struct {
	Schema          int       `json:"schema"`
	Plan            string    `json:"plan"`
	Host            string    `json:"host"`
	BMC             string    `json:"bmc"`
	Inputs          string    `json:"inputs"` // digest of all that the image is made from, the salt included
	Token           string    `json:"token"`
	Salt            string    `json:"salt"`
	URL             string    `json:"url"`
	HTTPSURL        string    `json:"https_url,omitempty"`
	Size            int64     `json:"size"`
	SHA256          string    `json:"sha256"`
	KickstartSHA256 string    `json:"kickstart_sha256"`
	Version         string    `json:"version"`
	Build           string    `json:"build"`
	Built           time.Time `json:"built"`
	Base            base      `json:"base"`
}

// base is the image over which a host's own was laid.
type base struct {
	Path     string    `json:"path"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	SHA256   string    `json:"sha256"`
}

func baseOf(i *Installer, digest string) base {
	path, err := filepath.Abs(i.path)
	if err != nil {
		path = i.path
	}
	return base{path, i.stat.Size(), i.stat.ModTime().UTC(), digest}
}

func (e entry) published() Published {
	return Published{URL: e.URL, HTTPSURL: e.HTTPSURL, Size: e.Size, SHA256: e.SHA256, KickstartSHA256: e.KickstartSHA256, Version: e.Version, Build: e.Build, Built: e.Built}
}

// file is the place of the image below the shelf's root.
func (e entry) file() string { return e.Token + "/" + fileName(e.Host) + ".iso" }

// manifest is a folder with a file per host.
type manifest struct{ dir string }

func (m manifest) path(host string) string { return filepath.Join(m.dir, fileName(host)+".json") }

func (m manifest) read(host string) (entry, bool) {
	e, ok := readEntry(m.path(host))
	return e, ok && e.Host == host
}

func readEntry(path string) (entry, bool) {
	var e entry
	b, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(b, &e) != nil || e.Schema != manifestSchema || len(e.Token) != 32 {
		return entry{}, false
	}
	return e, true
}

// all lists the entries that can be read.
func (m manifest) all() (out []entry) {
	files, _ := os.ReadDir(m.dir)
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".json") {
			continue
		}
		if e, ok := readEntry(filepath.Join(m.dir, f.Name())); ok {
			out = append(out, e)
		}
	}
	return out
}

func (m manifest) write(e entry) error {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return err
	}
	return writeJSON(m.path(e.Host), e)
}

// forget removes an entry and what is noted beside it.
func (m manifest) forget(e entry) error {
	for _, path := range []string{m.readsPath(e.Host), m.path(e.Host)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// readsPath is where a server that runs on its own notes what was read of a
// host's image.
func (m manifest) readsPath(host string) string {
	return filepath.Join(m.dir, "reads", fileName(host)+".json")
}

// noted is what was read of the image with one token.
type noted struct {
	Token string `json:"token"`
	Reads
}

func (m manifest) reads(e entry) (Reads, bool) {
	var n noted
	b, err := os.ReadFile(m.readsPath(e.Host))
	if err != nil || json.Unmarshal(b, &n) != nil || n.Token != e.Token {
		return Reads{}, false
	}
	return n.Reads, true
}

func (m manifest) note(host string, n noted) error {
	if err := os.MkdirAll(filepath.Dir(m.readsPath(host)), 0o700); err != nil {
		return err
	}
	return writeJSON(m.readsPath(host), n)
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeAtomic(path, 0o600, func(f *os.File) error {
		_, err := f.Write(append(b, '\n'))
		return err
	})
}

// writeAtomic writes a file under a temporary name, makes it durable and gives
// it its name last, so that nothing half-written ever has it.
func writeAtomic(path string, mode fs.FileMode, write func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".esxiplan-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err = errors.Join(write(f), f.Chmod(mode), f.Sync()); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

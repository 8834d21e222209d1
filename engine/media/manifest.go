package media

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"esxiplan/engine/descriptor"
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
	SHA256          string    `json:"sha256"` // digest of all that is on the medium: see [Published]
	KickstartSHA256 string    `json:"kickstart_sha256"`
	Contents        Contents  `json:"contents,omitzero"`
	Own             []ownPart `json:"own,omitempty"`
	Landmarks       landmarks `json:"landmarks,omitzero"`
	Version         string    `json:"version"`
	Build           string    `json:"build"`
	Disks           []string  `json:"disks,omitempty"`
	FirstBoot       bool      `json:"first_boot,omitempty"`
	DryRun          bool      `json:"dry_run,omitempty"`
	Built           time.Time `json:"built"`
	Base            base      `json:"base"`
}

// base is the image over which a host's own was laid: the file, as it was then.
type base struct {
	Path     string    `json:"path"`
	Device   uint64    `json:"device"`
	Inode    uint64    `json:"inode"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	SHA256   string    `json:"sha256"`
}

func baseOf(i *Installer, digest string) base {
	path, err := filepath.Abs(i.path)
	if err != nil {
		path = i.path
	}
	b := base{Path: path, Size: i.stat.Size(), Modified: i.stat.ModTime().UTC(), SHA256: digest}
	b.Device, b.Inode = identityOf(i.stat)
	return b
}

// is reports whether an opened file is the base.
func (b base) is(info os.FileInfo) bool {
	device, inode := identityOf(info)
	return device == b.Device && inode == b.Inode && info.Size() == b.Size && info.ModTime().Equal(b.Modified)
}

func (e entry) published() Published {
	return Published{URL: e.URL, HTTPSURL: e.HTTPSURL, Size: e.Size, Digest: e.SHA256, KickstartSHA256: e.KickstartSHA256, Contents: e.Contents,
		Version: e.Version, Build: e.Build, Disks: e.Disks, FirstBoot: e.FirstBoot, DryRun: e.DryRun, Built: e.Built}
}

// at reports whether a URL is that of the entry's image.
func (e entry) at(url string) bool { return e.published().At(url) }

// file is the place of the image below the shelf's root.
func (e entry) file() string { return e.Token + "/" + fileName(e.Host) + ".iso" }

// manifest is a folder with a file per host of a plan.
type manifest struct {
	dir, plan string
	known     *entries // nil: each look reads the file
}

// entries remembers what files of a manifest held, because a run reads them repeatedly. A
// file is only ever replaced as a whole, so its identity shows a change.
type entries struct {
	mu     sync.Mutex
	byPath map[string]remembered
}

type remembered struct {
	file os.FileInfo
	entry
}

// of returns what a file holds if it is still the file that was read.
func (k *entries) of(path string, now os.FileInfo) (entry, bool) {
	if k == nil {
		return entry{}, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.byPath[path]
	if !ok || !os.SameFile(r.file, now) || !r.file.ModTime().Equal(now.ModTime()) || r.file.Size() != now.Size() {
		return entry{}, false
	}
	return r.entry, true
}

func (k *entries) keep(path string, file os.FileInfo, e entry) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byPath == nil {
		k.byPath = map[string]remembered{}
	}
	k.byPath[path] = remembered{file, e}
}

func (m manifest) path(host string) string {
	return filepath.Join(m.dir, fileName(host)+"@"+fileName(m.plan)+".json")
}

// read is the entry of a host, if there is one that can be read.
func (m manifest) read(host string) (entry, bool) {
	e, ok, _ := m.find(host)
	return e, ok
}

// find is like read; its error says that this process could not look, not that no entry exists.
func (m manifest) find(host string) (e entry, ok bool, err error) {
	path := m.path(host)
	file, err := os.Stat(path) // before it is read: one that comes between is read again
	if err != nil {
		return entry{}, false, onlyExhausted(err)
	}
	if e, ok = m.known.of(path, file); !ok {
		if e, err = readEntry(path); err != nil {
			return entry{}, false, onlyExhausted(err)
		}
		m.known.keep(path, file, e)
	}
	return e, e.Host == host, nil
}

// onlyExhausted keeps only an error that is about this process, not about the file.
func onlyExhausted(err error) error {
	if descriptor.Exhausted(err) {
		return err
	}
	return nil
}

func readEntry(path string) (e entry, err error) {
	b, err := readRegular(path)
	if err != nil {
		return entry{}, err
	}
	if json.Unmarshal(b, &e) != nil || e.Schema != manifestSchema || !tokenPattern.MatchString(e.Token) { // which names a folder
		return entry{}, fmt.Errorf("%s is not a manifest that this version of esxiplan can read", path)
	}
	return e, nil
}

// all lists the entries of all plans. One that cannot be parsed is an error,
// because what it names may be in use.
func (m manifest) all() (out []entry, err error) {
	files, err := os.ReadDir(m.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".json") {
			continue
		}
		e, unreadable := readEntry(filepath.Join(m.dir, f.Name()))
		if unreadable != nil {
			err = fmt.Errorf("%s cannot be read, or is of another version of esxiplan, so its image may be in use; take it away by hand when it is not",
				filepath.Join(m.dir, f.Name()))
			continue
		}
		out = append(out, e)
	}
	return out, err
}

// errNotNamed is a file that no entry names.
var errNotNamed = errors.New("no manifest names this image")

// byToken finds whose image a path names, whatever the plan; else [errNotNamed], or why this
// process could not look.
func (m manifest) byToken(token, name string) (entry, manifest, error) {
	files, err := os.ReadDir(m.dir)
	if descriptor.Exhausted(err) {
		return entry{}, m, err
	}
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), name+"@") || !strings.HasSuffix(f.Name(), ".json") {
			continue
		}
		e, err := readEntry(filepath.Join(m.dir, f.Name()))
		switch {
		case descriptor.Exhausted(err):
			return entry{}, m, err
		case err == nil && e.Token == token && fileName(e.Host) == name:
			return e, manifest{dir: m.dir, plan: e.Plan}, nil
		}
	}
	return entry{}, m, errNotNamed
}

func (m manifest) write(e entry) error {
	if err := m.makeFolder(); err != nil {
		return err
	}
	return writeJSON(m.path(e.Host), e)
}

// makeFolder makes the folder of the manifest if it does not exist.
func (m manifest) makeFolder() error {
	if err := os.MkdirAll(filepath.Dir(m.dir), 0o700); err != nil {
		return err
	}
	return makeFolder(m.dir, 0o700)
}

// forget removes an entry and what is noted next to it.
func (m manifest) forget(e entry) error {
	for _, path := range append(m.notesOf(e.Host), m.path(e.Host)) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
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

// writeAtomic writes a file under a temporary name, makes it durable and renames it
// last, so that no half-written file ever has its name.
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
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes names durable, where folders can be synced at all.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil // a folder that can be written to but not listed
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	return nil
}

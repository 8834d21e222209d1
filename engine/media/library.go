package media

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Library is the [Store]: it makes images, remembers them in a manifest, and
// puts them on a shelf.
type Library struct {
	shelf    shelf
	manifest string // folder, one file per host
	now      func() time.Time
	client   *fetcher
	o        Options

	mu         sync.Mutex
	installers map[string]*installerEntry
	byURL      map[string]*Image
}

// shelf is where images stand: files in a folder, or the memory of a server.
type shelf interface {
	url(token, host, bmc string) (string, error)
	holds(e entry) bool
	put(e entry, image *Image) error
	remove(e entry) error
	reads(host string) (Reads, bool)
}

type installerEntry struct {
	once      sync.Once
	installer *Installer
	digest    string
	err       error
}

// entry is the manifest of one host's image. It is not a secret, but it names
// the unguessable URL: mode 0600.
type entry struct {
	Schema          int       `json:"schema"`
	Plan            string    `json:"plan"`
	Host            string    `json:"host"`
	Inputs          string    `json:"inputs"` // digest of all that the image is made from, the salt included
	Token           string    `json:"token"`
	Salt            string    `json:"salt"`
	URL             string    `json:"url"`
	Size            int64     `json:"size"`
	SHA256          string    `json:"sha256"`
	KickstartSHA256 string    `json:"kickstart_sha256"`
	Version         string    `json:"version"`
	Build           string    `json:"build"`
	Built           time.Time `json:"built"`
}

func (e entry) published(changed bool) Published {
	return Published{e.URL, e.Size, e.SHA256, e.KickstartSHA256, e.Version, e.Build, e.Built, changed}
}

// file is the place of the image below the shelf's root.
func (e entry) file() string { return e.Token + "/" + fileName(e.Host) + ".iso" }

// fileName makes a host's name fit for a path and an URL: BMCs reject ? & = and more.
func fileName(host string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, host)
}

func newLibrary(s shelf, manifest string, o Options) *Library {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Library{shelf: s, manifest: manifest, now: o.Now, client: newFetcher(o.Dial), o: o, installers: map[string]*installerEntry{}, byURL: map[string]*Image{}}
}

// Options are what both kinds of stores take.
type Options struct {
	Now  func() time.Time // the clock of the run; nil: the real one
	Dial DialFunc         // how Fetch reaches web servers; nil: as usual
	Dir  string           // where relative paths of sources start
	// StandIns are images to use in the place of others, by path: a rehearsal has
	// no vendor's image at hand. Checksums are not demanded of them.
	StandIns map[string]string
}

// NewDirectory publishes into dir, which a web server serves under baseURL.
func NewDirectory(dir, baseURL string, o Options) (*Library, error) {
	if err := checkBaseURL(baseURL); err != nil {
		return nil, err
	}
	return newLibrary(&directoryShelf{dir, strings.TrimSuffix(baseURL, "/")}, filepath.Join(dir, ".esxiplan"), o), nil
}

func checkBaseURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("media url %q must be http:// or https:// with a host and a path, without query and user: BMCs take nothing else", text)
	}
	return nil
}

// Close closes the source images.
func (l *Library) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.installers {
		if e.installer != nil {
			e.installer.Close()
		}
	}
	l.installers = map[string]*installerEntry{}
}

// open opens a source once per process, checks it once, and refuses it when the
// file changes underneath.
func (l *Library) open(s Source) (*installerEntry, error) {
	s = l.located(s)
	l.mu.Lock()
	e, ok := l.installers[s.Path]
	if !ok {
		e = &installerEntry{}
		l.installers[s.Path] = e
	}
	l.mu.Unlock()
	e.once.Do(func() { e.installer, e.digest, e.err = openSource(s) })
	if e.err != nil {
		return nil, e.err
	}
	if e.installer.Changed() {
		return nil, fmt.Errorf("installer image %s was changed or replaced while the run used it; start again", s.Path)
	}
	return e, nil
}

func (l *Library) located(s Source) Source {
	if standIn, ok := l.o.StandIns[s.Path]; ok {
		s.Path, s.SHA256 = standIn, ""
	} else if !filepath.IsAbs(s.Path) {
		s.Path = filepath.Join(l.o.Dir, s.Path)
	}
	return s
}

func openSource(s Source) (*Installer, string, error) {
	i, err := OpenInstaller(s.Path)
	if err != nil {
		return nil, "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(i.file, 0, i.Size())); err != nil {
		i.Close()
		return nil, "", fmt.Errorf("installer image %s: %w", s.Path, err)
	}
	digest := hex.EncodeToString(h.Sum(nil))
	if want := strings.ToLower(strings.TrimPrefix(s.SHA256, "sha256:")); want != "" && want != digest {
		i.Close()
		return nil, "", fmt.Errorf("installer image %s has SHA-256 %s, but the plan demands %s: fetch it again, or correct image.%s.sha256", s.Path, digest, want, s.Name)
	}
	return i, digest, nil
}

// Source implements [Reader].
func (l *Library) Source(_ context.Context, s Source) (version, build string, err error) {
	e, err := l.open(s)
	if err != nil {
		return "", "", err
	}
	return either(s.Version, e.installer.Version), either(s.Build, e.installer.Build), nil
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// inputs digests all that goes into an image; the password only together with
// the salt, through its slow hash.
func (r Request) inputs(sourceDigest, baseURL string) string {
	b, _ := json.Marshal([]any{1, r.Plan, r.Host, sourceDigest, r.Kickstart, r.Options, baseURL})
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// build makes the image with a given salt.
func (l *Library) build(r Request, salt string) (*installerEntry, entry, *Image, error) {
	source, err := l.open(r.Source)
	if err != nil {
		return nil, entry{}, nil, err
	}
	r.Kickstart.RootHash = CryptPassword(r.Password, salt)
	script, err := r.Kickstart.Render()
	if err != nil {
		return nil, entry{}, nil, err
	}
	image, err := source.installer.Personalise(script, r.Options)
	if err != nil {
		return nil, entry{}, nil, fmt.Errorf("installer image %s: %w", r.Source.Path, err)
	}
	base, err := l.shelf.url("", r.Host, r.BMC)
	if err != nil {
		return nil, entry{}, nil, err
	}
	sum := sha256.Sum256(script)
	return source, entry{
		Schema: 1, Plan: r.Plan, Host: r.Host, Inputs: r.inputs(source.digest, base), Salt: salt,
		Size: image.Size(), SHA256: image.Digest(source.digest), KickstartSHA256: hex.EncodeToString(sum[:]),
		Version: either(r.Source.Version, source.installer.Version), Build: either(r.Source.Build, source.installer.Build),
	}, image, nil
}

// same builds the image anew with the salt of the manifest and reports whether
// the manifest still describes it.
func (l *Library) same(r Request) (entry, *Image, bool, error) {
	old, ok := l.entryOf(r.Host)
	if !ok {
		return entry{}, nil, false, nil
	}
	_, e, image, err := l.build(r, old.Salt)
	if err != nil || e.Inputs != old.Inputs || e.SHA256 != old.SHA256 {
		return old, nil, false, err
	}
	return old, image, true, nil
}

// Published implements [Reader].
func (l *Library) Published(_ context.Context, r Request) (Published, bool, error) {
	e, image, ok, err := l.same(r)
	if !ok || err != nil || !l.shelf.holds(e) {
		return Published{}, false, err
	}
	l.remember(e.URL, image)
	return e.published(false), true, nil
}

// Latest implements [Reader].
func (l *Library) Latest(host string) (Published, bool) {
	e, ok := l.entryOf(host)
	return e.published(false), ok
}

// Publish implements [Store].
func (l *Library) Publish(ctx context.Context, r Request, record Record) (Published, error) {
	old, image, ok, err := l.same(r)
	if err != nil {
		return Published{}, err
	}
	e := old
	if !ok {
		if _, e, image, err = l.build(r, newSalt()); err != nil {
			return Published{}, err
		}
		e.Token, e.Built = newToken(), l.now().UTC().Truncate(time.Second)
		if e.URL, err = l.shelf.url(e.Token, e.Host, r.BMC); err != nil {
			return Published{}, err
		}
	} else if l.shelf.holds(e) {
		l.remember(e.URL, image)
		return e.published(false), nil
	}
	if err := record(ctx, Write{Action: "publish", Target: "image", Old: old.URL, New: e.URL}); err != nil {
		return Published{}, err
	}
	if err := l.replace(old, e, image); err != nil {
		return Published{}, err
	}
	l.remember(e.URL, image)
	return e.published(true), nil
}

// replace puts the new image, then the manifest, then takes the old image away:
// whatever is interrupted, the manifest names an image that is there.
func (l *Library) replace(old, e entry, image *Image) error {
	if err := l.shelf.put(e, image); err != nil {
		return fmt.Errorf("publish the image of %s: %w", e.Host, err)
	}
	if err := l.save(e); err != nil {
		return fmt.Errorf("write the manifest of %s: %w", e.Host, err)
	}
	if old.Token != "" && old.Token != e.Token {
		return l.shelf.remove(old)
	}
	return nil
}

func (l *Library) remember(url string, image *Image) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byURL[url] = image
}

// Remove implements [Store].
func (l *Library) Remove(_ context.Context, host string) error {
	e, ok := l.entryOf(host)
	if !ok {
		return nil
	}
	return l.shelf.remove(e)
}

// Reads implements [Reader].
func (l *Library) Reads(host string) (Reads, bool) { return l.shelf.reads(host) }

// Fetch implements [Reader].
func (l *Library) Fetch(ctx context.Context, url string) error {
	l.mu.Lock()
	image := l.byURL[url]
	l.mu.Unlock()
	return l.client.fetch(ctx, url, image)
}

func (l *Library) entryFile(host string) string {
	return filepath.Join(l.manifest, fileName(host)+".json")
}

func (l *Library) entryOf(host string) (entry, bool) {
	var e entry
	b, err := os.ReadFile(l.entryFile(host))
	if err != nil || json.Unmarshal(b, &e) != nil || e.Host != host || e.Schema != 1 || len(e.Token) != 32 {
		return entry{}, false
	}
	return e, true
}

func (l *Library) save(e entry) error {
	if err := os.MkdirAll(l.manifest, 0o700); err != nil {
		return err
	}
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	return writeAtomic(l.entryFile(e.Host), 0o600, func(f *os.File) error {
		_, err := io.Copy(f, bytes.NewReader(append(b, '\n')))
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

// directoryShelf publishes files for a web server.
type directoryShelf struct{ dir, baseURL string }

func (d *directoryShelf) url(token, host, _ string) (string, error) {
	return d.baseURL + "/" + token + "/" + fileName(host) + ".iso", nil
}

func (d *directoryShelf) holds(e entry) bool {
	info, err := os.Stat(filepath.Join(d.dir, e.file()))
	return err == nil && info.Size() == e.Size
}

// put copies the source (the kernel clones or copies the blocks where the file
// system can) and writes the changed bytes over the copy. Folders can be passed
// through but not listed by the web server's user.
func (d *directoryShelf) put(e entry, image *Image) error {
	path := filepath.Join(d.dir, e.file())
	if err := os.MkdirAll(d.dir, 0o711); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return err
	}
	err := writeAtomic(path, 0o644, image.writeTo)
	if err != nil {
		os.Remove(filepath.Dir(path))
	}
	return err
}

func (d *directoryShelf) remove(e entry) error {
	path := filepath.Join(d.dir, e.file())
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	os.Remove(filepath.Dir(path))
	return nil
}

func (d *directoryShelf) reads(string) (Reads, bool) { return Reads{}, false }

// writeTo materialises the image in an empty file.
func (i *Image) writeTo(f *os.File) error {
	if err := copyBase(f, i.base); err != nil {
		return err
	}
	if err := f.Truncate(i.size); err != nil {
		return err
	}
	for _, c := range i.chunks {
		if _, err := f.WriteAt(c.data, c.off); err != nil {
			return err
		}
	}
	return nil
}

// copyBase copies from the source's file, by a descriptor of its own because
// the copy needs a file position.
func copyBase(to *os.File, b *Base) error {
	named, ok := b.r.(*os.File)
	if !ok {
		_, err := io.Copy(to, io.NewSectionReader(b.r, 0, b.size))
		return err
	}
	from, err := os.Open(named.Name())
	if err != nil {
		return err
	}
	defer from.Close()
	n, err := io.Copy(to, from)
	if err == nil && n != b.size {
		err = fmt.Errorf("the source image changed while it was copied: %d bytes instead of %d", n, b.size)
	}
	return err
}

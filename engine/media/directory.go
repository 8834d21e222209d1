package media

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"esxiplan/engine/media/iso"
)

// NewDirectory publishes into dir, which a web server serves under baseURL: whole
// files, which every web server can serve. overlays keeps a few KB per host instead,
// out of which only a [DirectoryServer] makes images.
func NewDirectory(dir, baseURL string, overlays bool, o Options) (*Library, error) {
	if err := checkBaseURL(baseURL); err != nil {
		return nil, err
	}
	m := manifest{manifestFolder(dir), o.Plan, &entries{}}
	return newLibrary(&directoryShelf{dir, strings.TrimSuffix(baseURL, "/"), overlays, m}, m, o), nil
}

func manifestFolder(dir string) string { return filepath.Join(dir, ".esxiplan") }

// directoryShelf keeps images in a folder.
type directoryShelf struct {
	dir, baseURL string
	overlays     bool
	manifest     manifest
}

func (d *directoryShelf) urls(token, host, _ string) (string, string, error) {
	return d.baseURL + "/" + token + "/" + fileName(host) + ".iso", "", nil
}

func (d *directoryShelf) path(e entry) string {
	path := filepath.Join(d.dir, filepath.FromSlash(e.file()))
	if d.overlays {
		return overlayOf(path)
	}
	return path
}

// overlayOf is the file with a host's overlay, next to where its image would be.
func overlayOf(image string) string { return strings.TrimSuffix(image, ".iso") + ".overlay" }

// missing implements shelf. An overlay is useless without the file over which it was laid.
func (d *directoryShelf) missing(e entry) error {
	path := d.path(e)
	if d.overlays {
		s, err := readStored(d.dir, overlayOf(e.file()))
		switch {
		case err != nil:
			return plainFileError(path, err)
		case s.SHA256 != e.SHA256:
			return fmt.Errorf("%s holds another image", path)
		case s.Base != e.Base:
			return fmt.Errorf("it is laid over %s, which was replaced or is now at %s", s.Base.Path, e.Base.Path)
		}
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return plainFileError(path, err)
	}
	if info.Size() != e.Size {
		return fmt.Errorf("%s has %d bytes, the image has %d", path, info.Size(), e.Size)
	}
	return nil
}

// plainFileError says in the fewest words that a file is not there.
func plainFileError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no file %s", path)
	}
	return err
}

// put writes the image, or its overlay. Folders can be passed through but not
// listed by the web server's user.
func (d *directoryShelf) put(e entry, image *iso.Image, source *Installer, written Written) error {
	path := d.path(e)
	if err := os.MkdirAll(d.dir, 0o711); err != nil { // #nosec G301 -- a web server of another user reads there
		return err
	}
	if err := makeFolder(filepath.Dir(path), 0o711); err != nil {
		return err
	}
	err := os.Chmod(filepath.Dir(path), 0o711) // #nosec G302 -- as above, whatever the umask
	switch {
	case err != nil:
	case d.overlays:
		err = writeJSON(path, storedOf(e, image))
	default:
		err = writeAtomic(path, 0o644, func(f *os.File) error { return materialise(f, image, source, written) })
	}
	if err != nil {
		os.Remove(filepath.Dir(path))
		return err
	}
	return d.removeOther(e)
}

// materialise writes a whole image, and makes sure that its source stayed the same.
func materialise(f *os.File, image *iso.Image, source *Installer, written Written) error {
	defer written.follow(f, image.Size())()
	if err := image.Materialise(f, source.file); err != nil {
		return err
	}
	if source.Changed() {
		return fmt.Errorf("%w: start again", iso.ErrChanged)
	}
	return nil
}

// removeOther removes the other form of an image: the plan may have chosen it before.
func (d *directoryShelf) removeOther(e entry) error {
	image := filepath.Join(d.dir, filepath.FromSlash(e.file()))
	other := overlayOf(image)
	if d.overlays {
		other = image
	}
	if err := os.Remove(other); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// remove removes both forms: the plan may have chosen the other one before.
func (d *directoryShelf) remove(e entry) error {
	path := filepath.Join(d.dir, filepath.FromSlash(e.file()))
	for _, file := range []string{path, overlayOf(path)} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	os.Remove(filepath.Dir(path))
	return nil
}

// sweepAfter is how old something unknown must be: anything younger may belong
// to a build that is under way.
const sweepAfter = time.Hour

var tokenPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

func (d *directoryShelf) sweep(known map[string]bool, trial bool) (gone []string, err error) {
	folders, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, nil // nothing was ever published
	}
	for _, f := range folders {
		info, err := f.Info()
		if err != nil || !f.IsDir() || !tokenPattern.MatchString(f.Name()) || time.Since(info.ModTime()) < sweepAfter {
			continue
		}
		if known[f.Name()] {
			gone = append(gone, d.sweepFolder(f.Name(), trial)...)
			continue
		}
		gone = append(gone, "the folder "+f.Name()+", which belongs to no host")
		if trial {
			continue
		}
		if err := os.RemoveAll(filepath.Join(d.dir, f.Name())); err != nil {
			return gone, err
		}
	}
	return gone, nil
}

// sweepFolder removes what an interrupted build left next to an image.
func (d *directoryShelf) sweepFolder(token string, trial bool) (gone []string) {
	left, _ := filepath.Glob(filepath.Join(d.dir, token, ".esxiplan-*"))
	for _, file := range left {
		info, err := os.Stat(file)
		if err != nil || time.Since(info.ModTime()) < sweepAfter {
			continue
		}
		if trial || os.Remove(file) == nil {
			gone = append(gone, "the unfinished "+file)
		}
	}
	return gone
}

func (d *directoryShelf) reads(e entry, clock func() time.Time) (Reads, bool) {
	return d.manifest.reads(e, clock)
}

// stored is an overlay as a file. It holds the hash of the root password: 0600.
type stored struct {
	Schema int           `json:"schema"`
	Base   base          `json:"base"`
	Size   int64         `json:"size"`
	SHA256 string        `json:"sha256"`
	Own    []storedBytes `json:"own"`
}

type storedBytes struct {
	Offset int64  `json:"offset"`
	Data   []byte `json:"data"`
}

func storedOf(e entry, image *iso.Image) stored {
	s := stored{Schema: manifestSchema, Base: e.Base, Size: image.Size(), SHA256: e.SHA256}
	for segment := range image.Segments() {
		if segment.Kind == iso.FromData {
			s.Own = append(s.Own, storedBytes{segment.Off, segment.Data})
		}
	}
	return s
}

// readStored reads the overlay with a name below a folder.
func readStored(dir, name string) (s stored, err error) {
	f, err := openBelow(dir, filepath.FromSlash(name))
	if err != nil {
		return s, err
	}
	b, err := readAll(f)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil || s.Schema != manifestSchema {
		return s, fmt.Errorf("%s is not an overlay that this version of esxiplan can read", filepath.Join(dir, name))
	}
	return s, nil
}

// restore lays a stored overlay over its base, which must be the file that it
// was made from.
func restore(dir, name string, open func(base) (*Installer, error)) (*iso.Image, *Installer, error) {
	s, err := readStored(dir, name)
	if err != nil {
		return nil, nil, err
	}
	i, err := open(s.Base)
	if err != nil {
		return nil, nil, err
	}
	var own []iso.Segment
	for _, part := range s.Own {
		own = append(own, iso.Segment{Off: part.Offset, Len: int64(len(part.Data)), Kind: iso.FromData, Data: part.Data})
	}
	image, err := i.Restore(s.Size, own)
	if err == nil && image.ETag() != s.SHA256 {
		err = fmt.Errorf("%s does not belong to %s as that is now", name, s.Base.Path)
	}
	return image, i, err
}

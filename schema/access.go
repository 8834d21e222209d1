package schema

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Access opens the files of a plan: those that the command line names, and those that the
// plan names. Everything that is read because a plan says so is opened here, so that the
// bounds of a plan that is not trusted hold for all of it.
//
// What a trusted plan names for esxiplan itself (an image, a certificate) may be anywhere,
// and file() reads below the plan's folder and the further ones. Of a plan that is not trusted,
// everything is below these folders, nothing is hidden, and no link leads out of them. The
// folders are opened first, and names are resolved within them (openat), so that nothing
// outside is opened whatever changes between a check and its use. Whether something exists
// elsewhere is neither checked nor revealed.
type Access struct {
	Untrusted bool
	Folders   []string // further ones, which the caller of a command allows

	dir string // of the plan: relative names start here
}

// NewAccess opens files for the plan of a folder.
func NewAccess(dir string, untrusted bool, folders ...string) *Access {
	return &Access{Untrusted: untrusted, Folders: folders, dir: dir}
}

// List finds the plan files at a path of the command line: the file, or those of a folder.
func (a *Access) List(path string) ([]string, error) {
	if !a.Untrusted {
		return planFilesAt(path, os.Stat, os.ReadDir)
	}
	root, rel, err := namedFile(path)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	files, err := planFilesAt(path, func(string) (fs.FileInfo, error) { return root.Stat(rel) },
		func(string) ([]fs.DirEntry, error) { return fs.ReadDir(root.FS(), rel) })
	return files, leadsOut(path, err)
}

// Read reads a file that the command line names. It may be
// part of an untrusted plan: then no link may lead out of its folder.
func (a *Access) Read(path string) ([]byte, error) {
	if !a.Untrusted {
		return ReadFile(path)
	}
	root, rel, err := namedFile(path)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	b, err := readIn(root, rel, path)
	return b, leadsOut(path, err)
}

// Stat describes a file that the plan names.
func (a *Access) Stat(name string) (fs.FileInfo, error) {
	if !a.Untrusted {
		return os.Stat(a.path(name))
	}
	root, rel, err := a.folder(name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(rel)
	return info, a.confined(name, err)
}

// Open opens a regular file that the plan names, however large it is.
func (a *Access) Open(name string) (*os.File, error) {
	if !a.Untrusted {
		path := a.path(name)
		return openRegular(path, regular, func() (fs.FileInfo, error) { return os.Stat(path) }, func(flags int) (*os.File, error) { return os.OpenFile(path, flags, 0) })
	}
	root, rel, err := a.folder(name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := openRegular(name, regular, func() (fs.FileInfo, error) { return root.Stat(rel) }, func(flags int) (*os.File, error) { return root.OpenFile(rel, flags, 0) })
	return f, a.confined(name, err)
}

// authorities reads a small file that the plan names for esxiplan itself.
func (a *Access) authorities(name string) ([]byte, error) {
	if !a.Untrusted {
		return ReadFile(a.path(name))
	}
	return a.text(name)
}

// text reads a file whose content becomes a value of the plan.
func (a *Access) text(name string) ([]byte, error) {
	root, rel, err := a.folder(name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	b, err := readIn(root, rel, a.path(name))
	return b, a.confined(name, err)
}

// path is where a file that the plan names is.
func (a *Access) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(a.dir, name)
}

// folder opens the folder below which a file of the plan must be.
func (a *Access) folder(name string) (root *os.Root, rel string, err error) {
	path := absolute(a.path(name))
	for _, dir := range append([]string{a.dir}, a.Folders...) {
		rel, err := filepath.Rel(absolute(dir), path)
		if err != nil || !filepath.IsLocal(rel) {
			continue
		}
		if !a.Untrusted {
			root, err = os.OpenRoot(dir)
			return root, rel, err
		}
		return a.visible(dir, rel, name)
	}
	return nil, "", a.outside(name)
}

// visible resolves a path below a folder for a plan that is not trusted. Hidden files are not
// for plans: next to a plan are .git, with the login of a checkout, and esxiplan's own state.
func (a *Access) visible(dir, rel, name string) (*os.Root, string, error) {
	root, err := namedFolder(dir)
	if err != nil {
		return nil, "", leadsOut(dir, err)
	}
	rel, err = resolve(root, rel)
	if err == nil && hidden(rel) {
		err = errOutside
	}
	if err != nil {
		root.Close()
		return nil, "", a.confined(name, err)
	}
	return root, rel, nil
}

// errOutside is a file that a plan may not read.
var errOutside = errors.New("it is outside, or hidden")

// outsideError has the same text whether such a file exists or not.
type outsideError struct{ text string }

func (e *outsideError) Error() string        { return e.text }
func (e *outsideError) Is(target error) bool { return target == errOutside }

func (a *Access) outside(name string) error {
	if !a.Untrusted {
		return fmt.Errorf("%s is outside the plan's folder; allow its folder with --allow-read", name)
	}
	return &outsideError{fmt.Sprintf("%s is outside the plan's folder, is hidden, or is a link to such a file. A plan that is not trusted (--untrusted) reads below its folder only, and nothing that begins with a dot; --allow-read DIR adds a folder", name)}
}

// confined gives the reason of a refusal to resolve a name. The system's error about a
// file below the folder stays as it is.
func (a *Access) confined(name string, err error) error {
	if a.Untrusted && escapes(err) {
		return a.outside(name)
	}
	return err
}

// escapes reports whether a root refused to follow a link. Other errors are the system's, or
// say that the file is not regular.
func escapes(err error) bool {
	var path *fs.PathError
	var number syscall.Errno
	return errors.Is(err, errOutside) || errors.As(err, &path) && !errors.As(path.Err, &number)
}

// hidden reports whether a part of a resolved path begins with a dot.
func hidden(rel string) bool {
	return rel != "." && slices.ContainsFunc(strings.Split(rel, string(filepath.Separator)), func(part string) bool { return strings.HasPrefix(part, ".") })
}

// mostLinks bounds how many links lead from a name to a file.
const mostLinks = 40

// resolve replaces the links in a path below a root. It keeps what does not exist or is wrong
// otherwise; opening it then fails.
func resolve(root *os.Root, rel string) (string, error) {
	var done string
	for left, links := strings.Split(rel, string(filepath.Separator)), 0; len(left) > 0; {
		next := filepath.Join(done, left[0])
		left = left[1:]
		if !filepath.IsLocal(next) {
			return "", errOutside
		}
		target, err := root.Readlink(next)
		switch links++; {
		case err != nil:
			done = next
			links--
			continue
		case links > mostLinks:
			return "", &fs.PathError{Op: "open", Path: rel, Err: syscall.ELOOP}
		case filepath.IsAbs(target):
			return "", errOutside
		}
		left = append(strings.Split(target, string(filepath.Separator)), left...)
	}
	return cmp.Or(done, "."), nil
}

// namedFile resolves a file or folder of the command line for a plan that is not trusted, in
// its own folder. No link makes it a hidden one.
func namedFile(path string) (root *os.Root, rel string, err error) {
	at := absolute(path)
	if root, err = namedFolder(filepath.Dir(at)); err != nil {
		return nil, "", leadsOut(path, err)
	}
	rel, err = resolve(root, filepath.Base(at))
	if err == nil && rel != filepath.Base(at) && hidden(rel) {
		err = errOutside
	}
	if err != nil {
		root.Close()
		return nil, "", leadsOut(path, err)
	}
	return root, rel, nil
}

// namedFolder opens a folder that the command line names. Below the current folder the path to
// it holds no link, elsewhere it is no link itself: the author of the plan may have made it, and
// then the plan's folder could be any folder.
func namedFolder(dir string) (*os.Root, error) {
	path := absolute(dir)
	above, rel := filepath.Dir(path), filepath.Base(path)
	if below, err := filepath.Rel(absolute("."), path); err == nil && filepath.IsLocal(below) {
		above, rel = ".", below
	}
	at, err := os.OpenRoot(above)
	if err != nil {
		return nil, err
	}
	defer at.Close()
	if real, err := resolve(at, rel); err != nil || real != rel {
		return nil, cmp.Or(err, errOutside)
	}
	return at.OpenRoot(rel)
}

// leadsOut is the error about a link of the command line that was not followed.
func leadsOut(path string, err error) error {
	if escapes(err) {
		return fmt.Errorf("%s is, or is behind, a link that leads elsewhere. With --untrusted it is not followed, because the author of the plan may have made it. If it is yours, name the place to which it leads", path)
	}
	return err
}

// readIn reads a small regular file below a folder; shown is its name in messages.
func readIn(root *os.Root, rel, shown string) ([]byte, error) {
	return readRegular(shown, func() (fs.FileInfo, error) { return root.Stat(rel) }, func(flags int) (*os.File, error) { return root.OpenFile(rel, flags, 0) })
}

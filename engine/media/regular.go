package media

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// A user who may write to a folder may put links, FIFOs and devices there. What is read here
// is a regular file, and opening anything else never waits for a process at its other end.

// errIrregular is anything other than a regular file.
var errIrregular = errors.New("is not a regular file")

// openRegular opens the regular file at a path that a user gave, which may be a link.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s %w", path, errIrregular)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	return opened(f, path, err)
}

// openBelow opens a regular file below a folder, and nothing to which a link leads out of it.
// The file itself must not be a link.
func openBelow(dir, name string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if _, err := lstatRegular(root, name); err != nil {
		return nil, err
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	return opened(f, name, err)
}

// lstatRegular describes a regular file below a folder.
func lstatRegular(root *os.Root, name string) (os.FileInfo, error) {
	info, err := root.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s %w", name, errIrregular)
	}
	return info, err
}

// opened makes sure that what was opened is a regular file: it may have been replaced since
// it was looked at.
func opened(f *os.File, name string, err error) (*os.File, error) {
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s %w", name, errIrregular)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// makeFolder makes a folder for files of esxiplan if it does not exist. A link in its place may
// have come along with a checkout and lead anywhere, so nothing is written through it.
func makeFolder(path string, mode fs.FileMode) error {
	err := os.Mkdir(path, mode)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is a link or a file where esxiplan needs a folder: remove it if you know where it comes from", path)
	}
	return err
}

// longestNote bounds files that esxiplan itself wrote: manifests, overlays, notes.
const longestNote = 16 << 20

// readRegular reads a small regular file.
func readRegular(path string) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	return readAll(f)
}

// readAll reads a small file and closes it.
func readAll(f *os.File) ([]byte, error) {
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, longestNote+1))
	if err == nil && len(b) > longestNote {
		err = fmt.Errorf("%s has more than %d MiB, which no file of esxiplan has", f.Name(), longestNote>>20)
	}
	return b, err
}

// Package private opens files and folders that this user alone may change: those of the state
// folder, which may lie in a checkout that someone else prepared. No symbolic link is
// followed, what is no regular file is refused, and so is what other users own or may write to.
package private

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// MakeFolder makes a folder where it does not exist; it must be ours, writable, and by us only:
// a user who may write to a folder can replace what is in it.
func MakeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if err := Check(dir, info); err != nil {
		return err
	}
	const writable = 3 // W_OK and X_OK: a read-only file system denies it also to root
	if err := syscall.Access(dir, writable); err != nil {
		return &fs.PathError{Op: "write into", Path: dir, Err: err}
	}
	return nil
}

// checkOwner reports a file or folder of another user, which is not trusted.
func checkOwner(name string, info fs.FileInfo) error {
	if owner, us := info.Sys().(*syscall.Stat_t).Uid, os.Geteuid(); int(owner) != us {
		return fmt.Errorf("%s belongs to user %d, but esxiplan runs as user %d; run it as the owner", name, owner, us)
	}
	return nil
}

// Check reports what other users own or may write to.
func Check(name string, info fs.FileInfo) error {
	if info.Mode()&0o022 != 0 {
		return fmt.Errorf("other users may write to %s (mode %s); remove that right with chmod go-w", name, info.Mode())
	}
	return checkOwner(name, info)
}

// ErrIrregular is a symbolic link, a folder or a device where a file should be.
var ErrIrregular = errors.New("not a regular file: remove it if you know where it comes from")

// Open opens a regular file that exists. A symbolic link is not followed, also not one that
// stays in the folder, which os.Root would do.
func Open(root *os.Root, name string, flag int) (*os.File, fs.FileInfo, error) {
	for range 10 { // another process may replace the file meanwhile
		before, err := root.Lstat(name)
		if err != nil {
			return nil, nil, err
		}
		if !before.Mode().IsRegular() {
			return nil, before, &fs.PathError{Op: "open", Path: filepath.Join(root.Name(), name), Err: ErrIrregular}
		}
		f, err := root.OpenFile(name, flag|syscall.O_NONBLOCK, 0) // a pipe that took its place does not block
		if err != nil {
			return nil, before, err
		}
		info, err := f.Stat()
		if err == nil && os.SameFile(before, info) {
			return f, info, nil
		}
		f.Close()
	}
	return nil, nil, &fs.PathError{Op: "open", Path: filepath.Join(root.Name(), name), Err: errors.New("another process replaces it again and again")}
}

// longestFile bounds what is read of a file; those of the state folder but logs and snapshots are far shorter.
const longestFile = 16 << 20

// Read reads a regular file. info is also returned with an error where the file exists.
func Read(root *os.Root, name string) ([]byte, fs.FileInfo, error) {
	f, info, err := Open(root, name, os.O_RDONLY)
	if err != nil {
		return nil, info, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, longestFile))
	if err == nil && len(b) == longestFile {
		err = &fs.PathError{Op: "read", Path: filepath.Join(root.Name(), name), Err: errors.New("the file is too long to be one of esxiplan: remove it")}
	}
	return b, info, err
}

// Create writes a file that does not exist yet, as a whole or not at all.
func Create(root *os.Root, name string, content []byte) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		root.Remove(name)
	}
	return err
}

// Append opens a regular file to write at its end, and makes it where it does not exist.
func Append(root *os.Root, name string) (*os.File, error) {
	if err := Create(root, name, nil); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	f, _, err := Open(root, name, os.O_APPEND|os.O_WRONLY)
	return f, err
}

// OpenSub opens a folder in the state folder, which may be a link to another one there only.
func OpenSub(dir, name string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.OpenRoot(name)
}

// MakeSub makes both where they do not exist, and opens the inner one.
func MakeSub(dir, name string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return root.OpenRoot(name)
}

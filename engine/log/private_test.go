package log_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"esxiplan/engine/log"
)

// TestOddLogs: a pipe, a link, a folder, or a file that others may write to, in the place of a
// log, is refused by every reader, without blocking, and the target of a link is not changed.
func TestOddLogs(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "target")
	check(t, os.WriteFile(elsewhere, []byte("precious\n"), 0o600))
	for name, c := range map[string]struct {
		change func(file string) error
		says   string
	}{
		"pipe":     {func(f string) error { return syscall.Mkfifo(f, 0o600) }, "not a regular file"},
		"link":     {func(f string) error { return os.Symlink(elsewhere, f) }, "not a regular file"},
		"device":   {func(f string) error { return os.Symlink("/dev/zero", f) }, "not a regular file"},
		"folder":   {func(f string) error { return os.Mkdir(f, 0o700) }, "not a regular file"},
		"writable": {func(f string) error { return errors.Join(os.WriteFile(f, small(t), 0o600), os.Chmod(f, 0o622)) }, "chmod go-w"},
	} {
		t.Run(name, func(t *testing.T) {
			state := folder(t, small(t))
			check(t, os.Remove(logOf(state)))
			check(t, c.change(logOf(state)))
			_, listed := log.List(state)
			_, read := records(state)
			_, opened := log.Open(state, "run", log.Options{})
			_, other := log.Open(state, "other", log.Options{})
			for what, err := range map[string]error{"listed": listed, "read": read, "continued": opened, "another run": other} {
				if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), logOf(state)) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
	if b, err := os.ReadFile(elsewhere); err != nil || string(b) != "precious\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestOddFolders: the folder of the logs may not lead out of the state folder.
func TestOddFolders(t *testing.T) {
	state, elsewhere := t.TempDir(), t.TempDir()
	check(t, os.Symlink(elsewhere, filepath.Join(state, "runs")))
	if _, err := log.Open(state, "run", log.Options{}); err == nil {
		t.Error("a log was begun in another folder")
	}
	if left, err := os.ReadDir(elsewhere); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// TestOddSnapshot: a snapshot that another user could have written is ignored, and rebuilt from
// the logs.
func TestOddSnapshot(t *testing.T) {
	for name, change := range map[string]func(file string) error{
		"pipe":     func(f string) error { return syscall.Mkfifo(f, 0o600) },
		"link":     func(f string) error { return os.Symlink("/dev/zero", f) },
		"writable": func(f string) error { return errors.Join(os.WriteFile(f, []byte("{}\n"), 0o600), os.Chmod(f, 0o622)) },
	} {
		t.Run(name, func(t *testing.T) {
			state := folder(t, small(t))
			check(t, change(filepath.Join(state, "snapshot.json")))
			if runs, err := log.List(state); err != nil || len(runs) != 1 {
				t.Errorf("%v, %v", runs, err)
			}
			l, err := log.Open(state, "other", log.Options{})
			check(t, err)
			check(t, l.Close())
			if info, err := os.Lstat(filepath.Join(state, "snapshot.json")); err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info.Mode(), err)
			}
		})
	}
}

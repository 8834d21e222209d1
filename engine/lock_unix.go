//go:build unix

package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"esxiplan/schema"
)

// ErrLocked is a host that another run of ours works on.
type ErrLocked struct{ Host, Holder string }

func (e *ErrLocked) Error() string {
	return fmt.Sprintf("host %s is locked by %s. Wait for its end, or stop it", e.Host, e.Holder)
}

// Lock takes the lock of every host, in the state folder, all or none. The locks
// end with release, or with the process.
func Lock(state string, hosts []*schema.Host, run string) (release func(), err error) {
	dir := filepath.Join(state, "locks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	var files []*os.File
	release = func() {
		for _, f := range files {
			f.Close()
		}
	}
	taken := map[string]bool{}
	for _, h := range hosts {
		name := h.BMC.Address.Key()
		if taken[name] { // two systems behind one BMC
			continue
		}
		taken[name] = true
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			release()
			return nil, fmt.Errorf("lock of host %s: %w", h.Name, err)
		}
		files = append(files, f)
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			holder := make([]byte, 100)
			n, _ := f.Read(holder)
			release()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, &ErrLocked{h.Name, "run " + string(holder[:n])}
			}
			return nil, fmt.Errorf("lock of host %s: %w", h.Name, err)
		}
		f.Truncate(0)
		f.WriteAt([]byte(run), 0)
	}
	return release, nil
}

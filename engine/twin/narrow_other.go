//go:build !linux

package twin

import "syscall"

// narrow exists for Linux only. Elsewhere a server needs a larger image to notice that half
// of it was not read.
func narrow(string, string, syscall.RawConn) error { return nil }

//go:build !linux

package twin

import "syscall"

// narrow is known for Linux only. Elsewhere it takes a larger image for its server to
// notice that half of it was not read.
func narrow(string, string, syscall.RawConn) error { return nil }

package media

import (
	"syscall"
	"unsafe"
)

// queued is how many bytes the system holds for the other end of a connection that were
// not acknowledged yet.
func queued(fd uintptr) (int64, bool) {
	var n int32
	_, _, failed := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n))) // #nosec G103 -- the kernel writes an int there
	return int64(n), failed == 0
}

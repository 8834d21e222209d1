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

// notSentLowat is TCP_NOTSENT_LOWAT, which package syscall does not name.
const notSentLowat = 0x19

// holdLess makes the system take only a little more of an answer than may be under way: for
// a client that does not read it would hold megabytes.
func holdLess(fd uintptr) {
	syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, notSentLowat, piece)
}

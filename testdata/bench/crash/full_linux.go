package main

import (
	"syscall"
	"unsafe"
)

// growNoFile keeps a process from writing to any file from now on.
func growNoFile(pid int) error {
	none := syscall.Rlimit{Cur: 0, Max: 0}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&none)), 0, 0, 0); errno != 0 && errno != syscall.ESRCH { // it has ended
		return errno
	}
	return nil
}

//go:build unix

package media

import (
	"os"
	"syscall"
)

// identityOf is device and inode of a file.
func identityOf(info os.FileInfo) (device, inode uint64) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Dev), uint64(s.Ino)
	}
	return 0, 0
}

//go:build unix

package descriptor

import "syscall"

// Limit is how many descriptors this process may hold open; known is false where the
// system does not say, or sets no bound that matters.
func Limit() (n int, known bool) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) > most {
		return 0, false
	}
	return int(limit.Cur), true
}

// most is more than any run needs.
const most = 1 << 30

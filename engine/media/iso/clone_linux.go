package iso

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// copyBlocks copies the first size bytes of source into the empty file dst: by a
// clone, which shares the blocks, else inside the kernel, else through this process.
func copyBlocks(dst, source *os.File, size int64) error {
	if unix.IoctlFileClone(int(dst.Fd()), int(source.Fd())) == nil {
		return checkClone(dst, size)
	}
	for done := int64(0); done < size; {
		from, to := done, done
		n, err := unix.CopyFileRange(int(source.Fd()), &from, int(dst.Fd()), &to, int(min(size-done, 1<<30)), 0)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ENOSPC || err == unix.EDQUOT:
			return fmt.Errorf("write %s: %w", dst.Name(), err)
		case err != nil: // another file system, an old kernel …
			return copyThrough(dst, source, done, size)
		case n == 0: // the end, or a file system that says so
			return copyThrough(dst, source, done, size)
		}
		done += int64(n)
	}
	return nil
}

func checkClone(dst *os.File, size int64) error {
	info, err := dst.Stat()
	if err == nil && info.Size() != size {
		err = fmt.Errorf("%w: %d bytes instead of %d", ErrChanged, info.Size(), size)
	}
	return err
}

package iso

import (
	"fmt"
	"io"
	"os"
)

// Materialise writes the image into an empty file. source is the file of the base:
// the kernel clones its blocks where the file system can (XFS, Btrfs), else copies
// them without a detour through this process, else they are read and written. Only the
// overlay's own bytes then go over the copy. It neither syncs nor closes.
func (i *Image) Materialise(dst, source *os.File) error {
	if err := copyBlocks(dst, source, i.base.size); err != nil {
		return err
	}
	if err := dst.Truncate(i.size); err != nil {
		return err
	}
	for _, c := range i.chunks {
		if _, err := dst.WriteAt(c.data, c.off); err != nil {
			return err
		}
	}
	return nil
}

// copyThrough copies by reading and writing.
func copyThrough(dst, source *os.File, from, size int64) error {
	w := io.NewOffsetWriter(dst, from)
	n, err := io.CopyBuffer(w, io.NewSectionReader(source, from, size-from), make([]byte, 1<<20))
	if err == nil && from+n != size {
		err = fmt.Errorf("%w: %d bytes instead of %d", ErrChanged, from+n, size)
	}
	return err
}

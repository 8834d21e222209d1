package twin

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"sync"
)

// blockSize is what copies are cut into.
const blockSize = 64 << 10

// copies keeps the images that BMCs fetched whole, in one temporary file: what the images
// of a fleet share is kept once, and blocks of zeros not at all.
type copies struct {
	mu    sync.Mutex
	file  *os.File
	end   int64
	known map[[sha256.Size]byte]int64 // block → where it is in the file
}

// copied is one image, as far as it came.
type copied struct {
	from   *copies
	size   int64
	blocks []int64 // where they are in the file
}

// empty represents a block of zeros.
const empty = -1

// errStore is that a copy could not be kept.
type errStore struct{ error }

// keep reads an image. What came before an error is returned with it.
func (c *copies) keep(r io.Reader) (*copied, error) {
	out := &copied{from: c}
	block := make([]byte, blockSize)
	for {
		n, err := io.ReadFull(r, block)
		if n > 0 {
			at, storeErr := c.place(block[:n])
			if storeErr != nil {
				return nil, &errStore{storeErr}
			}
			out.blocks, out.size = append(out.blocks, at), out.size+int64(n)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // ReadFull's, or that of a body that was cut
			return out, nil
		case err != nil:
			return out, err
		}
	}
}

// place finds a block in the file, or puts it there.
func (c *copies) place(block []byte) (int64, error) {
	if len(bytes.TrimLeft(block, "\x00")) == 0 {
		return empty, nil
	}
	sum := sha256.Sum256(block)
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.known[sum]; ok {
		return at, nil
	}
	if c.file == nil {
		f, err := os.CreateTemp("", "esxiplan-copies-")
		if err != nil {
			return 0, err
		}
		os.Remove(f.Name()) // if an open file can be removed, a crash leaves nothing behind
		c.file, c.known = f, map[[sha256.Size]byte]int64{}
	}
	at := c.end
	if _, err := c.file.WriteAt(block, at); err != nil {
		return 0, err
	}
	c.known[sum], c.end = at, at+int64(len(block))
	return at, nil
}

func (c *copies) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file != nil {
		c.file.Close()
		os.Remove(c.file.Name())
	}
}

// disc reads the copy.
func (i *copied) disc() *disc {
	return &disc{size: i.size, fetch: func(off int64) ([]byte, error) {
		number, within := off/blockSize, off%blockSize
		block := make([]byte, min(blockSize, i.size-number*blockSize))
		if at := i.blocks[number]; at != empty {
			if _, err := i.from.file.ReadAt(block, at); err != nil {
				return nil, err
			}
		}
		return block[within:], nil
	}}
}

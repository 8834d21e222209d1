package iso

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"sort"
)

// ErrChanged is a source image whose length has changed since it was opened.
var ErrChanged = errors.New("the source image changed while it was in use")

// Image is a base with changes laid over it: the bytes of a whole ISO without
// the cost of one. It is immutable and safe for concurrent use.
type Image struct {
	base   *Base
	size   int64
	chunks []chunk // ascending, apart from one another
}

// chunk is a run of the overlay's own bytes.
type chunk struct {
	off  int64
	data []byte
}

func (c chunk) end() int64 { return c.off + int64(len(c.data)) }

// Size is the length in bytes: a multiple of [Sector], unless the image is an
// unchanged base.
func (i *Image) Size() int64 { return i.size }

// Kind is where the bytes of a [Segment] come from.
type Kind int

// The kinds of segments.
const (
	FromBase Kind = iota // the same bytes of the source
	FromData             // the overlay's own
	FromZero             // padding
)

// Segment is a run of bytes of one kind.
type Segment struct {
	Off, Len int64
	Kind     Kind
	Data     []byte // of FromData; not to be changed
}

// Segments walks the image from its beginning to its end, without gaps.
func (i *Image) Segments() iter.Seq[Segment] { return i.From(0) }

// From walks the rest of the image from a byte on.
func (i *Image) From(off int64) iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		for off := max(0, off); off < i.size; {
			s := i.segment(off)
			if !yield(s) {
				return
			}
			off += s.Len
		}
	}
}

// segment is the segment at off, up to where the next one begins.
func (i *Image) segment(off int64) Segment {
	next := sort.Search(len(i.chunks), func(k int) bool { return i.chunks[k].off > off })
	if next > 0 {
		if c := i.chunks[next-1]; off < c.end() {
			return Segment{off, c.end() - off, FromData, c.data[off-c.off:]}
		}
	}
	end := i.size
	if next < len(i.chunks) {
		end = i.chunks[next].off
	}
	if off >= i.base.size {
		return Segment{off, end - off, FromZero, nil}
	}
	return Segment{off, min(end, i.base.size) - off, FromBase, nil}
}

// ReadAt reads the image as if it were one file.
func (i *Image) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("negative offset %d", off)
	}
	for n < len(p) && off < i.size {
		s := i.segment(off)
		part := p[n:min(int64(len(p)), int64(n)+s.Len)]
		switch s.Kind {
		case FromData:
			copy(part, s.Data)
		case FromZero:
			clear(part)
		case FromBase:
			if got, err := i.base.r.ReadAt(part, off); got < len(part) {
				return n + got, changed(err)
			}
		}
		n += len(part)
		off += int64(len(part))
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func changed(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it is shorter now", ErrChanged)
	}
	return err
}

// WriteTo writes the whole image.
func (i *Image) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, io.NewSectionReader(i, 0, i.size))
}

// Own counts the bytes that are the overlay's own.
func (i *Image) Own() (n int64) {
	for _, c := range i.chunks {
		n += int64(len(c.data))
	}
	return n
}

// ETag identifies the content, as far as the base's identity does: equal for
// equal bases and equal changes. It never reads the base.
func (i *Image) ETag() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %d\n", i.base.Identity(), i.size)
	for _, c := range i.chunks {
		fmt.Fprintf(h, "%d %d\n", c.off, len(c.data))
		h.Write(c.data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Restore makes an image from what [Image.Segments] returned: the size, and
// the segments that are FromData.
func (b *Base) Restore(size int64, own []Segment) (*Image, error) {
	i := &Image{base: b, size: size}
	end := int64(0)
	for _, s := range own {
		if s.Off < end || s.Len != int64(len(s.Data)) || s.Len == 0 || s.Off > size-s.Len {
			return nil, fmt.Errorf("the stored overlay is broken at byte %d", s.Off)
		}
		end = s.Off + s.Len
		i.chunks = append(i.chunks, chunk{s.Off, s.Data})
	}
	if size < b.size {
		return nil, fmt.Errorf("the stored overlay has %d bytes, its source %d", size, b.size)
	}
	return i, nil
}

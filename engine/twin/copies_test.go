package twin

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"
)

// TestCopies: images are read back as they came, and what two share is kept once.
func TestCopies(t *testing.T) {
	var c copies
	defer c.close()
	base := bytes.Repeat([]byte("0123456789abcdef"), 3*blockSize/16)
	base[blockSize] = 'x'
	base = append(base, make([]byte, 2*blockSize+100)...)
	other := bytes.Clone(base)
	other[0] = 'y'
	for i, image := range [][]byte{base, other, nil, base[:blockSize+7]} {
		kept, err := c.keep(bytes.NewReader(image))
		if err != nil || kept.size != int64(len(image)) {
			t.Fatalf("image %d: %v, %d bytes of %d", i, err, kept.size, len(image))
		}
		if len(image) == 0 {
			continue
		}
		got, err := kept.disc().read(0, kept.size)
		if err != nil || !bytes.Equal(got, image) {
			t.Errorf("image %d reads back otherwise: %v", i, err)
		}
		if got, err := kept.disc().read(kept.size-5, 5); err != nil || !bytes.Equal(got, image[len(image)-5:]) {
			t.Errorf("image %d: its end reads back otherwise: %v", i, err)
		}
		if _, err := kept.disc().read(kept.size-5, 6); err == nil {
			t.Errorf("image %d is read beyond its end", i)
		}
	}
	if want := int64(3*blockSize + 7); c.end != want { // two blocks of base, one of other, a short one
		t.Errorf("%d bytes are kept, want %d", c.end, want)
	}
}

// TestCopyOfAPart: what came before an error is kept.
func TestCopyOfAPart(t *testing.T) {
	var c copies
	defer c.close()
	broken := errors.New("broken")
	for _, want := range []error{broken, nil} {
		err := want
		if err == nil {
			err = io.ErrUnexpectedEOF // what net/http says of a body that was cut
		}
		kept, got := c.keep(io.MultiReader(bytes.NewReader(make([]byte, blockSize+9)), iotest.ErrReader(err)))
		if !errors.Is(got, want) || kept.size != blockSize+9 {
			t.Errorf("%v: %v, %d bytes", want, got, kept.size)
		}
	}
}

// TestCopiesLeaveNothing: the file is gone once it is closed.
func TestCopiesLeaveNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var c copies
	if _, err := c.keep(bytes.NewReader([]byte("text"))); err != nil {
		t.Fatal(err)
	}
	c.close()
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

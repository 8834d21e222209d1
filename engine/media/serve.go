package media

import (
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"esxiplan/engine/media/iso"
)

// content is one image as it is served: bytes of a file, with an overlay or without.
type content struct {
	file     string      // whose bytes are served
	stat     os.FileInfo // as it was when the content was made; nil: as it is now
	image    *iso.Image  // nil: the file itself
	digest   string
	modified time.Time
	count    *counter
}

// counter is what was read of one image.
type counter struct {
	mu    sync.Mutex
	reads Reads
	dirty bool
}

func (c *counter) add(bytes, requests int64, by string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads.Bytes += bytes
	c.reads.Count += requests
	c.reads.Last, c.reads.By = time.Now(), by
	c.dirty = true
}

// mark makes the count known although nothing was read yet.
func (c *counter) mark() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = true
}

// resume goes on from what was noted before, by an earlier server.
func (c *counter) resume(earlier Reads) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads.Bytes += earlier.Bytes
	c.reads.Count += earlier.Count
	if c.reads.By == "" {
		c.reads.By, c.reads.Last = earlier.By, earlier.Last
	}
}

// take returns the count, and whether it changed since it was taken last.
func (c *counter) take() (r Reads, changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, c.dirty = c.dirty, false
	return c.reads, changed
}

func (c *counter) get() Reads {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads
}

// serve answers one request: HEAD, ranges, several ranges and conditions are
// net/http's work; the bytes of the base go from file to socket inside the kernel.
func (c content) serve(w http.ResponseWriter, r *http.Request) {
	f, err := os.Open(c.file)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	if c.stat != nil && !sameFile(info, c.stat) {
		http.Error(w, "the source image was changed while it was served; run build_iso again", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("ETag", `"`+c.digest[:min(32, len(c.digest))]+`"`)
	out := &bodyWriter{ResponseWriter: w, host: clientOf(r)}
	if r.UserAgent() != userAgent { // our own reads prove nothing
		out.count = c.count
		c.count.add(0, 1, out.host)
	}
	var body io.ReadSeeker = f
	if c.image != nil {
		body = &imageBody{image: c.image, file: f}
	}
	http.ServeContent(out, r, "", c.modified, body)
}

// imageBody reads an image from a file of its own, whose position nobody else moves.
type imageBody struct {
	image *iso.Image
	file  *os.File
	at    int64
}

func (b *imageBody) Read(p []byte) (int, error) {
	if b.at >= b.image.Size() {
		return 0, io.EOF
	}
	n, err := b.image.ReadAt(p[:min(int64(len(p)), b.image.Size()-b.at)], b.at)
	b.at += int64(n)
	return n, err
}

func (b *imageBody) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += b.image.Size()
	}
	b.at = offset
	return offset, nil
}

// piece is how much goes out between two counts: a BMC may read for minutes.
const piece = 8 << 20

var zeros [64 << 10]byte

// bodyWriter counts what goes out. Where the connection can take bytes from a
// file without a copy in this process (sendfile), it does.
type bodyWriter struct {
	http.ResponseWriter
	host  string
	count *counter // nil: not counted
	wrong bool     // the answer is an error, whose text is no byte of the image
}

func (w *bodyWriter) WriteHeader(status int) {
	w.wrong = status >= 300
	w.ResponseWriter.WriteHeader(status)
}

func (w *bodyWriter) counted(n int64, err error) (int64, error) {
	if w.count != nil && n > 0 && !w.wrong {
		w.count.add(n, 0, w.host)
	}
	return n, err
}

func (w *bodyWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.counted(int64(n), nil)
	return n, err
}

// ReadFrom takes what http.ServeContent copies: so many bytes of a body.
func (w *bodyWriter) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		switch body := limited.R.(type) {
		case *os.File:
			return w.fromFile(body, limited.N)
		case *imageBody:
			return w.fromImage(body, limited.N)
		}
	}
	buffer := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buffer)
	return io.CopyBuffer(struct{ io.Writer }{w}, r, *buffer)
}

// copyBuffers serve clients that read in thousands of small ranges.
var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// fromFile sends n bytes of a file from its position on.
func (w *bodyWriter) fromFile(f *os.File, n int64) (sent int64, err error) {
	to, ok := w.ResponseWriter.(io.ReaderFrom)
	if !ok { // HTTP/2
		return io.CopyN(struct{ io.Writer }{w}, f, n)
	}
	for sent < n {
		part, err := w.counted(to.ReadFrom(&io.LimitedReader{R: f, N: min(piece, n-sent)}))
		sent += part
		if err == nil && part == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// fromImage sends n bytes of an image: its own from memory, the base's from the file.
func (w *bodyWriter) fromImage(b *imageBody, n int64) (sent int64, err error) {
	for s := range b.image.From(b.at) {
		part := min(s.Len, n-sent)
		if part > 0 {
			part, err = w.segment(b.file, s, part)
			sent += part
		}
		if err != nil || sent >= n {
			break
		}
	}
	b.at += sent
	return sent, err
}

func (w *bodyWriter) segment(f *os.File, s iso.Segment, n int64) (int64, error) {
	switch s.Kind {
	case iso.FromData:
		sent, err := w.Write(s.Data[:n])
		return int64(sent), err
	case iso.FromZero:
		var sent int64
		for sent < n {
			part, err := w.Write(zeros[:min(int64(len(zeros)), n-sent)])
			sent += int64(part)
			if err != nil {
				return sent, err
			}
		}
		return sent, nil
	}
	if _, err := f.Seek(s.Off, io.SeekStart); err != nil {
		return 0, err
	}
	return w.fromFile(f, n)
}

package media

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"esxiplan/engine/media/iso"
)

// content is one image as it is served: bytes of a file, with an overlay or without.
type content struct {
	file     string // whose bytes are served
	open     func() (*os.File, error)
	stat     os.FileInfo // as it was when the content was made; nil: as it is now
	image    *iso.Image  // nil: the file itself
	digest   string
	modified time.Time
	count    *counter
}

// serve answers one request: HEAD, ranges, several ranges and conditions are
// net/http's work; the bytes of the base go from file to socket inside the kernel.
func (c content) serve(w http.ResponseWriter, r *http.Request) {
	if strings.Count(r.Header.Get("Range"), ",") >= mostRanges {
		w.Header().Set("Connection", "close")
		http.Error(w, "too many ranges", http.StatusRequestedRangeNotSatisfiable)
		return
	}
	f, err := c.open()
	if err != nil {
		unavailable(w, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		unavailable(w, err)
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
	out := &bodyWriter{ResponseWriter: w, host: clientOf(r), request: r}
	if r.UserAgent() != userAgent { // our own reads prove nothing
		out.count = c.count
		c.count.request(out.host)
		defer c.count.answered()
	}
	var body io.ReadSeeker = f
	out.size = info.Size()
	if c.image != nil {
		body, out.size = &imageBody{image: c.image, file: f}, c.image.Size()
	}
	defer out.end()
	http.ServeContent(out, r, "", c.modified, body)
}

// mostRanges is how many a request may ask for: BMCs ask for one, and a thousand small ones
// cost more than they are worth.
const mostRanges = 32

// imageBody reads an image from a file of its own, so that no other reader moves its position.
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

// piece is how much goes out between two counts: a BMC may read for minutes, and
// the server must know whether bytes still move.
const piece = 256 << 10

var zeros [64 << 10]byte

// bodyWriter counts what goes out. Where the connection can take bytes from a
// file without a copy in this process (sendfile), it does.
type bodyWriter struct {
	http.ResponseWriter
	request *http.Request
	host    string
	size    int64    // of the image
	count   *counter // nil: not counted
	wrong   bool     // the answer is an error, whose text is not part of the image

	start   int64 // where in the image the answer begins; -1: it has several parts
	length  int64 // of the answer
	sent    int64
	writing time.Time // when the last write began, by the real clock
	copy    *transfer // the answer is the whole image, or the rest of it
}

// WriteHeader notes which part of the image the answer is.
func (w *bodyWriter) WriteHeader(status int) {
	w.wrong = status >= 300
	w.start, w.length = 0, w.size
	if status == http.StatusPartialContent {
		var end int64
		if n, _ := fmt.Sscanf(w.Header().Get("Content-Range"), "bytes %d-%d/", &w.start, &end); n == 2 {
			w.length = end + 1 - w.start
		} else {
			w.start, w.length = -1, 0
		}
	}
	if w.count != nil && !w.wrong && w.request.Method == http.MethodGet {
		w.copy = w.count.began(w.host, w.start, w.length, w.size, func() (int64, bool) { return unsent(w.request) })
	}
	w.ResponseWriter.WriteHeader(status)
}

// end notes how a fetch of the image ended.
func (w *bodyWriter) end() {
	if w.copy != nil {
		w.drain()
		w.count.ended(w.copy)
	}
}

// heldBack is how much net/http may keep of an answer until it ends: a buffer of the
// answer (2 KB) and one of the connection (4 KB).
const heldBack = 6 << 10

// flushed sends what net/http holds back of an answer, and reports that it was sent. A
// writer that cannot be flushed holds nothing back.
func (w *bodyWriter) flushed() bool {
	err := http.NewResponseController(w.ResponseWriter).Flush()
	return err == nil || errors.Is(err, http.ErrNotSupported)
}

// drain waits until what was passed to the system has arrived, as long as it moves and the
// client is connected: a system holds megabytes for a client that may not take them.
func (w *bodyWriter) drain() {
	last, moved := int64(-1), time.Now()
	for w.sent == w.length && w.request.Context().Err() == nil && time.Since(moved) < stalled {
		left, known := unsent(w.request)
		if left == 0 || !known {
			return
		}
		if left != last {
			last, moved = left, time.Now()
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// connection is the key of the connection among the values of a request's context.
type connection struct{}

// unsent is how many bytes the system holds for the client of a request.
func unsent(r *http.Request) (n int64, known bool) {
	conn, _ := r.Context().Value(connection{}).(net.Conn)
	socket, ok := bare(conn).(syscall.Conn)
	if !ok {
		return 0, false
	}
	return unsentOn(socket)
}

// unsentOn is how many bytes the system holds for the other end of a socket.
func unsentOn(socket syscall.Conn) (n int64, known bool) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) { n, known = queued(fd) })
	return n, known && err == nil
}

// counted counts what one write sent that began at a time by the clock of the counter.
func (w *bodyWriter) counted(began time.Time, n int64) {
	if w.count == nil || n <= 0 || w.wrong {
		return
	}
	if w.copy != nil && w.sent+n == w.length && !w.flushed() {
		n -= min(n, heldBack)
	}
	w.count.sent(span{by: w.host, began: began, writing: w.writing, start: w.start, from: w.start + w.sent, bytes: n, size: w.size, copy: w.copy})
	w.sent += n
}

// clock is asked before each write.
func (w *bodyWriter) clock() (now time.Time) {
	w.writing = time.Now()
	if w.count != nil {
		now = w.count.now()
	}
	return now
}

func (w *bodyWriter) Write(p []byte) (int, error) {
	began := w.clock()
	n, err := w.ResponseWriter.Write(p)
	w.counted(began, int64(n))
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
		began := w.clock()
		part, err := to.ReadFrom(&io.LimitedReader{R: f, N: min(piece, n-sent)})
		w.counted(began, part)
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

package secret

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// Writer masks what is written before it passes it on, line by line. A line that has no end
// yet is held back for [patience], then passed on up to its last blank; so a prompt is seen,
// and a secret that comes in two writes is not.
type Writer struct {
	masker *Masker
	to     io.Writer

	mu      sync.Mutex
	pending []byte
	timer   *time.Timer
	err     error
}

const (
	patience = 50 * time.Millisecond
	mostHeld = 1 << 20 // bytes of a line that are held back
)

// Writer is a stream in front of another one, in which no secret passes.
func (m *Masker) Writer(to io.Writer) *Writer { return &Writer{masker: m, to: to} }

// Write implements io.Writer. An error of the other stream is that of this and each later
// write.
func (w *Writer) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	held := len(w.pending)
	w.pending = append(w.pending, b...)
	if end := bytes.LastIndexByte(b, '\n') + 1; end > 0 { // what is held back has no end of a line
		w.pass(held + end)
	}
	if len(w.pending) > mostHeld {
		w.passWords()
	}
	if len(w.pending) > 0 {
		w.timer = time.AfterFunc(patience, w.waited)
	}
	return len(b), w.err
}

// waited passes on what a line without an end has so far.
func (w *Writer) waited() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passWords()
}

func (w *Writer) passWords() {
	w.pass(bytes.LastIndexByte(w.pending, ' ') + 1)
	if len(w.pending) > mostHeld {
		w.pass(len(w.pending))
	}
}

// pass passes on the first n bytes.
func (w *Writer) pass(n int) {
	if n == 0 || w.err != nil {
		return
	}
	_, w.err = io.WriteString(w.to, w.masker.Mask(string(w.pending[:n])))
	w.pending = append(w.pending[:0], w.pending[n:]...)
}

// Flush passes on what is held back.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pass(len(w.pending))
	return w.err
}

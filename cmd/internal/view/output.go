package view

import (
	"io"
	"sync"
)

// Output passes on what is written, and keeps the first error. What writes line by line has
// nothing to do about one; the command says at its end that output is missing.
type Output struct {
	to io.Writer

	mu  sync.Mutex
	err error
}

// NewOutput is the output to a writer.
func NewOutput(to io.Writer) *Output { return &Output{to: to} }

// Write implements io.Writer. After an error nothing more is written: later output would
// hide the gap.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	var n int
	n, o.err = o.to.Write(b)
	return n, o.err
}

// Lost is why output is missing; nil: none is.
func (o *Output) Lost() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

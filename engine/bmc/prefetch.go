package bmc

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// atOnce is how many documents are read from one BMC at the same time.
const atOnce = 4

// Prefetch implements [Reader]. It determines the vendor on the way; until that is known,
// questions are asked as of a machine that follows the standard.
func (o *opened) Prefetch(ctx context.Context, ask func(context.Context, Reader)) error {
	r := o.redfish
	r.asked = 0
	if err := r.connect(ctx); err != nil {
		return err
	}
	r.fetchAhead(ctx, func() {
		if c, err := o.vendor(ctx); err == nil {
			ask(ctx, c)
		} else if r.system != "" {
			ask(ctx, r)
		}
	})
	_, err := o.vendor(ctx)
	return err
}

// Prefetch implements [Reader].
func (r *Redfish) Prefetch(ctx context.Context, ask func(context.Context, Reader)) error {
	r.fetchAhead(ctx, func() { ask(ctx, r) })
	return ctx.Err()
}

// errWanted is the answer to a question that lacks a document, while the lookahead finds out
// which documents questions need.
var errWanted = errors.New("the document is not read yet")

// lookahead finds out which documents questions need, and reads them concurrently. A question
// is asked of what was read so far: if a document is missing, it names it and is asked
// again later. So there is no list of what a vendor's machine is asked for, and the code that
// reads an answer need not know that others are read at the same time.
type lookahead struct {
	named map[path]bool // each is read once, whatever the outcome
	queue []wanted
	done  chan fetched
	busy  int // requests that are under way
}

type wanted struct {
	uri Link
	at  path
}

type fetched struct {
	wanted
	answer   answer
	err      error
	panicked any
}

// want notes a document that a question lacks.
func (l *lookahead) want(w wanted) {
	l.named[w.at] = true
	l.queue = append(l.queue, w)
}

// fetchAhead reads the documents that questions take. It returns when they lack none that
// can be read now; a document that could not be read is left to the call that needs it.
func (r *Redfish) fetchAhead(ctx context.Context, ask func()) {
	l := &lookahead{named: map[path]bool{}, done: make(chan fetched, atOnce)}
	r.since = r.o.Now()
	defer r.believe()
	for {
		if len(l.queue) == 0 {
			r.askAhead(l, ask)
		}
		for ctx.Err() == nil && len(l.queue) > 0 && r.mayAsk(l.busy) {
			go r.fetch(ctx, l.queue[0], l.done)
			l.queue, l.busy = l.queue[1:], l.busy+1
		}
		if l.busy == 0 {
			return
		}
		f := <-l.done
		l.busy--
		if !r.take(f) {
			l.queue, ask = nil, func() {}
		}
	}
}

// mayAsk reports whether one more document may be asked for while others are under way.
func (r *Redfish) mayAsk(busy int) bool {
	switch {
	case busy >= r.atOnce:
		return false
	case busy < r.connections:
		return true
	case busy > 0 && !r.transport.anotherPays():
		return false
	}
	r.connections = busy + 1
	return true
}

// believe makes what was read ahead count as current for a moment from now on.
func (r *Redfish) believe() {
	for _, d := range r.documents {
		if !d.at.Before(r.since) {
			d.until = r.o.Now().Add(moment)
		}
	}
	r.since = time.Time{}
}

func (r *Redfish) askAhead(l *lookahead, ask func()) {
	r.ahead = l
	defer func() { r.ahead = nil }()
	ask()
}

// fetch reads a document. It runs concurrently with others, so it touches nothing of r that changes.
func (r *Redfish) fetch(ctx context.Context, w wanted, done chan<- fetched) {
	f := fetched{wanted: w}
	defer func() {
		f.panicked = recover()
		done <- f
	}()
	f.answer, f.err = r.request(ctx, http.MethodGet, w.at, nil, nil)
}

// take keeps the outcome of a request ahead. A BMC that stumbles, or is overloaded, is asked for
// fewer documents at once from then on. take returns false if the BMC no longer accepts the
// login: then nothing more is read ahead, because more refusals could lock the account.
func (r *Redfish) take(f fetched) bool {
	var e *Error
	switch {
	case f.panicked != nil:
		panic(f.panicked)
	case f.err == nil:
		r.authenticated = true
		r.keepETag(f.uri, f.answer.header.Get("ETag"), f.answer.body)
		r.remember(f.uri, f.answer.body)
	case stumbles(f.err) || errors.As(f.err, &e) && e.busy():
		r.atOnce = max(1, r.atOnce/2)
	case e == nil || e.Status == 0:
	case e.Status == http.StatusUnauthorized:
		return r.denied[e.Request]
	default:
		r.rememberAs(f.uri, &reading{at: r.o.Now(), err: f.err})
	}
	return true
}

// busy reports an answer that may change as soon as the BMC has less to do.
func (e *Error) busy() bool {
	return e.Status != 0 && e.Status != http.StatusNotImplemented && e.Retryable()
}

// every asks questions that do not depend on each other: while documents are read ahead, each
// of them names what it lacks, whatever the others lack.
func every(questions ...func() error) error {
	var lacking error
	for _, ask := range questions {
		if err := ask(); err == errWanted {
			lacking = err
		} else if err != nil {
			return err
		}
	}
	return lacking
}

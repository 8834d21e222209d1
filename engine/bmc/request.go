package bmc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/stmcginnis/gofish"

	"esxiplan/engine/text"
)

// open makes gofish's client, which begins by reading the service root.
func (r *Redfish) open(ctx context.Context) error {
	asked := &trip{}
	bounded, cancel := r.bounded(ctx, asked)
	defer cancel()
	client, err := gofish.ConnectContext(bounded, gofish.ClientConfig{Endpoint: r.o.Address, HTTPClient: r.http, ReuseConnections: true, NoModifyTransport: true, MaxConcurrentRequests: atOnce})
	if err != nil {
		return r.failure(ctx, "GET "+rootURI, err, asked)
	}
	if err := r.takeRoot(client.Service, asked.body); err != nil {
		return err
	}
	r.client = client.WithContext(context.Background()) // each request has its own
	return nil
}

// bounded ends a request in time, and lets the transport leave its answer in asked.
func (r *Redfish) bounded(ctx context.Context, asked *trip) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithValue(ctx, tripKey{}, asked), r.o.Timeout)
}

// request sends one request by gofish's client.
func (r *Redfish) request(ctx context.Context, method string, at path, body any, header map[string]string) (answer, error) {
	payload, kind, err := payloadOf(body)
	if err != nil {
		return answer{}, err
	}
	if r.client == nil {
		if err := r.open(ctx); err != nil {
			return answer{}, err
		}
	}
	asked := &trip{}
	bounded, cancel := r.bounded(ctx, asked)
	defer cancel()
	resp, err := r.client.WithContext(bounded).RunRawRequestWithHeaders(method, at.text, payload, kind, header)
	if err != nil {
		return answer{}, r.failure(ctx, method+" "+at.text, err, asked)
	}
	resp.Body.Close() // asked has it
	return asked.answer, nil
}

// payloadOf returns a request's body and its media type; a nil body has none.
func payloadOf(body any) (io.ReadSeeker, string, error) {
	if body == nil {
		return nil, "", nil
	}
	b, err := json.Marshal(body)
	return bytes.NewReader(b), "application/json", err
}

// failure says why a request was not done: from the BMC's answer, else from what prevented
// an answer.
func (r *Redfish) failure(ctx context.Context, request string, err error, asked *trip) error {
	out := &Error{Request: request, Status: asked.status, headers: asked.header}
	switch {
	case asked.status != 0:
		out.Messages = r.explanation(asked, err)
		out.keep(asked.body)
		r.explain(out)
		return out
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		out.Err = fmt.Errorf("the BMC gave no answer in time: the step's own time ended (%w)", ctx.Err())
		return out
	case ctx.Err() != nil:
		return ctx.Err() // not the BMC's fault
	}
	if reason, ok := certificateProblem(err); ok {
		return &ErrCertificate{reason}
	}
	var op *net.OpError
	out.unsent = errors.As(err, &op) && op.Op == "dial"
	out.Err = shown(plainTransport(err))
	return out
}

// explanation is what an answer says of why the request was not done, or what is wrong with
// the answer itself.
func (r *Redfish) explanation(asked *trip, err error) []Message {
	var unfit *errAnswer
	if errors.As(err, &unfit) {
		return []Message{{Text: unfit.what}}
	}
	if asked.status/100 == 3 {
		return []Message{{Text: fmt.Sprintf("it redirects to %q, which is not followed: only other places on the BMC are, and %d times at most", text.Short(asked.header.Get("Location"), 200), maxRedirects)}}
	}
	if messages := extendedInfo(asked.body); len(messages) > 0 {
		return messages
	}
	return unreadable(asked, err)
}

// unreadable describes an answer that explains nothing. If its status is a success, err is
// why gofish could not read it.
func unreadable(asked *trip, err error) []Message {
	switch {
	case asked.status < 300 && json.Valid(asked.body):
		return []Message{{Text: fmt.Sprintf("the answer is not as the standard has it: %s", text.Short(err.Error(), 200))}}
	case asked.status < 300 || len(bytes.TrimSpace(asked.body)) > 0:
		return []Message{{Text: notJSON(asked.body)}}
	}
	return nil
}

// cleanError is a network error whose text contains passages from a BMC, cleaned.
type cleanError struct{ error }

func (e cleanError) Error() string { return text.Clean(e.error.Error()) }
func (e cleanError) Unwrap() error { return e.error }

func shown(err error) error {
	if err == nil {
		return nil
	}
	return cleanError{err}
}

// explain translates an error by the vendor's messages, once the vendor is known.
func (r *Redfish) explain(e *Error) {
	var vendor map[string]Advice
	if known := r.messages.Load(); known != nil {
		vendor = *known
	}
	e.explain(vendor)
}

// explain translates the first message that says more than that something failed.
func (e *Error) explain(vendor map[string]Advice) {
	for i, table := range []map[string]Advice{vendor, catalogue, general} {
		for _, m := range e.Messages {
			if a, ok := table[m.ID]; ok {
				e.Advice, e.vague = a, i == 2
				return
			}
		}
	}
}

// plainTransport shortens net/http's error: the message names method and URL elsewhere.
func plainTransport(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var op *net.OpError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the BMC closed the connection without an answer (%w)", err)
	case u != nil && u.Timeout() && !errors.Is(err, context.Canceled):
		return fmt.Errorf("the BMC gave no answer in time (%w)", err)
	case errors.As(err, &op):
		return op.Err
	}
	return err
}

// How often and after which pause a read is repeated when the BMC stumbles.
const (
	reads     = 4
	readPause = 2 * time.Second
)

// read retries failures that may pass in seconds: BMCs answer 5xx while they reload their
// data, and drop connections. A timeout takes long and is left to the retry of the step.
func (r *Redfish) read(ctx context.Context, at path) (a answer, err error) {
	err = r.patiently(ctx, func() error {
		a, err = r.again(ctx, func() (answer, error) { return r.request(ctx, http.MethodGet, at, nil, nil) })
		return err
	})
	return a, err
}

func stumbles(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	if e.Status == 0 {
		return errors.Is(e.Err, io.EOF) || errors.Is(e.Err, io.ErrUnexpectedEOF) || errors.Is(e.Err, syscall.ECONNRESET)
	}
	return e.Status >= 500 && e.Status != http.StatusNotImplemented && e.Retryable()
}

// again repeats a request once after a new login when the session was lost. A
// 401 says that nothing was done, so this is safe for writes, too. A resource that
// answers 401 to a fresh session as well is one that the user may not see.
func (r *Redfish) again(ctx context.Context, send func() (answer, error)) (answer, error) {
	a, err := send()
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusUnauthorized {
		r.authenticated = r.authenticated || err == nil
		return a, err
	}
	switch {
	case r.denied[e.Request] || r.session == nil && r.authenticated:
		return a, e.forbidden()
	case r.session == nil:
		return a, r.refused("it answers 401 to "+e.Request, e)
	}
	r.forget(ctx)
	if err := r.login(ctx); err != nil {
		return a, err
	}
	if a, err = send(); errors.As(err, &e) && e.Status == http.StatusUnauthorized {
		r.denied[e.Request] = true
		return a, e.forbidden()
	}
	return a, err
}

// forbidden makes a final error of a 401 that a new login does not cure.
func (e *Error) forbidden() error {
	e.Advice = catalogue["InsufficientPrivilege"]
	return e
}

package bmc

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/stmcginnis/gofish/schemas"
)

// answer is a successful response.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// reading is a document and when it was read.
type reading struct {
	answer
	at time.Time
}

// recent is how long a document counts as just read.
const recent = 2 * time.Second

// Refresh implements [Reader].
func (r *Redfish) Refresh() { clear(r.documents) }

// lenient decodes JSON and puts up with fields of a wrong type: BMCs have them,
// mostly in places that nobody needs.
func lenient(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return nil
	}
	return err
}

// Decode is json.Unmarshal that puts up with fields of a wrong type.
func Decode(body []byte, into any) error { return lenient(body, into) }

// request sends one request with whatever authentication is in force.
func (r *Redfish) request(ctx context.Context, method, uri string, body any, header map[string]string) (answer, error) {
	var payload io.ReadSeeker
	kind := ""
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		payload, kind = bytes.NewReader(b), "application/json"
	}
	path, err := r.path(uri)
	if err != nil {
		return answer{}, err
	}
	m := &meta{}
	resp, err := r.client.WithContext(context.WithValue(ctx, metaKey{}, m)).RunRawRequestWithHeaders(method, path, payload, kind, r.authorised(header))
	switch {
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return answer{}, &Error{Request: method + " " + path, Err: fmt.Errorf("the BMC gave no answer in time: the step's own time ended (%w)", ctx.Err())}
	case err != nil && ctx.Err() != nil:
		return answer{}, ctx.Err() // no fault of the BMC
	}
	if err != nil {
		return answer{}, r.failure(method+" "+path, err, m)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, &Error{Request: method + " " + path, Err: err}
	}
	return answer{resp.StatusCode, resp.Header, b}, nil
}

// path reduces what BMCs write into links to a path on this BMC.
func (r *Redfish) path(uri string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil || !strings.HasPrefix(u.Path, "/") {
		return "", &Error{Request: "GET " + uri, Status: http.StatusOK, Messages: []Message{{Text: fmt.Sprintf("the BMC gave a link that is none: %q", uri)}}}
	}
	out := u.EscapedPath()
	if u.RawQuery != "" {
		out += "?" + u.RawQuery
	}
	return out, nil
}

func (r *Redfish) authorised(header map[string]string) map[string]string {
	out := map[string]string{"Accept": "application/json", "OData-Version": "4.0", "User-Agent": "esxiplan"}
	for k, v := range header {
		out[k] = v
	}
	switch {
	case r.token != "":
		out["X-Auth-Token"] = r.token
	case r.basic:
		out["Authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(r.o.Username+":"+r.o.Password))
	}
	return out
}

// failure turns what gofish reports into an [Error].
func (r *Redfish) failure(request string, err error, m *meta) error {
	out := &Error{Request: request, headers: m.header}
	var answered *schemas.Error
	if !errors.As(err, &answered) || answered.HTTPReturnedStatusCode == 0 {
		if reason, ok := certificateProblem(err); ok {
			return &ErrCertificate{reason}
		}
		out.Err = plainTransport(err)
		return out
	}
	out.Status = answered.HTTPReturnedStatusCode
	raw := strings.TrimPrefix(answered.Error(), fmt.Sprintf("%d: ", out.Status))
	out.Messages = extendedInfo([]byte(raw))
	if len(out.Messages) == 0 && strings.TrimSpace(raw) != "" {
		out.Messages = []Message{{Text: notJSON([]byte(raw))}}
	}
	out.explain(r.messages)
	return out
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

// plainTransport shortens net/http's error: method and URL stand elsewhere.
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

// Get reads a document. What was read a moment ago, with no write since, is taken
// from memory. A session that the BMC has forgotten is renewed once.
func (r *Redfish) Get(ctx context.Context, uri string, into any) error {
	if uri == "" {
		return &ErrUnsupported{"the BMC does not link to what is needed here"}
	}
	if known, ok := r.documents[uri]; ok && r.o.Now().Sub(known.at) < recent {
		return decode(http.MethodGet, uri, known.body, into)
	}
	if err := r.connect(ctx); err != nil {
		return err
	}
	a, err := r.read(ctx, uri)
	if err != nil {
		return err
	}
	r.keepETag(uri, a)
	r.documents[uri] = reading{a, r.o.Now()}
	return decode(http.MethodGet, uri, a.body, into)
}

// How often and after which pause a read is repeated when the BMC stumbles.
const (
	reads     = 4
	readPause = 2 * time.Second
)

// read repeats what may pass in seconds: BMCs answer 5xx while they reload their
// data, and drop connections. Silence is left to whoever retries the step: it takes long.
func (r *Redfish) read(ctx context.Context, uri string) (a answer, err error) {
	err = r.patiently(ctx, func() error {
		a, err = r.again(ctx, func() (answer, error) { return r.request(ctx, http.MethodGet, uri, nil, nil) })
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

func decode(method, uri string, body []byte, into any) error {
	if err := lenient(body, into); err != nil {
		return &Error{Request: method + " " + uri, Status: http.StatusOK, Messages: []Message{{Text: notJSON(body)}}}
	}
	return nil
}

func notJSON(body []byte) string {
	text := strings.Join(strings.Fields(string(body)), " ")
	switch {
	case text == "":
		return "the answer is empty"
	case text[0] == '<':
		return "it sent a web page instead of Redfish; is this the BMC's address?"
	case len(text) > 80:
		text = text[:80] + "…"
	}
	return "the answer is not JSON: " + text
}

// again repeats a request once after a new login when the session was lost. A
// 401 says that nothing was done, so this is safe for writes, too. A resource that
// answers 401 to a fresh session as well is one that the user may not see.
func (r *Redfish) again(ctx context.Context, send func() (answer, error)) (answer, error) {
	a, err := send()
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusUnauthorized {
		r.worked = r.worked || err == nil
		return a, err
	}
	switch {
	case r.denied[e.Request] || r.token == "" && r.worked:
		return a, e.forbidden()
	case r.token == "":
		return a, r.refused("it answers 401 to " + e.Request)
	}
	if r.logout(ctx) == nil {
		r.o.Sessions.SessionClosed(r.o.Address, r.session)
	}
	r.token, r.session = "", ""
	if err := r.login(ctx); err != nil {
		return a, err
	}
	if a, err = send(); errors.As(err, &e) && e.Status == http.StatusUnauthorized {
		r.denied[e.Request] = true
		return a, e.forbidden()
	}
	return a, err
}

// forbidden makes a final error of a 401 that no login helps against.
func (e *Error) forbidden() error {
	e.Advice = catalogue["InsufficientPrivilege"]
	return e
}

func (r *Redfish) keepETag(uri string, a answer) {
	tag := a.header.Get("ETag")
	if tag == "" && bytes.Contains(a.body, []byte("@odata.etag")) {
		var doc struct {
			Tag string `json:"@odata.etag"`
		}
		lenient(a.body, &doc)
		tag = doc.Tag
	}
	r.etags[strings.TrimSuffix(uri, "/")] = tag
}

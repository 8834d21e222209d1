package bmc

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"esxiplan/engine/text"
)

// Bounds of what a BMC can make us read. The largest document of a recorded machine that is
// read here has 45 KB. Up to commonBody a BMC's Content-Length is believed.
const (
	maxBody    = 4 << 20
	commonBody = 1 << 20
	maxHeader  = 64 << 10
)

// freshFor is how long a connection counts as alive after an answer.
const freshFor = 2 * time.Second

// DialFunc opens a connection; it lets plan addresses be reached elsewhere.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// transport is the connection to one BMC. It belongs to that BMC alone, so nothing
// leaks from one to another. The client of gofish uses it: it authenticates the
// requests, keeps the answers as they came, and blocks every write of a dry run and every
// request to another place, whatever made it.
type transport struct {
	base     *http.Transport
	origin   origin // no request goes elsewhere
	readOnly bool   // a dry run: only GET, HEAD and the session may pass
	trace    Trace
	secret   func(string) // takes in the token of a session

	mu         sync.Mutex
	answered   time.Time
	connecting time.Duration // what the last new connection took
	answering  time.Duration // what the last answer took, once there was a connection
	seen       string        // fingerprint of the certificate
	credential header        // of every request but the login
}

// header is one header of a request; the zero value means no header.
type header struct{ name, value string }

func newTransport(at origin, o Options) (*transport, error) {
	t := &transport{origin: at, readOnly: o.ReadOnly, secret: o.Secret}
	config, err := o.Trust.config(t.saw, &firstUse{pins: o.Trust.FirstUse, address: o.Address, warn: o.Warn})
	if err != nil {
		return nil, err
	}
	t.base = &http.Transport{
		DialContext:            o.Dial,
		TLSClientConfig:        config,
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/2 of BMCs is unreliable
		DisableKeepAlives:      o.Brief,
		DisableCompression:     true, // compression changes ETags
		MaxConnsPerHost:        atOnce,
		MaxIdleConnsPerHost:    atOnce,
		IdleConnTimeout:        15 * time.Second, // a host may wait for half an hour; its connection is closed earlier
		TLSHandshakeTimeout:    20 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
		ReadBufferSize:         2048,
		WriteBufferSize:        1024,
	}
	return t, nil
}

func (t *transport) saw(fingerprint string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen = fingerprint
}

func (t *transport) fingerprint() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen
}

// authenticate sets the credential of the requests to come.
func (t *transport) authenticate(h header) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.credential = h
}

type tripKey struct{}

// trip is a round trip: what its caller asks of the transport, and the BMC's last answer.
// gofish returns neither the headers of an error nor its body as it came.
type trip struct {
	session   bool // opens or ends our session: it may pass in a dry run
	anonymous bool // goes without a credential
	answer         // status 0: none came
}

// answer is what a BMC answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	asked, _ := req.Context().Value(tripKey{}).(*trip)
	if asked == nil {
		asked = &trip{}
	}
	asked.answer = answer{}
	if !t.origin.has(req.URL) {
		return nil, fmt.Errorf("esxiplan tried to send %s to %q, which is not the BMC; this is a bug in esxiplan, and the request was not sent", req.Method, req.URL.Redacted())
	}
	reads := req.Method == http.MethodGet || req.Method == http.MethodHead
	if t.readOnly && !reads && !asked.session {
		return nil, fmt.Errorf("a dry run tried to send %s %s; this is a bug in esxiplan, and the request was not sent", req.Method, req.URL.Path)
	}
	if !reads && !t.fresh() {
		t.base.CloseIdleConnections()
	}
	return t.traced(t.signed(req, asked), asked)
}

// signed is a copy of a request with the headers of all requests.
func (t *transport) signed(req *http.Request, asked *trip) *http.Request {
	req = req.Clone(req.Context())
	req.Header.Set("OData-Version", "4.0")
	req.Header.Set("User-Agent", "esxiplan")
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.credential.name != "" && !asked.anonymous {
		req.Header.Set(t.credential.name, t.credential.value)
	}
	return req
}

// send makes the round trip and reads the whole answer, so that the connection is free
// again whatever the caller does with it.
func (t *transport) send(req *http.Request, asked *trip) (*http.Response, error) {
	began, connected := time.Now(), time.Time{}
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
		if connected = time.Now(); !c.Reused {
			t.connectedIn(connected.Sub(began))
		}
	}}))
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := readBody(resp)
	var unfit *errAnswer
	if err != nil && !errors.As(err, &unfit) {
		return nil, err
	}
	t.answeredIn(time.Since(connected), !resp.Close)
	asked.answer = answer{resp.StatusCode, resp.Header, body}
	if token := resp.Header.Get("X-Auth-Token"); token != "" {
		t.secret(token) // before anything shows the answer, which may repeat it
	}
	if unfit != nil {
		return nil, unfit
	}
	if err := req.Context().Err(); err != nil { // a server that sees the connection end may end its answer in the middle
		asked.answer = answer{}
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

func (t *transport) connectedIn(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.connecting = took
}

// answeredIn notes an answer; one after which the connection is closed does not show that a
// connection is alive.
func (t *transport) answeredIn(took time.Duration, stays bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answered, t.answering = time.Time{}, took
	if stays {
		t.answered = time.Now()
	}
}

// anotherPays reports that a further connection brings an answer sooner than waiting for a
// busy one. If answers come fast, its handshake costs the BMC more than it saves.
func (t *transport) anotherPays() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.connecting < t.answering
}

// readBody reads an answer's body, into no more memory than it needs if its length
// is known. One that would take more memory than any answer needs is refused here, before
// anything decodes it.
func readBody(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	if how := resp.Header.Get("Content-Encoding"); how != "" && how != "identity" {
		return nil, &errAnswer{fmt.Sprintf("the answer is compressed (%s), which was not asked for", text.Short(how, 40))}
	}
	if n := resp.ContentLength; n > 0 && n <= commonBody && resp.Body != http.NoBody {
		body := make([]byte, n)
		_, err := io.ReadFull(resp.Body, body)
		return fit(body, err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if len(body) > maxBody {
		return nil, &errAnswer{fmt.Sprintf("the answer is longer than %d MiB", maxBody>>20)}
	}
	return fit(body, err)
}

func (t *transport) fresh() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.answered) < freshFor
}

// CloseIdleConnections lets http.Client close what is idle.
func (t *transport) CloseIdleConnections() { t.base.CloseIdleConnections() }

// maxRedirects is how many redirects one request may take.
const maxRedirects = 5

// follow follows redirects (some BMCs answer 308 to add a slash) only where
// method and origin stay: else a write would become a read, or a token leave.
func (o origin) follow(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || !o.has(req.URL) || req.Method != via[0].Method {
		return http.ErrUseLastResponse
	}
	return nil
}

package bmc

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// maxBody bounds what a broken BMC can make us read; up to commonBody it is believed that
// it sends as much as it says.
const (
	maxBody    = 16 << 20
	commonBody = 1 << 20
)

// freshFor is how long a connection counts as alive after an answer.
const freshFor = 2 * time.Second

// DialFunc opens a connection; it lets plan addresses be reached elsewhere.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// transport is the connection to one BMC. It belongs to that BMC alone, so nothing
// leaks from one to another. The client of gofish stands on it: it authenticates the
// requests, keeps the answers as they came, and lets no write of a dry run pass.
type transport struct {
	base     *http.Transport
	readOnly bool // a dry run: only GET, HEAD and the session may pass
	trace    Trace

	mu         sync.Mutex
	answered   time.Time
	seen       string // fingerprint of the certificate
	credential header // of every request but the login
}

// header is one header of a request; the zero value is none.
type header struct{ name, value string }

func newTransport(address string, trust Trust, dial DialFunc, readOnly, brief bool) (*transport, error) {
	t := &transport{readOnly: readOnly}
	config, err := trust.config(address, t.saw)
	if err != nil {
		return nil, err
	}
	t.base = &http.Transport{
		DialContext:         dial,
		TLSClientConfig:     config,
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/2 of BMCs is not to be trusted
		DisableKeepAlives:   brief,
		DisableCompression:  true, // compression changes ETags
		MaxConnsPerHost:     2,
		MaxIdleConnsPerHost: 1,
		IdleConnTimeout:     15 * time.Second, // a host may wait for half an hour; its connection need not
		TLSHandshakeTimeout: 20 * time.Second,
		ReadBufferSize:      2048,
		WriteBufferSize:     1024,
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
// gofish hands on neither the headers of an error nor its body as it came.
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
	reads := req.Method == http.MethodGet || req.Method == http.MethodHead
	if t.readOnly && !reads && !asked.session {
		return nil, fmt.Errorf("a dry run tried to send %s %s; this is a bug in esxiplan, and the request was not sent", req.Method, req.URL.Path)
	}
	if !reads && !t.fresh() {
		t.base.CloseIdleConnections()
	}
	return t.traced(t.signed(req, asked), asked)
}

// signed is a copy of a request with the headers that all requests bear.
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
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := readBody(resp)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.answered = time.Now()
	t.mu.Unlock()
	asked.answer = answer{resp.StatusCode, resp.Header, body}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// readBody reads an answer's body, into no more memory than it takes where its length
// is known.
func readBody(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	if n := resp.ContentLength; n > 0 && n <= commonBody && resp.Body != http.NoBody {
		body := make([]byte, n)
		_, err := io.ReadFull(resp.Body, body)
		return body, err
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxBody))
}

func (t *transport) fresh() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.answered) < freshFor
}

// CloseIdleConnections lets http.Client close what is idle.
func (t *transport) CloseIdleConnections() { t.base.CloseIdleConnections() }

// sameHost follows redirects (some BMCs answer 308 to add a slash) only where
// method and host stay: else a write would become a read, or a token leave.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) > 5 || req.URL.Host != first.URL.Host || req.URL.Scheme != first.URL.Scheme || req.Method != first.Method {
		return http.ErrUseLastResponse
	}
	return nil
}

// endpoint checks the base URL.
func endpoint(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || address != u.Scheme+"://"+u.Host {
		return "", fmt.Errorf("%q is not the URL of a BMC, such as https://10.0.0.1", address)
	}
	return address, nil
}

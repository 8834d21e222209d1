package bmc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// maxBody bounds what a broken BMC can make us read.
const maxBody = 16 << 20

// freshFor is how long a connection counts as alive after an answer.
const freshFor = 2 * time.Second

// DialFunc opens a connection; it lets plan addresses be reached elsewhere.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Trust says how a BMC's certificate is checked. The zero value checks against
// the system's authorities.
type Trust struct {
	Off         bool
	Fingerprint string // SHA-256, hexadecimal, the only certificate accepted
	CAFile      string
	FirstUse    Pins // accept the first certificate seen, then only that one
}

// Pins remembers the certificate that each BMC showed first.
type Pins interface {
	Pin(address string) (fingerprint string, ok bool)
	SetPin(address, fingerprint string) error
}

// transport is the connection to one BMC. It belongs to that BMC alone, so
// nothing leaks from one to another.
type transport struct {
	base     *http.Transport
	readOnly bool // a dry run: only GET, HEAD and the session may pass
	trace    Trace

	mu       sync.Mutex
	answered time.Time
	seen     string // fingerprint of the certificate
}

func newTransport(address string, trust Trust, dial DialFunc, readOnly bool) (*transport, error) {
	t := &transport{readOnly: readOnly}
	config, err := trust.config(address, t.saw)
	if err != nil {
		return nil, err
	}
	t.base = &http.Transport{
		DialContext:         dial,
		TLSClientConfig:     config,
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/2 of BMCs is not to be trusted
		DisableCompression:  true,                                                   // compression changes ETags
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

func fingerprintOf(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// config builds the TLS configuration; saw is told the certificate's fingerprint.
func (trust Trust) config(address string, saw func(string)) (*tls.Config, error) {
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		CurvePreferences:   []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384}, // a hello of 1.7 KB, as post-quantum makes it, confuses old firmware
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	if trust.CAFile != "" {
		pem, err := os.ReadFile(trust.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca_file: %s holds no certificate in PEM form", trust.CAFile)
		}
	}
	want := strings.ToLower(strings.NewReplacer("sha256:", "", ":", "").Replace(trust.Fingerprint))
	c.InsecureSkipVerify = trust.Off || want != "" || trust.FirstUse != nil
	c.VerifyConnection = func(state tls.ConnectionState) error {
		have := fingerprintOf(state.PeerCertificates[0])
		saw(have)
		if trust.FirstUse != nil {
			return firstUse(trust.FirstUse, address, have)
		}
		if want != "" && want != have {
			return &ErrCertificate{fmt.Sprintf("the BMC shows the certificate sha256:%s, the plan pins sha256:%s: either it was renewed (then change tls.fingerprint) or this is another machine", have, want)}
		}
		return nil
	}
	return c, nil
}

func firstUse(pins Pins, address, have string) error {
	pinned, ok := pins.Pin(address)
	if !ok {
		return pins.SetPin(address, have)
	}
	if pinned != have {
		return &ErrCertificate{fmt.Sprintf("the BMC shows the certificate sha256:%s, on first use it was sha256:%s: either it was renewed (then remove the old one from the state folder) or this is another machine", have, pinned)}
	}
	return nil
}

// ErrCertificate is a certificate that the plan does not accept. It is final.
type ErrCertificate struct{ Reason string }

func (e *ErrCertificate) Error() string { return e.Reason }

// certificateProblem tells whether err is about trust, and how to go on.
func certificateProblem(err error) (string, bool) {
	var pinned *ErrCertificate
	if errors.As(err, &pinned) {
		return pinned.Reason, true
	}
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return fmt.Sprintf("the BMC's certificate is not trusted (%v): pin it with tls = { fingerprint = \"sha256:%s\" } after checking it, or see tls in the documentation", verification.Err, fingerprintOf(verification.UnverifiedCertificates[0])), true
	}
	return "", false
}

type metaKey struct{}

// meta is what a round trip leaves for its caller.
type meta struct {
	header http.Header
	status int
	login  bool // a session request: may pass in a dry run
	local  bool // answered here: gofish's request at connect
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	m, _ := req.Context().Value(metaKey{}).(*meta)
	if m == nil {
		m = &meta{}
	}
	if m.local {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte("{}"))), Request: req}, nil
	}
	reads := req.Method == http.MethodGet || req.Method == http.MethodHead
	if t.readOnly && !reads && !m.login {
		return nil, fmt.Errorf("a dry run tried to send %s %s; this is a bug in esxiplan, and the request was not sent", req.Method, req.URL.Path)
	}
	if !reads && !t.fresh() {
		t.base.CloseIdleConnections()
	}
	resp, err := t.traced(req, m)
	if err != nil {
		return nil, err
	}
	t.answer()
	m.header, m.status = resp.Header, resp.StatusCode
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxBody), resp.Body}
	return resp, nil
}

func (t *transport) answer() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answered = time.Now()
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

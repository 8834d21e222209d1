package evil

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"esxiplan/engine/bmc/bmcsim"
)

// BMC is an evil BMC in front of an honest one.
type BMC struct {
	form     Form
	honest   http.Handler
	attacker string // address

	listener net.Listener
	server   *http.Server

	mu      sync.Mutex
	secrets []string        // that clients sent: passwords, tokens, Basic
	tokens  map[string]bool // those of them that are tokens of sessions
	said    int             // texts that echoed one
}

// next counts the texts that echo a secret.
func (b *BMC) next() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said++
	return b.said - 1
}

// New makes one. attacker is the address of an [Attacker].
func New(form Form, honest http.Handler, attacker string) *BMC {
	return &BMC{form: form, honest: honest, attacker: attacker, tokens: map[string]bool{}}
}

// Serve listens on a loopback address with a certificate of its own.
func (b *BMC) Serve(address string) error {
	certificate, err := bmcsim.NewCertificate()
	if err != nil {
		return err
	}
	b.listener, err = net.Listen("tcp", address)
	if err != nil {
		return err
	}
	b.server = &http.Server{
		Handler: b, ReadHeaderTimeout: 20 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig:    &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	go b.server.ServeTLS(b.listener, "", "")
	return nil
}

// Address is where it listens.
func (b *BMC) Address() string { return b.listener.Addr().String() }

// Close ends it, and every answer that is under way.
func (b *BMC) Close() { b.server.Close() }

// ServeHTTP implements http.Handler.
func (b *BMC) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	b.learn(r, asked)
	r.Body = io.NopCloser(bytes.NewReader(asked))
	x := &exchange{evil: b, w: w, r: r, header: http.Header{}, status: http.StatusOK}
	b.honest.ServeHTTP(x, r)
	if root(r) { // so that each document is requested by itself, and can be spoiled
		x.edit(func(doc any) { walk(doc, func(o map[string]any) { delete(o, "ProtocolFeaturesSupported") }) })
	}
	if b.form.at == nil || b.form.at(r) {
		b.form.spoil(x)
	}
	if !x.over {
		x.send()
	}
}

// learn keeps the secrets that a client sends.
func (b *BMC) learn(r *http.Request, body []byte) {
	var login struct{ Password string }
	found := []string{r.Header.Get("X-Auth-Token"), r.Header.Get("Authorization")}
	if json.Unmarshal(body, &login) == nil {
		found = append(found, login.Password)
	}
	if basic, ok := strings.CutPrefix(found[1], "Basic "); ok {
		plain, _ := base64.StdEncoding.DecodeString(basic)
		_, password, _ := strings.Cut(string(plain), ":")
		found = append(found, basic, password)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens[found[0]] = true
	for _, secret := range found {
		if secret != "" {
			b.secrets = append(b.secrets, secret)
		}
	}
}

// Secrets lists what clients sent that only they and the BMC may know: passwords, tokens,
// and the headers that hold them, each once.
func (b *BMC) Secrets() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(b.secrets)))
}

// known is all secrets so far, separated by blanks.
func (b *BMC) known() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.secrets[max(0, len(b.secrets)-8):], " ")
}

// exchange is a request with the honest answer, as far as it has been spoiled.
type exchange struct {
	evil   *BMC
	w      http.ResponseWriter
	r      *http.Request
	header http.Header
	status int
	body   bytes.Buffer
	over   bool // the answer was sent
}

// Header implements http.ResponseWriter, for the honest BMC.
func (x *exchange) Header() http.Header { return x.header }

// Write implements http.ResponseWriter.
func (x *exchange) Write(p []byte) (int, error) { return x.body.Write(p) }

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) { x.status = status }

func (x *exchange) head() {
	for name, values := range x.header {
		x.w.Header()[name] = values
	}
	x.w.WriteHeader(x.status)
}

func (x *exchange) send() {
	if x.status != http.StatusNoContent && x.status >= 200 {
		x.header.Set("Content-Length", strconv.Itoa(x.body.Len()))
	}
	x.head()
	x.w.Write(x.body.Bytes())
}

// say replaces the honest body.
func (x *exchange) say(body string) {
	x.body.Reset()
	x.body.WriteString(body)
	x.header.Del("Content-Length")
}

// raw writes to the connection what no server would, and closes it.
func (x *exchange) raw(text string) {
	x.over = true
	if c, _, err := x.w.(http.Hijacker).Hijack(); err == nil {
		defer c.Close()
		io.WriteString(c, text)
	}
}

// pour writes pieces until the client has gone, or a gigabyte was written.
func (x *exchange) pour(begin, piece string, pause time.Duration) {
	x.over = true
	x.header.Del("Content-Length")
	x.head()
	if _, err := io.WriteString(x.w, begin); err != nil {
		return
	}
	for written := 0; written < 1<<30 && x.r.Context().Err() == nil; written += len(piece) {
		if _, err := io.WriteString(x.w, piece); err != nil {
			return
		}
		if pause > 0 {
			x.w.(http.Flusher).Flush()
			x.wait(pause)
		}
	}
}

// wait ends when the client has gone, too.
func (x *exchange) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-x.r.Context().Done():
	}
}

// edit changes the JSON document of the answer, where it is one.
func (x *exchange) edit(change func(doc any)) {
	decoder := json.NewDecoder(bytes.NewReader(x.body.Bytes()))
	decoder.UseNumber()
	var doc any
	if decoder.Decode(&doc) != nil {
		return
	}
	change(doc)
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(doc) == nil {
		x.say(out.String())
	}
}

// walk visits every object of a document.
func walk(v any, visit func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(v)
		for _, inner := range v {
			walk(inner, visit)
		}
	case []any:
		for _, inner := range v {
			walk(inner, visit)
		}
	}
}

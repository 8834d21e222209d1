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
	"slices"
	"strings"
	"time"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/schemas"
)

// Options say how a BMC is reached and by whom.
type Options struct {
	Address  string // as the plan writes it
	Username string
	Password string
	System   string // id of the computer system, "" where there is one only
	Trust    Trust
	Vendors  []Vendor
	Record   Record
	Dial     DialFunc
	ReadOnly bool          // a dry run: Basic instead of a session where the BMC takes it
	Timeout  time.Duration // of one request; 0: 60 seconds
	Logins   *Logins       // shared by all BMCs of a run
	Sessions SessionLog
	Warn     func(string) // told once of what is worth knowing about the connection
}

// SessionLog is told of sessions by URI, so that one left over by a crash can
// be closed later. It never sees a token.
type SessionLog interface {
	SessionOpened(address, uri string)
	SessionClosed(address, uri string)
	// Leftover returns sessions that an earlier process of ours did not close.
	Leftover(address string) []string
}

// Redfish is the standard. Vendors embed it.
type Redfish struct {
	o         Options
	base      string
	transport *transport
	client    *gofish.APIClient

	loginErr error // sticky: nobody logs in again after a refusal
	token    string
	session  string
	basic    bool

	root     RootDocument
	system   string // URI
	manager  string
	settings string     // URI of the system's settings resource, "" where there is none
	media    []string   // URIs of the collections of slots
	resets   string     // URI of the reset action
	power    PowerState // as last read
	identity Identity
	sku      string
	etags    map[string]string
	rules    Rules
	messages map[string]Advice
	stock    *Inventory
}

// Rules are differences between vendors that are data.
type Rules struct {
	// SerialFromSKU: the number on the machine is SKU; SerialNumber is the board's.
	SerialFromSKU bool
	// SlotUsable tells slots that take a CD by URL from those that look like it; nil: all do.
	SlotUsable func(id string) bool
	// BootDevices are storage controllers whose volume ESXi sees under a name of its own.
	BootDevices []BootDevice
}

// BootDevice is a family of boot controllers.
type BootDevice struct {
	Controller string // part of the controller's id or name, without regard to case
	Model      string // what ESXi calls the volume; "": the controller's name
}

// SetRules is called by a vendor's New.
func (r *Redfish) SetRules(rules Rules) { r.rules = rules }

func newRedfish(o Options) (*Redfish, error) {
	base, err := endpoint(o.Address)
	if err != nil {
		return nil, err
	}
	if o.Timeout == 0 {
		o.Timeout = 60 * time.Second
	}
	t, err := newTransport(o.Address, o.Trust, o.Dial, o.ReadOnly)
	if err != nil {
		return nil, err
	}
	r := &Redfish{o: o, base: base, transport: t, etags: map[string]string{}, messages: map[string]Advice{}}
	ctx := context.WithValue(context.Background(), metaKey{}, &meta{local: true})
	r.client, err = gofish.ConnectContext(ctx, gofish.ClientConfig{
		Endpoint: base, ReuseConnections: true, NoModifyTransport: true,
		HTTPClient: &http.Client{Transport: t, Timeout: o.Timeout, CheckRedirect: sameHost},
	})
	return r, err
}

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

// answer is a successful response.
type answer struct {
	status int
	header http.Header
	body   []byte
}

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
		return "", &Error{Request: "GET " + uri, Err: fmt.Errorf("the BMC gave a link that is none: %q", uri)}
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
	if len(out.Messages) == 0 && strings.HasPrefix(strings.TrimSpace(raw), "<") {
		out.Messages = []Message{{Text: notJSON([]byte(raw))}}
	}
	out.Advice = r.advice(out.Messages)
	return out
}

func (r *Redfish) advice(messages []Message) Advice {
	for _, table := range []map[string]Advice{r.messages, catalogue} {
		for _, m := range messages {
			if a, ok := table[m.ID]; ok {
				return a
			}
		}
	}
	return Advice{}
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

// get reads a document. A session that the BMC has forgotten is renewed once.
func (r *Redfish) get(ctx context.Context, uri string, into any) error {
	if err := r.connect(ctx); err != nil {
		return err
	}
	a, err := r.again(ctx, func() (answer, error) { return r.request(ctx, http.MethodGet, uri, nil, nil) })
	if err != nil {
		return err
	}
	r.keepETag(uri, a)
	return decode(http.MethodGet, uri, a.body, into)
}

func decode(method, uri string, body []byte, into any) error {
	if err := lenient(body, into); err != nil {
		return &Error{Request: method + " " + uri, Status: 200, Messages: []Message{{Text: notJSON(body)}}}
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
// 401 says that nothing was done, so this is safe for writes, too.
func (r *Redfish) again(ctx context.Context, send func() (answer, error)) (answer, error) {
	a, err := send()
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusUnauthorized {
		return a, err
	}
	if r.token == "" {
		return a, r.refused("it answers 401 to " + e.Request)
	}
	r.token, r.session = "", ""
	if err := r.login(ctx); err != nil {
		return a, err
	}
	return send()
}

func (r *Redfish) keepETag(uri string, a answer) {
	tag := a.header.Get("ETag")
	if tag == "" {
		var doc struct {
			Tag string `json:"@odata.etag"`
		}
		lenient(a.body, &doc)
		tag = doc.Tag
	}
	r.etags[strings.TrimSuffix(uri, "/")] = tag
}

// write records and sends a state-changing request. The request is not torn by
// the end of ctx once it is under way: what was sent must be known.
func (r *Redfish) write(ctx context.Context, w Write, method, uri string, body any, header map[string]string) (answer, error) {
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	w.Request = method + " " + uri
	if err := r.o.Record(ctx, w); err != nil {
		return answer{}, err
	}
	sent := context.WithoutCancel(ctx)
	a, err := r.again(sent, func() (answer, error) { return r.request(sent, method, uri, body, header) })
	var e *Error
	if errors.As(err, &e) {
		e.Op = w.Action + " " + w.Target
	}
	return a, err
}

// Post calls an action. Actions take no If-Match: some BMCs answer 412 to any.
func (r *Redfish) Post(ctx context.Context, w Write, uri string, body any) error {
	_, err := r.write(ctx, w, http.MethodPost, uri, body, nil)
	return err
}

// Patch changes a resource, with the ETag of the last read. When the BMC does not
// take it, a short ladder follows: the tag read anew, its other form, none at all;
// a BMC that demands a tag (428) gets the one read anew, then "*".
func (r *Redfish) Patch(ctx context.Context, w Write, uri string, body any) error {
	tags := []string{r.etags[strings.TrimSuffix(uri, "/")]}
	for rung := 0; ; rung++ {
		header := map[string]string{}
		if tags[rung] != "" {
			header["If-Match"] = tags[rung]
		}
		_, err := r.write(ctx, w, http.MethodPatch, uri, body, header)
		var e *Error
		if !errors.As(err, &e) || e.Status != http.StatusPreconditionFailed && e.Status != http.StatusPreconditionRequired {
			return err
		}
		if rung == 0 {
			tags = append(tags, r.ladder(ctx, uri, e.Status, tags[0])...)
		}
		if rung+1 >= len(tags) {
			return err
		}
		w.Repeat = true
	}
}

// ladder lists further tags to try, none of them twice.
func (r *Redfish) ladder(ctx context.Context, uri string, status int, tried string) []string {
	var ignored struct{}
	if r.get(ctx, uri, &ignored) != nil {
		return nil
	}
	read := r.etags[strings.TrimSuffix(uri, "/")]
	candidates := []string{read, strings.TrimPrefix(read, "W/"), strings.Trim(strings.TrimPrefix(read, "W/"), `"`), ""}
	if status == http.StatusPreconditionRequired {
		candidates = []string{read, "*"}
	}
	var out []string
	for _, c := range candidates {
		if c != tried && !slices.Contains(out, c) && (c != "" || status == http.StatusPreconditionFailed) {
			out = append(out, c)
		}
	}
	return out
}

// Get reads a document for a vendor.
func (r *Redfish) Get(ctx context.Context, uri string, into any) error { return r.get(ctx, uri, into) }

// Manager is the URI of the manager.
func (r *Redfish) Manager() string { return r.manager }

// System is the URI of the computer system.
func (r *Redfish) System() string { return r.system }

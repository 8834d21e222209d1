package bmc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Logins watches one credential across all BMCs of a run: after three BMCs
// refused it, it is wrong, and is not used further.
type Logins struct {
	mu      sync.Mutex
	changed chan struct{}
	state   map[string]*credential
}

type credential struct {
	accepted bool
	pending  int
	refused  int
}

const maxRefusals = 3

// NewLogins starts with no credential known.
func NewLogins() *Logins {
	return &Logins{changed: make(chan struct{}), state: map[string]*credential{}}
}

// begin waits until the credential may be tried. Until one BMC has accepted it,
// no more than three have it in hand at once.
func (l *Logins) begin(ctx context.Context, key string) error {
	for {
		l.mu.Lock()
		c := l.state[key]
		if c == nil {
			c = &credential{}
			l.state[key] = c
		}
		if c.refused >= maxRefusals {
			l.mu.Unlock()
			return fmt.Errorf("not tried: %d other BMCs refused the same user and password", c.refused)
		}
		if c.accepted || c.refused+c.pending < maxRefusals {
			c.pending++
			l.mu.Unlock()
			return nil
		}
		wait := l.changed
		l.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type verdict int

const (
	noVerdict verdict = iota
	accepted
	refused
)

func (l *Logins) end(key string, v verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.state[key]
	c.pending--
	switch v {
	case accepted:
		c.accepted = true
	case refused:
		c.refused++
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// refused makes the refusal of a login stick to this client.
func (r *Redfish) refused(reason string) error {
	r.loginErr = &ErrLogin{r.o.Address, r.o.Username, reason}
	return r.loginErr
}

// login opens a session. Where the BMC refuses sessions, but not the password,
// Basic is used. A dry run starts with Basic, because a session is a POST, and so does a
// service that shows no sessions.
func (r *Redfish) login(ctx context.Context) error {
	if r.loginErr != nil {
		return r.loginErr
	}
	if r.welcome { // what other BMCs say of the credential is not this one's word
		_, err := r.tryLogin(ctx)
		return err
	}
	key := r.o.Username + "\x00" + r.o.Password
	if err := r.o.Logins.begin(ctx, key); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return r.refused(err.Error())
	}
	v, err := r.tryLogin(ctx)
	r.welcome = v == accepted
	r.o.Logins.end(key, v)
	return err
}

func (r *Redfish) tryLogin(ctx context.Context) (verdict, error) {
	if noSessions := r.root.Links.Sessions.ID == "" && !r.hidden; r.o.ReadOnly || noSessions {
		v, err := r.tryBasic(ctx)
		if v != noVerdict || err != nil {
			return v, err
		}
	}
	err := r.patiently(ctx, func() error { return r.openSession(ctx) })
	var e *Error
	switch {
	case err == nil:
		return accepted, nil
	case !errors.As(err, &e) || e.Status == 0:
		return noVerdict, err
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		return refused, r.refused(strings.TrimSpace(fmt.Sprintf("it answers %d%s%s", e.Status, e.ids(), e.text())))
	case r.o.ReadOnly:
		return noVerdict, err
	}
	v, basicErr := r.tryBasic(ctx)
	if basicErr == nil && v == accepted {
		r.o.Warn("the BMC gives no session (" + err.Error() + "); every request carries the password instead")
	}
	if v == noVerdict && basicErr == nil {
		return noVerdict, err
	}
	return v, basicErr
}

// patiently repeats what a stumbling BMC did not do, a few times.
func (r *Redfish) patiently(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if err == nil || try == reads || !stumbles(err) {
			return err
		}
		if sleepErr := r.o.Sleep(ctx, readPause); sleepErr != nil {
			return sleepErr
		}
	}
}

// tryBasic reads the computer systems with Basic authentication. No verdict and
// no error: the BMC does not take Basic. That is asked without the password, so
// that a wrong one is not sent twice.
func (r *Redfish) tryBasic(ctx context.Context) (verdict, error) {
	_, err := r.request(ctx, http.MethodGet, r.root.Systems.ID, nil, nil)
	var e *Error
	if err == nil {
		r.basic = true // it asks for nothing
		return accepted, nil
	}
	if !errors.As(err, &e) || e.Status == 0 || e.Status != http.StatusUnauthorized {
		return noVerdict, err
	}
	offered := slices.ContainsFunc(e.headers["Www-Authenticate"], func(challenge string) bool {
		return strings.Contains(strings.ToLower(challenge), "basic")
	})
	if !offered {
		return noVerdict, nil
	}
	r.basic = true
	_, err = r.request(ctx, http.MethodGet, r.root.Systems.ID, nil, nil)
	switch {
	case err == nil:
		return accepted, nil
	case errors.As(err, &e) && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden):
		r.basic = false
		return refused, r.refused(strings.TrimSpace(fmt.Sprintf("it answers %d%s", e.Status, e.ids())))
	}
	r.basic = false
	return noVerdict, err
}

func (r *Redfish) openSession(ctx context.Context) error {
	uri := r.root.Links.Sessions.ID
	if uri == "" {
		uri = "/redfish/v1/SessionService/Sessions"
	}
	m := &meta{login: true}
	body, err := json.Marshal(map[string]string{"UserName": r.o.Username, "Password": r.o.Password})
	if err != nil {
		return err
	}
	sent := context.WithValue(context.WithoutCancel(ctx), metaKey{}, m)
	resp, err := r.client.WithContext(sent).RunRawRequestWithHeaders(http.MethodPost, uri, bytes.NewReader(body), "application/json", r.authorised(nil))
	if err != nil {
		err = r.failure("POST "+uri, err, m)
		var e *Error
		if errors.As(err, &e) {
			e.Op = "log in"
		}
		return err
	}
	defer resp.Body.Close()
	var doc struct {
		ID string `json:"@odata.id"`
	}
	b, _ := io.ReadAll(resp.Body)
	lenient(b, &doc)
	r.token, r.session = resp.Header.Get("X-Auth-Token"), resp.Header.Get("Location")
	if r.session == "" {
		r.session = doc.ID
	}
	if r.token == "" {
		return &Error{Op: "log in", Request: "POST " + uri, Status: resp.StatusCode, Messages: []Message{{Text: "the BMC gave no token for the session"}}}
	}
	if r.session, err = r.path(r.session); err != nil {
		return nil // a session without a place cannot be closed; it expires
	}
	r.o.Sessions.SessionOpened(r.o.Address, r.session)
	if r.o.ReadOnly {
		r.o.Warn("the BMC refuses Basic authentication; this dry run logs in by a session, its only POST, and deletes it")
	}
	r.closeLeftovers(ctx)
	return nil
}

// closeLeftovers ends sessions that a crash of ours left open. They are tried
// once: what cannot be closed expires by itself.
func (r *Redfish) closeLeftovers(ctx context.Context) {
	if r.o.ReadOnly {
		return
	}
	for _, uri := range r.o.Sessions.Leftover(r.o.Address) {
		if ours, err := r.isOurs(ctx, uri); err != nil || ctx.Err() != nil {
			return
		} else if ours {
			if _, err := r.request(ctx, http.MethodDelete, uri, nil, nil); isUnreachable(err) {
				continue
			}
		}
		r.o.Sessions.SessionClosed(r.o.Address, uri)
	}
}

// sessionDocument is a session of somebody.
type sessionDocument struct {
	URI      string `json:"@odata.id"`
	ID       string `json:"Id"`
	UserName string
	Origin   string `json:"ClientOriginIPAddress"`
	Created  string `json:"CreatedTime"`
}

func (d sessionDocument) String() string {
	text := "session " + lastSegment(d.URI)
	if d.Origin != "" {
		text += " from " + d.Origin
	}
	if d.Created != "" {
		text += " since " + d.Created
	}
	return text
}

// OtherSessions implements [Reader]. Our own is not read: where it is the only one, this is
// one request.
func (r *Redfish) OtherSessions(ctx context.Context) (out []string, err error) {
	uri := r.root.Links.Sessions.ID
	if uri == "" {
		return nil, nil
	}
	c, err := r.page(ctx, uri, true)
	if err != nil {
		return nil, notShown(err)
	}
	for _, raw := range c.Members {
		var d sessionDocument
		if lenient(raw, &d) != nil || d.URI == "" || r.isThis(d.URI) {
			continue
		}
		if bare(raw) {
			if err := r.Get(ctx, d.URI, &d); err != nil {
				continue // it ended meanwhile, or is not for us to see
			}
		}
		if d.UserName == r.o.Username {
			out = append(out, d.String())
		}
	}
	return out, nil
}

// isThis reports whether a URI is that of this client's session.
func (r *Redfish) isThis(uri string) bool {
	return strings.TrimSuffix(uri, "/") == strings.TrimSuffix(r.session, "/")
}

// notShown is for what a BMC need not show: only that it does not answer is an error.
func notShown(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Status != 0 {
		return nil
	}
	return err
}

// isOurs reports whether a session of that name is one that we left open: BMCs count
// anew when they restart, so it may be the present one, or somebody else's.
func (r *Redfish) isOurs(ctx context.Context, uri string) (bool, error) {
	if r.isThis(uri) {
		return false, nil
	}
	a, err := r.request(ctx, http.MethodGet, uri, nil, nil)
	if isUnreachable(err) {
		return false, err
	}
	var doc struct{ UserName string }
	return err == nil && lenient(a.body, &doc) == nil && doc.UserName == r.o.Username, nil
}

func isUnreachable(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Unreachable()
}

// How long the end of a session may take; it is asked for after the run, too.
const (
	closeTakes = 15 * time.Second
	closePause = 300 * time.Millisecond
)

// Close implements [Client]. A BMC that stumbles is asked again: a session that stays
// takes a place in a small table for half an hour.
func (r *Redfish) Close(ctx context.Context) error {
	defer r.transport.CloseIdleConnections()
	if r.token == "" || r.session == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTakes)
	defer cancel()
	var err error
	for range reads {
		if err = r.logout(ctx); err == nil || ctx.Err() != nil {
			break
		}
		sleep(ctx, closePause)
	}
	if err != nil {
		return fmt.Errorf("the session %s stays open until it expires: %w", r.session, err)
	}
	r.o.Sessions.SessionClosed(r.o.Address, r.session)
	r.token, r.session = "", ""
	return nil
}

// logout deletes the session. One that is not there any more is closed.
func (r *Redfish) logout(ctx context.Context) error {
	m := &meta{login: true}
	ctx = context.WithValue(ctx, metaKey{}, m)
	resp, err := r.client.WithContext(ctx).RunRawRequestWithHeaders(http.MethodDelete, r.session, nil, "", r.authorised(nil))
	if err == nil {
		return resp.Body.Close()
	}
	if m.status == http.StatusNotFound || m.status == http.StatusUnauthorized {
		return nil
	}
	return r.failure("DELETE "+r.session, err, m)
}

package bmc

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"esxiplan/engine/text"
)

// session is the one that this client has open on the BMC.
type session struct {
	Session
	token    string
	answered time.Time       // when the BMC had opened it at the latest
	shown    sessionDocument // as the BMC shows it
}

// sessionDocument is a session of some client.
type sessionDocument struct {
	URI     Link   `json:"@odata.id"`
	ID      string `json:"Id"`
	User    string `json:"UserName"`
	Type    string `json:"SessionType"`
	Origin  string `json:"ClientOriginIPAddress"`
	Created string `json:"CreatedTime"`
	Context string // what the client that opened it wrote there
	Oem     map[string]json.RawMessage
}

// readSession parses a session's document. Some vendors show in their Oem object what the
// standard added later.
func readSession(raw []byte) (d sessionDocument, err error) {
	if err := lenient(raw, &d); err != nil {
		return d, err
	}
	for _, oem := range d.Oem {
		var o struct{ UserAccount, UserIP, LoginTime string }
		lenient(oem, &o)
		d.User, d.Origin, d.Created = firstOf(d.User, o.UserAccount), firstOf(d.Origin, o.UserIP), firstOf(d.Created, o.LoginTime)
	}
	return d, nil
}

func (d sessionDocument) String() string {
	text := "session " + text.Clean(d.URI.Last())
	if d.Origin != "" {
		text += " from " + d.Origin
	}
	if d.Created != "" {
		text += " since " + d.Created
	}
	return text
}

// created is when the session was opened, by the BMC's clock; ok is false if it does not
// say. Some omit the zone, which does not affect a comparison.
func (d sessionDocument) created() (t time.Time, ok bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, d.Created); err == nil {
			return t, true
		}
	}
	return t, false
}

// markPrefix begins the ID of every login, so that people recognise it.
const markPrefix = "esxiplan-"

func newSessionID() string {
	b := make([]byte, 8)
	rand.Read(b)
	return markPrefix + hex.EncodeToString(b)
}

// openSession logs in. The login is recorded before it is sent; one that is not answered
// may have opened a session nevertheless, which is remembered.
func (r *Redfish) openSession(ctx context.Context) error {
	uri := r.root.sessions
	if uri == "" {
		uri = rootURI + "SessionService/Sessions"
	}
	at, err := r.origin.path(uri)
	if err != nil {
		return err
	}
	s := Session{ID: newSessionID(), Asked: time.Now()}
	if err := r.o.Sessions.SessionAsked(r.o.Address, s.ID, s.Asked); err != nil {
		return fmt.Errorf("the login is not sent, because it cannot be recorded: %w", err)
	}
	marked := r.takesMark()
	a, err := r.postLogin(ctx, at, s.ID, marked)
	switch {
	case err == nil:
		return r.opened(ctx, s, a)
	case !opensNone(err):
		r.lost = append(r.lost, pending{s, time.Now()})
		return err
	}
	r.o.Sessions.SessionClosed(r.o.Address, s.ID)
	var e *Error
	if marked && errors.As(err, &e) && e.Status == http.StatusBadRequest {
		r.unmarked = true
		return r.openSession(ctx)
	}
	return err
}

// opensNone reports whether a login that failed this way certainly opened no session.
func opensNone(err error) bool {
	var e *Error
	var untrusted *ErrCertificate
	return errors.As(err, &untrusted) || errors.As(err, &e) && (e.unsent || e.Refused())
}

// takesMark reports whether the login may bear a mark. The standard has a place for it
// since its release 2022.1; a service that does not expect it may refuse the login.
func (r *Redfish) takesMark() bool {
	var major, minor int
	fmt.Sscanf(r.root.version, "#ServiceRoot.v%d_%d", &major, &minor)
	if r.unmarked || major == 1 && minor < 13 || major < 1 {
		return false
	}
	for _, v := range r.o.Vendors {
		if v.Match(r.identity, r.root) {
			return v.KeepsContext
		}
	}
	return false
}

// postLogin sends the login, with its ID as a mark or without.
func (r *Redfish) postLogin(ctx context.Context, at path, id string, marked bool) (answer, error) {
	body := map[string]string{"UserName": r.o.Username, "Password": r.o.Password}
	if marked {
		body["Context"] = id
	}
	a, err := r.sessionRequest(ctx, http.MethodPost, at, body, &trip{session: true, anonymous: true})
	var e *Error
	if errors.As(err, &e) {
		e.Op, e.written = "log in by a session", true
	}
	return a, err
}

// sessionRequest sends a request about our session. It does not go by gofish's client, which
// first reads the service root: some BMCs show that only after a login.
func (r *Redfish) sessionRequest(ctx context.Context, method string, at path, body any, asked *trip) (answer, error) {
	payload, kind, err := payloadOf(body)
	if err != nil {
		return answer{}, err
	}
	bounded, cancel := r.bounded(ctx, asked)
	defer cancel()
	req, err := http.NewRequestWithContext(bounded, method, r.o.Address+at.text, payload)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", "application/json")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := r.http.Do(req)
	if err != nil || asked.status >= 300 {
		return answer{}, r.failure(ctx, method+" "+at.text, err, asked)
	}
	resp.Body.Close() // asked has it
	return asked.answer, nil
}

// opened takes over the session that the BMC opened.
func (r *Redfish) opened(ctx context.Context, s Session, a answer) error {
	shown, _ := readSession(a.body)
	token := a.header.Get("X-Auth-Token")
	if token == "" {
		r.lost = append(r.lost, pending{s, time.Now()})
		return &Error{Op: "log in by a session", Request: "POST " + r.root.sessions.shown(), Status: a.status, Messages: []Message{{Text: "the BMC gave no token for the session"}}}
	}
	r.session = &session{Session: s, token: token, answered: time.Now(), shown: shown}
	r.transport.authenticate(header{"X-Auth-Token", token})
	at, err := r.sessionOf(a, shown)
	if err != nil { // a session without a place cannot be closed
		r.o.Warn("the session stays open until it expires; " + err.Error())
		return nil
	}
	r.session.URI = at.text
	r.o.Sessions.SessionOpened(r.o.Address, s.ID, at.text)
	if r.o.ReadOnly {
		r.o.Warn("the BMC does not ask for Basic authentication; this dry run logs in by a session, its only POST, and deletes it")
		return nil
	}
	r.closeLeftovers(ctx)
	return nil
}

// sessionOf is the link to the session that an answer reports: its Location, else from its body.
func (r *Redfish) sessionOf(a answer, shown sessionDocument) (path, error) {
	at, err := r.origin.located(Link(a.header.Get("Location")))
	if err != nil && shown.URI != "" {
		return r.origin.path(shown.URI)
	}
	return at, err
}

// OtherSessions implements [Reader]. Our own is not read: if it is the only one, this is
// one request.
func (r *Redfish) OtherSessions(ctx context.Context) (out []string, err error) {
	shown, err := r.sessions(ctx, func(uri Link) bool { return !r.isThis(uri) })
	for _, d := range shown {
		if d.User == r.o.Username {
			out = append(out, d.String())
		}
	}
	return out, notShown(err)
}

// sessions reads the sessions whose URI is requested, as far as the BMC shows them.
func (r *Redfish) sessions(ctx context.Context, wanted func(uri Link) bool) (out []sessionDocument, err error) {
	if r.root.sessions == "" {
		return nil, nil
	}
	c, err := r.page(ctx, r.root.sessions, true)
	if err != nil {
		return nil, err
	}
	for _, m := range c.Members {
		if m.uri == "" || !wanted(m.uri) {
			continue
		}
		read := func() (sessionDocument, error) { return readSession(m.raw) }
		if m.bare {
			read = func() (sessionDocument, error) { return r.sessionAt(ctx, m.uri) }
		}
		if d, err := read(); err == nil { // else it ended meanwhile, or we may not see it
			out = append(out, d)
		}
	}
	return out, nil
}

func (r *Redfish) sessionAt(ctx context.Context, uri Link) (sessionDocument, error) {
	var raw json.RawMessage
	if err := r.Get(ctx, uri, &raw); err != nil {
		return sessionDocument{}, err
	}
	d, err := readSession(raw)
	d.URI = cmp.Or(d.URI, uri)
	return d, err
}

// isThis reports whether a URI is that of this client's session.
func (r *Redfish) isThis(uri Link) bool { return r.session != nil && uri.same(Link(r.session.URI)) }

// notShown handles what a BMC need not show: only a missing answer is an error.
func notShown(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Status != 0 {
		return nil
	}
	return err
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
// open occupies a small table for half an hour.
func (r *Redfish) Close(ctx context.Context) error {
	defer r.transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTakes)
	defer cancel()
	r.closeLost(ctx)
	s := r.session
	if s == nil || s.URI == "" {
		return nil
	}
	if err := r.delete(ctx, s.URI); err != nil {
		return fmt.Errorf("the session %s stays open until it expires: %w", s.URI, err)
	}
	r.o.Sessions.SessionClosed(r.o.Address, s.ID)
	r.leave()
	return nil
}

// leave makes this client not logged in.
func (r *Redfish) leave() {
	r.session = nil
	r.transport.authenticate(header{})
}

// forget drops a session that the BMC does not accept any more. If it still exists, it is
// closed later.
func (r *Redfish) forget(ctx context.Context) {
	s := r.session
	if s.URI != "" {
		if r.logout(ctx, s.URI) == nil {
			r.o.Sessions.SessionClosed(r.o.Address, s.ID)
		} else {
			r.lost = append(r.lost, pending{s.Session, s.answered})
		}
	}
	r.leave()
}

// delete ends a session, in several tries where the BMC stumbles.
func (r *Redfish) delete(ctx context.Context, uri string) (err error) {
	for range reads {
		if err = r.logout(ctx, uri); err == nil || ctx.Err() != nil {
			break
		}
		sleep(ctx, closePause)
	}
	return err
}

// logout ends a session. One that does not exist any more has ended.
func (r *Redfish) logout(ctx context.Context, uri string) error {
	at, err := r.origin.path(Link(uri))
	if err != nil {
		return err
	}
	asked := &trip{session: true}
	_, err = r.sessionRequest(ctx, http.MethodDelete, at, nil, asked)
	if asked.status == http.StatusNotFound || asked.status == http.StatusUnauthorized {
		return nil
	}
	return err
}

package bmc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

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
	if noSessions := r.root.sessions == "" && !r.hidden; r.o.ReadOnly || noSessions {
		v, err := r.tryBasic(ctx)
		if v != noVerdict || err != nil {
			return v, err
		}
	}
	err := r.patiently(ctx, func() error { return r.openSession(context.WithoutCancel(ctx)) }) // what was sent must be known
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
	at, err := r.origin.path(r.root.systems)
	if err != nil {
		return noVerdict, err
	}
	_, err = r.request(ctx, http.MethodGet, at, nil, nil)
	var e *Error
	if err == nil {
		r.useBasic(true) // it asks for nothing
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
	r.useBasic(true)
	_, err = r.request(ctx, http.MethodGet, at, nil, nil)
	if err == nil {
		return accepted, nil
	}
	r.useBasic(false)
	if errors.As(err, &e) && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden) {
		return refused, r.refused(strings.TrimSpace(fmt.Sprintf("it answers %d%s", e.Status, e.ids())))
	}
	return noVerdict, err
}

// loggedIn reports whether requests bear a credential.
func (r *Redfish) loggedIn() bool { return r.session != nil || r.basic }

// useBasic lets every request carry the password, or none.
func (r *Redfish) useBasic(on bool) {
	r.basic = on
	if !on {
		r.transport.authenticate(header{})
		return
	}
	r.transport.authenticate(header{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(r.o.Username+":"+r.o.Password))})
}

package bmc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"esxiplan/engine/text"
)

// What to do about a refused login.
const (
	nextCorrect = "Correct username or password in the plan"
	nextUnlock  = "Wait until the lock expires, or unlock the account in the BMC"
)

// refused makes the refusal of a login final for this client; answered is how the BMC did so.
func (r *Redfish) refused(reason string, answered *Error) error {
	return r.refusedUntil(reason, nextCorrect, answered)
}

// refusedUntil is like refused, with another next step than to correct the plan.
func (r *Redfish) refusedUntil(reason, next string, answered *Error) error {
	r.loginErr = &ErrLogin{Address: r.o.Address, Username: r.o.Username, Reason: reason, Next: next, answered: answered}
	return r.loginErr
}

// login opens a session. A service that links to no sessions, or refuses them, is sent the
// password by Basic authentication. A dry run starts with Basic, because a session is a POST.
func (r *Redfish) login(ctx context.Context) error {
	if r.loginErr != nil {
		return r.loginErr
	}
	if r.acceptedBefore { // other BMCs do not decide for this one
		_, err := r.tryLogin(ctx)
		return err
	}
	key := r.o.Username + "\x00" + r.o.Password
	if err := r.o.Logins.begin(ctx, key); err != nil {
		if ctx.Err() != nil {
			return err
		}
		r.loginErr = &ErrLogin{Address: r.o.Address, Username: r.o.Username, Reason: err.Error(), Next: nextCorrect, Untried: true}
		return r.loginErr
	}
	v, err := r.tryLogin(ctx)
	r.acceptedBefore = v == accepted
	r.o.Logins.end(key, v)
	return err
}

// tryLogin tries the ways to log in, each of which gets the password once.
func (r *Redfish) tryLogin(ctx context.Context) (verdict, error) {
	switch {
	case r.turnedAway != nil:
		return r.insteadOfSession(ctx, r.turnedAway)
	case r.root.sessions == "" && !r.hidden:
		return r.judge(r.tryBasic(ctx, true), nil)
	case r.o.ReadOnly:
		if err := r.tryBasic(ctx, false); !errors.Is(err, errNotOffered) {
			return r.judge(err, nil)
		}
	}
	err := r.patiently(ctx, func() error { return r.openSession(context.WithoutCancel(ctx)) }) // the outcome of what was sent must be known
	if !r.basicMayHelp(err) {
		return r.judge(err, nil)
	}
	return r.insteadOfSession(ctx, err)
}

// basicMayHelp reports whether a failed login by a session leaves it open whether the
// service takes the password by Basic authentication. One more refusal does not harm an
// account, unless the service says that it counts them. After the service has accepted a
// login, its refusal is final.
func (r *Redfish) basicMayHelp(err error) bool {
	var e *Error
	switch {
	case !errors.As(err, &e) || e.Status == 0 || e.Status == http.StatusTooManyRequests:
		return false
	case e.denied():
		return !r.acceptedBefore && !e.locked() && !e.Has(passwordChange)
	}
	return true
}

// insteadOfSession logs in by Basic authentication to a service that gave no session. It
// remembers that the service refused one: should Basic fail for another reason, the password
// is not sent there again.
func (r *Redfish) insteadOfSession(ctx context.Context, session error) (verdict, error) {
	var e *Error
	if errors.As(session, &e) && e.denied() {
		r.turnedAway = session
	}
	err := r.tryBasic(ctx, true)
	switch {
	case errors.Is(err, errNotOffered):
		return r.judge(session, nil)
	case err == nil && !r.o.ReadOnly:
		r.o.Warn("the BMC gives no session (" + session.Error() + "); every request carries the password instead")
	}
	return r.judge(err, session)
}

// judge says what the end of a login means for the credential. A refusal is final, and names
// what was tried: before is what was tried first, if anything. An account that is locked,
// or whose password must be changed, says nothing against the password.
func (r *Redfish) judge(err, before error) (verdict, error) {
	var e *Error
	switch {
	case err == nil && r.unasked:
		return noVerdict, nil
	case err == nil:
		return accepted, nil
	case !errors.As(err, &e) || !e.denied():
		return noVerdict, err
	case e.Has(passwordChange):
		return noVerdict, r.refusedUntil(tried(err), catalogue[passwordChange].Next, e)
	case e.locked():
		return refused, r.refusedUntil(tried(before, err), nextUnlock, e)
	case e.Status == http.StatusForbidden && e.Advice.Next != "":
		return refused, r.refusedUntil(tried(before, err)+": "+e.Advice.Text, nextCorrect+", or "+e.Advice.Next, e)
	}
	return refused, r.refused(tried(before, err), e)
}

// tried lists what was tried and how the BMC answered.
func tried(errs ...error) string {
	var out []string
	for _, err := range errs {
		var e *Error
		if errors.As(err, &e) {
			out = append(out, fmt.Sprintf("%s (%s) was answered %d%s%s", strings.TrimPrefix(e.Op, "log in by "), e.Request, e.Status, e.ids(), e.text()))
		}
	}
	return strings.Join(out, ", and ")
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

// errNotOffered: the service does not ask for Basic authentication, so it was not sent the
// password.
var errNotOffered = errors.New("the BMC offers no login that esxiplan knows; enable Basic authentication or the session service in its settings")

// tryBasic reads the computer systems with Basic authentication. Whether the service asks
// for that is found out without the password, so that a wrong one is not sent in vain.
// Many services ask for nothing by name; those get it only if there is no other way.
func (r *Redfish) tryBasic(ctx context.Context, noOther bool) error {
	at, err := r.origin.path(r.root.systems)
	if err != nil {
		return err
	}
	_, err = r.request(ctx, http.MethodGet, at, nil, nil)
	var e *Error
	switch {
	case err == nil: // it asks for no login
		r.unasked = true
		r.useBasic(true)
		return nil
	case !errors.As(err, &e) || e.Status != http.StatusUnauthorized && e.Status != http.StatusForbidden:
		return err
	case !e.asksForBasic() && !(noOther && len(e.headers[challenge]) == 0):
		return fmt.Errorf("%s %w (GET %s asks for %q)", r.o.Address, errNotOffered, at.text, text.Clean(strings.Join(e.headers[challenge], ", ")))
	}
	r.useBasic(true)
	if _, err = r.request(ctx, http.MethodGet, at, nil, nil); err == nil {
		return nil
	}
	r.useBasic(false)
	if errors.As(err, &e) {
		e.Op = "log in by Basic authentication"
	}
	return err
}

// challenge is the header by which a service says what login it takes.
const challenge = "Www-Authenticate"

// asksForBasic reports whether a service that refuses a request names Basic authentication.
func (e *Error) asksForBasic() bool {
	return slices.ContainsFunc(e.headers[challenge], func(scheme string) bool { return strings.Contains(strings.ToLower(scheme), "basic") })
}

const passwordChange = "PasswordChangeRequired"

// denied reports that the answer to a login refuses the user or the password. iLO says so
// with status 400.
func (e *Error) denied() bool {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusLocked:
		return true
	}
	return e.Has("UnauthorizedLoginAttempt", "LoginAttemptDelayed")
}

// locking matches what services write when an account, or the address of the client, takes no
// login for a while: AccountLocked, UserLocked, "is locked out", LoginAttemptDelayed (iLO).
var locking = regexp.MustCompile(`(?i)\bb?locked\b|(account|user|login|address|ip)b?lock(ed|out)|lock(ed)?[ -]?out|too many (failed|login|attempts)|LoginAttemptDelayed`)

// locked reports that a service says that the account is locked.
func (e *Error) locked() bool {
	return e.Status == http.StatusLocked || slices.ContainsFunc(e.Messages, func(m Message) bool {
		return locking.MatchString(m.ID) || locking.MatchString(m.Text)
	})
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

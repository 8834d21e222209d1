package bmc

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stmcginnis/gofish/schemas"

	"esxiplan/engine/text"
)

// pending is a login whose session may be open on the BMC although no client uses it.
type pending struct {
	Session
	until time.Time // when the BMC had opened the session at the latest
}

// loginTakes is how long a BMC may take to open a session after the login was sent, if a
// crash hides when it did. The longer, the more logins of other clients fit.
const loginTakes = 10 * time.Second

// closeLeftovers closes the sessions that crashed processes left open.
func (r *Redfish) closeLeftovers(ctx context.Context) {
	var logins []pending
	for _, s := range r.o.Sessions.Leftover(r.o.Address) {
		logins = append(logins, pending{s, s.Asked.Add(loginTakes)})
	}
	r.closePending(ctx, logins)
}

// closeLost closes the sessions of logins of this process that were not answered. That
// takes a session; if none is open, it opens one.
func (r *Redfish) closeLost(ctx context.Context) {
	logins := r.lost
	if len(logins) == 0 || r.loginErr != nil || !r.loggedIn() && r.openSession(ctx) != nil {
		return // the next process looks after them
	}
	r.lost = nil
	r.closePending(ctx, logins)
}

// closePending closes the sessions that logins opened, as far as it is certain which they are.
// It leaves a session that may be another client's open, and warns.
func (r *Redfish) closePending(ctx context.Context, logins []pending) {
	if len(logins) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, closeTakes)
	defer cancel()
	shown, err := r.candidates(ctx, logins)
	if notShown(err) != nil {
		return // the next process tries again
	}
	for _, f := range match(logins, shown, r.likeness) {
		r.settle(ctx, f)
	}
}

// settle closes the sessions that were found for a login. One that cannot be closed is left
// to the next process.
func (r *Redfish) settle(ctx context.Context, f finding) {
	for _, d := range f.own {
		if r.delete(ctx, string(d.URI)) != nil {
			return
		}
	}
	if len(f.doubt) > 0 {
		r.o.Warn(fmt.Sprintf("a login that was cut off may have left a session open on the BMC; "+
			"esxiplan cannot determine which one of user %q it is (%s), so none was closed. It ends by itself when it was idle for long enough", r.o.Username, joined(f.doubt)))
	}
	r.o.Sessions.SessionClosed(r.o.Address, f.ID)
}

func joined(sessions []sessionDocument) string {
	var texts []string
	for _, d := range sessions {
		texts = append(texts, d.String())
	}
	return text.Clean(strings.Join(texts, ", "))
}

// candidates reads the sessions that may be those of the logins, without our present one:
// those that the logins name, and if one names none, all that the BMC shows.
func (r *Redfish) candidates(ctx context.Context, logins []pending) (out []sessionDocument, err error) {
	r.Refresh(0)
	if slices.ContainsFunc(logins, func(l pending) bool { return l.URI == "" }) {
		out, err = r.sessions(ctx, func(Link) bool { return true })
	} else {
		out, err = r.named(ctx, logins)
	}
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(out, func(d sessionDocument) bool { return r.isThis(d.URI) })
	if i >= 0 {
		r.session.shown = out[i]
		out = slices.Delete(out, i, i+1)
	}
	return out, r.showOwn(ctx, out)
}

// named reads the sessions that logins name.
func (r *Redfish) named(ctx context.Context, logins []pending) (out []sessionDocument, err error) {
	for _, l := range logins {
		d, err := r.sessionAt(ctx, Link(l.URI))
		if isUnreachable(err) || ctx.Err() != nil {
			return nil, err
		}
		if err == nil {
			out = append(out, d)
		}
	}
	return out, nil
}

// showOwn reads our present session, if the BMC shows more of others than it showed of ours
// when it was opened.
func (r *Redfish) showOwn(ctx context.Context, others []sessionDocument) error {
	if r.session == nil || r.session.URI == "" {
		return nil
	}
	more := func(d sessionDocument) bool {
		return d.Created != "" && r.session.shown.Created == "" || d.Origin != "" && r.session.shown.Origin == ""
	}
	if !slices.ContainsFunc(others, more) {
		return nil
	}
	d, err := r.sessionAt(ctx, Link(r.session.URI))
	if err == nil {
		r.session.shown = d
	}
	return notShown(err)
}

// likeness is how much a session, as the BMC shows it, looks like that of a login.
type likeness int

const (
	other    likeness = iota // it is another client's
	possible                 // nothing contradicts it
	likely                   // it was opened when the login was sent
	certain                  // it bears the mark of the login
)

// likeness compares a session with a login, by what the BMC shows of it. Our present
// session shows how the BMC reports our address, our mark and its clock.
func (r *Redfish) likeness(d sessionDocument, l pending) likeness {
	var own session
	if r.session != nil {
		own = *r.session
	}
	switch {
	case d.User != r.o.Username, d.Type != "" && d.Type != string(schemas.RedfishSessionTypes):
		return other
	case d.Context == l.ID:
		return certain
	case d.Context != "", own.shown.Context == own.ID && own.ID != "" && strings.HasPrefix(l.ID, markPrefix):
		return other // a service that keeps our marks shows none, or another's
	}
	timing := own.timing(d, l)
	named := timing == likely && l.URI != "" && d.URI.same(Link(l.URI))
	if elsewhere := d.Origin != "" && own.shown.Origin != "" && d.Origin != own.shown.Origin; elsewhere && !named {
		return other // the process that recorded it may have run on another machine
	}
	return timing
}

// timing compares when a session was opened with when a login was sent. The clocks of the
// BMC and of this machine may differ, so what counts is how long before our present
// session it was; BMCs count in seconds.
func (own session) timing(d sessionDocument, l pending) likeness {
	theirs, shown := d.created()
	ours, known := own.shown.created()
	if !shown || !known || l.Asked.IsZero() {
		return possible
	}
	before := ours.Sub(theirs)
	earliest, latest := own.Asked.Add(-before-time.Second), own.answered.Add(-before+time.Second)
	if latest.Before(l.Asked) || earliest.After(l.until) {
		return other
	}
	return likely
}

// finding is a login with the sessions that were found for it.
type finding struct {
	pending
	own   []sessionDocument // to be closed
	doubt []sessionDocument // may be its own, or another client's
}

// match finds the sessions of logins among those that are shown. A login that names its
// session has that one, unless it looks like another client's: BMCs count from one again when
// they restart. One that does not has the session that bears its mark; else those that were
// opened when it was sent, unless there are more of them than such logins.
func match(logins []pending, shown []sessionDocument, like func(sessionDocument, pending) likeness) []finding {
	found := make([]finding, len(logins))
	taken := map[Link]bool{}
	for i, l := range logins {
		found[i].pending = l
		for _, d := range shown {
			got := like(d, l)
			if got == certain || got != other && l.URI != "" && d.URI.same(Link(l.URI)) {
				found[i].own, taken[d.URI] = []sessionDocument{d}, true
			}
		}
	}
	free := slices.DeleteFunc(slices.Clone(shown), func(d sessionDocument) bool { return taken[d.URI] })
	for i := range found {
		if f := &found[i]; f.URI == "" && len(f.own) == 0 {
			f.guess(logins, free, like)
		}
	}
	return found
}

// guess finds the sessions of a login that neither named one nor left a mark.
func (f *finding) guess(logins []pending, free []sessionDocument, like func(sessionDocument, pending) likeness) {
	var timely []sessionDocument
	for _, d := range free {
		switch like(d, f.pending) {
		case likely:
			timely = append(timely, d)
		case possible:
			f.doubt = append(f.doubt, d)
		}
	}
	rivals := 0
	for _, l := range logins {
		if l.URI == "" && slices.ContainsFunc(timely, func(d sessionDocument) bool { return like(d, l) == likely }) {
			rivals++
		}
	}
	switch {
	case len(timely) == 0:
	case len(timely) > rivals:
		f.doubt = append(timely, f.doubt...)
	default:
		f.own, f.doubt = timely, nil
	}
}

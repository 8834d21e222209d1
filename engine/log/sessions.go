package log

import (
	"slices"
	"time"

	"esxiplan/engine/event"
	"esxiplan/schema"
)

// session is a login whose session may be open, as the door to a BMC knows it.
type session = struct {
	ID, URI string
	Asked   time.Time
}

// SessionAsked notes that a login to a BMC is about to be sent.
func (l *Log) SessionAsked(address, id string, at time.Time) error {
	return l.session(Record{Event: event.Event{Kind: SessionAsked, Host: address, Time: at}, Login: id})
}

// SessionOpened notes the session that a login opened by its URI, never by its token.
func (l *Log) SessionOpened(address, id, uri string) {
	l.session(Record{Event: event.Event{Kind: SessionOpened, Host: address, Time: time.Now()}, Login: id, Session: uri})
}

// SessionClosed notes that nothing is left to do about a login.
func (l *Log) SessionClosed(address, id string) {
	l.session(Record{Event: event.Event{Kind: SessionClosed, Host: address, Time: time.Now()}, Login: id})
}

// session keeps what concerns only later runs: it is not shown. The end of a session need not
// be durable at once.
func (l *Log) session(r Record) error {
	r.Log = Version
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Kind == SessionAsked {
		l.inUse[r.Login] = true
	}
	if err := l.add(&r); err != nil || r.Kind == SessionClosed {
		return err
	}
	return l.flush(l.appended)
}

// Leftover lists the logins of crashed runs whose sessions may be open on a BMC.
func (l *Log) Leftover(address string) []session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.past.Left[bmcOf(address)]), func(s session) bool { return l.inUse[s.ID] })
}

// foldSession takes in what is known of a login.
func (p *past) foldSession(r Record) {
	bmc, id := bmcOf(r.Host), loginOf(r)
	i := slices.IndexFunc(p.Left[bmc], func(s session) bool { return s.ID == id })
	switch {
	case r.Kind == SessionAsked:
		p.Left[bmc] = append(p.Left[bmc], session{ID: id, Asked: r.Time})
	case r.Kind == SessionOpened && i < 0:
		p.Left[bmc] = append(p.Left[bmc], session{ID: id, URI: r.Session})
	case r.Kind == SessionOpened:
		p.Left[bmc][i].URI = r.Session
	case i >= 0:
		p.Left[bmc] = slices.Delete(p.Left[bmc], i, i+1)
	}
	if len(p.Left[bmc]) == 0 {
		delete(p.Left, bmc)
	}
}

// loginOf is the ID of a login; in a log of version 0.1 it is the session's URI.
func loginOf(r Record) string {
	if r.Login == "" {
		return r.Session
	}
	return r.Login
}

// bmcOf is the BMC of a session, which records name by its address: its URL, or what the
// plan said where an earlier version wrote the log.
func bmcOf(address string) string {
	a, err := schema.ParseAddress(address)
	if err != nil {
		return address
	}
	return a.Key()
}

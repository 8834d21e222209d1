package bmc

import "time"

// SessionLog records the sessions of this process on BMCs, so that the next process can close
// what a crash left open. It never sees a token.
//
// Each login has an ID and goes through it in this order: SessionAsked, SessionOpened unless
// the answer is lost, SessionClosed. A log with SessionAsked and no SessionClosed says that
// a session may be open; with SessionOpened, also which. Methods may be called by several
// hosts at once.
type SessionLog interface {
	// SessionAsked records that a login is about to be sent. It is durable when it returns;
	// an error keeps the login from being sent.
	SessionAsked(address, id string, at time.Time) error
	// SessionOpened records the URI of the session that a login opened. It should be
	// durable when it returns: a session without it is found by what the BMC shows only.
	SessionOpened(address, id, uri string)
	// SessionClosed records that nothing is left to do about a login: its session is closed,
	// never was, or is another client's. It need not be durable at once: looking for a
	// closed session does no harm.
	SessionClosed(address, id string)
	// Leftover lists the logins without SessionClosed of processes that have ended, oldest
	// first: never those of this process, or of another one that still runs.
	// A record of a version without IDs has its URI as its ID, and no time.
	Leftover(address string) []Session
}

// Session is a login as a [SessionLog] keeps it. It is an alias, so that a log that must not
// import this package can name the same type.
type Session = struct {
	ID    string    // chosen by the client; the session bears it where the BMC takes a mark
	URI   string    // of the session, "" where the answer never came
	Asked time.Time // when the login was about to be sent, by the real clock: that of the BMC is real, too
}

type noLog struct{}

func (noLog) SessionAsked(string, string, time.Time) error { return nil }
func (noLog) SessionOpened(string, string, string)         {}
func (noLog) SessionClosed(string, string)                 {}
func (noLog) Leftover(string) []Session                    { return nil }

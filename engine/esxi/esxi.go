package esxi

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// State is how far an ESXi has come up.
type State string

// An address where nothing answers, where the proxy answers but not yet the
// API, where the API answers, and where something else answers.
const (
	Silent   State = "silent"
	Starting State = "starting"
	Up       State = "up"
	Other    State = "other"
)

// Probe is what an address shows without a login.
type Probe struct {
	State       State
	Fingerprint string // SHA-256 of the certificate, "" where there was no TLS
	Product     string // full name
	Version     string
	Build       string
	ESXi        bool   // an ESXi host, not a vCenter
	Reason      string // why it is silent or other
}

// System is what an ESXi says after a login.
type System struct {
	UUID      string   // of the hardware, lower case
	Serials   []string // serial number, service tag and the like
	Version   string
	Build     string
	Installed time.Time // when this system was installed, by its own clock
	Booted    time.Time
	Now       time.Time // its clock
	VMs       []string  // names of powered-on virtual machines
	VCenter   string    // address of the managing vCenter, "" if vCenter does not manage it
	VSAN      bool
	// LUNs describes disks that it sees over a storage network, some of many; nil where it
	// sees none or that is not known, and after a login as [Root].
	LUNs []string
	// Datastores are those on its VMFS volumes; nil where that is not known, and after a login
	// as [Root].
	Datastores []Datastore
}

// Busy says why the machine must not be reset, or "" when it is free.
func (s System) Busy() string {
	switch {
	case len(s.VMs) > 0:
		return fmt.Sprintf("%d virtual machines run on it (%s)", len(s.VMs), firstFew(s.VMs))
	case s.VCenter != "":
		return "it is managed by the vCenter " + s.VCenter
	case s.VSAN:
		return "it is a member of a vSAN cluster"
	}
	return ""
}

func firstFew(names []string) string {
	const few = 3
	text := ""
	for i, n := range names {
		if i == few {
			return text + ", …"
		}
		if i > 0 {
			text += ", "
		}
		text += n
	}
	return text
}

// Login is a user and a password.
type Login struct{ Username, Password string }

// Who chooses a login.
type Who int

// Current is the login of the system that runs there before the run; Root is
// root of the new one, with the password of the kickstart.
const (
	Current Who = iota
	Root
)

// ErrLogin is a refused login, or one that is not tried for the account's sake.
type ErrLogin struct {
	Address, Username, Reason string
	Final                     bool // no more logins are tried
}

func (e *ErrLogin) Error() string {
	return fmt.Sprintf("ESXi %s, user %q: %s", e.Address, e.Username, e.Reason)
}

// ErrTooSoon is the answer to a login too soon after a failed one; its text is why that one
// failed.
var ErrTooSoon = errors.New("the next login is tried half a minute after the last")

// ErrNoLogin is the answer where the plan gives no such login.
var ErrNoLogin = errors.New("the plan gives no login for this ESXi")

// Client is the door to an ESXi.
type Client interface {
	Probe(context.Context) (Probe, error)
	// Inspect logs in to the system whose certificate has the given fingerprint,
	// and to no other.
	Inspect(ctx context.Context, who Who, fingerprint string) (System, error)
	// Gone notes that the machine was restarted: the session with what ran on it ended, and
	// no other replaces it.
	Gone()
	Close()
}

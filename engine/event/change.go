package event

import (
	"fmt"
	"time"
)

// Risk labels a change for people.
type Risk string

// What a change may do at worst.
const (
	Mounts  Risk = "mounts"
	Reboots Risk = "reboots"
	Wipes   Risk = "wipes"
	// PowersOff is a machine that stays off.
	PowersOff Risk = "powers off"
)

// Verb is what a change does: one of the verbs of the BMC door or of the media door.
type Verb string

// The verbs of changes.
const (
	Eject   = Verb("eject")
	Insert  = Verb("insert")
	SetBoot = Verb("boot")
	Reset   = Verb("reset")
	Prepare = Verb("prepare")
	Publish = Verb("publish")
	Remove  = Verb("remove")
)

// The doors that changes go through.
const (
	DoorBMC   = "bmc"
	DoorMedia = "media"
)

// Change is a write as a value. It is recorded before it is made; what came of it is a
// record of its own, [Settled].
type Change struct {
	ID      string `json:"id,omitempty"`
	Door    string `json:"door"`
	Verb    Verb   `json:"action"`
	Target  string `json:"target"`
	Old     string `json:"old"`
	New     string `json:"new"`
	Request string `json:"request,omitempty"`
	Risk    Risk   `json:"risk,omitempty"`
	Repeat  bool   `json:"repeat,omitempty"` // the same change in another form
	Found   bool   `json:"found,omitempty"`  // not our request: someone else's doing, found on the machine
	// Makes is what would be on a medium that is published, and Replaces what is on the one
	// that was published last; both only in a dry run.
	Makes    *Medium `json:"makes,omitempty"`
	Replaces *Medium `json:"replaces,omitempty"`
	// Machine is the machine as it was found before the host's first change of the process;
	// only in a dry run and where a saved plan is applied.
	Machine *Machine `json:"machine,omitempty"`
	Intent
}

// Intent is what a change is part of. It goes down with the call that asks for it.
type Intent struct {
	Boots    bool      `json:"boots,omitempty"`    // part of one boot of the machine, ForceOff and On alike
	Installs bool      `json:"installs,omitempty"` // that boot can start an installer
	Medium   string    `json:"medium,omitempty"`   // digest of what is on the medium that is mounted or booted
	Before   *Snapshot `json:"before,omitempty"`   // what answered on the ESXi address before that boot
	Erases   []Disk    `json:"erases,omitempty"`   // disks that the installer overwrites, as the guards found them
	All      bool      `json:"all,omitempty"`      // also what someone else mounted as a floppy or USB stick
	Force    bool      `json:"force,omitempty"`    // also while our installation may be reading the medium, of which the caller knows better

	// Seal is set by the guards that admitted a start of the machine, and lets the requests
	// of that one start pass. It is of a type that only the guards can make; it is not logged.
	Seal any `json:"-"`
}

func (c Change) String() string {
	old, now := c.Old, c.New
	if old == "" {
		old = "empty"
	}
	if now == "" {
		now = "empty"
	}
	return fmt.Sprintf("%s %s: %s → %s", c.Verb, c.Target, old, now)
}

// Starts reports a reset after which the machine is on, by the names of Redfish.
func (c Change) Starts() bool {
	return c.Verb == Reset && c.New != "ForceOff" && c.New != "GracefulShutdown"
}

// Fate is what came of a change.
type Fate string

// A change is done; refused, so surely not done; of unknown fate, because the answer was
// lost or says too little; or undone: it is not so any more, though no change by us
// undid it, or it never came about.
const (
	Done    = Fate("done")
	Refused = Fate("refused")
	Unknown = Fate("unknown")
	Undone  = Fate("undone")
)

// Settled is the record of what came of a change. Later records of the same change hold.
type Settled struct {
	Change string `json:"change"`
	Fate   Fate   `json:"fate"`
	// Stays is a boot source override that no boot uses up: the service knows only
	// continuous ones.
	Stays bool `json:"stays,omitempty"`
}

// Snapshot is what an ESXi address showed before a reset; a later look is compared
// with it.
type Snapshot struct {
	State       string    `json:"state"`
	Fingerprint string    `json:"fingerprint,omitempty"`
	Build       string    `json:"build,omitempty"`
	Installed   time.Time `json:"installed,omitzero"`
}

// Verdict is what a look at a machine says about its installation.
type Verdict struct {
	Proven   bool     `json:"proven,omitempty"`   // a new installation on this very machine
	Ended    bool     `json:"ended,omitempty"`    // nothing is being installed any more
	Seeks    bool     `json:"seeks,omitempty"`    // the end of the installation was waited for: when it fails, it was given up
	Reason   string   `json:"reason,omitempty"`   // why not, in plain words
	Next     string   `json:"next,omitempty"`     // what to do about it
	Version  string   `json:"version,omitempty"`  // of the ESXi that was proven
	Build    string   `json:"build,omitempty"`    //
	Evidence []string `json:"evidence,omitempty"` // what the proof rests on
	// Unchecked are the signs that a proof could not rest on, each with the reason.
	Unchecked []string `json:"unchecked,omitempty"`
}

// Left is what a run leaves behind at a machine.
type Left struct {
	Installing time.Time `json:"installing,omitzero"` // since when one of our installations is in progress
	Mounted    []string  `json:"mounted,omitempty"`   // our images that stay in drives
	Off        bool      `json:"off,omitempty"`       // powered off for a restart, and not started again
	Boots      string    `json:"boots,omitempty"`     // boot source that we set for the next boot
}

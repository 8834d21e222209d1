package event

import (
	"slices"
	"time"
)

// Phase is how far the installation of a machine has come.
type Phase string

// The phases of an installation, in their order. A machine may pass one unseen.
const (
	PhaseRestart   Phase = "restart"   // the BMC accepted our reset
	PhasePost      Phase = "post"      // the firmware is in its power-on self-test
	PhaseLoader    Phase = "loader"    // the machine boots our medium
	PhaseReading   Phase = "reading"   // the installer's modules are being read
	PhaseInstaller Phase = "installer" // the installer runs
	PhaseRebooting Phase = "rebooting" // the installer has ended, and the machine boots what it installed
	PhaseAnswering Phase = "answering" // a new ESXi answers
	PhaseProven    Phase = "proven"    // it is the one that we installed, on this machine
)

// Phases are all phases in their order.
var Phases = []Phase{PhaseRestart, PhasePost, PhaseLoader, PhaseReading, PhaseInstaller, PhaseRebooting, PhaseAnswering, PhaseProven}

// After reports a phase that comes later than another one. Any comes after "", no phase.
func (p Phase) After(other Phase) bool { return slices.Index(Phases, p) > slices.Index(Phases, other) }

// Words say what a machine does in the phase, for people.
func (p Phase) Words() string {
	if words, ok := phaseWords[p]; ok {
		return words
	}
	return string(p)
}

var phaseWords = map[Phase]string{
	PhaseRestart: "restarted", PhasePost: "in POST", PhaseLoader: "booting the medium", PhaseReading: "reading the image",
	PhaseInstaller: "installing", PhaseRebooting: "rebooting", PhaseAnswering: "ESXi answers", PhaseProven: "proven",
}

// Entered says that an installation was seen in a phase: the body of a phase event.
type Entered struct {
	Phase    Phase     `json:"phase"`
	Evidence string    `json:"evidence"`           // what shows it
	Since    time.Time `json:"since,omitzero"`     // when another process saw it enter; zero: this one did, now
	Reset    time.Time `json:"reset,omitzero"`     // our reset, from which the installation is timed
	Model    string    `json:"model,omitempty"`    // of the machine, where it is known
	Watched  time.Time `json:"watched,omitzero"`   // since when waits have looked at the machine without a gap, perhaps from before the reset; zero: none does
	Expected *Expected `json:"expected,omitempty"` // nil: no earlier run of this model is known
}

// Expected is how long it took earlier installations of the same model from this phase to the
// proof.
type Expected struct {
	Runs   int     `json:"runs"`   // how many installations these were
	Median Seconds `json:"median"` //
	Low    Seconds `json:"low"`    // the fastest
	High   Seconds `json:"high"`   // the slowest
}

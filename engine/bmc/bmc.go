package bmc

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stmcginnis/gofish/schemas"
)

// Identity is how a machine identifies itself.
type Identity struct {
	Vendor       string // as a plan writes it: the name of the vendor's folder
	Manufacturer string
	Model        string
	Serial       string // what is printed on the machine; for some vendors not SerialNumber
	Board        string // SerialNumber where Serial is another
	UUID         string // of the computer system, lower case
	System       string // id of the computer system
	Generation   string // model of the manager
	Firmware     string // version of the manager
}

// PowerState is the state of a machine's power.
type PowerState string

// Power states of Redfish. Unknown: the BMC does not report one.
const (
	On           = PowerState(schemas.OnPowerState)
	Off          = PowerState(schemas.OffPowerState)
	PoweringOn   = PowerState(schemas.PoweringOnPowerState)
	PoweringOff  = PowerState(schemas.PoweringOffPowerState)
	Paused       = PowerState(schemas.PausedPowerState)
	PowerUnknown = PowerState("Unknown")
)

// ResetType is a Redfish reset type.
type ResetType string

// The reset types that esxiplan sends.
const (
	ResetOn               = ResetType(schemas.OnResetType)
	ResetForceOff         = ResetType(schemas.ForceOffResetType)
	ResetForceRestart     = ResetType(schemas.ForceRestartResetType)
	ResetGracefulShutdown = ResetType(schemas.GracefulShutdownResetType)
)

// Power is the power state and the resets that the BMC offers.
type Power struct {
	State   PowerState
	Allowed []ResetType // empty: the BMC does not say
	// Post is how far the firmware has come, in the BMC's words, such as "InPost" or
	// "OSRunning"; empty where it does not say.
	Post string
	// Posting reports that the firmware is in its power-on self-test, as far as the BMC says.
	Posting bool
	// Early reports a POST that has not found all devices yet, as far as the BMC says: what
	// it lists may be out of date or incomplete.
	Early bool
	// Booted reports that the firmware has handed over to what it boots, and Running that an
	// operating system runs, such as an installer, as far as the BMC says.
	Booted, Running bool
}

// substitutes are the reset types that do the same. Only forced ones: a graceful
// reset may wait for the operating system for ever.
var substitutes = map[ResetType][]ResetType{
	ResetOn:           {ResetOn, ResetType(schemas.ForceOnResetType)},
	ResetForceRestart: {ResetForceRestart, ResetType(schemas.PowerCycleResetType), "ForcePowerCycle"}, // the last is a vendor's word
}

// Allows reports whether a reset may be sent.
func (p Power) Allows(r ResetType) bool { return p.as(r) != "" }

// as returns the name by which the BMC offers a reset, empty if it does not offer it.
func (p Power) as(r ResetType) ResetType {
	if len(p.Allowed) == 0 {
		return r
	}
	for _, name := range append([]ResetType{r}, substitutes[r]...) {
		if slices.Contains(p.Allowed, name) {
			return name
		}
	}
	return ""
}

// Starts reports whether the machine is on when the reset is over.
func (t ResetType) Starts() bool { return t != ResetForceOff && t != ResetGracefulShutdown }

// Target is a boot source, in the words of a plan.
type Target string

// Boot sources for the next boot.
const (
	BootNone     Target = "none"
	BootCD       Target = "cd"
	BootPXE      Target = "pxe"
	BootUEFIHTTP Target = "uefi_http"
	BootDisk     Target = "disk"
	BootOther    Target = "other" // read only: someone set a source that plans cannot name
)

// Boot is the boot source override.
type Boot struct {
	Target Target
	Once   bool   // false with a target: continuous
	Mode   string // "UEFI", "Legacy" or "" where the BMC does not say
	// Allowed are the sources that the machine can be set to boot from; empty: the
	// BMC does not say.
	Allowed []Target
}

func (b Boot) String() string {
	if b.Target == BootNone || b.Once {
		return string(b.Target)
	}
	return string(b.Target) + " (continuous)"
}

// Slot is a virtual media slot.
type Slot struct {
	URI    Link
	ID     string
	Place  string // "system" or "manager": under which resource it was found
	CD     bool   // takes a CD image by URL
	Stick  bool   `json:"-"` // takes images of floppies and USB sticks, and no CD
	Loaded bool
	Image  string // URL of what is mounted, "" where the BMC does not say
}

// Name is the slot for people.
func (s Slot) Name() string { return "slot " + s.ID }

// Shown is what is in the slot, for people.
func (s Slot) Shown() string {
	switch {
	case s.Image != "":
		return withoutUser(s.Image)
	case s.Loaded:
		return "unknown image"
	}
	return ""
}

// NIC is a network port of the host.
type NIC struct {
	ID      string `json:"id" doc:"What the BMC calls it."`
	MAC     string `json:"mac" doc:"MAC address, upper case with colons."`
	Link    string `json:"link" doc:"LinkUp, LinkDown, or empty where the BMC does not say."`
	Adapter string `json:"adapter" doc:"Network adapter, empty where the BMC does not say."`
	Slot    string `json:"slot" doc:"Where the adapter sits, empty where the BMC does not say."`
	Port    string `json:"port" doc:"Number of the port on its adapter, empty where the BMC does not say."`
	Mbps    int64  `json:"mbps" doc:"Speed of the link in megabits per second, 0 where it is down or the BMC does not say."`
}

// Inventory is the hardware as far as an installation needs it. A nil list is
// unknown: the BMC does not report that kind of thing.
type Inventory struct {
	Disks      []Disk
	Unread     error // why Disks is unknown although the BMC has storage: the request that failed; nil: none did
	NICs       []NIC // those that the computer system lists; see [Reader.Network]
	SecureBoot *bool
}

// Network is all of the host's network ports, also those that only their adapters
// list, and the ports of storage networks that are up.
type Network struct {
	NICs []NIC // nil: unknown
	SAN  []string
}

// License is what the BMC may do by its license.
type License struct {
	Name  string // empty where the BMC does not say
	Media *bool  // whether it covers virtual media by URL; nil: unknown
}

// Preparation is a setting of the BMC that an insert needs to be otherwise.
type Preparation struct {
	Target, Old, New string
	apply            func(context.Context, Command) error
}

// NewPreparation makes a preparation; apply sends the write that it is given.
func NewPreparation(target, old, now string, apply func(context.Context, Command) error) Preparation {
	return Preparation{target, old, now, apply}
}

// Reader is the half of the door that changes nothing. What was read a moment ago is
// not requested again before [Reader.Refresh], unless one of our writes may have changed it.
type Reader interface {
	// Prefetch reads what some questions need, several documents at the same time, because
	// BMCs take long to answer. ask asks them, of the reader that it is given, again and
	// again while documents come in. Later calls are answered from memory. It returns an
	// error if nothing can be read.
	Prefetch(ctx context.Context, ask func(context.Context, Reader)) error
	Identity(context.Context) (Identity, error)
	Power(context.Context) (Power, error)
	Boot(context.Context) (Boot, error)
	// Ways lists the ways to set a boot source, in the order in which they should be
	// tried; for BootNone those by which one is set.
	Ways(context.Context, Target) ([]string, error)
	// Slots lists all virtual media slots, those that take a CD by URL first and in
	// the order in which they should be tried.
	Slots(context.Context) ([]Slot, error)
	// Slot reads one slot again.
	Slot(context.Context, Slot) (Slot, error)
	// Preparations lists what Insert would set before it mounts the image.
	Preparations(ctx context.Context, s Slot, url string) ([]Preparation, error)
	// Inventory and Network are read once: the hardware stays as it is during a run.
	Inventory(context.Context) (Inventory, error)
	Network(context.Context) (Network, error)
	License(context.Context) (License, error)
	// OtherSessions describes the sessions of our user on the BMC that are not this
	// client's; none where the BMC does not show them.
	OtherSessions(context.Context) ([]string, error)
	// Ready returns what the BMC is still busy with, "" if it is ready or does not say.
	Ready(context.Context) (busy string, err error)
	// Refresh discards what was read that long ago, or longer.
	Refresh(age time.Duration)
}

// Writer is the half of the door that changes something. Every request is recorded
// before it is sent, and its outcome after: without a record no request is made.
type Writer interface {
	Reset(context.Context, ResetType, Record) error
	// SetBoot overrides the boot source for the next boot in one of the [Reader.Ways].
	SetBoot(ctx context.Context, t Target, way string, r Record) error
	Insert(ctx context.Context, s Slot, url string, r Record) error
	Eject(context.Context, Slot, Record) error
}

// Screener is a [Client] whose BMC may show what is on the machine's screen. It is asked by a
// POST that changes nothing: no change, so it is not recorded, but not allowed in a dry run,
// which sends no POST. The error is an [ErrUnsupported] where the BMC does not offer it.
type Screener interface {
	Screen(context.Context) (png []byte, err error)
}

// Client is the door to a BMC: [Reader] and [Writer].
type Client interface {
	Reader
	Writer
	// Close ends the session. It works after the context of the run has ended.
	Close(context.Context) error
}

// Vendor is what one vendor's machines do differently.
type Vendor struct {
	Name     string
	Summary  string // product names, for the reference
	Match    func(Identity, RootDocument) bool
	New      func(*Redfish) Client
	Messages map[string]Advice // by last part of the MessageId
	Quirks   []Quirk
	// KeepsContext: a login may bear a Context, which its session then shows.
	KeepsContext bool
}

// Quirk is a difference from the standard, and how it is known.
type Quirk struct {
	What     string
	Models   string // models and firmware that show it
	Source   string
	Profiles string // of the simulator that behave so, separated by blanks
}

var macSeparators = strings.NewReplacer(":", "", "-", "", ".", "")

func normaliseMAC(text string) string {
	hex := strings.ToUpper(macSeparators.Replace(text))
	if len(hex) != 12 {
		return ""
	}
	var parts []string
	for i := 0; i < 12; i += 2 {
		parts = append(parts, hex[i:i+2])
	}
	return strings.Join(parts, ":")
}

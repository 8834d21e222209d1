package bmc

import (
	"context"
	"slices"
	"strings"
)

// Identity is what a machine says of itself.
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

// Power states of Redfish. Unknown is what the BMC does not say.
const (
	On           PowerState = "On"
	Off          PowerState = "Off"
	PoweringOn   PowerState = "PoweringOn"
	PoweringOff  PowerState = "PoweringOff"
	PowerUnknown PowerState = "Unknown"
)

// ResetType is a Redfish reset type.
type ResetType string

// The reset types that esxiplan sends.
const (
	ResetOn               ResetType = "On"
	ResetForceOff         ResetType = "ForceOff"
	ResetForceRestart     ResetType = "ForceRestart"
	ResetGracefulShutdown ResetType = "GracefulShutdown"
)

// Power is the power state and the resets that the BMC offers.
type Power struct {
	State   PowerState
	Allowed []ResetType // empty: the BMC does not say
}

// Allows reports whether a reset may be sent.
func (p Power) Allows(r ResetType) bool { return len(p.Allowed) == 0 || slices.Contains(p.Allowed, r) }

// Reset asks for a change of power. Boots is true for each request of a
// restart, also for the ForceOff that is its first half: off and on are one reset.
type Reset struct {
	Type  ResetType
	Boots bool
}

// Target is a boot source, in the words of a plan.
type Target string

// Boot sources for the next boot.
const (
	BootNone     Target = "none"
	BootCD       Target = "cd"
	BootPXE      Target = "pxe"
	BootUEFIHTTP Target = "uefi_http"
	BootDisk     Target = "disk"
	BootOther    Target = "other" // read only: set by somebody to something that plans do not know
)

// Boot is the boot source override.
type Boot struct {
	Target Target
	Once   bool   // false with a target: continuous
	Mode   string // "UEFI", "Legacy" or "" where the BMC does not say
	// Allowed are the sources that the machine can be told to boot from; empty: the
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
	URI    string
	ID     string
	Place  string // "system" or "manager": under which resource it was found
	CD     bool   // takes a CD image by URL
	Loaded bool
	Image  string // URL of what is mounted, "" where the BMC does not say
}

// Name is the slot for people.
func (s Slot) Name() string { return "slot " + s.ID }

// Disk is a device that an operating system on the machine sees.
type Disk struct {
	Model      string   `json:"model" doc:"Model as the operating system sees it."`
	Serial     string   `json:"serial" doc:"Serial number."`
	WWN        []string `json:"wwn" doc:"World wide names, lower case hexadecimal without separators."`
	Bytes      int64    `json:"bytes" doc:"Capacity in bytes, 0 where the BMC does not say."`
	Name       string   `json:"name" doc:"What the BMC calls it."`
	Controller string   `json:"controller" doc:"Storage controller."`
	Volume     bool     `json:"volume" doc:"A RAID volume, not a drive."`
}

// NIC is a network port of the host.
type NIC struct {
	ID   string `json:"id" doc:"What the BMC calls it."`
	MAC  string `json:"mac" doc:"MAC address, upper case with colons."`
	Link string `json:"link" doc:"LinkUp, LinkDown, or empty where the BMC does not say."`
}

// Inventory is the hardware as far as an installation needs it. A nil list is
// unknown: the BMC does not report that kind of thing.
type Inventory struct {
	Disks      []Disk
	NICs       []NIC
	SecureBoot *bool
}

// Reader is the half of the door that changes nothing.
type Reader interface {
	Identity(context.Context) (Identity, error)
	Power(context.Context) (Power, error)
	Boot(context.Context) (Boot, error)
	// Slots lists all virtual media slots, those that take a CD by URL first and in
	// the order in which they should be tried.
	Slots(context.Context) ([]Slot, error)
	Inventory(context.Context) (Inventory, error)
}

// Client is the door.
type Client interface {
	Reader
	Reset(context.Context, Reset) error
	// SetBoot overrides the boot source for the next boot and says which of the
	// vendor's ways held.
	SetBoot(context.Context, Target) (way string, err error)
	Insert(ctx context.Context, s Slot, url string) error
	Eject(context.Context, Slot) error
	// Close ends the session. It works after the context of the run has ended.
	Close(context.Context) error
}

// Write is a state-changing request that is about to be made.
type Write struct {
	Action   string // eject, insert, boot, reset, prepare
	Target   string // of the action: "slot CD1", "source", "power"
	Old, New string
	Request  string // "POST /redfish/v1/…", "" in a dry run
	Repeat   bool   // the same write in another form, after the BMC refused the first
}

// Record makes a write durable; when it fails, the request is not sent.
type Record func(context.Context, Write) error

// Vendor is what one vendor's machines do differently.
type Vendor struct {
	Name     string
	Match    func(Identity, RootDocument) bool
	New      func(*Redfish) Client
	Messages map[string]Advice // by last part of the MessageId
}

func normaliseMAC(text string) string {
	hex := strings.ToUpper(strings.NewReplacer(":", "", "-", "", ".", "").Replace(text))
	if len(hex) != 12 {
		return ""
	}
	var parts []string
	for i := 0; i < 12; i += 2 {
		parts = append(parts, hex[i:i+2])
	}
	return strings.Join(parts, ":")
}

package bmc

import (
	"context"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/stmcginnis/gofish"
)

// Options say how a BMC is reached and by whom.
type Options struct {
	Address  string // URL without a path, such as https://10.0.0.1
	Username string
	Password string
	System   string // id of the computer system, "" where there is one only
	Trust    Trust
	Vendors  []Vendor
	Dial     DialFunc
	ReadOnly bool          // a dry run: Basic instead of a session where the BMC takes it
	Timeout  time.Duration // of one request; 0: 60 seconds
	Brief    bool          // connections are closed after each request
	Logins   *Logins       // shared by all BMCs of a run
	Sessions SessionLog
	Warn     func(string) // called once for each thing worth knowing about the connection
	Trace    Trace        // nil: none
	Secret   func(string) // gets the token of every session, before anything shows it; may be nil
	// Sleep waits and Now returns the time, by the clock of the run.
	Sleep func(context.Context, time.Duration) error
	Now   func() time.Time
}

// Redfish is the standard. Vendors embed it, or give it [Rules].
type Redfish struct {
	o         Options
	origin    origin
	transport *transport
	http      *http.Client
	client    *gofish.APIClient // nil until the service root was read

	loginErr       error           // sticky: no login is sent after a refusal
	authenticated  bool            // a request with this login has succeeded
	denied         map[string]bool // requests that a fresh session may not make either
	acceptedBefore bool            // this BMC has accepted the login before
	session        *session        // nil: none
	basic          bool            // every request carries the password instead
	unasked        bool            // the BMC asks for no login
	unmarked       bool            // the BMC refuses a login that bears a mark
	lost           []pending       // logins of this process that were not answered

	turnedAway error // with which the session service refused the password; only Basic is left

	root        RootDocument
	hidden      bool // the root asks for a login
	system      Link
	manager     Link   // the first one
	media       []Link // collections of slots
	identity    Identity
	sku         string
	etags       map[Link]string
	rules       Rules
	messages    atomic.Pointer[map[string]Advice] // the vendor's; documents that are read ahead meanwhile look there, too
	documents   map[Link]*reading
	asked       int        // for how many documents since the caller's question
	ahead       *lookahead // not nil: missing documents are named, not read
	since       time.Time  // when reading ahead began; zero: nothing is read ahead
	atOnce      int        // how many documents are read at the same time, at most
	connections int        // that were open at the same time
	noExpand    bool       // claims to expand, and cannot

	power      Power           // as last read
	idle       map[string]bool // ways that held no boot source when they were last read
	settings   bootDocument    // as last read
	settingsAt Link
	attempted  Target         // the boot source that was requested and has not been read back yet
	takes      map[Link]int   // which form of clearing an override each resource accepted
	drives     map[Link]drive // as last read
	stock      *Inventory
	network    *Network
	license    *License
	biosMode   *string
}

// Rules are differences between vendors that are data, or small enough to be given
// as a function.
type Rules struct {
	// ModelInRoot: the service root's product is the machine's model, not the BMC's.
	ModelInRoot bool
	// SerialFromSKU: the number on the machine is SKU; SerialNumber is the board's.
	SerialFromSKU bool
	// SlotUsable distinguishes slots that take a CD by URL from those that only look like
	// it; action is whether the slot has an insert action. nil: all do.
	SlotUsable func(id string, action bool) bool
	// InsertFields go with the first insert, next to the image; others are added when
	// the BMC asks for them.
	InsertFields []string
	// Prepare lists what must be set before an image can be mounted.
	Prepare func(ctx context.Context, s Slot, url string) ([]Preparation, error)
	// Flow mounts where the slots of the standard are missing; nil: nowhere.
	Flow *Flow

	// Ways are further ways to set the boot source, after the standard's two.
	Ways []Way
	// Unfit reports sources that the standard's ways accept and do not boot.
	Unfit func(Target) bool
	// SettingsFirst: the settings resource is the place to write an override, although
	// the system shows one.
	SettingsFirst bool
	// Mode: the boot mode goes with every override, or the BMC resets it.
	Mode SendMode
	// BIOSMode is the BIOS attribute that shows the boot mode, if the computer system does
	// not; with StaleMode also while no override is enabled, when the system shows the last one's.
	BIOSMode  string
	StaleMode bool
	// CD is the name of the virtual CD where the usual choice is wrong.
	CD string

	// BootDevices are storage controllers whose volume ESXi sees under a name of its own.
	BootDevices []BootDevice
	// VolumeModel is what ESXi shows as the model of a controller's RAID volumes, by the
	// controller's id, names and models; empty: not known.
	VolumeModel func(controller string) string
	// DriveState is the use of a drive in the words of its Oem object, such as "Foreign".
	DriveState func(oem map[string]json.RawMessage) string
	// WWNInUUID is how world wide names begin that the BMC labels as UUIDs; "": it does not.
	WWNInUUID string
	// Place derives slot and port from the id of an adapter, a port or a function; empty: the
	// id does not show them.
	Place func(id string) (slot, port string)
	// Uplinks: the ports of an adapter have addresses of their own, which are not the host's
	// where it has functions.
	Uplinks bool
	// Disks and NICs are those that the standard's collections do not list.
	Disks func(context.Context) ([]Disk, error)
	NICs  func(context.Context) ([]NIC, error)

	// Early reports the states of POST in which devices are still being found; nil: none.
	Early func(post string) bool
	// Posting tells the states in which the firmware is in its power-on self-test; nil: none
	// but those of the standard.
	Posting func(post string) bool
	// Post finds the state of POST in the computer system's Oem object.
	Post func(oem map[string]json.RawMessage) string
	// Licenses are the names of those that the standard's service does not show, and
	// Covers judges by all names whether virtual media is among what they allow; nil: unknown.
	Licenses func(context.Context) ([]string, error)
	Covers   func(names []string) *bool
	Ready    func(context.Context) (busy string, err error)
}

// SendMode says whether the boot mode goes with an override: never, where the BMC
// reports one, or always.
type SendMode string

// The values of SendMode; never is "".
const (
	ModeReported SendMode = "reported"
	ModeAlways   SendMode = "always"
)

// Flow is a vendor's own way to mount, by a drive that stands for it.
type Flow struct {
	ID string // of the drive
	// Find reports whether the machine has it, and what is in it, by the slots that the
	// standard shows.
	Find func(ctx context.Context, shown []Slot) (s Slot, has bool, err error)
	// Insert mounts the image that w names, and Eject empties the drive.
	Insert func(ctx context.Context, w Command, s Slot) error
	Eject  func(ctx context.Context, w Command, s Slot) error
}

// BootDevice is a family of boot controllers.
type BootDevice struct {
	Controller string // part of the controller's id or name, without regard to case
	Model      string // what ESXi calls the volume; "": the controller's name
}

// SetRules is called by a vendor's New.
func (r *Redfish) SetRules(rules Rules) { r.rules = rules }

func newRedfish(o Options) (*Redfish, error) {
	at, err := originOf(o.Address)
	if err != nil {
		return nil, err
	}
	o.complete()
	t, err := newTransport(at, o)
	if err != nil {
		return nil, err
	}
	t.trace = o.Trace
	return &Redfish{o: o, origin: at, transport: t, http: &http.Client{Transport: t, CheckRedirect: at.follow}, etags: map[Link]string{},
		documents: map[Link]*reading{}, idle: map[string]bool{}, denied: map[string]bool{}, drives: map[Link]drive{}, takes: map[Link]int{}, atOnce: simultaneous(o)}, nil
}

// simultaneous is how many documents are read at the same time; where connections are scarce,
// one.
func simultaneous(o Options) int {
	if o.Brief {
		return 1
	}
	return atOnce
}

// Identity implements [Reader].
func (r *Redfish) Identity(context.Context) (Identity, error) { return r.identity, nil }

// Manager is where the manager is.
func (r *Redfish) Manager() Link { return r.manager }

// System is where the computer system is.
func (r *Redfish) System() Link { return r.system }

// Root is the service root.
func (r *Redfish) Root() RootDocument { return r.root }

// ReadOnly reports a dry run: only GET and HEAD may be sent.
func (r *Redfish) ReadOnly() bool { return r.o.ReadOnly }

// Sleep waits by the run's clock; other hosts may work meanwhile.
func (r *Redfish) Sleep(ctx context.Context, d time.Duration) error { return r.o.Sleep(ctx, d) }

// Ready implements [Reader].
func (r *Redfish) Ready(ctx context.Context) (string, error) {
	if r.rules.Ready == nil {
		return "", nil
	}
	return r.rules.Ready(ctx)
}

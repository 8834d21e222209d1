package bmcsim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Profile is how one kind of firmware behaves. The zero value of each field is what
// the standard asks for.
type Profile struct {
	Name      string // vendor/firmware
	Source    string // the source of the facts
	FactsOnly bool   // there was no recording of such a BMC

	// How it identifies itself.
	Manufacturer string
	Model        string
	Vendor       string   // ServiceRoot.Vendor
	Oem          string   // key in ServiceRoot.Oem, and of the vendor's own properties
	Product      string   // ServiceRoot.Product
	System       string   // id of the computer system
	Baseboard    string   // id of a second one, which cannot be reset; "": none
	Manager      string   // id of the manager
	Generation   string   // Manager.Model
	Firmware     string   //
	TagInSKU     bool     // the number on the machine is in SKU
	Slash        bool     // links end in a slash; other forms answer 308
	NoExpand     bool     // collections cannot be expanded
	NoManagedBy  bool     // the system links to its managers under another name
	Dialect      *dialect // names and identifiers of messages

	// Virtual media.
	SystemSlots  []slotProfile
	ManagerSlots []slotProfile
	PatchSlots   bool // slots have no actions; they are patched
	OemSlots     bool // the actions are in the slot's Oem object
	Flow         flow // a way of the vendor's own to mount; the slots of the standard are missing or read only
	OneImage     bool // all slots share one channel
	Lag          time.Duration
	Forgets      bool     // the image's name reads back empty
	Untyped      bool     // slots name no media types
	Remembers    bool     // the image's name stays after an eject
	EjectHidden  bool     // the eject action shows only while something is mounted
	EmptyEject   int      // status of ejecting an empty slot; 0 is success
	InsertTakes  []string // properties that an insert takes next to the image; nil: all of the standard
	InsertWants  []string // properties that an insert must have next to the image
	Schemes      []string // of images that it fetches; nil: http and https
	Verifies     bool     // checks the image server's certificate unless the request turns that off
	LaxMount     bool     // an image that cannot be read is answered with success
	RemoteMedia  bool     // remote media must be enabled first
	MediaUnsaid  bool     // remote media is enabled, and no property says so
	NoCDs        bool     // there is no virtual CD until their number is set
	RemoteMounts bool     // mounts must be allowed first, in a document of the system
	Tasks        bool     // an insert is a task
	Prefetches   bool     // an insert fetches the whole image by one request, and the machine reads that copy
	Replaces     bool     // an insert replaces what is mounted

	// Boot and power.
	Targets         []string
	VirtualCD       string         // target that boots the virtual CD; "": Cd
	CdIsMetal       bool           // "Cd" is accepted and boots a physical drive, which does not exist
	BootInSetting   bool           // boot is written in the settings resource
	BootConfig      bool           // boot is written in a document of the vendor's own; the standard's is ignored
	OverrideOff     bool           // refuses every override with UnsupportedOperation; the slot's own way works
	OnNext          bool           // slots can be set to boot at the next reset
	ModeResets      bool           // an override without its mode turns it to Legacy, which boots no installer
	PostLock        bool           // no boot changes while in POST
	Continuous      bool           // knows "Continuous"
	OnlyContinuous  bool           // takes Once for Continuous, and clears only by a target
	NoMode          bool           // reports no boot mode, and takes none
	StaleMode       bool           // shows the mode Legacy while no override is enabled
	BIOS            map[string]any // attributes of the BIOS; nil: it shows none
	IdlesSet        bool           // idles with Enabled "Continuous", target "Hdd"
	Screen          bool           // shows what is on the machine's screen
	BootProgress    bool           // says how far a boot has come
	LaxReset        bool           // a reset that the power state does not allow is answered with success
	Static          bool           // every write is answered with success, and nothing ever changes
	Resets          []string
	ActionInfo      bool // an ActionInfo lists the resets
	BusyAfterOff    time.Duration
	Attributes      map[string]any // of the manager, by name; nil: none
	FixedAttributes bool           // they cannot be written
	Starting        bool           // its controller for the host never gets ready
	Import          string         // name of the action that imports a configuration; "": none
	ImportList      bool           // it wants its target as a list

	// Protocol.
	Success        int    // status of a write that succeeded
	SuccessBody    bool   // with "Success" inside an error object
	PlainErrors    bool   // error.message says what is wrong; ExtendedInfo has no text
	ETags          string // "", "weak" or "strong" (checked)
	NeedsMatch     int    // status of a PATCH without If-Match; 0: it needs none
	NoMatchOnPost  bool   // If-Match on an action answers 412
	Schema         string // of the service root, "1_5_0"; "": "1_5_0"
	SessionLimit   int    //
	Sessions       sessionProfile
	BasicOnly      bool          // has no session service
	LinksSessions  bool          // its root links sessions although it has no session service
	GuardsSessions bool          // asks for a login at the path of sessions, too
	NoBasic        bool          // takes no Basic authentication
	NoChallenge    bool          // answers 401 without naming Basic, which it takes
	Open           bool          // asks for no login
	HiddenRoot     bool          // shows its service root only after a login
	BareLogin      bool          // answers 415 to a login that bears a credential
	Idle           time.Duration // idle connections are closed after that long, in real time

	// Hardware.
	Storage    string // name of the boot controller: "" is a plain drive
	Members    bool   // the volume of the boot controller has no WWN and names its drives; a hot spare is listed, too
	OldStorage bool   // storage is shown in the vendor's own form only
	ExtraNIC   bool   // the link between BMC and host shows as a NIC
	NoNICs     bool   // the system lists no network ports, only adapters do
	VIC        bool   // the adapter's ports are uplinks; its functions are the host's ports, and one of a storage network
	FlashSlots bool   // an empty slot for flash cards shows as a drive
	NoSerial   bool   // the system shows no serial number
	License    string // name of the license that the manager shows
}

// sessionProfile is what firmware shows of a session besides its user.
type sessionProfile struct {
	Type    bool // SessionType
	Origin  bool // ClientOriginIPAddress
	Created bool // CreatedTime
	Context bool // what the client wrote there at its login; others refuse such a login
	Oem     bool // user, address and time in its own object, where the standard has its own place later
	NoUser  bool // UserName is not shown
}

type slotProfile struct {
	ID    string
	Types []string
	Takes bool // an image by URL
	Proxy bool // for consoles: it shows no insert action
	Eject bool // it shows an eject action nevertheless
}

// flow is a way of a vendor's own to mount media.
type flow string

const (
	remoteMap  flow = "RemoteMap"  // a list of images, and actions that mount and unmount them all
	imageFile  flow = "CfgCD"      // an image configuration with actions
	vmmControl flow = "VmmControl" // an action of the slot's Oem object, which begins a task
)

// dialect is how a vendor names messages.
type dialect struct {
	registry    string // before the vendor's own messages
	sessionFull string
	occupied    string // the drive holds an image
	emptySlot   string // nothing to eject
	unreadable  string // the image cannot be read
	wrongState  string // the power state does not allow it
	wrongScheme string // the image's protocol is not taken
	needsMatch  string // a PATCH without a tag
}

var plain = dialect{"", "Base.1.17.SessionLimitExceeded", "Base.1.8.ResourceInUse", "Base.1.8.ResourceNotFound", "Base.1.8.InternalError", "Base.1.8.ActionParameterValueConflict", "Base.1.8.ActionParameterValueFormatError", "Base.1.8.PreconditionFailed"}

func (d dialect) with(change func(*dialect)) *dialect {
	change(&d)
	return &d
}

// in is the profile's dialect.
func (p Profile) in() dialect {
	if p.Dialect == nil {
		return plain
	}
	return *p.Dialect
}

var (
	cd       = []string{"CD", "DVD"}
	usb      = []string{"USBStick"}
	all      = []string{"CD", "DVD", "USBStick"}
	smcTypes = []string{"CD", "DVD", "Floppy", "USBStick"}
	dellBoot = []string{"None", "Pxe", "Floppy", "Cd", "Hdd", "BiosSetup", "Utilities", "UefiTarget", "SDCard", "UefiHttp"}
	hpeBoot  = []string{"None", "Cd", "Hdd", "Usb", "SDCard", "Utilities", "Diags", "BiosSetup", "Pxe", "UefiShell", "UefiHttp", "UefiTarget"}
	xccBoot  = []string{"None", "Pxe", "Cd", "Usb", "Hdd", "BiosSetup", "Diags", "UefiTarget"}
	smcBoot  = []string{"None", "Pxe", "Floppy", "Cd", "Usb", "Hdd", "BiosSetup", "UsbCd", "UefiBootNext", "UefiHttp"}
	amiBoot  = []string{"None", "Pxe", "Cd", "Usb", "Hdd", "BiosSetup", "UefiHttp"}
	dellAll  = []string{"On", "ForceOff", "ForceRestart", "GracefulRestart", "GracefulShutdown", "PushPowerButton", "Nmi", "PowerCycle"}
	hpeAll   = []string{"On", "ForceOff", "GracefulShutdown", "ForceRestart", "Nmi", "PushPowerButton", "GracefulRestart"}
	xccAll   = []string{"On", "Nmi", "GracefulShutdown", "GracefulRestart", "ForceOn", "ForceOff", "ForceRestart"}
	amiAll   = []string{"On", "ForceOff", "ForceRestart", "GracefulShutdown", "PowerCycle"}

	allInsert = []string{"Inserted", "WriteProtected", "TransferProtocolType", "TransferMethod", "UserName", "Password"}
)

func dellAttributes() map[string]any {
	return map[string]any{
		"ServerBoot.1.BootOnce": "Enabled", "ServerBoot.1.FirstBootDevice": "Normal", // an idle iDRAC reads so
		"VirtualMedia.1.Attached": "AutoAttach", "VirtualMedia.1.Enable": "Enabled", "RFS.1.AttachMode": "Auto Attach",
		"Lockdown.1.SystemLockdown": "Disabled",
	}
}

var dellWords = plain.with(func(d *dialect) {
	d.registry, d.sessionFull, d.occupied, d.emptySlot, d.unreadable = "IDRAC.2.8.", "IDRAC.2.8.RAC0218", "IDRAC.2.8.VRM0012", "IDRAC.2.8.VRM0021", "IDRAC.2.8.RAC0904"
})

func dell(name, source, generation, firmware string) Profile {
	return Profile{
		Name: name, Source: source, Manufacturer: "Dell Inc.", Model: "PowerEdge R750", Vendor: "Dell", Oem: "Dell", Dialect: dellWords,
		System: "System.Embedded.1", Manager: "iDRAC.Embedded.1", Generation: generation, Firmware: firmware, TagInSKU: true,
		Lag: 2 * time.Second, EmptyEject: 500, Success: 204, Resets: dellAll, Targets: dellBoot, Continuous: true, SessionLimit: 8,
		Attributes: dellAttributes(), Import: "#OemManager.ImportSystemConfiguration", Storage: "BOSS-S2", License: "iDRAC9 Enterprise License",
	}
}

// idracSessions are documented: the answer of an iDRAC9 to a login (its vendor's Ansible
// modules). That it answers 415 to a login that bears a credential is community.general#5886.
var idracSessions = sessionProfile{Type: true, Origin: true, Created: true}

func idrac8() Profile {
	p := dell("dell/idrac8", "recording 13G 2.40 (tree without media); else bmc-facts §3, §6", "13G Monolithic", "2.82.82.82")
	p.Model, p.Vendor, p.Oem, p.NoExpand = "PowerEdge R730", "", "", true
	p.ManagerSlots = []slotProfile{{ID: "RemovableDisk", Types: usb}, {ID: "CD", Types: cd, Takes: true}}
	p.NoMode = true
	p.OneImage, p.CdIsMetal, p.FixedAttributes, p.Storage, p.License = true, true, true, "PERC H730 Mini", "iDRAC8 Enterprise License"
	p.Resets = []string{"On", "ForceOff", "GracefulRestart", "PushPowerButton", "Nmi"} // recorded: no ForceRestart
	return p
}

func idrac9() Profile {
	p := dell("dell/idrac9", "recordings R750 6.00 and 7.10; BOSS from facts", "15G Monolithic", "7.10.30.00")
	p.BootProgress, p.Screen = true, true // the first recorded with 7.10, not with 6.00
	p.Schema, p.Sessions, p.BareLogin = "1_16_0", idracSessions, true
	p.SystemSlots = []slotProfile{{ID: "1", Types: all, Takes: true}, {ID: "2", Types: all, Takes: true}}
	p.ManagerSlots = []slotProfile{{ID: "RemovableDisk", Types: usb}, {ID: "CD", Types: cd, Takes: true}}
	return p
}

// perc is an iDRAC9 with a RAID controller, whose volume bears no name that ESXi shows.
func perc() Profile {
	p := idrac9()
	p.Name, p.Source, p.Storage, p.Members, p.Screen = "dell/idrac9-perc", "recording R740 4.00 (RAID controller, volume, drives)", "PERC H740P Adapter", true, false
	return p
}

func idrac9Old() Profile {
	p := dell("dell/idrac9-4.40", "bmc-facts §3, §5", "14G Monolithic", "4.40.00.00")
	p.ManagerSlots = []slotProfile{{ID: "RemovableDisk", Types: usb}, {ID: "CD", Types: cd, Takes: true}}
	p.OneImage, p.CdIsMetal, p.FactsOnly, p.Screen = true, true, true, true
	return p
}

func idrac10() Profile {
	p := dell("dell/idrac10", "recorded insert of an R670; else bmc-facts §3, §6, §7", "17G Monolithic", "1.20.25.00")
	p.Model, p.FactsOnly = "PowerEdge R670", true
	p.SystemSlots = []slotProfile{{ID: "2", Types: all}, {ID: "1", Types: all, Takes: true}}
	p.Forgets, p.BootInSetting, p.NoMatchOnPost, p.ImportList, p.BootProgress, p.Screen = true, true, true, true, true, true
	p.BusyAfterOff = 20 * time.Second
	p.Schema, p.Sessions, p.BareLogin = "1_17_0", idracSessions, true
	return p
}

var hpeWords = plain.with(func(d *dialect) {
	d.registry, d.occupied, d.emptySlot, d.wrongState = "iLO.2.16.", "iLO.2.16.MaxVirtualMediaConnectionEstablished", "iLO.2.16.NoVirtualMediaConnectionAvailable", "iLO.2.16.InvalidOperationForSystemState"
})

func ilo(name, source, generation, firmware string) Profile {
	return Profile{
		Name: name, Source: source, Manufacturer: "HPE", Model: "ProLiant DL385 Gen10 Plus v2", Vendor: "HPE", Oem: "Hpe", Dialect: hpeWords,
		System: "1", Manager: "1", Generation: generation, Firmware: firmware, Slash: true,
		ManagerSlots: []slotProfile{{ID: "1", Types: []string{"Floppy", "USBStick"}}, {ID: "2", Types: cd, Takes: true}},
		EmptyEject:   400, LaxMount: true, Success: 200, SuccessBody: true, ETags: "weak", PostLock: true, OnNext: true, Resets: hpeAll, Targets: hpeBoot,
		Continuous: true, SessionLimit: 12, Sessions: sessionProfile{Oem: true}, Storage: "HPE NS204i-u Gen11 Boot Controller", License: "iLO Advanced",
	}
}

// iloWithoutMode shows the boot mode in its BIOS only.
func iloWithoutMode() Profile {
	p := ilo("hpe/ilo5-nomode", "recording XL675d Gen10 Plus 2.55", "iLO 5", "iLO 5 v2.55")
	p.Model, p.NoMode, p.BIOS = "ProLiant XL675d Gen10 Plus", true, map[string]any{"BootMode": "Uefi"}
	return p
}

func ilo4() Profile {
	p := ilo("hpe/ilo4", "recorded exchanges of iLO 4; else bmc-facts §4, §5, §13", "iLO 4", "iLO 4 v2.70")
	p.Manufacturer, p.Model, p.Vendor, p.Oem, p.FactsOnly, p.NoExpand = "HP", "ProLiant DL380 Gen9", "", "Hp", true, true
	p.OemSlots, p.OldStorage, p.Storage = true, true, "Smart Array P440ar"
	return p
}

func ilo6Locked() Profile {
	p := ilo("hpe/ilo6-nooverride", "bmc-facts §6", "iLO 6", "iLO 6 v1.66")
	p.OverrideOff, p.FactsOnly = true, true
	return p
}

func xccSlots() []slotProfile {
	var slots []slotProfile
	for _, id := range []string{"EXT1", "EXT2", "EXT3", "EXT4", "Remote1", "Remote2", "Remote3", "Remote4", "RDOC1", "RDOC2"} {
		slots = append(slots, slotProfile{ID: id, Types: smcTypes, Takes: strings.HasPrefix(id, "EXT")})
	}
	return slots
}

var xccWords = plain.with(func(d *dialect) {
	d.sessionFull, d.occupied, d.wrongScheme = "Base.1.8.SessionLimitExceeded", "Base.1.8.Conflict", "ExtendedError.1.1.SourceDoesNotSupportProtocol"
})

func xcc() Profile {
	return Profile{
		Name: "lenovo/xcc", Source: "recording SR670 V2 2.83", Manufacturer: "Lenovo", Model: "ThinkSystem SR670 V2", Vendor: "Lenovo", Oem: "Lenovo", Dialect: xccWords,
		System: "1", Manager: "1", Generation: "Lenovo XClarity Controller", Firmware: "TGBT42S 2.83 2023-07-05",
		SystemSlots: xccSlots(), ManagerSlots: xccSlots(), PatchSlots: true, Success: 200, ETags: "strong", Resets: xccAll, Targets: xccBoot,
		SessionLimit: 16, Storage: "M.2 Storage", ExtraNIC: true,
		Schema: "1_13_0", Sessions: sessionProfile{Type: true, Created: true}, // as the documentation of XCC2, which speaks the same Redfish 1.15
	}
}

func xcc2() Profile {
	p := xcc()
	p.Name, p.Source, p.FactsOnly = "lenovo/xcc2", "bmc-facts §3, §4, §7", true
	p.Model, p.Generation, p.Firmware = "ThinkSystem SR650 V3", "Lenovo XClarity Controller 2", "ESX328K 4.10"
	p.ManagerSlots, p.Verifies, p.BootProgress = nil, true, true
	return p
}

func xcc3() Profile {
	p := xcc2()
	p.Name, p.Model, p.Generation, p.Firmware = "lenovo/xcc3", "ThinkSystem SR650 V4", "Lenovo XClarity Controller 3", "IHX408M 1.20"
	p.Sessions.Origin = true
	return p
}

func xccOld() Profile {
	p := xcc()
	p.Name, p.Source, p.FactsOnly = "lenovo/xcc-1.90", "bmc-facts §3", true
	p.Model, p.Firmware, p.NoExpand = "ThinkSystem SR650", "CDI324U 1.90", true
	p.Schema, p.Sessions.Created = "", false
	p.SystemSlots, p.ManagerSlots, p.Flow, p.PatchSlots = nil, nil, remoteMap, false
	p.Schemes = []string{"http"}
	return p
}

var amiWords = plain.with(func(d *dialect) {
	d.registry, d.needsMatch, d.wrongScheme = "Ami.1.0.", "Ami.1.0.PreconditionHeaderMissing", "Base.1.12.ActionParameterValueNotInList"
})

func megarac() Profile {
	return Profile{
		Name: "ami/megarac", Source: "recording DGX H100 23.11.20 (empty collection, actions); else bmc-facts §4, §6, §14", FactsOnly: true,
		Manufacturer: "GIGABYTE", Model: "R282-Z90", Vendor: "AMI", Oem: "Ami", Dialect: amiWords, System: "Self", Manager: "Self", Generation: "AST2600", Firmware: "12.60.39",
		ManagerSlots: []slotProfile{{ID: "CD1", Types: cd, Takes: true}, {ID: "CD2", Types: cd, Takes: true}}, RemoteMedia: true, Tasks: true,
		InsertWants: []string{"TransferProtocolType"}, Success: 204, ETags: "strong", NeedsMatch: 428, ModeResets: true, Targets: amiBoot, Resets: amiAll, ActionInfo: true,
		SessionLimit: 12,
	}
}

// withoutCDs is a MegaRAC that was set to offer no virtual CD.
func withoutCDs() Profile {
	p := megarac()
	p.Name, p.Source, p.NoCDs = "ami/megarac-nocd", "recordings DGX H100 and H262-Z63 (actions); bmc-facts §4", true
	return p
}

func gigabyte() Profile {
	p := megarac()
	p.Name, p.Source, p.FactsOnly = "ami/gigabyte", "recording H262-Z63 12.84.13", false
	p.Model, p.Generation, p.Firmware, p.ManagerSlots = "H262-Z63-00", "410810600", "12.84.13", []slotProfile{{ID: "CD1", Takes: true}}
	p.RemoteMedia, p.MediaUnsaid, p.Untyped, p.StaleMode, p.BIOS = false, true, true, true, map[string]any{"FBO001": "UEFI"}
	return p
}

func inspur() Profile {
	p := megarac()
	p.Name, p.Source = "ami/inspur", "bmc-facts §2, §6"
	p.Manufacturer, p.Model, p.Vendor, p.Oem, p.System, p.Manager, p.Firmware = "Inspur", "NF5280M6", "", "", "1", "1", "4.16.8"
	p.RemoteMedia, p.Tasks, p.InsertWants, p.ActionInfo = false, false, nil, false
	return p
}

func tsm() Profile {
	p := megarac()
	p.Name, p.Source = "lenovo/tsm", "bmc-facts §3, §4, §14"
	p.Manufacturer, p.Model, p.System, p.Manager, p.Firmware = "Lenovo", "ThinkSystem SR655", "Self", "Self", "3.26"
	p.Schemes = []string{"https"}
	return p
}

func supermicro(name, source, model, firmware string) Profile {
	return Profile{
		Name: name, Source: source, Manufacturer: "Supermicro", Model: model, Oem: "Supermicro", System: "1", Manager: "1", Generation: "ASPEED", Firmware: firmware,
		InsertTakes: []string{}, Remembers: true, EjectHidden: true, ModeResets: true, Targets: smcBoot, VirtualCD: "UsbCd", Success: 200, ETags: "strong",
		Resets: xccAll, SessionLimit: 16,
	}
}

func x13() Profile {
	p := supermicro("supermicro/x13", "recording SYS-821GE 11.01.01", "SYS-821GE-TNHR", "01.01.11")
	for _, id := range []string{"VirtualMedia1", "VirtualMedia2", "VirtualMedia3"} {
		p.ManagerSlots = append(p.ManagerSlots, slotProfile{ID: id, Types: smcTypes, Takes: true})
	}
	p.ActionInfo = true
	return p
}

// ars takes Cd for the virtual CD, although it offers UsbCd.
func ars() Profile {
	p := x13()
	p.Name, p.Source, p.FactsOnly, p.Model, p.VirtualCD = "supermicro/ars", "bmc-facts §6", true, "ARS-111GL-NHR", "Cd"
	return p
}

func x11() Profile {
	p := supermicro("supermicro/x11", "bmc-facts §3, §4, §5", "SYS-6029P", "1.74.06")
	p.ManagerSlots, p.FactsOnly, p.NoExpand = []slotProfile{{ID: "CD1", Types: []string{"CD", "USBStick"}, Takes: true}}, true, true
	return p
}

func x10() Profile {
	p := supermicro("supermicro/x10", "recording X10SDV 4.00; mounting from bmc-facts §4", "Super Server", "4.0")
	p.Oem, p.Flow, p.NoExpand, p.ModeResets, p.ETags, p.NoMode = "", imageFile, true, false, "", true
	p.Targets = []string{"None", "Pxe", "Hdd", "Diags", "CD/DVD", "BiosSetup", "UsbKey", "UsbHdd", "UsbFloppy", "UsbCd", "UefiUsbCd"}
	p.Schemes = []string{"http"}
	return p
}

func bmcweb() Profile {
	return Profile{
		Name: "openbmc/bmcweb", Source: "recording GH200 24.05; virtual media of forks from bmc-facts §3, §4", FactsOnly: true,
		Manufacturer: "NVIDIA", Model: "P3809", Vendor: "NVIDIA", System: "system", Manager: "bmc", Generation: "OpenBmc", Firmware: "24.05-2",
		ManagerSlots: []slotProfile{{ID: "Slot_0", Types: []string{"CD", "USBStick"}, Proxy: true}, {ID: "Slot_2", Types: []string{"CD", "USBStick"}, Takes: true}},
		Schemes:      []string{"https"}, Dialect: plain.with(func(d *dialect) { d.wrongScheme = "Base.1.13.ResourceAtUriInUnknownFormat" }),
		Success: 204, ETags: "strong", Targets: []string{"None", "Pxe", "Hdd", "Cd", "Diags", "BiosSetup", "Usb"}, Continuous: true, IdlesSet: true,
		Resets: []string{"On", "ForceOff", "ForceOn", "ForceRestart", "GracefulRestart", "GracefulShutdown", "PowerCycle", "Nmi"}, ActionInfo: true, SessionLimit: 64, BootProgress: true,
		Schema: "1_15_0", Sessions: sessionProfile{Origin: true, Context: true}, // its source: redfish_sessions
	}
}

// gb300 is OpenBMC on a machine of another maker, with a GPU baseboard as a second system.
func gb300() Profile {
	p := bmcweb()
	p.Name, p.Source = "openbmc/gb300", "recording GB300 70.01.00.09; https only as other forks"
	p.Manufacturer, p.Model, p.Product, p.Vendor, p.System, p.Manager, p.Firmware = "Supermicro", "", "GB NVL", "Supermicro", "System_0", "BMC_0", "70.01.00.09"
	p.Baseboard, p.IdlesSet, p.NoMode = "HGX_Baseboard_0", false, true
	both := []string{"CD", "USBStick"}
	p.ManagerSlots = []slotProfile{{ID: "Slot_0", Types: both, Proxy: true, Eject: true}, {ID: "USB1", Types: both, Takes: true}, {ID: "USB2", Types: both, Takes: true}}
	return p
}

func irmc() Profile {
	return Profile{
		Name: "fujitsu/irmc", Source: "bmc-facts §3, §4, §6", FactsOnly: true, Manufacturer: "FUJITSU", Model: "PRIMERGY RX2540 M5", Oem: "ts_fujitsu",
		System: "0", Manager: "iRMC", Generation: "iRMC S5", Firmware: "3.40P", ManagerSlots: []slotProfile{{ID: "0", Types: cd, Takes: true}, {ID: "1", Types: usb}},
		InsertWants: []string{"TransferProtocolType"}, RemoteMounts: true, BootConfig: true, NeedsMatch: 412, ETags: "strong", Success: 204,
		Targets: []string{"None", "Pxe", "Cd", "Hdd", "BiosSetup"}, Resets: xccAll, SessionLimit: 8,
	}
}

func ibmc() Profile {
	return Profile{
		Name: "huawei/ibmc", Source: "bmc-facts §2, §4, §5, §14", FactsOnly: true, Manufacturer: "Huawei", Model: "1288H V5", Oem: "Huawei", NoManagedBy: true,
		System: "1", Manager: "1", Generation: "iBMC", Firmware: "6.36", ManagerSlots: []slotProfile{{ID: "CD", Types: cd, Takes: true}}, Flow: vmmControl, Tasks: true,
		NeedsMatch: 412, ETags: "strong", Success: 200, Targets: []string{"None", "Pxe", "Cd", "Hdd", "BiosSetup"},
		Resets: []string{"On", "ForceOff", "ForceRestart", "GracefulShutdown", "Nmi", "ForcePowerCycle"}, SessionLimit: 8, NoExpand: true,
		Sessions: sessionProfile{Oem: true, NoUser: true}, // its documentation
	}
}

func imc() Profile {
	return Profile{
		Name: "cisco/imc", Source: "bmc-facts §1, §3, §4", FactsOnly: true, Manufacturer: "Cisco Systems Inc", Model: "UCSC-C240-M6", Vendor: "Cisco Systems Inc.", Oem: "Cisco",
		System: "WZP2543", Manager: "CIMC", Generation: "UCSC-C240-M6", Firmware: "4.3(2.240002)", NoNICs: true, NoExpand: true, VIC: true, FlashSlots: true,
		ManagerSlots: []slotProfile{{ID: "0", Types: []string{"DVD"}}, {ID: "1", Types: []string{"DVD"}, Takes: true}}, Success: 204,
		Targets: []string{"None", "Pxe", "Cd", "Hdd"}, Resets: amiAll, SessionLimit: 4,
	}
}

func standard() Profile {
	return Profile{
		Name: "redfish/standard", Source: "the standard", FactsOnly: true, Manufacturer: "Contoso", Model: "3500RX", System: "437XR1138R2", Manager: "BMC",
		Generation: "BMC", Firmware: "1.0", SystemSlots: []slotProfile{{ID: "CD1", Types: cd, Takes: true}}, Success: 204, ETags: "strong", NoExpand: true,
		Resets: []string{"On", "ForceOff", "ForceRestart"}, Targets: []string{"None", "Pxe", "Cd", "Hdd"}, SessionLimit: 4, BootProgress: true,
		Schema: "1_15_0", Sessions: sessionProfile{Type: true, Origin: true, Created: true, Context: true},
	}
}

// impatient drops connections that were idle for five seconds, as many BMCs do.
func impatient() Profile {
	p := standard()
	p.Name, p.Source, p.Idle, p.NoExpand = "redfish/impatient", "the standard; bmc-facts §11 (dropped connections)", 5*time.Second, false
	return p
}

// continuous knows only a continuous override, and says nothing of a boot's progress.
func continuous() Profile {
	p := standard()
	p.Name, p.Source, p.OnlyContinuous, p.Continuous = "redfish/continuous", "bmc-facts §6 (services and emulators without Once)", true, true
	p.BootProgress = false
	return p
}

// emulator is a front end of virtual machines: it takes every insert and every reset, reads
// an image once and whole, and knows neither sessions nor tags. Storage and network are
// those of the standard, for a plan to confirm its disk by.
func emulator() Profile {
	p := continuous()
	p.Name, p.Source, p.Manufacturer, p.Model = "redfish/emulator", "bmc-facts, corrections: sushy-tools; its source (vmedia, virtual_media, main)", "Sushy Emulator", "Virtual machine"
	slots := []slotProfile{{ID: "Cd", Types: cd, Takes: true}, {ID: "Floppy", Types: []string{"Floppy", "USBStick"}}}
	p.SystemSlots, p.ManagerSlots = slots, slots
	p.Prefetches, p.Replaces, p.BasicOnly, p.PlainErrors, p.LaxReset, p.IdlesSet, p.ETags = true, true, true, true, true, true, ""
	p.Targets, p.Resets = []string{"Pxe", "Cd", "Hdd"}, []string{"On", "ForceOff", "GracefulShutdown", "GracefulRestart", "ForceRestart", "Nmi", "ForceOn"}
	return p
}

// sushy is that emulator as it is usually run: with a file of users, a drive for each
// manager, and machines without a serial number.
func sushy() Profile {
	p := emulator()
	p.Name, p.Source = "emulator/sushy", "bmc-facts, corrections: sushy-tools; its source (main, auth_basic, root)"
	p.SystemSlots, p.NoSerial, p.GuardsSessions = nil, true, true
	p.System, p.Manager, p.Generation, p.Firmware = "c7a5fdbd-cdaf-9455-926a-d65c16db1809", "c7a5fdbd-cdaf-9455-926a-d65c16db1809", "Joo Janta 200", "1.00"
	return p
}

// hpeEmulator shows the tree of a real machine, links to sessions included, for which it has
// no service: it asks for Basic wherever it is not used.
func hpeEmulator() Profile {
	p := standard()
	p.Name, p.Source = "emulator/hpe", "issue report: the interface emulator of HPE, built on that of the DMTF, against mockups of real machines"
	p.Manufacturer, p.Model, p.Vendor = "HPE", "HPE Cray EX425", "HPE"
	p.BasicOnly, p.LinksSessions, p.GuardsSessions, p.BootProgress, p.ETags = true, true, true, false, ""
	return p
}

// mockup is a tree of files behind a web server: it asks for no login.
func mockup() Profile {
	p := standard()
	p.Name, p.Source = "emulator/mockup", "issue report: the mockup server of the DMTF"
	p.Open, p.Static, p.ETags = true, true, ""
	return p
}

// ShowsLicense reports whether the firmware shows its license.
func (p Profile) ShowsLicense() bool {
	return p.License != "" && (p.SuccessBody || p.TagInSKU && !p.FixedAttributes)
}

// ShowsReady reports whether the firmware shows that its controller for the host is
// still starting.
func (p Profile) ShowsReady() bool { return p.TagInSKU && p.Attributes != nil && !p.FixedAttributes }

// Profiles lists all profiles of firmware that a machine can be installed with; the first of
// a vendor is its usual one.
func Profiles() []Profile {
	return []Profile{
		idrac9(), idrac10(), idrac9Old(), idrac8(), perc(),
		ilo("hpe/ilo5", "recording DL385 Gen10 Plus v2 2.72", "iLO 5", "iLO 5 v2.72"),
		ilo("hpe/ilo6", "recording DL380a Gen11 1.66", "iLO 6", "iLO 6 v1.66"),
		ilo("hpe/ilo7", "recording DL380a Gen12 1.13", "iLO 7", "1.13.01"), ilo6Locked(), ilo4(), iloWithoutMode(),
		xcc(), xcc2(), xcc3(), xccOld(), tsm(),
		x13(), ars(), x11(), x10(),
		megarac(), inspur(), gigabyte(), withoutCDs(), bmcweb(), gb300(), irmc(), ibmc(), imc(),
		standard(), impatient(), continuous(), emulator(), sushy(), hpeEmulator(),
	}
}

// All lists all profiles, those included that show a machine and change nothing.
func All() []Profile { return append(Profiles(), mockup()) }

// Find returns the profile called name; the name of a vendor alone means its
// usual one.
func Find(name string) (Profile, error) {
	profiles := All()
	i := slices.IndexFunc(profiles, func(p Profile) bool { return p.Name == name || strings.HasPrefix(p.Name, name+"/") })
	if i < 0 {
		return Profile{}, fmt.Errorf("there is no simulated BMC %q", name)
	}
	return profiles[i], nil
}

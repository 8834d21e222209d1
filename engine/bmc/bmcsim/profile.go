package bmcsim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Profile is how one kind of firmware behaves.
type Profile struct {
	Name         string // vendor/firmware
	Source       string // where the behaviour is known from
	Manufacturer string
	Model        string
	Vendor       string // ServiceRoot.Vendor
	Oem          string // key in ServiceRoot.Oem
	System       string // id of the computer system
	Manager      string // id of the manager
	Generation   string // Manager.Model
	Firmware     string
	TagInSKU     bool // the number on the machine is in SKU
	Slash        bool // links end in a slash; other forms answer 308

	SystemSlots  []slotProfile
	ManagerSlots []slotProfile
	PatchSlots   bool // slots have no actions; they are patched
	OneImage     bool // all slots share one channel
	Lag          time.Duration
	Forgets      bool // the image's name reads back empty

	Success       int           // status of a write that worked
	SuccessBody   bool          // with "Success" inside an error object
	ETags         string        // "", "weak" or "strong" (checked)
	BootInSetting bool          // boot is written in the settings resource
	PostLock      bool          // no boot changes while in POST
	BusyAfterOff  time.Duration // On answers 409 so soon after an off
	NoMatchOnPost bool          // If-Match on an action answers 412

	Resets       []string
	Targets      []string
	SessionLimit int
	FullMessage  string
	Attributes   map[string]any // of the manager, by name; nil: none
	Storage      string         // name of the boot controller: "" is a plain drive
	ExtraNIC     bool           // the link between BMC and host shows as a NIC
	CdIsMetal    bool           // "Cd" is accepted and boots a physical drive, which there is none
	OverrideOff  bool           // refuses every override with UnsupportedOperation; the slot's own way works
}

type slotProfile struct {
	ID    string
	Types []string
	Takes bool // an image by URL
}

var (
	cd       = []string{"CD", "DVD"}
	usb      = []string{"USBStick"}
	all      = []string{"CD", "DVD", "USBStick"}
	dellBoot = []string{"None", "Pxe", "Floppy", "Cd", "Hdd", "BiosSetup", "Utilities", "UefiTarget", "SDCard", "UefiHttp"}
	hpeBoot  = []string{"None", "Cd", "Hdd", "Usb", "SDCard", "Utilities", "Diags", "BiosSetup", "Pxe", "UefiShell", "UefiHttp", "UefiTarget"}
	xccBoot  = []string{"None", "Pxe", "Cd", "Usb", "Hdd", "BiosSetup", "Diags", "UefiTarget"}
	dellAll  = []string{"On", "ForceOff", "ForceRestart", "GracefulRestart", "GracefulShutdown", "PushPowerButton", "Nmi", "PowerCycle"}
	hpeAll   = []string{"On", "ForceOff", "GracefulShutdown", "ForceRestart", "Nmi", "PushPowerButton", "GracefulRestart"}
	xccAll   = []string{"On", "Nmi", "GracefulShutdown", "GracefulRestart", "ForceOn", "ForceOff", "ForceRestart"}
)

func dellAttributes() map[string]any {
	return map[string]any{
		"ServerBoot.1.BootOnce": "Enabled", "ServerBoot.1.FirstBootDevice": "Normal", // an idle iDRAC reads so
		"VirtualMedia.1.Attached": "AutoAttach", "VirtualMedia.1.Enable": "Enabled", "RFS.1.AttachMode": "Auto Attach",
		"Lockdown.1.SystemLockdown": "Disabled",
	}
}

func dell(name, source, generation, firmware string) Profile {
	return Profile{
		Name: name, Source: source, Manufacturer: "Dell Inc.", Model: "PowerEdge R750", Vendor: "Dell", Oem: "Dell",
		System: "System.Embedded.1", Manager: "iDRAC.Embedded.1", Generation: generation, Firmware: firmware, TagInSKU: true,
		Lag: 2 * time.Second, Success: 204, Resets: dellAll, Targets: dellBoot, SessionLimit: 8, FullMessage: "IDRAC.2.8.RAC0218",
		Attributes: dellAttributes(), Storage: "BOSS-S2",
	}
}

func idrac9() Profile {
	p := dell("dell/idrac9", "recordings R750 6.00 and 7.10", "15G Monolithic", "7.10.30.00")
	p.SystemSlots = []slotProfile{{"1", all, true}, {"2", all, true}}
	p.ManagerSlots = []slotProfile{{"RemovableDisk", usb, false}, {"CD", cd, true}}
	return p
}

func idrac9Old() Profile {
	p := dell("dell/idrac9-4.40", "bmc-facts §3, §5 (facts only)", "14G Monolithic", "4.40.00.00")
	p.ManagerSlots = []slotProfile{{"RemovableDisk", usb, false}, {"CD", cd, true}}
	p.OneImage, p.CdIsMetal = true, true
	return p
}

func idrac10() Profile {
	p := dell("dell/idrac10", "recorded insert of an R670; bmc-facts §3, §6 (else facts only)", "17G Monolithic", "1.20.25.00")
	p.Model = "PowerEdge R670"
	p.SystemSlots = []slotProfile{{"2", all, false}, {"1", all, true}}
	p.Forgets, p.BootInSetting, p.NoMatchOnPost = true, true, true
	p.BusyAfterOff = 20 * time.Second
	return p
}

func ilo(name, source, generation, firmware string) Profile {
	return Profile{
		Name: name, Source: source, Manufacturer: "HPE", Model: "ProLiant DL385 Gen10 Plus v2", Vendor: "HPE", Oem: "Hpe",
		System: "1", Manager: "1", Generation: generation, Firmware: firmware, Slash: true,
		ManagerSlots: []slotProfile{{"1", []string{"Floppy", "USBStick"}, false}, {"2", cd, true}},
		Success:      200, SuccessBody: true, ETags: "weak", PostLock: true, Resets: hpeAll, Targets: hpeBoot, SessionLimit: 12,
		FullMessage: "Base.1.17.SessionLimitExceeded", Storage: "HPE NS204i-u Gen11 Boot Controller",
	}
}

func ilo6Locked() Profile {
	p := ilo("hpe/ilo6-nooverride", "bmc-facts §6 (facts only)", "iLO 6", "iLO 6 v1.66")
	p.OverrideOff = true
	return p
}

func xcc() Profile {
	var slots []slotProfile
	types := []string{"CD", "DVD", "Floppy", "USBStick"}
	for _, id := range []string{"EXT1", "EXT2", "EXT3", "EXT4", "Remote1", "Remote2", "Remote3", "Remote4", "RDOC1", "RDOC2"} {
		slots = append(slots, slotProfile{id, types, strings.HasPrefix(id, "EXT")})
	}
	return Profile{
		Name: "lenovo/xcc", Source: "recording SR670 V2 2.83", Manufacturer: "Lenovo", Model: "ThinkSystem SR670 V2", Vendor: "Lenovo",
		System: "1", Manager: "1", Generation: "Lenovo XClarity Controller", Firmware: "TGBT42S 2.83 2023-07-05",
		SystemSlots: slots, ManagerSlots: slots, PatchSlots: true, Success: 200, ETags: "strong", Resets: xccAll, Targets: xccBoot,
		SessionLimit: 16, FullMessage: "Base.1.8.SessionLimitExceeded", Storage: "M.2 Storage", ExtraNIC: true,
	}
}

func standard() Profile {
	return Profile{
		Name: "redfish/standard", Source: "the standard", Manufacturer: "Contoso", Model: "3500RX", System: "437XR1138R2", Manager: "BMC",
		Generation: "BMC", Firmware: "1.0", SystemSlots: []slotProfile{{"CD1", cd, true}}, Success: 204, ETags: "strong",
		Resets: []string{"On", "ForceOff", "ForceRestart"}, Targets: []string{"None", "Pxe", "Cd", "Hdd"}, SessionLimit: 4,
		FullMessage: "Base.1.17.SessionLimitExceeded",
	}
}

// Profiles lists all profiles; the first of a vendor is its usual one.
func Profiles() []Profile {
	return []Profile{
		idrac9(), idrac10(), idrac9Old(),
		ilo("hpe/ilo5", "recording DL385 Gen10 Plus v2 2.72", "iLO 5", "iLO 5 v2.72"),
		ilo("hpe/ilo6", "recording DL380a Gen11 1.66", "iLO 6", "iLO 6 v1.66"), ilo6Locked(),
		xcc(),
		standard(),
	}
}

// Find returns the profile called name; the name of a vendor alone means its
// usual one.
func Find(name string) (Profile, error) {
	profiles := Profiles()
	i := slices.IndexFunc(profiles, func(p Profile) bool { return p.Name == name || strings.HasPrefix(p.Name, name+"/") })
	if i < 0 {
		return Profile{}, fmt.Errorf("there is no simulated BMC %q", name)
	}
	return profiles[i], nil
}

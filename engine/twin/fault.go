package twin

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/schema"
)

// faults are the troubles of one machine.
type faults map[string]bool

// FaultKinds explains the troubles that a rehearsal can add.
var FaultKinds = map[string]string{
	"dead-bmc":       "the BMC does not answer",
	"hang":           "the BMC takes requests and never answers",
	"html":           "the BMC answers with web pages",
	"wrong-password": "the BMC has another password",
	"no-login":       "the BMC asks for no login, as emulators do that were given no password",
	"wrong-serial":   "the machine is another one (the plan must give its serial)",
	"two-disks":      "two disks match",
	"no-disk":        "no disk matches",
	"no-license":     "the BMC's license does not cover virtual media",
	"no-drive":       "the BMC offers no virtual CD drive",
	"lockdown":       "the BMC refuses every change",
	"no-nic":         "the plan's network port is not there",
	"secure-boot":    "Secure Boot is on",
	"san":            "a storage network is connected",
	"remote-luns":    "the running ESXi sees a LUN of a storage network",
	"not-ready":      "the BMC is starting and never gets ready",
	"busy":           "virtual machines run on the host",
	"unknown-use":    "the machine is on, and no ESXi answers",
	"other-machine":  "another machine's ESXi answers on the address",
	"leftover":       "someone else's image is mounted",
	"old-override":   "the next boot is set to the network",
	"boots-disk":     "the machine ignores the boot override and boots its old disk",
	"lost-answer":    "the answer to the first reset is lost",
	"lost-login":     "the answer to the first login is lost: the session is open, and the client does not know it",
	"lost-insert":    "an insert is answered with success and not done, once",
	"idle-drop":      "the BMC drops idle connections",
	"busy-bmc":       "the BMC answers 503 three times",
	"one-at-a-time":  "the BMC answers 503 to a request that comes while another one is under way",
	"out-of-order":   "the BMC's answers come out of order",
	"drops-fourth":   "the BMC resets the connection of a fourth request at the same time",
	"storm":          "of all requests, 5 % are answered 503, 2 % by a reset connection, 1 % not at all; 1 % of the answers get lost, 1 % of the writes are answered with success and not done",
	"half-image":     "the BMC's transfer at an insert is cut half-way, and answered with success (firmware that fetches the whole image, such as redfish/emulator)",
	"late-on":        "a request to power on is answered 409, and done a few seconds later, once",
	"early-on":       "someone else powers the machine on right after it was forced off, before our On, once",
	"stays-off":      "a request to power on is answered with success and not done, once",
	"loop":           "the machine boots the virtual CD as long as something is mounted, whatever the boot override says: it installs again and again",
	"keeps-override": "clearing the boot override is answered with success and not done (firmware that knows only a continuous one, such as redfish/continuous)",
}

// moduleSizes are how large the modules of an image must be for a fault to show, in bytes. With
// a small image, a web server cannot determine whether a BMC read half of it: the sockets
// hold the rest.
var moduleSizes = map[string]int{"half-image": 1 << 20}

// ModuleSize is how large the modules of generated images must be, in bytes, so that faults
// show, given as in [Options]; 0 where any size does.
func ModuleSize(specs []string) (size int) {
	for _, spec := range specs {
		_, kind, _ := faultOf(spec)
		size = max(size, moduleSizes[kind])
	}
	return size
}

// bmc are the faults that the BMC itself makes.
func (f faults) bmc() []bmcsim.Fault {
	var out []bmcsim.Fault
	if f["storm"] {
		out = storm()
	}
	for kind, fault := range map[string]bmcsim.Fault{
		"dead-bmc": {Kind: "dead"}, "hang": {Kind: "hang"}, "html": {Kind: "html"},
		"boots-disk": {Kind: "ignore", Action: "override"}, "lost-answer": {Kind: "lost", Path: "ComputerSystem.Reset", Count: 1},
		"lost-insert": {Kind: "ignore", Action: "insert", Count: 1}, "idle-drop": {Kind: "idle"},
		"one-at-a-time": {Kind: "alone"}, "out-of-order": {Kind: "shuffle", Delay: 20 * time.Millisecond}, "drops-fourth": {Kind: "fourth"},
		"busy-bmc":   {Kind: "status", Status: 503, Method: "GET", Count: 3},
		"half-image": {Kind: "half"}, "late-on": {Kind: "deferred", Count: 1}, "early-on": {Kind: "early", Count: 1},
		"lost-login": {Kind: "lost", Method: http.MethodPost, Path: "/Sessions", Count: 1},
		"stays-off":  {Kind: "ignore", Action: "on", Count: 1}, "loop": {Kind: "cd-first"}, "keeps-override": {Kind: "ignore", Action: "clear"},
	} {
		if f[kind] {
			out = append(out, fault)
		}
	}
	return out
}

// storm is every kind of passing trouble, by chance.
func storm() []bmcsim.Fault {
	out := []bmcsim.Fault{
		{Kind: "status", Status: 503, Rate: 0.05}, {Kind: "reset", Rate: 0.02}, {Kind: "hang", Rate: 0.01}, {Kind: "lost", Rate: 0.01},
	}
	for _, action := range []string{"insert", "eject", "boot", "reset"} {
		out = append(out, bmcsim.Fault{Kind: "ignore", Action: action, Rate: 0.01})
	}
	return out
}

// assign reads faults: "kind" for every host, "host=kind" for one. One that would show
// nowhere is an error: the user would take the absence of trouble for success.
func assign(p *schema.Plan, hosts []*schema.Host, o Options) (map[string]faults, error) {
	out := map[string]faults{}
	for _, h := range hosts {
		out[h.Name] = faults{}
	}
	for _, spec := range o.Faults {
		host, kind, one := faultOf(spec)
		if _, ok := FaultKinds[kind]; !ok {
			kinds := slices.Sorted(maps.Keys(FaultKinds))
			return nil, fmt.Errorf("there is no fault %q; there are %s%s", kind, strings.Join(kinds, ", "), schema.DidYouMean(kind, kinds))
		}
		if _, ok := p.Host(host); one && !ok {
			return nil, fmt.Errorf("--fault %s: the plan has no host %q", spec, host)
		}
		for name, f := range out {
			if !one || name == host {
				f[kind] = true
			}
		}
	}
	for _, spec := range o.Faults {
		if err := shows(spec, hosts, out, o.Profiles); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func faultOf(spec string) (host, kind string, one bool) {
	if host, kind, one = strings.Cut(spec, "="); one {
		return host, kind, true
	}
	return "", spec, false
}

// shows demands that a fault does something on the host that it names, or on any host.
func shows(spec string, hosts []*schema.Host, all map[string]faults, profiles map[string]string) error {
	host, kind, one := faultOf(spec)
	first, reason := "", ""
	for _, h := range hosts {
		if one && h.Name != host {
			continue
		}
		profile, err := bmcsim.Find(profileName(h, profiles))
		if err != nil {
			return err
		}
		why := all[h.Name].idle(kind, h, profile)
		if why == "" {
			return nil
		}
		if first == "" {
			first, reason = h.Name, why
		}
	}
	if first == "" {
		return nil // the host is not in this run
	}
	if !one && len(hosts) > 1 {
		return fmt.Errorf("--fault %s does nothing on any of the %d hosts; on %s: %s", spec, len(hosts), first, reason)
	}
	return fmt.Errorf("--fault %s does nothing on host %s: %s", spec, first, reason)
}

// idle says why a fault would not show on a host, and what to do about it; "" means that
// it shows, or that only the machine's facts decide.
func (f faults) idle(kind string, h *schema.Host, p bmcsim.Profile) string {
	x := h.ESXi
	ofPlan := []string{"busy", "unknown-use", "other-machine", "remote-luns", "no-nic", "no-disk", "two-disks"}
	switch {
	case kind == "wrong-serial" && h.Serial == "":
		return "the plan gives no serial number, so that nothing would be noticed; give the host a serial"
	case slices.Contains(ofPlan, kind) && x == nil:
		return "the plan gives it no esxi block"
	case kind == "other-machine" && !f.startsOn(h):
		return "no ESXi answers there at the start; give esxi.current"
	case kind == "remote-luns" && x.Current == nil:
		return "the plan gives no login to look into its ESXi; give esxi.current"
	case kind == "no-nic" && !h.Deferred() && (x.NIC == nil || !strings.Contains(*x.NIC, ":")):
		return "the plan names no network port by its MAC address; give esxi.nic"
	case kind == "no-disk" && x.Disk == nil:
		return "the plan names no disk; give esxi.disk"
	case kind == "two-disks" && !h.Deferred() && (x.Disk == nil || x.Disk.Model == nil):
		return "the plan does not name its disk by model, so that a second one would not match; give esxi.disk a model"
	}
	if shown, ok := firmwareFaults[kind]; ok && !shown.by(p) {
		return fmt.Sprintf("the firmware %s %s; --profile %s=… chooses another, of which these show it: %s", p.Name, shown.why, h.Name, firmware(shown.by))
	}
	return ""
}

// firmwareFaults are troubles that not all firmware can show.
var firmwareFaults = map[string]struct {
	by  func(bmcsim.Profile) bool
	why string // other firmware does not
}{
	"lockdown":       {func(p bmcsim.Profile) bool { return p.Attributes != nil }, "has no lockdown"},
	"no-license":     {bmcsim.Profile.ShowsLicense, "does not show its license"},
	"not-ready":      {bmcsim.Profile.ShowsReady, "does not report whether it is ready"},
	"no-login":       {func(p bmcsim.Profile) bool { return !p.Open }, "asks for none in any case"},
	"wrong-password": {func(p bmcsim.Profile) bool { return !p.Open }, "asks for none"},
	"lost-login":     {func(p bmcsim.Profile) bool { return !p.BasicOnly }, "knows no sessions"},
	"half-image":     {func(p bmcsim.Profile) bool { return p.Prefetches }, "reads the image while the machine runs, and fetches nothing whole at an insert"},
	"keeps-override": {func(p bmcsim.Profile) bool { return p.OnlyContinuous }, "boots once, and then clears the boot override itself"},
}

// firmware lists the names of firmware.
func firmware(which func(bmcsim.Profile) bool) string {
	var names []string
	for _, p := range bmcsim.Profiles() {
		if which(p) {
			names = append(names, p.Name)
		}
	}
	return strings.Join(names, ", ")
}

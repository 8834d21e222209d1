package bmcsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	offTakes      = 3 * time.Second
	onTakes       = 2 * time.Second
	deferredTakes = 6 * time.Second // until a refused On takes effect nevertheless
	rivalTakes    = 3 * time.Second // until someone else powers the machine on
)

func (s *Sim) post(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	var arguments map[string]any
	if len(body) == 0 && s.p.SuccessBody {
		s.fail(w, 415, "Base.1.4.MalformedJSON") // {} at least
		return
	}
	if len(body) > 0 && json.Unmarshal(body, &arguments) != nil {
		s.fail(w, 400, "Base.1.8.MalformedJSON")
		return
	}
	if s.p.NoMatchOnPost && r.Header.Get("If-Match") != "" {
		s.fail(w, 412, "Base.1.12.PreconditionFailed")
		return
	}
	if s.oemPost(w, path, arguments) {
		return
	}
	uri, name, ok := strings.Cut(path, "/Actions/")
	byAction := !s.p.PatchSlots && s.p.Flow == "" && strings.Contains(name, "Oem/") == s.p.OemSlots
	switch {
	case !ok:
		s.fail(w, 405, "Base.1.8.ActionNotSupported", "POST")
	case uri == s.systemURI() && name == "ComputerSystem.Reset":
		s.reset(w, arguments)
	case byAction && (strings.HasSuffix(name, "VirtualMedia.InsertMedia") || strings.HasSuffix(name, ".InsertVirtualMedia")):
		s.insert(w, uri, arguments)
	case byAction && (strings.HasSuffix(name, "VirtualMedia.EjectMedia") || strings.HasSuffix(name, ".EjectVirtualMedia")):
		s.eject(w, uri)
	default:
		s.fail(w, 404, "Base.1.8.ResourceMissingAtURI", path)
	}
}

// reset changes the power, if the present state allows it.
func (s *Sim) reset(w http.ResponseWriter, arguments map[string]any) {
	kind, _ := arguments["ResetType"].(string)
	if !slices.Contains(s.p.Resets, kind) {
		s.fail(w, 400, "Base.1.8.ActionParameterNotSupported", "ResetType")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beforeOurs()
	off := s.power == "Off" || s.power == "PoweringOff"
	on := kind == "On" || kind == "ForceOn"
	switch {
	case off && !on && kind != "PushPowerButton" && s.p.LaxReset, !off && on && s.p.LaxReset:
		s.succeed(w)
	case off && !on && kind != "PushPowerButton":
		s.wrongState(w, "Power is off")
	case !off && on:
		s.wrongState(w, "Power is on")
	case s.power == "PoweringOff" || off && s.p.BusyAfterOff > 0 && s.c.Clock.Now().Sub(s.offAt) < s.p.BusyAfterOff:
		s.fail(w, 409, "Base.1.12.ActionParameterValueConflict", kind)
	case on && s.fails("deferred", ""):
		s.after(deferredTakes, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.change(kind)
		})
		s.fail(w, 409, "Base.1.12.ActionParameterValueConflict", kind)
	default:
		s.change(kind)
		s.succeed(w)
	}
}

// beforeOurs executes another client's pending request to power on before the one that just
// came.
func (s *Sim) beforeOurs() {
	if s.rival && s.power == "Off" {
		s.rival = false
		s.change("On")
	}
}

func (s *Sim) wrongState(w http.ResponseWriter, why string) {
	status := 409
	if s.p.SuccessBody {
		status = 400
	}
	s.fail(w, status, s.p.in().wrongState, why)
}

func (s *Sim) change(kind string) {
	on := kind == "On" || kind == "ForceOn"
	if s.ignores("reset") || on && s.ignores("on") {
		return
	}
	s.generation++
	s.serial++
	s.resets++
	switch kind {
	case "On", "ForceOn", "PushPowerButton":
		s.powerOn()
	case "ForceOff", "GracefulShutdown":
		s.rival = kind == "ForceOff" && s.fails("early", "")
		s.powerOff(nil)
	default:
		s.powerOff(s.powerOn)
	}
}

// powerOff takes a moment; then it reports to the simulation of the machine.
func (s *Sim) powerOff(then func()) {
	s.power = "PoweringOff"
	s.after(offTakes, func() {
		if s.c.Lost != nil {
			s.c.Lost()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.power, s.offAt = "Off", s.c.Clock.Now()
		if then != nil {
			then()
		}
		if s.rival {
			s.after(rivalTakes, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.beforeOurs()
			})
		}
	})
}

// powerOn goes through POST, then boots.
func (s *Sim) powerOn() {
	s.power = "PoweringOn"
	s.after(onTakes, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.power = "On"
		s.enterPOST()
	})
}

// enterPOST starts what every boot begins with.
func (s *Sim) enterPOST() {
	s.posted, s.progress = s.c.Clock.Now().Add(s.c.POST), hardwareComplete
	s.after(s.c.POST, s.boot)
}

// Reboot is a restart by the machine itself, as an installer ends: through POST
// without a change of power.
func (s *Sim) Reboot() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.power != "On" {
		return // it lost power just now
	}
	s.generation++
	s.enterPOST()
}

// SetSecureBoot turns Secure Boot on or off, as a user in the BIOS setup does.
func (s *Sim) SetSecureBoot(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.c.SecureBoot = on
}

// boot uses up the override.
func (s *Sim) boot() {
	s.mu.Lock()
	source := s.source()
	if s.enabled == "Once" {
		s.idleBoot()
	}
	s.onNext, s.device, s.mode = false, "None", "UEFI"
	image := s.mounted()
	if source == "Cd" && image == "" || s.ignores("override") {
		source = "Hdd"
	}
	if image != "" && s.fails("cd-first", "") {
		source = "Cd"
	}
	s.boots = append(s.boots, source)
	s.posted = time.Time{} // the timer and the clock may differ by a moment
	if s.c.Booted == nil {
		s.progress = OSBootStarted // no other simulation reports it
	}
	s.mu.Unlock()
	if s.c.Booted != nil {
		s.c.Booted(source, image)
	}
}

// source is what the next boot comes from, by the override that is in effect.
func (s *Sim) source() string {
	virtualCD := s.p.VirtualCD
	if virtualCD == "" && !s.p.CdIsMetal {
		virtualCD = "Cd"
	}
	vcd := s.attributes[firstBootDevice] == "VCD-DVD"
	switch {
	case vcd:
		if s.attributes["ServerBoot.1.BootOnce"] == "Enabled" {
			s.attributes[firstBootDevice] = "Normal"
		}
		return "Cd"
	case s.onNext, s.device == "Cd":
		return "Cd"
	case s.enabled == "Disabled" || s.mode == "Legacy":
		return "Hdd"
	case s.target == virtualCD:
		return "Cd"
	case s.target == "None" || s.target == "Cd" || s.target == "UsbCd": // a physical drive, which does not exist
		return "Hdd"
	}
	return s.target
}

func (s *Sim) insert(w http.ResponseWriter, uri string, arguments map[string]any) {
	url, _ := arguments["Image"].(string)
	takes := s.p.InsertTakes
	if takes == nil {
		takes = allInsert
	}
	for name := range arguments {
		if name != "Image" && !slices.Contains(takes, name) {
			s.fail(w, 400, "Base.1.8.PropertyUnknown", name)
			return
		}
	}
	for _, name := range append([]string{"Image"}, s.p.InsertWants...) {
		if arguments[name] == nil {
			s.fail(w, 400, "Base.1.8.ActionParameterMissing", name, "#/"+name)
			return
		}
	}
	s.mu.Lock()
	v, _, _ := s.slotAt(uri)
	full := v != nil && !s.p.Replaces && (v.image != "" || s.p.OneImage && s.anyImage())
	refused := s.refusesImage(url)
	s.mu.Unlock()
	switch {
	case v == nil:
		s.fail(w, 404, "Base.1.8.ResourceMissingAtURI", uri)
	case !v.profile.Takes:
		s.fail(w, 405, "Base.1.8.ActionNotSupported", "InsertMedia")
	case full:
		s.occupied(w)
	case refused != "":
		s.fail(w, 400, refused, url)
	default:
		s.mount(w, v, url)
	}
}

// refusesImage is the message by which the BMC refuses an image for its URL alone.
func (s *Sim) refusesImage(url string) string {
	switch {
	case !s.takes(url):
		return s.p.in().wrongScheme
	case s.attributes["VirtualMedia.1.Attached"] == "Detached":
		return s.p.in().occupied
	case s.p.Verifies && !s.unchecked && strings.HasPrefix(url, "https:"):
		return s.p.in().unreadable // the image server's certificate is its own
	case s.p.RemoteMounts && !s.mountsOn:
		return "Base.1.8.ServiceDisabled"
	}
	return ""
}

func (s *Sim) takes(url string) bool {
	scheme, _, _ := strings.Cut(url, ":")
	return s.p.Schemes == nil || slices.Contains(s.p.Schemes, scheme)
}

func (s *Sim) anyImage() bool {
	for _, v := range s.slots {
		if v.image != "" {
			return true
		}
	}
	return false
}

func (s *Sim) occupied(w http.ResponseWriter) {
	status := 400
	if s.p.OneImage {
		status = 500
	}
	s.fail(w, status, s.p.in().occupied)
}

// mount reads the image before it answers, or answers with a task.
func (s *Sim) mount(w http.ResponseWriter, v *slot, url string) {
	err := s.readable(url)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.p.Tasks {
		s.begin(w, func() string {
			if err != nil {
				return s.p.in().unreadable
			}
			s.load(v, url)
			return ""
		})
		return
	}
	var refusal FetchStatus
	switch {
	case err != nil && s.p.LaxMount:
		s.succeed(w)
	case errors.As(err, &refusal) && s.p.PlainErrors:
		s.failPlainly(w, refusal.answer(), fmt.Sprintf("Cannot download virtual media: got error %d from the server", refusal))
	case err != nil && s.p.PlainErrors:
		s.failPlainly(w, 500, fmt.Sprintf("Failed fetching image from URL %s: %v", url, err))
	case err != nil:
		s.fail(w, 500, s.p.in().unreadable, err.Error())
	default:
		s.load(v, url)
		s.succeed(w)
	}
}

func (s *Sim) load(v *slot, url string) {
	if s.ignores("insert") {
		return
	}
	v.image, v.last, v.ejected = url, url, time.Time{}
	s.serial++
	s.inserts++
}

func (s *Sim) eject(w http.ResponseWriter, uri string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, _, _ := s.slotAt(uri)
	switch {
	case v == nil && s.p.Flow != "":
		s.succeed(w) // nothing is mounted
	case v == nil:
		s.fail(w, 404, "Base.1.8.ResourceMissingAtURI", uri)
	case v.image == "" && s.p.EmptyEject != 0:
		s.fail(w, s.p.EmptyEject, s.p.in().emptySlot)
	default:
		if !s.ignores("eject") {
			v.image, v.ejected = "", s.c.Clock.Now()
			s.serial++
		}
		s.succeed(w)
	}
}

func (s *Sim) patch(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	var changes map[string]any
	if json.Unmarshal(body, &changes) != nil {
		s.fail(w, 400, "Base.1.8.MalformedJSON")
		return
	}
	s.mu.Lock()
	tag := r.Header.Get("If-Match")
	stale := s.p.ETags == "strong" && tag != "" && tag != "*" && tag != s.etag()
	v, _, _ := s.slotAt(path)
	s.mu.Unlock()
	switch {
	case tag == "" && s.p.NeedsMatch != 0:
		s.fail(w, s.p.NeedsMatch, s.p.in().needsMatch)
	case stale:
		s.fail(w, 412, "Base.1.8.PreconditionFailed")
	case path == s.systemURI(), path == s.systemURI()+"/Settings" && s.p.BootInSetting:
		s.patchBoot(w, path, changes)
	case v != nil:
		s.patchSlot(w, v, changes)
	case !s.oemPatch(w, path, changes):
		s.fail(w, 404, "Base.1.8.ResourceMissingAtURI", path)
	}
}

func (s *Sim) patchAttributes(w http.ResponseWriter, changes map[string]any) {
	if s.p.FixedAttributes {
		s.fail(w, 405, "Base.1.8.ActionNotSupported", "PATCH")
		return
	}
	values, _ := changes["Attributes"].(map[string]any)
	for name, value := range values {
		if _, ok := s.attributes[name]; !ok {
			s.fail(w, 400, "IDRAC.2.8.SYS426", name)
			return
		}
		if !s.ignores("boot") {
			s.setAttribute(name, value)
		}
	}
	s.succeed(w)
}

// setAttribute sets an attribute. The first boot device and the standard's override are one and
// the same setting.
func (s *Sim) setAttribute(name string, value any) {
	s.attributes[name] = value
	if name == firstBootDevice {
		s.target, s.enabled = "None", "Disabled"
	}
}

const firstBootDevice = "ServerBoot.1.FirstBootDevice"

// patchBoot changes the override of the standard.
func (s *Sim) patchBoot(w http.ResponseWriter, path string, changes map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	boot, ok := changes["Boot"].(map[string]any)
	if !ok || len(changes) != 1 {
		s.fail(w, 400, "Base.1.8.PropertyNotWritable")
		return
	}
	enabled, target, mode := s.enabled, s.target, s.mode
	if s.p.ModeResets {
		mode = "Legacy"
	}
	for name, value := range boot {
		text, _ := value.(string)
		switch name {
		case "BootSourceOverrideEnabled":
			enabled = text
		case "BootSourceOverrideTarget":
			target = text
		case "BootSourceOverrideMode":
			if mode = text; s.p.NoMode {
				s.fail(w, 400, "Base.1.8.PropertyUnknown", name)
				return
			}
		default:
			s.fail(w, 400, "Base.1.8.PropertyUnknown", name)
			return
		}
	}
	if s.p.OnlyContinuous {
		if boot["BootSourceOverrideTarget"] == nil || target == "None" {
			s.fail(w, 500, "Base.1.8.InternalError")
			return
		}
		enabled = "Continuous"
	}
	if status, message, args := s.refusesBoot(path, enabled, target); status != 0 {
		s.fail(w, status, message, args...)
		return
	}
	clears := enabled == "Disabled" || target == "None" || s.p.OnlyContinuous && target == "Hdd"
	if !s.ignores("boot") && !(clears && s.ignores("clear")) {
		s.enabled, s.target, s.mode = enabled, target, mode
		if enabled == "Disabled" {
			s.target, s.mode = "None", "UEFI"
		}
		s.serial++
	}
	s.succeed(w)
}

func (s *Sim) refusesBoot(path, enabled, target string) (status int, message string, args []string) {
	switch {
	case s.p.BootInSetting && path == s.systemURI(), s.p.BootConfig:
		return 400, "Base.1.12.PropertyNotWritable", []string{"Boot"}
	case s.p.OverrideOff:
		return 400, "iLO.2.16.UnsupportedOperation", nil
	case s.p.PostLock && s.inPOST():
		return 400, "iLO.2.16.UnableToModifyDuringSystemPOST", nil
	case !slices.Contains(s.p.Targets, target):
		return 400, "Base.1.8.PropertyValueNotInList", []string{target}
	case !slices.Contains([]string{"Once", "Disabled", "Continuous"}, enabled) || enabled == "Continuous" && !s.p.Continuous:
		return 400, "Base.1.8.PropertyValueNotInList", []string{enabled}
	}
	return 0, "", nil
}

// patchSlot mounts and unmounts where slots have no actions; some slots take other
// settings this way.
func (s *Sim) patchSlot(w http.ResponseWriter, v *slot, changes map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if oem, ok := changes["Oem"].(map[string]any); ok && s.p.OnNext {
		own, _ := oem[s.p.Oem].(map[string]any)
		s.onNext, _ = own["BootOnNextServerReset"].(bool)
		s.succeed(w)
		return
	}
	if check, ok := changes["VerifyCertificate"].(bool); ok && s.p.Verifies {
		s.unchecked = !check
		s.serial++
		s.succeed(w)
		return
	}
	image, given := changes["Image"]
	url, _ := image.(string)
	switch {
	case !s.p.PatchSlots:
		s.fail(w, 405, "Base.1.8.ActionNotSupported", "PATCH")
	case !v.profile.Takes:
		s.fail(w, 400, "Base.1.8.PropertyNotWritable", "Image")
	case !given:
		s.fail(w, 400, "Base.1.8.PropertyMissing", "Image")
	case url == "":
		if !s.ignores("eject") {
			v.image = ""
			s.serial++
		}
		s.succeed(w)
	case v.image != "":
		s.fail(w, 400, s.p.in().occupied)
	case changes["Inserted"] != true:
		s.fail(w, 400, "Base.1.8.PropertyMissing", "Inserted")
	case s.refusesImage(url) != "":
		s.fail(w, 400, s.refusesImage(url), url)
	default:
		s.mu.Unlock()
		s.mount(w, v, url)
		s.mu.Lock()
	}
}

package bmcsim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	offTakes = 3 * time.Second
	onTakes  = 2 * time.Second
)

func (s *Sim) post(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	var arguments map[string]any
	if len(body) == 0 && s.p.SuccessBody {
		s.fail(w, 415, "Base.1.4.MalformedJSON") // iLO wants {} at least
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
	uri, name, ok := strings.Cut(path, "/Actions/")
	switch {
	case !ok:
		s.fail(w, 405, "Base.1.8.ActionNotSupported", "POST")
	case uri == s.systemURI() && name == "ComputerSystem.Reset":
		s.reset(w, arguments)
	case name == "VirtualMedia.InsertMedia" && !s.p.PatchSlots:
		s.insert(w, uri, arguments)
	case name == "VirtualMedia.EjectMedia" && !s.p.PatchSlots:
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
	off := s.power == "Off" || s.power == "PoweringOff"
	switch {
	case off && kind != "On" && kind != "ForceOn" && kind != "PushPowerButton":
		s.wrongState(w, "Power is off")
	case !off && (kind == "On" || kind == "ForceOn"):
		s.wrongState(w, "Power is on")
	case s.power == "PoweringOff" || off && s.p.BusyAfterOff > 0 && s.c.Clock.Now().Sub(s.offAt) < s.p.BusyAfterOff:
		s.fail(w, 409, "Base.1.12.ActionParameterValueConflict", kind)
	default:
		s.change(kind)
		s.succeed(w)
	}
}

func (s *Sim) wrongState(w http.ResponseWriter, why string) {
	if s.p.SuccessBody {
		s.fail(w, 400, "iLO.2.16.InvalidOperationForSystemState", why)
		return
	}
	s.fail(w, 409, "Base.1.8.ActionParameterValueConflict", why)
}

func (s *Sim) change(kind string) {
	if s.ignores("reset") {
		return
	}
	s.generation++
	s.serial++
	switch kind {
	case "On", "ForceOn", "PushPowerButton":
		s.powerOn()
	case "ForceOff", "GracefulShutdown":
		s.powerOff(nil)
	default:
		s.powerOff(s.powerOn)
	}
}

// powerOff takes a moment; then whoever simulates the machine is told.
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
	})
}

// powerOn goes through POST, then boots.
func (s *Sim) powerOn() {
	s.power = "PoweringOn"
	s.after(onTakes, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.power, s.posted = "On", s.c.Clock.Now().Add(s.c.POST)
		s.after(s.c.POST, s.boot)
	})
}

// Reboot is a restart by the machine itself, as an installer ends: through POST
// without a change of power.
func (s *Sim) Reboot() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	s.posted = s.c.Clock.Now().Add(s.c.POST)
	s.after(s.c.POST, s.boot)
}

// boot uses up the override.
func (s *Sim) boot() {
	s.mu.Lock()
	source := "Hdd"
	vcd := s.attributes["ServerBoot.1.FirstBootDevice"] == "VCD-DVD"
	switch {
	case s.onNext, vcd:
		source = "Cd"
		if s.attributes["ServerBoot.1.BootOnce"] == "Enabled" && vcd {
			s.attributes["ServerBoot.1.FirstBootDevice"] = "Normal"
		}
	case s.enabled != "Disabled" && s.target != "None" && (s.target != "Cd" || !s.p.CdIsMetal):
		source = s.target
	}
	if s.enabled == "Once" {
		s.enabled, s.target = "Disabled", "None"
	}
	s.onNext = false
	image := s.mounted()
	if source == "Cd" && image == "" || s.ignores("override") {
		source = "Hdd"
	}
	s.boots = append(s.boots, source)
	s.mu.Unlock()
	if s.c.Booted != nil {
		s.c.Booted(source, image)
	}
}

var insertProperties = []string{"Image", "Inserted", "WriteProtected", "TransferProtocolType", "TransferMethod", "UserName", "Password"}

func (s *Sim) insert(w http.ResponseWriter, uri string, arguments map[string]any) {
	url, _ := arguments["Image"].(string)
	for name := range arguments {
		if !slices.Contains(insertProperties, name) {
			s.fail(w, 400, "Base.1.8.PropertyUnknown", name)
			return
		}
	}
	if url == "" {
		s.fail(w, 400, "Base.1.8.ActionParameterMissing", "Image")
		return
	}
	s.mu.Lock()
	v, _, _ := s.slotAt(uri)
	full := v != nil && (v.image != "" || s.p.OneImage && s.anyImage())
	s.mu.Unlock()
	switch {
	case v == nil:
		s.fail(w, 404, "Base.1.8.ResourceMissingAtURI", uri)
	case !v.profile.Takes:
		s.fail(w, 405, "Base.1.8.ActionNotSupported", "InsertMedia")
	case full:
		s.occupied(w)
	default:
		s.mount(w, v, url)
	}
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
	switch s.p.Oem {
	case "Hpe":
		s.fail(w, 400, "iLO.2.16.MaxVirtualMediaConnectionEstablished")
	case "Dell":
		s.fail(w, 500, "IDRAC.2.8.VRM0012")
	default:
		s.fail(w, 400, "Base.1.8.ResourceInUse")
	}
}

// mount reads the image before it answers. iLO answers success all the same.
func (s *Sim) mount(w http.ResponseWriter, v *slot, url string) {
	if err := s.readable(url); err != nil {
		switch s.p.Oem {
		case "Hpe":
			s.succeed(w)
		case "Dell":
			s.fail(w, 500, "IDRAC.2.8.RAC0904", err.Error())
		default:
			s.fail(w, 500, "Base.1.8.InternalError", err.Error())
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ignores("insert") {
		v.image, v.ejected = url, time.Time{}
		s.serial++
	}
	s.succeed(w)
}

func (s *Sim) readable(url string) error {
	if s.c.Check == nil {
		return nil
	}
	return s.c.Check(url)
}

func (s *Sim) eject(w http.ResponseWriter, uri string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, _, _ := s.slotAt(uri)
	switch {
	case v == nil:
		s.fail(w, 404, "Base.1.8.ResourceMissingAtURI", uri)
	case v.image == "" && s.p.Oem == "Hpe":
		s.fail(w, 400, "iLO.2.16.NoVirtualMediaConnectionAvailable")
	case v.image == "" && s.p.Oem == "Dell":
		s.fail(w, 500, "IDRAC.2.8.VRM0021")
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
	stale := s.p.ETags == "strong" && r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != s.etag()
	v, _, _ := s.slotAt(path)
	s.mu.Unlock()
	switch {
	case stale:
		s.fail(w, 412, "Base.1.8.PreconditionFailed")
	case path == s.systemURI(), path == s.systemURI()+"/Settings" && s.p.BootInSetting:
		s.patchBoot(w, path, changes)
	case v != nil:
		s.patchSlot(w, v, changes)
	case s.p.Attributes != nil && strings.HasSuffix(path, "/DellAttributes/iDRAC.Embedded.1"):
		s.patchAttributes(w, changes)
	default:
		s.fail(w, 404, "Base.1.8.ResourceMissingAtURI", path)
	}
}

func (s *Sim) patchAttributes(w http.ResponseWriter, changes map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	values, _ := changes["Attributes"].(map[string]any)
	for name, value := range values {
		if _, ok := s.attributes[name]; !ok {
			s.fail(w, 400, "IDRAC.2.8.SYS426", name)
			return
		}
		s.attributes[name] = value
	}
	s.succeed(w)
}

func (s *Sim) patchBoot(w http.ResponseWriter, path string, changes map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	boot, ok := changes["Boot"].(map[string]any)
	if !ok || len(changes) != 1 {
		s.fail(w, 400, "Base.1.8.PropertyNotWritable")
		return
	}
	enabled, target := s.enabled, s.target
	for name, value := range boot {
		text, _ := value.(string)
		switch name {
		case "BootSourceOverrideEnabled":
			enabled = text
		case "BootSourceOverrideTarget":
			target = text
		case "BootSourceOverrideMode":
		default:
			s.fail(w, 400, "Base.1.8.PropertyUnknown", name)
			return
		}
	}
	switch {
	case s.p.BootInSetting && path == s.systemURI():
		s.fail(w, 400, "Base.1.12.PropertyNotWritable", "Boot")
	case s.p.OverrideOff:
		s.fail(w, 400, "iLO.2.16.UnsupportedOperation")
	case s.p.PostLock && s.inPOST():
		s.fail(w, 400, "iLO.2.16.UnableToModifyDuringSystemPOST")
	case !slices.Contains(s.p.Targets, target):
		s.fail(w, 400, "Base.1.8.PropertyValueNotInList", target)
	case !slices.Contains([]string{"Once", "Disabled", "Continuous"}, enabled) || enabled == "Continuous" && s.p.Oem == "":
		s.fail(w, 400, "Base.1.8.PropertyValueNotInList", enabled)
	default:
		if enabled == "Disabled" {
			target = "None"
		}
		if !s.ignores("boot") {
			s.enabled, s.target = enabled, target
			s.serial++
		}
		s.succeed(w)
	}
}

// patchSlot mounts and unmounts where slots have no actions; iLO takes its own
// way to boot here.
func (s *Sim) patchSlot(w http.ResponseWriter, v *slot, changes map[string]any) {
	if oem, ok := changes["Oem"].(map[string]any); ok && s.p.SuccessBody {
		hpe, _ := oem[s.p.Oem].(map[string]any)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.onNext, _ = hpe["BootOnNextServerReset"].(bool)
		s.succeed(w)
		return
	}
	image, given := changes["Image"]
	url, _ := image.(string)
	s.mu.Lock()
	loaded := v.image != ""
	s.mu.Unlock()
	switch {
	case !s.p.PatchSlots:
		s.fail(w, 405, "Base.1.8.ActionNotSupported", "PATCH")
	case !v.profile.Takes:
		s.fail(w, 400, "Base.1.8.PropertyNotWritable", "Image")
	case !given:
		s.fail(w, 400, "Base.1.8.PropertyMissing", "Image")
	case url == "":
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.ignores("eject") {
			v.image = ""
			s.serial++
		}
		s.succeed(w)
	case loaded:
		s.fail(w, 400, "Base.1.8.Conflict")
	case changes["Inserted"] != true:
		s.fail(w, 400, "Base.1.8.PropertyMissing", "Inserted")
	default:
		s.mount(w, v, url)
	}
}

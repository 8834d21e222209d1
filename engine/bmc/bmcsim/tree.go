package bmcsim

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"
)

type object = map[string]any

const root = "/redfish/v1"

func (s *Sim) systemURI() string  { return root + "/Systems/" + s.p.System }
func (s *Sim) managerURI() string { return root + "/Managers/" + s.p.Manager }

// systems are where the computer systems are, the host's last.
func (s *Sim) systems() []string {
	if s.p.Baseboard == "" {
		return []string{s.systemURI()}
	}
	return []string{root + "/Systems/" + s.p.Baseboard, s.systemURI()}
}

// href is a link in the vendor's spelling.
func (s *Sim) href(path string) object {
	if s.p.Slash {
		path += "/"
	}
	return object{"@odata.id": path}
}

// route finds the resource or action. Paths are the ones linked to, with or
// without a slash at the end.
func (s *Sim) route(w http.ResponseWriter, r *http.Request, body []byte) {
	path := strings.TrimSuffix(r.URL.Path, "/")
	switch {
	case s.p.BasicOnly && strings.HasPrefix(path, root+"/SessionService"):
		s.fail(w, 404, "Base.1.8.ResourceMissingAtURI", path)
	case s.p.Static && r.Method != http.MethodGet && r.Method != http.MethodHead:
		s.succeed(w)
	case path == sessionsPath && r.Method == http.MethodPost:
		s.login(w, r, body)
	case strings.HasPrefix(path, sessionsPath+"/") && r.Method == http.MethodDelete:
		s.logout(w, path[strings.LastIndexByte(path, '/')+1:])
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		s.get(w, r, path)
	case r.Method == http.MethodPost:
		s.post(w, r, path, body)
	case r.Method == http.MethodPatch:
		s.patch(w, r, path, body)
	default:
		s.fail(w, 405, "Base.1.8.ActionNotSupported", r.Method)
	}
}

func (s *Sim) get(w http.ResponseWriter, r *http.Request, path string) {
	if s.p.SuccessBody && r.Header.Get("Accept-Encoding") == "identity" {
		s.fail(w, 406, "Base.1.4.GeneralError") // some do not send plain text on demand
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	document, ok := s.document(path)
	if !ok {
		s.fail(w, 404, "Base.1.8.ResourceMissingAtURI", path)
		return
	}
	if members, ok := document["Members"].([]any); ok && strings.Contains(r.URL.RawQuery, "$expand=.") {
		document["Members"] = s.expanded(members)
	}
	if tag, ok := document["@odata.etag"].(string); ok {
		w.Header().Set("ETag", tag)
	}
	s.write(w, 200, document)
}

func (s *Sim) expanded(members []any) []any {
	out := []any{}
	for _, m := range members {
		if d, ok := s.document(strings.TrimSuffix(m.(object)["@odata.id"].(string), "/")); ok {
			out = append(out, d)
		}
	}
	return out
}

// document builds the resource at a path from the present state.
func (s *Sim) document(path string) (object, bool) {
	sys, mgr := s.systemURI(), s.managerURI()
	var d object
	switch {
	case path == root:
		d = s.rootDocument()
	case path == root+"/Systems":
		d = s.collection(s.systems()...)
	case path == root+"/Managers":
		d = s.collection(mgr)
	case path == root+"/SessionService":
		d = object{"Id": "SessionService", "Sessions": s.href(sessionsPath)}
	case path == sessionsPath:
		d = s.collection(s.sessionURIs()...)
	case strings.HasPrefix(path, sessionsPath+"/"):
		d = s.sessionDocument(path)
	case path == sys:
		d = s.systemDocument()
	case s.p.Baseboard != "" && path == root+"/Systems/"+s.p.Baseboard:
		d = object{"Id": s.p.Baseboard, "SystemType": "Physical", "PowerState": "On", "SerialNumber": "1653125034241"}
	case s.p.BIOS != nil && path == sys+"/Bios":
		d = object{"Id": "Bios", "Attributes": s.p.BIOS}
	case path == sys+"/ResetActionInfo" && s.p.ActionInfo:
		d = object{"Id": "ResetActionInfo", "Parameters": []any{object{"Name": "ResetType", "DataType": "String", "AllowableValues": s.p.Resets}}}
	case path == sys+"/Settings" && s.p.BootInSetting:
		d = object{"Id": "Settings", "Boot": s.bootDocument()}
	case path == sys+"/SecureBoot":
		d = object{"Id": "SecureBoot", "SecureBootEnable": s.c.SecureBoot,
			"SecureBootCurrentBoot": map[bool]string{true: "Enabled", false: "Disabled"}[s.c.SecureBoot]}
	case path == mgr:
		d = s.managerDocument()
	case strings.HasPrefix(path, root+"/TaskService/Tasks/"):
		d = s.taskDocument(strings.TrimPrefix(path, root+"/TaskService/Tasks/"))
	case strings.HasPrefix(path, sys+"/Storage") && !s.p.OldStorage:
		d = s.storageDocument(path, sys+"/Storage")
	case strings.HasPrefix(path, sys+"/EthernetInterfaces") && !s.p.NoNICs:
		d = s.nicDocument(path, sys+"/EthernetInterfaces")
	case strings.HasPrefix(path, root+"/Chassis/"):
		d = s.chassisDocument(strings.TrimPrefix(path, root+"/Chassis/1"))
	case strings.HasPrefix(path, mgr+"/"+s.mediaName()) || strings.HasPrefix(path, sys+"/VirtualMedia"):
		d = s.mediaDocument(path)
	default:
		d = s.oemDocument(path)
	}
	if d == nil {
		return nil, false
	}
	if d["@odata.id"] == nil {
		d["@odata.id"] = s.href(path)["@odata.id"]
	}
	if s.p.ETags != "" && d["Members"] == nil {
		d["@odata.etag"] = s.etag()
	}
	return d, true
}

// etag changes with every write: services that check it count every change.
func (s *Sim) etag() string {
	tag := fmt.Sprintf("%q", fmt.Sprintf("%08x", 0x387fcecc+s.serial))
	if s.p.ETags == "weak" {
		return "W/" + tag
	}
	return tag
}

func (s *Sim) collection(paths ...string) object {
	members := []any{}
	for _, p := range paths {
		members = append(members, s.href(p))
	}
	return object{"Members": members, "Members@odata.count": len(members), "Name": "Collection"}
}

func (s *Sim) rootDocument() object {
	d := object{
		"@odata.type": "#ServiceRoot.v" + cmp.Or(s.p.Schema, "1_5_0") + ".ServiceRoot", "Id": "RootService", "RedfishVersion": "1.15.0",
		"Systems": s.href(root + "/Systems"), "Managers": s.href(root + "/Managers"),
		"SessionService":            s.href(root + "/SessionService"),
		"Links":                     object{"Sessions": s.href(sessionsPath)},
		"ProtocolFeaturesSupported": object{"ExpandQuery": object{"NoLinks": !s.p.NoExpand, "Levels": true, "MaxLevels": 1}},
	}
	if s.p.BasicOnly && !s.p.LinksSessions {
		delete(d, "SessionService")
		delete(d, "Links")
	}
	if s.p.Vendor != "" {
		d["Vendor"] = s.p.Vendor
	}
	if s.p.Product != "" {
		d["Product"] = s.p.Product
	}
	if s.p.Oem != "" {
		d["Oem"] = object{s.p.Oem: object{}}
	}
	return d
}

func (s *Sim) systemDocument() object {
	sys := s.systemURI()
	serial, sku := s.c.Serial, "7Z23CTO1WW"
	if s.p.TagInSKU {
		serial, sku = "CN"+s.c.Serial+"BOARD", s.c.Serial
	}
	d := object{
		"Id": s.p.System, "Manufacturer": s.p.Manufacturer, "Model": s.p.Model, "SerialNumber": serial, "SKU": sku, "UUID": s.c.UUID,
		"PowerState": s.power, "Boot": s.bootDocument(), "Actions": object{"#ComputerSystem.Reset": s.resetAction()},
		"Links":   object{"ManagedBy": []any{s.href(s.managerURI())}, "Chassis": []any{s.href(root + "/Chassis/1")}},
		"Storage": s.href(sys + "/Storage"), "EthernetInterfaces": s.href(sys + "/EthernetInterfaces"), "SecureBoot": s.href(sys + "/SecureBoot"),
	}
	if s.p.NoSerial {
		delete(d, "SerialNumber")
		delete(d, "SKU")
	}
	if s.p.NoManagedBy {
		d["Links"] = object{"Managers": []any{s.href(s.managerURI())}}
	}
	if s.p.NoNICs {
		delete(d, "EthernetInterfaces")
	}
	if s.p.BootInSetting {
		d["@Redfish.Settings"] = object{"SettingsObject": s.href(sys + "/Settings"), "SupportedApplyTimes": []string{"OnReset"}}
	}
	if len(s.p.SystemSlots) > 0 {
		d["VirtualMedia"] = s.href(sys + "/VirtualMedia")
	}
	if s.p.BootProgress {
		d["BootProgress"] = object{"LastState": s.bootProgress()}
	}
	if o := s.systemOem(); len(o) > 0 {
		d["Oem"] = object{s.p.Oem: o}
	}
	if s.p.OldStorage {
		delete(d, "Storage")
	}
	if s.p.BIOS != nil {
		d["Bios"] = s.href(sys + "/Bios")
	}
	return d
}

func (s *Sim) resetAction() object {
	a := object{"target": s.systemURI() + "/Actions/ComputerSystem.Reset"}
	if s.p.ActionInfo {
		a["@Redfish.ActionInfo"] = s.systemURI() + "/ResetActionInfo"
	} else {
		a["ResetType@Redfish.AllowableValues"] = s.p.Resets
	}
	return a
}

func (s *Sim) postState() string {
	switch {
	case s.power == "Off":
		return "PowerOff"
	case s.inPOST():
		return "InPost"
	}
	return "FinishedPost"
}

func (s *Sim) inPOST() bool { return s.power == "On" && s.c.Clock.Now().Before(s.posted) }

func (s *Sim) bootDocument() object {
	d := object{
		"BootSourceOverrideEnabled": s.enabled, "BootSourceOverrideTarget": s.target, "BootSourceOverrideMode": s.mode,
		"BootSourceOverrideTarget@Redfish.AllowableValues": s.p.Targets,
	}
	if s.p.NoMode {
		delete(d, "BootSourceOverrideMode")
	}
	if s.p.StaleMode && s.enabled == "Disabled" {
		d["BootSourceOverrideMode"] = "Legacy"
	}
	return d
}

func (s *Sim) managerDocument() object {
	mgr := s.managerURI()
	d := object{"Id": s.p.Manager, "Model": s.p.Generation, "FirmwareVersion": s.p.Firmware, "ManagerType": "BMC"}
	if len(s.p.ManagerSlots) > 0 || s.p.Flow != "" {
		d["VirtualMedia"] = s.href(mgr + "/" + s.mediaName())
	}
	s.managerOem(d)
	return d
}

// mediaName is the last part of the path of the manager's slots.
func (s *Sim) mediaName() string {
	if s.p.Flow == imageFile {
		return "VM1"
	}
	return "VirtualMedia"
}

// shown lists the slots that the BMC shows in a place at present.
func (s *Sim) shown(place string) []slotProfile {
	if place == "Systems" {
		return s.p.SystemSlots
	}
	if s.p.RemoteMedia && (!s.mediaOn || s.c.Clock.Now().Sub(s.mediaAt) < mediaStarts) {
		return []slotProfile{}
	}
	if s.p.NoCDs && (!s.cdsOn || s.c.Clock.Now().Sub(s.cdsAt) < cdsStart) {
		return []slotProfile{}
	}
	if id := hiddenSlots[s.p.Flow]; id != "" {
		if v := s.slots["Managers/"+id]; v.image != "" {
			return []slotProfile{v.profile}
		}
		return []slotProfile{}
	}
	return s.p.ManagerSlots
}

// slotAt finds the drive that a path names, and the profiles shown in its place.
func (s *Sim) slotAt(path string) (v *slot, profiles []slotProfile, isCollection bool) {
	for place, base := range map[string]string{"Systems": s.systemURI() + "/VirtualMedia", "Managers": s.managerURI() + "/" + s.mediaName()} {
		rest, ok := strings.CutPrefix(path, base)
		if !ok {
			continue
		}
		profiles = s.shown(place)
		if profiles == nil {
			return nil, nil, false
		}
		id := strings.TrimPrefix(rest, "/")
		if id == "" {
			return nil, profiles, true
		}
		for _, p := range profiles {
			if p.ID == id {
				return s.slots[place+"/"+id], profiles, false
			}
		}
	}
	return nil, nil, false
}

func (s *Sim) mediaDocument(path string) object {
	v, profiles, isCollection := s.slotAt(path)
	if isCollection {
		return s.mediaCollection(path, profiles)
	}
	if v == nil {
		return s.oemDocument(path)
	}
	d := object{"Id": v.profile.ID, "Name": "VirtualMedia", "MediaTypes": v.profile.Types, "ConnectedVia": "NotConnected", "Inserted": false,
		"Image": nil, "WriteProtected": true}
	if s.p.SuccessBody {
		d["Image"] = ""
	}
	if s.p.Untyped {
		delete(d, "MediaTypes")
		d["Image"] = "None"
	}
	if s.p.Remembers && v.last != "" {
		d["Image"] = v.last
	}
	if s.p.Verifies {
		d["VerifyCertificate"] = !s.unchecked
	}
	lagging := !v.ejected.IsZero() && s.c.Clock.Now().Sub(v.ejected) < s.p.Lag
	if v.image != "" || lagging {
		d["Inserted"], d["ConnectedVia"], d["Image"] = true, "URI", v.image
		if s.p.Forgets {
			d["Image"] = nil
		}
	}
	s.slotActions(d, path, v)
	return d
}

func (s *Sim) mediaCollection(path string, profiles []slotProfile) object {
	var paths []string
	for _, p := range profiles {
		paths = append(paths, path+"/"+p.ID)
	}
	d := s.collection(paths...)
	if s.p.Flow == imageFile {
		d["Oem"] = object{"Supermicro": object{"VirtualMediaConfig": s.href(path + "/CfgCD")}}
	}
	return d
}

// slotActions are the actions of a slot, where this firmware shows them.
func (s *Sim) slotActions(d object, path string, v *slot) {
	insert, eject := object{"target": path + "/Actions/VirtualMedia.InsertMedia"}, object{"target": path + "/Actions/VirtualMedia.EjectMedia"}
	oem := object{}
	switch {
	case s.p.Flow == vmmControl:
		oem["Actions"] = object{"#VirtualMedia.VmmControl": object{"target": path + "/Oem/" + s.p.Oem + "/Actions/VirtualMedia.VmmControl"}}
	case s.p.OemSlots:
		base := path + "/Actions/Oem/" + s.p.Oem + "/HpiLOVirtualMedia."
		oem["Actions"] = object{"#HpiLOVirtualMedia.InsertVirtualMedia": object{"target": base + "InsertVirtualMedia"},
			"#HpiLOVirtualMedia.EjectVirtualMedia": object{"target": base + "EjectVirtualMedia"}}
	case v.profile.Eject:
		d["Actions"] = object{"#VirtualMedia.EjectMedia": eject}
	case s.p.PatchSlots || v.profile.Proxy:
	case s.p.EjectHidden && v.image == "":
		d["Actions"] = object{"#VirtualMedia.InsertMedia": insert}
	default:
		d["Actions"] = object{"#VirtualMedia.InsertMedia": insert, "#VirtualMedia.EjectMedia": eject}
	}
	if s.p.OnNext && v.profile.Takes {
		oem["BootOnNextServerReset"] = s.onNext
	}
	if len(oem) > 0 {
		d["Oem"] = object{s.p.Oem: oem}
	}
}

func (s *Sim) storageDocument(path, base string) object {
	var boot, plain []int
	for i, d := range s.c.Disks {
		if d.Boot {
			boot = append(boot, i)
		} else {
			plain = append(plain, i)
		}
	}
	rest := strings.TrimPrefix(path, base)
	switch {
	case rest == "":
		units := []string{base + "/BOOT", base + "/NVMe"}
		if s.p.FlashSlots {
			units = append(units, base+"/FlexFlash-0")
		}
		return s.collection(units...)
	case rest == "/BOOT":
		d := object{"Id": "BOOT", "Name": s.p.Storage, "Drives": []any{}, "Volumes": s.href(base + "/BOOT/Volumes")}
		if s.p.Members {
			d["Drives"] = s.members(base, raidDrives)
		}
		return d
	case rest == "/NVMe":
		return object{"Id": "NVMe", "Name": "Direct attached", "Drives": s.driveLinks(base, plain), "Volumes": s.href(base + "/NVMe/Volumes")}
	case rest == "/FlexFlash-0" && s.p.FlashSlots:
		return object{"Id": "FlexFlash-0", "Name": "FlexFlash", "Drives": []any{s.href(base + "/FlexFlash-0/Drives/1")}}
	case rest == "/FlexFlash-0/Drives/1" && s.p.FlashSlots:
		return object{"Id": "1", "Name": "SLOT-1", "Model": "NA", "SerialNumber": "NA", "CapacityBytes": 0, "Status": object{"State": "Disabled"}}
	case rest == "/NVMe/Volumes":
		return s.collection()
	case rest == "/BOOT/Volumes":
		var paths []string
		for _, i := range boot {
			paths = append(paths, fmt.Sprintf("%s/BOOT/Volumes/%d", base, i))
		}
		return s.collection(paths...)
	}
	var i int
	if n, _ := fmt.Sscanf(rest, "/BOOT/Volumes/%d", &i); n == 1 && i < len(s.c.Disks) {
		d := s.c.Disks[i]
		v := object{"Id": fmt.Sprint(i), "Name": "Volume", "RAIDType": "RAID1", "CapacityBytes": d.Bytes, "Identifiers": identifiers(d)}
		if s.p.Members {
			delete(v, "Identifiers")
			delete(v, "RAIDType")
			v["Name"], v["VolumeType"], v["Links"] = fmt.Sprintf("Virtual Disk %d", i), "Mirrored", object{"Drives": s.members(base, 2)}
		}
		return v
	}
	if n, _ := fmt.Sscanf(rest, "/BOOT/Drives/%d", &i); n == 1 && s.p.Members {
		return s.member(base, i)
	}
	if n, _ := fmt.Sscanf(rest, "/NVMe/Drives/%d", &i); n == 1 && i < len(s.c.Disks) {
		d := s.c.Disks[i]
		return object{"Id": fmt.Sprint(i), "Name": fmt.Sprintf("Drive in bay %d", i), "Model": d.Model, "SerialNumber": d.Serial,
			"CapacityBytes": d.Bytes, "MediaType": "SSD", "Protocol": "NVMe", "Identifiers": identifiers(d), "Status": object{"State": "Enabled"}}
	}
	return nil
}

// raidDrives are the drives of the RAID controller: two in its volumes, a hot spare, an
// unused one, one of another controller, and one that is passed through.
const raidDrives = 6

func (s *Sim) members(base string, n int) (links []any) {
	for i := range n {
		links = append(links, s.href(fmt.Sprintf("%s/BOOT/Drives/%d", base, i)))
	}
	return links
}

func (s *Sim) member(base string, i int) object {
	d := object{"Id": fmt.Sprint(i), "Name": fmt.Sprintf("Physical Disk 0:1:%d", i), "Model": "MZ7KH480HAHQ0D3", "SerialNumber": fmt.Sprintf("RAID%d", i),
		"CapacityBytes": 480e9, "MediaType": "SSD", "Protocol": "SATA", "HotspareType": "None", "Status": object{"State": "Enabled"}}
	words := []string{"Online", "Online", "Spare", "Ready", "Foreign", "NonRAID"}
	if i >= len(words) {
		return nil
	}
	if i == 2 {
		d["HotspareType"] = "Global"
	}
	d["Oem"] = object{s.p.Oem: object{"DellPhysicalDisk": object{"RaidStatus": words[i]}}}
	return d
}

func identifiers(d Disk) []any {
	if d.WWN == "" {
		return []any{object{"DurableName": nil, "DurableNameFormat": nil}}
	}
	return []any{object{"DurableName": strings.ToUpper(d.WWN), "DurableNameFormat": "NAA"}}
}

func (s *Sim) driveLinks(base string, drives []int) []any {
	links := []any{}
	for _, i := range drives {
		links = append(links, s.href(fmt.Sprintf("%s/NVMe/Drives/%d", base, i)))
	}
	return links
}

func (s *Sim) nicDocument(path, base string) object {
	if path == base {
		var paths []string
		if s.p.ExtraNIC {
			paths = append(paths, base+"/ToManager")
		}
		for i := range s.c.MACs {
			paths = append(paths, fmt.Sprintf("%s/NIC%d", base, i+1))
		}
		return s.collection(paths...)
	}
	if path == base+"/ToManager" {
		return object{"Id": "ToManager", "MACAddress": "7e:d3:0a:e1:27:11",
			"Links": object{"HostInterface": object{"@odata.id": s.managerURI() + "/HostInterfaces/1"}}}
	}
	var i int
	if n, _ := fmt.Sscanf(path, base+"/NIC%d", &i); n == 1 && i >= 1 && i <= len(s.c.MACs) {
		return object{"Id": fmt.Sprintf("NIC%d", i), "MACAddress": strings.ToLower(s.c.MACs[i-1]), "LinkStatus": "LinkUp"}
	}
	return nil
}

// after runs f when a span of simulated time has passed, unless the power state
// has changed since.
func (s *Sim) after(d time.Duration, f func()) {
	generation := s.generation
	time.AfterFunc(s.c.Clock.Real(d), func() {
		s.mu.Lock()
		void := s.generation != generation
		s.mu.Unlock()
		if !void {
			f()
		}
	})
}

package bmcsim

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"
)

// mediaStarts is how long the media service takes after it was enabled.
const mediaStarts = 5 * time.Second

// cdsStart is how long the manager takes to offer virtual CDs after their number was set.
const cdsStart = 170 * time.Second

// hiddenSlots are the slots that show only while a vendor's own flow has mounted
// something.
var hiddenSlots = map[flow]string{remoteMap: "Remote1", imageFile: "CD1"}

// systemOem is what the vendor adds to the computer system.
func (s *Sim) systemOem() object {
	o := object{}
	if s.p.PostLock {
		o["PostState"] = s.postState()
	}
	if s.p.OldStorage {
		o["links"] = object{"SmartStorage": object{"href": s.systemURI() + "/SmartStorage"}}
	}
	if s.p.BootConfig {
		o["BootConfig"] = s.href(s.oemBase() + "/BootConfig")
	}
	return o
}

// managerOem adds what the vendor adds to the manager.
func (s *Sim) managerOem(d object) {
	mgr, oem, actions := s.managerURI(), object{}, object{}
	if s.p.Attributes != nil && !s.p.FixedAttributes {
		d["Links"] = object{"Oem": object{"Dell": object{
			"DellAttributes": []any{
				object{"@odata.id": mgr + "/Oem/Dell/DellAttributes/System.Embedded.1"}, object{"@odata.id": mgr + "/Oem/Dell/DellAttributes/iDRAC.Embedded.1"},
			},
			"DellLicenseCollection": s.href(mgr + "/Oem/Dell/DellLicenses"), "DellLCService": s.href(mgr + "/Oem/Dell/DellLCService"),
		}}}
	}
	if s.p.Import != "" {
		actions[s.p.Import] = object{"target": s.importTarget()}
	}
	if s.p.RemoteMedia {
		actions["#AMIVirtualMedia.EnableRMedia"] = object{"target": mgr + "/Actions/Oem/AMIVirtualMedia.EnableRMedia"}
		oem["VirtualMedia"] = object{"RMediaStatus": map[bool]string{true: "Enabled", false: "Disabled"}[s.mediaOn]}
	}
	if s.p.MediaUnsaid {
		actions["#VirtualMedia.EnableRMedia"] = object{"target": mgr + "/Actions/Oem/Ami/VirtualMedia.EnableRMedia"}
	}
	if s.p.NoCDs {
		actions["#AMIVirtualMedia.ConfigureCDInstance"] = object{"target": mgr + "/Actions/Oem/AMIVirtualMedia.ConfigureCDInstance"}
		oem["VirtualMedia"].(object)["CDInstances"] = map[bool]int{true: 4}[s.cdsOn]
	}
	if s.p.Flow == remoteMap {
		oem["RemoteMap"] = s.href(mgr + "/Oem/Lenovo/RemoteMap")
	}
	if s.p.SuccessBody && s.p.License != "" {
		oem["License"] = object{"LicenseType": "Perpetual"}
		oem["Links"] = object{"LicenseService": s.href(mgr + "/LicenseService")}
	}
	if len(actions) > 0 {
		d["Actions"] = object{"Oem": actions}
	}
	if len(oem) > 0 {
		d["Oem"] = object{s.p.Oem: oem}
	}
}

// importTarget differs between generations, though the action's name does not.
func (s *Sim) importTarget() string {
	name := "EID_674_Manager"
	if s.p.ImportList {
		name = "OemManager"
	}
	return s.managerURI() + "/Actions/Oem/" + name + ".ImportSystemConfiguration"
}

func (s *Sim) oemBase() string { return s.systemURI() + "/Oem/" + s.p.Oem }

// attributesAt is where the manager's attributes are.
func (s *Sim) attributesAt() string {
	if s.p.FixedAttributes {
		return s.managerURI() + "/Attributes"
	}
	return s.managerURI() + "/Oem/Dell/DellAttributes/iDRAC.Embedded.1"
}

// oemDocument builds the vendor's own resources.
func (s *Sim) oemDocument(path string) object {
	mgr := s.managerURI()
	switch {
	case s.p.Attributes != nil && path == s.attributesAt():
		return object{"Id": "iDRAC.Embedded.1", "Attributes": maps.Clone(s.attributes)}
	case s.p.TagInSKU && s.p.License != "" && path == mgr+"/Oem/Dell/DellLicenses":
		return s.collection(path + "/1")
	case s.p.TagInSKU && s.p.License != "" && path == mgr+"/Oem/Dell/DellLicenses/1":
		return object{"Id": "1", "LicenseDescription": []string{s.p.License}, "LicensePrimaryStatus": "OK"}
	case s.p.SuccessBody && path == mgr+"/LicenseService":
		return s.collection(path + "/1")
	case s.p.SuccessBody && path == mgr+"/LicenseService/1":
		return object{"Id": "1", "License": s.p.License, "LicenseClass": "FQL"}
	case s.p.Flow == remoteMap && path == mgr+"/Oem/Lenovo/RemoteMap":
		return object{"Id": "RemoteMap", "MountImages": s.href(path + "/MountImages"), "Actions": object{
			"#LenovoRemoteMapService.Mount":  object{"target": path + "/Actions/LenovoRemoteMapService.Mount"},
			"#LenovoRemoteMapService.UMount": object{"target": path + "/Actions/LenovoRemoteMapService.UMount"},
		}}
	case s.p.Flow == remoteMap && path == mgr+"/Oem/Lenovo/RemoteMap/MountImages":
		var paths []string
		for i := range s.images {
			paths = append(paths, fmt.Sprintf("%s/%d", path, i+1))
		}
		return s.collection(paths...)
	case s.p.Flow == remoteMap && strings.HasPrefix(path, mgr+"/Oem/Lenovo/RemoteMap/MountImages/"):
		var i int
		if n, _ := fmt.Sscanf(path[strings.LastIndexByte(path, '/')+1:], "%d", &i); n == 1 && i >= 1 && i <= len(s.images) {
			return object{"Id": fmt.Sprint(i), "FilePath": s.images[i-1]}
		}
	case s.p.Flow == imageFile && path == mgr+"/VM1/CfgCD":
		return object{"Id": "1", "Name": "VM1", "Host": s.host, "Path": s.path, "Username": "", "Password": "********", "Actions": object{
			"#IsoConfig.Mount": object{"target": path + "/Actions/IsoConfig.Mount"}, "#IsoConfig.UnMount": object{"target": path + "/Actions/IsoConfig.UnMount"},
		}}
	case s.p.BootConfig && path == s.oemBase()+"/BootConfig":
		return object{"Id": "BootConfig", "BootDevice": s.device, "NextBootOnlyEnabled": s.device != "None"}
	case s.p.RemoteMounts && path == s.oemBase()+"/VirtualMedia":
		return object{"Id": "VirtualMedia", "RemoteMountEnabled": s.mountsOn, "CDImage": object{"MaximumNumberOfDevices": map[bool]int{true: 1}[s.mountsOn]}}
	case s.p.OldStorage && strings.HasPrefix(path, s.systemURI()+"/SmartStorage"):
		return s.smartDocument(path, s.systemURI()+"/SmartStorage/ArrayControllers")
	}
	return nil
}

// smartDocument is storage as it was before the standard had it.
func (s *Sim) smartDocument(path, base string) object {
	rest := strings.TrimPrefix(path, base)
	switch rest {
	case "":
		return s.collection(base + "/0")
	case "/0":
		return object{"Id": "0", "Model": s.p.Storage, "links": object{"LogicalDrives": object{"href": base + "/0/LogicalDrives"},
			"PhysicalDrives": object{"href": base + "/0/DiskDrives"}}}
	case "/0/LogicalDrives", "/0/DiskDrives":
		var paths []string
		for i, d := range s.c.Disks {
			if d.Boot == (rest == "/0/LogicalDrives") {
				paths = append(paths, fmt.Sprintf("%s/%d", path, i))
			}
		}
		return s.collection(paths...)
	}
	var i int
	if n, _ := fmt.Sscanf(rest, "/0/LogicalDrives/%d", &i); n == 1 && i < len(s.c.Disks) {
		d := s.c.Disks[i]
		return object{"LogicalDriveName": fmt.Sprintf("Logical %d", i), "VolumeUniqueIdentifier": strings.ToUpper(d.WWN), "CapacityMiB": d.Bytes >> 20, "Raid": "1"}
	}
	if n, _ := fmt.Sscanf(rest, "/0/DiskDrives/%d", &i); n == 1 && i < len(s.c.Disks) {
		d := s.c.Disks[i]
		return object{"Model": d.Model, "SerialNumber": d.Serial, "Location": fmt.Sprintf("1I:1:%d", i), "CapacityMiB": d.Bytes >> 20,
			"MediaType": "SSD", "InterfaceType": "SATA"}
	}
	return nil
}

// oemPost answers the vendor's own actions; false: the path is not one of them.
func (s *Sim) oemPost(w http.ResponseWriter, path string, arguments map[string]any) bool {
	mgr := s.managerURI()
	switch {
	case s.p.Import != "" && path == s.importTarget():
		s.importConfiguration(w, arguments)
	case s.p.TagInSKU && strings.HasSuffix(path, "/DellLCService.GetRemoteServicesAPIStatus"):
		status := map[bool]string{true: "NotReady", false: "Ready"}[s.p.Starting]
		s.write(w, 200, object{"LCStatus": status, "RTStatus": status, "ServerStatus": "OutOfPOST", "Status": status})
	case s.p.Screen && strings.HasSuffix(path, "/DellLCService.ExportServerScreenShot"):
		s.exportScreen(w, arguments)
	case s.p.RemoteMedia && strings.HasSuffix(path, "/AMIVirtualMedia.EnableRMedia"):
		s.mu.Lock()
		s.mediaOn, s.mediaAt = arguments["RMediaState"] == "Enable", s.c.Clock.Now()
		s.mu.Unlock()
		s.write(w, 200, extended("Base.1.12.Success"))
	case s.p.NoCDs && strings.HasSuffix(path, "/AMIVirtualMedia.ConfigureCDInstance"):
		s.mu.Lock()
		s.cdsOn, s.cdsAt = true, s.c.Clock.Now()
		s.mu.Unlock()
		s.write(w, 200, extended("Base.1.12.Success"))
	case s.p.Flow == vmmControl && strings.HasSuffix(path, "/VirtualMedia.VmmControl"):
		s.vmmControl(w, strings.TrimSuffix(path, "/Oem/"+s.p.Oem+"/Actions/VirtualMedia.VmmControl"), arguments)
	case s.p.Flow == remoteMap && path == mgr+"/Oem/Lenovo/RemoteMap/MountImages":
		s.addImage(w, arguments)
	case s.p.Flow == remoteMap && strings.HasSuffix(path, "/LenovoRemoteMapService.Mount"):
		s.mountHidden(w, func() string { return strings.Join(s.images, "") })
	case s.p.Flow == imageFile && strings.HasSuffix(path, "/IsoConfig.Mount"):
		s.mountHidden(w, func() string { return s.host + s.path })
	case s.p.Flow == remoteMap && strings.HasSuffix(path, "/LenovoRemoteMapService.UMount"),
		s.p.Flow == imageFile && strings.HasSuffix(path, "/IsoConfig.UnMount"):
		s.mu.Lock()
		s.images = nil
		s.mu.Unlock()
		s.eject(w, mgr+"/"+s.mediaName()+"/"+hiddenSlots[s.p.Flow])
	default:
		return false
	}
	return true
}

// importConfiguration is a job that sets two attributes.
func (s *Sim) importConfiguration(w http.ResponseWriter, arguments map[string]any) {
	share, _ := arguments["ShareParameters"].(map[string]any)
	_, list := share["Target"].([]any)
	if s.p.ImportList != list && s.p.ImportList {
		s.fail(w, 400, "IDRAC.2.8.SYS424", "Target")
		return
	}
	text, _ := arguments["ImportBuffer"].(string)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin(w, func() string {
		for name := range s.attributes {
			key := fmt.Sprintf(`<Attribute Name="%s">`, strings.Replace(name, ".1.", ".1#", 1))
			if _, rest, ok := strings.Cut(text, key); ok && !s.ignores("boot") {
				value, _, _ := strings.Cut(rest, "<")
				s.setAttribute(name, value)
			}
		}
		return ""
	})
}

func (s *Sim) vmmControl(w http.ResponseWriter, uri string, arguments map[string]any) {
	url, _ := arguments["Image"].(string)
	if arguments["VmmControlType"] == "Disconnect" {
		s.eject(w, uri)
		return
	}
	s.insert(w, uri, map[string]any{"Image": url})
}

func (s *Sim) addImage(w http.ResponseWriter, arguments map[string]any) {
	url, _ := arguments["FilePath"].(string)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.takes(url) {
		s.fail(w, 400, s.p.in().wrongScheme, url)
		return
	}
	s.images = append(s.images, url)
	s.succeed(w)
}

// mountHidden mounts what was configured.
func (s *Sim) mountHidden(w http.ResponseWriter, configured func() string) {
	s.mu.Lock()
	url := configured()
	s.mu.Unlock()
	if url == "" {
		s.fail(w, 400, "Base.1.8.PropertyMissing", "Image")
		return
	}
	s.mount(w, s.slots["Managers/"+hiddenSlots[s.p.Flow]], url)
}

// oemPatch answers changes of the vendor's own documents; false: the path is not one of them.
func (s *Sim) oemPatch(w http.ResponseWriter, path string, changes map[string]any) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.p.Attributes != nil && path == s.attributesAt():
		s.patchAttributes(w, changes)
	case s.p.Flow == imageFile && path == s.managerURI()+"/VM1/CfgCD":
		s.host, _ = changes["Host"].(string)
		s.path, _ = changes["Path"].(string)
		s.succeed(w)
	case s.p.BootConfig && path == s.oemBase()+"/BootConfig":
		if device, ok := changes["BootDevice"].(string); ok && !s.ignores("boot") {
			s.device = device
			s.serial++
		}
		s.succeed(w)
	case s.p.RemoteMounts && path == s.oemBase()+"/VirtualMedia":
		s.mountsOn = true
		s.serial++
		s.succeed(w)
	default:
		return false
	}
	return true
}

// task is work that a BMC does after it has answered.
type task struct {
	asked   int
	problem string // MessageId of what went wrong
	done    bool
}

const taskTakes = 3 * time.Second

// begin answers with a task that does the work when its time is over.
func (s *Sim) begin(w http.ResponseWriter, work func() string) {
	s.serial++
	id := fmt.Sprintf("JID_%d", s.serial)
	t := &task{}
	s.tasks[id] = t
	time.AfterFunc(s.c.Clock.Real(taskTakes), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		t.problem, t.done = work(), true
	})
	location := root + "/TaskService/Tasks/" + id
	if s.p.TagInSKU {
		w.Header().Set("Location", location)
		w.WriteHeader(202)
		return
	}
	s.write(w, 202, object{"@odata.id": location, "@odata.type": "#Task.v1_4_3.Task", "Id": id, "TaskState": "New"})
}

// taskDocument shows a task; with some firmware, a job that was just made is not
// there at the first read.
func (s *Sim) taskDocument(id string) object {
	t := s.tasks[id]
	if t == nil {
		return nil
	}
	if t.asked++; t.asked == 1 && s.p.TagInSKU {
		return nil
	}
	if !t.done {
		return object{"Id": id, "TaskState": "Running", "TaskStatus": "OK"}
	}
	if t.problem != "" {
		return object{"Id": id, "TaskState": "Exception", "TaskStatus": "Critical", "Messages": []any{object{"MessageId": t.problem, "Severity": "Critical"}}}
	}
	return object{"Id": id, "TaskState": "Completed", "TaskStatus": "OK", "Messages": []any{object{"MessageId": "Base.1.12.Success", "Severity": "OK"}}}
}

// chassisDocument lists the network ports as adapters do.
func (s *Sim) chassisDocument(rest string) object {
	base := root + "/Chassis/1"
	adapters := base + "/NetworkAdapters"
	switch rest {
	case "":
		return object{"Id": "1", "NetworkAdapters": s.href(adapters)}
	case "/NetworkAdapters":
		if s.c.SAN {
			return s.collection(adapters+"/Slot1", adapters+"/Slot2")
		}
		return s.collection(adapters + "/Slot1")
	case "/NetworkAdapters/Slot2":
		return object{"Id": "Slot2", "Model": "LPe35002", "Ports": s.href(adapters + "/Slot2/Ports")}
	case "/NetworkAdapters/Slot2/Ports":
		return s.collection(adapters + "/Slot2/Ports/1")
	case "/NetworkAdapters/Slot2/Ports/1":
		return object{"Id": "1", "PortId": "1", "LinkStatus": "LinkUp", "LinkNetworkTechnology": "FibreChannel"}
	case "/NetworkAdapters/Slot1":
		d := object{"Id": "Slot1", "Model": "X710-T2L", "Ports": s.href(adapters + "/Slot1/Ports"),
			"Controllers": []any{object{"Location": object{"PartLocation": object{"ServiceLabel": "PCIe 1"}}}}}
		if s.p.VIC {
			d["NetworkDeviceFunctions"] = s.href(adapters + "/Slot1/NetworkDeviceFunctions")
		}
		return d
	case "/NetworkAdapters/Slot1/NetworkDeviceFunctions":
		paths := []string{adapters + "/Slot1/NetworkDeviceFunctions/fc0"}
		for i := range s.c.MACs {
			paths = append(paths, fmt.Sprintf("%s/Slot1/NetworkDeviceFunctions/eth%d", adapters, i))
		}
		return s.collection(paths...)
	case "/NetworkAdapters/Slot1/NetworkDeviceFunctions/fc0":
		return object{"Id": "fc0", "Ethernet": object{"MACAddress": "00:25:B5:00:00:FC"}, "FibreChannel": object{"WWPN": "20:00:00:25:B5:00:00:FC"}}
	case "/NetworkAdapters/Slot1/Ports":
		var paths []string
		for i := range s.c.MACs {
			paths = append(paths, fmt.Sprintf("%s/Slot1/Ports/%d", adapters, i+1))
		}
		return s.collection(paths...)
	}
	var i int
	if n, _ := fmt.Sscanf(rest, "/NetworkAdapters/Slot1/NetworkDeviceFunctions/eth%d", &i); n == 1 && i < len(s.c.MACs) {
		return object{"Id": fmt.Sprintf("eth%d", i), "NetDevFuncType": "Ethernet", "Ethernet": object{"MACAddress": s.c.MACs[i]},
			"Links": object{"PhysicalPortAssignment": s.href(fmt.Sprintf("%s/Slot1/Ports/%d", adapters, i+1))}}
	}
	if n, _ := fmt.Sscanf(rest, "/NetworkAdapters/Slot1/Ports/%d", &i); n == 1 && i >= 1 && i <= len(s.c.MACs) {
		if s.p.VIC {
			return object{"Id": fmt.Sprint(i), "PhysicalPortNumber": fmt.Sprint(i), "LinkStatus": "Up", "AssociatedNetworkAddresses": []string{fmt.Sprintf("00:2A:10:00:00:%02X", i)}}
		}
		return object{"Id": fmt.Sprint(i), "PortId": fmt.Sprint(i), "LinkStatus": "LinkUp", "CurrentSpeedGbps": 10, "LinkNetworkTechnology": "Ethernet",
			"Ethernet": object{"AssociatedMACAddresses": []string{strings.ToUpper(s.c.MACs[i-1])}}}
	}
	return nil
}

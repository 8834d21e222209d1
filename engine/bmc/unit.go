package bmc

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"
)

// unit is a storage unit, and what is known about its volumes.
type unit struct {
	*storageDocument
	family  string          // what ESXi calls its volumes, if their own names do not show it
	boot    bool            // it is a boot controller
	volumes []Disk          // RAID volumes
	names   map[Link]string // of all volumes, by bare link; "": a single drive under another name
	members map[Link]string // names of the volumes that list a drive, by bare link of the drive
}

func (r *Redfish) unit(d storageDocument) *unit {
	d.Name = strings.TrimSpace(d.Name)
	u := &unit{storageDocument: &d, names: map[Link]string{}, members: map[Link]string{}}
	words := d.ID + " " + d.Name
	for _, c := range d.StorageControllers {
		words += " " + c.Name + " " + c.Model
	}
	u.family, u.boot = r.bootDevice(words)
	switch {
	case u.boot:
		u.family = cmp.Or(u.family, d.Name)
	case r.rules.VolumeModel != nil:
		u.family = r.rules.VolumeModel(words)
	}
	return u
}

func (r *Redfish) bootDevice(controller string) (string, bool) {
	for _, b := range r.rules.BootDevices {
		if strings.Contains(strings.ToLower(controller), strings.ToLower(b.Controller)) {
			return b.Model, true // an empty model: ESXi shows the controller's own name
		}
	}
	return "", false
}

// readVolumes reads the volumes of a unit. One of the type RawDevice is a single drive.
func (r *Redfish) readVolumes(ctx context.Context, u *unit) error {
	return r.Members(ctx, u.Volumes, func(raw json.RawMessage) error {
		var v volumeDocument
		if lenient(raw, &v) != nil {
			return nil
		}
		if u.names[v.URI.bare()] = ""; v.VolumeType == "RawDevice" {
			return nil
		}
		disk := r.volume(v, u)
		u.volumes = append(u.volumes, disk)
		u.names[v.URI.bare()] = disk.Name
		for _, l := range v.Links.Drives {
			u.members[l.bare()] = disk.Name
		}
		return nil
	})
}

// raidTypes are the RAID types that the older property of a volume means.
var raidTypes = map[string]string{"NonRedundant": "RAID0", "Mirrored": "RAID1", "StripedWithParity": "RAID5",
	"SpannedMirrors": "RAID10", "SpannedStripesWithParity": "RAID50"}

func (r *Redfish) volume(v volumeDocument, u *unit) Disk {
	out := Disk{Model: u.family, Bytes: int64(v.CapacityBytes), Name: firstOf(v.DisplayName, v.Name, v.ID, v.URI.Last()), Controller: u.Name, Volume: true,
		RAID: cmp.Or(v.RAIDType, raidTypes[v.VolumeType]), Boot: u.boot, Health: v.Status.Health}
	for _, id := range v.Identifiers {
		out.WWN = r.appendWWN(out.WWN, id)
	}
	return out
}

// drivesOf lists the drives of a unit, each one once, without empty bays.
func (r *Redfish) drivesOf(ctx context.Context, u *unit) (out []Disk, err error) {
	seen := map[Link]bool{"": true}
	unclear := len(u.volumes) > 0 && len(u.members) == 0
	var lacking error // see [every]
	for _, l := range u.Drives {
		if seen[l] {
			continue
		}
		seen[l] = true
		var d driveDocument
		if err := r.Get(ctx, l, &d); err == errWanted {
			lacking = err
			continue
		} else if absent(err) {
			continue
		} else if err != nil {
			return nil, err
		}
		if d.Status.State == "Absent" || meaningful(d.Model) == "" && meaningful(d.SerialNumber) == "" {
			continue
		}
		disk := r.disk(d, u)
		if disk.State = u.stateOf(l, d, r.driveWord(d)); disk.State == "" && unclear && len(d.Links.Volumes) == 0 {
			disk.State = "member of a volume, or unused: the BMC does not say"
		}
		disk.Boot = u.boot && !disk.Hidden()
		out = append(out, disk)
	}
	return out, lacking
}

func (r *Redfish) disk(d driveDocument, u *unit) Disk {
	out := Disk{Model: meaningful(d.Model), Serial: meaningful(d.SerialNumber), Bytes: int64(d.CapacityBytes), Name: firstOf(d.Name, d.ID), Controller: u.Name,
		Media: d.MediaType, Protocol: d.Protocol, Health: d.Status.Health}
	for _, id := range d.Identifiers {
		out.WWN = r.appendWWN(out.WWN, id)
	}
	return out
}

// driveWord is what the vendor says of a drive's use, letters only.
func (r *Redfish) driveWord(d driveDocument) string {
	if r.rules.DriveState == nil {
		return ""
	}
	return strings.NewReplacer(" ", "", "-", "", "_", "").Replace(strings.ToLower(r.rules.DriveState(d.Oem)))
}

// driveStates are words of RAID controllers for drives that they do not pass through.
var driveStates = map[string]string{
	"unconfiguredgood": unconfigured, "ready": unconfigured, "unconfigured": unconfigured, "unconfiguredbad": "failed", "failed": "failed", "blocked": "blocked",
	"hotspare": hotSpare, "globalhotspare": hotSpare, "dedicatedhotspare": hotSpare, "spare": hotSpare, "foreign": "foreign", "foreignconfiguration": "foreign",
	"online": "member of a volume", "rebuilding": "member of a volume", "rebuild": "member of a volume", "degraded": "member of a volume",
}

const (
	unconfigured = "unconfigured, in no volume"
	hotSpare     = "hot spare"
)

// stateOf is what hides a drive from an operating system; empty: nothing. The volumes
// decide first, then the drive, then the vendor.
func (u *unit) stateOf(uri Link, d driveDocument, word string) string {
	if name := u.members[uri.bare()]; name != "" {
		return "member of volume " + name
	}
	for _, l := range d.Links.Volumes {
		if name := u.volumeAt(l, uri); name != "" {
			return "member of volume " + name
		}
	}
	switch {
	case d.Status.State == "StandbySpare" || d.HotspareType != "" && d.HotspareType != "None":
		return hotSpare
	case driveStates[word] != "" && !u.boot:
		return driveStates[word]
	case d.Status.State == "StandbyOffline" && !u.boot: // without a volume, a boot controller passes its drives through
		return unconfigured
	}
	return ""
}

// volumeAt is the name of a volume that a drive links to; empty where that is the drive
// itself. A volume that the unit does not list is believed.
func (u *unit) volumeAt(volume, drive Link) string {
	name, listed := u.names[volume.bare()]
	if !listed && volume != "" && volume.bare().Last() != drive.bare().Last() {
		name = volume.Last()
		u.names[volume.bare()] = name
		u.volumes = append(u.volumes, Disk{Model: u.family, Name: name, Controller: u.Name, Volume: true, Boot: u.boot})
	}
	return name
}

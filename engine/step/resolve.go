package step

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/schema"
)

// ResolveDisk finds the one device that the plan's disk names among those that
// the BMC reports.
func ResolveDisk(want *schema.Disk, disks []bmc.Disk) (bmc.Disk, error) {
	if disks == nil {
		return bmc.Disk{}, &Refusal{"disk", "the BMC reports no storage, so it cannot confirm the disk " + want.String(), "Power the machine on once so that the BMC sees its storage, or accept the risk with confirm = false"}
	}
	var found []bmc.Disk
	for _, d := range disks {
		if matches(want, d) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return bmc.Disk{}, &Refusal{"disk", "no disk of this machine matches " + want.String() + "; it has " + describe(disks), "Correct esxi.disk"}
	}
	return bmc.Disk{}, &Refusal{"disk", fmt.Sprintf("%d disks of this machine match %s: %s", len(found), want, describe(found)), "Name the disk by serial or wwn"}
}

func matches(want *schema.Disk, d bmc.Disk) bool {
	kind, text := want.Key()
	switch kind {
	case "model":
		return sameModel(text, d.Model)
	case "serial":
		return d.Serial != "" && strings.EqualFold(strings.TrimSpace(text), d.Serial)
	case "wwn":
		return slices.Contains(d.WWN, plainWWN(text))
	case "name":
		return slices.Contains(d.WWN, plainWWN(text))
	}
	return false
}

// sameModel compares models. ESXi cuts SCSI models to 16 characters, so a plan
// written from ESXi's view may hold the beginning only.
func sameModel(want, have string) bool {
	want, have = strings.ToLower(strings.TrimSpace(want)), strings.ToLower(strings.TrimSpace(have))
	return want != "" && (want == have || len(want) == 16 && strings.HasPrefix(have, want))
}

func plainWWN(text string) string {
	text = strings.ToLower(text)
	for _, prefix := range []string{"naa.", "eui.", "0x"} {
		text = strings.TrimPrefix(text, prefix)
	}
	return strings.NewReplacer(":", "", "-", "", " ", "").Replace(text)
}

func describe(disks []bmc.Disk) string {
	if len(disks) == 0 {
		return "none"
	}
	var out []string
	for _, d := range disks {
		text := d.Model
		if text == "" {
			text = d.Name
		}
		if d.Serial != "" {
			text += " serial " + d.Serial
		}
		for _, w := range d.WWN {
			text += " wwn " + w
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

// SameMachine compares what an ESXi says of its hardware with what the BMC says.
// Where both know a UUID, it decides (firmware tables write its first three parts
// in either byte order); serial numbers may be shared by the nodes of a chassis.
// known is false where they share nothing that could be compared.
func SameMachine(s esxi.System, id bmc.Identity) (same, known bool) {
	if validUUID(s.UUID) && validUUID(id.UUID) {
		return s.UUID == id.UUID || s.UUID == swapped(id.UUID), true
	}
	for _, serial := range s.Serials {
		for _, other := range []string{id.Serial, id.Board} {
			if len(serial) >= 4 && strings.EqualFold(serial, other) {
				return true, true
			}
		}
	}
	return false, len(s.Serials) > 0 && id.Serial != ""
}

// validUUID tells a UUID from what firmware writes when it has none.
func validUUID(uuid string) bool {
	hex := strings.ReplaceAll(uuid, "-", "")
	return len(hex) == 32 && strings.Trim(hex, "0") != "" && strings.Trim(hex, "f") != ""
}

func swapped(uuid string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
	if err != nil || len(b) != 16 {
		return ""
	}
	slices.Reverse(b[0:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

package step

import (
	"encoding/hex"
	"slices"
	"strings"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
)

// SameMachine compares what an ESXi says of its hardware with what the BMC says.
// Where both know a UUID, it decides (firmware tables write its first three parts
// in either byte order); serial numbers may be shared by the nodes of a chassis.
// known is false where they share nothing that could be compared.
func SameMachine(s esxi.System, id bmc.Identity) (same, known bool) {
	if validUUID(s.UUID) && validUUID(id.UUID) {
		return s.UUID == id.UUID || s.UUID == swapped(id.UUID), true
	}
	theirs, ours := telling(s.Serials), telling([]string{id.Serial, id.Board})
	for _, serial := range theirs {
		if slices.Contains(ours, serial) {
			return true, true
		}
	}
	return false, len(theirs) > 0 && len(ours) > 0
}

// placeholders are serial numbers that firmware writes where no one gave one.
var placeholders = []string{
	"to be filled by o.e.m.", "to be filled by oem", "default string", "none", "n/a", "unknown", "not specified", "not applicable",
	"system serial number", "chassis serial number", "0123456789", "123456789", "1234567890",
}

// telling are the serial numbers that tell one machine from another, lower case.
func telling(serials []string) (out []string) {
	for _, s := range serials {
		s = strings.ToLower(strings.TrimSpace(s))
		if len(s) >= 4 && strings.Trim(s, s[:1]) != "" && !slices.Contains(placeholders, s) {
			out = append(out, s)
		}
	}
	return out
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

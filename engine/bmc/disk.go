package bmc

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Disk is a device of a storage controller: a RAID volume, or a drive. An operating system
// sees those without a State.
type Disk struct {
	Model      string   `json:"model" doc:"Model as the operating system sees it."`
	Serial     string   `json:"serial" doc:"Serial number."`
	WWN        []string `json:"wwn" doc:"World wide names, lower case hexadecimal without separators."`
	Bytes      int64    `json:"bytes" doc:"Capacity in bytes, 0 where the BMC does not say."`
	Name       string   `json:"name" doc:"What the BMC calls it."`
	Controller string   `json:"controller" doc:"Storage controller."`
	Volume     bool     `json:"volume" doc:"A RAID volume, not a drive."`
	RAID       string   `json:"raid" doc:"RAID type of a volume, such as RAID1; empty where the BMC does not say."`
	State      string   `json:"state" doc:"Why the operating system does not see the drive, such as \"member of volume Virtual Disk 0\", \"unconfigured\" or \"hot spare\"; empty where it sees it."`
	Boot       bool     `json:"boot" doc:"Behind a boot controller, such as a BOSS, an NS204i or an M.2 kit: ESXi shows it under the name of the controller's family."`
	Media      string   `json:"media" doc:"SSD or HDD, empty where the BMC does not say."`
	Protocol   string   `json:"protocol" doc:"SATA, SAS or NVMe, empty where the BMC does not say."`
	Health     string   `json:"health" doc:"OK, Warning or Critical, empty where the BMC does not say."`
}

// Hidden reports a drive that an operating system does not see.
func (d Disk) Hidden() bool { return d.State != "" }

// Seen divides disks into those that an operating system sees and those that are hidden from
// it. nil stays nil: unknown.
func Seen(disks []Disk) (seen, hidden []Disk) {
	if disks == nil {
		return nil, nil
	}
	seen, hidden = []Disk{}, []Disk{}
	for _, d := range disks {
		if d.Hidden() {
			hidden = append(hidden, d)
		} else {
			seen = append(seen, d)
		}
	}
	return seen, hidden
}

// Size is the capacity for people, such as "480 GB"; empty where the BMC does not say.
func (d Disk) Size() string {
	if d.Bytes <= 0 {
		return ""
	}
	return fmt.Sprintf("%d GB", d.Bytes/1e9)
}

// Selector is the argument of a plan's disk that distinguishes this disk from the others of
// its machine in ESXi; empty if the BMC reports none.
func (d Disk) Selector(all []Disk) (argument, value string) {
	if d.Hidden() {
		return "", ""
	}
	for _, s := range d.selectors() {
		n := 0
		for _, other := range all {
			if !other.Hidden() && other.is(s[0], s[1]) {
				n++
			}
		}
		if n == 1 {
			return s[0], s[1]
		}
	}
	return "", ""
}

// selectors are the arguments that may name a disk, the best one first.
func (d Disk) selectors() (out [][2]string) {
	add := func(argument, value string) {
		if value != "" {
			out = append(out, [2]string{argument, value})
		}
	}
	if d.Boot && d.Volume {
		add("model", d.Model)
	}
	if len(d.WWN) == 1 && !localName.MatchString(d.WWN[0]) || d.Volume && len(d.WWN) > 0 { // of two drives' names one is the other in reverse
		add("wwn", d.WWN[0])
	}
	if !d.Volume && d.Protocol != "SAS" { // whose serial number ESXi does not show
		add("serial", d.Serial)
	}
	add("model", d.Model)
	return out
}

func (d Disk) is(argument, value string) bool {
	switch argument {
	case "wwn":
		return slices.Contains(d.WWN, value)
	case "serial":
		return d.Serial == value
	}
	return d.Model == value
}

// localName is a name that a controller gave to the port of a SATA drive. ESXi does not show it.
var localName = regexp.MustCompile(`^[34][0-9a-f]{15}$`)

// wwnExtras are what BMCs write into a world wide name besides its digits.
var wwnExtras = strings.NewReplacer(":", "", "-", "", "naa.", "", "eui.", "", "0x", "")

var hexadecimal = regexp.MustCompile(`^[0-9a-f]{16}([0-9a-f]{16})?$`)

// appendWWN adds a durable name that is a world wide name. BMCs write them with
// colons, dashes or a prefix, and mislabel their format; an EUI comes in either byte
// order (recorded: drives behind an MR controller), so both are kept. A UUID is no name,
// except where it begins as the vendor's names do.
func (r *Redfish) appendWWN(list []string, id identifierDocument) []string {
	name := wwnExtras.Replace(strings.ToLower(strings.TrimSpace(id.DurableName)))
	uuid := id.DurableNameFormat == "UUID" && (r.rules.WWNInUUID == "" || !strings.HasPrefix(name, r.rules.WWNInUUID))
	if uuid || !hexadecimal.MatchString(name) {
		return list
	}
	list = append(list, name)
	if id.DurableNameFormat == "EUI" && len(name) == 16 {
		var turned strings.Builder
		for i := len(name) - 2; i >= 0; i -= 2 {
			turned.WriteString(name[i : i+2])
		}
		list = append(list, turned.String())
	}
	return list
}

// unique drops disks that are listed twice: under two controllers, or also in an older form.
func unique(disks []Disk) []Disk {
	out := []Disk{}
	for _, d := range disks {
		if !slices.ContainsFunc(out, d.same) {
			out = append(out, d)
		}
	}
	return out
}

// same reports that two entries are one device: they share a name, and no name
// contradicts that. What firmware writes for an unknown serial number is no name.
func (d Disk) same(other Disk) bool {
	agree := func(a, b string) bool { return a == b || a == "" || b == "" }
	wwns := len(d.WWN) == 0 || len(other.WWN) == 0 || slices.Equal(d.WWN, other.WWN)
	named := d.Serial != "" && d.Serial == other.Serial || len(d.WWN) > 0 && slices.Equal(d.WWN, other.WWN)
	return named && wwns && agree(d.Serial, other.Serial) && agree(d.Model, other.Model)
}

// meaningful is a model or a serial number, without what firmware writes for an unknown one.
func meaningful(text string) string {
	text = strings.TrimSpace(text)
	switch strings.ToLower(text) {
	case "n/a", "na", "none", "null", "unknown", "not available", "not specified", "to be filled by o.e.m.":
		return ""
	}
	if strings.Trim(text, "0-. ") == "" {
		return ""
	}
	return text
}

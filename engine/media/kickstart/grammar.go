package kickstart

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Keyboards are the layouts that the installer knows.
var Keyboards = []string{
	"Belgian", "Brazilian", "Croatian", "Czechoslovakian", "Danish", "Estonian", "Finnish", "French", "German", "Greek",
	"Icelandic", "Italian", "Japanese", "Latin American", "Norwegian", "Polish", "Portuguese", "Russian", "Slovenian",
	"Spanish", "Swedish", "Swiss French", "Swiss German", "Turkish", "Ukrainian", "United Kingdom", "US Default", "US Dvorak",
}

// command is one that the installer knows.
type command struct {
	options []option
	words   int    // arguments that are no options, at most
	alias   string // the name that it shares its duplicates with
}

// option is an option of a command.
type option struct {
	name  string
	value need
	since float64             // version of ESXi; 0: always there
	judge func(string) string // what is wrong with a value, "" nothing
}

type need int

// Whether an option takes a value.
const (
	never need = iota
	must
	may
)

// Options that several commands share.
var (
	diskOptions = []option{{name: "disk", value: must, judge: judgeDisk}, {name: "drive", value: must, judge: judgeDisk}, {name: "firstdisk", value: may}}
	scriptShell = option{name: "interpreter", value: must, judge: oneOf("busybox", "python")}
	prereqs     = []option{{name: "ignoreprereqwarnings"}, {name: "ignoreprereqerrors"}}
	installs    = slices.Concat(diskOptions, prereqs, []option{
		{name: "overwritevsan"}, {name: "overwritevmfs"}, {name: "preservevmfs"}, {name: "novmfsondisk"},
		{name: "systemdisk", value: must, since: 7.0, judge: judgeDisk}, {name: "repartitionsystemdisk", since: 7.0},
		{name: "forceunsupportedinstall", since: 7.0}, {name: "dpuPciSlots", value: must, since: 8.0},
	})
	partition = command{words: 1, alias: "part", options: []option{
		{name: "ondisk", value: must, judge: judgeDisk}, {name: "ondrive", value: must, judge: judgeDisk}, {name: "onfirstdisk", value: may}}}
	serial = command{alias: "serialnum", options: []option{{name: "esx", value: must, judge: judgeLicense}}}
	eula   = command{alias: "accepteula"}
)

// grammar is what the installers of ESXi 5 to 9 know (from the vendor's installation
// guides).
var grammar = map[string]command{
	"accepteula": eula, "vmaccepteula": eula, "dryrun": {}, "paranoid": {},
	"reboot":           {options: []option{{name: "noeject"}}},
	"install":          {options: slices.Concat(installs, []option{{name: "ignoressd"}})},
	"installorupgrade": {options: slices.Concat(installs, []option{{name: "ignoressd"}})},
	"upgrade":          {options: slices.Concat(diskOptions, prereqs, []option{{name: "forceunsupportedinstall", since: 7.0}})},
	"clearpart": {options: []option{{name: "alldrives"}, {name: "drives", value: must}, {name: "ignoredrives", value: must},
		{name: "firstdisk", value: may}, {name: "overwritevmfs"}}},
	"part": partition, "partition": partition,
	"keyboard": {words: 2},
	"network": {options: []option{
		{name: "bootproto", value: must, judge: oneOf("static", "dhcp")}, {name: "device", value: must, judge: judgeDevice},
		{name: "ip", value: must, judge: judgeAddress}, {name: "netmask", value: must, judge: judgeNetmask}, {name: "gateway", value: must, judge: judgeAddress},
		{name: "nameserver", value: must, judge: judgeServers}, {name: "hostname", value: must, judge: judgeHostname},
		{name: "vlanid", value: must, judge: judgeVLAN}, {name: "addvmportgroup", value: must, judge: oneOf("0", "1", "true", "false")}}},
	"rootpw":    {words: 1, options: []option{{name: "iscrypted"}}},
	"serialnum": serial, "vmserialnum": serial,
	"include": {words: 1, alias: "%include"}, "%include": {words: 1, alias: "%include"},
	"%pre": {options: []option{scriptShell, {name: "ignorefailure", value: may}}},
	"%post": {options: []option{scriptShell, {name: "timeout", value: must, judge: judgeSeconds},
		{name: "ignorefailure", value: may, judge: oneOf("", "true", "false")}}},
	"%firstboot": {options: []option{scriptShell}},
}

// dead are commands of ESX 4 and of Linux that ESXi ignores.
var dead = []string{"autopart", "auth", "authconfig", "bootloader", "esxlocation", "firewall", "firewallport", "timezone", "virtualdisk", "zerombr",
	"%packages", "%vmlicense_text", "lang", "selinux", "services", "user", "ignoredisk", "repo", "url", "text", "poweroff", "halt", "shutdown"}

func (c command) option(name string) (option, bool) {
	i := slices.IndexFunc(c.options, func(o option) bool { return o.name == name })
	if i < 0 {
		return option{}, false
	}
	return c.options[i], true
}

func oneOf(words ...string) func(string) string {
	return func(v string) string {
		if slices.Contains(words, v) {
			return ""
		}
		return "it must be " + strings.Trim(strings.Join(words, " or "), " or")
	}
}

func judgeAddress(v string) string {
	if a, err := netip.ParseAddr(v); err != nil || !a.Is4() {
		return "it is no IPv4 address"
	}
	return ""
}

func judgeNetmask(v string) string {
	a, err := netip.ParseAddr(v)
	if err != nil || !a.Is4() {
		return "it is no netmask such as 255.255.255.0"
	}
	b := a.As4()
	bits := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	if inverted := ^bits; bits == 0 || inverted&(inverted+1) != 0 {
		return "its bits are not ones followed by zeros"
	}
	return ""
}

func judgeServers(v string) string {
	for server := range strings.SplitSeq(v, ",") {
		if _, err := netip.ParseAddr(strings.TrimSpace(server)); err != nil {
			return fmt.Sprintf("%q is no IP address", server)
		}
	}
	return ""
}

func judgeVLAN(v string) string {
	if n, err := strconv.Atoi(v); err != nil || n < 0 || n > 4095 {
		return "it must be a number from 0 to 4095"
	}
	return ""
}

func judgeSeconds(v string) string {
	if n, err := strconv.Atoi(v); err != nil || n < 0 {
		return "it must be a number of seconds"
	}
	return ""
}

var (
	macPattern      = regexp.MustCompile(`^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$`)
	vmnicPattern    = regexp.MustCompile(`^vmnic\d+$`)
	licensePattern  = regexp.MustCompile(`^([0-9A-Z]{5}-){4}[0-9A-Z]{5}$`)
	hostnamePattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)
	devicePattern   = regexp.MustCompile(`^(/vmfs/devices/disks/)?((naa|eui|t10|vml)\.|mpx\.vmhba|vmhba)\S+$`)
)

func judgeDevice(v string) string {
	if macPattern.MatchString(v) || vmnicPattern.MatchString(v) {
		return ""
	}
	return "it is neither vmnicN nor a MAC address with colons, and a device that is not found ends the installation"
}

func judgeLicense(v string) string {
	if licensePattern.MatchString(v) {
		return ""
	}
	return "it is not of the form XXXXX-XXXXX-XXXXX-XXXXX-XXXXX"
}

func judgeHostname(v string) string {
	if hostnamePattern.MatchString(v) && len(v) <= 253 {
		return ""
	}
	return "it is no host name"
}

func judgeDisk(v string) string {
	if strings.ContainsAny(v, "*?[") {
		return "a device name is taken literally: there are no wildcards"
	}
	if !devicePattern.MatchString(v) {
		return "it is no device name of ESXi (naa.… eui.… t10.… mpx.vmhba…)"
	}
	if partitionSuffix.MatchString(deviceName(v)) {
		return "it names a partition, and the installer takes whole disks"
	}
	return ""
}

// CheckMediaSize judges the size of the system partitions for a version of ESXi;
// an unknown version ("") passes. The option came with
// 7.0 Update 1c; the vendor's text for 9 lists two of its values only.
func CheckMediaSize(size, version string) error {
	major, known := Release(version)
	switch {
	case !known:
		return nil
	case major < 7.0 || major == 7.0 && strings.HasPrefix(version, "7.0.0"):
		return fmt.Errorf("ESXi %s does not know system_media_size; it came with 7.0 Update 1c", version)
	case major >= 9 && (size == "min" || size == "small"):
		return fmt.Errorf("ESXi %s lists only the sizes \"default\" and \"max\"", version)
	}
	return nil
}

// Release is major and minor of a version such as "8.0.3" as a number: 8.0.
func Release(version string) (release float64, known bool) {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return 0, false
	}
	release, err := strconv.ParseFloat(parts[0]+"."+parts[1], 64)
	return release, err == nil
}

package kickstart

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Rule is a kind of mistake.
type Rule struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Reason   string   `json:"reason"`
	Remedy   string   `json:"remedy"`
	always   bool     // cannot be silenced
	whole    bool     // about the script as a whole
}

// Rules are all kinds of mistakes, in the order in which a script is read.
func Rules() []Rule { return slices.Clone(rules) }

func ruleOf(id string) (Rule, bool) {
	i := slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })
	if i < 0 {
		return Rule{}, false
	}
	return rules[i], true
}

var rules = []Rule{
	{ID: "syntax", Severity: Error, always: true, Reason: "The installer cannot read the line, stops and waits at its console for a key.", Remedy: "Close the quotation; write an apostrophe as '\"'\"' inside single quotes. End lines with LF or CR LF, and delete other control characters than tabs."},
	{ID: "continuation", Severity: Error, always: true, Reason: "The installer does not join lines, whatever public examples show: it stops, or takes the line for all and leaves the rest out.", Remedy: "Write the whole command on one line."},
	{ID: "hash-in-word", Severity: Error, Reason: "In the installer's parser a # starts a comment even inside of a word, so what follows is lost: a password is cut without a word.", Remedy: "Put the value in single quotes."},
	{ID: "too-long", Severity: Error, always: true, Reason: "No kickstart is that long: this is another file.", Remedy: "Give the kickstart."},
	{ID: "byte-order-mark", Severity: Error, Reason: "The installer takes it for a part of the first word.", Remedy: "Save the file as plain ASCII or as UTF-8 without a byte order mark."},
	{ID: "non-ascii", Severity: Warning, Reason: "The installer knows printable ASCII only.", Remedy: "Write the word without accents, dashes and quotes from a word processor."},
	{ID: "unknown-command", Severity: Error, Reason: "The installer warns of it on a screen that no one sees, leaves it out and continues.", Remedy: "Correct or delete it."},
	{ID: "unknown-option", Severity: Error, Reason: "The installer warns of it on a screen that no one sees, leaves it out and continues: a mistyped --vlanid installs into the wrong network.", Remedy: "Correct or delete it."},
	{ID: "dead-command", Severity: Warning, Reason: "It belongs to ESX 4 or to Linux; ESXi ignores it.", Remedy: "Delete it; configure what it was for through the API after the installation."},
	{ID: "duplicate-command", Severity: Error, Reason: "Only one of them counts, with a warning that no one sees, or the installer stops.", Remedy: "Keep one."},
	{ID: "duplicate-option", Severity: Error, Reason: "Only one of them counts, with a warning that no one sees, or the installer stops.", Remedy: "Keep one."},
	{ID: "too-many-commands", Severity: Error, whole: true, Reason: "The installer takes 256 commands.", Remedy: "Move work into a script section."},
	{ID: "stray-word", Severity: Error, Reason: "The command takes no such argument. A blank inside of a value is the usual cause.", Remedy: "Quote values with blanks, and write --option=value without blanks."},
	{ID: "option-value", Severity: Error, Reason: "The installer refuses the value, or continues with another one.", Remedy: "Correct the value."},
	{ID: "option-version", Severity: Error, Reason: "The installer of this version does not know the option.", Remedy: "Delete it, or take a newer image."},
	{ID: "missing-eula", Severity: Error, whole: true, Reason: "Without it the installer stops.", Remedy: "Add vmaccepteula."},
	{ID: "missing-rootpw", Severity: Error, whole: true, Reason: "Without it the installer stops. In build_iso it may be missing: esxi.root_password is put there as a hash.", Remedy: "Add rootpw --iscrypted with a $6$ hash."},
	{ID: "missing-install", Severity: Error, whole: true, Reason: "Nothing says where to install.", Remedy: "Add install --disk=…, or write it in %pre to a file that is included."},
	{ID: "missing-network", Severity: Warning, whole: true, Reason: "The installer takes DHCP on the first NIC with a link.", Remedy: "Add a network line with --device."},
	{ID: "missing-reboot", Severity: Error, whole: true, Reason: "Without it the installer may wait for a key when it has finished, with nothing on the network.", Remedy: "Add reboot."},
	{ID: "missing-here", Severity: Warning, whole: true, Reason: "It may be in the included file, which cannot be checked.", Remedy: "Write it here, or silence this rule when the included file has it."},
	{ID: "several-installs", Severity: Error, Reason: "Only one of install, installorupgrade and upgrade may be there.", Remedy: "Keep one."},
	{ID: "no-disk", Severity: Error, Reason: "Exactly one of --disk and --firstdisk must say where to install.", Remedy: "Name the disk: --disk=naa.…"},
	{ID: "firstdisk-bare", Severity: Error, Reason: "It takes the first local disk, then the first remote one: whichever the kernel found first, a shared LUN included.", Remedy: "Name the disk: --disk=naa.…, or --firstdisk=MODEL alone."},
	{ID: "firstdisk-general", Severity: Error, Reason: "The list is tried in order, and the first word that finds any disk wins: a general one takes whatever disk comes first, also when the special one next to it finds none.", Remedy: "Give the model alone, as ESXi reports it, or name the disk: --disk=naa.…"},
	{ID: "firstdisk-remote", Severity: Error, Reason: "It takes a LUN of the storage network, whose data other hosts may use.", Remedy: "Name the disk: --disk=naa.…"},
	{ID: "firstdisk-wildcard", Severity: Error, Reason: "Filters are compared with the whole model, vendor or driver name: there are no wildcards.", Remedy: "Write the whole name."},
	{ID: "disk-unstable", Severity: Warning, Reason: "The name is made from a path and changes with slots and drivers.", Remedy: "Use a naa., eui. or t10. name, where the disk has one."},
	{ID: "vmfs-undecided", Severity: Error, Reason: "If the disk holds a VMFS datastore the installer stops and waits for a key.", Remedy: "Add --overwritevmfs, or --preservevmfs."},
	{ID: "vmfs-contradiction", Severity: Error, Reason: "The options exclude one another.", Remedy: "Keep one of them."},
	{ID: "overwritevsan", Severity: Warning, Reason: "The installer stops where the disk is not claimed by a vSAN; on a cache disk the whole disk group is lost.", Remedy: "Leave it out unless the disk is claimed by a vSAN."},
	{ID: "ignoressd", Severity: Error, Reason: "It is refused together with a named disk and with installorupgrade.", Remedy: "Leave it out."},
	{ID: "upgrade-ignores", Severity: Warning, Reason: "Where it finds an ESXi it upgrades, and then network, rootpw, keyboard, clearpart, part and serialnum have no effect.", Remedy: "Use install, if the machine is to be reinstalled."},
	{ID: "clearpart-alldrives", Severity: Error, Reason: "It clears every disk that the machine sees, shared LUNs included.", Remedy: "Name the disks: --drives=…; install with --overwritevmfs repartitions its own disk without clearpart."},
	{ID: "clearpart-which", Severity: Error, Reason: "Exactly one of --drives, --ignoredrives, --alldrives and --firstdisk must say which disks.", Remedy: "Name the disks: --drives=…"},
	{ID: "clearpart-ignoredrives", Severity: Warning, Reason: "Every other disk is cleared, shared LUNs included.", Remedy: "Name the disks to clear: --drives=…"},
	{ID: "clearpart-vmfs", Severity: Error, Reason: "Without it the installer stops at the first VMFS.", Remedy: "Add --overwritevmfs."},
	{ID: "clearpart-alone", Severity: Error, Reason: "It needs an install command.", Remedy: "Add install, or delete clearpart."},
	{ID: "part-same-disk", Severity: Error, Reason: "A further datastore cannot be on the disk of the installation.", Remedy: "Name another disk."},
	{ID: "part-twice", Severity: Error, Reason: "A disk takes one datastore: the installer stops at the second.", Remedy: "Keep one part line for the disk."},
	{ID: "disk-not-single", Severity: Error, always: true, Reason: "It cannot be compared with esxi.disk and esxi.wipe, so the disk would be overwritten without a question and a guard.", Remedy: "Name the disk by its device name, and by name or wwn in the plan. In your own kickstart --firstdisk=MODEL alone is accepted where the plan names that model. What cannot be compared is accepted with unchecked_disks = true of build_iso; --alldrives, --ignoredrives and --firstdisk without a value never are."},
	{ID: "disk-not-planned", Severity: Error, always: true, Reason: "The question before the run and the guards know the plan's disks only.", Remedy: "Add the disk to esxi.wipe, by name or wwn, so that it is confirmed, asked about and guarded; or correct the name."},
	{ID: "wipe-not-cleared", Severity: Error, always: true, Reason: "The plan says that this disk loses everything, and asks for consent to it.", Remedy: "Add clearpart --drives=… --overwritevmfs with its device name, or take it out of esxi.wipe."},
	{ID: "include-last", Severity: Error, Reason: "Behind a script, the installer takes a last line that includes for the end of that script only, and does not include.", Remedy: "Put it before the scripts."},
	{ID: "include-relative", Severity: Warning, Reason: "Relative names are taken from /.", Remedy: "Write the whole path, such as /tmp/disk.cfg."},
	{ID: "bootproto-missing", Severity: Warning, Reason: "The installer takes DHCP.", Remedy: "Add --bootproto=static or --bootproto=dhcp."},
	{ID: "dhcp-address", Severity: Error, Reason: "The installer refuses an address together with DHCP.", Remedy: "Delete the address options, or use --bootproto=static."},
	{ID: "dhcp-names", Severity: Warning, Reason: "With DHCP the installer ignores it.", Remedy: "Set it through the API, or use --bootproto=static."},
	{ID: "static-ip", Severity: Error, Reason: "A static network needs an address.", Remedy: "Add --ip=…"},
	{ID: "static-guess", Severity: Warning, Reason: "The installer guesses it, from the address class of 1981.", Remedy: "Write it."},
	{ID: "static-hostname", Severity: Warning, Reason: "The host will be called localhost, its certificate too.", Remedy: "Add --hostname=…"},
	{ID: "gateway-subnet", Severity: Error, Reason: "The host would not reach it.", Remedy: "Correct --gateway or --netmask."},
	{ID: "ip-reserved", Severity: Error, Reason: "The first address of a network is its own, the last one its broadcast address: no host can have them.", Remedy: "Correct --ip or --netmask."},
	{ID: "gateway-as-dns", Severity: Warning, Reason: "The gateway is rarely a DNS server; this is a common slip.", Remedy: "Check --nameserver."},
	{ID: "nameservers", Severity: Warning, Reason: "The installer uses two.", Remedy: "Delete the others."},
	{ID: "no-device", Severity: Warning, Reason: "The installer takes the first NIC with a link.", Remedy: "Add --device= with the MAC address of the management NIC."},
	{ID: "keyboard", Severity: Error, Reason: "The installer warns of an unknown layout and takes US Default.", Remedy: "Use one of its names, in quotes when it has a blank."},
	{ID: "rootpw-plain", Severity: Error, always: true, Reason: "The medium can be read by everybody who can fetch it.", Remedy: "Use rootpw --iscrypted with a $6$ hash. In build_iso leave the line out: esxi.root_password is put there as a hash."},
	{ID: "rootpw-value", Severity: Error, Reason: "rootpw takes exactly one value.", Remedy: "Quote it."},
	{ID: "crypt-format", Severity: Error, Reason: "The installer accepts $6$salt$… without a rounds field, $1$… and 13 characters of DES; others end with \"crypted password is not valid\".", Remedy: "Make a hash by: openssl passwd -6"},
	{ID: "crypt-weak", Severity: Warning, Reason: "MD5 and DES hashes are guessed within hours.", Remedy: "Make a hash by: openssl passwd -6"},
	{ID: "serialnum-9", Severity: Warning, Reason: "From 9.0 on hosts get their license from vCenter.", Remedy: "Delete it."},
	{ID: "interpreter", Severity: Warning, Reason: "The installer takes busybox and warns.", Remedy: "Add --interpreter=busybox or --interpreter=python."},
	{ID: "pre-ignorefailure", Severity: Warning, Reason: "A %pre script that fails always ends the installation.", Remedy: "Delete it, and end the script with true where its failure does not matter."},
	{ID: "end-section", Severity: Error, Reason: "ESXi knows no %end: inside of a script the line becomes part of the script, which then fails.", Remedy: "Delete it; a section ends where the next one begins."},
	{ID: "script-cut", Severity: Error, Reason: "A line that starts with this word ends the script there, and is read as a command.", Remedy: "Indent the line."},
	{ID: "command-in-script", Severity: Error, Reason: "Commands must come before all sections: here it is part of the script, and has no effect on the installation.", Remedy: "Move the line before the first section."},
	{ID: "firstboot-secure-boot", Severity: Warning, Reason: "Under UEFI Secure Boot %firstboot scripts are skipped without an error; the host looks installed and is not configured.", Remedy: "Configure through the API after the installation, or turn Secure Boot off."},
	{ID: "ssh-closed", Severity: Error, Reason: "--enabled=false closes the firewall for SSH.", Remedy: "Write --enabled=true."},
	{ID: "script-disk", Severity: Error, Reason: "A script that writes to this disk does so without a question and a guard.", Remedy: "Add the disk to esxi.wipe, by name or wwn; where the script only reads it, silence this rule on the line."},
	{ID: "script-kickstart", Severity: Error, Reason: "A script that writes a command for the installer decides which disks are overwritten, without a question and a guard.", Remedy: "Write the command outside of the script, with device names, or leave the choice of the disk to esxi.disk and esxi.wipe; where the script only mentions the word, silence this rule on the line."},
	{ID: "script-any-disk", Severity: Error, always: true, Reason: "It takes every disk, or the first that the kernel found: shared LUNs included.", Remedy: "Name the disks, in esxi.disk and esxi.wipe."},
	{ID: "dryrun", Severity: Warning, Reason: "The installer checks everything and installs nothing.", Remedy: "Delete it when the script is ready."},
	{ID: "unknown-rule", Severity: Warning, Reason: "A misspelled rule silences nothing.", Remedy: "Correct it: esxiplan kickstart rules lists them."},
}

// wholeRules judge the script as a whole.
var wholeRules = []func(*linter){
	(*linter).presence, (*linter).checkInstall, (*linter).checkClearpart, (*linter).checkPart, (*linter).checkNetwork,
	(*linter).checkRootPassword, (*linter).checkKeyboard, (*linter).checkLicense, (*linter).checkIncludes, (*linter).checkSections, (*linter).checkPlanned,
}

// at reports a finding at a command, or at one of its options.
func (l *linter) at(p *parsed, option, rule, format string, values ...any) {
	column := p.column
	if o, ok := p.options[option]; ok {
		column = o.column
	}
	l.add(rule, p.line, column, format, values...)
}

func (l *linter) presence() {
	last := max(1, l.lines)
	included := len(l.commands["%include"]) > 0
	for _, c := range []struct{ key, rule, text string }{
		{"accepteula", "missing-eula", "the license is not accepted"}, {"rootpw", "missing-rootpw", "there is no rootpw"},
		{"network", "missing-network", "there is no network command"}, {"reboot", "missing-reboot", "there is no reboot"},
	} {
		given := len(l.commands[c.key]) > 0 || c.key == "rootpw" && l.conditions.RootPassword || l.upgrades() && (c.key == "rootpw" || c.key == "network")
		switch {
		case given:
		case included:
			l.add("missing-here", last, 1, "%s", c.text)
		default:
			l.add(c.rule, last, 1, "%s", c.text)
		}
	}
	if len(l.installs()) == 0 && len(l.commands["%include"]) == 0 {
		l.add("missing-install", last, 1, "there is no install command")
	}
	if l.count > 256 {
		l.add("too-many-commands", last, 1, "%d commands", l.count)
	}
	if p := l.one("dryrun"); p != nil {
		l.at(p, "", "dryrun", "dryrun installs nothing")
	}
}

// upgrades reports a script that only upgrades.
func (l *linter) upgrades() bool {
	return len(l.commands["upgrade"]) > 0 && len(l.commands["install"])+len(l.commands["installorupgrade"]) == 0
}

// installs are the commands that put ESXi onto a disk.
func (l *linter) installs() (out []*parsed) {
	for _, name := range []string{"install", "installorupgrade", "upgrade"} {
		out = append(out, l.commands[name]...)
	}
	return out
}

func (l *linter) checkInstall() {
	all := l.installs()
	for i, p := range all {
		if p.broken {
			continue
		}
		if i > 0 && p.name != all[i-1].name {
			l.at(p, "", "several-installs", "%s next to %s", p.name, all[i-1].name)
		}
		l.checkTarget(p)
		l.checkVMFS(p)
		if p.has("ignoressd") && (p.name == "installorupgrade" || p.has("disk") || p.has("drive")) {
			l.at(p, "ignoressd", "ignoressd", "%s --ignoressd", p.name)
		}
		if p.has("overwritevsan") {
			l.at(p, "overwritevsan", "overwritevsan", "--overwritevsan is given whatever the disk holds")
		}
		if p.name == "installorupgrade" {
			l.at(p, "", "upgrade-ignores", "installorupgrade may upgrade")
		}
		if p.name == "upgrade" && l.upgrades() && len(l.commands["rootpw"])+len(l.commands["network"])+len(l.commands["keyboard"]) > 0 {
			l.at(p, "", "upgrade-ignores", "upgrade leaves password, network and keyboard as they are")
		}
	}
}

func (l *linter) checkTarget(p *parsed) {
	n := 0
	for _, option := range []string{"disk", "drive", "firstdisk"} {
		if p.has(option) {
			n++
		}
	}
	if n != 1 {
		l.at(p, "", "no-disk", "%s names %s", p.name, []string{"no disk", "", "a disk twice", "a disk in three ways"}[n])
	}
	for _, option := range []string{"disk", "drive"} {
		if v := deviceName(p.value(option)); strings.HasPrefix(v, "mpx.") || strings.HasPrefix(v, "vmhba") {
			l.at(p, option, "disk-unstable", "%s is no lasting name", v)
		}
	}
	if p.has("firstdisk") {
		l.checkFirstDisk(p, "firstdisk")
	}
}

// general are filters of --firstdisk that match disks of any make.
var general = []string{"local", "usb", "esx", "localesx"}

func (l *linter) checkFirstDisk(p *parsed, option string) {
	value := p.value(option)
	if value == "" {
		l.at(p, option, "firstdisk-bare", "--%s without a value takes whatever disk comes first", option)
		return
	}
	for filter := range strings.SplitSeq(value, ",") {
		f := strings.ToLower(strings.TrimSpace(filter))
		switch {
		case strings.HasPrefix(f, "remote"):
			l.at(p, option, "firstdisk-remote", "--%s=%s", option, value)
		case strings.ContainsAny(f, "*?"):
			l.at(p, option, "firstdisk-wildcard", "--%s=%s", option, value)
		case slices.Contains(general, f):
			l.at(p, option, "firstdisk-general", "%q finds disks of any make", f)
		}
	}
}

func (l *linter) checkVMFS(p *parsed) {
	overwrite, preserve, none := p.has("overwritevmfs"), p.has("preservevmfs"), p.has("novmfsondisk")
	switch {
	case p.name == "upgrade":
	case none && preserve:
		l.at(p, "novmfsondisk", "vmfs-contradiction", "--novmfsondisk and --preservevmfs")
	case overwrite && preserve:
		l.at(p, "preservevmfs", "vmfs-contradiction", "--overwritevmfs and --preservevmfs")
	case none && !overwrite:
		l.at(p, "novmfsondisk", "vmfs-contradiction", "--novmfsondisk without --overwritevmfs ends where there is a VMFS")
	case !overwrite && !preserve:
		l.at(p, "", "vmfs-undecided", "%s has neither --overwritevmfs nor --preservevmfs", p.name)
	}
}

func (l *linter) checkClearpart() {
	for _, p := range l.commands["clearpart"] { // they add up
		if !p.broken {
			l.checkOneClearpart(p)
		}
	}
}

func (l *linter) checkOneClearpart(p *parsed) {
	n := 0
	for _, option := range []string{"alldrives", "drives", "ignoredrives", "firstdisk"} {
		if p.has(option) {
			n++
		}
	}
	if n != 1 {
		l.at(p, "", "clearpart-which", "clearpart names %d kinds of disks", n)
	}
	if p.has("alldrives") {
		l.at(p, "alldrives", "clearpart-alldrives", "clearpart --alldrives")
	}
	if p.has("ignoredrives") {
		l.at(p, "ignoredrives", "clearpart-ignoredrives", "clearpart clears all but %s", p.value("ignoredrives"))
	}
	if p.has("firstdisk") {
		l.checkFirstDisk(p, "firstdisk")
	}
	if p.has("drives") {
		for drive := range strings.SplitSeq(p.value("drives"), ",") {
			if wrong := judgeDisk(strings.TrimSpace(drive)); wrong != "" {
				l.at(p, "drives", "option-value", "--drives=%s: %s", drive, wrong)
			}
		}
	}
	if !p.has("overwritevmfs") {
		l.at(p, "", "clearpart-vmfs", "clearpart has no --overwritevmfs")
	}
	if len(l.commands["install"]) == 0 && len(l.commands["%include"]) == 0 {
		l.at(p, "", "clearpart-alone", "there is no install command")
	}
}

func (l *linter) checkPart() {
	install := ""
	for _, p := range l.installs() {
		install = deviceName(p.value("disk") + p.value("drive"))
	}
	seen := map[string]int{}
	for _, p := range l.commands["part"] {
		disk := deviceName(p.value("ondisk") + p.value("ondrive"))
		if len(p.words) != 1 {
			l.at(p, "", "option-value", "%s needs one name, that of the datastore", p.name)
		}
		if disk == "" && !p.has("onfirstdisk") {
			l.at(p, "", "no-disk", "%s names no disk", p.name)
		}
		if disk != "" && lowered(disk) == lowered(install) {
			l.at(p, "ondisk", "part-same-disk", "%s is the disk of the installation", disk)
		}
		if line, twice := seen[lowered(disk)]; twice && disk != "" {
			l.at(p, "ondisk", "part-twice", "%s has a datastore by line %d already", disk, line)
		}
		seen[lowered(disk)] = p.line
		if p.has("onfirstdisk") {
			l.checkFirstDisk(p, "onfirstdisk")
		}
	}
}

// deviceName is a disk's name without the folder that may precede it.
func deviceName(v string) string { return strings.TrimPrefix(v, "/vmfs/devices/disks/") }

func (l *linter) checkNetwork() {
	p := l.one("network")
	if p == nil {
		return
	}
	if !p.has("bootproto") {
		l.at(p, "", "bootproto-missing", "network has no --bootproto")
	}
	if !p.has("device") {
		l.at(p, "", "no-device", "network has no --device")
	}
	if p.value("bootproto") == "static" {
		l.checkStatic(p)
	} else {
		l.checkDHCP(p)
	}
	if n := strings.Count(p.value("nameserver"), ","); n > 1 {
		l.at(p, "nameserver", "nameservers", "--nameserver names %d servers", n+1)
	}
}

func (l *linter) checkDHCP(p *parsed) {
	for _, option := range []string{"ip", "netmask", "gateway"} {
		if p.has(option) {
			l.at(p, option, "dhcp-address", "--%s together with DHCP", option)
		}
	}
	for _, option := range []string{"nameserver", "hostname"} {
		if p.has(option) {
			l.at(p, option, "dhcp-names", "--%s together with DHCP", option)
		}
	}
}

func (l *linter) checkStatic(p *parsed) {
	if !p.has("ip") {
		l.at(p, "", "static-ip", "there is no --ip")
	}
	for _, option := range []string{"netmask", "gateway"} {
		if !p.has(option) {
			l.at(p, "", "static-guess", "there is no --%s", option)
		}
	}
	if !p.has("hostname") {
		l.at(p, "", "static-hostname", "there is no --hostname")
	}
	gateway := p.value("gateway")
	if subnet, ok := prefixOf(p.value("ip"), p.value("netmask")); ok && judgeAddress(gateway) == "" {
		if a, err := netip.ParseAddr(gateway); err == nil && !subnet.Contains(a) {
			l.at(p, "gateway", "gateway-subnet", "%s is not in %s", gateway, subnet)
		}
	}
	l.checkReserved(p)
	for server := range strings.SplitSeq(p.value("nameserver"), ",") {
		if gateway != "" && strings.TrimSpace(server) == gateway {
			l.at(p, "nameserver", "gateway-as-dns", "%s is the gateway", gateway)
		}
	}
}

// checkReserved finds an address that no host can have.
func (l *linter) checkReserved(p *parsed) {
	subnet, ok := prefixOf(p.value("ip"), p.value("netmask"))
	if !ok || subnet.Bits() > 30 {
		return
	}
	address, _ := netip.ParseAddr(p.value("ip"))
	kind := ""
	if address == subnet.Addr() {
		kind = "network"
	} else if next := address.Next(); !next.IsValid() || !subnet.Contains(next) {
		kind = "broadcast"
	}
	if kind != "" {
		l.at(p, "ip", "ip-reserved", "%s is the %s address of %s", address, kind, subnet)
	}
}

var (
	sha512Pattern = regexp.MustCompile(`^\$6\$[A-Za-z0-9./]{1,16}\$[A-Za-z0-9./]{86}$`)
	md5Pattern    = regexp.MustCompile(`^\$1\$[A-Za-z0-9./]{0,8}\$[A-Za-z0-9./]{22}$`)
	desPattern    = regexp.MustCompile(`^[A-Za-z0-9./]{13}$`)
)

func (l *linter) checkRootPassword() {
	p := l.one("rootpw")
	switch {
	case p == nil:
	case len(p.words) != 1:
		l.at(p, "", "rootpw-value", "rootpw has %d values", len(p.words))
	case !p.has("iscrypted"):
		l.add("rootpw-plain", p.line, p.words[0].column, "the password is in plain text")
		if err := CheckPassword(p.words[0].text); err != nil {
			l.add("option-value", p.line, p.words[0].column, "%v", err)
		}
	case md5Pattern.MatchString(p.words[0].text), desPattern.MatchString(p.words[0].text):
		l.add("crypt-weak", p.line, p.words[0].column, "this is an old kind of hash")
	case !sha512Pattern.MatchString(p.words[0].text):
		l.add("crypt-format", p.line, p.words[0].column, "this is %s", kindOfHash(p.words[0].text))
	}
}

// kindOfHash names the kind of a hash, without showing it.
func kindOfHash(hash string) string {
	for prefix, kind := range map[string]string{"$5$": "a SHA-256 hash", "$6$rounds=": "a SHA-512 hash with a rounds field", "$2": "a bcrypt hash", "$y$": "a yescrypt hash", "$6$": "a SHA-512 hash whose salt or length is wrong"} {
		if strings.HasPrefix(hash, prefix) && (prefix != "$6$" || !strings.HasPrefix(hash, "$6$rounds=")) {
			return kind
		}
	}
	return "no hash that the installer knows"
}

func (l *linter) checkKeyboard() {
	p := l.one("keyboard")
	if p == nil {
		return
	}
	var words []string
	for _, w := range p.words {
		words = append(words, w.text)
	}
	name := strings.Join(words, " ")
	switch {
	case !slices.Contains(Keyboards, name):
		l.at(p, "", "keyboard", "there is no layout %q%s", name, didYouMean(name, Keyboards))
	case len(words) > 1:
		l.at(p, "", "keyboard", "%s needs quotes: keyboard '%s'", name, name)
	}
}

func (l *linter) checkLicense() {
	p := l.one("serialnum")
	if p == nil {
		return
	}
	if !p.has("esx") {
		l.at(p, "", "option-value", "serialnum needs --esx=…")
	}
	if l.versioned && l.release >= 9 {
		l.at(p, "", "serialnum-9", "serialnum does nothing on ESXi %s", l.conditions.Version)
	}
}

func (l *linter) checkIncludes() {
	for _, p := range l.commands["%include"] {
		switch {
		case len(p.words) != 1:
			l.at(p, "", "option-value", "%s needs one file", p.name)
		case !strings.HasPrefix(p.words[0].text, "/") && !strings.Contains(p.words[0].text, "://"):
			l.add("include-relative", p.line, p.words[0].column, "%s is no whole path", p.words[0].text)
		}
	}
}

func (l *linter) checkSections() {
	for _, s := range l.sections {
		if !s.has("interpreter") {
			l.at(s.parsed, "", "interpreter", "%s has no --interpreter", s.name)
		}
		if s.name == "%pre" && s.has("ignorefailure") {
			l.at(s.parsed, "ignorefailure", "pre-ignorefailure", "--ignorefailure has no effect on %%pre")
		}
		if secure := l.conditions.SecureBoot; s.name == "%firstboot" && (secure == nil || *secure) {
			l.at(s.parsed, "", "firstboot-secure-boot", "%%firstboot may not run")
		}
	}
}

var (
	sshClosed = regexp.MustCompile(`ruleset\s+set\b.*(--enabled|-e)[= ]+(false|0).*sshServer|ruleset\s+set\b.*sshServer.*(--enabled|-e)[= ]+(false|0)`)
	misplaced = regexp.MustCompile(`^(vmaccepteula|accepteula)\s*$|^(rootpw|serialnum|vmserialnum)\s+\S|^(install|installorupgrade|upgrade|clearpart|network|part|partition)\s+--|^keyboard\s+['"A-Z]`)
)

// commandWords begin the lines that misplaced finds.
var commandWords = []string{"vmaccepteula", "accepteula", "rootpw", "serialnum", "vmserialnum", "install", "upgrade", "clearpart", "network", "part", "keyboard"}

// isMisplaced reports a command of the installer in a script. Few lines begin with one of
// their words, so that the expression need not be tried on the others.
func isMisplaced(line string) bool {
	begins := func(word string) bool { return strings.HasPrefix(line, word) }
	return slices.ContainsFunc(commandWords, begins) && misplaced.MatchString(line)
}

// scriptLine judges a line inside of a script section. What a script writes to a file
// line by line (a here document) is no mistake.
func (l *linter) scriptLine(s *section, n int, line string) {
	l.scriptDisks(n, line)
	if s.document != "" {
		if strings.TrimSpace(line) == s.document {
			s.document = ""
		}
		return
	}
	comment := strings.HasPrefix(strings.TrimSpace(line), "#")
	if word := documentWord(line); word != "" && !comment && s.value("interpreter") != "python" {
		s.document = word
	}
	switch {
	case strings.HasPrefix(line, "%end"):
		l.add("end-section", n, 1, "there is no %%end")
	case isMisplaced(line):
		l.add("command-in-script", n, 1, "%s is in the %s section of line %d", misplacedName(line), s.name, s.line)
	}
	if column := closesSSH(line); column > 0 && !comment {
		l.add("ssh-closed", n, column, "this closes the firewall for SSH")
	}
}

// closesSSH is the column of a command that closes the firewall for SSH, 0 without one.
func closesSSH(line string) (column int) {
	if !strings.Contains(line, "sshServer") {
		return 0
	}
	if at := sshClosed.FindStringIndex(line); at != nil {
		return at[0] + 1
	}
	return 0
}

var hereDocument = regexp.MustCompile(`(?:^|[\s;|])<<-?\s*['"\\]?([A-Za-z_][A-Za-z0-9_]*)`)

// documentWord is the word that ends the here document which a line begins, "" for none.
func documentWord(line string) string {
	if !strings.Contains(line, "<<") {
		return ""
	}
	if m := hereDocument.FindStringSubmatch(line); m != nil {
		return m[1]
	}
	return ""
}

func misplacedName(line string) string { return strings.Fields(line)[0] }

package kickstart

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Script is the installation script of one host, as data. What it cannot express
// cannot get onto a medium: other disks are cleared by name only, no disk is taken
// because it comes first, and further commands touch none of these.
type Script struct {
	RootHash string // $6$…
	Disk     Disk
	Wipe     []Disk // further disks to clear
	VSAN     bool   // the disk belongs to a vSAN and is overwritten
	Network  Network
	Keyboard string // "" leaves the installer's default
	License  string // serial number, "" installs for 60 days
	Commands []string
	Pre      string // shell or Python text, "" for none
	Post     string
	First    string // runs when the new system first boots, not under Secure Boot
	SSH      bool   // open SSH at the first boot, firewall included
	DryRun   bool   // the installer checks everything, and installs nothing
}

// Disk is how the installer finds a disk: Kind is "name" for a device name
// (naa.… eui.… t10.… mpx.… vml.…), else "model", "serial" or "wwn", which a script in
// the installer resolves; it demands exactly one match.
type Disk struct{ Kind, Text string }

// Network is the management network. Addresses were checked by the plan.
type Network struct {
	DHCP        bool
	Device      string // MAC with colons, upper case, or vmnicN; "" takes the first with a link
	Address     string // the rest is of a static network only
	Netmask     string
	Gateway     string
	Nameservers []string
	Hostname    string
	VLAN        int // 0: none; of both
}

// Render writes the script. Each command is on one line, each value in
// single quotes: the installer's parser is a shell lexer in which # starts a
// comment even inside of a word. Lines end with LF, all is ASCII.
func (s Script) Render() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	lines := []string{
		"# written by esxiplan; do not edit, it lies on this host's medium only",
		"vmaccepteula",
		"rootpw --iscrypted " + quote(s.RootHash),
	}
	if s.DryRun {
		lines = append(lines, "dryrun")
	}
	lines = append(lines, s.disks()...)
	if s.License != "" {
		lines = append(lines, "serialnum --esx="+quote(s.License))
	}
	if s.Keyboard != "" {
		lines = append(lines, "keyboard "+quote(s.Keyboard))
	}
	lines = append(lines, s.Network.command())
	lines = append(lines, s.Commands...)
	lines = append(lines, "reboot")
	var text bytes.Buffer
	for _, line := range append(lines, s.sections()...) {
		text.WriteString(line)
		text.WriteByte('\n')
	}
	return text.Bytes(), nil
}

func quote(text string) string { return "'" + text + "'" }

// disks are the commands that touch disks. If a name has to be found first, the
// %pre script writes them.
func (s Script) disks() []string {
	if s.resolves() {
		return []string{"%include " + diskInclude}
	}
	return strings.Split(s.diskCommands(s.Disk.Text, s.wipeNames()), "\n")
}

func (s Script) wipeNames() (out []string) {
	for _, d := range s.Wipe {
		out = append(out, d.Text)
	}
	return out
}

func (s Script) diskCommands(install string, wipe []string) string {
	text := "install --disk=" + quote(install) + " --overwritevmfs"
	if s.VSAN {
		text += " --overwritevsan"
	}
	if len(wipe) > 0 {
		text = "clearpart --drives=" + quote(strings.Join(wipe, ",")) + " --overwritevmfs\n" + text
	}
	return text
}

func (n Network) command() string {
	words := []string{"network"}
	add := func(option, value string) {
		if value != "" {
			words = append(words, option+"="+quote(value))
		}
	}
	if n.DHCP { // the installer refuses an address with it, and ignores names
		words = append(words, "--bootproto=dhcp")
		add("--device", n.Device)
	} else {
		words = append(words, "--bootproto=static")
		add("--device", n.Device)
		add("--ip", n.Address)
		add("--netmask", n.Netmask)
		add("--gateway", n.Gateway)
		add("--nameserver", strings.Join(n.Nameservers[:min(2, len(n.Nameservers))], ","))
		add("--hostname", n.Hostname)
	}
	if n.VLAN > 0 {
		add("--vlanid", fmt.Sprint(n.VLAN))
	}
	add("--addvmportgroup", "0")
	return strings.Join(words, " ")
}

// sections are the scripts, which come after all commands.
func (s Script) sections() []string {
	var out []string
	add := func(header, text string) {
		if text != "" {
			out = append(out, header+" --interpreter="+interpreter(text), strings.TrimRight(text, "\n"))
		}
	}
	add("%pre", s.Pre)
	if s.resolves() { // the last one: it overwrites what another script left in the file
		add("%pre", s.resolver())
	}
	add("%post", s.Post)
	if s.SSH {
		add("%firstboot", openSSH)
	}
	add("%firstboot", s.First)
	return out
}

// interpreter is what a script's first line asks for: Python, else the shell.
func interpreter(text string) string {
	if first, _, _ := strings.Cut(text, "\n"); strings.HasPrefix(first, "#!") && strings.Contains(first, "python") {
		return "python"
	}
	return "busybox"
}

// openSSH waits for hostd, which may not be up when the first boot begins, enables
// and starts the service, and opens the firewall for it.
const openSSH = `n=0
until vim-cmd hostsvc/runtimeinfo >/dev/null 2>&1; do
  n=$((n + 1))
  [ "$n" -lt 60 ] || break
  sleep 10
done
vim-cmd hostsvc/enable_ssh
vim-cmd hostsvc/start_ssh
esxcli network firewall ruleset set --ruleset-id=sshServer --enabled=true
`

// FirstBoot reports whether the script has parts that do not run under Secure Boot.
func (s Script) FirstBoot() bool { return s.SSH || s.First != "" }

// check refuses what quoting cannot express, and scripts that would end early. The
// plan has checked more, with better places for its messages.
func (s Script) check() error {
	if s.Disk.Text == "" {
		return errors.New("the kickstart needs a disk: esxi.disk = { model | serial | wwn | name = … }")
	}
	for _, text := range s.texts() {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune("'\"\\`", r) }) {
			return fmt.Errorf("%q cannot be written into a kickstart: printable ASCII without quotes and backslashes only", text)
		}
	}
	for _, d := range s.Wipe {
		if strings.Contains(d.Text, ",") {
			return fmt.Errorf("the disk %q cannot be cleared: the installer takes its name for two", d.Text)
		}
	}
	for _, line := range s.Commands {
		if err := CheckCommand(line); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"pre": s.Pre, "post": s.Post, "firstboot": s.First} {
		if err := CheckSection(name, text); err != nil {
			return err
		}
	}
	return nil
}

// further are the commands that may be added: the others are made from the plan, whose
// guards check disks and network before the machine is restarted.
var further = []string{"part", "partition", "paranoid"}

// CheckCommand judges the form of a command that is to be added to the generated script.
func CheckCommand(line string) error {
	x := lex(line)
	column, what := control(line, false)
	switch {
	case strings.ContainsAny(line, "\r\n"):
		return fmt.Errorf("the command %q must be one line", line)
	case column > 0:
		return fmt.Errorf("the command %q holds %s", line, what)
	case x.problem != "":
		return fmt.Errorf("the command %q has %s", line, x.problem)
	case x.end < len(line):
		return fmt.Errorf("the command %q has a comment", line)
	case len(x.words) == 0 || !slices.Contains(further, x.words[0].text):
		return fmt.Errorf("%q cannot be added to the generated kickstart; %s can. Disks, network and password come from the esxi block (disks to clear: "+
			"esxi.wipe); for anything else give a kickstart of your own", line, strings.Join(further, ", "))
	}
	return nil
}

func (s Script) texts() []string {
	n := s.Network
	texts := append([]string{s.RootHash, s.Disk.Text, s.Keyboard, s.License, n.Device, n.Address, n.Netmask, n.Gateway, n.Hostname}, n.Nameservers...)
	for _, d := range s.Wipe {
		texts = append(texts, d.Text)
	}
	return texts
}

// CheckSection refuses a script that would lose characters, end early, or affect
// which disks are overwritten. Its name is for messages.
func CheckSection(name, text string) error {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if column, what := control(line, i+1 < len(lines)); column > 0 {
			return fmt.Errorf("line %d, column %d of the %s script: the line holds %s, where the installer may end the line", i+1, column, name, what)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r > '~' }) {
			return fmt.Errorf("line %d of the %s script is not plain ASCII, which the installer would drop", i+1, name)
		}
		if word := opens(line); word != "" {
			return fmt.Errorf("line %d of the %s script starts with %q, where the installer would end the script: indent it", i+1, name, word)
		}
		if text, _ := unquoted(line); strings.Contains(text, path.Base(diskInclude)) {
			return fmt.Errorf("line %d of the %s script names %s, in which the kickstart keeps the disks that it found: use another file", i+1, name, diskInclude)
		}
	}
	return nil
}

// WithRootPassword adds a rootpw line to the user's own script that has none, so that the
// password need not be in it.
func WithRootPassword(text, hash string) string {
	return "rootpw --iscrypted " + quote(hash) + "\n" + text
}

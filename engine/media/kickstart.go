package media

import (
	"fmt"
	"slices"
	"strings"
)

// Kickstart is the installation script of one host, as data. What it cannot
// express cannot get onto a medium: there is no clearpart, no bare --firstdisk.
type Kickstart struct {
	RootHash string // $6$…
	Disk     Disk
	Network  Network
	Keyboard string // "" leaves the installer's default
}

// Disk is how the installer finds the disk: by a unique device name, or by a
// script that demands exactly one match in the installer's own view.
type Disk struct {
	Name  string // naa.… eui.… t10.… mpx.… vml.…
	Match string // else: model, serial or wwn
	Text  string // what Match must equal
}

// Network is the static management network. Addresses were checked by the plan.
type Network struct {
	Device      string // MAC with colons, upper case, or vmnicN; "" takes the first with a link
	Address     string
	Netmask     string
	Gateway     string
	Nameservers []string
	Hostname    string
	VLAN        int // 0: none
}

// Keyboards are the layouts that the installer knows.
var Keyboards = []string{
	"Belgian", "Brazilian", "Croatian", "Czechoslovakian", "Danish", "Estonian", "Finnish", "French", "German", "Greek",
	"Icelandic", "Italian", "Japanese", "Latin American", "Norwegian", "Polish", "Portuguese", "Russian", "Slovenian",
	"Spanish", "Swedish", "Swiss French", "Swiss German", "Turkish", "Ukrainian", "United Kingdom", "US Default", "US Dvorak",
}

// diskInclude is the file that the %pre script writes and the main section includes.
const diskInclude = "/tmp/esxiplan-disk.cfg"

// Render writes the script. Each command stands on one line, each value in
// single quotes: the installer's parser is a shell lexer in which # starts a
// comment even inside a word. Lines end with LF, all is ASCII.
func (k Kickstart) Render() ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	lines := []string{
		"# written by esxiplan; do not edit, it lies on this host's medium only",
		"vmaccepteula",
		"rootpw --iscrypted " + quote(k.RootHash),
		k.Disk.command(),
	}
	if k.Keyboard != "" {
		lines = append(lines, "keyboard "+quote(k.Keyboard))
	}
	lines = append(lines, k.Network.command(), "reboot")
	if k.Disk.Name == "" {
		lines = append(lines, "%pre --interpreter=busybox", k.Disk.resolver())
	}
	return []byte(strings.Join(lines, "\n") + "\n"), nil
}

// check refuses what quoting cannot carry. The plan has checked more, with
// better places for its messages.
func (k Kickstart) check() error {
	texts := append([]string{k.RootHash, k.Disk.Name, k.Disk.Text, k.Keyboard, k.Network.Device, k.Network.Address,
		k.Network.Netmask, k.Network.Gateway, k.Network.Hostname}, k.Network.Nameservers...)
	for _, text := range texts {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune("'\"\\`", r) }) {
			return fmt.Errorf("%q cannot be written into a kickstart: printable ASCII without quotes and backslashes only", text)
		}
	}
	if k.Keyboard != "" && !slices.Contains(Keyboards, k.Keyboard) {
		return fmt.Errorf("the installer knows no keyboard %q; it knows %s", k.Keyboard, strings.Join(Keyboards, ", "))
	}
	if k.Disk.Name == "" && (k.Disk.Match == "" || k.Disk.Text == "") {
		return fmt.Errorf("the kickstart needs a disk: esxi.disk = { model | serial | wwn | name = … }")
	}
	return nil
}

func quote(text string) string { return "'" + text + "'" }

func (d Disk) command() string {
	if d.Name == "" {
		return "%include " + diskInclude
	}
	return "install --disk=" + quote(d.Name) + " --overwritevmfs"
}

func (n Network) command() string {
	words := []string{"network", "--bootproto=static"}
	add := func(option, value string) {
		if value != "" {
			words = append(words, option+"="+quote(value))
		}
	}
	add("--device", n.Device)
	add("--ip", n.Address)
	add("--netmask", n.Netmask)
	add("--gateway", n.Gateway)
	add("--nameserver", strings.Join(n.Nameservers[:min(2, len(n.Nameservers))], ","))
	add("--hostname", n.Hostname)
	if n.VLAN > 0 {
		add("--vlanid", fmt.Sprint(n.VLAN))
	}
	add("--addvmportgroup", "0")
	return strings.Join(words, " ")
}

// resolver is a %pre script for the installer's busybox shell. It goes through
// the disks that the installer sees, keeps those that match, and writes the
// install command only when there is exactly one; else it fails, which stops
// the installation before anything is written. No line of it may start with a
// word that opens a section, such as "include".
func (d Disk) resolver() string {
	return strings.ReplaceAll(strings.ReplaceAll(resolverScript, "@MATCH@", d.Match), "@TEXT@", d.Text)
}

const resolverScript = `# resolve: @MATCH@ = @TEXT@
want='@TEXT@'
found=''
count=0
lower() { tr 'A-Z' 'a-z'; }
trim() { sed -e 's/^ *//' -e 's/ *$//'; }
want=$(echo "$want" | trim | lower)
for path in /vmfs/devices/disks/*; do
  name=${path##*/}
  case "$name" in
    *:*[0-9]) case "$name" in mpx.*:L[0-9]*:[0-9]*) continue ;; mpx.*) ;; *) continue ;; esac ;;
    vml.*) continue ;;
  esac
  info=$(esxcli storage core device list -d "$name" 2>/dev/null)
  case '@MATCH@' in
    model)
      have=$(echo "$info" | sed -n 's/^ *Model: *//p' | trim | lower)
      [ "$have" = "$want" ] || continue ;;
    serial)
      have=$(echo "$name" | lower)
      key=$(echo "$want" | tr -d ' _-')
      case "$(echo "$have" | tr -d '_-')" in *"$key"*) ;; *) continue ;; esac ;;
    wwn)
      have=$(echo "$name" | lower | sed -e 's/^naa\.//' -e 's/^eui\.//')
      key=$(echo "$want" | sed -e 's/^0x//' | tr -d ': -')
      [ "$have" = "$key" ] || continue ;;
  esac
  count=$((count + 1))
  found="$name"
done
if [ "$count" -ne 1 ]; then
  echo "esxiplan: $count disks match @MATCH@ $want, exactly one must" >&2
  exit 1
fi
echo "install --disk='$found' --overwritevmfs" > ` + diskInclude

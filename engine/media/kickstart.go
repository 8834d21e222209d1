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
// the installation before anything is written. It asks localcli, because esxcli
// needs a service that does not run in the installer. A serial number is looked for
// where ESXi shows it: in t10 names; an EUI in both byte orders. No line of it may
// start with a word that opens a section, such as "include".
func (d Disk) resolver() string {
	text := d.Text
	if d.Match == "wwn" { // ESXi writes it without separators, behind naa. or eui.
		text = strings.NewReplacer(":", "", "-", "", " ", "", "naa.", "", "eui.", "", "0x", "").Replace(strings.ToLower(text))
	}
	return strings.ReplaceAll(strings.ReplaceAll(strings.TrimSuffix(resolverScript, "\n"), "@MATCH@", d.Match), "@TEXT@", text)
}

const resolverScript = `# resolve: @MATCH@ = @TEXT@
want='@TEXT@'
found=''
count=0
lower() { tr 'A-Z' 'a-z'; }
trim() { sed -e 's/^ *//' -e 's/ *$//'; }
turned() { echo "$1" | sed -e 's/../& /g' | awk '{ for (i = NF; i > 0; i--) printf "%s", $i; print "" }'; }
describe() { localcli storage core device list -d "$1" 2>/dev/null || esxcli storage core device list -d "$1" 2>/dev/null; }
want=$(echo "$want" | trim | lower)
for path in /vmfs/devices/disks/*; do
  name=${path##*/}
  case "$name" in
    mpx.*:L[0-9]*:[0-9]*) continue ;;
    mpx.*) ;;
    *:[0-9]*|vml.*) continue ;;
  esac
  have=$(echo "$name" | lower)
  case '@MATCH@' in
    model)
      model=$(describe "$name" | sed -n 's/^ *Model: *//p' | trim | lower)
      [ -n "$model" ] || continue
      if [ "${#want}" -eq 16 ]; then
        case "$model" in "$want"*) ;; *) continue ;; esac
      else
        [ "$model" = "$want" ] || continue
      fi ;;
    serial)
      key=$(echo "$want" | tr ' -' '__')
      case "$have" in t10.*_"$key"|t10.*_"$key"_*) ;; *) continue ;; esac ;;
    wwn)
      other=$(turned "$want")
      case "$have" in
        naa."$want"|eui."$want"|eui."$other"|t10.*_"$want"|t10.*_"$other") ;;
        *) continue ;;
      esac ;;
  esac
  count=$((count + 1))
  found="$name"
done
if [ "$count" -ne 1 ]; then
  echo "esxiplan: $count disks match @MATCH@ $want, exactly one must" >&2
  exit 1
fi
echo "install --disk='$found' --overwritevmfs" > ` + diskInclude + "\n"

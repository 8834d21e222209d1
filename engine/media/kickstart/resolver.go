package kickstart

import (
	"fmt"
	"strings"
)

// diskInclude is the file that the %pre script writes and the main section includes. No
// other script may name it.
const diskInclude = "/tmp/esxiplan-disk.cfg"

// Comments of the script that say which disks it looks for.
const (
	resolveMark = "# resolve: "
	wipeMark    = "# wipe: "
)

// resolves reports whether a disk must be found by a script.
func (s Script) resolves() bool {
	for _, d := range append([]Disk{s.Disk}, s.Wipe...) {
		if d.Kind != "name" {
			return true
		}
	}
	return false
}

// resolver is a %pre script for the installer's busybox shell. It goes through
// the disks that the installer sees, keeps those that match, and writes the
// commands only when there is exactly one for each; else it fails, which stops the
// installation before anything is written. It asks localcli, because esxcli needs a
// service that does not run in the installer. ESXi cuts SCSI models to 16 characters. A
// serial number is looked for where ESXi shows it: in t10 names, as a part of its own, with
// 2D for a dash; an EUI in both byte orders. No line of it may start with a word that
// opens a section, such as "include".
func (s Script) resolver() string {
	var b strings.Builder
	fmt.Fprintf(&b, resolveMark+"%s = %s\n", s.Disk.Kind, s.Disk.plain())
	for _, d := range s.Wipe {
		fmt.Fprintf(&b, wipeMark+"%s = %s\n", d.Kind, d.plain())
	}
	b.WriteString(findDisk)
	fmt.Fprintf(&b, "find_disk %s %s\ninstall=\"$found\"\n", s.Disk.Kind, quote(s.Disk.plain()))
	var wipe []string
	for i, d := range s.Wipe {
		fmt.Fprintf(&b, "find_disk %s %s\nwipe%d=\"$found\"\n[ \"$found\" != \"$install\" ] || fail \"the disk to install on is also one to clear\"\n",
			d.Kind, quote(d.plain()), i)
		wipe = append(wipe, fmt.Sprintf("$wipe%d", i))
	}
	to := ">"
	for line := range strings.SplitSeq(s.diskCommands("$install", wipe), "\n") {
		fmt.Fprintf(&b, "echo \"%s\" %s %s\n", line, to, diskInclude)
		to = ">>"
	}
	return b.String()
}

// plain is the text without what ESXi writes differently: a WWN has no
// separators behind naa. or eui.
func (d Disk) plain() string {
	if d.Kind != "wwn" {
		return d.Text
	}
	return strings.NewReplacer(":", "", "-", "", " ", "", "naa.", "", "eui.", "", "0x", "").Replace(strings.ToLower(d.Text))
}

const findDisk = `fail() { echo "esxiplan: $1" >&2; exit 1; }
lower() { tr 'A-Z' 'a-z'; }
trim() { sed -e 's/^ *//' -e 's/ *$//'; }
turned() { echo "$1" | sed -e 's/../& /g' | awk '{ for (i = NF; i > 0; i--) printf "%s", $i; print "" }'; }
describe() { localcli storage core device list -d "$1" 2>/dev/null || esxcli storage core device list -d "$1" 2>/dev/null; }
matches() {
  have=$(echo "$2" | lower)
  case "$1" in
    name) [ "$2" = "$3" ] ;;
    model)
      model=$(describe "$2" | sed -n 's/^ *Model: *//p' | trim | lower)
      [ -n "$model" ] || return 1
      [ "$model" = "$3" ] && return 0
      if [ "${#3}" -eq 16 ]; then
        case "$model" in "$3"*) return 0 ;; esac
      elif [ "${#model}" -eq 16 ]; then
        case "$3" in "$model"*) return 0 ;; esac
      fi
      return 1 ;;
    serial)
      key=$(echo "$3" | tr ' ' '_' | sed -e 's/-/2d/g')
      case "$have" in t10.*__"$key"|t10.*__"$key"__*) return 0 ;; esac
      return 1 ;;
    wwn)
      other=$(turned "$3")
      case "$have" in
        naa."$3"|eui."$3"|eui."$other"|t10.*_"$3"|t10.*_"$other") return 0 ;;
      esac
      return 1 ;;
  esac
}
find_disk() {
  want="$2"
  [ "$1" = name ] || want=$(echo "$2" | trim | lower)
  found=''
  count=0
  for path in /vmfs/devices/disks/*; do
    name=${path##*/}
    case "$name" in
      mpx.*:L[0-9]*:[0-9]*) continue ;;
      mpx.*) ;;
      vml.*) [ "$1" = name ] || continue ;;
      *:[0-9]*) continue ;;
    esac
    matches "$1" "$name" "$want" || continue
    count=$((count + 1))
    found="$name"
  done
  [ "$count" -eq 1 ] || fail "$count disks match $1 $2, exactly one must"
}
`

package kickstart

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestDisks(t *testing.T) {
	for text, want := range map[string]string{
		"install --disk=naa.50 --overwritevmfs":                            "1:9 install --disk=naa.50 single installs",
		"installorupgrade --drive='/vmfs/devices/disks/naa.50'":            "1:18 installorupgrade --drive=naa.50 single installs",
		"upgrade --firstdisk=\"DELLBOSS VD\"":                              "1:9 upgrade --firstdisk=DELLBOSS VD installs",
		"install --firstdisk":                                              "1:9 install --firstdisk installs",
		"install --disk=naa.50 --disk=naa.51":                              "1:9 install --disk=naa.50 single installs, 1:23 install --disk=naa.51 single installs",
		"install --disk=naa.50 --systemdisk=naa.51":                        "1:9 install --disk=naa.50 single installs, 1:23 install --systemdisk=naa.51 single",
		"clearpart --drives=naa.50,naa.51":                                 "1:11 clearpart --drives=naa.50 single, 1:11 clearpart --drives=naa.51 single",
		"reboot\nclearpart --alldrives":                                    "2:11 clearpart --alldrives",
		"clearpart --ignoredrives=naa.50":                                  "1:11 clearpart --ignoredrives=naa.50",
		"part a --ondisk=naa.50\npartition b --onfirstdisk":                "1:8 part --ondisk=naa.50 single, 2:13 partition --onfirstdisk",
		"part a --ondrive=naa.50 \"a b\" extra":                            "1:8 part --ondrive=naa.50 single",
		"%include /tmp/disk.cfg\ninclude":                                  "1:1 %include /tmp/disk.cfg, 2:1 %include ",
		"%pre\ninstall --disk=naa.50\nincluded=1\npart a --ondisk=naa.51":  "4:8 part --ondisk=naa.51 single",
		"reboot # install --disk=naa.50\n# part a --ondisk=naa.51":         "",
		"install --disk=naa.50 'unclosed":                                  "1:9 install --disk=naa.50 single installs",
		"network --device=vmnic0\nrootpw --iscrypted x\nkeyboard --disk=n": "",
	} {
		var out []string
		for _, d := range Disks(text) {
			line := fmt.Sprintf("%d:%d %s", d.Line, d.Column, d)
			if d.Single() {
				line += " single"
			}
			if d.Installs() {
				line += " installs"
			}
			out = append(out, line)
		}
		if got := strings.Join(out, ", "); got != want {
			t.Errorf("%q: got\n%s\nwant\n%s", text, got, want)
		}
	}
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		disk Disk
		name string
		want Likeness
	}{
		{Disk{"name", "naa.5000cca291e10521"}, "/vmfs/devices/disks/naa.5000CCA291E10521", Same},
		{Disk{"name", "naa.5000cca291e10521"}, "naa.5000cca291e10522", Different},
		{Disk{"name", "t10.NVMe____A"}, "t10.nvme____a", Different},
		{Disk{"name", "mpx.vmhba0:C0:T0:L0"}, "mpx.vmhba0:C0:T0:L0", Same},
		{Disk{"wwn", "0x50:00-CCA291E10521"}, "naa.5000cca291e10521", Same},
		{Disk{"wwn", "naa.5000cca291e10521"}, "naa.5000cca291e10522", Different},
		{Disk{"wwn", "da08012199382500"}, "eui.0025389921 0108da", Different},
		{Disk{"wwn", "da:08:01:21:9a:38:25:00"}, "eui.0025389a210108da", Same},
		{Disk{"wwn", "0025384139210108"}, "t10.NVMe____MZVL____0025384139210108", Same},
		{Disk{"wwn", "5000cca291e10521"}, "mpx.vmhba0:C0:T0:L0", Unknown},
		{Disk{"wwn", "5000cca291e10521"}, "vml.0100", Unknown},
		{Disk{"serial", "WX-1"}, "t10.ATA_____WDC_WD2500____WX2D1", Same},
		{Disk{"serial", "S6CSNE0RB00699"}, "t10.NVMe____MZVL2256____S6CSNE0RB00699__25384139210108DA", Same},
		{Disk{"serial", "CSNE0RB00699"}, "t10.NVMe____MZVL2256____S6CSNE0RB00699__25384139210108DA", Unknown},
		{Disk{"serial", "S6CSNE0RB00699"}, "naa.50", Unknown},
		{Disk{"model", "DELLBOSS VD"}, "naa.50", Unknown},
		{Disk{}, "naa.50", Unknown},
	} {
		if got := c.disk.Compare(c.name); got != c.want {
			t.Errorf("%v and %s: %v, want %v", c.disk, c.name, got, c.want)
		}
	}
}

// TestHasDryRun: true only if the installer certainly reads the command, because a medium with
// it counts as one that installs nothing.
func TestHasDryRun(t *testing.T) {
	for text, want := range map[string]bool{
		"dryrun\nreboot": true, "reboot\n dryrun # x\n%pre\ntrue": true, "reboot": false, "# dryrun": false, "%pre\ndryrun": false,
		"%packages\ndryrun": false, "%vmlicense_text\ndryrun": false, "%include /tmp/x\ndryrun": true, "%pre\ntrue\n%include /tmp/x\ndryrun": false,
	} {
		if got := HasDryRun(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestPlanned: the user's own kickstart writes to the plan's disks, or is refused.
func TestPlanned(t *testing.T) {
	named, model := Disk{"name", "naa.50"}, Disk{"model", "DELLBOSS VD"}
	data := Disk{"wwn", "51"}
	for name, c := range map[string]struct {
		plan Planned
		text string
		want string // rules, in the order of the script
	}{
		"the plan's disk":               {Planned{Disk: named}, "install --disk=naa.50", ""},
		"another disk":                  {Planned{Disk: named}, "install --disk=naa.99", "disk-not-planned"},
		"another disk, accepted":        {Planned{Disk: named, Unchecked: true}, "install --disk=naa.99", "disk-not-planned"},
		"upgrade of another":            {Planned{Disk: named}, "upgrade --disk=naa.99", "disk-not-planned"},
		"twice":                         {Planned{Disk: named}, "install --disk=naa.50 --disk=naa.99", "disk-not-planned"},
		"a model against a name":        {Planned{Disk: model}, "install --disk=naa.50", "disk-not-single"},
		"accepted":                      {Planned{Disk: model, Unchecked: true}, "install --disk=naa.50", ""},
		"first of the model":            {Planned{Disk: model}, "install --firstdisk='dellboss vd'", ""},
		"first of another model":        {Planned{Disk: model}, "install --firstdisk='ThinkSystem M.2'", "disk-not-single"},
		"first of two models":           {Planned{Disk: model}, "install --firstdisk='DELLBOSS VD,local'", "disk-not-single"},
		"first of all":                  {Planned{Disk: model}, "install --firstdisk", "disk-not-single"},
		"first against a name":          {Planned{Disk: named}, "install --firstdisk='DELLBOSS VD'", "disk-not-single"},
		"included":                      {Planned{Disk: named}, "%include /tmp/disk.cfg", "disk-not-single"},
		"included, accepted":            {Planned{Disk: named, Unchecked: true}, "%include /tmp/disk.cfg", ""},
		"clears all, accepted":          {Planned{Disk: named, Unchecked: true}, "clearpart --alldrives # esxiplan:ignore clearpart-alldrives\ninstall --disk=naa.50", "disk-not-single"},
		"clears the rest, accepted":     {Planned{Disk: named, Unchecked: true}, "clearpart --ignoredrives=naa.50\ninstall --disk=naa.50", "disk-not-single"},
		"clears the first, accepted":    {Planned{Disk: named, Unchecked: true}, "clearpart --firstdisk\ninstall --disk=naa.50", "disk-not-single"},
		"first of all, accepted":        {Planned{Disk: model, Unchecked: true}, "install --firstdisk # esxiplan:ignore firstdisk-bare", "disk-not-single"},
		"first, empty, accepted":        {Planned{Disk: model, Unchecked: true}, "install --firstdisk=", "disk-not-single"},
		"part on the first, accepted":   {Planned{Disk: model, Unchecked: true}, "part a --onfirstdisk", "disk-not-single"},
		"first of a model, accepted":    {Planned{Disk: named, Unchecked: true}, "install --firstdisk='X,Y'", ""},
		"clears the installed":          {Planned{Disk: named}, "clearpart --drives=naa.50\ninstall --disk=naa.50", ""},
		"clears what is accepted":       {Planned{Disk: model, Unchecked: true}, "clearpart --drives=naa.50\ninstall --disk=naa.50", ""},
		"clears another":                {Planned{Disk: named}, "clearpart --drives=naa.50,naa.51\ninstall --disk=naa.50", "disk-not-planned"},
		"clears another, accepted":      {Planned{Disk: model, Unchecked: true}, "clearpart --drives=naa.51\ninstall --disk=naa.50", "disk-not-planned"},
		"clears all":                    {Planned{Disk: named}, "clearpart --alldrives\ninstall --disk=naa.50", "disk-not-single"},
		"clears the rest":               {Planned{Disk: named}, "clearpart --ignoredrives=naa.51\ninstall --disk=naa.50", "disk-not-single"},
		"wipe":                          {Planned{Disk: named, Wipe: []Disk{data}}, "clearpart --drives=naa.51\ninstall --disk=naa.50", ""},
		"wipe by part":                  {Planned{Disk: named, Wipe: []Disk{data}}, "part data --ondisk=naa.51\ninstall --disk=naa.50", ""},
		"wipe by model":                 {Planned{Disk: named, Wipe: []Disk{{"model", "X"}}}, "clearpart --firstdisk=X\ninstall --disk=naa.50", ""},
		"part of another":               {Planned{Disk: named, Wipe: []Disk{data}}, "clearpart --drives=naa.51\npart a --ondisk=naa.52\ninstall --disk=naa.50", "disk-not-planned"},
		"part on any":                   {Planned{Disk: named}, "part a --onfirstdisk\ninstall --disk=naa.50", "disk-not-single"},
		"not cleared":                   {Planned{Disk: named, Wipe: []Disk{data}}, "install --disk=naa.50", "wipe-not-cleared"},
		"one of two not cleared":        {Planned{Disk: named, Wipe: []Disk{data, {"name", "naa.52"}}}, "install --disk=naa.50\nclearpart --drives=naa.51", "wipe-not-cleared"},
		"perhaps cleared":               {Planned{Disk: named, Wipe: []Disk{{"model", "X"}}}, "clearpart --drives=naa.51\ninstall --disk=naa.50", "disk-not-single wipe-not-cleared"},
		"perhaps cleared, accepted":     {Planned{Disk: named, Wipe: []Disk{{"model", "X"}}, Unchecked: true}, "clearpart --drives=naa.51\ninstall --disk=naa.50", ""},
		"system disk":                   {Planned{Disk: named, Wipe: []Disk{data}}, "clearpart --drives=naa.51\ninstall --disk=naa.50 --systemdisk=naa.50", ""},
		"another system disk":           {Planned{Disk: named}, "install --disk=naa.50 --systemdisk=naa.51", "disk-not-planned"},
		"a script":                      {Planned{Disk: named}, "install --disk=naa.50\n%pre\npartedUtil mklabel /vmfs/devices/disks/naa.51 gpt", "script-disk"},
		"a script on the plan's":        {Planned{Disk: named}, "install --disk=naa.50\n%pre\npartedUtil mklabel /dev/disks/naa.50 gpt", ""},
		"a script that is silenced":     {Planned{Disk: named}, "install --disk=naa.50\n%pre\nls -l /dev/disks/naa.51 # esxiplan:ignore script-disk", ""},
		"commands cannot be silenced":   {Planned{Disk: named}, "install --disk=naa.99 # esxiplan:ignore disk-not-planned", "disk-not-planned"},
		"a script writes a command":     {Planned{Disk: named}, "install --disk=naa.50\n%pre\ncat >/tmp/x <<EOF\nclearpart --drives=naa.50,naa.51\nEOF", "script-kickstart script-disk"},
		"a script writes a planned one": {Planned{Disk: named}, "install --disk=naa.50\n%pre\necho clearpart --drives=naa.50 >/tmp/x", "script-kickstart"},
		"one that is silenced":          {Planned{Disk: named}, "install --disk=naa.50\n%pre\necho clearpart --drives=naa.50 >/tmp/x # esxiplan:ignore script-kickstart", ""},
		"a script that takes all":       {Planned{Disk: named, Unchecked: true}, "install --disk=naa.50\n%pre\necho clearpart --alldrives >/tmp/x # esxiplan:ignore script-kickstart, script-any-disk", "script-any-disk"},
		"included by a cut script":      {Planned{Disk: named}, "install --disk=naa.50\n%pre\ntrue\ninclude /tmp/x # esxiplan:ignore script-cut\ntrue", "disk-not-single"},
		"behind an indented header":     {Planned{Disk: named}, "install --disk=naa.50\n %pre\nclearpart --drives=naa.51 # esxiplan:ignore command-in-script", "disk-not-planned"},
		"behind a quoted header":        {Planned{Disk: named}, "install --disk=naa.50\n'%post'\nclearpart --drives=naa.51 # esxiplan:ignore command-in-script", "disk-not-planned"},
		"behind the end of a script":    {Planned{Disk: named}, "install --disk=naa.50\n%pre\n%include /tmp/x\nclearpart --drives=naa.51", "disk-not-single disk-not-planned"},
		"no plan, nothing to say of it": {Planned{}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			conditions := Conditions{Planned: &c.plan}
			if c.plan.Disk == (Disk{}) {
				conditions.Planned = nil
			}
			var rules []string
			for _, f := range Lint([]byte(c.text), conditions) {
				if slices.Contains([]string{"disk-not-planned", "disk-not-single", "wipe-not-cleared", "script-disk", "script-kickstart", "script-any-disk"}, f.Rule) {
					rules = append(rules, f.Rule)
				}
			}
			if got := strings.Join(rules, " "); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestCheckCommands(t *testing.T) {
	plan := Planned{Disk: Disk{"name", "naa.50"}, Wipe: []Disk{{"wwn", "51"}, {"model", "X"}}, Unchecked: true}
	for line, want := range map[string]string{
		"part data --ondisk=naa.51":           "",
		"part data --ondrive=/dev/naa.51":     "disk-not-planned",
		"part data --ondisk=naa.52":           "disk-not-planned",
		"part data --ondisk=naa.50":           "part-same-disk",
		"partition data --onfirstdisk=X":      "disk-not-single",
		"clearpart --alldrives":               "disk-not-single",
		"install --disk=naa.52":               "disk-not-planned",
		"paranoid":                            "",
		"part data --ondisk=naa.51,naa.52":    "disk-not-planned",
		"part a --ondisk=naa.51 --ondisk='b'": "disk-not-planned",
	} {
		rule := ""
		for _, f := range plan.CheckCommands([]string{"%pre", line}) {
			if rule = f.Rule; f.Line != 2 || f.Severity != Error {
				t.Errorf("%s: %+v", line, f)
			}
		}
		if rule != want {
			t.Errorf("%s: found %q, want %q", line, rule, want)
		}
	}
}

// TestCheckSection: every device that a script names literally is one of the plan's,
// whatever the script does with it. Of the rest nothing is claimed.
func TestCheckSection(t *testing.T) {
	plan := Planned{Disk: Disk{"wwn", "50"}, Wipe: []Disk{{"name", "mpx.vmhba0:C0:T1:L0"}}}
	for line, want := range map[string]string{
		"dd if=/dev/zero of=/vmfs/devices/disks/naa.99 bs=1M":           "naa.99",
		"dd if=/dev/zero of=\"/vmfs/devices/disks/naa.99\"":             "naa.99",
		"partedUtil mklabel /dev/disks/naa.99 gpt":                      "naa.99",
		"partedUtil mklabel naa.99\tgpt":                                "naa.99",
		"vmkfstools -C vmfs6 -S data naa.99:1":                          "naa.99",
		"vmkfstools -C vmfs6 -S data /vmfs/devices/disks/naa.99:1":      "naa.99",
		"/sbin/partedUtil delete t10.NVMe____X 1":                       "t10.NVMe____X",
		"subprocess.call(['partedUtil', 'mklabel', 'naa.99'])":          "naa.99",
		"open('/vmfs/devices/disks/naa.99', 'wb')":                      "naa.99",
		"echo install --disk=naa.99 --overwritevmfs > /tmp/d":           "naa.99",
		"dd of=/vmfs/devices/disks/mpx.vmhba0:C0:T2:L0:5":               "mpx.vmhba0:C0:T2:L0",
		"DEV=naa.52\ndd if=/dev/zero of=/dev/disks/$DEV":                "naa.52",
		"for d in naa.52 naa.53; do\n  partedUtil mklabel $d gpt\ndone": "naa.52 naa.53",
		"esxcli vsan storage add -d naa.52 -s naa.53":                   "naa.52 naa.53",
		"esxcli vsan storage add -dnaa.52 --ssd=naa.53":                 "naa.52 naa.53",
		"esxcli vsan storagepool add -d eui.52":                         "eui.52",
		"vmkfstools -C vmfs6 /vmfs/devices/disks//naa.52:1":             "naa.52",
		"dd of=/vmfs/devices/disks/naa.52:$PART":                        "naa.52",
		"dd of=/vmfs/devices/disks/naa.50:$PART":                        "",
		"cat /dev/zero > /dev/disks/'naa.52'":                           "naa.52",
		"cat /dev/zero > /dev/disks/naa.\"52\"":                         "naa.52",
		"cat /dev/zero > /dev/disks/\\naa.52":                           "naa.52",
		"cd /dev/disks; cat /dev/zero > naa.52":                         "naa.52",
		"cat /dev/zero >naa.52; true":                                   "naa.52",
		"DISKS=(naa.52,naa.53)":                                         "naa.52 naa.53",
		"vmkfstools -C vmfs6 vmhba1:C0:T0:L0:1":                         "vmhba1:C0:T0:L0",
		"partedUtil mklabel /dev/disks/vmhba1:C0:T1:L0 gpt":             "vmhba1:C0:T1:L0",
		"rm /dev/disks/vml.0100000000":                                  "vml.0100000000",
		"esxcli storage core device list -d naa.99":                     "naa.99",
		"esxcli storage core device format -d t10.ATA_____x":            "t10.ATA_____x",
		"esxcli storage core device format -dt10.ATA_____x":             "t10.ATA_____x",
		"add a datastore named naa.99":                                  "naa.99",
		"dd if=/dev/zero of=/vmfs/devices/disks/naa.50:2":               "",
		"DEV=naa.50": "",
		"dd of=/vmfs/devices/disks/mpx.vmhba0:C0:T1:L0:5":                                  "",
		"vmkfstools -C vmfs6 -S data /vmfs/devices/disks/naa.50:3":                         "",
		"dd of=/vmfs/devices/disks/$DISK":                                                  "",
		"dd of=/vmfs/devices/disks/naa.\"$id\"":                                            "",
		"dd of=/vmfs/devices/disks/naa.50${id}":                                            "",
		"for d in /vmfs/devices/disks/naa.*; do echo $d; done":                             "",
		"ls /vmfs/devices/disks/ | grep -m1 '^naa'":                                        "",
		"'/vmfs/devices/disks/naa.%s' % wwn":                                               "",
		"# dd of=/vmfs/devices/disks/naa.99":                                               "",
		"wget http://host10.example.com/x; esxcli network vswitch standard add -v vmhba64": "",
		"dd of=/vmfs/devices/disks/naa.99 # esxiplan:ignore script-disk":                   "",
	} {
		var names []string
		for _, f := range plan.CheckSection("true\n" + line) {
			_, name, _ := strings.Cut(f.Text, "the script names ")
			name, _, _ = strings.Cut(name, ",")
			if names = append(names, name); f.Rule != "script-disk" || f.Line < 2 {
				t.Errorf("%s: %+v", line, f)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: found %q, want %q", line, got, want)
		}
	}
	if got := (Planned{Disk: Disk{"name", "t10.X+Y"}}).CheckSection("dd of=/dev/disks/t10.X+Y\ndd of=t10.X+Z\nx=${d:-t10.X+Y}"); len(got) != 1 || got[0].Line != 2 {
		t.Errorf("a name with other characters: %v", got)
	}
	if got := plan.CheckSection("dd of=/dev/disks/'naa.99'"); len(got) != 1 || got[0].Column != 19 {
		t.Errorf("a column: %v", got)
	}
	if got := (Planned{Disk: Disk{"model", "X"}}).CheckSection("dd of=/dev/disks/naa.99"); len(got) != 1 {
		t.Errorf("a disk that cannot be compared: %v", got)
	}
	if got := (Planned{Disk: Disk{"model", "X"}, Unchecked: true}).CheckSection("dd of=/dev/disks/naa.99"); len(got) != 0 {
		t.Errorf("one that is accepted: %v", got)
	}
}

// TestCheckSectionWords: a script that writes commands for the installer decides which disks are
// overwritten, so that the words are reported in which it would.
func TestCheckSectionWords(t *testing.T) {
	for line, want := range map[string]string{
		"echo 'clearpart --alldrives --overwritevmfs' >> /tmp/x":       "script-kickstart script-any-disk",
		"echo 'clearpart --ignoredrives=naa.50' >> /tmp/x":             "script-kickstart script-any-disk",
		"echo 'install --firstdisk --overwritevmfs' > /tmp/x":          "script-any-disk",
		"echo \"install --firstdisk= --overwritevmfs\" > /tmp/x":       "script-any-disk",
		"echo 'install --firstdisk=local' > /tmp/x":                    "script-kickstart",
		"echo 'part data --onfirstdisk' >> /tmp/x":                     "script-any-disk",
		"echo part data --on'firstdisk'=local >> /tmp/x":               "script-kickstart",
		"echo \"%include /tmp/y\" > /tmp/x":                            "script-kickstart",
		"# clearpart --alldrives":                                      "",
		"echo clearparts":                                              "",
		"esxcli storage core device list":                              "",
		"echo 'install --firstdisk' # esxiplan:ignore script-any-disk": "script-any-disk",
		"echo clearpart # esxiplan:ignore script-kickstart":            "",
	} {
		var rules []string
		for _, f := range (Planned{Disk: Disk{"name", "naa.50"}}).CheckSection("true\n" + line) {
			if rules = append(rules, f.Rule); f.Line != 2 || f.Severity != Error {
				t.Errorf("%s: %+v", line, f)
			}
		}
		if got := strings.Join(rules, " "); got != want {
			t.Errorf("%s: found %q, want %q", line, got, want)
		}
	}
}

package kickstart

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// mistakes are scripts as people wrote them, each next to the linter's findings.
const mistakes = "../../../testdata/kickstart"

func TestMistakes(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(mistakes, "*.cfg"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d scripts, twenty should be there (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, f := range Lint(text, Conditions{Version: "8.0.3"}) {
				fmt.Fprintf(&b, "%s\n    %s\n    %s\n", f, f.Reason, f.Remedy)
			}
			golden := strings.TrimSuffix(file, ".cfg") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want, _ := os.ReadFile(golden); string(want) != b.String() {
				t.Errorf("the linter says\n%s\nwant\n%s", b.String(), want)
			}
		})
	}
}

const fine = `vmaccepteula
rootpw --iscrypted '$6$salt$xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'
install --disk='naa.5000cca291e10521' --overwritevmfs
network --bootproto=static --device=vmnic0 --ip=192.0.2.86 --netmask=255.255.255.0 --gateway=192.0.2.1 --nameserver=192.0.2.53 --hostname=esxi-1
reboot
`

// TestRules: every rule has a script that breaks it and nothing else, says why and
// what to do, and can be silenced where that makes sense.
func TestRules(t *testing.T) {
	replace := func(old, with string) string { return strings.Replace(fine, old, with, 1) }
	section := func(text string) string { return fine + "%post --interpreter=busybox\n" + text }
	network := "network --bootproto=static --device=vmnic0 --ip=192.0.2.86 --netmask=255.255.255.0 --gateway=192.0.2.1 --nameserver=192.0.2.53 --hostname=esxi-1"
	broken := map[string]string{
		"syntax": fine + "keyboard 'US Default\n", "continuation": replace("reboot", "reboot \\"), "hash-in-word": replace("reboot", "keyboard French#x\nreboot"),
		"non-ascii": fine + "# Grüße\n", "unknown-command": fine + "rebot\n", "unknown-option": replace("reboot", "reboot --noejct"),
		"dead-command": fine + "timezone UTC\n", "duplicate-command": fine + "reboot\n", "duplicate-option": replace("--gateway=192.0.2.1", "--gateway=192.0.2.1 --gateway=192.0.2.2"),
		"too-many-commands": fine + strings.Repeat("part x --ondisk=naa.50\n", 260), "stray-word": replace("reboot", "reboot now"),
		"option-value": replace("--gateway=192.0.2.1", "--gateway=192.0.2.1 --vlanid=5000"), "option-version": replace("--overwritevmfs", "--overwritevmfs --dpuPciSlots=1"),
		"missing-eula": replace("vmaccepteula\n", ""), "missing-rootpw": replace("rootpw", "# "), "missing-install": replace("install", "# "), "missing-network": replace("network", "# "),
		"missing-reboot": replace("reboot", ""), "several-installs": fine + "upgrade --disk=naa.50\n", "no-disk": replace("--disk='naa.5000cca291e10521'", ""),
		"firstdisk-bare": replace("--disk='naa.5000cca291e10521'", "--firstdisk"), "firstdisk-general": replace("--disk='naa.5000cca291e10521'", "--firstdisk='local,DELLBOSS VD'"),
		"firstdisk-remote": replace("--disk='naa.5000cca291e10521'", "--firstdisk=remote"), "firstdisk-wildcard": replace("--disk='naa.5000cca291e10521'", "--firstdisk='DELL*'"),
		"disk-unstable": replace("naa.5000cca291e10521", "mpx.vmhba0:C0:T0:L0"), "vmfs-undecided": replace(" --overwritevmfs", ""), "vmfs-contradiction": replace("--overwritevmfs", "--overwritevmfs --preservevmfs"),
		"overwritevsan": replace("--overwritevmfs", "--overwritevmfs --overwritevsan"), "ignoressd": replace("--overwritevmfs", "--overwritevmfs --ignoressd"), "upgrade-ignores": replace("install --disk", "installorupgrade --disk"),
		"clearpart-alldrives": fine + "clearpart --alldrives --overwritevmfs\n", "clearpart-which": fine + "clearpart --overwritevmfs\n", "clearpart-ignoredrives": fine + "clearpart --ignoredrives=naa.50 --overwritevmfs\n",
		"clearpart-vmfs": fine + "clearpart --drives=naa.50\n", "clearpart-alone": "vmaccepteula\nupgrade --disk=naa.50\nclearpart --drives=naa.51 --overwritevmfs\nreboot\n",
		"part-same-disk": fine + "part two --ondisk=naa.5000cca291e10521\n", "include-relative": fine + "%include disk.cfg\n", "bootproto-missing": replace(network, "network --device=vmnic0"),
		"dhcp-address": replace(network, "network --bootproto=dhcp --device=vmnic0 --ip=192.0.2.9"), "dhcp-names": replace(network, "network --bootproto=dhcp --device=vmnic0 --hostname=x"),
		"static-ip": replace("--ip=192.0.2.86", ""), "static-guess": replace("--netmask=255.255.255.0", ""), "static-hostname": replace("--hostname=esxi-1", ""),
		"gateway-subnet": replace("--gateway=192.0.2.1", "--gateway=192.0.3.1"), "gateway-as-dns": replace("--nameserver=192.0.2.53", "--nameserver=192.0.2.1"),
		"nameservers": replace("--nameserver=192.0.2.53", "--nameserver=192.0.2.53,192.0.2.54,192.0.2.55"), "no-device": replace("--device=vmnic0", ""),
		"keyboard": fine + "keyboard Klingon\n", "rootpw-plain": replace(strings.Split(fine, "\n")[1], "rootpw 'Secret-12x!'"), "rootpw-value": replace("rootpw --iscrypted", "rootpw --iscrypted x"),
		"crypt-format": replace("$6$salt", "$5$salt"), "crypt-weak": replace(strings.Split(fine, "\n")[1], "rootpw --iscrypted abcdefghijklm"), "serialnum-9": fine + "serialnum --esx=AAAAA-BBBBB-CCCCC-DDDDD-EEEEE\n",
		"interpreter": fine + "%post\ntrue\n", "pre-ignorefailure": fine + "%pre --interpreter=busybox --ignorefailure=true\ntrue\n", "end-section": section("true\n%end\n"), "script-cut": section("includes=1\n"),
		"command-in-script": section("rootpw x\n"), "firstboot-secure-boot": fine + "%firstboot --interpreter=busybox\ntrue\n", "ssh-closed": section("esxcli network firewall ruleset set --enabled=false --ruleset-id=sshServer\n"),
		"too-long": fine + strings.Repeat("#", 1<<20), "byte-order-mark": "\uFEFF" + fine, "missing-here": "%include /tmp/ks.cfg\n" + strings.Replace(fine, "reboot\n", "", 1), "include-last": section("true\n%include /tmp/x\n"),
		"part-twice": fine + "part two --ondisk=naa.50\npart three --ondrive=/vmfs/devices/disks/naa.50\n", "ip-reserved": replace("--ip=192.0.2.86", "--ip=192.0.2.255"),
		"disk-not-single": fine + "%include /tmp/more.cfg\n", "disk-not-planned": replace("naa.5000cca291e10521", "naa.5000cca291e10522"), "wipe-not-cleared": fine,
		"script-disk":      section("dd if=/dev/zero of=/vmfs/devices/disks/naa.5000cca291e10599:1 count=1\n"),
		"script-kickstart": section("echo clearpart >/tmp/x\n"), "script-any-disk": section("echo --alldrives >/tmp/x\n"),
		"dryrun": fine + "dryrun\n", "unknown-rule": fine + "# esxiplan:ignore nonsense\n",
	}
	if all := Lint([]byte(fine), Conditions{}); len(all) > 0 {
		t.Fatalf("a fine script is not found fine: %v", all)
	}
	disk := Disk{"name", "naa.5000cca291e10521"}
	planned := map[string]*Planned{
		"disk-not-single": {Disk: disk}, "disk-not-planned": {Disk: disk}, "script-disk": {Disk: disk}, "script-kickstart": {Disk: disk}, "script-any-disk": {Disk: disk}, "wipe-not-cleared": {Disk: disk, Wipe: []Disk{{"wwn", "5000cca291e10522"}}},
	}
	for _, r := range Rules() {
		t.Run(r.ID, func(t *testing.T) {
			text, ok := broken[r.ID]
			if !ok {
				t.Fatal("no script shows this rule")
			}
			version := map[string]string{"serialnum-9": "9.0.0", "option-version": "7.0.3"}[r.ID]
			conditions := Conditions{Version: version, Planned: planned[r.ID]}
			found := Lint([]byte(text), conditions)
			for _, f := range found {
				allowed := f.Rule == r.ID || r.ID == "rootpw-value" && f.Rule == "stray-word" || r.ID == "too-many-commands" || r.ID == "too-long" || r.ID == "byte-order-mark" && f.Rule == "non-ascii"
				if !allowed || f.Severity != r.Severity || f.Reason == "" || f.Remedy == "" || f.Line < 1 || f.Column < 1 {
					t.Errorf("found %+v", f)
				}
			}
			if len(found) == 0 {
				t.Fatal("nothing is found")
			}
			lines := strings.SplitAfter(text, "\n")
			at := min(found[0].Line, len(lines)) - 1
			silenced := strings.Join(slices.Insert(lines, at, "# esxiplan:ignore "+r.ID+"\n"), "")
			if slices.Contains([]string{"non-ascii", "unknown-rule", "too-long", "byte-order-mark", "include-last"}, r.ID) {
				return // about bytes, comments and the end, not about a command
			}
			left := slices.ContainsFunc(Lint([]byte(silenced), conditions), func(f Finding) bool { return f.Rule == r.ID })
			inScript := r.ID == "end-section" || r.ID == "script-cut" || r.ID == "command-in-script" || r.ID == "ssh-closed" || r.ID == "script-disk" || r.ID == "script-kickstart"
			if left != r.always && !inScript {
				t.Errorf("silenced it is found: %v", left)
			}
		})
	}
}

// TestLineEnds: what may end a line for the installer and does not for the linter, or the other
// way round, is refused: a command behind it would be seen by one of them only.
func TestLineEnds(t *testing.T) {
	const hidden = "clearpart --alldrives --overwritevmfs"
	for name, c := range map[string]struct {
		between string
		refused bool
	}{
		"LF": {"\n", false}, "CR LF": {"\r\n", false}, "tab": {"\t", false}, "umlaut": {"\u00e4", false},
		"CR": {"\r", true}, "CR CR LF": {"\r\r\n", true}, "VT": {"\v", true}, "FF": {"\f", true}, "NUL": {"\x00", true}, "escape": {"\x1b", true}, "file separator": {"\x1c", true},
		"DEL": {"\x7f", true}, "next line": {"\u0085", true}, "next line, one byte": {"\x85", true}, "line separator": {"\u2028", true}, "paragraph separator": {"\u2029", true},
	} {
		line := "# hi" + c.between + "# " + hidden
		for where, text := range map[string]string{"commands": line + "\n" + fine, "a script": fine + "%post --interpreter=busybox\n" + line + "\n", "silenced": "# esxiplan:ignore syntax\n" + line + "\n" + fine} {
			found := slices.ContainsFunc(Lint([]byte(text), Conditions{}), func(f Finding) bool { return f.Rule == "syntax" && f.Column >= 5 })
			if found != c.refused {
				t.Errorf("%s in %s: refused %v", name, where, found)
			}
		}
		if err := CheckSection("pre", line+"\n"); (err != nil) != (c.refused || c.between == "\u00e4") {
			t.Errorf("%s in a section: %v", name, err)
		}
		if err := CheckCommand("part data" + c.between + "--ondisk=naa.50"); (err != nil) != (c.between != "\t" && c.between != "\u00e4") {
			t.Errorf("%s in a command: %v", name, err)
		}
	}
	for text, want := range map[string]bool{fine + "# x\r": true, strings.ReplaceAll(fine, "\n", "\r\n"): false} {
		if got := len(Lint([]byte(text), Conditions{})) > 0; got != want {
			t.Errorf("%q: refused %v", text, got)
		}
	}
}

// TestLintKeepsSecrets: no message shows a password or what is left of it.
func TestLintKeepsSecrets(t *testing.T) {
	for _, line := range []string{"rootpw s3cret#rest", "rootpw 's3cret' more3", "rootpw --iscrypted s3cret", "rootpw --iscrypted=s3cret", "serialnum --esx=s3cret", "rootpw --s3cret",
		"rootpw=s3cret-1", "rootpw:s3cret-1", "rootpw --iscrypted \\\n$6$s3cret", "serialnum \\\n--esx=s3cret", "serialnum --esxs3cret", "vmserialnum --esx s3cret", "%post --interpreter=busybox\nrootpw\ts3cret", "%post\nrootpw=\"s3cret\"", "s3cret-12x!"} {
		for _, f := range Lint([]byte(line+"\n"), Conditions{}) {
			if strings.Contains(f.Text, "s3cret") || strings.Contains(f.Text, "more3") || strings.Contains(f.Text, "rest\"") {
				t.Errorf("%q: %s", line, f.Text)
			}
		}
		for _, hidden := range []string{Hide(line), Hide(strings.ToUpper(line[:0]) + line + "\r\n")} {
			if secretCommand(line) != "" && !strings.Contains(line, "\n") && (strings.Contains(hidden, "s3cret") || strings.Contains(hidden, "more3")) {
				t.Errorf("%q is shown as %q", line, hidden)
			}
		}
	}
	for _, line := range []string{"\"rootpw\" --iscrypted " + Sample, "serialnum '--esx=AAAAA-BBBBB-CCCCC-DDDDD-EEEEE'", "vim-cmd vimsvc/license --set AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"} {
		if shown := Hide(line); strings.Contains(shown, "xxxxxx") || strings.Contains(shown, "BBBBB") {
			t.Errorf("%q is shown as %q", line, shown)
		}
	}
}

// TestIgnore: a rule is silenced by a comment of the command itself, or by lines of
// comments before it, and by nothing else.
func TestIgnore(t *testing.T) {
	const wipe = "clearpart --alldrives --overwritevmfs"
	for name, c := range map[string]struct {
		text     string
		silenced bool
	}{
		"behind":         {wipe + " # esxiplan:ignore clearpart-alldrives\n", true},
		"before":         {"# esxiplan:ignore clearpart-alldrives\n" + wipe + "\n", true},
		"stacked":        {"# esxiplan:ignore clearpart-alldrives\n# why\n# esxiplan:ignore clearpart-vmfs\n" + wipe + "\n", true},
		"in prose":       {"# do not use esxiplan:ignore clearpart-alldrives\n" + wipe + "\n", false},
		"in quotes":      {wipe + " '# esxiplan:ignore clearpart-alldrives'\n", false},
		"another":        {"# esxiplan:ignore clearpart-alldrives\nreboot\n" + wipe + "\n", false},
		"in a script":    {wipe + "\n%post --interpreter=busybox\n# esxiplan:ignore clearpart-alldrives\n", false},
		"a second clear": {wipe + "\nclearpart --drives=naa.50 --overwritevmfs # esxiplan:ignore clearpart-alldrives\n", false},
	} {
		found := slices.ContainsFunc(Lint([]byte(c.text), Conditions{}), func(f Finding) bool { return f.Rule == "clearpart-alldrives" })
		if found == c.silenced {
			t.Errorf("%s: found %v", name, found)
		}
	}
	closes := "esxcli network firewall ruleset set --enabled=false --ruleset-id=sshServer"
	for name, text := range map[string]string{"behind": closes + " # esxiplan:ignore ssh-closed\n", "before": "# esxiplan:ignore ssh-closed\n" + closes + "\n"} {
		if found := Lint([]byte(fine+"%post --interpreter=busybox\n"+text), Conditions{}); len(found) > 0 {
			t.Errorf("in a script, %s: %v", name, found)
		}
	}
	for name, text := range map[string]string{"python": "%post --interpreter=python\nmask = 1 << bits\n", "arithmetic": "%post --interpreter=busybox\nx=$((1<<a))\n", "a comment": "%post --interpreter=busybox\n# see cat <<EOF\n"} {
		if found := Lint([]byte(fine+text+closes+"\n"), Conditions{}); len(found) != 1 || found[0].Rule != "ssh-closed" {
			t.Errorf("%s hides what follows: %v", name, found)
		}
	}
	script := "%firstboot --interpreter=busybox\n# esxiplan:ignore missing-eula\n"
	if !slices.ContainsFunc(Lint([]byte(script), Conditions{}), func(f Finding) bool { return f.Rule == "missing-eula" }) {
		t.Error("a comment in a script silences a rule about the whole")
	}
}

// TestValidScripts: the linter accepts scripts that people use and that work.
func TestValidScripts(t *testing.T) {
	off := false
	hash := strings.Split(fine, "\n")[1]
	for name, text := range map[string]string{
		"disk found by %pre":          "vmaccepteula\n" + hash + "\n%include /tmp/disk.cfg\nnetwork --bootproto=dhcp --device=vmnic0\nreboot\n%pre --interpreter=busybox\nDISK=$(ls /vmfs/devices/disks/ | grep -m1 '^naa')\ncat > /tmp/disk.cfg <<EOF\ninstall --disk=$DISK --overwritevmfs\nEOF\n",
		"python":                      fine + "%post --interpreter=python --timeout=60 --ignorefailure=true\nimport os\nprint('x')\n",
		"shell functions":             fine + "%firstboot --interpreter=busybox\nrootpw=\"x\"\nnetwork() { true; }\nnetwork up\nreboot\n",
		"tabs and CR":                 strings.ReplaceAll(strings.ReplaceAll(fine, "install --", "install\t--"), "\n", "\r\n"),
		"upgrade":                     "vmaccepteula\nupgrade --disk=naa.5000cca291e10521\nreboot\n",
		"DHCP, IPv6 DNS":              strings.Replace(fine, "--nameserver=192.0.2.53", "--nameserver=2001:db8::53", 1),
		"SSH turned off by a comment": fine + "%firstboot --interpreter=busybox\n# esxcli network firewall ruleset set --enabled=false --ruleset-id=sshServer\n",
	} {
		if found := Lint([]byte(text), Conditions{Version: "8.0.3", SecureBoot: &off}); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
	own := strings.Replace(fine, hash+"\n", "", 1)
	if found := Lint([]byte(own), Conditions{RootPassword: true}); len(found) > 0 {
		t.Errorf("a password that is added: %v", found)
	}
}

func FuzzLint(f *testing.F) {
	f.Add([]byte(fine))
	f.Add([]byte("rootpw 'a\"b\\c#d\n%pre\nincludes\n%include x\n"))
	f.Add([]byte("clearpart --drives=naa.5001,, --drives=\npart\n%pre\ndd of=/dev/disks/naa.50:1\n%include\ninstall --firstdisk=a,b --disk"))
	planned := &Planned{Disk: Disk{"wwn", "5000cca291e10521"}, Wipe: []Disk{{"serial", "S6-1"}, {"model", "X"}}}
	f.Fuzz(func(t *testing.T, text []byte) {
		lines := strings.Count(string(text), "\n") + 1
		for _, d := range Disks(string(text)) {
			if d.Line < 1 || d.Line > lines || d.Column < 1 || d.Command == "" {
				t.Fatalf("%+v in a text of %d lines", d, lines)
			}
		}
		for _, found := range Lint(text, Conditions{Version: "8.0.3", Planned: planned}) {
			if found.Line < 1 || found.Line > lines || found.Column < 1 || found.Reason == "" {
				t.Fatalf("%+v in a text of %d lines", found, lines)
			}
		}
	})
}

// FuzzRender: whatever is in the fields, a script is refused or is one that the
// linter cannot fault, with as many commands as it should have.
func FuzzRender(f *testing.F) {
	f.Add("naa.50", "esxi-1", "French", "echo x")
	f.Fuzz(func(t *testing.T, disk, hostname, keyboard, post string) {
		s := script()
		s.Disk, s.Network.Hostname, s.Keyboard, s.Post = Disk{"serial", disk}, hostname, keyboard, post
		text, err := s.Render()
		if err != nil {
			return
		}
		for _, found := range Lint(text, Conditions{Version: "8.0.3"}) {
			if !slices.Contains([]string{"keyboard", "option-value", "end-section", "command-in-script", "ssh-closed", "static-hostname"}, found.Rule) {
				t.Fatalf("%v in\n%s", found, text)
			}
		}
	})
}

// TestMisplacedCommands: every command of the installer is found at the start of a script's
// line, and nothing else is.
func TestMisplacedCommands(t *testing.T) {
	for _, line := range []string{
		"vmaccepteula", "accepteula ", "rootpw x", "serialnum --esx=A", "vmserialnum --esx=A", "install --firstdisk", "installorupgrade --disk=a", "upgrade --disk=a",
		"clearpart --alldrives", "network --bootproto=dhcp", "part x --ondisk=a", "partition --x", "keyboard 'US Default'", "keyboard German",
	} {
		want := !strings.HasPrefix(line, "part x") // the name comes first, as in a shell command
		if isMisplaced(line) != want {
			t.Errorf("%s: %v", line, !want)
		}
	}
	for _, line := range []string{"", " rootpw x", "installer --x", "install file", "vmaccepteula now", "keyboard=de", "networkd --x", "partprobe", "echo rootpw x"} {
		if isMisplaced(line) {
			t.Errorf("%q is taken for a command of the installer", line)
		}
	}
	for _, word := range commandWords {
		if !strings.Contains(misplaced.String(), word) {
			t.Errorf("%s begins no line that is looked for", word)
		}
	}
}

// TestFindingsDrawNothing: a script may come from anywhere, and findings quote it.
func TestFindingsDrawNothing(t *testing.T) {
	for _, script := range []string{"%pre --interpreter=\x1b[1m\n", "%firstboot --\u009bx\n", "install --disk=\x1b]0;x\a\n"} {
		for _, f := range Lint([]byte(script), Conditions{}) {
			if strings.ContainsAny(f.String(), "\x1b\a\u009b") {
				t.Errorf("%q: %q", script, f)
			}
		}
	}
}

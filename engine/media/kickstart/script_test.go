package kickstart

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func script() Script {
	return Script{RootHash: Crypt("VMware1!", "0123456789abcdef"), Disk: Disk{"model", "DELLBOSS VD"},
		Network: Network{Device: "B4:96:91:A7:3F:D6", Address: "192.0.2.86", Netmask: "255.255.255.0", Gateway: "192.0.2.1", Nameservers: []string{"192.0.2.53", "192.0.2.54", "192.0.2.55"}, Hostname: "esxi-1", VLAN: 203}}
}

// full uses all that a script can hold.
func full() Script {
	s := script()
	s.Wipe = []Disk{{"serial", "S6CSNE0RB00699"}, {"wwn", "naa.600508B1-001C-2F66-07D3-27AE65E786C6"}}
	s.VSAN, s.DryRun, s.SSH = true, true, true
	s.Keyboard, s.License = "Swiss German", "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"
	s.Commands = []string{"part datastore2 --ondisk=naa.5000cca291e10521"}
	s.Pre, s.Post, s.First = "echo pre\n", "#!/usr/bin/python\nprint('post')\n", "esxcli system ntp set -e true -s 192.0.2.9\n"
	return s
}

func render(t testing.TB, s Script) string {
	t.Helper()
	text, err := s.Render()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRender(t *testing.T) {
	for name, c := range map[string]struct {
		script Script
		want   []string
	}{
		"static": {script(), []string{"vmaccepteula\n", "rootpw --iscrypted '$6$", "%include /tmp/esxiplan-disk.cfg\n", "\nreboot\n%pre --interpreter=busybox\n",
			"network --bootproto=static --device='B4:96:91:A7:3F:D6' --ip='192.0.2.86' --netmask='255.255.255.0' --gateway='192.0.2.1' --nameserver='192.0.2.53,192.0.2.54' --hostname='esxi-1' --vlanid='203' --addvmportgroup='0'\n"}},
		"dhcp":  {func() Script { s := script(); s.Network.DHCP = true; return s }(), []string{"network --bootproto=dhcp --device='B4:96:91:A7:3F:D6' --vlanid='203' --addvmportgroup='0'\n"}},
		"named": {func() Script { s := script(); s.Disk = Disk{"name", "naa.5000"}; return s }(), []string{"\ninstall --disk='naa.5000' --overwritevmfs\n"}},
		"named, wipe": {func() Script {
			s := script()
			s.Disk, s.Wipe = Disk{"name", "naa.5000"}, []Disk{{"name", "naa.5001"}, {"name", "naa.5002"}}
			return s
		}(), []string{"\nclearpart --drives='naa.5001,naa.5002' --overwritevmfs\ninstall --disk='naa.5000' --overwritevmfs\n"}},
		"full": {full(), []string{"\ndryrun\n", "\nserialnum --esx='AAAAA-BBBBB-CCCCC-DDDDD-EEEEE'\n", "\nkeyboard 'Swiss German'\n", "\npart datastore2 --ondisk=naa.5000cca291e10521\nreboot\n",
			"\n# wipe: serial = S6CSNE0RB00699\n# wipe: wwn = 600508b1001c2f6607d327ae65e786c6\n", "--overwritevsan", "\n%pre --interpreter=busybox\necho pre\n",
			"\n%post --interpreter=python\n#!/usr/bin/python\n", "\nesxcli network firewall ruleset set --ruleset-id=sshServer --enabled=true\n%firstboot --interpreter=busybox\nesxcli system ntp"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := render(t, c.script)
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing in\n%s", want, text)
				}
			}
			off := false
			if errs := Errors(Lint([]byte(text), Conditions{Version: "8.0.3", SecureBoot: &off})); len(errs) > 0 {
				t.Errorf("the linter refuses what is rendered: %v\n%s", errs, text)
			}
		})
	}
}

// TestErrorsOfTheAncestor: each mistake of the tool from which this one comes
// (ESXi facts, §8) that a kickstart can hold is not repeated.
func TestErrorsOfTheAncestor(t *testing.T) {
	texts := map[string]string{"static": render(t, script()), "full": render(t, full())}
	for name, text := range texts {
		for what, pattern := range map[string]string{
			"clears all disks":                     `--alldrives`,
			"takes the first disk":                 `--firstdisk`,
			"has a password in plain text":         `(?m)^rootpw [^-]|VMware1!`,
			"has values that # or a blank cuts":    `(?m)^(rootpw|network|install|keyboard|serialnum|clearpart) .*=[^'\s]*[# ][^-]`,
			"uses the gateway as name server":      `--nameserver='?192\.0\.2\.1\b`,
			"closes SSH":                           `--enabled=false`,
			"reads from a disk by label":           `ks=hd:`,
			"holds %end, which ESXi does not know": `(?m)^%end`,
			"continues after a backslash":          `(?m)^[a-z]+ .*\\$`,
			"resolves a serial by --firstdisk":     `--firstdisk=.*S6CSNE`,
			"has Windows line ends":                "\r",
			"does not end with a restart":          `\A(?:[^r]|r[^e])*\z`,
		} {
			head, _, _ := strings.Cut(text, "%pre")
			if what == "continues after a backslash" {
				text = head
			}
			if regexp.MustCompile(pattern).MatchString(text) {
				t.Errorf("%s: it %s\n%s", name, what, text)
			}
		}
	}
}

func TestRenderRefusesWhatQuotingCannotCarry(t *testing.T) {
	for _, bad := range []string{"a'b", "a\nb", `a"b`, "a\\b", "ä", "$(reboot)`"} {
		s := script()
		s.Disk.Text = bad
		if _, err := s.Render(); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for name, s := range map[string]Script{
		"another install": {Disk: Disk{"name", "naa.1"}, Commands: []string{"install --disk=naa.2 --overwritevmfs"}}, "clears": {Disk: Disk{"name", "naa.1"}, Commands: []string{"clearpart --alldrives --overwritevmfs"}},
		"silences": {Disk: Disk{"name", "naa.1"}, Commands: []string{"part x --ondisk=naa.2 # esxiplan:ignore option-value"}},
		"no disk":  {}, "two lines": {Disk: Disk{"name", "naa.1"}, Commands: []string{"a\nb"}}, "comma": {Disk: Disk{"name", "naa.1"}, Wipe: []Disk{{"name", "a,b"}}},
		"includes": {Disk: Disk{"name", "naa.1"}, Pre: "echo x >> /tmp/esxiplan-disk.cfg"}, "includes, in quotes": {Disk: Disk{"model", "X"}, Pre: "cd /tmp; echo x >> esxiplan-'disk'.cfg"},
		"section": {Disk: Disk{"name", "naa.1"}, Pre: "echo\nincluded=1\n"}, "umlaut": {Disk: Disk{"name", "naa.1"}, First: "echo ä"},
	} {
		if _, err := s.Render(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// shell finds a POSIX shell, which CI must have.
func shell(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("sh")
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal("there is no shell, which CI must have")
	}
	if err != nil {
		t.Skip("there is no shell")
	}
	return path
}

// devices are disks as the installer lists them, with their models.
var devices = map[string]string{
	"naa.600508b1001c2f6607d327ae65e786c6":                     "LOGICAL VOLUME  ",
	"naa.600508b1001c2f6607d327ae65e786c6:1":                   "",
	"t10.ATA_____DELLBOSS_VD_____________________abc1230010":   "DELLBOSS VD",
	"t10.NVMe____MZVL2256____S6CSNE0RB00699__25384139210108DA": "MZVL2256HCHQ-00B",
	"t10.NVMe____MZVL2256____S6CSNE0RB00701__25384139210108DB": "MZVL2256HCHQ-00B",
	"t10.ATA_____WDC_WD2500____WX2D1":                          "WDC WD2500", "naa.7000": "A MODEL LONGER T",
	"eui.0025389a210108da": "Something", "mpx.vmhba0:C0:T0:L0": "USB DISK", "mpx.vmhba0:C0:T0:L0:5": "", "vml.0100": "DELLBOSS VD",
}

// resolve runs the %pre script in a real shell, with a stub for localcli and a
// folder instead of /vmfs/devices/disks, and returns what it writes.
func resolve(t *testing.T, s Script) (string, error) {
	t.Helper()
	dir := t.TempDir()
	var answers strings.Builder
	for name, model := range devices {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		answers.WriteString("'" + name + "') echo '   Model: " + model + "' ;;\n")
	}
	out := filepath.Join(t.TempDir(), "disk.cfg")
	text := strings.ReplaceAll(strings.ReplaceAll(s.resolver(), "/vmfs/devices/disks", dir), diskInclude, out)
	message, err := exec.Command(shell(t), "-c", "localcli() { case \"$6\" in\n"+answers.String()+"esac; }\n"+text).CombinedOutput()
	if err != nil {
		t.Logf("%s", message)
	}
	written, _ := os.ReadFile(out)
	return string(written), err
}

func TestResolver(t *testing.T) {
	for _, c := range []struct{ match, text, want string }{
		{"model", "DELLBOSS VD", "t10.ATA_____DELLBOSS_VD_____________________abc1230010"},
		{"model", "dellboss vd", "t10.ATA_____DELLBOSS_VD_____________________abc1230010"},
		{"model", "DELLBOSS", ""}, {"model", "MZVL2256HCHQ-00B", ""}, {"model", "USB DISK", "mpx.vmhba0:C0:T0:L0"},
		{"serial", "S6CSNE0RB00699", "t10.NVMe____MZVL2256____S6CSNE0RB00699__25384139210108DA"}, {"serial", "CSNE0RB00699", ""}, {"serial", "6005", ""}, {"serial", "VD", ""}, {"serial", "WX-1", "t10.ATA_____WDC_WD2500____WX2D1"}, {"model", "A MODEL LONGER THAN SIXTEEN", "naa.7000"},
		{"wwn", "naa.600508B1-001C-2F66-07D3-27AE65E786C6", "naa.600508b1001c2f6607d327ae65e786c6"}, {"wwn", "0x600508b1001c2f6607d327ae65e786c6", "naa.600508b1001c2f6607d327ae65e786c6"},
		{"wwn", "00:25:38:9a:21:01:08:da", "eui.0025389a210108da"}, {"wwn", "da:08:01:21:9a:38:25:00", "eui.0025389a210108da"}, {"wwn", "5000", ""},
		{"name", "vml.0100", "vml.0100"}, {"name", "naa.5", ""},
	} {
		t.Run(c.match+" "+c.text, func(t *testing.T) {
			got, err := resolve(t, Script{Disk: Disk{c.match, c.text}})
			want := ""
			if c.want != "" {
				want = "install --disk='" + c.want + "' --overwritevmfs\n"
			}
			if got != want || (err == nil) != (want != "") {
				t.Errorf("got %q, want %q (%v)", got, want, err)
			}
		})
	}
}

// runPre runs all %pre scripts of a rendered kickstart in their order, up to the first that
// fails, as the installer does, and returns the file that is included then.
func runPre(t *testing.T, s Script) (included string, failed bool) {
	t.Helper()
	disks := t.TempDir()
	if err := os.WriteFile(filepath.Join(disks, "naa.7000"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "disk.cfg")
	for _, part := range strings.Split(render(t, s), "\n%")[1:] {
		header, text, _ := strings.Cut(part, "\n")
		if !strings.HasPrefix(header, "pre ") {
			continue
		}
		text = strings.NewReplacer("/vmfs/devices/disks", disks, diskInclude, out, "$RESULT", out).Replace(text)
		if err := exec.Command(shell(t), "-c", text).Run(); err != nil {
			failed = true
			break
		}
	}
	written, _ := os.ReadFile(out)
	return string(written), failed
}

// TestPreCannotDecideTheDisks: what a script of the plan leaves in the file that is included is
// gone when the installer reads it, however the script came by the file's name; and a script
// that fails ends the installation before a disk is decided upon.
func TestPreCannotDecideTheDisks(t *testing.T) {
	const want = "install --disk='naa.7000' --overwritevmfs\n"
	for name, c := range map[string]struct {
		pre, want string
		failed    bool
	}{
		"none":        {"", want, false},
		"overwritten": {"echo 'part data --ondisk=x' > \"$RESULT\"", want, false},
		"appended":    {"echo 'part data --ondisk=x' >> \"$RESULT\"", want, false},
		"failing":     {"exit 1", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			got, failed := runPre(t, Script{RootHash: Sample, Disk: Disk{"wwn", "7000"}, Pre: c.pre})
			if got != c.want || failed != c.failed {
				t.Errorf("the installer includes %q, want %q; failed %v", got, c.want, failed)
			}
		})
	}
}

// TestResolverWipes: disks to clear are found like the one to install on, and
// one that cannot be distinguished from others stops everything before a line is written.
func TestResolverWipes(t *testing.T) {
	boss := Disk{"model", "DELLBOSS VD"}
	for name, c := range map[string]struct {
		wipe []Disk
		want string
	}{
		"two":      {[]Disk{{"serial", "S6CSNE0RB00699"}, {"name", "naa.600508b1001c2f6607d327ae65e786c6"}}, "clearpart --drives='t10.NVMe____MZVL2256____S6CSNE0RB00699__25384139210108DA,naa.600508b1001c2f6607d327ae65e786c6' --overwritevmfs\ninstall --disk='t10.ATA_____DELLBOSS_VD_____________________abc1230010' --overwritevmfs\n"},
		"several":  {[]Disk{{"model", "MZVL2256HCHQ-00B"}}, ""},
		"the same": {[]Disk{boss}, ""},
		"none":     {[]Disk{{"serial", "nothing"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := resolve(t, Script{Disk: boss, Wipe: c.wipe})
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q, want %q (%v)", got, c.want, err)
			}
		})
	}
}

func TestCheckMediaSize(t *testing.T) {
	for _, c := range []struct {
		size, version string
		ok            bool
	}{
		{"small", "", true}, {"small", "6.7.0", false}, {"small", "7.0.0", false}, {"small", "7.0.3", true}, {"min", "8.0.3", true}, {"small", "9.0.0", false}, {"max", "9.1.0", true},
	} {
		if err := CheckMediaSize(c.size, c.version); (err == nil) != c.ok {
			t.Errorf("%s on %q: %v", c.size, c.version, err)
		}
	}
}

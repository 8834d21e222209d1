package twin

import (
	"strings"
	"testing"
)

const good = `vmaccepteula
rootpw --iscrypted '$6$salt$xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'
install --disk='naa.5000' --overwritevmfs
network --bootproto=static --ip='192.0.2.11' --netmask='255.255.255.0' --gateway='192.0.2.1'
reboot
`

// TestInstallerRefuses what ESXi would refuse, or only warn of.
func TestInstallerRefuses(t *testing.T) {
	if _, err := parseKickstart([]byte(good)); err != nil {
		t.Fatal(err)
	}
	if _, err := parseKickstart([]byte(strings.ReplaceAll(good, "\n", "\r\n"))); err != nil {
		t.Errorf("lines that end with CR LF: %v", err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"reboot", "reboot\r#", "ASCII"},
		{"vmaccepteula\n", "", "license"}, {"reboot\n", "", "no reboot"}, {"$6$salt", "$5$salt", "crypted password"}, {"--iscrypted ", "", "crypted password"},
		{"--netmask='255.255.255.0'", "--netmask=''", "netmask"}, {"reboot", "reboot\nreboot", "given twice"}, {"install", "instal", "unknown command"}, {"--overwritevmfs", "--overwritevmf", "does not know"},
		{"reboot", "reboot\n%end", "unknown command"}, {"'naa.5000'", "'naa.5000", "closing quotation"}, {"192.0.2.11", "192.0.2.ä", "ASCII"},
	} {
		_, err := parseKickstart([]byte(strings.Replace(good, c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q: %v", c.new, c.old, err)
		}
	}
}

// TestMarks: the last %pre script that says which disks it looks for is the one that decides;
// what a script of the plan says before it does not count.
func TestMarks(t *testing.T) {
	text := good + "%pre\n# resolve: serial = S3\n# wipe: wwn = 5001\ntrue\n%pre --interpreter=busybox\n# resolve: model = M1\n# wipe: serial = S2\nfind_disk\n%post\n# resolve: model = M2\n"
	s, err := parseKickstart([]byte(text))
	if err != nil || s.resolve != "model = M1" || len(s.wipes) != 1 || s.wipes[0] != "serial = S2" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestChoose(t *testing.T) {
	disks := []device{{"naa.5000", "M1", "S1"}, {"naa.5001", "M2", "S2"}, {"naa.5002", "M2", "S3"}}
	for resolve, want := range map[string]string{"model = m1": "naa.5000", "model = M2": "", "serial = S3": "naa.5002", "wwn = 0x5001": "naa.5001", "model = M9": "", "colour = red": ""} {
		s := &script{commands: map[string]command{}, resolve: resolve}
		d, err := s.choose(disks)
		if d.name != want || (err == nil) != (want != "") {
			t.Errorf("%s: %v, %v", resolve, d, err)
		}
	}
}

func FuzzKickstart(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("%pre\n# resolve: model = x\n%include /tmp/x\n"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		if s, err := parseKickstart(data); err == nil {
			s.choose([]device{{"naa.5000", "M1", "S1"}})
			s.rootHash()
			s.address()
		}
	})
}

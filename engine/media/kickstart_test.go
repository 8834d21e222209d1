package media

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func kickstart() Kickstart {
	return Kickstart{RootHash: "$6$salt$" + strings.Repeat("x", 86), Disk: Disk{Match: "model", Text: "DELLBOSS VD"},
		Network: Network{Device: "B4:96:91:A7:3F:D6", Address: "192.0.2.86", Netmask: "255.255.255.0", Gateway: "192.0.2.1", Nameservers: []string{"192.0.2.53", "192.0.2.54", "192.0.2.55"}, Hostname: "esxi-1", VLAN: 203}}
}

func TestKickstart(t *testing.T) {
	script, err := kickstart().Render()
	if err != nil {
		t.Fatal(err)
	}
	text := string(script)
	for _, want := range []string{
		"vmaccepteula\n", "rootpw --iscrypted '$6$salt$", "%include /tmp/esxiplan-disk.cfg\n", "\nreboot\n",
		"network --bootproto=static --device='B4:96:91:A7:3F:D6' --ip='192.0.2.86' --netmask='255.255.255.0' --gateway='192.0.2.1' --nameserver='192.0.2.53,192.0.2.54' --hostname='esxi-1' --vlanid='203' --addvmportgroup='0'\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	for _, never := range []string{"clearpart", "--firstdisk", "%end", "\\\n", "\r"} {
		if strings.Contains(text, never) {
			t.Errorf("%q must not be in a kickstart", never)
		}
	}
	for line := range strings.Lines(text[strings.Index(text, "%pre")+1:]) {
		for _, opens := range []string{"%", "include"} {
			if strings.HasPrefix(line, opens) && !strings.HasPrefix(line, "pre ") {
				t.Errorf("the line %q of a script would open a section", line)
			}
		}
	}
}

func TestKickstartRefusesWhatQuotingCannotCarry(t *testing.T) {
	for _, bad := range []string{"a'b", "a\nb", `a"b`, "a\\b", "ä", "$(reboot)`"} {
		k := kickstart()
		k.Disk.Text = bad
		if _, err := k.Render(); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestResolver runs the %pre script in a real shell, with a stub for localcli and a
// folder in the place of /vmfs/devices/disks.
func TestResolver(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("there is no shell, which CI must have")
		}
		t.Skip("there is no shell")
	}
	devices := map[string]string{ // name → model
		"naa.600508b1001c2f6607d327ae65e786c6":                     "LOGICAL VOLUME  ",
		"naa.600508b1001c2f6607d327ae65e786c6:1":                   "",
		"t10.ATA_____DELLBOSS_VD_____________________abc1230010":   "DELLBOSS VD",
		"t10.NVMe____MZVL2256____S6CSNE0RB00699__25384139210108DA": "MZVL2256HCHQ-00B",
		"t10.NVMe____MZVL2256____S6CSNE0RB00701__25384139210108DB": "MZVL2256HCHQ-00B",
		"eui.0025389a210108da":                                     "Something", "mpx.vmhba0:C0:T0:L0": "USB DISK", "mpx.vmhba0:C0:T0:L0:5": "", "vml.0100": "DELLBOSS VD",
	}
	for _, c := range []struct{ match, text, want string }{
		{"model", "DELLBOSS VD", "t10.ATA_____DELLBOSS_VD_____________________abc1230010"},
		{"model", "dellboss vd", "t10.ATA_____DELLBOSS_VD_____________________abc1230010"},
		{"model", "DELLBOSS", ""}, {"model", "MZVL2256HCHQ-00B", ""}, {"model", "USB DISK", "mpx.vmhba0:C0:T0:L0"},
		{"serial", "S6CSNE0RB00699", "t10.NVMe____MZVL2256____S6CSNE0RB00699__25384139210108DA"}, {"serial", "CSNE0RB00699", ""}, {"serial", "6005", ""},
		{"wwn", "naa.600508B1-001C-2F66-07D3-27AE65E786C6", "naa.600508b1001c2f6607d327ae65e786c6"}, {"wwn", "0x600508b1001c2f6607d327ae65e786c6", "naa.600508b1001c2f6607d327ae65e786c6"},
		{"wwn", "00:25:38:9a:21:01:08:da", "eui.0025389a210108da"}, {"wwn", "da:08:01:21:9a:38:25:00", "eui.0025389a210108da"}, {"wwn", "5000", ""},
	} {
		t.Run(c.match+" "+c.text, func(t *testing.T) {
			dir := t.TempDir()
			var answers strings.Builder
			for name, model := range devices {
				if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				answers.WriteString("'" + name + "') echo '   Model: " + model + "' ;;\n")
			}
			out := filepath.Join(t.TempDir(), "disk.cfg")
			script := Disk{Match: c.match, Text: c.text}.resolver()
			script = strings.ReplaceAll(strings.ReplaceAll(script, "/vmfs/devices/disks", dir), diskInclude, out)
			script = "localcli() { case \"$6\" in\n" + answers.String() + "esac; }\n" + script
			message, err := exec.Command(shell, "-c", script).CombinedOutput()
			got, _ := os.ReadFile(out)
			want := ""
			if c.want != "" {
				want = "install --disk='" + c.want + "' --overwritevmfs\n"
			}
			if string(got) != want || (err == nil) != (want != "") {
				t.Errorf("got %q, want %q (%v: %s)", got, want, err, message)
			}
		})
	}
}

func TestBootConfig(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"8.0":             {"kernel=/b.b00\nkernelopt=runweasel cdromBoot\nmodules=/k.b00\n", "kernel=/b.b00\nkernelopt=runweasel ks=cdrom:/KS.CFG a=1\nmodules=/k.b00\n"},
		"5.x":             {"bootstate=0\nkernel=/tboot.b00\nkernelopt=runweasel\nunknown line\n", "bootstate=0\nkernel=/tboot.b00\nkernelopt=runweasel ks=cdrom:/KS.CFG a=1\nunknown line\n"},
		"no runweasel":    {"kernel=/b.b00\nkernelopt=ks=usb debug\n", "kernel=/b.b00\nkernelopt=runweasel debug ks=cdrom:/KS.CFG a=1\n"},
		"the last counts": {"kernel=/b.b00\nKernelOpt = old\n# kernelopt=x\nkernelopt = runweasel  x\r\n", "kernel=/b.b00\n# kernelopt=x\nkernelopt=runweasel x ks=cdrom:/KS.CFG a=1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := ParseBootConfig([]byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Kickstart("/KS.CFG", []string{"a=1"}); err != nil {
				t.Fatal(err)
			}
			if got := string(b.Bytes()); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
	b, _ := ParseBootConfig([]byte("kernel=/b.b00\nkernelopt=runweasel\n"))
	if b.Kickstart("/KS.CFG", []string{"two words"}) == nil || b.Kickstart("/KS.CFG", []string{strings.Repeat("x", 4000)}) == nil {
		t.Error("options that the loader cannot take are accepted")
	}
}

func FuzzBootConfig(f *testing.F) {
	f.Add([]byte("kernel=/b.b00\nkernelopt=runweasel cdromBoot\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParseBootConfig(data)
		if err != nil || b.Kickstart("/KS.CFG", nil) != nil {
			return
		}
		again, err := ParseBootConfig(b.Bytes())
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if option, _ := again.Get("kernelopt"); !strings.Contains(option, "ks=cdrom:/KS.CFG") {
			t.Fatalf("kernelopt reads %q", option)
		}
	})
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("CD001"))
	f.Add(bytes.Repeat([]byte{1, 'C', 'D', '0', '0', '1'}, 8000))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		if image, err := b.Overlay([]Change{{"/KS.CFG", []byte("x")}}); err == nil {
			image.ReadAt(make([]byte, 4096), 16*Sector)
		}
	})
}

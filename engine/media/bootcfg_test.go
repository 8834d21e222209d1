package media

import (
	"strings"
	"testing"

	"esxiplan/engine/media/kickstart"
)

func TestBootConfig(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"8.0":             {"kernel=/b.b00\nkernelopt=runweasel cdromBoot\nmodules=/k.b00\n", "kernel=/b.b00\nkernelopt=runweasel ks=cdrom:/KS.CFG a=1\nmodules=/k.b00\n"},
		"6.7":             {"timeout=5\nprefix=\nkernel=/b.b00\nkernelopt=cdromBoot runweasel\n", "timeout=5\nprefix=\nkernel=/b.b00\nkernelopt=runweasel ks=cdrom:/KS.CFG a=1\n"},
		"5.x":             {"bootstate=0\nkernel=/tboot.b00\nkernelopt=runweasel\nunknown line\n", "bootstate=0\nkernel=/tboot.b00\nkernelopt=runweasel ks=cdrom:/KS.CFG a=1\nunknown line\n"},
		"a kickstart":     {"kernel=/b.b00\nkernelopt=ks=usb runweasel debug\n", "kernel=/b.b00\nkernelopt=runweasel debug ks=cdrom:/KS.CFG a=1\n"},
		"the last counts": {"kernel=/b.b00\nKernelOpt = old\n# kernelopt=x\nkernelopt = runweasel  x\r\n", "kernel=/b.b00\n# kernelopt=x\nkernelopt=runweasel x ks=cdrom:/KS.CFG a=1\r\n"},
		"no line end":     {"title=\t x \r\nkernel=/b.b00\nkernelopt=runweasel", "title=\t x \r\nkernel=/b.b00\nkernelopt=runweasel ks=cdrom:/KS.CFG a=1"},
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
	for name, options := range map[string][]string{"two words": {"two words"}, "too long": {strings.Repeat("x", 4080)}, "another kickstart": {"ks=http://x/ks.cfg"}, "empty": {""}, "interactive": {"cdromBoot"}} {
		b, err := ParseBootConfig([]byte("kernel=/b.b00\nkernelopt=runweasel\n"))
		if err != nil || b.Kickstart("/KS.CFG", options) == nil {
			t.Errorf("%s: options that the loader cannot take are accepted (%v)", name, err)
		}
	}
}

// TestCheckOptions: an option that leads the installer elsewhere, or decides what the plan
// decides, is refused with a reason; the rest passes.
func TestCheckOptions(t *testing.T) {
	for option, want := range map[string]string{
		"ks=http://192.0.2.9/ks.cfg": "another kickstart", "KS=usb": "another kickstart", "ks": "another kickstart", "ks.device=vmnic0": "over the network",
		"ksdevice=vmnic0": "over the network", "netdevice=00:11:22:33:44:55": "over the network", "BOOTIF=01-00-11-22-33-44-55": "over the network",
		"ip=192.0.2.9": "over the network", "netmask=255.0.0.0": "over the network", "gateway=192.0.2.1": "over the network", "nameserver=192.0.2.53": "over the network", "vlanid=7": "over the network",
		"runweasel": "belongs to the image", "weaselin": "belongs to the image", "cdromBoot": "interactive installer",
		"autoPartition=TRUE": "all blank disks", "autoPartition": "all blank disks", "autoPartition=1": "all blank disks",
		"": "one word", "a b": "one word", "a\tb": "one word", "ä": "one word", "=x": "has no name", strings.Repeat("x", 4096): "bytes together",
		"autoPartition=FALSE": "", "installerDiskDumpSlotSize=2560": "", "allowLegacyCPU=true": "", "systemMediaSize=small": "", "text": "", "com1_Port=0x3f8": "", "ignoreHeadless=TRUE": "", "ipv6=x": "", "autoPartitionOSDataSize=4096": "",
	} {
		err := CheckOptions([]string{"nofb", option})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", option, err, want)
		}
	}
	if err := CheckOptions(nil); err != nil {
		t.Error(err)
	}
}

func TestInstalls(t *testing.T) {
	for name, c := range map[string]struct {
		request Request
		want    bool
	}{
		"generated":    {Request{}, true},
		"dry run":      {Request{Script: kickstart.Script{DryRun: true}}, false},
		"own":          {Request{Own: "install --disk=naa.50\n", Script: kickstart.Script{DryRun: true}}, true},
		"own, dry run": {Request{Own: "install --disk=naa.50\ndryrun\n"}, false},
		"in a script":  {Request{Own: "install --disk=naa.50\n%post\ndryrun\n"}, true},
		"in a comment": {Request{Own: "install --disk=naa.50 # dryrun\n"}, true},
	} {
		if got := c.request.Installs(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
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
		if err := again.Check("/KS.CFG"); err != nil {
			t.Fatalf("what was written does not install: %v", err)
		}
	})
}

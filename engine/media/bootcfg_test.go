package media

import (
	"strings"
	"testing"
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

package media_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"esxiplan/engine/media"
	"esxiplan/engine/media/isosim"
)

// source makes an installer-like image in a file.
func source(t testing.TB, o isosim.Options) string {
	t.Helper()
	if o.Version == "" {
		o.Version, o.Build = "7.0.3", "19482537"
	}
	path := filepath.Join(t.TempDir(), "installer.iso")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := isosim.Write(f, o); err != nil {
		t.Fatal(err)
	}
	return path
}

func installer(t testing.TB, o isosim.Options) *media.Installer {
	t.Helper()
	i, err := media.OpenInstaller(source(t, o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return i
}

func variants() map[string]isosim.Options {
	out := map[string]isosim.Options{}
	for name, o := range map[string]isosim.Options{"plain": {}, "rock ridge": {RockRidge: true}, "joliet": {Joliet: true}, "both": {RockRidge: true, Joliet: true}, "padded": {Padding: true}, "5.x": {Legacy: true}} {
		out[name] = o
	}
	return out
}

// TestPersonalise reads every variant back through a second index of the
// result: the new files are there in all trees, nothing else has changed.
func TestPersonalise(t *testing.T) {
	for name, o := range variants() {
		t.Run(name, func(t *testing.T) {
			i := installer(t, o)
			if i.Version != "7.0.3" || i.Build != "19482537" {
				t.Errorf("identified as %s build %s", i.Version, i.Build)
			}
			image, err := i.Personalise([]byte("vmaccepteula\n"), []string{"systemMediaSize=small"})
			if err != nil {
				t.Fatal(err)
			}
			whole, err := io.ReadAll(io.NewSectionReader(image, 0, image.Size()))
			if err != nil {
				t.Fatal(err)
			}
			again, err := media.Open(bytes.NewReader(whole), int64(len(whole)))
			if err != nil {
				t.Fatal(err)
			}
			script, err := again.ReadFile("/ks.cfg", 1<<20)
			if err != nil || string(script) != "vmaccepteula\n" {
				t.Errorf("KS.CFG reads %q, %v", script, err)
			}
			for _, path := range []string{"/BOOT.CFG", "/EFI/BOOT/BOOT.CFG"} {
				config, err := again.ReadFile(path, 1<<20)
				if err != nil || !strings.Contains(string(config), "kernelopt=runweasel ks=cdrom:/KS.CFG systemMediaSize=small\n") {
					t.Errorf("%s reads %q, %v", path, config, err)
				}
			}
			before, _ := i.BootEntries()
			after, _ := again.BootEntries()
			if fmt.Sprint(before) != fmt.Sprint(after) || len(after) != 2 || after[0].Platform != 0 || after[1].Platform != 0xEF {
				t.Errorf("boot entries were %v, are %v", before, after)
			}
			for _, path := range []string{"/K.B00", "/S0.V07", "/EFI/BOOT/BOOTX64.EFI", "/ISOLINUX.BIN", "/EFIBOOT.IMG"} {
				a, err1 := i.ReadFile(path, 1<<20)
				b, err2 := again.ReadFile(path, 1<<20)
				if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
					t.Errorf("%s changed (%v, %v)", path, err1, err2)
				}
			}
			if err := iotest.TestReader(io.NewSectionReader(image, 0, image.Size()), whole); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSameInputsSameBytes(t *testing.T) {
	i := installer(t, isosim.Options{RockRidge: true, Joliet: true})
	digest := func() string {
		image, err := i.Personalise([]byte("x\n"), nil)
		if err != nil {
			t.Fatal(err)
		}
		return image.Digest("base")
	}
	if a, b := digest(), digest(); a != b {
		t.Errorf("two builds differ: %s %s", a, b)
	}
}

// TestModuleCounts goes through directory sizes: where the root is full the
// kickstart goes beside the UEFI loader.
func TestModuleCounts(t *testing.T) {
	elsewhere := 0
	for n := 10; n < 100; n++ {
		i := installer(t, isosim.Options{Modules: n, Size: 16, RockRidge: n%2 == 0, Joliet: n%2 == 0})
		image, err := i.Personalise([]byte("x\n"), nil)
		if err != nil {
			t.Fatalf("%d modules: %v", n, err)
		}
		again, err := media.Open(image, image.Size())
		if err != nil {
			t.Fatalf("%d modules: %v", n, err)
		}
		path := "/KS.CFG"
		if !again.Exists(path) {
			path = "/EFI/BOOT/KS.CFG"
			elsewhere++
		}
		config, _ := again.ReadFile("/BOOT.CFG", 1<<20)
		if !again.Exists(path) || !strings.Contains(string(config), "ks=cdrom:"+path) {
			t.Errorf("%d modules: boot.cfg does not name the kickstart: %s", n, config)
		}
	}
	t.Logf("%d of 90 images had a full root directory", elsewhere)
}

func TestBadImages(t *testing.T) {
	good, err := os.ReadFile(source(t, isosim.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":      {nil, "not an ISO 9660 image"},
		"text":       {bytes.Repeat([]byte("hello\n"), 20000), "not an ISO 9660 image"},
		"truncated":  {good[:len(good)/2], "cut short"},
		"no bootcfg": {image(t, isosim.Options{Files: map[string]string{"BOOT.CFG": "-"}}), "holds no /BOOT.CFG"},
		"no efi":     {image(t, isosim.Options{Files: map[string]string{"EFI/BOOT/BOOT.CFG": "-"}}), "holds no /EFI/BOOT/BOOT.CFG"},
		"no option":  {image(t, isosim.Options{Files: map[string]string{"BOOT.CFG": "kernel=/b.b00\nmodules=/k.b00\n"}}), "no kernelopt line"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.iso")
			if err := os.WriteFile(path, c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := media.OpenInstaller(path)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to say %q", err, c.want)
			}
		})
	}
}

func image(t testing.TB, o isosim.Options) []byte {
	t.Helper()
	b, err := os.ReadFile(source(t, o))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

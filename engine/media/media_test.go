package media_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"esxiplan/engine/media"
	"esxiplan/engine/media/iso"
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

// TestPersonalise reads back, through another index, what was built: the new files
// are there, the options are as they should be, the boot entries as they were.
func TestPersonalise(t *testing.T) {
	for name, o := range map[string]isosim.Options{"plain": {}, "both": {RockRidge: true, Joliet: true}, "5.x": {Legacy: true}} {
		t.Run(name, func(t *testing.T) {
			i := installer(t, o)
			if i.Version != "7.0.3" || i.Build != "19482537" {
				t.Errorf("identified as %s build %s", i.Version, i.Build)
			}
			image, err := i.Personalise([]byte("vmaccepteula\n"), []string{"systemMediaSize=small"})
			if err != nil {
				t.Fatal(err)
			}
			if err := media.CheckImage(image, []byte("vmaccepteula\n")); err != nil {
				t.Error(err)
			}
			if err := media.CheckImage(image, []byte("another\n")); err == nil {
				t.Error("another kickstart passes the check")
			}
			again, err := iso.Open(image, image.Size())
			if err != nil {
				t.Fatal(err)
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
		})
	}
}

// TestFullDirectories: if the root is full, the kickstart goes next to the UEFI
// loader; if that is full, too, the directories move.
func TestFullDirectories(t *testing.T) {
	places := map[string]int{}
	for n := 10; n < 100; n++ {
		files := map[string]string{}
		for k := range n % 50 {
			files[fmt.Sprintf("EFI/BOOT/FILE%03d.EFI", k)] = "x"
		}
		i := installer(t, isosim.Options{Modules: n, Size: 16, RockRidge: n%2 == 0, Joliet: n%2 == 0, Files: files})
		image, err := i.Personalise([]byte("x\n"), nil)
		if err != nil {
			t.Fatalf("%d modules: %v", n, err)
		}
		if err := media.CheckImage(image, []byte("x\n")); err != nil {
			t.Fatalf("%d modules: %v", n, err)
		}
		again, err := iso.Open(image, image.Size())
		if err != nil {
			t.Fatal(err)
		}
		place := "root"
		if _, err := again.ReadFile("/KS.CFG", 100); err != nil {
			place = "EFI"
		}
		places[place]++
	}
	if places["EFI"] == 0 || places["root"] == 0 {
		t.Errorf("not every way was taken: %v", places)
	}
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
		"empty":        {nil, "not an ISO 9660 image"},
		"text":         {bytes.Repeat([]byte("hello\n"), 20000), "not an ISO 9660 image"},
		"truncated":    {good[:len(good)/2], "cut short"},
		"no bootcfg":   {image(t, isosim.Options{Files: map[string]string{"BOOT.CFG": "-"}}), "holds no /BOOT.CFG, by which a machine in BIOS mode boots"},
		"no efi":       {image(t, isosim.Options{Files: map[string]string{"EFI/BOOT/BOOT.CFG": "-"}}), "holds no /EFI/BOOT/BOOT.CFG, by which a machine in UEFI mode boots"},
		"no runweasel": {image(t, isosim.Options{Files: map[string]string{"BOOT.CFG": "kernel=/b.b00\nkernelopt=cdromBoot\nmodules=/k.b00\n"}}), "do not start the installer (no runweasel"},
		"UEFI":         {image(t, isosim.Options{Files: map[string]string{"EFI/BOOT/BOOT.CFG": "kernel=/b.b00\nkernelopt=installed\n"}}), "/EFI/BOOT/BOOT.CFG: its kernel options do not start the installer"},
		"unset":        {image(t, isosim.Options{Files: map[string]string{"BOOT.CFG": "kernel=/b.b00\nkernelopt=runweasel\nkernelopt=\n"}}), "no kernel options"},
		"too long":     {image(t, isosim.Options{Files: map[string]string{"BOOT.CFG": "kernel=/b.b00\nkernelopt=runweasel " + strings.Repeat("x", 4080) + "\n"}}), "the loader takes 4095"},
		"zeroed UEFI":  {image(t, isosim.Options{Files: map[string]string{"EFIBOOT.IMG": strings.Repeat("\x00", 65536)}}), "is empty: it begins with zeros, so no machine in UEFI mode boots from it"},
		"no loader":    {image(t, isosim.Options{Files: map[string]string{"EFIBOOT.IMG": isosim.EFIImage("SHELLX64", "MZ")}}), "holds no EFI/BOOT/BOOTX64.EFI, so no machine in UEFI mode boots from it: take the vendor's image"},
		"no option":    {image(t, isosim.Options{Files: map[string]string{"BOOT.CFG": "kernel=/b.b00\nmodules=/k.b00\n"}}), "no kernel options"},
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

// TestInvalidSource: if the installer image itself is invalid, the message says so, and
// not that the image built from it is.
func TestInvalidSource(t *testing.T) {
	path := source(t, isosim.Options{})
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, []byte("K.B00;1")) - 33
	binary.LittleEndian.PutUint32(data[at+10:], 40000)
	binary.BigEndian.PutUint32(data[at+14:], 40000)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = media.Assemble(media.Assembly{Source: path, Files: map[string][]byte{"/X.TXT": []byte("x")}, Out: filepath.Join(t.TempDir(), "out.iso")})
	if err == nil || !strings.Contains(err.Error(), path+": it is invalid itself: ") || !strings.Contains(err.Error(), "overlaps /K.B00") {
		t.Errorf("got %v", err)
	}
}

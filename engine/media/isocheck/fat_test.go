package isocheck

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"esxiplan/engine/media/isosim"
)

// TestLoaderInRealImages: the file systems that mtools makes, FAT12, FAT16 and FAT32, are
// read as mtools reads them; a long name, another file and a fragmented loader included.
func TestLoaderInRealImages(t *testing.T) {
	for name, options := range map[string][]string{
		"1.44 MB":     {"-f", "1440"},
		"FAT12":       {"-T", "4096", "-h", "16", "-s", "32"},
		"FAT16":       {"-T", "65536", "-h", "64", "-s", "32", "-c", "4"},
		"FAT32":       {"-T", "131072", "-h", "64", "-s", "32", "-c", "1", "-F"},
		"big sectors": {"-T", "32768", "-h", "64", "-s", "32", "-S", "4"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			image := filepath.Join(dir, "efi.img")
			mtool(t, dir, "mformat", append([]string{"-C", "-i", image}, append(options, "::")...)...)
			mtool(t, dir, "mmd", "-i", image, "::/EFI", "::/EFI/BOOT")
			loaderIs(t, image, "holds no EFI/BOOT/BOOTX64.EFI")
			mtool(t, dir, "mcopy", "-i", image, file(t, dir, "a name that is longer than 8.3", 5000), "::/EFI/BOOT/")
			mtool(t, dir, "mcopy", "-i", image, file(t, dir, "BOOTX64.EFI", 50000), "::/EFI/BOOT/")
			loaderIs(t, image, "")
			mtool(t, dir, "mdel", "-i", image, "::/EFI/BOOT/BOOTX64.EFI")
			loaderIs(t, image, "holds no EFI/BOOT/BOOTX64.EFI")
		})
	}
}

// TestGeneratedEFIImage: mtools reads out of a generated boot image what was put in.
func TestGeneratedEFIImage(t *testing.T) {
	dir := t.TempDir()
	content := "MZ" + strings.Repeat("loader", 5000)
	image, out := filepath.Join(dir, "efi.img"), filepath.Join(dir, "out")
	if err := os.WriteFile(image, []byte(isosim.EFIImage("BOOTX64", content)), 0o600); err != nil {
		t.Fatal(err)
	}
	mtool(t, dir, "mcopy", "-i", image, "::/EFI/BOOT/BOOTX64.EFI", out)
	if have, err := os.ReadFile(out); err != nil || string(have) != content {
		t.Errorf("mtools reads %d bytes, %d were written (%v)", len(have), len(content), err)
	}
}

// FuzzLoader: no boot image makes the checker panic, hang, or take much memory.
func FuzzLoader(f *testing.F) {
	f.Add([]byte(isosim.EFIImage("BOOTX64", "MZ")))
	f.Add([]byte(isosim.EFIImage("BOOTIA32", "MZ"))[:1600])
	f.Fuzz(func(_ *testing.T, image []byte) { CheckLoader(bytes.NewReader(image)) })
}

// mtool runs a program of Debian's mtools. CI must have it; elsewhere its absence skips
// the test by name.
func mtool(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	switch _, err := exec.LookPath(name); {
	case err != nil && os.Getenv("CI") != "":
		t.Fatalf("%s is missing, which CI must have (Debian package mtools)", name)
	case err != nil:
		t.Skipf("%s is not here (Debian package mtools)", name)
	}
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1", "MTOOLSRC="+filepath.Join(dir, "none"))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func file(t *testing.T, dir, name string, size int) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("MZ"+strings.Repeat("x", size)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func loaderIs(t *testing.T, image, want string) {
	t.Helper()
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	if problem, odd := CheckLoader(bytes.NewReader(data)); problem != want || odd != "" {
		t.Errorf("the checker says %q and %q, want %q", problem, odd, want)
	}
}

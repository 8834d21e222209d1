package media_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"esxiplan/engine/media"
	"esxiplan/engine/media/isosim"
)

// tool finds a program of Debian's. CI must have it; elsewhere its absence skips
// the check by name.
func tool(t *testing.T, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing, which CI must have (Debian package %s)", name, pkg)
	}
	t.Skipf("%s is not here (Debian package %s)", name, pkg)
	return ""
}

func output(t *testing.T, command string, args ...string) string {
	t.Helper()
	out, err := exec.Command(command, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", command, args, err, out)
	}
	return string(out)
}

// foreign makes images by the tools that people use, from the files of a
// generated one.
func foreign(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	output(t, tool(t, "bsdtar", "libarchive-tools"), "-xf", source(t, isosim.Options{}), "-C", tree)
	output(t, "chmod", "-R", "u+w", tree)
	mk, xo := tool(t, "genisoimage", "genisoimage"), tool(t, "xorriso", "xorriso")
	boot := []string{"-b", "ISOLINUX.BIN", "-c", "BOOT.CAT", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "-eltorito-alt-boot", "-e", "EFIBOOT.IMG", "-no-emul-boot"}
	out := map[string]string{}
	for name, options := range map[string][]string{
		"genisoimage plain": {}, "genisoimage -R": {"-R"}, "genisoimage -J": {"-J"}, "genisoimage -J -R": {"-relaxed-filenames", "-J", "-R"},
		"genisoimage no-pad": {"-no-pad"}, "genisoimage no version": {"-omit-version-number"}, "genisoimage level 4": {"-iso-level", "4"},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "_")+".iso")
		output(t, mk, append(append(append([]string{"-quiet", "-o", path}, options...), boot...), tree)...)
		out[name] = path
	}
	for name, options := range map[string][]string{"xorriso RR+Joliet": {"-joliet", "on"}, "xorriso md5": {"--md5"}} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "_")+".iso")
		output(t, xo, append(append(append([]string{"-as", "mkisofs", "-o", path}, map[bool][]string{true: {"--md5"}, false: {"-J", "-R"}}[options[0] == "--md5"]...), boot...), tree)...)
		out[name] = path
	}
	return out
}

// TestReaders lets four independent readers read the overlay of every variant:
// they see the new files, and all others byte by byte as in the source.
func TestReaders(t *testing.T) {
	sources := foreign(t)
	for name, o := range variants() {
		sources["generated "+name] = source(t, o)
	}
	for name, path := range sources {
		t.Run(name, func(t *testing.T) {
			base, err := media.OpenInstaller(path)
			if err != nil {
				t.Fatal(err)
			}
			defer base.Close()
			image, err := base.Personalise([]byte("vmaccepteula\n"), nil)
			if err != nil {
				t.Fatal(err)
			}
			built := filepath.Join(t.TempDir(), "built.iso")
			f, err := os.Create(built)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(f, io.NewSectionReader(image, 0, image.Size())); err != nil {
				t.Fatal(err)
			}
			f.Close()
			t.Log(base.Trees())
			checkElTorito(t, path, built)
			checkMedia(t, built)
			for reader, extract := range extractors(t) {
				compareTrees(t, reader, extract(path), extract(built))
			}
			isoinfo(t, built)
		})
	}
}

func checkElTorito(t *testing.T, source, built string) {
	t.Helper()
	xo := tool(t, "xorriso", "xorriso")
	entries := func(path string) string {
		var kept []string
		for line := range strings.Lines(output(t, xo, "-indev", path, "-report_el_torito", "plain")) {
			if strings.HasPrefix(line, "El Torito") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	before, after := entries(source), entries(built)
	if before != after || !strings.Contains(after, "BIOS") || !strings.Contains(after, "UEFI") {
		t.Errorf("boot entries were\n%sand are\n%s", before, after)
	}
}

func checkMedia(t *testing.T, built string) {
	t.Helper()
	if out := output(t, tool(t, "xorriso", "xorriso"), "-indev", built, "-check_media", "--"); strings.Contains(out, "MD5 MISMATCH") || strings.Contains(out, "unreadable") {
		t.Error(out)
	}
}

func extractors(t *testing.T) map[string]func(string) string {
	t.Helper()
	tar, seven, xo := tool(t, "bsdtar", "libarchive-tools"), tool(t, "7z", "p7zip-full"), tool(t, "xorriso", "xorriso")
	into := func(run func(iso, dir string)) func(string) string {
		return func(iso string) string {
			dir := t.TempDir()
			run(iso, dir)
			exec.Command("chmod", "-R", "u+w", dir).Run()
			return dir
		}
	}
	return map[string]func(string) string{
		"bsdtar":       into(func(iso, dir string) { output(t, tar, "-xf", iso, "-C", dir) }),
		"bsdtar plain": into(func(iso, dir string) { output(t, tar, "-xf", iso, "--options", "!rockridge,!joliet", "-C", dir) }),
		"7z":           into(func(iso, dir string) { output(t, seven, "x", "-y", "-o"+dir, iso) }),
		"xorriso":      into(func(iso, dir string) { output(t, xo, "-osirrox", "on", "-indev", iso, "-extract", "/", dir) }),
	}
}

// compareTrees demands the new kickstart, both changed boot.cfg files, and
// nothing else changed. The boot information that 7z shows is no file.
func compareTrees(t *testing.T, reader, before, after string) {
	t.Helper()
	files := func(dir string) map[string][]byte {
		out := map[string][]byte{}
		filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			rel, _ := filepath.Rel(dir, path)
			if err == nil && !d.IsDir() && !strings.HasPrefix(rel, "[BOOT]") {
				b, readErr := os.ReadFile(path)
				if readErr != nil {
					t.Error(readErr)
				}
				out[strings.ToUpper(rel)] = b
			}
			return nil
		})
		return out
	}
	old, now := files(before), files(after)
	if len(old) < 20 || len(now) != len(old)+1 {
		t.Errorf("%s sees %d files, then %d", reader, len(old), len(now))
	}
	for name, data := range now {
		changed := !bytes.Equal(old[name], data)
		should := name == "KS.CFG" || name == "EFI/BOOT/KS.CFG" || strings.HasSuffix(name, "BOOT.CFG")
		if changed != should {
			t.Errorf("%s: %s changed: %v", reader, name, changed)
		}
	}
}

func isoinfo(t *testing.T, built string) {
	t.Helper()
	path := tool(t, "isoinfo", "genisoimage")
	out, err := exec.Command(path, "-i", built, "-x", "/KS.CFG;1").Output()
	if err == nil && len(out) == 0 {
		out, err = exec.Command(path, "-i", built, "-x", "/KS.CFG").Output()
	}
	if err != nil || string(out) != "vmaccepteula\n" {
		t.Errorf("isoinfo reads %q, %v", out, err)
	}
}

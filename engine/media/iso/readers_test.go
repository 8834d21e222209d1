package iso_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"esxiplan/engine/media/iso"
	"esxiplan/engine/media/isocheck"
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

// once skips checks by external programs that take minutes, in a second run of the tests
// under the race detector.
func once(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("left out of short runs")
	}
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
// generated one: the variants of the format's specification sheet.
func foreign(t *testing.T, modules int, only ...string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "source.iso")
	if err := os.WriteFile(source, build(t, isosim.Options{Modules: modules, Size: 3000}), 0o600); err != nil {
		t.Fatal(err)
	}
	m := maker{t, dir, tool(t, "genisoimage", "genisoimage"), tool(t, "xorriso", "xorriso"), only, map[string]string{}}
	upper := m.unpacked(source, "upper")
	long := filepath.Join(upper, "VMWARE-ESX-BASE-OSL.TXT")
	if err := os.WriteFile(long, []byte("a name longer than 8.3"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.genisoimage("plain", upper)
	m.genisoimage("-J -R", upper, "-relaxed-filenames", "-J", "-R")
	m.genisoimage("-R", upper, "-relaxed-filenames", "-R")
	m.genisoimage("-J", upper, "-relaxed-filenames", "-J")
	if m.wanted("genisoimage the ancestor's") {
		lower := m.unpacked(source, "lower")
		lowerNames(t, lower)
		m.genisoimage("the ancestor's", lower, "-relaxed-filenames", "-J", "-R")
	}
	m.genisoimage("-iso-level 4", upper, "-iso-level", "4")
	m.genisoimage("-no-pad", upper, "-no-pad")
	m.genisoimage("-omit-version-number", upper, "-omit-version-number")
	m.xorriso("RR+Joliet", upper, nil, "-J", "-R")
	m.xorriso("Joliet only", upper, nil, "-J", "--norock")
	m.xorriso("--md5", upper, nil, "-J", "-R", "--md5")
	m.xorriso("appended partition", upper, []string{"-append_partition", "2", "0xef", filepath.Join(upper, "EFIBOOT.IMG"), "-appended_part_as_gpt", "--protective-msdos-label"}, "-J", "-R")
	if slices.Contains(only, mixedCase) {
		mixed := m.unpacked(source, "mixed")
		for _, name := range []string{"Kr.txt", "a.txt", "a-b.txt", "_x.txt", "zz.TXT", "Abc.txt", "ABC2.TXT"} {
			if err := os.WriteFile(filepath.Join(mixed, name), []byte(name), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		m.genisoimage("mixed case", mixed, "-J")
		m.xorriso("mixed case", mixed, nil, "-J", "--norock")
	}
	m.xorriso("-iso-level 4", upper, nil, "-iso-level", "4", "-J", "-R")
	m.xorriso("EFI image in a partition only", upper, []string{"-append_partition", "2", "0xef", filepath.Join(upper, "EFIBOOT.IMG"), "-e", "--interval:appended_partition_2:all::"}, "-J", "-R")
	if m.wanted("xorriso hard links") {
		m.xorriso("hard links", m.linked(upper), nil, "-J", "-R")
	}
	m.xorriso("hybrid", upper, []string{"-efi-boot-part", "--efi-boot-image", "--protective-msdos-label"}, "-J", "-R")
	return m.made
}

// lowerNames gives every file the name that Linux shows of a plain image.
func lowerNames(t *testing.T, tree string) {
	t.Helper()
	var all []string
	filepath.WalkDir(tree, func(path string, _ os.DirEntry, err error) error {
		all = append([]string{path}, all...) // children first
		return err
	})
	for _, path := range all[:len(all)-1] {
		if err := os.Rename(path, filepath.Join(filepath.Dir(path), strings.ToLower(filepath.Base(path)))); err != nil {
			t.Fatal(err)
		}
	}
}

// maker runs the tools that make images.
type maker struct {
	t            *testing.T
	dir          string
	geniso, xorr string
	only         []string // names, none for all
	made         map[string]string
}

// mixedCase asks for all, and for images whose Joliet names are sorted in another way than the
// plain ones. The programs that read do not care about the order.
const mixedCase = "mixed case"

func (m maker) wanted(name string) bool {
	return len(m.only) == 0 || slices.Contains(m.only, name) || slices.Contains(m.only, mixedCase)
}

func (m maker) out(name string) string {
	path := filepath.Join(m.dir, strings.Map(func(r rune) rune {
		if r == ' ' || r == '\'' {
			return '_'
		}
		return r
	}, name)+".iso")
	m.made[name] = path
	return path
}

// unpacked is a tree of its own with the files of an image.
func (m maker) unpacked(image, name string) string {
	tree := filepath.Join(m.dir, name)
	if err := os.Mkdir(tree, 0o755); err != nil {
		m.t.Fatal(err)
	}
	output(m.t, tool(m.t, "bsdtar", "libarchive-tools"), "-xf", image, "-C", tree)
	output(m.t, "chmod", "-R", "u+w", tree)
	return tree
}

// linked is a copy of a tree in which both boot.cfg are one file.
func (m maker) linked(tree string) string {
	linked := filepath.Join(m.dir, "linked")
	output(m.t, "cp", "-r", tree, linked)
	second := filepath.Join(linked, "EFI", "BOOT", "BOOT.CFG")
	if err := os.Remove(second); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Link(filepath.Join(linked, "BOOT.CFG"), second); err != nil {
		m.t.Fatal(err)
	}
	return linked
}

func bootOptions(tree string) []string {
	names := []string{"ISOLINUX.BIN", "BOOT.CAT", "EFIBOOT.IMG"}
	if _, err := os.Stat(filepath.Join(tree, "isolinux.bin")); err == nil {
		names = []string{"isolinux.bin", "boot.cat", "efiboot.img"}
	}
	return []string{"-b", names[0], "-c", names[1], "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "-eltorito-alt-boot", "-e", names[2], "-no-emul-boot"}
}

func (m maker) genisoimage(name, tree string, options ...string) {
	if !m.wanted("genisoimage " + name) {
		return
	}
	args := append([]string{"-quiet", "-o", m.out("genisoimage " + name)}, options...)
	output(m.t, m.geniso, append(append(args, bootOptions(tree)...), tree)...)
}

func (m maker) xorriso(name, tree string, last []string, options ...string) {
	if !m.wanted("xorriso " + name) {
		return
	}
	args := append([]string{"-as", "mkisofs", "-o", m.out("xorriso " + name)}, options...)
	args = append(append(args, bootOptions(tree)...), last...)
	output(m.t, m.xorr, append(args, tree)...)
}

// TestToolsAreValid: the checker finds no fault with what the tools make, and none with an
// overlay of it; nor does it call the order of mixed-case Joliet names unusual, before or
// after the overlay has put its names among them.
func TestToolsAreValid(t *testing.T) {
	for name, path := range foreign(t, 12, mixedCase) {
		t.Run(name, func(t *testing.T) {
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			valid(t, "the image", source)
			for relocationName, relocation := range relocations {
				image, err := open(t, source).Overlay(laid(relocation), iso.WhenFull(max(relocation, iso.Relocate)))
				if err != nil {
					t.Fatal(err)
				}
				valid(t, "the overlay, "+relocationName, bytesOf(t, image))
			}
		})
	}
}

func valid(t *testing.T, what string, data []byte) {
	t.Helper()
	report, err := isocheck.Check(bytes.NewReader(data), int64(len(data)))
	if err != nil || !report.OK() {
		t.Errorf("%s: %v %v", what, err, report.Findings)
	}
	for _, f := range report.Findings {
		if f.Rule == "order" {
			t.Errorf("%s: %v", what, f)
		}
	}
}

// TestReaders lets independent readers read the overlay of every variant, in place
// and relocated: they see the new files, and all others byte by byte as in the source.
func TestReaders(t *testing.T) {
	once(t)
	sources := foreign(t, 12)
	for name, path := range foreign(t, 77) {
		sources[name+", 77 modules"] = path
	}
	for name, o := range variants {
		path := filepath.Join(t.TempDir(), "generated.iso")
		if err := os.WriteFile(path, build(t, o), 0o600); err != nil {
			t.Fatal(err)
		}
		sources["generated "+name] = path
	}
	for name, path := range sources {
		for relocationName, relocation := range relocations {
			t.Run(name+", "+relocationName, func(t *testing.T) {
				t.Parallel()
				readers(t, path, relocation)
			})
		}
	}
}

// laid are the changes that readers look for; a relocated image gets one more file.
func laid(relocation iso.Relocation) []iso.Change {
	out := []iso.Change{{Path: "/KS.CFG", Data: []byte("vmaccepteula\n")}, {Path: "/BOOT.CFG", Data: bytes.Repeat([]byte("bios\n"), 500)}, {Path: "/EFI/BOOT/BOOT.CFG", Data: []byte("uefi\n")}}
	if relocation == iso.RelocateAlways {
		out = append(out, iso.Change{Path: "/EFI/BOOT/KS.CFG", Data: []byte("vmaccepteula\n")})
	}
	return out
}

func readers(t *testing.T, path string, relocation iso.Relocation) {
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	base := open(t, source)
	changed := laid(relocation)
	image, err := base.Overlay(changed, iso.WhenFull(max(relocation, iso.Relocate)))
	if err != nil {
		t.Fatal(err)
	}
	built := written(t, image)
	t.Log(base.Trees(), base.Warnings())
	checked(t, source, image)
	checkElTorito(t, path, built)
	checkMedia(t, path, built)
	for reader, extract := range extractors(t) {
		compareTrees(t, reader, extract(path), extract(built), changed)
	}
	isoinfo(t, built, base)
	checkPartitions(t, path, built, base)
	checkMD5(t, path, relocation)
}

// written is the image as a file.
func written(t *testing.T, image *iso.Image) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "built.iso")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := image.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	return path
}

// checked lets the own checker judge: nothing is found that the base does not have.
func checked(t *testing.T, source []byte, image *iso.Image) {
	t.Helper()
	report, err := isocheck.Check(image, image.Size())
	if err != nil || report.Err() != nil {
		t.Errorf("%v %v", err, report.Findings)
	}
	report, err = isocheck.Compare(image, image.Size(), bytes.NewReader(source), int64(len(source)))
	if err != nil || report.Err() != nil {
		t.Errorf("%v %v", err, report.Findings)
	}
}

func checkElTorito(t *testing.T, source, built string) {
	t.Helper()
	xo := tool(t, "xorriso", "xorriso")
	entries := func(path string) string {
		var kept []string
		for line := range strings.Lines(output(t, xo, "-indev", path, "-report_el_torito", "plain")) {
			if strings.HasPrefix(line, "El Torito") && !strings.Contains(line, "hdsiz") {
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

func checkMedia(t *testing.T, source, built string) {
	t.Helper()
	xo := tool(t, "xorriso", "xorriso")
	out := output(t, xo, "-indev", built, "-check_media", "--")
	if strings.Contains(out, "MD5 MISMATCH") || strings.Contains(out, "unreadable") {
		t.Error(out)
	}
}

// extractors are the ways to read an image: 3 programs, 7 ways in all; isoinfo is one more.
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
	load := func(options ...string) func(string) string {
		return into(func(iso, dir string) {
			output(t, xo, append(options, "-osirrox", "on", "-indev", iso, "-extract", "/", dir)...)
		})
	}
	return map[string]func(string) string{
		"bsdtar":           into(func(iso, dir string) { output(t, tar, "-xf", iso, "-C", dir) }),
		"bsdtar joliet":    into(func(iso, dir string) { output(t, tar, "-xf", iso, "--options", "!rockridge", "-C", dir) }),
		"bsdtar plain":     into(func(iso, dir string) { output(t, tar, "-xf", iso, "--options", "!rockridge,!joliet", "-C", dir) }),
		"7z":               into(func(iso, dir string) { output(t, seven, "x", "-y", "-o"+dir, iso) }),
		"xorriso":          load(),
		"xorriso norock":   load("-read_fs", "norock"),
		"xorriso nojoliet": load("-read_fs", "nojoliet"),
	}
}

// compareTrees demands the new and changed files, and nothing else changed. The boot
// information that 7z shows is no file.
func compareTrees(t *testing.T, reader, before, after string, changes []iso.Change) {
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
	for _, c := range changes {
		if have := now[strings.TrimPrefix(c.Path, "/")]; !bytes.Equal(have, c.Data) {
			t.Errorf("%s: %s reads %.20q …", reader, c.Path, have)
		}
	}
	differ := 0
	for name, data := range now {
		was, there := old[name]
		changed := !there || !bytes.Equal(was, data)
		should := strings.HasSuffix(name, "KS.CFG") || strings.HasSuffix(name, "BOOT.CFG")
		if changed != should {
			t.Errorf("%s: %s changed: %v", reader, name, changed)
		}
		if changed {
			differ++
		}
	}
	for name := range old {
		if _, there := now[name]; !there {
			t.Errorf("%s: %s is gone", reader, name)
		}
	}
	if len(old) < 20 || differ != len(changes) {
		t.Errorf("%s sees %d files, then %d, of which %d changed", reader, len(old), len(now), differ)
	}
}

// isoinfo reads the new file in every name space that the image has.
func isoinfo(t *testing.T, built string, base *iso.Base) {
	t.Helper()
	path := tool(t, "isoinfo", "genisoimage")
	ways := map[string][]string{"plain": nil}
	for _, tree := range base.Trees() {
		if tree.RockRidge {
			ways["Rock Ridge"] = []string{"-R"}
		}
		if tree.Kind == iso.Joliet {
			ways["Joliet"] = []string{"-J"}
		}
	}
	for way, option := range ways {
		read := ""
		for _, name := range []string{"/KS.CFG", "/KS.CFG;1", "/ks.cfg"} {
			if out, err := exec.Command(path, append(option, "-i", built, "-x", name)...).Output(); err == nil && len(out) > 0 {
				read = string(out)
			}
		}
		if read != "vmaccepteula\n" {
			t.Errorf("isoinfo (%s) reads %q", way, read)
		}
	}
}

// checkPartitions lets sgdisk judge the partition table of a hybrid: it finds no
// more than in the base.
func checkPartitions(t *testing.T, source, built string, base *iso.Base) {
	t.Helper()
	hybrid := false
	for _, w := range base.Warnings() {
		hybrid = hybrid || w.ID == "gpt"
	}
	if !hybrid {
		return
	}
	sg := tool(t, "sgdisk", "gdisk")
	problems := func(path string) string {
		out, _ := exec.Command(sg, "-v", path).CombinedOutput()
		return fmt.Sprint(strings.Count(string(out), "Problem:"), " problems, ", strings.Count(string(out), "corrupt"), " corrupt")
	}
	if before, after := problems(source), problems(built); before != after {
		t.Errorf("sgdisk found %s, and finds %s", before, after)
	}
}

// checkMD5: an image that holds a checksum of itself no longer claims to.
func checkMD5(t *testing.T, source string, relocation iso.Relocation) {
	t.Helper()
	implant, check := tool(t, "implantisomd5", "isomd5sum"), tool(t, "checkisomd5", "isomd5sum")
	marked := filepath.Join(t.TempDir(), "marked.iso")
	data, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(marked, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if exec.Command(implant, marked).Run() != nil || exec.Command(check, marked).Run() != nil {
		return // the tool does not take every image
	}
	data, _ = os.ReadFile(marked)
	image, err := open(t, data).Overlay(laid(relocation), iso.WhenFull(max(relocation, iso.Relocate)))
	if err != nil {
		t.Fatal(err)
	}
	built := written(t, image)
	if out, _ := exec.Command(check, "--md5sumonly", built).CombinedOutput(); !strings.Contains(string(out), "No checksum information") {
		t.Errorf("checkisomd5 says %s", out)
	}
}

// TestRefusalsByTool: images in which a change would be seen by some readers only.
func TestRefusalsByTool(t *testing.T) {
	once(t)
	tree := t.TempDir()
	for name, text := range map[string]string{"BOOT.CFG": "x", "ks.cfgold": "an old one"} {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	geniso, xorr := tool(t, "genisoimage", "genisoimage"), tool(t, "xorriso", "xorriso")
	out := filepath.Join(t.TempDir(), "x.iso")
	for name, c := range map[string]struct {
		command []string
		want    iso.Reason
	}{
		"a name that was cut":     {[]string{geniso, "-quiet", "-R", "-o", out, tree}, iso.Ambiguous},
		"cut in one tree":         {[]string{geniso, "-quiet", "-J", "-o", out, tree}, iso.Contradiction},
		"HFS":                     {[]string{geniso, "-quiet", "-hfs", "-o", out, tree}, iso.SecondSystem},
		"HFS+":                    {[]string{xorr, "-as", "mkisofs", "-hfsplus", "-o", out, tree}, iso.SecondSystem},
		"a partition's own trees": {[]string{xorr, "-as", "mkisofs", "-partition_offset", "16", "-o", out, tree}, iso.SecondSystem},
	} {
		t.Run(name, func(t *testing.T) {
			os.Remove(out)
			output(t, c.command[0], c.command[1:]...)
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			base, err := iso.Open(bytes.NewReader(data), int64(len(data)))
			if err == nil {
				_, err = base.Overlay([]iso.Change{{Path: "/KS.CFG", Data: []byte("new")}})
			}
			var u *iso.Unsupported
			if !errors.As(err, &u) || u.Reason != c.want {
				t.Errorf("got %v, want the reason %q", err, c.want)
			}
		})
	}
}

// TestModuleCountsByTool finds directories that are really full, as the tools make
// them, and lets the forward-only reader read the moved ones.
func TestModuleCountsByTool(t *testing.T) {
	once(t)
	t.Parallel()
	tar := tool(t, "bsdtar", "libarchive-tools")
	var full atomic.Int32
	t.Run("modules", func(t *testing.T) {
		for n := 10; n < 100; n++ {
			t.Run(strconv.Itoa(n), func(t *testing.T) {
				t.Parallel()
				for name, path := range foreign(t, n, "genisoimage plain", "genisoimage -J -R", "xorriso RR+Joliet") {
					if relocated(t, tar, name, path) {
						full.Add(1)
					}
				}
			})
		}
	})
	if full.Load() == 0 {
		t.Error("no directory was full")
	}
}

// relocated compares what bsdtar lists of an image and of its overlay, and reports whether a
// directory of the image was full.
func relocated(t *testing.T, tar, name, path string) bool {
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	base := open(t, source)
	_, full := base.Overlay(laid(iso.Refuse))
	image, err := base.Overlay(laid(iso.Refuse), iso.WhenFull(iso.Relocate))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	checked(t, source, image)
	before, after := strings.Count(output(t, tar, "-tf", path), "\n"), strings.Count(output(t, tar, "-tf", written(t, image)), "\n")
	if after != before+1 {
		t.Errorf("%s: bsdtar lists %d entries, then %d", name, before, after)
	}
	return full != nil
}

package iso_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"esxiplan/engine/media/iso"
	"esxiplan/engine/media/isocheck"
	"esxiplan/engine/media/isosim"
)

func build(t testing.TB, o isosim.Options) []byte {
	t.Helper()
	if o.Version == "" {
		o.Version, o.Build = "8.0.3", "24674464"
	}
	var b bytes.Buffer
	if err := isosim.Write(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, data []byte) *iso.Base {
	t.Helper()
	b, err := iso.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func bytesOf(t testing.TB, i *iso.Image) []byte {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(i, 0, i.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// variants are the forms of images that a vendor's tool may have made.
var variants = map[string]isosim.Options{
	"plain": {}, "padded": {Padding: true}, "unversioned": {Unversioned: true}, "rock ridge": {RockRidge: true},
	"joliet": {Joliet: true}, "both": {RockRidge: true, Joliet: true}, "enhanced": {Enhanced: true}, "all trees": {RockRidge: true, Joliet: true, Enhanced: true},
	"continued": {RockRidge: true, Continued: true}, "continued joliet": {RockRidge: true, Continued: true, Joliet: true, Padding: true},
	"hybrid": {Hybrid: true}, "hybrid all": {Hybrid: true, RockRidge: true, Joliet: true, Padding: true},
	"kickstart there": {RockRidge: true, Joliet: true, Files: map[string]string{"KS.CFG": "old\n"}}, "5.x": {Legacy: true},
}

// changes are a replaced file in the root, one in a sub-directory, and two added ones.
func changes() []iso.Change {
	return []iso.Change{
		{Path: "/BOOT.CFG", Data: bytes.Repeat([]byte("bios\n"), 500)}, {Path: "/EFI/BOOT/BOOT.CFG", Data: []byte("uefi\n")},
		{Path: "/KS.CFG", Data: []byte("vmaccepteula\n")}, {Path: "/EFI/BOOT/EXTRA.TXT", Data: nil},
	}
}

var relocations = map[string]iso.Relocation{"in place": iso.Refuse, "relocated": iso.RelocateAlways}

// TestOverlay goes through all variants, in place and relocated: the checker that
// knows nothing of the builder is content, the plain reader finds every file, and
// nothing but metadata differs from the base.
func TestOverlay(t *testing.T) {
	for name, o := range variants {
		for relocationName, relocation := range relocations {
			t.Run(name+" "+relocationName, func(t *testing.T) {
				source := build(t, o)
				accept(t, "base", source)
				image, err := open(t, source).Overlay(changes(), iso.WhenFull(relocation))
				if err != nil {
					t.Fatal(err)
				}
				whole := bytesOf(t, image)
				accept(t, "overlay", whole)
				report, err := isocheck.Compare(bytes.NewReader(whole), int64(len(whole)), bytes.NewReader(source), int64(len(source)))
				if err != nil || !report.OK() {
					t.Errorf("compared with its base: %v %v", err, report.Findings)
				}
				if len(whole)%iso.Sector != 0 {
					t.Errorf("%d bytes are no whole number of sectors", len(whole))
				}
				sameFiles(t, source, whole, changes())
				if err := iotest.TestReader(io.NewSectionReader(image, 0, image.Size()), whole); err != nil {
					t.Error(err)
				}
				segmentsCover(t, image, whole)
			})
		}
	}
}

func accept(t *testing.T, what string, data []byte) {
	t.Helper()
	report, err := isocheck.Check(bytes.NewReader(data), int64(len(data)))
	if err != nil || len(report.Findings) > 0 {
		t.Errorf("%s: %v %v", what, err, report.Findings)
	}
}

// sameFiles demands that the plain reader sees the changes and, else, the old files.
func sameFiles(t *testing.T, before, after []byte, changed []iso.Change) {
	t.Helper()
	want, err := plainFiles(before)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changed {
		want[strings.Trim(c.Path, "/")] = string(c.Data)
	}
	have, err := plainFiles(after)
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range want {
		if have[path] != data {
			t.Errorf("%s reads %d bytes, %d are right", path, len(have[path]), len(data))
		}
	}
	if len(have) != len(want) {
		t.Errorf("it holds %d files, not %d", len(have), len(want))
	}
}

// plainFiles reads as ESXi's UEFI driver does: the primary tree, little-endian
// numbers, no Rock Ridge, no Joliet.
func plainFiles(data []byte) (map[string]string, error) {
	out := map[string]string{}
	budget := 10000
	var walk func(path string, lba, size int) error
	walk = func(path string, lba, size int) error {
		if lba*2048+size > len(data) {
			return fmt.Errorf("directory %q is outside", path)
		}
		for d := data[lba*2048 : lba*2048+size]; len(d) > 0; {
			if budget--; budget < 0 {
				return errors.New("no end")
			}
			n := int(d[0])
			if n == 0 {
				d = d[min(len(d), (len(d)-1)%2048+1):]
				continue
			}
			if n < 34 || n > len(d) || 33+int(d[32]) > n {
				return errors.New("broken record")
			}
			id, _, _ := strings.Cut(string(d[33:33+int(d[32])]), ";")
			at, length := int(binary.LittleEndian.Uint32(d[2:])), int(binary.LittleEndian.Uint32(d[10:]))
			directory := d[25]&2 != 0
			d = d[n:]
			name := strings.TrimPrefix(path+"/"+strings.TrimSuffix(id, "."), "/")
			switch {
			case id == "\x00" || id == "\x01":
			case directory:
				if err := walk(name, at, length); err != nil {
					return err
				}
			case length > 0 && at*2048+length > len(data):
				return fmt.Errorf("%s is outside", name)
			case length == 0:
				out[name] = ""
			default:
				out[name] = string(data[at*2048 : at*2048+length])
			}
		}
		return nil
	}
	root := data[16*2048+156:]
	return out, walk("", int(binary.LittleEndian.Uint32(root[2:])), int(binary.LittleEndian.Uint32(root[10:])))
}

func segmentsCover(t *testing.T, image *iso.Image, whole []byte) {
	t.Helper()
	end := int64(0)
	for s := range image.Segments() {
		if s.Off != end || s.Len <= 0 {
			t.Fatalf("a segment begins at %d, the last one ended at %d", s.Off, end)
		}
		if s.Kind == iso.FromData && !bytes.Equal(s.Data, whole[s.Off:s.Off+s.Len]) {
			t.Errorf("the segment at %d holds other bytes", s.Off)
		}
		end += s.Len
	}
	if end != image.Size() {
		t.Errorf("the segments end at %d of %d", end, image.Size())
	}
}

// TestModuleCounts goes through the sizes of the root directory: where it is full,
// the tree moves.
func TestModuleCounts(t *testing.T) {
	moved := 0
	for n := 10; n < 100; n++ {
		for _, o := range []isosim.Options{{}, {RockRidge: true, Joliet: true}, {RockRidge: true, Continued: true}} {
			o.Modules, o.Size = n, 16
			source := build(t, o)
			base := open(t, source)
			_, err := base.Overlay(changes())
			var full *iso.DirectoryFull
			if errors.As(err, &full) {
				moved++
			} else if err != nil {
				t.Fatal(err)
			}
			image, err := base.Overlay(changes(), iso.WhenFull(iso.Relocate))
			if err != nil {
				t.Fatalf("%d modules: %v", n, err)
			}
			whole := bytesOf(t, image)
			accept(t, fmt.Sprintf("%d modules, %+v", n, o), whole)
			sameFiles(t, source, whole, changes())
		}
	}
	if moved == 0 {
		t.Error("no root directory was full: the relocation was not tried")
	}
	t.Logf("%d of 270 root directories were full", moved)
}

// TestBootConfigSizes crosses the end of a sector.
func TestBootConfigSizes(t *testing.T) {
	for _, size := range []int{0, 1, 2030, 2047, 2048, 2049, 4096} {
		source := build(t, isosim.Options{RockRidge: true, Joliet: true})
		changed := []iso.Change{{Path: "/BOOT.CFG", Data: bytes.Repeat([]byte("x"), size)}}
		image, err := open(t, source).Overlay(changed)
		if err != nil {
			t.Fatal(err)
		}
		accept(t, fmt.Sprint(size), bytesOf(t, image))
		sameFiles(t, source, bytesOf(t, image), changed)
	}
}

func TestNoChangesAreTheBase(t *testing.T) {
	source := build(t, isosim.Options{})
	source = append(source, "odd length"...)
	image, err := open(t, source).Overlay(nil, iso.WhenFull(iso.RelocateAlways))
	if err != nil || !bytes.Equal(bytesOf(t, image), source) {
		t.Errorf("an overlay of nothing is not the base (%v)", err)
	}
}

// TestOddLength: a file whose length is no multiple of a sector.
func TestOddLength(t *testing.T) {
	source := append(build(t, isosim.Options{}), "tail"...)
	image, err := open(t, source).Overlay(changes())
	if err != nil {
		t.Fatal(err)
	}
	accept(t, "overlay", bytesOf(t, image))
	sameFiles(t, source, bytesOf(t, image), changes())
}

// TestHardLinks: two names of one file; a change of one leaves the other.
func TestHardLinks(t *testing.T) {
	source := build(t, isosim.Options{RockRidge: true, Joliet: true})
	files, _ := plainFiles(source)
	var first []byte // the record of BOOT.CFG in each tree, wherever it stands
	for _, name := range []string{"BOOT.CFG;1", "\x00B\x00O\x00O\x00T\x00.\x00C\x00F\x00G\x00;\x001"} {
		at := bytes.Index(source, []byte(name)) - 33
		last := bytes.LastIndex(source[:bytes.Index(source, []byte("bootstate"))], []byte(name)) - 33
		first = bytes.Clone(source[at+2 : at+18])
		copy(source[last+2:], first) // EFI/BOOT/BOOT.CFG becomes a link to BOOT.CFG, or the other way round
	}
	linked := open(t, source)
	changed := []iso.Change{{Path: "/BOOT.CFG", Data: []byte("only one of them\n")}}
	image, err := linked.Overlay(changed)
	if err != nil {
		t.Fatal(err)
	}
	sameFiles(t, source, bytesOf(t, image), changed)
	if now, _ := plainFiles(bytesOf(t, image)); now["EFI/BOOT/BOOT.CFG"] != files["BOOT.CFG"] {
		t.Error("the other name of the file changed, too")
	}
}

// TestDeterministic: the same input gives the same bytes, in any order.
func TestDeterministic(t *testing.T) {
	base := open(t, build(t, isosim.Options{RockRidge: true, Joliet: true}))
	for _, relocation := range relocations {
		a, err1 := base.Overlay(changes(), iso.WhenFull(relocation))
		turned := changes()
		slices.Reverse(turned)
		b, err2 := base.Overlay(turned, iso.WhenFull(relocation))
		if err1 != nil || err2 != nil || a.ETag() != b.ETag() || !bytes.Equal(bytesOf(t, a), bytesOf(t, b)) {
			t.Errorf("two overlays differ (%v, %v)", err1, err2)
		}
		c, err := base.Overlay(changes(), iso.WhenFull(relocation), iso.Timestamp(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
		if err != nil || c.ETag() == a.ETag() {
			t.Errorf("a date makes no difference (%v)", err)
		}
	}
}

// TestRefusals: a change that would do harm is refused with its reason.
func TestRefusals(t *testing.T) {
	plain, rock := build(t, isosim.Options{}), build(t, isosim.Options{RockRidge: true})
	record := func(data []byte, name string) int { return bytes.Index(data, []byte(name)) - 33 }
	edit := func(data []byte, change func([]byte)) []byte {
		out := bytes.Clone(data)
		change(out)
		return out
	}
	var joliet = build(t, isosim.Options{Joliet: true})
	for name, c := range map[string]struct {
		data []byte
		want iso.Reason
	}{
		"empty":       {nil, iso.NotISO},
		"text":        {bytes.Repeat([]byte("hello\n"), 20000), iso.NotISO},
		"cut short":   {plain[:len(plain)-4096], iso.Truncated},
		"block size":  {edit(plain, func(b []byte) { b[16*2048+129], b[16*2048+130] = 4, 4 }), iso.BlockSize},
		"volume size": {edit(plain, func(b []byte) { b[16*2048+84]++ }), iso.Contradiction},
		"UDF": {edit(plain, func(b []byte) {
			copy(b[19*2048:], "\x00NSR02\x01")
		}), iso.SecondSystem},
		"HFS+":         {edit(plain, func(b []byte) { copy(b[1024:], "H+") }), iso.SecondSystem},
		"Apple's map":  {edit(plain, func(b []byte) { copy(b[1536:], "PM"); copy(b[1536+48:], "Apple_HFS") }), iso.SecondSystem},
		"multi-extent": {edit(plain, func(b []byte) { b[record(b, "BOOT.CFG;1")+25] |= 0x80 }), iso.SeveralExtent},
		"interleaved":  {edit(plain, func(b []byte) { b[record(b, "BOOT.CFG;1")+26] = 1 }), iso.Interleaved},
		"zisofs": {edit(rock, func(b []byte) {
			at := record(b, "BOOT.CFG;1")
			copy(b[at+bytes.Index(b[at:], []byte("TF\x1a")):], "ZF")
		}), iso.Compressed},
		"symbolic link": {edit(rock, func(b []byte) {
			at := record(b, "BOOT.CFG;1")
			copy(b[at+bytes.Index(b[at:], []byte("TF\x1a")):], "SL")
		}), iso.SymbolicLink},
		"two of a name": {edit(plain, func(b []byte) {
			copy(b[bytes.Index(b, []byte("MBOOT.C32;1")):], "BOOT.CFG;1")
			b[record(b, "BOOT.CFG;1\x31")+32] = 10
		}), iso.Ambiguous},
		"trees differ": {edit(joliet, func(b []byte) {
			at := record(b, "\x00B\x00O\x00O\x00T\x00.\x00C\x00F\x00G")
			binary.LittleEndian.PutUint32(b[at+2:], 40)
			binary.BigEndian.PutUint32(b[at+6:], 40)
		}), iso.Contradiction},
		"record": {edit(plain, func(b []byte) { b[record(b, "BOOT.CFG;1")+3]++ }), iso.Broken},
	} {
		t.Run(name, func(t *testing.T) {
			base, err := iso.Open(bytes.NewReader(c.data), int64(len(c.data)))
			if err == nil {
				_, err = base.Overlay(changes(), iso.WhenFull(iso.Relocate))
			}
			var u *iso.Unsupported
			if !errors.As(err, &u) || u.Reason != c.want {
				t.Errorf("got %v, want the reason %q", err, c.want)
			}
		})
	}
}

// TestTooLarge: the UEFI driver computes in 32 bits.
func TestTooLarge(t *testing.T) {
	small := build(t, isosim.Options{})
	huge := int64(4<<30) - 2048
	base, err := iso.Open(sparse{small, huge}, huge)
	if err != nil {
		t.Fatal(err)
	}
	var u *iso.Unsupported
	if _, err := base.Overlay(changes()); !errors.As(err, &u) || u.Reason != iso.TooLarge {
		t.Errorf("got %v", err)
	}
}

// sparse is a reader with zeros behind its data.
type sparse struct {
	data []byte
	size int64
}

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(s.data)) {
		copy(p, s.data[off:])
	}
	return len(p), nil
}

func TestBadChanges(t *testing.T) {
	base := open(t, build(t, isosim.Options{}))
	for _, c := range [][]iso.Change{
		{{Path: "/NODIR/KS.CFG"}}, {{Path: "/EFI"}}, {{Path: "/"}}, {{Path: ""}}, {{Path: "/TOOLONGNAME.CFG"}}, {{Path: "/ks ä.cfg"}},
		{{Path: "/KS.CFG"}, {Path: "/ks.cfg"}}, {{Path: "/A.B.C"}}, {{Path: "/KS.CFG;1"}},
	} {
		if image, err := base.Overlay(c); err == nil || image != nil {
			t.Errorf("%v is accepted", c)
		}
	}
}

// TestBootImagesStay: firmware finds them by their block, so a file in their place
// would have no effect.
func TestBootImagesStay(t *testing.T) {
	base := open(t, build(t, isosim.Options{RockRidge: true, Joliet: true}))
	for _, path := range []string{"/EFIBOOT.IMG", "/ISOLINUX.BIN", "/BOOT.CAT"} {
		var u *iso.Unsupported
		if _, err := base.Overlay([]iso.Change{{Path: path, Data: []byte("x")}}); !errors.As(err, &u) || u.Reason != iso.BadChange {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestDates: a given date is in every tree; without one two builds are equal.
func TestDates(t *testing.T) {
	base := open(t, build(t, isosim.Options{RockRidge: true}))
	image, err := base.Overlay([]iso.Change{{Path: "/KS.CFG", Data: []byte("x")}}, iso.Timestamp(time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)))
	if err != nil {
		t.Fatal(err)
	}
	stamp := []byte{131, 2, 3, 4, 5, 6, 0}
	whole := bytesOf(t, image)
	at := bytes.Index(whole, []byte("KS.CFG;1")) - 33
	if n := bytes.Count(whole[at:at+int(whole[at])], stamp); n != 4 { // the record's own, and three of Rock Ridge
		t.Errorf("the date stands there %d times", n)
	}
}

// TestDeepTrees: names and nesting cannot claim memory without end.
func TestDeepTrees(t *testing.T) {
	path := strings.Repeat(strings.Repeat("D", 200)+"/", 7) + "F"
	data := build(t, isosim.Options{Files: map[string]string{path: "x"}})
	var u *iso.Unsupported
	if _, err := iso.Open(bytes.NewReader(data), int64(len(data))); !errors.As(err, &u) || u.Reason != iso.Broken {
		t.Errorf("got %v", err)
	}
	if report, err := isocheck.Check(bytes.NewReader(data), int64(len(data))); err != nil || report.OK() {
		t.Errorf("the checker: %v %v", err, report)
	}
}

func TestWarnings(t *testing.T) {
	ids := func(data []byte) string {
		var out []string
		for _, w := range open(t, data).Warnings() {
			out = append(out, w.ID)
		}
		return strings.Join(out, " ")
	}
	if got := ids(build(t, isosim.Options{})); got != "" {
		t.Errorf("an image as it should be has warnings: %s", got)
	}
	mapped := build(t, isosim.Options{})
	copy(mapped[512:], "PM")
	if got := ids(mapped); got != "apm" {
		t.Errorf("an image with an Apple partition map has %q", got)
	}
	if got := ids(build(t, isosim.Options{Hybrid: true})); got != "gpt" {
		t.Errorf("a hybrid has %q", got)
	}
	marked := build(t, isosim.Options{})
	copy(marked[16*2048+883:], "ISO MD5SUM = 0123")
	copy(marked[19*2048:], "libisofs_sb_checksum_tag_v1 pos=32 range_start=0 range_size=32 md5=0123")
	catalog := int(binary.LittleEndian.Uint32(marked[17*2048+71:])) * 2048
	marked[catalog+65] = 0 // the second entry says BIOS, as the ancestor's images do
	if got := ids(marked); got != "md5 libisofs uefi" {
		t.Errorf("got %q", got)
	}
	image, err := open(t, marked).Overlay(changes())
	if err != nil {
		t.Fatal(err)
	}
	whole := bytesOf(t, image)
	if bytes.Contains(whole, []byte("ISO MD5SUM")) || bytes.Contains(whole, []byte("libisofs_")) {
		t.Error("a checksum that is no longer true was kept")
	}
}

// TestRestore: an overlay survives being written down.
func TestRestore(t *testing.T) {
	base := open(t, build(t, isosim.Options{RockRidge: true}))
	image, err := base.Overlay(changes())
	if err != nil {
		t.Fatal(err)
	}
	var own []iso.Segment
	for s := range image.Segments() {
		if s.Kind == iso.FromData {
			own = append(own, s)
		}
	}
	again, err := base.Restore(image.Size(), own)
	if err != nil || again.ETag() != image.ETag() {
		t.Errorf("it came back as another image (%v)", err)
	}
	slices.Reverse(own)
	if _, err := base.Restore(image.Size(), own); err == nil {
		t.Error("a stored overlay out of order is accepted")
	}
}

func TestMaterialise(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "base.iso")
	if err := os.WriteFile(path, build(t, isosim.Options{RockRidge: true, Joliet: true}), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	info, _ := source.Stat()
	base, err := iso.Open(source, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	image, err := base.Overlay(changes())
	if err != nil {
		t.Fatal(err)
	}
	dst, err := os.Create(filepath.Join(dir, "built.iso"))
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	if err := image.Materialise(dst, source); err != nil {
		t.Fatal(err)
	}
	have, _ := os.ReadFile(dst.Name())
	if !bytes.Equal(have, bytesOf(t, image)) {
		t.Error("the file differs from the image")
	}
	os.Truncate(path, 40*2048)
	if _, err := image.ReadAt(make([]byte, 1<<20), 0); !errors.Is(err, iso.ErrChanged) {
		t.Errorf("the source shrank, and reading says %v", err)
	}
	dst.Truncate(0)
	if err := image.Materialise(dst, source); !errors.Is(err, iso.ErrChanged) {
		t.Errorf("the source shrank, and materialising says %v", err)
	}
}

// TestCorruptions lays overlays over images with random damage. What is accepted by
// the builder and by the checker must be correct for the plainest of readers: the
// changes are there, every other file is what it was in the damaged base.
func TestCorruptions(t *testing.T) {
	rounds := 10000
	if testing.Short() { // such as under the race detector
		rounds = 1000
	}
	names := slices.Sorted(maps.Keys(variants))
	sources := make([][]byte, len(names))
	for i, name := range names {
		o := variants[name]
		o.Modules, o.Size = 40, 16
		sources[i] = build(t, o)
	}
	random := rand.New(rand.NewPCG(3, 1))
	refused, rejected, right := 0, 0, 0
	for range rounds {
		data := corrupt(random, sources[random.IntN(len(sources))])
		base, err := iso.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			refused++
			continue
		}
		relocation := []iso.Relocation{iso.Refuse, iso.Relocate, iso.RelocateAlways}[random.IntN(3)]
		image, err := base.Overlay(changes(), iso.WhenFull(relocation))
		if err != nil {
			refused++
			continue
		}
		whole := bytesOf(t, image)
		report, err := isocheck.Check(bytes.NewReader(whole), int64(len(whole)))
		if err != nil || !report.OK() {
			rejected++
			continue
		}
		sameFiles(t, data, whole, changes())
		if right++; t.Failed() {
			t.Fatal("a wrong image was accepted")
		}
	}
	t.Logf("of %d damaged images %d were refused, %d rejected by the checker, %d were correct nevertheless", rounds, refused, rejected, right)
}

// corrupt damages metadata more often than data: a few bytes, a run of zeros, or
// a cut.
func corrupt(random *rand.Rand, source []byte) []byte {
	data := bytes.Clone(source)
	limit := len(data)
	if random.IntN(10) > 0 {
		limit = min(limit, 60*2048)
	}
	for range 1 + random.IntN(4) {
		at := random.IntN(limit)
		if random.IntN(3) > 0 {
			at = 16*2048 + random.IntN(limit-16*2048)
		}
		switch random.IntN(6) {
		case 0:
			clear(data[at:min(len(data), at+random.IntN(2048))])
		case 1:
			copy(data[at:], data[random.IntN(limit):][:random.IntN(64)])
		case 2:
			if random.IntN(20) == 0 {
				return data[:at]
			}
		default:
			data[at] = byte(random.Uint32())
		}
	}
	return data
}

// FuzzOverlay damages images at places and with values that the fuzzer chooses: four
// bytes of its input are one change.
func FuzzOverlay(f *testing.F) {
	names := slices.Sorted(maps.Keys(variants))
	sources := make([][]byte, len(names))
	for i, name := range names {
		o := variants[name]
		o.Modules, o.Size = 1, 1
		sources[i] = build(f, o)
		f.Add(byte(i), []byte{0, 128, 80, 1})
		f.Add(byte(i), []byte{0, 128, 158, 255, 0, 144, 40, 3})
	}
	f.Fuzz(func(t *testing.T, which byte, patches []byte) {
		data := bytes.Clone(sources[int(which)%len(sources)])
		for ; len(patches) >= 4; patches = patches[4:] {
			at := int(patches[0])<<16 | int(patches[1])<<8 | int(patches[2])
			data[at%min(len(data), 48*2048)] = patches[3]
		}
		base, err := iso.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		base.BootEntries()
		image, err := base.Overlay([]iso.Change{{Path: "/KS.CFG", Data: []byte("x")}}, iso.WhenFull(iso.Relocation(which/64)%3))
		if err != nil {
			return
		}
		whole := bytesOf(t, image)
		if report, err := isocheck.Check(bytes.NewReader(whole), int64(len(whole))); err == nil && report.OK() {
			if files, err := plainFiles(whole); err != nil || files["KS.CFG"] != "x" {
				t.Fatalf("the checker accepts an image without the file (%v)", err)
			}
		}
	})
}

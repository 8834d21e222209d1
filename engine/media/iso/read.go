package iso

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// split cuts a path into its directory and its last part, both upper case.
func split(path string) (dir, name string) {
	path = fold(strings.Trim(path, "/"))
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// find returns where among the sheets the record called name is.
func find(sheets [][]record, name string) (sheet, index int, ok bool, err error) {
	for i := range sheets {
		for k, r := range sheets[i] {
			if r.name != name || r.special() {
				continue
			}
			if ok {
				return 0, 0, false, refuse(Ambiguous, "two entries of the image are called %s", name)
			}
			sheet, index, ok = i, k, true
		}
	}
	return sheet, index, ok, nil
}

// lookup finds a file of one tree.
func (t *tree) lookup(path string) (record, bool, error) {
	dirPath, name := split(path)
	d, err := t.directory(dirPath)
	if err != nil {
		return record{}, false, err
	}
	i, k, ok, err := find(d.sheets, name)
	if err != nil || !ok {
		return record{}, false, err
	}
	r := d.sheets[i][k]
	if r.isDir() {
		return record{}, false, refuse(BadChange, "%s is a directory of the image", path)
	}
	return r, true, nil
}

// directory finds the one directory at a path.
func (t *tree) directory(path string) (*directory, error) {
	d, ok := t.byPath[path]
	switch {
	case !ok:
		return nil, &NotExist{"/" + path}
	case d == nil:
		return nil, refuse(Ambiguous, "two directories of the image are called /%s", path)
	}
	return d, nil
}

// ReadFile returns a file of the primary tree, of at most limit bytes. Paths are
// compared without regard to case.
func (b *Base) ReadFile(path string, limit int64) ([]byte, error) {
	r, ok, err := b.trees[0].lookup(path)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, &NotExist{path}
	}
	if err := b.plain(b.trees[0], path, r); err != nil {
		return nil, err
	}
	if r.size() > limit {
		return nil, fmt.Errorf("%s of the image has %d bytes, more than the %d that make sense", path, r.size(), limit)
	}
	data := make([]byte, r.size())
	if n, err := b.r.ReadAt(data, r.extent()*Sector); n < len(data) {
		return nil, fmt.Errorf("read %s of the image: %w", path, err)
	}
	return data, nil
}

// ReadBytes fills p with the bytes from off on of what begins at a block.
func (b *Base) ReadBytes(p []byte, extent, off int64) error {
	if n, err := b.r.ReadAt(p, extent*Sector+off); n < len(p) {
		return fmt.Errorf("read block %d of the image: %w", extent, err)
	}
	return nil
}

// plain refuses files whose data is not one run of bytes.
func (b *Base) plain(t *tree, path string, r record) error {
	if r.raw[25]&0x84 != 0 {
		return refuse(SeveralExtent, "%s is stored in several extents", path)
	}
	if r.raw[1] != 0 || r.raw[26] != 0 || r.raw[27] != 0 {
		return refuse(Interleaved, "%s is stored interleaved, or behind attributes of its own", path)
	}
	for e, err := range b.allEntries(t, r) {
		if err != nil {
			return err
		}
		switch string(e[:2]) {
		case "ZF":
			return refuse(Compressed, "%s is compressed (zisofs)", path)
		case "SL":
			return refuse(SymbolicLink, "%s is a symbolic link", path)
		}
	}
	return nil
}

// Entry is a file or directory of the image.
type Entry struct {
	Path   string // upper case, with a leading "/"
	Dir    bool
	Extent int64 // block
	Size   int64 // bytes
}

// Walk calls visit for every entry of the primary tree, directories before what
// is in them, until it returns an error.
func (b *Base) Walk(visit func(Entry) error) error { return b.trees[0].walk(visit) }

func (t *tree) walk(visit func(Entry) error) error {
	for _, d := range t.dirs {
		for _, sheet := range d.sheets {
			for _, r := range sheet {
				if r.special() {
					continue
				}
				if err := visit(Entry{"/" + join(d.path, r.name), r.isDir(), r.extent(), r.size()}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// UEFI is the platform of boot entries that UEFI firmware takes.
const UEFI = 0xEF

// BootEntry is an El Torito boot entry.
type BootEntry struct {
	Platform byte // 0 BIOS, or [UEFI]
	Bootable bool
	LBA      int64
	Sectors  int // of 512 bytes
}

// Firmware is the platform in words.
func (e BootEntry) Firmware() string {
	switch e.Platform {
	case 0:
		return "BIOS"
	case UEFI:
		return "UEFI"
	}
	return fmt.Sprintf("platform %#x", e.Platform)
}

// BootEntries reads the boot catalog. An image without one yields none.
func (b *Base) BootEntries() ([]BootEntry, error) {
	s, err := b.sector(17)
	if err != nil || s[0] != 0 || !bytes.HasPrefix(s[7:], []byte("EL TORITO SPECIFICATION")) {
		return nil, nil
	}
	catalog, err := b.sector(int64(binary.LittleEndian.Uint32(s[71:])))
	if err != nil {
		return nil, fmt.Errorf("boot catalog: %w", err)
	}
	entries := []BootEntry{}
	platform := catalog[1]
	for at := 32; at+32 <= len(catalog); at += 32 {
		switch e := catalog[at : at+32]; {
		case e[0] == 0x90 || e[0] == 0x91:
			platform = e[1]
		case e[0] == 0x88 || e[0] == 0 && e[8]|e[9]|e[10]|e[11] != 0:
			entries = append(entries, BootEntry{platform, e[0] == 0x88, int64(binary.LittleEndian.Uint32(e[8:])), int(binary.LittleEndian.Uint16(e[6:]))})
		}
	}
	return entries, nil
}

// boots reports whether a block is the boot catalog or the start of a boot image.
func (b *Base) boots(lba int64) bool {
	s, err := b.sector(17)
	if err != nil || s[0] != 0 || !bytes.HasPrefix(s[7:], []byte("EL TORITO SPECIFICATION")) {
		return false
	}
	entries, _ := b.BootEntries()
	return int64(binary.LittleEndian.Uint32(s[71:])) == lba || slices.ContainsFunc(entries, func(e BootEntry) bool { return e.LBA == lba })
}

// Label is the volume's name.
func (b *Base) Label() string { return strings.TrimSpace(string(b.descriptors[0].sector[40:72])) }

// TreeInfo describes a directory tree.
type TreeInfo struct {
	Kind        TreeKind `json:"kind"`
	RockRidge   bool     `json:"rock_ridge"`
	Directories int      `json:"directories"`
	Files       int      `json:"files"`
	Free        int      `json:"root_free"` // bytes left in the last sector of the root directory
}

func (t TreeInfo) String() string {
	if t.RockRidge {
		return string(t.Kind) + " + Rock Ridge"
	}
	return string(t.Kind)
}

// Trees lists the directory trees, the primary first.
func (b *Base) Trees() []TreeInfo {
	var out []TreeInfo
	for _, t := range b.trees {
		info := TreeInfo{Kind: t.kind, RockRidge: t.rockRidge, Directories: len(t.dirs)}
		t.walk(func(e Entry) error {
			if !e.Dir {
				info.Files++
			}
			return nil
		})
		root := t.dirs[0].sheets
		info.Free = Sector - length(root[len(root)-1])
		out = append(out, info)
	}
	return out
}

// Warning is a property of an image that is no reason to refuse it.
type Warning struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// Warnings lists what is odd about the image.
func (b *Base) Warnings() []Warning { return slices.Clone(b.warnings) }

func (b *Base) warn(id, format string, values ...any) {
	b.warnings = append(b.warnings, Warning{id, fmt.Sprintf(format, values...)})
}

// look collects the warnings.
func (b *Base) look() {
	if b.hybrid != nil {
		b.hybrid.warn(b)
	}
	if bytes.Contains(b.descriptors[0].sector[883:1395], implanted) {
		b.warn("md5", "it holds a checksum of itself (implantisomd5), which an overlay blanks: checkisomd5 will report no checksum")
	}
	if len(b.blanks) > 0 {
		b.warn("libisofs", "it holds checksums of xorriso, which an overlay blanks")
	}
	b.lookAtNames()
	entries, err := b.BootEntries()
	has := func(platform byte) bool {
		return slices.ContainsFunc(entries, func(e BootEntry) bool { return e.Platform == platform && e.Bootable })
	}
	switch {
	case err != nil || len(entries) == 0:
		b.warn("boot", "it has no boot entries (El Torito), so no machine boots from it")
	case !has(UEFI):
		b.warn("uefi", "none of its boot entries is marked UEFI (platform 0xEF): most UEFI firmware will not boot it. "+
			"It was probably rebuilt with -eltorito-boot where -e belongs; take the vendor's image")
	case !has(0):
		b.warn("bios", "it has no boot entry for BIOS; machines in legacy mode cannot boot it")
	}
}

// lookAtNames: isolinux 6 compares Rock Ridge names case-sensitively and asks for
// lower-case ones, so it fails on upper-case ones already in the unchanged image.
func (b *Base) lookAtNames() {
	t := b.trees[0]
	r, ok, err := t.lookup("/ISOLINUX.BIN")
	if !t.rockRidge || !ok || err != nil {
		return
	}
	if name, err := b.rockRidgeName(t, r); err == nil && name == strings.ToUpper(name) && name != "" {
		b.warn("isolinux", "its Rock Ridge names are upper case (%s), which isolinux cannot read: it will not boot in BIOS mode (UEFI is not affected)", name)
	}
}

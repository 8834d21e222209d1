package media

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf16"
)

// Sector is the size of a logical block of an ISO 9660 volume, in bytes. Other
// block sizes exist in the standard; the UEFI driver of ESXi reads only this one.
const Sector = 2048

// maxDirectory bounds the memory that a directory size in a broken image can claim.
const maxDirectory = 4 << 20

// ErrUnsupported is an image that has a structure over which nothing can be
// laid without doing harm. The reason is for people.
type ErrUnsupported struct{ Reason string }

func (e *ErrUnsupported) Error() string { return "cannot lay files over this image: " + e.Reason }

// ErrDirectoryFull is a directory without room for another record.
type ErrDirectoryFull struct{ Path string }

func (e *ErrDirectoryFull) Error() string {
	return "directory " + e.Path + " of the image has no room for another entry"
}

// ErrNotExist is a path that the image does not hold.
type ErrNotExist struct{ Path string }

func (e *ErrNotExist) Error() string { return "the image holds no " + e.Path }

// Base is an indexed source image. It is immutable and safe for concurrent use.
type Base struct {
	r           io.ReaderAt
	size        int64
	descriptors []descriptor
	trees       []*tree
	blanks      map[int64][]byte // sectors whose checksums an overlay makes stale, already blanked
}

// descriptor is a volume descriptor that names a directory tree.
type descriptor struct {
	lba    int64
	sector []byte
}

func (d descriptor) root() record { return record{raw: d.sector[156:190]} }

// TreeKind tells how a tree spells its names.
type TreeKind string

// The kinds of directory trees that an image can hold side by side.
const (
	Primary  TreeKind = "ISO 9660"
	Enhanced TreeKind = "ISO 9660:1999"
	Joliet   TreeKind = "Joliet"
)

// tree is one directory hierarchy; several descriptors may share it.
type tree struct {
	kind      TreeKind
	rockRidge bool
	skip      int // bytes of the system use area that Rock Ridge skips
	root      record
	dirs      map[string]*directory // by upper-case path, "" is the root
}

// directory is a directory that was read: its sectors as they are on the disc.
type directory struct {
	lba     int64
	data    []byte
	records []record
}

// record is a directory record, a slice of its directory's data.
type record struct {
	at  int // offset in the directory's data
	raw []byte
}

func (r record) extent() int64 { return int64(binary.LittleEndian.Uint32(r.raw[2:])) }
func (r record) size() int64   { return int64(binary.LittleEndian.Uint32(r.raw[10:])) }
func (r record) isDir() bool   { return r.raw[25]&2 != 0 }
func (r record) id() []byte    { return r.raw[33 : 33+int(r.raw[32])] }
func (r record) systemUse() []byte {
	n := 33 + int(r.raw[32])
	return r.raw[min(n+(n&1), len(r.raw)):]
}
func (r record) bothEndian() bool {
	return binary.LittleEndian.Uint32(r.raw[2:]) == binary.BigEndian.Uint32(r.raw[6:]) &&
		binary.LittleEndian.Uint32(r.raw[10:]) == binary.BigEndian.Uint32(r.raw[14:])
}

func putBoth32(b []byte, v uint32) {
	binary.LittleEndian.PutUint32(b, v)
	binary.BigEndian.PutUint32(b[4:], v)
}

// Open indexes an image of size bytes.
func Open(r io.ReaderAt, size int64) (*Base, error) {
	b := &Base{r: r, size: size, blanks: map[int64][]byte{}}
	if err := b.readDescriptors(); err != nil {
		return nil, err
	}
	for _, d := range b.descriptors {
		if err := b.addTree(d); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Size is the length of the source in bytes.
func (b *Base) Size() int64 { return b.size }

func (b *Base) sector(lba int64) ([]byte, error) {
	buf := make([]byte, Sector)
	if _, err := b.r.ReadAt(buf, lba*Sector); err != nil {
		return nil, fmt.Errorf("read block %d: %w", lba, err)
	}
	return buf, nil
}

// readDescriptors walks the volume descriptor set from block 16 on.
func (b *Base) readDescriptors() error {
	for lba := int64(16); ; lba++ {
		s, err := b.sector(lba)
		if err != nil || lba > 64 {
			return errors.New("not an ISO 9660 image: no end of the volume descriptors")
		}
		if string(s[1:6]) != "CD001" {
			return errors.New("not an ISO 9660 image: no volume descriptor where one must be")
		}
		switch s[0] {
		case 255:
			return b.afterDescriptors(lba + 1)
		case 1, 2:
			if err := checkDescriptor(s, b.size); err != nil {
				return err
			}
			b.descriptors = append(b.descriptors, descriptor{lba, s})
		}
	}
}

func checkDescriptor(s []byte, size int64) error {
	if block := binary.LittleEndian.Uint16(s[128:]); block != Sector {
		return &ErrUnsupported{fmt.Sprintf("its block size is %d bytes, not %d", block, Sector)}
	}
	le, be := binary.LittleEndian.Uint32(s[80:]), binary.BigEndian.Uint32(s[84:])
	if le != be {
		return &ErrUnsupported{"a volume descriptor contradicts itself about the size of the volume"}
	}
	if int64(le)*Sector > size {
		return fmt.Errorf("the image is cut short: its volume has %d bytes, the file only %d; fetch it again", int64(le)*Sector, size)
	}
	return nil
}

// afterDescriptors refuses a second file system, which would go on showing the
// old files, and finds checksums that an overlay would falsify.
func (b *Base) afterDescriptors(lba int64) error {
	if len(b.descriptors) == 0 || b.descriptors[0].sector[0] != 1 {
		return errors.New("not an ISO 9660 image: it has no primary volume descriptor")
	}
	for end := lba + 16; lba < end; lba++ {
		s, err := b.sector(lba)
		if err != nil {
			return nil
		}
		if id := string(s[1:6]); id == "NSR02" || id == "NSR03" {
			return &ErrUnsupported{"it also holds a UDF file system, which would go on showing the old files"}
		}
		if bytes.HasPrefix(s, []byte("libisofs_")) {
			b.blanks[lba] = make([]byte, Sector)
		}
	}
	return nil
}

func (b *Base) addTree(d descriptor) error {
	root := d.root()
	if !root.bothEndian() {
		return &ErrUnsupported{"a root directory record contradicts itself"}
	}
	for _, t := range b.trees {
		if t.root.extent() == root.extent() {
			return nil
		}
	}
	t := &tree{kind: kindOf(d.sector), root: root, dirs: map[string]*directory{}}
	b.trees = append(b.trees, t)
	dir, err := b.directory(t, "", root)
	if err != nil {
		return err
	}
	t.findRockRidge(dir.records[0])
	return nil
}

func kindOf(s []byte) TreeKind {
	switch {
	case s[0] == 2 && s[88] == '%' && s[89] == '/':
		return Joliet
	case s[0] == 2:
		return Enhanced
	}
	return Primary
}

// findRockRidge looks for the SP entry, which Rock Ridge puts into the root's
// own record, possibly behind 14 bytes of XA attributes.
func (t *tree) findRockRidge(dot record) {
	su := dot.systemUse()
	for _, skip := range []int{0, 14} {
		if len(su) >= skip+7 && string(su[skip:skip+2]) == "SP" && su[skip+4] == 0xBE && su[skip+5] == 0xEF {
			t.rockRidge, t.skip = true, int(su[skip+6])
			return
		}
	}
}

// directory reads and checks one directory and caches it under its path.
func (b *Base) directory(t *tree, path string, r record) (*directory, error) {
	size := r.size()
	if size == 0 || size%Sector != 0 || size > maxDirectory || r.extent()*Sector+size > b.size {
		return nil, fmt.Errorf("directory /%s of the image is broken: %d bytes at block %d", path, size, r.extent())
	}
	dir := &directory{lba: r.extent(), data: make([]byte, size)}
	if _, err := b.r.ReadAt(dir.data, dir.lba*Sector); err != nil {
		return nil, fmt.Errorf("read directory /%s: %w", path, err)
	}
	if err := dir.parse(); err != nil {
		return nil, fmt.Errorf("directory /%s of the image is broken: %w", path, err)
	}
	t.dirs[path] = dir
	return dir, nil
}

func (d *directory) parse() error {
	for at := 0; at < len(d.data); {
		n := int(d.data[at])
		if n == 0 {
			at = (at/Sector + 1) * Sector
			continue
		}
		end := at + n
		if n < 34 || n%2 == 1 || end > len(d.data) || (end-1)/Sector != at/Sector || 33+int(d.data[at+32]) > n {
			return fmt.Errorf("bad record at byte %d", at)
		}
		r := record{at, d.data[at:end:end]}
		if !r.bothEndian() {
			return fmt.Errorf("the record at byte %d contradicts itself", at)
		}
		d.records = append(d.records, r)
		at = end
	}
	if len(d.records) < 2 {
		return errors.New("it does not even name itself")
	}
	return nil
}

// name decodes a record's identifier and cuts what readers ignore: version
// number and trailing dot.
func (t *tree) name(id []byte) string {
	text := string(id)
	if t.kind == Joliet {
		units := make([]uint16, len(id)/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(id[2*i:])
		}
		text = string(utf16.Decode(units))
	}
	text, _, _ = strings.Cut(text, ";")
	return strings.TrimSuffix(text, ".")
}

func (t *tree) find(d *directory, name string) (record, bool, error) {
	var found record
	ok := false
	for _, r := range d.records[2:] {
		if strings.EqualFold(t.name(r.id()), name) {
			if ok {
				return record{}, false, &ErrUnsupported{"two entries are called " + name}
			}
			found, ok = r, true
		}
	}
	return found, ok, nil
}

// split cuts a path into its directory and its last part, both upper case.
func split(path string) (dir, name string) {
	path = strings.ToUpper(strings.Trim(path, "/"))
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// open walks to the directory at path.
func (b *Base) open(t *tree, path string) (*directory, error) {
	if d, ok := t.dirs[path]; ok {
		return d, nil
	}
	parentPath, name := split(path)
	parent, err := b.open(t, parentPath)
	if err != nil {
		return nil, err
	}
	r, ok, err := t.find(parent, name)
	if err != nil {
		return nil, err
	}
	if !ok || !r.isDir() {
		return nil, &ErrNotExist{"/" + path}
	}
	return b.directory(&tree{dirs: map[string]*directory{}}, path, r)
}

// lookup finds a file of one tree.
func (b *Base) lookup(t *tree, path string) (record, bool, error) {
	dirPath, name := split(path)
	d, err := b.open(t, dirPath)
	if err != nil {
		return record{}, false, err
	}
	r, ok, err := t.find(d, name)
	if err == nil && ok && r.isDir() {
		err = fmt.Errorf("%s is a directory of the image", path)
	}
	return r, ok, err
}

// Exists reports whether the primary tree holds a file at path.
func (b *Base) Exists(path string) bool {
	_, ok, err := b.lookup(b.trees[0], path)
	return ok && err == nil
}

// ReadFile returns a file of the primary tree, of at most limit bytes. Paths are
// compared without regard to case.
func (b *Base) ReadFile(path string, limit int64) ([]byte, error) {
	r, ok, err := b.lookup(b.trees[0], path)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, &ErrNotExist{path}
	}
	if r.size() > limit {
		return nil, fmt.Errorf("%s of the image has %d bytes, more than the %d that make sense", path, r.size(), limit)
	}
	data := make([]byte, r.size())
	if _, err := b.r.ReadAt(data, r.extent()*Sector); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}

// BootEntry is an El Torito boot entry.
type BootEntry struct {
	Platform byte // 0 BIOS, 0xEF UEFI
	LBA      int64
	Sectors  int // of 512 bytes
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
		switch e := catalog[at : at+32]; e[0] {
		case 0x88:
			entries = append(entries, BootEntry{platform, int64(binary.LittleEndian.Uint32(e[8:])), int(binary.LittleEndian.Uint16(e[6:]))})
		case 0x90, 0x91:
			platform = e[1]
		}
	}
	return entries, nil
}

// Trees lists the kinds of trees, with "+ Rock Ridge" where a tree has it.
func (b *Base) Trees() []string {
	var out []string
	for _, t := range b.trees {
		name := string(t.kind)
		if t.rockRidge {
			name += " + Rock Ridge"
		}
		out = append(out, name)
	}
	return slices.Clip(out)
}

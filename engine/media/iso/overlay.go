package iso

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"
)

// defaultPadding follows the last file, as mkisofs and xorriso do it: some
// drives read ahead beyond the end of the volume.
const defaultPadding = 150

// maxChange bounds one file.
const maxChange = 1 << 30

// implanted marks the checksum that implantisomd5 puts into a descriptor.
var implanted = []byte("ISO MD5SUM")

// Change replaces the file at Path, or adds it to a directory that exists. Path
// uses "/" and upper-case 8.3 names, the only ones about which all readers agree. Data
// becomes the image's and must not be changed afterwards.
type Change struct {
	Path string
	Data []byte
}

// Relocation says what happens to a directory that has no room for another record.
type Relocation int

// The relocations.
const (
	Refuse         Relocation = iota // answer [DirectoryFull]
	Relocate                         // move the directories of that tree behind the end
	RelocateAlways                   // also without need: a harder test for readers
)

// OverlayOption changes how [Base.Overlay] works.
type OverlayOption func(*overlay)

// WhenFull sets what happens to full directories; the default is [Refuse].
func WhenFull(r Relocation) OverlayOption { return func(o *overlay) { o.relocation = r } }

// Padding sets the number of empty sectors at the end; the default is 150.
func Padding(sectors int) OverlayOption {
	return func(o *overlay) { o.padding = int64(min(max(0, sectors), maxPadding)) }
}

// maxPadding bounds the padding: it is for drives that read ahead.
const maxPadding = 1 << 20

// Timestamp dates added files; the default is the date of their directory, so
// that equal inputs give equal bytes.
func Timestamp(t time.Time) OverlayOption {
	t = t.UTC()
	return func(o *overlay) {
		o.stamp = []byte{byte(t.Year() - 1900), byte(t.Month()), byte(t.Day()), byte(t.Hour()), byte(t.Minute()), byte(t.Second()), 0}
	}
}

// Overlay lays changes over the base. It is deterministic, the order of changes
// does not matter, and it gives all or nothing. It touches neither the base nor its
// file. No changes give the base itself.
func (b *Base) Overlay(changes []Change, options ...OverlayOption) (*Image, error) {
	o := &overlay{base: b, padding: defaultPadding, serials: map[*tree]uint32{}, edits: map[*directory]*edit{}, sectors: map[int64][]byte{},
		next: (b.size + Sector - 1) / Sector}
	for _, option := range options {
		option(o)
	}
	if len(changes) == 0 {
		return &Image{base: b, size: b.size}, nil
	}
	sorted, err := normalised(changes)
	if err != nil {
		return nil, err
	}
	for _, c := range sorted {
		if err := o.apply(c); err != nil {
			return nil, err
		}
	}
	if err := o.finish(); err != nil {
		return nil, err
	}
	return o.image(), nil
}

// normalised spells paths in one way, sorts by them, and refuses invalid names and
// duplicates.
func normalised(changes []Change) ([]Change, error) {
	var out []Change
	for _, c := range changes {
		if err := checkChange(c); err != nil {
			return nil, err
		}
		out = append(out, Change{"/" + fold(strings.Trim(c.Path, "/")), c.Data})
	}
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	for i := 1; i < len(out); i++ {
		if out[i].Path == out[i-1].Path {
			return nil, refuse(BadChange, "%s is to be changed twice", out[i].Path)
		}
	}
	return out, nil
}

// overlay is an image in the making.
type overlay struct {
	base       *Base
	relocation Relocation
	padding    int64
	stamp      []byte

	serials  map[*tree]uint32 // given out so far
	edits    map[*directory]*edit
	sectors  map[int64][]byte // of the base, changed
	appended []chunk          // behind its end
	next     int64            // first free block
}

// edit is a directory with other records. It shares the sheets that did not
// change with the base.
type edit struct {
	*directory
	sheets [][]record
}

func (o *overlay) edit(d *directory) *edit {
	e, ok := o.edits[d]
	if !ok {
		e = &edit{d, slices.Clone(d.sheets)}
		o.edits[d] = e
	}
	return e
}

func (e *edit) put(sheet, index int, r record) {
	e.sheets[sheet] = slices.Clone(e.sheets[sheet])
	e.sheets[sheet][index] = r
}

// apply gives one file its data and names it in every tree.
func (o *overlay) apply(c Change) error {
	if err := o.agree(c); err != nil {
		return err
	}
	extent := o.append(c.Data)
	for _, t := range o.base.trees {
		dirPath, name := split(c.Path)
		d, err := t.directory(dirPath)
		if err != nil {
			return err
		}
		e := o.edit(d)
		i, k, exists, err := find(e.sheets, name)
		if err != nil {
			return err
		}
		o.serials[t]++
		serial := t.serial + o.serials[t]
		if exists {
			e.put(i, k, t.alone(e.sheets[i][k].at(extent, len(c.Data)), serial))
			continue
		}
		if err := o.add(t, e, c, extent, serial); err != nil {
			return err
		}
	}
	return nil
}

func checkChange(c Change) error {
	if len(c.Data) > maxChange {
		return refuse(BadChange, "%s has %d bytes, too many to be laid over an image", c.Path, len(c.Data))
	}
	_, name := split(c.Path)
	base, extension, _ := strings.Cut(name, ".")
	if base == "" || len(base) > 8 || len(extension) > 3 || strings.HasSuffix(name, ".") || strings.ContainsFunc(base+extension, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	}) {
		return refuse(BadChange, "%s is no name that every reader can read: 8.3 characters of A-Z, 0-9 and _ are", c.Path)
	}
	return nil
}

// agree demands that all trees show one and the same file, or that none shows one;
// that its data is one run of bytes; and that firmware does not find it by its block.
func (o *overlay) agree(c Change) error {
	var old *record
	for i, t := range o.base.trees {
		r, exists, err := t.lookup(c.Path)
		if err != nil {
			return err
		}
		if err := o.checkName(t, c, r, exists); err != nil {
			return err
		}
		if i > 0 && exists != (old != nil) {
			return refuse(Contradiction, "only some of its directory trees show a file %s", c.Path)
		}
		if !exists {
			continue
		}
		if err := o.base.plain(t, c.Path, r); err != nil {
			return err
		}
		if old != nil && (old.size() != r.size() || old.size() > 0 && old.extent() != r.extent()) {
			return refuse(Contradiction, "its directory trees show different files as %s", c.Path)
		}
		old = &r
	}
	if old != nil && old.size() > 0 && o.base.boots(old.extent()) {
		return refuse(BadChange, "%s is what firmware boots, by its block and not by its name: a file in its place would have no effect", c.Path)
	}
	return nil
}

// checkName demands that Rock Ridge knows the file by the same name, and no other
// file by it: a long name may have been cut to it in the plain tree.
func (o *overlay) checkName(t *tree, c Change, r record, exists bool) error {
	if !t.rockRidge {
		return nil
	}
	dirPath, name := split(c.Path)
	d, err := t.directory(dirPath)
	if err != nil {
		return err
	}
	for _, sheet := range d.sheets {
		for _, other := range sheet {
			if other.special() {
				continue
			}
			known, err := o.base.rockRidgeName(t, other)
			if err != nil {
				return err
			}
			ours := exists && &other.raw[0] == &r.raw[0]
			if known != "" && ours != (fold(known) == name) {
				return refuse(Ambiguous, "the image knows %q as %s in one place and by another name in another", known, c.Path)
			}
		}
	}
	return nil
}

// append reserves whole blocks behind everything so far. An empty file has none.
func (o *overlay) append(data []byte) (lba int64) {
	if len(data) == 0 {
		return 0
	}
	lba = o.next
	o.appended = append(o.appended, chunk{lba * Sector, data})
	o.next += (int64(len(data)) + Sector - 1) / Sector
	return lba
}

// add inserts a record at its sorted place. Records stay in their sheets; only
// what no longer fits moves on to the next one, at the end into a new one.
func (o *overlay) add(t *tree, e *edit, c Change, extent int64, serial uint32) error {
	r, err := o.newRecord(t, e.directory, c, extent, serial)
	if err != nil {
		return err
	}
	at, index := place(t.kind, e.sheets, r)
	e.sheets[at] = slices.Insert(slices.Clone(e.sheets[at]), index, r)
	if e.flow() && o.relocation == Refuse {
		return &DirectoryFull{"/" + e.path}
	}
	return nil
}

// flow moves what no longer fits into a sheet to the next one, and reports whether
// that took a sheet more.
func (e *edit) flow() (grown bool) {
	for i := 0; i < len(e.sheets); i++ {
		for length(e.sheets[i]) > Sector {
			if i+1 == len(e.sheets) {
				e.sheets, grown = append(e.sheets, nil), true
			}
			last := len(e.sheets[i]) - 1
			e.sheets[i+1] = slices.Insert(slices.Clone(e.sheets[i+1]), 0, e.sheets[i][last])
			e.sheets[i] = e.sheets[i][:last]
		}
	}
	return grown
}

func length(sheet []record) (n int) {
	for _, r := range sheet {
		n += len(r.raw)
	}
	return n
}

// place finds the position behind the last record that sorts before r. It keeps
// the order of the present records, even if it is another one.
func place(k TreeKind, sheets [][]record, r record) (sheet, index int) {
	sheet, index = 0, min(2, len(sheets[0]))
	for i, records := range sheets {
		for j, other := range records {
			if !other.special() && compareNames(k, other.spelled, r.spelled) < 0 {
				sheet, index = i, j+1
			}
		}
	}
	return sheet, index
}

// newRecord builds a file's record in the style of its siblings.
func (o *overlay) newRecord(t *tree, d *directory, c Change, extent int64, serial uint32) (record, error) {
	_, name := split(c.Path)
	id := []byte(name)
	if t.versioned(d) {
		if t.kind != Joliet && !strings.Contains(name, ".") {
			id = append(id, '.')
		}
		id = append(id, ";1"...)
	}
	if t.kind == Joliet {
		id = ucs2(string(id))
	}
	raw := make([]byte, 33, 254)
	putBoth32(raw[2:], uint32(extent))
	putBoth32(raw[10:], uint32(len(c.Data)))
	copy(raw[18:25], d.sheets[0][0].raw[18:25])
	copy(raw[18:25], o.stamp)
	binary.LittleEndian.PutUint16(raw[28:], 1)
	binary.BigEndian.PutUint16(raw[30:], 1)
	raw[32] = byte(len(id))
	raw = even(append(raw, id...))
	if t.rockRidge {
		raw = even(append(raw, t.rockRidgeOf(d, name, serial, o.stamp)...))
	}
	if len(raw) > 254 {
		return record{}, refuse(BadChange, "the record of %s would have %d bytes, 254 are possible", c.Path, len(raw))
	}
	raw[0] = byte(len(raw))
	return record{raw, name, name}, nil
}

func even(b []byte) []byte {
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

// versioned reports whether most files carry ";1": those of the directory, or of the
// whole tree if the directory has no files.
func (t *tree) versioned(d *directory) bool {
	with, files := d.versions()
	for _, other := range t.dirs {
		if files > 0 {
			break
		}
		with, files = other.versions()
	}
	return 2*with > files || files == 0
}

func (d *directory) versions() (with, files int) {
	for _, sheet := range d.sheets {
		for _, r := range sheet {
			if r.isDir() {
				continue
			}
			files++
			if bytes.IndexByte(r.id(), ';') >= 0 {
				with++
			}
		}
	}
	return with, files
}

// finish writes the directories, makes the volume as long as it now is in every
// descriptor, and blanks what would no longer be true.
func (o *overlay) finish() error {
	for _, t := range o.base.trees {
		if err := o.writeTree(t); err != nil {
			return err
		}
	}
	if o.next*Sector >= 4<<30 {
		return refuse(TooLarge, "it would end beyond 4 GiB, where ESXi's UEFI driver confuses files")
	}
	o.next += o.padding
	if err := o.finishHybrid(); err != nil {
		return err
	}
	for _, d := range o.base.descriptors {
		s := o.descriptor(d)
		putBoth32(s[80:], uint32(o.next))
		if bytes.Contains(s[883:1395], implanted) {
			copy(s[883:1395], bytes.Repeat([]byte{' '}, 512))
		}
	}
	maps.Copy(o.sectors, o.base.blanks)
	return nil
}

// descriptor is a volume descriptor, for writing.
func (o *overlay) descriptor(d descriptor) []byte {
	s, ok := o.sectors[d.lba]
	if !ok {
		s = bytes.Clone(d.sector)
		o.sectors[d.lba] = s
	}
	return s
}

// writeTree writes the edited directories of a tree where they are, or moves the
// whole tree when one of them has grown.
func (o *overlay) writeTree(t *tree) error {
	move := o.relocation == RelocateAlways
	for _, d := range t.dirs {
		if e := o.edits[d]; e != nil && len(e.sheets) > len(d.sheets) {
			move = true
		}
	}
	if move {
		return o.relocate(t)
	}
	for _, d := range t.dirs {
		e := o.edits[d]
		if e == nil {
			continue
		}
		for i, sheet := range e.sheets {
			if s := sheetBytes(sheet); !bytes.Equal(s, d.data[i*Sector:(i+1)*Sector]) {
				o.sectors[d.lba+int64(i)] = s
			}
		}
	}
	return nil
}

func sheetBytes(sheet []record) []byte {
	s := make([]byte, 0, Sector)
	for _, r := range sheet {
		s = append(s, r.raw...)
	}
	return s[:Sector]
}

// image collects what was changed and added.
func (o *overlay) image() *Image {
	chunks := o.appended
	for lba, s := range o.sectors {
		chunks = append(chunks, chunk{lba * Sector, o.base.share(lba, s)})
	}
	slices.SortFunc(chunks, func(a, b chunk) int { return cmp.Compare(a.off, b.off) })
	return &Image{base: o.base, size: o.next * Sector, chunks: slices.Clip(chunks)}
}

// share returns the bytes with which an earlier overlay replaced a sector, if they
// are the same: a thousand hosts differ in their kickstarts, hardly ever in
// directories and descriptors.
func (b *Base) share(lba int64, s []byte) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if earlier, ok := b.shared[lba]; ok && bytes.Equal(earlier, s) {
		return earlier
	}
	b.shared[lba] = s
	return s
}

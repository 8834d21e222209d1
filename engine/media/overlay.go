package media

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"unicode/utf16"
)

// paddingSectors of zeros follow the last file, as mkisofs and xorriso do:
// some drives read ahead beyond the end of the volume.
const paddingSectors = 150

// Change replaces the file at Path, or adds it. Path uses "/" and upper-case
// 8.3 names, the only ones that every reader agrees about.
type Change struct {
	Path string
	Data []byte
}

// Overlay lays changes over the base. It is deterministic, touches neither the
// base nor its file, and gives all or nothing. New data is always appended,
// never written over old data: hard links share extents.
func (b *Base) Overlay(changes []Change) (*Image, error) {
	if len(changes) == 0 {
		return &Image{base: b, size: b.size}, nil
	}
	o := &overlay{base: b, patched: map[int64][]byte{}, next: (b.size + Sector - 1) / Sector}
	sorted := slices.SortedFunc(slices.Values(changes), func(a, c Change) int { return strings.Compare(a.Path, c.Path) })
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

// overlay is an image in the making: sectors of the base that changed, and
// data appended behind its end.
type overlay struct {
	base     *Base
	patched  map[int64][]byte
	appended []chunk
	next     int64 // first free block
}

type chunk struct {
	off  int64
	data []byte
}

// patch returns block lba of the base for writing.
func (o *overlay) patch(lba int64) ([]byte, error) {
	if s, ok := o.patched[lba]; ok {
		return s, nil
	}
	s, err := o.base.sector(lba)
	o.patched[lba] = s
	return s, err
}

func (o *overlay) apply(c Change) error {
	if len(c.Data) > 1<<30 {
		return fmt.Errorf("%s is too large to be laid over an image", c.Path)
	}
	extent := o.append(c.Data)
	old := int64(-1)
	for _, t := range o.base.trees {
		r, exists, err := o.base.lookup(t, c.Path)
		if err != nil {
			return err
		}
		if !exists {
			if err := o.add(t, c, extent); err != nil {
				return err
			}
			continue
		}
		if old >= 0 && r.size() > 0 && old != r.extent() {
			return &ErrUnsupported{fmt.Sprintf("its trees show different files as %s", c.Path)}
		}
		old = r.extent()
		if err := o.replace(t, c, extent); err != nil {
			return err
		}
	}
	return nil
}

// append reserves whole blocks behind everything so far.
func (o *overlay) append(data []byte) (lba int64) {
	lba = o.next
	if len(data) > 0 {
		o.appended = append(o.appended, chunk{lba * Sector, data})
		o.next += (int64(len(data)) + Sector - 1) / Sector
	}
	return lba
}

func (o *overlay) replace(t *tree, c Change, extent int64) error {
	dirPath, name := split(c.Path)
	d, err := o.current(t, dirPath)
	if err != nil {
		return err
	}
	r, _, err := t.find(d, name)
	if err != nil {
		return err
	}
	if r.raw[25]&0x84 != 0 || r.raw[26] != 0 || r.raw[27] != 0 {
		return &ErrUnsupported{c.Path + " is stored in several extents or interleaved"}
	}
	for _, e := range susp(r.systemUse(), t.skip) {
		if sig := string(e[:2]); sig == "ZF" || sig == "SL" {
			return &ErrUnsupported{c.Path + " is compressed or a symbolic link"}
		}
	}
	raw := bytes.Clone(r.raw)
	raw[1] = 0 // extended attributes lay before the old data
	putBoth32(raw[2:], uint32(extent))
	putBoth32(raw[10:], uint32(len(c.Data)))
	return o.write(d.lba+int64(r.at/Sector), r.at%Sector, raw)
}

func (o *overlay) write(lba int64, at int, data []byte) error {
	s, err := o.patch(lba)
	if err == nil {
		copy(s[at:], data)
	}
	return err
}

// current is a directory with the changes so far.
func (o *overlay) current(t *tree, path string) (*directory, error) {
	d, err := o.base.open(t, path)
	if err != nil {
		return nil, err
	}
	now := &directory{lba: d.lba, data: bytes.Clone(d.data)}
	for i := range len(now.data) / Sector {
		if s, ok := o.patched[d.lba+int64(i)]; ok {
			copy(now.data[i*Sector:], s)
		}
	}
	return now, now.parse()
}

// add inserts a record at its sorted place. Records stay in their sectors; only
// what no longer fits moves on to the next sector. The directory never grows.
func (o *overlay) add(t *tree, c Change, extent int64) error {
	dirPath, name := split(c.Path)
	d, err := o.current(t, dirPath)
	if err != nil {
		return err
	}
	raw, err := t.newRecord(d, name, extent, len(c.Data))
	if err != nil {
		return err
	}
	sectors := d.bySector()
	at, index := place(sectors, t, raw)
	sectors[at] = slices.Insert(sectors[at], index, raw)
	for i := at; i < len(sectors); i++ {
		for length(sectors[i]) > Sector {
			if i+1 == len(sectors) {
				return &ErrDirectoryFull{"/" + dirPath}
			}
			last := len(sectors[i]) - 1
			sectors[i+1] = slices.Insert(sectors[i+1], 0, sectors[i][last])
			sectors[i] = sectors[i][:last]
		}
	}
	for i, records := range sectors {
		s := make([]byte, Sector)
		copy(s, bytes.Join(records, nil))
		if !bytes.Equal(s, d.data[i*Sector:(i+1)*Sector]) {
			o.patched[d.lba+int64(i)] = s
		}
	}
	return nil
}

func (d *directory) bySector() [][][]byte {
	sectors := make([][][]byte, len(d.data)/Sector)
	for _, r := range d.records {
		sectors[r.at/Sector] = append(sectors[r.at/Sector], bytes.Clone(r.raw))
	}
	return sectors
}

func length(records [][]byte) (n int) {
	for _, r := range records {
		n += len(r)
	}
	return n
}

// place finds the position behind the last record that sorts before raw.
func place(sectors [][][]byte, t *tree, raw []byte) (sector, index int) {
	key := sortKey(t, record{raw: raw}.id())
	sector, index = 0, min(2, len(sectors[0]))
	for i, records := range sectors {
		for k, r := range records {
			id := record{raw: r}.id()
			if len(id) == 1 && id[0] <= 1 {
				continue
			}
			if bytes.Compare(sortKey(t, id), key) < 0 {
				sector, index = i, k+1
			}
		}
	}
	return sector, index
}

// sortKey orders identifiers as ECMA-119 9.3 does: by name, then extension, the
// shorter padded with blanks. Joliet compares its 16-bit units alike.
func sortKey(t *tree, id []byte) []byte {
	name := t.name(id)
	base, extension, _ := strings.Cut(name, ".")
	return []byte(fmt.Sprintf("%-128s%-128s", base, extension))
}

// newRecord builds a file's record in the habits of its siblings.
func (t *tree) newRecord(d *directory, name string, extent int64, size int) ([]byte, error) {
	id := []byte(name)
	if t.versioned(d) {
		id = append(id, ";1"...)
	}
	if t.kind == Joliet {
		id = ucs2(string(id))
	}
	raw := make([]byte, 33, 254)
	putBoth32(raw[2:], uint32(extent))
	putBoth32(raw[10:], uint32(size))
	copy(raw[18:25], d.records[0].raw[18:25]) // the directory's own date: same input, same bytes
	binary.LittleEndian.PutUint16(raw[28:], 1)
	binary.BigEndian.PutUint16(raw[30:], 1)
	raw[32] = byte(len(id))
	raw = append(raw, id...)
	if len(raw)%2 == 1 {
		raw = append(raw, 0)
	}
	if t.rockRidge {
		raw = append(raw, t.rockRidgeEntries(d, name, uint32(extent))...)
	}
	if len(raw)%2 == 1 {
		raw = append(raw, 0)
	}
	if len(raw) > 254 {
		return nil, fmt.Errorf("the record of %s would have %d bytes, 254 are possible", name, len(raw))
	}
	raw[0] = byte(len(raw))
	return raw, nil
}

func ucs2(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.BigEndian.AppendUint16(out, u)
	}
	return out
}

// versioned tells whether most files of the directory carry ";1".
func (t *tree) versioned(d *directory) bool {
	with, files := 0, 0
	for _, r := range d.records[2:] {
		if r.isDir() {
			continue
		}
		files++
		if bytes.IndexByte(r.id(), ';') >= 0 {
			with++
		}
	}
	return files == 0 || 2*with > files
}

// rockRidgeEntries copies owner, mode and the shape of the dates from a sibling
// file, and gives a serial number of its own: a copied one reads as a hard link.
func (t *tree) rockRidgeEntries(d *directory, name string, serial uint32) []byte {
	out := make([]byte, t.skip)
	nm := append([]byte{'N', 'M', byte(5 + len(name)), 1, 0}, name...)
	model := d.records[0]
	for _, r := range d.records[2:] {
		if !r.isDir() {
			model = r
			break
		}
	}
	wrote := false
	for _, e := range susp(model.systemUse(), t.skip) {
		e = bytes.Clone(e)
		switch string(e[:2]) {
		case "RR":
			if len(e) >= 5 {
				e[4] = 0x89 // PX, NM, TF
			}
			out = append(out, e...)
		case "PX":
			if len(e) < 36 {
				continue
			}
			putBoth32(e[4:], 0o100444)
			putBoth32(e[12:], 1)
			if len(e) == 44 {
				putBoth32(e[36:], serial)
			}
			out = append(append(out, nm...), e...)
			wrote = true
		case "TF":
			out = append(out, e...)
		}
	}
	if !wrote {
		out = append(out, nm...)
	}
	return out
}

// susp cuts a system use area into its entries.
func susp(su []byte, skip int) [][]byte {
	var out [][]byte
	if skip > len(su) {
		return nil
	}
	for su = su[skip:]; len(su) >= 4; {
		n := int(su[2])
		if n < 4 || n > len(su) || su[0] == 0 {
			break
		}
		out = append(out, su[:n])
		su = su[n:]
	}
	return out
}

// finish makes the volume as long as it now is, in every descriptor, and blanks
// what would no longer be true.
func (o *overlay) finish() error {
	if o.next*Sector >= 4<<30 {
		return &ErrUnsupported{"it would end beyond 4 GiB, where the UEFI driver of ESXi confuses files"}
	}
	o.next += paddingSectors
	for _, d := range o.base.descriptors {
		s, err := o.patch(d.lba)
		if err != nil {
			return err
		}
		putBoth32(s[80:], uint32(o.next))
		if bytes.Contains(s[883:1395], []byte("ISO MD5SUM")) {
			copy(s[883:1395], bytes.Repeat([]byte{' '}, 512))
		}
	}
	for lba, blank := range o.base.blanks {
		o.patched[lba] = blank
	}
	return nil
}

func (o *overlay) image() *Image {
	chunks := o.appended
	for lba, s := range o.patched {
		chunks = append(chunks, chunk{lba * Sector, s})
	}
	slices.SortFunc(chunks, func(a, b chunk) int { return int(a.off - b.off) })
	return &Image{base: o.base, size: o.next * Sector, chunks: merged(chunks)}
}

// merged joins chunks that touch, so that readers find fewer of them.
func merged(chunks []chunk) []chunk {
	var out []chunk
	for _, c := range chunks {
		if n := len(out) - 1; n >= 0 && out[n].off+int64(len(out[n].data)) == c.off {
			out[n].data = slices.Concat(out[n].data, c.data)
			continue
		}
		out = append(out, c)
	}
	return out
}

// Image is a base with changes laid over it: the bytes of a whole ISO without
// the cost of one. It is immutable and safe for concurrent use.
type Image struct {
	base   *Base
	size   int64
	chunks []chunk // ascending, apart from one another
}

// Size is the length of the image in bytes, a multiple of [Sector] unless it
// is an unchanged base.
func (i *Image) Size() int64 { return i.size }

// ReadAt reads the image as if it were one file.
func (i *Image) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("negative offset %d", off)
	}
	for n < len(p) && off < i.size {
		got, err := i.readSome(p[n:], off)
		n += got
		off += int64(got)
		if err != nil {
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readSome reads from the one chunk, base run or zeros that holds off.
func (i *Image) readSome(p []byte, off int64) (int, error) {
	p = p[:min(int64(len(p)), i.size-off)]
	next := sort.Search(len(i.chunks), func(k int) bool { return i.chunks[k].off > off })
	if next > 0 {
		c := i.chunks[next-1]
		if inside := off - c.off; inside < int64(len(c.data)) {
			return copy(p, c.data[inside:]), nil
		}
	}
	if next < len(i.chunks) {
		p = p[:min(int64(len(p)), i.chunks[next].off-off)]
	}
	if off >= i.base.size {
		clear(p)
		return len(p), nil
	}
	p = p[:min(int64(len(p)), i.base.size-off)]
	n, err := i.base.r.ReadAt(p, off)
	if n == len(p) {
		err = nil
	} else if err == io.EOF {
		err = fmt.Errorf("the source image changed while it was in use: %w", io.ErrUnexpectedEOF)
	}
	return n, err
}

// Digest identifies the content: equal for equal bases (by their digest) and
// equal changes. It never reads the base.
func (i *Image) Digest(base string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %d\n", base, i.size)
	for _, c := range i.chunks {
		fmt.Fprintf(h, "%d %d\n", c.off, len(c.data))
		h.Write(c.data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

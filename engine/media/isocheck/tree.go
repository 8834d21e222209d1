package isocheck

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf16"
)

// tree is one directory hierarchy as it was walked.
type tree struct {
	volume  volume
	skip    int // Rock Ridge: bytes to skip in every system use area; -1 without
	dirs    []*dir
	files   map[string]place // by path
	volumes []volume         // that share it
	serials map[uint32]place // Rock Ridge: the data behind a serial number
}

type place struct{ block, size int64 }

type dir struct {
	place
	parent *dir
	id     []byte
	path   string
}

// entry is a directory record.
type entry struct {
	place
	id    []byte
	flags byte
	use   []byte
}

// tree walks the directories below a descriptor's root.
func (c *checker) tree(v volume) {
	root, err := c.entry(v.s[156:190], v.lba)
	if err != "" || root.flags&2 == 0 {
		c.fault("root", v.lba, "the root directory record is broken %s", err)
		return
	}
	for _, t := range c.trees {
		if t.dirs[0].place == root.place {
			t.volumes = append(t.volumes, v)
			return
		}
	}
	t := &tree{volume: v, volumes: []volume{v}, skip: -1, files: map[string]place{}, serials: map[uint32]place{}}
	t.dirs = []*dir{{place: root.place, id: []byte{0}}}
	t.dirs[0].parent = t.dirs[0]
	c.trees = append(c.trees, t)
	seen := map[int64]bool{root.block: true}
	for i := 0; i < len(t.dirs); i++ {
		c.directory(t, t.dirs[i], seen)
	}
	if len(c.trees) == 1 {
		c.report.Directories, c.report.Files = len(t.dirs), len(t.files)
	}
}

// entry decodes a record; the answer's text is what is wrong with it.
func (c *checker) entry(raw []byte, block int64) (entry, string) {
	extent, a := pair(raw[2:])
	size, b := pair(raw[10:])
	number, d := pair16(raw[28:])
	n := 33 + int(raw[32])
	switch {
	case !a || !b || !d:
		return entry{}, "(its two byte orders differ)"
	case raw[32] == 0 || n > len(raw):
		return entry{}, "(its name is longer than it is)"
	case raw[1] != 0 || raw[26] != 0 || raw[27] != 0 || raw[25]&4 != 0:
		return entry{}, "(its data does not begin where it says, or is interleaved)"
	case number != 1:
		c.warn("record", block, "a record names volume %d", number)
	}
	return entry{place{extent, size}, raw[33:n], raw[25], raw[min(n+n&1, len(raw)):]}, ""
}

func (c *checker) directory(t *tree, d *dir, seen map[int64]bool) {
	name := "directory /" + d.path
	if len(d.path) > 1024 {
		c.fault("directory", d.block, "the directories are nested too deep")
		return
	}
	if d.size == 0 || d.size%sector != 0 {
		c.fault("directory", d.block, "%s has a length of %d bytes", name, d.size)
		return
	}
	if c.budget -= d.size; c.budget < 0 {
		c.fault("directory", d.block, "the directories are too large to be true")
		return
	}
	if !c.inVolume("directory", name, d.block, d.size) {
		return
	}
	data := c.read(d.block, d.size)
	if data == nil {
		c.fault("directory", d.block, "%s cannot be read", name)
		return
	}
	var all []entry
	for at := 0; at < len(data); at += sector {
		all = append(all, c.sheet(data[at:at+sector], d.block+int64(at/sector), name)...)
	}
	if len(all) < 2 || !bytes.Equal(all[0].id, []byte{0}) || !bytes.Equal(all[1].id, []byte{1}) {
		c.fault("dot", d.block, "%s does not begin with itself and its parent", name)
		return
	}
	c.dots(t, d, all)
	c.members(t, d, all[2:], seen)
}

// sheet cuts one sector into records. An empty sector inside of a directory makes
// ESXi's UEFI driver look for ever.
func (c *checker) sheet(s []byte, block int64, name string) (out []entry) {
	at := 0
	for at < sector && s[at] != 0 {
		n := int(s[at])
		if n < 34 || n%2 == 1 || at+n > sector {
			c.fault("record", block, "%s has a broken record at byte %d", name, at)
			return out
		}
		e, problem := c.entry(s[at:at+n], block)
		if problem != "" {
			c.fault("record", block, "%s has a broken record at byte %d %s", name, at, problem)
			return out
		}
		out = append(out, e)
		at += n
	}
	if at == 0 {
		c.fault("empty-sector", block, "%s has an empty sector inside of its length: ESXi's UEFI driver would loop there for ever", name)
	}
	if len(bytes.Trim(s[at:], "\x00")) > 0 {
		c.warn("record", block, "something follows the last record of a sector of %s", name)
	}
	return out
}

// dots checks "." and "..", and finds Rock Ridge in the root's.
func (c *checker) dots(t *tree, d *dir, all []entry) {
	if all[0].place != d.place {
		c.fault("dot", d.block, "directory /%s says of itself that it is at block %d with %d bytes", d.path, all[0].block, all[0].size)
	}
	if all[1].place != d.parent.place {
		if t.volume.s[0] == 2 && all[1].place == d.place { // readers of Joliet and ISO 9660:1999 do not follow it
			c.warn("dot", d.block, "directory /%s calls itself its parent, as xorriso writes it", d.path)
		} else {
			c.fault("dot", d.block, "directory /%s names a parent at block %d, but it is at block %d", d.path, all[1].block, d.parent.block)
		}
	}
	for _, at := range []int{0, 14} { // behind XA attributes
		if use := all[0].use; d == t.dirs[0] && len(use) >= at+7 && string(use[at:at+2]) == "SP" && use[at+4] == 0xBE && use[at+5] == 0xEF {
			t.skip = int(use[at+6])
		}
	}
	c.rockRidge(t, d, all[0])
	c.rockRidge(t, d, all[1])
}

func (c *checker) members(t *tree, d *dir, all []entry, seen map[int64]bool) {
	names, known := map[string]bool{}, map[string]bool{}
	var last []byte
	several := false // inside of a file in several extents
	for _, e := range all {
		name := t.name(e.id)
		path := strings.TrimPrefix(d.path+"/"+name, "/")
		if special(e.id) {
			c.fault("dot", d.block, "directory /%s names itself or its parent a second time", d.path)
			continue
		}
		if r := c.rockRidge(t, d, e); r.name != "" {
			if known[r.name] && !several {
				c.fault("rock-ridge", d.block, "two entries of /%s are called %q by Rock Ridge", d.path, r.name)
			}
			known[r.name] = true
			c.judge(t, path, e, r)
		}
		if names[name] && !several {
			c.fault("name", d.block, "two entries are called /%s", path)
		}
		if last != nil && !t.sorted(last, e.id) {
			c.warn("order", d.block, "/%s comes before %s, which sorts before it", strings.TrimPrefix(d.path+"/"+t.spelled(last), "/"), t.spelled(e.id))
		}
		several = e.flags&0x80 != 0
		names[name], last = true, e.id
		if e.flags&2 == 0 {
			if c.inVolume("file", "/"+path, e.block, e.size) {
				t.files[path] = e.place
			}
			continue
		}
		if seen[e.block] {
			c.fault("directory", e.block, "directory /%s overlaps another directory", path)
			continue
		}
		seen[e.block] = true
		t.dirs = append(t.dirs, &dir{place: e.place, parent: d, id: e.id, path: path})
	}
}

// name is a record's name as readers compare it.
func (t *tree) name(id []byte) string {
	return strings.Map(func(r rune) rune { // other letters than ASCII are other names
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, t.spelled(id))
}

// spelled is a record's name as it is written, without version and trailing dot.
func (t *tree) spelled(id []byte) string {
	text := string(id)
	if t.volume.joliet {
		text = string(utf16.Decode(units(id)))
	}
	text, _, _ = strings.Cut(text, ";")
	return strings.ToValidUTF8(strings.TrimSuffix(text, "."), "?")
}

// units are the code units of a Joliet name.
func units(id []byte) (out []uint16) {
	for i := 0; i+1 < len(id); i += 2 {
		out = append(out, binary.BigEndian.Uint16(id[i:]))
	}
	return out
}

func special(id []byte) bool { return len(id) == 1 && id[0] <= 1 }

// sorted reports whether a name may precede another one. Both count as they are
// written, capital letters before small ones: by name, then extension, as the standard
// sorts them, or by the whole name, as genisoimage and xorriso sort Joliet.
func (t *tree) sorted(a, b []byte) bool {
	x, y := t.letters(a), t.letters(b)
	return order(x, y) <= 0 || slices.Compare(x, y) <= 0
}

// letters are a name's code units, without its version.
func (t *tree) letters(id []byte) []uint16 {
	var out []uint16
	if t.volume.joliet {
		out = units(id)
	} else {
		for _, b := range id {
			out = append(out, uint16(b))
		}
	}
	if i := slices.Index(out, ';'); i >= 0 {
		out = out[:i]
	}
	return out
}

// order compares names as the standard sorts them: name, then extension, both
// filled up with blanks.
func order(a, b []uint16) int {
	cut := func(s []uint16) (name, extension []uint16) {
		i := slices.Index(s, '.')
		if i < 0 {
			return s, nil
		}
		return s[:i], s[i+1:]
	}
	fill := func(a, b []uint16) int {
		n := max(len(a), len(b))
		blanks := slices.Repeat([]uint16{' '}, n)
		return slices.Compare(append(slices.Clone(a), blanks[len(a):]...), append(slices.Clone(b), blanks[len(b):]...))
	}
	nameA, extA := cut(a)
	nameB, extB := cut(b)
	if r := fill(nameA, nameB); r != 0 {
		return r
	}
	return fill(extA, extB)
}

// rock is what Rock Ridge says of a record.
type rock struct {
	name   string
	mode   uint32 // 0: not said
	serial uint32
	data   bool // elsewhere: compressed, a link, a directory shown in another place
}

// rockRidge walks a record's system use area and its continuations.
func (c *checker) rockRidge(t *tree, d *dir, e entry) (r rock) {
	if t.skip < 0 {
		return r
	}
	area := e.use[min(t.skip, len(e.use)):]
	seen := map[int64]bool{}
	for area != nil {
		var ce []byte
		area, ce = nil, c.useArea(d, area, &r)
		if ce == nil {
			return r
		}
		block, _ := pair(ce[4:])
		offset, _ := pair(ce[12:])
		if c.hops--; c.hops < 0 || seen[block*sector+offset] {
			c.fault("rock-ridge", d.block, "the Rock Ridge entries of a record in /%s have no end", d.path)
			return r
		}
		seen[block*sector+offset] = true
		area = c.continuation(d, e, ce)
	}
	return r
}

// useArea reads one area and returns the entry that says where it continues.
func (c *checker) useArea(d *dir, area []byte, r *rock) (ce []byte) {
	for len(area) >= 4 && area[0] != 0 {
		n := int(area[2])
		if n < 4 || n > len(area) {
			c.fault("rock-ridge", d.block, "a Rock Ridge entry of /%s is longer than its place", d.path)
			return nil
		}
		switch e := area[:n]; string(e[:2]) {
		case "CE":
			if n == 28 {
				ce = e
			}
		case "NM":
			r.name += string(e[min(5, n):])
		case "PX":
			c.mode(d, e, r)
		case "ZF", "SL", "CL", "PL", "RE":
			r.data = true
		}
		area = area[n:]
	}
	return ce
}

func (c *checker) mode(d *dir, e []byte, r *rock) {
	if len(e) < 36 {
		return
	}
	mode, agree := pair(e[4:])
	if !agree {
		c.fault("rock-ridge", d.block, "the mode of an entry of /%s differs in its two byte orders", d.path)
	}
	r.mode = uint32(mode)
	if len(e) == 44 {
		r.serial = binary.LittleEndian.Uint32(e[36:])
	}
}

// judge compares what Rock Ridge says of a record with the record: a directory is one
// in both, and names that share a serial number share their data, because readers take
// them for one file.
func (c *checker) judge(t *tree, path string, e entry, r rock) {
	const directory = 0o040000
	if r.mode != 0 && !r.data && (r.mode&0o170000 == directory) != (e.flags&2 != 0) {
		c.fault("rock-ridge", e.block, "/%s is a directory in one place and none in another", path)
	}
	if r.serial == 0 || e.flags&2 != 0 {
		return
	}
	if other, ok := t.serials[r.serial]; ok && other != e.place {
		c.fault("rock-ridge", e.block, "/%s shares its serial number with a file that has other data: readers take them for one", path)
	}
	t.serials[r.serial] = e.place
}

func (c *checker) continuation(d *dir, of entry, ce []byte) []byte {
	block, a := pair(ce[4:])
	offset, b := pair(ce[12:])
	size, e := pair(ce[20:])
	if !a || !b || !e || offset+size > sector || block >= c.volume {
		c.fault("rock-ridge", d.block, "a record of /%s continues at byte %d of block %d, where nothing can be", d.path, offset, block)
		return nil
	}
	if block < d.block {
		c.fault("rock-ridge", d.block, "a record of /%s continues at block %d, before the directory: libarchive rejects the image", d.path, block)
	}
	if of.flags&2 == 0 && of.size > 0 && block >= of.block {
		c.fault("rock-ridge", d.block, "a record of /%s continues at block %d, behind the file's data: libarchive rejects the image", d.path, block)
	}
	c.areas = append(c.areas, area{block, block + 1, "continuation", "a continued record of /" + d.path})
	s := c.read(block, sector)
	if s == nil {
		return nil
	}
	return s[offset : offset+size]
}

// agree demands that all trees show the same file under the same name.
func (c *checker) agree() {
	if len(c.trees) == 0 {
		return
	}
	first := c.trees[0]
	for _, t := range c.trees[1:] {
		for path, p := range t.files {
			if q, ok := first.files[path]; ok && (p.size != q.size || p.size > 0 && p.block != q.block) {
				c.fault("trees", p.block, "the directory trees show different files as /%s: %d bytes at block %d, and %d bytes at block %d", path, q.size,
					q.block, p.size, p.block)
			}
		}
		if a, b := first.places(), t.places(); !slices.Equal(a, b) {
			c.warn("trees", t.volume.lba, "one directory tree shows %d files, another %d, and they differ", len(a), len(b))
		}
	}
	for _, v := range c.volumes {
		shared := slices.ContainsFunc(c.trees, func(t *tree) bool {
			return slices.ContainsFunc(t.volumes, func(o volume) bool { return o.lba == v.lba })
		})
		if !shared {
			c.fault("root", v.lba, "a volume descriptor has no directory tree")
		}
	}
}

// places are the distinct extents of a tree's files, sorted.
func (t *tree) places() []place {
	var out []place
	for _, p := range t.files {
		if p.size > 0 {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b place) int { return int(a.block-b.block)*2 + int(min(1, max(-1, a.size-b.size))) })
	return slices.Compact(out)
}

// pathTables demands that every table lists exactly the directories of its tree.
func (c *checker) pathTables() {
	type key struct {
		block, size int64
		big         bool
	}
	for _, t := range c.trees {
		done := map[key]bool{}
		for _, v := range t.volumes {
			size, _ := pair(v.s[132:])
			for i, bo := range []binary.ByteOrder{binary.LittleEndian, binary.LittleEndian, binary.BigEndian, binary.BigEndian} {
				k := key{int64(bo.Uint32(v.s[140+4*i:])), size, i >= 2}
				if k.block == 0 && i%2 == 1 || done[k] {
					continue
				}
				done[k] = true
				c.pathTable(t, k.block, size, bo)
			}
		}
	}
}

func (c *checker) pathTable(t *tree, block, size int64, bo binary.ByteOrder) {
	if !c.inVolume("path table", "a path table", block, size) {
		return
	}
	data := c.read(block, size)
	byBlock := map[int64]*dir{}
	for _, d := range t.dirs {
		byBlock[d.block] = d
	}
	var listed []int64
	var parents []int
	for at := 0; at < len(data); {
		n := int(data[at])
		if n == 0 || at+8+n > len(data) || data[at+1] != 0 {
			c.fault("path-table", block, "a path table is broken at byte %d", at)
			return
		}
		extent, parent := int64(bo.Uint32(data[at+2:])), int(bo.Uint16(data[at+6:]))
		d := byBlock[extent]
		if d == nil || !bytes.Equal(d.id, data[at+8:at+8+n]) {
			c.fault("path-table", block, "a path table names a directory at block %d that is not there, or called otherwise, or twice", extent)
			return
		}
		delete(byBlock, extent)
		listed = append(listed, extent)
		if parent < 1 || parent > len(listed) || parent == len(listed) && parent > 1 || listed[parent-1] != d.parent.block {
			c.fault("path-table", block, "a path table gives /%s the wrong parent", d.path)
			return
		}
		parents = append(parents, parent)
		at += 8 + n + n&1
	}
	if len(byBlock) > 0 || !slices.IsSorted(parents) {
		c.fault("path-table", block, "a path table lists %d directories, the tree has %d", len(listed), len(t.dirs))
	}
}

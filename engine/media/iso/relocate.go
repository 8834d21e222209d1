package iso

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
)

// pathTable is one of the tables that list all directories (ECMA-119 9.4): in
// little-endian and in big-endian order, each possibly twice.
type pathTable struct {
	off   int64 // bytes
	data  []byte
	order binary.ByteOrder
}

// pathTables reads the distinct tables that a tree's descriptors name.
func (b *Base) pathTables(t *tree) ([]pathTable, error) {
	var out []pathTable
	seen := map[uint32]bool{}
	for _, d := range t.descriptors {
		size := binary.LittleEndian.Uint32(d.sector[132:])
		if size != binary.BigEndian.Uint32(d.sector[136:]) {
			return nil, refuse(Contradiction, "a volume descriptor contradicts itself about its path table")
		}
		for i, order := range []binary.ByteOrder{binary.LittleEndian, binary.LittleEndian, binary.BigEndian, binary.BigEndian} {
			lba := order.Uint32(d.sector[140+4*i:])
			if lba == 0 || seen[lba] {
				continue
			}
			seen[lba] = true
			off := int64(lba) * Sector
			if size > maxDirectory || off+int64(size) > b.size {
				return nil, refuse(Broken, "a path table of the image is outside of it")
			}
			table := pathTable{off, make([]byte, size), order}
			if n, err := b.r.ReadAt(table.data, off); n < len(table.data) {
				return nil, err
			}
			out = append(out, table)
		}
	}
	return out, nil
}

// each walks the entries: at is where the entry's block number is.
func (p pathTable) each(visit func(at int, extent int64)) error {
	for at := 0; at < len(p.data); {
		n := 8 + int(p.data[at]) + int(p.data[at])&1
		if p.data[at] == 0 || at+n > len(p.data) {
			return refuse(Broken, "a path table of the image is broken at byte %d", at)
		}
		visit(at+2, int64(p.order.Uint32(p.data[at+2:])))
		at += n
	}
	return nil
}

// relocation moves all directories of one tree behind the end of the image.
type relocation struct {
	*overlay
	tree   *tree
	tables []pathTable
	home   map[*directory]int64 // new block
	blocks map[*directory][]continued
	areas  map[int64][]continuation // by old block
}

// continued is a block of continued system use areas that moves with its directory.
type continued struct{ old, new int64 }

func (o *overlay) relocate(t *tree) error {
	tables, err := o.base.pathTables(t)
	if err != nil {
		return err
	}
	r := &relocation{o, t, tables, map[*directory]int64{}, map[*directory][]continued{}, map[int64][]continuation{}}
	order, err := r.order()
	if err != nil {
		return err
	}
	for _, d := range order {
		if err := r.settle(d); err != nil {
			return err
		}
	}
	for _, d := range order {
		if err := r.write(d); err != nil {
			return err
		}
	}
	for _, d := range t.descriptors {
		s := o.descriptor(d)
		root := record{raw: s[156:190]}.at(r.home[t.dirs[0]], r.size(t.dirs[0]))
		copy(s[156:], root.raw)
	}
	return r.writeTables()
}

// order returns the order of the path table, and demands that the table lists exactly the
// directories that the tree has.
func (r *relocation) order() ([]*directory, error) {
	var order []*directory
	for _, table := range r.tables {
		order = order[:0]
		listed := map[*directory]bool{}
		err := table.each(func(_ int, extent int64) {
			d := r.tree.byExtent[extent]
			order, listed[d] = append(order, d), true
		})
		if err != nil {
			return nil, err
		}
		if len(order) != len(r.tree.dirs) || len(listed) != len(order) || listed[nil] || order[0] != r.tree.dirs[0] {
			return nil, refuse(Contradiction, "a path table of the image does not list the directories that it has")
		}
	}
	if len(order) == 0 {
		return nil, refuse(Broken, "the image has no path table")
	}
	return order, nil
}

// settle gives a directory its new place, and a place right behind it to the
// blocks on which its records' Rock Ridge entries continue: libarchive rejects an
// image in which they come before the record, and one in which those of a file come
// after its data. So what continues a file's record, whose data stays where it is,
// has to go into the record.
func (r *relocation) settle(d *directory) error {
	e := r.edit(d)
	if err := r.inline(e); err != nil {
		return err
	}
	r.home[d] = r.next
	r.next += int64(len(e.sheets))
	for _, sheet := range e.sheets {
		for _, rec := range sheet {
			if err := r.claim(d, rec); err != nil {
				return err
			}
		}
	}
	return nil
}

// inline takes the continued entries of files into their records.
func (r *relocation) inline(e *edit) error {
	for i, sheet := range e.sheets {
		for k, rec := range sheet {
			if _, continued := firstContinuation(r.tree.entries(rec)); !continued || rec.isDir() {
				continue
			}
			whole, err := r.whole(rec)
			if err != nil {
				return err
			}
			e.put(i, k, whole)
		}
	}
	e.flow()
	return nil
}

// whole is a record with all its entries in itself.
func (r *relocation) whole(rec record) (record, error) {
	prefix := len(rec.raw) - len(rec.systemUse()) + r.tree.skip
	raw := bytes.Clone(rec.raw[:min(prefix, len(rec.raw))])
	var err error
	for e, walkErr := range r.base.allEntries(r.tree, rec) {
		if err = walkErr; err != nil {
			break
		}
		if string(e[:2]) != "ST" {
			raw = append(raw, e...)
		}
	}
	if raw = even(raw); err == nil && len(raw) > 254 {
		err = refuse(LongRecord, "the directory of %s has to move, and the Rock Ridge entries of that file are too long to go with it", rec.name)
	}
	if err != nil {
		return record{}, err
	}
	raw[0] = byte(len(raw))
	return record{raw, rec.name, rec.spelled}, nil
}

// claim reserves places for the continuation blocks of one record.
func (r *relocation) claim(d *directory, rec record) error {
	for e, err := range r.base.allEntries(r.tree, rec) {
		if err != nil {
			return err
		}
		switch string(e[:2]) {
		case "CL", "PL", "RE":
			return refuse(DeepTree, "directory /%s has to move, and holds directories that Rock Ridge shows elsewhere", d.path)
		}
	}
	return r.chain(rec, func(c continuation) {
		if _, known := moved(r.blocks[d], c.block); !known {
			r.blocks[d] = append(r.blocks[d], continued{c.block, r.next})
			r.next++
		}
		r.areas[c.block] = append(r.areas[c.block], c)
	})
}

// chain visits the continuation that a record names, the one which that names,
// and so on.
func (r *relocation) chain(rec record, visit func(continuation)) error {
	c, ok := firstContinuation(r.tree.entries(rec))
	for range maxContinuations {
		if !ok {
			return nil
		}
		visit(c)
		s, err := r.base.continued(c)
		if err != nil {
			return err
		}
		c, ok = firstContinuation(entries(s))
	}
	return refuse(Broken, "the Rock Ridge entries of a record have no end")
}

func firstContinuation(all iter.Seq[[]byte]) (continuation, bool) {
	for e := range all {
		if c, ok := continuationOf(e); ok {
			return c, true
		}
	}
	return continuation{}, false
}

func moved(blocks []continued, old int64) (int64, bool) {
	for _, b := range blocks {
		if b.old == old {
			return b.new, true
		}
	}
	return 0, false
}

func (r *relocation) size(d *directory) int { return len(r.edit(d).sheets) * Sector }

// write makes the directory's records name the new places, and appends it.
func (r *relocation) write(d *directory) error {
	var data []byte
	for i, sheet := range r.edit(d).sheets {
		now := make([]record, len(sheet))
		for k, rec := range sheet {
			target := r.target(d, rec, i == 0 && k == 1)
			now[k] = rec
			if target != nil {
				now[k] = rec.at(r.home[target], r.size(target))
			}
			now[k] = r.redirect(d, now[k])
		}
		data = append(data, sheetBytes(now)...)
	}
	for _, b := range r.blocks[d] {
		s, err := r.base.sector(b.old)
		if err != nil {
			return err
		}
		for _, area := range r.areas[b.old] { // what is in it may continue elsewhere
			r.redirectEntries(d, entries(s[area.offset:area.offset+area.size]))
		}
		data = append(data, s...)
	}
	r.appended = append(r.appended, chunk{r.home[d] * Sector, data})
	return nil
}

// target is the directory that a record names, nil for files. libisofs lets ".."
// of Joliet directories name the directory itself; the right one is the parent.
func (r *relocation) target(d *directory, rec record, parent bool) *directory {
	switch {
	case parent:
		return d.parent
	case rec.special():
		return d
	case rec.isDir():
		return r.tree.byExtent[rec.extent()]
	}
	return nil
}

// redirect makes a record's CE entry name the moved block.
func (r *relocation) redirect(d *directory, rec record) record {
	if len(r.blocks[d]) > 0 {
		rec.raw = bytes.Clone(rec.raw)
		r.redirectEntries(d, r.tree.entries(rec))
	}
	return rec
}

func (r *relocation) redirectEntries(d *directory, all iter.Seq[[]byte]) {
	for e := range all {
		if c, ok := continuationOf(e); ok {
			if now, known := moved(r.blocks[d], c.block); known {
				putBoth32(e[4:], uint32(now))
			}
		}
	}
}

// writeTables makes every path table name the new places; order and names stay.
func (r *relocation) writeTables() error {
	home := map[int64]int64{}
	for d, lba := range r.home {
		home[d.lba] = lba
	}
	for _, table := range r.tables {
		now := bytes.Clone(table.data)
		err := table.each(func(at int, extent int64) { table.order.PutUint32(now[at:], uint32(home[extent])) })
		if err != nil {
			return err
		}
		if err := r.patch(table.off, now); err != nil {
			return err
		}
	}
	return nil
}

// patch writes bytes over the base.
func (o *overlay) patch(off int64, data []byte) error {
	for len(data) > 0 {
		lba, at := off/Sector, int(off%Sector)
		s, ok := o.sectors[lba]
		if !ok {
			s = make([]byte, Sector)
			if n, err := o.base.r.ReadAt(s, lba*Sector); n < len(s) && lba*Sector+int64(n) < o.base.size {
				return fmt.Errorf("read block %d of the image: %w", lba, err)
			}
			o.sectors[lba] = s
		}
		n := copy(s[at:], data)
		off, data = off+int64(n), data[n:]
	}
	return nil
}

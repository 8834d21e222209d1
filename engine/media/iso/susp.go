package iso

import (
	"bytes"
	"encoding/binary"
	"iter"
)

// entries walks a system use area (SUSP): two letters, length, version, body.
func entries(area []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(area) >= 4 && area[0] != 0 {
			n := int(area[2])
			if n < 4 || n > len(area) || !yield(area[:n:n]) {
				return
			}
			area = area[n:]
		}
	}
}

// entries walks the system use area of a record of this tree.
func (t *tree) entries(r record) iter.Seq[[]byte] {
	area := r.systemUse()
	return entries(area[min(t.skip, len(area)):])
}

// findRockRidge looks for the SP entry, which Rock Ridge puts into the root's
// own record, possibly behind 14 bytes of XA attributes. Its last byte says how
// much every record skips.
func (t *tree) findRockRidge(dot record) {
	area := dot.systemUse()
	for _, skip := range []int{0, 14} {
		if len(area) >= skip+7 && string(area[skip:skip+2]) == "SP" && area[skip+4] == 0xBE && area[skip+5] == 0xEF {
			t.rockRidge, t.skip = true, int(area[skip+6])
			return
		}
	}
}

// rockRidgeName is the name by which Rock Ridge readers know a record; one without
// an NM entry has its plain name there, too.
func (b *Base) rockRidgeName(t *tree, r record) (string, error) {
	name, err := "", error(nil)
	for e, walkErr := range b.allEntries(t, r) {
		if err = walkErr; err != nil {
			return "", err
		}
		if string(e[:2]) == "NM" && len(e) >= 5 {
			name += string(e[5:])
		}
	}
	return name, nil
}

// maxContinuations bounds how often a record's entries continue.
const maxContinuations = 16

// allEntries walks the entries of a record and of all that continues it.
func (b *Base) allEntries(t *tree, r record) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		area := t.entries(r)
		for range maxContinuations {
			var next continuation
			more := false
			for e := range area {
				if c, ok := continuationOf(e); ok {
					next, more = c, true
				} else if !yield(e, nil) {
					return
				}
			}
			if !more {
				return
			}
			s, err := b.continued(next)
			if err != nil {
				yield(nil, err)
				return
			}
			area = entries(s)
		}
		yield(nil, refuse(Broken, "the Rock Ridge entries of a record have no end"))
	}
}

// continued reads the area that a CE entry names.
func (b *Base) continued(c continuation) ([]byte, error) {
	s, err := b.sector(c.block)
	if err != nil || c.offset+c.size > Sector {
		return nil, refuse(Broken, "a Rock Ridge entry of the image leads nowhere (block %d)", c.block)
	}
	return s[c.offset : c.offset+c.size], nil
}

// serialOf is the serial number of a record, by which Rock Ridge marks hard links.
func (t *tree) serialOf(r record) uint32 {
	for e := range t.entries(r) {
		if string(e[:2]) == "PX" && len(e) == 44 {
			return binary.LittleEndian.Uint32(e[36:])
		}
	}
	return 0
}

// alone makes a record that shared its data with others a file of its own: one link,
// a serial number that no other file has.
func (t *tree) alone(r record, serial uint32) record {
	for e := range t.entries(r) { // slices of r.raw, which is a copy
		if string(e[:2]) == "PX" && len(e) == 44 {
			putBoth32(e[12:], 1)
			putBoth32(e[36:], serial)
		}
	}
	return r
}

// rockRidgeOf makes the entries of a new file: owner, mode and the shape of the
// dates are those of a sibling, the serial number is its own, because a copied one
// reads as a hard link. stamp, if given, replaces the dates.
func (t *tree) rockRidgeOf(d *directory, name string, serial uint32, stamp []byte) []byte {
	area := d.sibling().systemUse()
	out := bytes.Clone(area[:min(t.skip, len(area))]) // XA attributes, which every record has
	nm := append([]byte{'N', 'M', byte(5 + len(name)), 1, 0}, name...)
	named := false
	for e := range t.entries(d.sibling()) {
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
			out, named = append(append(out, nm...), e...), true
		case "TF":
			for at := 5; len(stamp) > 0 && e[4]&0x80 == 0 && at+7 <= len(e); at += 7 {
				copy(e[at:], stamp)
			}
			out = append(out, e...)
		}
	}
	if !named {
		out = append(out, nm...)
	}
	return out
}

// sibling is a file of the directory, else the directory itself.
func (d *directory) sibling() record {
	for _, sheet := range d.sheets {
		for _, r := range sheet {
			if !r.isDir() {
				return r
			}
		}
	}
	return d.sheets[0][0]
}

// continuation is a CE entry: where a record's system use area continues.
type continuation struct {
	block        int64
	offset, size int
}

func continuationOf(e []byte) (continuation, bool) {
	if string(e[:2]) != "CE" || len(e) != 28 {
		return continuation{}, false
	}
	return continuation{int64(binary.LittleEndian.Uint32(e[4:])), int(binary.LittleEndian.Uint32(e[12:])), int(binary.LittleEndian.Uint32(e[20:]))}, true
}

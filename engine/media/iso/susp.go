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
// much all other records skip.
func (t *tree) findRockRidge(dot record) {
	area := dot.systemUse()
	for _, skip := range []int{0, 14} {
		if len(area) >= skip+7 && string(area[skip:skip+2]) == "SP" && area[skip+4] == 0xBE && area[skip+5] == 0xEF {
			t.rockRidge, t.skip = true, int(area[skip+6])
			return
		}
	}
}

// rockRidgeName is the NM entry of a record, "" without one.
func (t *tree) rockRidgeName(r record) string {
	name := ""
	for e := range t.entries(r) {
		if string(e[:2]) == "NM" && len(e) >= 5 {
			name += string(e[5:])
		}
	}
	return name
}

// rockRidgeOf makes the entries of a new file: owner, mode and the shape of the
// dates are those of a sibling, the serial number is its own, because a copied one
// reads as a hard link. PX does not hold the size, so replaced files need no change.
func (t *tree) rockRidgeOf(d *directory, name string, serial uint32) []byte {
	out := make([]byte, t.skip)
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

// continuation is a CE entry: where a record's system use area goes on.
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

package iso

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
)

// record is a directory record (ECMA-119 9.1). raw is never written to: an
// overlay replaces whole records.
type record struct {
	raw     []byte
	name    string // as readers compare it: upper case, without version and trailing dot
	spelled string // the same as it is written, by which directories are sorted
}

func (r record) extent() int64 { return int64(binary.LittleEndian.Uint32(r.raw[2:])) }
func (r record) size() int64   { return int64(binary.LittleEndian.Uint32(r.raw[10:])) }
func (r record) isDir() bool   { return r.raw[25]&2 != 0 }
func (r record) id() []byte    { return r.raw[33 : 33+int(r.raw[32])] }

// special reports "." and "..", whose names are the bytes 0 and 1.
func (r record) special() bool { return r.raw[32] == 1 && r.raw[33] <= 1 }

// systemUse is what follows the name: Rock Ridge is stored there.
func (r record) systemUse() []byte {
	n := 33 + int(r.raw[32])
	return r.raw[min(n+n&1, len(r.raw)):] // padded to an even place
}

func (r record) bothEndian() bool {
	return binary.LittleEndian.Uint32(r.raw[2:]) == binary.BigEndian.Uint32(r.raw[6:]) &&
		binary.LittleEndian.Uint32(r.raw[10:]) == binary.BigEndian.Uint32(r.raw[14:])
}

// at returns a copy of the record that names another place.
func (r record) at(extent int64, size int) record {
	raw := bytes.Clone(r.raw)
	putBoth32(raw[2:], uint32(extent))
	putBoth32(raw[10:], uint32(size))
	return record{raw, r.name, r.spelled}
}

func putBoth32(b []byte, v uint32) {
	binary.LittleEndian.PutUint32(b, v)
	binary.BigEndian.PutUint32(b[4:], v)
}

// directory is one directory as it is in the image. Its records are in sheets,
// one per sector, because a record never crosses the end of a sector and an overlay
// leaves each where it is.
type directory struct {
	path   string // upper case, "" is the root
	lba    int64
	data   []byte
	sheets [][]record
	parent *directory // of the root: itself
}

// parse cuts the directory's sectors into records.
func (d *directory) parse(k TreeKind) error {
	d.sheets = make([][]record, len(d.data)/Sector)
	for i := range d.sheets {
		sheet, err := parseSheet(d.data[i*Sector:(i+1)*Sector], k)
		if err != nil {
			return refuse(Broken, "directory /%s of the image is broken: %v", d.path, err)
		}
		for k, r := range sheet {
			if r.special() != (i == 0 && k < 2) {
				return refuse(Broken, "directory /%s of the image is broken: it does not begin with itself and its parent, and those alone", d.path)
			}
		}
		d.sheets[i] = sheet
	}
	if len(d.sheets[0]) < 2 {
		return refuse(Broken, "directory /%s of the image is broken: it does not name itself and its parent", d.path)
	}
	if self := d.sheets[0][0]; self.extent() != d.lba || self.size() != int64(len(d.data)) {
		return refuse(Contradiction, "directory /%s of the image says of itself that it is elsewhere", d.path)
	}
	return nil
}

func parseSheet(s []byte, k TreeKind) ([]record, error) {
	var sheet []record
	for at := 0; at < len(s) && s[at] != 0; {
		n := int(s[at])
		if n < 34 || n%2 == 1 || at+n > len(s) || 33+int(s[at+32]) > n || s[at+32] == 0 {
			return nil, fmt.Errorf("bad record at byte %d of a sector", at)
		}
		r := record{raw: s[at : at+n : at+n]}
		if !r.bothEndian() {
			return nil, fmt.Errorf("the record at byte %d of a sector contradicts itself", at)
		}
		if !r.special() {
			r.spelled = spelled(r.id(), k)
			r.name = fold(r.spelled)
		}
		sheet = append(sheet, r)
		at += n
	}
	if len(sheet) == 0 {
		return nil, errors.New("it has an empty sector, on which ESXi's UEFI driver would loop for ever")
	}
	return sheet, nil
}

// spelled decodes an identifier and drops what readers ignore.
func spelled(id []byte, k TreeKind) string {
	text := string(id)
	if k == Joliet {
		units := make([]uint16, len(id)/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(id[2*i:])
		}
		text = string(utf16.Decode(units))
	}
	text, _, _ = strings.Cut(text, ";")
	return strings.TrimSuffix(text, ".")
}

// fold makes a name upper case, in ASCII only: other letters are other names.
func fold(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// ucs2 is how Joliet writes names.
func ucs2(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.BigEndian.AppendUint16(out, u)
	}
	return out
}

// compareNames orders names as they are written, capital letters before small ones: as
// ECMA-119 9.3 does, by name, then extension, the shorter one padded with blanks; in
// Joliet as a whole, which is how genisoimage and xorriso sort it. One of the two is ASCII,
// so that its bytes sort as Joliet's code units do.
func compareNames(k TreeKind, a, b string) int {
	if k == Joliet {
		return strings.Compare(a, b)
	}
	nameA, extA, _ := strings.Cut(a, ".")
	nameB, extB, _ := strings.Cut(b, ".")
	if c := comparePadded(nameA, nameB); c != 0 {
		return c
	}
	return comparePadded(extA, extB)
}

func comparePadded(a, b string) int {
	for i := range max(len(a), len(b)) {
		x, y := byte(' '), byte(' ')
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return int(x) - int(y)
		}
	}
	return 0
}

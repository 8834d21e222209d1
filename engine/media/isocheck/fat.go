package isocheck

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
)

// fat reads the FAT file system of an EFI boot image: short names only, which is how
// firmware's EFI/BOOT/BOOTX64.EFI is stored.
type fat struct {
	r        io.ReaderAt // the boot image, from its first byte on
	cluster  int64       // bytes
	data     int64       // where cluster 2 begins, in bytes
	root     []byte      // of FAT12 and FAT16: a fixed place
	rootAt   uint32      // of FAT32: the first cluster
	table    []byte
	bits     int // of an entry of the table: 12, 16, 32
	clusters uint32
}

// Bounds of what a boot image may claim, in bytes.
const (
	maxTable     = 8 << 20
	maxDirectory = 1 << 20
)

// openFAT reads boot sector and allocation table. The error is the rest of a sentence
// about the boot image.
func openFAT(r io.ReaderAt) (*fat, error) {
	b := make([]byte, 512)
	if n, _ := r.ReadAt(b, 0); n < len(b) {
		return nil, errCutShort
	}
	if len(bytes.Trim(b, "\x00")) == 0 {
		return nil, errors.New("is empty: it begins with zeros")
	}
	p := parameters(b)
	if !p.valid() {
		return nil, errors.New("holds no FAT file system")
	}
	f := &fat{r: r, cluster: p.perCluster * p.sector, data: p.firstCluster() * p.sector, rootAt: binary.LittleEndian.Uint32(b[44:])}
	f.clusters = uint32((p.total - p.firstCluster()) / p.perCluster)
	f.bits = fatBits(f.clusters)
	f.table, f.root = make([]byte, p.perTable*p.sector), make([]byte, p.entries*32)
	if n, _ := r.ReadAt(f.table, p.reserved*p.sector); n < len(f.table) {
		return nil, errCutShort
	}
	if n, _ := r.ReadAt(f.root, (p.firstCluster()-p.rootSectors())*p.sector); n < len(f.root) {
		return nil, errCutShort
	}
	return f, nil
}

var errCutShort = errors.New("is cut short")

// geometry is the parameter block of a FAT's boot sector; all but sector (in bytes) and
// entries count sectors.
type geometry struct {
	sector, perCluster, reserved, tables, perTable, total int64
	entries                                               int64 // of the root directory of FAT12 and FAT16
}

func parameters(b []byte) geometry {
	le := binary.LittleEndian
	g := geometry{sector: int64(le.Uint16(b[11:])), perCluster: int64(b[13]), reserved: int64(le.Uint16(b[14:])), tables: int64(b[16]),
		entries: int64(le.Uint16(b[17:])), total: int64(le.Uint16(b[19:])), perTable: int64(le.Uint16(b[22:]))}
	if g.total == 0 {
		g.total = int64(le.Uint32(b[32:]))
	}
	if g.perTable == 0 {
		g.perTable = int64(le.Uint32(b[36:]))
	}
	return g
}

func (g geometry) rootSectors() int64 { return (g.entries*32 + g.sector - 1) / g.sector }

func (g geometry) firstCluster() int64 { return g.reserved + g.tables*g.perTable + g.rootSectors() }

func (g geometry) valid() bool {
	power := func(n int64) bool { return n > 0 && n&(n-1) == 0 }
	return power(g.sector) && g.sector >= 512 && g.sector <= 4096 && power(g.perCluster) && g.reserved > 0 && g.tables > 0 &&
		g.perTable > 0 && g.perTable*g.sector <= maxTable && g.total > g.firstCluster()
}

// fatBits is the kind of a FAT, which by definition follows from the number of clusters.
func fatBits(clusters uint32) int {
	switch {
	case clusters < 4085:
		return 12
	case clusters < 65525:
		return 16
	}
	return 32
}

// next is the cluster that follows another one in its file; false at the end, or where
// the table leads nowhere.
func (f *fat) next(cluster uint32) (uint32, bool) {
	le, at := binary.LittleEndian, int(cluster)*f.bits/8
	if at+max(2, f.bits/8) > len(f.table) {
		return 0, false
	}
	var v uint32
	switch f.bits {
	case 12:
		v = uint32(le.Uint16(f.table[at:])) >> (cluster % 2 * 4) & 0xFFF
	case 16:
		v = uint32(le.Uint16(f.table[at:]))
	default:
		v = le.Uint32(f.table[at:]) & 0x0FFFFFFF
	}
	return v, f.valid(v)
}

func (f *fat) valid(cluster uint32) bool { return cluster >= 2 && cluster-2 < f.clusters }

// read returns the first bytes of what begins at a cluster, at most limit.
func (f *fat) read(cluster uint32, limit int64) (out []byte) {
	for ok := f.valid(cluster); ok && int64(len(out)) < limit; cluster, ok = f.next(cluster) {
		part := make([]byte, f.cluster)
		if n, _ := f.r.ReadAt(part, f.data+int64(cluster-2)*f.cluster); n < len(part) {
			return out
		}
		out = append(out, part...)
	}
	return out[:min(int64(len(out)), limit)]
}

// fatFile is a directory entry.
type fatFile struct {
	name    string // such as "BOOTX64.EFI"
	cluster uint32
	size    int64
	dir     bool
}

// entries cuts a directory into its entries, without volume label and parts of long names.
func (f *fat) entries(directory []byte) (out []fatFile) {
	le := binary.LittleEndian
	for ; len(directory) >= 32 && directory[0] != 0; directory = directory[32:] {
		e := directory[:32]
		if e[0] == 0xE5 || e[11]&8 != 0 {
			continue
		}
		name := strings.TrimRight(string(e[:8]), " ")
		if extension := strings.TrimRight(string(e[8:11]), " "); extension != "" {
			name += "." + extension
		}
		cluster := uint32(le.Uint16(e[26:]))
		if f.bits == 32 {
			cluster |= uint32(le.Uint16(e[20:])) << 16
		}
		out = append(out, fatFile{name, cluster, int64(le.Uint32(e[28:])), e[11]&16 != 0})
	}
	return out
}

// list returns what is in the directory at a path; nothing if it does not exist.
func (f *fat) list(path ...string) []fatFile {
	found := f.entries(f.root)
	if f.bits == 32 {
		found = f.entries(f.read(f.rootAt, maxDirectory))
	}
	for _, name := range path {
		at := fatFile{}
		for _, e := range found {
			if e.dir && e.name == name {
				at = e
			}
		}
		found = f.entries(f.read(at.cluster, maxDirectory))
	}
	return found
}

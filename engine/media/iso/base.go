package iso

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
)

// Sector is the size of a logical block, in bytes. Other sizes exist in the
// standard; the UEFI driver of ESXi reads only this one.
const Sector = 2048

// What a broken image may claim at most.
const (
	maxDirectory   = 4 << 20  // bytes of one directory
	maxMetadata    = 64 << 20 // of all directories together
	maxPath        = 1024     // bytes of a directory's path
	maxDescriptors = 48
)

// Base is an indexed source image. It does not change and is safe for concurrent use.
type Base struct {
	r           io.ReaderAt
	size        int64
	descriptors []descriptor
	trees       []*tree
	hybrid      *hybrid          // partition tables, nil without
	blanks      map[int64][]byte // sectors with checksums that an overlay makes stale, already blanked
	warnings    []Warning
	identity    string
	metadata    int64 // bytes of directories read so far

	mu     sync.Mutex
	shared map[int64][]byte // what overlays replaced sectors with
}

// descriptor is a volume descriptor that names a directory tree.
type descriptor struct {
	lba    int64
	sector []byte
}

func (d descriptor) root() record { return record{raw: d.sector[156:190]} }

// TreeKind is how a tree spells its names.
type TreeKind string

// The kinds of directory trees that an image can hold side by side.
const (
	Primary  TreeKind = "ISO 9660"
	Enhanced TreeKind = "ISO 9660:1999"
	Joliet   TreeKind = "Joliet"
)

// tree is one directory hierarchy; several descriptors may share it.
type tree struct {
	kind        TreeKind
	rockRidge   bool
	skip        int // bytes of every system use area that Rock Ridge skips
	descriptors []descriptor
	dirs        []*directory          // breadth first, the root first
	byPath      map[string]*directory // nil for a path that two directories answer to
	byExtent    map[int64]*directory
	serial      uint32 // the highest Rock Ridge serial number
}

// Option changes how [Open] works.
type Option func(*Base)

// Identity names the content of the image, such as by its SHA-256; without it
// size and directories stand for it. It goes into [Image.ETag].
func Identity(id string) Option { return func(b *Base) { b.identity = id } }

// Open indexes an image of size bytes: it reads descriptors and directories, no files.
func Open(r io.ReaderAt, size int64, options ...Option) (*Base, error) {
	b := &Base{r: r, size: size, blanks: map[int64][]byte{}, shared: map[int64][]byte{}}
	for _, o := range options {
		o(b)
	}
	if err := b.readDescriptors(); err != nil {
		return nil, err
	}
	for _, d := range b.descriptors {
		if err := b.addTree(d); err != nil {
			return nil, err
		}
	}
	var err error
	if b.hybrid, err = readHybrid(b); err != nil {
		return nil, err
	}
	b.keepFiles()
	b.look()
	return b, nil
}

// keepFiles removes the blocks of files from what is to be blanked.
func (b *Base) keepFiles() {
	for _, t := range b.trees {
		t.walk(func(e Entry) error {
			for lba := range b.blanks {
				if lba >= e.Extent && lba*Sector < e.Extent*Sector+e.Size {
					delete(b.blanks, lba)
				}
			}
			return nil
		})
	}
}

// Size is the length of the source in bytes.
func (b *Base) Size() int64 { return b.size }

// Identity names the content: what [Identity] gave, else a digest of the
// size and all metadata.
func (b *Base) Identity() string {
	if b.identity != "" {
		return b.identity
	}
	h := sha256.New()
	fmt.Fprintln(h, b.size)
	for _, d := range b.descriptors {
		h.Write(d.sector)
	}
	for _, t := range b.trees {
		for _, d := range t.dirs {
			h.Write(d.data)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (b *Base) sector(lba int64) ([]byte, error) {
	buf := make([]byte, Sector)
	if n, err := b.r.ReadAt(buf, lba*Sector); n < Sector {
		return nil, fmt.Errorf("read block %d of the image: %w", lba, err)
	}
	return buf, nil
}

// readDescriptors walks the volume descriptor set from block 16 on.
func (b *Base) readDescriptors() error {
	for lba := int64(16); lba < 16+maxDescriptors; lba++ {
		s, err := b.sector(lba)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err != nil || string(s[1:6]) != "CD001" {
			return refuse(NotISO, "not an ISO 9660 image: block %d holds no volume descriptor", lba)
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
	return refuse(NotISO, "not an ISO 9660 image: its volume descriptors have no end")
}

// libisofsTag is a checksum of xorriso's over the blocks before it.
var libisofsTag = regexp.MustCompile(`^libisofs_([a-z0-9]+_)?checksum_tag_v1 pos=[0-9]+ `)

func checkDescriptor(s []byte, size int64) error {
	if block := binary.LittleEndian.Uint16(s[128:]); block != Sector {
		return refuse(BlockSize, "its block size is %d bytes, not %d, and ESXi's UEFI driver reads no other", block, Sector)
	}
	le, be := binary.LittleEndian.Uint32(s[80:]), binary.BigEndian.Uint32(s[84:])
	if le != be {
		return refuse(Contradiction, "a volume descriptor contradicts itself about the size of the volume")
	}
	if int64(le)*Sector > size {
		return refuse(Truncated, "the image is cut short: its volume has %d bytes, the file only %d; fetch it again", int64(le)*Sector, size)
	}
	return nil
}

// afterDescriptors refuses a second file system, which would still show the
// old files, and finds checksums that an overlay would falsify.
func (b *Base) afterDescriptors(lba int64) error {
	if len(b.descriptors) == 0 || b.descriptors[0].sector[0] != 1 {
		return refuse(NotISO, "not an ISO 9660 image: it has no primary volume descriptor")
	}
	for end := lba + 16; lba < end; lba++ {
		s, err := b.sector(lba)
		if err != nil {
			return nil
		}
		if id := string(s[1:6]); id == "NSR02" || id == "NSR03" {
			return refuse(SecondSystem, "it also holds a UDF file system, which would still show the old files")
		}
		if libisofsTag.Match(s[:64]) {
			b.blanks[lba] = make([]byte, Sector)
		}
	}
	return nil
}

// addTree reads the directories below a descriptor's root, unless another
// descriptor shares them: the enhanced one of "-iso-level 4" names the primary's.
func (b *Base) addTree(d descriptor) error {
	root := d.root()
	if !root.bothEndian() {
		return refuse(Contradiction, "a root directory record contradicts itself")
	}
	for _, t := range b.trees {
		if t.dirs[0].lba == root.extent() {
			t.descriptors = append(t.descriptors, d)
			return nil
		}
	}
	t := &tree{kind: kindOf(d.sector), descriptors: []descriptor{d}, byPath: map[string]*directory{}, byExtent: map[int64]*directory{}}
	b.trees = append(b.trees, t)
	return b.readTree(t, root)
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

// readTree reads all directories, breadth first. No directory is read twice, so
// a tree with a cycle ends.
func (b *Base) readTree(t *tree, root record) error {
	first, err := b.directory(t, "", root)
	if err != nil {
		return err
	}
	first.parent = first
	t.findRockRidge(first.sheets[0][0])
	t.dirs = []*directory{first}
	for i := 0; i < len(t.dirs); i++ {
		for _, sheet := range t.dirs[i].sheets {
			for _, r := range sheet {
				t.serial = max(t.serial, t.serialOf(r))
				if !r.isDir() || r.special() {
					continue
				}
				if t.byExtent[r.extent()] != nil {
					return refuse(Contradiction, "directory /%s overlaps another directory of the image", join(t.dirs[i].path, r.name))
				}
				d, err := b.directory(t, join(t.dirs[i].path, r.name), r)
				if err != nil {
					return err
				}
				d.parent = t.dirs[i]
				t.dirs = append(t.dirs, d)
			}
		}
	}
	return nil
}

func join(dir, name string) string { return strings.TrimPrefix(dir+"/"+name, "/") }

// directory reads and checks one directory.
func (b *Base) directory(t *tree, path string, r record) (*directory, error) {
	size := r.size()
	if len(path) > maxPath {
		return nil, refuse(Broken, "the directories of the image are nested too deep")
	}
	if r.raw[1] != 0 || r.raw[25]&0x84 != 0 || r.raw[26] != 0 || r.raw[27] != 0 {
		return nil, refuse(Interleaved, "directory /%s of the image does not lie in one run of blocks", path)
	}
	if size == 0 || size%Sector != 0 || size > maxDirectory || r.extent() < 16 || r.extent()*Sector+size > b.size {
		return nil, refuse(Broken, "directory /%s of the image is broken: %d bytes at block %d", path, size, r.extent())
	}
	if b.metadata += size; b.metadata > maxMetadata {
		return nil, refuse(Broken, "the directories of the image claim more than %d MiB", maxMetadata>>20)
	}
	d := &directory{path: path, lba: r.extent(), data: make([]byte, size)}
	if n, err := b.r.ReadAt(d.data, d.lba*Sector); n < len(d.data) {
		return nil, fmt.Errorf("read directory /%s of the image: %w", path, err)
	}
	if err := d.parse(t.kind); err != nil {
		return nil, err
	}
	t.byExtent[d.lba] = d
	if _, twice := t.byPath[path]; twice {
		t.byPath[path] = nil
	} else {
		t.byPath[path] = d
	}
	return d, nil
}

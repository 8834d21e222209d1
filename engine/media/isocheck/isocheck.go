// Package isocheck judges ISO 9660 images strictly: whether every reader that
// takes another way through the image must find the same files.
//
// It knows nothing of the package that lays files over images (engine/media/iso)
// and shares no code with it, so that a mistake made there cannot hide here.
//
// [Check] looks at one image. [CheckBase] says whether an image can be what another was
// made from, [CheckLoader] whether UEFI firmware finds a loader in a boot image. [Compare] looks at both, and demands that nothing but metadata differs in
// the part that both have, and that a file is the base's own or lies behind it.
package isocheck

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const sector = 2048

// Severity is how bad a finding is.
type Severity string

// With an error the image is read differently by different readers, or not at all. A
// warning is about something unusual, and vendors' tools make such images.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one fault of an image.
type Finding struct {
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"`
	Block    int64    `json:"block"` // where, in blocks of 2048 bytes
	Text     string   `json:"text"`
}

func (f Finding) String() string {
	return fmt.Sprintf("%s: block %d: %s (%s)", f.Severity, f.Block, f.Text, f.Rule)
}

// Report lists the findings about an image.
type Report struct {
	Trees       int       `json:"trees"`
	Directories int       `json:"directories"` // of the primary tree
	Files       int       `json:"files"`
	Findings    []Finding `json:"findings"`
}

// OK reports an image without errors.
func (r Report) OK() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity == Error })
}

// Err is the first error, nil without one.
func (r Report) Err() error {
	for _, f := range r.Findings {
		if f.Severity == Error {
			return fmt.Errorf("block %d: %s (%s)", f.Block, f.Text, f.Rule)
		}
	}
	return nil
}

// maxFindings bounds the report about a file that is no image.
const maxFindings = 200

// checker collects findings about one image.
type checker struct {
	r       io.ReaderAt
	size    int64
	volume  int64 // blocks, by the primary descriptor
	report  Report
	areas   []area
	volumes []volume
	trees   []*tree
	behind  int64 // first block behind the descriptors
	budget  int64 // bytes of directories that may still be read
	hops    int   // continued records that may still be followed
	err     error // of reading
}

// area is a run of blocks and its content.
type area struct {
	from, to int64 // blocks, to is behind
	kind     string
	name     string
}

// volume is a descriptor that names a tree.
type volume struct {
	lba    int64
	s      []byte
	joliet bool
}

// Check judges an image of size bytes. The error is about reading it; a file
// that is no image has findings.
func Check(r io.ReaderAt, size int64) (Report, error) {
	c, err := inspect(r, size)
	return c.report, err
}

func inspect(r io.ReaderAt, size int64) (*checker, error) {
	c := &checker{r: r, size: size, budget: 64 << 20, hops: 1 << 16, report: Report{Findings: []Finding{}}}
	if !c.descriptors() {
		return c, c.err
	}
	for _, v := range c.volumes {
		c.tree(v)
	}
	c.report.Trees = len(c.trees)
	c.pathTables()
	c.agree()
	c.boot()
	c.sizes()
	c.overlaps()
	c.partitions()
	return c, c.err
}

func (c *checker) find(s Severity, rule string, block int64, format string, values ...any) {
	if len(c.report.Findings) < maxFindings {
		c.report.Findings = append(c.report.Findings, Finding{s, rule, block, fmt.Sprintf(format, values...)})
	}
}

func (c *checker) fault(rule string, block int64, format string, values ...any) {
	c.find(Error, rule, block, format, values...)
}

func (c *checker) warn(rule string, block int64, format string, values ...any) {
	c.find(Warning, rule, block, format, values...)
}

// read returns n bytes at a block, or nil where the image has none.
func (c *checker) read(block, n int64) []byte {
	if block < 0 || n < 0 || n > 4<<20 || block*sector+n > c.size {
		return nil
	}
	b := make([]byte, n)
	if got, err := c.r.ReadAt(b, block*sector); int64(got) < n {
		if err != nil && !errors.Is(err, io.EOF) {
			c.err = fmt.Errorf("read block %d: %w", block, err)
		}
		return nil
	}
	return b
}

// pair reads a number written in both byte orders.
func pair(b []byte) (v int64, agree bool) {
	le, be := binary.LittleEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	return int64(le), le == be
}

func pair16(b []byte) (v int, agree bool) {
	le, be := binary.LittleEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	return int(le), le == be
}

// descriptors checks the volume descriptor set.
func (c *checker) descriptors() bool {
	for lba := int64(16); ; lba++ {
		s := c.read(lba, sector)
		if s == nil || string(s[1:6]) != "CD001" || lba > 80 {
			c.fault("descriptors", lba, "the volume descriptors have no end: this is no ISO 9660 image, or not a whole one")
			return false
		}
		switch s[0] {
		case 1, 2:
			c.descriptor(volume{lba, s, s[0] == 2 && strings.HasPrefix(string(s[88:91]), "%/")})
		case 255:
			c.behind = lba + 1
			c.areas = append(c.areas, area{16, c.behind, "descriptors", "the volume descriptors"})
			return c.primary()
		}
	}
}

func (c *checker) primary() bool {
	if len(c.volumes) == 0 || c.volumes[0].s[0] != 1 {
		c.fault("descriptors", 16, "there is no primary volume descriptor")
		return false
	}
	for lba := c.behind; lba < c.behind+16; lba++ {
		if s := c.read(lba, 8); s != nil && (string(s[1:6]) == "NSR02" || string(s[1:6]) == "NSR03") {
			c.fault("second-system", lba, "a UDF file system shares the image; what it shows is not checked")
		}
	}
	if c.size%sector != 0 {
		c.warn("size", c.size/sector, "the file's length is no multiple of %d", sector)
	}
	return true
}

func (c *checker) descriptor(v volume) {
	c.volumes = append(c.volumes, v)
	blocks, agree := pair(v.s[80:])
	block, agreeBlock := pair16(v.s[128:])
	_, agreeTable := pair(v.s[132:])
	_, agreeSet := pair16(v.s[120:])
	_, agreeNumber := pair16(v.s[124:])
	switch {
	case !agree || !agreeTable || !agreeBlock || !agreeSet || !agreeNumber:
		c.fault("byte-order", v.lba, "a volume descriptor says different things in its two byte orders")
	case block != sector:
		c.fault("block-size", v.lba, "the block size is %d", block)
	case blocks*sector > c.size:
		c.fault("size", v.lba, "the volume has %d bytes, the file only %d: it is cut short", blocks*sector, c.size)
	case blocks*sector < c.size-c.size%sector:
		c.warn("size", v.lba, "%d bytes follow the end of the volume", c.size-blocks*sector)
	}
	if len(c.volumes) == 1 {
		c.volume = blocks
	}
}

// sizes demands that all descriptors name the same size. xorriso counts an appended
// partition in the first only, which does no harm while nothing else lies there.
func (c *checker) sizes() {
	for _, v := range c.volumes[1:] {
		blocks, _ := pair(v.s[80:])
		if blocks == c.volume {
			continue
		}
		find := c.fault
		if blocks < c.volume && c.onlyPartitionsBehind(blocks) {
			find = c.warn
		}
		find("size", v.lba, "two volume descriptors name different sizes: %d and %d blocks", c.volume, blocks)
	}
}

// onlyPartitionsBehind reports whether a partition begins behind a block, and no file or
// directory lies there.
func (c *checker) onlyPartitionsBehind(block int64) bool {
	other := func(a area) bool { return a.to > block && a.kind != "boot" }
	return !slices.ContainsFunc(c.areas, other) && slices.ContainsFunc(c.partitionSpans(), func(p span) bool {
		return p.from >= block*4 && p.to <= c.size/512
	})
}

// overlaps demands that areas do not overlap. Hard links share
// all of their data, never a part.
func (c *checker) overlaps() {
	slices.SortStableFunc(c.areas, func(a, b area) int {
		if a.from != b.from {
			return int(a.from - b.from)
		}
		return int(b.to - a.to)
	})
	var last area
	for _, a := range c.areas {
		if a.to == a.from {
			continue
		}
		if a.from < last.to && (a.kind != last.kind || a.from != last.from || a.to != last.to || a.kind == "directory") {
			c.fault("overlap", a.from, "%s overlaps %s", a.name, last.name)
		}
		if a.to > last.to {
			last = a
		}
	}
}

// inVolume checks that a run of bytes lies in the volume, and remembers it.
func (c *checker) inVolume(kind, name string, block, bytes int64) bool {
	end := block + (bytes+sector-1)/sector
	if bytes > 0 && (block < 16 || end > c.volume) {
		c.fault("extent", block, "%s is outside of the volume: %d bytes at block %d", name, bytes, block)
		return false
	}
	if bytes > 0 {
		c.areas = append(c.areas, area{block, end, kind, name})
	}
	return true
}

package isocheck

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// CheckBase says why a file of size bytes cannot be the image that another was made
// from, as the rest of a sentence about it; "" when it can. The error is about reading.
func CheckBase(r io.ReaderAt, size int64) (problem string, err error) {
	c, err := inspect(r, size)
	return c.baseProblem(), err
}

// baseProblem names the cause first: an image that was cut short has many consequences.
// A merely invalid image is no obstacle: vendors' tools make such images, and an overlay
// repairs some of it.
func (c *checker) baseProblem() string {
	if len(c.volumes) == 0 || c.behind == 0 {
		return "is not an ISO image"
	}
	if bytes := c.volume * sector; bytes > c.size {
		return fmt.Sprintf("is truncated: its volume has %d bytes, the file %d", bytes, c.size)
	}
	if len(c.trees) == 0 {
		return "is not an ISO image: it has no directories"
	}
	return ""
}

// Compare demands that an image is its base and an overlay: as far as the base goes they
// differ only in what an overlay must change (sizes and root in the descriptors,
// directories, path tables, partition tables, checksums), every file of the base is
// there, and a file lies where the base has it, or behind the base. All of it is read.
func Compare(image io.ReaderAt, size int64, base io.ReaderAt, baseSize int64) (Report, error) {
	b, err := inspect(base, baseSize)
	if err != nil {
		return Report{}, err
	}
	out := &checker{report: Report{Findings: []Finding{}}}
	switch problem := b.baseProblem(); {
	case problem != "":
		out.fault("base", 0, "the base %s", problem)
	case size < baseSize:
		out.fault("compare", 0, "the image has %d bytes, its base %d", size, baseSize)
	default:
		err = out.compare(image, size, b)
	}
	return out.report, err
}

func (c *checker) compare(image io.ReaderAt, size int64, base *checker) error {
	now, err := inspect(image, size)
	if err != nil {
		return err
	}
	if err := c.compareBytes(image, base); err != nil {
		return err
	}
	for _, t := range base.trees {
		i := slices.IndexFunc(now.trees, func(o *tree) bool { return o.volume.lba == t.volume.lba })
		if i < 0 {
			c.fault("compare", t.volume.lba, "a directory tree of the base is missing")
			continue
		}
		c.compareFiles(t, now.trees[i], (base.size+sector-1)/sector)
	}
	return nil
}

// span is a run of bytes, to is behind it.
type span struct{ from, to int64 }

// compareBytes demands that the base's bytes are the image's wherever an overlay changes
// nothing. All differences are one finding: an image that was made from another base
// differs in most of its blocks.
func (c *checker) compareBytes(image io.ReaderAt, base *checker) error {
	const step = 512 * sector
	free := base.free()
	var differing []span // blocks
	a, b := make([]byte, step), make([]byte, step)
	for off := int64(0); off < base.size; off += step {
		n := min(step, base.size-off)
		if err := readBoth(image, base.r, a[:n], b[:n], off); err != nil {
			return err
		}
		for _, s := range free { // differences that are allowed do not count
			if from, to := max(s.from-off, 0), min(s.to-off, n); from < to {
				copy(a[from:to], b[from:to])
			}
		}
		differing = appendDiffering(differing, a[:n], b[:n], off/sector)
	}
	if len(differing) > 0 {
		c.fault("compare", differing[0].from, "%s", base.blocksDiffer(differing))
	}
	return nil
}

// appendDiffering adds the blocks in which a and b differ, the first of which is number
// block, as runs.
func appendDiffering(out []span, a, b []byte, block int64) []span {
	for i := 0; i < len(a) && !bytes.Equal(a[i:], b[i:]); i += sector {
		end, at := min(i+sector, len(a)), block+int64(i/sector)
		switch last := len(out) - 1; {
		case bytes.Equal(a[i:end], b[i:end]):
		case last >= 0 && out[last].to == at:
			out[last].to++
		default:
			out = append(out, span{at, at + 1})
		}
	}
	return out
}

// blocksDiffer reports the first run of blocks, counts the others, and names the files
// that contain them.
func (c *checker) blocksDiffer(runs []span) string {
	const where = "from the base outside of what an overlay changes"
	out := "a block differs " + where
	if n := runs[0].to - runs[0].from; n > 1 {
		out = fmt.Sprintf("%d blocks differ %s", n, where)
	}
	if len(runs) == 1 {
		return out
	}
	more := int64(0)
	for _, s := range runs[1:] {
		more += s.to - s.from
	}
	out += fmt.Sprintf(", and %d more in other places", more)
	if files := c.filesOver(runs); len(files) > 0 {
		out += ": in " + shortList(files)
	}
	return out
}

// filesOver are the files that lie in some of these blocks, in the order of the blocks.
func (c *checker) filesOver(runs []span) (names []string) {
	for _, a := range c.areas {
		i, _ := slices.BinarySearchFunc(runs, a.from, func(s span, from int64) int { return cmp.Compare(s.to, from+1) })
		if a.kind == "file" && i < len(runs) && runs[i].from < a.to && !slices.Contains(names, a.name) {
			names = append(names, a.name)
		}
	}
	return names
}

// shortList names the first three and counts the rest.
func shortList(names []string) string {
	const shown = 3
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}

func readBoth(image, base io.ReaderAt, a, b []byte, off int64) error {
	if n, err := image.ReadAt(a, off); n < len(a) {
		return err
	}
	if n, err := base.ReadAt(b, off); n < len(b) {
		return err
	}
	return nil
}

// compareFiles demands that a file is where the base has it, or behind the base's last
// block, where the overlay puts what it replaces or adds.
func (c *checker) compareFiles(base, now *tree, end int64) {
	var missing, strange []string
	for _, path := range slices.Sorted(maps.Keys(base.files)) {
		if _, there := now.files[path]; !there {
			missing = append(missing, "/"+path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(now.files)) {
		p := now.files[path]
		if old, there := base.files[path]; p.size > 0 && p.block < end && (!there || p != old) {
			strange = append(strange, "/"+path)
		}
	}
	switch len(missing) {
	case 0:
	case 1:
		c.fault("compare", base.files[missing[0][1:]].block, "the file %s of the base is missing", missing[0])
	default:
		c.fault("compare", base.files[missing[0][1:]].block, "%d files of the base are missing: %s", len(missing), shortList(missing))
	}
	switch len(strange) {
	case 0:
	case 1:
		c.fault("compare", now.files[strange[0][1:]].block, "%s shows bytes of the base that are not this file's", strange[0])
	default:
		c.fault("compare", now.files[strange[0][1:]].block, "%d files show bytes of the base that are not theirs: %s", len(strange), shortList(strange))
	}
}

// free are the bytes of the base that an overlay may change, except directories and path
// tables as a whole: boot catalog, boot images and Rock Ridge's continued records are
// not among them.
func (c *checker) free() (out []span) {
	for _, a := range c.areas {
		if a.kind == "directory" || a.kind == "path table" {
			out = append(out, span{a.from * sector, a.to * sector})
		}
	}
	for _, v := range c.volumes {
		at := v.lba * sector // volume size, root directory, and where implantisomd5 writes
		out = append(out, span{at + 80, at + 88}, span{at + 156, at + 190}, span{at + 883, at + 1395})
	}
	for block := c.behind; block < c.behind+16; block++ {
		if s := c.read(block, 64); s != nil && bytes.HasPrefix(s, []byte("libisofs_")) && bytes.Contains(s, []byte("checksum_tag_v1 pos=")) && !c.inFile(block) {
			out = append(out, span{block * sector, (block + 1) * sector})
		}
	}
	return append(out, c.freePartitions()...)
}

// freePartitions are the partition tables: MBR, GPT, and the header of the GPT's copy.
func (c *checker) freePartitions() []span {
	out := []span{{446, 510}}
	head := c.read(0, sector)
	if head == nil || string(head[512:520]) != "EFI PART" {
		return out
	}
	le := binary.LittleEndian
	out = append(out, span{512, 1024})
	entries := int64(le.Uint64(head[512+72:])) * 512
	if n := int64(le.Uint32(head[512+80:])) * int64(le.Uint32(head[512+84:])); entries >= 1024 && entries < 16*sector && n > 0 && n <= 16*sector-entries {
		out = append(out, span{entries, entries + n})
	}
	signature := make([]byte, 8)
	at := int64(le.Uint64(head[512+32:])) * 512
	if n, _ := c.r.ReadAt(signature, at); at >= c.behind*sector && n == len(signature) && string(signature) == "EFI PART" && !c.inFile(at/sector) {
		out = append(out, span{at, at + 512})
	}
	return out
}

func (c *checker) inFile(block int64) bool {
	return slices.ContainsFunc(c.areas, func(a area) bool { return a.kind == "file" && a.from <= block && block < a.to })
}

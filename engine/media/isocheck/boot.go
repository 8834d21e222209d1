package isocheck

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
	"strings"
)

// platformUEFI marks the boot entries that UEFI firmware takes.
const platformUEFI = 0xEF

// boot checks the El Torito catalog and what its entries point at.
func (c *checker) boot() {
	s := c.read(17, sector)
	if s == nil || s[0] != 0 || !bytes.HasPrefix(s[7:], []byte("EL TORITO SPECIFICATION")) {
		c.warn("boot", 17, "there is no boot record: no machine boots from this image")
		return
	}
	at := int64(binary.LittleEndian.Uint32(s[71:]))
	catalog := c.read(at, sector)
	if catalog == nil || at >= c.volume {
		c.fault("boot", at, "the boot catalog is outside of the volume")
		return
	}
	var sum uint16
	for i := 0; i < 32; i += 2 {
		sum += binary.LittleEndian.Uint16(catalog[i:])
	}
	if catalog[0] != 1 || catalog[30] != 0x55 || catalog[31] != 0xAA || sum != 0 {
		c.fault("boot", at, "the boot catalog's first entry is broken")
		return
	}
	c.unlessFile("the boot catalog", at, sector)
	uefi := false
	platform := catalog[1]
	for i := 32; i+32 <= len(catalog); i += 32 {
		switch e := catalog[i : i+32]; e[0] {
		case 0x90, 0x91:
			platform = e[1]
		case 0x88:
			uefi = uefi || platform == platformUEFI
			c.bootImage(platform, int64(binary.LittleEndian.Uint32(e[8:])), int64(binary.LittleEndian.Uint16(e[6:])))
		}
	}
	if !uefi {
		c.warn("boot", at, "no boot entry is marked UEFI (platform 0xEF)")
	}
}

// bootImage checks that the image is there, and the table that isolinux keeps in
// its own first bytes.
func (c *checker) bootImage(platform byte, lba, sectors int64) {
	end := lba*4 + max(sectors, 1) // of 512 bytes, as partition tables count
	switch {
	case lba >= 16 && end <= c.volume*4:
		c.unlessFile("a boot image", lba, max(sectors*512, 1))
	case lba >= c.volume && c.appended(lba*4, end):
		c.areas = append(c.areas, area{lba, (end + 3) / 4, "boot", "a boot image"})
	default:
		c.fault("boot", lba, "a boot image is outside of the volume, and no partition behind it holds the image")
		return
	}
	if platform == platformUEFI {
		c.uefiImage(lba)
	}
	head := c.read(lba, 64)
	if platform != 0 || head == nil || binary.LittleEndian.Uint32(head[8:]) != 16 || int64(binary.LittleEndian.Uint32(head[12:])) != lba {
		return // it has no such table
	}
	size := int64(binary.LittleEndian.Uint32(head[16:]))
	data := c.read(lba, size)
	if size < 64 || data == nil {
		c.fault("boot", lba, "the BIOS boot image's own table names a length of %d bytes", size)
		return
	}
	var sum uint32
	for data = data[64:]; len(data) > 0; data = data[min(4, len(data)):] {
		word := make([]byte, 4)
		copy(word, data)
		sum += binary.LittleEndian.Uint32(word)
	}
	if sum != binary.LittleEndian.Uint32(head[20:]) {
		c.fault("boot", lba, "the BIOS boot image does not have the checksum that its own table names")
	}
}

// appended reports whether a partition behind the volume, but in the file, holds a run of
// blocks of 512 bytes: "xorriso -append_partition" puts the EFI boot image there.
func (c *checker) appended(from, to int64) bool {
	return slices.ContainsFunc(c.partitionSpans(), func(p span) bool {
		return p.from >= c.volume*4 && p.from <= from && to <= p.to && p.to <= c.size/512
	})
}

// partitionSpans are the partitions of MBR and GPT, in blocks of 512 bytes.
func (c *checker) partitionSpans() (out []span) {
	head := c.read(0, 1024)
	if head == nil || head[510] != 0x55 || head[511] != 0xAA {
		return nil
	}
	for at := 446; at < 510; at += 16 {
		first, count := int64(binary.LittleEndian.Uint32(head[at+8:])), int64(binary.LittleEndian.Uint32(head[at+12:]))
		if head[at+4] != 0xEE && count > 0 { // 0xEE covers the disk for software that cannot read a GPT
			out = append(out, span{first, first + count})
		}
	}
	if string(head[512:520]) == "EFI PART" && c.gpt(head[512:], 1) {
		out = append(out, c.gptSpans(head[512:])...)
	}
	return out
}

// gptSpans are the partitions of a valid GPT.
func (c *checker) gptSpans(header []byte) (out []span) {
	le := binary.LittleEndian
	size := int(le.Uint32(header[84:]))
	entries := make([]byte, int(le.Uint32(header[80:]))*size)
	if n, _ := c.r.ReadAt(entries, int64(le.Uint64(header[72:]))*512); n < len(entries) || size < 48 {
		return nil
	}
	for at := 0; at+size <= len(entries); at += size {
		if first, last := int64(le.Uint64(entries[at+32:])), int64(le.Uint64(entries[at+40:])); last > 0 {
			out = append(out, span{first, last + 1})
		}
	}
	return out
}

// uefiImage demands the loader that UEFI firmware starts from a removable medium.
func (c *checker) uefiImage(lba int64) {
	switch problem, odd := CheckLoader(io.NewSectionReader(c.r, lba*sector, c.size-lba*sector)); {
	case problem != "":
		c.fault("loader", lba, "the UEFI boot image %s: no machine boots from it in UEFI mode", problem)
	case odd != "":
		c.warn("loader", lba, "the UEFI boot image %s", odd)
	}
}

// CheckLoader says, as the rest of a sentence about an EFI boot image, why firmware finds
// no loader in it; odd is what looks wrong but may be intended. Both are "" for a valid one.
func CheckLoader(r io.ReaderAt) (problem, odd string) {
	f, err := openFAT(r)
	if err != nil {
		return err.Error(), ""
	}
	others := ""
	for _, e := range f.list("EFI", "BOOT") {
		switch head := f.read(e.cluster, min(e.size, 512)); {
		case e.dir || !strings.HasPrefix(e.name, "BOOT") || !strings.HasSuffix(e.name, ".EFI"):
		case e.name != loaderX64:
			others = e.name
		case len(bytes.Trim(head, "\x00")) == 0:
			return "holds an empty EFI/BOOT/" + loaderX64, ""
		case !bytes.HasPrefix(head, []byte("MZ")):
			return "", "holds an EFI/BOOT/" + loaderX64 + " that is no UEFI program: it does not begin with MZ"
		default:
			return "", ""
		}
	}
	if others != "" {
		return "", "holds no EFI/BOOT/" + loaderX64 + ", only " + others + ": 64-bit x86 machines do not boot from it in UEFI mode"
	}
	return "holds no EFI/BOOT/" + loaderX64, ""
}

// loaderX64 is what firmware of 64-bit x86 machines starts from a removable medium.
const loaderX64 = "BOOTX64.EFI"

// unlessFile remembers where something lies that firmware finds by its block, unless
// it is a file, too: then the file is remembered.
func (c *checker) unlessFile(name string, block, bytes int64) {
	for _, a := range c.areas {
		if a.kind == "file" && a.from == block {
			return
		}
	}
	c.inVolume("boot", name, block, bytes)
}

// partitions checks a GPT and its copy at the end. It is read on USB sticks only, never
// on a virtual CD, so its faults are warnings.
func (c *checker) partitions() {
	head := c.read(0, 1024)
	if head == nil || string(head[512:520]) != "EFI PART" {
		return
	}
	primary := head[512:]
	last := c.size/512 - 1
	if !c.gpt(primary, 1) {
		c.warn("gpt", 0, "the partition table (GPT) does not have its own checksums")
		return
	}
	backup := make([]byte, 512)
	at := int64(binary.LittleEndian.Uint64(primary[32:]))
	if at != last {
		c.warn("gpt", 0, "the copy of the partition table (GPT) should be in the last block, %d, not in %d", last, at)
		return
	}
	if n, _ := c.r.ReadAt(backup, at*512); n < len(backup) || string(backup[:8]) != "EFI PART" || !c.gpt(backup, at) {
		c.warn("gpt", c.size/sector-1, "the copy of the partition table (GPT) at the end is broken")
	}
	c.partitionsApart(primary)
}

// partitionsApart finds overlapping partitions. One that begins with the
// image is the image itself, which holds others.
func (c *checker) partitionsApart(header []byte) {
	spans := c.gptSpans(header)
	for i, a := range spans {
		for _, b := range spans[:i] {
			if a.from >= b.to || b.from >= a.to {
				continue
			}
			if a.from > 64 == (b.from > 64) {
				c.warn("gpt", 0, "two partitions lie over one another")
			} else if max(a.to, b.to) > c.volume*4+1 {
				c.warn("gpt", 0, "a partition overlaps one behind the volume")
			}
		}
	}
}

func (c *checker) gpt(header []byte, own int64) bool {
	le := binary.LittleEndian
	size := int64(le.Uint32(header[80:])) * int64(le.Uint32(header[84:]))
	if le.Uint32(header[12:]) != 92 || int64(le.Uint64(header[24:])) != own || size <= 0 || size > 64<<10 {
		return false
	}
	entries := make([]byte, size)
	if n, err := c.r.ReadAt(entries, int64(le.Uint64(header[72:]))*512); int64(n) < size && err != nil {
		return false
	}
	plain := bytes.Clone(header[:92])
	clear(plain[16:20])
	return crc32.ChecksumIEEE(plain) == le.Uint32(header[16:]) && crc32.ChecksumIEEE(entries) == le.Uint32(header[88:])
}

package isocheck

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

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
		c.fault("boot", at, "the boot catalog lies outside of the volume")
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
			uefi = uefi || platform == 0xEF
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
	if lba < 16 || lba*4+sectors > c.volume*4 {
		c.fault("boot", lba, "a boot image lies outside of the volume")
		return
	}
	c.unlessFile("a boot image", lba, max(sectors*512, 1))
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

// partitionsApart finds partitions that lie over one another. One that begins with the
// image is the image itself, which holds others.
func (c *checker) partitionsApart(header []byte) {
	le := binary.LittleEndian
	size := int(le.Uint32(header[84:]))
	entries := make([]byte, int(le.Uint32(header[80:]))*size)
	if n, _ := c.r.ReadAt(entries, int64(le.Uint64(header[72:]))*512); n < len(entries) || size < 48 {
		return
	}
	var spans [][2]uint64
	for at := 0; at+size <= len(entries); at += size {
		if first, last := le.Uint64(entries[at+32:]), le.Uint64(entries[at+40:]); last > 0 {
			spans = append(spans, [2]uint64{first, last})
		}
	}
	for i, a := range spans {
		for _, b := range spans[:i] {
			if a[0] <= b[1] && b[0] <= a[1] && a[0] > 64 == (b[0] > 64) {
				c.warn("gpt", 0, "two partitions lie over one another")
			} else if a[0] <= b[1] && b[0] <= a[1] && int64(max(a[1], b[1])) > c.volume*4 {
				c.warn("gpt", 0, "a partition reaches over one that lies behind the volume")
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

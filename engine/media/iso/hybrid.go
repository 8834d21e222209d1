package iso

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// disk is the block size of partition tables.
const disk = 512

// hybrid are partition tables in the system area of an image that can also be
// written to a USB stick (isohybrid). A virtual CD never reads them. A GPT keeps a
// copy of itself at the very end, so an image that grows must move that copy.
type hybrid struct {
	mbr     []byte // the first block, nil without partitions
	header  []byte // of the GPT, nil without
	entries []byte
	apple   bool
	damaged bool // the GPT contradicts itself; it is left as it is
}

func readHybrid(b *Base) (*hybrid, error) {
	area := make([]byte, 8*Sector)
	if n, err := b.r.ReadAt(area, 0); n < len(area) {
		return nil, err
	}
	h := &hybrid{}
	if area[510] == 0x55 && area[511] == 0xAA && !bytes.Equal(area[446:510], make([]byte, 64)) {
		h.mbr = area[:disk]
	}
	if err := h.readApple(area); err != nil {
		return nil, err
	}
	if string(area[disk:disk+8]) == "EFI PART" {
		h.readGPT(b, area[disk:2*disk])
	}
	if h.mbr == nil && h.header == nil && !h.apple && !h.damaged {
		return nil, nil
	}
	return h, h.refuseSecondVolume(b)
}

// refuseSecondVolume finds a second set of volume descriptors, as "xorriso
// -partition_offset 16" writes it for the view of a partition: it would still show
// the old files.
func (h *hybrid) refuseSecondVolume(b *Base) error {
	var starts []int64
	if h.mbr != nil {
		for at := 446; at < 510; at += 16 {
			starts = append(starts, int64(binary.LittleEndian.Uint32(h.mbr[at+8:])))
		}
	}
	h.partitions(func(first, _ uint64, _ []byte) { starts = append(starts, int64(first)) })
	for _, start := range starts {
		sig := make([]byte, 6)
		at := start*disk + 16*Sector
		if start <= 1 || start > b.size/disk || at+6 > b.size {
			continue
		}
		if n, _ := b.r.ReadAt(sig, at); n == len(sig) && string(sig[1:]) == "CD001" {
			return refuse(SecondSystem, "one of its partitions shows a second directory tree, which would still show the old files")
		}
	}
	return nil
}

// partitions visits the entries of the GPT that are in use.
func (h *hybrid) partitions(visit func(first, last uint64, entry []byte)) {
	if h.header == nil {
		return
	}
	le := binary.LittleEndian
	for at, size := 0, int(le.Uint32(h.header[84:])); at+size <= len(h.entries); at += size {
		e := h.entries[at : at+size]
		if first, last := le.Uint64(e[32:]), le.Uint64(e[40:]); last > 0 && last >= first {
			visit(first, last, e)
		}
	}
}

// readApple looks for an Apple partition map, whose entries have 512 or 2048 bytes,
// and for Apple's file system.
func (h *hybrid) readApple(area []byte) error {
	second := refuse(SecondSystem, "it also holds an HFS file system, which would still show the old files")
	if sig := string(area[1024:1026]); sig == "H+" || sig == "HX" || sig == "BD" {
		return second
	}
	for at := disk; at+disk <= len(area); at += disk {
		if string(area[at:at+2]) != "PM" {
			continue
		}
		h.apple = true
		if bytes.HasPrefix(area[at+48:], []byte("Apple_HFS")) {
			return second
		}
	}
	return nil
}

// readGPT accepts a table only if its checksums match.
func (h *hybrid) readGPT(b *Base, header []byte) {
	le := binary.LittleEndian
	size := int64(le.Uint32(header[80:])) * int64(le.Uint32(header[84:]))
	at := int64(le.Uint64(header[72:])) * disk
	h.damaged = true
	if le.Uint32(header[12:]) != 92 || le.Uint32(header[84:]) < 128 || size == 0 || size > 64<<10 || at < 0 || at+size > b.size {
		return
	}
	entries := make([]byte, size)
	if n, _ := b.r.ReadAt(entries, at); n < len(entries) || crc32.ChecksumIEEE(entries) != le.Uint32(header[88:]) || headerSum(header) != le.Uint32(header[16:]) {
		return
	}
	h.damaged, h.header, h.entries = false, header, entries
}

func headerSum(header []byte) uint32 {
	h := bytes.Clone(header[:92])
	clear(h[16:20])
	return crc32.ChecksumIEEE(h)
}

func (h *hybrid) warn(b *Base) {
	switch {
	case h.damaged:
		b.warn("gpt", "its GPT contradicts itself and is left alone: do not write an overlay of it to a USB stick")
	case h.header != nil:
		b.warn("gpt", "it is a hybrid for USB sticks; an overlay moves the end of its partition table")
	}
	if h.apple {
		b.warn("apm", "it has an Apple partition map, which an overlay does not lengthen; virtual CD drives do not read it")
	}
}

// finishHybrid makes the partition tables agree with the new length.
func (o *overlay) finishHybrid() error {
	h := o.base.hybrid
	if h == nil {
		return nil
	}
	if h.header != nil {
		if err := o.finishGPT(h); err != nil {
			return err
		}
	}
	if h.mbr == nil {
		return nil
	}
	return o.patch(0, h.lengthened(o.base.size/disk, o.next*Sector/disk))
}

// lengthened is the MBR whose partitions over the whole image reach its new end.
func (h *hybrid) lengthened(old, now int64) []byte {
	mbr := bytes.Clone(h.mbr)
	for at := 446; at < 510; at += 16 {
		start, count := binary.LittleEndian.Uint32(mbr[at+8:]), binary.LittleEndian.Uint32(mbr[at+12:])
		if count > 0 && start <= 1 && int64(start)+int64(count) >= old {
			binary.LittleEndian.PutUint32(mbr[at+12:], uint32(now-int64(start)))
		}
	}
	return mbr
}

// finishGPT rewrites the table: a partition that began with the image and reached its
// end does so again, the copy of the table goes to the new end, the old copy is wiped.
func (o *overlay) finishGPT(h *hybrid) error {
	le := binary.LittleEndian
	blocks := (int64(len(h.entries)) + disk - 1) / disk
	o.next += ((blocks+1)*disk + Sector - 1) / Sector
	last := o.next*Sector/disk - 1
	grown := *h
	grown.header, grown.entries = bytes.Clone(h.header), bytes.Clone(h.entries)
	header, entries := grown.header, grown.entries
	grown.partitions(func(first, end uint64, e []byte) {
		if first <= 64 && h.reachesEnd(end) {
			le.PutUint64(e[40:], uint64(last-blocks-1))
		}
	})
	old := int64(le.Uint64(header[32:]))
	le.PutUint64(header[32:], uint64(last))
	le.PutUint64(header[48:], uint64(last-blocks-1))
	le.PutUint32(header[88:], crc32.ChecksumIEEE(entries))
	le.PutUint32(header[16:], headerSum(header))
	if err := o.patch(disk, header); err != nil {
		return err
	}
	if err := o.patch(int64(le.Uint64(header[72:]))*disk, entries); err != nil {
		return err
	}
	if err := o.wipeCopy(old); err != nil {
		return err
	}
	le.PutUint64(header[24:], uint64(last))
	le.PutUint64(header[32:], 1)
	le.PutUint64(header[72:], uint64(last-blocks))
	le.PutUint32(header[16:], headerSum(header))
	copied := append(make([]byte, 0, (blocks+1)*disk), entries...)
	copied = append(copied[:blocks*disk], header...)
	o.appended = append(o.appended, chunk{(last - blocks) * disk, copied})
	return nil
}

// reachesEnd reports whether a partition ends where partitions can end at the latest,
// with less than 150 sectors of padding between, and no other begins behind it.
func (h *hybrid) reachesEnd(end uint64) bool {
	limit := binary.LittleEndian.Uint64(h.header[48:])
	alone := true
	h.partitions(func(first, _ uint64, _ []byte) { alone = alone && first <= end })
	return alone && end <= limit && limit-end <= (defaultPadding+1)*Sector/disk
}

// wipeCopy blanks the old copy's header, if there is one.
func (o *overlay) wipeCopy(block int64) error {
	if block < 64 || block > o.base.size/disk-1 {
		return nil
	}
	have := make([]byte, 8)
	if n, err := o.base.r.ReadAt(have, block*disk); n < len(have) {
		return err
	}
	if string(have) != "EFI PART" {
		return nil
	}
	return o.patch(block*disk, make([]byte, disk))
}

package isosim

import (
	"encoding/binary"
	"hash/crc32"
)

// hybridSectors hold the copy of the partition table at the end: 32 blocks of
// entries and a header.
const hybridSectors = 9

// partition writes an MBR and a GPT with one partition over the whole image, as
// isohybrid does.
func partition(image []byte) {
	le := binary.LittleEndian
	last := uint64(len(image)/512 - 1)
	mbr := image[446:462]
	mbr[4] = 0xEE
	le.PutUint32(mbr[8:], 1)
	le.PutUint32(mbr[12:], uint32(last))
	image[510], image[511] = 0x55, 0xAA
	entries := make([]byte, 128*128)
	copy(entries, "\xa2\xa0\xd0\xeb\xe5\xb9\x33\x44\x87\xc0\x68\xb6\xb7\x26\x99\xc7esxiplan-isosim!")
	le.PutUint64(entries[40:], last-33)
	header := func(own, other, table uint64) []byte {
		h := append([]byte("EFI PART"), make([]byte, 504)...)
		for at, v := range map[int]uint64{24: own, 32: other, 40: 34, 48: last - 33, 72: table} {
			le.PutUint64(h[at:], v)
		}
		for at, v := range map[int]uint32{8: 0x10000, 12: 92, 80: 128, 84: 128, 88: crc32.ChecksumIEEE(entries)} {
			le.PutUint32(h[at:], v)
		}
		le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
		return h
	}
	copy(image[512:], header(1, last, 2))
	copy(image[1024:], entries)
	copy(image[(last-32)*512:], entries)
	copy(image[last*512:], header(last, 1, last-32))
}

package isosim

import "encoding/binary"

// The layout of the generated EFI boot image, a FAT12 of clusters of 512 bytes: boot
// sector, two tables, root directory, then the directories EFI and BOOT, then the loader.
const (
	fatSectors = 128 // 64 KiB
	fatRoot    = 3   // sector of the root directory, of 16 entries
	fatData    = fatRoot + 1
	fatEFI     = 2 // clusters
	fatBoot    = 3
	fatLoader  = 4
)

// EFIImage is the boot image of UEFI firmware: a FAT file system that holds
// EFI/BOOT/name with this content, of which at most 61 952 bytes fit.
func EFIImage(name, content string) string {
	le := binary.LittleEndian
	image := make([]byte, fatSectors*512)
	copy(image, "\xEB\x3C\x90ESXIPLAN")
	for at, v := range map[int]uint16{11: 512, 14: 1, 17: 16, 19: fatSectors, 22: 1, 510: 0xAA55} {
		le.PutUint16(image[at:], v)
	}
	image[13], image[16], image[21], image[38] = 1, 2, 0xF8, 0x29
	copy(image[43:], "EFIBOOT    FAT12   ")
	at := func(cluster int) []byte { return image[(fatData+cluster-2)*512:] }
	used := (copy(at(fatLoader), content) + 511) / 512
	for _, table := range [][]byte{image[512:1024], image[1024:1536]} {
		chain(table, 0, 0xFF8, 0xFFF, 0xFFF, 0xFFF)
		for c := fatLoader; c < fatLoader+used; c++ {
			next := c + 1
			if next == fatLoader+used {
				next = 0xFFF
			}
			chain(table, c, next)
		}
	}
	copy(image[fatRoot*512:], fatEntry("EFI", "", 0x10, fatEFI, 0))
	copy(at(fatEFI), fatEntry(".", "", 0x10, fatEFI, 0)+fatEntry("..", "", 0x10, 0, 0)+fatEntry("BOOT", "", 0x10, fatBoot, 0))
	copy(at(fatBoot), fatEntry(".", "", 0x10, fatBoot, 0)+fatEntry("..", "", 0x10, fatEFI, 0)+fatEntry(name, "EFI", 0x20, fatLoader, len(content)))
	return string(image)
}

// chain writes entries of 12 bits into a table, from that of a cluster on.
func chain(table []byte, cluster int, values ...int) {
	for _, v := range values {
		at, shift := cluster*3/2, cluster%2*4
		have := binary.LittleEndian.Uint16(table[at:])
		binary.LittleEndian.PutUint16(table[at:], have|uint16(v<<shift))
		cluster++
	}
}

// fatEntry is a directory entry with a short name.
func fatEntry(name, extension string, attributes byte, cluster, size int) string {
	e := append([]byte("           "), make([]byte, 21)...)
	copy(e, name)
	copy(e[8:], extension)
	e[11] = attributes
	binary.LittleEndian.PutUint16(e[26:], uint16(cluster))
	binary.LittleEndian.PutUint32(e[28:], uint32(size))
	return string(e)
}

// Package isosim generates small installer-like ISO images: the layout, names and
// boot entries of an ESXi installer, with made-up content. They serve rehearsals
// and tests without a vendor's image; only the simulated installer boots from
// them.
package isosim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

const sector = 2048

// Options say what kind of image to make.
type Options struct {
	Version     string // "8.0.3"
	Build       string // "24674464"
	RockRidge   bool
	Joliet      bool
	Modules     int               // number of .Vnn modules; 0 makes 12
	Size        int               // bytes of each module; 0 makes 64 KiB
	Legacy      bool              // boot.cfg as 5.x wrote it: no cdromBoot
	Padding     bool              // 150 empty sectors at the end
	Enhanced    bool              // a third descriptor (ISO 9660:1999) that shares the primary tree
	Unversioned bool              // no ";1" behind names
	Continued   bool              // with RockRidge: dates are in a block of their own behind the directory
	Hybrid      bool              // partition tables for a USB stick
	Files       map[string]string // further files, or other contents, by path; "-" leaves a file out
}

// Write writes the image.
func Write(w io.Writer, o Options) error {
	if o.Modules == 0 {
		o.Modules = 12
	}
	if o.Size == 0 {
		o.Size = 64 << 10
	}
	b := &builder{o: o, when: time.Date(2024, 6, 25, 12, 0, 0, 0, time.UTC)}
	b.tree()
	b.layout()
	return b.write(w)
}

type node struct {
	name      string
	data      []byte
	children  []*node
	parent    *node
	more      uint32    // of a directory: the block of continued Rock Ridge entries
	continued []byte    // and what is in it
	lba       [2]uint32 // of a directory: in the primary and in the Joliet tree; of a file: lba[0]
	size      [2]uint32
	number    int // in the path table
}

func (n *node) isDir() bool { return n.data == nil }

type builder struct {
	o       Options
	when    time.Time
	root    *node
	dirs    []*node // breadth first: the order of the path table
	files   []*node
	end     uint32
	catalog uint32
	tables  [2][2]uint32 // path tables: tree, byte order
	tabSize [2]uint32
	er      uint32 // sector of the Rock Ridge extension record
}

func (b *builder) tree() {
	modules := []string{"/jumpstrt.gz", "/useropts.gz", "/features.gz", "/k.b00"}
	loader := "MZ" + text("bootx64", 29998)
	contents := map[string]string{
		"BOOT.CAT": strings.Repeat("\x00", sector), "B.B00": text("loader", 4096), "K.B00": text("kernel", 8192),
		"JUMPSTRT.GZ": "-", "USEROPTS.GZ": text("useropts", 500), "FEATURES.GZ": text("features", 20),
		"ISOLINUX.BIN": text("isolinux", 24576), "ISOLINUX.CFG": "DEFAULT menu.c32\nNOHALT 1\nPROMPT 0\nTIMEOUT 80\nLABEL install\n  KERNEL mboot.c32\n" +
			"  APPEND -c boot.cfg\n",
		"MBOOT.C32": text("mboot", 9000), "MENU.C32": text("menu", 5000), "SAFEBOOT.C32": text("safeboot", 5000), "EFIBOOT.IMG": EFIImage("BOOTX64", loader),
		"IMGDB.TGZ": text("imgdb", 3000), "EFI/BOOT/BOOTX64.EFI": loader, "EFI/BOOT/CRYPTO64.EFI": text("crypto64", 2000),
		"EFI/BOOT/SAFEBOOT.EFI": text("safeboot-efi", 3000), "UPGRADE/METADATA.XML": "<metadata/>\n", "UPGRADE/PROFILE.XML": "<profile/>\n",
		".DISCINFO": fmt.Sprintf("Version: %s-0.0\nBuild: %s\n", b.o.Version, b.o.Build),
	}
	contents["JUMPSTRT.GZ"] = text("jumpstart", 300)
	for i := range b.o.Modules {
		name := fmt.Sprintf("S%d.V%02d", i/100, i%100)
		contents[name] = text(name, b.o.Size)
		modules = append(modules, "/"+strings.ToLower(name))
	}
	contents["BOOT.CFG"] = b.bootConfig(modules)
	contents["EFI/BOOT/BOOT.CFG"] = contents["BOOT.CFG"]
	for path, data := range b.o.Files {
		contents[path] = data
	}
	b.root = &node{}
	for path, data := range contents {
		if data != "-" {
			b.add(path, []byte(data))
		}
	}
	b.sort(b.root)
}

func (b *builder) bootConfig(modules []string) string {
	options, kernel := "runweasel cdromBoot", "/b.b00"
	if b.o.Legacy {
		options, kernel = "runweasel", "/tboot.b00"
	}
	return fmt.Sprintf("bootstate=0\ntitle=Loading ESXi installer\ntimeout=5\nprefix=\nkernel=%s\nkernelopt=%s\nmodules=%s\nbuild=%s-0.0.%s\nupdated=0\n",
		kernel, options, strings.Join(modules, " --- "), b.o.Version, b.o.Build)
}

// text is filler that compresses badly enough and differs from file to file.
func text(seed string, n int) string {
	out := make([]byte, 0, n+64)
	state := uint64(1469598103934665603)
	for _, c := range seed {
		state = (state ^ uint64(c)) * 1099511628211
	}
	for len(out) < n {
		state = state*6364136223846793005 + 1442695040888963407
		out = binary.LittleEndian.AppendUint64(out, state)
	}
	return string(out[:n])
}

func (b *builder) add(path string, data []byte) {
	parts := strings.Split(path, "/")
	at := b.root
	for _, name := range parts[:len(parts)-1] {
		i := slices.IndexFunc(at.children, func(n *node) bool { return n.name == name })
		if i < 0 {
			at.children = append(at.children, &node{name: name, parent: at})
			i = len(at.children) - 1
		}
		at = at.children[i]
	}
	if data == nil {
		data = []byte{}
	}
	at.children = append(at.children, &node{name: parts[len(parts)-1], data: data, parent: at})
}

func (b *builder) sort(n *node) {
	slices.SortFunc(n.children, func(a, c *node) int {
		return strings.Compare(sortName(a.name), sortName(c.name))
	})
	for _, c := range n.children {
		b.sort(c)
	}
}

func sortName(name string) string {
	base, extension, _ := strings.Cut(name, ".")
	return fmt.Sprintf("%-32s%-32s", base, extension)
}

// descriptors counts the blocks from 16 on, the boot record and the end included.
func (b *builder) descriptors() uint32 {
	n := uint32(3)
	for _, more := range []bool{b.o.Joliet, b.o.Enhanced} {
		if more {
			n++
		}
	}
	return n
}

func (b *builder) trees() int {
	if b.o.Joliet {
		return 2
	}
	return 1
}

// layout gives every structure its place: descriptors, path tables, directories,
// files.
func (b *builder) layout() {
	b.root.parent = b.root
	b.dirs = []*node{b.root}
	for i := 0; i < len(b.dirs); i++ {
		b.dirs[i].number = i + 1
		for _, c := range b.dirs[i].children {
			if c.isDir() {
				b.dirs = append(b.dirs, c)
			} else {
				b.files = append(b.files, c)
			}
		}
	}
	// The boot image lies apart from the directories, so that a BMC that reads ahead does
	// not read it when it is asked for those.
	if i := slices.IndexFunc(b.files, func(n *node) bool { return n.name == "EFIBOOT.IMG" }); i >= 0 {
		boot := b.files[i]
		b.files = append(slices.Delete(b.files, i, i+1), boot)
	}
	next := 16 + b.descriptors()
	take := func(bytes int) uint32 {
		at := next
		next += uint32((bytes + sector - 1) / sector)
		return at
	}
	for t := range b.trees() {
		table := b.pathTable(t, binary.LittleEndian)
		b.tabSize[t] = uint32(len(table))
		b.tables[t] = [2]uint32{take(len(table)), take(len(table))}
	}
	for t := range b.trees() {
		for _, d := range b.dirs {
			if t == 0 && b.o.Continued {
				d.more = next // for the length only; its place is known below
			}
			n := len(b.directory(d, t))
			d.lba[t], d.size[t] = take(n), uint32(n)
			if t == 0 && b.o.Continued {
				d.more = take(sector)
			}
		}
		if t == 0 && b.o.RockRidge {
			b.er = take(sector)
		}
	}
	for _, f := range b.files {
		f.lba[0], f.size[0] = take(len(f.data)), uint32(len(f.data))
		if f.name == "BOOT.CAT" {
			b.catalog = f.lba[0]
		}
	}
	if b.o.Padding {
		next += 150
	}
	if b.o.Hybrid {
		next += hybridSectors
	}
	b.end = next
}

func (b *builder) write(w io.Writer) error {
	image := make([]byte, int(b.end)*sector)
	put := func(lba uint32, data []byte) { copy(image[int(lba)*sector:], data) }
	lba := uint32(16)
	put(lba, b.descriptor(0))
	put(lba+1, b.bootRecord())
	lba += 2
	if b.o.Joliet {
		put(lba, b.descriptor(1))
		lba++
	}
	if b.o.Enhanced {
		d := b.descriptor(0)
		d[0], d[6] = 2, 2
		put(lba, d)
		lba++
	}
	put(lba, append([]byte{255}, "CD001\x01"...))
	for t := range b.trees() {
		put(b.tables[t][0], b.pathTable(t, binary.LittleEndian))
		put(b.tables[t][1], b.pathTable(t, binary.BigEndian))
		for _, d := range b.dirs {
			put(d.lba[t], b.directory(d, t))
			if d.more > 0 && t == 0 {
				put(d.more, d.continued)
			}
		}
	}
	if b.er > 0 {
		put(b.er, extensionRecord())
	}
	for _, f := range b.files {
		put(f.lba[0], f.data)
	}
	put(b.catalog, b.bootCatalog())
	b.bootInfo(image)
	if b.o.Hybrid {
		partition(image)
	}
	_, err := w.Write(image)
	return err
}

func both32(v uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, v), v)
}

func both16(v uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, v), v)
}

func (b *builder) stamp() []byte {
	return []byte{byte(b.when.Year() - 1900), byte(b.when.Month()), byte(b.when.Day()), byte(b.when.Hour()), 0, 0, 0}
}

// record is a directory record; id is raw.
func (b *builder) record(id []byte, n *node, t int, extra []byte) []byte {
	flags := byte(0)
	lba, size := n.lba[0], n.size[0]
	if n.isDir() {
		flags, lba, size = 2, n.lba[t], n.size[t]
	}
	r := []byte{0, 0}
	r = append(r, both32(lba)...)
	r = append(r, both32(size)...)
	r = append(r, b.stamp()...)
	r = append(r, flags, 0, 0)
	r = append(r, both16(1)...)
	r = append(r, byte(len(id)))
	r = append(r, id...)
	if len(r)%2 == 1 {
		r = append(r, 0)
	}
	r = append(r, extra...)
	if len(r)%2 == 1 {
		r = append(r, 0)
	}
	r[0] = byte(len(r))
	return r
}

func (b *builder) identifier(n *node, t int) []byte {
	name := n.name
	if !n.isDir() {
		if !strings.Contains(name, ".") {
			name += "."
		}
		if !b.o.Unversioned {
			name += ";1"
		}
	}
	if t == 1 {
		return ucs2(name)
	}
	return []byte(name)
}

func ucs2(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.BigEndian.AppendUint16(out, u)
	}
	return out
}

// directory packs the records of a directory into sectors.
func (b *builder) directory(d *node, t int) []byte {
	rock := b.o.RockRidge && t == 0
	d.continued = nil
	records := [][]byte{b.record([]byte{0}, d, t, b.dotEntries(d, rock)), b.record([]byte{1}, d.parent, t, b.rock(d.parent, "", rock))}
	for _, c := range d.children {
		records = append(records, b.record(b.identifier(c, t), c, t, b.rock(c, strings.ToLower(c.name), rock)))
	}
	var out []byte
	for _, r := range records {
		if room := sector - len(out)%sector; len(r) > room {
			out = append(out, make([]byte, room)...)
		}
		out = append(out, r...)
	}
	return append(out, make([]byte, (sector-len(out)%sector)%sector)...)
}

// rock makes the Rock Ridge entries of one record.
func (b *builder) rock(n *node, name string, on bool) []byte {
	if !on {
		return nil
	}
	mode, links := uint32(0o100444), uint32(1)
	if n.isDir() {
		mode, links = 0o040555, 2
	}
	px := append([]byte{'P', 'X', 36, 1}, both32(mode)...)
	for _, v := range []uint32{links, 0, 0} {
		px = append(px, both32(v)...)
	}
	tf := append([]byte{'T', 'F', 26, 1, 0x0E}, bytes.Repeat(b.stamp(), 3)...)
	if name != "" {
		tf = n.parent.continueIn(tf)
	}
	out := append(px, tf...)
	if name != "" {
		out = append(append([]byte{'N', 'M', byte(5 + len(name)), 1, 0}, name...), out...)
	}
	return out
}

// continueIn moves an entry into the directory's own block, as far as it has one
// with room, and returns what the record then holds.
func (n *node) continueIn(entry []byte) []byte {
	if n.more == 0 || len(n.continued)+len(entry) > sector {
		return entry
	}
	ce := append([]byte{'C', 'E', 28, 1}, both32(n.more)...)
	ce = append(append(ce, both32(uint32(len(n.continued)))...), both32(uint32(len(entry)))...)
	n.continued = append(n.continued, entry...)
	return ce
}

func (b *builder) dotEntries(d *node, on bool) []byte {
	if !on {
		return nil
	}
	if d != b.root {
		return b.rock(d, "", true)
	}
	out := append([]byte{'S', 'P', 7, 1, 0xBE, 0xEF, 0}, b.rock(d, "", true)...)
	ce := append([]byte{'C', 'E', 28, 1}, both32(b.er)...)
	ce = append(append(ce, both32(0)...), both32(uint32(len(extensionRecord())))...)
	return append(out, ce...)
}

func extensionRecord() []byte {
	id, description := "RRIP_1991A", "THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS"
	source := "PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION."
	out := []byte{'E', 'R', byte(8 + len(id) + len(description) + len(source)), 1, byte(len(id)), byte(len(description)), byte(len(source)), 1}
	return append(out, id+description+source...)
}

func (b *builder) pathTable(t int, order binary.AppendByteOrder) []byte {
	var out []byte
	for _, d := range b.dirs {
		id := b.identifier(d, t)
		if d == b.root {
			id = []byte{0}
		}
		out = append(out, byte(len(id)), 0)
		out = order.AppendUint32(out, d.lba[t])
		out = order.AppendUint16(out, uint16(d.parent.number))
		out = append(out, id...)
		if len(id)%2 == 1 {
			out = append(out, 0)
		}
	}
	return out
}

func (b *builder) descriptor(t int) []byte {
	label := fmt.Sprintf("ESXI-%s-%s-STANDARD", b.o.Version, b.o.Build)
	pad := func(s string, n int) []byte { return []byte(fmt.Sprintf("%-*.*s", n, n, s)) }
	d := append([]byte{1}, "CD001\x01\x00"...)
	if t == 1 {
		d[0] = 2
		pad = func(s string, n int) []byte { return ucs2(fmt.Sprintf("%-*.*s", n/2, n/2, s)) }
	}
	d = append(d, pad("", 32)...)
	d = append(d, pad(label, 32)...)
	d = append(d, make([]byte, 8)...)
	d = append(d, both32(b.end)...)
	escape := make([]byte, 32)
	if t == 1 {
		copy(escape, "%/E")
	}
	d = append(d, escape...)
	for _, v := range []uint16{1, 1, sector} {
		d = append(d, both16(v)...)
	}
	d = append(d, both32(b.tabSize[t])...)
	d = binary.LittleEndian.AppendUint32(d, b.tables[t][0])
	d = append(d, 0, 0, 0, 0)
	d = binary.BigEndian.AppendUint32(d, b.tables[t][1])
	d = append(d, 0, 0, 0, 0)
	d = append(d, b.record([]byte{0}, b.root, t, nil)...)
	d = append(d, bytes.Repeat([]byte{' '}, 813-len(d))...)
	stamp := b.when.Format("20060102150405") + "00\x00"
	for range 2 {
		d = append(d, stamp...)
	}
	for range 2 {
		d = append(d, "0000000000000000\x00"...)
	}
	return append(d, 1, 0)
}

func (b *builder) find(name string) *node {
	i := slices.IndexFunc(b.files, func(n *node) bool { return n.name == name })
	if i < 0 {
		return &node{}
	}
	return b.files[i]
}

func (b *builder) bootRecord() []byte {
	d := append([]byte{0}, "CD001\x01EL TORITO SPECIFICATION"...)
	d = append(d, make([]byte, 71-len(d))...)
	return binary.LittleEndian.AppendUint32(d, b.catalog)
}

// bootCatalog has one entry for BIOS and one for UEFI.
func (b *builder) bootCatalog() []byte {
	validation := make([]byte, 32)
	validation[0], validation[30], validation[31] = 1, 0x55, 0xAA
	var sum uint16
	for i := 0; i < 32; i += 2 {
		sum += binary.LittleEndian.Uint16(validation[i:])
	}
	binary.LittleEndian.PutUint16(validation[28:], -sum)
	entry := func(lba uint32, sectors uint16) []byte {
		e := make([]byte, 32)
		e[0] = 0x88
		binary.LittleEndian.PutUint16(e[6:], sectors)
		binary.LittleEndian.PutUint32(e[8:], lba)
		return e
	}
	header := make([]byte, 32)
	header[0], header[1], header[2] = 0x91, 0xEF, 1
	efi := b.find("EFIBOOT.IMG")
	return slices.Concat(validation, entry(b.find("ISOLINUX.BIN").lba[0], 4), header, entry(efi.lba[0], uint16(len(efi.data)/512)))
}

// bootInfo patches the table that isolinux wants in its own first bytes.
func (b *builder) bootInfo(image []byte) {
	n := b.find("ISOLINUX.BIN")
	if len(n.data) < 64 {
		return
	}
	at := image[int(n.lba[0])*sector:]
	var sum uint32
	for i := 64; i+4 <= len(n.data); i += 4 {
		sum += binary.LittleEndian.Uint32(at[i:])
	}
	for i, v := range []uint32{16, n.lba[0], uint32(len(n.data)), sum} {
		binary.LittleEndian.PutUint32(at[8+4*i:], v)
	}
}

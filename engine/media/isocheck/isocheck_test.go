package isocheck

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"esxiplan/engine/media/isosim"
)

func build(t testing.TB, o isosim.Options) []byte {
	t.Helper()
	o.Version, o.Build = "8.0.3", "24674464"
	var b bytes.Buffer
	if err := isosim.Write(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func check(t testing.TB, data []byte) Report {
	t.Helper()
	r, err := Check(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// recordOf is the place of a file's record, by its name as it is written.
func recordOf(data []byte, id string) int { return bytes.Index(data, []byte(id)) - 33 }

func put(b []byte, v uint32) {
	binary.LittleEndian.PutUint32(b, v)
	binary.BigEndian.PutUint32(b[4:], v)
}

// selfParent makes the first directory in the root of a descriptor's tree its own parent.
func selfParent(b []byte, descriptor int) []byte {
	le := binary.LittleEndian
	for at := int(le.Uint32(b[descriptor*2048+158:])) * 2048; ; at += int(b[at]) {
		if b[at+25]&2 == 0 || b[at+32] == 1 && b[at+33] <= 1 {
			continue
		}
		dir := int(le.Uint32(b[at+2:])) * 2048
		copy(b[dir+int(b[dir])+2:][:16], b[dir+2:][:16])
		return b
	}
}

// TestRules: every kind of damage is found under its name.
func TestRules(t *testing.T) {
	const pvd = 16 * 2048
	root := func(b []byte) int { return int(binary.LittleEndian.Uint32(b[pvd+158:])) * 2048 }
	catalog := func(b []byte) int { return int(binary.LittleEndian.Uint32(b[17*2048+71:])) * 2048 }
	efi := func(b []byte) int { return int(binary.LittleEndian.Uint32(b[catalog(b)+104:])) * 2048 }
	all := isosim.Options{RockRidge: true, Joliet: true, Continued: true}
	for name, c := range map[string]struct {
		options isosim.Options
		damage  func([]byte) []byte
		rule    string
		wrong   bool
	}{
		"no image":          {all, func(b []byte) []byte { return b[:20000] }, "descriptors", true},
		"cut short":         {all, func(b []byte) []byte { return b[:len(b)-8192] }, "size", true},
		"odd length":        {all, func(b []byte) []byte { return append(b, 1) }, "size", false},
		"trailing":          {all, func(b []byte) []byte { return append(b, make([]byte, 4096)...) }, "size", false},
		"byte order":        {all, func(b []byte) []byte { b[pvd+84]++; return b }, "byte-order", true},
		"sizes differ":      {all, func(b []byte) []byte { put(b[18*2048+80:], 40); return b }, "size", true},
		"root":              {all, func(b []byte) []byte { b[pvd+156+25] = 0; return b }, "root", true},
		"self":              {all, func(b []byte) []byte { put(b[root(b)+2:], 77); return b }, "dot", true},
		"parent":            {all, func(b []byte) []byte { put(b[root(b)+int(b[root(b)])+2:], 77); return b }, "dot", true},
		"empty sector":      {isosim.Options{Modules: 60, Size: 16}, func(b []byte) []byte { clear(b[root(b)+2048 : root(b)+4096]); return b }, "empty-sector", true},
		"record":            {all, func(b []byte) []byte { b[recordOf(b, "K.B00;1")] = 33; return b }, "record", true},
		"record order":      {all, func(b []byte) []byte { b[recordOf(b, "K.B00;1")+6]++; return b }, "record", true},
		"extent":            {all, func(b []byte) []byte { put(b[recordOf(b, "K.B00;1")+2:], 1<<20); return b }, "extent", true},
		"into metadata":     {all, func(b []byte) []byte { put(b[recordOf(b, "K.B00;1")+2:], 17); return b }, "overlap", true},
		"over another file": {isosim.Options{}, func(b []byte) []byte { put(b[recordOf(b, "FEATURES.GZ;1")+10:], 4000); return b }, "overlap", true},
		"twice":             {isosim.Options{}, func(b []byte) []byte { copy(b[recordOf(b, "K.B00;1")+33:], "B.B00;1"); return b }, "name", true},
		"order":             {isosim.Options{}, func(b []byte) []byte { b[recordOf(b, "B.B00;1")+33] = 'Z'; return b }, "order", false},
		"path table":        {all, func(b []byte) []byte { b[int(binary.LittleEndian.Uint32(b[pvd+140:]))*2048+2]++; return b }, "path-table", true},
		"big-endian table":  {all, func(b []byte) []byte { b[int(binary.BigEndian.Uint32(b[pvd+148:]))*2048+5]++; return b }, "path-table", true},
		"table's parent":    {all, func(b []byte) []byte { b[int(binary.LittleEndian.Uint32(b[pvd+140:]))*2048+16]++; return b }, "path-table", true},
		"trees differ":      {all, func(b []byte) []byte { put(b[recordOf(b, "\x00K\x00.\x00B\x000\x000\x00;\x001")+10:], 99); return b }, "trees", true},
		"rock ridge length": {all, func(b []byte) []byte {
			at := recordOf(b, "K.B00;1")
			b[at+bytes.Index(b[at:], []byte("PX"))+2] = 255
			return b
		}, "rock-ridge", true},
		"continued nowhere": {all, func(b []byte) []byte {
			at := recordOf(b, "K.B00;1")
			put(b[at+bytes.Index(b[at:], []byte("CE\x1c"))+4:], 1<<30)
			return b
		}, "rock-ridge", true},
		"continued before": {all, func(b []byte) []byte {
			at := recordOf(b, "K.B00;1")
			put(b[at+bytes.Index(b[at:], []byte("CE\x1c"))+4:], 16)
			return b
		}, "rock-ridge", true},
		"no boot":    {all, func(b []byte) []byte { clear(b[17*2048+7 : 17*2048+20]); return b }, "boot", false},
		"catalog":    {all, func(b []byte) []byte { b[catalog(b)+5]++; return b }, "boot", true},
		"boot image": {all, func(b []byte) []byte { binary.LittleEndian.PutUint32(b[catalog(b)+40:], 1<<20); return b }, "boot", true},
		"not UEFI":   {all, func(b []byte) []byte { b[catalog(b)+65] = 0; return b }, "boot", false},
		"boot table": {all, func(b []byte) []byte { b[int(binary.LittleEndian.Uint32(b[catalog(b)+40:]))*2048+100]++; return b }, "boot", true},
		"attributes": {all, func(b []byte) []byte { b[recordOf(b, "K.B00;1")+1] = 2; return b }, "record", true},
		"two names":  {all, func(b []byte) []byte { copy(b[bytes.Index(b, []byte("NM\x0a\x01\x00k.b00"))+5:], "b.b00"); return b }, "rock-ridge", true},
		"a file or not": {all, func(b []byte) []byte {
			at := recordOf(b, "K.B00;1")
			put(b[at+bytes.Index(b[at:], []byte("PX"))+4:], 0o040555)
			return b
		}, "rock-ridge", true},
		"UEFI image zeroed": {all, func(b []byte) []byte { clear(b[efi(b) : efi(b)+65536]); return b }, "loader", true},
		"no FAT":            {all, func(b []byte) []byte { b[efi(b)+11] = 7; return b }, "loader", true},
		"no loader":         {all, func(b []byte) []byte { copy(b[bytes.Index(b, []byte("BOOTX64 EFI")):], "SHELLX64EFI"); return b }, "loader", true},
		"loader deleted":    {all, func(b []byte) []byte { b[bytes.Index(b, []byte("BOOTX64 EFI"))] = 0xE5; return b }, "loader", true},
		"loader empty":      {all, func(b []byte) []byte { clear(b[bytes.Index(b, []byte("BOOTX64 EFI"))+28:][:4]); return b }, "loader", true},
		"loader zeroed":     {all, func(b []byte) []byte { clear(b[efi(b)+6*512 : efi(b)+65536]); return b }, "loader", true},
		"loader leads away": {all, func(b []byte) []byte { put(b[bytes.Index(b, []byte("BOOTX64 EFI"))+26:], 0x7FFFFFFF); return b }, "loader", true},
		"loader's contents": {all, func(b []byte) []byte { b[efi(b)+6*512]++; return b }, "loader", false},
		"another machine's": {all, func(b []byte) []byte { copy(b[bytes.Index(b, []byte("BOOTX64 EFI")):], "BOOTAA64EFI"); return b }, "loader", false},
		"directory loop": {all, func(b []byte) []byte { // EFI is its own only cluster, for ever
			copy(b[efi(b)+512+3:], []byte{2, 0xF0, 0xFF})
			clear(b[efi(b)+4*512 : efi(b)+5*512])
			return b
		}, "loader", true},
		"its own parent":     {all, func(b []byte) []byte { return selfParent(b, 16) }, "dot", true},
		"so in Joliet":       {all, func(b []byte) []byte { return selfParent(b, 18) }, "dot", false},
		"gpt":                {isosim.Options{Hybrid: true}, func(b []byte) []byte { b[512+60]++; return b }, "gpt", false},
		"gpt entries":        {isosim.Options{Hybrid: true}, func(b []byte) []byte { b[1024]++; return b }, "gpt", false},
		"gpt copy":           {isosim.Options{Hybrid: true}, func(b []byte) []byte { b[len(b)-500]++; return b }, "gpt", false},
		"gpt copy elsewhere": {isosim.Options{Hybrid: true}, func(b []byte) []byte { return append(b, make([]byte, 2048)...) }, "gpt", false},
		"second file system": {all, func(b []byte) []byte { copy(b[20*2048:], "\x00NSR03\x01"); return b }, "second-system", true},
	} {
		t.Run(name, func(t *testing.T) {
			good := build(t, c.options)
			if r := check(t, good); len(r.Findings) > 0 {
				t.Fatalf("the image before the damage: %v", r.Findings)
			}
			r := check(t, c.damage(good))
			found := false
			for _, f := range r.Findings {
				found = found || f.Rule == c.rule && (f.Severity == Error) == c.wrong
			}
			if !found || r.OK() == c.wrong {
				t.Errorf("found %v, want the rule %s, wrong %v", r.Findings, c.rule, c.wrong)
			}
		})
	}
}

// TestNoWrongImageIsAccepted: one byte of the metadata of a valid image changes. If
// the checker still accepts it, the plainest of readers finds the same files in it,
// whatever their names: a name has no second place in a plain tree to be compared with.
func TestNoWrongImageIsAccepted(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	small := map[string]string{"ISOLINUX.BIN": "x", "EFI/BOOT/BOOTX64.EFI": "x", "MBOOT.C32": "x", "K.B00": "xy", "B.B00": "xyz"}
	for _, o := range []isosim.Options{{}, {RockRidge: true, Joliet: true, Continued: true}, {Enhanced: true, Hybrid: true}} {
		o.Modules, o.Size, o.Files = 20, 16, small
		good := build(t, o)
		want, ok := contents(good)
		if !ok {
			t.Fatal("the reader cannot read a valid image")
		}
		accepted := 0
		for range 3000 {
			data := bytes.Clone(good)
			at := 16*2048 + random.IntN(8*2048)
			data[at] ^= 1 << random.IntN(8)
			if !check(t, data).OK() {
				continue
			}
			accepted++
			if have, ok := contents(data); !ok || have != want {
				t.Fatalf("%+v: a change of byte %d is accepted, and readers find other files", o, at)
			}
		}
		if accepted == 0 {
			t.Errorf("%+v: no change is accepted, so that nothing was compared", o)
		}
		t.Logf("%d of 3000 changes did no harm", accepted)
	}
}

// contents reads every file of the primary tree as ESXi's UEFI driver does, and
// digests what is in them, in the order of the records.
func contents(data []byte) (string, bool) {
	var out strings.Builder
	budget := 4000
	var walk func(lba, size int) bool
	walk = func(lba, size int) bool {
		if lba*2048+size > len(data) {
			return false
		}
		d := data[lba*2048 : lba*2048+size]
		for at := 0; at < len(d); {
			if budget--; budget < 0 {
				return false
			}
			n := int(d[at])
			if n == 0 {
				at = (at/2048 + 1) * 2048
				continue
			}
			if n < 34 || at+n > len(d) {
				return false
			}
			r := d[at : at+n]
			at += n
			block, length := int(binary.LittleEndian.Uint32(r[2:])), int(binary.LittleEndian.Uint32(r[10:]))
			switch {
			case r[32] == 1 && r[33] <= 1:
			case r[25]&2 != 0:
				if !walk(block, length) {
					return false
				}
			case length > 0 && block*2048+length > len(data):
				return false
			case length > 0:
				out.Write(data[block*2048 : block*2048+length])
			}
		}
		return true
	}
	root := data[16*2048+156:]
	ok := walk(int(binary.LittleEndian.Uint32(root[2:])), int(binary.LittleEndian.Uint32(root[10:])))
	return out.String(), ok
}

// TestCompare: an image is its base and an overlay, or the first finding says why not.
func TestCompare(t *testing.T) {
	base := build(t, isosim.Options{Hybrid: true, RockRidge: true, Continued: true})
	edit := func(at int) []byte {
		out := bytes.Clone(base)
		out[at]++
		return out
	}
	at := func(off int) int { return int(binary.LittleEndian.Uint32(base[off:])) * 2048 }
	file, catalog := at(recordOf(base, "K.B00;1")+2), at(17*2048+71)
	// A record that leads to another file's bytes leaves all files' bytes as they are.
	swapped := bytes.Clone(base)
	copy(swapped[recordOf(base, "K.B00;1")+2:][:16], base[recordOf(base, "B.B00;1")+2:][:16])
	renamed := bytes.Clone(base)
	copy(renamed[recordOf(base, "K.B00;1")+33:], "J.B00;1")
	for name, c := range map[string]struct {
		image []byte
		want  string // of the first finding, "" for none
	}{
		"the same":         {base, ""},
		"longer":           {append(bytes.Clone(base), 1), ""},
		"a descriptor":     {edit(16*2048 + 900), ""},
		"partitions":       {edit(450), ""},
		"their copy":       {edit(len(base) - 400), ""},
		"shorter":          {base[:len(base)-2048], "the image has "},
		"a file":           {edit(file + 5), "a block differs from the base outside of what an overlay changes"},
		"two blocks":       {func() []byte { b := edit(file + 5); b[file+2050]++; return b }(), "2 blocks differ from the base outside"},
		"the label":        {edit(16*2048 + 41), "a block differs"},
		"boot code":        {edit(40), "a block differs"},
		"boot catalog":     {edit(catalog + 36), "a block differs"},
		"another's bytes":  {swapped, "/K.B00 shows bytes of the base that are not this file's"},
		"a file is gone":   {renamed, "the file /K.B00 of the base is missing"},
		"a text":           {bytes.Repeat([]byte("text\n"), len(base)), "a block differs"},
		"something unlike": {build(t, isosim.Options{Modules: 40}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Compare(bytes.NewReader(c.image), int64(len(c.image)), bytes.NewReader(base), int64(len(base)))
			if err != nil {
				t.Fatal(err)
			}
			if name == "something unlike" {
				if r.OK() {
					t.Error("an image that was not made from the base is accepted")
				}
				return
			}
			if c.want == "" && !r.OK() || c.want != "" && (r.OK() || !strings.HasPrefix(r.Findings[0].Text, c.want)) {
				t.Errorf("found %v, want %q", r.Findings, c.want)
			}
		})
	}
}

// TestBase: an image from which none can be made is no base, whatever the other image.
func TestBase(t *testing.T) {
	good := build(t, isosim.Options{Padding: true})
	for name, c := range map[string]struct {
		base []byte
		want string
	}{
		"whole":      {good, ""},
		"followed":   {append(bytes.Clone(good), make([]byte, 4096)...), ""},
		"empty":      {nil, "is not an ISO image"},
		"text":       {[]byte(strings.Repeat("this is a text\n", 10000)), "is not an ISO image"},
		"beginning":  {good[:17*2048], "is not an ISO image"},
		"half":       {good[:len(good)/2], "is truncated: its volume has "},
		"less a bit": {good[:len(good)-1], "is truncated: its volume has "},
		"damaged":    {func() []byte { b := bytes.Clone(good); b[16*2048+156+25] = 0; return b }(), "is not an ISO image: it has no directories"},
	} {
		t.Run(name, func(t *testing.T) {
			problem, err := CheckBase(bytes.NewReader(c.base), int64(len(c.base)))
			if err != nil || (c.want == "") != (problem == "") || !strings.HasPrefix(problem, c.want) {
				t.Errorf("%q, want %q (%v)", problem, c.want, err)
			}
			if c.want == "" {
				return
			}
			r, err := Compare(bytes.NewReader(good), int64(len(good)), bytes.NewReader(c.base), int64(len(c.base)))
			if err != nil || r.OK() || r.Findings[0].Rule != "base" {
				t.Errorf("an image that is compared with it: %v %v", r.Findings, err)
			}
		})
	}
}

// appended moves the UEFI boot image behind the volume, into a partition of its own, as
// "xorriso -append_partition" writes it.
func appended(b []byte) []byte {
	le := binary.LittleEndian
	entry := int(le.Uint32(b[17*2048+71:]))*2048 + 96
	image := bytes.Clone(b[int(le.Uint32(b[entry+8:]))*2048:][:65536])
	le.PutUint32(b[entry+8:], uint32(len(b)/2048))
	b[446+4] = 0xEF
	le.PutUint32(b[446+8:], uint32(len(b)/512))
	le.PutUint32(b[446+12:], uint32(len(image)/512))
	b[510], b[511] = 0x55, 0xAA
	return append(b, image...)
}

// TestAppendedPartition: a boot image behind the volume is valid where a partition holds
// all of it, and only there.
func TestAppendedPartition(t *testing.T) {
	partition := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint32(b[446+at:], v); return b }
	}
	for name, c := range map[string]struct {
		damage func([]byte) []byte
		rule   string // of the error, "" for none
	}{
		"whole":           {func(b []byte) []byte { return b }, ""},
		"cut short":       {func(b []byte) []byte { return b[:len(b)-4096] }, "boot"},
		"no partition":    {partition(12, 0), "boot"},
		"a shorter one":   {partition(12, 100), "boot"},
		"one elsewhere":   {partition(8, 1), "boot"},
		"no MBR":          {func(b []byte) []byte { b[510] = 0; return b }, "boot"},
		"a protected one": {func(b []byte) []byte { b[450] = 0xEE; return b }, "boot"},
		"no loader":       {func(b []byte) []byte { clear(b[len(b)-65536:]); return b }, "loader"},
	} {
		t.Run(name, func(t *testing.T) {
			r := check(t, c.damage(appended(build(t, isosim.Options{}))))
			err := r.Err()
			if (err == nil) != (c.rule == "") || err != nil && !strings.HasSuffix(err.Error(), "("+c.rule+")") {
				t.Errorf("found %v, want an error by the rule %q", r.Findings, c.rule)
			}
		})
	}
}

// TestOrder: names are sorted as they are written, capital letters first; Joliet also as
// whole names, where others sort by name and then extension.
func TestOrder(t *testing.T) {
	joliet, plain := &tree{volume: volume{joliet: true}}, &tree{}
	for _, c := range []struct {
		tree *tree
		a, b string
		want bool
	}{
		{plain, "A.B;1", "AB.A;1", true}, {plain, "AB.A;1", "A.B;1", false}, {plain, "Z.TXT", "a.txt", true}, {plain, "a.txt", "Z.TXT", false},
		{joliet, "_x.txt;1", "a-b.txt;1", true}, {joliet, "Z.TXT;1", "a.txt;1", true}, {joliet, "a.txt;1", "Z.TXT;1", false},
		{joliet, "a-b.txt;1", "a.txt;1", true}, {joliet, "a.txt;1", "a-b.txt;1", true}, {joliet, "b.txt", "a.txt", false},
	} {
		spell := func(name string) []byte { return []byte(name) }
		if c.tree.volume.joliet {
			spell = func(name string) (out []byte) {
				for _, r := range name {
					out = binary.BigEndian.AppendUint16(out, uint16(r))
				}
				return out
			}
		}
		if have := c.tree.sorted(spell(c.a), spell(c.b)); have != c.want {
			t.Errorf("%s before %s (Joliet %v): %v, want %v", c.a, c.b, c.tree.volume.joliet, have, c.want)
		}
	}
}

// TestCompareIsBrief: what differs in most of its blocks and files is described in a few lines.
func TestCompareIsBrief(t *testing.T) {
	base := build(t, isosim.Options{})
	image := bytes.Clone(base)
	for at := int(binary.LittleEndian.Uint32(base[recordOf(base, "B.B00;1")+2:])) * 2048; at < len(image); at += 4096 {
		image[at]++
	}
	r, err := Compare(bytes.NewReader(image), int64(len(image)), bytes.NewReader(base), int64(len(base)))
	if err != nil || len(r.Findings) != 1 {
		t.Fatalf("%d findings, want one: %v (%v)", len(r.Findings), r.Findings, err)
	}
	for _, part := range []string{"a block differs from the base outside of what an overlay changes, and ", " more in other places: in ", "/B.B00, ", " more"} {
		if !strings.Contains(r.Findings[0].Text, part) {
			t.Errorf("%q, want it to say %q", r.Findings[0].Text, part)
		}
	}
	other := build(t, isosim.Options{Modules: 40})
	r, err = Compare(bytes.NewReader(other), int64(len(other)), bytes.NewReader(base), int64(len(base)))
	if err != nil || r.OK() || len(r.Findings) > 3 {
		t.Errorf("%d findings about another image: %v (%v)", len(r.Findings), r.Findings, err)
	}
}

package media

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/media/iso"
)

// landmarks are places in an image: reads of them show what a machine does with it. They are the same in the source and in what is made of it: an overlay
// moves neither boot images nor modules.
//
// Only firmware reads the boot catalog and a boot image from its start. It also does so
// to inspect the drive, and then boots something else. So it counts as a boot only
// when much of the image is read after it, and as one however often the start is read
// before the next long pause, which every restart of a machine makes.
type landmarks struct {
	Boot   []int64 `json:"boot,omitempty"`   // where a read of the boot catalog or a boot image begins
	Loaded []int64 `json:"loaded,omitempty"` // the ends of the modules that the loaders read last
}

// bootIsReal is how much of an image is read by a machine that boots from it, beyond
// what firmware reads to look at it.
const bootIsReal = 1 << 20

// restartTakes is the pause in reading by which a restart of a machine shows: longer than
// a loader waits at its prompt, shorter than any machine is in POST.
const restartTakes = 10 * time.Second

// page is the unit in which the systems of many BMCs read: a read of a boot image may
// begin a sector before it.
const page = 4096

// landmarks finds those of the image.
func (i *Installer) landmarks() (out landmarks) {
	entries, err := i.BootEntries()
	if err != nil || len(entries) == 0 {
		return out
	}
	var starts []int64
	if at := make([]byte, 4); i.ReadBytes(at, 17, 71) == nil {
		starts = append(starts, int64(binary.LittleEndian.Uint32(at)))
	}
	for _, e := range entries {
		if e.Bootable {
			starts = append(starts, e.LBA)
		}
	}
	directories, files := i.places()
	for _, block := range starts {
		at := block * iso.Sector
		out.Boot = append(out.Boot, at)
		if at%page != 0 && !directories[block-1] { // systems read directories, too
			out.Boot = append(out.Boot, at-at%page)
		}
	}
	for path, data := range map[string][]byte{bootConfigBIOS: i.bios, bootConfigUEFI: i.uefi} {
		if e, ok := files[lastModule(path, data)]; ok && e.Size > 0 {
			out.Loaded = append(out.Loaded, e.Extent*iso.Sector+e.Size)
		}
	}
	for _, places := range []*[]int64{&out.Boot, &out.Loaded} {
		slices.Sort(*places)
		*places = slices.Compact(*places)
	}
	return out
}

// places are the blocks of directories, and the files by path.
func (i *Installer) places() (directories map[int64]bool, files map[string]iso.Entry) {
	directories, files = map[int64]bool{}, map[string]iso.Entry{}
	i.Walk(func(e iso.Entry) error {
		if !e.Dir {
			files[e.Path] = e
			return nil
		}
		for block := range (e.Size + iso.Sector - 1) / iso.Sector {
			directories[e.Extent+block] = true
		}
		return nil
	})
	return directories, files
}

// lastModule is the path of the module that a boot.cfg names last, "" without one.
func lastModule(config string, data []byte) string {
	c, err := ParseBootConfig(data)
	if err != nil {
		return ""
	}
	modules, _ := c.Get("modules")
	all := strings.Split(modules, "---")
	module := words(all[len(all)-1])
	if len(module) == 0 {
		return ""
	}
	path := module[0]
	if !strings.HasPrefix(path, "/") {
		prefix, ok := c.Get("prefix")
		if !ok {
			prefix = config[:strings.LastIndexByte(config, '/')]
		}
		path = "/" + strings.Trim(prefix, "/") + "/" + path
	}
	return strings.ToUpper(strings.ReplaceAll(path, "//", "/"))
}

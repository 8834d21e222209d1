package media

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"esxiplan/engine/media/iso"
	"esxiplan/engine/media/isocheck"
	"esxiplan/engine/media/kickstart"
	"esxiplan/engine/text"
)

// Description is what an image holds, for people and for JSON.
type Description struct {
	File      string         `json:"file"`
	Size      int64          `json:"size"`
	Label     string         `json:"label"`
	Version   string         `json:"version"`
	Build     string         `json:"build"`
	Installer string         `json:"installer"` // "" for an installer image, else why it is not one
	Trees     []iso.TreeInfo `json:"trees"`
	Boot      []BootEntry    `json:"boot"`
	Configs   []BootFile     `json:"boot_configs"`
	Kickstart string         `json:"kickstart"` // path of the one that boot.cfg names, "" none
	Warnings  []iso.Warning  `json:"warnings"`
}

// BootEntry is an El Torito boot entry.
type BootEntry struct {
	Firmware string `json:"firmware"`
	Block    int64  `json:"block"`
	Bytes    int    `json:"bytes"`
}

// BootFile is one of the two boot.cfg files.
type BootFile struct {
	Path    string `json:"path"`
	Kernel  string `json:"kernel"`
	Options string `json:"options"`
	Modules int    `json:"modules"`
}

// Describe reads what is in an ISO image, installer or not. Names from the image contain no
// terminal escapes.
func Describe(path string) (Description, error) {
	d, err := describe(path)
	text.Value(&d)
	return d, err
}

func describe(path string) (Description, error) {
	f, err := openRegular(path)
	if err != nil {
		return Description{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Description{}, err
	}
	base, err := iso.Open(f, info.Size())
	if err != nil {
		return Description{}, fmt.Errorf("%s: %w", path, err)
	}
	d := Description{File: path, Size: info.Size(), Label: base.Label(), Trees: base.Trees(), Warnings: append([]iso.Warning{}, base.Warnings()...),
		Boot: []BootEntry{}, Configs: []BootFile{}}
	entries, err := base.BootEntries()
	if err != nil {
		d.Warnings = append(d.Warnings, iso.Warning{ID: "boot", Text: err.Error()})
	}
	for _, e := range entries {
		d.Boot = append(d.Boot, BootEntry{e.Firmware(), e.LBA, e.Sectors * 512})
	}
	i, err := newInstaller(f, path, nil)
	if err != nil {
		d.Installer = err.Error()
		return d, nil
	}
	d.Version, d.Build = i.Version, i.Build
	for _, c := range []struct {
		path string
		data []byte
	}{{bootConfigBIOS, i.bios}, {bootConfigUEFI, i.uefi}} {
		d.addConfig(c.path, c.data)
	}
	return d, nil
}

func (d *Description) addConfig(path string, data []byte) {
	c, err := ParseBootConfig(data)
	if err != nil {
		return
	}
	kernel, _ := c.Get("kernel")
	modules, _ := c.Get("modules")
	d.Configs = append(d.Configs, BootFile{path, kernel, strings.Join(c.Options(), " "), len(strings.Split(modules, "---"))})
	for _, option := range c.Options() {
		if ks, ok := strings.CutPrefix(option, "ks=cdrom:"); ok {
			d.Kickstart = ks
		}
	}
}

// Assembly is an image to be made outside of a plan.
type Assembly struct {
	Source    string
	Kickstart []byte            // nil: none; boot.cfg stays as it is
	Options   []string          // further kernel options, with a kickstart
	Files     map[string][]byte // further files to add or replace, by path
	Out       string
	Written   Written // nil: no one wants to know
}

// Assembled is what was made.
type Assembled struct {
	File     string   `json:"file"`
	Size     int64    `json:"size"`
	Own      int64    `json:"own"` // bytes that differ from the source
	ETag     string   `json:"digest"`
	Warnings []string `json:"warnings"`
}

// Assemble lays files over an image and writes the result.
func Assemble(a Assembly) (Assembled, error) {
	i, err := OpenInstaller(a.Source)
	if err != nil {
		return Assembled{}, err
	}
	defer i.Close()
	if out, err := os.Stat(a.Out); err == nil && os.SameFile(out, i.stat) {
		return Assembled{}, fmt.Errorf("%s is the source itself", a.Out)
	}
	if out, err := os.Lstat(a.Out); err == nil && !out.Mode().IsRegular() {
		return Assembled{}, fmt.Errorf("%s is there, and no regular file: it is not replaced", a.Out)
	}
	done := Assembled{File: a.Out, Warnings: []string{}}
	if a.Kickstart != nil {
		found := kickstart.Lint(a.Kickstart, kickstart.Conditions{Version: i.Version})
		if mistakes := kickstart.Errors(found); len(mistakes) > 0 {
			return Assembled{}, &ErrKickstart{mistakes}
		}
		for _, f := range found {
			done.Warnings = append(done.Warnings, "kickstart "+f.String())
		}
	}
	done.Warnings = append(done.Warnings, bootWarnings(i)...)
	image, err := i.assemble(a)
	if err != nil {
		return Assembled{}, fmt.Errorf("installer image %s: %w", a.Source, err)
	}
	done.Size, done.Own, done.ETag = image.Size(), image.Own(), image.ETag()
	if err := writeAtomic(a.Out, 0o600, func(f *os.File) error { return materialise(f, image, i, a.Written) }); err != nil {
		return Assembled{}, fmt.Errorf("cannot write %s: %w", a.Out, err)
	}
	return done, nil
}

// assemble makes and checks the image. With further files everything goes into one
// overlay, for which directories may move.
func (i *Installer) assemble(a Assembly) (*iso.Image, error) {
	if a.Kickstart != nil && len(a.Files) == 0 {
		image, err := i.Personalise(a.Kickstart, a.Options)
		if err == nil {
			err = i.attribute(CheckImage(image, a.Kickstart))
		}
		return image, err
	}
	var changes []iso.Change
	for path, data := range a.Files {
		changes = append(changes, iso.Change{Path: path, Data: data})
	}
	if a.Kickstart != nil {
		more, err := i.changes(kickstartRoot, a.Kickstart, a.Options)
		if err != nil {
			return nil, err
		}
		changes = append(changes, more...)
	}
	image, err := i.Overlay(changes, iso.WhenFull(iso.Relocate))
	switch {
	case err != nil:
		return nil, err
	case a.Kickstart != nil:
		return image, i.attribute(CheckImage(image, a.Kickstart))
	}
	report, err := isocheck.Check(image, image.Size())
	return image, i.attribute(errors.Join(err, report.Err()))
}

// Difference is how two images differ.
type Difference struct {
	Path   string `json:"path"`
	Kind   string `json:"kind"` // added, removed, changed, or moved: the same bytes elsewhere
	Before int64  `json:"before"`
	After  int64  `json:"after"`
	Text   bool   `json:"text"` // both sides are short texts
	Old    string `json:"old,omitempty"`
	New    string `json:"new,omitempty"`
}

// Comparison is how one image differs from another.
type Comparison struct {
	Files []Difference `json:"files"`
	Notes []string     `json:"notes"` // about what is not a file: boot entries, size, names of trees
}

// textLimit is up to which size a file is compared line by line.
const textLimit = 64 << 10

// Diff compares two images file by file, through their primary trees. What is secret
// in kickstarts is hidden.
func Diff(a, b string) (Comparison, error) {
	one, closeOne, err := openBase(a)
	if err != nil {
		return Comparison{}, err
	}
	defer closeOne()
	two, closeTwo, err := openBase(b)
	if err != nil {
		return Comparison{}, err
	}
	defer closeTwo()
	c := Comparison{Files: []Difference{}, Notes: notes(one, two)}
	before, after := filesOf(one), filesOf(two)
	for _, path := range paths(before, after) {
		d, err := difference(path, one, two, before, after)
		if err != nil {
			return c, err
		}
		if d.Kind != "" {
			d.Path = text.Clean(d.Path)
			c.Files = append(c.Files, d)
		}
	}
	return c, nil
}

func openBase(path string) (*iso.Base, func() error, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	var base *iso.Base
	if err == nil {
		base, err = iso.Open(f, info.Size())
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return base, f.Close, nil
}

func filesOf(b *iso.Base) map[string]iso.Entry {
	out := map[string]iso.Entry{}
	b.Walk(func(e iso.Entry) error {
		if !e.Dir {
			out[e.Path] = e
		}
		return nil
	})
	return out
}

// paths are the keys of maps, sorted.
func paths[V any](maps ...map[string]V) []string {
	var out []string
	for _, m := range maps {
		for path := range m {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func notes(a, b *iso.Base) []string {
	out := []string{}
	say := func(what string, before, after any) {
		if fmt.Sprint(before) != fmt.Sprint(after) {
			out = append(out, text.Clean(fmt.Sprintf("%s: %v → %v", what, before, after)))
		}
	}
	say("size in bytes", a.Size(), b.Size())
	say("label", a.Label(), b.Label())
	before, _ := a.BootEntries()
	after, _ := b.BootEntries()
	say("boot entries", bootText(before), bootText(after))
	var kinds [2][]string
	for i, base := range []*iso.Base{a, b} {
		for _, t := range base.Trees() {
			kinds[i] = append(kinds[i], t.String())
		}
	}
	say("directory trees", strings.Join(kinds[0], ", "), strings.Join(kinds[1], ", "))
	return out
}

func bootText(entries []iso.BootEntry) string {
	var out []string
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%s at block %d", e.Firmware(), e.LBA))
	}
	return strings.Join(out, ", ")
}

// difference compares one path.
func difference(path string, one, two *iso.Base, before, after map[string]iso.Entry) (Difference, error) {
	a, had := before[path]
	b, has := after[path]
	d := Difference{Path: path, Before: a.Size, After: b.Size}
	switch {
	case !had:
		d.Kind = "added"
	case !has:
		d.Kind = "removed"
	case a.Size != b.Size:
		d.Kind = "changed"
	default:
		same, err := sameBytes(one, two, a, b)
		if err != nil || same && a.Extent == b.Extent {
			return Difference{}, err
		}
		d.Kind = map[bool]string{true: "moved", false: "changed"}[same]
	}
	if d.Kind == "moved" || max(a.Size, b.Size) > textLimit {
		return d, nil
	}
	old, errOld := textOf(one, path, had)
	now, errNow := textOf(two, path, has)
	if errors.Join(errOld, errNow) == nil {
		d.Text, d.Old, d.New = true, old, now
	}
	return d, nil
}

func textOf(b *iso.Base, path string, there bool) (string, error) {
	if !there {
		return "", nil
	}
	data, err := b.ReadFile(path, textLimit)
	if err != nil {
		return "", err
	}
	if plain := strings.ReplaceAll(string(data), "\r\n", "\n"); !utf8.ValidString(plain) || text.Lines(plain) != plain {
		return "", errors.New("this is not text")
	}
	return kickstart.Hide(string(data)), nil
}

// sameBytes compares two files piece by piece.
func sameBytes(one, two *iso.Base, a, b iso.Entry) (bool, error) {
	const step = 1 << 20
	x, y := make([]byte, step), make([]byte, step)
	for off := int64(0); off < a.Size; off += step {
		n := min(step, a.Size-off)
		if err := one.ReadBytes(x[:n], a.Extent, off); err != nil {
			return false, err
		}
		if err := two.ReadBytes(y[:n], b.Extent, off); err != nil {
			return false, err
		}
		if !bytes.Equal(x[:n], y[:n]) {
			return false, nil
		}
	}
	return true, nil
}

package media

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"esxiplan/engine/media/iso"
	"esxiplan/engine/media/isocheck"
)

// The paths in an installer image that matter: BIOS boots read the first
// boot.cfg, UEFI boots the one next to the loader.
const (
	bootConfigBIOS = "/BOOT.CFG"
	bootConfigUEFI = "/EFI/BOOT/BOOT.CFG"
	kickstartRoot  = "/KS.CFG"
	kickstartEFI   = "/EFI/BOOT/KS.CFG"
)

// Installer is an opened installer image.
type Installer struct {
	*iso.Base
	Version string // such as "7.0.3", "" when the image does not say
	Build   string // such as "19482537"
	file    *os.File
	path    string
	stat    os.FileInfo
	bios    []byte // the two boot.cfg files
	uefi    []byte
}

// OpenInstaller opens the image at path and checks that it is one from which an
// unattended installation can be made.
func OpenInstaller(path string, options ...iso.Option) (*Installer, error) {
	file, err := openRegular(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the installer image: %w", err)
	}
	return openInstaller(file, path, options)
}

// NewInstaller is [OpenInstaller] for a file that is open already. It closes the file, at the
// latest with the installer.
func NewInstaller(file *os.File) (*Installer, error) { return openInstaller(file, file.Name(), nil) }

func openInstaller(file *os.File, path string, options []iso.Option) (*Installer, error) {
	i, err := newInstaller(file, path, options)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("installer image %s: %w", path, err)
	}
	return i, nil
}

func newInstaller(file *os.File, path string, options []iso.Option) (*Installer, error) {
	stat, err := file.Stat()
	if err != nil {
		return nil, err
	}
	base, err := iso.Open(file, stat.Size(), options...)
	if err != nil {
		return nil, err
	}
	i := &Installer{Base: base, file: file, path: path, stat: stat}
	if i.bios, err = i.bootConfig(bootConfigBIOS, "BIOS"); err != nil {
		return nil, err
	}
	if i.uefi, err = i.bootConfig(bootConfigUEFI, "UEFI"); err != nil {
		return nil, err
	}
	if err := i.checkLoader(); err != nil {
		return nil, err
	}
	i.identify()
	return i, nil
}

// checkLoader demands that UEFI firmware finds a loader in what the boot catalog names.
// An image without an entry for UEFI is another matter: it boots in BIOS mode.
func (i *Installer) checkLoader() error {
	entries, err := i.BootEntries()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Platform != iso.UEFI || !e.Bootable {
			continue
		}
		if problem, _ := isocheck.CheckLoader(io.NewSectionReader(i.file, e.LBA*iso.Sector, i.Size()-e.LBA*iso.Sector)); problem != "" {
			return fmt.Errorf("its UEFI boot image at block %d %s, so no machine in UEFI mode boots from it: take the vendor's image", e.LBA, problem)
		}
	}
	return nil
}

// Close closes the image's file.
func (i *Installer) Close() error { return i.file.Close() }

// Changed reports whether the file is no longer the one that was opened.
func (i *Installer) Changed() bool {
	now, err := os.Stat(i.path)
	return err != nil || !sameFile(now, i.stat)
}

func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// bootConfig reads and judges one of the two files that firmware boots by.
func (i *Installer) bootConfig(path, firmware string) ([]byte, error) {
	data, err := i.ReadFile(path, 1<<20)
	if err != nil {
		return nil, fmt.Errorf("%w, by which a machine in %s mode boots: it is not an ESXi installer, or not a whole one", err, firmware)
	}
	c, err := ParseBootConfig(data)
	if err == nil {
		err = c.Kickstart(kickstartRoot, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

var (
	versionPattern = regexp.MustCompile(`\b(\d+\.\d+\.\d+)\b`)
	buildPattern   = regexp.MustCompile(`\b(\d{7,9})\b`)
)

// identify reads version and build from .DISCINFO, and what that does not say from
// boot.cfg's build=.
func (i *Installer) identify() {
	info, _ := i.ReadFile("/.DISCINFO", 1<<16)
	build := ""
	if c, err := ParseBootConfig(i.bios); err == nil {
		build, _ = c.Get("build")
	}
	for _, text := range []string{string(info), build} {
		i.Version = either(i.Version, versionPattern.FindString(text))
		i.Build = either(i.Build, buildPattern.FindString(text))
	}
}

// Personalise lays a kickstart over the image and makes both boot.cfg files call
// it. Where the root directory is full, the kickstart goes next to the UEFI loader,
// whose directory has room; where that is full, too, directories move.
func (i *Installer) Personalise(kickstart []byte, options []string) (*iso.Image, error) {
	var full *iso.DirectoryFull
	image, err := i.personalise(kickstartRoot, kickstart, options, iso.Refuse)
	if errors.As(err, &full) {
		image, err = i.personalise(kickstartEFI, kickstart, options, iso.Refuse)
	}
	if errors.As(err, &full) {
		image, err = i.personalise(kickstartRoot, kickstart, options, iso.Relocate)
	}
	return image, err
}

func (i *Installer) personalise(path string, kickstart []byte, options []string, full iso.Relocation) (*iso.Image, error) {
	changes, err := i.changes(path, kickstart, options)
	if err != nil {
		return nil, err
	}
	return i.Overlay(changes, iso.WhenFull(full))
}

// changes are the files by which a machine installs itself.
func (i *Installer) changes(path string, kickstart []byte, options []string) ([]iso.Change, error) {
	changes := []iso.Change{{Path: path, Data: kickstart}}
	for name, data := range map[string][]byte{bootConfigBIOS: i.bios, bootConfigUEFI: i.uefi} {
		c, err := ParseBootConfig(data)
		if err == nil {
			err = c.Kickstart(path, options)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		changes = append(changes, iso.Change{Path: name, Data: c.Bytes()})
	}
	return changes, nil
}

// attribute distinguishes a source that is invalid itself from an overlay that went wrong.
func (i *Installer) attribute(err error) error {
	if err == nil {
		return nil
	}
	report, failed := isocheck.Check(i.file, i.Size())
	if failed == nil && report.Err() != nil {
		return fmt.Errorf("it is invalid itself: %w; fetch the vendor's image again, \"esxiplan iso verify %s\" says all", report.Err(), i.path)
	}
	return err
}

// CheckImage reads a built image back by code other than the builder's: the checker
// must find nothing wrong, both ways of booting must lead to the installer and to
// the kickstart, and the kickstart must be the intended one.
func CheckImage(image *iso.Image, kickstart []byte) error {
	report, err := isocheck.Check(image, image.Size())
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		return fmt.Errorf("the image that was built is broken: %w", err)
	}
	back, err := iso.Open(image, image.Size())
	if err != nil {
		return fmt.Errorf("the image that was built cannot be read back: %w", err)
	}
	path := kickstartRoot
	if data, err := back.ReadFile(kickstartRoot, 1<<20); err != nil || !bytes.Equal(data, kickstart) {
		path = kickstartEFI
	}
	data, err := back.ReadFile(path, 1<<20)
	if err != nil || !bytes.Equal(data, kickstart) {
		return errors.New("the image that was built does not hold the kickstart")
	}
	for _, name := range []string{bootConfigBIOS, bootConfigUEFI} {
		data, err := back.ReadFile(name, 1<<20)
		if err != nil {
			return err
		}
		c, err := ParseBootConfig(data)
		if err == nil {
			err = c.Check(path)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// VersionFromName guesses version and build from a file name such as
// "VMware-VMvisor-Installer-7.0U3d-19482537.x86_64.iso".
func VersionFromName(name string) (version, build string) {
	if m := regexp.MustCompile(`(\d+)\.(\d+)(?:\.(\d+)|U(\d+))?`).FindStringSubmatch(name); m != nil {
		update := m[3] + m[4]
		if update == "" {
			update = "0"
		}
		version = strings.Join([]string{m[1], m[2], update}, ".")
	}
	return version, buildPattern.FindString(strings.ReplaceAll(name, "_", "-"))
}

package media

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// The paths in an installer image that matter: BIOS boots read the first
// boot.cfg, UEFI boots the one beside the loader.
const (
	bootConfigBIOS = "/BOOT.CFG"
	bootConfigUEFI = "/EFI/BOOT/BOOT.CFG"
	kickstartRoot  = "/KS.CFG"
	kickstartEFI   = "/EFI/BOOT/KS.CFG"
)

// Installer is an opened installer image.
type Installer struct {
	*Base
	Version string // such as "7.0.3", "" when the image does not say
	Build   string // such as "19482537"
	file    *os.File
	path    string
	stat    os.FileInfo
}

// OpenInstaller opens the image at path and checks that it is one from which an
// unattended installation can be made.
func OpenInstaller(path string) (*Installer, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the installer image: %w", err)
	}
	i, err := newInstaller(file, path)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("installer image %s: %w", path, err)
	}
	return i, nil
}

func newInstaller(file *os.File, path string) (*Installer, error) {
	stat, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !stat.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	base, err := Open(file, stat.Size())
	if err != nil {
		return nil, err
	}
	i := &Installer{Base: base, file: file, path: path, stat: stat}
	for _, name := range []string{bootConfigBIOS, bootConfigUEFI} {
		if _, err := i.bootConfig(name); err != nil {
			return nil, err
		}
	}
	i.identify()
	return i, nil
}

// Close closes the image's file.
func (i *Installer) Close() error { return i.file.Close() }

// Changed reports whether the file is no longer the one that was opened.
func (i *Installer) Changed() bool {
	now, err := os.Stat(i.path)
	return err != nil || !os.SameFile(now, i.stat) || now.Size() != i.stat.Size() || !now.ModTime().Equal(i.stat.ModTime())
}

func (i *Installer) bootConfig(path string) (*BootConfig, error) {
	data, err := i.ReadFile(path, 1<<20)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not an ESXi installer, or not a whole one", err)
	}
	c, err := ParseBootConfig(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

var (
	versionPattern = regexp.MustCompile(`\b(\d+\.\d+\.\d+)\b`)
	buildPattern   = regexp.MustCompile(`\b(\d{7,9})\b`)
)

// identify reads version and build from .DISCINFO, else from boot.cfg's build=.
func (i *Installer) identify() {
	text := ""
	if data, err := i.ReadFile("/.DISCINFO", 1<<16); err == nil {
		text = string(data)
	} else if c, err := i.bootConfig(bootConfigBIOS); err == nil {
		text, _ = c.Get("build")
	}
	i.Version, i.Build = versionPattern.FindString(text), buildPattern.FindString(text)
}

// Personalise lays a kickstart over the image and makes both boot.cfg files call
// it. Where the root directory is full, the kickstart goes beside the UEFI
// loader, whose directory has room.
func (i *Installer) Personalise(kickstart []byte, options []string) (*Image, error) {
	image, err := i.personalise(kickstartRoot, kickstart, options)
	var full *ErrDirectoryFull
	if errors.As(err, &full) {
		image, err = i.personalise(kickstartEFI, kickstart, options)
	}
	return image, err
}

func (i *Installer) personalise(path string, kickstart []byte, options []string) (*Image, error) {
	changes := []Change{{path, kickstart}}
	for _, name := range []string{bootConfigBIOS, bootConfigUEFI} {
		c, err := i.bootConfig(name)
		if err != nil {
			return nil, err
		}
		if err := c.Kickstart(path, options); err != nil {
			return nil, err
		}
		changes = append(changes, Change{name, c.Bytes()})
	}
	return i.Overlay(changes)
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

package twin

import (
	"fmt"
	"regexp"
	"strings"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/media/kickstart"
)

// install is a boot from the virtual CD: firmware, boot loader, installer, each of which
// reads its part of the medium when its time has come. A failure is shown on the console,
// and the machine waits for Enter there, as a real one does.
func (m *Machine) install(generation int, image string) {
	d, err := m.insertedDisc(image)
	if err == nil {
		err = d.bootable()
	}
	if err != nil {
		m.say("the virtual CD does not boot: %v", err)
		return
	}
	m.reaches(generation, bmcsim.OSBootStarted)
	l, err := d.load()
	if err != nil {
		m.say("installation aborted: loader: %v", err)
		return
	}
	if !m.pass(generation, loadTakes) {
		return
	}
	m.reaches(generation, bmcsim.OSRunning)
	s, err := m.prepare(d, l)
	if err != nil {
		m.say("installation aborted: %v", err)
		return
	}
	if s == nil {
		m.say("dryrun: all was checked, nothing is installed")
		return
	}
	m.say("installing from %s", image)
	if m.pass(generation, installTakes) && m.finish(generation, s) {
		m.BMC.Reboot()
	}
}

// finish puts the new system on the disk; false means that the machine was reset just
// before.
func (m *Machine) finish(generation int, s *system) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.generation != generation {
		return false
	}
	s.config.Installed = m.fleet.o.Clock.Now()
	m.system, m.ownRestart = s, true
	last := len(m.installs) - 1
	m.installs[last]++
	text := "installed; restarting"
	if n := m.installs[last]; n > 1 {
		text = fmt.Sprintf("installed again, %d times since the reset; restarting", n)
	}
	m.console = append(m.console, text)
	return true
}

// prepare reads the kickstart and does with disks and network what it says, as far as
// something can go wrong with it. It makes the described system; none if the kickstart
// says dryrun.
func (m *Machine) prepare(d *disc, l loaded) (*system, error) {
	s, err := kickstartOf(d, l.options)
	if err != nil {
		return nil, err
	}
	version, build := identify(d, l.build)
	disk, err := m.chooseDisk(s)
	if err != nil {
		return nil, err
	}
	if err := m.hasNIC(s.commands["network"].options["device"]); err != nil {
		return nil, err
	}
	if _, dry := s.commands["dryrun"]; dry {
		return nil, nil
	}
	m.say("installs on %s", disk.name)
	return m.systemOf(s, version, build), nil
}

// chooseDisk finds the disk to install on, and clears those to be cleared.
func (m *Machine) chooseDisk(s *script) (device, error) {
	disk, err := s.choose(m.devices)
	if err != nil {
		return device{}, err
	}
	cleared, err := s.clears(m.devices)
	if err != nil {
		return device{}, err
	}
	for _, d := range cleared {
		if d == disk {
			return device{}, fmt.Errorf("%s is to be cleared and to be installed on", d.name)
		}
		m.say("clears %s", d.name)
	}
	return disk, nil
}

// systemOf is the system that a kickstart describes.
func (m *Machine) systemOf(s *script, version, build string) *system {
	hash := s.rootHash()
	salt := strings.Split(hash, "$")[2]
	address := s.address()
	if address == "" { // a DHCP server that knows the machine
		address = m.Host.ESXi.Address
	}
	out := &system{address: address}
	out.config.Version, out.config.Build = version, build
	out.config.UUID, out.config.Serial, out.config.Now = uuid(m.Host.Name), m.serial(), m.fleet.o.Clock.Now
	out.config.Accepts = func(p string) bool { return kickstart.Crypt(p, salt) == hash }
	return out
}

func (m *Machine) serial() string {
	switch {
	case m.faults["wrong-serial"]:
		return "OTHER1X"
	case m.Host.Serial != "":
		return m.Host.Serial
	}
	return strings.ToUpper(digest(m.Host.Name, "serial")[:7])
}

func kickstartOf(d *disc, options []string) (*script, error) {
	path, runs := "", false
	for _, option := range options {
		if p, ok := strings.CutPrefix(option, "ks=cdrom:"); ok {
			path = p
		}
		runs = runs || option == "runweasel"
	}
	switch {
	case !runs:
		return nil, fmt.Errorf("the kernel options start no installer (no runweasel)")
	case path == "":
		return nil, fmt.Errorf("no kickstart: the interactive installer waits for input at the console")
	case path != strings.ToUpper(path):
		return nil, fmt.Errorf("ks=cdrom:%s: the path must be upper case", path)
	}
	data, err := d.file(path)
	if err != nil {
		return nil, err
	}
	return parseKickstart(data)
}

func (m *Machine) hasNIC(device string) error {
	if device == "" || strings.HasPrefix(device, "vmnic") {
		return nil
	}
	for _, mac := range m.macs() {
		if mac == device {
			return nil
		}
	}
	return fmt.Errorf("network --device=%s: no such network adapter", device)
}

var (
	versionPattern = regexp.MustCompile(`\d+\.\d+\.\d+`)
	buildPattern   = regexp.MustCompile(`\d{7,9}`)
)

func identify(d *disc, build string) (version, number string) {
	text := build
	if info, err := d.file("/.DISCINFO"); err == nil {
		text = string(info)
	}
	return versionPattern.FindString(text), buildPattern.FindString(text)
}

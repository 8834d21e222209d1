package twin

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/esxi/esxisim"
	"esxiplan/schema"
)

// How long things take on a simulated machine, in simulated time: about what
// they take on a real one.
const (
	postTakes    = 100 * time.Second
	loadTakes    = 40 * time.Second // of a boot loader, until the system runs
	installTakes = 4 * time.Minute
	hostdTakes   = 20 * time.Second
	oldInstalled = 200 * 24 * time.Hour
)

// Machine is one simulated machine.
type Machine struct {
	Host *schema.Host
	BMC  *bmcsim.Sim
	ESXi *esxisim.Sim

	fleet   *Fleet
	devices []device
	profile bmcsim.Profile
	faults  faults
	client  *http.Client
	ctx     context.Context
	cancel  context.CancelFunc

	mu         sync.Mutex
	generation int
	system     *system // what is on the disk
	medium     *medium // what the BMC fetched whole; nil: nothing
	installs   []int   // that were completed, by reset
	ownRestart bool    // the installer restarts the machine: no reset
	console    []string
	work       sync.WaitGroup
}

// system is an ESXi on the machine's disk.
type system struct {
	config      esxisim.Config
	certificate *tls.Certificate
	address     string
}

func newMachine(f *Fleet, h *schema.Host, faulty faults) (*Machine, error) {
	m := &Machine{Host: h, fleet: f, faults: faulty, client: discClient(f.dialMedia)}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	profile, err := bmcsim.Find(profileName(h, f.o.Profiles))
	if err != nil {
		return nil, err
	}
	faulty.change(&profile)
	m.profile = profile
	disks := m.disks(profile)
	m.BMC = bmcsim.New(bmcsim.Config{
		Profile: profile, Clock: f.o.Clock, Username: h.BMC.Username, Password: m.password(), Serial: m.serial(), UUID: uuid(h.Name),
		Disks: disks, MACs: m.macs(), On: m.startsOn(), POST: postTakes, Faults: faulty.bmc(), Check: m.check, Fetch: m.fetch, Booted: m.booted,
		Lost: m.lost, Screen: m.Console, SAN: faulty["san"], SecureBoot: faulty["secure-boot"], Latency: f.o.Latency,
		Log: f.bmcLog(h.Name),
	})
	l, err := f.listen()
	if err != nil {
		return nil, err
	}
	if err := m.BMC.ServeOn(l); err != nil {
		return nil, err
	}
	if l, err = f.listen(); err != nil {
		m.BMC.Close()
		return nil, err
	}
	m.ESXi = esxisim.StartOn(l, f.esxiLog(h.Name))
	if m.startsOn() {
		err = m.oldSystem()
	}
	if faulty["leftover"] {
		m.BMC.Mount("http://192.0.2.1/somebody-elses.iso")
	}
	if faulty["old-override"] {
		m.BMC.LeaveOverride()
	}
	return m, err
}

func profileName(h *schema.Host, profiles map[string]string) string {
	if name, ok := profiles[h.Name]; ok {
		return name
	}
	if h.Vendor == "auto" {
		return bmcsim.Profiles()[0].Name
	}
	return h.Vendor
}

// change makes a BMC's firmware as the faults have it.
func (f faults) change(p *bmcsim.Profile) {
	if f["no-license"] {
		p.License = "Standard"
	}
	if f["no-drive"] {
		p.SystemSlots, p.ManagerSlots, p.Flow = nil, nil, ""
	}
	if p.Attributes = maps.Clone(p.Attributes); f["lockdown"] && p.Attributes != nil {
		p.Attributes["Lockdown.1.SystemLockdown"] = "Enabled"
	}
	p.Starting, p.Open = f["not-ready"], p.Open || f["no-login"]
}

// digest makes up things that stay the same from run to run.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

func uuid(name string) string {
	d := digest(name, "uuid")
	return d[:8] + "-" + d[8:12] + "-4" + d[13:16] + "-8" + d[17:20] + "-" + d[20:32]
}

func (m *Machine) password() string {
	if m.faults["wrong-password"] {
		return digest(m.Host.Name, "another password")[:12]
	}
	return m.Host.BMC.Password.Reveal()
}

func (m *Machine) startsOn() bool { return m.faults.startsOn(m.Host) }

// startsOn: a machine runs an ESXi if the plan gives the running one.
func (f faults) startsOn(h *schema.Host) bool {
	return h.ESXi != nil && h.ESXi.Current != nil || f["busy"] || f["unknown-use"]
}

func (m *Machine) macs() []string {
	d := digest(m.Host.Name, "mac")
	macs := []string{fmt.Sprintf("B4:96:91:%s:%s:%s", d[0:2], d[2:4], d[4:6])}
	if x := m.Host.ESXi; x != nil && x.NIC != nil && strings.Contains(*x.NIC, ":") && !m.faults["no-nic"] {
		macs = append(macs, *x.NIC)
	}
	for i := range macs {
		macs[i] = strings.ToUpper(macs[i])
	}
	return macs
}

// disks makes the disk that the plan wants and a data disk.
func (m *Machine) disks(p bmcsim.Profile) []bmcsim.Disk {
	d := digest(m.Host.Name, "disk")
	data := bmcsim.Disk{Model: "MZXLR3T8HBLS-00AH3", Serial: strings.ToUpper(d[20:32]), WWN: "5000" + d[:12], Bytes: 3840e9}
	want := bmcsim.Disk{Model: "MZVL2256HCHQ", Serial: strings.ToUpper(d[8:20]), WWN: "5001" + d[12:24], Bytes: 480e9}
	switch x := m.Host.ESXi; {
	case x == nil || x.Disk == nil || x.Disk.Deferred(): // a machine without a chosen disk
		want.Boot = true
	default:
		switch kind, text := x.Disk.Key(); kind {
		case "model":
			want.Model, want.Boot = text, bootFamily(text)
		case "serial":
			want.Serial = text
		case "wwn", "name":
			want.WWN = strings.NewReplacer("naa.", "", "eui.", "", "0x", "", ":", "", "-", "").Replace(strings.ToLower(text))
		}
	}
	if want.Boot && p.Storage == "" {
		want.Boot = false
	}
	disks := append([]bmcsim.Disk{want, data}, m.wiped()...)
	switch {
	case m.faults["two-disks"]:
		second := want
		second.Serial, second.WWN = want.Serial+"2", "5002"+d[24:36]
		disks = append(disks, second)
	case m.faults["no-disk"]:
		disks = disks[1:]
	}
	for i, k := range disks {
		m.devices = append(m.devices, device{name: deviceName(k), model: k.Model, serial: k.Serial})
		if k.Boot {
			disks[i].Serial = ""
		}
	}
	return disks
}

// wiped are the disks that the plan clears.
func (m *Machine) wiped() (out []bmcsim.Disk) {
	if m.Host.ESXi == nil {
		return nil
	}
	for i, w := range m.Host.ESXi.Wipe {
		d := digest(m.Host.Name, fmt.Sprint("wipe", i))
		disk := bmcsim.Disk{Model: "MZ7KH960HAJR", Serial: strings.ToUpper(d[:12]), WWN: "5003" + d[12:24], Bytes: 960e9}
		switch kind, text := w.Key(); kind {
		case "model":
			disk.Model = text
		case "serial":
			disk.Serial = text
		case "wwn", "name":
			disk.WWN = strings.NewReplacer("naa.", "", "eui.", "", "0x", "", ":", "", "-", "").Replace(strings.ToLower(text))
		}
		out = append(out, disk)
	}
	return out
}

// bootFamily reports disks behind a boot controller: ESXi gives their volume a
// name that no drive has.
func bootFamily(model string) bool {
	return model == "DELLBOSS VD" || model == "ThinkSystem M.2" || strings.Contains(model, "NS204i")
}

func deviceName(d bmcsim.Disk) string {
	if d.WWN != "" {
		return "naa." + d.WWN
	}
	return "t10.NVMe____" + strings.ReplaceAll(d.Model, " ", "_") + "____" + d.Serial
}

// oldSystem is the ESXi that runs before: the plan's address, the login of
// `current`, the build of the image, so that it is as easy as possible to mistake
// it for the new one.
func (m *Machine) oldSystem() error {
	x := m.Host.ESXi
	if x == nil || m.faults["unknown-use"] {
		return nil
	}
	now := m.fleet.o.Clock.Now().Truncate(24 * time.Hour) // machines of one fleet show the same dates
	c := esxisim.Config{Version: m.fleet.o.OldVersion, Build: m.fleet.o.OldBuild, UUID: uuid(m.Host.Name), Serial: m.serial(),
		Installed: now.Add(-oldInstalled), Booted: now.Add(-oldInstalled / 2), Now: m.fleet.o.Clock.Now}
	if m.faults["other-machine"] {
		c.UUID, c.Serial = uuid("another"), "ANOTHER"
	}
	password := x.RootPassword.Reveal()
	if x.Current != nil {
		password = x.Current.Password.Reveal()
	}
	c.Accepts = func(p string) bool { return p == password }
	if len(m.devices) > 0 { // the first is the one that the plan wants
		c.Datastores = []esxisim.Datastore{{Name: "datastore1", Disk: m.devices[0].name}}
	}
	if m.faults["busy"] {
		c.VMs = []string{"build-agent-1", "build-agent-2"}
	}
	if m.faults["remote-luns"] {
		c.LUNs = []esxisim.LUN{esxisim.RemoteLUN()}
	}
	certificate, err := m.ESXi.Boot(c)
	m.system = &system{config: c, certificate: &certificate, address: x.Address}
	return err
}

// Console is what the machine's screen showed, oldest first.
func (m *Machine) Console() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.console...)
}

func (m *Machine) say(format string, values ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.console = append(m.console, fmt.Sprintf(format, values...))
}

// lost removes the running system.
func (m *Machine) lost() {
	m.mu.Lock()
	m.generation++
	m.ownRestart = false
	m.mu.Unlock()
	m.ESXi.Down()
}

// booted is called by the BMC when POST is over.
func (m *Machine) booted(source, image string) {
	m.ESXi.Down()
	generation := m.begins()
	if m.ctx.Err() != nil {
		return
	}
	m.work.Go(func() {
		if source == "Cd" || source == "UsbCd" {
			m.install(generation, image)
			return
		}
		m.bootDisk(generation)
	})
}

// begins counts a boot: after a reset, the count of installations starts again.
func (m *Machine) begins() (generation int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ownRestart {
		m.installs = append(m.installs, 0)
	}
	m.generation, m.ownRestart = m.generation+1, false
	return m.generation
}

// Installs counts the installations that were completed: all of them, and those after
// each reset. The restart by which an installer ends is no reset.
func (m *Machine) Installs() (all int, perReset []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.installs {
		all += n
	}
	return all, append([]int{}, m.installs...)
}

// reaches reports to the BMC how far the boot has come.
func (m *Machine) reaches(generation int, state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.generation == generation {
		m.BMC.Progress(state)
	}
}

// pass lets simulated time go by; false means that the machine was reset or
// the simulation ended meanwhile.
func (m *Machine) pass(generation int, d time.Duration) bool {
	t := time.NewTimer(m.fleet.o.Clock.Real(d))
	defer t.Stop()
	select {
	case <-t.C:
	case <-m.ctx.Done():
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.generation == generation
}

func (m *Machine) bootDisk(generation int) {
	m.mu.Lock()
	s := m.system
	m.mu.Unlock()
	if s == nil {
		m.say("no bootable device")
		return
	}
	m.reaches(generation, bmcsim.OSBootStarted)
	if !m.pass(generation, loadTakes) {
		return
	}
	m.reaches(generation, bmcsim.OSRunning)
	if s.address != m.Host.ESXi.Address {
		m.say("ESXi is up on %s", s.address)
		return
	}
	if s.certificate == nil {
		certificate, err := esxisim.NewCertificate()
		if err != nil {
			m.say("%v", err)
			return
		}
		s.certificate = &certificate
	}
	m.ESXi.Starting(*s.certificate)
	if !m.pass(generation, hostdTakes) {
		return
	}
	c := s.config
	c.Booted, c.Certificate = m.fleet.o.Clock.Now(), *s.certificate
	if _, err := m.ESXi.Boot(c); err != nil {
		m.say("%v", err)
	}
	m.say("ESXi %s build %s is up on %s", c.Version, c.Build, s.address)
}

func (m *Machine) close() {
	m.cancel()
	m.BMC.Close()
	m.work.Wait()
	m.ESXi.Close()
	m.client.CloseIdleConnections()
}

package step

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/schema"
)

// Refusal is a guard that says no. It is final, and nothing was written.
type Refusal struct {
	Guard  string // what was guarded: "identity", "disk", "in use" …
	Reason string
	Next   string // the ways out
}

func (e *Refusal) Error() string { return "refused: " + e.Reason + ". " + e.Next }

// guarded is a BMC door that lets no write pass before the guards.
type guarded struct {
	bmc.Client
	host       *Host
	booting    bool // the request under way is part of a restart
	installing bool // and can start an installer
	before     *Snapshot
	passed     string    // the step for whose restart the guards were passed
	ours       bool      // we set the override in this process
	debt       bool      // and it will not clear itself
	mounted    *bmc.Slot // that we put our image into in this process
}

func (g *guarded) SetBoot(ctx context.Context, t bmc.Target, way string) error {
	if err := g.host.checkIdentity(ctx, g.Client); err != nil {
		return err
	}
	g.ours = t != bmc.BootNone
	return g.judged(ctx, Write{Action: "boot", Target: "source", New: string(t)}, g.Client.SetBoot(ctx, t, way))
}

// judged records that a write was answered by a refusal: it did not happen. An answer
// that leaves that open is none.
func (g *guarded) judged(ctx context.Context, w Write, err error) error {
	var answered *bmc.Error
	if !errors.As(err, &answered) || !answered.Refused() {
		return err
	}
	w.Door, w.Refused = "bmc", true
	if recordErr := g.host.attempt.Record(ctx, w); recordErr != nil {
		return errors.Join(err, recordErr)
	}
	return err
}

// Boot notices an override of ours that will not clear itself: a debt.
func (g *guarded) Boot(ctx context.Context) (bmc.Boot, error) {
	boot, err := g.Client.Boot(ctx)
	if err == nil {
		g.debt = g.ours && Loops(boot)
	}
	return boot, err
}

// Loops reports an override that would start an installer again and again.
func Loops(b bmc.Boot) bool {
	return !b.Once && b.Target != bmc.BootNone && b.Target != bmc.BootDisk
}

// payDebt clears a continuous override at the end of the run, however it ends.
func (g *guarded) payDebt(ctx context.Context) error {
	if !g.debt || g.host.Settings.DryRun {
		return nil
	}
	if err := ClearBoot(context.WithoutCancel(ctx), g.Client); err != nil {
		return fmt.Errorf("the continuous boot override stays and would start the installer again; clear it by hand: %w", err)
	}
	g.debt = false
	return nil
}

// ClearBoot takes away what is set for the next boot, by each way that still shows it.
// A way may show what another one has set and refuse to take it away: that is an error
// only where no other way took it away.
func ClearBoot(ctx context.Context, c bmc.Client) error {
	var tried []string
	var failed []error
	for {
		ways, err := c.Ways(ctx, bmc.BootNone)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(ways, func(way string) bool { return !slices.Contains(tried, way) })
		if i < 0 {
			return leftOver(ways, failed)
		}
		tried = append(tried, ways[i])
		if err := c.SetBoot(ctx, bmc.BootNone, ways[i]); err != nil {
			if !bmc.OtherWay(err) {
				return err
			}
			failed = append(failed, err)
		}
	}
}

// leftOver judges what refused to be taken away, when some way still shows it.
func leftOver(ways []string, failed []error) error {
	if len(ways) == 0 {
		return nil
	}
	return errors.Join(failed...)
}

func (g *guarded) Insert(ctx context.Context, s bmc.Slot, url string) error {
	if err := g.host.checkIdentity(ctx, g.Client); err != nil {
		return err
	}
	if err := CheckLicence(ctx, g.Client); err != nil {
		return err
	}
	err := g.Client.Insert(ctx, s, url)
	if g.mounted = nil; err == nil {
		g.mounted = &s
	}
	return g.judged(ctx, Write{Action: "insert", Target: s.Name(), New: url}, err)
}

// CheckLicence refuses to mount by a BMC whose licence does not cover it.
func CheckLicence(ctx context.Context, c bmc.Reader) error {
	l, err := c.Licence(ctx)
	if err != nil || l.Media == nil || *l.Media {
		return err
	}
	return &Refusal{"licence", fmt.Sprintf("the BMC's licence (%s) does not cover virtual media", l.Name), "Install one that does, then go on"}
}

// slots reads the slot that holds our image; where that is not known, all.
func (g *guarded) slots(ctx context.Context) ([]bmc.Slot, error) {
	if g.mounted == nil {
		return g.Client.Slots(ctx)
	}
	s, err := g.Client.Slot(ctx, *g.mounted)
	return []bmc.Slot{s}, err
}

func (g *guarded) Eject(ctx context.Context, s bmc.Slot) error {
	if err := g.host.checkIdentity(ctx, g.Client); err != nil {
		return err
	}
	g.mounted = nil
	return g.Client.Eject(ctx, s)
}

func (g *guarded) Reset(ctx context.Context, r bmc.Reset) error {
	if err := g.host.checkIdentity(ctx, g.Client); err != nil {
		return err
	}
	if err := g.checkPower(ctx, r); err != nil {
		return err
	}
	return g.judged(ctx, Write{Action: "reset", Target: "power", New: string(r.Type), Boots: g.booting}, g.Client.Reset(ctx, r))
}

// checkPower runs the guards that a change of power needs. Those of a restart are
// passed once, before its first half: then the machine may be off by our own hand.
func (g *guarded) checkPower(ctx context.Context, r bmc.Reset) error {
	h := g.host
	g.booting = r.Boots || r.Type == bmc.ResetOn || r.Type == bmc.ResetForceRestart
	if g.booting && g.passed == h.attempt.Step() {
		return nil // a further attempt of the step; before and installing are still known
	}
	g.before, g.installing = nil, false
	if err := CheckProtected(h); err != nil {
		return err
	}
	switch {
	case g.booting:
		return g.checkReset(ctx)
	case r.Type == bmc.ResetForceOff && h.Settings.Installs:
		use, err := LookInto(ctx, h, g.Client)
		if err != nil {
			return err
		}
		g.before = &use.Before // what ran there; nothing answers any more when it is started
		return use.Refuse(h)
	}
	return nil
}

// CheckProtected refuses a host that the plan protects.
func CheckProtected(h *Host) error {
	if !h.Declared.Protected {
		return nil
	}
	return &Refusal{"protected", "the plan says protected = true for this host", "Remove protected where the host may be installed anew"}
}

// mayInstall reports whether what we did leads a boot into an installer.
func (g *guarded) mayInstall() bool {
	_, mounted := g.host.History().Inserted()
	target, set := g.host.History().BootSet()
	return mounted || set && target != string(bmc.BootDisk)
}

// checkIdentity is the guard before a host's first write in this process: it is
// the machine that the plan means.
func (h *Host) checkIdentity(ctx context.Context, c bmc.Reader) error {
	if h.verified {
		return nil
	}
	id, err := c.Identity(ctx)
	if err != nil {
		return err
	}
	if err := CheckIdentity(h, id); err != nil {
		return err
	}
	h.verified = true
	return nil
}

// CheckIdentity compares what the BMC says with what the plan demands.
func CheckIdentity(h *Host, id bmc.Identity) error {
	d := h.Declared
	if d.Vendor != "auto" && d.Vendor != id.Vendor {
		return &Refusal{"identity", fmt.Sprintf("the plan says vendor %q, the BMC at %s is of %q (%s %s)", d.Vendor, d.BMC.Address, id.Vendor, id.Manufacturer, id.Model),
			"Correct vendor or address in the plan"}
	}
	if d.Serial != "" && !strings.EqualFold(d.Serial, id.Serial) && !strings.EqualFold(d.Serial, id.Board) {
		return &Refusal{"identity", fmt.Sprintf("the plan demands serial number %s, the machine behind %s is %s", d.Serial, d.BMC.Address, id.Serial),
			"Correct serial or address in the plan: this may be another machine"}
	}
	return nil
}

// checkReset is the guard before a reset that can start an installer.
func (g *guarded) checkReset(ctx context.Context) error {
	h := g.host
	if err := h.checkLastReset(); err != nil {
		return err
	}
	installs, err := g.checkMedium(ctx)
	if err != nil {
		return err
	}
	installs = installs || g.mayInstall()
	if installs || h.Settings.Installs {
		if err := CheckDisk(ctx, h, g.Client); err != nil {
			return err
		}
		if err := CheckNIC(ctx, h, g.Client); err != nil {
			return err
		}
		if err := g.checkMounted(ctx); err != nil {
			return err
		}
	}
	if installs && !h.Settings.Consent {
		return &Refusal{"consent", "this restart would boot what is mounted or set for it, and nobody was asked whether that may wipe the machine", "Run it again with --yes"}
	}
	use, err := LookInto(ctx, h, g.Client)
	if err != nil {
		return err
	}
	use.Before.MediaRead, _, _ = h.MediaRead()
	if err := use.Refuse(h); err != nil {
		return err
	}
	if h.Settings.BootsInstaller[h.attempt.Step()] && !installs {
		return &Refusal{"medium", "nothing of ours is mounted for this host and no boot source is set, so it would only boot its disk again", "Run the steps before this one (insert, one_time_boot), then restart"}
	}
	g.before, g.installing, g.passed = &use.Before, installs, h.attempt.Step()
	if h.ESXi != nil {
		h.ESXi.Close() // its session would die with the machine
	}
	return nil
}

func (h *Host) checkLastReset() error {
	last, ok := h.History().LastReset()
	if !ok || !last.Open || last.Run == h.attempt.Run() || h.Settings.Again {
		return nil
	}
	return &Refusal{"last reset", fmt.Sprintf("run %s reset this machine at %s, and that installation is neither proven nor timed out", last.Run, last.Time.Local().Format("2006-01-02 15:04:05")),
		"Wait for it with the wait step (esxiplan run … --tags with its tag), or reset all the same with --again"}
}

// checkMedium demands that what we mounted and set is still there. It tells
// whether the override that the BMC reports leads into an installer.
func (g *guarded) checkMedium(ctx context.Context) (installs bool, err error) {
	h := g.host
	url, mounted := h.History().Inserted()
	boot, err := g.Client.Boot(ctx)
	if err != nil {
		return false, err
	}
	if mounted || boot.Target == bmc.BootCD {
		slots, err := g.slots(ctx)
		if err != nil {
			return false, err
		}
		if !mounted && !slices.ContainsFunc(slots, func(s bmc.Slot) bool { return s.Loaded }) {
			return false, &Refusal{"medium", "the machine is set to boot a virtual CD, but no drive holds one: it would wait at its console", "Mount the image (step insert), or take the override away (one_time_boot with target none)"}
		}
		if mounted && !holds(slots, url) {
			return false, &Refusal{"medium", "our image " + url + " is no longer in a drive: somebody ejected it, or the BMC lost it", "Mount it again (step insert), then restart; or run the step eject, and restart without it"}
		}
	}
	target, set := h.History().BootSet()
	switch {
	case set && string(boot.Target) != target:
		return false, &Refusal{"boot source", fmt.Sprintf("the boot source override reads %q, we had set %q: somebody changed it, or the machine was restarted meanwhile", boot.Target, target), "Set it again (step one_time_boot), then restart; or take it back (target none), and restart without it"}
	case mounted && !set && (boot.Target == bmc.BootNone || boot.Target == bmc.BootDisk):
		return false, &Refusal{"boot source", "our image is mounted, but no boot source override is set: the machine would boot its disk", "Set it (step one_time_boot), then restart; or take the image out (step eject)"}
	case Loops(boot) && !h.Settings.WaitFollows:
		return false, &Refusal{"boot source", "this BMC knows only a continuous override, which would start the installer again and again", "Run the restart together with a wait step, which clears it"}
	}
	return boot.Target != bmc.BootNone && boot.Target != bmc.BootDisk && boot.Target != bmc.BootOther, nil
}

// holds reports whether our image is in a drive. Some BMCs do not tell which
// image is mounted; then a loaded CD drive must do.
func holds(slots []bmc.Slot, url string) bool {
	for _, s := range slots {
		if s.Loaded && (s.Image == url || s.Image == "" && s.CD) {
			return true
		}
	}
	return false
}

// CheckDisk demands that the plan's disk, and each one to clear, is exactly one
// that the BMC reports.
func CheckDisk(ctx context.Context, h *Host, c bmc.Reader) error {
	x := h.Declared.ESXi
	if x != nil && x.Disk.Late() {
		return &Refusal{"disk", "the disk is to be chosen by the machine's facts, and nobody has read them", "This is a mistake in esxiplan; please report it"}
	}
	if x == nil || x.Disk == nil {
		return &Refusal{"disk", "the plan names no disk for this host", "Give esxi.disk"}
	}
	var doubted []*schema.Disk
	for _, d := range append([]schema.Disk{*x.Disk}, x.Wipe...) {
		if d.Confirm == nil || *d.Confirm {
			doubted = append(doubted, &d)
		}
	}
	if len(doubted) <= len(x.Wipe) {
		if err := checkRemote(ctx, x, c); err != nil {
			return err
		}
	}
	if len(doubted) == 0 {
		return nil
	}
	stock, err := c.Inventory(ctx)
	if err != nil {
		return err
	}
	return resolveAll(doubted, stock.Disks)
}

// DiskNames are the disks that an installation overwrites, in the words of the plan.
func DiskNames(x *schema.ESXi) []string {
	if x == nil || x.Disk == nil {
		return nil
	}
	names := []string{x.Disk.String()}
	for _, d := range x.Wipe {
		names = append(names, "cleared: "+d.String())
	}
	return names
}

// checkMounted demands that the medium in the drive installs on the disk that the plan
// names now, which is the one that was shown and confirmed, and that the machine will
// run all of its kickstart.
func (g *guarded) checkMounted(ctx context.Context) error {
	h := g.host
	url, mounted := h.History().Inserted()
	if !mounted || h.Media == nil {
		return nil
	}
	p, ok := h.Media.Latest(h.Name)
	if !ok || p.URL != url && p.HTTPSURL != url {
		return nil
	}
	names := DiskNames(h.Declared.ESXi)
	if p.Disks != nil && !slices.Equal(p.Disks, names) {
		return &Refusal{"medium", fmt.Sprintf("the mounted medium was built for another disk (%s) than the plan names now (%s)", strings.Join(p.Disks, ", "), strings.Join(names, ", ")),
			"Build and mount it again (steps build_iso, eject, insert), then restart"}
	}
	if !p.FirstBoot {
		return nil
	}
	stock, err := g.Client.Inventory(ctx)
	if err != nil {
		return err
	}
	return CheckSecureBoot(stock.SecureBoot)
}

// CheckSecureBoot refuses a kickstart with parts for the first boot where Secure Boot is
// on (nil: not known): ESXi skips them without an error.
func CheckSecureBoot(on *bool) error {
	if on == nil || !*on {
		return nil
	}
	return &Refusal{"secure boot", "Secure Boot is on, and ESXi then skips what firstboot and ssh would do: the host would look installed and not be configured",
		"Turn Secure Boot off, or leave firstboot and ssh out and configure the host through its API"}
}

// checkRemote refuses a disk that no BMC confirms where a storage network is
// connected: what the plan names may be a LUN that others use.
func checkRemote(ctx context.Context, x *schema.ESXi, c bmc.Reader) error {
	for _, d := range append([]schema.Disk{*x.Disk}, x.Wipe...) {
		if d.Confirm == nil || *d.Confirm || d.Name != nil && strings.HasPrefix(*d.Name, "mpx.") {
			continue // confirmed, or a name that only local disks have
		}
		n, err := c.Network(ctx)
		if err != nil {
			return err
		}
		if len(n.SAN) > 0 {
			return &Refusal{"remote disk", fmt.Sprintf("%s is not confirmed by the BMC (confirm = false), and a storage network is connected (%s): it may be a LUN that others use", d.String(), strings.Join(n.SAN, ", ")),
				"Name a local disk that the BMC confirms (serial, wwn or model, without confirm = false), or take the machine out of the storage network's zones for the installation"}
		}
	}
	return nil
}

// CheckNIC demands that the plan's management NIC is a port of the machine. What only
// the adapters list is read when the system does not list it.
func CheckNIC(ctx context.Context, h *Host, c bmc.Reader) error {
	x := h.Declared.ESXi
	if x == nil || x.NIC == nil || strings.HasPrefix(*x.NIC, "vmnic") {
		return nil
	}
	has := func(nics []bmc.NIC) bool {
		return slices.ContainsFunc(nics, func(n bmc.NIC) bool { return strings.EqualFold(n.MAC, *x.NIC) })
	}
	stock, err := c.Inventory(ctx)
	if err != nil || has(stock.NICs) {
		return err
	}
	n, err := c.Network(ctx)
	if err != nil || n.NICs == nil || has(n.NICs) {
		return err
	}
	var have []string
	for _, nic := range n.NICs {
		have = append(have, nic.MAC)
	}
	return &Refusal{"nic", fmt.Sprintf("the machine has no network port with the MAC address %s; it has %s", *x.NIC, strings.Join(have, ", ")),
		"Correct esxi.nic; where the BMC leaves a card out, name the port vmnicN"}
}

// resolveAll finds each disk, and no disk twice.
func resolveAll(wanted []*schema.Disk, disks []bmc.Disk) error {
	var found []bmc.Disk
	for _, want := range wanted {
		d, err := ResolveDisk(want, disks)
		if err != nil {
			return err
		}
		for _, other := range found {
			if d.Name == other.Name && d.Serial == other.Serial && slices.Equal(d.WWN, other.WWN) {
				return &Refusal{"disk", want.String() + " is a disk that the plan names twice: " + describe([]bmc.Disk{d}), "Correct esxi.disk and esxi.wipe"}
			}
		}
		found = append(found, d)
	}
	return nil
}

// Use is whether a machine may be reset, and what answered on its ESXi address.
type Use struct {
	Power  bmc.PowerState
	State  string // "free", "busy" or "unknown"
	Reason string
	Before Snapshot
	Other  string // another machine answers on the ESXi address
}

// LookInto finds out whether a machine is in use. It uses the login of the
// running ESXi at most once per run.
func LookInto(ctx context.Context, h *Host, c bmc.Reader) (Use, error) {
	power, err := c.Power(ctx)
	if err != nil {
		return Use{}, err
	}
	use := Use{Power: power.State, State: "unknown", Reason: "it is on, and the plan declares no ESXi to look into", Before: Snapshot{State: esxi.Silent}}
	if h.ESXi == nil {
		return use.off(), nil
	}
	probe, err := h.ESXi.Probe(ctx)
	if err != nil {
		return Use{}, err
	}
	use.Before = Snapshot{State: probe.State, Fingerprint: probe.Fingerprint, Build: probe.Build}
	if power.State == bmc.Off {
		if probe.State != esxi.Silent {
			use.Other = fmt.Sprintf("%s answers on %s although this machine is off", probe.Product, h.Declared.ESXi.Address)
		}
		return use.off(), nil
	}
	if probe.State != esxi.Up {
		use.Reason = fmt.Sprintf("it is on, and no ESXi answers on %s (%s)", h.Declared.ESXi.Address, probe.Reason)
		return use, nil
	}
	return use.inspect(ctx, h, c, probe)
}

func (u Use) off() Use {
	if u.Power == bmc.Off {
		u.State, u.Reason = "free", "it is off"
	}
	return u
}

func (u Use) inspect(ctx context.Context, h *Host, c bmc.Reader, probe esxi.Probe) (Use, error) {
	system, err := h.ESXi.Inspect(ctx, esxi.Current, probe.Fingerprint)
	switch {
	case errors.Is(err, esxi.ErrNoLogin):
		u.Reason = "it runs " + probe.Product + ", and the plan gives no login to look into it"
		return u, nil
	case err != nil:
		if ctx.Err() != nil {
			return u, ctx.Err()
		}
		u.Reason = "it runs " + probe.Product + ", which could not be looked into: " + err.Error()
		return u, nil
	}
	id, err := c.Identity(ctx)
	if err != nil {
		return u, err
	}
	if same, known := SameMachine(system, id); known && !same {
		u.Other = fmt.Sprintf("the ESXi on %s runs on another machine (serial %s)", h.Declared.ESXi.Address, strings.Join(system.Serials, ", "))
		u.Reason = "it is on, and " + u.Other
		return u, nil
	}
	u.Before.Installed = system.Installed
	u.State, u.Reason = "free", "its ESXi runs no virtual machine"
	if busy := system.Busy(); busy != "" {
		u.State, u.Reason = "busy", busy
	}
	return u, nil
}

// Refuse turns a look into a guard.
func (u Use) Refuse(h *Host) error {
	if u.Other != "" {
		return &Refusal{"address", u.Other, "Free the address, or correct esxi.address"}
	}
	if u.State == "free" || h.Declared.AllowRunning {
		return nil
	}
	if u.State == "busy" {
		return &Refusal{"in use", "the machine is in use: " + u.Reason, "Move its virtual machines away and power it off, or set allow_running = true"}
	}
	return &Refusal{"in use", "nobody can say whether the machine is in use: " + u.Reason, "Power it off, or give esxi.current (the login of the running ESXi), or set allow_running = true"}
}

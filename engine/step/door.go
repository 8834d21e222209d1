package step

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
)

// BMC is the door to a machine's BMC as steps see it. Reading is as it is; each write is
// a method of its own, behind its guards, recorded before it is made and settled after.
// A write that no guard knows does not exist for steps.
type BMC struct {
	bmc.Reader
	client     bmc.Client
	host       *Host
	identified bool      // the machine is the one that the plan means
	model      string    // of the machine, once its identity was read
	inserted   *bmc.Slot // that we put our image into in this process
	alone      time.Time // when no medium of another esxiplan run was seen
}

// admitted seals the intent of a start that the guards let pass.
type admitted struct{}

// Identity implements [bmc.Reader], and keeps the model for what needs no request for it.
func (d *BMC) Identity(ctx context.Context) (bmc.Identity, error) {
	id, err := d.Reader.Identity(ctx)
	if err == nil {
		d.model = id.Model
	}
	return id, err
}

// Screen is what the machine's screen shows, a PNG image, where its BMC offers that; asked for
// in a dry run it is an error, as with a BMC that does not. It is asked by a POST that changes
// nothing, so no change is recorded.
func (d *BMC) Screen(ctx context.Context) ([]byte, error) {
	s, ok := d.client.(bmc.Screener)
	if !ok || d.host.Settings.DryRun {
		return nil, &bmc.ErrUnsupported{What: "the machine's screen cannot be read"}
	}
	return s.Screen(ctx)
}

// admitWrite is what every write needs: this is the machine that the plan means, and it
// is not protected.
func (d *BMC) admitWrite(ctx context.Context) error {
	if err := errors.Join(CheckProtected(d.host.Declared), CheckBarred(d.host.Settings.Consent)); err != nil {
		return err
	}
	if d.identified {
		return nil
	}
	id, err := d.Identity(ctx)
	if err != nil {
		return err
	}
	if err := CheckIdentity(d.host.Declared, id); err != nil {
		return err
	}
	if err := d.meet(ctx); err != nil {
		return err
	}
	d.identified = true
	others, err := d.OtherSessions(ctx)
	if len(others) > 0 {
		d.host.Warn("user %q is also logged in to this BMC elsewhere (%s): is another run, or a person, at work on this machine?",
			d.host.Declared.BMC.Username, strings.Join(others, ", "))
	}
	return err
}

// BeforeWrites asks what the guards of every write will ask, for [bmc.Reader.Prefetch].
func (d *BMC) BeforeWrites(ctx context.Context, r bmc.Reader) {
	if !d.identified {
		r.OtherSessions(ctx)
	}
	r.Power(ctx)
}

// recorder records the requests of one write, with what they are part of.
func (d *BMC) recorder(i event.Intent) bmc.Record {
	return func(ctx context.Context, w bmc.Command) (func(bmc.Fate), error) {
		c := event.Change{Door: event.DoorBMC, Verb: event.Verb(w.Verb), Target: w.Target, Old: w.Old, New: w.New, Request: w.Request, Repeat: w.Repeat, Intent: i}
		c.Risk = riskOf(c)
		id, err := d.host.record(ctx, c)
		return func(f bmc.Fate) { d.host.attempt.Settle(event.Settled{Change: id, Fate: event.Fate(f)}) }, err
	}
}

// riskOf is what a change of this door may do at worst.
func riskOf(c event.Change) event.Risk {
	switch {
	case c.Verb == event.Insert:
		return event.Mounts
	case c.Verb == event.Reset && c.Installs:
		return event.Wipes
	case c.Verb == event.Reset && !c.Boots && !bmc.ResetType(c.New).Starts():
		return event.PowersOff
	case c.Verb == event.Reset:
		return event.Reboots
	}
	return ""
}

// SetBoot sets the boot source of the next boot, or takes away what is set.
func (d *BMC) SetBoot(ctx context.Context, t bmc.Target, way string) error {
	if err := d.admitWrite(ctx); err != nil {
		return err
	}
	_, ours := d.host.History().BootSet()
	switch boots := t != bmc.BootNone && t != bmc.BootDisk; {
	case boots:
		if err := d.admitBoot(ctx, t); err != nil {
			return err
		}
	case !ours: // it may be what another installation is to boot
		if err := d.checkForeign(ctx); err != nil {
			return err
		}
	}
	return d.client.SetBoot(ctx, t, way, d.recorder(event.Intent{}))
}

// admitBoot runs the guards of an override that boots something else than the disk.
func (d *BMC) admitBoot(ctx context.Context, t bmc.Target) error {
	if err := d.admitPreparation(ctx); err != nil {
		return err
	}
	if err := CheckKept(d.host.History(), d.host.Place()); err != nil {
		return err
	}
	if t != bmc.BootCD || len(d.host.History().Mounted()) > 0 {
		return nil
	}
	drives, err := d.Slots(ctx)
	if err != nil {
		return err
	}
	return CheckLoaded(drives)
}

// admitPreparation runs the guards of what prepares an installation: none is under way,
// neither of ours nor of another esxiplan run.
func (d *BMC) admitPreparation(ctx context.Context) error {
	if err := CheckInstalling(d.host.History(), d.host.Settings); err != nil {
		return err
	}
	return d.checkForeign(ctx)
}

// Boot reads the boot source override. It notes when one of ours is such that no boot
// uses it up, so that it is not forgotten, whatever happens to this process.
func (d *BMC) Boot(ctx context.Context) (bmc.Boot, error) {
	boot, err := d.Reader.Boot(ctx)
	if err != nil || boot.Once {
		return boot, err
	}
	h := d.host.History()
	ours, set := h.BootSet()
	if !set {
		ours, set = h.Taken() // and there all the same
	}
	if set && ours.Target == string(boot.Target) && !h.Debt() {
		d.host.attempt.Settle(event.Settled{Change: ours.Change, Fate: event.Done, Stays: true})
	}
	return boot, nil
}

// Insert mounts an image.
func (d *BMC) Insert(ctx context.Context, s bmc.Slot, url string) error {
	if err := d.admitWrite(ctx); err != nil {
		return err
	}
	if err := d.admitPreparation(ctx); err != nil {
		return err
	}
	if err := d.checkStage(); err != nil {
		return err
	}
	license, err := d.License(ctx)
	if err != nil {
		return err
	}
	if err := CheckLicense(license); err != nil {
		return err
	}
	intent := event.Intent{Medium: d.host.digestOf(url)}
	if err = d.client.Insert(ctx, s, url, d.recorder(intent)); err == nil {
		d.inserted = &s
	}
	return err
}

// digestOf is the digest of what is on one of our own images.
func (h *Host) digestOf(url string) string {
	if !h.Holds(url) {
		return ""
	}
	p, _ := h.Media.Latest(h.Name)
	return p.Digest
}

// Eject empties a drive. The medium of one of our installations that is in progress stays,
// unless the intent says by force, and so does a stranger's floppy or USB stick, unless it
// says all.
func (d *BMC) Eject(ctx context.Context, s bmc.Slot, i event.Intent) error {
	if err := d.admitWrite(ctx); err != nil {
		return err
	}
	if !i.All {
		if err := CheckStick(s, d.host.History()); err != nil {
			return err
		}
	}
	if !i.Force && !d.host.Settings.Again {
		if err := CheckEject(s, d.host.History()); err != nil {
			return err
		}
		if err := d.checkStage(); err != nil {
			return err
		}
		if err := d.checkForeign(ctx); err != nil {
			return err
		}
	}
	d.inserted = nil
	return d.client.Eject(ctx, s, d.recorder(i))
}

// Reset changes the power. What it is part of is given by the intent: the one that
// [BMC.Admit] gave lets all requests of one restart pass; without, the guards are run.
func (d *BMC) Reset(ctx context.Context, t bmc.ResetType, i event.Intent) error {
	if err := d.admitWrite(ctx); err != nil {
		return err
	}
	var err error
	switch {
	case i.Seal == admitted{}:
	case t.Starts():
		i, err = d.Admit(ctx)
	default:
		i, err = d.admitStop(ctx)
	}
	if err != nil {
		return err
	}
	err = d.client.Reset(ctx, t, d.recorder(i))
	if err == nil && t.Starts() {
		d.started(i) // not before: a request that is refused is tried again, by the guards
	}
	return err
}

// started notes that the BMC answered a start of the machine with success.
func (d *BMC) started(i event.Intent) {
	h := d.host
	if h.ESXi != nil {
		h.ESXi.Gone()
	}
	if last, ok := h.History().LastReset(); ok && i.Installs {
		h.Enter(event.PhaseRestart, last.Answered())
	}
}

// admitStop runs the guards of a machine's being powered off.
func (d *BMC) admitStop(ctx context.Context) (event.Intent, error) {
	h := d.host
	if err := CheckLastReset(h.History(), h.attempt.Run(), h.Settings); err != nil {
		return event.Intent{}, err
	}
	if err := d.checkForeign(ctx); err != nil {
		return event.Intent{}, err
	}
	use, err := LookInto(ctx, h)
	if err != nil {
		return event.Intent{}, err
	}
	if err := CheckConsent(h.Settings, use.Power, false); err != nil {
		return event.Intent{}, err
	}
	if h.Settings.Installs {
		if err := h.checkSeen(use, true); err != nil {
			return event.Intent{}, err
		}
	}
	return event.Intent{Before: &use.Before}, nil // nothing answers any more when it is started
}

// Admit runs the guards of a start of the machine, whatever it does before: nothing is
// written. The intent lets the requests of that one start pass.
func (d *BMC) Admit(ctx context.Context) (event.Intent, error) {
	if err := CheckLastReset(d.host.History(), d.host.attempt.Run(), d.host.Settings); err != nil {
		return event.Intent{}, err
	}
	return d.admitStart(ctx, nil)
}

// AdmitAgain runs the guards of a start that was asked for before and did not come about:
// the machine is off. It is the same reset: what answered before it stays what it was, and
// who agreed to it need not be asked again about the same medium.
func (d *BMC) AdmitAgain(ctx context.Context, last LastReset) (event.Intent, error) {
	i, err := d.admitStart(ctx, &last)
	i.Installs = i.Installs || last.Open
	return i, err
}

// admitStart runs the guards of a start of the machine but that about the last reset,
// which is given where it is the same one.
func (d *BMC) admitStart(ctx context.Context, same *LastReset) (event.Intent, error) {
	h := d.host
	if err := d.readAnew(ctx); err != nil {
		return event.Intent{}, err
	}
	if err := d.admitWrite(ctx); err != nil {
		return event.Intent{}, err
	}
	if err := d.checkForeign(ctx); err != nil {
		return event.Intent{}, err
	}
	i, err := d.admitMedium(ctx)
	if err != nil {
		return event.Intent{}, err
	}
	use, err := LookInto(ctx, h)
	if err != nil {
		return event.Intent{}, err
	}
	settings := h.Settings
	if same != nil {
		use.Installing, use.Before = nil, same.Before
		settings.Consent.Wipe = settings.Consent.Wipe || same.Open && same.Medium != "" && same.Medium == i.Medium
	}
	if err := CheckConsent(settings, use.Power, i.Installs); err != nil {
		return event.Intent{}, err
	}
	if err := h.checkSeen(use, i.Installs || h.Settings.Installs); err != nil {
		return event.Intent{}, err
	}
	if h.Place().BootsMedium && !i.Installs {
		return event.Intent{}, &Refusal{"medium", "esxiplan mounted nothing for this host and no boot source is set, " +
			"so it would only boot its disk again", "Run the steps before this one (insert, one_time_boot), then restart"}
	}
	if i.Installs {
		if i.Erases, err = Overwritten(ctx, h.Declared.ESXi, d, use.System); err != nil {
			return event.Intent{}, err
		}
	}
	if err := CheckAgreed(settings.Consent, i.Erases); err != nil {
		return event.Intent{}, err
	}
	i.Boots, i.Before, i.Seal = true, &use.Before, admitted{}
	return i, nil
}

// justNow is how long a reading is as good as a new one to the guards of a restart: that is
// less than a BMC may take to answer.
const justNow = 2 * time.Second

// readAnew reads what can have changed since the steps before: power, override and drives.
func (d *BMC) readAnew(ctx context.Context) error {
	d.Refresh(justNow)
	return d.Prefetch(ctx, func(ctx context.Context, r bmc.Reader) {
		d.BeforeWrites(ctx, r)
		boot, _ := r.Boot(ctx)
		d.drives(ctx, r, boot)
		CheckDisk(ctx, d.host.Declared.ESXi, r)
		CheckNIC(ctx, d.host.Declared.ESXi, r)
	})
}

// admitMedium runs the guards about what the machine would boot.
func (d *BMC) admitMedium(ctx context.Context) (event.Intent, error) {
	h := d.host
	boot, err := d.Boot(ctx)
	if err != nil {
		return event.Intent{}, err
	}
	drives, err := d.drives(ctx, d.Reader, boot)
	if err != nil {
		return event.Intent{}, err
	}
	history := h.History()
	if err := CheckMounted(history, h.Place(), drives, boot); err != nil {
		return event.Intent{}, err
	}
	if err := CheckOverride(history, boot, h.Place()); err != nil {
		return event.Intent{}, err
	}
	i := event.Intent{Installs: MayInstall(history, boot)}
	if i.Installs || h.Settings.Installs {
		if err := d.admitHardware(ctx); err != nil {
			return event.Intent{}, err
		}
		i.Medium, err = d.checkMedium(ctx)
	}
	return i, err
}

// admitHardware runs the guards about disk and network port.
func (d *BMC) admitHardware(ctx context.Context) error {
	if err := CheckDisk(ctx, d.host.Declared.ESXi, d); err != nil {
		return err
	}
	if err := d.host.WarnNameless(ctx); err != nil {
		return err
	}
	return CheckNIC(ctx, d.host.Declared.ESXi, d)
}

// WarnNameless warns of disks that the installer may not find under the plan's name.
func (h *Host) WarnNameless(ctx context.Context) error {
	if len(bySerial(h.Declared.ESXi)) == 0 {
		return nil
	}
	stock, err := h.BMC.Inventory(ctx)
	if err != nil {
		return err
	}
	for _, text := range Nameless(h.Declared.ESXi, stock.Disks) {
		h.Warn("%s", text)
	}
	return nil
}

// drives reads what the guards must know of the drives: the one that holds our image; all
// where that is not known, or there may be more than one; none where neither an image nor
// an override is there.
func (d *BMC) drives(ctx context.Context, r bmc.Reader, boot bmc.Boot) ([]bmc.Slot, error) {
	mounted := len(d.host.History().Mounted())
	switch {
	case mounted == 0 && boot.Target != bmc.BootCD:
		return nil, nil
	case d.inserted == nil || mounted > 1:
		return r.Slots(ctx)
	}
	s, err := r.Slot(ctx, *d.inserted)
	return []bmc.Slot{s}, err
}

// clearDebt takes away an override that no boot uses up, whoever of us set it.
func (h *Host) clearDebt(ctx context.Context) error {
	if h.attempt == nil || h.Settings.DryRun || !h.History().Debt() {
		return nil
	}
	if err := h.ClearBoot(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("the continuous boot override stays and would start the installer again; take it away (esxiplan do one_time_boot … target=none): %w", err)
	}
	return nil
}

// Loops reports an override that would start an installer again and again.
func Loops(b bmc.Boot) bool {
	return !b.Once && b.Target != bmc.BootNone && b.Target != bmc.BootDisk
}

// showsLate is how long a BMC may keep showing an override that it took away.
const showsLate = 20 * time.Second

// ClearBoot takes away what is set for the next boot, by each way that still shows it, and
// reads back. A service that cannot disable an override is left with one that boots the
// disk. A way may show what another one has set and refuse to take it away: that is an
// error only where no other way took it away.
func (h *Host) ClearBoot(ctx context.Context) error {
	failed, err := h.BMC.tryClear(ctx)
	if err != nil {
		return err
	}
	var boot bmc.Boot
	err = h.Until(ctx, showsLate, "the boot source override is gone", func(ctx context.Context) (bool, error) {
		boot, err = h.BMC.Boot(ctx)
		return boot.Target == bmc.BootNone || boot.Target == bmc.BootDisk, err
	})
	var unsettled *Unsettled
	if errors.As(err, &unsettled) {
		return errors.Join(append(failed, fmt.Errorf("the boot source override still reads %s", boot))...)
	}
	return err
}

// tryClear goes through the ways by which an override is set.
func (d *BMC) tryClear(ctx context.Context) (failed []error, err error) {
	var tried []string
	for {
		ways, err := d.Ways(ctx, bmc.BootNone)
		if err != nil {
			return failed, err
		}
		i := slices.IndexFunc(ways, func(way string) bool { return !slices.Contains(tried, way) })
		if i < 0 {
			return failed, nil
		}
		tried = append(tried, ways[i])
		if err := d.SetBoot(ctx, bmc.BootNone, ways[i]); err != nil {
			if !bmc.OtherWay(err) {
				return failed, err
			}
			failed = append(failed, err)
		}
	}
}

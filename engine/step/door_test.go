package step_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/engine/media"
	"esxiplan/engine/step"
)

// writes are the door's ways to write, by the name of the BMC's. A new one that is not
// here fails the test below.
var writes = map[string]func(context.Context, *step.BMC) error{
	"Reset":   func(ctx context.Context, d *step.BMC) error { return d.Reset(ctx, bmc.ResetOn, event.Intent{}) },
	"SetBoot": func(ctx context.Context, d *step.BMC) error { return d.SetBoot(ctx, bmc.BootPXE, "standard") },
	"Insert": func(ctx context.Context, d *step.BMC) error {
		return d.Insert(ctx, bmc.Slot{ID: "CD1"}, "http://x/a.iso")
	},
	"Eject": func(ctx context.Context, d *step.BMC) error {
		return d.Eject(ctx, bmc.Slot{ID: "CD1", Loaded: true}, event.Intent{})
	},
}

// TestEveryWrite goes through all methods of the BMC door that write: each is offered to
// steps behind the guards, is recorded before it is made and settled after, is not made
// when it cannot be recorded, and has a shadow that makes no request.
func TestEveryWrite(t *testing.T) {
	writer := reflect.TypeFor[bmc.Writer]()
	if writer.NumMethod() != len(writes) {
		t.Errorf("the BMC door has %d methods that write, %d are tested", writer.NumMethod(), len(writes))
	}
	for i := range writer.NumMethod() {
		name := writer.Method(i).Name
		write, ok := writes[name]
		if _, offered := reflect.TypeFor[*step.BMC]().MethodByName(name); !ok || !offered {
			t.Errorf("%s is not offered to steps, or not tested", name)
			continue
		}
		t.Run(name+"/guarded", func(t *testing.T) {
			b := newBench(t, step.Settings{})
			b.m.identity.Serial = "OTHER"
			b.refused(t, write(t.Context(), b.BMC), "identity")
			b = newBench(t, step.Settings{})
			b.Declared.Protected = true
			b.refused(t, write(t.Context(), b.BMC), "protected")
		})
		t.Run(name+"/recorded", func(t *testing.T) {
			for _, fate := range []bmc.Fate{bmc.Done, bmc.Refused, bmc.Unknown} {
				b := newBench(t, step.Settings{})
				b.m.fate = fate
				if err := write(t.Context(), b.BMC); err != nil {
					t.Fatal(err)
				}
				if len(b.a.records) != 1 || len(b.a.settled) != 1 || b.a.settled[0] != (event.Settled{Change: b.a.records[0].ID, Fate: event.Fate(fate)}) {
					t.Errorf("recorded %v, settled %v", b.a.records, b.a.settled)
				}
			}
		})
		t.Run(name+"/not recorded", func(t *testing.T) {
			b := newBench(t, step.Settings{})
			b.a.refuse = errors.New("disk full")
			if err := write(t.Context(), b.BMC); err == nil || len(b.m.wrote) > 0 {
				t.Errorf("%v, and %v was written", err, b.m.wrote)
			}
		})
		t.Run(name+"/as approved", func(t *testing.T) { asApproved(t, write) })
		t.Run(name+"/shadowed", func(t *testing.T) {
			b := newBench(t, step.Settings{DryRun: true})
			b.SetBMC(bmc.Shadow(b.m, false, func(bmc.Target, string) {}))
			if err := write(t.Context(), b.BMC); err != nil {
				t.Fatal(err)
			}
			if len(b.a.records) == 0 || len(b.m.wrote) > 0 {
				t.Errorf("recorded %v, written %v", b.a.records, b.m.wrote)
			}
		})
	}
}

// inUse lets a machine run an ESXi that can be looked into, free to be used.
func (b *bench) inUse() *bench {
	b.Declared.AllowRunning, b.m.power.State = true, bmc.On
	b.x.probe = esxi.Probe{State: esxi.Up, ESXi: true, Product: "VMware ESXi 8.0.3", Build: "1", Fingerprint: "f"}
	b.x.system = esxi.System{UUID: "4c4c4544-0058-5110-8034-b7c04f543933", VMs: []string{"a"}}
	b.Settings.Consent = step.Consent{Stop: true, Wipe: true}
	return b
}

// asApproved demands that a write which a plan holds is made at the machine that it was made
// for, as it was, and nowhere else.
func asApproved(t *testing.T, write func(context.Context, *step.BMC) error) {
	dry := newBench(t, step.Settings{DryRun: true}).inUse()
	dry.SetBMC(bmc.Shadow(dry.m, false, func(bmc.Target, string) {}))
	if err := write(t.Context(), dry.BMC); err != nil || len(dry.a.records) != 1 || dry.a.records[0].Machine == nil {
		t.Fatalf("%v, %+v", err, dry.a.records)
	}
	plan := step.Approved{Machine: dry.a.records[0].Machine, Changes: []event.Planned{{Step: dry.StepName(), Change: dry.a.records[0]}}}
	for what, change := range map[string]func(*bench, *step.Approved){
		"":                           func(*bench, *step.Approved) {},
		"another machine":            func(b *bench, _ *step.Approved) { b.Declared.Serial, b.m.identity.Serial = "", "SN2" },
		"virtual machines started":   func(b *bench, _ *step.Approved) { b.x.system.VMs = []string{"a", "b"} },
		"another ESXi":               func(b *bench, _ *step.Approved) { b.x.probe.Fingerprint = "g" },
		"the machine went off":       func(b *bench, _ *step.Approved) { b.m.power.State = bmc.Off },
		"nobody can look any more":   func(b *bench, _ *step.Approved) { b.x.err = esxi.ErrNoLogin },
		"nothing was planned":        func(_ *bench, a *step.Approved) { a.Machine = nil },
		"another change was planned": func(_ *bench, a *step.Approved) { a.Changes[0].New = "other" },
		"no change was planned":      func(_ *bench, a *step.Approved) { a.Changes = nil },
		"another step was to write":  func(_ *bench, a *step.Approved) { a.Changes[0].Step = "other" },
	} {
		approved := step.Approved{Machine: plan.Machine, Changes: slices.Clone(plan.Changes)}
		b := newBench(t, step.Settings{Approved: &approved}).inUse()
		change(b, &approved)
		err := write(t.Context(), b.BMC)
		if what == "" {
			if err != nil || len(b.m.wrote) != 1 {
				t.Errorf("it is not made: %v, %v", err, b.m.wrote)
			}
			continue
		}
		t.Log(what)
		b.refused(t, err, "approval")
	}
}

// TestApplyContinued: what runs on a machine that a run has restarted is not what it was; which
// machine it is does not change.
func TestApplyContinued(t *testing.T) {
	b := newBench(t, step.Settings{Approved: &step.Approved{Machine: &event.Machine{Vendor: "acme", Serial: "SN1", UUID: "4c4c4544-0058-5110-8034-b7c04f543933", Runs: event.Running{Product: "as it was"}}, Changes: []event.Planned{
		{Step: "restart", Change: event.Change{Door: event.DoorBMC, Verb: event.SetBoot, Target: "source", Old: "none", New: "pxe"}}}}})
	b.refused(t, b.BMC.SetBoot(t.Context(), bmc.BootPXE, "standard"), "approval")
	b.a.log.Fold(step.Record{Run: "run2", Step: "restart", Time: began, Change: &event.Change{ID: "run2.1", Door: event.DoorBMC, Verb: event.Reset}})
	b.m.identity.UUID = "4c4c4544-0058-5110-8034-b7c04f543944"
	b.refused(t, b.BMC.SetBoot(t.Context(), bmc.BootPXE, "standard"), "approval")
	b.m.identity.UUID = "4c4c4544-0058-5110-8034-b7c04f543933"
	if err := b.BMC.SetBoot(t.Context(), bmc.BootPXE, "standard"); err != nil {
		t.Error(err)
	}
}

// mediaWrites are the media door's ways to write, by the name of the store's. A new one that
// is not here fails the test below.
var mediaWrites = map[string]struct {
	offered string
	write   func(context.Context, *step.Media) error
}{
	"Publish": {"Publish", func(ctx context.Context, m *step.Media) error {
		_, err := m.Publish(ctx, media.Request{})
		return err
	}},
	"Remove": {"Unpublish", func(ctx context.Context, m *step.Media) error { return m.Unpublish(ctx, event.Intent{}) }},
}

// newShelf is a bench with an image that is published and in the drive.
func newShelf(t *testing.T, settings step.Settings) *bench {
	b := newBench(t, settings)
	b.s.has, b.s.latest = true, media.Published{URL: "http://x/a.iso", Digest: "d1"}
	b.mounted("http://x/a.iso", "d1")
	b.SetMedia(b.s)
	return b
}

// TestEveryMediaWrite goes through all methods of the media door that write: each is
// offered behind its guard, is recorded before it is made and settled after, is not made
// when it cannot be recorded, and has a shadow that changes nothing.
func TestEveryMediaWrite(t *testing.T) {
	store, reader := reflect.TypeFor[media.Store](), reflect.TypeFor[media.Reader]()
	for i := range store.NumMethod() {
		name := store.Method(i).Name
		if _, reads := reader.MethodByName(name); reads {
			continue
		}
		w := mediaWrites[name]
		if _, offered := reflect.TypeFor[*step.Media]().MethodByName(w.offered); !offered {
			t.Errorf("%s is not offered to steps, or not tested", name)
			continue
		}
		t.Run(name+"/guarded", func(t *testing.T) {
			b := newShelf(t, step.Settings{})
			b.open()
			b.refused(t, w.write(t.Context(), b.Media), "medium")
			if b.s.wrote() > 0 {
				t.Error("refused, and written")
			}
			b = newShelf(t, step.Settings{Again: true})
			b.open()
			b.refused(t, w.write(t.Context(), b.Media), "")
		})
		t.Run(name+"/recorded", func(t *testing.T) {
			for fate, err := range map[event.Fate]error{event.Done: nil, event.Unknown: errors.New("disk full")} {
				b := newShelf(t, step.Settings{})
				b.s.err = err
				if got := w.write(t.Context(), b.Media); !errors.Is(got, err) {
					t.Fatal(got)
				}
				if len(b.a.records) != 1 || len(b.a.settled) != 1 || b.a.settled[0] != (event.Settled{Change: b.a.records[0].ID, Fate: fate}) || b.s.wrote() != 1 {
					t.Errorf("recorded %v, settled %v", b.a.records, b.a.settled)
				}
			}
		})
		t.Run(name+"/not recorded", func(t *testing.T) {
			b := newShelf(t, step.Settings{})
			b.a.refuse = errors.New("disk full")
			if err := w.write(t.Context(), b.Media); err == nil || b.s.wrote() > 0 {
				t.Errorf("%v, and it was written", err)
			}
		})
		t.Run(name+"/shadowed", func(t *testing.T) {
			b := newShelf(t, step.Settings{DryRun: true})
			b.SetMedia(media.Shadow(b.s))
			if err := w.write(t.Context(), b.Media); err != nil {
				t.Fatal(err)
			}
			if len(b.a.records) != 1 || b.s.wrote() > 0 {
				t.Errorf("recorded %v, written %d", b.a.records, b.s.wrote())
			}
		})
	}
}

// TestUnpublishProven: the image of an installation that is proven goes.
func TestUnpublishProven(t *testing.T) {
	b := newShelf(t, step.Settings{})
	b.open()
	if err := b.Media.Unpublish(t.Context(), event.Intent{Force: true}); err != nil || b.s.removed != 1 {
		t.Errorf("%v, removed %d times", err, b.s.removed)
	}
	if c := b.a.records[0]; c.Verb != event.Remove || c.Old != "http://x/a.iso" || c.Medium != "d1" {
		t.Errorf("recorded %+v", c)
	}
}

// TestReadersCannotWrite: what steps get for reading has no way to write.
func TestReadersCannotWrite(t *testing.T) {
	reader, writer := reflect.TypeFor[bmc.Reader](), reflect.TypeFor[bmc.Writer]()
	for i := range writer.NumMethod() {
		if _, ok := reader.MethodByName(writer.Method(i).Name); ok {
			t.Errorf("%s writes and is a method of the reader", writer.Method(i).Name)
		}
	}
}

func TestRisk(t *testing.T) {
	b := newBench(t, step.Settings{Consent: all, Installs: true})
	ctx := t.Context()
	for _, err := range []error{
		b.BMC.Insert(ctx, b.m.slots[0], "http://x/a.iso"), b.BMC.SetBoot(ctx, bmc.BootCD, "standard"), b.BMC.Reset(ctx, bmc.ResetOn, event.Intent{}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var risks []event.Risk
	for _, c := range b.a.records {
		risks = append(risks, c.Risk)
	}
	if want := []event.Risk{event.Mounts, "", event.Wipes}; !reflect.DeepEqual(risks, want) {
		t.Errorf("%v, want %v", risks, want)
	}
	if last, open := b.a.log.Installing(); !open || last.Step != "restart" || last.Run != "run2" {
		t.Errorf("the reset is not on record as an installation: %+v", last)
	}
}

// TestAdmit: one admission lets all requests of a restart pass, and says what they are
// part of; without one the guards are run again.
func TestAdmit(t *testing.T) {
	b := newBench(t, step.Settings{Consent: all, Installs: true})
	b.mounted("http://x/a.iso", "d1")
	b.m.power.State = bmc.On
	b.x.probe = esxi.Probe{State: esxi.Up, Fingerprint: "aa", Product: "ESXi"}
	b.x.system = esxi.System{UUID: b.m.identity.UUID, Installed: began.AddDate(-1, 0, 0)}
	i, err := b.BMC.Admit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !i.Boots || !i.Installs || i.Medium != "d1" || i.Before == nil || i.Before.Fingerprint != "aa" {
		t.Errorf("intent %+v", i)
	}
	b.x.probe = esxi.Probe{State: esxi.Silent, Reason: "off"} // as it is after our ForceOff
	for _, reset := range []bmc.ResetType{bmc.ResetForceOff, bmc.ResetOn} {
		if err := b.BMC.Reset(t.Context(), reset, i); err != nil {
			t.Fatal(err)
		}
		if started := b.x.gone > 0; started != (reset == bmc.ResetOn) { // until then the guards may look into it anew
			t.Errorf("after %s the session with what ran there is gone: %v", reset, started)
		}
	}
	last, _ := b.a.log.LastReset()
	if last.Before.Fingerprint != "aa" || !last.Open || last.Medium != "d1" {
		t.Errorf("last reset %+v", last)
	}
	b.m.power.State = bmc.On
	if err := b.BMC.Reset(t.Context(), bmc.ResetForceRestart, event.Intent{}); err == nil {
		t.Error("a reset without admission passed a machine of unknown use")
	}
}

func TestAdmitRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		settings step.Settings
		change   func(*bench)
		guard    string
	}{
		"all in order":         {step.Settings{Consent: all}, func(b *bench) {}, ""},
		"protected":            {step.Settings{Consent: all}, func(b *bench) { b.Declared.Protected = true }, "protected"},
		"wrong machine":        {step.Settings{Consent: all}, func(b *bench) { b.m.identity.Serial = "X" }, "identity"},
		"installation open":    {step.Settings{Consent: all}, func(b *bench) { b.open() }, "last reset"},
		"again":                {step.Settings{Consent: all, Again: true}, func(b *bench) { b.open() }, ""},
		"medium gone":          {step.Settings{Consent: all}, func(b *bench) { b.mounted("http://x/a.iso", ""); b.m.slots[0].Loaded = false }, "medium"},
		"override gone":        {step.Settings{Consent: all}, func(b *bench) { b.mounted("http://x/a.iso", ""); b.m.boot.Target = bmc.BootNone }, "boot source"},
		"continuous":           {step.Settings{Consent: all}, func(b *bench) { b.mounted("http://x/a.iso", ""); b.m.boot.Once = false }, "boot source"},
		"continuous, waits":    {step.Settings{Consent: all}, func(b *bench) { b.mounted("http://x/a.iso", ""); b.m.boot.Once, b.a.place.Waits = false, true }, ""},
		"no disk":              {step.Settings{Consent: all, Installs: true}, func(b *bench) { b.m.stock.Disks = []bmc.Disk{} }, "disk"},
		"no nic":               {step.Settings{Consent: all, Installs: true}, func(b *bench) { b.Declared.ESXi.NIC = ptr("AA:BB:CC:DD:EE:FF"); b.m.network.NICs = []bmc.NIC{} }, "nic"},
		"nobody asked":         {step.Settings{}, func(b *bench) { b.mounted("http://x/a.iso", "") }, "consent"},
		"on, nobody asked":     {step.Settings{}, func(b *bench) { b.m.power.State = bmc.On }, "consent"},
		"on, unknown use":      {step.Settings{Consent: all}, func(b *bench) { b.m.power.State = bmc.On }, "in use"},
		"allowed":              {step.Settings{Consent: all}, func(b *bench) { b.m.power.State = bmc.On; b.Declared.AllowRunning = true }, ""},
		"nothing to boot":      {step.Settings{Consent: all, Installs: true}, func(b *bench) { b.a.place.BootsMedium = true }, "medium"},
		"somebody's, booted":   {step.Settings{Consent: all}, func(b *bench) { b.foreignMedium(); b.m.boot.Target = bmc.BootNone; b.Declared.AllowRunning = true }, "medium"},
		"somebody's medium":    {step.Settings{Consent: all}, func(b *bench) { b.foreignMedium() }, "medium"},
		"address taken":        {step.Settings{Consent: all}, func(b *bench) { b.x.probe = esxi.Probe{State: esxi.Up, Product: "ESXi"} }, "address"},
		"not the plan's":       {step.Settings{Consent: all, Installs: true}, func(b *bench) { b.mounted("http://x/a.iso", ""); b.a.place.Medium = "http://x/b.iso" }, "medium"},
		"plan changed":         {step.Settings{Consent: all, Installs: true}, func(b *bench) { b.mounted("http://x/a.iso", ""); b.a.place.Stale = "gateway differs" }, "medium"},
		"stale, none mounted":  {step.Settings{Consent: all, Installs: true}, func(b *bench) { b.a.place.Stale = "gateway differs" }, ""},
		"remote LUNs":          {step.Settings{Consent: all, Installs: true}, func(b *bench) { b.seesLUNs(false) }, "remote disk"},
		"allowed all the same": {step.Settings{Consent: all, Installs: true}, func(b *bench) { b.seesLUNs(false); b.Declared.AllowRunning = true }, "remote disk"},
		"LUNs, disk confirmed": {step.Settings{Consent: all, Installs: true}, func(b *bench) { b.seesLUNs(true) }, ""},
		"LUNs, boots its disk": {step.Settings{Consent: all}, func(b *bench) { b.seesLUNs(false) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.settings)
			c.change(b)
			_, err := b.BMC.Admit(t.Context())
			b.refused(t, err, c.guard)
		})
	}
}

// TestStopsBeforeLUNs: a plan that powers the machine off before it starts the installer is
// refused there, as nobody sees the LUNs of a machine that is off.
func TestStopsBeforeLUNs(t *testing.T) {
	for guard, confirmed := range map[string]bool{"remote disk": false, "": true} {
		b := newBench(t, step.Settings{Consent: all, Installs: true})
		b.seesLUNs(confirmed)
		b.refused(t, b.BMC.Reset(t.Context(), bmc.ResetForceOff, event.Intent{}), guard)
	}
}

// seesLUNs is a machine in no use whose ESXi sees LUNs of a storage network.
func (b *bench) seesLUNs(confirmed bool) {
	b.m.power.State = bmc.On
	b.x.probe = esxi.Probe{State: esxi.Up, Product: "VMware ESXi 8.0.3"}
	b.x.system = esxi.System{UUID: b.m.identity.UUID, LUNs: []string{"naa.1 (over iSCSI)"}}
	b.Declared.ESXi.Disk.Confirm = &confirmed
}

// open is an installation of another run that is under way.
func (b *bench) open() {
	b.past(event.Change{Verb: event.Reset, Target: "power", New: "On", Intent: event.Intent{Boots: true, Installs: true}})
}

// foreignMedium is the image of another esxiplan in the drive of a machine that is on.
func (b *bench) foreignMedium() {
	b.m.slots[0].Loaded, b.m.slots[0].Image = true, "http://x/"+strings.Repeat("ab", 16)+"/h.iso"
	b.m.boot.Target, b.m.power.State = bmc.BootCD, bmc.On
}

func ptr[T any](v T) *T { return &v }

// TestReadErrors: an error of any read that a guard needs ends the write.
func TestReadErrors(t *testing.T) {
	broken := errors.New("no answer")
	for name, write := range writes {
		b := newBench(t, step.Settings{Consent: all, Installs: true})
		b.m.err = broken
		if err := write(t.Context(), b.BMC); !errors.Is(err, broken) || len(b.m.wrote) > 0 {
			t.Errorf("%s: %v, written %v", name, err, b.m.wrote)
		}
	}
}

// TestBootOfAnEmptyDrive: a machine is not set to boot a CD that is not there.
func TestBootOfAnEmptyDrive(t *testing.T) {
	b := newBench(t, step.Settings{})
	b.refused(t, b.BMC.SetBoot(t.Context(), bmc.BootCD, "standard"), "medium")
	b.m.slots[0].Loaded = true
	b.refused(t, b.BMC.SetBoot(t.Context(), bmc.BootCD, "standard"), "")
	if err := newEmpty(t).SetBoot(t.Context(), bmc.BootCD, "standard"); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("drives that cannot be read: %v", err)
	}
}

// newEmpty is a door whose drives cannot be read.
func newEmpty(t *testing.T) *step.BMC {
	b := newBench(t, step.Settings{})
	b.m.slotsErr = errors.New("no answer")
	return b.BMC
}

// TestOtherSessions: that our user is logged in elsewhere is said, once.
func TestOtherSessions(t *testing.T) {
	b := newBench(t, step.Settings{})
	b.m.others = []string{"session 7 from 192.0.2.99"}
	for range 2 {
		if err := b.BMC.SetBoot(t.Context(), bmc.BootPXE, "standard"); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.a.warned) != 1 || !strings.Contains(b.a.warned[0], "session 7 from 192.0.2.99") {
		t.Error(b.a.warned)
	}
}

// TestPowerOff: what stops a machine passes guards of its own.
func TestPowerOff(t *testing.T) {
	for name, c := range map[string]struct {
		settings step.Settings
		change   func(*bench)
		guard    string
	}{
		"off already":      {step.Settings{}, func(b *bench) {}, ""},
		"on, not asked":    {step.Settings{}, func(b *bench) { b.m.power.State = bmc.On }, "consent"},
		"unknown":          {step.Settings{}, func(b *bench) { b.m.power.State = bmc.PowerUnknown }, "consent"},
		"on, agreed":       {step.Settings{Consent: all}, func(b *bench) { b.m.power.State = bmc.On }, ""},
		"in use":           {step.Settings{Consent: all, Installs: true}, func(b *bench) { b.m.power.State = bmc.On }, "in use"},
		"being installed":  {step.Settings{Consent: all}, func(b *bench) { b.m.power.State = bmc.On; b.open() }, "last reset"},
		"another esxiplan": {step.Settings{Consent: all}, func(b *bench) { b.foreignMedium() }, "medium"},
		"its boot is over": {step.Settings{Consent: all}, func(b *bench) { b.foreignMedium(); b.m.boot.Target = bmc.BootNone }, "medium"},
		"its machine off":  {step.Settings{Consent: all}, func(b *bench) { b.foreignMedium(); b.m.power.State = bmc.Off }, ""},
		"its ESXi is up":   {step.Settings{Consent: all}, func(b *bench) { b.foreignMedium(); b.x.probe.State = esxi.Up }, ""},
		"installed, again": {step.Settings{Consent: all, Again: true}, func(b *bench) { b.m.power.State = bmc.On; b.open() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.settings)
			c.change(b)
			err := b.BMC.Reset(t.Context(), bmc.ResetForceOff, event.Intent{})
			b.refused(t, err, c.guard)
			if c.guard == "" && (len(b.a.records) != 1 || b.a.records[0].Before == nil) {
				t.Errorf("what ran there is not on record: %+v", b.a.records)
			}
		})
	}
}

// TestRefusedReset: what runs there can be looked into again after a reset that the BMC
// refused: its login is used only once per run.
func TestRefusedReset(t *testing.T) {
	b := newBench(t, step.Settings{Consent: all})
	b.m.power.State, b.m.fate, b.m.writeErr = bmc.On, bmc.Refused, errors.New("busy")
	b.x.probe = esxi.Probe{State: esxi.Up, Fingerprint: "aa", Product: "ESXi"}
	for _, reset := range []bmc.ResetType{bmc.ResetForceOff, bmc.ResetForceRestart} {
		if err := b.BMC.Reset(t.Context(), reset, event.Intent{}); err == nil || err.Error() != "busy" {
			t.Errorf("%s: %v", reset, err)
		}
	}
	if b.x.gone+b.x.closed > 0 {
		t.Error("the session with what runs there is gone")
	}
}

// TestAdmitAgain: a start that got lost is asked for again as part of the same reset. Who
// agreed to that is not asked again, unless it would boot another medium.
func TestAdmitAgain(t *testing.T) {
	b := newBench(t, step.Settings{Installs: true})
	b.mounted("http://x/a.iso", "d1")
	b.open()
	last, _ := b.a.log.LastReset()
	last.Before, last.Medium = event.Snapshot{Fingerprint: "aa"}, "d1"
	i, err := b.BMC.AdmitAgain(t.Context(), last)
	if err != nil || i.Before.Fingerprint != "aa" || !i.Installs {
		t.Errorf("%+v, %v", i, err)
	}
	other := last
	other.Medium = "d2"
	_, err = b.BMC.AdmitAgain(t.Context(), other)
	b.refused(t, err, "consent")
	b.Declared.Protected = true
	if _, err := b.BMC.AdmitAgain(t.Context(), last); err == nil {
		t.Error("a protected host passes")
	}
}

// TestEject: the medium of an installation that is under way stays, unless by force.
func TestEject(t *testing.T) {
	for name, c := range map[string]struct {
		intent event.Intent
		change func(*bench)
		guard  string
	}{
		"idle":             {event.Intent{}, func(b *bench) {}, ""},
		"installing":       {event.Intent{}, func(b *bench) { b.open() }, "medium"},
		"by force":         {event.Intent{Force: true}, func(b *bench) { b.open() }, ""},
		"unknown image":    {event.Intent{}, func(b *bench) { b.open(); b.m.slots[0].Image = "" }, "medium"},
		"somebody's":       {event.Intent{}, func(b *bench) { b.open(); b.m.slots[0].Image = "http://y/z.iso" }, ""},
		"another esxiplan": {event.Intent{}, func(b *bench) { b.foreignMedium() }, "medium"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, step.Settings{})
			b.mounted("http://x/a.iso", "")
			c.change(b)
			b.refused(t, b.BMC.Eject(t.Context(), b.m.slots[0], c.intent), c.guard)
		})
	}
}

// TestDebts: an override that no boot uses up is noticed when it reads back, is a debt of
// the machine's records, and is paid by whoever closes the host.
func TestDebts(t *testing.T) {
	b := newBench(t, step.Settings{})
	b.m.slots[0].Loaded = true
	b.a.place = step.Place{Restarts: true, Waits: true}
	b.m.set = func(target bmc.Target) { b.m.boot = bmc.Boot{Target: target} }
	if err := b.BMC.SetBoot(t.Context(), bmc.BootCD, "standard"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.BMC.Boot(t.Context()); err != nil || !b.a.log.Debt() || !b.a.log.OnlyContinuous() {
		t.Fatalf("%v, debt %v", err, b.a.log.Debt())
	}
	// Another process, with the records only.
	later := newBench(t, step.Settings{})
	later.a.log = b.a.log.Copy()
	later.m.boot = bmc.Boot{Target: bmc.BootCD}
	later.m.set = func(target bmc.Target) { later.m.boot = bmc.Boot{Target: bmc.BootDisk} } // it cannot disable
	if err := later.Close(t.Context()); err != nil || later.a.log.Debt() || len(later.m.wrote) != 1 || !later.m.closed {
		t.Errorf("%v, debt %v, written %v", err, later.a.log.Debt(), later.m.wrote)
	}
	// And a run that cannot keep it is refused before it sets another.
	later.m.wrote, later.a.records = nil, nil
	later.refused(t, later.BMC.SetBoot(t.Context(), bmc.BootCD, "standard"), "boot source")
	later.refused(t, later.BMC.SetBoot(t.Context(), bmc.BootDisk, "standard"), "")
}

func TestDebtThatStays(t *testing.T) {
	b := newBench(t, step.Settings{})
	b.m.slots[0].Loaded = true
	b.a.place = step.Place{Restarts: true, Waits: true}
	b.m.set = func(target bmc.Target) { b.m.boot = bmc.Boot{Target: bmc.BootCD} } // whatever it is told
	if err := b.BMC.SetBoot(t.Context(), bmc.BootCD, "standard"); err != nil {
		t.Fatal(err)
	}
	b.BMC.Boot(t.Context())
	if err := b.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "still reads cd (continuous)") || !strings.Contains(err.Error(), "target=none") {
		t.Errorf("%v", err)
	}
}

// TestPreparing: nothing is mounted or set to be booted while an installation is under way.
func TestPreparing(t *testing.T) {
	for name, write := range map[string]func(*bench) error{
		"boot":   func(b *bench) error { return b.BMC.SetBoot(t.Context(), bmc.BootPXE, "standard") },
		"insert": func(b *bench) error { return b.BMC.Insert(t.Context(), b.m.slots[0], "http://x/a.iso") },
	} {
		b := newBench(t, step.Settings{})
		b.open()
		b.refused(t, write(b), "last reset")
		b = newBench(t, step.Settings{})
		b.foreignMedium()
		b.refused(t, write(b), "medium")
		b = newBench(t, step.Settings{Again: true})
		b.open()
		if err := write(b); err != nil {
			t.Errorf("%s, again: %v", name, err)
		}
	}
	b := newBench(t, step.Settings{})
	b.open()
	if err := b.BMC.SetBoot(t.Context(), bmc.BootNone, "standard"); err != nil {
		t.Errorf("an override cannot be taken away: %v", err)
	}
}

// TestDebtThatComesBack: an override that was taken away with success, and is there all the
// same, is a debt again as soon as it is seen.
func TestDebtThatComesBack(t *testing.T) {
	b := newBench(t, step.Settings{})
	b.m.slots[0].Loaded, b.a.place = true, step.Place{Restarts: true, Waits: true}
	b.m.set = func(bmc.Target) { b.m.boot = bmc.Boot{Target: bmc.BootCD} }
	for _, target := range []bmc.Target{bmc.BootCD, bmc.BootNone} {
		if err := b.BMC.SetBoot(t.Context(), target, "standard"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.BMC.Boot(t.Context()); err != nil || !b.a.log.Debt() {
			t.Errorf("after %s: %v, debt %v", target, err, b.a.log.Debt())
		}
	}
}

func TestClearBoot(t *testing.T) {
	unsupported := &bmc.ErrUnsupported{What: "no"}
	for name, c := range map[string]struct {
		ways  []string
		err   error
		set   func(*machine, bmc.Target)
		want  string // part of the error
		tries int
	}{
		"held": {[]string{"a"}, nil, nil, "", 1},
		"by the second": {[]string{"a", "b"}, nil, func(m *machine, t bmc.Target) {
			if len(m.wrote) == 2 {
				m.boot = bmc.Boot{Target: bmc.BootNone}
			}
		}, "", 2},
		"refused by all": {[]string{"a", "b"}, unsupported, nil, "no", 2},
		"busy":           {[]string{"a", "b"}, errors.New("busy"), nil, "busy", 1},
		"no effect":      {[]string{"a"}, nil, func(*machine, bmc.Target) {}, "still reads cd", 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, step.Settings{})
			b.m.boot, b.m.ways, b.m.writeErr = bmc.Boot{Target: bmc.BootCD, Once: true}, c.ways, c.err
			if c.set != nil {
				b.m.set = func(target bmc.Target) { c.set(b.m, target) }
			}
			err := b.ClearBoot(t.Context())
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || len(b.m.wrote) != c.tries {
				t.Errorf("%v after %d tries", err, len(b.m.wrote))
			}
		})
	}
}

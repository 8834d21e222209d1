package step_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/engine/media"
	"esxiplan/engine/step"
	"esxiplan/schema"
)

// machine is a BMC of which a test sets what it reads and what becomes of writes.
type machine struct {
	identity bmc.Identity
	power    bmc.Power
	boot     bmc.Boot
	ways     []string
	slots    []bmc.Slot
	stock    bmc.Inventory
	network  bmc.Network
	license  bmc.License
	err      error // of every read
	slotsErr error
	others   []string // sessions
	writeErr error
	fate     bmc.Fate // "" is done
	wrote    []bmc.Command
	set      func(bmc.Target) // what setting a boot source does; nil: it holds, once
	closed   bool
}

func (m *machine) Identity(context.Context) (bmc.Identity, error) { return m.identity, m.err }
func (m *machine) Power(context.Context) (bmc.Power, error)       { return m.power, m.err }
func (m *machine) Boot(context.Context) (bmc.Boot, error)         { return m.boot, m.err }
func (m *machine) Slots(context.Context) ([]bmc.Slot, error) {
	return m.slots, errors.Join(m.err, m.slotsErr)
}
func (m *machine) Inventory(context.Context) (bmc.Inventory, error) {
	return m.stock, m.err
}
func (m *machine) Network(context.Context) (bmc.Network, error) { return m.network, m.err }
func (m *machine) License(context.Context) (bmc.License, error) { return m.license, m.err }
func (m *machine) Ready(context.Context) (string, error)        { return "", m.err }
func (m *machine) OtherSessions(context.Context) ([]string, error) {
	return m.others, m.err
}
func (m *machine) Refresh(time.Duration)                                             {}
func (m *machine) Prefetch(context.Context, func(context.Context, bmc.Reader)) error { return nil }
func (m *machine) Close(context.Context) error                                       { m.closed = true; return nil }
func (m *machine) Preparations(context.Context, bmc.Slot, string) ([]bmc.Preparation, error) {
	return nil, m.err
}

func (m *machine) Ways(_ context.Context, t bmc.Target) ([]string, error) {
	if t == bmc.BootNone && m.boot.Target == bmc.BootNone {
		return nil, m.err
	}
	return m.ways, m.err
}

func (m *machine) Slot(_ context.Context, s bmc.Slot) (bmc.Slot, error) {
	for _, now := range m.slots {
		if now.ID == s.ID {
			return now, m.err
		}
	}
	return s, m.err
}

func (m *machine) write(ctx context.Context, w bmc.Command, r bmc.Record) error {
	settle, err := r(ctx, w)
	if err != nil {
		return err
	}
	m.wrote = append(m.wrote, w)
	fate := m.fate
	if fate == "" {
		fate = bmc.Done
	}
	settle(fate)
	return m.writeErr
}

func (m *machine) Reset(ctx context.Context, t bmc.ResetType, r bmc.Record) error {
	err := m.write(ctx, bmc.Command{Verb: bmc.VerbReset, Target: "power", Old: string(m.power.State), New: string(t)}, r)
	if err == nil {
		m.power.State = map[bool]bmc.PowerState{true: bmc.On, false: bmc.Off}[t.Starts()]
	}
	return err
}

func (m *machine) SetBoot(ctx context.Context, t bmc.Target, _ string, r bmc.Record) error {
	err := m.write(ctx, bmc.Command{Verb: bmc.VerbBoot, Target: "source", Old: m.boot.String(), New: string(t)}, r)
	switch {
	case err != nil:
	case m.set != nil:
		m.set(t)
	default:
		m.boot = bmc.Boot{Target: t, Once: true}
	}
	return err
}

func (m *machine) Insert(ctx context.Context, s bmc.Slot, url string, r bmc.Record) error {
	err := m.write(ctx, bmc.InsertCommand(s, url, r), r)
	for i := range m.slots {
		if err == nil && m.slots[i].ID == s.ID {
			m.slots[i].Loaded, m.slots[i].Image = true, url
		}
	}
	return err
}

func (m *machine) Eject(ctx context.Context, s bmc.Slot, r bmc.Record) error {
	err := m.write(ctx, bmc.EjectCommand(s, r), r)
	for i := range m.slots {
		if err == nil && m.slots[i].ID == s.ID {
			m.slots[i].Loaded, m.slots[i].Image = false, ""
		}
	}
	return err
}

// system is what answers on the ESXi address.
type system struct {
	probe  esxi.Probe
	system esxi.System
	err    error // of the login
	closed int
	gone   int
	logins int
}

func (s *system) Probe(context.Context) (esxi.Probe, error) { return s.probe, nil }
func (s *system) Inspect(context.Context, esxi.Who, string) (esxi.System, error) {
	s.logins++
	return s.system, s.err
}
func (s *system) Close() { s.closed++ }

func (s *system) Gone() { s.gone++ }

// shelf is a media door with one image.
type shelf struct {
	media.Store
	latest    media.Published
	has       bool
	fetch     error
	reads     media.Reads
	known     bool
	published []media.Replacement
	removed   int
	err       error
}

func (s *shelf) Latest(string) (media.Published, bool)        { return s.latest, s.has }
func (s *shelf) Fetch(context.Context, string) error          { return s.fetch }
func (s *shelf) Check(_ context.Context, _, url string) error { return s.fetch }
func (s *shelf) Reads(string) (media.Reads, bool)             { return s.reads, s.known }
func (s *shelf) Publish(ctx context.Context, _ media.Request, record media.Record) (media.Published, error) {
	w := media.Replacement{Action: "publish", Target: "image", New: "http://x/new.iso"}
	if err := record(ctx, w); err != nil {
		return media.Published{}, err
	}
	s.published = append(s.published, w)
	return s.latest, s.err
}

func (s *shelf) Holds(string) bool                    { return s.has && s.removed == 0 }
func (s *shelf) Remove(context.Context, string) error { s.removed++; return s.err }
func (s *shelf) Published(context.Context, media.Request) (media.Published, error) {
	return media.Published{}, &media.ErrNotBuilt{}
}
func (s *shelf) Source(context.Context, media.Source) (version, build string, err error) {
	return "8.0.3", "100", nil
}
func (s *shelf) Addresses(host, _ string) (url, https string, err error) {
	return "http://192.0.2.1/" + host + ".iso", "", nil
}
func (s *shelf) Preview(context.Context, media.Request) (script string, warnings []string, err error) {
	return "install", nil, nil
}

// wrote is how many times the shelf was changed.
func (s *shelf) wrote() int { return len(s.published) + s.removed }

// attempt is an engine of one attempt under a clock that only moves by waiting.
type attempt struct {
	run, name string
	place     step.Place
	now       time.Time
	log       step.History
	records   []event.Change
	settled   []event.Settled
	warned    []string
	told      int
	phases    []event.Entered
	refuse    error // of the record
	onSleep   func()
}

// all is consent to everything.
var all = step.Consent{Stop: true, Wipe: true}

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func (a *attempt) Run() string       { return a.run }
func (a *attempt) Step() string      { return a.name }
func (a *attempt) Place() step.Place { return a.place }
func (a *attempt) Now() time.Time    { return a.now }
func (a *attempt) Warn(text string)  { a.warned = append(a.warned, text) }
func (a *attempt) Progress(int64, int64, string) {
	a.told++
}
func (a *attempt) Phase(p event.Entered) {
	a.phases = append(a.phases, p)
	a.log.Fold(step.Record{Run: a.run, Step: a.name, Time: a.now, Entered: &p})
}
func (a *attempt) Last() bool                        { return false }
func (a *attempt) KeepScreen([]byte) (string, error) { return "", errors.New("not kept") }
func (a *attempt) History() step.History             { return a.log.Copy() }
func (a *attempt) Sleep(ctx context.Context, d time.Duration) error {
	a.now = a.now.Add(d)
	if a.onSleep != nil {
		a.onSleep()
	}
	return ctx.Err()
}
func (a *attempt) Record(ctx context.Context, c event.Change) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if a.refuse != nil {
		return "", a.refuse
	}
	c.ID = fmt.Sprintf("%s.%d", a.run, len(a.records))
	a.records = append(a.records, c)
	a.log.Fold(step.Record{Run: a.run, Step: a.name, Time: a.now, Change: &c})
	return c.ID, nil
}
func (a *attempt) Settle(s event.Settled) {
	a.settled = append(a.settled, s)
	a.log.Fold(step.Record{Run: a.run, Step: a.name, Time: a.now, Settled: &s})
}

// bench is a host with fake doors, as a step sees it: a machine that is off, of which
// everything is in order.
type bench struct {
	*step.Host
	m *machine
	x *system
	a *attempt
	s *shelf

	pasts int
}

func serial(text string) *schema.Disk { return &schema.Disk{Serial: &text} }

func newBench(t *testing.T, settings step.Settings) *bench {
	t.Helper()
	address, err := schema.ParseAddress("192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	declared := &schema.Host{Name: "h", Vendor: "acme", Serial: "SN1", BMC: schema.BMC{Address: address}, ESXi: &schema.ESXi{Address: "192.0.2.11", Disk: serial("S1")}}
	b := &bench{Host: step.NewHost("plan", declared, settings)}
	b.m = &machine{identity: bmc.Identity{Vendor: "acme", Serial: "SN1", UUID: "4c4c4544-0058-5110-8034-b7c04f543933"}, power: bmc.Power{State: bmc.Off},
		boot: bmc.Boot{Target: bmc.BootNone, Once: true}, ways: []string{"standard"}, slots: []bmc.Slot{{ID: "CD1", CD: true}}, stock: bmc.Inventory{Disks: []bmc.Disk{{Model: "M", Serial: "S1"}}}}
	b.x = &system{probe: esxi.Probe{State: esxi.Silent}}
	b.s = &shelf{}
	b.a = &attempt{run: "run2", name: "restart", now: began}
	b.a.log.Follow("run2")
	b.SetBMC(b.m)
	b.ESXi = b.x
	b.Begin(b.a)
	return b
}

// mounted is a record of an image of ours in the drive, and of an override to boot it.
func (b *bench) mounted(url, digest string) {
	b.past(event.Change{Verb: event.Insert, Target: "slot CD1", New: url, Intent: event.Intent{Medium: digest}})
	b.past(event.Change{Verb: event.SetBoot, Target: "source", New: "cd"})
	b.m.slots[0].Loaded, b.m.slots[0].Image = true, url
	b.m.boot = bmc.Boot{Target: bmc.BootCD, Once: true}
}

// past folds a change of an earlier run that was done.
func (b *bench) past(c event.Change) string { return b.pastAt(began.Add(-time.Hour), c) }

func (b *bench) pastAt(at time.Time, c event.Change) string {
	b.pasts++
	c.ID = fmt.Sprintf("run1.%d", b.pasts)
	b.a.log.Fold(step.Record{Run: "run1", Step: "restart", Time: at, Change: &c})
	b.a.log.Fold(step.Record{Run: "run1", Step: "restart", Time: at, Settled: &event.Settled{Change: c.ID, Fate: event.Done}})
	return c.ID
}

// refused demands that a guard refused, and that nothing was written.
func (b *bench) refused(t *testing.T, err error, guard string) {
	t.Helper()
	var r *step.Refusal
	switch {
	case guard == "" && err != nil:
		t.Errorf("refused: %v", err)
	case guard == "":
	case !errors.As(err, &r) || r.Guard != guard:
		t.Errorf("got %v, want a refusal of %q", err, guard)
	case r.Next == "":
		t.Errorf("%v names no way out", r)
	case len(b.m.wrote) > 0 || len(b.a.records) > 0:
		t.Errorf("refused, and written: %v", b.m.wrote)
	}
}

package wait_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/engine/media"
	"esxiplan/engine/step"
	"esxiplan/schema"
	"esxiplan/steps/wait"
)

// machine is a BMC of which a test sets what it reads and what becomes of writes.
type machine struct {
	identity bmc.Identity
	power    bmc.Power
	boot     bmc.Boot
	slots    []bmc.Slot
	stock    bmc.Inventory

	err         error // of every read
	identityErr error
	bootErr     error
	clearErr    error           // of taking the override away
	clear       func()          // what taking it away does; nil: it is gone
	ejectErr    error           // of ejecting
	eject       func(*bmc.Slot) // what ejecting does; nil: the drive is empty
	resetErr    error
	wrote       []string
	looks       int // at the power
	screens     int // that were asked for
	screenErr   error
}

func (m *machine) Screen(context.Context) ([]byte, error) {
	m.screens++
	return []byte("PNG"), m.screenErr
}

func (m *machine) Identity(context.Context) (bmc.Identity, error) {
	return m.identity, errors.Join(m.err, m.identityErr)
}
func (m *machine) Power(context.Context) (bmc.Power, error) { m.looks++; return m.power, m.err }
func (m *machine) Boot(context.Context) (bmc.Boot, error) {
	return m.boot, errors.Join(m.err, m.bootErr)
}
func (m *machine) Slots(context.Context) ([]bmc.Slot, error) {
	return slices.Clone(m.slots), m.err
}
func (m *machine) Inventory(context.Context) (bmc.Inventory, error)                  { return m.stock, m.err }
func (m *machine) Network(context.Context) (bmc.Network, error)                      { return bmc.Network{}, m.err }
func (m *machine) License(context.Context) (bmc.License, error)                      { return bmc.License{}, m.err }
func (m *machine) OtherSessions(context.Context) ([]string, error)                   { return nil, nil }
func (m *machine) Ready(context.Context) (string, error)                             { return "", m.err }
func (m *machine) Refresh(time.Duration)                                             {}
func (m *machine) Prefetch(context.Context, func(context.Context, bmc.Reader)) error { return nil }
func (m *machine) Close(context.Context) error                                       { return nil }
func (m *machine) Preparations(context.Context, bmc.Slot, string) ([]bmc.Preparation, error) {
	return nil, m.err
}

func (m *machine) Ways(_ context.Context, t bmc.Target) ([]string, error) {
	if t == bmc.BootNone && m.boot.Target == bmc.BootNone {
		return nil, m.err
	}
	return []string{"standard"}, m.err
}

func (m *machine) Slot(_ context.Context, s bmc.Slot) (bmc.Slot, error) {
	for _, now := range m.slots {
		if now.ID == s.ID {
			return now, m.err
		}
	}
	return s, m.err
}

// write records a write, and settles it as the door of a real BMC does.
func (m *machine) write(ctx context.Context, w bmc.Command, r bmc.Record, answer error) error {
	settle, err := r(ctx, w)
	if err != nil {
		return err
	}
	m.wrote = append(m.wrote, string(w.Verb)+" "+w.New)
	switch {
	case answer == nil:
		settle(bmc.Done)
	case errors.Is(answer, errLost):
		settle(bmc.Unknown)
	default:
		settle(bmc.Refused)
	}
	return answer
}

func (m *machine) Reset(ctx context.Context, t bmc.ResetType, r bmc.Record) error {
	err := m.write(ctx, bmc.Command{Verb: bmc.VerbReset, Target: "power", Old: string(m.power.State), New: string(t)}, r, m.resetErr)
	if err == nil {
		m.power.State = bmc.On
	}
	return err
}

func (m *machine) SetBoot(ctx context.Context, t bmc.Target, _ string, r bmc.Record) error {
	err := m.write(ctx, bmc.Command{Verb: bmc.VerbBoot, Target: "source", Old: m.boot.String(), New: string(t)}, r, m.clearErr)
	switch {
	case err != nil:
	case m.clear != nil:
		m.clear()
	default:
		m.boot = bmc.Boot{Target: bmc.BootNone, Once: true}
	}
	return err
}

func (m *machine) Insert(context.Context, bmc.Slot, string, bmc.Record) error {
	return errors.New("a wait mounts nothing")
}

func (m *machine) Eject(ctx context.Context, s bmc.Slot, r bmc.Record) error {
	err := m.write(ctx, bmc.Command{Verb: bmc.VerbEject, Target: s.Name(), Old: s.Image}, r, m.ejectErr)
	for i := range m.slots {
		switch {
		case err != nil || m.slots[i].ID != s.ID:
		case m.eject != nil:
			m.eject(&m.slots[i])
		default:
			m.slots[i].Loaded, m.slots[i].Image = false, ""
		}
	}
	return err
}

// Answers of a BMC.
var (
	errBusy    = &bmc.Error{Request: "POST /x", Status: 503}
	errRefused = &bmc.Error{Request: "POST /x", Status: 403}
	errLost    = &bmc.Error{Request: "POST /x", Err: errors.New("connection reset by peer")}
	errSilent  = &bmc.Error{Request: "GET /x", Err: errors.New("no route to host")}
)

// system is what answers on the ESXi address.
type system struct {
	probe    esxi.Probe
	probeErr error
	system   esxi.System
	err      error // of the login
	logins   int
	asked    esxi.Who
	pinned   string // certificate to which the login was bound
}

func (s *system) Probe(context.Context) (esxi.Probe, error) { return s.probe, s.probeErr }
func (s *system) Inspect(_ context.Context, who esxi.Who, fingerprint string) (esxi.System, error) {
	s.logins++
	s.asked, s.pinned = who, fingerprint
	return s.system, s.err
}
func (s *system) Close() {}

func (s *system) Gone() {}

// shelf is a media door with one image.
type shelf struct {
	media.Store
	latest    media.Published
	has       bool
	reads     media.Reads
	known     bool
	checkErr  error
	removed   int
	removeErr error
}

func (s *shelf) Latest(string) (media.Published, bool)       { return s.latest, s.has }
func (s *shelf) Reads(string) (media.Reads, bool)            { return s.reads, s.known }
func (s *shelf) Check(context.Context, string, string) error { return s.checkErr }
func (s *shelf) Holds(string) bool                           { return s.has && s.removed == 0 }
func (s *shelf) Remove(context.Context, string) error        { s.removed++; return s.removeErr }

// attempt is an engine of one attempt under a clock that only moves by waiting.
type attempt struct {
	run, name string
	now       time.Time
	log       step.History
	records   []event.Change
	warned    []string
	phases    []event.Entered
	last      bool // no attempt follows
	kept      []string
	keepErr   error
	slept     time.Duration
	onSleep   func()
	refuse    error // of the record
}

func (a *attempt) Run() string                   { return a.run }
func (a *attempt) Step() string                  { return a.name }
func (a *attempt) Place() step.Place             { return step.Place{} }
func (a *attempt) Now() time.Time                { return a.now }
func (a *attempt) Warn(text string)              { a.warned = append(a.warned, text) }
func (a *attempt) Progress(int64, int64, string) {}
func (a *attempt) Last() bool                    { return a.last }
func (a *attempt) History() step.History         { return a.log.Copy() }
func (a *attempt) Phase(p event.Entered) {
	a.phases = append(a.phases, p)
	a.log.Fold(step.Record{Run: a.run, Step: a.name, Time: a.now, Entered: &p})
}
func (a *attempt) KeepScreen(png []byte) (string, error) {
	if a.keepErr != nil {
		return "", a.keepErr
	}
	a.kept = append(a.kept, string(png))
	return "screens/h.png", nil
}
func (a *attempt) Sleep(ctx context.Context, d time.Duration) error {
	a.now, a.slept = a.now.Add(d), a.slept+d
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
	a.log.Fold(step.Record{Run: a.run, Step: a.name, Time: a.now, Settled: &s})
}

// restarted is when the machine was reset, by the run's clock.
var restarted = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

const (
	ours   = "http://192.0.2.9/0123456789abcdef0123456789abcdef/h.iso"
	theirs = "http://192.0.2.9/somebody.iso"
	uuid   = "4c4c4544-0058-5110-8034-b7c04f543933"
)

var (
	oldCertificate = strings.Repeat("0a", 32)
	newCertificate = strings.Repeat("ff", 32)
)

// bench is a host with fake doors, as the step sees it: a machine that run1 reset into our
// image twenty minutes ago, and that is installed now. Everything is in order.
type bench struct {
	*step.Host
	m *machine
	x *system
	a *attempt
	s *shelf

	past int
}

func newBench(t *testing.T, settings step.Settings) *bench {
	t.Helper()
	address, err := schema.ParseAddress("192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	disk := "S1"
	declared := &schema.Host{Name: "h", Vendor: "acme", Serial: "SN1001", BMC: schema.BMC{Address: address}, ESXi: &schema.ESXi{Address: "192.0.2.11", Disk: &schema.Disk{Serial: &disk}}}
	b := &bench{Host: step.NewHost("plan", declared, settings)}
	b.m = &machine{identity: bmc.Identity{Vendor: "acme", Serial: "SN1001", UUID: uuid}, power: bmc.Power{State: bmc.On}, boot: bmc.Boot{Target: bmc.BootNone, Once: true},
		slots: []bmc.Slot{{URI: "/CD1", ID: "CD1", CD: true, Loaded: true, Image: ours}, {URI: "/CD2", ID: "CD2", CD: true}}, stock: bmc.Inventory{Disks: []bmc.Disk{{Model: "M", Serial: "S1"}}}}
	b.x = &system{probe: esxi.Probe{State: esxi.Up, Fingerprint: newCertificate, Product: "VMware ESXi 8.0.3", Version: "8.0.3", Build: "100", ESXi: true}}
	b.s = &shelf{has: true, latest: media.Published{URL: ours, Build: "100", Size: 400e6, Digest: "d1", Built: restarted.Add(-10 * time.Minute)}}
	b.a = &attempt{run: "run2", name: "installed", now: restarted}
	b.a.log.Follow("run2")
	b.SetBMC(b.m)
	b.ESXi = b.x
	b.SetMedia(b.s)
	b.Begin(b.a)
	b.did(restarted.Add(-5*time.Minute), event.Change{Verb: event.Insert, Target: "slot CD1", New: ours, Intent: event.Intent{Medium: "d1"}}, event.Done)
	b.did(restarted.Add(-4*time.Minute), event.Change{Verb: event.SetBoot, Target: "source", New: "cd"}, event.Done)
	b.restart(event.Snapshot{State: string(esxi.Up), Fingerprint: oldCertificate, Build: "99", Installed: restarted.Add(-300 * 24 * time.Hour)}, event.Done)
	b.after(20 * time.Minute)
	b.x.system = esxi.System{UUID: uuid, Serials: []string{"SN1001"}, Version: "8.0.3", Build: "100",
		Installed: restarted.Add(9 * time.Minute), Booted: restarted.Add(12 * time.Minute), Now: b.a.now}
	return b
}

// did folds a change of run1; fate "" is one of which nothing was heard.
func (b *bench) did(at time.Time, c event.Change, fate event.Fate) string {
	b.past++
	c.ID = fmt.Sprintf("run1.%d", b.past)
	b.a.log.Fold(step.Record{Run: "run1", Step: "restart", Time: at, Change: &c})
	if fate != "" {
		b.a.log.Fold(step.Record{Run: "run1", Step: "restart", Time: at, Settled: &event.Settled{Change: c.ID, Fate: fate}})
	}
	return c.ID
}

// restart is the reset of run1, and what answered before it.
func (b *bench) restart(before event.Snapshot, fate event.Fate) {
	b.did(restarted, event.Change{Verb: event.Reset, Target: "power", New: "On", Risk: event.Wipes, Intent: event.Intent{Boots: true, Installs: true, Medium: "d1", Before: &before}}, fate)
}

// fresh is the bench without any record.
func (b *bench) fresh() *bench {
	b.a.log = step.History{}
	b.a.log.Follow(b.a.run)
	return b
}

// mounted is a record of our image in a drive.
func (b *bench) mounted() *bench {
	b.did(restarted.Add(-5*time.Minute), event.Change{Verb: event.Insert, Target: "slot CD1", New: ours, Intent: event.Intent{Medium: "d1"}}, event.Done)
	return b
}

// continuous makes the override ours, one that no boot uses up, on record and on the BMC.
func (b *bench) continuous() *bench {
	b.fresh().mounted()
	id := b.did(restarted.Add(-4*time.Minute), event.Change{Verb: event.SetBoot, Target: "source", New: "cd"}, event.Done)
	b.a.log.Fold(step.Record{Run: "run1", Step: "boot", Time: restarted, Settled: &event.Settled{Change: id, Fate: event.Done, Stays: true}})
	b.restart(event.Snapshot{State: string(esxi.Up), Fingerprint: oldCertificate}, event.Done)
	b.m.boot = bmc.Boot{Target: bmc.BootCD}
	return b
}

// silent: nothing answers on the ESXi address.
func (b *bench) silent() *bench {
	b.x.probe = esxi.Probe{State: esxi.Silent, Reason: "connection refused"}
	return b
}

// after sets the time since the reset.
func (b *bench) after(d time.Duration) *bench {
	b.a.now = restarted.Add(d)
	return b
}

// read makes the image one that we serve, with these reads by the BMC.
func (b *bench) read(bouts ...media.Bout) *bench {
	b.s.known = true
	b.s.reads = media.Reads{Bouts: bouts}
	for i := range b.s.reads.Bouts {
		bout := &b.s.reads.Bouts[i]
		if bout.By == "" {
			bout.By = "192.0.2.1"
		}
		b.s.reads.Bytes += bout.Bytes
		b.s.reads.Last, b.s.reads.By = bout.To, bout.By
	}
	return b
}

// fetched adds that the BMC has fetched the whole image, in minutes after the reset.
func (b *bench) fetched(m float64) *bench {
	at := restarted.Add(time.Duration(m * float64(time.Minute)))
	b.s.reads.Fetches = append(b.s.reads.Fetches, media.Fetch{Bytes: 400e6, Size: 400e6, At: at, By: "192.0.2.1"})
	return b
}

// bout is reading from one moment to another, in minutes after the reset.
func bout(from, to float64, bytes int64) media.Bout {
	at := func(m float64) time.Time { return restarted.Add(time.Duration(m * float64(time.Minute))) }
	return media.Bout{From: at(from), To: at(to), Bytes: bytes}
}

// loaded is a bout in which the loader read its last module.
func loaded(from, to float64) media.Bout {
	b := bout(from, to, 390e6)
	b.Boots, b.Loaded = 1, true
	return b
}

// look is one attempt of the step.
func (b *bench) look(t *testing.T, arguments string) (wait.Result, error) {
	t.Helper()
	raw, err := wait.Type.Run(t.Context(), b.Host, json.RawMessage(arguments))
	if err != nil {
		if v := wait.Type.Verdict(raw); v != nil {
			t.Errorf("an error with a verdict: %+v", v)
		}
		return wait.Result{}, err
	}
	var r wait.Result
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	v := wait.Type.Verdict(raw)
	seeks := r.Goal == "esxi" || r.Goal == "installer"
	switch {
	case v == nil:
		t.Fatal("no verdict")
	case v.Proven != r.Proven, v.Seeks != seeks, v.Reason != r.Reason, v.Next != r.Next, v.Version != r.Version, v.Build != r.Build, !slices.Equal(v.Evidence, r.Evidence):
		t.Errorf("the verdict %+v differs from the result %+v", v, r)
	case v.Ended != r.Ended:
		t.Errorf("ended: %+v of %+v", v, r)
	case r.Reached && (r.Reason != "" || r.Next != ""), !r.Reached && (r.Reason == "" || r.Next == ""):
		t.Errorf("reached %v, with reason %q and next %q", r.Reached, r.Reason, r.Next)
	case r.Proven && !r.Reached:
		t.Error("proven, and not reached")
	}
	return r, nil
}

// esxi is one look for the new ESXi, as plans have it.
func (b *bench) esxi(t *testing.T) (wait.Result, error) {
	t.Helper()
	return b.look(t, `{"goal":"esxi","eject":true,"override_for":"3m"}`)
}

// refused demands a refusal with its reason and its way out.
func refused(t *testing.T, err error, reason, next string) {
	t.Helper()
	var r *step.Refusal
	if !errors.As(err, &r) || r.Guard != "proof" || step.Classify(err) != step.Final {
		t.Fatalf("got %v, want a refusal", err)
	}
	says(t, "reason", r.Reason, reason)
	says(t, "next", r.Next, next)
}

// says demands a part of a text.
func says(t *testing.T, what, text, part string) {
	t.Helper()
	if part == "" || !strings.Contains(text, part) {
		t.Errorf("%s %q, want %q in it", what, text, part)
	}
}

// wrote demands exactly these writes.
func (b *bench) wrote(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(b.m.wrote, want) {
		t.Errorf("wrote %q, want %q", b.m.wrote, want)
	}
	made := len(b.m.wrote) + b.s.removed
	if len(b.a.records) != made {
		t.Errorf("%d records of %d writes", len(b.a.records), made)
	}
}

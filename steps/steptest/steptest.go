// Package steptest holds every step type against its contract, on a simulated
// machine: run a second time it writes nothing; over shadows it asks only reading
// requests and announces the writes that the real run makes; cancelled, it ends at once.
package steptest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/engine/media"
	"esxiplan/engine/step"
	"esxiplan/schema"
)

// speed is how much faster than the real one the clock of a bench runs.
const speed = 50

type clock struct{ start time.Time }

func (c clock) Now() time.Time                     { return c.start.Add(time.Since(c.start) * speed) }
func (c clock) Real(d time.Duration) time.Duration { return d / speed }

// Bench is a simulated machine and what a step needs to run on it.
type Bench struct {
	Sim   *bmcsim.Sim
	Media media.Store // may be nil
	ESXi  *schema.ESXi
	Place step.Place // of every step; a restart and a wait follow unless a test says otherwise
	// Settings of the host; DryRun and Consent are those of the bench.
	Settings step.Settings
	System   esxi.Client // what answers on the ESXi address; nil: the plan declares none
	clock    clock
	log      step.History // of the machine, over all runs on the bench
	seq      int
	flow     string // run that is under way
	flows    int
	waited   time.Duration // by the host, of simulated time
}

// NewBench starts a machine, which is off.
func NewBench(t *testing.T, p bmcsim.Profile) *Bench { return NewFaultyBench(t, p, false) }

// NewFaultyBench starts a machine with faults.
func NewFaultyBench(t *testing.T, p bmcsim.Profile, on bool, faults ...bmcsim.Fault) *Bench {
	t.Helper()
	b := &Bench{clock: clock{time.Now()}, Place: step.Place{Restarts: true, Waits: true}}
	b.Sim = bmcsim.New(bmcsim.Config{Profile: p, Clock: b.clock, Username: "root", Password: "calvin", Serial: "SN1",
		UUID: "4c4c4544-0058-5110-8034-b7c04f543933", On: on, Faults: faults,
		Disks: []bmcsim.Disk{{Model: "MZVL2256HCHQ", Serial: "S1", WWN: "5001000000000001", Bytes: 480e9}}, MACs: []string{"B4:96:91:A7:3F:D6"},
		POST: 10 * time.Second})
	if err := b.Sim.Serve("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Sim.Close)
	return b
}

// host opens the machine again, as a process of its own would; dry gives shadows.
func (b *Bench) host(t *testing.T, vendors []bmc.Vendor, dry bool) *step.Host {
	t.Helper()
	declared := &schema.Host{Name: "h", Group: "g", Vendor: "auto", AllowRunning: true, ESXi: b.ESXi}
	settings := b.Settings
	settings.DryRun, settings.Consent = dry, step.Consent{Stop: true, Wipe: true}
	h := step.NewHost("test", declared, settings)
	h.ESXi = b.System
	h.SetMedia(b.Media)
	if dry && b.Media != nil {
		h.SetMedia(media.Shadow(b.Media))
	}
	c, err := bmc.Open(bmc.Options{Address: "https://" + b.Sim.Address(), Username: "root", Password: "calvin", Trust: bmc.Trust{Off: true},
		Vendors: vendors, ReadOnly: dry, Timeout: timeout,
		Now: b.age, Sleep: b.sleep})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	if dry {
		c = bmc.Shadow(c, false, func(bmc.Target, string) {})
	}
	h.SetBMC(c)
	return h
}

// age is the time by which what was read grows old: only waiting makes it so, not the
// slowness of a busy machine.
func (b *Bench) age() time.Time { return b.clock.start.Add(b.waited) }

func (b *Bench) sleep(ctx context.Context, d time.Duration) error {
	b.waited += d
	return pause(ctx, b.clock.Real(d))
}

// attempt is an engine for one attempt: it keeps the records. Those of a dry run are of
// that run alone.
type attempt struct {
	bench *Bench
	run   string
	name  string // of the step
	log   *step.History
}

func (b *Bench) attempt(run, name string) *attempt {
	log := &b.log
	if run == "dry" {
		planned := b.log.Copy()
		log = &planned
	}
	log.Follow(run)
	return &attempt{b, run, name, log}
}

func (a *attempt) Run() string       { return a.run }
func (a *attempt) Step() string      { return a.name }
func (a *attempt) Place() step.Place { return a.bench.Place }

func (a *attempt) Record(_ context.Context, c event.Change) (string, error) {
	a.bench.seq++
	c.ID = fmt.Sprint(a.run, a.bench.seq)
	a.log.Fold(step.Record{Run: a.run, Step: a.name, Time: a.Now(), Change: &c})
	return c.ID, nil
}

func (a *attempt) Settle(s event.Settled) {
	a.log.Fold(step.Record{Run: a.run, Step: a.name, Time: a.Now(), Settled: &s})
}

func (a *attempt) Progress(int64, int64, string)                    {}
func (a *attempt) Phase(event.Entered)                              {}
func (a *attempt) Last() bool                                       { return false }
func (a *attempt) KeepScreen([]byte) (string, error)                { return "", errors.New("not kept") }
func (a *attempt) Warn(string)                                      {}
func (a *attempt) Now() time.Time                                   { return a.bench.clock.Now() }
func (a *attempt) History() step.History                            { return a.log.Copy() }
func (a *attempt) Sleep(ctx context.Context, d time.Duration) error { return a.bench.sleep(ctx, d) }

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// timeout of one request, in real time.
const timeout = 2 * time.Second

// Case is one use of a step.
type Case struct {
	Arguments string // JSON, every argument
	Prepare   func(*Bench)
	Again     bool // run a second time it may write again: a restart is one
}

// Run holds a step type against the contract on every profile.
func Run(t *testing.T, typ *step.Type, vendors []bmc.Vendor, c Case) {
	t.Helper()
	for _, profile := range bmcsim.Profiles() {
		t.Run(profile.Name, func(t *testing.T) {
			t.Parallel()
			b := NewBench(t, profile)
			if c.Prepare != nil {
				c.Prepare(b)
			}
			c := c
			if !slices.Contains(profile.Schemes, "http") && len(profile.Schemes) > 0 {
				c.Arguments = strings.ReplaceAll(c.Arguments, "http://", "https://")
			}
			planned := dryRun(t, b, typ, vendors, c)
			made := realRun(t, b, typ, vendors, c, "first")
			if !slices.EqualFunc(planned, made, sameChange) {
				t.Errorf("the dry run announced\n%v\nthe run made\n%v", planned, made)
			}
			if again := realRun(t, b, typ, vendors, c, "second"); len(again) > 0 && !c.Again {
				t.Errorf("run a second time it writes %v", again)
			}
			cancelled(t, b, typ, vendors, c)
		})
	}
}

// sameChange compares a planned change with one that was made.
func sameChange(planned, made step.Made) bool {
	p := event.Planned{Step: planned.Step, Change: planned.Change}
	return p.Covers(made.Step, made.Change, func(url string) bool { return strings.HasSuffix(url, ".iso") })
}

// effective are the changes that took place. What was refused in one drive and then made
// in another is the change that was planned for the first.
func effective(made []step.Made) []step.Made {
	out := step.Effective(made)
	for i := range out {
		first := slices.IndexFunc(made, func(m step.Made) bool { return m.Verb == out[i].Verb && m.Fate == event.Refused })
		if at := slices.IndexFunc(made, func(m step.Made) bool { return m.ID == out[i].ID }); first >= 0 && first < at {
			out[i].Target = made[first].Target
		}
	}
	return out
}

func dryRun(t *testing.T, b *Bench, typ *step.Type, vendors []bmc.Vendor, c Case) []step.Made {
	t.Helper()
	before := len(b.Sim.Requests())
	made := perform(t, b.host(t, vendors, true), b, typ, c, "dry")
	for _, r := range b.Sim.Requests()[before:] {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			t.Errorf("the dry run sent %s %s", r.Method, r.Path)
		}
	}
	return made
}

func realRun(t *testing.T, b *Bench, typ *step.Type, vendors []bmc.Vendor, c Case, run string) []step.Made {
	t.Helper()
	return perform(t, b.host(t, vendors, false), b, typ, c, run)
}

// perform runs the step as the engine does, with retries of what may pass.
func perform(t *testing.T, h *step.Host, b *Bench, typ *step.Type, c Case, run string) []step.Made {
	t.Helper()
	a := b.attempt(run, typ.Name)
	for range 20 {
		h.Begin(a)
		_, err := typ.Run(t.Context(), h, json.RawMessage(c.Arguments))
		if err == nil {
			return effective(a.log.Made(typ.Name))
		}
		if step.Classify(err) == step.Final {
			t.Fatalf("%s: %v", run, err)
		}
		a.Sleep(t.Context(), 5*time.Second)
	}
	t.Fatalf("%s: does not come to an end", run)
	return nil
}

// cancelled demands that the step ends soon after its context, also while the
// BMC does not answer.
func cancelled(t *testing.T, b *Bench, typ *step.Type, vendors []bmc.Vendor, c Case) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := b.host(t, vendors, false)
	h.Begin(b.attempt("cancelled", typ.Name))
	began := time.Now()
	_, err := typ.Run(ctx, h, json.RawMessage(c.Arguments))
	if took := time.Since(began); took > 5*time.Second || err == nil || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled, it ends after %s with %v", took, err)
	}
}

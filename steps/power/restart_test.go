package power_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/engine/step"
	"esxiplan/schema"
	"esxiplan/steps/power"
)

const imageURL = "http://192.0.2.9/image.iso"

// began is when the test begins by the clock of the run, which only waiting moves.
var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// answer is what the BMC does with one request for a reset.
type answer struct {
	does  bool // takes effect
	err   error
	fate  bmc.Fate      // "": done
	then  func(*bench)  // somebody else's doing, right after
	after time.Duration // until it takes effect
}

var (
	done     = answer{does: true}
	ignored  = answer{}
	passing  = answer{fate: bmc.Refused, err: &bmc.Error{Request: "POST reset", Status: 409}}
	forGood  = answer{fate: bmc.Refused, err: &bmc.Error{Request: "POST reset", Status: 400}}
	lost     = answer{does: true, fate: bmc.Unknown, err: &bmc.Error{Request: "POST reset", Err: errors.New("connection reset")}}
	notHeard = answer{fate: bmc.Unknown, err: &bmc.Error{Request: "POST reset", Err: errors.New("connection reset")}}
)

func later(a answer, d time.Duration) answer { a.does, a.after = true, d; return a }

func and(a answer, then func(*bench)) answer { a.then = then; return a }

// machine is a BMC of which a test tells how it answers resets, one by one; the last
// answer counts for all that follow.
type machine struct {
	bmc.Client
	b       *bench
	power   bmc.Power
	boot    bmc.Boot
	slot    bmc.Slot
	answers []answer
	asked   []bmc.ResetType
	boots   int
	busy    int        // reads of the power state that fail next
	away    time.Time  // until when they all do
	heard   func()     // before a request is on record
	known   *bmc.Power // what was read a moment ago; nil: the BMC is asked
	pending []*pending
}

// pending is a change of the machine at a time to come.
type pending struct {
	at   time.Time
	do   func(*machine)
	done bool
}

func (m *machine) in(d time.Duration, do func(*machine)) {
	m.pending = append(m.pending, &pending{at: m.b.now.Add(d), do: do})
}

// tick does what is due.
func (m *machine) tick() {
	for _, p := range m.pending {
		if !p.at.After(m.b.now) && !p.done {
			p.done = true
			p.do(m)
		}
	}
}

func (m *machine) Identity(context.Context) (bmc.Identity, error) {
	return bmc.Identity{Vendor: "acme", Serial: "SN1"}, nil
}

func (m *machine) Power(ctx context.Context) (bmc.Power, error) {
	m.tick()
	if m.known != nil {
		return *m.known, ctx.Err()
	}
	if m.busy > 0 || m.away.After(m.b.now) {
		m.busy--
		return bmc.Power{}, &bmc.Error{Request: "GET system", Status: 503}
	}
	return m.power, ctx.Err()
}

func (m *machine) Boot(ctx context.Context) (bmc.Boot, error) { return m.boot, ctx.Err() }
func (m *machine) Slots(ctx context.Context) ([]bmc.Slot, error) {
	return []bmc.Slot{m.slot}, ctx.Err()
}
func (m *machine) Slot(context.Context, bmc.Slot) (bmc.Slot, error) {
	return m.slot, nil
}
func (m *machine) Network(context.Context) (bmc.Network, error) { return bmc.Network{}, nil }
func (m *machine) License(context.Context) (bmc.License, error) { return bmc.License{}, nil }
func (m *machine) Inventory(context.Context) (bmc.Inventory, error) {
	return bmc.Inventory{Disks: []bmc.Disk{{Model: "M", Serial: "S1"}}}, nil
}
func (m *machine) OtherSessions(context.Context) ([]string, error)                   { return nil, nil }
func (m *machine) Refresh(time.Duration)                                             { m.known = nil }
func (m *machine) Prefetch(context.Context, func(context.Context, bmc.Reader)) error { return nil }
func (m *machine) Close(context.Context) error                                       { return nil }

func (m *machine) Reset(ctx context.Context, t bmc.ResetType, record bmc.Record) error {
	if m.heard != nil {
		m.heard()
	}
	settle, err := record(ctx, bmc.Command{Verb: bmc.VerbReset, Target: "power", Old: string(m.power.State), New: string(t)})
	if err != nil {
		return err
	}
	m.asked = append(m.asked, t)
	a := m.answers[0]
	if len(m.answers) > 1 {
		m.answers = m.answers[1:]
	}
	if a.does {
		m.in(a.after, func(m *machine) { m.takes(t) })
		m.tick()
	}
	if a.then != nil {
		a.then(m.b)
	}
	if a.fate == "" {
		a.fate = bmc.Done
	}
	settle(a.fate)
	return a.err
}

func (m *machine) takes(t bmc.ResetType) {
	switch {
	case !t.Starts():
		m.power.State = bmc.Off
	case m.power.State != bmc.On || t == bmc.ResetForceRestart:
		m.starts()
	}
}

// starts powers the machine on; POST takes a minute and a half, and uses up the override.
func (m *machine) starts() {
	m.power.State = bmc.On
	m.in(90*time.Second, func(m *machine) {
		if m.boots++; m.boot.Once {
			m.boot.Target = bmc.BootNone
		}
	})
}

// system is the ESXi that runs, and answers again only after an installation.
type system struct {
	esxi.Client
	b *bench
}

func (s system) Probe(context.Context) (esxi.Probe, error) {
	if s.b.m.power.State != bmc.On || s.b.m.boots > 0 || !s.b.esxi {
		return esxi.Probe{State: esxi.Silent}, nil
	}
	return esxi.Probe{State: esxi.Up, Fingerprint: "old"}, nil
}
func (s system) Inspect(context.Context, esxi.Who, string) (esxi.System, error) {
	return esxi.System{}, esxi.ErrNoLogin
}
func (s system) Close() {}

func (s system) Gone() {}

// bench is a host whose plan restarts it into our medium, under a clock of its own. It is
// the engine of its attempts, too.
type bench struct {
	*step.Host
	m      *machine
	esxi   bool // an ESXi answers
	now    time.Time
	log    step.History
	n      int
	warned []string
	ctx    context.Context
	cancel context.CancelFunc
	place  step.Place
}

// attempt is the engine of one attempt.
type attempt struct{ *bench }

func (a attempt) Run() string                   { return "run2" }
func (a attempt) Step() string                  { return "restart" }
func (a attempt) Place() step.Place             { return a.place }
func (a attempt) Now() time.Time                { return a.now }
func (a attempt) Warn(text string)              { a.warned = append(a.warned, text) }
func (a attempt) Progress(int64, int64, string) {}
func (a attempt) Phase(event.Entered)           {}
func (a attempt) Last() bool                    { return false }
func (a attempt) KeepScreen([]byte) (string, error) {
	return "", errors.New("not kept")
}
func (a attempt) History() step.History  { return a.log.Copy() }
func (a attempt) Settle(s event.Settled) { a.fold("run2", step.Record{Settled: &s}) }
func (a attempt) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a.now = a.now.Add(d)
	a.m.tick()
	return nil
}
func (a attempt) Record(ctx context.Context, c event.Change) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return a.change("run2", c), nil
}

func (b *bench) change(run string, c event.Change) string {
	b.n++
	c.ID = fmt.Sprint(run, ".", b.n)
	b.fold(run, step.Record{Change: &c})
	return c.ID
}

func (b *bench) fold(run string, r step.Record) {
	r.Run, r.Step, r.Time = run, "restart", b.now
	b.log.Fold(r)
}

// newBench is a machine with our medium in its drive, set to boot it once.
func newBench(t *testing.T, state bmc.PowerState, answers ...answer) *bench {
	t.Helper()
	serial := "S1"
	declared := &schema.Host{Name: "h", Vendor: "acme", Serial: "SN1", AllowRunning: true, ESXi: &schema.ESXi{Address: "192.0.2.11", Disk: &schema.Disk{Serial: &serial}}}
	b := &bench{Host: step.NewHost("plan", declared, step.Settings{Consent: step.Consent{Stop: true, Wipe: true}, Installs: true}), now: began, place: step.Place{Medium: imageURL, BootsMedium: true, Waits: true}}
	b.m = &machine{b: b, power: bmc.Power{State: state}, boot: bmc.Boot{Target: bmc.BootCD, Once: true}, slot: bmc.Slot{ID: "CD1", CD: true, Loaded: true, Image: imageURL}, answers: answers}
	b.change("run1", event.Change{Verb: event.Insert, Target: "slot CD1", New: imageURL})
	b.change("run1", event.Change{Verb: event.SetBoot, Target: "source", New: "cd"})
	b.log.Follow("run2")
	b.SetBMC(b.m)
	b.ESXi = system{b: b}
	b.ctx, b.cancel = context.WithCancel(t.Context())
	return b
}

// restart runs the step as the engine does: with the retries of its policy, until an
// interrupt.
func (b *bench) restart() error { return b.perform("restart") }

func (b *bench) perform(action string) (err error) {
	for try := 0; ; try++ {
		b.Begin(attempt{b})
		_, err = power.Type.Run(b.ctx, b.Host, []byte(`{"action":"`+action+`"}`))
		if err == nil || step.Classify(err) == step.Final || try == power.Type.Policy.Retries || b.ctx.Err() != nil {
			return err
		}
		b.now = b.now.Add(power.Type.Policy.Delay)
		b.m.tick()
	}
}

// interrupt is Ctrl-C.
func interrupt(b *bench) { b.cancel() }

// rival is somebody else who powers the machine on.
func rival(b *bench) {
	if b.m.power.State == bmc.Off {
		b.m.starts()
	}
}

func unmount(b *bench) { b.m.slot.Loaded, b.m.slot.Image = false, "" }
func replan(b *bench)  { b.place.Medium = "http://192.0.2.9/another.iso" }
func stumble(b *bench) { b.m.busy = 3 }
func away(b *bench)    { b.m.away = b.now.Add(150 * time.Second) } // for longer than a look waits

const (
	off     = bmc.ResetForceOff
	on      = bmc.ResetOn
	oneShot = bmc.ResetForceRestart
)

// restarts are what becomes of the requests of a restart, and what follows from it.
var restarts = map[string]struct {
	state   bmc.PowerState // at the start; "": On
	answers []answer
	change  func(*bench)
	asked   []bmc.ResetType
	fails   string // part of the error
	warns   string // part of the warning
	left    bool   // the recap says that the machine is off
}{
	"from on":  {answers: []answer{done}, asked: []bmc.ResetType{off, on}},
	"from off": {state: bmc.Off, answers: []answer{done}, asked: []bmc.ResetType{on}},
	"powering off at the start": {state: bmc.PoweringOff, answers: []answer{done}, asked: []bmc.ResetType{on},
		change: func(b *bench) { b.m.in(5*time.Second, func(m *machine) { m.power.State = bmc.Off }) }},
	"powering on at the start": {state: bmc.PoweringOn, answers: []answer{done}, asked: []bmc.ResetType{off, on},
		change: func(b *bench) { b.m.in(5*time.Second, func(m *machine) { m.power.State = bmc.On }) }},
	"paused": {state: bmc.Paused, answers: []answer{done}, fails: "until the power state reads On or Off; it reads Paused"},
	"only ForceRestart": {answers: []answer{done}, asked: []bmc.ResetType{oneShot},
		change: func(b *bench) { b.m.power.Allowed = []bmc.ResetType{on, oneShot} }},
	"only ForceRestart, refused for now": {answers: []answer{passing, done}, asked: []bmc.ResetType{oneShot, oneShot},
		change: func(b *bench) { b.m.power.Allowed = []bmc.ResetType{on, oneShot} }},
	"only ForceRestart, lost": {answers: []answer{notHeard}, asked: []bmc.ResetType{oneShot}, fails: "nothing shows that the machine was restarted",
		change: func(b *bench) { b.m.power.Allowed = []bmc.ResetType{on, oneShot} }},
	"only ForceRestart, POST moves": {answers: []answer{and(done, func(b *bench) { b.m.power.Post = "InPost" })}, asked: []bmc.ResetType{oneShot},
		change: func(b *bench) { oneRequest(b); continuous("Finished")(b) }},
	"only ForceRestart, POST stays": {answers: []answer{ignored}, asked: []bmc.ResetType{oneShot}, fails: "nothing shows that the machine was restarted",
		change: func(b *bench) { oneRequest(b); continuous("Finished")(b) }},
	"only ForceRestart, a continuous override": {answers: []answer{done}, asked: []bmc.ResetType{oneShot}, warns: "nothing can show whether the machine was restarted",
		change: func(b *bench) { oneRequest(b); continuous("")(b) }},
	"only ForceRestart, set by hand": {answers: []answer{done}, asked: []bmc.ResetType{oneShot}, warns: "nothing can show whether the machine was restarted",
		change: func(b *bench) { oneRequest(b); b.takeBack(); b.m.boot.Target = bmc.BootCD }},
	"only ForceRestart, set by hand, and the power state shows": {answers: []answer{and(done, goesThroughOff)}, asked: []bmc.ResetType{oneShot},
		change: func(b *bench) { oneRequest(b); b.takeBack(); b.m.boot.Target = bmc.BootCD }},
	"only ForceRestart, the BMC stumbles, and nothing is done": {answers: []answer{and(ignored, stumble)}, asked: []bmc.ResetType{oneShot}, fails: "nothing shows that the machine was restarted",
		change: oneRequest},
	"neither": {answers: []answer{done}, fails: "offers neither ForceOff nor ForceRestart",
		change: func(b *bench) { b.m.power.Allowed = []bmc.ResetType{on} }},

	"On refused for now":              {answers: []answer{done, passing, passing, done}, asked: []bmc.ResetType{off, on, on, on}},
	"On refused for now, interrupted": {answers: []answer{and(done, interrupt), passing, passing, done}, asked: []bmc.ResetType{off, on, on, on}},
	"On refused for good":             {answers: []answer{done, forGood}, asked: []bmc.ResetType{off, on}, fails: "was powered off for its restart and is not on again", left: true},
	"On refused for good, from off":   {state: bmc.Off, answers: []answer{forGood}, asked: []bmc.ResetType{on}, fails: "the BMC answers 400"},
	"On refused and done late":        {answers: []answer{done, later(passing, 6*time.Second)}, asked: []bmc.ResetType{off, on}},
	"On refused and done very late":   {answers: []answer{done, later(forGood, 10*time.Minute)}, asked: []bmc.ResetType{off, on}, fails: "is not on again", left: true},
	"On does nothing":                 {answers: []answer{done, ignored, done}, asked: []bmc.ResetType{off, on, on}},
	"On does nothing, interrupted":    {answers: []answer{and(done, interrupt), ignored, done}, asked: []bmc.ResetType{off, on, on}},
	"On lost and done":                {answers: []answer{done, lost}, asked: []bmc.ResetType{off, on}},
	"On lost, interrupted":            {answers: []answer{done, and(notHeard, interrupt), done}, asked: []bmc.ResetType{off, on, on}},
	"the BMC stumbles, interrupted":   {answers: []answer{and(and(done, stumble), func(b *bench) { stumble(b); interrupt(b) }), done}, asked: []bmc.ResetType{off, on}},

	"ForceOff refused for now":             {answers: []answer{passing, done}, asked: []bmc.ResetType{off, off, on}},
	"ForceOff refused and done late":       {answers: []answer{later(passing, 5*time.Second), done}, asked: []bmc.ResetType{off, on}},
	"ForceOff refused for good":            {answers: []answer{forGood}, asked: []bmc.ResetType{off}, fails: "the BMC answers 400"},
	"ForceOff lost and done":               {answers: []answer{lost, done}, asked: []bmc.ResetType{off, on}},
	"ForceOff lost and done late":          {answers: []answer{later(lost, 30*time.Second), done}, asked: []bmc.ResetType{off, on}},
	"ForceOff lost and done, interrupted":  {answers: []answer{and(later(lost, 30*time.Second), interrupt), done}, asked: []bmc.ResetType{off, on}},
	"ForceOff lost, not done":              {answers: []answer{notHeard, done}, asked: []bmc.ResetType{off, off, on}},
	"ForceOff lost, not done, interrupted": {answers: []answer{and(notHeard, interrupt)}, asked: []bmc.ResetType{off}, fails: "until the power state reads Off"},
	"ForceOff does nothing":                {answers: []answer{ignored, done}, asked: []bmc.ResetType{off, off, on}},
	"ForceOff never does anything":         {answers: []answer{ignored}, asked: []bmc.ResetType{off, off, off}, fails: "was asked 3 times to power the machine off"},

	"somebody powers it on at once":         {answers: []answer{and(done, rival)}, asked: []bmc.ResetType{off}, warns: "somebody else powered the machine on"},
	"somebody powers it on before our On":   {answers: []answer{done, and(passing, rival)}, asked: []bmc.ResetType{off, on}},
	"somebody powers it on after a stumble": {answers: []answer{and(and(lost, stumble), func(b *bench) { stumble(b); b.m.in(time.Second, func(*machine) { rival(b) }) })}, asked: []bmc.ResetType{off}, warns: "somebody else powered the machine on"},
	"somebody powers it on, and POST shows": {answers: []answer{and(done, func(b *bench) { rival(b); b.m.power.Post = "InPost" })}, change: continuous("Finished"), asked: []bmc.ResetType{off}, warns: "somebody else powered the machine on"},
	"no sign, and a continuous override":    {answers: []answer{ignored}, change: continuous(""), asked: []bmc.ResetType{off}, fails: "nothing shows whether the machine was restarted meanwhile"},
	"somebody powers it on, without a sign": {answers: []answer{and(done, rival)}, change: continuous(""), asked: []bmc.ResetType{off}, fails: "nothing shows whether the machine was restarted meanwhile"},
	"POST stays, and a continuous override": {answers: []answer{ignored, done}, change: continuous("Finished"), asked: []bmc.ResetType{off, off, on}},
	"ESXi stays, and a continuous override": {answers: []answer{ignored, done}, change: func(b *bench) { continuous("")(b); b.esxi = true }, asked: []bmc.ResetType{off, off, on}},

	"unmounted before ForceOff again": {answers: []answer{and(ignored, unmount)}, asked: []bmc.ResetType{off}, fails: "is no longer in a drive"},
	"replanned before ForceOff again": {answers: []answer{and(ignored, replan)}, asked: []bmc.ResetType{off}, fails: "is not the one that this plan would mount now"},
	"unmounted before On again":       {answers: []answer{done, and(passing, unmount)}, asked: []bmc.ResetType{off, on}, fails: "is not on again: our image http://192.0.2.9/image.iso is no longer in a drive", left: true},
	"replanned before On again":       {answers: []answer{done, and(passing, replan)}, asked: []bmc.ResetType{off, on}, fails: "is not on again: the mounted image", left: true},
	"unmounted, On does nothing":      {answers: []answer{done, and(ignored, unmount)}, asked: []bmc.ResetType{off, on}, fails: "is no longer in a drive", left: true},

	"the BMC is away after ForceOff":           {answers: []answer{and(done, away), done}, asked: []bmc.ResetType{off, on}},
	"the BMC is away, ForceOff does nothing":   {answers: []answer{and(ignored, away), done}, asked: []bmc.ResetType{off, off, on}},
	"the BMC is away, ForceOff is done late":   {answers: []answer{and(later(lost, 4*time.Minute), away), done}, asked: []bmc.ResetType{off, on}},
	"the BMC is away, and somebody is quicker": {answers: []answer{and(done, func(b *bench) { away(b); rival(b) })}, asked: []bmc.ResetType{off}, warns: "somebody else powered the machine on"},
	"the BMC is away after On":                 {answers: []answer{done, and(done, away)}, asked: []bmc.ResetType{off, on}},
	"the BMC is away, On does nothing":         {answers: []answer{done, and(ignored, away), done}, asked: []bmc.ResetType{off, on, on}},
	"the BMC is away, unmounted":               {answers: []answer{and(done, func(b *bench) { away(b); unmount(b) })}, asked: []bmc.ResetType{off}, fails: "is not on again: our image", left: true},
	"the BMC is away, unmounted after On":      {answers: []answer{done, and(ignored, func(b *bench) { away(b); unmount(b) })}, asked: []bmc.ResetType{off, on}, fails: "is not on again: our image", left: true},
	"the BMC stumbles after ForceRestart": {answers: []answer{and(done, stumble)}, asked: []bmc.ResetType{oneShot},
		change: func(b *bench) { b.m.power.Allowed = []bmc.ResetType{on, oneShot} }},

	"interrupted by a guard":                        {answers: []answer{done}, change: interrupt, fails: "context canceled"},
	"interrupted before the first record":           {answers: []answer{done}, change: func(b *bench) { b.m.heard = b.cancel }, fails: "context canceled"},
	"interrupted before the record of On, from off": {state: bmc.Off, answers: []answer{done}, change: func(b *bench) { b.m.heard = b.cancel }, fails: "context canceled"},
	"interrupted after the first record":            {answers: []answer{and(done, interrupt)}, asked: []bmc.ResetType{off, on}},
}

// oneRequest makes the BMC one that restarts by one request only.
func oneRequest(b *bench) { b.m.power.Allowed = []bmc.ResetType{on, oneShot} }

// goesThroughOff is a restart that the power state shows.
func goesThroughOff(b *bench) {
	b.m.power.State = bmc.PoweringOn
	b.m.in(20*time.Second, func(m *machine) { m.power.State = bmc.On })
}

// takeBack takes our override away.
func (b *bench) takeBack() {
	id := b.change("run1", event.Change{Verb: event.SetBoot, Target: "source", New: "none"})
	b.fold("run1", step.Record{Settled: &event.Settled{Change: id, Fate: event.Done}})
	b.m.boot = bmc.Boot{Target: bmc.BootNone, Once: true}
}

// continuous makes the override one that no boot uses up.
func continuous(post string) func(*bench) {
	return func(b *bench) { b.m.boot.Once, b.m.power.Post = false, post }
}

// TestRestartRequests: whatever comes of the requests, the machine boots once at most,
// nothing that came up is forced off, and no request is made that need not be.
func TestRestartRequests(t *testing.T) {
	for name, c := range restarts {
		t.Run(name, func(t *testing.T) {
			if c.state == "" {
				c.state = bmc.On
			}
			b := newBench(t, c.state, c.answers...)
			if c.change != nil {
				c.change(b)
			}
			err := b.restart()
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("got %v, want %q", err, c.fails)
			}
			if !slices.Equal(b.m.asked, c.asked) {
				t.Errorf("asked for %v, want %v", b.m.asked, c.asked)
			}
			if warned := strings.Join(b.warned, "; "); !strings.Contains(warned, c.warns) || c.warns == "" && warned != "" {
				t.Errorf("warned %q, want %q", warned, c.warns)
			}
			if left := b.log.Left(); left.Off != c.left {
				t.Errorf("left %+v, want off %v", left, c.left)
			}
			b.booted(t, err)
		})
	}
}

// booted demands that a restart that succeeded is on record as a reset that can install,
// and that its machine boots once.
func (b *bench) booted(t *testing.T, err error) {
	t.Helper()
	b.now = b.now.Add(15 * time.Minute)
	b.m.tick()
	last, open := b.log.Installing()
	if err == nil && (b.m.boots != 1 || !open || last.Run != "run2") || b.m.boots > 1 {
		t.Errorf("%d boots, on record: %+v", b.m.boots, last)
	}
}

// TestNothingSet: where no boot source is set, that none is set shows no restart.
func TestNothingSet(t *testing.T) {
	for name, c := range map[string]struct {
		answer answer
		post   string
		warns  string
		fails  string
	}{
		"nothing can show it":        {answer: ignored, warns: "nothing can show whether the machine was restarted"},
		"the power state does":       {answer: and(done, goesThroughOff)},
		"POST does":                  {answer: and(done, func(b *bench) { b.m.power.Post = "InPost" }), post: "Finished"},
		"POST shows that it was not": {answer: ignored, post: "Finished", fails: "nothing shows that the machine was restarted: its power state reads On, and its POST state Finished"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, bmc.On, c.answer)
			oneRequest(b)
			b.log, b.place, b.Settings.Installs = step.History{}, step.Place{}, false
			b.log.Follow("run2")
			b.m.boot, b.m.slot.Loaded, b.m.power.Post = bmc.Boot{Target: bmc.BootNone, Once: true}, false, c.post
			err := b.restart()
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) || !slices.Equal(b.m.asked, []bmc.ResetType{oneShot}) {
				t.Errorf("got %v, want %q; asked for %v", err, c.fails, b.m.asked)
			}
			if warned := strings.Join(b.warned, "; "); !strings.Contains(warned, c.warns) || c.warns == "" && warned != "" {
				t.Errorf("warned %q, want %q", warned, c.warns)
			}
		})
	}
}

// TestRestartedOnce: a run of the step that finds the restart done asks for nothing.
func TestRestartedOnce(t *testing.T) {
	b := newBench(t, bmc.On, done)
	for range 2 {
		if err := b.restart(); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(b.m.asked, []bmc.ResetType{off, on}) {
		t.Errorf("asked for %v", b.m.asked)
	}
}

// TestLateStart: an On that was given up, and done after all, leaves the machine on; the
// next attempt finds it so and asks for nothing.
func TestLateStart(t *testing.T) {
	b := newBench(t, bmc.On, done, later(forGood, 10*time.Minute))
	if err := b.restart(); err == nil {
		t.Fatal("the refusal is no error")
	}
	b.now = b.now.Add(11 * time.Minute)
	if err := b.restart(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(b.m.asked, []bmc.ResetType{off, on}) {
		t.Errorf("asked for %v", b.m.asked)
	}
	if _, open := b.log.Installing(); !open {
		t.Error("the reset is not on record")
	}
}

// TestOff: a machine is powered off once, whatever comes of the request, and the step says
// when it is not off.
func TestOff(t *testing.T) {
	for name, c := range map[string]struct {
		action  string
		state   bmc.PowerState
		answers []answer
		asked   int
		fails   string
	}{
		"off":                      {"off", bmc.On, []answer{done}, 1, ""},
		"off already":              {"off", bmc.Off, []answer{done}, 0, ""},
		"off, refused":             {"off", bmc.On, []answer{forGood}, 1, "the BMC answers 400"},
		"off, refused and done":    {"off", bmc.On, []answer{later(forGood, 0)}, 1, ""},
		"off, lost and done":       {"off", bmc.On, []answer{lost}, 1, ""},
		"off, does nothing":        {"off", bmc.On, []answer{ignored}, 7, "until the power state reads Off"},
		"graceful":                 {"graceful_off", bmc.On, []answer{done}, 1, ""},
		"graceful, off already":    {"graceful_off", bmc.Off, []answer{done}, 0, ""},
		"graceful, takes its time": {"graceful_off", bmc.On, []answer{later(done, 5*time.Minute)}, 1, ""},
		"on, boots our medium":     {"on", bmc.Off, []answer{done}, 1, ""},
		"on already":               {"on", bmc.On, []answer{done}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.state, c.answers...)
			b.Settings.Installs = c.action == "on"
			err := b.perform(c.action)
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) || len(b.m.asked) != c.asked {
				t.Errorf("got %v, asked for %v", err, b.m.asked)
			}
		})
	}
}

// TestReadBefore: a power state that a step before read is not taken for what it is now.
func TestReadBefore(t *testing.T) {
	for action, c := range map[string]struct{ was, is bmc.PowerState }{
		"graceful_off": {bmc.Off, bmc.On}, "off": {bmc.Off, bmc.On}, "on": {bmc.On, bmc.Off},
	} {
		t.Run(action, func(t *testing.T) {
			b := newBench(t, c.is, done)
			b.m.known = &bmc.Power{State: c.was}
			if err := b.perform(action); err != nil || len(b.m.asked) != 1 {
				t.Errorf("%v, asked for %v", err, b.m.asked)
			}
		})
	}
}

package wait_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/engine/media"
	"esxiplan/engine/step"
	"esxiplan/steps/wait"
)

// override is a look at a machine whose boot source override no boot uses up, while
// nothing answers on its ESXi address.
type override struct {
	after   time.Duration // since the reset; 0: 2m30s
	change  func(*bench)
	bound   string // override_for; "": 3m
	wrote   bool   // the override is taken away
	warns   string
	reason  string
	err     string
	class   step.Class
	twice   []string // what the BMC was told after a second look; nil: not looked again
	settled bool     // nothing is owed any more
}

func bootedSign(b *bench) { b.m.power.Post, b.m.power.Booted = "OSRunning", true }
func posting(b *bench)    { b.m.power.Post = "MemoryInitializationStarted" }

// forgotten is a continuous override that is not on record as such: somebody else's, or
// one of which this service did not tell before.
func forgotten(b *bench) {
	b.fresh().mounted()
	b.restart(event.Snapshot{Fingerprint: oldCertificate}, event.Done)
	b.m.boot = bmc.Boot{Target: bmc.BootCD}
}

func closed(b *bench) {
	b.a.log.Fold(step.Record{Run: "run1", Time: restarted, Verdict: &event.Verdict{Ended: true}})
}

// TestOverride: taken away by evidence that the installer was loaded, or by the bound, and
// not before: the machine would boot its disk.
func TestOverride(t *testing.T) {
	const byBound = "the continuous boot source override was taken away 3 minutes after the reset, though nothing shows that the installer was loaded"
	for name, c := range map[string]override{
		"nothing known, before the bound":           {after: 3*time.Minute - time.Second},
		"nothing known, at the bound":               {after: 3 * time.Minute, wrote: true, warns: byBound, settled: true},
		"a bound of the plan, before":               {after: 9 * time.Minute, bound: "10m"},
		"a bound of the plan, after":                {after: 10 * time.Minute, bound: "10m", wrote: true, warns: "10 minutes after the reset", settled: true},
		"loaded":                                    {change: func(b *bench) { b.read(loaded(1, 2)) }, wrote: true, settled: true, reason: "the installer was loaded: the BMC read the image up to its last module at 03:02:00. In the 30 seconds since no new ESXi came up"},
		"loaded within the calm":                    {after: time.Minute, change: func(b *bench) { b.read(loaded(.5, .9)) }, wrote: true, settled: true},
		"loaded before the reset":                   {change: func(b *bench) { b.read(loaded(-3, -1)) }},
		"loading":                                   {change: func(b *bench) { b.read(bout(1, 2, 100e6)) }},
		"the firmware has handed over":              {change: bootedSign, wrote: true, settled: true, reason: "its BMC says: power state On, OSRunning"},
		"handed over, said too early":               {after: 2 * time.Minute, change: bootedSign},
		"handed over, but the image not read":       {change: all(bootedSign, func(b *bench) { b.read() })},
		"handed over, image copied before":          {change: all(bootedSign, func(b *bench) { b.read().fetched(-1) }), wrote: true, settled: true, reason: "the BMC had fetched the whole image before the reset, so that it is not read again says nothing"},
		"handed over, as much read before":          {change: all(bootedSign, func(b *bench) { b.read(bout(-4, -1, 400e6)) }), wrote: true, settled: true, reason: "the BMC may have a copy of the image: before the reset as many bytes were read as it has, so that it is not read again says nothing"},
		"handed over, read across the reset":        {change: all(bootedSign, func(b *bench) { b.read(bout(-.1, .1, 1e6)) }), wrote: true, settled: true},
		"in POST at the bound":                      {after: 4 * time.Minute, change: posting},
		"in POST for too long":                      {after: 6 * time.Minute, change: posting, wrote: true, warns: "6 minutes after the reset", settled: true},
		"off at the bound":                          {after: 3 * time.Minute, change: func(b *bench) { b.m.power.State = bmc.Off }, wrote: true, warns: byBound, reason: "the machine is off", settled: true},
		"off before the bound":                      {change: func(b *bench) { b.m.power.State = bmc.Off }, reason: "the machine is off"},
		"the BMC does not answer, before the bound": {change: func(b *bench) { b.m.err = errSilent }, reason: "its BMC could not be read: GET /x: no route to host"},
		"not on record, at the bound":               {after: 3 * time.Minute, change: forgotten, wrote: true, warns: byBound},
		"not on record, before":                     {change: forgotten},
		"not on record, nothing under way":          {after: 3 * time.Minute, change: all(forgotten, closed)},
		"on record, nothing under way":              {after: 3 * time.Minute, change: closed, wrote: true, warns: byBound, settled: true},
		"one that a boot uses up":                   {after: 3 * time.Minute, change: func(b *bench) { forgotten(b); b.m.boot.Once = true }, settled: true},
		"left with one that boots the disk":         {after: 3 * time.Minute, change: func(b *bench) { b.m.clear = func() { b.m.boot = bmc.Boot{Target: bmc.BootDisk} } }, wrote: true, warns: byBound, settled: true},
		"gone without us":                           {after: 3 * time.Minute, change: func(b *bench) { b.m.boot = bmc.Boot{Target: bmc.BootNone, Once: true} }, settled: true, twice: []string{}},
		"the BMC is busy": {change: func(b *bench) { bootedSign(b); b.m.clearErr = errBusy }, wrote: true, class: step.Retryable, twice: []string{"boot none", "boot none"},
			err: "the continuous boot source override could not be taken away, and would start the installer again: "},
		"the answer is lost": {change: func(b *bench) { bootedSign(b); b.m.clearErr = errLost }, wrote: true, class: step.Unreachable, err: "connection reset", twice: []string{"boot none", "boot none"}},
		"refused for good": {change: func(b *bench) { b.read(loaded(1, 2)).m.clearErr = errRefused }, wrote: true, class: step.Final,
			err: "could not be taken away, and would start the installer again: "},
		"kept, and nobody sees a loop": {change: func(b *bench) { bootedSign(b); b.m.clear = func() {} }, wrote: true, class: step.Final,
			err: "could not be taken away, and would start the installer again: the boot source override still reads cd (continuous)"},
		"kept, and the BMC has a copy": {change: func(b *bench) { bootedSign(b); b.read(bout(-4, -1, 400e6)).m.clear = func() {} }, wrote: true, class: step.Final, err: "still reads cd (continuous)"},
		"kept, and a loop would be seen": {change: func(b *bench) { b.read(loaded(1, 2)).m.clear = func() {} }, wrote: true, twice: []string{"boot none"},
			warns: "could not be taken away, and would start the installer again; the medium is ejected when the machine boots it again: the boot source override still reads"},
	} {
		t.Run(name, func(t *testing.T) { c.look(t) })
	}
}

func (c override) look(t *testing.T) {
	b := newBench(t, step.Settings{}).continuous().silent()
	if c.after == 0 {
		c.after = 150 * time.Second
	}
	b.after(c.after)
	if c.change != nil {
		c.change(b)
	}
	if c.bound == "" {
		c.bound = "3m"
	}
	arguments := `{"goal":"esxi","eject":true,"override_for":"` + c.bound + `"}`
	r, err := b.look(t, arguments)
	if (err != nil) != (c.err != "") || err != nil && (!strings.Contains(err.Error(), c.err) || step.Classify(err) != c.class) {
		t.Fatalf("%+v, %v (%v)", r, err, step.Classify(err))
	}
	var wrote []string
	if c.wrote {
		wrote = []string{"boot none"}
	}
	b.wrote(t, wrote...)
	if warned := strings.Join(b.a.warned, "\n"); warned != "" || c.warns != "" {
		says(t, "warnings", warned, c.warns)
	}
	if c.reason != "" {
		says(t, "reason", r.Reason, c.reason)
	}
	if c.settled && b.History().Debt() {
		t.Error("still owed")
	}
	if c.twice != nil {
		b.a.now = b.a.now.Add(5 * time.Second)
		b.look(t, arguments)
		b.wrote(t, c.twice...)
	}
}

// TestOverrideKept says what to do with a machine that will be installed again.
func TestOverrideKept(t *testing.T) {
	b := newBench(t, step.Settings{}).continuous().silent().after(150 * time.Second)
	bootedSign(b)
	b.m.clear = func() {}
	_, err := b.esxi(t)
	var failure *step.Failure
	if !errors.As(err, &failure) {
		t.Fatal(err)
	}
	says(t, "next", failure.Next, "eject the medium (esxiplan do eject … force=true), then take the override away (esxiplan do one_time_boot … target=none)")
}

// TestOverrideWhileSomethingAnswers: what cannot wait for the proof does not wait for an
// address to be silent.
func TestOverrideWhileSomethingAnswers(t *testing.T) {
	for name, change := range map[string]func(*bench){
		"the old ESXi":    func(b *bench) { b.x.probe.Fingerprint = oldCertificate },
		"another build":   func(b *bench) { b.x.probe.Build = "99" },
		"starting":        func(b *bench) { b.x.probe.State = esxi.Starting },
		"not let in yet":  func(b *bench) { b.x.err = esxi.ErrTooSoon },
		"an old one":      installed(48 * time.Hour),
		"unknown machine": tells(func(s *esxi.System) { s.UUID, s.Serials = "", nil }),
	} {
		b := newBench(t, step.Settings{}).continuous().after(150 * time.Second).read(loaded(1, 2))
		change(b)
		if r, err := b.esxi(t); err != nil || r.Proven {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		b.wrote(t, "boot none")
	}
}

// again is a machine that booted our medium twice since the reset.
func again(b *bench) {
	second := loaded(14, 15)
	b.silent().read(loaded(3, 5), second)
}

// TestLoop: an installation that begins again is ended, said, and not waited for.
func TestLoop(t *testing.T) {
	const what = "the machine booted our medium 2 times since the reset at "
	for name, c := range map[string]struct {
		change    func(*bench)
		arguments string
		wrote     []string
		going     bool // it is no loop, or none that this step ends
		reason    string
		next      string
		err       string
		class     step.Class
	}{
		"a firmware that boots CDs first": {wrote: []string{"eject "}, reason: "it installs again and again. The medium was ejected", next: "put the disk before the CD"},
		"a continuous override":           {change: func(b *bench) { b.continuous() }, wrote: []string{"boot none", "eject "}, reason: "it installs again and again. The boot source override was taken away, and the medium ejected"},
		"one that the BMC never uses up":  {change: func(b *bench) { b.m.boot = bmc.Boot{Target: bmc.BootCD, Once: true} }, wrote: []string{"boot none", "eject "}, reason: "again and again"},
		"while the old ESXi answers":      {change: func(b *bench) { b.x.probe = esxi.Probe{State: esxi.Up, Fingerprint: oldCertificate} }, wrote: []string{"eject "}, reason: what},
		"while another does not let us in": {change: func(b *bench) {
			b.x.probe = esxi.Probe{State: esxi.Up, Fingerprint: newCertificate, Build: "100"}
			b.x.err = esxi.ErrTooSoon
		}, wrote: []string{"eject "}, reason: what},
		"eject = false":             {arguments: keeps, wrote: []string{"eject "}, reason: "The medium was ejected"},
		"the machine is off":        {change: func(b *bench) { b.m.power.State = bmc.Off }, wrote: []string{"eject "}, reason: what},
		"eject refused for good":    {change: func(b *bench) { b.m.ejectErr = errRefused }, wrote: []string{"eject "}, reason: "again and again, and the medium could not be ejected: ", next: "Power it off"},
		"eject refused for now":     {change: func(b *bench) { b.m.ejectErr = errBusy }, wrote: []string{"eject "}, err: "again and again, and that could not be ended yet: ", class: step.Retryable},
		"the BMC does not answer":   {change: func(b *bench) { b.m.err = errSilent }, err: "could not be ended yet: ", class: step.Unreachable},
		"the override stays":        {change: func(b *bench) { b.continuous().m.clear = func() {} }, wrote: []string{"boot none", "eject "}, reason: "The medium was ejected, but the boot source override stays: the boot source override still reads cd (continuous)", next: "Take the override away"},
		"the reset was given up":    {change: func(b *bench) { closed(b) }, wrote: []string{"eject "}, reason: what},
		"given up, eject = false":   {change: func(b *bench) { closed(b) }, arguments: keeps, going: true},
		"given up, and ejected":     {change: func(b *bench) { b.fresh(); b.restart(event.Snapshot{}, event.Done); closed(b) }, going: true},
		"once":                      {change: func(b *bench) { b.read(loaded(3, 5)) }, going: true},
		"once before the reset":     {change: func(b *bench) { b.read(loaded(-3, -1), loaded(3, 5)) }, going: true},
		"nobody knows what is read": {change: func(b *bench) { b.s.known = false }, going: true},
		"no reset on record":        {change: func(b *bench) { b.fresh() }, going: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, step.Settings{})
			again(b)
			if c.change != nil {
				c.change(b)
			}
			if c.arguments == "" {
				c.arguments = ejects
			}
			r, err := b.look(t, c.arguments)
			if (err != nil) != (c.err != "") || err != nil && (!strings.Contains(err.Error(), c.err) || step.Classify(err) != c.class) {
				t.Fatalf("%+v, %v", r, err)
			}
			b.wrote(t, c.wrote...)
			if err != nil {
				return
			}
			if r.Ended == c.going || r.Proven {
				t.Fatalf("%+v", r)
			}
			if !c.going {
				says(t, "reason", r.Reason, c.reason)
				says(t, "reason", r.Reason, what)
			}
			if c.next != "" {
				says(t, "next", r.Next, c.next)
			}
		})
	}
}

// TestLoopEndedByTheProof: what is proven is proven, however often it was installed.
func TestLoopEndedByTheProof(t *testing.T) {
	b := newBench(t, step.Settings{}).read(loaded(1, 2), loaded(6, 7))
	if r, err := b.esxi(t); err != nil || !r.Proven || r.Ended {
		t.Errorf("%+v, %v", r, err)
	}
}

// lost is a machine that our reset left off: the request to start it was recorded, and
// nothing was heard of it.
func lost(t *testing.T) *bench {
	b := newBench(t, step.Settings{Consent: step.Consent{Stop: true, Wipe: true}, Installs: true}).silent()
	b.fresh().mounted()
	b.did(restarted.Add(-time.Minute), event.Change{Verb: event.SetBoot, Target: "source", New: "cd"}, event.Done)
	b.restart(event.Snapshot{State: string(esxi.Up), Fingerprint: oldCertificate, Installed: restarted.Add(-time.Hour)}, "")
	b.m.power.State = bmc.Off
	b.m.boot = bmc.Boot{Target: bmc.BootCD, Once: true}
	return b
}

// TestStartedOnce: a machine that our reset left off is started, recorded, as part of that
// reset: what answered before it stays known.
func TestStartedOnce(t *testing.T) {
	b := lost(t)
	b.Settings.Consent = step.Consent{} // who asked for that reset agreed to it
	r, err := b.esxi(t)
	if err != nil || r.Proven || b.m.power.State != bmc.On {
		t.Fatal(r, err)
	}
	b.wrote(t, "reset On")
	says(t, "reason", r.Reason, "the machine was off, and its boot source override is still set: our request to start it was lost; it is started now")
	if len(b.a.warned) != 1 || b.a.warned[0] != r.Reason {
		t.Errorf("warned %q", b.a.warned)
	}
	made := b.a.records[0]
	last, open := b.History().Installing()
	switch {
	case !made.Installs || !made.Boots || made.Risk != event.Wipes || made.Medium != "d1":
		t.Errorf("recorded as %+v", made)
	case !open || last.Before.Fingerprint != oldCertificate || !last.Before.Installed.Equal(restarted.Add(-time.Hour)):
		t.Errorf("what answered before is lost: %+v", last)
	case !last.Time.Equal(b.a.now), b.a.slept != 30*time.Second:
		t.Errorf("started at %s, after %s", last.Time, b.a.slept)
	}
	b.m.power.State = bmc.Off // and off again, with the override still set
	b.a.now = b.a.now.Add(5 * time.Minute)
	r, err = b.esxi(t)
	b.wrote(t, "reset On")
	if err != nil {
		t.Fatal(err)
	}
	says(t, "reason", r.Reason, "the machine is off; its BMC says: power state Off, slot CD1 holds "+ours+", set to boot cd")
	says(t, "next", r.Next, "power it on")
}

// TestStartedAgain: another process, which has no memory of this one, does not do it again.
func TestStartedAgain(t *testing.T) {
	b := lost(t)
	if _, err := b.esxi(t); err != nil {
		t.Fatal(err)
	}
	b.a.run, b.m.power.State = "run3", bmc.Off
	b.a.log.Follow("run3")
	b.Begin(b.a)
	b.a.now = b.a.now.Add(5 * time.Minute)
	if r, err := b.esxi(t); err != nil || !strings.Contains(r.Reason, "the machine is off") {
		t.Error(r, err)
	}
	b.wrote(t, "reset On")
}

// TestNotStarted: a machine that is off for another reason stays off, or another process
// or a guard has its say.
func TestNotStarted(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*bench)
		reason string // "": the machine is off
		guard  string // refuses
		on     bool   // it came up by itself
		dry    bool
	}{
		"it booted: the override is used up":   {change: func(b *bench) { b.m.boot = bmc.Boot{Target: bmc.BootNone, Once: true} }},
		"it boots its disk":                    {change: func(b *bench) { b.m.boot = bmc.Boot{Target: bmc.BootDisk} }},
		"it booted: the image was read":        {change: func(b *bench) { b.read(bout(3, 4, 1e6)) }},
		"a continuous override":                {change: func(b *bench) { b.continuous().m.power.State = bmc.Off }},
		"a continuous override, not on record": {change: func(b *bench) { forgotten(b); b.m.power.State = bmc.Off }},
		"a continuous override, shown as one for once": {change: func(b *bench) {
			b.continuous().m.power.State = bmc.Off
			b.m.boot.Once = true
		}},
		"nothing is under way": {change: closed},
		"the BMC said that it was started, and this run saw it": {change: func(b *bench) {
			b.a.run = "run1"
			b.a.log = step.History{}
			b.a.log.Follow("run1")
			b.mounted()
			b.restart(event.Snapshot{}, event.Done)
		}},
		"off for a moment, within a restart of its own": {change: func(b *bench) { b.a.onSleep = func() { b.m.power.State = bmc.On } }, on: true},
		"the BMC falls silent":                          {change: func(b *bench) { b.a.onSleep = func() { b.m.err = errSilent } }, on: true},
		"started meanwhile, and off again":              {change: func(b *bench) { b.a.onSleep = func() { b.m.boot = bmc.Boot{Target: bmc.BootNone, Once: true} } }},
		"the override cannot be read":                   {change: func(b *bench) { b.m.bootErr = errBusy }, on: true},
		"a moment after the reset":                      {change: func(b *bench) { b.after(time.Minute) }, on: true},
		"our image is no longer in the drive":           {change: func(b *bench) { b.m.slots[0].Loaded, b.m.slots[0].Image = false, "" }, guard: "medium"},
		"its file is gone":                              {change: func(b *bench) { b.s.checkErr = &media.ErrGone{URL: ours, Reason: "its file is gone"} }, guard: "medium"},
		"something answers on its address":              {change: func(b *bench) { b.x.probe = esxi.Probe{State: esxi.Starting, Product: "a web server"} }, guard: "address"},
		"nobody was asked about this medium": {change: func(b *bench) {
			b.Settings.Consent = step.Consent{}
			b.did(restarted.Add(-5*time.Minute), event.Change{Verb: event.Insert, Target: "slot CD1", New: ours, Intent: event.Intent{Medium: "d2"}}, event.Done)
			b.s.latest.Digest = "d2"
		}, guard: "consent"},
		"protected": {change: func(b *bench) { b.Declared.Protected = true }, guard: "protected"},
	} {
		t.Run(name, func(t *testing.T) {
			b := lost(t)
			c.change(b)
			r, err := b.look(t, `{"goal":"esxi","eject":true,"override_for":"1h"}`)
			b.wrote(t)
			if c.guard != "" {
				var refusal *step.Refusal
				if !errors.As(err, &refusal) || refusal.Guard != c.guard {
					t.Errorf("%+v, %v, want a refusal of %q", r, err, c.guard)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if off := strings.HasPrefix(r.Reason, "the machine is off"); off == c.on {
				t.Errorf("reason %q", r.Reason)
			}
		})
	}
}

// TestStartRefusedOrLost: a request that the BMC refuses is made again at the next look; one
// whose answer is lost is not.
func TestStartRefusedOrLost(t *testing.T) {
	b := lost(t)
	b.m.resetErr = errBusy
	if _, err := b.esxi(t); step.Classify(err) != step.Retryable {
		t.Fatal(err)
	}
	b.m.resetErr = nil
	if _, err := b.esxi(t); err != nil {
		t.Fatal(err)
	}
	b.wrote(t, "reset On", "reset On")
	b = lost(t)
	b.m.resetErr = errLost
	if _, err := b.esxi(t); step.Classify(err) != step.Unreachable {
		t.Fatal(err)
	}
	b.m.resetErr = nil
	b.a.now = b.a.now.Add(5 * time.Minute)
	if r, err := b.esxi(t); err != nil || !strings.Contains(r.Reason, "the machine is off") {
		t.Error(r, err)
	}
	b.wrote(t, "reset On")
}

// TestStartNotRecorded: no record, no request.
func TestStartNotRecorded(t *testing.T) {
	b := lost(t)
	b.a.refuse = errors.New("the write could not be recorded, so it was not made")
	if _, err := b.esxi(t); err == nil {
		t.Error("no error")
	}
	b.wrote(t)
}

// TestStartInterrupted: an interrupt within the pause before the start.
func TestStartInterrupted(t *testing.T) {
	b := lost(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.a.onSleep = cancel
	if _, err := wait.Type.Run(ctx, b.Host, []byte(ejects)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	b.wrote(t)
}

// TestStartInADryRun plans the start, and waits for nothing.
func TestStartInADryRun(t *testing.T) {
	b := lost(t)
	b.Settings.DryRun = true
	if _, err := b.esxi(t); err != nil || b.a.slept > 0 {
		t.Error(err, b.a.slept)
	}
	b.wrote(t, "reset On")
}

// TestTold: a reason says what was seen of image and BMC, and claims no more.
func TestTold(t *testing.T) {
	const never = "the image was never read in the 20 minutes since the reset"
	for name, c := range map[string]struct {
		change func(*bench)
		says   string
		hides  string
		next   string
	}{
		"read":                         {func(b *bench) { b.read(bout(3, 4, 61e6)) }, "the BMC read 61.0 MB of the image's 400.0 MB since the reset and stopped at ", "never", "console"},
		"read by somebody":             {func(b *bench) { o := bout(3, 4, 61e6); o.By = "192.0.2.7"; b.read(o) }, "192.0.2.7 read 61.0 MB of the image", "the BMC read", "console"},
		"never read":                   {func(b *bench) { b.read() }, never, "", "The machine booted something else"},
		"read before only":             {func(b *bench) { b.read(bout(-4, -3, 61e6)) }, never, "61.0", "booted something else"},
		"fetched before, all of it":    {func(b *bench) { b.read(bout(-4, -3, 400e6)).fetched(-3) }, "the BMC had fetched the whole image before the reset", "never", "console"},
		"read before, as many bytes":   {func(b *bench) { b.read(bout(-4, -3, 400e6)) }, "the BMC may have a copy of the image", "never", "console"},
		"read before, and claims less": {func(b *bench) { b.read(bout(-4, -3, 400e6)) }, "the BMC may have a copy of the image", "had fetched", "console"},
		"read before, by two together": {func(b *bench) { o := bout(-3, -2, 200e6); o.By = "192.0.2.7"; b.read(bout(-4, -3, 200e6), o) }, never, "whole", "booted something else"},
		"read across the reset":        {func(b *bench) { b.read(bout(-.2, .2, 61e6)) }, "its BMC says", "image", "console"},
		"not read, too early to tell":  {func(b *bench) { b.read().after(9 * time.Minute) }, "its BMC says", "never", "console"},
		"not served by us":             {func(b *bench) {}, "; its BMC says: power state On, slot CD1 holds " + ours, "never", "console"},
		"the firmware's progress":      {func(b *bench) { b.m.power.Post = "PCIResourceConfigStarted" }, "its BMC says: power state On, PCIResourceConfigStarted, slot", "", "console"},
		"no look at the BMC so early":  {func(b *bench) { b.after(time.Minute) }, "no ESXi answers", "BMC", "console"},
		"the BMC does not answer":      {func(b *bench) { b.m.err = errSilent }, "; its BMC could not be read: GET /x: no route to host", "says", "console"},
		"no reset on record":           {func(b *bench) { b.fresh().read() }, "its BMC says: power state On", "never", "console"},
		"somebody's image":             {func(b *bench) { elsewhere(b); b.read() }, "its BMC says: power state On, slot CD1 holds " + theirs, "never", "console"},
		"no media block":               {func(b *bench) { b.Media = nil }, "its BMC says: power state On", "image was", "console"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, step.Settings{}).silent()
			c.change(b)
			r, err := b.esxi(t)
			if err != nil {
				t.Fatal(err)
			}
			says(t, "reason", r.Reason, c.says)
			says(t, "next", r.Next, c.next)
			if c.hides != "" && strings.Contains(r.Reason, c.hides) {
				t.Errorf("reason %q claims something of %q", r.Reason, c.hides)
			}
			b.wrote(t)
		})
	}
}

// TestLooksSeldom: a BMC is slow, and what waits looks often.
func TestLooksSeldom(t *testing.T) {
	b := newBench(t, step.Settings{}).silent()
	for range 24 { // two minutes
		if _, err := b.esxi(t); err != nil {
			t.Fatal(err)
		}
		b.a.now = b.a.now.Add(5 * time.Second)
	}
	if b.m.looks != 2 {
		t.Errorf("looked %d times", b.m.looks)
	}
}

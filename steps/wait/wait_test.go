package wait_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/bmc/vendors"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/engine/step"
	"esxiplan/steps/steptest"
	"esxiplan/steps/wait"
)

func TestWaitForOff(t *testing.T) {
	steptest.Run(t, wait.Type, vendors.All(), steptest.Case{Arguments: `{"goal":"off"}`})
}

func goal(name string) string { return `{"goal":"` + name + `","eject":true,"override_for":"3m"}` }

func TestPower(t *testing.T) {
	for _, c := range []struct {
		goal    string
		state   bmc.PowerState
		reached bool
		reason  string
	}{
		{"on", bmc.On, true, ""}, {"off", bmc.Off, true, ""}, {"on", bmc.Off, false, "the power state is Off, not On"}, {"off", bmc.On, false, "the power state is On, not Off"},
		{"on", bmc.PoweringOn, false, "the power state is PoweringOn, not On"}, {"off", bmc.PowerUnknown, false, "the power state is Unknown, not Off"},
	} {
		b := newBench(t, step.Settings{}).fresh()
		b.m.power.State = c.state
		r, err := b.look(t, goal(c.goal))
		if err != nil || r.Reached != c.reached || r.Reason != c.reason || r.Power != string(c.state) || r.Proven || r.Ended {
			t.Errorf("%s of %s: %+v, %v", c.goal, c.state, r, err)
		}
		b.wrote(t)
	}
	b := newBench(t, step.Settings{})
	b.m.err = errSilent
	if _, err := b.look(t, goal("on")); step.Classify(err) != step.Unreachable {
		t.Error(err)
	}
}

// TestMediaRead: only what was read after our reset counts, for mounting reads, too.
func TestMediaRead(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*bench)
		reached bool
		refused string
		err     string
	}{
		"read since the reset":   {change: func(b *bench) { b.read(bout(-3, -2, 1e6), bout(3, 4, 61e6)) }, reached: true},
		"read before it only":    {change: func(b *bench) { b.read(bout(-3, -2, 400e6)) }},
		"read across it":         {change: func(b *bench) { b.read(bout(-.1, .1, 1e6)) }},
		"never read":             {change: func(b *bench) { b.read() }},
		"no reset on record":     {change: func(b *bench) { b.fresh().read(bout(3, 4, 61e6)) }, refused: "no reset of this machine by us is on record"},
		"built after the reset":  {change: func(b *bench) { b.read(bout(3, 4, 61e6)).s.latest.Built = restarted.Add(time.Minute) }, refused: "the image was built at "},
		"not served by us":       {change: func(b *bench) {}, err: `only an image that this run or esxiplan serve serves can be seen to be read`},
		"somebody's image":       {change: func(b *bench) { elsewhere(b); b.read(bout(3, 4, 61e6)) }, err: `only an image that this run`},
		"no media block in plan": {change: func(b *bench) { b.Media = nil }, err: "no media block"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, step.Settings{})
			c.change(b)
			r, err := b.look(t, goal("media_read"))
			switch {
			case c.refused != "":
				refused(t, err, c.refused, "estart")
				return
			case c.err != "":
				if err == nil || !strings.Contains(err.Error(), c.err) || step.Classify(err) != step.Final {
					t.Error(err)
				}
				return
			case err != nil || r.Reached != c.reached || r.Proven:
				t.Fatalf("%+v, %v", r, err)
			case !c.reached:
				says(t, "reason", r.Reason, "the image was not read since the reset")
				return
			}
			says(t, "evidence", strings.Join(r.Evidence, "\n"), "the BMC read 61.0 MB of the image after the reset, last at ")
			b.wrote(t)
		})
	}
}

// TestInstaller: that the installer was loaded. Only one that installs nothing has ended
// with that.
func TestInstaller(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*bench)
		reached string // by which evidence
		reason  string
		ended   bool
		refused string
		wrote   []string
	}{
		"read up to the last module":             {change: func(b *bench) { b.read(loaded(1, 2)) }, reached: "the BMC read the image up to its last module at "},
		"handed over":                            {change: bootedSign, reached: "the BMC reports that the firmware has handed over (OSRunning)"},
		"handed over to something else":          {change: all(bootedSign, func(b *bench) { b.read() }), reason: "nothing shows that the installer was loaded; the image was never read in the 20 minutes since the reset"},
		"only checks":                            {change: func(b *bench) { b.s.latest.DryRun = true; b.read(loaded(1, 2)) }, reached: "last module", ended: true},
		"only checks, not yet":                   {change: func(b *bench) { b.s.latest.DryRun = true; b.read(bout(1, 2, 1e6)) }, reason: "nothing shows that the installer was loaded"},
		"somebody's, next to one that checks":    {change: func(b *bench) { elsewhere(b); b.s.latest.DryRun = true; bootedSign(b) }, reached: "handed over"},
		"with a continuous override":             {change: func(b *bench) { b.continuous().read(loaded(1, 2)) }, reached: "last module", wrote: []string{"boot none"}},
		"not yet":                                {change: func(b *bench) { b.read(bout(1, 2, 1e6)) }, reason: "nothing shows that the installer was loaded; the BMC read 1.0 MB of the image since the reset"},
		"not yet, and the bound of the override": {change: func(b *bench) { b.continuous() }, reason: "nothing shows that the installer was loaded", wrote: []string{"boot none"}},
		"nobody knows":                           {change: func(b *bench) {}, reason: "nothing shows that the installer was loaded; its BMC says: power state On"},
		"no reset on record":                     {change: func(b *bench) { b.fresh() }, refused: "no reset of this machine by us is on record"},
		"built after the reset":                  {change: func(b *bench) { b.s.latest.Built = restarted.Add(time.Minute) }, refused: "the image was built at "},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, step.Settings{})
			c.change(b)
			r, err := b.look(t, goal("installer"))
			if c.refused != "" {
				refused(t, err, c.refused, "estart")
				return
			}
			if err != nil || r.Reached != (c.reached != "") || r.Ended != c.ended || r.Proven || b.x.logins > 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			if c.reached != "" {
				says(t, "evidence", strings.Join(r.Evidence, "\n"), c.reached)
			} else {
				says(t, "reason", r.Reason, c.reason)
			}
			b.wrote(t, c.wrote...)
		})
	}
}

// TestInstallerThenProof: while the installer that was loaded is at work, the medium stays
// and no other run restarts the machine; the wait for the proof still proves it.
func TestInstallerThenProof(t *testing.T) {
	b := newBench(t, step.Settings{Consent: step.Consent{Stop: true, Wipe: true}})
	up := b.x.probe
	b.read(loaded(1, 2)).silent()
	b.conclude(t, goal("installer"))
	var r *step.Refusal
	if err := b.BMC.Eject(t.Context(), b.m.slots[0], event.Intent{}); !errors.As(err, &r) || r.Guard != "medium" {
		t.Errorf("ejected: %v", err)
	}
	if _, err := b.BMC.Admit(t.Context()); !errors.As(err, &r) || r.Guard != "last reset" {
		t.Errorf("restarted: %v", err)
	}
	b.x.probe = up
	b.conclude(t, goal("esxi"))
	if _, open := b.a.log.Installing(); open {
		t.Error("proven, and still open")
	}
	b.wrote(t, "eject ")
}

// conclude is one look that reaches its goal, and its verdict in the records.
func (b *bench) conclude(t *testing.T, arguments string) {
	t.Helper()
	r, err := b.look(t, arguments)
	if err != nil || !r.Reached {
		t.Fatalf("%+v, %v", r, err)
	}
	raw, _ := json.Marshal(r)
	b.a.log.Fold(step.Record{Run: b.a.run, Step: b.a.name, Time: b.a.now, Verdict: wait.Type.Verdict(raw)})
}

// TestLook looks, and is content: it needs no reset, and logs in nowhere.
func TestLook(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*bench)
		want   wait.Result
	}{
		"an ESXi":        {func(b *bench) {}, wait.Result{Power: "On", Version: "8.0.3", Build: "100", Fingerprint: newCertificate}},
		"nothing":        {func(b *bench) { b.silent().m.power.State = bmc.Off }, wait.Result{Power: "Off"}},
		"something else": {func(b *bench) { b.x.probe.State = esxi.Other }, wait.Result{Power: "On"}},
		"no esxi block":  {func(b *bench) { b.ESXi = nil }, wait.Result{Power: "On"}},
	} {
		b := newBench(t, step.Settings{}).fresh()
		c.change(b)
		r, err := b.look(t, goal("look"))
		if err != nil || !r.Reached || r.Proven || r.Ended || r.Power != c.want.Power || r.Version != c.want.Version || r.Build != c.want.Build || r.Fingerprint != c.want.Fingerprint || b.x.logins > 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		b.wrote(t)
	}
	b := newBench(t, step.Settings{})
	b.m.err = errBusy
	if _, err := b.look(t, goal("look")); step.Classify(err) != step.Retryable {
		t.Error(err)
	}
	b = newBench(t, step.Settings{})
	b.x.probeErr = errors.New("interrupted")
	if _, err := b.look(t, goal("look")); err == nil {
		t.Error("no error")
	}
}

// TestEffects: only a wait for the end of an installation lets a machine start with an
// override that has to be taken away in time.
func TestEffects(t *testing.T) {
	for name, waits := range map[string]bool{"esxi": true, "installer": true, "on": false, "off": false, "media_read": false, "look": false} {
		if e := wait.Type.Effects([]byte(goal(name))); e.Waits != waits || e.Writes || e.Starts || e.Stops {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if !wait.Type.Most.Waits || !wait.Type.Effects(nil).Waits {
		t.Error("unknown arguments are not taken for a wait")
	}
}

// TestVerdict: a medium that only checks ends the installation without a proof when it is
// loaded, and so does a loop; an installer that is loaded does not; other goals say nothing
// of it.
func TestVerdict(t *testing.T) {
	for result, want := range map[string]event.Verdict{
		`{"goal":"esxi","reached":true,"proven":true,"version":"8","build":"1","evidence":["e"]}`: {Proven: true, Seeks: true, Version: "8", Build: "1", Evidence: []string{"e"}},
		`{"goal":"esxi","reason":"r","next":"n"}`:                                                 {Seeks: true, Reason: "r", Next: "n"},
		`{"goal":"esxi","ended":true,"reason":"r","next":"n"}`:                                    {Seeks: true, Ended: true, Reason: "r", Next: "n"},
		`{"goal":"installer","reached":true}`:                                                     {Seeks: true},
		`{"goal":"installer","reached":true,"ended":true}`:                                        {Seeks: true, Ended: true},
		`{"goal":"installer","reason":"r"}`:                                                       {Seeks: true, Reason: "r"},
		`{"goal":"off","reached":true}`:                                                           {},
		`{"goal":"look","reached":true}`:                                                          {},
		`{"goal":"media_read","reached":true}`:                                                    {},
	} {
		v := wait.Type.Verdict([]byte(result))
		if v == nil || v.Proven != want.Proven || v.Ended != want.Ended || v.Seeks != want.Seeks || v.Reason != want.Reason || v.Next != want.Next || v.Version != want.Version || v.Build != want.Build || len(v.Evidence) != len(want.Evidence) {
			t.Errorf("%s: %+v, want %+v", result, v, want)
		}
	}
	if v := wait.Type.Verdict(nil); v != nil {
		t.Errorf("no result: %+v", v)
	}
}

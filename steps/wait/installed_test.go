package wait_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/engine/step"
	"esxiplan/steps/wait"
)

// proof is a look at a machine of which the bench says that it is newly installed, but for
// what the case changes.
type proof struct {
	name   string
	change func(*bench)

	proven  bool
	refused bool   // at once, in place of a result
	reason  string // part of it
	next    string // part of it; "": the general one
	logins  int
	shows   []string // parts of the evidence
	hides   []string // what no evidence may claim
}

// only is what was known of the ESXi address before the reset.
func only(before event.Snapshot) func(*bench) {
	return func(b *bench) {
		b.fresh().mounted()
		b.restart(before, event.Done)
	}
}

// unknown is a machine that was off before the reset: no certificate is known.
var unknown = only(event.Snapshot{State: string(esxi.Silent)})

// unrecorded: none of our resets is on record.
func unrecorded(b *bench) { b.fresh() }

// elsewhere: what was mounted lies on somebody's web server.
func elsewhere(b *bench) {
	b.fresh()
	b.did(restarted.Add(-time.Minute), event.Change{Verb: event.Insert, Target: "slot CD1", New: theirs}, event.Done)
	b.restart(event.Snapshot{State: string(esxi.Up), Fingerprint: oldCertificate}, event.Done)
	b.m.slots[0].Image = theirs
}

func all(changes ...func(*bench)) func(*bench) {
	return func(b *bench) {
		for _, change := range changes {
			change(b)
		}
	}
}

func tells(change func(*esxi.System)) func(*bench) { return func(b *bench) { change(&b.x.system) } }

// ago sets a time of the system's to some time before its own clock.
func installed(ago time.Duration) func(*bench) {
	return tells(func(s *esxi.System) { s.Installed = s.Now.Add(-ago) })
}
func booted(ago time.Duration) func(*bench) {
	return tells(func(s *esxi.System) { s.Booted = s.Now.Add(-ago) })
}

var (
	noInstallDate = tells(func(s *esxi.System) { s.Installed = time.Time{} })
	noBootDate    = tells(func(s *esxi.System) { s.Booted = time.Time{} })
	noClock       = tells(func(s *esxi.System) { s.Now = time.Time{} })
)

var proofs = []proof{
	{name: "everything in order", proven: true, logins: 1, shows: []string{
		"certificate ffffffffffff… is new; before the reset it was 0a0a0a0a0a0a…", "installed 2026-01-02 03:09:00 by its own clock, after our reset",
		"UUID " + uuid + " is the one that the BMC reports", "root has the password of the kickstart", "build 100 is the image's"}, hides: []string{"booted", "serial"}},

	// The first sign: a new certificate.
	{name: "certificate: the old one", change: func(b *bench) { b.x.probe.Fingerprint = oldCertificate },
		reason: "the old ESXi still answers on 192.0.2.11: it shows the same certificate as before the reset"},
	{name: "certificate: none known from before", change: unknown, proven: true, logins: 1, shows: []string{"installed 2026-01-02 03:09:00"}, hides: []string{"certificate"}},
	{name: "certificate: none shown", change: func(b *bench) { b.x.probe.Fingerprint = "" }, reason: "the ESXi on 192.0.2.11 shows no certificate, so it cannot be distinguished from the old one"},
	{name: "certificate: none shown, none known", change: all(unknown, func(b *bench) { b.x.probe.Fingerprint = "" }), reason: "shows no certificate"},
	{name: "certificate: a short one", change: func(b *bench) { b.x.probe.Fingerprint = "ab" }, proven: true, logins: 1, shows: []string{"certificate ab… is new"}},

	// What is no ESXi that is up shows no sign at all.
	{name: "nothing answers", change: func(b *bench) { b.silent() }, reason: "no ESXi answers on 192.0.2.11 (connection refused)"},
	{name: "starting", change: func(b *bench) { b.x.probe.State, b.x.probe.Reason = esxi.Starting, "the API not yet" }, reason: "the ESXi on 192.0.2.11 is starting: the API not yet"},
	{name: "something else", change: func(b *bench) { b.x.probe.State, b.x.probe.Reason = esxi.Other, "a vCenter answers there" }, reason: "something else answers on 192.0.2.11: a vCenter answers there"},

	// The second sign: installed after our reset, by its own clock.
	{name: "install date: long before", change: all(unknown, installed(300*24*time.Hour)), logins: 1,
		reason: "the ESXi there was installed 300 days before our reset (20 minutes ago): it is the old one"},
	{name: "install date: long before, with a new certificate", change: installed(2 * time.Hour), logins: 1, reason: "installed 100 minutes before our reset (20 minutes ago)"},
	{name: "install date: just before the reset", change: all(unknown, installed(20*time.Minute+30*time.Second)), logins: 1,
		reason: "installed 30 seconds before our reset (20 minutes ago)"},
	{name: "install date: read at another second than the reset was noted", change: installed(20*time.Minute + 2*time.Second), proven: true, logins: 1},
	{name: "install date: that of the old one", change: all(only(event.Snapshot{State: string(esxi.Up), Fingerprint: oldCertificate, Installed: restarted.Add(9 * time.Minute)})), logins: 1,
		reason: "installed at the same moment as the one before the reset: it is the old one"},
	{name: "install date: not told", change: noInstallDate, proven: true, logins: 1, shows: []string{"certificate", "booted 2026-01-02 03:12:00 by its own clock, after our reset"}, hides: []string{"installed"}},
	{name: "install date: not told, and no certificate known", change: all(unknown, noInstallDate), logins: 1,
		reason: "this ESXi does not tell when it was installed, and no certificate is known from before the reset"},
	{name: "install date: not told, no reset on record", change: all(unrecorded, noInstallDate), logins: 1, reason: "does not tell when it was installed"},
	{name: "neither install nor boot date told", change: all(noInstallDate, noBootDate), logins: 1, reason: "tells neither when it was installed nor when it was booted: a new certificate alone proves no installation"},
	{name: "boot date: before the reset", change: booted(40 * time.Minute), logins: 1, reason: "the ESXi there was booted 20 minutes before our reset (20 minutes ago)"},
	{name: "boot date: not told", change: noBootDate, proven: true, logins: 1},
	{name: "boot date: not told, and no certificate known", change: all(unknown, noBootDate), logins: 1, reason: "does not tell when it was booted, and no certificate is known"},
	{name: "clock: not told", change: noClock, logins: 1, reason: "this ESXi does not tell its time, so its dates cannot be compared with our reset"},
	{name: "clock: before the installation", change: installed(-3 * time.Hour), logins: 1, reason: "the clock of the ESXi there (2026-01-02 03:20) lies before its own installation (2026-01-02 06:20)", next: "Set its clock"},
	{name: "clock: before the boot", change: booted(-3 * time.Hour), logins: 1, reason: "lies before its own boot (2026-01-02 06:20)", next: "Set its clock"},
	{name: "clock: wrong by years, but consistent", change: tells(func(s *esxi.System) {
		s.Now, s.Installed, s.Booted = s.Now.AddDate(-20, 0, 0), s.Installed.AddDate(-20, 0, 0), s.Booted.AddDate(-20, 0, 0)
	}), proven: true, logins: 1},

	{name: "clock: ours was set back", change: func(b *bench) { b.a.now = restarted.AddDate(-10, 0, 0) },
		reason: "our reset is on record at 2026-01-02 03:00, and the clock of the machine that esxiplan runs on shows 2016-01-02 03:00: it was set back", next: "Set the clock of the machine that esxiplan runs on"},

	// The third sign: this very machine.
	{name: "machine: the serial number, where the ESXi has no UUID", change: tells(func(s *esxi.System) { s.UUID = "" }), proven: true, logins: 1,
		shows: []string{"serial number SN1001 is the one that the BMC reports"}, hides: []string{"UUID"}},
	{name: "machine: the serial number of the board", change: func(b *bench) {
		b.m.identity.UUID, b.m.identity.Serial, b.m.identity.Board = "", "CHASSIS", "SN1002"
		b.Declared.Serial = "" // that of the board is not the one that the plan names
		b.x.system.Serials = []string{"SN1002"}
	}, proven: true, logins: 1, shows: []string{"serial number SN1002 is the one that the BMC reports"}},
	{name: "machine: another UUID", change: tells(func(s *esxi.System) { s.UUID = "11111111-0058-5110-8034-b7c04f543933" }), refused: true, logins: 1,
		reason: "the ESXi on 192.0.2.11 runs on another machine (UUID 11111111-0058-5110-8034-b7c04f543933, serial SN1001), not on this one (UUID " + uuid + ", serial SN1001)", next: "Two machines have this address"},
	{name: "machine: another serial number", change: tells(func(s *esxi.System) { s.UUID, s.Serials = "", []string{"SN2002"} }), refused: true, logins: 1,
		reason: "runs on another machine (UUID unknown, serial SN2002)", next: "esxi.nic names the wrong port"},
	{name: "machine: the ESXi tells neither", change: tells(func(s *esxi.System) { s.UUID, s.Serials = "", nil }), logins: 1,
		reason: "cannot determine whether the ESXi on 192.0.2.11 runs on this machine: it reports UUID unknown, serial unknown, and the BMC UUID " + uuid + ", serial SN1001", next: "Compare them by hand"},
	{name: "machine: the BMC tells neither", change: func(b *bench) { b.m.identity.UUID, b.m.identity.Serial = "", "" }, logins: 1, reason: "cannot determine whether the ESXi on 192.0.2.11 runs on this machine", next: "Compare them by hand"},

	// The fourth sign: root has the password of the kickstart.
	{name: "password: wrong", change: func(b *bench) {
		b.x.err = &esxi.ErrLogin{Address: "192.0.2.11", Username: "root", Reason: "wrong password, or root is locked"}
	}, logins: 1, reason: `the new ESXi does not accept the login yet: ESXi 192.0.2.11, user "root": wrong password, or root is locked`},
	{name: "password: wrong for good", change: func(b *bench) {
		b.x.err = &esxi.ErrLogin{Address: "192.0.2.11", Username: "root", Reason: "3 logins with the new password did not prove the installation", Final: true}
	}, logins: 1, refused: true, reason: `unproven: ESXi 192.0.2.11, user "root": 3 logins with the new password did not prove the installation`, next: "install the machine again"},
	{name: "password: too soon after the last login", change: func(b *bench) { b.x.err = esxi.ErrTooSoon }, logins: 1, reason: "does not accept the login yet: the next login is tried half a minute after the last"},
	{name: "password: none in the plan", change: func(b *bench) { b.x.err = esxi.ErrNoLogin }, logins: 1, refused: true, reason: "unproven: the plan gives no login for this ESXi", next: "esxi.root_password"},
	{name: "password: the API is not ready", change: func(b *bench) { b.x.err = errors.New("ESXi 192.0.2.11: 503 Service Unavailable") }, logins: 1, reason: "does not accept the login yet: ESXi 192.0.2.11: 503 Service Unavailable"},

	// The fifth sign: the build is the image's.
	{name: "build: another", change: func(b *bench) { b.x.probe.Build = "99" }, reason: "the ESXi on 192.0.2.11 has build 99, the image has 100: the machine did not boot the image"},
	{name: "build: another after the login", change: tells(func(s *esxi.System) { s.Build = "99" }), logins: 1, reason: "the ESXi on 192.0.2.11 has build 99, the image has 100"},
	{name: "build: the ESXi does not tell", change: func(b *bench) { b.x.probe.Build = "" }, reason: "the ESXi on 192.0.2.11 does not report its build, the image has 100"},
	{name: "build: the image does not tell", change: func(b *bench) { b.s.latest.Build = "" }, proven: true, logins: 1, hides: []string{"build"}},
	{name: "build: an image that we did not make", change: func(b *bench) { b.s.has = false }, proven: true, logins: 1, hides: []string{"build"}},
	{name: "build: another image is mounted than the one that we built last", change: all(elsewhere, func(b *bench) { b.s.latest.Build, b.s.latest.Built = "99", restarted.Add(time.Hour) }), proven: true, logins: 1, hides: []string{"build"}},
	{name: "build: no media block in the plan", change: func(b *bench) { b.Media = nil }, proven: true, logins: 1, hides: []string{"build"}},

	// What is on record.
	{name: "record: no reset, but an image", change: unrecorded, proven: true, logins: 1, shows: []string{"installed 2026-01-02 03:09:00 by its own clock, after the image was built"}, hides: []string{"certificate", "reset"}},
	{name: "record: no reset, and installed before the image was built", change: all(unrecorded, installed(40*time.Minute)), logins: 1,
		reason: "the ESXi there was installed 10 minutes before the image was built (30 minutes ago): it is the old one"},
	{name: "record: no reset, and booted before the image was built", change: all(unrecorded, booted(40*time.Minute)), logins: 1, reason: "was booted 10 minutes before the image was built (30 minutes ago)"},
	{name: "record: a medium that installs nothing", change: func(b *bench) { b.s.latest.DryRun = true }, refused: true, reason: "only checks the machine and installs nothing", next: `goal = "installer"`},
	{name: "record: neither reset nor image", change: all(unrecorded, func(b *bench) { b.s.has = false }), refused: true,
		reason: "no reset of this machine by us is on record, and no image was built for it", next: "the state folder (--state) of the run that reset it"},
	{name: "record: neither reset nor media block", change: all(unrecorded, func(b *bench) { b.Media = nil }), refused: true, reason: "no reset of this machine by us is on record", next: "Run the whole plan"},
	{name: "record: the image was built after the reset", change: func(b *bench) { b.s.latest.Built = restarted.Add(time.Minute) }, refused: true,
		reason: "the image was built at ", next: "Mount it and restart the machine"},
	{name: "record: the reset was proven or given up before", change: func(b *bench) {
		b.a.log.Fold(step.Record{Run: "run1", Time: restarted, Verdict: &event.Verdict{Seeks: true}, Failed: true})
	}, proven: true, logins: 1, shows: []string{"installed 2026-01-02 03:09:00"}},
}

// TestProof holds every sign of a new installation missing, contradicting and unknown
// against what the step makes of it.
func TestProof(t *testing.T) {
	for _, c := range proofs {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, step.Settings{})
			if c.change != nil {
				c.change(b)
			}
			r, err := b.esxi(t)
			if b.x.logins != c.logins || c.logins > 0 && (b.x.asked != esxi.Root || b.x.pinned != b.x.probe.Fingerprint) {
				t.Errorf("%d logins, want %d; as %v, bound to the certificate %q", b.x.logins, c.logins, b.x.asked, b.x.pinned)
			}
			if c.refused {
				refused(t, err, c.reason, c.next)
				b.wrote(t)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c.judge(t, b, r)
		})
	}
}

func (c proof) judge(t *testing.T, b *bench, r wait.Result) {
	t.Helper()
	if r.Proven != c.proven || r.Reached != c.proven || r.Ended {
		t.Fatalf("%+v", r)
	}
	if !c.proven {
		says(t, "reason", r.Reason, c.reason)
		if c.next == "" {
			c.next = "Look at the machine's console"
		}
		says(t, "next", r.Next, c.next)
		if len(r.Evidence) > 0 {
			t.Errorf("evidence of no proof: %q", r.Evidence)
		}
		b.wrote(t)
		return
	}
	evidence := strings.Join(r.Evidence, "\n")
	for _, part := range append(c.shows, "root has the password") {
		says(t, "evidence", evidence, part)
	}
	for _, part := range c.hides {
		if strings.Contains(evidence, part) {
			t.Errorf("evidence %q claims something of %q", evidence, part)
		}
	}
	elapsed := 0.0
	if _, reset := b.History().LastReset(); reset {
		elapsed = 1200
	}
	if r.Version != "8.0.3" || r.Build != "100" || r.Elapsed != elapsed {
		t.Errorf("%+v", r)
	}
}

// TestProofNeedsTheHost: what the step cannot do without.
func TestProofNeedsTheHost(t *testing.T) {
	b := newBench(t, step.Settings{})
	b.ESXi = nil
	if _, err := b.esxi(t); err == nil || !strings.Contains(err.Error(), "no esxi block") || step.Classify(err) != step.Final {
		t.Error(err)
	}
	b = newBench(t, step.Settings{})
	b.x.probeErr = context.Canceled
	if _, err := b.esxi(t); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	b = newBench(t, step.Settings{})
	b.m.identityErr = errSilent
	if _, err := b.esxi(t); step.Classify(err) != step.Unreachable {
		t.Error(err)
	}
	b = newBench(t, step.Settings{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.x.err = errors.New("ESXi 192.0.2.11: context canceled")
	if _, err := wait.Type.Run(ctx, b.Host, []byte(`{"goal":"esxi","eject":true,"override_for":"3m"}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted at the login: %v", err)
	}
}

// TestProofTellsOfTheImage: what was read after the reset is evidence, by whom and when;
// what was read before it is none.
func TestProofTellsOfTheImage(t *testing.T) {
	evidence := func(b *bench) string {
		t.Helper()
		r, err := b.esxi(t)
		if err != nil || !r.Proven {
			t.Fatal(r, err)
		}
		return strings.Join(r.Evidence, "\n")
	}
	says(t, "evidence", evidence(newBench(t, step.Settings{}).read(loaded(3, 5))), "the BMC read 390.0 MB of the image after the reset, from ")
	gateway := loaded(3, 5)
	gateway.By = "192.0.2.77"
	says(t, "evidence", evidence(newBench(t, step.Settings{}).read(gateway)), "192.0.2.77 read 390.0 MB of the image after the reset")
	before := newBench(t, step.Settings{}).read(loaded(-4, -1))
	if e := evidence(before); strings.Contains(e, " read ") {
		t.Error(e)
	}
	if before.s.removed != 1 || len(before.a.warned) != 1 {
		t.Errorf("installed, though the image was not read: warned %q", before.a.warned)
	}
	says(t, "warning", before.a.warned[0], "the image was never read in the 20 minutes since the reset, so this installation may come from somewhere else")
	if whole := newBench(t, step.Settings{}).read(bout(-4, -1, 400e6)); evidence(whole) == "" || len(whole.a.warned) > 0 {
		t.Errorf("all of it was read before: %q", whole.a.warned)
	}
	if unserved := newBench(t, step.Settings{}); evidence(unserved) == "" || len(unserved.a.warned) > 0 {
		t.Errorf("nobody knows what was read: %q", unserved.a.warned)
	}
}

// TestNoPasswordWhilePolling: the new password leaves for what is new, and for nothing else,
// however long it takes.
func TestNoPasswordWhilePolling(t *testing.T) {
	b := newBench(t, step.Settings{})
	for _, p := range []esxi.Probe{
		{State: esxi.Up, Fingerprint: oldCertificate, Build: "100", ESXi: true}, {State: esxi.Silent}, {State: esxi.Starting, Fingerprint: newCertificate},
		{State: esxi.Other, Fingerprint: newCertificate}, {State: esxi.Up, Fingerprint: newCertificate, Build: "99", ESXi: true}, {State: esxi.Up, Build: "100", ESXi: true},
	} {
		b.x.probe = p
		if r, err := b.esxi(t); err != nil || r.Proven || b.x.logins > 0 {
			t.Errorf("%+v: %d logins, %+v, %v", p, b.x.logins, r, err)
		}
	}
}

// tidied is a proven host, and what the step does to its BMC and its image.
type tidied struct {
	settings  step.Settings
	arguments string
	change    func(*bench)
	wrote     []string
	removed   int
	mounted   int // images that stay on record
	warns     string
	class     step.Class
	err       string // in place of a result
}

const (
	keeps  = `{"goal":"esxi","eject":false,"override_for":"3m"}`
	ejects = `{"goal":"esxi","eject":true,"override_for":"3m"}`
)

// TestAfterTheProof: what the installation needed is taken away, once, and only that.
func TestAfterTheProof(t *testing.T) {
	for name, c := range map[string]tidied{
		"our image in the drive":        {wrote: []string{"eject "}, removed: 1},
		"eject = false":                 {arguments: keeps, mounted: 1},
		"--keep-media":                  {settings: step.Settings{KeepMedia: true}, wrote: []string{"eject "}},
		"no media block in the plan":    {change: func(b *bench) { b.Media = nil }, wrote: []string{"eject "}},
		"somebody's image in the drive": {change: func(b *bench) { b.m.slots[0].Image = theirs }, removed: 1},
		"somebody's image in the other drive": {change: func(b *bench) { b.m.slots[1].Loaded, b.m.slots[1].Image = true, theirs },
			wrote: []string{"eject "}, removed: 1},
		"a BMC that does not tell what is in the drive": {change: func(b *bench) {
			b.m.slots[0].Image = ""
			b.m.slots[1].Loaded = true
		}, wrote: []string{"eject "}, removed: 1},
		"one drive shown in two places": {change: func(b *bench) {
			b.m.slots[1].Loaded, b.m.slots[1].Image = true, ours
		}, wrote: []string{"eject ", "eject "}, removed: 1},
		"taken out already":      {change: func(b *bench) { b.m.slots[0].Loaded, b.m.slots[0].Image = false, "" }, removed: 1},
		"mounted, not on record": {change: func(b *bench) { b.fresh() }, wrote: []string{"eject "}, removed: 1},
		"nothing of ours anywhere": {change: func(b *bench) {
			b.fresh()
			b.restart(event.Snapshot{Fingerprint: oldCertificate}, event.Done)
			b.s.has = false
			b.m.slots[0].Image = theirs
		}},
		"continuous override":                   {change: func(b *bench) { b.continuous() }, wrote: []string{"boot none", "eject "}, removed: 1},
		"an image on somebody's web server":     {change: elsewhere, wrote: []string{"eject "}},
		"continuous override, eject = false":    {change: func(b *bench) { b.continuous() }, arguments: keeps, wrote: []string{"boot none"}, mounted: 1},
		"override that the BMC still shows":     {change: func(b *bench) { b.m.boot = bmc.Boot{Target: bmc.BootCD, Once: true} }, wrote: []string{"boot none", "eject "}, removed: 1},
		"override that boots the disk":          {change: func(b *bench) { b.m.boot = bmc.Boot{Target: bmc.BootDisk} }, wrote: []string{"eject "}, removed: 1},
		"somebody's override for the next boot": {change: func(b *bench) { b.m.boot = bmc.Boot{Target: bmc.BootPXE, Once: true} }, wrote: []string{"eject "}, removed: 1},
		"eject refused for good": {change: func(b *bench) { b.m.ejectErr = errRefused }, wrote: []string{"eject "}, removed: 1, mounted: 1,
			warns: "the host is installed, but its medium stays in the drive; eject it (esxiplan do eject)"},
		"eject refused for now":   {change: func(b *bench) { b.m.ejectErr = errBusy }, wrote: []string{"eject "}, mounted: 1, class: step.Retryable, err: "503"},
		"eject not answered":      {change: func(b *bench) { b.m.ejectErr = errLost }, wrote: []string{"eject "}, mounted: 1, class: step.Unreachable, err: "connection reset"},
		"eject that does nothing": {change: func(b *bench) { b.m.eject = func(*bmc.Slot) {} }, wrote: []string{"eject "}, class: step.Retryable, err: "until slot CD1 reads empty"},
		"override that stays": {change: func(b *bench) { b.continuous().m.clear = func() {} }, wrote: []string{"boot none", "eject "}, removed: 1, class: step.Final,
			err: "the host is installed, but its boot source override stays: the boot source override still reads cd (continuous)"},
		"override that cannot be taken away for now": {change: func(b *bench) { b.continuous().m.clearErr = errBusy }, wrote: []string{"boot none", "eject "}, removed: 1, class: step.Retryable,
			err: "the host is installed, but its boot source override stays"},
		"override that cannot be read": {change: func(b *bench) { b.m.bootErr = errBusy }, wrote: []string{"eject "}, removed: 1, class: step.Retryable, err: "503"},
		"image that cannot be removed": {change: func(b *bench) { b.s.removeErr = errors.New("permission denied") }, wrote: []string{"eject "}, removed: 1,
			warns: "the host is installed, but its image could not be removed: permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.settings)
			if c.change != nil {
				c.change(b)
			}
			if c.arguments == "" {
				c.arguments = ejects
			}
			r, err := b.look(t, c.arguments)
			switch {
			case c.err == "" && (err != nil || !r.Proven):
				t.Fatalf("%+v, %v", r, err)
			case c.err != "":
				says(t, "error", errors.Join(err, errors.New("")).Error(), c.err)
				if step.Classify(err) != c.class {
					t.Errorf("class %v, want %v", step.Classify(err), c.class)
				}
			}
			b.wrote(t, c.wrote...)
			if b.s.removed != c.removed {
				t.Errorf("removed %d times", b.s.removed)
			}
			if n := len(b.History().Mounted()); n != c.mounted && c.err == "" {
				t.Errorf("%d images stay on record, want %d", n, c.mounted)
			}
			if warned := strings.Join(b.a.warned, "\n"); c.warns != "" || warned != "" {
				says(t, "warnings", warned, c.warns)
			}
			if i := slices.IndexFunc(b.a.records, func(c event.Change) bool { return c.Verb == event.Eject }); i >= 0 && !b.a.records[i].Force {
				t.Error("an eject that the guard of a medium in use would refuse")
			}
		})
	}
}

// TestOverrideThatStays says what to do about it.
func TestOverrideThatStays(t *testing.T) {
	b := newBench(t, step.Settings{}).continuous()
	b.m.clear = func() {}
	_, err := b.esxi(t)
	var failure *step.Failure
	if !errors.As(err, &failure) {
		t.Fatal(err)
	}
	says(t, "next", failure.Next, "esxiplan do one_time_boot … target=none")
}

// TestEjectTriedAgain: what may pass is tried again, until it passes, or until it is clear
// that the BMC answers with success and does nothing.
func TestEjectTriedAgain(t *testing.T) {
	b := newBench(t, step.Settings{})
	b.m.ejectErr = errBusy
	for range 5 {
		if _, err := b.esxi(t); step.Classify(err) != step.Retryable {
			t.Fatal(err)
		}
	}
	b.m.ejectErr = nil
	if r, err := b.esxi(t); err != nil || !r.Proven || len(b.a.warned) > 0 {
		t.Error(r, err, b.a.warned)
	}
	for _, mounted := range []func(*bench){func(*bench) {}, elsewhere} {
		b := newBench(t, step.Settings{})
		mounted(b)
		b.m.eject = func(*bmc.Slot) {}
		if _, err := b.esxi(t); step.Classify(err) != step.Retryable {
			t.Fatal(err)
		}
		if r, err := b.esxi(t); err != nil || !r.Proven || len(b.a.warned) != 1 || len(b.m.wrote) != 2 {
			t.Errorf("%+v, %v, wrote %q, warned %q", r, err, b.m.wrote, b.a.warned)
		}
	}
}

// TestShownLate: a BMC that goes on showing what it took away, for a while.
func TestShownLate(t *testing.T) {
	b := newBench(t, step.Settings{}).continuous()
	b.m.clear = func() {}
	b.a.onSleep = func() {
		if b.a.slept > 5*time.Second {
			b.m.boot = bmc.Boot{Target: bmc.BootNone, Once: true}
		}
	}
	if r, err := b.esxi(t); err != nil || !r.Proven {
		t.Error(r, err)
	}
	b.wrote(t, "boot none", "eject ")
}

// TestInterruptedWhileEjecting: what was cut short is no refusal of the BMC.
func TestInterruptedWhileEjecting(t *testing.T) {
	b := newBench(t, step.Settings{})
	ctx, cancel := context.WithCancel(t.Context())
	b.m.eject = func(*bmc.Slot) {}
	b.a.onSleep = cancel
	_, err := wait.Type.Run(ctx, b.Host, []byte(ejects))
	if !errors.Is(err, context.Canceled) || len(b.a.warned) > 0 {
		t.Error(err, b.a.warned)
	}
}

// TestDryRun plans what follows the proof, though only the run can know whether it comes.
func TestDryRun(t *testing.T) {
	b := newBench(t, step.Settings{DryRun: true})
	b.x.probe.Fingerprint, b.x.err = esxi.NewFingerprint, esxi.ErrShadow
	r, err := b.esxi(t)
	if err != nil || r.Proven || r.Reached || len(r.Evidence) > 0 {
		t.Error(r, err)
	}
	says(t, "reason", r.Reason, "known only after the installation")
	b.wrote(t, "eject ")
	if b.s.removed != 1 {
		t.Error("the image stays")
	}
}

// TestTwoRestarts: an installation of the restart before the last one, which just ended
// when the last one came, is not taken for one of the last.
func TestTwoRestarts(t *testing.T) {
	b := newBench(t, step.Settings{})
	b.fresh().mounted()
	b.restart(event.Snapshot{State: string(esxi.Silent)}, event.Done) // during the installer's own reboot
	b.x.system.Installed = restarted.Add(-time.Minute)
	r, err := b.esxi(t)
	if err != nil || r.Proven {
		t.Fatal(r, err)
	}
	says(t, "reason", r.Reason, "before our reset")
}

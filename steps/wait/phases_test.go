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
)

// progress sets what the BMC says of the boot.
func progress(post string, posting, booted, running bool) func(*bench) {
	return func(b *bench) {
		b.m.power.Post, b.m.power.Posting, b.m.power.Booted, b.m.power.Running = post, posting, booted, running
	}
}

var (
	inPost     = progress("MemoryInitializationStarted", true, false, false)
	hardwareUp = progress("SystemHardwareInitializationComplete", false, false, false)
	osStarted  = progress("OSBootStarted", false, true, false)
	osRunning  = progress("OSRunning", false, true, true)
)

// passed is that earlier looks saw the installation in a phase.
func passed(p event.Phase) func(*bench) {
	return func(b *bench) {
		b.a.log.Fold(step.Record{Run: "run1", Time: restarted.Add(time.Minute), Entered: &event.Entered{Phase: p, Reset: restarted}})
	}
}

// looked is a look at the BMC some time after the reset.
func looked(after time.Duration, change func(*bench)) func(*bench) {
	return func(b *bench) {
		now := b.a.now
		b.after(after)
		change(b)
		b.Look(context.Background(), 0)
		b.a.now = now
	}
}

// watched is a look at the BMC every minute since the reset, until some time after it.
func watched(until time.Duration, change func(*bench)) func(*bench) {
	return func(b *bench) {
		for at := time.Minute; at <= until; at += time.Minute {
			looked(at, change)(b)
		}
	}
}

// unanswered: nothing was heard of the reset.
func unanswered(b *bench) {
	b.fresh().mounted()
	b.restart(event.Snapshot{State: string(esxi.Up), Fingerprint: oldCertificate}, "")
}

// bytes is what the BMC read two minutes after the reset.
func bytes(n int64) func(*bench) { return func(b *bench) { b.read(bout(1, 2, n)) } }

// TestPhases: a look notes the latest phase for which there is evidence, and says what was seen;
// what nothing shows is not claimed.
func TestPhases(t *testing.T) {
	for name, c := range map[string]struct {
		after    time.Duration // since the reset; 0: 4m
		change   func(*bench)
		answers  bool        // the new ESXi is up
		phase    event.Phase // "": none
		evidence string
	}{
		"the reset was answered":                {after: time.Minute, phase: event.PhaseRestart, evidence: "the reset at 03:00:00 was answered"},
		"nothing was heard of the reset":        {after: time.Minute, change: unanswered},
		"in POST":                               {change: inPost, phase: event.PhasePost, evidence: "the BMC reports POST: MemoryInitializationStarted"},
		"in POST, and the BMC not looked at":    {after: time.Minute, change: inPost, phase: event.PhaseRestart},
		"in POST, the BMC does not answer":      {change: all(inPost, func(b *bench) { b.m.err = errSilent }), phase: event.PhaseRestart},
		"through POST, and nothing booted":      {change: hardwareUp, phase: event.PhaseRestart},
		"handed over":                           {change: osStarted, phase: event.PhaseLoader, evidence: "the BMC reports that the firmware has handed over (OSBootStarted)"},
		"handed over, but the image not read":   {change: all(osStarted, func(b *bench) { b.read() }), phase: event.PhaseRestart},
		"handed over, but the old ESXi answers": {change: all(osRunning, func(b *bench) { b.x.probe = esxi.Probe{State: esxi.Up, Fingerprint: oldCertificate} }), phase: event.PhaseRestart},
		"the firmware looked at the medium":     {change: bytes(300e3), phase: event.PhaseRestart},
		"the loader is read":                    {change: bytes(2e6), phase: event.PhaseLoader, evidence: "the BMC read 2.0 MB of the image"},
		"the modules are read":                  {change: bytes(61e6), phase: event.PhaseReading, evidence: "the BMC read 61.0 MB of the image"},
		"read before the reset":                 {change: func(b *bench) { b.read(bout(-4, -3, 61e6)) }, phase: event.PhaseRestart},
		"the last module is read":               {change: func(b *bench) { b.read(loaded(1, 2)) }, phase: event.PhaseInstaller, evidence: "the BMC read 390.0 MB of the image, up to its last module"},
		"an operating system runs":              {change: osRunning, phase: event.PhaseInstaller, evidence: "the BMC reports that an operating system runs (OSRunning)"},
		"in POST again":                         {change: all(bytes(0), func(b *bench) { b.read(loaded(1, 2)) }, looked(3*time.Minute, osRunning), inPost), phase: event.PhaseRebooting, evidence: "the BMC reports POST again (MemoryInitializationStarted), after the installer was loaded"},
		"in POST again, by an earlier process":  {change: all(passed(event.PhaseInstaller), looked(3*time.Minute, osRunning), inPost), phase: event.PhaseRebooting},
		"in POST, never seen to leave it":       {change: all(func(b *bench) { b.read(loaded(1, 2)) }, inPost), phase: event.PhaseInstaller},
		"in POST again, of a loop":              {change: all(func(b *bench) { b.read(loaded(1, 2), loaded(3, 4)) }, looked(3*time.Minute, osRunning), inPost), phase: event.PhaseInstaller},
		"in POST again, nothing loaded":         {change: all(looked(3*time.Minute, hardwareUp), inPost), phase: event.PhasePost},
		"in POST, first seen late":              {after: 15 * time.Minute, change: all(elsewhere, inPost), phase: event.PhaseRestart},
		"in POST, watched since the reset":      {after: 15 * time.Minute, change: all(elsewhere, watched(14*time.Minute, inPost), inPost), phase: event.PhasePost},
		"in POST, not watched for a time":       {after: 15 * time.Minute, change: all(elsewhere, watched(9*time.Minute, inPost), inPost), phase: event.PhaseRestart},
		"in POST, and the BMC silent until now": {after: 15 * time.Minute, change: all(elsewhere, watched(14*time.Minute, func(b *bench) { b.m.err = errSilent }), func(b *bench) { b.m.err = nil }, inPost), phase: event.PhaseRestart},
		"in POST, first seen late, not read":    {after: 15 * time.Minute, change: all(func(b *bench) { b.read() }, inPost), phase: event.PhasePost},
		"in POST, seen out of it before only":   {change: all(passed(event.PhaseInstaller), looked(-time.Minute, osRunning), inPost), phase: event.PhaseInstaller, evidence: "seen at "},
		"a new ESXi answers":                    {answers: true, change: func(b *bench) { b.x.err = esxi.ErrTooSoon }, phase: event.PhaseAnswering, evidence: "an ESXi with a new certificate answers on 192.0.2.11"},
		"one answers, none known from before":   {answers: true, change: all(unknown, func(b *bench) { b.x.err = esxi.ErrTooSoon }), phase: event.PhaseRestart},
		"proven":                                {after: 20 * time.Minute, answers: true, phase: event.PhaseProven, evidence: "UUID " + uuid + " is the one that the BMC reports; installed 2026-01-02 03:09:00 by its own clock, after our reset"},
		"not further than before":               {change: all(passed(event.PhaseReading), bytes(2e6)), phase: event.PhaseReading, evidence: "seen at "},
		"no reset on record":                    {change: all(unrecorded, osRunning)},
		"a reset that installs nothing":         {change: all(closed, osRunning)},
		"given up before, and goes on":          {change: all(passed(event.PhaseReading), closed, osRunning), phase: event.PhaseInstaller},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, step.Settings{})
			if b.after(4 * time.Minute); c.after > 0 {
				b.after(c.after)
			}
			if !c.answers {
				b.silent()
			}
			if c.change != nil {
				c.change(b)
			}
			if _, err := b.esxi(t); err != nil {
				t.Fatal(err)
			}
			b.came(t, c.phase, c.evidence)
		})
	}
}

// came demands that the last phase that was noted is this one.
func (b *bench) came(t *testing.T, phase event.Phase, evidence string) {
	t.Helper()
	switch last := len(b.a.phases) - 1; {
	case last < 0 && phase != "", last >= 0 && b.a.phases[last].Phase != phase:
		t.Errorf("noted %+v, want %q", b.a.phases, phase)
	case last < 0:
	case !strings.Contains(b.a.phases[last].Evidence, evidence), b.a.phases[last].Evidence == "":
		t.Errorf("evidence %q, want %q", b.a.phases[last].Evidence, evidence)
	case !b.a.phases[last].Reset.Equal(restarted):
		t.Errorf("of the reset at %s", b.a.phases[last].Reset)
	}
}

// TestEveryPhaseOnce: an installation comes through the phases in their order, and each is noted
// once, with the model as soon as it was read.
func TestEveryPhaseOnce(t *testing.T) {
	b := newBench(t, step.Settings{}).silent()
	b.m.identity.Model = "R750"
	at := func(after time.Duration, change func(*bench)) {
		b.after(after)
		change(b)
		for range 3 {
			if _, err := b.esxi(t); err != nil {
				t.Fatal(err)
			}
			b.a.now = b.a.now.Add(5 * time.Second)
		}
	}
	at(10*time.Second, func(*bench) {})
	at(3*time.Minute, inPost)
	at(4*time.Minute, all(osStarted, bytes(3e6)))
	at(5*time.Minute, bytes(90e6))
	at(6*time.Minute, func(b *bench) { b.read(loaded(1, 5)) })
	at(8*time.Minute, osRunning)
	at(13*time.Minute, inPost)
	at(20*time.Minute, func(b *bench) {
		b.x.probe = esxi.Probe{State: esxi.Up, Fingerprint: newCertificate, Version: "8.0.3", Build: "100", ESXi: true}
		b.x.err = esxi.ErrTooSoon
	})
	at(21*time.Minute, func(b *bench) { b.x.err = nil })
	var got []event.Phase
	for _, p := range b.a.phases {
		got = append(got, p.Phase)
	}
	if !slices.Equal(got, event.Phases) {
		t.Errorf("came through %q", got)
	}
	if last := b.a.phases[len(b.a.phases)-1]; last.Model != "R750" || b.a.phases[0].Model != "" {
		t.Errorf("the model is read with the identity: %+v", b.a.phases)
	}
}

// TestNoPhasesInADryRun: what a shadow shows is no evidence.
func TestNoPhasesInADryRun(t *testing.T) {
	b := newBench(t, step.Settings{DryRun: true}).silent()
	osRunning(b)
	if _, err := b.esxi(t); err != nil || len(b.a.phases) > 0 {
		t.Error(err, b.a.phases)
	}
}

// TestReasons: the reason begins with what keeps the installation, as far as it was seen, and
// says what to do about that.
func TestReasons(t *testing.T) {
	old := func(b *bench) { b.x.probe = esxi.Probe{State: esxi.Up, Fingerprint: oldCertificate, ESXi: true} }
	nic := func(b *bench) {
		mac := "b4:96:91:a7:3f:d6"
		b.Declared.ESXi.NIC = &mac
		b.Neighbours = func() []esxi.Neighbour {
			return []esxi.Neighbour{{Address: "192.0.2.7", MAC: "00:00:5E:00:53:01"}, {Address: "192.0.2.77", MAC: "B4:96:91:A7:3F:D6"}}
		}
	}
	const none = "no ESXi answers on 192.0.2.11 (connection refused)"
	for name, c := range map[string]struct {
		change func(*bench)
		after  time.Duration // 0: 20m
		begins string
		says   string
		hides  string
		next   string
	}{
		"never read":                       {change: func(b *bench) { b.read() }, begins: "the image was never read in the 20 minutes since the reset; " + none, next: "look at its boot order"},
		"read, and stopped":                {change: func(b *bench) { b.read(bout(3, 4, 61e6)) }, begins: "the BMC read 61.0 MB of the image's 400.0 MB since the reset and stopped at 03:04:00, 16 minutes ago; " + none, next: "what cuts the way from the BMC to the server of the image"},
		"being read":                       {change: func(b *bench) { b.read(bout(18, 19, 61e6)) }, begins: none, says: "; the BMC read 61.0 MB of the image since the reset, last at 03:19:00", next: "console"},
		"booted its disk":                  {change: all(old, func(b *bench) { b.read() }), begins: "the machine booted its disk: the old ESXi still answers on 192.0.2.11", says: "; the image was never read in the 20 minutes since the reset", next: "look at its boot order"},
		"the old ESXi, nobody knows why":   {change: old, begins: "the old ESXi still answers on 192.0.2.11: it shows the same certificate as before the reset", next: "console"},
		"the old ESXi, after the load":     {change: all(old, func(b *bench) { b.read(loaded(3, 5)) }), begins: "the old ESXi still answers on 192.0.2.11", says: "; the installer was loaded: ", next: "an installer that stopped says there why"},
		"loaded, and no restart seen":      {change: all(osRunning, func(b *bench) { b.read(loaded(3, 5)) }), begins: "the installer was loaded: the BMC read the image up to its last module at 03:05:00. In the 15 minutes since no restart of the machine was seen; " + none, next: "an installer that stopped says there why"},
		"loaded, and the BMC tells little": {change: func(b *bench) { b.read(loaded(3, 5)) }, begins: "the installer was loaded: the BMC read the image up to its last module at 03:05:00. In the 15 minutes since no new ESXi came up; " + none, next: "longer timeout"},
		"restarted, and no ESXi":           {change: all(func(b *bench) { b.read(loaded(3, 5)) }, passed(event.PhaseRebooting)), begins: "the machine was seen to restart at 03:01:00, after the installer was loaded, and no new ESXi came up in the 19 minutes since; " + none, next: "compare its address, VLAN and network port with esxi of the plan"},
		"with another address":             {change: all(func(b *bench) { b.read(loaded(3, 5)) }, nic), begins: "the installer was loaded", says: "; the ARP table here has its network port b4:96:91:a7:3f:d6 at 192.0.2.77: its ESXi may be up under that address", next: "compare it with esxi.address"},
		"its own address":                  {change: all(func(b *bench) { b.read(loaded(3, 5)) }, nic, func(b *bench) { b.Declared.ESXi.Address = "192.0.2.77" }), begins: "the installer was loaded", hides: "ARP"},
		"another address, but starting":    {change: all(func(b *bench) { b.read(loaded(3, 5)).x.probe.State = esxi.Starting }, nic), begins: "the installer was loaded", hides: "ARP"},
		"never read, off":                  {change: func(b *bench) { b.read().m.power.State = bmc.Off }, begins: "the machine is off; the image was never read in the 20 minutes since the reset", next: "power it on"},
		"in POST again, and never read":    {change: all(func(b *bench) { b.read() }, looked(5*time.Minute, hardwareUp), inPost), begins: "the image was never read in the 20 minutes since the reset"},
		"another address, not installed":   {change: all(func(b *bench) { b.read() }, nic), begins: "the image was never read", next: "look at its boot order"},
		"stuck in POST":                    {change: all(func(b *bench) { b.read() }, watched(19*time.Minute, inPost), inPost), begins: "the machine is still in POST 20 minutes after the reset (MemoryInitializationStarted); " + none, next: "what the firmware stops at"},
		"stuck in POST, image elsewhere":   {change: all(elsewhere, watched(19*time.Minute, inPost), inPost), begins: "the machine is still in POST 20 minutes after the reset (MemoryInitializationStarted); " + none, next: "what the firmware stops at"},
		"in POST, first seen late, unread": {change: all(func(b *bench) { b.read() }, inPost), begins: "the machine is in POST 20 minutes after the reset (MemoryInitializationStarted), and the image was not read since; " + none, next: "what the firmware stops at"},
		"in POST, first seen late":         {change: all(elsewhere, inPost), begins: none, says: "its BMC says: power state On, MemoryInitializationStarted", next: "console"},
		"in POST after the installer":      {change: all(elsewhere, passed(event.PhaseInstaller), watched(19*time.Minute, inPost), inPost), begins: none, hides: "still in POST"},
		"in POST, not for long":            {after: 9 * time.Minute, change: inPost, begins: none, says: "its BMC says: power state On, MemoryInitializationStarted", next: "console"},
		"off":                              {change: func(b *bench) { b.m.power.State = bmc.Off }, begins: "the machine is off", next: "power it on"},
		"the new ESXi does not let us in": {change: func(b *bench) {
			b.read(loaded(3, 5)).x.probe = esxi.Probe{State: esxi.Up, Fingerprint: newCertificate, Build: "100"}
			b.x.err = esxi.ErrTooSoon
		}, begins: "the new ESXi does not accept the login yet", next: "console"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, step.Settings{}).silent()
			if c.after > 0 {
				b.after(c.after)
			}
			c.change(b)
			r, err := b.esxi(t)
			if err != nil || !strings.HasPrefix(r.Reason, c.begins) || !strings.Contains(r.Reason, c.says) || !strings.Contains(r.Next, c.next) {
				t.Errorf("%v\n%s\nnext: %s\nwant %q, %q, next %q", err, r.Reason, r.Next, c.begins, c.says, c.next)
			}
			if c.hides != "" && strings.Contains(r.Reason, c.hides) {
				t.Errorf("claims %q: %s", c.hides, r.Reason)
			}
			if strings.Count(r.Reason, "MB of the image") > 1 || strings.Count(r.Reason, "never read") > 1 {
				t.Errorf("says it twice: %s", r.Reason)
			}
		})
	}
}

// TestScreen: what the screen shows is kept once, when the wait is given up, and named.
func TestScreen(t *testing.T) {
	for name, c := range map[string]struct {
		change    func(*bench)
		arguments string
		shown     bool
		warns     string
	}{
		"not given up":            {change: func(b *bench) { b.a.last = false }},
		"given up":                {shown: true},
		"a loop":                  {change: func(b *bench) { b.a.last = false; again(b) }, shown: true},
		"proven":                  {change: func(b *bench) { b.x.probe = esxi.Probe{State: esxi.Up, Fingerprint: newCertificate, Build: "100"} }},
		"off":                     {change: func(b *bench) { b.m.power.State = bmc.Off }},
		"another goal":            {arguments: `{"goal":"off"}`},
		"for the installer":       {arguments: `{"goal":"installer","override_for":"3m"}`, shown: true},
		"in a dry run":            {change: func(b *bench) { b.Settings.DryRun = true }},
		"the BMC offers none":     {change: func(b *bench) { b.m.screenErr = &bmc.ErrUnsupported{What: "none"} }},
		"the BMC fails":           {change: func(b *bench) { b.m.screenErr = errBusy }, warns: "what the machine's screen shows could not be kept: "},
		"it cannot be written":    {change: func(b *bench) { b.a.keepErr = errors.New("disk full") }, warns: "could not be kept: disk full"},
		"no reset is on record":   {change: unrecorded},
		"the BMC does not answer": {change: func(b *bench) { b.m.err = errSilent }, shown: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, step.Settings{}).silent()
			b.a.last = true
			if c.change != nil {
				c.change(b)
			}
			if c.arguments == "" {
				c.arguments = ejects
			}
			for range 2 {
				r, err := b.look(t, c.arguments)
				if err != nil {
					t.Fatal(err)
				}
				if named := r.Screen == "screens/h.png" && strings.HasPrefix(r.Next, "See what the machine's screen shows, in screens/h.png. "); named != c.shown {
					t.Errorf("screen %q, next: %s", r.Screen, r.Next)
				}
			}
			if kept := len(b.a.kept) == 1 && b.a.kept[0] == "PNG"; kept != c.shown || b.m.screens > 1 {
				t.Errorf("kept %q, asked %d times", b.a.kept, b.m.screens)
			}
			if warned := strings.Join(b.a.warned, "\n"); warned != "" || c.warns != "" {
				says(t, "warnings", warned, c.warns)
			}
		})
	}
}

// TestWatched: a phase tells since when the wait has looked without a gap, by whatever way: a BMC
// that does not answer leaves the ESXi address to look at.
func TestWatched(t *testing.T) {
	for name, c := range map[string]struct {
		reads []time.Duration // looks of goal media_read, after the reset
		looks []time.Duration // then of goal esxi
		since time.Duration
	}{
		"media first":       {reads: []time.Duration{2 * time.Minute, 6 * time.Minute}, looks: []time.Duration{10 * time.Minute, 14 * time.Minute}, since: 2 * time.Minute},
		"from the reset on": {looks: []time.Duration{time.Minute, 6 * time.Minute, 11 * time.Minute}, since: time.Minute},
		"from later on":     {looks: []time.Duration{20 * time.Minute, 21 * time.Minute}, since: 20 * time.Minute},
		"with a gap":        {looks: []time.Duration{time.Minute, 2 * time.Minute, 14 * time.Minute, 15 * time.Minute}, since: 14 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, step.Settings{}).silent()
			b.m.err = errSilent
			for _, at := range c.reads {
				b.after(at).look(t, goal("media_read"))
			}
			last := len(c.looks) - 1
			for _, at := range c.looks[:last] {
				b.after(at).esxi(t)
			}
			b.m.err = nil
			b.x.probe = esxi.Probe{State: esxi.Up, Fingerprint: newCertificate, Version: "8.0.3", Build: "100", ESXi: true}
			if _, err := b.after(c.looks[last]).esxi(t); err != nil {
				t.Fatal(err)
			}
			b.came(t, event.PhaseProven, "")
			if got := b.a.phases[len(b.a.phases)-1].Watched; !got.Equal(restarted.Add(c.since)) {
				t.Errorf("watched since %s after the reset", got.Sub(restarted))
			}
		})
	}
}

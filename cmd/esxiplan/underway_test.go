package main

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/twin"
)

const (
	toDirectory = "directory = \"media\"\n  url = \"http://203.0.113.1/iso\""
	fromRun     = `listen = "127.0.0.1:0"`
)

var continuation = regexp.MustCompile(`(?m)^Continue with: esxiplan (.+)$`)

// goesOn runs the very command that an output names, and demands that it ends well.
func (s *simulated) goesOn(out string, want string) {
	s.t.Helper()
	c := s.continued(out)
	said, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(said), want) {
		s.t.Fatalf("%q: %v, want %q\n%s", c.Args, err, want, said)
	}
}

// continued is the command that an output names.
func (s *simulated) continued(out string) *exec.Cmd {
	s.t.Helper()
	found := continuation.FindStringSubmatch(out)
	if found == nil {
		s.t.Fatalf("no command to go on with:\n%s", out)
	}
	return s.command(strings.Fields(found[1])...)
}

// refuses demands that a command ends with a refusal.
func (s *simulated) refuses(exit int, want string, args ...string) string {
	s.t.Helper()
	c := s.command(args...)
	out, _ := c.CombinedOutput()
	if c.ProcessState.ExitCode() != exit || !strings.Contains(string(out), want) {
		s.t.Errorf("%s: exit %d, want %d and %q\n%s", strings.Join(args, " "), c.ProcessState.ExitCode(), exit, want, out)
	}
	return string(out)
}

// started waits until the machines have been asked to start, which the log tells
// before it is done, and their BMCs have answered.
func (s *simulated) started(hosts ...string) {
	s.t.Helper()
	s.until("the machines are started", func() bool {
		for _, h := range hosts {
			if s.resets(h, `"On"`) == 0 {
				return false
			}
		}
		return true
	})
}

// onceEach demands one installation, and so many changes of power, of each machine.
func (s *simulated) onceEach(tallies []twin.Tally) {
	s.t.Helper()
	for _, tally := range tallies {
		if tally.Installs != 1 || len(tally.PerReset) != 1 || tally.PowerChanges != 2 || tally.Inserts != 1 {
			s.t.Errorf("%+v", tally)
		}
	}
}

// TestCtrlCWhileInstalling: the recap says which machines are being installed, since when,
// and what becomes of their images; the command that it names ends proven.
func TestCtrlCWhileInstalling(t *testing.T) {
	t.Parallel()
	s := simulatePlan(t, fleetPlan(3, toDirectory), "--speed", "60", "--tally", "tally.json")
	r := s.begin(s.run("--limit", "h000,h001"))
	s.started("h000", "h001")
	r.interrupt()
	if code := r.wait(); code != event.ExitInterrupted {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{
		`h000 .* being installed since [0-9:]+ \([0-9a-z.]+(, last seen [A-Za-z ]+)?\)\n`, `h001 .* being installed since`, `2 hosts are being installed\. The images stay where they are\.\n`,
		`Continue with: .* --limit h000,h001\n`, `2 hosts: 2 being installed .* interrupted\n`,
	} {
		if !regexp.MustCompile(want).MatchString(r.out.String()) {
			t.Errorf("want %s:\n%s", want, r.out.String())
		}
	}
	s.goesOn(r.out.String(), "2 hosts: 2 changed, 2 proven installed")
	s.onceEach(s.end()[:2])
}

// TestCtrlCServesOn: a run that serves the images goes on until the machines that read
// them are proven, and starts no other one.
func TestCtrlCServesOn(t *testing.T) {
	t.Parallel()
	s := simulatePlan(t, fleetPlan(3, fromRun), "--speed", "60", "--tally", "tally.json")
	r := s.begin(s.run("--in-flight", "1"))
	first, others := "", 0
	s.until("a machine is started", func() bool {
		for _, h := range []string{"h000", "h001", "h002"} {
			if s.resets(h, `"On"`) > 0 {
				first = h
			}
		}
		return first != ""
	})
	r.interrupt()
	if code := r.wait(); code != event.ExitInterrupted {
		t.Errorf("exit %d", code)
	}
	wants := []string{
		`this run serves the images of installations that are under way \(` + first + `\): it continues until they are done\. Press Ctrl-C again to stop now; that breaks these installations`,
		first + ` .* proven 8\.0\.3`, `3 hosts: 1 changed, 2 stopped, 1 proven installed .* interrupted`,
	}
	for _, tally := range s.end() {
		if tally.Host == first {
			s.onceEach([]twin.Tally{tally})
			continue
		}
		others++
		wants = append(wants, tally.Host+` .* interrupted`)
		if tally.PowerChanges != 0 || tally.Inserts != 0 {
			t.Errorf("%+v", tally)
		}
	}
	for _, want := range wants {
		if !regexp.MustCompile(want).MatchString(r.said()) {
			t.Errorf("want %s:\n%s", want, r.said())
		}
	}
	if others != 2 {
		t.Errorf("%d other machines", others)
	}
}

// TestCtrlCTwiceWhileServing: the second Ctrl-C ends it at once; the recap says that the
// images end with the run, and the command that it names serves them again.
func TestCtrlCTwiceWhileServing(t *testing.T) {
	t.Parallel()
	s := simulatePlan(t, fleetPlan(2, fromRun), "--speed", "20", "--tally", "tally.json")
	r := s.begin(s.run())
	s.started("h000", "h001")
	r.interrupt()
	<-r.heard
	r.interrupt()
	began := time.Now()
	if code := r.wait(); code != event.ExitInterrupted || time.Since(began) > 10*time.Second {
		t.Errorf("exit %d after %s", code, time.Since(began))
	}
	if !strings.Contains(r.out.String(), "2 hosts are being installed from images that this run served and that end with it: an installer that still reads its image stops. The command below serves them again.") {
		t.Errorf("the recap:\n%s", r.out.String())
	}
	s.goesOn(r.out.String(), "2 hosts: 2 changed, 2 proven installed")
	s.onceEach(s.end())
}

// TestKilledWhileServing: after a crash, a later run tells how to go on, and that serves
// the images again; a Ctrl-C then does not break the installations either.
func TestKilledWhileServing(t *testing.T) {
	t.Parallel()
	s := simulatePlan(t, fleetPlan(1, fromRun), "--speed", "20", "--tally", "tally.json")
	r := s.begin(s.run())
	s.started("h000")
	r.c.Process.Kill()
	r.wait()
	out := s.refuses(event.ExitFailed, "esxiplan has been installing this machine since", "run", "fleet.hcl", "--sim", "sim.json", "--yes")
	before := len(s.log())
	r = s.begin(s.continued(out))
	s.until("it looks at the machine", func() bool { return len(s.log()) > before })
	r.interrupt()
	if code := r.wait(); code != event.ExitInterrupted || !strings.Contains(r.out.String(), "1 host: 1 changed, 1 proven installed") {
		t.Errorf("exit %d\n%s", code, r.said())
	}
	s.onceEach(s.end())
}

// TestKilledBeforeTheStart: a request to start the machine is on record and was never
// done. The next restart refuses and names both ways; the wait starts the machine, once.
func TestKilledBeforeTheStart(t *testing.T) {
	for name, media := range map[string]string{"published": toDirectory, "served": fromRun} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulatePlan(t, fleetPlan(1, media), "--speed", "60", "--tally", "tally.json", "--fault", "stays-off")
			r := s.begin(s.run())
			s.started("h000")
			r.c.Process.Kill()
			r.wait()
			out := s.refuses(event.ExitFailed, "reset this machine at", "run", "fleet.hcl", "--sim", "sim.json", "--yes", "--tags", "reboot")
			if !strings.Contains(out, "Wait for its end (esxiplan run … --start-at installed), or reset all the same with --again") {
				t.Errorf("both ways are not named:\n%s", out)
			}
			again, err := s.run("--tags", "post-check").CombinedOutput()
			if err != nil || !strings.Contains(string(again), "our request to start it was lost; it is started now") || !strings.Contains(string(again), "1 proven installed") {
				t.Errorf("%v\n%s", err, again)
			}
			if on := s.resets("h000", `"On"`); on != 2 || len(s.resetsOnRecord(simulatedState)) != 3 {
				t.Errorf("%d requests to start, on record: %v", on, s.resetsOnRecord(simulatedState))
			}
			s.onceEach(s.end())
		})
	}
}

// TestLeftOff: a second Ctrl-C between ForceOff and On leaves the machine off; the recap
// says so, and the same command again goes on from there.
func TestLeftOff(t *testing.T) {
	t.Parallel()
	s := simulatePlan(t, fleetPlan(1, toDirectory), "--speed", "30", "--tally", "tally.json", "--profile", "h000=dell/idrac10") // refuses On for a while
	r := s.begin(s.run())
	s.until("On was refused", func() bool { return s.resets("h000", `"On"`) > 0 })
	<-time.After(200 * time.Millisecond) // within the pause of 20 s, by the simulated clock, before it is asked for again
	r.interrupt()
	<-r.heard
	r.interrupt()
	if code := r.wait(); code != event.ExitInterrupted {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{"  powered off\n", "h000 was powered off for its restart and is not on again; run the same command again to start it, or power it on (esxiplan do power fleet.hcl --sim sim.json action=on --limit h000)\n"} {
		if !strings.Contains(r.out.String(), want) {
			t.Errorf("want %q:\n%s", want, r.out.String())
		}
	}
	out, err := s.run().CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1 proven installed") {
		t.Errorf("%v\n%s", err, out)
	}
	if tally := s.end()[0]; tally.Installs != 1 || tally.PowerChanges != 2 {
		t.Errorf("%+v", tally)
	}
}

// TestTwoStates: a run with a state folder of its own does not know what another one does
// to the same machine. While that installs, it is refused before any write, whatever it
// would do; after the proof it goes on.
func TestTwoStates(t *testing.T) {
	t.Parallel()
	s := simulatePlan(t, fleetPlan(1, toDirectory), "--speed", "30", "--tally", "tally.json")
	r := s.begin(s.run("--state", "one"))
	s.started("h000")
	before := s.writes()
	for _, phase := range []string{"in POST", "installing"} {
		if phase == "installing" { // the boot source override is used up by then
			s.until("the machine boots the medium", func() bool { return s.booted("h000") })
		}
		for _, args := range [][]string{
			{"run", "fleet.hcl"}, {"run", "fleet.hcl", "--tags", "mount-iso"}, {"run", "fleet.hcl", "--tags", "reboot"}, {"do", "eject", "fleet.hcl"}, {"do", "power", "fleet.hcl", "action=off"},
			{"do", "power", "fleet.hcl", "action=restart"}, {"do", "power", "fleet.hcl", "action=graceful_off"}, {"do", "one_time_boot", "fleet.hcl", "target=pxe"},
		} {
			s.refuses(event.ExitFailed, "another esxiplan run may be installing this machine", append(args, "--sim", "sim.json", "--state", "two", "--yes")...)
		}
		if now := s.writes(); now != before {
			t.Errorf("%s: %d writes, before %d", phase, now, before)
		}
	}
	if code := r.wait(); code != 0 || !strings.Contains(r.out.String(), "1 proven installed") {
		t.Errorf("the first run: exit %d\n%s", code, r.said())
	}
	out, err := s.run("--state", "two", "--tags", "pre-check,build-iso,mount-iso").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1 host: 1 changed") {
		t.Errorf("%v\n%s", err, out)
	}
	if tally := s.end()[0]; tally.Installs != 1 || tally.Inserts != 2 || tally.PowerChanges != 2 {
		t.Errorf("%+v", tally)
	}
}

// writes counts what was written to the machines.
func (s *simulated) writes() (n int) {
	for _, e := range s.log() {
		if isWrite(e) {
			n++
		}
	}
	return n
}

// booted reports that a machine is on, and that what was set for its next boot is used up.
func (s *simulated) booted(host string) bool {
	out, err := s.command("status", "fleet.hcl", "--sim", "sim.json", "--state", "three", "--limit", host).Output()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == host {
			return fields[1] == string(bmc.On) && fields[2] != string(bmc.BootCD)
		}
	}
	return false
}

// TestNewRunAfterACrash: the command that was killed, given again, would wipe the host that
// it had proven. It is refused without a terminal, names the host and the command that
// continues; that one installs the other host, and touches the first no more.
func TestNewRunAfterACrash(t *testing.T) {
	t.Parallel()
	s := simulate(t, 2, "--speed", "60", "--tally", "tally.json")
	r := s.begin(s.run("--in-flight", "1"))
	s.until("a host is proven", func() bool {
		return slices.ContainsFunc(s.events(simulatedState), func(e event.Event) bool { return e.Verdict != nil && e.Verdict.Proven })
	})
	r.c.Process.Kill()
	r.wait()
	out := s.refuses(event.ExitRefused, "is unfinished. It installed and proved 1 host, which run ", "run", "fleet.hcl", "--sim", "sim.json", "--yes")
	if !strings.Contains(out, "continue that run with esxiplan run fleet.hcl --sim sim.json --run ") {
		t.Errorf("the way out is not named:\n%s", out)
	}
	again, err := s.command("run", "fleet.hcl", "--sim", "sim.json", "--resume", "--yes").CombinedOutput()
	if err != nil || !strings.Contains(string(again), "2 hosts: 2 changed, 2 proven installed") {
		t.Errorf("%v\n%s", err, again)
	}
	s.onceEach(s.end())
}

// TestKilledInAnInsert: a step whose change a killed process made is changed in the run that
// is continued, in its log and in its recap, though that finds nothing left to do.
func TestKilledInAnInsert(t *testing.T) {
	t.Parallel()
	s := simulate(t, 1, "--speed", "60", "--latency", "100ms", "--tally", "tally.json")
	steps := []string{"--run", "x", "--tags", "pre-check,build-iso,mount-iso"}
	r := s.begin(s.run(steps...))
	s.until("the image is inserted", func() bool {
		return slices.ContainsFunc(s.log(), func(e twin.Entry) bool {
			return strings.Contains(e.Path, "InsertMedia") && e.Status < 300
		})
	})
	r.c.Process.Kill()
	r.wait()
	ended := func(e event.Event) bool { return e.Kind == event.StepDone && e.Step == "installer_cd" }
	if slices.ContainsFunc(s.events(simulatedState), ended) {
		t.Fatal("the step had ended before the process was killed: the test shows less than it should")
	}
	out, err := s.run(steps...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "installer_cd (insert) changed") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, e := range s.events(simulatedState) {
		if ended(e) && e.Status != event.Changed {
			t.Errorf("in the log %s is %s", e.Step, e.Status)
		}
	}
	for _, tally := range s.end() {
		if tally.Inserts != 1 {
			t.Errorf("%+v", tally)
		}
	}
}

// TestFullDisk: a run whose log cannot be written makes no further write, stops and says why;
// once there is room it is continued, and nothing is done twice.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := simulatePlan(t, fleetPlan(3, fromRun), "--speed", "100", "--tally", "tally.json")
	whole := s.run("--run", "full")
	c := exec.Command("sh", append([]string{"-c", `ulimit -f 60; exec "$0" "$@"`}, whole.Args...)...) // 30 KB a file
	c.Dir, c.Env = whole.Dir, whole.Env
	out, _ := c.CombinedOutput()
	if c.ProcessState.ExitCode() != event.ExitInternal || !regexp.MustCompile(`stopped: the log .*full\.jsonl cannot be written: .*make room or repair the disk, then continue the run`).Match(out) {
		t.Fatalf("exit %d\n%s", c.ProcessState.ExitCode(), out)
	}
	again, err := s.run("--run", "full").CombinedOutput()
	if err != nil || !strings.Contains(string(again), "3 proven installed") {
		t.Errorf("%v\n%s", err, again)
	}
	s.onceEach(s.end())
}

// TestNobodyReads: a reader of the output that goes away ends the output, not the run.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	s := simulate(t, 2, "--speed", "100", "--tally", "tally.json")
	c := s.run("-o", "jsonl")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	out.Close()
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	s.onceEach(s.end())
}

// TestStageOfSome: continuing a killed run on some of its hosts leaves the others to be
// continued.
func TestStageOfSome(t *testing.T) {
	t.Parallel()
	s := simulate(t, 2, "--speed", "60", "--tally", "tally.json")
	r := s.begin(s.run("--run", "x"))
	s.started("h000", "h001")
	r.c.Process.Kill()
	r.wait()
	for _, args := range [][]string{{"--run", "x", "--limit", "h000"}, {"--run", "x", "--resume"}} {
		if out, err := s.run(args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	s.refuses(event.ExitUsage, "nothing to resume", "run", "fleet.hcl", "--sim", "sim.json", "--resume")
	s.onceEach(s.end())
}

// TestTidied: what a killed run left at a machine after its last attempt is put in order when
// the run is continued: its session, and an override that no boot uses up.
func TestTidied(t *testing.T) {
	t.Parallel()
	plan := strings.Replace(fleetPlan(1, toDirectory), `vendor = "dell"`, `vendor = "auto"`, 1)
	s := simulatePlan(t, strings.Replace(plan, "step \"wait\" \"installed\" { tags = [\"post-check\"] }", "step \"wait\" \"installed\" {\n  tags    = [\"post-check\"]\n  timeout = \"20s\"\n}", 1),
		"--speed", "20", "--latency", "20ms", "--profile", "h000=redfish/continuous")
	r := s.begin(s.run("--run", "x", "-o", "jsonl"))
	s.until("the host is at its end", func() bool {
		return slices.ContainsFunc(s.events(simulatedState), func(e event.Event) bool { return e.Kind == event.HostDone })
	})
	r.c.Process.Kill()
	r.wait()
	if !slices.ContainsFunc(s.events(simulatedState), func(e event.Event) bool { return e.Settled != nil && e.Settled.Stays }) {
		t.Fatal("no override stayed")
	}
	out, _ := s.run("--run", "x").CombinedOutput()
	if n := s.open(); n != 0 {
		t.Errorf("%d sessions stay open\n%s", n, out)
	}
	look, err := s.command("status", "fleet.hcl", "--sim", "sim.json", "--once").CombinedOutput()
	if err != nil || strings.Contains(string(look), "starts from cd at every boot") {
		t.Errorf("%v\n%s\n%s", err, look, out)
	}
}

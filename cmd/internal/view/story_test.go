package view

import (
	"encoding/json"
	"fmt"
	"time"

	"esxiplan/engine/event"
)

// tale is a run as its events: what the log held before it was continued, and what
// followed.
type tale struct {
	name            string
	earlier, events []event.Event
}

// stories are the runs that the views are shown.
func stories(zone *time.Location) []tale {
	return []tale{
		{name: "six", events: sixHosts(zone)},
		{name: "dryrun", events: dryRun(zone)},
		{name: "interrupted", events: interrupted(zone)},
		{name: "diskfull", events: diskFull(zone)},
		{name: "fold", events: manyHosts(zone)},
		continued(zone),
		{name: "budget", events: overBudget(zone)},
	}
}

// tape records events, each with the next number and a time after the last one.
type tape struct {
	now    time.Time
	events []event.Event
}

func newTape(zone *time.Location) *tape {
	return &tape{now: time.Date(2026, 1, 14, 9, 30, 0, 0, zone)}
}

// types are the types of the steps.
var types = map[string]string{"login": "precheck", "installer": "build_iso", "leftovers": "eject", "installer_cd": "insert", "cd": "one_time_boot", "restart": "power", "installed": "wait"}

func (t *tape) add(after time.Duration, e event.Event) {
	t.now = t.now.Add(after)
	e.Type = types[e.Step]
	e.Schema, e.Seq, e.Time, e.Run = event.Schema, uint64(len(t.events)+1), t.now, "nightly-7"
	t.events = append(t.events, e)
}

func (t *tape) begin(p event.PlanInfo) {
	p.Name, p.Files = "rack7", []string{"rack7.hcl"}
	p.Steps = []string{"login", "installer", "installer_cd", "cd", "restart", "installed"}
	p.Of = len(p.Hosts)
	t.add(0, event.Event{Kind: event.RunStarted, Plan: &p})
}

func (t *tape) host(name string) {
	t.add(time.Second, event.Event{Kind: event.HostStarted, Host: name, Group: "dell"})
}

// step is a step that began and ended after a while.
func (t *tape) step(host, name string, took time.Duration, done event.Event) {
	t.add(time.Second, event.Event{Kind: event.StepStarted, Host: host, Step: name, Attempt: 1})
	t.done(host, name, took, done)
}

func (t *tape) done(host, name string, took time.Duration, done event.Event) {
	done.Kind, done.Host, done.Step, done.Elapsed = event.StepDone, host, name, event.Seconds(took)
	t.add(took, done)
}

func (t *tape) write(host, step string, c event.Change) {
	c.ID, c.Door = fmt.Sprintf("nightly-7.%d", len(t.events)+1), event.DoorBMC
	t.add(time.Second, event.Event{Kind: event.WriteMade, Host: host, Step: step, Write: &c})
	t.add(time.Second, event.Event{Kind: event.WriteDone, Host: host, Step: step, Settled: &event.Settled{Change: c.ID, Fate: event.Done}})
}

func (t *tape) end(host string, s event.Status, c event.Counts, remark string, left *event.Left) {
	t.add(time.Second, event.Event{Kind: event.HostDone, Host: host, Status: s, Counts: &c, Text: remark, Left: left})
}

func (t *tape) finish(s event.Summary) []event.Event {
	s.Exit = s.ExitCode()
	t.add(time.Second, event.Event{Kind: event.RunDone, Summary: &s})
	return t.events
}

func status(s event.Status) event.Event { return event.Event{Status: s} }

func image(host string) string { return "http://172.20.17.20/iso/3f9a1c07/" + host + ".iso" }

var proven = &event.Verdict{Proven: true, Ended: true, Seeks: true, Version: "8.0.3", Build: "24022510", Evidence: []string{
	"the certificate on 172.20.18.95 is a new one",
	"installed 2026-01-14 09:41:07, after the reset at 09:31:12",
	"serial number 7XQ4T93, as the BMC reports",
	"the BMC read 418.2 MB of the image after the reset → the installer was loaded",
}}

// sixHosts has one host for each way to end.
func sixHosts(zone *time.Location) []event.Event {
	t := newTape(zone)
	t.begin(event.PlanInfo{Hosts: []string{"dell-01", "dell-02", "hpe-01", "hpe-02", "lenovo-01", "lenovo-02"}, Note: "placeholders: image esxi is a generated one"})
	t.host("dell-01")
	t.step("dell-01", "login", 1200*time.Millisecond, event.Event{Status: event.OK, Result: json.RawMessage(`{"model":"PowerEdge R750","serial":"7XQ4T93"}`)})
	t.step("dell-01", "installed", 0, event.Event{Status: event.OK, Text: "done_when is true"})
	t.end("dell-01", event.OK, event.Counts{OK: 2}, "", nil)
	provenHost(t)
	failedHost(t)
	t.host("hpe-02")
	t.add(0, event.Event{Kind: event.StepStarted, Host: "hpe-02", Step: "login", Attempt: 1})
	closed := &event.Problem{Summary: "GET /redfish/v1/: the BMC closed the connection without an answer"}
	t.add(time.Second, event.Event{Kind: event.Retried, Host: "hpe-02", Step: "login", Attempt: 2, Delay: event.Seconds(5 * time.Second), Problem: closed})
	last := &event.Problem{Summary: closed.Summary, Next: "Check that the address is that of a BMC and that its web server is on.", At: "rack7.hcl:85:1"}
	t.done("hpe-02", "login", 6*time.Second, event.Event{Status: event.Unreachable, Problem: last})
	t.end("hpe-02", event.Unreachable, event.Counts{Unreach: 1, Retried: 1}, "", nil)
	t.end("lenovo-01", event.Skipped, event.Counts{}, "protected", nil)
	t.end("lenovo-02", event.NotRun, event.Counts{}, "failed before in this run, in step login; --retry-failed tries it again", nil)
	return t.finish(event.Summary{Hosts: map[event.Status]int{event.OK: 1, event.Changed: 1, event.Failed: 1, event.Unreachable: 1, event.Skipped: 1, event.NotRun: 1}})
}

// provenHost is a host whose way is long: a warning, a second form of a write, progress.
func provenHost(t *tape) {
	const host = "dell-02"
	t.host(host)
	t.step(host, "login", 900*time.Millisecond, status(event.OK))
	t.add(0, event.Event{Kind: event.Warned, Host: host, Step: "login", Text: "the clock of the BMC is 4 minutes slow: times in its own log differ from those of this run by as much"})
	t.write(host, "installer_cd", event.Change{Verb: event.Insert, Target: "slot 1", New: image(host), Risk: event.Mounts})
	t.write(host, "installer_cd", event.Change{Verb: event.Insert, Target: "slot 1", New: image(host), Risk: event.Mounts, Repeat: true})
	t.done(host, "installer_cd", 2300*time.Millisecond, status(event.Changed))
	t.write(host, "restart", event.Change{Verb: event.Reset, Target: "power", Old: "On", New: "ForceRestart", Risk: event.Reboots, Intent: event.Intent{Boots: true, Installs: true}})
	t.done(host, "restart", 9*time.Second, status(event.Changed))
	t.add(time.Second, event.Event{Kind: event.StepStarted, Host: host, Step: "installed", Attempt: 1})
	t.add(time.Minute, event.Event{Kind: event.Progressed, Host: host, Step: "installed", Text: "no answer yet", Progress: &event.Progress{Done: 61 << 20, Total: 418 << 20}})
	t.done(host, "installed", 7*time.Minute+33*time.Second, event.Event{Status: event.Changed, Verdict: proven})
	t.end(host, event.Changed, event.Counts{OK: 1, Changed: 3}, "", &event.Left{Mounted: []string{image(host)}, Boots: "cd"})
}

// failedHost boots its old disk; its message holds what must not reach a terminal.
func failedHost(t *tape) {
	const host = "hpe-01"
	t.host(host)
	t.step(host, "login", 1*time.Second, status(event.OK))
	t.step(host, "leftovers", 400*time.Millisecond, event.Event{Status: event.Ignored, Problem: &event.Problem{Summary: "slot 2 cannot be emptied: \x1b[31mmedia is in use\x1b[0m"}})
	t.step(host, "installed", 44*time.Minute+59*time.Second, event.Event{Status: event.Failed,
		Problem: &event.Problem{Summary: "Gave up after 44m59s: the old ESXi still answers on 172.20.18.96: it shows the same certificate as before the reset",
			Detail: "The image was never read in the 44m58s since the reset. Its BMC says: power state On, slot 2 holds " + image(host),
			Next:   "The machine booted something else: look at its boot order and at the BMC's boot override, then mount and restart again.", At: "rack7.hcl:133:1"},
		Verdict: &event.Verdict{Ended: true, Seeks: true, Reason: "the old ESXi still answers"}})
	t.end(host, event.Failed, event.Counts{OK: 1, Ignored: 1, Failed: 1}, "", nil)
}

const kickstartText = "accepteula\ninstall --disk=\"naa.5001ac37f330a33b\" --overwritevmfs\nnetwork --bootproto=static --ip=172.20.18.95\nreboot\n%pre --interpreter=busybox\nexit 1\n"

// dryRun has a host that would be written to, and one that would not.
func dryRun(zone *time.Location) []event.Event {
	t := newTape(zone)
	t.begin(event.PlanInfo{Hosts: []string{"dell-01", "dell-02"}, DryRun: true})
	t.host("dell-01")
	for _, e := range []event.Event{
		{Step: "installer", Write: &event.Change{Verb: event.Publish, Target: "image", New: image("dell-01"), Makes: &event.Medium{Kickstart: kickstartText}}},
		{Step: "installer_cd", Write: &event.Change{Verb: event.Insert, Target: "slot 1", New: image("dell-01"), Risk: event.Mounts}},
		{Step: "installer_cd", Write: &event.Change{Verb: event.Insert, Target: "slot 1", New: image("dell-01"), Risk: event.Mounts, Repeat: true}},
		{Step: "restart", Write: &event.Change{Verb: event.Reset, Target: "power", Old: "On", New: "ForceRestart", Risk: event.Wipes}},
	} {
		t.write("dell-01", e.Step, *e.Write)
		t.done("dell-01", e.Step, time.Second, status(event.Changed))
	}
	t.step("dell-01", "installed", 0, event.Event{Status: event.Skipped, Text: "decided during the run"})
	t.end("dell-01", event.Changed, event.Counts{Changed: 3, Skipped: 1}, "", &event.Left{Installing: t.now})
	t.host("dell-02")
	t.step("dell-02", "login", time.Second, status(event.OK))
	t.add(0, event.Event{Kind: event.WriteMade, Host: "dell-02", Step: "login", Write: &event.Change{Verb: event.Reset, Target: "power", Old: "Off", New: "On", Found: true}})
	t.end("dell-02", event.OK, event.Counts{OK: 1}, "", nil)
	return t.finish(event.Summary{Hosts: map[event.Status]int{event.OK: 1, event.Changed: 1}})
}

// interrupted stops while one host installs, one is powered off for its restart and one
// has not begun.
func interrupted(zone *time.Location) []event.Event {
	t := newTape(zone)
	t.begin(event.PlanInfo{Hosts: []string{"dell-01", "dell-02", "dell-03", "dell-04"}, Serves: true,
		Commands: event.Commands{Continue: "esxiplan run rack7.hcl --start-at installed", Resume: "esxiplan run rack7.hcl --run nightly-7", Eject: "esxiplan do eject rack7.hcl"}})
	t.host("dell-01")
	t.write("dell-01", "restart", event.Change{Verb: event.Reset, Target: "power", Old: "On", New: "ForceRestart", Risk: event.Wipes})
	since := t.now
	t.done("dell-01", "restart", 9*time.Second, status(event.Changed))
	t.host("dell-02")
	t.write("dell-02", "restart", event.Change{Verb: event.Reset, Target: "power", Old: "On", New: "ForceOff", Risk: event.Wipes})
	t.add(time.Minute, event.Event{Kind: event.Warned, Text: "this run serves the images of installations that are under way (dell-01): it continues until they are done. Press Ctrl-C again to stop now; that breaks these installations"})
	t.done("dell-02", "restart", 40*time.Second, event.Event{Status: event.NotRun, Text: "interrupted after 1 write; see the log of the run, and run the step again to finish it"})
	t.end("dell-02", event.NotRun, event.Counts{Changed: 1}, "interrupted", &event.Left{Installing: since, Off: true, Mounted: []string{image("dell-02")}})
	t.done("dell-01", "installed", 80*time.Second, event.Event{Status: event.NotRun, Text: "interrupted"})
	t.end("dell-01", event.NotRun, event.Counts{Changed: 1}, "interrupted", &event.Left{Installing: since})
	t.host("dell-03")
	t.step("dell-03", "installer_cd", time.Second, status(event.Changed))
	t.end("dell-03", event.NotRun, event.Counts{Changed: 1}, "interrupted", &event.Left{Mounted: []string{image("dell-03")}})
	t.end("dell-04", event.NotRun, event.Counts{}, "interrupted", nil)
	return t.finish(event.Summary{Hosts: map[event.Status]int{event.NotRun: 4}, Interrupted: true})
}

// diskFull stops as its log cannot be written.
func diskFull(zone *time.Location) []event.Event {
	t := newTape(zone)
	t.begin(event.PlanInfo{Hosts: []string{"dell-01", "dell-02"}, Commands: event.Commands{Resume: "esxiplan run rack7.hcl --run nightly-7", Show: "esxiplan runs show nightly-7 rack7.hcl", Retry: "esxiplan run rack7.hcl --only-failed"}})
	for _, host := range []string{"dell-01", "dell-02"} {
		t.host(host)
		t.step(host, "login", time.Second, status(event.OK))
		t.end(host, event.NotRun, event.Counts{OK: 1}, "interrupted", nil)
	}
	return t.finish(event.Summary{Hosts: map[event.Status]int{event.NotRun: 2},
		Internal: "the log .esxiplan/runs/nightly-7.jsonl cannot be written: no space left on device; make room or repair the disk, then continue the run"})
}

// manyHosts are more than the recap has a row for each.
func manyHosts(zone *time.Location) []event.Event {
	t := newTape(zone)
	var names []string
	for i := range 45 {
		names = append(names, fmt.Sprintf("h%02d", i+1))
	}
	t.begin(event.PlanInfo{Hosts: names})
	for i, host := range names {
		t.host(host)
		if i == 20 {
			t.step(host, "login", time.Second, event.Event{Status: event.Unreachable, Problem: &event.Problem{Summary: "no answer within 30s", Next: "Check the BMC's address and its network."}})
			t.end(host, event.Unreachable, event.Counts{Unreach: 1}, "", nil)
			continue
		}
		t.step(host, "installed", 0, event.Event{Status: event.Changed, Verdict: &event.Verdict{Proven: true, Version: "8.0.3", Build: "24022510"}})
		left := &event.Left{}
		if i < 5 {
			left.Mounted = []string{image(host)}
		}
		t.end(host, event.Changed, event.Counts{OK: 2, Changed: 5}, "", left)
	}
	return t.finish(event.Summary{Hosts: map[event.Status]int{event.Changed: 44, event.Unreachable: 1}})
}

// continued is a stage whose first half was shown by the process that was killed.
func continued(zone *time.Location) tale {
	t := newTape(zone)
	t.begin(event.PlanInfo{Hosts: []string{"dell-01", "dell-02", "dell-03"}})
	for _, host := range []string{"dell-01", "dell-02"} {
		t.host(host)
		t.step(host, "restart", 9*time.Second, status(event.Changed))
	}
	t.done("dell-01", "installed", 8*time.Minute, event.Event{Status: event.Changed, Verdict: proven})
	t.end("dell-01", event.Changed, event.Counts{Changed: 2}, "", nil)
	t.host("dell-03")
	t.step("dell-03", "login", time.Second, event.Event{Status: event.Failed, Problem: &event.Problem{Summary: "the BMC is busy"}})
	earlier := len(t.events)
	t.step("dell-03", "login", time.Second, status(event.OK))
	t.end("dell-03", event.OK, event.Counts{OK: 1}, "", nil)
	t.step("dell-02", "installed", 5*time.Minute, event.Event{Status: event.Changed, Verdict: proven})
	t.end("dell-02", event.Changed, event.Counts{Changed: 2}, "", nil)
	events := t.finish(event.Summary{Hosts: map[event.Status]int{event.Changed: 2, event.OK: 1}})
	return tale{"continued", events[:earlier], events[earlier:]}
}

// overBudget ends as more hosts failed than the plan allows.
func overBudget(zone *time.Location) []event.Event {
	t := newTape(zone)
	t.begin(event.PlanInfo{Hosts: []string{"dell-01", "dell-02"}, Commands: event.Commands{Resume: "esxiplan run rack7.hcl --run nightly-7", Show: "esxiplan runs show nightly-7 rack7.hcl", Retry: "esxiplan run rack7.hcl --only-failed"}})
	t.host("dell-01")
	t.add(0, event.Event{Kind: event.Diagnosed, Host: "dell-01", Problem: &event.Problem{Summary: "Unsuitable disk", Detail: "2 disks match"}})
	t.step("dell-01", "login", time.Second, event.Event{Status: event.Failed, Problem: &event.Problem{Summary: "refused (disk): 2 disks match", Next: "Name one by its serial number."}})
	t.end("dell-01", event.Failed, event.Counts{Failed: 1}, "", nil)
	t.end("dell-02", event.NotRun, event.Counts{}, "held back by the failure budget", nil)
	return t.finish(event.Summary{Hosts: map[event.Status]int{event.Failed: 1, event.NotRun: 1}, Budget: true})
}

package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// about is what the events of the runs here do not say.
var about = About{Version: "0.1.0", By: "ci@builder (nightly 7)", Command: "esxiplan run rack7.hcl --tags reboot"}

// steps are those of the runs here, with their types.
var steps = []struct{ name, kind string }{{"login", "precheck"}, {"installer_cd", "insert"}, {"restart", "power"}, {"installed", "wait"}}

// tape records the events of a run, each with the next number and a time after the last one.
type tape struct {
	now    time.Time
	events []event.Event
}

// begin begins a run with hosts.
func begin(hosts ...string) *tape {
	t := &tape{now: time.Date(2026, 1, 14, 9, 30, 0, 0, time.UTC)}
	p := &event.PlanInfo{Name: "rack7", Files: []string{"rack7.hcl"}, Hosts: hosts, Types: map[string]string{}, Of: len(hosts), Commands: event.Commands{
		Continue: "esxiplan run rack7.hcl --start-at installed", Resume: "esxiplan run rack7.hcl --run nightly-7 --resume", Show: "esxiplan runs show nightly-7 rack7.hcl",
		Retry: "esxiplan run rack7.hcl --only-failed", Eject: "esxiplan do eject rack7.hcl", PowerOn: "esxiplan do power rack7.hcl action=on"}}
	for _, s := range steps {
		p.Steps = append(p.Steps, s.name)
		p.Types[s.name] = s.kind
	}
	t.add(0, event.Event{Kind: event.RunStarted, Plan: p})
	return t
}

func (t *tape) add(after time.Duration, e event.Event) {
	t.now = t.now.Add(after)
	for _, s := range steps {
		if s.name == e.Step {
			e.Type = s.kind
		}
	}
	e.Schema, e.Seq, e.Time, e.Run = event.Schema, uint64(len(t.events)+1), t.now, "nightly-7"
	t.events = append(t.events, e)
}

func (t *tape) host(name string) {
	t.add(time.Second, event.Event{Kind: event.HostStarted, Host: name, Group: "dell", Machine: "https://bmc-" + name + "/redfish/v1"})
}

// step is a step that ended after a while.
func (t *tape) step(host, name string, took time.Duration, done event.Event) {
	t.add(time.Second, event.Event{Kind: event.StepStarted, Host: host, Step: name, Attempt: 1})
	done.Kind, done.Host, done.Step, done.Elapsed = event.StepDone, host, name, event.Seconds(took)
	t.add(took, done)
}

func (t *tape) write(host, step string, c event.Change, fate event.Fate) {
	c.ID, c.Door = fmt.Sprintf("nightly-7.%d", len(t.events)+1), event.DoorBMC
	t.add(time.Second, event.Event{Kind: event.WriteMade, Host: host, Step: step, Write: &c})
	t.add(time.Second, event.Event{Kind: event.WriteDone, Host: host, Step: step, Settled: &event.Settled{Change: c.ID, Fate: fate}})
}

func (t *tape) phase(host string, p event.Phase, evidence string) {
	t.add(time.Minute, event.Event{Kind: event.Phased, Host: host, Step: "installed", Phase: &event.Entered{Phase: p, Evidence: evidence}})
}

func (t *tape) end(host string, s event.Status, left event.Left, remark string) {
	t.add(time.Second, event.Event{Kind: event.HostDone, Host: host, Status: s, Counts: &event.Counts{OK: 1, Changed: 2}, Left: &left, Text: remark})
}

func (t *tape) finish(s event.Summary) []event.Event {
	s.Exit = s.ExitCode()
	t.add(time.Second, event.Event{Kind: event.RunDone, Summary: &s})
	return t.events
}

// restart is a reset into the installer.
var restart = event.Change{Verb: event.Reset, Target: "power", Old: "On", New: "ForceRestart", Risk: event.Wipes, Intent: event.Intent{Boots: true, Installs: true}}

// failure is what the BMC of a failed host answered, with details that people look for.
func failure(host string) *event.Problem {
	return &event.Problem{Summary: "Insert media into slot 1: the BMC cannot reach the image's URL (POST /redfish/v1/Managers/1/VirtualMedia/1/Actions/VirtualMedia.InsertMedia: 400 CouldNotEstablishConnection)",
		Detail: "The URL is http://172.20.17.20/iso/3f9a1c07/" + host + ".iso.", Next: "Check route, firewall and name resolution from the BMC to the image's URL.", At: "rack7.hcl:85:1",
		Answer: &event.Answer{Request: "POST /redfish/v1/Managers/1/VirtualMedia/1/Actions/VirtualMedia.InsertMedia", Status: 400,
			Body: `{"error":{"code":"Base.1.8.GeneralError","message":"See @Message.ExtendedInfo","@Message.ExtendedInfo":[{"MessageId":"Base.1.8.CouldNotEstablishConnection","Message":"The service failed to establish a connection with the URI http://172.20.17.20/iso/3f9a1c07/` + host + `.iso.","Severity":"Critical"}]}}`}}
}

// proven is a host whose new installation is proven.
func (t *tape) proven(host string, n int) {
	t.host(host)
	result := fmt.Sprintf(`{"vendor":"dell","model":"PowerEdge R750","serial":"7XQ4T%03d","drives":[]}`, n)
	t.step(host, "login", 1200*time.Millisecond, event.Event{Status: event.OK, Result: json.RawMessage(result)})
	t.add(0, event.Event{Kind: event.Warned, Host: host, Step: "login", Text: fmt.Sprintf("the clock of the BMC is %d minutes slow: times in its own log differ from those of this run by as much", n%7)})
	t.write(host, "installer_cd", event.Change{Verb: event.Insert, Target: "slot 1", New: "http://172.20.17.20/iso/" + fmt.Sprintf("%08x%08x%08x%08x", n*7919, n*104729, n*1299709, n*15485863) + "/" + host + ".iso", Risk: event.Mounts}, event.Done)
	t.step(host, "installer_cd", 2300*time.Millisecond, event.Event{Status: event.Changed})
	t.write(host, "restart", restart, event.Done)
	t.step(host, "restart", 9*time.Second, event.Event{Status: event.Changed})
	t.add(time.Second, event.Event{Kind: event.StepStarted, Host: host, Step: "installed", Attempt: 1})
	for _, p := range event.Phases {
		t.phase(host, p, fmt.Sprintf("the BMC says %s: BootProgress %d, power On, %d.%d MB read of http://172.20.17.20/iso", p, n, n%400, n%10))
	}
	t.step(host, "installed", 0, event.Event{Status: event.Changed, Verdict: &event.Verdict{Proven: true, Ended: true, Seeks: true, Version: "8.0.3", Build: "24022510", Evidence: []string{
		fmt.Sprintf("certificate %012x… is new; before the reset it was %012x…", n*7919+1, n*6007+5),
		fmt.Sprintf("installed 2026-01-14 09:41:%02d by its own clock, after our reset", n%60),
		fmt.Sprintf("UUID 0f499117-f635-4580-88f6-%012x is the one that the BMC reports", n),
		"root has the password of the kickstart", "build 24022510 is the image's",
		fmt.Sprintf("172.20.%d.%d read 418.2 MB of the image after the reset, from 09:33:%02d to 09:38:%02d", n/250, n%250, n%60, (n+7)%60),
	}, Unchecked: []string{"serial number: the BMC reports none"}}})
	t.end(host, event.Changed, event.Left{}, "")
}

// mixed has a host for each standing that matters.
func mixed() []event.Event {
	t := begin("dell-01", "dell-02", "dell-03", "dell-04", "dell-05", "dell-06", "dell-07", "dell-08", "dell.09")
	t.proven("dell-01", 1)
	t.host("dell-02")
	t.step("dell-02", "login", time.Second, event.Event{Status: event.OK})
	t.add(0, event.Event{Kind: event.Retried, Host: "dell-02", Step: "installer_cd", Attempt: 2, Delay: event.Seconds(5 * time.Second), Problem: failure("dell-02").WithoutAnswer()})
	t.step("dell-02", "installer_cd", 6*time.Second, event.Event{Status: event.Failed, Attempt: 2, Problem: failure("dell-02")})
	t.end("dell-02", event.Failed, event.Left{Mounted: []string{"http://172.20.17.20/iso/3f9a1c07/dell-02.iso"}}, "")
	t.host("dell-03")
	t.step("dell-03", "login", 30*time.Second, event.Event{Status: event.Unreachable, Problem: &event.Problem{Summary: "no answer within 30s", Next: "Check the BMC's address and its network."}})
	t.end("dell-03", event.Unreachable, event.Left{}, "")
	t.host("dell-04")
	t.step("dell-04", "login", time.Second, event.Event{Status: event.Failed, Problem: &event.Problem{Summary: "Refused: serial number 7XQ4T99, and the plan says 7XQ4T04", Guard: "serial", Next: "Correct the serial number in the plan."}})
	t.end("dell-04", event.Failed, event.Left{}, "")
	t.end("dell-05", event.Skipped, event.Left{}, "protected")
	t.host("dell-06")
	t.step("dell-06", "login", time.Second, event.Event{Status: event.Ignored, Problem: &event.Problem{Summary: "slot 2 cannot be emptied"}})
	t.write("dell-06", "restart", restart, event.Done)
	since := t.now
	t.step("dell-06", "restart", 9*time.Second, event.Event{Status: event.Changed})
	t.step("dell-06", "installed", 2*time.Minute, event.Event{Status: event.NotRun, Text: "interrupted"})
	t.end("dell-06", event.NotRun, event.Left{Installing: since}, "interrupted")
	t.host("dell-07")
	t.write("dell-07", "restart", restart, event.Unknown)
	t.end("dell-07", event.NotRun, event.Left{Off: true}, "interrupted")
	t.host("dell-08")
	t.step("dell-08", "installed", 44*time.Minute, event.Event{Status: event.Failed, Verdict: &event.Verdict{Ended: true, Seeks: true}, Problem: &event.Problem{Summary: "Gave up after 44m: no ESXi answers on 172.20.18.98"}})
	t.end("dell-08", event.Failed, event.Left{}, "")
	t.end("dell.09", event.NotRun, event.Left{}, "interrupted")
	t.add(0, event.Event{Kind: event.Warned, Text: "this run serves the images of installations that are under way (dell-06)"})
	return t.finish(event.Summary{Hosts: map[event.Status]int{event.Changed: 1, event.Failed: 3, event.Unreachable: 1, event.Skipped: 1, event.NotRun: 3}, Interrupted: true})
}

// fleet is a run of many hosts, of which every tenth fails and every fiftieth is not started.
func fleet(n int) []event.Event {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("rack%02d-host%04d", i/40, i))
	}
	t := begin(names...)
	for i, host := range names {
		switch {
		case i%50 == 49:
			t.end(host, event.NotRun, event.Left{}, "held back by the failure budget")
		case i%10 == 9:
			t.host(host)
			t.step(host, "login", time.Second, event.Event{Status: event.OK})
			t.step(host, "installer_cd", 6*time.Second, event.Event{Status: event.Failed, Problem: failure(host)})
			t.end(host, event.Failed, event.Left{Mounted: []string{"http://172.20.17.20/iso/3f9a1c07/" + host + ".iso"}}, "")
		default:
			t.proven(host, i)
		}
	}
	return t.finish(event.Summary{Hosts: map[event.Status]int{event.Changed: n * 9 / 10, event.Failed: n / 10}, Budget: true})
}

// written is a report of events.
func written(t testing.TB, kind Kind, events []event.Event, about About) string {
	t.Helper()
	r := &Recorder{}
	for _, e := range events {
		r.Event(e)
	}
	var out bytes.Buffer
	if err := r.Write(&out, kind, about); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// golden compares a report with a file of testdata; -update writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	old, now := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(old), len(now)) {
		if old[i] != now[i] {
			t.Fatalf("%s differs at line %d\nwant %s\ngot  %s\n(go test ./cmd/internal/view/report -update rewrites it)", path, i+1, old[i], now[i])
		}
	}
	t.Fatalf("%s differs at its end: %d lines, want %d", path, len(now), len(old))
}

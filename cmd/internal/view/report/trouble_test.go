package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
)

// contains checks what a report has, and what it has not, which begins with "!".
func contains(t *testing.T, kind Kind, events []event.Event, wants ...string) {
	t.Helper()
	got := written(t, kind, events, about)
	for _, want := range wants {
		if text, not := strings.CutPrefix(want, "!"); strings.Contains(got, text) == not {
			t.Errorf("%s: want %q:\n%s", kind, want, got)
		}
	}
}

// TestUnprovenAndIgnored: a plan may ignore that an installation is unproven; all reports give the
// reason and the next action, and it is no success for a CI system.
func TestUnprovenAndIgnored(t *testing.T) {
	tape := begin("a")
	tape.host("a")
	tape.write("a", "restart", restart, event.Done)
	tape.step("a", "restart", time.Second, event.Event{Status: event.Changed})
	tape.step("a", "installed", 44*time.Minute, event.Event{Status: event.Ignored, Verdict: &event.Verdict{Ended: true, Seeks: true},
		Problem: &event.Problem{Summary: "Gave up after 44m: the old ESXi answers", Next: "Look at the boot order.", At: "rack7.hcl:133:1"}})
	tape.end("a", event.Changed, event.Left{Mounted: []string{"http://x/a.iso"}}, "")
	events := tape.finish(event.Summary{Hosts: map[event.Status]int{event.Changed: 1}})
	contains(t, Markdown, events, "#### In trouble\n\n- a: **unproven**: <code>installed (wait): Gave up after 44m: the old ESXi answers; still mounted: ",
		"**Next:** <code>Look at the boot order.</code>", "at <code>rack7.hcl:133:1</code>", "|a|unproven|")
	contains(t, JSON, events, `"reason": "installed (wait): Gave up after 44m: the old ESXi answers; `, `"advice": "Look at the boot order."`)
	contains(t, HTML, events, "installed (wait): Gave up after 44m: the old ESXi answers; still mounted")
	contains(t, JUnit, events, ` failures="0" errors="1" `, `<error type="unproven" message="unproven, which the plan ignores: Gave up after 44m: the old ESXi answers">`)
}

// TestUnprovenThenFailed: a later failure does not hide that the installation is unproven.
func TestUnprovenThenFailed(t *testing.T) {
	tape := begin("a")
	tape.host("a")
	tape.step("a", "installed", time.Minute, event.Event{Status: event.Ignored, Verdict: &event.Verdict{Seeks: true}, Problem: &event.Problem{Summary: "Gave up after 44m"}})
	tape.step("a", "burn", time.Minute, event.Event{Status: event.Failed, Problem: &event.Problem{Summary: "no answer", Next: "Look."}})
	tape.end("a", event.Failed, event.Left{}, "")
	contains(t, JSON, tape.finish(event.Summary{}), `"standing": "unproven"`, `"reason": "installed (wait): Gave up after 44m; burn: no answer"`, `"advice": "Look."`)
}

// TestIgnoredElsewhere: what a plan ignores of another step is no trouble.
func TestIgnoredElsewhere(t *testing.T) {
	tape := begin("a")
	tape.host("a")
	tape.step("a", "login", time.Minute, event.Event{Status: event.Ignored, Problem: &event.Problem{Summary: "slot 2 cannot be emptied"}})
	tape.end("a", event.OK, event.Left{}, "")
	events := tape.finish(event.Summary{})
	contains(t, Markdown, events, "!In trouble")
	contains(t, JUnit, events, `<skipped type="ignored" `, ` errors="0" `)
}

// TestProvenThenFailed: that a host failed after its proof does not take the proof away, in any report.
func TestProvenThenFailed(t *testing.T) {
	tape := begin("a", "b")
	tape.proven("b", 2)
	tape.proven("a", 1)
	tape.events = tape.events[:len(tape.events)-1] // its end
	tape.step("a", "burn", time.Minute, event.Event{Status: event.Failed, Problem: &event.Problem{Summary: "a fan stands still"}})
	tape.end("a", event.Failed, event.Left{}, "")
	events := tape.finish(event.Summary{Hosts: map[event.Status]int{event.Changed: 1, event.Failed: 1}})
	const totals, before = "2 hosts: 1 failed, 1 proven; 2 installations proven", "ESXi 8.0.3 build 24022510 was proven before; burn: a fan stands still"
	contains(t, JUnit, events, before, "not checked: serial number", `<property name="version" value="8.0.3"></property>`, `<property name="unchecked.1" value="serial number: the BMC reports none"></property>`)
	contains(t, Markdown, events, totals, before, "- a: <code>ESXi 8.0.3 build 24022510</code>\n  - <code>certificate ", "- b: <code>ESXi 8.0.3 build 24022510</code>\n")
	contains(t, JSON, events, `"proven": 2,`, before)
	contains(t, HTML, events, totals, before)
	r := &Recorder{}
	for _, e := range events {
		r.Event(e)
	}
	if d := newRun(&r.story, about).data(nil); len(d.Hosts[0].Evidence) == 0 || len(d.Hosts[0].Unchecked) == 0 {
		t.Error("the page has no evidence of a host that failed after its proof")
	}
}

// TestProofIsOver: the proof of an installation that was begun again is none.
func TestProofIsOver(t *testing.T) {
	tape := begin("a")
	tape.proven("a", 1)
	tape.write("a", "restart", restart, event.Done)
	tape.end("a", event.NotRun, event.Left{Installing: tape.now}, "interrupted")
	for _, kind := range []Kind{JUnit, Markdown, JSON} {
		contains(t, kind, tape.events, "!was proven before", "!installations proven", "!1 installation proven", `!"proven": 1`, `!name="version"`)
	}
}

// TestRowsOfHostsThatDiffer: what is said of several hosts in one row is true of all of them, or
// names the one of which it is true.
func TestRowsOfHostsThatDiffer(t *testing.T) {
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprintf("h%02d", i))
	}
	tape := begin(names...)
	for i, host := range names {
		tape.host(host)
		left, problem := event.Left{}, &event.Problem{Summary: fmt.Sprintf("Refused: the machine behind 10.8.0.%d is OTHER%dX", i, i), Guard: "serial"}
		switch {
		case i >= 50:
			problem = &event.Problem{Summary: "Refused: the plan has no serial number", Guard: "serial"}
		case i >= 40:
			left.Mounted = []string{"http://172.20.17.20/iso/3f9a1c07/" + host + ".iso"}
		}
		tape.step(host, "login", time.Second, event.Event{Status: event.Failed, Problem: problem})
		tape.end(host, event.Failed, left, "")
	}
	contains(t, Markdown, tape.finish(event.Summary{}),
		": **refused**: for example h00: <code>refused by the guard serial; login (precheck): Refused: the machine behind 10.8.0.0 is OTHER0X</code>\n",
		": **refused**: for example h40: <code>refused by the guard serial; login (precheck): Refused: the machine behind 10.8.0.40 is OTHER40X; still mounted: ",
		": **refused**: <code>refused by the guard serial; login (precheck): Refused: the plan has no serial number</code>\n")
	installing := begin(names...)
	for i, host := range names {
		installing.host(host)
		installing.write(host, "restart", restart, event.Done)
		installing.phase(host, event.Phases[1+i%2], "")
		installing.end(host, event.NotRun, event.Left{Installing: installing.now}, "interrupted")
	}
	contains(t, Markdown, installing.finish(event.Summary{Interrupted: true}), "for example h00: <code>being installed since ", "last seen in POST", "for example h01: <code>being installed since ", "last seen booting the medium")
}

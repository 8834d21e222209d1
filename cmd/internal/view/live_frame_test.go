package view

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// phased is a host that was restarted into the installer and was seen in a phase; earlier
// installations say how long it takes from there.
func (t *tape) phased(host string, p event.Phase, evidence string, expected *event.Expected) {
	t.host(host)
	t.step(host, "login", time.Second, status(event.OK))
	t.write(host, "restart", event.Change{Verb: event.Reset, Target: "power", Old: "On", New: "ForceRestart", Risk: event.Wipes, Intent: event.Intent{Boots: true, Installs: true}})
	t.done(host, "restart", 9*time.Second, status(event.Changed))
	t.add(time.Second, event.Event{Kind: event.StepStarted, Host: host, Step: "installed", Attempt: 1})
	t.add(time.Second, event.Event{Kind: event.Phased, Host: host, Step: "installed", Phase: &event.Entered{Phase: p, Evidence: evidence, Expected: expected}})
}

func (t *tape) read(host string, percent int64) {
	for _, p := range []int64{percent - 5, percent} {
		t.add(5*time.Second, event.Event{Kind: event.Progressed, Host: host, Step: "installed", Text: "bytes of the image read", Progress: &event.Progress{Done: p * 4 << 20, Total: 400 << 20}})
	}
}

// earlier are installations that were fast and slow.
var earlierRuns = &event.Expected{Runs: 4, Median: event.Seconds(23 * time.Minute), Low: event.Seconds(19 * time.Minute), High: event.Seconds(26 * time.Minute)}

// fleet is a run of so many hosts, of which the first half has begun: a tenth of the hosts is proven, one in
// twenty has failed, a quarter installs, a few do other things, and the rest waits.
func fleet(zone *time.Location, hosts int) *tape {
	t := newTape(zone)
	var names []string
	for i := range hosts {
		names = append(names, fmt.Sprintf("h%04d", i))
	}
	t.begin(event.PlanInfo{Hosts: names, Commands: event.Commands{Show: "esxiplan runs show nightly-7 rack7.hcl", Retry: "esxiplan run rack7.hcl --only-failed"}})
	began := t.now
	for i, host := range names[:max(3, hosts/2)] {
		t.now = began.Add(time.Duration(i) * time.Second) // side by side
		switch i % 20 {
		case 0:
			t.phased(host, event.PhaseReading, "127.0.0.1 read 241.0 MB of the image", earlierRuns)
			t.read(host, 62)
		case 1:
			t.phased(host, event.PhasePost, "the BMC reports POST: MemoryInitializationStarted", nil)
		case 2:
			t.host(host)
			t.step(host, "login", time.Second, status(event.OK))
			t.add(time.Second, event.Event{Kind: event.StepStarted, Host: host, Step: "installer_cd", Attempt: 1})
			t.add(time.Second, event.Event{Kind: event.Retried, Host: host, Step: "installer_cd", Attempt: 2, Delay: event.Seconds(5 * time.Second), Problem: &event.Problem{Summary: "the BMC answers 503"}})
		case 3, 4, 5, 6:
			t.host(host)
			t.proves(host)
		case 7:
			t.host(host)
			t.fails(host, "login", time.Second, event.Unreachable, event.Problem{Summary: "no answer within 30s", Next: "Check the BMC's address and its network."})
		case 8:
			t.host(host)
			t.add(time.Second, event.Event{Kind: event.StepStarted, Host: host, Step: "installed", Attempt: 1})
			t.unproven(host, "the image was never read", "Look at its boot order.")
		default:
			t.phased(host, event.PhaseInstaller, "127.0.0.1 read 388.1 MB of the image, up to its last module", earlierRuns)
		}
	}
	return t
}

// fleetUnderWay are the events of a fleet of which nothing has ended yet but what fails or is
// proven early.
func fleetUnderWay(zone *time.Location, hosts int) []event.Event { return fleet(zone, hosts).events }

func (t *tape) proves(host string) {
	t.done(host, "installed", 8*time.Minute, event.Event{Status: event.Changed, Verdict: proven})
	t.end(host, event.Changed, event.Counts{Changed: 4}, "", nil)
}

func (t *tape) fails(host, step string, after time.Duration, s event.Status, p event.Problem) {
	t.step(host, step, after, event.Event{Status: s, Problem: &p})
	counts := event.Counts{Failed: 1}
	if s == event.Unreachable {
		counts = event.Counts{Unreach: 1}
	}
	t.end(host, s, counts, "", nil)
}

// unproven ends the wait for an installation, after ten minutes.
func (t *tape) unproven(host, why, next string) {
	t.done(host, "installed", 10*time.Minute, event.Event{Status: event.Failed, Verdict: &event.Verdict{Seeks: true},
		Problem: &event.Problem{Summary: "Gave up after 10 minutes: " + why, Next: next}})
	t.end(host, event.Failed, event.Counts{Failed: 1}, "", nil)
}

// trouble lets hosts that are at work fail in each way there is, once: the first two are in the middle
// of their installation, the others begin. A run of fewer than five hosts has the first two.
func (t *tape) trouble(hosts int) {
	t.now = t.events[0].Time
	t.unproven("h0000", "the image was read up to 259 MB and then no further; the installer waits for its medium", "Look at the link between the BMC and this machine.")
	t.fails("h0002", "installer_cd", time.Second, event.Failed, event.Problem{Summary: "POST /redfish/v1/Managers/1/VirtualMedia/CD/Actions/VirtualMedia.InsertMedia: the BMC answers 503 Service Unavailable", Next: "Restart the BMC."})
	if hosts < 5 {
		return
	}
	first := max(3, hosts/2) // that waits
	next := func(i int) string {
		host := fmt.Sprintf("h%04d", first+i)
		t.host(host)
		return host
	}
	t.fails(next(0), "login", 2*time.Second, event.Failed, event.Problem{Summary: "Refused: the machine is in use: 2 virtual machines run on it (build-agent-1, build-agent-2)", Guard: "in use", Next: "Move its virtual machines away."})
	t.fails(next(1), "login", 2*time.Second, event.Failed, event.Problem{Summary: "Refused: unproven: no reset of this machine by us is on record", Guard: "proof", Next: "Restart it first."})
	t.fails(next(2), "login", 2*time.Second, event.Unreachable, event.Problem{Summary: "dial tcp 10.8.1.20:443: connect: no route to host", Next: "Check the BMC's address and its network."})
	off := next(3)
	t.write(off, "restart", event.Change{Verb: event.Reset, Target: "power", Old: "On", New: "ForceOff", Risk: event.Wipes})
	t.done(off, "restart", 20*time.Second, event.Event{Status: event.Failed, Problem: &event.Problem{Summary: "the machine does not start: 电源故障 (power supply fault)"}})
	t.end(off, event.Failed, event.Counts{Failed: 1}, "", &event.Left{Off: true})
	lost := next(4)
	t.write(lost, "restart", event.Change{Verb: event.Reset, Target: "power", Old: "On", New: "ForceRestart", Risk: event.Wipes, Intent: event.Intent{Boots: true, Installs: true}})
	since := t.now
	t.step(lost, "installed", 30*time.Second, event.Event{Status: event.Unreachable, Problem: &event.Problem{Summary: "the session with the BMC was lost"}})
	t.end(lost, event.Unreachable, event.Counts{Unreach: 1}, "", &event.Left{Installing: since})
}

// over lets all hosts that are still at work be proven, and those that have not begun be skipped
// or proven in turn; then the run ends.
func (t *tape) over() []event.Event {
	s := story.Story{}
	for _, e := range t.events {
		s.Event(e)
	}
	from := t.now
	for i, h := range s.Hosts {
		t.now = from.Add(time.Duration(i) * time.Second)
		switch {
		case h.Status != "":
		case h.Began.IsZero() && i%2 == 0:
			t.end(h.Name, event.Skipped, event.Counts{}, "protected", nil)
		default:
			t.host(h.Name)
			t.proves(h.Name)
		}
	}
	t.now = from.Add(10*time.Minute + time.Duration(len(s.Hosts))*time.Second)
	return t.finish(summed(t.events))
}

// summed counts how the hosts of a run ended.
func summed(events []event.Event) event.Summary {
	ended := map[string]event.Status{}
	for _, e := range events {
		if e.Kind == event.HostDone {
			ended[e.Host] = e.Status
		}
	}
	sum := event.Summary{Hosts: map[event.Status]int{}}
	for _, s := range ended {
		sum.Hosts[s]++
	}
	return sum
}

// still is a live view of which frames are asked for one by one: no program draws it. Its clock
// stands 12 minutes after the run began, or at the last event if that is later. The time is real, but that of a test with synctest.
func still(events []event.Event, s Streams) *live {
	if s.Out == nil {
		s.Out = io.Discard
	}
	s.Err, s.Screen = io.Discard, &Screen{Keys: os.Stdin}
	now := events[0].Time.Add(12 * time.Minute)
	if last := events[len(events)-1].Time; last.After(now) {
		now = last
	}
	s.Now = func() time.Time { return now }
	l := newLive(&s)
	l.drawing = true // lines stay above, and no program begins
	close(l.over)
	for _, e := range events {
		l.Event(e)
	}
	return l
}

// seen is the frame on a terminal of this size.
func (l *live) seen(width, height int) string {
	m, _ := model{l}.Update(tea.WindowSizeMsg{Width: width, Height: height})
	return m.View()
}

// drawn is the frame of a run after these events.
func drawn(events []event.Event, s Streams, l look, width, height int) string {
	v := still(events, s)
	v.look = l
	return v.seen(width, height)
}

// sizes of terminals, in columns and lines.
var sizes = [][2]int{{80, 24}, {160, 50}}

// TestFrames: what is seen of runs of several sizes, in terminals of several sizes: while all
// goes well but for some, and after hosts failed in every way.
func TestFrames(t *testing.T) {
	for _, hosts := range []int{3, 60, 1000} {
		failure := fleet(time.Local, hosts)
		failure.trouble(hosts)
		for name, events := range map[string][]event.Event{"frames": fleetUnderWay(time.Local, hosts), "frames.failure": failure.events} {
			synctest.Test(t, func(t *testing.T) {
				var all strings.Builder
				for _, size := range sizes {
					fmt.Fprintf(&all, "==== %d hosts, %dx%d\n%s\n", hosts, size[0], size[1], drawn(events, Streams{}, look{}, size[0], size[1]))
				}
				golden(t, fmt.Sprintf("%s.%d", name, hosts), all.String())
			})
		}
	}
}

// TestFramesAtTheEnd: the last frame of a run, and what stays on the terminal after it: the
// lines above the frame, no frame, the recap.
func TestFramesAtTheEnd(t *testing.T) {
	for _, hosts := range []int{3, 60, 1000} {
		run := fleet(time.Local, hosts)
		run.trouble(hosts)
		events := run.over()
		synctest.Test(t, func(t *testing.T) {
			var all strings.Builder
			for _, size := range sizes {
				var out bytes.Buffer
				last := drawn(events[:len(events)-1], Streams{}, look{}, size[0], size[1])
				v := still(events, Streams{Out: &out, Width: size[0]})
				if frame := v.seen(size[0], size[1]); frame != "" {
					t.Errorf("%d hosts: this frame stays after the end:\n%s", hosts, frame)
				}
				v.Close()
				stays := append(v.above, strings.Split(strings.TrimSpace(out.String()), "\n")...)
				fmt.Fprintf(&all, "==== %d hosts, %dx%d, the last frame\n%s\n==== what stays\n%s\n", hosts, size[0], size[1], last, strings.Join(folded40(stays), "\n"))
			}
			golden(t, fmt.Sprintf("frames.end.%d", hosts), all.String())
		})
	}
}

// folded40 are the first and the last twenty lines, where there are more.
func folded40(lines []string) []string {
	if len(lines) <= 40 {
		return lines
	}
	return slices.Concat(lines[:20], []string{fmt.Sprintf("(%d lines)", len(lines)-40)}, lines[len(lines)-20:])
}

// TestFramesAfterResize: one view in a terminal that becomes smaller and larger. Back at the
// first size it shows what it did before.
func TestFramesAfterResize(t *testing.T) {
	run := fleet(time.Local, 60)
	run.trouble(60)
	synctest.Test(t, func(t *testing.T) {
		v := still(run.events, Streams{})
		var all strings.Builder
		frames := map[[2]int]string{}
		for _, size := range [][2]int{{160, 50}, {80, 24}, {160, 50}, {20, 6}, {0, 0}, {40, 12}, {10, 3}, {300, 30}, {80, 24}} {
			frame := v.seen(size[0], size[1])
			if before := frames[size]; before != "" && frame != before {
				t.Errorf("%dx%d again:\n%s\nbefore:\n%s", size[0], size[1], frame, before)
			} else if before == "" {
				fmt.Fprintf(&all, "==== %dx%d\n%s\n", size[0], size[1], frame)
			}
			frames[size] = frame
		}
		golden(t, "frames.resize", all.String())
	})
}

// TestLooks: what the keys show, on several kinds of terminal.
func TestLooks(t *testing.T) {
	events := fleetUnderWay(time.Local, 60)
	var all strings.Builder
	for _, c := range []struct {
		name string
		Streams
		look
	}{
		{name: "failed only", look: look{failed: true}},
		{name: "filter, typed", look: look{filter: "h002", typing: true}},
		{name: "filter, kept", look: look{filter: "reading"}},
		{name: "filter without a match", look: look{filter: "nobody"}},
		{name: "unfolded", look: look{chosen: "h0020", open: true}},
		{name: "a failed host unfolded", look: look{chosen: "h0008", open: true, failed: true}},
		{name: "asked whether to stop", look: look{asking: true}},
		{name: "held, chosen", look: look{chosen: "h0001", held: true}},
		{name: "help", look: look{help: true}},
		{name: "ASCII", look: look{chosen: "h0000", open: true}, Streams: Streams{ASCII: true}},
		{name: "colour", look: look{chosen: "h0000"}, Streams: Streams{ColorErr: true}},
	} {
		synctest.Test(t, func(*testing.T) {
			fmt.Fprintf(&all, "==== %s\n%s\n", c.name, drawn(events, c.Streams, c.look, 80, 24))
		})
	}
	golden(t, "frames.looks", all.String())
}

// hostile is a run with long names, wide characters, and more kinds of hosts than a line has room for.
func hostile(zone *time.Location) []event.Event {
	t := newTape(zone)
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("rack7-dell-r750-chassis.%02d.dc1.example.com", i))
	}
	t.begin(event.PlanInfo{Hosts: names})
	for i, host := range names[:30] {
		switch i % 3 {
		case 0:
			t.phased(host, event.PhaseReading, "从 127.0.0.1 读取 → 安装程序", earlierRuns)
		case 1:
			t.host(host)
			t.fails(host, "login", time.Second, event.Failed, event.Problem{Summary: strings.Repeat("电源故障→", 40)})
		case 2:
			t.host(host)
			t.write(host, "restart", event.Change{Verb: event.Reset, Target: "power", Old: "On", New: "ForceRestart"})
			t.add(time.Second, event.Event{Kind: event.StepStarted, Host: host, Step: "a_step_with_a_very_long_name_indeed", Attempt: 120})
		}
	}
	return t.events
}

// TestFramesKeepToTheTerminal: a frame is never wider nor higher than the terminal, an ASCII
// terminal gets ASCII, without colours there is no escape sequence, and where hosts failed, one
// of them is seen and counted.
func TestFramesKeepToTheTerminal(t *testing.T) {
	failure := fleet(time.Local, 60)
	failure.trouble(60)
	for _, events := range [][]event.Event{failure.events, hostile(time.Local), {failure.events[0]}} {
		for _, s := range []Streams{{ASCII: true}, {}} {
			for _, l := range []look{{}, {failed: true}, {filter: "h00"}, {filter: "no host 电", typing: true}, {filter: strings.Repeat("long ", 20)},
				{chosen: "h0020", open: true}, {chosen: "h0008", open: true, failed: true}, {help: true}, {asking: true}, {held: true}} {
				v := still(events, s)
				v.look = l
				for _, width := range []int{10, 20, 33, 40, 79, 80, 110, 160, 300} {
					for _, height := range []int{3, 4, 5, 6, 10, 24, 50, 80} {
						keepsTo(t, v, width, height)
					}
				}
			}
		}
	}
}

// keepsTo checks a frame against the size of its terminal.
func keepsTo(t *testing.T, v *live, width, height int) {
	t.Helper()
	frame := v.seen(width, height)
	what := fmt.Sprintf("%dx%d, %+v, ASCII %v", width, height, v.look, v.s.ASCII)
	lines := strings.Split(frame, "\n")
	if len(lines) > height {
		t.Errorf("%s: %d lines\n%s", what, len(lines), frame)
	}
	for _, line := range lines {
		if ansi.StringWidth(line) > width {
			t.Errorf("%s: %d columns: %s", what, ansi.StringWidth(line), line)
		}
	}
	beyond := func(r rune) bool { return r < ' ' && r != '\n' || r > '~' && v.s.ASCII }
	if i := strings.IndexFunc(frame, beyond); i >= 0 {
		t.Errorf("%s: %q", what, frame[i:min(len(frame), i+8)])
	}
	if failed := v.board.troubles; len(failed) > 0 && v.look == (look{}) && !strings.Contains(frame, v.frame(time.Now()).glyph("✗", "x ")) {
		t.Errorf("%s: no host that failed is seen:\n%s", what, frame)
	}
}

// TestBarShowsOneFailure: one host of a thousand that failed is seen in the bar.
func TestBarShowsOneFailure(t *testing.T) {
	run := newTape(time.Local)
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("h%04d", i)
	}
	run.begin(event.PlanInfo{Hosts: names})
	run.host("h0007")
	run.fails("h0007", "login", time.Second, event.Failed, event.Problem{Summary: "no"})
	if frame := drawn(run.events, Streams{}, look{}, 80, 24); !strings.Contains(frame, "▓░") {
		t.Errorf("the bar hides it:\n%s", frame)
	}
}

// TestIgnoredFailureHasItsReason: a wait in vain that the plan ignores is trouble of its host, which
// has no failed step.
func TestIgnoredFailureHasItsReason(t *testing.T) {
	run := newTape(time.Local)
	run.begin(event.PlanInfo{Hosts: []string{"h1"}})
	run.host("h1")
	run.done("h1", "installed", time.Minute, event.Event{Status: event.Ignored, Verdict: &event.Verdict{Seeks: true}, Problem: &event.Problem{Summary: "Gave up after 10 minutes: the image was never read"}})
	run.end("h1", event.OK, event.Counts{Ignored: 1}, "", nil)
	if frame := drawn(run.events, Streams{}, look{}, 120, 24); !strings.Contains(frame, "the image was never read") {
		t.Errorf("no reason:\n%s", frame)
	}
	if frame := drawn(run.events, Streams{}, look{filter: "never read"}, 120, 24); !strings.Contains(frame, "h1 ") {
		t.Errorf("it is not found by its reason:\n%s", frame)
	}
}

// TestCellsKeepWhatMatters: of a name what tells it from others, of a problem its reason, of a
// step its name.
func TestCellsKeepWhatMatters(t *testing.T) {
	c := columns{host: 12, step: 12, shown: func(text string) string { return text }, dots: "…"}
	for in, want := range map[string]string{"h0001": "h0001", "esx01.dc1.example.com": "esx01.dc1.e…", "rack7-r750-chassis-0001": "rack7-…-0001",
		"rack7-r750-chassis-0001.example.com": "rack7-…-0001", "10.172.18.191": "10.172…8.191"} {
		if got := strings.TrimRight(c.name(in), " "); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"Refused: 2 disks match": "2 disks match", "Refused: unproven: no reset": "no reset", "Gave up after 44m59s: the old ESXi answers": "the old ESXi answers",
		"Gave up after a while": "Gave up after a while"} {
		if got := why(&event.Problem{Summary: in}, "unproven"); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	const answer = "failed: POST /redfish/v1/Managers/1: the BMC answers 503"
	if short, long := withoutRequest(answer, 40), withoutRequest(answer, 80); short != "failed: the BMC answers 503" || long != answer {
		t.Errorf("%q, %q", short, long)
	}
	if got := c.shorter("installer_cd (insert)"); got != "installer_cd" {
		t.Errorf("%q", got)
	}
}

// TestFrameOfHostileText: nothing that a machine says draws on the terminal.
func TestFrameOfHostileText(t *testing.T) {
	const evil = "a\x1b[2J\x1b]0;x\x07\n\tb"
	tape := newTape(time.Local)
	tape.begin(event.PlanInfo{Hosts: []string{"dell-01", "dell-02"}})
	tape.phased("dell-01", event.PhasePost, evil, nil)
	tape.add(0, event.Event{Kind: event.Warned, Host: "dell-01", Text: evil})
	tape.step("dell-02", "login", time.Second, event.Event{Status: event.Failed, Problem: &event.Problem{Summary: evil, Detail: evil, Next: evil}})
	tape.end("dell-02", event.Failed, event.Counts{Failed: 1}, "", nil)
	for _, chosen := range []string{"dell-01", "dell-02"} {
		frame := drawn(tape.events, Streams{}, look{chosen: chosen, open: true}, 120, 30)
		if strings.ContainsAny(frame, "\x1b\x07") {
			t.Errorf("%q", frame)
		}
		if strings.Contains(frame, "\t") || len(strings.Split(frame, "\n")) > 26 {
			t.Errorf("lines of a machine's text break the frame:\n%s", frame)
		}
	}
}

// TestBoardCounts: what is counted event by event is what the story says as a whole.
func TestBoardCounts(t *testing.T) {
	for _, run := range append(stories(time.Local), tale{name: "under way", events: fleetUnderWay(time.Local, 200)}) {
		p := newPlain(&Streams{}, false)
		b := newBoard(&p.story)
		for _, e := range append(run.earlier, run.events...) {
			e = clean(e)
			p.fold(e)
			b.follow(e, time.Time{})
			counts, installing := map[story.Standing]int{}, 0
			for _, h := range p.story.Hosts {
				counts[tally(h)]++
				if tally(h) == story.Running && installs(h) {
					installing++
				}
			}
			for s, n := range b.counts {
				if n != counts[s] {
					t.Fatalf("%s, event %d: %d %s, want %d", run.name, e.Seq, n, s, counts[s])
				}
			}
			if b.installing != installing {
				t.Fatalf("%s, event %d: %d installing, want %d", run.name, e.Seq, b.installing, installing)
			}
		}
	}
}

// TestRowsStay: a host keeps its row while it goes from step to step, and those before it do not
// move when one ends behind them.
func TestRowsStay(t *testing.T) {
	s := &story.Story{}
	b := newBoard(s)
	at, real := time.Now(), time.Now()
	tell := func(e event.Event) {
		e.Time = at
		s.Event(e)
		b.follow(e, real)
	}
	tell(event.Event{Kind: event.RunStarted, Plan: &event.PlanInfo{Hosts: []string{"a", "b", "c"}}})
	for _, host := range []string{"c", "a", "b"} {
		tell(event.Event{Kind: event.HostStarted, Host: host})
		tell(event.Event{Kind: event.StepStarted, Host: host, Step: "x"})
	}
	order := func() (names string) {
		_, working, _ := b.rows(real)
		for _, seat := range working {
			names += seat.Name
		}
		return names
	}
	tell(event.Event{Kind: event.StepDone, Host: "a", Step: "x", Status: event.OK})
	if got := order(); got != "cab" {
		t.Errorf("between two steps: %s", got)
	}
	real = real.Add(2 * moment)
	if got := order(); got != "cb" {
		t.Errorf("a waits: %s", got)
	}
	tell(event.Event{Kind: event.StepStarted, Host: "a", Step: "y"})
	tell(event.Event{Kind: event.HostDone, Host: "b", Status: event.OK, Counts: &event.Counts{}})
	if got := order(); got != "ca" {
		t.Errorf("a is at work again, b has ended: %s", got)
	}
}

// TestBoardForgets: hosts that ended do not stay among those at work.
func TestBoardForgets(t *testing.T) {
	s := &story.Story{}
	b := newBoard(s)
	for i := range 1000 {
		name := fmt.Sprint(i)
		for _, e := range []event.Event{{Kind: event.HostStarted, Host: name}, {Kind: event.HostDone, Host: name, Status: event.OK, Counts: &event.Counts{}}} {
			s.Event(e)
			b.follow(e, time.Time{})
		}
	}
	if len(b.running) > 100 {
		t.Errorf("%d hosts are kept, and none is at work", len(b.running))
	}
}

// BenchmarkFrame: what a frame of 1,000 hosts costs.
func BenchmarkFrame(b *testing.B) {
	p := newPlain(&Streams{ColorErr: true}, true)
	board := newBoard(&p.story)
	for _, e := range fleetUnderWay(time.Local, 1000) {
		e = clean(e)
		p.fold(e)
		board.follow(e, time.Time{})
	}
	now := p.story.Began.Add(12 * time.Minute)
	for b.Loop() {
		_ = newPicture(picture{board: board, s: p.s, t: p.theme, names: p.width, width: 160, height: 50, keys: true, now: now}, time.Time{}).String()
	}
}

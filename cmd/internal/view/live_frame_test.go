package view

import (
	"fmt"
	"strings"
	"testing"
	"time"

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

// fleetUnderWay is a run in which a tenth of the hosts is proven, one in twenty has failed, a quarter
// installs, a few do other things, and the rest waits.
func fleetUnderWay(zone *time.Location, hosts int) []event.Event {
	t := newTape(zone)
	var names []string
	for i := range hosts {
		names = append(names, fmt.Sprintf("h%04d", i))
	}
	t.begin(event.PlanInfo{Hosts: names})
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
			t.done(host, "installed", 8*time.Minute, event.Event{Status: event.Changed, Verdict: proven})
			t.end(host, event.Changed, event.Counts{Changed: 4}, "", nil)
		case 7:
			t.host(host)
			t.step(host, "login", time.Second, event.Event{Status: event.Unreachable, Problem: &event.Problem{Summary: "no answer within 30s", Next: "Check the BMC's address and its network."}})
			t.end(host, event.Unreachable, event.Counts{Unreach: 1}, "", nil)
		case 8:
			t.host(host)
			t.step(host, "installed", 10*time.Minute, event.Event{Status: event.Failed, Verdict: &event.Verdict{Seeks: true},
				Problem: &event.Problem{Summary: "Gave up after 10 minutes: the image was never read", Next: "Look at its boot order."}})
			t.end(host, event.Failed, event.Counts{Failed: 1}, "", nil)
		default:
			t.phased(host, event.PhaseInstaller, "127.0.0.1 read 388.1 MB of the image, up to its last module", earlierRuns)
		}
	}
	return t.events
}

// drawn is the frame of a run after these events, 12 minutes after it began.
func drawn(events []event.Event, s Streams, l look, width, height int) string {
	p := newPlain(&s, s.ColorErr)
	b := newBoard(&p.story)
	real := time.Date(2026, 1, 14, 9, 30, 0, 0, time.UTC)
	for _, e := range events {
		e = clean(e)
		p.fold(e)
		b.follow(e, real)
	}
	return newPicture(picture{board: b, look: l, s: &s, t: p.theme, names: p.width, width: width, height: height, keys: true, now: p.story.Began.Add(12 * time.Minute)}, real).String()
}

// sizes of terminals, in columns and lines.
var sizes = [][2]int{{80, 24}, {160, 50}}

// TestFrames: what is seen of runs of several sizes, in terminals of several sizes.
func TestFrames(t *testing.T) {
	for _, hosts := range []int{3, 60, 1000} {
		events := fleetUnderWay(time.Local, hosts)
		var all strings.Builder
		for _, size := range sizes {
			fmt.Fprintf(&all, "==== %d hosts, %dx%d\n%s\n", hosts, size[0], size[1], drawn(events, Streams{}, look{}, size[0], size[1]))
		}
		golden(t, fmt.Sprintf("frames.%d", hosts), all.String())
	}
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
		fmt.Fprintf(&all, "==== %s\n%s\n", c.name, drawn(events, c.Streams, c.look, 80, 24))
	}
	golden(t, "frames.looks", all.String())
}

// TestFramesKeepToTheTerminal: a frame is never wider nor higher than the terminal, an ASCII
// terminal gets ASCII, and without colours there is no escape sequence.
func TestFramesKeepToTheTerminal(t *testing.T) {
	events := fleetUnderWay(time.Local, 60)
	for _, width := range []int{20, 40, 79, 80, 110, 200} {
		for _, height := range []int{5, 10, 24, 60} {
			for _, l := range []look{{}, {failed: true}, {filter: "h00"}, {chosen: "h0020", open: true}, {help: true}} {
				frame := drawn(events, Streams{ASCII: true}, l, width, height)
				lines := strings.Split(frame, "\n")
				if most := max(height, 18); len(lines) > most {
					t.Errorf("%dx%d, %+v: %d lines", width, height, l, len(lines))
				}
				for _, line := range lines {
					if ansi.StringWidth(line) > width {
						t.Errorf("%dx%d: %d columns: %s", width, height, ansi.StringWidth(line), line)
					}
				}
				if i := strings.IndexFunc(frame, func(r rune) bool { return r > '~' || r < ' ' && r != '\n' }); i >= 0 {
					t.Errorf("%dx%d: %q", width, height, frame[i:min(len(frame), i+8)])
				}
			}
		}
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

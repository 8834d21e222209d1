package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// rhythm is how often work says how it stands where nothing is redrawn, in real time.
const rhythm = time.Minute

// heart beats at a steady rhythm while a run is under way, so that a log that stands still shows
// a run that does not. Its view guards it.
type heart struct{ done chan struct{} }

// follow starts and stops the heart as the run does. A dry run is short, and has none.
func (h *heart) follow(e event.Event, beat func()) {
	switch {
	case e.Kind == event.RunStarted && !e.Plan.DryRun && h.done == nil:
		h.done = make(chan struct{})
		go h.run(h.done, beat)
	case e.Kind == event.RunDone:
		h.stop()
	}
}

func (h *heart) run(done chan struct{}, beat func()) {
	ticks := time.NewTicker(rhythm)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			beat()
		case <-done:
			return
		}
	}
}

func (h *heart) stop() {
	if h.beats() {
		close(h.done)
		h.done = nil
	}
}

// beats reports a heart that was not stopped.
func (h *heart) beats() bool { return h.done != nil }

// beat writes how the run stands.
func (p *plain) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.heart.beats() {
		return
	}
	now := p.s.now()
	text := p.s.plain(pulse(&p.story, now))
	fmt.Fprintln(p.s.Err, p.theme.dim.Render(now.Local().Format(time.TimeOnly))+" "+p.theme.bold.Render("after "+elapsed(now.Sub(p.story.Began))+":")+" "+text)
}

// pulse says in one line how a run stands: how many hosts are at work, which one is the slowest,
// and what became of the others.
func pulse(s *story.Story, now time.Time) string {
	counts, installing, proven := map[story.Standing]int{}, 0, 0
	var slowest *story.Host
	for _, h := range s.Hosts {
		standing := tally(h)
		if standing == story.Running && h.Step() == nil { // between two steps
			standing = queued
		}
		counts[standing]++
		if standing != story.Running {
			continue
		}
		if installs(h) {
			installing++
		} else if h.Proof != nil {
			proven++
		}
		slowest = slower(slowest, h)
	}
	after := ""
	if proven > 0 {
		after = fmt.Sprintf(" (%d proven)", proven)
	}
	working, doing := counts[story.Running], "at work"+after
	if installing > 0 {
		working, doing = installing, "installing"
	}
	text := fmt.Sprintf("%d of %d %s", working, len(s.Hosts), doing)
	if slowest != nil {
		text += fmt.Sprintf(", slowest: %s (%s)", slowest.Name, underWay(slowest, now))
	}
	if others := counts[story.Running] - installing; installing > 0 && others > 0 {
		text += fmt.Sprintf(", %d at work%s", others, after)
	}
	delete(counts, story.Running)
	return strings.Join(append([]string{text}, parts(counts, nil)...), ", ")
}

// slower is the host that has not come as far as the other one, or is there for longer.
func slower(a, b *story.Host) *story.Host {
	if a == nil {
		return b
	}
	atA, sinceA := reached(a)
	atB, sinceB := reached(b)
	if atB < atA || atB == atA && sinceB.Before(sinceA) {
		return b
	}
	return a
}

// reached is how far a host has come that is in a step, and since when: the phase of its
// installation, -1 before the first one. Hosts in no installation come after these, proven ones
// last.
func reached(h *story.Host) (phase int, since time.Time) {
	switch {
	case installs(h) && h.Phase != nil:
		return slices.Index(event.Phases, h.Phase.Phase), h.Phase.Since
	case installs(h):
		return -1, h.Step().Began
	case h.Proof != nil:
		return len(event.Phases) + 1, h.Step().Began
	}
	return len(event.Phases), h.Step().Began
}

// installs reports that the machine of a host is being installed, as far as is known. One that was
// given up installs only where a phase was seen after that.
func installs(h *story.Host) bool {
	s := h.GaveUp()
	return h.Installs() && (s == nil || h.Phase != nil && h.Phase.Seen.After(s.Ended))
}

// queued is the standing of a host that waits for its turn to begin; one that the run did not
// start any more is [story.Waiting].
const queued story.Standing = "waiting"

// inTrouble stands for all standings that are trouble, where they are counted as one.
const inTrouble story.Standing = "in trouble"

// tally is what a host counts as while the run is under way: one that has not come to its end is at
// work, also after its proof.
func tally(h *story.Host) story.Standing {
	switch {
	case h.Status != "":
		return h.Standing()
	case h.Began.IsZero():
		return queued
	}
	return story.Running
}

// tallied are the standings in the order in which hosts are counted: those in trouble first, so that
// they are seen where there is room for a few only.
var tallied = []story.Standing{inTrouble, story.PoweredOff, story.Installing, story.Unproven, story.Failed, story.Unreachable, story.Refused, story.Running,
	story.Interrupted, story.Proven, story.Changed, story.OK, story.Skipped, story.Waiting, queued}

// countedAs are the words for standings in a count, where they differ.
var countedAs = map[story.Standing]string{
	story.Running:    "at work",
	story.Installing: "left installing", // when the run left them
}

// wordsFor are the words for a standing where hosts are counted.
func wordsFor(s story.Standing) string { return cmp.Or(countedAs[s], string(s)) }

// parts counts hosts by what became of them, such as: 5 proven. How a part is shown may differ by
// standing; nil shows the words.
func parts(counts map[story.Standing]int, shown func(story.Standing, string) string) (out []string) {
	for _, s := range tallied {
		n := counts[s]
		if n <= 0 {
			continue
		}
		text := fmt.Sprintf("%d %s", n, wordsFor(s))
		if shown != nil {
			text = shown(s, text)
		}
		out = append(out, text)
	}
	return out
}

// underWay says where a host is, how far, and for how long.
func underWay(h *story.Host, now time.Time) string {
	at := placeOf(h, now)
	parts := []string{cmp.Or(at.what, at.step)}
	if at.amount != "" {
		parts = append(parts, at.amount)
	}
	return strings.Join(append(parts, elapsed(at.since)), ", ")
}

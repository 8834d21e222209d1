package view

import (
	"fmt"
	"slices"
	"strings"

	"esxiplan/engine/event"
)

// leftBehind tells what the run leaves at the machines: installations that are under way,
// with the command that waits for them, machines that it left powered off, and images that stay
// mounted. What is the same for several hosts is said once.
func (b *board) leftBehind(s *Streams, t theme) {
	if b.dryRun {
		return
	}
	for _, r := range b.hosts {
		if r.left.Off {
			say(s, "", t.bad.Render(r.name)+" was powered off for its restart and is not on again; "+b.waysOn(r))
		}
	}
	b.tellInstalling(s)
	b.tellMounted(s)
	if b.plan.Resume != "" && (b.summary.Interrupted || b.summary.Internal != "") {
		command(s, "Resume this run with: "+b.plan.Resume)
	}
}

// command writes a line that people copy: it is not wrapped.
func command(s *Streams, text string) { fmt.Fprintln(s.Out, s.plain(text)) }

// mostLines is how many hosts get a line each; of more, only the names are listed.
const mostLines = 3

// tellMounted names the hosts that our media stay in, and what they boot next.
func (b *board) tellMounted(s *Streams) {
	var kept []*row
	var names []string
	for _, r := range b.hosts {
		if r.left.Installing.IsZero() && (len(r.left.Mounted) > 0 || r.left.Boots != "") {
			kept, names = append(kept, r), append(names, r.name)
		}
	}
	if len(kept) > mostLines {
		say(s, "", fmt.Sprintf("Our media remain mounted, or the boot source stays set, on %d hosts: %s", len(kept), strings.Join(names, ", ")))
		return
	}
	for _, r := range kept {
		var parts []string
		if len(r.left.Mounted) > 0 {
			parts = append(parts, "still mounted: "+strings.Join(r.left.Mounted, ", "))
		}
		if r.left.Boots != "" {
			parts = append(parts, "set to boot "+r.left.Boots+" at its next start")
		}
		say(s, "", r.name+": "+strings.Join(parts, "; "))
	}
}

// waysOn is how a machine that was left powered off gets on again.
func (b *board) waysOn(r *row) string {
	switch {
	case r.open() && b.plan.Continue == "":
		return "the BMC was asked to start it; a run with a wait step starts it once more if need be"
	case !r.open():
		return "run the same command again to start it, or power it on (esxiplan do power … action=on --limit " + r.name + ")"
	}
	return "the BMC was asked to start it; wait for it (the command below), which starts it once more if need be"
}

// tellInstalling names the hosts whose installation goes on after the run.
func (b *board) tellInstalling(s *Streams) {
	var names []string
	n := 0
	for _, r := range b.hosts {
		if !r.open() {
			continue
		}
		names = append(names, r.name)
		if r.installing() {
			n++
		}
	}
	if n > 0 {
		say(s, "", b.images(n))
	}
	if len(names) > 0 && b.plan.Continue != "" {
		command(s, "Continue with: "+b.plan.Continue+limit(names, b.plan.Of))
	}
}

// images tells what becomes of the images from which n hosts are being installed.
func (b *board) images(n int) string {
	switch {
	case !b.plan.Serves:
		return fmt.Sprintf("%s being installed. The images stay where they are.", are(n))
	case b.plan.Continue == "":
		return fmt.Sprintf("%s being installed from images that this run served and that end with it: an installer that still reads its image stops.", are(n))
	}
	return fmt.Sprintf("%s being installed from images that this run served and that end with it: an installer that still reads its image stops. "+
		"The command below serves them again.", are(n))
}

// are begins a sentence about some hosts.
func are(n int) string {
	if n == 1 {
		return "1 host is"
	}
	return event.Count(n, "host") + " are"
}

// limit is the flag that names some of the hosts.
func limit(names []string, all int) string {
	if len(names) == all {
		return ""
	}
	slices.Sort(names)
	return " --limit " + strings.Join(names, ",")
}

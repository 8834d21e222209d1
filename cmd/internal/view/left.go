package view

import (
	"fmt"
	"slices"
	"strings"
)

// leftBehind tells what the run leaves at the machines: those that it left off,
// installations that are under way, with the command that waits for them, and images that
// stay mounted. What is the same for several hosts is said once.
func (b *board) leftBehind(s *Streams, t theme) {
	if b.dryRun {
		return
	}
	for _, r := range b.hosts {
		if r.left.Off {
			say(s, "", t.bad.Render(r.name)+" was powered off for its restart and is not on again; "+r.waysOn())
		}
	}
	b.tellInstalling(s, t)
	for _, r := range b.hosts {
		if len(r.left.Mounted) > 0 && r.left.Installing.IsZero() {
			say(s, "", r.name+": still mounted: "+strings.Join(r.left.Mounted, ", "))
		}
	}
}

// waysOn is how a machine that was left off gets on again.
func (r *row) waysOn() string {
	if r.left.Installing.IsZero() {
		return "run the same command again to start it, or power it on (esxiplan do power … action=on --limit " + r.name + ")"
	}
	return "the BMC was asked to start it, and the command below does so once more"
}

// installing reports that an installation goes on after the run.
func (r *row) installing() bool { return !r.left.Installing.IsZero() && !r.left.Off }

// tellInstalling names the hosts whose installation goes on after the run.
func (b *board) tellInstalling(s *Streams, t theme) {
	var names []string
	for _, r := range b.hosts {
		if r.left.Installing.IsZero() {
			continue
		}
		names = append(names, r.name)
		if since := b.ended.Sub(r.left.Installing); r.installing() {
			say(s, "", fmt.Sprintf("%s: installing now, since %s (%s ago)", t.warn.Render(r.name), r.left.Installing.Local().Format("15:04:05"), short(since)))
		}
	}
	if len(names) == 0 {
		return
	}
	image := "Their images do not depend on this run."
	if b.plan.Serves {
		image = "Their images were served by this run and are no longer available: an installer that has not read all of its image stops. The command below serves them again."
	}
	say(s, "", image)
	if b.plan.Continue != "" {
		say(s, "", "Continue with: "+b.plan.Continue+limit(names, len(b.hosts)))
	}
}

// limit is the flag that names some of the hosts.
func limit(names []string, all int) string {
	if len(names) == all {
		return ""
	}
	slices.Sort(names)
	return " --limit " + strings.Join(names, ",")
}

package view

import (
	"fmt"
	"slices"
	"strings"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
	"esxiplan/engine/text"
)

// leftBehind writes what the run leaves at the machines: installations that are under way,
// machines that it left powered off, images that stay mounted. Then what to do about all of it,
// as commands. What is the same for several hosts is said once.
func (r *recap) leftBehind() {
	if r.Plan.DryRun {
		return
	}
	r.poweredOff(false)
	r.poweredOff(true)
	if n := r.Count()[story.Installing]; n > 0 {
		r.s.say("", r.images(n))
	}
	mounted := r.mounted()
	for _, c := range r.commands(mounted) {
		r.s.command(c.Why + ": " + c.Line)
	}
}

// commands are the next ones, in the order in which they make sense.
func (r *recap) commands(mounted []string) (out []Command) {
	add := func(why, line string) {
		if line != "" {
			out = append(out, Command{why, line})
		}
	}
	on := func(line string, hosts []string) string {
		if line == "" || len(hosts) == 0 {
			return ""
		}
		return line + limit(hosts, r.Plan.Of)
	}
	add("Continue with", on(r.Plan.Continue, r.names(open)))
	if n := r.Count(); r.Summary.Internal != "" || r.Summary.Interrupted && n[story.Interrupted]+n[story.Waiting]+n[story.Installing]+n[story.PoweredOff] > 0 {
		add("Resume this run with", r.Plan.Resume)
	}
	add("Take the media out with", on(r.Plan.Eject, mounted))
	failed := r.names(func(h *story.Host) bool { return h.Status.Failure() })
	if len(failed) == 0 {
		return out
	}
	if r.Plan.Show != "" {
		add("See everything about a host with", r.Plan.Show+" --host "+text.ShellWord(failed[0]))
	}
	add("Run the failed hosts again with", r.Plan.Retry)
	return out
}

// names are the hosts of which something is true.
func (r *recap) names(which func(*story.Host) bool) (out []string) {
	for _, h := range r.Hosts {
		if which(h) {
			out = append(out, h.Name)
		}
	}
	return out
}

// command writes a line that people copy: it is not wrapped.
func (s *Streams) command(text string) { fmt.Fprintln(s.Out, s.plain(text)) }

// mostLines is how many hosts get a line each; of more, only the names are listed.
const mostLines = 3

// mounted writes which hosts our media stay in, and what they boot next, and returns those with
// media.
func (r *recap) mounted() []string {
	kept := r.names(func(h *story.Host) bool { return !open(h) && (len(h.Left.Mounted) > 0 || h.Left.Boots != "") })
	if len(kept) > mostLines {
		r.s.say("", fmt.Sprintf("Our media remain mounted, or the boot source stays set, on %d hosts: %s", len(kept), strings.Join(kept, ", ")))
	} else {
		for _, name := range kept {
			r.s.say("", name+": "+stays(r.Host(name).Left))
		}
	}
	return slices.DeleteFunc(kept, func(name string) bool { return len(r.Host(name).Left.Mounted) == 0 })
}

// stays says what stays behind at a machine.
func stays(l event.Left) string {
	var parts []string
	if len(l.Mounted) > 0 {
		parts = append(parts, "still mounted: "+strings.Join(l.Mounted, ", "))
	}
	if l.Boots != "" {
		parts = append(parts, "set to boot "+l.Boots+" at its next start")
	}
	return strings.Join(parts, "; ")
}

// poweredOff writes which machines are left powered off, of those that were asked to start again or
// were not, and how they get on again.
func (r *recap) poweredOff(asked bool) {
	hosts := r.names(func(h *story.Host) bool { return h.Left.Off && open(h) == asked })
	if len(hosts) > mostLines {
		r.s.say("", r.t.bad.Render(event.Count(len(hosts), "host"))+" were powered off for their restart and are not on again: "+strings.Join(hosts, ", ")+"; "+r.waysOn(asked, hosts))
		return
	}
	for _, name := range hosts {
		r.s.say("", r.t.bad.Render(name)+" was powered off for its restart and is not on again; "+r.waysOn(asked, []string{name}))
	}
}

// waysOn is how machines that were left powered off get on again.
func (r *recap) waysOn(asked bool, hosts []string) string {
	it, was := "it", "the BMC was"
	if len(hosts) > 1 {
		it, was = "them", "the BMCs were"
	}
	switch {
	case asked && r.Plan.Continue == "":
		return was + " asked to start " + it + "; a run with a wait step starts " + it + " once more if need be"
	case asked:
		return was + " asked to start " + it + "; wait for " + it + " (the command below), which starts " + it + " once more if need be"
	case r.Plan.PowerOn == "":
		return "run the same command again to start " + it
	}
	return "run the same command again to start " + it + ", or power " + it + " on (" + r.Plan.PowerOn + " --limit " + text.ShellWord(strings.Join(hosts, ",")) + ")"
}

// images says what becomes of the images from which n hosts are being installed.
func (r *recap) images(n int) string {
	switch {
	case !r.Plan.Serves:
		return fmt.Sprintf("%s being installed. The images stay where they are.", are(n))
	case r.Plan.Continue == "":
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
	return " --limit " + text.ShellWord(strings.Join(slices.Sorted(slices.Values(names)), ","))
}

package kickstart

import (
	"cmp"
	"slices"
	"strings"
)

// Planned are the disks that the plan names for a host. The consent before a run and the
// guards cover only these, so a script may write to no other.
type Planned struct {
	Disk Disk
	Wipe []Disk
	// Unchecked: the user has checked what cannot be compared with the plan.
	Unchecked bool
}

// CheckCommands judges commands that are added to a generated script, a line each: they
// write to disks that the plan clears, and to each by its name.
func (p Planned) CheckCommands(lines []string) []Finding {
	l := &linter{}
	for i, line := range lines {
		for _, d := range Disks(line) {
			d.Line = i + 1
			l.checkAdded(p, d)
		}
	}
	return l.findings
}

func (l *linter) checkAdded(p Planned, d NamedDisk) {
	switch {
	case !d.Single():
		l.disk(d, "disk-not-single", "%s: the plan does not say which disk this is", d)
	case p.Disk.Compare(d.Text) == Same:
		l.disk(d, "part-same-disk", "%s is the disk of the installation", d.Text)
	case closest(p.Wipe, d.Text) != Same:
		l.disk(d, "disk-not-planned", "%s: the plan does not name this disk", d)
	}
}

// CheckSection judges the text of a script that is added to a generated one.
func (p Planned) CheckSection(text string) []Finding {
	l := &linter{conditions: Conditions{Planned: &p}, inScripts: map[int][]string{}}
	for i, line := range strings.Split(text, "\n") {
		l.readScriptIgnored(i+1, line)
		l.scriptDisks(i+1, line)
	}
	return l.findings
}

// closest is the best likeness of a device and one of several disks.
func closest(disks []Disk, name string) Likeness {
	best := Different
	for _, d := range disks {
		switch d.Compare(name) {
		case Same:
			return Same
		case Unknown:
			best = Unknown
		}
	}
	return best
}

// disk reports a finding about a disk.
func (l *linter) disk(d NamedDisk, rule, format string, values ...any) {
	l.add(rule, d.Line, d.Column, format, values...)
}

// checkPlanned demands that the user's own script keeps to the disks of the plan.
func (l *linter) checkPlanned() {
	if l.conditions.Planned == nil {
		return
	}
	all := l.disks()
	for _, d := range all {
		switch {
		case !d.Single():
			l.checkGeneral(d)
		case d.Installs():
			l.checkInstalled(d)
		default:
			l.checkWritten(d, all)
		}
	}
	l.checkCleared(all)
}

// checkGeneral accepts a command that names no single disk if it says what the plan says:
// one model, of which the guards demand exactly one disk.
func (l *linter) checkGeneral(d NamedDisk) {
	disks := l.conditions.Planned.Wipe
	if d.Installs() {
		disks = []Disk{l.conditions.Planned.Disk}
	}
	switch {
	case slices.ContainsFunc(disks, d.means):
	case d.takesAny():
		l.disk(d, "disk-not-single", "%s takes disks whatever they hold", d)
	case !l.conditions.Planned.Unchecked:
		l.disk(d, "disk-not-single", "%s cannot be compared with the plan", d)
	}
}

// takesAny reports a command that takes every disk, every other one, or the first.
func (d NamedDisk) takesAny() bool {
	switch d.Option {
	case "alldrives", "ignoredrives":
		return true
	}
	return d.Option != "" && !d.Single() && d.Text == ""
}

// means reports a --firstdisk that takes the disk's model and nothing else.
func (d NamedDisk) means(disk Disk) bool {
	first := d.Option == "firstdisk" || d.Option == "onfirstdisk"
	return first && disk.Kind == "model" && !strings.Contains(d.Text, ",") && strings.EqualFold(strings.TrimSpace(d.Text), strings.TrimSpace(disk.Text))
}

func (l *linter) checkInstalled(d NamedDisk) {
	plan := l.conditions.Planned.Disk
	switch plan.Compare(d.Text) {
	case Different:
		l.disk(d, "disk-not-planned", "the kickstart installs on %s, esxi.disk is %s %s", d.Text, plan.Kind, plan.Text)
	case Unknown:
		if !l.conditions.Planned.Unchecked {
			l.disk(d, "disk-not-single", "the kickstart installs on %s, which cannot be compared with esxi.disk, %s %s", d.Text, plan.Kind, plan.Text)
		}
	}
}

// checkWritten judges a disk other than that of the installation. Clearing that one, too,
// loses no further data.
func (l *linter) checkWritten(d NamedDisk, all []NamedDisk) {
	installed := func(i NamedDisk) bool { return i.Installs() && i.Single() && lowered(i.Text) == lowered(d.Text) }
	if d.Command == "clearpart" && (l.conditions.Planned.Disk.Compare(d.Text) == Same || slices.ContainsFunc(all, installed)) {
		return
	}
	if d.Option == "systemdisk" && l.conditions.Planned.Disk.Compare(d.Text) == Same {
		return
	}
	switch closest(l.conditions.Planned.Wipe, d.Text) {
	case Different:
		l.disk(d, "disk-not-planned", "%s: esxi.wipe does not name this disk", d)
	case Unknown:
		if !l.conditions.Planned.Unchecked {
			l.disk(d, "disk-not-single", "%s cannot be compared with esxi.wipe", d)
		}
	}
}

// checkCleared demands that every disk of esxi.wipe is cleared: the user consents to what
// happens.
func (l *linter) checkCleared(all []NamedDisk) {
	for _, w := range l.conditions.Planned.Wipe {
		best := Different
		for _, d := range all {
			switch {
			case d.Installs():
			case d.means(w) || d.Single() && w.Compare(d.Text) == Same:
				best = Same
			case best == Different && (!d.Single() || w.Compare(d.Text) == Unknown):
				best = Unknown
			}
		}
		if best == Different || best == Unknown && !l.conditions.Planned.Unchecked {
			l.add("wipe-not-cleared", cmp.Or(l.lines, 1), 1, "esxi.wipe names %s %s, which the kickstart does not clear", w.Kind, w.Text)
		}
	}
}

// scriptDisks judges what a line of a script says of disks.
func (l *linter) scriptDisks(n int, line string) {
	if l.conditions.Planned == nil {
		return
	}
	for _, w := range scriptWords(line) {
		switch {
		case w.any:
			l.add("script-any-disk", n, w.column, "the script says %s", w.text)
		case !l.conditions.Planned.Unchecked:
			l.add("script-kickstart", n, w.column, "the script says %s", w.text)
		}
	}
	for _, device := range scriptDevices(line) {
		all := append([]Disk{l.conditions.Planned.Disk}, l.conditions.Planned.Wipe...)
		if like := closest(all, device.text); like == Different || like == Unknown && !l.conditions.Planned.Unchecked {
			l.add("script-disk", n, device.column, "the script names %s, which the plan does not name", device.text)
		}
	}
}

package view

import (
	"io"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
	"esxiplan/engine/text"
)

// What the views of this package and the reports say in the same words.

// StepName is a step with its type, where the two differ.
func StepName(name, kind string) string { return stepName(name, kind) }

// Stays says what stays behind at a machine, "" where nothing does.
func Stays(l event.Left) string { return stays(l) }

// Troubled reports a standing that needs attention.
func Troubled(s story.Standing) bool { return troubled(s) }

// Alike is equal for hosts of which one row may stand for all: the same became of them, and the
// same stays behind at their machines, but for numbers and names.
func Alike(h *story.Host) string {
	left := "\n" + withoutOwn(h, stays(h.Left))
	if h.Status.Failure() {
		return badKey(h) + left
	}
	return fineKey(h) + left
}

// Describer gives a function that says an event in the words of a log, as lines without time;
// "" is one that says nothing to people.
func Describer() func(event.Event) string { return newPlain(&Streams{Err: io.Discard}, false).logged }

// Command is one that people paste after a run, and what it is for.
type Command struct {
	Why  string `json:"why"`
	Line string `json:"command"`
}

// Next are the commands that make sense after a run, in their order. A run that did not end, as
// far as is known, is resumed like one that was interrupted.
func Next(s *story.Story) []Command {
	run := *s
	if run.Summary == nil {
		run.Summary = &event.Summary{Interrupted: true}
	}
	r := &recap{Story: &run, s: &Streams{Out: io.Discard}}
	return r.commands(r.mounted())
}

// NextOf are the commands that make sense for one host of a run.
func NextOf(s *story.Story, h *story.Host) (out []Command) {
	add := func(why, line, flag string) {
		if line != "" {
			out = append(out, Command{why, line + flag + text.ShellWord(h.Name)})
		}
	}
	const limit, host = " --limit ", " --host "
	standing := h.Standing()
	switch {
	case open(h):
		add("Continue with", s.Plan.Continue, limit)
	case standing == story.PoweredOff:
		add("Power it on with", s.Plan.PowerOn, limit)
	case len(h.Left.Mounted) > 0:
		add("Take the media out with", s.Plan.Eject, limit)
	}
	if (standing == story.Running || standing == story.Interrupted) && s.Plan.Resume != "" {
		out = append(out, Command{"Resume this run with", s.Plan.Resume})
	}
	if h.Status.Failure() {
		add("See everything about it with", s.Plan.Show, host)
	}
	return out
}

package view

import (
	"bytes"
	"fmt"
	"io"

	"github.com/charmbracelet/x/ansi"

	"esxiplan/engine/event"
	"esxiplan/engine/story"
	"esxiplan/engine/text"
)

// workflow writes a run for the log of a GitHub workflow, all of it on the output: a group for
// each host at its end, which is folded there, and annotations for warnings and failures. Only
// the commands of its own are commands: whatever else looks like one is only shown.
type workflow struct {
	*plain
	commands io.Writer
	logs     map[string]*bytes.Buffer // lines of hosts that have not ended
}

func newGitHub(s *Streams) *workflow {
	own := *s
	shown := &text.Log{Out: s.Out}
	own.Out, own.Err, own.Width, own.OutWidth = shown, shown, 0, 0
	return &workflow{plain: newPlain(&own, s.Color), commands: s.Out, logs: map[string]*bytes.Buffer{}}
}

// Event implements [View].
func (w *workflow) Event(e event.Event) {
	e = clean(e)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fold(e)
	w.keep(e)
	w.annotate(e)
	if e.Kind == event.HostDone {
		w.group(w.story.Host(e.Host))
	}
	w.heart.follow(e, w.beat)
}

// keep writes the lines about an event; those of a host are kept until it ends.
func (w *workflow) keep(e event.Event) {
	line := w.line(e)
	if line == "" {
		return
	}
	if e.Host == "" {
		w.say(e, line)
		return
	}
	if w.logs[e.Host] == nil {
		w.logs[e.Host] = &bytes.Buffer{}
	}
	shown := w.s.Err
	w.s.Err = w.logs[e.Host]
	w.say(e, line)
	w.s.Err = shown
}

// annotate marks what needs attention, at once.
func (w *workflow) annotate(e event.Event) {
	switch p := e.Problem; {
	case e.Kind == event.Warned:
		w.command("warning", e.Text, "title", e.Host)
	case e.Kind == event.Diagnosed:
		w.command("error", inFull(p), "title", e.Host)
	case e.Kind == event.StepDone && e.Status.Failure() && p != nil:
		w.command("error", inFull(p), "title", titled(e.Host, stepName(e.Step, e.Type)+" "+string(e.Status)))
	}
}

func titled(host, what string) string {
	if host == "" {
		return what
	}
	return host + ": " + what
}

// group writes what a host did, under how it ended. One of which there is nothing to write is
// left to the recap.
func (w *workflow) group(h *story.Host) {
	lines := w.logs[h.Name]
	delete(w.logs, h.Name)
	if lines == nil {
		return
	}
	w.command("group", ansi.Strip(titled(h.Name, w.outcome(h))))
	w.s.Err.Write(lines.Bytes())
	w.command("endgroup", "")
}

// command writes a command; what looks like another one within it is text.
func (w *workflow) command(name, message string, properties ...string) {
	for i := range properties {
		properties[i] = text.LogLines(properties[i])
	}
	fmt.Fprintln(w.commands, text.Command(name, text.LogLines(message), properties...))
}

// Close implements [View].
func (w *workflow) Close() error {
	w.mu.Lock()
	for _, h := range w.story.Hosts { // of which no end came
		w.group(h)
	}
	w.mu.Unlock()
	return w.plain.Close()
}

// Package view turns events, proposals and diagnostics into bytes: a live table, plain lines, JSON
// lines, the recap, what a run would do as text and as Markdown. It knows no step and no hardware;
// whatever it shows stands in the events or the proposal.
//
// [Streams] is the only place that knows whether a stream is a terminal, how wide
// it is, and whether colours are wanted. Results go to Out, progress to Err.
package view

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"
	"golang.org/x/term"

	"esxiplan/engine/event"
	"esxiplan/engine/text"
)

// Streams are where output goes, and what the terminal there can do.
type Streams struct {
	Out, Err io.Writer
	Width    int  // columns of Err; 0 is not a terminal: lines are as long as they are
	OutWidth int  // of Out
	Color    bool // of Out
	ColorErr bool
	ASCII    bool // no characters beyond ASCII
	Verbose  bool // results of steps, too

	Now    func() time.Time // the clock of the run, which a rehearsal scales; nil: the real one
	Screen *Screen          // where a live view can be drawn; nil: nowhere
	Line   *Screen          // where a line can be redrawn, also where Out goes elsewhere; nil: nowhere

	Mask func(string) string // takes out secrets, for a text that is cut before Err masks it; nil: there are none
}

// now is the time on the clock of the run.
func (s *Streams) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// columns is how wide the terminal of Err is now, since terminals are resized; [Streams.Width]
// elsewhere.
func (s *Streams) columns() int {
	if s.Line != nil && s.Line.Out != nil {
		if width, _, err := term.GetSize(int(s.Line.Out.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return s.Width
}

// Clean takes out what could draw on the terminal; line breaks and tabs stay. What machines
// say now is clean when it comes here. This is for what else is shown: logs that an earlier
// version wrote, and names in plans.
func Clean(s string) string { return text.Lines(s) }

// View shows the events of a run.
type View interface {
	Event(event.Event)
	// Earlier takes in what happened before the run was continued: it counts, and was shown
	// then.
	Earlier(event.Event)
	// Close ends the view; the error says what it could not write.
	Close() error
}

// All shows the events of a run in several views.
type All []View

// Event implements [View].
func (all All) Event(e event.Event) {
	for _, v := range all {
		v.Event(e)
	}
}

// Earlier implements [View].
func (all All) Earlier(e event.Event) {
	for _, v := range all {
		v.Earlier(e)
	}
}

// Close implements [View]. That one view fails does not keep the others open.
func (all All) Close() error {
	errs := make([]error, len(all))
	for i, v := range all {
		errs[i] = v.Close()
	}
	return errors.Join(errs...)
}

// Formats are the names of the views; auto is live on a screen, and plain without one.
var Formats = []string{"auto", "live", "plain", "jsonl", "dense", "github"}

// New makes a view by name. Where there is no screen, live is plain. A live view takes the place
// of s.Err, so that what else is written there comes above it.
func New(format string, s *Streams) (View, error) {
	switch {
	case format == "jsonl":
		return &jsonLines{w: s.Out}, nil
	case format == "dense":
		return newDense(s), nil
	case format == "github":
		return newGitHub(s), nil
	case (format == "auto" || format == "live") && s.Screen != nil:
		return newLive(s), nil
	case format == "auto", format == "live", format == "plain":
		return newPlain(s, s.ColorErr), nil
	}
	return nil, fmt.Errorf("there is no output format %q; there are %s", format, strings.Join(Formats, ", "))
}

// Lines writes each event as one line of JSON.
func Lines(w io.Writer) View { return &jsonLines{w: w} }

// jsonLines writes each event as one line of JSON.
type jsonLines struct{ w io.Writer }

func (j *jsonLines) Event(e event.Event) {
	if b, err := json.Marshal(e); err == nil {
		fmt.Fprintf(j.w, "%s\n", b)
	}
}

func (j *jsonLines) Earlier(event.Event) {}

func (j *jsonLines) Close() error { return nil }

// theme is how things look.
type theme struct {
	ok, changed, removed, bad, warn, dim, bold, none lipgloss.Style
	arrow, line, bullet, dot                         string
}

func (s *Streams) themeOf(colors bool) theme {
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.Ascii)
	if colors {
		r.SetColorProfile(termenv.ANSI)
	}
	color := func(c string) lipgloss.Style { return r.NewStyle().Foreground(lipgloss.Color(c)) }
	t := theme{ok: color("2"), changed: color("3"), removed: color("1"), bad: color("1").Bold(true), warn: color("5"), dim: r.NewStyle().Faint(true),
		bold: r.NewStyle().Bold(true), none: r.NewStyle(), arrow: "→", line: "─", bullet: "•", dot: "·"}
	if s.ASCII {
		t.arrow, t.line, t.bullet, t.dot = "->", "-", "*", "-"
	}
	return t
}

// status colours a status as Ansible does.
func (t theme) status(s event.Status) string {
	switch s {
	case event.OK:
		return t.ok.Render(string(s))
	case event.Changed:
		return t.changed.Render(string(s))
	case event.Failed, event.Unreachable:
		return t.bad.Render(string(s))
	case event.Ignored:
		return t.warn.Render(string(s))
	}
	return t.dim.Render(string(s))
}

// Plain is a text as the streams can show it, for what is written without a view.
func (s *Streams) Plain(text string) string { return s.plain(text) }

// Cut is a text that is cut to some columns, and marked where it is.
func (s *Streams) Cut(text string, columns int) string {
	return ansi.Truncate(s.plain(text), columns, ellipsis(s.ASCII))
}

// plain replaces what a terminal without UTF-8 cannot show.
func (s *Streams) plain(text string) string {
	if !s.ASCII {
		return text
	}
	text = strings.NewReplacer("…", "...", "→", "->", "•", "*", "─", "-", "–", "-", "·", "-").Replace(text)
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return '?'
		}
		return r
	}, text)
}

// Span is a length of time for people.
func Span(d time.Duration) string { return short(d) }

// short is a length of time for people, "?" where a clock that was set back makes it negative.
func short(d time.Duration) string {
	switch {
	case d < 0:
		return "?"
	case d < time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	d = d.Round(time.Second)
	if d < time.Hour {
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	if d < 100*time.Hour {
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

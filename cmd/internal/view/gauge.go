package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// Gauge shows how many bytes of something long are done: on a screen in one line that is drawn
// anew, elsewhere in a line a minute. It is for one goroutine.
type Gauge struct {
	s     *Streams
	what  string
	began time.Time
	last  time.Time // when the last line was written; zero: none is on the screen
}

// NewGauge begins to measure. what stands in the middle of a sentence, such as: of host1.iso
// written.
func NewGauge(s *Streams, what string) *Gauge {
	return &Gauge{s: s, what: Clean(what), began: time.Now()}
}

// Show shows how many bytes are done, of how many; 0 is unknown.
func (g *Gauge) Show(done, total int64) {
	now := time.Now()
	text := g.s.plain(g.text(done, total, now.Sub(g.began)))
	if g.s.Screen != nil {
		g.draw(ansi.Truncate(text, max(1, g.s.Width-1), ellipsis(g.s.ASCII)))
		g.last = now
	} else if now.Sub(g.since()) >= rhythm {
		fmt.Fprintln(g.s.Err, text)
		g.last = now
	}
}

// since is when the last line was written, or the beginning.
func (g *Gauge) since() time.Time {
	if g.last.IsZero() {
		return g.began
	}
	return g.last
}

func (g *Gauge) text(done, total int64, took time.Duration) string {
	text := megabytes(float64(done))
	if total > 0 {
		text = fmt.Sprintf("%d %% (%s of %s)", min(100, 100*done/total), text, megabytes(float64(total)))
	}
	if rate := float64(done) / took.Seconds(); took > 0 && rate >= 50e3 {
		text += ", " + megabytes(rate) + "/s"
	}
	return strings.TrimSpace(text + " " + g.what)
}

// draw replaces what the line of the screen holds.
func (g *Gauge) draw(text string) {
	io.WriteString(g.s.Err, "\r"+text+ansi.EraseLineRight)
	if f, holds := g.s.Err.(interface{ Flush() error }); holds {
		f.Flush()
	}
}

// Close takes the line off the screen.
func (g *Gauge) Close() {
	if g.s.Screen != nil && !g.last.IsZero() {
		g.draw("")
		io.WriteString(g.s.Err, "\r")
	}
}

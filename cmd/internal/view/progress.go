package view

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"

	"esxiplan/engine/text"
)

// redrawTime is how often a [ProgressLine] is redrawn on a screen.
const redrawTime = time.Second / 2

// mostWaiting is how many names a [ProgressLine] has where it is not on a screen.
const mostWaiting = 3

// spare is how many columns a line on a screen leaves free: one because a terminal may break a full
// line, two for the ^C that a terminal shows.
const spare = 1 + len("^C")

// ProgressText is what a [ProgressLine] says at the moment, and the names of what is waited for, the
// most important first. The line is cut at its end where a screen is narrow. "" is no line yet.
type ProgressText func() (done string, waiting []string)

// ProgressLine shows on the progress stream how work stands that may take long: on a screen in one
// line that is redrawn and removed at the end, elsewhere in a line every minute. Work that ends sooner
// leaves no line. Several goroutines may use it.
type ProgressLine struct {
	s     *Streams
	text  ProgressText
	end   chan struct{}
	once  sync.Once
	ended sync.WaitGroup

	mu    sync.Mutex
	drawn string // the line that is on the screen, "" where no line is
}

// NewProgressLine shows a text until Close. The text is asked for on another goroutine, and masked
// before it is cut, since a part of a secret is not recognized.
func NewProgressLine(s *Streams, text ProgressText) *ProgressLine {
	p := &ProgressLine{s: s, text: text, end: make(chan struct{})}
	every := rhythm
	if s.Line != nil {
		every = redrawTime
	}
	p.ended.Go(func() { p.run(every) })
	return p
}

func (p *ProgressLine) run(every time.Duration) {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			if line := p.line(); line != "" {
				p.show(line)
			}
		case <-p.end:
			return
		}
	}
}

// Say writes a line of its own, above the line on a screen. It may be used after Close, too.
func (p *ProgressLine) Say(line string) { fmt.Fprintln(p, line) }

// Write implements [io.Writer] as Say, for whole lines.
func (p *ProgressLine) Write(lines []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	io.WriteString(p.s.Err, p.erase())
	return p.s.Err.Write(lines)
}

// Close ends the line and removes it from the screen. Only the first call has an effect.
func (p *ProgressLine) Close() {
	p.once.Do(func() { close(p.end) })
	p.ended.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draw(p.erase())
}

// show replaces the line on a screen, and writes one elsewhere.
func (p *ProgressLine) show(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.s.Line == nil {
		fmt.Fprintln(p.s.Err, line)
		return
	}
	p.draw(p.begin() + line + ansi.EraseLineRight)
	p.drawn = line
}

// draw writes what has no end of a line, which the stream would hold back.
func (p *ProgressLine) draw(what string) {
	if what != "" {
		(&masked{to: p.s.Err}).Write([]byte(what))
	}
}

// erase is what removes the line from the screen, "" where no line is. It ends outside of a word, so
// that a secret that follows is recognized.
func (p *ProgressLine) erase() string {
	if p.drawn == "" {
		return ""
	}
	begin := p.begin()
	p.drawn = ""
	return begin + ansi.EraseLineRight + "\r"
}

// begin moves the cursor to the beginning of the line. A terminal that has become narrower since may
// have broken it into several rows, which go one by one: where the whole screen is erased at once,
// tmux keeps it in its history.
func (p *ProgressLine) begin() string {
	rows := 0
	if p.s.Line.Reflows {
		rows = max(0, ansi.StringWidth(p.drawn)-1) / max(1, p.s.columns())
	}
	return strings.Repeat(ansi.EraseEntireLine+ansi.CursorUp(1), rows) + "\r"
}

// line is the text of this moment with as many names as fit.
func (p *ProgressLine) line() string {
	done, waiting := p.text()
	room, most := p.room()
	for n := min(len(waiting), most); n > 0 && done != ""; n-- {
		if line := p.shown(done + ", waiting for " + firstOf(waiting, n)); ansi.StringWidth(line) <= room {
			return line
		}
	}
	return ansi.Truncate(p.shown(done), room, ellipsis(p.s.ASCII))
}

// room is how many columns and how many names a line may have.
func (p *ProgressLine) room() (columns, names int) {
	switch {
	case p.s.Line != nil:
		columns = max(1, p.s.columns()-spare)
		return columns, columns / len("a, ")
	case p.s.Width > 0:
		return p.s.Width, mostWaiting
	}
	return math.MaxInt, mostWaiting
}

// shown is a text as the stream can show it, in one line.
func (p *ProgressLine) shown(line string) string {
	if p.s.Mask != nil {
		line = p.s.Mask(line)
	}
	return p.s.plain(text.Clean(line))
}

// firstOf lists the first n names and counts the others, such as: h17, h22 and 3 more.
func firstOf(names []string, n int) string {
	parts := names[:n:n]
	if more := len(names) - n; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	last := len(parts) - 1
	if last == 0 {
		return parts[0]
	}
	return strings.Join(parts[:last], ", ") + " and " + parts[last]
}

// ByteProgress is a [ProgressLine] that says how many bytes are done, and how fast.
type ByteProgress struct {
	*ProgressLine
	what  string
	began time.Time

	mu          sync.Mutex
	done, total int64
	took        time.Duration // until so many were done; 0: none were yet
}

// NewByteProgress begins to measure. what stands in the middle of a sentence, such as: of host1.iso
// written.
func NewByteProgress(s *Streams, what string) *ByteProgress {
	b := &ByteProgress{what: what, began: time.Now()}
	b.ProgressLine = NewProgressLine(s, b.text)
	return b
}

// Set takes in how many bytes are done, of how many; 0 is unknown.
func (b *ByteProgress) Set(done, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done, b.total, b.took = done, total, time.Since(b.began)
}

func (b *ByteProgress) text() (string, []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.took == 0 {
		return "", nil
	}
	text := megabytes(float64(b.done))
	if b.total > 0 {
		text = fmt.Sprintf("%d %% (%s of %s)", min(100, 100*b.done/b.total), text, megabytes(float64(b.total)))
	}
	if rate := float64(b.done) / b.took.Seconds(); rate >= 50e3 {
		text += ", " + megabytes(rate) + "/s"
	}
	return strings.TrimSpace(text + " " + b.what), nil
}

package view

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// terminal shows what is written to it, as far as a progress line needs one: it breaks lines that
// are too long, and breaks those that it shows once more when it gets narrower.
type terminal struct {
	mu      sync.Mutex
	width   int
	rows    []string
	at      int // the row of the cursor
	column  int
	widest  int
	redrawn int // how often the cursor returned to the beginning of its row
}

func (c *terminal) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for rest := string(b); rest != ""; {
		sequence, width, n, _ := ansi.DecodeSequence(rest, 0, nil)
		rest = rest[n:]
		c.take(sequence, width)
	}
	return len(b), nil
}

func (c *terminal) take(sequence string, width int) {
	switch {
	case sequence == "\n":
		c.next()
	case sequence == "\r":
		c.column = 0
		c.redrawn++
	case sequence == ansi.EraseLineRight:
		c.rows[c.at] = ansi.Truncate(c.row(), c.column, "")
	case sequence == ansi.EraseEntireLine:
		c.rows[c.at] = ""
	case sequence == ansi.CursorUp(1):
		c.at--
	case width == 0:
		c.put("<"+strings.TrimPrefix(sequence, "\x1b")+">", len(sequence)+1)
	default:
		c.put(sequence, width)
	}
}

func (c *terminal) put(character string, width int) {
	if c.column+width > c.width {
		c.next()
	}
	row := c.row()
	c.rows[c.at] = ansi.Truncate(row, c.column, "") + character + ansi.TruncateLeft(row, c.column+width, "")
	c.column += width
	c.widest = max(c.widest, c.column)
}

func (c *terminal) next() {
	c.row()
	c.at, c.column = c.at+1, 0
}

func (c *terminal) row() string {
	for len(c.rows) <= c.at {
		c.rows = append(c.rows, "")
	}
	return c.rows[c.at]
}

// narrow makes the terminal narrower while the cursor stands at the end of what it shows.
func (c *terminal) narrow(width int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	shown := strings.Split(ansi.Hardwrap(strings.Join(c.rows[:c.at+1], "\n"), width, true), "\n")
	c.rows, c.width, c.at = shown, width, len(shown)-1
	c.column = ansi.StringWidth(shown[c.at])
}

func (c *terminal) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.TrimRight(strings.Join(c.rows, "\n"), "\n")
}

// screened are streams with a terminal.
func screened(width int) (*terminal, *Streams) {
	c := &terminal{width: width}
	return c, &Streams{Err: c, Width: width, Line: &Screen{Reflows: true}}
}

// always is a text that stays, and what is waited for.
func always(done string, waiting ...string) ProgressText {
	return func() (string, []string) { return done, waiting }
}

// TestProgressLineOnScreen: one line that is redrawn, and leaves no trace; what comes meanwhile
// stands above it, and what comes later follows.
func TestProgressLineOnScreen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := screened(80)
		var done atomic.Int32
		p := NewProgressLine(s, func() (string, []string) { return fmt.Sprintf("read %d of 9", done.Add(1)), []string{"h1"} })
		shows := func(want string) {
			t.Helper()
			synctest.Wait()
			if c.String() != want {
				t.Errorf("after %d ticks the terminal shows %q, want %q", done.Load(), c.String(), want)
			}
		}
		time.Sleep(redrawTime - time.Nanosecond)
		shows("")
		time.Sleep(time.Nanosecond)
		shows("read 1 of 9, waiting for h1")
		time.Sleep(redrawTime)
		shows("read 2 of 9, waiting for h1")
		p.Say("warning: h1")
		shows("warning: h1")
		time.Sleep(redrawTime)
		shows("warning: h1\nread 3 of 9, waiting for h1")
		p.Close()
		shows("warning: h1")
		p.Say("warning: h2")
		time.Sleep(time.Hour)
		p.Close()
		shows("warning: h1\nwarning: h2")
	})
}

// TestProgressLineInLog: a line every minute, with three names at most.
func TestProgressLineInLog(t *testing.T) {
	names := []string{"h1", "h2", "h3", "h4", "h5"}
	for _, c := range []struct {
		lasts time.Duration
		width int
		names []string
		want  string
	}{
		{59 * time.Second, 0, names, ""},
		{61 * time.Second, 0, nil, "read 1\n"},
		{150 * time.Second, 0, names, "read 1, waiting for h1, h2, h3 and 2 more\nread 1, waiting for h1, h2, h3 and 2 more\n"},
		{61 * time.Second, 40, names, "read 1, waiting for h1, h2 and 3 more\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			p := NewProgressLine(&Streams{Err: &out, Width: c.width}, always("read 1", c.names...))
			time.Sleep(c.lasts)
			p.Close()
			p.Close()
			if out.String() != c.want {
				t.Errorf("after %s with %d columns: %q, want %q", c.lasts, c.width, out.String(), c.want)
			}
		})
	}
}

// TestProgressLineThatEndsSooner: what ends before the first tick, or has nothing to say yet, writes
// no byte.
func TestProgressLineThatEndsSooner(t *testing.T) {
	for name, c := range map[string]struct {
		screen *Screen
		lasts  time.Duration
		text   ProgressText
	}{
		"on a screen":                      {&Screen{}, redrawTime - 1, always("read 1")},
		"on a screen, with nothing to say": {&Screen{}, time.Hour, always("", "h1")},
		"elsewhere":                        {nil, rhythm - 1, always("read 1")},
		"elsewhere, with nothing to say":   {nil, time.Hour, always("", "h1")},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			p := NewProgressLine(&Streams{Err: &out, Width: 80, Screen: c.screen}, c.text)
			time.Sleep(c.lasts)
			p.Close()
			if out.Len() > 0 {
				t.Errorf("%s: %q", name, out.String())
			}
		})
	}
}

// TestProgressLineNames: as many names as fit, whole; the text is cut only where it is too long itself.
func TestProgressLineNames(t *testing.T) {
	waiting := []string{"h17", "h22", "rack7-b", "h40"}
	for _, c := range []struct {
		width int
		ascii bool
		names []string
		want  string
	}{
		{80, false, waiting, "read 31, 2 failed, waiting for h17, h22, rack7-b and h40"},
		{59, false, waiting, "read 31, 2 failed, waiting for h17, h22, rack7-b and h40"},
		{58, false, waiting, "read 31, 2 failed, waiting for h17, h22 and 2 more"},
		{50, false, waiting, "read 31, 2 failed, waiting for h17 and 3 more"},
		{47, false, waiting, "read 31, 2 failed"},
		{80, false, waiting[:1], "read 31, 2 failed, waiting for h17"},
		{16, false, waiting, "read 31, 2 f…"},
		{16, true, waiting, "read 31, 2..."},
		{80, true, []string{"bär"}, "read 31, 2 failed, waiting for b?r"},
		{80, false, []string{"h1\n\x1b[2J"}, "read 31, 2 failed, waiting for h1 \uFFFD[2J"},
		{2, false, waiting, "…"},
	} {
		s := &Streams{Width: c.width, ASCII: c.ascii, Line: &Screen{}}
		p := &ProgressLine{s: s, text: always("read 31, 2 failed", c.names...)}
		if got := p.line(); got != c.want {
			t.Errorf("%d columns: %q, want %q", c.width, got, c.want)
		}
	}
}

// TestProgressLineIsMasked: no part of a secret is shown, also where the line is cut within it.
func TestProgressLineIsMasked(t *testing.T) {
	mask := strings.NewReplacer("pässword", "***").Replace
	for width := range 60 {
		for _, ascii := range []bool{false, true} {
			s := &Streams{Width: width, ASCII: ascii, Mask: mask, Line: &Screen{}}
			p := &ProgressLine{s: s, text: always("of pässword.iso", "h1", "pässword", "h2")}
			if line := p.line(); strings.Contains(line, "p?") || strings.Contains(line, "pä") {
				t.Errorf("%d columns: %q", width, line)
			}
		}
	}
}

// TestProgressLineOnNarrowerTerminal: a line that a terminal broke when it became narrower goes, too.
func TestProgressLineOnNarrowerTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := screened(60)
		var resizing sync.Mutex
		p := NewProgressLine(s, func() (string, []string) {
			resizing.Lock()
			defer resizing.Unlock()
			return "read 31 of 40 BMCs", []string{"h17", "h22", "h23"}
		})
		p.Say("above")
		time.Sleep(redrawTime)
		synctest.Wait()
		resizing.Lock()
		c.narrow(20)
		s.Width = 20
		resizing.Unlock()
		time.Sleep(redrawTime)
		synctest.Wait()
		if want := "above\nread 31 of 40 BM…"; c.String() != want {
			t.Errorf("the terminal shows %q, want %q", c.String(), want)
		}
		c.narrow(10)
		s.Width = 10
		p.Close()
		if c.String() != "above" {
			t.Errorf("at the end the terminal shows %q", c.String())
		}
	})
}

// TestProgressLineOfMany: lines of several goroutines come whole, above the line.
func TestProgressLineOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := screened(60)
		p := NewProgressLine(s, always("read 31 of 40 BMCs", "h17"))
		var many sync.WaitGroup
		for i := range 20 {
			many.Go(func() {
				time.Sleep(time.Duration(i) * redrawTime / 3)
				p.Say("warning")
			})
		}
		many.Wait()
		p.Close()
		if want := strings.TrimSpace(strings.Repeat("warning\n", 20)); c.String() != want {
			t.Errorf("the terminal shows %q", c.String())
		}
	})
}

// writing writes a gigabyte, 10 MB a second, and counts it each second.
func writing(t *testing.T, s *Streams) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := NewByteProgress(s, "of a\x1b[2J.iso written")
		defer b.Close()
		time.Sleep(999 * time.Millisecond) // not at the same time as a tick
		for i := range int64(100) {
			b.Set((i+1)*10e6, 1e9)
			time.Sleep(time.Second)
		}
	})
}

// TestByteProgress: a line a minute with the rate; on a screen no line is too wide, and none is left.
func TestByteProgress(t *testing.T) {
	var out bytes.Buffer
	writing(t, &Streams{Err: &out})
	if got, want := out.String(), "60 % (600 MB of 1000 MB), 10 MB/s of a\uFFFD[2J.iso written\n"; got != want {
		t.Errorf("without a screen: %q, want %q", got, want)
	}
	c, s := screened(40)
	writing(t, s)
	if c.String() != "" || c.redrawn < 190 || c.widest > 37 {
		t.Errorf("on a screen: %q is left, redrawn %d times, up to %d columns", c.String(), c.redrawn, c.widest)
	}
}

// TestByteProgressOfUnknownSize: without a size the bytes are said, and the rate where there is one.
func TestByteProgressOfUnknownSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewByteProgress(&Streams{Err: &bytes.Buffer{}}, "written")
		defer b.Close()
		time.Sleep(10 * time.Second)
		for done, want := range map[int64]string{0: "0.0 MB written", 40e6: "40 MB, 4.0 MB/s written"} {
			b.Set(done, 0)
			if got, _ := b.text(); got != want {
				t.Errorf("%d bytes: %q, want %q", done, got, want)
			}
		}
	})
}

package view

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"esxiplan/engine/event"
)

// stage is a screen of which a test sees what is drawn, and on which it presses keys.
type stage struct {
	t       *testing.T
	s       *Streams
	v       View
	keys    *os.File
	out     bytes.Buffer // standard output
	drawn   chan string
	pressed chan string // what keys did
	closed  func() error
}

// mount makes a live view. The screen is a pipe, in place of a terminal.
func mount(t *testing.T) *stage {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, keys, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	st := &stage{t: t, keys: keys, drawn: make(chan string, 1), pressed: make(chan string, 9)}
	st.s = &Streams{Out: &st.out, Err: write, Width: 80, OutWidth: 80, Screen: &Screen{Out: write, Keys: in,
		Interrupt: func() { st.pressed <- "interrupt" }, Hold: func() { st.pressed <- "hold" }}}
	if st.v, err = New("auto", st.s); err != nil {
		t.Fatal(err)
	}
	go func() {
		all, _ := io.ReadAll(read)
		st.drawn <- string(all)
	}()
	st.closed = func() error {
		err := st.v.Close()
		write.Close()
		return err
	}
	t.Cleanup(func() {
		for _, f := range []*os.File{read, in, keys} {
			f.Close()
		}
	})
	return st
}

// press presses keys, and waits for what they do.
func (st *stage) press(keys, want string) {
	st.t.Helper()
	io.WriteString(st.keys, keys)
	select {
	case got := <-st.pressed:
		if got != want {
			st.t.Errorf("%q does %s, want %s", keys, got, want)
		}
	case <-time.After(10 * time.Second):
		st.t.Errorf("%q does nothing, want %s", keys, want)
	}
}

// TestLive: what matters stays above the frame and is all that is left of it; the recap follows
// on the output, as in plain.
func TestLive(t *testing.T) {
	t.Parallel()
	for _, run := range stories(time.Local) {
		if begin := run.events[0]; begin.Kind != event.RunStarted || begin.Plan.DryRun {
			continue
		}
		st := mount(t)
		for _, e := range run.earlier {
			st.v.Earlier(e)
		}
		for _, e := range run.events {
			st.v.Event(e)
		}
		io.WriteString(st.s.Err, "after the end\n")
		if err := st.closed(); err != nil {
			t.Error(err)
		}
		_, recap, _ := strings.Cut(st.out.String(), "RECAP")
		plainOut, _ := show(t, "plain", Streams{Width: 80}, run)
		if _, want, _ := strings.Cut(plainOut, "RECAP"); recap != want {
			t.Errorf("%s: the recap is\n%s\nwant\n%s", run.name, recap, want)
		}
		drawn := <-st.drawn
		for _, h := range st.v.(*live).story.Hosts {
			if h.Proof != nil && !h.Latest.Before(run.events[0].Time) && !strings.Contains(drawn, "proven, ESXi "+h.Proof.Version) {
				t.Errorf("%s: nothing says that %s is proven:\n%s", run.name, h.Name, ansi.Strip(drawn))
			}
			if s := h.Failed(); s != nil && !strings.Contains(ansi.Strip(drawn), h.Name+" ") {
				t.Errorf("%s: nothing says that %s failed:\n%s", run.name, h.Name, ansi.Strip(drawn))
			}
		}
		if !strings.HasSuffix(drawn, "after the end\n") || !strings.Contains(drawn, ansi.ShowCursor) {
			t.Errorf("%s: the terminal is not as it was: %q", run.name, drawn[max(0, len(drawn)-80):])
		}
	}
}

// TestLiveKeys: a Ctrl-C and q interrupt, in whatever state the view is; s holds after a yes, once.
func TestLiveKeys(t *testing.T) {
	t.Parallel()
	st := mount(t)
	for _, e := range fleetUnderWay(time.Local, 60) {
		st.v.Event(e)
	}
	st.press("q", "interrupt")
	st.press("\x03", "interrupt")
	st.press("/q\x03", "interrupt") // a q that is typed is a letter
	io.WriteString(st.keys, "\r")   // the filter is typed
	st.press("sn?jj \x03", "interrupt")
	st.press("sy", "hold")
	st.press("sysyq", "interrupt")
	v := st.v.(*live)
	v.mu.Lock()
	seen := v.look
	v.mu.Unlock()
	if !seen.held || seen.filter != "q" || !seen.help {
		t.Errorf("%+v", seen)
	}
	st.v.(*live).Restore()
	st.v.Event(event.Event{Kind: event.Warned, Time: time.Now(), Text: "lines follow"})
	if err := st.closed(); err != nil {
		t.Error(err)
	}
	if drawn := <-st.drawn; !strings.Contains(drawn[strings.LastIndex(drawn, ansi.ShowCursor):], "lines follow") {
		t.Errorf("after the terminal was given back: %q", drawn[max(0, len(drawn)-200):])
	}
}

// TestLiveThatEnds: the program that draws ends before the run, which continues; its lines follow.
func TestLiveThatEnds(t *testing.T) {
	t.Parallel()
	st := mount(t)
	events := sixHosts(time.Local)
	st.v.Event(events[0])
	st.v.(*live).program.Quit()
	select {
	case <-st.v.(*live).over:
	case <-time.After(10 * time.Second):
		t.Fatal("the view hangs")
	}
	for _, e := range events[1:] {
		st.v.Event(e)
	}
	if err := st.closed(); err != nil {
		t.Error(err)
	}
	if drawn := <-st.drawn; !strings.Contains(drawn, "the live view has ended") || !strings.Contains(drawn, "dell-02") || !strings.Contains(st.out.String(), "RECAP") {
		t.Errorf("%s%s", ansi.Strip(drawn), st.out.String())
	}
}

// TestLiveKeepsNoTerminalWaiting: events come in while the terminal takes nothing, and the run
// does not wait.
func TestLiveKeepsNoTerminalWaiting(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe() // nobody reads it
	if err != nil {
		t.Fatal(err)
	}
	s := &Streams{Out: io.Discard, Err: write, Screen: &Screen{Out: write}}
	v, _ := New("live", s)
	events := fleetUnderWay(time.Local, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20 {
			for _, e := range events[1:] {
				v.Event(e)
			}
		}
	}()
	v.Event(events[0])
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the run waits for the terminal")
	}
	go io.Copy(io.Discard, read)
	v.(*live).Restore()
	write.Close()
}

// TestLiveIsMasked: frames go through the stream that takes secrets out, and are not held back.
func TestLiveIsMasked(t *testing.T) {
	var to flushed
	m := &masked{to: &to}
	if n, err := m.Write([]byte("a frame")); n != len("a frame") || err != nil || to.String() != "a frame" || to.times != 1 {
		t.Errorf("%d, %v, %q, flushed %d times", n, err, to.String(), to.times)
	}
}

type flushed struct {
	bytes.Buffer
	times int
}

func (f *flushed) Flush() error { f.times++; return nil }

// TestRewound: what a narrower terminal makes of a frame is gone up to its first line.
func TestRewound(t *testing.T) {
	if got := rewound("short\nshort", 80); got != "" {
		t.Errorf("%q", got)
	}
	if got, want := strings.Count(rewound(strings.Repeat("x", 100)+"\nshort\nkeys", 40), ansi.EraseEntireLine), 5; got != want {
		t.Errorf("%d lines are erased, want %d", got, want)
	}
}

// TestQuietBeforeBubbletea: the terminal is not asked for its colours as the process begins.
func TestQuietBeforeBubbletea(t *testing.T) {
	c := exec.Command(os.Args[0], "-test.run=^$")
	c.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	quiet, bubbletea := bytes.Index(out, []byte("init esxiplan/cmd/internal/view/quiet ")), bytes.Index(out, []byte("init github.com/charmbracelet/bubbletea "))
	if quiet < 0 || bubbletea < quiet {
		t.Errorf("quiet comes at %d, bubbletea at %d:\n%s", quiet, bubbletea, out)
	}
}

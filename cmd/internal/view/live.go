package view

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	_ "esxiplan/cmd/internal/view/quiet"
	"esxiplan/engine/event"
)

// Screen is a terminal that a live view is drawn on.
type Screen struct {
	Out        *os.File    // it is standard error
	Foreground func() bool // whether the process may touch the terminal; nil: always
	Keys       *os.File    // where keys are read; nil: no one can press any
	Interrupt  func()      // does what Ctrl-C does
	Hold       func()      // lets no further host begin
	Reflows    bool        // where it gets narrower, it breaks its lines
}

// frameTime is the least time from a frame to the next: ten in a second, for who presses keys.
// What happens in the run is shown five times in a second; where nothing happens there is a
// frame a second, for the clocks in it.
const (
	frameTime = 100 * time.Millisecond
	eventTime = 200 * time.Millisecond
	idleTime  = time.Second
)

// live shows a run as a table that is redrawn, with what matters above it, where it stays.
//
// Events only change the story, under a lock, and set a flag; a frame is made for many of them.
// So a run does not wait for a slow terminal. bubbletea draws, reads keys and puts the terminal
// back; when it ends before the run does, plain lines follow.
type live struct {
	*plain
	screen  Screen
	to      io.Writer // the stream that the view took the place of
	out     *masked   // the terminal behind it
	program *tea.Program

	// Guarded by plain.mu:
	board         *board
	look          look
	width, height int
	above         []string     // lines that are to come above the frame
	part          bytes.Buffer // of a line that has no end yet
	drawn         string       // the last frame
	drawing       bool         // the program has the terminal
	closing       bool
	away          bool // the process is about to be stopped

	wake    chan struct{} // something has changed
	end     chan struct{} // the run is over
	over    chan struct{} // the program is
	suspend chan os.Signal
	once    sync.Once
}

// newLive makes a live view on the screen of the streams, and takes the place of their Err.
func newLive(s *Streams) *live {
	l := &live{screen: *s.Screen, to: s.Err, out: &masked{File: s.Screen.Out, to: s.Err}, width: 80, height: 24,
		wake: make(chan struct{}, 1), end: make(chan struct{}), over: make(chan struct{}), suspend: make(chan os.Signal, 1)}
	own := *s
	own.Err = lines{l}
	l.plain = newPlain(&own, s.ColorErr)
	l.board = newBoard(&l.story)
	s.Err = l
	return l
}

// Event implements [View].
func (l *live) Event(e event.Event) {
	e = clean(e)
	l.mu.Lock()
	l.take(e)
	if text := l.matters(e); text != "" {
		l.say(e, text)
	}
	begins := e.Kind == event.RunStarted && !e.Plan.DryRun && !l.drawing && !l.closing
	if begins {
		l.begin()
	}
	l.mu.Unlock()
	l.changed()
	if e.Kind == event.RunDone {
		l.finish()
	}
}

// Earlier implements [View].
func (l *live) Earlier(e event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.take(clean(e))
}

// take takes an event into the story and the counts.
func (l *live) take(e event.Event) {
	l.fold(e)
	l.board.follow(e, time.Now())
}

// changed asks for a frame.
func (l *live) changed() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// lines are the view as the stream of its own plain lines, which are written under its lock.
type lines struct{ *live }

func (l lines) Write(b []byte) (int, error) { return l.write(b) }

// Write takes what others write to the stream that the view took the place of.
func (l *live) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.changed()
	return l.write(b)
}

// write puts lines above the frame, or passes them on where there is no frame.
func (l *live) write(b []byte) (int, error) {
	if !l.drawing {
		return l.to.Write(b)
	}
	l.part.Write(b)
	for {
		line, rest, whole := bytes.Cut(l.part.Bytes(), []byte("\n"))
		if !whole {
			return len(b), nil
		}
		l.above = append(l.above, string(line))
		l.part.Next(l.part.Len() - len(rest))
	}
}

// begin gives the terminal to the program.
func (l *live) begin() {
	l.drawing = true
	options := []tea.ProgramOption{tea.WithOutput(l.out), tea.WithFPS(int(time.Second / frameTime)), tea.WithoutSignalHandler(), tea.WithoutBracketedPaste()}
	if l.screen.Keys == nil {
		options = append(options, tea.WithInput(nil))
	} else {
		options = append(options, tea.WithInput(&keyboard{l.screen.Keys, l.screen.Interrupt}))
	}
	l.program = tea.NewProgram(model{l}, options...)
	signal.Notify(l.suspend, syscall.SIGTSTP)
	go l.run()
	go l.pump()
	go l.suspends()
}

// run runs the program to its end. Where that comes before the run's, lines follow.
func (l *live) run() {
	_, err := l.program.Run()
	signal.Stop(l.suspend)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drawing = false
	if rest := l.part.String(); rest != "" {
		l.above = append(l.above, rest)
	}
	if !l.closing {
		l.above = append(l.above, fmt.Sprintf("the live view has ended (%v); the run continues, and its lines follow", err))
	}
	for _, line := range l.above {
		io.WriteString(l.to, line+"\n")
	}
	l.above = nil
	close(l.over)
}

// pump asks the program for frames: one when something has changed, not too many, and one now
// and then for the clocks. Only this goroutine waits for a terminal that is slow.
func (l *live) pump() {
	idle := time.NewTimer(idleTime)
	defer idle.Stop()
	for {
		select {
		case <-l.wake:
		case <-idle.C:
		case <-l.over:
			return
		case <-l.end:
			l.draw()
			l.program.Quit()
			return
		}
		l.draw()
		idle.Reset(idleTime)
		select {
		case <-time.After(eventTime):
		case <-l.end:
		case <-l.over:
			return
		}
	}
}

// draw hands over what is to come above the frame, and asks for the frame.
func (l *live) draw() {
	l.mu.Lock()
	above := strings.Join(l.above, "\n")
	l.above = l.above[:0]
	l.mu.Unlock()
	if above != "" {
		l.program.Send(tea.Println(above)())
	}
	l.program.Send(redraw{})
}

// suspends stops the process where somebody else than the keyboard asks for that.
func (l *live) suspends() {
	for {
		select {
		case <-l.suspend:
			l.program.Send(tea.KeyMsg{Type: tea.KeyCtrlZ})
		case <-l.over:
			return
		}
	}
}

// finish ends the program, and waits until the terminal is as it was.
func (l *live) finish() {
	l.mu.Lock()
	began := l.drawing
	l.closing = true
	l.mu.Unlock()
	if began {
		l.once.Do(func() { close(l.end) })
		<-l.over
	}
}

// Restore gives the terminal back at once: the process is about to end.
func (l *live) Restore() {
	l.mu.Lock()
	drawing := l.drawing
	l.closing = true
	l.mu.Unlock()
	if !drawing {
		return
	}
	go l.program.Quit()
	if l.ends(time.Second) {
		return
	}
	l.program.Kill() // the terminal takes nothing any more
	l.ends(time.Second)
}

// ends waits for the end of the program.
func (l *live) ends(patience time.Duration) bool {
	select {
	case <-l.over:
		return true
	case <-time.After(patience):
		return false
	}
}

// Close implements [View].
func (l *live) Close() error {
	l.finish()
	return l.plain.Close()
}

// masked is the terminal behind the stream that takes secrets out.
type masked struct {
	*os.File
	to io.Writer
}

// Write passes a frame on whole: the stream holds back what may be the beginning of a secret.
func (m *masked) Write(b []byte) (int, error) {
	n, err := m.to.Write(b)
	if f, holds := m.to.(interface{ Flush() error }); holds && err == nil {
		err = f.Flush()
	}
	return n, err
}

// keyboard reads keys. Ctrl-C is no key like others: it is heard also when the program hangs.
type keyboard struct {
	*os.File
	interrupt func()
}

const ctrlC = 0x03

// Read implements io.Reader; it returns no Ctrl-C.
func (k *keyboard) Read(b []byte) (int, error) {
	n, err := k.File.Read(b)
	for range bytes.Count(b[:n], []byte{ctrlC}) {
		k.interrupt()
	}
	return copy(b, bytes.ReplaceAll(b[:n], []byte{ctrlC}, nil)), err
}

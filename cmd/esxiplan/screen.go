package main

import (
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"esxiplan/cmd/internal/view"
)

// lineScreen is the terminal on which a line can be redrawn, nil where the terminal cannot draw, a CI
// system keeps what it shows, or a shell runs this process in the background, from where the
// terminal must not be touched.
func lineScreen(err *os.File) *view.Screen {
	if !isTerminal(err) || !draws() || inCI() || !foreground(err) {
		return nil
	}
	return &view.Screen{Out: err, Reflows: reflows(), Foreground: func() bool { return foreground(err) }}
}

// screenOf is the terminal on which a run can be watched live, nil where none is, or where an output
// goes elsewhere.
func screenOf(in, out *os.File, line *view.Screen) *view.Screen {
	if line == nil || !isTerminal(out) {
		return nil
	}
	s := *line
	if isTerminal(in) && foreground(in) {
		s.Keys = in
	}
	return &s
}

// draws reports a terminal that knows how to move its cursor and to erase.
func draws() bool {
	kind := os.Getenv("TERM")
	return kind != "" && kind != "dumb"
}

// reflows reports a terminal that breaks lines again as its width changes, as nearly all do.
func reflows() bool {
	switch {
	case os.Getenv("TMUX") != "":
		return true
	case os.Getenv("STY") != "", os.Getenv("XTERM_VERSION") != "", os.Getenv("TERM") == "linux": // GNU screen, xterm, the console
		return false
	}
	return true
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// foreground reports that this process is in the foreground of a terminal.
func foreground(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// connect joins the keys of a live view with the run.
func (r *request) connect() {
	r.streams.Now, r.hold = r.clock.Now, make(chan struct{})
	if r.flags.output == "github" {
		r.console.Commands = true // the view escapes all but its own commands
	}
	if s := r.streams.Screen; s != nil {
		s.Interrupt, s.Hold = pressCtrlC, func() { close(r.hold) }
	}
}

// pressCtrlC does what a terminal does at Ctrl-C, and takes the same way.
func pressCtrlC() { unix.Kill(os.Getpid(), unix.SIGINT) }

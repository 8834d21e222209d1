package main

import (
	"os"
	"testing"

	"esxiplan/cmd/internal/view"
)

// TestScreenOf: what is no terminal is no screen, and nothing in the environment makes it one.
func TestScreenOf(t *testing.T) {
	t.Setenv("CI", "")
	t.Setenv("TERM", "xterm-256color")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	if s := lineScreen(write); s != nil {
		t.Errorf("a pipe is a screen: %+v", s)
	}
	if s := screenOf(read, write, &view.Screen{Out: write}); s != nil {
		t.Errorf("a run is watched where its output goes into a pipe: %+v", s)
	}
	if foreground(read) {
		t.Error("a pipe has a foreground")
	}
}

// TestReflows: which terminals break their lines again.
func TestReflows(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		want bool
	}{
		{"most", nil, true},
		{"xterm", map[string]string{"XTERM_VERSION": "XTerm(379)"}, false},
		{"tmux in an xterm", map[string]string{"XTERM_VERSION": "XTerm(379)", "TMUX": "/tmp/tmux-0/default,1,0"}, true},
		{"GNU screen", map[string]string{"STY": "1.pts-0.host"}, false},
		{"the console", map[string]string{"TERM": "linux"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, name := range []string{"TMUX", "STY", "XTERM_VERSION", "TERM"} {
				t.Setenv(name, c.env[name])
			}
			if reflows() != c.want {
				t.Errorf("reflows: %v", !c.want)
			}
		})
	}
}

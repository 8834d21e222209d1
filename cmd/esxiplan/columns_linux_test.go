package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// terminalOf opens a terminal with so many columns.
func terminalOf(t *testing.T, columns int) *os.File {
	t.Helper()
	open := func(path string) *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil && os.Getenv("CI") != "" {
			t.Fatalf("CI must be able to open a terminal: %v", err)
		}
		if err != nil {
			t.Skipf("no terminal can be opened here: %v", err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	far := open("/dev/ptmx")
	if err := unix.IoctlSetPointerInt(int(far.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(far.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	near := open(fmt.Sprintf("/dev/pts/%d", number))
	if err := unix.IoctlSetWinsize(int(near.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)}); err != nil {
		t.Fatal(err)
	}
	return near
}

// TestColumns: each stream is as wide as it is: lines in a file are whole also while the other
// stream is a terminal. COLUMNS is for both.
func TestColumns(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "ticket.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	screen := terminalOf(t, 66)
	for _, c := range []struct {
		columns               string
		out, err              *os.File
		wantOut, wantProgress int
	}{
		{"", file, screen, 0, 66},
		{"", screen, file, 66, 0},
		{"", screen, screen, 66, 66},
		{"", file, file, 0, 0},
		{"100", file, screen, 100, 100},
		{"many", file, screen, 0, 66},
		{"1000", file, file, 200, 200},
	} {
		t.Setenv("COLUMNS", c.columns)
		if s := newStreams(c.out, c.err); s.OutWidth != c.wantOut || s.Width != c.wantProgress {
			t.Errorf("COLUMNS=%s: %d and %d columns, want %d and %d", c.columns, s.OutWidth, s.Width, c.wantOut, c.wantProgress)
		}
	}
}

package main

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// screen is the end of what was drawn on a terminal.
type screen struct {
	mu   sync.Mutex
	last []byte
}

// mostKept is how much of what was drawn is kept, in bytes.
const mostKept = 64 << 10

func (s *screen) read(terminal *os.File) {
	defer terminal.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := terminal.Read(b)
		s.mu.Lock()
		s.last = append(s.last, b[:n]...)
		s.last = s.last[max(0, len(s.last)-mostKept):]
		s.mu.Unlock()
		if err != nil { // the process has ended
			return
		}
	}
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.last)
}

// startOnTerminal starts a command on a terminal of its own, on which nobody presses a key.
func startOnTerminal(c *exec.Cmd, columns, lines uint16) (*screen, error) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	fd := int(terminal.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: lines, Col: columns})
	}
	if err != nil {
		return nil, err
	}
	side, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer side.Close()
	c.Stdin, c.Stdout, c.Stderr = side, side, side
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		return nil, err
	}
	s := &screen{}
	go s.read(terminal)
	return s, nil
}

package main

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestProgress: a terminal has one line that is drawn again and goes at the end, a log a line every
// minute, and neither has anything of what is over at once.
func TestProgress(t *testing.T) {
	const clear = "\r\x1b[K"
	for name, c := range map[string]struct {
		terminal      bool
		lasts         time.Duration
		lines, screen string
	}{
		"terminal":          {true, 1200 * time.Millisecond, "warning: h1\n", "read 1 of 3 BMCs, 1 failed, 1s so far" + clear + "read 1 of 3 BMCs, 1 failed, 1s so far" + clear},
		"terminal, at once": {true, 400 * time.Millisecond, "warning: h1\n", ""},
		"log":               {false, 150 * time.Second, "warning: h1\nread 1 of 3 BMCs, 1 failed, 1m0s so far\nread 1 of 3 BMCs, 1 failed, 2m0s so far\n", ""},
		"log, at once":      {false, 50 * time.Second, "warning: h1\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lines, screen bytes.Buffer
				p := &progress{lines: &lines, total: 3}
				if c.terminal {
					p.screen = &screen
				}
				p.start()
				p.count(errors.New("no route"))
				p.say("warning: h1")
				time.Sleep(c.lasts)
				p.close()
				if lines.String() != c.lines || screen.String() != c.screen {
					t.Errorf("lines %q, screen %q", lines.String(), screen.String())
				}
			})
		})
	}
}

// TestProgressMakesWayForLines: a line that comes meanwhile does not stand behind the progress line.
func TestProgressMakesWayForLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var both bytes.Buffer
		p := &progress{lines: &both, screen: &both, total: 2}
		p.start()
		p.count(nil)
		time.Sleep(600 * time.Millisecond)
		p.say("warning: h2")
		p.close()
		if want := "read 1 of 2 BMCs, 1s so far\r\x1b[Kwarning: h2\n"; both.String() != want {
			t.Errorf("%q, want %q", both.String(), want)
		}
	})
}

package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/bmc"
)

// TestReadings: a terminal has one line that is redrawn and removed at the end, a log a line every
// minute, and neither has anything of what is over at once. The line names the hosts whose BMCs have
// not answered.
func TestReadings(t *testing.T) {
	const line = "\rread 1 of 3 BMCs in 1s, 1 failed, waiting for h2 and h3\x1b[K"
	for name, c := range map[string]struct {
		terminal bool
		lasts    time.Duration
		want     string
	}{
		"terminal":          {true, 1200 * time.Millisecond, "warning: h1\n" + line + line + "\r\x1b[K\r"},
		"terminal, at once": {true, 400 * time.Millisecond, "warning: h1\n"},
		"log": {false, 150 * time.Second, "warning: h1\nread 1 of 3 BMCs in 1m00s, 1 failed, waiting for h2 and h3\n" +
			"read 1 of 3 BMCs in 2m00s, 1 failed, waiting for h2 and h3\n"},
		"log, at once": {false, 50 * time.Second, "warning: h1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				a := newApp(nil, &view.Streams{Err: &out, Width: 80})
				if c.terminal {
					a.streams.Line = &view.Screen{}
				}
				r := a.newReadings(3)
				r.count("h1", func() error { return errors.New("no route") })
				r.Say("warning: h1")
				for _, host := range []string{"h2", "h3"} {
					go r.count(host, func() error { time.Sleep(c.lasts + 1); return nil })
					synctest.Wait()
				}
				time.Sleep(c.lasts)
				r.Close()
				time.Sleep(2 * time.Nanosecond) // until the hosts have answered
				if out.String() != c.want {
					t.Errorf("%q, want %q", out.String(), c.want)
				}
			})
		})
	}
}

// TestReadingsMakeWayForLines: a line that comes meanwhile does not stand behind the progress line.
func TestReadingsMakeWayForLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var both bytes.Buffer
		a := newApp(nil, &view.Streams{Err: &both, Width: 80, Line: &view.Screen{}})
		r := a.newReadings(2)
		r.count("h1", func() error { return nil })
		time.Sleep(600 * time.Millisecond)
		r.Say("warning: h2")
		r.Close()
		if want := "\rread 1 of 2 BMCs in 1s\x1b[K\r\x1b[K\rwarning: h2\n"; both.String() != want {
			t.Errorf("%q, want %q", both.String(), want)
		}
	})
}

// TestRequestsStandAboveReadings: with -vv, requests do not stand behind the progress line.
func TestRequestsStandAboveReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var both bytes.Buffer
		a := newApp(nil, &view.Streams{Err: &both, Width: 80, Line: &view.Screen{}})
		trace, err := newTracer(traceFlags{verbose: 2}, a.streams.Err, a.secrets)
		if err != nil {
			t.Fatal(err)
		}
		r := a.newReadings(2)
		trace.above(r)
		time.Sleep(600 * time.Millisecond)
		trace.of("h1")(bmc.Exchange{Method: "GET", Path: "/redfish/v1/", Status: 200})
		r.Close()
		if want := "\rread 0 of 2 BMCs in 1s\x1b[K\r\x1b[K\rh1  GET /redfish/v1/ → 200, 0 ms\n"; both.String() != want {
			t.Errorf("%q, want %q", both.String(), want)
		}
	})
}

// TestReadingsAreMasked: a name that is a secret is not shown, also where the line ends within it.
func TestReadingsAreMasked(t *testing.T) {
	for width := 40; width < 80; width++ {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			a := newApp(nil, &view.Streams{Width: width, Line: &view.Screen{}})
			a.secrets.Add("correct-horse")
			flush := a.maskStreams(&out, &out)
			r := a.newReadings(2)
			go r.count("correct-horse", func() error { time.Sleep(time.Minute); return nil })
			time.Sleep(time.Second + 1)
			r.Close()
			flush()
			time.Sleep(time.Minute) // until the host has answered
			if strings.Contains(out.String(), "corr") || !strings.Contains(out.String(), "read 0 of 2 BMCs") {
				t.Errorf("%d columns: %q", width, out.String())
			}
		})
	}
}

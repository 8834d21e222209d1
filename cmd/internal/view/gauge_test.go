package view

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// measured writes a gigabyte, 10 MB a second, and shows it each second.
func measured(t *testing.T, s *Streams) string {
	t.Helper()
	var out bytes.Buffer
	s.Err = &out
	synctest.Test(t, func(t *testing.T) {
		g := NewGauge(s, "of a\x1b[2J.iso written")
		for i := range int64(100) {
			time.Sleep(time.Second)
			g.Show((i+1)*10e6, 1e9)
		}
		g.Close()
	})
	return out.String()
}

// TestGauge: one line on a screen, which is gone at the end; a line a minute elsewhere.
func TestGauge(t *testing.T) {
	if got, want := measured(t, &Streams{}), "60 % (600 MB of 1000 MB), 10 MB/s of a\uFFFD[2J.iso written\n"; got != want {
		t.Errorf("without a screen: %q, want %q", got, want)
	}
	got := measured(t, &Streams{Width: 40, Screen: &Screen{}})
	if strings.Contains(got, "\n") || strings.Count(got, "\r") != 102 || !strings.HasSuffix(got, "\r"+ansi.EraseLineRight+"\r") {
		t.Errorf("on a screen: %q", got[max(0, len(got)-200):])
	}
	for line := range strings.SplitSeq(got, "\r") {
		if ansi.StringWidth(line) > 39 {
			t.Errorf("too wide: %q", line)
		}
	}
}

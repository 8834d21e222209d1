package text_test

import (
	"testing"
	"time"

	"esxiplan/engine/text"
)

// TestDuration: lengths of time read as people say them.
func TestDuration(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		0: "0 seconds", 999 * time.Millisecond: "less than a second", -3 * time.Second: "minus 3 seconds",
		time.Second: "1 second", 1400 * time.Millisecond: "1 second", 5 * time.Second: "5 seconds", time.Minute: "1 minute", 90 * time.Second: "90 seconds",
		119*time.Second + 600*time.Millisecond: "2 minutes", 2 * time.Minute: "2 minutes", 150 * time.Second: "2 minutes 30 seconds", 121 * time.Second: "2 minutes 1 second",
		9*time.Minute + 59*time.Second + 700*time.Millisecond: "10 minutes", 20*time.Minute + 29*time.Second: "20 minutes", 44*time.Minute + 58*time.Second: "45 minutes",
		time.Hour: "1 hour", day: "1 day", 61 * time.Second: "61 seconds", 90 * time.Minute: "90 minutes", 119*time.Minute + 40*time.Second: "2 hours", 2 * time.Hour: "2 hours", 150 * time.Minute: "2 hours 30 minutes",
		36 * time.Hour: "36 hours", 2 * day: "2 days", 2*day + time.Hour: "2 days 1 hour", 3000*time.Hour + 51*time.Second: "125 days", 400 * day: "400 days",
	} {
		if got := text.Duration(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

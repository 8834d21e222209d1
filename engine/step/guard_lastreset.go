package step

import (
	"fmt"
	"time"
)

// clockTime is a moment for people, in their own time zone.
func clockTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// CheckLastReset refuses to touch the power of a machine while an installation that
// another run began is neither proven nor timed out.
func CheckLastReset(h History, run string, s Settings) error {
	last, open := h.Installing()
	if !open || last.Run == run || s.Again {
		return nil
	}
	return &Refusal{"last reset", fmt.Sprintf("run %s reset this machine at %s, and that installation is neither proven nor timed out", last.Run, clockTime(last.Time)),
		s.waitForIt() + ", or reset all the same with --again"}
}

// waitForIt is the way out of an installation that is under way.
func (s Settings) waitForIt() string {
	if s.WaitStep == "" {
		return "Wait for its end with a wait step"
	}
	return "Wait for its end (esxiplan run … --start-at " + s.WaitStep + ")"
}

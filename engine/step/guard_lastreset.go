package step

import (
	"fmt"
	"time"
)

// ClockTime is a moment for people, in their own time zone.
func ClockTime(t time.Time) string { return t.Local().Format(time.DateTime) }

// CheckLastReset refuses to touch the power of a machine while an installation that
// another run began is neither proven nor timed out.
func CheckLastReset(h History, run string, s Settings) error {
	last, open := h.Installing()
	if !open || last.Run == run || s.Again {
		return nil
	}
	return &Refusal{"last reset", fmt.Sprintf("run %s reset this machine at %s, and that installation is neither proven nor timed out", last.Run,
		ClockTime(last.Time)),
		s.waitForIt() + ", or reset all the same with --again"}
}

// CheckInstalling refuses to prepare another installation while one of ours is under way,
// this run's included: the machine would begin again when the installer restarts it.
func CheckInstalling(h History, s Settings) error {
	last, open := h.Installing()
	if !open || s.Again {
		return nil
	}
	return &Refusal{"last reset", fmt.Sprintf("esxiplan has been installing this machine since %s (run %s): "+
		"what is mounted or set now would be booted by the installer's own restart", ClockTime(last.Time), last.Run),
		s.waitForIt() + ", or continue all the same with --again"}
}

// waitForIt is the way out of an installation that is under way.
func (s Settings) waitForIt() string {
	if s.WaitStep == "" {
		return "Wait for its end with a wait step"
	}
	return "Wait for its end (esxiplan run … --start-at " + s.WaitStep + ")"
}

package wait

import (
	"fmt"
	"time"

	"esxiplan/engine/esxi"
	"esxiplan/engine/text"
)

// An ESXi's dates are compared by how long ago they are by its own clock, so that it need
// not agree with ours.
const (
	// rounding is how far two moments may lie apart that are noted in whole seconds. More
	// would let an installation pass that ended just before the reset.
	rounding = 5 * time.Second
	// clockSlack is how far a clock may have been set back since the installation.
	clockSlack = 2 * time.Minute
)

// undated says why the dates that the system tells are too few. Without a certificate from
// before the reset they alone tell it from the old one.
func (l *looking) undated(s esxi.System) string {
	switch {
	case s.Now.IsZero():
		_, what := l.began()
		return "this ESXi does not tell its time, so its dates cannot be compared with " + what
	case s.Installed.IsZero() && !l.certified():
		return "this ESXi does not tell when it was installed, and no certificate is known from before the reset"
	case s.Booted.IsZero() && !l.certified():
		return "this ESXi does not tell when it was booted, and no certificate is known from before the reset"
	case s.Installed.IsZero() && s.Booted.IsZero(): // certificates are also renewed
		return "this ESXi tells neither when it was installed nor when it was booted: a new certificate alone proves no installation"
	}
	return ""
}

// setBack says why the time here makes no sense: our reset lies in the future.
func (l *looking) setBack() string {
	now := l.h.Now()
	if !l.reset || !l.last.Time.After(now.Add(rounding)) {
		return ""
	}
	l.r.Next = "Set the clock of the machine that esxiplan runs on, then wait again"
	return fmt.Sprintf("our reset is on record at %s, and the clock of the machine that esxiplan runs on shows %s: "+
		"it was set back, so no date can be compared with the reset", minute(l.last.Time), minute(now))
}

// wrongClock says why the system's own clock makes no sense.
func (l *looking) wrongClock(s esxi.System) string {
	for _, date := range []struct {
		what string
		at   time.Time
	}{{"installation", s.Installed}, {"boot", s.Booted}} {
		if date.at.After(s.Now.Add(clockSlack)) {
			l.r.Next = "Set its clock, and the time servers of the plan, then install it again: what a wrong clock says proves nothing"
			return fmt.Sprintf("the clock of the ESXi there (%s) lies before its own %s (%s): nothing can be concluded from it", minute(s.Now), date.what, minute(date.at))
		}
	}
	return ""
}

// began is the moment after which the system must have been installed and booted: our
// reset or, where none is on record, when the image was built.
func (l *looking) began() (at time.Time, what string) {
	if l.reset {
		return l.last.Time, "our reset"
	}
	return l.media.Built, "the image was built"
}

// tooOld says why the system was installed or booted before that moment.
func (l *looking) tooOld(s esxi.System) string {
	began, what := l.began()
	elapsed := l.h.Now().Sub(began)
	installed, booted := s.Now.Sub(s.Installed)-elapsed, s.Now.Sub(s.Booted)-elapsed
	switch {
	case l.reset && !s.Installed.IsZero() && s.Installed.Equal(l.last.Before.Installed):
		return "the ESXi there was installed at the same moment as the one before the reset: it is the old one"
	case !s.Installed.IsZero() && installed > rounding:
		return fmt.Sprintf("the ESXi there was installed %s before %s (%s ago): it is the old one", text.Duration(installed), what, text.Duration(elapsed))
	case !s.Booted.IsZero() && booted > rounding:
		return fmt.Sprintf("the ESXi there was booted %s before %s (%s ago)", text.Duration(booted), what, text.Duration(elapsed))
	}
	return ""
}

// dated is the date that tells the system from the old one.
func (l *looking) dated(s esxi.System) string {
	verb, at := "installed", s.Installed
	if at.IsZero() {
		verb, at = "booted", s.Booted
	}
	_, what := l.began()
	return fmt.Sprintf("%s %s by its own clock, after %s", verb, at.UTC().Format(time.DateTime), what)
}

// minute is a moment that is compared with others, clock one of a run.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }
func clock(t time.Time) string  { return t.Local().Format(time.TimeOnly) }

func megabytes(n int64) float64 { return float64(n) / 1e6 }

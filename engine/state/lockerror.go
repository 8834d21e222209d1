package state

import (
	"fmt"
	"time"

	"esxiplan/engine/text"
)

// Locked is a key that another process holds.
type Locked struct {
	Key    string
	Name   string // what people call it: the name of the host and the address of its BMC
	Holder Holder // the zero value where the lock file cannot be read
	File   string // the lock file
	Here   bool   // the holder is a process on this host, which exists
	Others int    // how many more of the keys are locked

	Seen time.Time     // when the lock was found held
	Left time.Duration // until it ends, unless it is renewed
}

func (e *Locked) Error() string {
	ends := fmt.Sprintf("the lock ends by itself in %s", text.Duration(max(e.Left, 0)+time.Second-1))
	if e.Holder == (Holder{}) {
		return fmt.Sprintf("%s is locked, but %s cannot be read, so its holder is not known. Make sure that no other run works on it; %s", e.Name, e.File, ends)
	}
	text := fmt.Sprintf("%s is locked by %s, since %s", e.Name, e.Holder, since(e.Holder.Since, e.Seen))
	switch {
	case e.Others == 1:
		text += "; so is 1 more machine of this run"
	case e.Others > 1:
		text += fmt.Sprintf("; so are %d more machines of this run", e.Others)
	}
	text += ". Wait for its end or stop it"
	if !e.Here {
		text += "; if that process no longer exists, " + ends
	}
	return text
}

// Lost are locks that are no longer ours, or not with certainty. It is final.
type Lost struct {
	Reason string // what happened, when and where
	Next   string // what to do
	By     Holder // who took them over; the zero value where that is not known
	Err    error  // why they could not be renewed, or nil
}

func (e *Lost) Error() string { return e.Reason + ". " + e.Next }

func (e *Lost) Unwrap() error { return e.Err }

const nothingMore = "This run writes nothing more to its machines. "

// takenOver are locks that another holder has, because we did not renew them for a lease.
func takenOver(by Holder, lease time.Duration, now time.Time) *Lost {
	return &Lost{
		Reason: fmt.Sprintf("the locks of this run were taken over by %s, at %s, because this process had not renewed them for %s: "+
			"it was stopped or suspended, or the lock folder could not be written", by, since(by.Since, now), text.Duration(lease)),
		Next: nothingMore + "Wait for the end of that run, and look at the machines (esxiplan status) before the next one",
		By:   by,
	}
}

// removed are locks whose files are gone, without a trace of who has them now.
func removed(file string) *Lost {
	return &Lost{
		Reason: fmt.Sprintf("the locks of this run are lost: %s was removed, moved or replaced", file),
		Next:   nothingMore + "Make sure that no other run works on the machines, then start it again",
	}
}

// outdated are locks that could not be renewed in time.
func outdated(lease time.Duration, err error) *Lost {
	reason := fmt.Sprintf("the locks of this run are lost: they could not be renewed before their lease of %s ended", text.Duration(lease))
	if err != nil {
		reason += ": " + err.Error()
	}
	return &Lost{Reason: reason, Next: nothingMore + "Make sure that the lock folder can be written and that no other run works on the machines, " +
		"then start it again", Err: err}
}

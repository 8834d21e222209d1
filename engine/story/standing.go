package story

import "esxiplan/engine/event"

// Standing is what is true of a host, in one word. It is judged from what was recorded, not
// from how a step was called.
type Standing string

// The standings of a host. Of several that apply the first one holds.
const (
	Installing  Standing = "installing"  // our reset is neither proven nor given up: the machine continues, whatever the run does
	PoweredOff  Standing = "powered off" // by us for a restart, and not started again
	Proven      Standing = "proven"      // a new installation is proven
	Unproven    Standing = "unproven"    // it was restarted into the installer, and no proof came
	Refused     Standing = "refused"     // a guard refused
	Failed      Standing = "failed"      //
	Unreachable Standing = "unreachable" //
	Changed     Standing = "changed"     // all steps succeeded, and something was written
	OK          Standing = "ok"          // all steps succeeded, and nothing was written
	Skipped     Standing = "skipped"     // no step applied, or the host is protected
	Interrupted Standing = "stopped"     // it began, and was stopped before its end
	Running     Standing = "running"     // under way, or its process died
	Waiting     Standing = "not started" // not yet, or never
)

// Standings are all standings, the most urgent first.
var Standings = []Standing{PoweredOff, Installing, Unproven, Failed, Unreachable, Refused, Interrupted, Running, Waiting, Skipped, OK, Changed, Proven}

// Standing is what is true of the host.
func (h *Host) Standing() Standing {
	switch {
	case h.Left.Off && h.Status != "":
		return PoweredOff
	case h.unprovable() != nil:
		return Unproven
	case h.beingInstalled() && h.Status != "":
		return Installing
	case h.Status.Failure():
		return h.trouble()
	case h.GaveUp() != nil:
		return Unproven
	case h.Proof != nil:
		return Proven
	case h.Status == event.NotRun && !h.Began.IsZero():
		return Interrupted
	case h.Status == event.NotRun, h.Status == "" && h.Began.IsZero():
		return Waiting
	case h.Status == "":
		return Running
	}
	return map[event.Status]Standing{event.OK: OK, event.Changed: Changed, event.Skipped: Skipped}[h.Status]
}

// beingInstalled reports that our reset is neither proven nor given up. A wait that proved it and
// failed in what comes after, such as taking the override away, does not close the reset; but the
// machine installs nothing any more.
func (h *Host) beingInstalled() bool {
	return !h.Left.Installing.IsZero() && (h.Phase == nil || h.Phase.Phase != event.PhaseProven)
}

// trouble is how a host failed.
func (h *Host) trouble() Standing {
	s := h.Failed()
	switch {
	case h.GaveUp() != nil:
		return Unproven
	case h.Status == event.Unreachable:
		return Unreachable
	case s != nil && s.Problem.Guard != "":
		return Refused
	}
	return Failed
}

// unprovable is the step which the guard of the proof ended because nothing could prove more, of a
// machine that was restarted into the installer and not again since; nil: no such step.
func (h *Host) unprovable() *Step {
	if h.Proof != nil || !h.Installs() && h.Left.Installing.IsZero() {
		return nil
	}
	for _, s := range h.Steps {
		if s.failed() && s.Problem != nil && s.Problem.Guard == "proof" && s.Ended.After(h.Left.Installing) && !s.Ended.Before(h.tried) {
			return s
		}
	}
	return nil
}

// failed reports that the step failed, also where the plan ignores that.
func (s *Step) failed() bool { return s.Status.Failure() || s.Status == event.Ignored }

// GaveUp is the step that waited for the end of an installation in vain, also where the plan
// ignores that it failed; nil: none did, or a proof came.
func (h *Host) GaveUp() *Step {
	if h.Proof != nil {
		return nil
	}
	for _, s := range h.Steps {
		if v := s.Verdict; v != nil && v.Seeks && !v.Proven && s.failed() {
			return s
		}
	}
	return h.unprovable()
}

// Installs reports that the machine was started into the installer, as far as is known, and not
// proven since.
func (h *Host) Installs() bool {
	if h.Proof != nil {
		return false
	}
	if h.Phase != nil {
		return true
	}
	for _, s := range h.Steps {
		for _, c := range s.Changes {
			if c.Starts() && c.Installs && c.Fate != event.Refused && c.Fate != event.Undone {
				return true
			}
		}
	}
	return false
}

// SwitchedOff reports that the last thing the run asked of the machine's power was to switch it
// off for a restart, as far as is known: where the run died then, the machine stays off.
func (h *Host) SwitchedOff() bool {
	off := false
	for _, s := range h.Steps {
		for _, c := range s.Changes {
			if c.Verb == event.Reset && c.Boots && c.Fate != event.Refused && c.Fate != event.Undone {
				off = !c.Starts()
			}
		}
	}
	return off
}

// Guard is the guard that refused the host, "" where none did.
func (h *Host) Guard() string {
	if s := h.Failed(); s != nil {
		return s.Problem.Guard
	}
	return ""
}

// Proved reports that the installation of the host is proven and was not begun again since, also
// where the host failed after it.
func (h *Host) Proved() bool { return h.Proof != nil && h.Left.Installing.IsZero() }

// Proven counts the hosts whose installation is proven, see [Host.Proved].
func (s *Story) Proven() (n int) {
	for _, h := range s.Hosts {
		if h.Proved() {
			n++
		}
	}
	return n
}

// Count counts the hosts by their standing.
func (s *Story) Count() map[Standing]int {
	out := map[Standing]int{}
	for _, h := range s.Hosts {
		out[h.Standing()]++
	}
	return out
}

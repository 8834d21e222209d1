package event

// Whole reports that an event has the body that its kind promises. Those of a run have; one from
// a file that was written by hand or damaged may not, and tells nothing.
func (e Event) Whole() bool {
	switch e.Kind {
	case RunStarted:
		return e.Plan != nil
	case RunDone:
		return e.Summary != nil
	case WriteMade:
		return e.Write != nil
	case WriteDone:
		return e.Settled != nil
	case Phased:
		return e.Phase != nil
	case Retried, Diagnosed:
		return e.Problem != nil
	}
	return true
}

package story

import (
	"time"

	"esxiplan/engine/event"
)

// Story is a run. The zero value is one that nothing is known of.
type Story struct {
	Run     string             `json:"run"`
	Plan    event.PlanInfo     `json:"plan"`
	Began   time.Time          `json:"began,omitzero"`  // its present stage
	Latest  time.Time          `json:"latest,omitzero"` // time of the last event
	Ended   time.Time          `json:"ended,omitzero"`
	Summary *event.Summary     `json:"summary,omitempty"` // nil while the run is under way, or where its process died
	Hosts   []*Host            `json:"hosts"`             // in the order of the plan of the latest stage, behind those that only earlier ones had
	Steps   []Column           `json:"steps,omitempty"`   // of all stages, as these came; steps of a stage in the order of its plan
	Notes   []Note             `json:"notes,omitempty"`   // that are about no host
	byName  map[string]*Host   //
	settled map[string]*Change // by the ID of the change
}

// Column is a step of the run, which hosts go through or not.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type,omitempty"`
}

// Note is a warning, or a diagnostic.
type Note struct {
	Time time.Time `json:"time"`
	Step string    `json:"step,omitempty"`
	Text string    `json:"text"`
}

// Host is what became of one host.
type Host struct {
	Name    string         `json:"host"`
	Machine string         `json:"machine,omitempty"` // address of its BMC, and its system
	Vendor  string         `json:"vendor,omitempty"`  // as the machine says, "" where no step asked it
	Model   string         `json:"model,omitempty"`
	Serial  string         `json:"serial,omitempty"`
	Group   string         `json:"group,omitempty"`
	Status  event.Status   `json:"status,omitempty"` // "" before its end
	Text    string         `json:"text,omitempty"`   // why it did not run
	Began   time.Time      `json:"began,omitzero"`
	Ended   time.Time      `json:"ended,omitzero"`
	Latest  time.Time      `json:"latest,omitzero"` // time of its last event
	Counts  event.Counts   `json:"counts"`
	Steps   []*Step        `json:"steps,omitempty"`  // in the order in which they began
	Proof   *event.Verdict `json:"proof,omitempty"`  // of a new installation
	Left    event.Left     `json:"left"`             // what stays behind at the machine
	Phase   *Phase         `json:"phase,omitempty"`  // of the installation; nil: none was seen
	Phases  []*Phase       `json:"phases,omitempty"` // all that were seen, of earlier installations of the run, too
	Notes   []Note         `json:"notes,omitempty"`
	Resets  int            `json:"resets"` // boots of the machine that were asked for

	tried time.Time // when its latest try began
}

// Step is a step of a host: a task, with all of its attempts.
type Step struct {
	Name     string         `json:"name"`
	Type     string         `json:"type,omitempty"`
	Status   event.Status   `json:"status,omitempty"` // "" while it is under way
	Attempt  int            `json:"attempt,omitempty"`
	Began    time.Time      `json:"began,omitzero"`
	Ended    time.Time      `json:"ended,omitzero"`
	Took     event.Seconds  `json:"took,omitempty"`
	Text     string         `json:"text,omitempty"` // why it was skipped
	Problem  *event.Problem `json:"problem,omitempty"`
	Verdict  *event.Verdict `json:"verdict,omitempty"`
	Progress *Progress      `json:"progress,omitempty"`
	Retry    *event.Problem `json:"retry,omitempty"`   // why it is tried again
	Pending  string         `json:"pending,omitempty"` // why what it waits for is not there yet
	Changes  []*Change      `json:"changes,omitempty"`
}

// Change is a write with what came of it.
type Change struct {
	Time time.Time `json:"time"`
	event.Change
	Fate event.Fate `json:"fate,omitempty"` // "" where that was not recorded

	ended *event.Verdict // the proof that this boot ended, if it took place
}

// Phase is the phase that an installation is in.
type Phase struct {
	event.Entered
	Since time.Time `json:"since"`
	Seen  time.Time `json:"seen"` // when it was reported last: another process may have seen it enter
}

// Progress is how far something long has come, and how fast.
type Progress struct {
	event.Progress
	Text  string    `json:"text,omitempty"`
	Time  time.Time `json:"time"`
	Since time.Time `json:"since"`          // of the first report
	Rate  float64   `json:"rate,omitempty"` // per second over the last reports; 0 is unknown
}

// Host finds a host by its name, nil where the run has none of it.
func (s *Story) Host(name string) *Host { return s.byName[name] }

// Took is how long the run took, or has taken so far.
func (s *Story) Took() time.Duration {
	if s.Ended.IsZero() {
		return s.Latest.Sub(s.Began)
	}
	return s.Ended.Sub(s.Began)
}

// Took is how long the host took, or has taken so far; 0 where it never began.
func (h *Host) Took() time.Duration {
	switch {
	case h.Began.IsZero():
		return 0
	case h.Ended.IsZero():
		return h.Latest.Sub(h.Began)
	}
	return h.Ended.Sub(h.Began)
}

// LastSeen says, behind a comma, which phase the installation was last seen in; "" where none was.
func (h *Host) LastSeen() string {
	if h.Phase == nil {
		return ""
	}
	return ", last seen " + h.Phase.Phase.Words()
}

// Step is the step that the host is in, nil where it is in none.
func (h *Host) Step() *Step {
	if len(h.Steps) == 0 || h.Status != "" {
		return nil
	}
	if last := h.Steps[len(h.Steps)-1]; last.Status == "" {
		return last
	}
	return nil
}

// Troubles are the steps that failed, were unreachable, or failed and were ignored.
func (h *Host) Troubles() (out []*Step) {
	for _, s := range h.Steps {
		if s.Problem != nil {
			out = append(out, s)
		}
	}
	return out
}

// Failed is the step that the host failed in, nil where it did not fail. Steps of earlier tries do
// not count, and neither do those that run because of the failure.
func (h *Host) Failed() *Step {
	for _, s := range h.Steps {
		if s.Problem != nil && s.Status.Failure() && !s.Ended.Before(h.tried) {
			return s
		}
	}
	return nil
}

// Remaining is how long the installation takes from now on, as earlier ones of the same model
// did: the median, and the fastest and slowest; ok is false where no earlier run is known or
// the installation is not under way. It is 0 where the installation takes longer than expected.
func (h *Host) Remaining(now time.Time) (median, low, high time.Duration, ok bool) {
	if h.Phase == nil || h.Phase.Expected == nil || h.Proof != nil {
		return 0, 0, 0, false
	}
	e, passed := h.Phase.Expected, now.Sub(h.Phase.Since)
	left := func(s event.Seconds) time.Duration { return max(0, time.Duration(s)-passed) }
	return left(e.Median), left(e.Low), left(e.High), true
}

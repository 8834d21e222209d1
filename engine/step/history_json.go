package step

import (
	"encoding/json"
	"time"

	"esxiplan/engine/event"
)

// savedHistory is a history as a snapshot keeps it. What the run under way did is not in
// it: that is counted from its own log.
type savedHistory struct {
	savedState
	Model      string       `json:"model,omitempty"`
	Continuous bool         `json:"continuous,omitempty"`
	Recent     []savedEntry `json:"recent,omitempty"`
}

type savedState struct {
	Media map[string]Mount `json:"media,omitempty"`
	Boot  Override         `json:"boot,omitzero"`
	Taken Override         `json:"taken,omitzero"`
	Reset *LastReset       `json:"reset,omitempty"`
	Off   *event.Change    `json:"off,omitempty"`
}

type savedEntry struct {
	Run    string       `json:"run"`
	Step   string       `json:"step"`
	Time   time.Time    `json:"time"`
	Change event.Change `json:"change"`
	Fate   event.Fate   `json:"fate"`
	Before savedState   `json:"before,omitzero"`
}

func (s state) saved() savedState   { return savedState{s.media, s.boot, s.taken, s.reset, s.off} }
func (s savedState) restore() state { return state{s.Media, s.Boot, s.Taken, s.Reset, s.Off} }

// MarshalJSON writes the history. The changes that are settled are in it, too: a later
// process may find that one which was refused was done all the same.
func (h *History) MarshalJSON() ([]byte, error) {
	out := savedHistory{savedState: h.state.saved(), Model: h.model, Continuous: h.continuous}
	for _, e := range h.recent {
		out.Recent = append(out.Recent, savedEntry{e.Run, e.Step, e.Time, *e.Change, e.fate, e.before.saved()})
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads a history.
func (h *History) UnmarshalJSON(b []byte) error {
	var in savedHistory
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*h = History{state: in.restore(), model: in.Model, continuous: in.Continuous}
	for _, e := range in.Recent {
		h.recent = append(h.recent, entry{Record{Run: e.Run, Step: e.Step, Time: e.Time, Change: &e.Change}, e.Fate, e.Before.restore()})
	}
	return nil
}

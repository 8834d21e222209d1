package step

import (
	"encoding/json"

	"esxiplan/engine/event"
)

// savedHistory is a history as a snapshot keeps it. What the run under way did is not in
// it: that is counted from its own log.
type savedHistory struct {
	savedState
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
	Record Record     `json:"record"`
	Fate   event.Fate `json:"fate"`
	Before savedState `json:"before,omitzero"`
}

func (s state) saved() savedState   { return savedState{s.media, s.boot, s.taken, s.reset, s.off} }
func (s savedState) restore() state { return state{s.Media, s.Boot, s.Taken, s.Reset, s.Off} }

// MarshalJSON writes the history. Changes that nothing will be heard of any more are left
// out: those that are settled, where no installation is under way.
func (h *History) MarshalJSON() ([]byte, error) {
	out := savedHistory{savedState: h.state.saved(), Continuous: h.continuous}
	_, installing := h.Installing()
	for _, e := range h.recent {
		if installing || e.fate == event.Unknown {
			out.Recent = append(out.Recent, savedEntry{e.Record, e.fate, e.before.saved()})
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads a history.
func (h *History) UnmarshalJSON(b []byte) error {
	var in savedHistory
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*h = History{state: in.restore(), continuous: in.Continuous}
	for _, e := range in.Recent {
		h.recent = append(h.recent, entry{e.Record, e.Fate, e.Before.restore()})
	}
	return nil
}

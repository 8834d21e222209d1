package log

import (
	"time"

	"esxiplan/engine/event"
)

// Story is what a log tells of its run, stage by stage and host by host.
type Story struct {
	Info
	Parts []Stage `json:"stages"` // the stages, in order; what is continued stands there again
	// Hosts are in the order in which they began.
	Hosts []*HostStory `json:"hosts"`

	byHost map[string]*HostStory
}

// HostStory is what became of one host.
type HostStory struct {
	Host    string            `json:"host"`
	Machine string            `json:"machine"`
	Status  event.Status      `json:"status,omitempty"` // "" while it is under way
	Text    string            `json:"text,omitempty"`   // why it did not run
	Step    string            `json:"step,omitempty"`   // that it is in, or that failed
	Problem *event.Problem    `json:"problem,omitempty"`
	Proof   *event.Verdict    `json:"proof,omitempty"`
	Began   time.Time         `json:"began"`
	Latest  time.Time         `json:"latest"`
	Resets  int               `json:"resets"` // starts of the machine that were asked for, each boot once
	Digests map[string]string `json:"digests,omitempty"`

	started string // step whose start of the machine was counted
}

// Tell reads the story of a run.
func Tell(state, run string) (*Story, error) {
	s := &Story{Info: Info{Run: run}, byHost: map[string]*HostStory{}}
	err := Each(state, run, func(r Record) error {
		s.fold(r)
		return nil
	})
	return s, err
}

func (s *Story) fold(r Record) {
	s.Info.fold(r)
	if r.Kind == StageStarted && r.Stage != nil {
		s.Parts = append(s.Parts, *r.Stage)
		for host := range r.Stage.Digests.Digests {
			s.host(host).Digests, _ = r.Stage.Digests.Of(host)
		}
	}
	if r.Host != "" && !r.ofSession() {
		s.host(r.Host).fold(r)
	}
}

func (s *Story) host(name string) *HostStory {
	h := s.byHost[name]
	if h == nil {
		h = &HostStory{Host: name}
		s.byHost[name], s.Hosts = h, append(s.Hosts, h)
	}
	return h
}

func (h *HostStory) fold(r Record) {
	if h.Began.IsZero() {
		h.Began = r.Time
	}
	h.Machine, h.Latest = r.Machine, r.Time
	switch r.Kind {
	case event.StepStarted:
		h.Step, h.Status, h.Problem = r.Step, "", nil
	case event.WriteMade:
		h.count(r)
	case event.StepDone:
		if r.Problem != nil && r.Status != event.Ignored {
			h.Step, h.Problem = r.Step, r.Problem
		}
		if v := r.Verdict; v != nil && v.Proven {
			h.Proof = v
		}
	case event.HostDone:
		if r.Status == event.NotRun && h.Status != "" {
			return // a later stage left it out: what it came to before holds
		}
		h.Status, h.Text = r.Status, r.Text
		if r.Status != event.Failed && r.Status != event.Unreachable {
			h.Step = ""
		}
	}
}

// count counts a boot once, though ForceOff and On are two requests, and one may be repeated.
func (h *HostStory) count(r Record) {
	if r.Write.Verb == event.Reset && r.Write.Boots && h.started != r.Step {
		h.started = r.Step
		h.Resets++
	}
}

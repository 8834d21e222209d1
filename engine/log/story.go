package log

import (
	"esxiplan/engine/story"
)

// Story is what a log tells of its run, stage by stage and host by host.
type Story struct {
	Info
	Parts []Stage `json:"stages"` // the stages, in order; what is continued stands there again
	// Hosts are in the order of the plan.
	Hosts []*HostStory `json:"hosts"`

	Whole *story.Story `json:"-"` // of which the hosts are part
}

// HostStory is what became of one host.
type HostStory struct {
	*story.Host
	Standing story.Standing    `json:"standing"`
	Digests  map[string]string `json:"digests,omitempty"`
}

// Tell reads the story of a run.
func Tell(state, run string) (*Story, error) {
	s := &Story{Info: Info{Run: run}, Whole: &story.Story{}}
	digests := map[string]map[string]string{}
	err := Each(state, run, func(r Record) error {
		s.Info.fold(r)
		if r.Kind == StageStarted && r.Stage != nil {
			s.Parts = append(s.Parts, *r.Stage)
			for host := range r.Stage.Digests.Digests {
				digests[host], _ = r.Stage.Digests.Of(host)
			}
		}
		if !r.OfSession() { // whose host is the address of a BMC
			s.Whole.Event(r.Event)
		}
		return nil
	})
	for _, h := range s.Whole.Hosts {
		s.Hosts = append(s.Hosts, &HostStory{h, h.Standing(), digests[h.Name]})
	}
	return s, err
}

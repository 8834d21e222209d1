package report

import (
	"encoding/json"
	"io"
	"time"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// Schema is the version of the JSON report. Fields are added, never re-used.
const Schema = 1

// document is the JSON report.
type document struct {
	Kind     string                 `json:"kind"` // "esxiplan report"
	Schema   int                    `json:"schema"`
	Version  string                 `json:"esxiplan,omitempty"` // that ran it
	Run      string                 `json:"run"`
	By       string                 `json:"by,omitempty"`
	Command  string                 `json:"command,omitempty"`
	Outcome  string                 `json:"outcome"`           // how the run ended, in words
	Ended    bool                   `json:"ended"`             // false: it is under way, or its process died
	Summary  *event.Summary         `json:"summary,omitempty"` // of the last stage, where it ended
	Plan     event.PlanInfo         `json:"plan"`              // of the last stage
	Began    time.Time              `json:"began"`             // the first stage
	Stage    time.Time              `json:"stage_began"`       // the last stage
	Latest   time.Time              `json:"latest"`            // the last event
	Took     event.Seconds          `json:"took"`              // by the last stage
	Totals   map[story.Standing]int `json:"totals"`            // hosts by standing
	Proven   int                    `json:"proven"`            // hosts whose installation is proven, also those that failed after it
	Next     []view.Command         `json:"next,omitempty"`
	Steps    []story.Column         `json:"steps"` // of all stages, in the order of the plan
	Notes    []story.Note           `json:"notes,omitempty"`
	Hosts    []hostJSON             `json:"hosts"` // in the order of the plan
	Approved string                 `json:"applied_plan,omitempty"`
}

// hostJSON is a host with what is true of it.
type hostJSON struct {
	*story.Host
	Standing story.Standing `json:"standing"`
	Guard    string         `json:"guard,omitempty"`
	Reason   string         `json:"reason,omitempty"`
	Advice   string         `json:"advice,omitempty"` // what to do about it, in words
	Took     event.Seconds  `json:"took"`
	Next     []view.Command `json:"next,omitempty"`
}

func writeJSON(w io.Writer, r *run) error {
	doc := document{Kind: "esxiplan report", Schema: Schema, Version: r.Version, Run: r.Run, By: r.By, Command: r.Command,
		Outcome: r.outcome(), Ended: r.Summary != nil, Summary: r.Summary, Plan: r.Plan, Began: r.first, Stage: r.Began, Latest: r.Latest, Took: event.Seconds(r.Took()),
		Totals: r.Count(), Proven: r.Proven(), Next: view.Next(r.Story), Steps: r.Steps, Notes: r.Notes, Approved: r.Applied}
	for _, h := range r.hosts {
		doc.Hosts = append(doc.Hosts, hostJSON{h.Host, h.standing, h.Guard(), h.why, h.next, event.Seconds(h.Took()), h.commands})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(doc)
}

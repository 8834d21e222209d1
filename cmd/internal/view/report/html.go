package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"io"
	"strings"
	"time"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

var (
	//go:embed report.html
	pageSource string
	//go:embed report.css
	style string
	//go:embed report.js
	script string

	pageTemplate = template.Must(template.New("report").Parse(pageSource))
)

// hash is how a policy names a style or a script that stands in the page: nothing else runs.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// The page as its template has it. The table is whole without the script.
type (
	htmlPage struct {
		Run, Plan, Totals, Outcome, Times, By, Version, Command, Note, Applied string
		StyleHash, ScriptHash                                                  string
		Standings                                                              []htmlStanding
		Next                                                                   []view.Command
		Steps                                                                  []string
		Hosts                                                                  []htmlHost
		Warnings                                                               []string
		Style                                                                  template.CSS
		Script, Data                                                           template.JS
	}
	htmlStanding struct {
		Name, Class string
		Count       int
	}
	htmlHost struct {
		Name, Standing, Class, Why, Next string
		Cells                            []htmlCell
	}
	htmlCell struct{ Status, Class, Took string }
)

func writeHTML(w io.Writer, r *run, log map[string][]line) error {
	data, err := json.Marshal(r.data(log)) // which escapes <, > and &
	if err != nil {
		return err
	}
	p := htmlPage{Run: clean(r.Run), Plan: clean(r.Plan.Name), Totals: r.totals(), Outcome: clean(r.outcome()), Times: r.times(),
		By: clean(r.By), Version: r.Version, Command: clean(r.Command), Note: clean(r.Plan.Note), Applied: clean(r.Applied),
		StyleHash: hash(style), ScriptHash: hash(script), Style: template.CSS(style), Script: template.JS(script), Data: template.JS(data)}
	for _, c := range view.Next(r.Story) {
		p.Next = append(p.Next, view.Command{Why: c.Why, Line: clean(c.Line)})
	}
	for _, c := range r.Steps {
		p.Steps = append(p.Steps, clean(view.StepName(c.Name, c.Type)))
	}
	for _, n := range r.Notes {
		p.Warnings = append(p.Warnings, clean(n.Text))
	}
	n := r.Count()
	for _, s := range story.Standings {
		if n[s] > 0 {
			p.Standings = append(p.Standings, htmlStanding{string(s), class(string(s)), n[s]})
		}
	}
	for _, h := range r.hosts {
		p.Hosts = append(p.Hosts, r.htmlRow(h))
	}
	return pageTemplate.Execute(w, p)
}

// htmlRow is a host in the table.
func (r *run) htmlRow(h *host) htmlHost {
	row := htmlHost{Name: clean(h.Name), Standing: string(h.standing), Class: class(string(h.standing)), Why: clean(h.why), Next: clean(h.next)}
	for _, c := range r.Steps {
		s := h.step(c.Name)
		cell := htmlCell{Status: statusOf(s), Class: class(statusOf(s))}
		if d := took(s); d >= time.Second {
			cell.Took = view.Span(d)
		}
		row.Cells = append(row.Cells, cell)
	}
	return row
}

// class is the class of a standing or a status in the page's style.
func class(status string) string { return strings.ReplaceAll(status, " ", "-") }

// The data of the page, which its script shows. Times are milliseconds after Base; what is not
// there is left out.
type (
	pageData struct {
		Base  int64      `json:"base"`
		Text  []string   `json:"text"`
		Hosts []hostData `json:"hosts"`
	}
	hostData struct {
		About     [][2]any `json:"about,omitempty"`    // what, value
		Problems  [][]any  `json:"problems,omitempty"` // step, summary, detail, next, place, answer
		Next      [][]any  `json:"next,omitempty"`     // why, command
		Evidence  []any    `json:"evidence,omitempty"`
		Unchecked []any    `json:"unchecked,omitempty"`
		Warnings  []any    `json:"warnings,omitempty"`
		Steps     [][]any  `json:"steps,omitempty"`   // name, status, began, took, attempts, remark
		Phases    [][]any  `json:"phases,omitempty"`  // began, until, name, evidence
		Changes   [][]any  `json:"changes,omitempty"` // time, step, change, fate
		Log       [][]any  `json:"log,omitempty"`     // time, text
	}
)

// data packs what the page shows of its hosts.
func (r *run) data(log map[string][]line) pageData {
	p := &packer{at: map[string]int{}, base: r.first}
	d := pageData{Base: p.base.UnixMilli(), Hosts: []hostData{}}
	for _, h := range r.hosts {
		d.Hosts = append(d.Hosts, p.host(h, log[h.Name]))
	}
	d.Text = p.texts
	return d
}

func (p *packer) host(h *host, log []line) (d hostData) {
	for _, one := range [][2]string{{"machine", h.Machine}, {"group", h.Group}, {"vendor", h.Vendor}, {"model", h.Model}, {"serial", h.Serial}} {
		if one[1] != "" {
			d.About = append(d.About, [2]any{one[0], p.pack(one[1])})
		}
	}
	for _, s := range h.Steps {
		d.Steps = append(d.Steps, p.step(s, h.Latest))
		if s.Problem != nil {
			d.Problems = append(d.Problems, p.problem(s))
		}
		for _, c := range s.Changes {
			d.Changes = append(d.Changes, []any{p.since(c.Time), p.pack(s.Name), p.pack(changed(c)), c.Fate})
		}
	}
	for _, c := range h.commands {
		d.Next = append(d.Next, []any{p.pack(c.Why), p.pack(c.Line)})
	}
	rests, unchecked := h.evidence()
	d.Evidence, d.Unchecked = p.all(rests), p.all(unchecked)
	for _, n := range h.Notes {
		d.Warnings = append(d.Warnings, p.pack(n.Text))
	}
	for i, phase := range h.Phases {
		until := h.Latest
		if i+1 < len(h.Phases) {
			until = h.Phases[i+1].Since
		}
		d.Phases = append(d.Phases, []any{p.since(phase.Since), p.since(until), p.pack(phase.Phase.Words()), p.pack(phase.Evidence)})
	}
	for _, l := range log {
		d.Log = append(d.Log, []any{p.since(l.at), p.pack(l.text)})
	}
	return d
}

// step is a step with its times. One that did not end lasts until the last thing that was heard
// of the host.
func (p *packer) step(s *story.Step, latest time.Time) []any {
	began, lasted := s.Began, time.Duration(s.Took)
	switch {
	case s.Ended.IsZero():
		lasted = latest.Sub(began)
	case began.Equal(s.Ended): // its beginning is not known
		began = s.Ended.Add(-lasted)
	}
	return []any{p.pack(view.StepName(s.Name, s.Type)), statusOf(s), p.since(began), lasted.Milliseconds(), s.Attempt, p.pack(s.Text)}
}

func (p *packer) problem(s *story.Step) []any {
	q := s.Problem
	name := view.StepName(s.Name, s.Type)
	if s.Status == event.Ignored {
		name += ", ignored"
	}
	out := []any{p.pack(name), p.pack(q.Summary), p.pack(q.Detail), p.pack(q.Next), p.pack(q.At)}
	if a := q.Answer; a != nil {
		out = append(out, []any{p.pack(a.Request), a.Status, p.pack(a.Body)})
	}
	return out
}

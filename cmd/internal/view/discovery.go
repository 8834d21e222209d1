package view

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
)

// Finding is what was found behind one BMC.
type Finding struct {
	Host    string          `json:"host"`
	Group   string          `json:"group"`
	Address string          `json:"address"`
	Facts   json.RawMessage `json:"facts,omitempty"` // as host.facts
	// Choices are how a plan names each of the facts' drives; null: nothing tells it from the others.
	Choices     []map[string]string `json:"choices,omitempty"`
	Disk        string              `json:"disk,omitempty"`         // that the plan's selector takes
	DiskProblem string              `json:"disk_problem,omitempty"` // why it takes none
	Problem     string              `json:"problem,omitempty"`
	Seconds     float64             `json:"seconds"`
}

//go:embed discovery.html
var discoveryPage string

var discoveryTemplate = template.Must(template.New("discovery").Parse(discoveryPage))

// Discovery writes one page that needs nothing else, to look, filter and pick.
func Discovery(w io.Writer, findings []Finding, version string) error {
	return discoveryTemplate.Execute(w, map[string]any{"Findings": findings, "Version": version})
}

package view

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
	"time"
)

// Finding is what was found behind one BMC.
type Finding struct {
	Host    string          `json:"host"`
	Group   string          `json:"group"`
	Address string          `json:"address"`
	Facts   json.RawMessage `json:"facts,omitempty"` // as host.facts
	// Choices are how a plan names each of the facts' drives; null: nothing distinguishes it from the others.
	Choices     []map[string]string `json:"choices,omitempty"`
	Disk        string              `json:"disk,omitempty"`         // that the plan's selector takes
	DiskProblem string              `json:"disk_problem,omitempty"` // why it takes none
	// PlanDisk is the place of that disk among the facts' drives and, behind them, hidden drives;
	// PlanNIC is the MAC address of the port that the plan names.
	PlanDisk *int   `json:"plan_disk,omitempty"`
	PlanNIC  string `json:"plan_nic,omitempty"`
	// Ignores says why a pick of a "disk" or a "nic" would not be written into the plan.
	Ignores map[string]string `json:"ignores,omitempty"`
	Problem string            `json:"problem,omitempty"`
	Seconds float64           `json:"seconds"`
}

//go:embed discovery.html
var discoveryPage string

var discoveryTemplate = template.Must(template.New("discovery").Parse(discoveryPage))

// Discovery writes one page that needs nothing else, to look, filter and pick. captured is when
// the machines were read.
func Discovery(w io.Writer, findings []Finding, version string, captured time.Time) error {
	return discoveryTemplate.Execute(w, map[string]any{"Findings": findings, "Version": version,
		"Captured": captured.UTC().Format("2006-01-02 15:04 UTC"), "CapturedISO": captured.UTC().Format(time.RFC3339)})
}

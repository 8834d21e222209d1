package event

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// Problem is an error of an attempt, or a diagnostic, as plain data.
type Problem struct {
	Summary string `json:"summary"`
	Detail  string `json:"detail,omitempty"`
	Next    string `json:"next,omitempty"` // what to do about it
	At      string `json:"at,omitempty"`   // file:line:column in the plan
	Warning bool   `json:"warning,omitempty"`
	Guard   string `json:"guard,omitempty"` // that refused, "" where none did
	// Answer is that of the machine which is the reason; nil: it gave none, or another one is.
	Answer *Answer `json:"answer,omitempty"`
}

// Answer is what a BMC answered to a request that it did not do. It is kept for people who
// look for the cause later: reports show it, and terminals do not.
type Answer struct {
	Request string `json:"request"`        // method and path
	Status  int    `json:"status"`         // of HTTP
	Body    string `json:"body,omitempty"` // its beginning, 4 KB at most, without secrets
}

// WithoutAnswer is the problem without what the machine answered: attempts that are repeated get
// the same one many times.
func (p *Problem) WithoutAnswer() *Problem {
	if p == nil || p.Answer == nil {
		return p
	}
	out := *p
	out.Answer = nil
	return &out
}

// FromDiagnostic turns a diagnostic into data.
func FromDiagnostic(d *hcl.Diagnostic) *Problem {
	p := &Problem{Summary: d.Summary, Detail: d.Detail, Warning: d.Severity == hcl.DiagWarning}
	if d.Subject != nil && d.Subject.Start.Line > 0 {
		p.At = Place(*d.Subject)
	}
	return p
}

// Place is a position in a plan file for people: file:line:column.
func Place(r hcl.Range) string {
	return fmt.Sprintf("%s:%d:%d", r.Filename, r.Start.Line, r.Start.Column)
}

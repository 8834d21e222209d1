package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"esxiplan/engine/step"
	"esxiplan/schema"
)

// Problem is an error of an attempt, or a diagnostic, as plain data.
type Problem struct {
	Summary string `json:"summary"`
	Detail  string `json:"detail,omitempty"`
	Next    string `json:"next,omitempty"` // what to do about it
	At      string `json:"at,omitempty"`   // file:line:column in the plan
	Warning bool   `json:"warning,omitempty"`
}

// FromDiagnostic turns a diagnostic into data.
func FromDiagnostic(d *hcl.Diagnostic) *Problem {
	p := &Problem{Summary: d.Summary, Detail: d.Detail, Warning: d.Severity == hcl.DiagWarning}
	if d.Subject != nil && d.Subject.Start.Line > 0 {
		p.At = place(*d.Subject)
	}
	return p
}

func place(r hcl.Range) string {
	return fmt.Sprintf("%s:%d:%d", r.Filename, r.Start.Line, r.Start.Column)
}

// problemOf turns an error of an attempt into data: the one place where errors
// of steps and doors become what people read.
func problemOf(s *schema.Step, err error) *Problem {
	p := &Problem{Summary: firstUpper(err.Error()), At: place(s.Range)}
	var refusal *step.Refusal
	var failure *step.Failure
	var argument *schema.ArgumentError
	switch {
	case errors.As(err, &refusal):
		p.Summary, p.Next = "Refused: "+refusal.Reason, refusal.Next+"."
	case errors.As(err, &failure):
		p.Summary, p.Next = firstUpper(failure.Reason), failure.Next+"."
	case errors.As(err, &argument):
		p.At = place(argumentRange(s, argument.Path))
	case step.Classify(err) == step.Unreachable:
		p.Next = "Check that the address is right, that the BMC is up, and that this machine may reach it."
	}
	return p
}

func argumentRange(s *schema.Step, path cty.Path) hcl.Range {
	if len(path) > 0 {
		if name, ok := path[0].(cty.GetAttrStep); ok {
			if attr, ok := s.Arguments[name.Name]; ok {
				return attr.Expr.Range()
			}
		}
	}
	return s.Range
}

// firstUpper begins a sentence, unless it begins with the name of an argument.
func firstUpper(text string) string {
	word, _, _ := strings.Cut(text, " ")
	if text == "" || strings.ContainsAny(word, "._/") {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

package view

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"esxiplan/engine/text"
)

// ProblemFormats are the names of the forms in which [Problems] writes.
var ProblemFormats = []string{"text", "json", "github", "gitlab"}

// Problems writes problems of a plan in a form: text for people, on the error stream; or on
// the output a versioned JSON document, annotations of a GitHub workflow, or a Code Quality
// report of GitLab. It reports a form that does not exist, and an output that failed.
func Problems(format string, s *Streams, diags hcl.Diagnostics, files map[string]*hcl.File) error {
	switch format {
	case "text":
		Diagnostics(s, diags, files)
		return nil
	case "json":
		return DiagnosticsJSON(s.Out, diags, files)
	case "github":
		return gitHub(s.Out, diags, files)
	case "gitlab":
		return gitLab(s.Out, diags, files)
	}
	return fmt.Errorf("there is no output format %q; there are %s", format, strings.Join(ProblemFormats, ", "))
}

// gitHub writes workflow commands, which GitHub shows at the lines of a pull request.
func gitHub(w io.Writer, diags hcl.Diagnostics, files map[string]*hcl.File) error {
	for _, d := range diags {
		command := "error"
		if d.Severity == hcl.DiagWarning {
			command = "warning"
		}
		properties := append(gitHubPlace(d, files), "title", shown(d.Summary))
		if _, err := fmt.Fprintln(w, text.Command(command, shown(d.Detail), properties...)); err != nil {
			return err
		}
	}
	return nil
}

// gitHubPlace says where a problem is, in names and values. GitHub takes columns only within one line, and counts
// the last one in.
func gitHubPlace(d *hcl.Diagnostic, files map[string]*hcl.File) []string {
	name, ok := planFile(d, files)
	if !ok {
		return nil
	}
	out := []string{"file", name}
	r := *d.Subject
	if r.Start.Line == 0 {
		return out
	}
	out = append(out, "line", strconv.Itoa(r.Start.Line))
	if r.End.Line != r.Start.Line {
		return append(out, "endLine", strconv.Itoa(max(r.Start.Line, r.End.Line)))
	}
	return append(out, "col", strconv.Itoa(r.Start.Column), "endLine", strconv.Itoa(r.End.Line), "endColumn", strconv.Itoa(max(r.Start.Column, r.End.Column-1)))
}

// planFile is the file of a problem, relative to the working directory; ok is false for one
// that is in no file, such as a variable of the command line.
func planFile(d *hcl.Diagnostic, files map[string]*hcl.File) (name string, ok bool) {
	if d.Subject == nil {
		return "", false
	}
	name = d.Subject.Filename
	if files[name] == nil && filepath.Ext(name) != ".hcl" {
		return "", false
	}
	if dir, err := os.Getwd(); err == nil && filepath.IsAbs(name) {
		if rel, err := filepath.Rel(dir, name); err == nil && filepath.IsLocal(rel) {
			name = rel
		}
	}
	return filepath.ToSlash(filepath.Clean(shown(name))), true
}

// codeQuality is one issue of a Code Quality report of GitLab.
type codeQuality struct {
	Description string          `json:"description"`
	CheckName   string          `json:"check_name"`
	Fingerprint string          `json:"fingerprint"`
	Severity    string          `json:"severity"`
	Location    qualityLocation `json:"location"`
}

type qualityLocation struct {
	Path  string       `json:"path"`
	Lines qualityLines `json:"lines"`
}

type qualityLines struct {
	Begin int `json:"begin"`
}

// gitLab writes a Code Quality report.
func gitLab(w io.Writer, diags hcl.Diagnostics, files map[string]*hcl.File) error {
	out := []codeQuality{}
	seen := map[string]int{}
	for _, d := range diags {
		q := codeQuality{Description: shown(d.Summary) + ": " + shown(d.Detail), CheckName: checkName(d.Summary), Severity: "major",
			Location: qualityLocation{Path: ".", Lines: qualityLines{Begin: 1}}} // GitLab demands a place
		if d.Severity == hcl.DiagWarning {
			q.Severity = "minor"
		}
		if name, ok := planFile(d, files); ok {
			q.Location = qualityLocation{Path: name, Lines: qualityLines{Begin: max(1, d.Subject.Start.Line)}}
		}
		q.Fingerprint = fingerprint(q, seen)
		out = append(out, q)
	}
	return writeIndented(w, out)
}

var notInCheckName = regexp.MustCompile(`[^a-z0-9]+`)

// checkName is a summary as the name of a rule: unknown-variable.
func checkName(summary string) string {
	return strings.Trim(notInCheckName.ReplaceAllString(strings.ToLower(summary), "-"), "-")
}

// places are file and position of another place in a detail.
var places = regexp.MustCompile(`:[0-9]+:[0-9]+`)

// fingerprint is the same as long as the problem is, also when lines before it come or go.
// Equal problems are distinguished by their order.
func fingerprint(q codeQuality, seen map[string]int) string {
	key := q.Location.Path + "\x00" + q.CheckName + "\x00" + places.ReplaceAllString(q.Description, "")
	n := seen[key]
	seen[key]++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", key, n))
	return hex.EncodeToString(sum[:16])
}

func writeIndented(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

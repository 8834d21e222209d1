package view

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/hashicorp/hcl/v2"

	"esxiplan/engine/event"
	"esxiplan/engine/text"
	"esxiplan/schema"
)

// Diagnostics writes problems of a plan: where, the line itself, what is wrong,
// what to do.
func Diagnostics(s *Streams, diags hcl.Diagnostics, files map[string]*hcl.File) {
	t := s.themeOf(s.ColorErr)
	for _, d := range diags {
		head := t.bad.Render("Error: ")
		if d.Severity == hcl.DiagWarning {
			head = t.warn.Render("Warning: ")
		}
		fmt.Fprintln(s.Err, head+t.bold.Render(shown(d.Summary)))
		if d.Subject != nil && d.Subject.Filename != "" {
			fmt.Fprintf(s.Err, "  on %s\n", position(*d.Subject))
			for _, line := range snippet(*d.Subject, files) {
				if s.Width > 0 {
					line = ansi.Truncate(line, max(20, s.Width-4), ellipsis(s.ASCII))
				}
				fmt.Fprintln(s.Err, "    "+line)
			}
		}
		detail := shown(d.Detail)
		if s.Width > 0 {
			detail = wrap(detail, max(20, s.Width-2))
		}
		for line := range strings.SplitSeq(detail, "\n") {
			fmt.Fprintln(s.Err, "  "+line)
		}
		fmt.Fprintln(s.Err)
	}
}

func position(r hcl.Range) string {
	if r.Start.Line == 0 {
		return shown(r.Filename)
	}
	return fmt.Sprintf("%s:%d:%d", shown(r.Filename), r.Start.Line, r.Start.Column)
}

// shown is a text of a plan, which may be a stranger's: nothing in it draws on a terminal, and
// no URL in it shows a login, instead of which there are as many asterisks.
func shown(planText string) string {
	return userInfo.ReplaceAllStringFunc(text.Lines(planText), func(login string) string {
		return "//" + strings.Repeat("*", len(login)-len("//@")) + "@"
	})
}

// userInfo is the login in a URL.
var userInfo = regexp.MustCompile(`//[^/@\s"]+@`)

// snippet is the line of a problem with the part at fault underlined. Of what
// spans several lines the first is shown.
func snippet(r hcl.Range, files map[string]*hcl.File) []string {
	file := files[r.Filename]
	if file == nil || r.Start.Line == 0 {
		return nil
	}
	line := lineAt(file.Bytes, r.Start)
	if line == nil || len(line) > longestLine { // generated, not written by hand
		return nil
	}
	given := maskLine(shown(strings.ReplaceAll(strings.TrimRight(string(line), "\r"), "\t", " ")), file.Bytes, r.Start)
	number := fmt.Sprintf("%4d | ", r.Start.Line)
	from := min(max(0, r.Start.Column-1), len(given))
	length := 1
	if r.End.Line == r.Start.Line {
		length = max(1, r.End.Column-r.Start.Column)
	} else {
		length = max(1, ansi.StringWidth(given)-from)
	}
	return []string{number + given, strings.Repeat(" ", len(number)+from) + strings.Repeat("^", min(length, 120))}
}

// longestLine is the length in bytes of the longest line that is shown.
const longestLine = 64 << 10

// lineAt is the line of a place, nil where the file has no such place.
func lineAt(source []byte, at hcl.Pos) []byte {
	if at.Byte > len(source) {
		return nil
	}
	line := source[bytes.LastIndexByte(source[:at.Byte], '\n')+1:]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	return line
}

// diagnosticJSON is one problem in the output of validate --json.
type diagnosticJSON struct {
	Severity string     `json:"severity"`
	Summary  string     `json:"summary"`
	Detail   string     `json:"detail"`
	Range    *rangeJSON `json:"range,omitempty"`
	Snippet  string     `json:"snippet,omitempty"`
	Hosts    []string   `json:"hosts,omitempty"` // that it concerns; none: the plan as a whole
}

type rangeJSON struct {
	File  string  `json:"file"`
	Start posJSON `json:"start"`
	End   posJSON `json:"end"`
}

type posJSON struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// DiagnosticsJSON writes problems as one JSON document.
func DiagnosticsJSON(w io.Writer, diags hcl.Diagnostics, files map[string]*hcl.File) error {
	out := struct {
		Schema      int              `json:"schema"`
		Valid       bool             `json:"valid"`
		Diagnostics []diagnosticJSON `json:"diagnostics"`
	}{event.Schema, !diags.HasErrors(), []diagnosticJSON{}}
	for _, d := range diags {
		j := diagnosticJSON{Severity: "error", Summary: shown(d.Summary), Detail: shown(d.Detail), Hosts: schema.Concerned(d)}
		if d.Severity == hcl.DiagWarning {
			j.Severity = "warning"
		}
		if r := d.Subject; r != nil {
			j.Range = &rangeJSON{r.Filename, posJSON{r.Start.Line, r.Start.Column}, posJSON{r.End.Line, r.End.Column}}
			if lines := snippet(*r, files); lines != nil {
				_, j.Snippet, _ = strings.Cut(lines[0], "| ")
			}
		}
		out.Diagnostics = append(out.Diagnostics, j)
	}
	return writeIndented(w, out)
}

package view_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"esxiplan/cmd/internal/view"
)

// wrongLines is a file with a problem in each line.
func wrongLines(n int) (hcl.Diagnostics, map[string]*hcl.File) {
	var text strings.Builder
	var diags hcl.Diagnostics
	for line := 1; line <= n; line++ {
		at := text.Len()
		fmt.Fprintf(&text, "line%d = wrong\n", line)
		r := hcl.Range{Filename: "a.hcl", Start: hcl.Pos{Line: line, Column: 1, Byte: at}, End: hcl.Pos{Line: line, Column: 5}}
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "It is wrong", Subject: &r})
	}
	return diags, map[string]*hcl.File{"a.hcl": {Bytes: []byte(text.String())}}
}

// TestSnippets: each problem is shown with its own line, and one of a file or a line that is
// not there without any.
func TestSnippets(t *testing.T) {
	diags, files := wrongLines(3)
	for _, r := range []hcl.Range{{Filename: "b.hcl", Start: hcl.Pos{Line: 1}}, {Filename: "a.hcl", Start: hcl.Pos{Line: 9, Byte: 1000}}, {Filename: "a.hcl"}} {
		diags = append(diags, &hcl.Diagnostic{Summary: "It is nowhere", Subject: &r})
	}
	var out bytes.Buffer
	view.Diagnostics(&view.Streams{Out: io.Discard, Err: &out}, diags, files)
	for line := 1; line <= 3; line++ {
		if n := strings.Count(out.String(), fmt.Sprintf("%4d | line%[1]d = wrong\n", line)); n != 1 {
			t.Errorf("line %d is shown %d times", line, n)
		}
	}
	if n := strings.Count(out.String(), " | "); n != 3 {
		t.Errorf("%d lines are shown:\n%s", n, out.String())
	}
}

// TestSnippetsAreLinear: what a problem takes to show does not depend on how long its file is.
func TestSnippetsAreLinear(t *testing.T) {
	for name, show := range map[string]func(hcl.Diagnostics, map[string]*hcl.File){
		"text": func(d hcl.Diagnostics, f map[string]*hcl.File) {
			view.Diagnostics(&view.Streams{Out: io.Discard, Err: io.Discard}, d, f)
		},
		"JSON": func(d hcl.Diagnostics, f map[string]*hcl.File) { view.DiagnosticsJSON(io.Discard, d, f) },
	} {
		t.Run(name, func(t *testing.T) {
			each := func(n int) uint64 {
				diags, files := wrongLines(n)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				show(diags, files)
				runtime.ReadMemStats(&after)
				return (after.TotalAlloc - before.TotalAlloc) / uint64(n)
			}
			if few, more := each(200), each(1600); more > 2*few {
				t.Errorf("%d bytes for each of 200 problems, %d for each of 1600", few, more)
			}
		})
	}
}

// TestPlansDrawNothing: a plan may be a stranger's, and what it says is shown where it is wrong.
func TestPlansDrawNothing(t *testing.T) {
	const name, line = "a\x1b[31m.hcl", "media { url = \"http://root:calvin@10.0.0.1/\x1b[2J\u009b31m\u202e\" }\n"
	at := hcl.Range{Filename: name, Start: hcl.Pos{Line: 1, Column: 1}, End: hcl.Pos{Line: 1, Column: 6}}
	diags := hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "It is \x1b]0;wrong\a", Detail: line, Subject: &at}}
	files := map[string]*hcl.File{name: {Bytes: []byte(line)}}
	var people, programs bytes.Buffer
	view.Diagnostics(&view.Streams{Out: io.Discard, Err: &people}, diags, files)
	if err := view.DiagnosticsJSON(&programs, diags, files); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{people.String(), programs.String()} {
		if strings.ContainsAny(out, "\x1b\a\u009b\u202e") || strings.Contains(out, "calvin") || !strings.Contains(out, "***********@10.0.0.1/") {
			t.Errorf("%q", out)
		}
	}
}

package view_test

import (
	"bytes"
	"encoding/json"
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

// TestSnippetsMaskValues: a secret is not shown, and every name in its line is.
func TestSnippetsMaskValues(t *testing.T) {
	const stars = "******"
	for name, c := range map[string]struct{ text, line, want string }{
		"literal":            {`password = "calvin"`, ``, `password = "` + stars + `"`},
		"environment":        {`password = env("BMC_PASSWORD")`, ``, `password = env("BMC_PASSWORD")`},
		"index":              {`password = local.logins["dell"].password`, ``, `password = local.logins["dell"].password`},
		"file":               {`root_password = chomp(file("secret.txt"))`, ``, `root_password = chomp(file("secret.txt"))`},
		"default of try":     {`password = try(env("PW"), "calvin")`, ``, `password = try(env("PW"), "` + stars + `")`},
		"default of lookup":  {`password = lookup(local.pw, "dell", "calvin")`, ``, `password = lookup(local.pw, "dell", "` + stars + `")`},
		"other key":          {`current = { username = "root", password = "calvin" }`, ``, `current = { username = "root", password = "` + stars + `" }`},
		"key after":          {`current = { password = "calvin", username = "root" }`, ``, `current = { password = "` + stars + `", username = "root" }`},
		"quoted key":         {`x = { "password" : "calvin", "user" : "root" }`, ``, `x = { "password" : "` + stars + `", "user" : "root" }`},
		"object of secrets":  {`passwords = { dell = "calvin", "hpe" = "calvin" }`, ``, `passwords = { dell = "` + stars + `", "hpe" = "` + stars + `" }`},
		"list of secrets":    {`tokens = ["calvin", var.x]`, ``, `tokens = ["` + stars + `", var.x]`},
		"number":             {`secret_pin = 123456`, ``, `secret_pin = ` + stars},
		"template":           {`password = "${var.x}calvin"`, ``, `password = "${var.x}` + stars + `"`},
		"unclosed":           {`password = "calvin`, ``, `password = "` + stars},
		"typographic":        {`password = “calvin”`, ``, `password = “` + stars + `”`},
		"single":             {`password = 'calvin'`, ``, `password = '` + stars + `'`},
		"block":              {`bmc { password = "calvin" }`, ``, `bmc { password = "` + stars + `" }`},
		"label":              {`step "wait" "password" { goal = "esxi" }`, ``, `step "wait" "password" { goal = "esxi" }`},
		"choice":             {`password = true ? "calvin" : "calvin"`, ``, `password = true ? "` + stars + `" : "` + stars + `"`},
		"name of a value":    {`note = "password = calvin"`, ``, `note = "password = calvin"`},
		"default":            {"variable \"bmc_password\" {\n  default = \"calvin\"\n}", `  default`, `  default = "` + stars + `"`},
		"sensitive default":  {"variable \"x\" {\n  default = \"calvin\"\n  sensitive = true\n}", `  default`, `  default = "` + stars + `"`},
		"sensitive before":   {"variable \"x\" {\n  sensitive = true\n  default = \"calvin\"\n}", `  default`, `  default = "` + stars + `"`},
		"other default":      {"variable \"x\" {\n  default = \"calvin\"\n}\nvariable \"y\" {\n  sensitive = true\n}", `  default`, `  default = "calvin"`},
		"after the variable": {"variable \"password\" {\n}\ngroup \"g\" {\n  default = \"calvin\"\n}", `  default`, `  default = "calvin"`},
		"heredoc":            {"password = <<EOT\ncalvin\nEOT\n", `calvin`, stars},
		"after a heredoc":    {"password = <<EOT\ncalvin\nEOT\nnote = \"calvin\"", `note`, `note = "calvin"`},
	} {
		t.Run(name, func(t *testing.T) {
			at := max(0, strings.Index(c.text, c.line))
			r := hcl.Range{Filename: "a.hcl", Start: hcl.Pos{Line: 1, Column: 1, Byte: at}, End: hcl.Pos{Line: 1, Column: 2}}
			diags := hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "It is wrong", Subject: &r}}
			var out bytes.Buffer
			view.Diagnostics(&view.Streams{Out: io.Discard, Err: &out}, diags, map[string]*hcl.File{"a.hcl": {Bytes: []byte(c.text)}})
			if !strings.Contains(out.String(), "| "+c.want+"\n") {
				t.Errorf("want %s, have\n%s", c.want, out.String())
			}
		})
	}
}

// TestAnnotations: what GitHub and GitLab read, with the characters that mean something there.
func TestAnnotations(t *testing.T) {
	text := "line1 = wrong\nline2 = {\n}\n"
	place := func(line, column, endLine, endColumn int) *hcl.Range {
		return &hcl.Range{Filename: "./a,b.hcl", Start: hcl.Pos{Line: line, Column: column}, End: hcl.Pos{Line: endLine, Column: endColumn}}
	}
	diags := hcl.Diagnostics{
		{Severity: hcl.DiagError, Summary: "Wrong: 100%", Detail: "It is 50%, at c:\nsecond line", Subject: place(1, 9, 1, 14)},
		{Severity: hcl.DiagWarning, Summary: "Long", Detail: "It is long.", Subject: place(2, 9, 3, 2)},
		{Severity: hcl.DiagError, Summary: "Wrong variable", Detail: "It is not in a file.", Subject: &hcl.Range{Filename: "-e x"}},
		{Severity: hcl.DiagError, Summary: "Wrong variable", Detail: "It is not in a file.", Subject: &hcl.Range{Filename: "-e x"}},
	}
	files := map[string]*hcl.File{"./a,b.hcl": {Bytes: []byte(text)}}
	var out bytes.Buffer
	s := &view.Streams{Out: &out, Err: io.Discard}
	if err := view.Problems("github", s, diags, files); err != nil {
		t.Fatal(err)
	}
	want := "::error file=a%2Cb.hcl,line=1,col=9,endLine=1,endColumn=13,title=Wrong%3A 100%25::It is 50%25, at c:%0Asecond line\n" +
		"::warning file=a%2Cb.hcl,line=2,endLine=3,title=Long::It is long.\n" +
		"::error title=Wrong variable::It is not in a file.\n::error title=Wrong variable::It is not in a file.\n"
	if out.String() != want {
		t.Errorf("GitHub reads\n%s\nwant\n%s", out.String(), want)
	}
	issues := func(diags hcl.Diagnostics) (out []map[string]any) {
		var b bytes.Buffer
		if err := view.Problems("gitlab", &view.Streams{Out: &b}, diags, files); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := issues(diags)
	if got := first[0]; got["check_name"] != "wrong-100" || got["severity"] != "major" || fmt.Sprint(got["location"]) != "map[lines:map[begin:1] path:a,b.hcl]" {
		t.Errorf("GitLab reads %v", got)
	}
	if first[2]["fingerprint"] == first[3]["fingerprint"] {
		t.Error("two problems have one fingerprint")
	}
	diags[0].Subject = place(7, 9, 7, 14) // lines were added before it
	if again := issues(diags); again[0]["fingerprint"] != first[0]["fingerprint"] {
		t.Error("the fingerprint depends on the line")
	}
	if err := view.Problems("xml", s, diags, files); err == nil || len(issues(nil)) != 0 {
		t.Error("another format is accepted, or nothing is reported as something")
	}
}

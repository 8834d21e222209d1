package schema_test

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"esxiplan/schema"
)

const outsideText = "outside-of-the-folder"

// folders makes a plan's folder with what a stranger may put there, next to a folder that is
// not for the plan. Its files exist, or do not.
func folders(t testing.TB, exist bool) (dir string) {
	t.Helper()
	top := t.TempDir()
	files := map[string]string{"plan/in.txt": "inside", "plan/sub/deep.txt": "deep", "plan/.git/config": outsideText, "plan/.env": outsideText, "plan/sub/.secret": outsideText}
	if exist {
		maps.Copy(files, map[string]string{"out/secret.txt": outsideText, "secret.txt": outsideText, "plan-too/secret.txt": outsideText})
	}
	for name, text := range files {
		name = filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"plan/to-file": "../out/secret.txt", "plan/to-folder": "../out", "plan/sub/up": "../../secret.txt", "plan/absolute": "/etc/passwd",
		"plan/chain": "to-file", "plan/long-way": "sub/../../plan/in.txt", "plan/loop": "loop", "plan/hidden": ".git/config", "plan/hidden-folder": "sub/../.git",
		"plan/inner": "sub/deep.txt", "plan/inner-folder": "sub", "plan/process": "/proc/self/environ",
	} {
		if err := os.Symlink(target, filepath.Join(top, name)); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(top, "plan")
}

// fileIn is what file() makes of a name in the plan of a folder, and the problems.
func fileIn(t testing.TB, dir, name string, in schema.Input) (text, problems string) {
	t.Helper()
	plan := filepath.Join(dir, "plan.hcl")
	text = fmt.Sprintf("locals {\n  a = file(%s)\n}\nvariable \"x\" { default = \"\" }\n%s\n", schema.Literal(name), strings.ReplaceAll(machine, `"h"`, `"192.0.2.1"`)+
		`step "try" "s" { text = local.a }`)
	if err := os.WriteFile(plan, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, diags := schema.Load([]string{plan}, in, known())
	if diags.HasErrors() {
		return "", texts(diags)
	}
	var a arguments
	if diags := p.Decode(p.Steps[0], p.Hosts()[0], &a); diags.HasErrors() || a.Text == nil {
		return "", texts(diags)
	}
	return *a.Text, ""
}

func texts(diags hcl.Diagnostics) string {
	var all []string
	for _, d := range diags {
		all = append(all, d.Summary+": "+d.Detail)
	}
	return strings.Join(all, "\n")
}

// TestUntrustedFiles: a plan that is not trusted reads what lies below its folder, and learns
// nothing of what lies elsewhere, not even whether it is there.
func TestUntrustedFiles(t *testing.T) {
	there, gone := folders(t, true), folders(t, false)
	for _, c := range []struct{ name, want string }{
		{"in.txt", "inside"}, {"./sub/../in.txt", "inside"}, {"sub/deep.txt", "deep"}, {"../plan/in.txt", "inside"},
		{"inner", "deep"}, {"inner-folder/deep.txt", "deep"},
		{"/etc/passwd", ""}, {"../out/secret.txt", ""}, {"../secret.txt", ""}, {"../plan-too/secret.txt", ""}, {"sub/../../out/secret.txt", ""},
		{"to-file", ""}, {"to-folder/secret.txt", ""}, {"inner-folder/up", ""}, {"sub/up", ""}, {"absolute", ""}, {"chain", ""}, {"long-way", ""},
		{"process", ""}, {"/proc/self/environ", ""}, {"/dev/stdin", ""},
		{".git/config", ""}, {".env", ""}, {"sub/.secret", ""}, {"hidden", ""}, {"hidden-folder/config", ""},
	} {
		text, problems := fileIn(t, there, c.name, schema.Input{Untrusted: true})
		_, other := fileIn(t, gone, c.name, schema.Input{Untrusted: true})
		switch {
		case c.want != "" && (text != c.want || problems != ""):
			t.Errorf("%s: %q %s", c.name, text, problems)
		case c.want == "" && (text != "" || !strings.Contains(problems, "is outside the plan's folder") || !strings.Contains(problems, "--allow-read")):
			t.Errorf("%s is read: %q %s", c.name, text, problems)
		case other != problems:
			t.Errorf("%s says whether there is such a file:\n%s\n%s", c.name, problems, other)
		}
	}
	if _, problems := fileIn(t, there, "loop", schema.Input{Untrusted: true}); !strings.Contains(problems, "too many levels") {
		t.Error(problems)
	}
	allowed := filepath.Join(filepath.Dir(there), "out")
	if text, problems := fileIn(t, there, "../out/secret.txt", schema.Input{Untrusted: true, AllowDir: []string{allowed}}); text != outsideText {
		t.Error("what the caller allows is not read:", problems)
	}
}

// TestUntrustedArguments: also what a plan names for esxiplan itself lies below its folder.
func TestUntrustedArguments(t *testing.T) {
	dir := folders(t, true)
	for name, c := range map[string]struct{ text, problem string }{
		"image":        {`image "i" { source = "to-file" }`, "Not looked at"},
		"device":       {`image "i" { source = "/dev/zero" }`, "Not looked at"}, // for a trusted plan the message says that it is a device
		"image inside": {`image "i" { source = "in.txt" }`, ""},
		"no image":     {`image "i" { source = "none.iso" }`, ""},
		"certificate": {`media {
  listen_tls  = "127.0.0.1:0"
  certificate = "../out/secret.txt"
  key         = "in.txt"
}`, "Not looked at"},
		"authorities": {strings.Replace(strings.ReplaceAll(machine, `"h"`, `"192.0.2.1"`), "bmc {", "bmc {\n    tls = { ca_file = \"absolute\" }", 1), "is outside"},
	} {
		text := c.text
		if !strings.Contains(text, "group") {
			text += "\n" + machine
		}
		plan := filepath.Join(dir, "plan.hcl")
		if err := os.WriteFile(plan, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, diags := schema.Load([]string{plan}, schema.Input{Untrusted: true}, known())
		if problems := texts(diags); (c.problem == "") != (problems == "") || !strings.Contains(problems, c.problem) {
			t.Errorf("%s: %s", name, problems)
		}
		if f, err := p.Open("to-file"); err == nil {
			f.Close()
			t.Errorf("%s: a link out of the folder is opened", name)
		}
	}
}

// TestUntrustedPlanFiles: plan files and variable files are no links to what lies elsewhere,
// and neither is the folder that is named.
func TestUntrustedPlanFiles(t *testing.T) {
	dir := folders(t, true)
	top := filepath.Dir(dir)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(top, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(top, name)); err != nil {
			t.Fatal(err)
		}
	}
	write("plan/plan.hcl", machine)
	write("out/other.hcl", outsideText+" = 1\n")
	link("../out/other.hcl", "plan/linked.hcl")
	link("plan.hcl", "plan/inner.hcl")
	link("none.hcl", "dangling.hcl")
	link("out/none.hcl", "plan/gone.hcl")
	link("out", "folder")
	link("plan/.git", "plan-git")
	for _, c := range []struct {
		paths   []string
		files   []string
		problem string
	}{
		{[]string{"plan/plan.hcl"}, nil, ""},
		{[]string{"plan/inner.hcl"}, nil, ""},
		{[]string{"plan"}, nil, "plan/linked.hcl is, or is behind, a link"},
		{[]string{"plan/linked.hcl"}, nil, "a link that leads elsewhere"},
		{[]string{"folder"}, nil, "a link that leads elsewhere"},
		{[]string{"folder/other.hcl"}, nil, "a link that leads elsewhere"},
		{[]string{"plan-git"}, nil, "a link that leads elsewhere"},
		{[]string{"plan/plan.hcl"}, []string{"plan/linked.hcl"}, "a link that leads elsewhere"},
		{[]string{"plan/plan.hcl"}, []string{"out/other.hcl"}, "Undeclared variable"},
		{[]string{"plan/hidden"}, nil, "a link that leads elsewhere"},
		{[]string{"plan/none.hcl"}, nil, "no such file"},
	} {
		for _, from := range []string{"", top} { // by absolute paths, and from the folder above
			if from != "" {
				t.Chdir(from)
			}
			in := func(names []string) (out []string) {
				for _, name := range names {
					if from == "" {
						name = filepath.Join(top, name)
					}
					out = append(out, name)
				}
				return out
			}
			_, diags := schema.Load(in(c.paths), schema.Input{Untrusted: true, Files: in(c.files)}, known())
			if problems := texts(diags); c.problem == "" && problems != "" || !strings.Contains(problems, c.problem) || strings.Contains(problems, outsideText) && c.problem != "Undeclared variable" {
				t.Errorf("%q from %q: %s", c.paths, from, problems)
			}
		}
		t.Chdir(os.TempDir())
	}
}

// TestUntrustedEnvironment: what an untrusted plan reads of the environment is named
// ESXIPLAN_VAR_… and allowed; what it reads in vain, it cannot tell from what is not set.
func TestUntrustedEnvironment(t *testing.T) {
	set := func(name string) (string, bool) { return "value-of-" + name, true }
	empty := func(string) (string, bool) { return "", false }
	for _, c := range []struct {
		expr  string
		allow []string
		want  string // "": a problem
	}{
		{`nonsensitive(env("AWS_SECRET_ACCESS_KEY"))`, nil, ""},
		{`nonsensitive(env("AWS_SECRET_ACCESS_KEY"))`, []string{"*"}, ""},
		{`nonsensitive(env("AWS_SECRET_ACCESS_KEY"))`, []string{"AWS_*"}, ""},
		{`nonsensitive(env("BMC_PASSWORD"))`, []string{"BMC_*"}, ""},
		{`nonsensitive(env("ESXIPLAN_VAR_x"))`, nil, ""},
		{`nonsensitive(env("ESXIPLAN_VAR_x"))`, []string{"ESXIPLAN_VAR_y"}, ""},
		{`nonsensitive(env("ESXIPLAN_VAR_x"))`, []string{"ESXIPLAN_VAR_x"}, "value-of-ESXIPLAN_VAR_x"},
		{`nonsensitive(env("ESXIPLAN_VAR_x"))`, []string{"ESXIPLAN_*"}, "value-of-ESXIPLAN_VAR_x"},
		{`tostring(nonsensitive(can(env("AWS_SECRET_ACCESS_KEY"))))`, nil, "false"},
		{`nonsensitive(try(env("ESXIPLAN_VAR_x"), "none"))`, nil, "none"},
	} {
		p, problems := load(t, planWith("text", c.expr), schema.Input{Environ: set, AllowEnv: c.allow, Untrusted: true})
		if _, other := load(t, planWith("text", c.expr), schema.Input{Environ: empty, AllowEnv: c.allow, Untrusted: true}); c.want == "" && other != problems {
			t.Errorf("%s says whether it is set:\n%s\n%s", c.expr, problems, other)
		}
		if c.want == "" {
			if !strings.Contains(problems, "--untrusted") || strings.Contains(problems, "value-of") {
				t.Errorf("%s with %q: %s", c.expr, c.allow, problems)
			}
			continue
		}
		h, _ := p.Host("h")
		var a arguments
		if diags := p.Decode(p.Steps[0], h, &a); diags.HasErrors() || a.Text == nil || *a.Text != c.want {
			t.Errorf("%s with %q: %v %v", c.expr, c.allow, problems, diags)
		}
	}
}

// TestUntrustedVariables take their values from the environment only where that is allowed,
// and then a placeholder replaces a secret.
func TestUntrustedVariables(t *testing.T) {
	text := machine + "variable \"x\" {\n  type = string\n  %s\n}\n"
	environ := func(name string) (string, bool) { return "value-of-" + name, true }
	for _, c := range []struct {
		more  string
		in    schema.Input
		value string // "": a problem
	}{
		{"", schema.Input{}, ""},
		{"", schema.Input{AllowEnv: []string{"ESXIPLAN_VAR_x"}}, "value-of-ESXIPLAN_VAR_x"},
		{"", schema.Input{Set: []string{"x=given"}}, "given"},
		{"default = \"own\"", schema.Input{}, "own"},
		{"sensitive = true", schema.Input{}, "made-up"},
		{"sensitive = true", schema.Input{AllowEnv: []string{"ESXIPLAN_VAR_*"}}, "value-of-ESXIPLAN_VAR_x"},
	} {
		c.in.Untrusted, c.in.Environ, c.in.Placeholder = true, environ, func(string) string { return "made-up" }
		p, problems := load(t, fmt.Sprintf(text, c.more), c.in)
		if c.value == "" {
			if !strings.Contains(problems, "ESXIPLAN_VAR_x with --allow-env ESXIPLAN_VAR_x") {
				t.Error(problems)
			}
			continue
		}
		value, _ := p.Variables[0].Value.Unmark()
		if problems != "" || value.AsString() != c.value {
			t.Errorf("%s: %#v %s", c.more, value, problems)
		}
	}
}

// FuzzUntrustedPath: whatever a plan names, and wherever a link of its folder leads, it reads
// what lies below the folder or gets a problem that does not depend on what lies elsewhere.
func FuzzUntrustedPath(f *testing.F) {
	for _, name := range []string{"in.txt", "../out/secret.txt", "/etc/passwd", "to-folder/secret.txt", "a//b/../../../x", ".git/config", "sub/./up", "hidden-folder/config", "inner-folder/../../secret.txt"} {
		f.Add(name, false)
		f.Add(name, true)
	}
	there, gone := folders(f, true), folders(f, false)
	f.Fuzz(func(t *testing.T, name string, link bool) {
		var answers []string
		for _, dir := range []string{there, gone} {
			name := name
			if link {
				at := filepath.Join(dir, "fuzzed")
				os.Remove(at)
				if os.Symlink(name, at) != nil {
					return
				}
				name = "fuzzed"
			}
			access := schema.NewAccess(dir, true)
			text := ""
			file, err := access.Open(name)
			if err == nil {
				b, _ := io.ReadAll(file)
				file.Close()
				text = string(b)
			}
			if text != "" && !slices.Contains([]string{"inside", "deep"}, text) {
				t.Fatalf("%q reads %q", name, text)
			}
			answers = append(answers, fmt.Sprint(text, err))
		}
		if answers[0] != answers[1] {
			t.Fatalf("%q reveals what is outside:\n%s\n%s", name, answers[0], answers[1])
		}
	})
}

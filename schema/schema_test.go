package schema_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"esxiplan/schema"
)

type arguments struct {
	Text *string          `json:"text" doc:"Any text."`
	Wait *schema.Duration `json:"wait" doc:"A length of time."`
	List []string         `json:"list" doc:"Some words."`
	Must string           `json:"must" default:"x" doc:"Has a default."`
	Key  schema.Secret    `json:"key" default:"-" doc:"A secret."`
}

type result struct {
	Out string `json:"out" doc:"What came out."`
}

type facts struct {
	Model string `json:"model" doc:"Model."`
}

func known() schema.Known {
	return schema.Known{Version: "0.1.0", Vendors: []string{"acme"}, Facts: schema.Of[facts](), Message: schema.Of[message](),
		Steps: map[string]schema.StepType{"try": {Arguments: schema.Of[arguments](), Result: schema.Of[result]()}}}
}

const machine = `
group "g" {
  bmc {
    username = "u"
    password = "p"
  }
  vars = { a = "group", b = "group" }
  host "h" {
    vars = { b = "host" }
    esxi { address = "192.0.2.11" }
  }
}
`

func load(t testing.TB, text string, in schema.Input) (*schema.Plan, string) {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "plan.hcl")
	for file, content := range map[string]string{"plan.hcl": text, "data.txt": "from a file", "tpl.txt": "hello ${name}", "rows.csv": "a,b\n1,2\n", "x.yaml": "k: [1, 2]\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, diags := schema.Load([]string{name}, in, known())
	var b strings.Builder
	for _, d := range diags {
		b.WriteString(d.Summary + ": " + d.Detail + "\n")
	}
	return p, b.String()
}

// TestExpressions evaluates what plans write into one argument of a step.
func TestExpressions(t *testing.T) {
	env := func(name string) (string, bool) { return map[string]string{"SECRET": "word"}[name], name == "SECRET" }
	for expr, want := range map[string]string{
		`"x"`: "x", `1 + 1`: "2", `host.name`: "h", `group.name`: "g", `host.vars.a`: "group", `host.vars.b`: "host", `host.esxi.address`: "192.0.2.11",
		`host.esxi.hostname`: "esxi-192-0-2-11", `local.twice`: "vv", `var.v`: "v", `image.i.source`: "a.iso",
		`file("data.txt")`: "from a file", `templatefile("tpl.txt", { name = host.name })`: "hello h",
		`yamldecode(file("x.yaml")).k[1]`: "2", `csvdecode(file("rows.csv"))[0].b`: "2", `jsondecode("[1,2]")[0]`: "1", `jsonencode({ a = 1 })`: `{"a":1}`, `yamlencode({ a = 1 })`: "\"a\": 1\n",
		`cidrhost("10.0.0.0/8", 258)`: "10.0.1.2", `cidrhost("10.0.0.0/24", -2)`: "10.0.0.254", `cidrnetmask("10.0.0.0/20")`: "255.255.240.0", `cidrsubnet("10.0.0.0/8", 8, 2)`: "10.2.0.0/16",
		`try(host.vars.nothing, "else")`: "else", `can(host.vars.nothing) ? "a" : "b"`: "b", `sha256("a")`: "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
		`basename("/a/b.iso")`: "b.iso", `dirname("/a/b.iso")`: "/a", `nonsensitive(env("SECRET"))`: "word", `join("-", [for x in ["a", "b"] : upper(x)])`: "A-B",
		`"${path.plan}" != "" ? "in" : ""`: "in",
	} {
		p, problems := load(t, "variable \"v\" {\n default = \"v\"\n}\nlocals {\n twice = \"${local.once}${local.once}\"\n once = var.v\n}\nimage \"i\" {\n source = \"a.iso\"\n}\n"+machine+"step \"try\" \"s\" { text = "+expr+" }\n", schema.Input{Environ: env})
		if problems != "" {
			t.Errorf("%s: %s", expr, problems)
			continue
		}
		v, diags := p.Arguments(p.Steps[0], schema.Scope{Host: p.Hosts()[0], Results: map[string]cty.Value{}})
		if diags.HasErrors() || v.GetAttr("text").IsNull() || v.GetAttr("text").AsString() != want {
			t.Errorf("%s = %#v, want %q (%v)", expr, v.GetAttr("text"), want, diags)
		}
	}
}

// TestSecretsStayMarked: whatever is made from a secret is refused where it would show.
func TestSecretsStayMarked(t *testing.T) {
	env := func(string) (string, bool) { return "word", true }
	for _, expr := range []string{
		`env("S")`, `"x${env("S")}"`, `try(env("S"), "")`, `try(tonumber(env("S")), "none")`, `can(tonumber(env("S"))) ? "a" : "b"`, `upper(env("S"))`, `jsonencode({ a = env("S") })`,
		`sha256(env("S"))`, `strlen(env("S")) > 2 ? "long" : "short"`, `join("", [for c in [env("S")] : c])`, `templatefile("tpl.txt", { name = env("S") })`, `keys({ (env("S")) = 1 })[0]`,
		`host.bmc.password`, `format("%s", env("S"))`, `{ a = env("S") }.a`, `substr(env("S"), 0, 1)`,
	} {
		_, problems := load(t, machine+"step \"try\" \"s\" { text = "+expr+" }\n", schema.Input{Environ: env})
		if !strings.Contains(problems, "sensitive") || strings.Contains(problems, "word") && !strings.Contains(problems, "password") {
			t.Errorf("%s is let through: %s", expr, problems)
		}
	}
	if _, problems := load(t, machine+"step \"try\" \"s\" { key = env(\"S\") }\n", schema.Input{Environ: env}); problems != "" {
		t.Errorf("a secret argument refuses a secret: %s", problems)
	}
}

func TestVariableSources(t *testing.T) {
	text := "variable \"v\" {\n type = string\n default = \"default\"\n}\n" + machine
	env := func(name string) (string, bool) { return "env", name == "ESXIPLAN_VAR_v" }
	file := filepath.Join(t.TempDir(), "x.hcl")
	if err := os.WriteFile(file, []byte("v = \"file\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, in := range map[string]schema.Input{
		"default": {}, "env": {Environ: env}, "file": {Environ: env, Files: []string{file}}, "flag": {Environ: env, Files: []string{file}, Set: []string{"v=flag"}},
	} {
		p, problems := load(t, text, in)
		if problems != "" || p.Variables[0].Value.AsString() != want {
			t.Errorf("%s: %#v %s", want, p.Variables[0].Value, problems)
		}
	}
	typed := "variable \"l\" {\n type = list(number)\n validation {\n  condition = length(var.l) > 1\n  error_message = \"Give two.\"\n }\n}\n" + machine
	if p, problems := load(t, typed, schema.Input{Set: []string{"l=[1, 2]"}}); problems != "" || p.Variables[0].Value.LengthInt() != 2 {
		t.Error(problems)
	}
	if _, problems := load(t, typed, schema.Input{Set: []string{"l=[1]"}}); !strings.Contains(problems, "Give two.") {
		t.Error(problems)
	}
	asked := ""
	in := schema.Input{Ask: func(v *schema.Variable) (string, error) { asked = v.Name; return "typed", nil }}
	if p, problems := load(t, "variable \"q\" {}\n"+machine, in); problems != "" || asked != "q" || p.Variables[0].Value.AsString() != "typed" {
		t.Errorf("asked %q: %s", asked, problems)
	}
}

func TestFilesOutsideThePlan(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret.txt")
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := machine + "step \"try\" \"s\" { text = file(\"" + outside + "\") }\n"
	if _, problems := load(t, text, schema.Input{}); !strings.Contains(problems, "outside the plan's folder") {
		t.Error(problems)
	}
	if _, problems := load(t, text, schema.Input{AllowDir: []string{filepath.Dir(outside)}}); problems != "" {
		t.Error(problems)
	}
}

func TestNullsOfSkippedSteps(t *testing.T) {
	text := machine + "step \"try\" \"a\" {\n when = false\n}\nstep \"try\" \"b\" { text = \"x${step.a.out}\" }\n"
	if _, problems := load(t, text, schema.Input{}); !strings.Contains(problems, "null") {
		t.Errorf("a null in a template is let through: %q", problems)
	}
	text = machine + "step \"try\" \"a\" {\n when = false\n}\nstep \"try\" \"b\" { text = step.a.out }\n"
	if _, problems := load(t, text, schema.Input{}); problems != "" {
		t.Error(problems)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.hcl": machine, "b.hcl": "plan \"two\" {}\nstep \"try\" \"s\" {}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, diags := schema.Load([]string{dir}, schema.Input{}, known())
	if diags.HasErrors() || p.Name != "two" || len(p.Hosts()) != 1 || len(p.Steps) != 1 {
		t.Errorf("%v %+v", diags, p)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]string{"30": "30s", "30s": "30s", "15m": "15m", "90s": "1m30s", "2h": "2h", "0.5": "500ms"} {
		if d, err := schema.ParseDuration(text); err != nil || d.String() != want {
			t.Errorf("%s: %s, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "soon", "-1s", "1", "1d"} {
		if _, err := schema.ParseDuration(text); (err == nil) != (text == "1") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzLoad: whatever is in a file, loading ends with diagnostics, and what could be read
// of hosts has digests.
func FuzzLoad(f *testing.F) {
	f.Add(machine + "step \"try\" \"s\" { text = host.name }\n")
	f.Add("variable \"v\" {\n type = list(object({ a = string }))\n}\nlocals {\n a = local.b\n b = local.a\n}\n")
	f.Add("plan \"x\" {\n required_version = \">= 0.1, < 2\"\n}\nmedia {\n listen = 1\n}\ngroup \"g\" {\n host \"h\" {\n  vars = [1]\n }\n}\n")
	wrong, _ := filepath.Glob(filepath.Join("..", "testdata", "wrong", "*.hcl"))
	for _, name := range wrong {
		b, _ := os.ReadFile(name)
		f.Add(string(b))
	}
	f.Add(inGroup(fromRows(`csvdecode(file("rows.csv"))`, "row.value.a", "serial = row.value.b\nvars = { k = row.key, i = host.index }")) + "step \"try\" \"s\" { text = \"${host.index}\" }\n")
	f.Add(inGroup(fromRows(`{ h1 = sensitive("x"), h2 = null }`, "row.key", "bmc { password = row.value }")))
	f.Add(inGroup(fromRows(`toset(yamldecode(file("x.yaml")).k)`, `"h${row.value}"`, "esxi {\n address = host.facts.model\n disk = { serial = host.facts.model == row.key ? \"x\" : \"y\" }\n}")))
	f.Add(inGroup("host \"h[01:03:2]-[a:c]\" {\n esxi { address = cidrhost(\"192.0.2.0/24\", host.index) }\n}\nhost \"fd00::[1:2]\" {}\n"))
	f.Add(concerns)
	f.Add(machine + "step \"try\" \"s\" { text = file() }\nstep \"try\" \"t\" { text = templatefile(\"tpl.txt\", { name = [for x in step : x.out][0] }) }\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, _ := load(t, text, schema.Input{})
		p.CheckImages()
		p.CheckPasswords()
		for _, h := range p.Hosts() {
			if differs := schema.DifferingParts(p.Parts(h), p.Parts(h)); len(differs) > 0 {
				t.Errorf("host %q differs from itself in %v", h.Name, differs)
			}
			h.Cell("serial")
			if o := h.Origin(); o != nil && (o.String() == "" || o.Short() == "") {
				t.Errorf("host %q is made of nothing", h.Name)
			}
		}
	})
}

// TestErrorsHideSecrets: what functions of libraries say about values is hidden.
func TestErrorsHideSecrets(t *testing.T) {
	env := func(name string) (string, bool) { return "keep-Secret", true }
	for _, expr := range []string{
		`parseint(var.pw, 10)`, `tonumber(env("S"))`, `file(var.pw)`, `env(var.pw)`, `templatefile(var.pw, {})`, `cidrhost(var.pw, 1)`, `yamldecode("[${var.pw}")`,
		`regex("[${var.pw}", "x")`, `{ for k in [var.pw, var.pw] : k => 1 }`, `tobool(var.pw)`, `jsondecode(var.pw)`, `keys(host.vars)[0]`,
	} {
		text := "variable \"pw\" {\n sensitive = true\n}\n" + strings.Replace(machine, `vars = { b = "host" }`, `vars = { (env("S")) = 1 }`, 1) + "step \"try\" \"s\" { text = " + expr + " }\n"
		_, problems := load(t, text, schema.Input{Environ: env, Set: []string{"pw=keep-Secret"}})
		if strings.Contains(problems, "keep-Secret") || problems == "" {
			t.Errorf("%s: %q", expr, problems)
		}
	}
}

// TestTemplatesThatNameThemselves end.
func TestTemplatesThatNameThemselves(t *testing.T) {
	dir := t.TempDir()
	plan := machine + "step \"try\" \"s\" { text = templatefile(\"rec.tpl\", {}) }\n"
	for name, text := range map[string]string{"plan.hcl": plan, "rec.tpl": `${templatefile("rec.tpl", {})}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, diags := schema.Load([]string{dir}, schema.Input{}, known()); !diags.HasErrors() {
		t.Error("a template that includes itself is accepted")
	}
	deep := filepath.Join(t.TempDir(), "deep.hcl")
	if err := os.WriteFile(deep, []byte("locals {\n a = "+strings.Repeat("(", 200000)+"\n}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, diags := schema.Load([]string{deep}, schema.Input{}, known()); !diags.HasErrors() {
		t.Error("200000 brackets are accepted")
	}
}

package schema_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"esxiplan/schema"
)

// TestBoundsLeaveRoom evaluates what is large, or looks like an attack but is none.
func TestBoundsLeaveRoom(t *testing.T) {
	words := strings.Repeat(`"a name", `, 2000)
	for name, expr := range map[string]string{
		"join of two tables":     `length([for a in range(300) : [for b in range(300) : b if a == b]])`,
		"index by name":          `length(keys({ for i in range(1000) : "host-${i}" => { name = "host-${i}", address = cidrhost("10.0.0.0/8", i) } }))`,
		"many comparisons":       "1" + strings.Repeat(` == 2 || host.name == "x"`, 1000),
		"many conditions":        strings.Repeat(`host.name == "x" ? 1 : `, 300) + "1",
		"parentheses":            strings.Repeat("(", 400) + "1" + strings.Repeat(")", 400),
		"long list":              "length([" + words + "])",
		"negative numbers":       "length([" + strings.Repeat("-1, ", 6000) + "])",
		"lines of an object":     "length(keys({\n" + numbered(6000, "k%d = -1\n") + "}))",
		"indices":                "length([" + strings.Repeat("[1][0], ", 6000) + "])",
		"long text":              `sha256(join("", [for i in range(1000) : "` + strings.Repeat("x", 5000) + `"]))`,
		"digits of a key":        `length("` + strings.Repeat("9", 1000) + `")`,
		"wide field":             `format("%100s|%-100s", "a", "b")`,
		"indent":                 `indent(8, "a\nb")`,
		"pattern in a long text": `length(regexall("[a-z]+", join(" ", [for i in range(1000) : "name"])))`,
		"distinct":               `length(distinct(split(",", "` + strings.Repeat("a,b,", 500) + `")))`,
		"products":               `length(setproduct(range(100), range(100)))`,
		"tries":                  strings.Repeat("try(", 30) + "host.vars.no" + strings.Repeat(", host.vars.no)", 29) + ", 1)",
		"aliases":                `length(keys(yamldecode("a: &a {x: 1, y: 2}\n` + strings.Repeat(`b: {<<: *a}\n`, 1000) + `")))`,
		"powers":                 `pow(2, 1000)`,
	} {
		p, problems := load(t, planWith("text", expr), schema.Input{})
		if problems != "" {
			t.Errorf("%s: %.300s", name, problems)
			continue
		}
		h, _ := p.Host("h")
		var a arguments
		if diags := p.Decode(p.Steps[0], h, &a); diags.HasErrors() {
			t.Errorf("%s: %.300s", name, diags.Error())
		}
	}
}

func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// planWith is a plan whose only step has an argument.
func planWith(argument, expr string) string {
	return machine + fmt.Sprintf("step \"try\" \"s\" {\n  %s = %s\n}\n", argument, expr)
}

// TestBoundsHoldInARun: what only a run knows can be too large, too, and each evaluation has
// the same bound, however many there were.
func TestBoundsHoldInARun(t *testing.T) {
	p, problems := load(t, machine+`
step "try" "first" {}
step "try" "s" { text = sha256(join("", [for a in range(step.first.out) : join("", [for b in range(step.first.out) : "${b}`+strings.Repeat("x", 5000)+`"])])) }
step "try" "t" { text = "`+strings.Repeat("x", 4<<20)+`" }
`, schema.Input{})
	if problems != "" {
		t.Fatal(problems)
	}
	h, _ := p.Host("h")
	for _, out := range []string{"1000", "50", "50", "50", "50", "50", "50"} { // together more than one may take
		_, diags := p.Arguments(p.Steps[1], schema.Scope{Host: h, Results: results(out)})
		if diags.HasErrors() != (out == "1000") {
			t.Fatalf("out = %s: %v", out, diags)
		}
	}
	for range 20 { // together more than a plan may keep
		if _, diags := p.Arguments(p.Steps[2], schema.Scope{Host: h, Results: results("1")}); diags.HasErrors() {
			t.Fatal(diags)
		}
	}
}

// TestEvaluationsSideBySide have a bound each: what one evaluates is not charged to another.
func TestEvaluationsSideBySide(t *testing.T) {
	p, problems := load(t, machine+`
step "try" "first" {}
step "try" "s" { text = sha256(join("", [for a in range(step.first.out) : "${a}`+strings.Repeat("x", 5000)+`"])) }
`, schema.Input{})
	if problems != "" {
		t.Fatal(problems)
	}
	h, _ := p.Host("h")
	var work sync.WaitGroup
	for range 6 { // together more than one may take
		work.Go(func() {
			if _, diags := p.Arguments(p.Steps[1], schema.Scope{Host: h, Results: results("1000")}); diags.HasErrors() {
				t.Error(diags)
			}
		})
	}
	work.Wait()
}

// TestPanicWhileLoading: a panic reaches the caller, who can report it.
func TestPanicWhileLoading(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "no judge") {
			t.Errorf("recovered %v", r)
		}
	}()
	k := known()
	k.RootPassword = func(string) error { panic("no judge") }
	loadWith(t, `
group "g" {
  bmc {
    username = "u"
    password = "p"
  }
  host "192.0.2.1" {
    esxi {
      address       = "192.0.2.2"
      root_password = "Some-password-1x"
    }
  }
}`, k)
}

// TestAllowEnv: env() reads what it may read, try() reveals no more, and placeholders
// replace the rest.
func TestAllowEnv(t *testing.T) {
	environ := func(name string) (string, bool) { return "value-of-" + name, true }
	for _, c := range []struct {
		expr, want  string
		allow       []string
		placeholder bool
	}{
		{`nonsensitive(env("CI_TOKEN"))`, "value-of-CI_TOKEN", nil, false},
		{`nonsensitive(env("BMC_PASSWORD"))`, "value-of-BMC_PASSWORD", []string{"BMC_*", "X"}, false},
		{`nonsensitive(env("X"))`, "value-of-X", []string{"BMC_*", "X"}, false},
		{`nonsensitive(env("XY"))`, "", []string{"BMC_*", "X"}, false},
		{`nonsensitive(env("MY_BMC_PASSWORD"))`, "", []string{"BMC_*", "X"}, false},
		{`nonsensitive(env("CI_TOKEN"))`, "", []string{}, false},
		{`nonsensitive(try(env("CI_TOKEN"), "none"))`, "none", []string{"BMC_*"}, false},
		{`nonsensitive(env("CI_TOKEN"))`, "made-up", []string{"BMC_*"}, true},
	} {
		in := schema.Input{Environ: environ, AllowEnv: c.allow}
		if c.placeholder {
			in.Placeholder = func(string) string { return "made-up" }
		}
		p, problems := load(t, planWith("text", c.expr), in)
		if c.want == "" {
			if !strings.Contains(problems, "--allow-env") || strings.Contains(problems, "value-of") {
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

// TestDistinct keeps the order, and takes equal values for one.
func TestDistinct(t *testing.T) {
	p, problems := load(t, planWith("text", `jsonencode(distinct([{ a = 2 }, { a = 1 }, { a = 2 }]))`), schema.Input{})
	h, _ := p.Host("h")
	var a arguments
	if diags := p.Decode(p.Steps[0], h, &a); problems != "" || diags.HasErrors() || *a.Text != `[{"a":2},{"a":1}]` {
		t.Errorf("%s %v %v", problems, diags, a.Text)
	}
}

func results(out string) map[string]cty.Value {
	return map[string]cty.Value{"first": cty.ObjectVal(map[string]cty.Value{"out": cty.StringVal(out)}), "s": cty.UnknownVal(cty.DynamicPseudoType)}
}

func loadWith(t *testing.T, text string, k schema.Known) hcl.Diagnostics {
	t.Helper()
	name := filepath.Join(t.TempDir(), "plan.hcl")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, diags := schema.Load([]string{name}, schema.Input{}, k)
	return diags
}

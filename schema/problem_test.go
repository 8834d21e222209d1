package schema_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"esxiplan/schema"
)

// problemsOf loads a plan, and lists its problems.
func problemsOf(t *testing.T, text string) (*schema.Plan, hcl.Diagnostics) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "plan.hcl")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	k := known()
	k.Steps["demanding"] = schema.StepType{Arguments: schema.Of[struct{}](), Result: schema.Of[result](), Requires: []string{"esxi.disk"}}
	return schema.Load([]string{name}, schema.Input{}, k)
}

// hostsIn is a group with hosts named h001, h002 and so on, each with its own addresses.
func hostsIn(group, arguments string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "group %q {\n bmc {\n  username = \"u\"\n  password = \"p\"\n }\n %s\n", group, arguments)
	for i := range n {
		fmt.Fprintf(&b, " host \"%s%03d\" {\n  bmc { address = \"%s-bmc-%d\" }\n  esxi { address = \"10.0.%d.%d\" }\n }\n", group, i+1, group, i+1, i/200+1, i%200+1)
	}
	return b.String() + "}\n"
}

// TestProblemsNameTheirHosts: one problem for all hosts that have it, at its place.
func TestProblemsNameTheirHosts(t *testing.T) {
	for name, c := range map[string]struct {
		arguments, summary, detail string
		hosts                      int
	}{
		"the same for all":     {`vendor = "none"`, "Unknown vendor", "This concerns all 200 hosts of group h.", 200},
		"of wrong type":        {`protected = "perhaps"`, "Invalid value", "This concerns all 200 hosts of group h.", 200},
		"unknown name":         {`serial = local.nothing`, "Unknown local", "This concerns all 200 hosts of group h.", 200},
		"other values for all": {"esxi {\n netmask = \"255.255.255.0\"\n gateway = \"10.9.9.9\"\n}", "Gateway outside the network", "Host h001: esxi.gateway: 10.9.9.9 does not lie in 10.0.1.0/24, the network of 10.0.1.1", 200},
		"for some":             {`serial = { h003 = 1 }[host.name]`, "Invalid index", "Host h001: there is no key \"h001\"", 199},
		"for one":              {`protected = host.name == "h007" ? "perhaps" : "true"`, "Invalid value", "Host h007: protected: must be true or false", 1},
		"missing for all":      {``, "Missing argument", "This concerns all 200 hosts of group h.", 200},
		"claimed by all":       {`serial = "X1"`, "Several hosts share one serial number", `All 200 hosts of group h have serial number "X1".`, 200},
	} {
		t.Run(name, func(t *testing.T) {
			step := ""
			if c.summary == "Missing argument" {
				step = "step \"demanding\" \"s\" {}\n"
			}
			_, diags := problemsOf(t, hostsIn("h", c.arguments, 200)+step)
			if len(diags) != 1 || diags[0].Summary != c.summary || !strings.Contains(diags[0].Detail, c.detail) {
				t.Fatalf("%d problems: %v", len(diags), diags)
			}
			if got := schema.Concerned(diags[0]); len(got) != c.hosts || !slices.IsSorted(got) {
				t.Errorf("it concerns %d hosts: %v", len(got), got)
			}
		})
	}
}

// TestNothingHidesProblems: one problem does not prevent others from being found, and no
// problem follows from it.
func TestNothingHidesProblems(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string // summaries, in the order of their places
	}{
		"a reference and values":      {machine + "step \"try\" \"a\" {\n text = local.nothing\n wait = \"soon\"\n timeout = \"never\"\n}\nstep \"try\" \"b\" { wait = \"later\" }\n", []string{"Unknown local", "Invalid value", "Invalid value", "Invalid value"}},
		"a local and networks":        {"locals {\n a = file(\"none\")\n b = local.a\n}\n" + hostsIn("h", "serial = local.b\nesxi {\n netmask = \"255.0.255.0\"\n nic = local.b\n}", 2), []string{"Error in function call", "Invalid netmask"}},
		"a group and steps":           {hostsIn("h", `vendor = "none"`, 2) + "step \"try\" \"a\" { wait = \"soon\" }\n", []string{"Unknown vendor", "Invalid value"}},
		"no host that can be read":    {"locals {\n a = [\n}\n", []string{"Invalid expression"}},
		"no host and a step":          {"group \"g\" { vendr = \"x\" }\nstep \"try\" \"a\" {\n wait = \"soon\"\n text = host.vars.x\n}\n", []string{"Unsupported argument", "Invalid value"}},
		"a mistyped argument":         {machine + "step \"try\" \"a\" { wiat = \"soon\" }\n", []string{"Unsupported argument", "Invalid value"}},
		"a mistyped step type":        {machine + "step \"tri\" \"a\" { wait = \"soon\" }\nstep \"try\" \"b\" { text = step.a.out }\n", []string{"Unknown step type", "Invalid value"}},
		"an unknown step type":        {machine + "step \"nothing\" \"a\" {}\nstep \"try\" \"b\" { text = step.a.out }\n", []string{"Unknown step type"}},
		"an unknown group":            {machine + "step \"try\" \"a\" { groups = [\"none\"] }\nstep \"try\" \"b\" { text = \"x${step.a.out}\" }\n", []string{"Unknown group"}},
		"a circle and its dependents": {"locals {\n a = local.b\n b = local.a\n c = local.a\n}\n" + strings.Replace(machine, "vars = ", "serial = local.c\n vars = ", 1), []string{"Circular locals"}},
		"one name in many places":     {hostsIn("h", "serial = var.x", 3) + "step \"try\" \"a\" { text = var.x }\nstep \"try\" \"b\" { text = var.x }\n", []string{"Unknown variable"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, diags := problemsOf(t, c.text)
			var got []string
			for _, d := range diags {
				got = append(got, d.Summary)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v", diags)
			}
		})
	}
}

// TestPasswordsInPlans: one warning for each argument, however many hosts have it.
func TestPasswordsInPlans(t *testing.T) {
	p, diags := problemsOf(t, "locals {\n pw = \"x\"\n}\nvariable \"v\" {\n sensitive = true\n default = \"x\"\n}\n"+hostsIn("h", "", 3)+
		strings.Replace(strings.Replace(hostsIn("i", "", 3), `"p"`, "local.pw", 1), "10.0.1", "10.0.2", -1)+
		strings.Replace(strings.Replace(hostsIn("j", "", 3), `"p"`, `nonsensitive(var.v)`, 1), "10.0.1", "10.0.3", -1))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	found := p.CheckPasswords()
	if len(found) != 2 || found.HasErrors() || !strings.Contains(found.Error(), "and 1 other diagnostic") || !strings.Contains(found[1].Detail, "The same at") {
		t.Errorf("%v", found)
	}
}

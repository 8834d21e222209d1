package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"esxiplan/schema"
)

// TestPlansRehearse runs every plan that ships.
func TestPlansRehearse(t *testing.T) {
	t.Parallel()
	plans, err := filepath.Glob(filepath.Join("..", "..", "plans", "*.hcl"))
	if err != nil || len(plans) < 2 {
		t.Fatalf("%d plans, %v", len(plans), err)
	}
	for _, name := range plans {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			c := exec.Command(os.Args[0], "rehearse", name, "--speed", "100")
			c.Env = append(os.Environ(), "ESXIPLAN_AS_COMMAND=1")
			out, err := c.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "proven installed") || strings.Contains(string(out), "failed=1") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestRackOfForty holds the plan whose hosts come from a table against the README, which
// shows the first of them, and against the table.
func TestRackOfForty(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	p, diags := schema.Load([]string{filepath.Join("plans", "rack.hcl")}, schema.Input{Placeholder: func(string) string { return "Made-up-1x" }}, known())
	if diags.HasErrors() || len(p.Hosts()) != 40 {
		t.Fatalf("%d hosts: %v", len(p.Hosts()), diags)
	}
	table, err := os.ReadFile(filepath.Join("plans", "rack.csv"))
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range p.Hosts() {
		line := strings.Split(string(table), "\n")[i+1]
		want := strings.Join([]string{h.Name, h.BMC.Address.String(), h.Serial, h.ESXi.Address, *h.ESXi.NIC, h.Value.GetAttr("vars").GetAttr("rack").AsString()}, ",")
		if line != want {
			t.Errorf("%s makes %s", line, want)
		}
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "list", "hosts", filepath.Join("plans", "rack.hcl"), "--limit", "esxi0[1-3]")
	c.Env = append(os.Environ(), "ESXIPLAN_AS_COMMAND=1")
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(readme), string(out)) {
		t.Errorf("the README shows something else than %v\n%s", err, out)
	}
}

// TestJenkinsfile holds the pipeline against the plan: each stage's tag exists,
// each variable that it sets, too.
func TestJenkinsfile(t *testing.T) {
	source, err := os.ReadFile(filepath.Join("..", "..", "plans", "ci", "Jenkinsfile"))
	if err != nil {
		t.Fatal(err)
	}
	p, diags := schema.Load([]string{filepath.Join("..", "..", "plans", "site.hcl")}, schema.Input{Placeholder: func(string) string { return "Made-up-1x" }}, known())
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var tags []string
	for _, m := range regexp.MustCompile(`--tags ([a-z-]+)`).FindAllStringSubmatch(string(source), -1) {
		tags = append(tags, m[1])
		found := false
		for _, s := range p.Steps {
			for _, tag := range s.Policy.Tags {
				found = found || tag == m[1]
			}
		}
		if !found {
			t.Errorf("no step has the tag %s", m[1])
		}
	}
	if len(tags) < 5 {
		t.Errorf("stages: %v", tags)
	}
	for _, m := range regexp.MustCompile(`ESXIPLAN_VAR_(\w+)`).FindAllStringSubmatch(string(source), -1) {
		found := false
		for _, v := range p.Variables {
			found = found || v.Name == m[1]
		}
		if !found {
			t.Errorf("the plan has no variable %s", m[1])
		}
	}
}

// TestDocExamplesRun puts the example of every step's documentation into a whole
// plan, in the place of its like, and rehearses it.
func TestDocExamplesRun(t *testing.T) {
	t.Parallel()
	example := regexp.MustCompile("(?s)```hcl\n(.*?)```")
	for _, typ := range stepTypes() {
		t.Run(typ.Name, func(t *testing.T) {
			t.Parallel()
			m := example.FindStringSubmatch(typ.Doc)
			if m == nil {
				t.Fatal("no example")
			}
			like := regexp.MustCompile(`(?s)step "` + typ.Name + `" "\w+" \{(\n.*?\n\}|[^\n]*\})\n`)
			plan := strings.Replace(fleetPlan(1, `listen = "127.0.0.1:0"`), "8.0U3-24022510", "7.0U3d-19482537", 1)
			if len(like.FindAllString(plan, -1)) != 1 {
				t.Fatal("the plan has no such step to replace")
			}
			name := filepath.Join(t.TempDir(), "example.hcl")
			if err := os.WriteFile(name, []byte(like.ReplaceAllLiteralString(plan, m[1])), 0o600); err != nil {
				t.Fatal(err)
			}
			c := exec.Command(os.Args[0], "rehearse", name, "--speed", "200")
			c.Env = append(os.Environ(), "ESXIPLAN_AS_COMMAND=1")
			if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "1 proven installed") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

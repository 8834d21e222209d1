package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"esxiplan/cmd/internal/view"
	"esxiplan/schema"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestWrongPlans shows what validate says of deliberately wrong plans: all problems at once,
// each of them once, in words of a plan.
func TestWrongPlans(t *testing.T) {
	t.Chdir(filepath.Join("..", "..", "testdata", "wrong"))
	plans, err := filepath.Glob("*.hcl")
	if err != nil || len(plans) < 60 {
		t.Fatalf("%d wrong plans, %v", len(plans), err)
	}
	for _, name := range plans {
		t.Run(name, func(t *testing.T) {
			p, diags := check([]string{name}, schema.Input{Placeholder: func(string) string { return "Made-up-1x" }}, false)
			if !diags.HasErrors() {
				t.Fatal("the plan is accepted")
			}
			said := map[string]bool{}
			for _, d := range diags {
				if text := fmt.Sprint(d.Subject, d.Summary, d.Detail); said[text] {
					t.Errorf("it is said twice: %s", text)
				} else if said[text] = true; foreign.MatchString(d.Detail) {
					t.Errorf("%q is no word of a plan", foreign.FindString(d.Detail))
				}
			}
			var out bytes.Buffer
			view.Diagnostics(&view.Streams{Out: &out, Err: &out, Width: 100}, diags, p.Files)
			if strings.Contains(out.String(), "hidden-all-the-same") {
				t.Error("a secret is shown")
			}
			compare(t, strings.TrimSuffix(name, ".hcl")+".txt", out.Bytes())
		})
	}
}

// foreign are words of the libraries beneath, and of Go.
var foreign = regexp.MustCompile(`\b(cty|netip|statat|lstat|openat|interface|nil|DynamicPseudoType)\b|attribute requires`)

func compare(t *testing.T, golden string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil || !bytes.Equal(want, got) {
		t.Errorf("%s differs (run go test -update and look at the difference): %v\n%s", golden, err, got)
	}
}

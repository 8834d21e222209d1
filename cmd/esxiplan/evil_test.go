package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"esxiplan/engine/bmc/bmcsim/evil"
)

// TestEvilBMCs lets the command meet BMCs that mean harm, one of each kind; .ci/run has it
// meet all, also to install. What must not be, the program says: a connection to the
// attacker, too much memory, a false exit code or message, what draws on the terminal.
func TestEvilBMCs(t *testing.T) {
	t.Parallel()
	kinds := map[string]string{
		"body":      "root without end",
		"gzip bomb": "gzip",
		"JSON bomb": "depth",
		"redirect":  "302 elsewhere",
		"link":      "sessions by an encoded slash",
		"Location":  "the session by a user's name",
		"length":    "longer than said",
		"text":      "C1 controls in every text",
		"error":     "a drawing error",
		"echo":      "secrets in an error",
	}
	known := map[string]bool{}
	for _, f := range evil.Forms() {
		known[f.Name] = true
	}
	var names []string
	for kind, name := range kinds {
		if names = append(names, regexp.QuoteMeta(name)); !known[name] {
			t.Errorf("%s: there is no form %q", kind, name)
		}
	}
	c := exec.Command("go", "run", filepath.Join("..", "..", "testdata", "bench", "evil"), "-esxiplan", os.Args[0], "-commands", "discover,precheck", "-forms", "^("+strings.Join(names, "|")+")$")
	c.Env = append(os.Environ(), "ESXIPLAN_AS_COMMAND=1", "ESXIPLAN_LOCKS="+t.TempDir())
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "10 forms, 20 commands, 0 as they must not be") {
		t.Errorf("%v\n%s", err, out)
	}
}

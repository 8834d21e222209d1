package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestWithin: a run keeps within what its process may open, or says how much it needs.
func TestWithin(t *testing.T) {
	for name, c := range map[string]struct {
		need  need
		limit int
		forks int // 0: it does not start
		brief bool
		says  string
	}{
		"enough for all":             {need{300, 50, 300}, 3064, 50, false, ""},
		"far more":                   {need{1000, 50, 1000}, 1 << 20, 50, false, ""},
		"one less":                   {need{300, 50, 300}, 3063, 50, true, "may open 3063 files and connections, and 300 hosts may take 3064: connections are closed after each request; to avoid that, raise the limit of this process (ulimit -n, or LimitNOFILE of its service) to 3064"},
		"not for all forks":          {need{300, 50, 300}, 704, 10, true, "and at most 10 hosts at once instead of 50 (--forks); to avoid that"},
		"for one host at once":       {need{300, 50, 300}, 668, 1, true, "and at most 1 host at once instead of 50 (--forks)"},
		"not for the readers":        {need{300, 50, 300}, 667, 0, false, "may open 667 files and connections, and at least 668 are needed: raise the limit of this process (ulimit -n, or LimitNOFILE of its service) to 3064, or let at most 299 hosts read from this process at once (--in-flight 299)"},
		"nobody reads":               {need{300, 50, 0}, 268, 50, true, "connections are closed"},
		"nobody reads, forks":        {need{300, 50, 0}, 267, 50, true, "connections are closed"},
		"not even for one host":      {need{300, 50, 0}, 67, 0, false, "at least 68 are needed: raise the limit of this process (ulimit -n, or LimitNOFILE of its service) to 1864"},
		"fewer hosts than forks":     {need{3, 50, 0}, 82, 3, false, ""},
		"a fleet of which few write": {need{1000, 50, 20}, 600, 50, true, "connections are closed"},
	} {
		t.Run(name, func(t *testing.T) {
			got, said, err := c.need.within(c.limit)
			if err != nil {
				said = err.Error()
			}
			if (err != nil) != (c.forks == 0) || got.forks != c.forks && err == nil || got.brief != c.brief || (said == "") != (c.says == "") || !strings.Contains(said, c.says) {
				t.Errorf("%+v, %q, %v", got, said, err)
			}
			if err != nil {
				return
			}
			connections := c.need.hosts * hostTakes
			if got.brief {
				connections = got.forks * briefTakes
			}
			if sum := ownDescriptors + connections + 2*got.bounds.Connections; sum > c.limit && got.bounds.Connections > 1 {
				t.Errorf("%d descriptors may be taken, of %d", sum, c.limit)
			}
			if got.bounds.Connections < min(c.need.reading, 2048) {
				t.Errorf("%d connections for %d readers", got.bounds.Connections, c.need.reading)
			}
		})
	}
}

// TestFewDescriptors: what cannot go well is not begun, and is not said of any machine.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/site.hcl", []byte(fleetPlan(3, `listen = "127.0.0.1:0"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"run site.hcl --dry-run":      "at least 68 are needed: raise the limit of this process (ulimit -n, or LimitNOFILE of its service) to 82",
		"run site.hcl --yes":          "at least 74 are needed: raise the limit of this process (ulimit -n, or LimitNOFILE of its service) to 94",
		"status site.hcl":             "at least 68 are needed",
		"serve . --listen :0":         "the server needs at least 96: raise the limit of this process (ulimit -n",
		"validate site.hcl --offline": "",
	} {
		c := exec.Command("sh", "-c", fmt.Sprintf("ulimit -n 60 && exec %s %s", os.Args[0], args))
		c.Dir, c.Env = dir, append(os.Environ(), "ESXIPLAN_AS_COMMAND=1")
		out, err := c.CombinedOutput()
		if want == "" && err != nil || want != "" && (c.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), want)) {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
}

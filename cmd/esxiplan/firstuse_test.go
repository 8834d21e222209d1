package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFirstUse: a dry run says which certificate it saw, and pins nothing; the run pins it
// and says that; with another certificate nothing goes on.
func TestFirstUse(t *testing.T) {
	t.Parallel()
	bmc := httptest.NewTLSServer(http.NotFoundHandler())
	defer bmc.Close()
	sum := sha256.Sum256(bmc.Certificate().Raw)
	have := "sha256:" + hex.EncodeToString(sum[:])
	dir := t.TempDir()
	plan := fmt.Sprintf(`plan "p" {}
group "g" {
  bmc {
    username = "root"
    password = "not-a-password"
    tls      = { first_use = true }
  }
  host "h" {
    bmc { address = %q }
  }
}
step "precheck" "look" { retries = 0 }
`, bmc.URL)
	if err := os.WriteFile(filepath.Join(dir, "p.hcl"), []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		c := exec.Command(os.Args[0], append([]string{"run", "p.hcl"}, args...)...)
		c.Dir, c.Env = dir, append(os.Environ(), "ESXIPLAN_AS_COMMAND=1")
		out, err := c.CombinedOutput()
		if err == nil {
			t.Errorf("a server without Redfish passed:\n%s", out)
		}
		return string(out)
	}
	pins := filepath.Join(dir, ".esxiplan", "pins", "*")
	if out := run("--dry-run"); !strings.Contains(out, have+", and none is pinned yet") {
		t.Errorf("dry run:\n%s", out)
	}
	if kept, _ := filepath.Glob(pins); len(kept) != 0 {
		t.Errorf("a dry run pinned %v", kept)
	}
	if out := run("--yes"); !strings.Contains(out, have+" was pinned") {
		t.Errorf("run:\n%s", out)
	}
	kept, _ := filepath.Glob(pins)
	if len(kept) != 1 {
		t.Fatalf("pinned: %v", kept)
	}
	if err := os.WriteFile(kept[0], []byte(strings.Repeat("a", 64)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := run("--dry-run"); !strings.Contains(out, have) || !strings.Contains(out, strings.Repeat("a", 64)) || !strings.Contains(out, "remove "+filepath.Join(".esxiplan", "pins")) {
		t.Errorf("changed:\n%s", out)
	}
}

package report

import (
	"bytes"
	"context"
	"flag"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var hosts = flag.Int("hosts", 60, "how many hosts the page has that a browser opens")

// browser finds Chromium. CI must have it.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("CI must have Chromium (Debian package chromium)")
	}
	t.Skip("Chromium is not here (Debian package chromium)")
	return ""
}

// TestPageInBrowser opens the page of a run in a state that its address names: what a filter
// leaves is shown, a host is unfolded with its log, the timeline is drawn, the policy lets the
// page's own script run and nothing else, and the browser complains about nothing, as it would
// about a request, which the policy forbids. CI gives it 1,000 hosts.
func TestPageInBrowser(t *testing.T) {
	chromium, dir := browser(t), t.TempDir()
	events := append(fleet(*hosts), hostile()[1:8]...)
	page := filepath.Join(dir, "page.html")
	if err := os.WriteFile(page, []byte(written(t, HTML, events, hostileAbout)), 0o644); err != nil {
		t.Fatal(err)
	}
	state := url.Values{"standing": {"failed"}, "host": {"rack00-host0009"}, "timeline": {""}, "filter": {"CouldNotEstablishConnection host00"}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--host-resolver-rules=MAP * ~NOTFOUND", // the browser itself would ask its maker's servers
		"--enable-logging=stderr", "--user-data-dir="+dir, "--dump-dom", "file://"+page+"#"+state.Encode())
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	dom, _, _ := strings.Cut(string(out), `<script type="application/json"`)
	rows := strings.Count(dom, "<tr data-standing=")
	for _, want := range []string{`aria-expanded="true"`, "What the BMC answered", `"MessageId": "Base.1.8.CouldNotEstablishConnection"`, "esxiplan runs show nightly-7 rack7.hcl --host rack00-host0009", "Log (UTC)", "<rect class=\"failed\"", "hosts shown"} {
		if !strings.Contains(dom, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if hidden := strings.Count(dom, `hidden=""`); rows != *hosts+1 || hidden < rows/2 || hidden >= rows {
		t.Errorf("of %d rows %d are hidden", rows, hidden)
	}
	if strings.Contains(said.String(), "CONSOLE") {
		t.Errorf("the browser complains:\n%s", said.String())
	}
}

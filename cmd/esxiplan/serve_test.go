package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServe runs esxiplan serve as a process: HTTP and HTTPS at once, what is
// served, what is not, what it says, and that it ends when it is told to.
func TestServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	token := strings.Repeat("ab", 16)
	if err := os.Mkdir(filepath.Join(dir, token), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, token, "h.iso"), []byte("an image, or so"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "serve", dir, "--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0")
	c.Env = append(os.Environ(), "ESXIPLAN_AS_COMMAND=1")
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill()
	lines := bufio.NewScanner(stderr)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "serving "+dir+" on http://127.0.0.1:") {
		t.Fatalf("it says %q", lines.Text())
	}
	_, addresses, _ := strings.Cut(lines.Text(), " on ")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for address := range strings.SplitSeq(addresses, " and ") {
		for path, want := range map[string]int{"/" + token + "/h.iso": 200, "/any/prefix/" + token + "/h.iso": 200, "/": 404, "/" + token + "/": 404, "/.esxiplan/h.json": 404, "/" + token + "/..%2f..%2f" + filepath.Base(dir): 404} {
			resp, err := client.Get(address + path)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != want || want == 200 && string(body) != "an image, or so" {
				t.Errorf("%s%s: %d %q", address, path, resp.StatusCode, body)
			}
		}
	}
	time.AfterFunc(3*time.Second, func() { c.Process.Signal(syscall.SIGTERM) })
	said := ""
	for lines.Scan() {
		said += lines.Text() + "\n"
	}
	if err := c.Wait(); err != nil {
		t.Errorf("told to end: %v", err)
	}
	for _, want := range []string{"127.0.0.1 read ", " of " + token + "/h.iso in ", "\"/.esxiplan/h.json\": there is no such image"} {
		if !strings.Contains(said, want) {
			t.Errorf("it did not say %q but\n%s", want, said)
		}
	}
}

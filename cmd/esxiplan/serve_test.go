package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func file(text string) func(string) error {
	return func(path string) error { return os.WriteFile(path, []byte(text), 0o644) }
}

// publishedFolder is one with a manifest for each host, whose image is made as given.
func publishedFolder(t *testing.T, images map[string]func(path string) error) (dir, token string) {
	t.Helper()
	dir, token = t.TempDir(), strings.Repeat("ab", 16)
	for _, folder := range []string{token, ".esxiplan"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for host, write := range images {
		entry := fmt.Sprintf(`{"schema": 2, "plan": "p", "host": %q, "bmc": "192.0.2.1", "token": %q}`, host, token)
		if err := errors.Join(write(filepath.Join(dir, token, host+".iso")), file(entry)(filepath.Join(dir, ".esxiplan", host+"@p.json"))); err != nil {
			t.Fatal(err)
		}
	}
	return dir, token
}

// startServe runs esxiplan serve as a process, and returns what it says after the first line.
func startServe(t *testing.T, dir string, args ...string) (c *exec.Cmd, lines *bufio.Scanner, addresses string) {
	t.Helper()
	c = exec.Command(os.Args[0], append([]string{"serve", dir, "--listen", "127.0.0.1:0"}, args...)...)
	c.Env = append(os.Environ(), "ESXIPLAN_AS_COMMAND=1")
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	lines = bufio.NewScanner(stderr)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "serving "+dir+" on http://127.0.0.1:") {
		t.Fatalf("it says %q", lines.Text())
	}
	_, addresses, _ = strings.Cut(lines.Text(), " on ")
	return c, lines, addresses
}

// TestServeEnds: neither a client that never reads nor a log that is not read keeps the server
// from ending.
func TestServeEnds(t *testing.T) {
	t.Parallel()
	dir, token := publishedFolder(t, map[string]func(string) error{"h": func(path string) error {
		return errors.Join(file("")(path), os.Truncate(path, 1<<30))
	}})
	c, _, address := startServe(t, dir)
	conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /%s/h.iso HTTP/1.1\r\nHost: x\r\n\r\n", token)
	if _, err := io.ReadFull(conn, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c.Process.Signal(syscall.SIGTERM)
	ended := time.AfterFunc(30*time.Second, func() { c.Process.Kill() })
	c.Process.Wait()
	if took := time.Since(began); !ended.Stop() || took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestServeRefusalsAreNotAFlood: whoever asks for what is not there does not fill the disk.
func TestServeRefusalsAreNotAFlood(t *testing.T) {
	t.Parallel()
	dir, _ := publishedFolder(t, nil)
	c, lines, address := startServe(t, dir)
	const asked = 2000
	for range asked {
		resp, err := http.Get(address + "/" + strings.Repeat("x", 5000))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	c.Process.Signal(syscall.SIGTERM)
	size, shown, counted := 0, 0, 0
	for lines.Scan() {
		size += len(lines.Text())
		var n int
		if _, err := fmt.Sscanf(lines.Text(), "%d more refused requests", &n); err == nil {
			counted += n
		} else if strings.Contains(lines.Text(), "there is no such image") {
			shown++
		}
	}
	if size > 50<<10 || shown < 20 || shown+counted != asked {
		t.Errorf("%d bytes; %d refusals are shown and %d counted, of %d", size, shown, counted, asked)
	}
}

// TestServe runs esxiplan serve as a process: HTTP and HTTPS at once, what is
// served, what is not, what it says, and that it ends when it is told to.
func TestServe(t *testing.T) {
	t.Parallel()
	dir, token := publishedFolder(t, map[string]func(string) error{
		"h":        file("an image, or so"),
		"outside":  func(path string) error { return os.Symlink("/etc/passwd", path) },
		"manifest": func(path string) error { return os.Symlink("../.esxiplan/h@p.json", path) },
		"fifo":     func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"folder":   func(path string) error { return os.Mkdir(path, 0o755) },
	})
	if err := file("somebody else's")(filepath.Join(dir, token, "other.iso")); err != nil {
		t.Fatal(err)
	}
	c, lines, addresses := startServe(t, dir, "--listen-tls", "127.0.0.1:0")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for address := range strings.SplitSeq(addresses, " and ") {
		for path, want := range map[string]int{"/" + token + "/h.iso": 200, "/any/prefix/" + token + "/h.iso": 200, "/": 404, "/" + token + "/": 404, "/.esxiplan/h.json": 404,
			"/" + token + "/outside.iso": 404, "/" + token + "/manifest.iso": 404, "/" + token + "/fifo.iso": 404, "/" + token + "/folder.iso": 404, "/" + token + "/other.iso": 404,
			"/" + token + "/..%2f..%2f" + filepath.Base(dir): 404} {
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
	for _, want := range []string{"127.0.0.1 read ", " of " + token + "/h.iso in ", "\"/.esxiplan/h.json\": there is no such image",
		"/other.iso\": no manifest names this image", "/fifo.iso\": what is there cannot be served: "} {
		if !strings.Contains(said, want) {
			t.Errorf("it did not say %q but\n%s", want, said)
		}
	}
}

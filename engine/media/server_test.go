package media_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"esxiplan/engine/media"
	"esxiplan/engine/media/isosim"
)

func request(path, host string) media.Request {
	return media.Request{Plan: "p", Host: host, BMC: "127.0.0.1", Password: "Some-password-1x", Source: media.Source{Name: "esxi", Path: path},
		Kickstart: media.Kickstart{Disk: media.Disk{Name: "naa.5000cca291e10521"}, Network: media.Network{Address: "192.0.2.11", Netmask: "255.255.255.0", Gateway: "192.0.2.1", Hostname: "h"}}}
}

func recorded(context.Context, media.Write) error { return nil }

func serve(t *testing.T, allow ...string) *media.Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := media.NewServer(media.ServerOptions{Listener: l, State: t.TempDir(), Allow: allow})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// TestServer reads as BMCs do: HEAD, ranges, beyond the end, wrong paths.
func TestServer(t *testing.T) {
	s := serve(t, "127.0.0.1")
	p, err := s.Publish(t.Context(), request(source(t, isosim.Options{}), "host/1"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(p.URL, "/host_1.iso") || strings.ContainsAny(p.URL, "?&=") {
		t.Errorf("URL %s", p.URL)
	}
	if err := s.Fetch(t.Context(), p.URL); err != nil {
		t.Error(err)
	}
	if r, known := s.Reads("host/1"); !known || r.Bytes != 0 {
		t.Errorf("our own reads count: %+v", r)
	}
	ask := func(method, url, ranges string) *http.Response {
		req, _ := http.NewRequest(method, url, nil)
		if ranges != "" {
			req.Header.Set("Range", ranges)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp
	}
	if r := ask("HEAD", p.URL, ""); r.StatusCode != 200 || r.ContentLength != p.Size || r.Header.Get("Content-Type") != "application/octet-stream" || r.Header.Get("ETag") == "" {
		t.Errorf("HEAD: %v", r)
	}
	if r := ask("GET", p.URL, "bytes=32768-34815"); r.StatusCode != 206 || r.ContentLength != 2048 {
		t.Errorf("range: %v", r)
	}
	if r := ask("GET", p.URL, "bytes=-10"); r.StatusCode != 206 || r.ContentLength != 10 {
		t.Errorf("suffix range: %v", r)
	}
	if r, _ := s.Reads("host/1"); r.Bytes != 2058 || r.Count != 3 {
		t.Errorf("reads: %+v", r)
	}
	base := p.URL[:strings.Index(p.URL[8:], "/")+8]
	for _, path := range []string{"/", "/host_1.iso", "/" + strings.Repeat("0", 32) + "/host_1.iso", "/../etc/passwd"} {
		if r := ask("GET", base+path, ""); r.StatusCode != 404 {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
	if r := ask("POST", p.URL, ""); r.StatusCode != 404 {
		t.Errorf("POST: %d", r.StatusCode)
	}
}

// TestSameInputs: the same plan gives the same bytes under the same URL; a changed
// one gives new ones and takes the old away.
func TestSameInputs(t *testing.T) {
	dir := t.TempDir()
	web := httptest.NewServer(media.ServeDirectory(dir, nil, nil))
	defer web.Close()
	path := source(t, isosim.Options{})
	open := func() *media.Library {
		l, err := media.NewDirectory(dir, web.URL+"/iso", media.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		return l
	}
	first, err := open().Publish(t.Context(), request(path, "h"), recorded)
	if err != nil || !first.Changed {
		t.Fatal(first, err)
	}
	again := open() // another process
	second, err := again.Publish(t.Context(), request(path, "h"), func(context.Context, media.Write) error { t.Error("something is written"); return nil })
	if err != nil || second.Changed || second.URL != first.URL || second.SHA256 != first.SHA256 || !second.Built.Equal(first.Built) {
		t.Errorf("%+v then %+v, %v", first, second, err)
	}
	if err := again.Fetch(t.Context(), second.URL); err != nil {
		t.Error(err)
	}
	changed := request(path, "h")
	changed.Password = "Another-password-1x"
	if _, ok, err := again.Published(t.Context(), changed); ok || err != nil {
		t.Errorf("another password counts as the same image (%v)", err)
	}
	third, err := again.Publish(t.Context(), changed, recorded)
	if err != nil || third.URL == first.URL {
		t.Errorf("%+v, %v", third, err)
	}
	var fetch *media.ErrFetch
	if err := again.Fetch(t.Context(), first.URL); !errors.As(err, &fetch) || !fetch.Final {
		t.Errorf("the old image is still there: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, ".esxiplan", "h.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("manifest: %v, %v", info, err)
	}
	for _, path := range []string{"/.esxiplan/h.json", "/iso/.esxiplan/h.json", "/"} {
		if resp, err := http.Get(web.URL + path); err != nil || resp.StatusCode != 404 {
			t.Errorf("%s is served", path)
		}
	}
}

// TestNothingHalfWritten: what cannot be recorded or written leaves nothing behind.
func TestNothingHalfWritten(t *testing.T) {
	dir := t.TempDir()
	l, err := media.NewDirectory(dir, "http://203.0.113.1/iso", media.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	path := source(t, isosim.Options{})
	if _, err := l.Publish(t.Context(), request(path, "h"), func(context.Context, media.Write) error { return errors.New("no") }); err == nil {
		t.Error("a write that cannot be recorded is made")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
	if err := os.WriteFile(path, []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Publish(t.Context(), request(path, "h"), recorded); err == nil || !strings.Contains(err.Error(), "changed or replaced") {
		t.Errorf("a source that changed underneath: %v", err)
	}
}

// TestWrongServers: what the web server does wrong is told before a BMC finds out.
func TestWrongServers(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"403": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) }, "may not read the folder"},
		"404": {http.NotFound, "do not name the same folder"},
		"no range": {func(w http.ResponseWriter, r *http.Request) {
			f, _ := filepath.Glob(dir + "/*/*.iso")
			b, _ := os.ReadFile(f[0])
			w.Header().Set("Content-Length", itoa(len(b)))
			w.Write(b)
		}, "ignores Range requests"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "redirects, which BMCs do not follow"},
		"other":    {func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("hello")) }, "the server says 5 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			web := httptest.NewServer(c.handler)
			defer web.Close()
			l, err := media.NewDirectory(dir, web.URL, media.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			p, err := l.Publish(t.Context(), request(source(t, isosim.Options{}), "h"), recorded)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Fetch(t.Context(), p.URL); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func itoa(n int) string {
	var b []byte
	for ; n > 0; n /= 10 {
		b = append([]byte{byte('0' + n%10)}, b...)
	}
	return string(b)
}

func BenchmarkOverlay(b *testing.B) {
	i := installer(b, isosim.Options{Modules: 90, Size: 1 << 20, RockRidge: true, Joliet: true})
	for b.Loop() {
		if _, err := i.Personalise([]byte("vmaccepteula\n"), nil); err != nil {
			b.Fatal(err)
		}
	}
}

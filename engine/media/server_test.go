package media_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"esxiplan/engine/media"
	"esxiplan/engine/media/isocheck"
	"esxiplan/engine/media/isosim"
	"esxiplan/engine/media/kickstart"
)

func request(path, host string) media.Request {
	return media.Request{Plan: "p", Host: host, BMC: "127.0.0.1", Password: "Some-password-1x", Source: media.Source{Name: "esxi", Path: path}, Disks: []string{"name naa.5000cca291e10521"},
		Script: kickstart.Script{Disk: kickstart.Disk{Kind: "name", Text: "naa.5000cca291e10521"}, Network: kickstart.Network{Address: "192.0.2.11", Netmask: "255.255.255.0", Gateway: "192.0.2.1", Hostname: "h"}}}
}

func recorded(context.Context, media.Replacement) error { return nil }

func listen(t testing.TB, https bool) media.Sockets {
	t.Helper()
	address := ""
	if https {
		address = "127.0.0.1:0"
	}
	sockets, err := media.Listen("127.0.0.1:0", address, "", "", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return sockets
}

func serve(t *testing.T, allow ...string) *media.Server {
	t.Helper()
	s, err := media.NewServer(media.ServerOptions{Sockets: listen(t, true), State: t.TempDir(), Allow: allow})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// directory serves a folder as esxiplan serve does.
func directory(t testing.TB, dir string, allow ...string) (url string, stop func()) {
	t.Helper()
	sockets := listen(t, false)
	s := media.ServeDirectory(media.DirectoryServerOptions{Sockets: sockets, Dir: dir, Allow: allow})
	stop = sync.OnceFunc(func() { s.Close(context.Background()) })
	t.Cleanup(stop)
	return "http://" + sockets.Addr().String(), stop
}

// counted demands what was read of a host's image. A client may have its last bytes
// a moment before the server has counted them.
func counted(t *testing.T, s *media.Server, host string, bytes, requests int64) {
	t.Helper()
	var r media.Reads
	for range 100 {
		if r, _ = s.Reads(host); r.Bytes == bytes && r.Count == requests {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("reads %+v, want %d bytes in %d requests", r, bytes, requests)
}

// ask makes a request as a BMC would, and returns the answer with its body.
func ask(t *testing.T, method, url, ranges string) (*http.Response, []byte) {
	t.Helper()
	req, _ := http.NewRequest(method, url, nil)
	if ranges != "" {
		req.Header.Set("Range", ranges)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp, body
}

// TestServer reads as BMCs do: HEAD, ranges, beyond the end, wrong paths.
func TestServer(t *testing.T) {
	s := serve(t, "127.0.0.1")
	p, err := s.Publish(t.Context(), request(source(t, isosim.Options{}), "host/1"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(p.URL, "/host_1-") || !strings.HasSuffix(p.URL, ".iso") || strings.ContainsAny(p.URL, "?&=") {
		t.Errorf("URL %s", p.URL)
	}
	if err := s.Fetch(t.Context(), p.URL); err != nil {
		t.Error(err)
	}
	if r, known := s.Reads("host/1"); !known || r.Bytes != 0 {
		t.Errorf("our own reads count: %+v", r)
	}
	if r, _ := ask(t, "HEAD", p.URL, ""); r.StatusCode != 200 || r.ContentLength != p.Size || r.Header.Get("Content-Type") != "application/octet-stream" || r.Header.Get("ETag") == "" {
		t.Errorf("HEAD: %v", r)
	}
	if r, _ := ask(t, "GET", p.URL, "bytes=32768-34815"); r.StatusCode != 206 || r.ContentLength != 2048 {
		t.Errorf("range: %v", r)
	}
	if r, _ := ask(t, "GET", p.URL, "bytes=-10"); r.StatusCode != 206 || r.ContentLength != 10 {
		t.Errorf("suffix range: %v", r)
	}
	counted(t, s, "host/1", 2058, 3)
	base := p.URL[:strings.Index(p.URL[8:], "/")+8]
	for _, path := range []string{"/", "/host_1.iso", "/" + strings.Repeat("0", 32) + "/host_1.iso", "/../etc/passwd"} {
		if r, _ := ask(t, "GET", base+path, ""); r.StatusCode != 404 {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
	if r, _ := ask(t, "POST", p.URL, ""); r.StatusCode != 404 {
		t.Errorf("POST: %d", r.StatusCode)
	}
}

// TestSameInputs: the same plan gives the same bytes under the same URL; a changed
// one gives new ones and removes the old.
func TestSameInputs(t *testing.T) {
	dir := t.TempDir()
	web, _ := directory(t, dir)
	path := source(t, isosim.Options{})
	open := func() *media.Library {
		l, err := media.NewDirectory(dir, web+"/iso", false, media.Options{Plan: "p"})
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
	second, err := again.Publish(t.Context(), request(path, "h"), func(context.Context, media.Replacement) error { t.Error("something is written"); return nil })
	if err != nil || second.Changed || second.URL != first.URL || second.Digest != first.Digest || !second.Built.Equal(first.Built) {
		t.Errorf("%+v then %+v, %v", first, second, err)
	}
	if err := again.Fetch(t.Context(), second.URL); err != nil {
		t.Error(err)
	}
	changed := request(path, "h")
	changed.Password = "Another-password-1x"
	var none *media.ErrNotBuilt
	if _, err := again.Published(t.Context(), changed); !errors.As(err, &none) || !slices.Equal(none.Differs, []string{"root password"}) {
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
	if info, err := os.Stat(filepath.Join(dir, ".esxiplan", "h@p.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("manifest: %v, %v", info, err)
	}
	for _, path := range []string{"/.esxiplan/h@p.json", "/iso/.esxiplan/h@p.json", "/"} {
		if resp, err := http.Get(web + path); err != nil || resp.StatusCode != 404 {
			t.Errorf("%s is served", path)
		}
	}
}

// TestNothingHalfWritten: what cannot be recorded or written leaves nothing behind.
func TestNothingHalfWritten(t *testing.T) {
	dir := t.TempDir()
	l, err := media.NewDirectory(dir, "http://203.0.113.1/iso", false, media.Options{Plan: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	path := source(t, isosim.Options{})
	if _, err := l.Publish(t.Context(), request(path, "h"), func(context.Context, media.Replacement) error { return errors.New("no") }); err == nil {
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

// TestWrongServers: esxiplan reports what the web server does wrong before a BMC finds out.
func TestWrongServers(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"403": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) }, "not permitted to read the folder"},
		"404": {http.NotFound, "do not name the same folder"},
		"no range": {func(w http.ResponseWriter, r *http.Request) {
			f, _ := filepath.Glob(dir + "/*/*.iso")
			b, _ := os.ReadFile(f[0])
			w.Header().Set("Content-Length", itoa(len(b)))
			w.Write(b)
		}, "ignores Range requests"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "redirects, which BMCs do not follow"},
		"other":    {func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("hello")) }, "the web server reports a size of 5 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			web := httptest.NewServer(c.handler)
			defer web.Close()
			l, err := media.NewDirectory(dir, web.URL, false, media.Options{Plan: "p"})
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

// TestBytes: whatever range is asked for, by HTTP and by HTTPS, the bytes are those
// of the image, the parts that come from the base file included.
func TestBytes(t *testing.T) {
	s := serve(t)
	path := source(t, isosim.Options{RockRidge: true, Joliet: true})
	p, err := s.Publish(t.Context(), request(path, "h"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	_, whole := ask(t, "GET", p.URL, "")
	if int64(len(whole)) != p.Size {
		t.Fatalf("%d bytes, not %d", len(whole), p.Size)
	}
	if err := checkWhole(whole); err != nil {
		t.Error(err)
	}
	if p.HTTPSURL == "" {
		t.Fatal("no address by HTTPS")
	}
	if err := s.Fetch(t.Context(), p.HTTPSURL); err != nil {
		t.Error(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, url := range []string{p.URL, p.HTTPSURL} {
		for range 200 {
			from := random.Int64N(p.Size)
			to := min(p.Size-1, from+random.Int64N(200000))
			r, body := ask(t, "GET", url, fmt.Sprintf("bytes=%d-%d", from, to+random.Int64N(2)*p.Size))
			if to != min(p.Size-1, from+int64(len(body))-1) {
				to = from + int64(len(body)) - 1 // asked beyond the end
			}
			if r.StatusCode != 206 || !bytes.Equal(body, whole[from:to+1]) {
				t.Fatalf("bytes %d to %d: %d, %d bytes", from, to, r.StatusCode, len(body))
			}
		}
	}
	severalRanges(t, p.URL, whole)
	if r, _ := ask(t, "GET", p.URL, fmt.Sprintf("bytes=%d-", p.Size)); r.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a range behind the end: %d", r.StatusCode)
	}
}

// TestHTTPSAlone: without HTTP the one address is by HTTPS; a client that speaks HTTP/2
// gets the same bytes.
func TestHTTPSAlone(t *testing.T) {
	sockets, err := media.Listen("", "127.0.0.1:0", "", "", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := media.NewServer(media.ServerOptions{Sockets: sockets, State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := s.Publish(t.Context(), request(source(t, isosim.Options{}), "h"), recorded)
	if err != nil || !strings.HasPrefix(p.URL, "https://") || p.HTTPSURL != "" {
		t.Fatalf("%+v %v", p, err)
	}
	if err := s.Fetch(t.Context(), p.URL); err != nil {
		t.Error(err)
	}
	_, want := ask(t, "GET", p.URL, "")
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	resp, err := client.Get(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if have, err := io.ReadAll(resp.Body); err != nil || resp.ProtoMajor != 2 || !bytes.Equal(have, want) {
		t.Errorf("HTTP/%d: %d bytes of %d, %v", resp.ProtoMajor, len(have), len(want), err)
	}
}

// TestCertificate: a generated one is kept, names this machine, and is replaced when
// it expires; a given one is used; one that cannot be read is reported.
func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	first, err := media.Certificate("", "", dir)
	if err != nil || first.Leaf.VerifyHostname("127.0.0.1") != nil {
		t.Fatal(err)
	}
	again, err := media.Certificate("", "", dir)
	if err != nil || !bytes.Equal(first.Certificate[0], again.Certificate[0]) {
		t.Errorf("another certificate the second time (%v)", err)
	}
	path := filepath.Join(dir, "media-certificate.pem")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if given, err := media.Certificate(path, path, t.TempDir()); err != nil || !bytes.Equal(first.Certificate[0], given.Certificate[0]) {
		t.Errorf("the given certificate is not used (%v)", err)
	}
	if _, err := media.Certificate("missing.pem", "missing.pem", dir); err == nil || !strings.Contains(err.Error(), "missing.pem") {
		t.Errorf("got %v", err)
	}
}

func checkWhole(whole []byte) error {
	report, err := isocheck.Check(bytes.NewReader(whole), int64(len(whole)))
	return errors.Join(err, report.Err())
}

func severalRanges(t *testing.T, url string, whole []byte) {
	t.Helper()
	r, body := ask(t, "GET", url, fmt.Sprintf("bytes=0-99,32768-34815,%d-", len(whole)-10))
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || r.StatusCode != 206 {
		t.Fatalf("%d %v", r.StatusCode, err)
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for _, want := range [][]byte{whole[:100], whole[32768:34816], whole[len(whole)-10:]} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if have, _ := io.ReadAll(part); !bytes.Equal(have, want) {
			t.Errorf("a part of %d bytes differs", len(want))
		}
	}
}

// TestConditions: the tag is strong, and changes with the content.
func TestConditions(t *testing.T) {
	s := serve(t)
	path := source(t, isosim.Options{})
	p, err := s.Publish(t.Context(), request(path, "h"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := ask(t, "HEAD", p.URL, "")
	tag := r.Header.Get("ETag")
	if !strings.HasPrefix(tag, `"`) || len(tag) < 20 {
		t.Errorf("tag %s", tag)
	}
	req, _ := http.NewRequest("GET", p.URL, nil)
	req.Header.Set("If-None-Match", tag)
	if resp, err := http.DefaultClient.Do(req); err != nil || resp.StatusCode != http.StatusNotModified {
		t.Errorf("%v %v", resp, err)
	}
	changed := request(path, "h")
	changed.Password = "Another-password-1x"
	q, err := s.Publish(t.Context(), changed, recorded)
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := ask(t, "HEAD", q.URL, ""); r.Header.Get("ETag") == tag {
		t.Error("another image has the same tag")
	}
}

// TestOverlayStore: a few KB per host in the folder, out of which serve makes
// images; what is read is known to every process; and a base that changed is refused.
func TestOverlayStore(t *testing.T) {
	dir, path := t.TempDir(), source(t, isosim.Options{RockRidge: true})
	url, stop := directory(t, dir)
	l, err := media.NewDirectory(dir, url+"/iso", true, media.Options{Plan: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := l.Publish(t.Context(), request(path, "h"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "[0-9a-f]*", "*"))
	if len(files) != 1 || !strings.HasSuffix(files[0], "h.overlay") {
		t.Fatalf("the folder holds %v", files)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 || info.Size() > 100<<10 {
		t.Errorf("%v %v", info, err)
	}
	if err := l.Fetch(t.Context(), p.URL); err != nil {
		t.Error(err)
	}
	_, whole := ask(t, "GET", p.URL, "")
	if err := checkWhole(whole); err != nil || int64(len(whole)) != p.Size {
		t.Errorf("%d bytes: %v", len(whole), err)
	}
	again, err := l.Publish(t.Context(), request(path, "h"), func(context.Context, media.Replacement) error { t.Error("something is written"); return nil })
	if err != nil || again.URL != p.URL {
		t.Errorf("%+v %v", again, err)
	}
	later := time.Now().Add(time.Hour)
	os.Chtimes(path, later, later)
	if r, body := ask(t, "GET", p.URL, ""); r.StatusCode == 200 {
		t.Errorf("an image over a changed base is served: %d bytes", len(body))
	}
	stop()
	if reads, known := l.Reads("h"); !known || reads.Bytes != p.Size || reads.By != "127.0.0.1" || reads.Last.IsZero() {
		t.Errorf("reads %+v, known %v", reads, known)
	}
	if err := l.Remove(t.Context(), "h"); err != nil {
		t.Error(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "[0-9a-f]*", "*")); len(files) != 0 {
		t.Errorf("removed, the folder holds %v", files)
	}
}

// TestReadsAreKnownOnlyWhereServed: a build that fetches its image back through
// esxiplan serve makes the count known, at zero; with another web server it is unknown.
func TestReadsAreKnownOnlyWhereServed(t *testing.T) {
	for name, ours := range map[string]bool{"ours": true, "another": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			url, stop := directory(t, dir)
			if !ours {
				web := httptest.NewServer(http.FileServer(http.Dir(dir)))
				defer web.Close()
				url = web.URL
			}
			l, err := media.NewDirectory(dir, url, false, media.Options{Plan: "p"})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			p, err := l.Publish(t.Context(), request(source(t, isosim.Options{}), "h"), recorded)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Fetch(t.Context(), p.URL); err != nil {
				t.Fatal(err)
			}
			stop()
			if reads, known := l.Reads("h"); known != ours || reads.Bytes != 0 {
				t.Errorf("reads %+v, known %v", reads, known)
			}
		})
	}
}

// TestAllowList: without a list only the BMCs of the published images may read;
// this machine itself always may, so the test is about the list's own judgement.
func TestAllowList(t *testing.T) {
	dir := t.TempDir()
	sockets := listen(t, false)
	var mu sync.Mutex
	var log []media.Served
	s := media.ServeDirectory(media.DirectoryServerOptions{Sockets: sockets, Dir: dir, Log: func(e media.Served) { mu.Lock(); defer mu.Unlock(); log = append(log, e) }})
	defer s.Close(t.Context())
	l, err := media.NewDirectory(dir, "http://"+sockets.Addr().String(), false, media.Options{Plan: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := request(source(t, isosim.Options{}), "h")
	r.BMC = "192.0.2.191"
	p, err := l.Publish(t.Context(), r, recorded)
	if err != nil {
		t.Fatal(err)
	}
	for client, want := range map[string]int{"192.0.2.191:1000": 200, "[::ffff:192.0.2.191]:1000": 200, "192.0.2.192:1000": 403, "nonsense": 403} {
		req := httptest.NewRequest("GET", p.URL, nil)
		req.RemoteAddr = client
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		if w.Code != want {
			t.Errorf("%s: %d, want %d", client, w.Code, want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.ContainsFunc(log, func(e media.Served) bool { return strings.Contains(e.Refused, "--allow") }) {
		t.Errorf("the log does not say why: %+v", log)
	}
}

// TestPulse: what was read is known only while our server shows that it is running.
func TestPulse(t *testing.T) {
	dir := t.TempDir()
	url, stop := directory(t, dir)
	l, err := media.NewDirectory(dir, url, false, media.Options{Plan: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := l.Publish(t.Context(), request(source(t, isosim.Options{}), "h"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Fetch(t.Context(), p.URL); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, known := l.Reads("h"); !known {
		t.Error("nothing is known of what was just served")
	}
	for what, by := range map[string]time.Duration{"it is gone": -2 * time.Minute, "its clock is ahead": 20 * time.Second} {
		beat(t, dir, by, by)
		if reads, known := l.Reads("h"); known {
			t.Errorf("%s, and it is known that %d bytes were read", what, reads.Bytes)
		}
	}
	beat(t, dir, 0, 0)
	if _, known := l.Reads("h"); !known {
		t.Error("nothing is known of what was just served")
	}
	for _, skew := range []time.Duration{-20 * time.Second, 20 * time.Second} {
		beat(t, dir, 0, skew)
		if _, known := l.Reads("h"); known {
			t.Errorf("it notes by a clock that differs by %s", skew)
		}
	}
}

// beat rewrites the heartbeat of a folder's server.
func beat(t *testing.T, dir string, machine, clock time.Duration) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, ".esxiplan", "reads", "*", ".served"))
	if len(files) != 1 {
		t.Fatalf("signs of life: %v", files)
	}
	now := time.Now().UTC()
	b, _ := json.Marshal(map[string]any{"process": "x", "time": now.Add(machine), "clock": now.Add(clock)})
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPrune removes what a plan no longer has, and nothing of another plan.
func TestPrune(t *testing.T) {
	dir, path := t.TempDir(), source(t, isosim.Options{})
	l, err := media.NewDirectory(dir, "http://203.0.113.1/iso", false, media.Options{Plan: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, r := range []media.Request{request(path, "stays"), request(path, "goes"), request(path, "other")} {
		if r.Host == "other" {
			r.Plan = "another plan"
		}
		if _, err := l.Publish(t.Context(), r, recorded); err != nil {
			t.Fatal(err)
		}
	}
	keep := func(host string) bool { return host == "stays" }
	for _, trial := range []bool{true, false} {
		if hosts, err := l.Prune("p", keep, trial); err != nil || !slices.Equal(hosts, []string{"the image of goes"}) {
			t.Errorf("pruned %v, %v", hosts, err)
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*.iso"))
	if _, ok := l.Latest("goes"); ok || len(files) != 2 {
		t.Errorf("left: %v", files)
	}
	unreadable := filepath.Join(dir, ".esxiplan", "old@p.json")
	os.WriteFile(unreadable, []byte(`{"schema": 1}`), 0o600)
	if gone, err := l.Prune("p", func(string) bool { return false }, false); err == nil || len(gone) != 0 || !strings.Contains(err.Error(), "old@p.json") {
		t.Errorf("pruned next to an entry that cannot be read: %v, %v", gone, err)
	}
	if err := media.CheckReadable(dir); err != nil {
		t.Errorf("an entry of another version keeps serve from starting: %v", err)
	}
	os.Remove(unreadable)
	orphan := filepath.Join(dir, strings.Repeat("ab", 16))
	os.Mkdir(orphan, 0o755)
	os.WriteFile(filepath.Join(orphan, ".esxiplan-123"), nil, 0o600)
	if gone, err := l.Prune("p", keep, false); err != nil || len(gone) != 0 {
		t.Errorf("what may be under way was removed: %v, %v", gone, err)
	}
	past := time.Now().Add(-2 * time.Hour)
	os.Chtimes(orphan, past, past)
	if gone, err := l.Prune("p", keep, false); err != nil || len(gone) != 1 {
		t.Errorf("a left-over stays: %v, %v", gone, err)
	}
	if _, err := os.Stat(orphan); err == nil {
		t.Error("the folder is still there")
	}
}

// TestChecksumIsKept: reading 600 MB once is enough, but only for the same file.
func TestChecksumIsKept(t *testing.T) {
	dir, cache, path := t.TempDir(), t.TempDir(), source(t, isosim.Options{})
	past := time.Now().Add(-time.Hour)
	os.Chtimes(path, past, past)
	base := func() string { // the checksum of the source, as the manifest has it
		l, err := media.NewDirectory(dir, "http://203.0.113.1/iso", true, media.Options{Plan: "p", Cache: cache})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, err := l.Publish(t.Context(), request(path, "h"), recorded); err != nil {
			t.Fatal(err)
		}
		var e struct{ Base struct{ SHA256 string } }
		b, _ := os.ReadFile(filepath.Join(dir, ".esxiplan", "h@p.json"))
		json.Unmarshal(b, &e)
		return e.Base.SHA256
	}
	first := base()
	kept, _ := filepath.Glob(filepath.Join(cache, "sources", "*.json"))
	if len(kept) != 1 || len(first) != 64 {
		t.Fatalf("kept: %v", kept)
	}
	note, _ := os.ReadFile(kept[0])
	forged := strings.Repeat("0", 64)
	os.WriteFile(kept[0], bytes.ReplaceAll(note, []byte(first), []byte(forged)), 0o600)
	if base() != forged {
		t.Error("the checksum was computed again")
	}
	os.Chtimes(path, past.Add(time.Second), past.Add(time.Second))
	if base() != first {
		t.Error("the checksum of another file was taken")
	}
}

// TestOwnKickstart: the user's own script is linted, and gets the password as a hash.
func TestOwnKickstart(t *testing.T) {
	s := serve(t)
	path := source(t, isosim.Options{})
	r := request(path, "h")
	r.Own = "vmaccepteula\ninstall --disk=naa.50 --overwritevmfs\nnetwork --bootproto=dhcp --device=vmnic0\nreboot\n%firstboot --interpreter=busybox\ntrue\n"
	p, err := s.Publish(t.Context(), r, recorded)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "firstboot-secure-boot") {
		t.Errorf("warnings %v", p.Warnings)
	}
	_, whole := ask(t, "GET", p.URL, "")
	if !bytes.Contains(whole, []byte("rootpw --iscrypted '$6$")) || bytes.Contains(whole, []byte(r.Password)) {
		t.Error("the password is not there as a hash")
	}
	r.Own += "timezne\n"
	r.Own = "rootpw secret-Pass-1x\n" + strings.Replace(r.Own, "reboot\n", "rebot\n", 1)
	_, err = s.Publish(t.Context(), r, recorded)
	var mistakes *media.ErrKickstart
	if !errors.As(err, &mistakes) || len(mistakes.Findings) != 3 || strings.Contains(err.Error(), "secret-Pass") {
		t.Errorf("got %v", err)
	}
}

// TestManyHostsAtOnce: the ancestor built hosts one after another in one shared tree,
// as root. Here they are built at once, without privileges, and no image is another's.
func TestManyHostsAtOnce(t *testing.T) {
	dir := t.TempDir()
	l, err := media.NewDirectory(dir, "http://203.0.113.1/iso", false, media.Options{Plan: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	path := source(t, isosim.Options{RockRidge: true, Joliet: true})
	var builds sync.WaitGroup
	for n := range 24 {
		builds.Go(func() {
			r := request(path, fmt.Sprintf("host-%d", n))
			r.Script.Network.Hostname = r.Host
			if _, err := l.Publish(t.Context(), r, recorded); err != nil {
				t.Error(err)
			}
		})
	}
	builds.Wait()
	files, _ := filepath.Glob(filepath.Join(dir, "[0-9a-f]*", "*.iso"))
	if len(files) != 24 {
		t.Errorf("%d images", len(files))
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		name := strings.TrimSuffix(filepath.Base(file), ".iso")
		if err != nil || checkWhole(data) != nil || bytes.Count(data, []byte("--hostname='host-")) != 1 || !bytes.Contains(data, []byte("--hostname='"+name+"'")) {
			t.Errorf("%s is not its host's image (%v, %v)", file, err, checkWhole(data))
		}
	}
}

// TestManyReaders: counts add up under load, and nothing races.
func TestManyReaders(t *testing.T) {
	s := serve(t)
	p, err := s.Publish(t.Context(), request(source(t, isosim.Options{}), "h"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 16 {
		readers.Go(func() {
			for range 8 {
				ask(t, "GET", p.URL, "bytes=40000-140000")
			}
		})
	}
	readers.Wait()
	counted(t, s, "h", 16*8*100001, 16*8)
}

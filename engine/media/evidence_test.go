package media_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/media"
	"esxiplan/engine/media/iso"
	"esxiplan/engine/media/isosim"
)

// published is an image that this process serves, with a BMC of a test's choice.
func published(t *testing.T, bmc string, o isosim.Options) (form, *media.Server) {
	t.Helper()
	f := form{name: bmc, clock: newClock(), drive: source(t, o)}
	s, err := media.NewServer(media.ServerOptions{Options: media.Options{Plan: "p", Now: f.clock.Now}, Sockets: listen(t, false), State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	r := request(f.drive, "h")
	r.BMC = bmc
	p, err := s.Publish(t.Context(), r, recorded)
	if err != nil {
		t.Fatal(err)
	}
	f.store, f.url, f.size = s.Library, p.URL, p.Size
	return f, s
}

// breaking is a connection that ends after some bytes; 0: it does not.
type breaking struct {
	*httptest.ResponseRecorder
	after, sent int64
}

func (b *breaking) Write(p []byte) (int, error) {
	if b.after > 0 && b.sent+int64(len(p)) > b.after {
		return 0, errors.New("connection reset by peer")
	}
	b.sent += int64(len(p))
	return len(p), nil
}

// from reads as a client at any address.
func from(s http.Handler, url, client, ranges string, breaks int64) {
	req := httptest.NewRequest("GET", url, nil)
	req.RemoteAddr = client + ":1000"
	if ranges != "" {
		req.Header.Set("Range", ranges)
	}
	s.ServeHTTP(&breaking{httptest.NewRecorder(), breaks, 0}, req)
}

// bootFrom reads what a machine reads that boots from the image.
func bootFrom(s http.Handler, b bmc, client string) {
	read := func(at, n int64) { from(s, b.url, client, fmt.Sprintf("bytes=%d-%d", at, at+n-1), 0) }
	read(b.boot, 512)
	for _, at := range b.files {
		read(at, b.length)
	}
}

// TestEvidenceIsTheBMCs: clients that read an image besides the host's BMC are shown, but
// their reads are no evidence; this machine itself is not even shown.
func TestEvidenceIsTheBMCs(t *testing.T) {
	const bmc, desk, here = "192.0.2.1", "192.0.2.9", "127.0.0.1"
	f, s := published(t, bmc, isosim.Options{})
	b := drive(t, f)
	since := func() media.Reading { r, _ := s.Reads("h"); return r.Since(noon) }
	bootFrom(s, b, here)
	if r := since(); r != (media.Reading{}) {
		t.Errorf("read by this machine: %+v", r)
	}
	bootFrom(s, b, desk)
	if r := since(); r.Boots != 0 || r.Loaded || r.By != desk || r.Bytes == 0 || !r.Other {
		t.Errorf("read from a desk: %+v", r)
	}
	bootFrom(s, b, bmc)
	f.clock.pass(time.Second)
	from(s, f.url, desk, "", 0)
	if r := since(); r.Boots != 1 || !r.Loaded || r.By != bmc || r.Other {
		t.Errorf("read by the BMC: %+v", r)
	}
	if r, _ := s.Reads("h"); r.WholeBefore(f.clock.pass(time.Hour), f.size) {
		t.Error("another client read all, and the BMC is said to have it")
	}
}

// TestCutIsTheBMCs: a fetch that another client broke off says nothing about the host's
// BMC, and the BMC does not have what another client fetched; unless its address is unknown.
func TestCutIsTheBMCs(t *testing.T) {
	const a, b, here = "192.0.2.1", "192.0.2.9", "127.0.0.1"
	for name, c := range map[string]struct {
		bmc   string
		reads func(get func(client string, breaks int64))
		cut   bool
	}{
		"by the BMC":              {a, func(get func(string, int64)) { get(a, 8<<20) }, true},
		"by another":              {a, func(get func(string, int64)) { get(b, 8<<20) }, false},
		"by this machine":         {a, func(get func(string, int64)) { get(here, 8<<20) }, false},
		"fetched by another":      {a, func(get func(string, int64)) { get(a, 8<<20); get(b, 0) }, true},
		"fetched by the BMC":      {a, func(get func(string, int64)) { get(a, 8<<20); get(b, 8<<20); get(a, 0) }, false},
		"a name":                  {"bmc.invalid", func(get func(string, int64)) { get(b, 8<<20) }, true},
		"a name, this machine":    {"bmc.invalid", func(get func(string, int64)) { get(here, 8<<20) }, false},
		"a name, fetched as well": {"bmc.invalid", func(get func(string, int64)) { get(b, 8<<20); get(a, 0) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			f, s := published(t, c.bmc, isosim.Options{Size: 2 << 20})
			c.reads(func(client string, breaks int64) {
				f.clock.pass(time.Minute)
				from(s, f.url, client, "", breaks)
			})
			if r, _ := s.Reads("h"); (r.Cut != nil) != c.cut || r.Fetching != nil {
				t.Errorf("%+v", r.Fetches)
			}
		})
	}
}

// TestBeginsAgain: a machine that begins to boot the medium again, and does not load it,
// is not in a loop.
func TestBeginsAgain(t *testing.T) {
	f, s := published(t, "192.0.2.1", isosim.Options{Size: 1 << 20})
	b := drive(t, f)
	b.length = 1 << 20
	bootFrom(s, b, "192.0.2.1")
	f.clock.pass(time.Minute)
	read := func(at, n int64) { from(s, f.url, "192.0.2.1", fmt.Sprintf("bytes=%d-%d", at, at+n-1), 0) }
	read(b.boot, 512)
	for _, at := range b.files[:6] {
		read(at, 1<<20)
	}
	boots := func() int { r, _ := s.Reads("h"); return r.Since(noon).Boots }
	if n := boots(); n != 1 {
		t.Errorf("it did not load the medium again: %d boots", n)
	}
	f.clock.pass(time.Minute) // it booted its disk, which reads the disc
	for _, at := range b.files {
		read(at, 1<<20)
	}
	if n := boots(); n != 1 {
		t.Errorf("it booted something else: %d boots", n)
	}
	f.clock.pass(time.Minute)
	bootFrom(s, b, "192.0.2.1")
	if n := boots(); n != 2 {
		t.Errorf("it loaded the medium again: %d boots", n)
	}
}

// TestCopyByRangesLoadsNothing: also one whose pieces begin where a boot image does.
func TestCopyByRangesLoadsNothing(t *testing.T) {
	f, s := published(t, "192.0.2.1", isosim.Options{Size: 1 << 20})
	for _, piece := range []int64{4 << 20, drive(t, f).boot, 64 << 10} {
		f.clock.pass(time.Minute)
		from(s, f.url, "192.0.2.1", "", 8<<20)
		if r, _ := s.Reads("h"); r.Cut == nil {
			t.Fatal("no cut")
		}
		for at := int64(0); at < f.size; at += piece {
			from(s, f.url, "192.0.2.1", fmt.Sprintf("bytes=%d-%d", at, min(at+piece, f.size)-1), 0)
		}
		if r, _ := s.Reads("h"); r.Since(noon).Loaded || r.Since(noon).Boots != 0 || r.Cut != nil {
			t.Errorf("pieces of %d: %+v, cut %+v", piece, r.Since(noon), r.Cut)
		}
	}
}

// hold begins to fetch the whole image, reads a part and leaves the connection open.
func hold(t *testing.T, url string, read int64) io.Closer {
	t.Helper()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if _, err := io.CopyN(io.Discard, resp.Body, read); err != nil {
		t.Fatal(err)
	}
	return resp.Body
}

// TestHeadOnly: a client that asks for all and reads the head only did not break off, though
// megabytes were passed to the system.
func TestHeadOnly(t *testing.T) {
	for _, f := range forms(t, isosim.Options{Size: 2 << 20}) {
		body := hold(t, f.url, 4096)
		time.Sleep(100 * time.Millisecond)
		body.Close()
		r := f.until(t, "closed", func(r media.Reads) bool { return r.Count == 1 && r.Fetching == nil })
		if r.Cut != nil || r.Bytes > 1<<20 {
			t.Errorf("%s: %d bytes, cut %+v", f.name, r.Bytes, r.Cut)
		}
	}
}

// TestEndOfServerIsACut: a fetch that breaks off because the server ends is known to the
// next one.
func TestEndOfServerIsACut(t *testing.T) {
	for range 3 {
		state := filepath.Join(t.TempDir(), "media")
		first := process(t, state, false)
		p, err := first.Publish(t.Context(), request(source(t, isosim.Options{Size: 2 << 20}), "h"), recorded)
		if err != nil {
			t.Fatal(err)
		}
		hold(t, p.URL, 3<<20)
		first.Close()
		second := process(t, state, false)
		if r, known := second.Reads("h"); !known || r.Cut == nil || r.Fetching != nil || r.Cut.Bytes < 2<<20 {
			t.Errorf("%+v", r.Fetches)
		}
		second.Close()
	}
}

// TestKilledServer: what was being fetched from a server that was killed is broken off, also
// when it is there again.
func TestKilledServer(t *testing.T) {
	dir, sockets := t.TempDir(), listen(t, false)
	address := sockets.Addr().String()
	serve := func(s media.Sockets) *media.DirectoryServer {
		return media.ServeDirectory(media.DirectoryServerOptions{Sockets: s, Dir: dir, Every: 5 * time.Millisecond})
	}
	server := serve(sockets)
	l := open(t, dir, "http://"+address, true)
	p, err := l.Publish(t.Context(), request(source(t, isosim.Options{Size: 2 << 20}), "h"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	f := form{name: "overlay", store: l, url: p.URL, size: p.Size}
	body := hold(t, p.URL, 3<<20)
	f.until(t, "fetching", func(r media.Reads) bool { return r.Fetching != nil && r.Fetching.Bytes >= 2<<20 })
	notes, _ := filepath.Glob(filepath.Join(dir, ".esxiplan", "reads", "*", "h@p*"))
	if len(notes) != 1 {
		t.Fatalf("notes %v", notes)
	}
	killed, _ := os.ReadFile(notes[0])
	body.Close()
	f.until(t, "cut", func(r media.Reads) bool { return r.Cut != nil })
	server.Close(t.Context())
	os.WriteFile(notes[0], killed, 0o600) // as a kill leaves it
	again, err := media.Listen(address, "", "", "", "")
	if err != nil {
		t.Fatal(err)
	}
	server = serve(again)
	defer server.Close(context.Background())
	f.until(t, "cut, as seen by the next server", func(r media.Reads) bool { return r.Cut != nil && r.Fetching == nil })
	if err := l.Fetch(t.Context(), p.URL); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if r, known := l.Reads("h"); !known || r.Cut == nil || r.Cut.Bytes < 2<<20 {
		t.Errorf("after our own look: %+v", r.Fetches)
	}
	ask(t, "GET", p.URL, fmt.Sprintf("bytes=%d-", 3<<20))
	f.until(t, "completed at the next server", func(r media.Reads) bool { return r.Cut == nil && r.Fetching == nil })
}

// TestTwoServers: two servers of one folder do not erase what each other noted.
func TestTwoServers(t *testing.T) {
	dir := t.TempDir()
	first, _ := directory(t, dir)
	second, _ := directory(t, dir)
	l := open(t, dir, first, false)
	p, err := l.Publish(t.Context(), request(source(t, isosim.Options{}), "h"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	f := form{name: "file", store: l}
	for i, web := range []string{second, first, second} {
		ask(t, "GET", web+strings.TrimPrefix(p.URL, first), "bytes=0-99999")
		if err := l.Fetch(t.Context(), p.URL); err != nil {
			t.Fatal(err)
		}
		f.until(t, "counted", func(r media.Reads) bool {
			return r.Bytes == int64(i+1)*100000 && r.Count == int64(i+1) && r.Since(time.Time{}).Bytes == r.Bytes
		})
	}
}

// TestNewStamp: an image whose file got a new time keeps its owner, and nothing is noted
// outside of the folder.
func TestNewStamp(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	sockets := listen(t, false)
	s := media.ServeDirectory(media.DirectoryServerOptions{Sockets: sockets, Dir: dir, Every: 5 * time.Millisecond})
	l := open(t, dir, "http://"+sockets.Addr().String(), false)
	r := request(source(t, isosim.Options{}), "h")
	r.BMC = "192.0.2.191"
	p, err := l.Publish(t.Context(), r, recorded)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(elsewhere)
	get := func() int {
		req := httptest.NewRequest("GET", p.URL, nil)
		req.RemoteAddr = "192.0.2.191:1000"
		req.Header.Set("Range", fmt.Sprintf("bytes=0-%d", iso.Sector))
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		return w.Code
	}
	if code := get(); code != http.StatusPartialContent {
		t.Fatal(code)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*", "h.iso"))
	entry := filepath.Join(dir, ".esxiplan", "h@p.json")
	os.Rename(entry, entry+".away")
	os.Chtimes(files[0], time.Now(), time.Now().Add(time.Hour))
	if code := get(); code != http.StatusPartialContent {
		t.Errorf("its own BMC is answered %d", code)
	}
	s.Close(t.Context())
	if left, _ := os.ReadDir("."); len(left) != 0 {
		t.Errorf("noted in the current directory: %v", left)
	}
	os.Rename(entry+".away", entry)
	if r, _ := l.Reads("h"); r.Count != 2 {
		t.Errorf("%+v", r)
	}
}

// TestLongRequests: a fetch that lasts for seconds is not logged as zero requests.
func TestLongRequests(t *testing.T) {
	dir, sockets, log := t.TempDir(), listen(t, false), make(chan media.Served, 1000)
	s := media.ServeDirectory(media.DirectoryServerOptions{Sockets: sockets, Dir: dir, Every: 5 * time.Millisecond, Log: func(e media.Served) { log <- e }})
	l := open(t, dir, "http://"+sockets.Addr().String(), false)
	p, err := l.Publish(t.Context(), request(source(t, isosim.Options{Size: 2 << 20}), "h"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	body := hold(t, p.URL, 1<<20)
	time.Sleep(50 * time.Millisecond)
	io.Copy(io.Discard, body.(io.Reader))
	s.Close(t.Context())
	close(log)
	for e := range log {
		if e.Requests == 0 {
			t.Errorf("%+v", e)
		}
	}
}

// TestEvidenceOfNamedBMC: what a machine read is evidence where its address is one that the
// BMC's name has, and only there; where the name is not known, nothing shows a boot.
func TestEvidenceOfNamedBMC(t *testing.T) {
	const here, desk = "127.0.0.1", "192.0.2.9"
	for name, c := range map[string]struct {
		bmc, client string
		boots       int
		cut         bool
	}{
		"the BMC":                {"localhost", here, 1, true},
		"another client":         {"localhost", desk, 0, false},
		"a name without address": {"bmc.invalid", desk, 0, true},
	} {
		for _, served := range []string{"listen", "directory"} {
			t.Run(name+", "+served, func(t *testing.T) {
				f, s := named(t, c.bmc, served == "directory")
				b := drive(t, f)
				b.length = 2 << 20
				bootFrom(s, b, c.client)
				all := 512 + int64(len(b.files))*b.length
				r := f.until(t, "noted", func(r media.Reads) bool { return r.Count == int64(len(b.files))+1 && r.Bytes >= all })
				if e := r.Since(noon); e.Boots != c.boots || e.Loaded != (c.boots > 0) || e.Bytes == 0 {
					t.Errorf("%+v", e)
				}
				from(s, f.url, c.client, "", 8<<20)
				r = f.until(t, "noted", func(r media.Reads) bool { return r.Count == int64(len(b.files))+2 && r.Fetching == nil })
				if (r.Cut != nil) != c.cut {
					t.Errorf("cut %+v", r.Cut)
				}
			})
		}
	}
}

// named is an image for a BMC that the plan gives by name, which any client may read.
func named(t *testing.T, bmc string, folder bool) (form, http.Handler) {
	if !folder {
		f, s := published(t, bmc, isosim.Options{Size: 2 << 20})
		return f, s
	}
	f := form{name: bmc, clock: newClock(), drive: source(t, isosim.Options{Size: 2 << 20})}
	dir, sockets := t.TempDir(), listen(t, false)
	s := media.ServeDirectory(media.DirectoryServerOptions{Sockets: sockets, Dir: dir, Allow: []string{media.Anybody}, Now: f.clock.Now, Every: 5 * time.Millisecond})
	t.Cleanup(func() { s.Close(context.Background()) })
	l, err := media.NewDirectory(dir, "http://"+sockets.Addr().String(), true, media.Options{Plan: "p", Now: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	r := request(f.drive, "h")
	r.BMC = bmc
	p, err := l.Publish(t.Context(), r, recorded)
	if err != nil {
		t.Fatal(err)
	}
	f.store, f.url, f.size = l, p.URL, p.Size
	return f, s
}

// holdsBack is a connection whose last bytes stay in net/http's buffer: its client goes away
// before they are sent.
type holdsBack struct{ *httptest.ResponseRecorder }

func (holdsBack) FlushError() error { return errors.New("connection reset by peer") }

// TestTailNotSent: an image whose last bytes never left this process did not arrive.
func TestTailNotSent(t *testing.T) {
	f, s := published(t, "192.0.2.1", isosim.Options{Size: 2 << 20})
	req := httptest.NewRequest("GET", f.url, nil)
	req.RemoteAddr = "192.0.2.1:1000"
	s.ServeHTTP(holdsBack{httptest.NewRecorder()}, req)
	if r, _ := s.Reads("h"); r.Cut == nil || r.Cut.Bytes >= f.size || r.Cut.Bytes < f.size-64<<10 {
		t.Errorf("%+v", r.Fetches)
	}
}

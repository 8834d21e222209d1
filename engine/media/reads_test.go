package media_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"esxiplan/engine/media"
	"esxiplan/engine/media/iso"
	"esxiplan/engine/media/isosim"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// clock is a run's clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: noon} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// TestSince: only what was certainly read later counts.
func TestSince(t *testing.T) {
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	r := media.Reads{Bytes: 111, Bouts: []media.Bout{
		{From: at(0), To: at(10), Bytes: 100, By: "a", Boots: 1, Loaded: true},
		{From: at(20), To: at(40), Bytes: 10, By: "b"},
		{From: at(60), To: at(70), Bytes: 1, By: "a", Boots: 1},
	}}
	for name, c := range map[string]struct {
		since int
		want  media.Reading
	}{
		"all":      {0, media.Reading{Bytes: 111, By: "a", First: at(0), Last: at(70), Boots: 2, Loaded: true}},
		"straddle": {30, media.Reading{Bytes: 1, By: "a", First: at(60), Last: at(70), Boots: 1}},
		"between":  {15, media.Reading{Bytes: 11, By: "a", First: at(20), Last: at(70), Boots: 1}},
		"later":    {61, media.Reading{}},
	} {
		if have := r.Since(at(c.since)); have != c.want {
			t.Errorf("%s: %+v, want %+v", name, have, c.want)
		}
	}
	for _, c := range []struct {
		before int
		size   int64
		want   bool
	}{{5, 100, true}, {5, 101, false}, {65, 101, true}, {0, 100, false}, {100, 110, false}, {100, 0, false}} {
		if have := r.WholeBefore(at(c.before), c.size); have != c.want {
			t.Errorf("all %d bytes before second %d: %v", c.size, c.before, have)
		}
	}
}

// TestOldNotes: what an earlier version noted is read, and is no evidence of when.
func TestOldNotes(t *testing.T) {
	var r media.Reads
	if err := json.Unmarshal([]byte(`{"bytes": 500, "requests": 2, "last": "2026-01-02T12:00:00Z", "by": "192.0.2.1"}`), &r); err != nil {
		t.Fatal(err)
	}
	if r.Bytes != 500 || r.Since(time.Time{}) != (media.Reading{}) || !r.WholeBefore(noon, 500) {
		t.Errorf("%+v", r)
	}
}

// simulated marks a library whose clock is moved by a test.
var simulated media.DialFunc = (&net.Dialer{}).DialContext

// form is a way of serving, with a BMC that a test plays.
type form struct {
	name  string
	clock *clock
	store *media.Library
	url   string
	size  int64
	drive string // the file of the source
	dir   string // published into, "" for none
}

// forms publishes an image in each of the three forms.
func forms(t *testing.T, o isosim.Options) (out []form) {
	path := source(t, o)
	for _, name := range []string{"file", "overlay", "listen"} {
		f := form{name: name, clock: newClock(), drive: path}
		options := media.Options{Plan: "p", Now: f.clock.Now}
		if name == "listen" {
			s, err := media.NewServer(media.ServerOptions{Options: options, Sockets: listen(t, false), State: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			f.store = s.Library
		} else {
			dir, sockets := t.TempDir(), listen(t, false)
			options.Dial = simulated
			s := media.ServeDirectory(media.DirectoryServerOptions{Sockets: sockets, Dir: dir, Now: f.clock.Now, Every: 5 * time.Millisecond})
			t.Cleanup(func() { s.Close(t.Context()) })
			l, err := media.NewDirectory(dir, "http://"+sockets.Addr().String(), name == "overlay", options)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(l.Close)
			f.store, f.dir = l, dir
		}
		p, err := f.store.Publish(t.Context(), request(path, "h"), recorded)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.store.Check(t.Context(), "h", p.URL); err != nil {
			t.Fatal(err)
		}
		f.url, f.size = p.URL, p.Size
		out = append(out, f)
	}
	return out
}

// until waits for what a server has noted.
func (f form) until(t *testing.T, what string, ok func(media.Reads) bool) media.Reads {
	t.Helper()
	var r media.Reads
	for range 300 {
		if r, _ = f.store.Reads("h"); ok(r) {
			return r
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%s: not %s: %+v", f.name, what, r)
	return r
}

// read reads a range as a BMC does, and returns when it was noted.
func (f form) read(t *testing.T, from, length int64) {
	t.Helper()
	before, _ := f.store.Reads("h")
	_, body := ask(t, "GET", f.url, fmt.Sprintf("bytes=%d-%d", from, from+length-1))
	f.until(t, "counted", func(r media.Reads) bool { return r.Bytes == before.Bytes+int64(len(body)) })
}

// TestReadBeforeIsNoEvidence: a snapshot that is taken before the counts are written down
// does not turn what was read before a reset into reads after it.
func TestReadBeforeIsNoEvidence(t *testing.T) {
	dir, sockets, clock := t.TempDir(), listen(t, false), newClock()
	s := media.ServeDirectory(media.DirectoryServerOptions{Sockets: sockets, Dir: dir, Now: clock.Now, Every: time.Hour})
	l, err := media.NewDirectory(dir, "http://"+sockets.Addr().String(), false, media.Options{Plan: "p", Now: clock.Now, Dial: simulated})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := l.Publish(t.Context(), request(source(t, isosim.Options{}), "h"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	ask(t, "GET", p.URL, fmt.Sprintf("bytes=0-%d", p.Size/2))
	ask(t, "GET", p.URL, fmt.Sprintf("bytes=%d-", p.Size/2+1))
	snapshot, _ := l.Reads("h")
	reset := clock.pass(time.Second)
	clock.pass(time.Hour)
	s.Close(t.Context()) // writes down
	r, known := l.Reads("h")
	if snapshot.Bytes != 0 || !known || r.Bytes != p.Size {
		t.Fatalf("the case is not the one to be tested: %d bytes, then %+v", snapshot.Bytes, r)
	}
	if since := r.Since(reset); since != (media.Reading{}) {
		t.Errorf("read before the reset, counted as after it: %+v", since)
	}
	if !r.WholeBefore(reset, p.Size) || r.Last.After(reset) {
		t.Errorf("that all was read before is not known: %+v", r)
	}
}

// bmc plays what a machine with the image in its drive reads.
type bmc struct {
	form
	boot   int64   // UEFI boot image
	files  []int64 // offsets of modules, the last one last
	length int64
}

func drive(t *testing.T, f form) bmc {
	i, err := media.OpenInstaller(f.drive)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	b := bmc{form: f, length: 64 << 10}
	entries, _ := i.BootEntries()
	b.boot = entries[1].LBA * iso.Sector
	i.Walk(func(e iso.Entry) error {
		if filepath.Ext(e.Path) > ".V" && filepath.Ext(e.Path) < ".W" {
			b.files = append(b.files, e.Extent*iso.Sector)
		}
		return nil
	})
	if len(b.files) != 12 {
		t.Fatalf("%d modules", len(b.files))
	}
	return b
}

// insert reads the volume descriptor, with much ahead.
func (b bmc) insert(t *testing.T) { b.read(t, 16*iso.Sector, 64<<10) }

// probe is what firmware does in every POST, whatever it then boots.
func (b bmc) probe(t *testing.T) {
	b.read(t, 16*iso.Sector, 2*iso.Sector)
	b.read(t, b.boot, 512)
}

func (b bmc) load(t *testing.T) {
	for _, at := range b.files {
		b.read(t, at, b.length)
	}
}

// TestBoots: a boot differs from an insert and from firmware that looks at the drive, and
// an image that is read from its start again counts twice.
func TestBoots(t *testing.T) {
	for _, f := range forms(t, isosim.Options{}) {
		t.Run(f.name, func(t *testing.T) {
			b := drive(t, f)
			b.insert(t)
			reset := b.clock.pass(time.Minute)
			since := func() media.Reading { r, _ := b.store.Reads("h"); return r.Since(reset) }
			b.probe(t)
			if r := since(); r.Boots != 0 || r.Loaded || r.Bytes == 0 || r.By != "127.0.0.1" {
				t.Errorf("firmware looked: %+v", r)
			}
			b.clock.pass(time.Minute)
			b.probe(t)
			b.clock.pass(6 * time.Second) // boot.cfg says timeout=5
			b.read(t, b.files[0], 4096)
			b.probe(t) // the loader's drivers look again
			b.load(t)
			b.insert(t)
			if r := since(); r.Boots != 1 || !r.Loaded {
				t.Errorf("booted once: %+v", r)
			}
			b.clock.pass(time.Minute) // the installer reads the disc, and the BMC ahead over the boot image
			b.read(t, b.boot-32<<10, 64<<10)
			b.load(t)
			if r := since(); r.Boots != 1 {
				t.Errorf("read by the installer: %+v", r)
			}
			b.clock.pass(4 * time.Minute)
			again := b.clock.Now()
			b.probe(t)
			if r := since(); r.Boots != 1 {
				t.Errorf("restarted from its disk: %+v", r)
			}
			b.load(t)
			r, _ := b.store.Reads("h")
			if all, second := r.Since(reset), r.Since(again); all.Boots != 2 || second.Boots != 1 || !second.Loaded {
				t.Errorf("booted twice: %+v, the second time %+v", all, second)
			}
		})
	}
}

// TestCopyIsNoBoot: a BMC that fetches the whole image boots nothing.
func TestCopyIsNoBoot(t *testing.T) {
	for _, f := range forms(t, isosim.Options{}) {
		for _, ranges := range []string{"", "bytes=0-", fmt.Sprintf("bytes=0-%d", f.size+5)} {
			before, _ := f.store.Reads("h")
			ask(t, "GET", f.url, ranges)
			r := f.until(t, "fetched", func(r media.Reads) bool { return r.Bytes == before.Bytes+f.size })
			if s := r.Since(noon); s.Boots != 0 || s.Loaded || r.Cut != nil {
				t.Errorf("%s, range %q: %+v", f.name, ranges, r)
			}
		}
		f.until(t, "no longer fetching", func(r media.Reads) bool { return r.Fetching == nil })
	}
}

// TestBoutsAreBounded: a long installation leaves a bounded list, in which the pause before
// it is still to be seen.
func TestBoutsAreBounded(t *testing.T) {
	f := forms(t, isosim.Options{})[2]
	f.read(t, 0, 100)
	reset := f.clock.pass(2 * time.Minute)
	for range 200 {
		f.read(t, 4096, 100)
		f.clock.pass(4 * time.Second)
	}
	for range 80 {
		f.read(t, 4096, 100)
		f.clock.pass(31 * time.Second)
	}
	r, _ := f.store.Reads("h")
	if len(r.Bouts) > 64 || len(r.Bouts) < 30 {
		t.Errorf("%d bouts", len(r.Bouts))
	}
	if s := r.Since(reset); s.Bytes != 280*100 || !s.First.Equal(reset) {
		t.Errorf("since the reset: %+v", s)
	}
	for i := range len(r.Bouts) - 1 {
		if r.Bouts[i].To.After(r.Bouts[i+1].From) {
			t.Errorf("bout %d is not before the next: %+v", i, r.Bouts[i:i+2])
		}
	}
}

// part begins to fetch and breaks off.
func (f form) part(t *testing.T, ranges string, read int64) {
	t.Helper()
	dial := func(network, address string) (net.Conn, error) {
		c, err := net.Dial(network, address)
		if err == nil {
			c.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		return c, err
	}
	client := http.Client{Transport: &http.Transport{Dial: dial, DisableKeepAlives: true}}
	req, _ := http.NewRequest("GET", f.url, nil)
	if ranges != "" {
		req.Header.Set("Range", ranges)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, resp.Body, read); err != nil {
		t.Fatal(err)
	}
	f.until(t, "fetching", func(r media.Reads) bool { return r.Fetching != nil })
	resp.Body.Close()
}

// TestCut: a fetch of the whole image that broke off is known until another one completes.
func TestCut(t *testing.T) {
	const third = 8 << 20
	const lag = 256 << 10 // a receiver acknowledges what arrives a moment later
	isCut := func(r media.Reads) bool { return r.Cut != nil }
	whole := func(r media.Reads) bool { return r.Cut == nil }
	for _, f := range forms(t, isosim.Options{Size: 2 << 20}) {
		t.Run(f.name, func(t *testing.T) {
			f.part(t, "", third)
			r := f.until(t, "cut", isCut)
			if c := r.Cut; c == nil || c.Size != f.size || c.Bytes < third-lag || c.Bytes >= f.size || !c.At.Equal(noon) || r.Fetching != nil {
				t.Fatalf("%d of %d bytes at %v, fetching %v", c.Bytes, c.Size, c.At, r.Fetching)
			}
			ask(t, "HEAD", f.url, "")
			f.until(t, "still cut after a HEAD", func(r media.Reads) bool { return r.Cut != nil && r.Count >= 2 })
			ask(t, "GET", f.url, "")
			f.until(t, "made good by another fetch", whole)
			f.part(t, "", third)
			f.until(t, "cut again", isCut)
			ask(t, "GET", f.url, "bytes=32768-32768")
			f.until(t, "still cut after a glimpse at the image", func(now media.Reads) bool { return now.Cut != nil && now.Count >= 5 })
			b := drive(t, f)
			b.probe(t)
			f.until(t, "of no concern to a machine that boots by ranges", whole)
			f.part(t, "", third)
			at := f.until(t, "cut a third time", isCut).Cut.Bytes
			f.part(t, fmt.Sprintf("bytes=%d-", third), third)
			f.until(t, "cut further on", func(r media.Reads) bool { return r.Cut != nil && r.Cut.Bytes > at })
			ask(t, "GET", f.url, fmt.Sprintf("bytes=%d-", 2*third))
			if r := f.until(t, "completed", whole); r.Since(noon).Loaded {
				t.Errorf("a copy in two parts counts as a boot: %+v", r)
			}
		})
	}
}

// TestFetchIsNotedAtOnce: that a fetch began or broke off does not wait for the next second.
func TestFetchIsNotedAtOnce(t *testing.T) {
	dir, sockets := t.TempDir(), listen(t, false)
	s := media.ServeDirectory(media.DirectoryServerOptions{Sockets: sockets, Dir: dir, Every: time.Hour})
	defer s.Close(t.Context())
	l, err := media.NewDirectory(dir, "http://"+sockets.Addr().String(), true, media.Options{Plan: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := l.Publish(t.Context(), request(source(t, isosim.Options{Size: 2 << 20}), "h"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	f := form{name: "overlay", store: l, url: p.URL, size: p.Size}
	f.part(t, "", 8<<20)
	f.until(t, "cut", func(r media.Reads) bool { return r.Cut != nil && r.Fetching == nil })
}

// TestCutIsItsClients: another client's fetch does not complete it.
func TestCutIsItsClients(t *testing.T) {
	f := forms(t, isosim.Options{Size: 2 << 20})[2]
	f.part(t, "", 8<<20)
	r := f.until(t, "cut", func(r media.Reads) bool { return r.Cut != nil })
	if r.Cut == nil || r.Cut.By != "127.0.0.1" {
		t.Fatalf("%+v", r.Cut)
	}
	client := http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext, DisableKeepAlives: true}}
	for _, ranges := range []string{"", "bytes=0-9", "bytes=9000000-"} {
		req, _ := http.NewRequest("GET", f.url, nil)
		if ranges != "" {
			req.Header.Set("Range", ranges)
		}
		resp, err := client.Do(req)
		if err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("CI must have a second loopback address: %v", err)
			}
			t.Skipf("no second address here (macOS: ifconfig lo0 alias 127.0.0.2): %v", err)
		}
		n, _ := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		r = f.until(t, "counted", func(now media.Reads) bool { return now.Bytes >= r.Bytes+n && now.Fetching == nil })
		if r.Cut == nil || r.By != "127.0.0.2" {
			t.Errorf("another client read %q: %+v", ranges, r)
		}
	}
}

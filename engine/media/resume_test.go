package media_test

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/media"
	"esxiplan/engine/media/isosim"
)

// process is one that serves the images of a plan, with a state folder that outlives it.
func process(t *testing.T, state string, both bool) *media.Server {
	t.Helper()
	at := media.Addresses{HTTP: "127.0.0.1:0"}
	if both {
		at.HTTPS = "127.0.0.1:0"
	}
	sockets, err := at.Listen(media.LastAddresses(state, "p"), "", "", filepath.Dir(state))
	if err != nil {
		t.Fatal(err)
	}
	s, err := media.NewServer(media.ServerOptions{Options: media.Options{Plan: "p"}, Sockets: sockets, State: state})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestServedAgain: a second process on the same state serves the same bytes at the same
// URLs, recognises them as the plan's, and continues to count.
func TestServedAgain(t *testing.T) {
	state, path := filepath.Join(t.TempDir(), "media"), source(t, isosim.Options{RockRidge: true})
	first := process(t, state, true)
	p, err := first.Publish(t.Context(), request(path, "h"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	_, want := ask(t, "GET", p.URL, "")
	ask(t, "GET", p.URL, "bytes=0-99")
	first.Close()

	if files, _ := filepath.Glob(filepath.Join(state, "[0-9a-f]*", "*")); len(files) != 1 || !strings.HasSuffix(files[0], "/h.overlay") {
		t.Fatalf("kept: %v", files)
	} else if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 || info.Size() > 100<<10 {
		t.Errorf("%v %v", info, err)
	}
	second := process(t, state, true)
	if q, err := second.Published(t.Context(), request(path, "h")); err != nil || q.URL != p.URL || q.HTTPSURL != p.HTTPSURL || q.Digest != p.Digest {
		t.Fatalf("%v, %+v", err, q)
	}
	for _, url := range []string{p.URL, p.HTTPSURL} {
		if _, have := ask(t, "GET", url, ""); !bytes.Equal(have, want) {
			t.Errorf("%s: %d bytes, not the %d of before", url, len(have), len(want))
		}
		if err := second.Check(t.Context(), "h", url); err != nil {
			t.Error(err)
		}
	}
	if q, err := second.Published(t.Context(), request(path, "h")); err != nil || q.URL != p.URL {
		t.Errorf("a stage does not find what an earlier one published: %v", err)
	}
	counted(t, second, "h", 3*p.Size+100, 4)
	files, _ := filepath.Glob(filepath.Join(state, "[0-9a-f]*", "*"))
	ask(t, "GET", p.URL, "bytes=0-4")
	counted(t, second, "h", 3*p.Size+105, 5)
	os.Chtimes(files[0], time.Now(), time.Now().Add(time.Minute)) // rewritten
	ask(t, "GET", p.URL, "bytes=0-4")
	counted(t, second, "h", 3*p.Size+110, 6)
	if r, _ := second.Reads("h"); r.Since(p.Built).Bytes != 3*p.Size+110 {
		t.Errorf("when it was read is forgotten: %+v", r)
	}
	if err := second.Remove(t.Context(), "h"); err != nil {
		t.Fatal(err)
	}
	if r, _ := ask(t, "GET", p.URL, ""); r.StatusCode != 404 {
		t.Errorf("removed, and still served: %d", r.StatusCode)
	}
	second.Close()
	third := process(t, state, true)
	defer third.Close()
	var none *media.ErrNotBuilt
	if _, err := third.Published(t.Context(), request(path, "h")); !errors.As(err, &none) || !strings.Contains(none.Reason, "is gone: there is no file") {
		t.Errorf("got %v", err)
	}
	if files, _ := filepath.Glob(filepath.Join(state, "[0-9a-f]*")); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

// TestCannotBeServedAgain: a port that is taken, a source that changed or went away are reported
// with their reason.
func TestCannotBeServedAgain(t *testing.T) {
	state, path := filepath.Join(t.TempDir(), "media"), source(t, isosim.Options{})
	first := process(t, state, false)
	p, err := first.Publish(t.Context(), request(path, "h"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	says := func(s *media.Server, want string) {
		t.Helper()
		var gone *media.ErrGone
		if err := s.Check(t.Context(), "h", p.URL); !errors.As(err, &gone) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	second := process(t, state, false) // the port is taken
	says(second, "it was served at http://"+strings.Split(p.URL, "/")[2]+"/, this run serves at http://")
	second.Close()
	first.Close()
	later := time.Now().Add(time.Hour)
	os.Chtimes(path, later, later)
	second = process(t, state, false)
	says(second, path+" is no longer the file over which this image was laid")
	if r, _ := ask(t, "GET", p.URL, ""); r.StatusCode != 404 {
		t.Errorf("an image over another base is served: %d", r.StatusCode)
	}
	second.Close()
	os.Remove(path)
	third := process(t, state, false)
	defer third.Close()
	says(third, "cannot read the installer image")
}

// TestDryRunOfLaterStage: a dry run makes the URLs of the real run, finds what is kept,
// reads it through its own sockets, and leaves nothing behind.
func TestDryRunOfLaterStage(t *testing.T) {
	state, path := filepath.Join(t.TempDir(), "media"), source(t, isosim.Options{})
	first := process(t, state, false)
	p, err := first.Publish(t.Context(), request(path, "h"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	before := tree(t, state)
	planned := media.Addresses{HTTP: "127.0.0.1:0"}.Again(media.LastAddresses(state, "p"))
	s, err := media.NewServer(media.ServerOptions{Options: media.Options{Plan: "p"}, Sockets: listen(t, false), State: state, DryRun: &planned})
	if err != nil {
		t.Fatal(err)
	}
	shadow := media.Shadow(s)
	if q, err := shadow.Published(t.Context(), request(path, "h")); err != nil || q.URL != p.URL {
		t.Errorf("%+v %v", q, err)
	}
	if err := shadow.Check(t.Context(), "h", p.URL); err != nil {
		t.Error(err)
	}
	if r, known := shadow.Reads("h"); !known && r.Bytes != 0 {
		t.Errorf("%+v %v", r, known)
	}
	s.Close()
	if after := tree(t, state); after != before {
		t.Errorf("the dry run left something behind:\n%s\nbefore:\n%s", after, before)
	}
}

func tree(t *testing.T, dir string) (out string) {
	t.Helper()
	filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		out += path + " " + info.ModTime().String() + "\n"
		return err
	})
	return out
}

// TestDryRunAnnounces: with media.url, and with an address that is not this machine's to
// listen on now, the URLs are those of the real run.
func TestDryRunAnnounces(t *testing.T) {
	path := source(t, isosim.Options{})
	for want, o := range map[string]media.ServerOptions{
		"http://203.0.113.5:8090/iso/": {URL: "http://203.0.113.5:8090/iso/"},
		"http://127.0.0.1:8097/":       {DryRun: &media.Addresses{HTTP: "0.0.0.0:8097"}},
		"http://127.0.0.1:8098/":       {DryRun: &media.Addresses{HTTP: "127.0.0.1:8098", HTTPS: "127.0.0.1:8099"}},
	} {
		if o.DryRun == nil {
			o.DryRun = &media.Addresses{HTTP: "0.0.0.0:8090"}
		}
		real, dry := o, o
		real.State = filepath.Join(t.TempDir(), "media")
		real.Plan, dry.Plan = "p", "p"
		dry.State, dry.Sockets, real.Sockets = real.State, listen(t, true), listen(t, true)
		a, err := media.NewServer(real) // its sockets are elsewhere, too, so that no port is taken
		if err != nil {
			t.Fatal(err)
		}
		p, err := a.Publish(t.Context(), request(path, "h"), recorded)
		if err != nil || !strings.HasPrefix(p.URL, want) {
			t.Fatalf("%s, want %s… (%v)", p.URL, want, err)
		}
		a.Close()
		b, err := media.NewServer(dry)
		if err != nil {
			t.Fatal(err)
		}
		for _, url := range []string{p.URL, p.HTTPSURL} {
			if err := b.Check(t.Context(), "h", url); url != "" && err != nil {
				t.Error(err)
			}
		}
		b.Close()
	}
}

// TestAllow: media.allow adds networks, addresses and names to the plan's BMCs.
func TestAllow(t *testing.T) {
	s := serve(t, "192.0.2.191", "10.0.0.0/8", "2001:db8::/32", "localhost")
	p, err := s.Publish(t.Context(), request(source(t, isosim.Options{}), "h"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	for client, want := range map[string]int{"192.0.2.191:1": 200, "[::ffff:10.9.8.7]:1": 200, "[2001:db8::1]:1": 200, "192.0.2.192:1": 403, "11.0.0.1:1": 403, "[2001:db9::1]:1": 403} {
		req := httptest.NewRequest("GET", p.URL, nil)
		req.RemoteAddr = client
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		if w.Code != want {
			t.Errorf("%s: %d, want %d", client, w.Code, want)
		}
	}
	if err := media.CheckAllowed([]string{"10.0.0.0/8", "localhost", media.Anybody, "192.0.2.1"}); err != nil {
		t.Error(err)
	}
}

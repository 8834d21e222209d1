package media_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"esxiplan/engine/media"
	"esxiplan/engine/media/isosim"
	"esxiplan/engine/media/kickstart"
)

// shop is a folder that is served, and a store that publishes into it.
type shop struct {
	*media.Library
	dir, url, source string
	stop             func()
}

func open(t *testing.T, dir, url string, overlays bool) *media.Library {
	t.Helper()
	return openIn(t, "", dir, url, overlays)
}

// openIn opens the store for a plan in a folder: its paths of images start there.
func openIn(t *testing.T, plan, dir, url string, overlays bool) *media.Library {
	t.Helper()
	l, err := media.NewDirectory(dir, url, overlays, media.Options{Plan: "p", Dir: plan})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func newShop(t *testing.T, overlays bool) shop {
	dir := t.TempDir()
	url, stop := directory(t, dir)
	return shop{open(t, dir, url, overlays), dir, url, source(t, isosim.Options{}), stop}
}

func (s shop) publish(t *testing.T) media.Published {
	t.Helper()
	p, err := s.Publish(t.Context(), request(s.source, "h"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestNotBuilt: the message names how the plan and the medium differ, in the words of
// the plan.
func TestNotBuilt(t *testing.T) {
	s := newShop(t, false)
	var none *media.ErrNotBuilt
	if _, err := s.Published(t.Context(), request(s.source, "h")); !errors.As(err, &none) || none.Differs != nil || !errors.Is(err, &media.ErrNotBuilt{}) || !strings.Contains(err.Error(), "no image has been built for h: run build_iso first") {
		t.Errorf("nothing was built: %v", err)
	}
	p := s.publish(t)
	other := source(t, isosim.Options{Version: "8.0.3", Build: "24022510"})
	for name, c := range map[string]struct {
		change func(*media.Request)
		want   string
	}{
		"gateway":  {func(r *media.Request) { r.Script.Network.Gateway = "192.0.2.254" }, "network --gateway: 192.0.2.1 on the medium, 192.0.2.254 in the plan"},
		"options":  {func(r *media.Request) { r.Options = []string{"a=1", "b"} }, "kernel options: none on the medium, a=1 b in the plan"},
		"password": {func(r *media.Request) { r.Password = "Another-password-1x" }, "root password"},
		"license":  {func(r *media.Request) { r.Script.License = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE" }, `the command "serialnum --esx='(sensitive)'" is only in the plan`},
		"disk": {func(r *media.Request) {
			r.Script.Disk, r.Disks = kickstart.Disk{Kind: "model", Text: "X"}, []string{"model X"}
		}, "disk: name naa.5000cca291e10521 on the medium, model X in the plan"},
		"image":    {func(r *media.Request) { r.Source.Path = other }, "source image: installer.iso 7.0.3 build 19482537 (sha256 "},
		"version":  {func(r *media.Request) { r.Source.Version = "7.0.9" }, "source image: installer.iso 7.0.3 build"},
		"declared": {func(r *media.Request) { r.Source.Version = "7.0.3" }, "inputs that do not show in the kickstart"},
		"bmc":      {func(r *media.Request) { r.BMC = "192.0.2.77" }, "BMC that may read it: 127.0.0.1 before, 192.0.2.77 in the plan"},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(s.source, "h")
			c.change(&r)
			_, err := s.Published(t.Context(), r)
			if !errors.As(err, &none) || none.Host != "h" || !strings.Contains(strings.Join(none.Differs, "\n"), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), r.Password) || strings.Contains(err.Error(), "AAAAA-") || strings.Contains(err.Error(), "$6$") {
				t.Errorf("a secret is shown: %v", err)
			}
			if !strings.Contains(err.Error(), "run build_iso first, then eject and insert") {
				t.Errorf("it does not say what to do: %v", err)
			}
		})
	}
	elsewhere := open(t, s.dir, s.url+"/other", false)
	if _, err := elsewhere.Published(t.Context(), request(s.source, "h")); !errors.As(err, &none) || !strings.Contains(err.Error(), "address under which it is served: "+s.url+"/ before, "+s.url+"/other/ now") {
		t.Errorf("another media.url: %v", err)
	}
	if again, err := s.Published(t.Context(), request(s.source, "h")); err != nil || again.URL != p.URL || again.Digest != p.Digest || len(p.Digest) != 64 {
		t.Errorf("%+v %v", again, err)
	}
	if p.Contents.Kickstart == "" || strings.Contains(p.Contents.Kickstart, "$6$") || p.Contents.Source.Version != "7.0.3" || p.Contents.Source.File != s.source {
		t.Errorf("contents %+v", p.Contents)
	}
	files, _ := filepath.Glob(filepath.Join(s.dir, "*", "h.iso"))
	os.Remove(files[0])
	if _, err := s.Published(t.Context(), request(s.source, "h")); !errors.As(err, &none) || !strings.Contains(none.Reason, "the published image "+p.URL+" is gone: there is no file") {
		t.Errorf("its file is gone: %v", err)
	}
}

// TestDigestIsRecorded: what is published is recorded with the digest of all that is on it.
func TestDigestIsRecorded(t *testing.T) {
	s := newShop(t, true)
	var w media.Replacement
	p, err := s.Publish(t.Context(), request(s.source, "h"), func(_ context.Context, now media.Replacement) error { w = now; return nil })
	if err != nil || w.Digest != p.Digest || w.New != p.URL || w.Action != "publish" {
		t.Errorf("recorded %+v of %+v, %v", w, p, err)
	}
	shadow := media.Shadow(s.Library)
	changed := request(s.source, "h")
	changed.Script.Network.Gateway = "192.0.2.254"
	q, err := shadow.Publish(t.Context(), changed, func(_ context.Context, now media.Replacement) error { w = now; return nil })
	if err != nil || q.Digest != media.NewDigest || w.Digest != media.NewDigest || w.Old != p.URL || w.Makes == nil || !strings.Contains(w.Makes.Kickstart, "192.0.2.254") {
		t.Errorf("the dry run recorded %+v of %+v, %v", w, q, err)
	}
	if latest, _ := shadow.Latest("h"); latest.Digest != media.NewDigest {
		t.Errorf("%+v", latest)
	}
	if again, err := shadow.Published(t.Context(), changed); err != nil || again.URL != media.NewURL {
		t.Errorf("the dry run does not find what it published: %v", err)
	}
}

// TestWithoutSource: on a machine that has the folder but not the installer image, the
// manifest says whether what was published is the plan's.
func TestWithoutSource(t *testing.T) {
	for _, overlays := range []bool{false, true} {
		s := newShop(t, overlays)
		r := request("installer.iso", "h")
		p, err := openIn(t, filepath.Dir(s.source), s.dir, s.url, overlays).Publish(t.Context(), r, recorded)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere := openIn(t, t.TempDir(), s.dir, s.url, overlays)
		if q, err := elsewhere.Published(t.Context(), r); err != nil || q.URL != p.URL || q.Digest != p.Digest {
			t.Errorf("overlays %v: %v", overlays, err)
		}
		if q, err := elsewhere.Publish(t.Context(), r, func(context.Context, media.Replacement) error { t.Error("something is written"); return nil }); err != nil || q.Changed {
			t.Errorf("overlays %v: %v", overlays, err)
		}
		if err := elsewhere.Check(t.Context(), "h", p.URL); err != nil {
			t.Errorf("overlays %v: %v", overlays, err)
		}
	}
}

// TestWithoutSourceDiffers: the same comparison as with the image, as far as the plan
// describes it.
func TestWithoutSourceDiffers(t *testing.T) {
	s := newShop(t, false)
	here, elsewhere := filepath.Dir(s.source), t.TempDir()
	publish := func() {
		if _, err := openIn(t, here, s.dir, s.url, false).Publish(t.Context(), request("installer.iso", "h"), recorded); err != nil {
			t.Fatal(err)
		}
	}
	publish()
	s.Library = openIn(t, elsewhere, s.dir, s.url, false)
	const missing = "installer.iso"
	for name, c := range map[string]struct {
		change func(*media.Request)
		want   string
	}{
		"gateway":  {func(r *media.Request) { r.Script.Network.Gateway = "192.0.2.254" }, "network --gateway: 192.0.2.1 on the medium, 192.0.2.254 in the plan"},
		"password": {func(r *media.Request) { r.Password = "Another-password-1x" }, "root password"},
		"sha256":   {func(r *media.Request) { r.Source.SHA256 = "sha256:" + strings.Repeat("AB", 32) }, "→ installer.iso (sha256 abababababab…)"},
		"build":    {func(r *media.Request) { r.Source.Build = "1234567" }, "→ installer.iso build 1234567"},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(missing, "h")
			c.change(&r)
			var none *media.ErrNotBuilt
			if _, err := s.Published(t.Context(), r); !errors.As(err, &none) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	entry := filepath.Join(s.dir, ".esxiplan", "h@p.json")
	forget(t, entry, "contents", "own", "landmarks")
	if _, err := s.Published(t.Context(), request(missing, "h")); err == nil || !strings.Contains(err.Error(), "without it the image that was published for h cannot be compared with the plan") {
		t.Errorf("nothing to compare by: %v", err)
	}
	if p, err := openIn(t, here, s.dir, s.url, false).Published(t.Context(), request("installer.iso", "h")); err != nil || p.Contents.Kickstart == "" {
		t.Errorf("an entry of an earlier version, with the image present: %v", err)
	}
	publish()
	if _, err := s.Published(t.Context(), request(missing, "h")); err != nil {
		t.Errorf("build_iso does not complete an entry of an earlier version: %v", err)
	}
}

// TestAnotherImageUnseen: without the installer image, one of another path is not
// the plan's, whatever its name, unless its checksum says so.
func TestAnotherImageUnseen(t *testing.T) {
	s := newShop(t, false)
	p := s.publish(t)
	data, err := os.ReadFile(s.source)
	if err != nil {
		t.Fatal(err)
	}
	r := request(filepath.Join(t.TempDir(), "8.0", "installer.iso"), "h")
	for what, call := range map[string]func() error{
		"Published": func() error { _, err := s.Published(t.Context(), r); return err },
		"Publish":   func() error { _, err := s.Publish(t.Context(), r, recorded); return err },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "cannot read the installer image: stat "+r.Source.Path) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	r.Source.SHA256 = fmt.Sprintf("%x", sha256.Sum256(data))
	if q, err := s.Published(t.Context(), r); err != nil || q.URL != p.URL {
		t.Errorf("the same image by its checksum: %v", err)
	}
}

// TestDiskInOtherWords: an image is built again if the plan names the disk in other words:
// what is mounted says by which words it was confirmed.
func TestDiskInOtherWords(t *testing.T) {
	s := newShop(t, false)
	r := request(s.source, "h")
	r.Script, r.Own = kickstart.Script{}, "vmaccepteula\ninstall --disk=naa.50 --overwritevmfs\nnetwork --bootproto=dhcp --device=vmnic0\nreboot\n"
	r.Disks = []string{"wwn 50"}
	if _, err := s.Publish(t.Context(), r, recorded); err != nil {
		t.Fatal(err)
	}
	r.Disks = []string{"name naa.50"}
	var none *media.ErrNotBuilt
	if _, err := s.Published(t.Context(), r); !errors.As(err, &none) || !strings.Contains(err.Error(), "disk: wwn 50 on the medium, name naa.50 in the plan") {
		t.Errorf("got %v", err)
	}
	if p, err := s.Publish(t.Context(), r, recorded); err != nil || !p.Changed || p.Disks[0] != "name naa.50" {
		t.Errorf("%+v %v", p, err)
	}
}

// TestCheck: what a URL names is checked before a machine is restarted into it.
func TestCheck(t *testing.T) {
	for _, overlays := range []bool{false, true} {
		s := newShop(t, overlays)
		p := s.publish(t)
		check := func(url, want string, gone bool) {
			t.Helper()
			err := s.Check(t.Context(), "h", url)
			var e *media.ErrGone
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) || errors.As(err, &e) != gone {
				t.Errorf("overlays %v: got %v, want %q", overlays, err, want)
			}
			if gone && (e == nil || e.URL != url || e.Retryable()) {
				t.Errorf("%+v", e)
			}
		}
		check(p.URL, "", false)
		check(strings.Replace(p.URL, "/h.iso", "/other.iso", 1), "404", false)
		changed := request(s.source, "h")
		changed.Script.Network.Gateway = "192.0.2.254"
		q, err := s.Publish(t.Context(), changed, recorded)
		if err != nil {
			t.Fatal(err)
		}
		check(p.URL, "another one was published for h since; run build_iso first", true)
		check(q.URL, "", false)
		if err := s.Remove(t.Context(), "h"); err != nil {
			t.Fatal(err)
		}
		check(q.URL, "there is no file", true)
		s.stop()
		var fetch *media.ErrFetch
		if _, err := s.Publish(t.Context(), changed, recorded); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(t.Context(), "h", q.URL); !errors.As(err, &fetch) || fetch.Final {
			t.Errorf("a server that cannot be reached: %v", err)
		}
	}
}

// TestCheckComparesBytes: a web server that serves another file of the same length, in a
// process that did not build.
func TestCheckComparesBytes(t *testing.T) {
	s := newShop(t, false)
	p := s.publish(t)
	files, _ := filepath.Glob(filepath.Join(s.dir, "*", "h.iso"))
	data, _ := os.ReadFile(files[0])
	at := strings.Index(string(data), "--gateway='192.0.2.1'")
	data[at+len("--gateway='192.0.2.")] = '7'
	os.WriteFile(files[0], data, 0o644)
	var fetch *media.ErrFetch
	if err := open(t, s.dir, s.url, false).Check(t.Context(), "h", p.URL); !errors.As(err, &fetch) || !fetch.Final || !strings.Contains(err.Error(), "are not those of the image: the web server serves another file") {
		t.Errorf("got %v", err)
	}
}

// TestCheckForeign: of a URL that is not ours, only its answer is known.
func TestCheckForeign(t *testing.T) {
	s := newShop(t, false)
	web := "http://" + listenAndServe(t, s.source)
	if err := s.Check(t.Context(), "h", web+"/somebody.iso"); err != nil {
		t.Error(err)
	}
	unknown := s.url + "/" + strings.Repeat("ab", 16) + "/h.iso"
	var gone *media.ErrGone
	if err := s.Check(t.Context(), "h", unknown); !errors.As(err, &gone) || !strings.Contains(err.Error(), "the manifest has no entry for h") {
		t.Errorf("ours, without an entry: %v", err)
	}
}

// TestCheckForeignForm: a URL of another server has the form of ours. A host with our image
// may boot it, too, and at any of our addresses the check says that an image was replaced.
func TestCheckForeignForm(t *testing.T) {
	s := newShop(t, false)
	s.publish(t)
	path := "/" + strings.Repeat("ab", 16) + "/h.iso"
	if err := s.Check(t.Context(), "h", "http://"+listenAndServe(t, s.source)+path); err != nil {
		t.Errorf("another server's: %v", err)
	}
	var gone *media.ErrGone
	if err := s.Check(t.Context(), "h", s.url+path); !errors.As(err, &gone) {
		t.Errorf("ours: %v", err)
	}
}

// TestCheckOnTheWayToTheBMC: our address, as a BMC elsewhere sees it, is ours.
func TestCheckOnTheWayToTheBMC(t *testing.T) {
	sockets, err := media.Listen("0.0.0.0:0", "", "", "", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	probe := func(_ context.Context, _, address string) (net.Conn, error) {
		host := map[string]string{"127.0.0.2:443": "127.0.0.3", "127.0.0.1:443": "127.0.0.1"}[address]
		return probed{from: &net.UDPAddr{IP: net.ParseIP(host)}}, nil
	}
	s, err := media.NewServer(media.ServerOptions{Options: media.Options{Plan: "p"}, Sockets: sockets, State: t.TempDir(), Probe: probe})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := request(source(t, isosim.Options{}), "h")
	r.BMC = "127.0.0.2"
	p, err := s.Publish(t.Context(), r, recorded)
	if err != nil || !strings.HasPrefix(p.URL, "http://127.0.0.3:") {
		t.Fatal(p.URL, err)
	}
	r.Script.Network.Gateway = "192.0.2.254"
	if _, err := s.Publish(t.Context(), r, recorded); err != nil {
		t.Fatal(err)
	}
	var gone *media.ErrGone
	if err := s.Check(t.Context(), "h", p.URL); !errors.As(err, &gone) {
		t.Errorf("replaced: %v", err)
	}
}

// probed is a connection that knows from where it was opened.
type probed struct {
	net.Conn
	from net.Addr
}

func (p probed) LocalAddr() net.Addr { return p.from }
func (p probed) Close() error        { return nil }

func listenAndServe(t *testing.T, file string) string {
	sockets := listen(t, false)
	s := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })}
	go s.Serve(sockets.HTTP)
	t.Cleanup(func() { s.Close() })
	return sockets.Addr().String()
}

// TestShadowChecks: a dry run knows what it would have replaced or removed by then.
func TestShadowChecks(t *testing.T) {
	s := newShop(t, false)
	p := s.publish(t)
	var gone *media.ErrGone
	shadow := media.Shadow(s.Library)
	if err := shadow.Check(t.Context(), "h", p.URL); err != nil {
		t.Error(err)
	}
	if err := shadow.Check(t.Context(), "h", media.NewURL); err != nil {
		t.Error(err)
	}
	changed := request(s.source, "h")
	changed.Options = []string{"a=1"}
	if _, err := shadow.Publish(t.Context(), changed, recorded); err != nil {
		t.Fatal(err)
	}
	if err := shadow.Check(t.Context(), "h", p.URL); !errors.As(err, &gone) || !strings.Contains(err.Error(), "this run replaces it") {
		t.Errorf("replaced: %v", err)
	}
	if err := shadow.Check(t.Context(), "h", media.NewURL); err != nil {
		t.Error(err)
	}
	shadow.Remove(t.Context(), "h")
	if err := shadow.Check(t.Context(), "h", media.NewURL); !errors.As(err, &gone) {
		t.Errorf("removed: %v", err)
	}
	again := media.Shadow(s.Library)
	again.Remove(t.Context(), "h")
	if err := again.Check(t.Context(), "h", p.URL); !errors.As(err, &gone) || !strings.Contains(err.Error(), "this run removes it") {
		t.Errorf("removed: %v", err)
	}
	var w media.Replacement
	q, err := again.Publish(t.Context(), request(s.source, "h"), func(_ context.Context, now media.Replacement) error { w = now; return nil })
	if err != nil || q.URL != p.URL || !q.Changed || w.New != p.URL || w.Digest != p.Digest {
		t.Errorf("published again after it was removed: %+v %+v %v", q, w, err)
	}
	if err := again.Check(t.Context(), "h", p.URL); err != nil {
		t.Error(err)
	}
	if err := s.Check(t.Context(), "h", p.URL); err != nil {
		t.Errorf("the dry run changed something: %v", err)
	}
}

// TestShadowByBoth: an image that is served by HTTP and HTTPS is one image for a dry run.
func TestShadowByBoth(t *testing.T) {
	path := source(t, isosim.Options{})
	s, err := media.NewServer(media.ServerOptions{Options: media.Options{Plan: "p"}, Sockets: listen(t, true), State: filepath.Join(t.TempDir(), "media")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := s.Publish(t.Context(), request(path, "h"), recorded)
	if err != nil || p.HTTPSURL == "" || !p.At(p.URL) || !p.At(p.HTTPSURL) || p.At("") || (media.Published{URL: "u"}).At("") {
		t.Fatalf("%+v %v", p, err)
	}
	shadow := media.Shadow(s)
	shadow.Remove(t.Context(), "h")
	if _, err := shadow.Publish(t.Context(), request(path, "h"), recorded); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{p.URL, p.HTTPSURL} {
		if err := shadow.Check(t.Context(), "h", url); err != nil {
			t.Errorf("published again after it was removed: %v", err)
		}
	}
}

// forget takes fields out of a file of the manifest.
func forget(t *testing.T, path string, fields ...string) {
	t.Helper()
	var e map[string]any
	b, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(b, &e) != nil {
		t.Fatal(err)
	}
	for _, field := range fields {
		if _, ok := e[field]; !ok {
			t.Fatalf("%s has no %s", path, field)
		}
		delete(e, field)
	}
	b, _ = json.Marshal(e)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

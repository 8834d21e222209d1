//go:build unix

package media_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"esxiplan/engine/descriptor"
	"esxiplan/engine/media"
	"esxiplan/engine/media/isosim"
)

// exhaust takes all descriptors of this process until the function that it returns is called.
func exhaust(t *testing.T) (release func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	low := before
	low.Cur = 200
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	var taken []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if descriptor.Exhausted(err) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, f)
	}
	return func() {
		for _, f := range taken {
			f.Close()
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}
}

// TestExhausted: a process without descriptors reports that, and not that an image was not built,
// is gone or is no image; and when it has some again, all is as before.
func TestExhausted(t *testing.T) {
	failed := 0
	for _, f := range forms(t, isosim.Options{}) {
		r := request(f.drive, "h")
		looks := map[string]func() error{
			"Published": func() error { _, err := f.store.Published(t.Context(), r); return err },
			"Check":     func() error { return f.store.Check(t.Context(), "h", f.url) },
		}
		for name, look := range looks {
			release := exhaust(t)
			err := look()
			release()
			switch {
			case descriptor.Exhausted(err):
				failed++
			case err != nil:
				t.Errorf("%s: %s: %v", f.name, name, err)
			}
			if err := look(); err != nil {
				t.Errorf("%s: %s, with descriptors again: %v", f.name, name, err)
			}
		}
	}
	if failed < 4 {
		t.Errorf("%d of the looks needed a descriptor", failed)
	}
}

// TestExhaustedServer: what cannot be opened for now is not called missing.
func TestExhaustedServer(t *testing.T) {
	dir := t.TempDir()
	for _, overlays := range []bool{false, true} {
		sockets := listen(t, false)
		s := media.ServeDirectory(media.DirectoryServerOptions{Sockets: sockets, Dir: dir})
		defer s.Close(t.Context())
		l := open(t, dir, "http://"+sockets.Addr().String(), overlays)
		p, err := l.Publish(t.Context(), request(source(t, isosim.Options{}), "h"), recorded)
		if err != nil {
			t.Fatal(err)
		}
		get := func() int {
			w := httptest.NewRecorder()
			req := httptest.NewRequest("GET", p.URL, nil)
			req.RemoteAddr = "127.0.0.1:1000"
			s.ServeHTTP(w, req)
			return w.Code
		}
		for range 2 { // not looked at before, and known already
			release := exhaust(t)
			code := get()
			release()
			if code != http.StatusServiceUnavailable {
				t.Errorf("overlays %v: without descriptors the answer is %d", overlays, code)
			}
			if code := get(); code != http.StatusOK {
				t.Errorf("overlays %v: then %d", overlays, code)
			}
		}
	}
}

// TestSourceFailsOnce: an image that could not be opened for one host may open for the next.
func TestSourceFailsOnce(t *testing.T) {
	l := open(t, t.TempDir(), "http://203.0.113.1/iso", true)
	path := source(t, isosim.Options{})
	away := path + ".away"
	for name, fails := range map[string]struct{ do, undo func() }{
		"not there":      {func() { os.Rename(path, away) }, func() { os.Rename(away, path) }},
		"not a file":     {func() { os.Rename(path, away); os.Mkdir(path, 0o700) }, func() { os.Remove(path); os.Rename(away, path) }},
		"not yet whole":  {func() { os.Rename(path, away); os.WriteFile(path, []byte("x"), 0o600) }, func() { os.Rename(away, path) }},
		"no descriptors": {},
	} {
		fresh := open(t, t.TempDir(), "http://203.0.113.1/iso", true)
		if fails.do == nil {
			release := exhaust(t)
			fails.do, fails.undo = func() {}, release
		}
		fails.do()
		_, _, err := fresh.Source(t.Context(), media.Source{Path: path})
		fails.undo()
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, _, err := fresh.Source(t.Context(), media.Source{Path: path}); err != nil {
			t.Errorf("%s: it is remembered: %v", name, err)
		}
	}
	wrong := media.Source{Name: "esxi", Path: path, SHA256: "ab"}
	if _, _, err := l.Source(t.Context(), wrong); err == nil {
		t.Error("a checksum of two digits is taken")
	}
}

// TestIrregularManifests: what is not a file among the manifests neither hangs a server nor
// keeps it from starting, and a link in their place is refused.
func TestIrregularManifests(t *testing.T) {
	dir := t.TempDir()
	url, _ := directory(t, dir)
	l := open(t, dir, url, true)
	p, err := l.Publish(t.Context(), request(source(t, isosim.Options{}), "h"), recorded)
	if err != nil {
		t.Fatal(err)
	}
	manifests := filepath.Join(dir, ".esxiplan")
	if err := errors.Join(syscall.Mkfifo(filepath.Join(manifests, "h@another.json"), 0o600), media.CheckReadable(dir)); err != nil {
		t.Error(err)
	}
	if r, _ := ask(t, "HEAD", p.URL, ""); r.StatusCode != http.StatusOK {
		t.Errorf("answer %d", r.StatusCode)
	}
	if err := errors.Join(os.Rename(manifests, manifests+".away"), os.Symlink(manifests+".away", manifests)); err != nil {
		t.Fatal(err)
	}
	if err := media.CheckReadable(dir); err == nil {
		t.Error("manifests where a link leads are served")
	}
}

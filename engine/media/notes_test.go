package media

import (
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPulseIsWhole: a heartbeat that is read while the next one is written is complete; half
// of one would say that the server is gone, and break off what it sends.
func TestPulseIsWhole(t *testing.T) {
	m := manifest{dir: t.TempDir()}
	first := pulse{Process: "first", Time: time.Now()}
	if err := m.pulse("s", first); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(m.pulsePath("s"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, _ := os.ReadFile(m.pulsePath("s"))
	if err := m.pulse("s", pulse{Process: "second", Time: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if have, err := io.ReadAll(f); err != nil || string(have) != string(want) {
		t.Errorf("a reader of the first one got %q, %v", have, err)
	}
	if p, ok := m.pulseOf("s"); !ok || p.Process != "second" {
		t.Errorf("%+v", p)
	}
}

// TestFetchOfAReplacedImage: what is read of an image that was replaced does not overwrite the
// note of what was read of the new one, and the old one is forgotten.
func TestFetchOfAReplacedImage(t *testing.T) {
	const bmc = "192.0.2.1"
	dir := t.TempDir()
	m := manifest{dir: manifestFolder(dir), plan: "p"}
	s := &handler{dir: dir, manifest: manifest{dir: m.dir}, name: "s", allowed: newAllowList(Anybody), readOnly: true}
	s.begin()
	s.readOnly = false // the test alone writes down what was read
	defer s.end()
	publish := func(token string) (entry, *counter) {
		e := entry{Schema: manifestSchema, Plan: "p", Host: "h", BMC: bmc, Token: token, Size: 100}
		path := filepath.Join(dir, e.file())
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, make([]byte, e.Size), 0o600), m.write(e)); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/"+e.file(), nil)
		r.RemoteAddr = bmc + ":1"
		s.ServeHTTP(httptest.NewRecorder(), r)
		s.flush()
		return e, s.items[path].count
	}
	first, old := publish(strings.Repeat("a", 32))
	old.request(bmc)
	second, _ := publish(strings.Repeat("b", 32))
	os.RemoveAll(filepath.Join(dir, first.Token))
	remaining := func(n int) {
		t.Helper()
		old.sent(span{by: bmc, began: time.Now(), bytes: 10, size: 100})
		s.flush()
		if r, ok := m.notes(second); !ok || r.Bytes != second.Size {
			t.Errorf("of the new image %d bytes are known (%v), want %d", r.Bytes, ok, second.Size)
		}
		s.forgetRemoved()
		if len(s.items) != n {
			t.Errorf("%d images are known, want %d", len(s.items), n)
		}
	}
	remaining(2)
	old.answered()
	remaining(1)
}

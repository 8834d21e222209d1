package media

import (
	"io"
	"os"
	"testing"
	"time"
)

// TestPulseIsWhole: whoever reads a sign of life while the next one is written has a whole
// one; half of one would say that the server is gone, and break off what it sends.
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

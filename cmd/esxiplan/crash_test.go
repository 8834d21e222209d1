package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/event"
)

// TestPanicIsReported: a panic ends a command with what to report, and its trace is in a
// file of its owner alone, without secrets. Whatever it says stays off the terminal, as do
// values of assignments on the command line.
func TestPanicIsReported(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	args := os.Args
	defer func() { os.Args = args }()
	os.Args = []string{"esxiplan", "run", "site.hcl", "-e", "password=Secret-word-1x", "--var=pin=zq-one", "-epin=zq-two"}
	for name, command := range map[string]func() error{
		"at once":            func() error { panic("Secret-word-1x") },
		"of a look at hosts": func() error { each([]int{1, 2, 3}, 2, func(int, int) { panic("Secret-word-1x") }); return nil },
	} {
		var out bytes.Buffer
		a := newApp(nil, &view.Streams{Out: &out, Err: &out})
		a.secrets.AddLogin("root", "Secret-word-1x")
		if code := a.exit(command); code != event.ExitInternal {
			t.Errorf("%s: exit code %d", name, code)
		}
		text := out.String()
		for _, want := range []string{"bug in esxiplan", "esxiplan " + version, "run site.hcl -e password=… --var=… -epin=…", dir} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", name, want, text)
			}
		}
		for _, never := range []string{"Secret-word", "zq-", "goroutine", ".go:"} {
			if strings.Contains(text, never) {
				t.Errorf("%s: %q in\n%s", name, never, text)
			}
		}
	}
	traces, _ := filepath.Glob(filepath.Join(dir, "esxiplan-panic-*.txt"))
	if len(traces) != 2 {
		t.Fatalf("traces: %v", traces)
	}
	for _, trace := range traces {
		info, _ := os.Stat(trace)
		b, _ := os.ReadFile(trace)
		if info.Mode() != 0o600 || !bytes.Contains(b, []byte("crash_test.go:")) || !bytes.Contains(b, []byte("panic: (sensitive)")) {
			t.Errorf("%s, %v: %s", trace, info.Mode(), b)
		}
	}
}

// TestEachGoesOn: one that panics does not keep the others from their work.
func TestEachGoesOn(t *testing.T) {
	done := make([]bool, 20)
	func() {
		defer func() { recover() }()
		each(done, 3, func(i int, _ bool) {
			if done[i] = true; i%5 == 0 {
				panic("oh")
			}
		})
		t.Error("no panic")
	}()
	if slices.Contains(done, false) {
		t.Errorf("done: %v", done)
	}
}

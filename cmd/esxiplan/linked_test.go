package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSimFileReplacesLinks: sim.json holds secrets and lies next to a plan, which may be a
// stranger's. What is a link there is replaced, and what it leads to is not touched.
func TestSimFileReplacesLinks(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "sim.json")
	for _, link := range []string{file, file + ".new"} {
		if err := os.Symlink(precious, link); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeSimFile(file, simFile{Speed: 1}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(precious); err != nil || string(b) != "precious" {
		t.Errorf("it was written through a link: %q, %v", b, err)
	}
	if info, err := os.Lstat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if f, err := readSimFile(file); err != nil || f.Speed != 1 {
		t.Errorf("%+v, %v", f, err)
	}
}

// TestPipesAreNotWaitedFor where a file should be: whoever made them may never open the other
// end.
func TestPipesAreNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "precious"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() error{
		"--sim":           func() error { _, err := readSimFile(pipe); return err },
		"--trace":         func() error { _, err := appendTo(dir, "pipe"); return err },
		"--trace, a link": func() error { _, err := appendTo(dir, "link"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan error, 1)
			go func() { done <- open() }()
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), "regular file") {
					t.Errorf("error %v", err)
				}
			case <-time.After(5 * time.Second):
				t.Error("it waits for the other end")
			}
		})
	}
	if _, err := os.Lstat(filepath.Join(dir, "precious")); err == nil {
		t.Error("a trace was written through a link")
	}
}

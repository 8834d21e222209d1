package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestEventsAreForTheOwner: the file of the events is readable by its owner alone, also where it
// existed before and others could read it.
func TestEventsAreForTheOwner(t *testing.T) {
	dir := t.TempDir()
	for name, before := range map[string]fs.FileMode{"new": 0, "readable": 0o644, "writable": 0o666} {
		path := filepath.Join(dir, name)
		if before != 0 {
			if err := os.WriteFile(path, []byte("of an earlier run\n"), before); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, before); err != nil { // whatever the umask is
				t.Fatal(err)
			}
		}
		file, err := (&request{}).create("--events", path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := file.Stat()
		if err != nil || info.Mode() != 0o600 || info.Size() != 0 {
			t.Errorf("%s: %v, %d bytes, %v", name, info.Mode(), info.Size(), err)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestEventsToADevice: what is no file keeps its rights.
func TestEventsToADevice(t *testing.T) {
	before, err := os.Stat(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	file, err := (&request{}).create("--events", os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if after, err := os.Stat(os.DevNull); err != nil || after.Mode() != before.Mode() {
		t.Errorf("%v became %v, %v", before.Mode(), after.Mode(), err)
	}
}

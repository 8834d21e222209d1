package state_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/state"
)

// TestKeepScreen: every screen gets a file of its own in the state folder, whatever the host is
// called, that no other user may read.
func TestKeepScreen(t *testing.T) {
	dir, at := t.TempDir(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct{ host, want string }{
		{"h1", "h1-20260102-030405.png"}, {"h1", "h1-20260102-030405-2.png"}, {"a:b", "a_b-20260102-030405.png"}, {"../../x", "_.._x-20260102-030405.png"},
		{"..", "host-20260102-030405.png"}, {"höst", "h_st-20260102-030405.png"}, {"", "host-20260102-030405-2.png"},
	} {
		file, err := state.KeepScreen(dir, c.host, at, []byte("PNG"))
		if err != nil || file != filepath.Join(dir, "screens", c.want) {
			t.Errorf("%q: %q, %v", c.host, file, err)
			continue
		}
		info, err := os.Stat(file)
		if b, _ := os.ReadFile(file); err != nil || string(b) != "PNG" || info.Mode().Perm() != 0o600 {
			t.Errorf("%q: %v, %v", c.host, info, err)
		}
	}
	if file, err := state.KeepScreen(filepath.Join(dir, "screens", "h1-20260102-030405.png"), "h", at, nil); err == nil {
		t.Errorf("a file is no state folder: %q", file)
	}
}

// TestScreenThatIsTooLarge: what a BMC sends does not fill the disk.
func TestScreenThatIsTooLarge(t *testing.T) {
	dir := t.TempDir()
	if file, err := state.KeepScreen(dir, "h", time.Now(), make([]byte, 5<<20)); err == nil || !strings.Contains(err.Error(), "5.2 MB") {
		t.Errorf("%q, %v", file, err)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "screens")); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

// TestPruneScreens: old screens are removed, and nothing else.
func TestPruneScreens(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	prune := func(dry bool, want int) {
		t.Helper()
		if n, err := state.PruneScreens(dir, now.Add(-time.Hour), dry); err != nil || n != want {
			t.Errorf("%d screens, %v", n, err)
		}
	}
	prune(false, 0) // there is no folder yet
	keep := func(host string, age time.Duration) string {
		file, err := state.KeepScreen(dir, host, now, []byte("PNG"))
		if err == nil {
			err = os.Chtimes(file, time.Time{}, now.Add(-age))
		}
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	old, recent, other := keep("old", 2*time.Hour), keep("recent", time.Minute), keep("notes", 2*time.Hour)
	if err := os.Rename(other, other+".txt"); err != nil {
		t.Fatal(err)
	}
	drawing := filepath.Join(filepath.Dir(old), "rack.png")
	if err := os.Rename(keep("drawing", 2*time.Hour), drawing); err != nil {
		t.Fatal(err)
	}
	prune(true, 1)
	if _, err := os.Stat(old); err != nil {
		t.Error(err)
	}
	prune(false, 1)
	if _, err := os.Stat(drawing); err != nil {
		t.Error("a file with another name was removed")
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("the old screen is still there")
	}
	for _, file := range []string{recent, other + ".txt"} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
}

// TestKeepScreenInALink: the folder of screens may not lead out of the state folder.
func TestKeepScreenInALink(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(dir, "screens")); err != nil {
		t.Fatal(err)
	}
	if file, err := state.KeepScreen(dir, "h", time.Now(), []byte("PNG")); err == nil {
		t.Errorf("written to %s", file)
	}
	if left, _ := os.ReadDir(elsewhere); len(left) > 0 {
		t.Errorf("elsewhere is %v", left)
	}
}

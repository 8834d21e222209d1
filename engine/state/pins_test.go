package state_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/state"
)

// spellings are one BMC, as two plans may write it, and as a door names it.
var spellings = [][2]string{
	{"10.0.0.1", "https://10.0.0.1"}, {"10.0.0.1", "http://10.0.0.1"}, {"10.0.0.1", "HTTPS://10.0.0.1:443/"}, {"bmc.example", "https://BMC.example."}, {"fd00:0::a", "https://[fd00::a]"}, {"https://10.0.0.1:8443/", "10.0.0.1:8443"},
}

// TestStateFolderKnowsAllSpellings: what a state folder keeps of a BMC is found again
// by every spelling, and by the names that earlier versions gave to plain addresses.
func TestStateFolderKnowsAllSpellings(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, pair := range spellings {
		dir := t.TempDir()
		pins, refused := state.Pins{Dir: dir}, state.Refusals{Dir: dir}
		kept, err := pins.SetPin(pair[0], "aa")
		if err := errors.Join(err, refused.Add(pair[0], "0123456789abcdef0123", now)); err != nil || !kept {
			t.Fatal(kept, err)
		}
		if got, ok := pins.Pin(pair[1]); !ok || got != "aa" {
			t.Errorf("pinned for %s, not for %s: %q", pair[0], pair[1], got)
		}
		if n := refused.Between(pair[1], "0123456789abcdef0123", now.Add(-time.Minute), now); n != 1 {
			t.Errorf("refused at %s, at %s %d times", pair[0], pair[1], n)
		}
		if n := refused.Between(pair[1], "ff", now.Add(-time.Minute), now); n != 0 {
			t.Errorf("another system on %s counts %d refusals", pair[1], n)
		}
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"pins/10.0.0.1": "aa\n", "refused/10.0.0.1-0123456789abcdef": "2026-01-02T03:04:05Z\n"} {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := (state.Pins{Dir: dir}).Pin("https://10.0.0.1"); got != "aa" {
		t.Errorf("the pin of an earlier version is %q", got)
	}
	if n := (state.Refusals{Dir: dir}).Between("10.0.0.1", "0123456789abcdef0123", now.Add(-time.Minute), now); n != 1 {
		t.Errorf("the refusal of an earlier version counts %d", n)
	}
}

// TestStateFolderTrustsNoOddAddress: an address that names no file is not trusted, and
// no login is tried there.
func TestStateFolderTrustsNoOddAddress(t *testing.T) {
	dir := t.TempDir()
	pins, refused := state.Pins{Dir: dir}, state.Refusals{Dir: dir}
	for _, address := range []string{"", "..", "../../x", "a/b"} {
		if got, ok := pins.Pin(address); !ok || got == "" {
			t.Errorf("%q: pinned %q, %v", address, got, ok)
		}
		if n := refused.Between(address, "aa", time.Time{}, time.Now()); n != math.MaxInt {
			t.Errorf("%q: %d refusals", address, n)
		}
		if kept, err := pins.SetPin(address, "aa"); kept || err == nil || refused.Add(address, "aa", time.Now()) == nil {
			t.Errorf("%q is kept", address)
		}
	}
}

func pin(p state.Pins, address, fingerprint string) error {
	kept, err := p.SetPin(address, fingerprint)
	if err == nil && kept == p.ReadOnly {
		return errors.New("the result does not say whether the pin was kept")
	}
	return err
}

// TestPinsFollowNoLinks, and trust no file that other users can write to.
func TestPinsFollowNoLinks(t *testing.T) {
	now := time.Now()
	for name, change := range map[string]func(dir string) error{
		"link":     func(dir string) error { return relink(dir, "pins/h", "refused/h-aa") },
		"folder":   func(dir string) error { return relink(dir, "pins", "refused") },
		"long":     func(dir string) error { return os.Truncate(filepath.Join(dir, "pins", "h"), 20<<20) },
		"writable": func(dir string) error { return os.Chmod(filepath.Join(dir, "pins", "h"), 0o666) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			pins, refused := state.Pins{Dir: dir}, state.Refusals{Dir: dir}
			if err := errors.Join(pin(pins, "h", "aa"), refused.Add("h", "aa", now), change(dir)); err != nil {
				t.Fatal(err)
			}
			if pin, ok := pins.Pin("h"); !ok || !strings.HasPrefix(pin, "unreadable: ") {
				t.Errorf("pin %q, %v", pin, ok)
			}
			if name == "writable" || name == "long" {
				return
			}
			if n := refused.Between("h", "aa", now.Add(-time.Minute), now); n != math.MaxInt {
				t.Errorf("%d refusals", n)
			}
			if err := refused.Add("h", "aa", now); err == nil {
				t.Error("a refusal was written through a link")
			}
		})
	}
}

// relink moves files and folders out of the state folder and leaves links to them.
func relink(dir string, names ...string) (err error) {
	for _, name := range names {
		away := filepath.Join(dir, "..", filepath.Base(name))
		err = errors.Join(err, os.Rename(filepath.Join(dir, name), away), os.Symlink(away, filepath.Join(dir, name)))
	}
	return err
}

// TestPinIsReplaced, and one that could not be written leaves nothing.
func TestPinIsReplaced(t *testing.T) {
	dir := t.TempDir()
	pins := state.Pins{Dir: filepath.Join(dir, "made")}
	if err := errors.Join(pin(pins, "h", "aa"), pin(pins, "h", "bb"), pin(state.Pins{Dir: dir, ReadOnly: true}, "h", "cc")); err != nil {
		t.Fatal(err)
	}
	if pin, ok := pins.Pin("h"); pin != "bb" || !ok {
		t.Errorf("%q %v", pin, ok)
	}
	if _, ok := (state.Pins{Dir: dir}).Pin("h"); ok {
		t.Error("a dry run keeps a certificate")
	}
	if left, err := os.ReadDir(filepath.Join(pins.Dir, "pins")); len(left) != 1 {
		t.Errorf("%v %v", left, err)
	}
}

// TestMake says what to do with a state folder that cannot be used.
func TestMake(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(state.Make(filepath.Join(dir, "a", "b")), state.Make(filepath.Join(dir, "a", "b")), os.WriteFile(filepath.Join(dir, "f"), nil, 0o600), os.Mkdir(filepath.Join(dir, "else"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "a", "b")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "open"), 0o700), os.Chmod(filepath.Join(dir, "open"), 0o777)); err != nil { // whatever the umask
		t.Fatal(err)
	}
	wants := map[string]string{"f": "not a directory", "f/s": "not a directory", "open": "remove that right with chmod go-w; choose another with --state"}
	if os.Geteuid() == 0 {
		os.Chown(filepath.Join(dir, "else"), 4711, -1)
		wants["else"] = "belongs to user 4711, but esxiplan runs as user 0; run it as the owner; choose another with --state"
	} else {
		os.Chmod(filepath.Join(dir, "else"), 0o500)
		wants["else"] = "permission denied; choose another with --state"
	}
	for name, want := range wants {
		if err := state.Make(filepath.Join(dir, name)); err == nil || !strings.HasPrefix(err.Error(), "state folder: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

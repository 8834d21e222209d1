package media

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"esxiplan/engine/media/iso"
)

// TestNothingIsWrittenThroughLinks: folders of esxiplan may have come along with a checkout, and
// a link there may lead anywhere.
func TestNothingIsWrittenThroughLinks(t *testing.T) {
	host := entry{Schema: manifestSchema, Plan: "p", Host: "h", Token: strings.Repeat("a", 32)}
	old := known{Path: "/esxi.iso", Inode: 1, Modified: time.Now().Add(-time.Hour)}
	for link, write := range map[string]func(state string, m manifest) error{
		"media":           func(_ string, m manifest) error { return m.write(host) },
		"media/reads":     func(_ string, m manifest) error { return m.note("h", "s", noted{}) },
		"media/reads/own": func(_ string, m manifest) error { return m.pulse("", pulse{}) },
		"media/" + host.Token: func(_ string, m manifest) error {
			return (&directoryShelf{dir: m.dir, overlays: true}).put(host, &iso.Image{}, nil, nil)
		},
		"sources": func(state string, _ manifest) error {
			s := &sources{cache: state}
			s.keep(s.cacheFile(old.Path), old)
			return os.ErrInvalid // that a checksum is not kept is no failure
		},
	} {
		t.Run(link, func(t *testing.T) {
			state, elsewhere := t.TempDir(), t.TempDir()
			path := filepath.Join(state, link)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(elsewhere, path); err != nil {
				t.Fatal(err)
			}
			if err := write(state, manifest{dir: filepath.Join(state, "media"), plan: "p"}); err == nil {
				t.Error("no error")
			}
			if there, err := os.ReadDir(elsewhere); err != nil || len(there) > 0 {
				t.Errorf("%v was written where the link leads, %v", there, err)
			}
		})
	}
}

// TestManifestNamesItsFolder: the token of an entry names a folder below that of the manifest.
func TestManifestNamesItsFolder(t *testing.T) {
	m := manifest{dir: t.TempDir(), plan: "p"}
	for token, want := range map[string]bool{strings.Repeat("a", 32): true, "../../../../../../../../../../tm": false} {
		if err := writeJSON(m.path("h"), entry{Schema: manifestSchema, Plan: "p", Host: "h", Token: token}); err != nil {
			t.Fatal(err)
		}
		if _, ok := m.read("h"); ok != want {
			t.Errorf("token %q: read %v", token, ok)
		}
	}
}

// TestCertificateIsARegularFile: opening another thing may wait for ever.
func TestCertificateIsARegularFile(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "media-certificate.pem")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() {
		_, err := Certificate("", "", dir) // replaces what it cannot read
		done <- err
		_, err = Certificate(filepath.Join(dir, "none"), pipe, "")
		done <- err
	}()
	for _, wants := range []bool{true, false} {
		select {
		case err := <-done:
			if (err == nil) != wants {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("it waits for the other end of a pipe")
		}
	}
}

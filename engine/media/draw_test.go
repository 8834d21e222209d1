package media_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"esxiplan/engine/media"
	"esxiplan/engine/media/isosim"
)

// TestImagesDrawNothing: an image may come from anywhere, and what it names is shown.
func TestImagesDrawNothing(t *testing.T) {
	var image bytes.Buffer
	if err := isosim.Write(&image, isosim.Options{Version: "8.0.3", Build: "24674464"}); err != nil {
		t.Fatal(err)
	}
	evil := image.Bytes()
	for honest, other := range map[string]string{"ESXI-8.0.3-24674464": "ESXI-\x1b[31m-2467\x9b44\a", "S0.V09;1": "S0\x1bV09;1", "Version: 8.0": "Version: \x1b.0"} {
		if !bytes.Contains(evil, []byte(honest)) || len(honest) != len(other) {
			t.Fatalf("the image has no %q of this length", honest)
		}
		evil = bytes.ReplaceAll(evil, []byte(honest), []byte(other))
	}
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.iso"), filepath.Join(dir, "bad.iso")
	for name, content := range map[string][]byte{good: image.Bytes(), bad: evil} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	description, err := media.Describe(bad)
	if err != nil {
		t.Fatal(err)
	}
	report, err := media.Verify(bad, good)
	if err != nil {
		t.Fatal(err)
	}
	difference, err := media.Diff(good, bad)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprintf("%+v", description), fmt.Sprintf("%+v", report), fmt.Sprintf("%+v", difference)} {
		if strings.ContainsAny(shown, "\x1b\a") || !utf8.ValidString(shown) || !strings.Contains(shown, "\uFFFD") {
			t.Errorf("%q", shown)
		}
	}
}

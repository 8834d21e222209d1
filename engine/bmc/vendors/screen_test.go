package vendors_test

import (
	"bytes"
	"errors"
	"image/png"
	"net/http"
	"strings"
	"testing"

	"esxiplan/engine/bmc"
	"esxiplan/engine/bmc/bmcsim"
)

// TestScreen: what the machine's screen shows is read where the firmware offers that, and from
// no other; a dry run does not ask.
func TestScreen(t *testing.T) {
	shown := []string{"ESXi installer"}
	for _, p := range bmcsim.Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			s := bmcsim.New(bmcsim.Config{Profile: p, Clock: realClock{}, Username: "u", Password: "p", Serial: "SN1", Screen: func() []string { return shown }})
			if err := s.Serve("127.0.0.1:0"); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for _, dry := range []bool{false, true} {
				screen(t, s, p.Screen && !dry, dry)
			}
		})
	}
}

func screen(t *testing.T, s *bmcsim.Sim, offers, dry bool) {
	c := reader(t, bmc.Options{Address: "https://" + s.Address(), ReadOnly: dry})
	defer c.Close(t.Context())
	if _, err := c.Identity(t.Context()); err != nil { // logged in
		t.Fatal(err)
	}
	before := len(s.Requests())
	image, err := c.(bmc.Screener).Screen(t.Context())
	var unsupported *bmc.ErrUnsupported
	if offers != (err == nil) || err != nil && !errors.As(err, &unsupported) {
		t.Fatalf("dry %v: %d bytes, %v", dry, len(image), err)
	}
	for _, r := range s.Requests()[before:] {
		if dry && r.Method == http.MethodPost || r.Method == http.MethodPost && !strings.HasSuffix(r.Path, "ExportServerScreenShot") {
			t.Errorf("dry %v: %s %s", dry, r.Method, r.Path)
		}
	}
	if !offers {
		return
	}
	drawn, err := png.Decode(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	white, box := 0, drawn.Bounds()
	for x := range box.Dx() {
		for y := range box.Dy() {
			if r, _, _, _ := drawn.At(x, y).RGBA(); r > 0 {
				white++
			}
		}
	}
	if white == 0 {
		t.Error("the screen is empty")
	}
}

package media_test

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"esxiplan/engine/media"
	"esxiplan/engine/media/isosim"
)

// BenchmarkPersonalise is what one more host's image costs, with and without the
// look back at it.
func BenchmarkPersonalise(b *testing.B) {
	i := installer(b, isosim.Options{Modules: 239, Size: 1 << 10, RockRidge: true, Joliet: true})
	script := []byte("vmaccepteula\n")
	b.Run("build", func(b *testing.B) {
		for b.Loop() {
			if _, err := i.Personalise(script, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("build and check", func(b *testing.B) {
		for b.Loop() {
			image, err := i.Personalise(script, nil)
			if err != nil {
				b.Fatal(err)
			}
			if err := media.CheckImage(image, script); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkAdmission is what a request costs before the first byte is sent, by who makes it:
// a BMC of the plan, this machine, and a client that is refused.
func BenchmarkAdmission(b *testing.B) {
	path := source(b, isosim.Options{})
	for _, hosts := range []int{1, 200, 10000} {
		allow := []string{"198.51.100.0/24"}
		for i := range hosts {
			allow = append(allow, fmt.Sprintf("10.%d.%d.%d", i/65536, i/256%256, i%256))
		}
		s, err := media.NewServer(media.ServerOptions{Sockets: listen(b, false), State: b.TempDir(), Allow: allow})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(s.Close)
		r := request(path, "h")
		r.BMC = allow[hosts]
		p, err := s.Publish(b.Context(), r, recorded)
		if err != nil {
			b.Fatal(err)
		}
		for _, client := range []struct{ name, address string }{{"BMC", allow[hosts]}, {"network", "198.51.100.7"}, {"loopback", "127.0.0.1"}, {"stranger", "203.0.113.9"}} {
			b.Run(fmt.Sprintf("%d hosts/%s", hosts, client.name), func(b *testing.B) {
				ask := httptest.NewRequest("HEAD", p.URL, nil)
				ask.RemoteAddr = client.address + ":1234"
				b.ReportAllocs()
				for b.Loop() {
					s.ServeHTTP(httptest.NewRecorder(), ask)
				}
			})
		}
	}
}

package media_test

import (
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

package wait_test

import (
	"strings"
	"testing"
	"time"

	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/engine/step"
)

// TestUnchecked: a proof names each sign that it could not rest on, and no sign both ways.
func TestUnchecked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*bench)
		want   []string // beginnings; nil: everything was checked
	}{
		"everything was checked":              {func(b *bench) { b.read(loaded(3, 5)) }, nil},
		"an image that another server serves": {func(*bench) {}, []string{"that the image was read: neither this run"}},
		"an image that was fetched before":    {func(b *bench) { b.read(bout(-4, -1, 400e6)) }, []string{"that the image was read after the reset: the BMC has"}},
		"an image that was not read":          {func(b *bench) { b.read(loaded(-4, -1)) }, []string{"that the image was read after the reset: the server"}},
		"a machine that was off": {func(b *bench) {
			b.read(loaded(3, 5))
			b.fresh()
			b.restart(event.Snapshot{State: string(esxi.Silent)}, event.Done)
		}, []string{"the certificate: none is known"}},
		"no reset on record":          {unrecorded, []string{"that it is newer than a reset"}},
		"an image without a build":    {func(b *bench) { b.read(loaded(3, 5)); b.s.latest.Build = "" }, []string{"the build: the image does not state"}},
		"an ESXi without a boot date": {func(b *bench) { b.read(loaded(3, 5)); b.x.system.Booted = time.Time{} }, []string{"when it was booted"}},
		"an image of someone else":    {all(elsewhere, func(*bench) {}), []string{"the build: the image that the machine", "that the image was read: neither this run"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, step.Settings{})
			c.change(b)
			r, err := b.esxi(t)
			if err != nil || !r.Proven || len(r.Unchecked) != len(c.want) {
				t.Fatalf("%v, %v, unchecked: %q", r.Proven, err, r.Unchecked)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(r.Unchecked[i], want) {
					t.Errorf("unchecked: %q, want %q", r.Unchecked[i], want)
				}
			}
		})
	}
}

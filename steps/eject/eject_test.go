package eject_test

import (
	"testing"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/vendors"
	"esxiplan/steps/eject"
	"esxiplan/steps/steptest"
)

func TestEject(t *testing.T) {
	steptest.Run(t, eject.Type, vendors.All(), steptest.Case{Arguments: `{"force":false}`, Prepare: func(b *steptest.Bench) { b.Sim.Mount("http://192.0.2.1/left.iso") }})
}

// TestStrangersStick: a floppy or USB image that someone else mounted stays where it is,
// unless the plan asks for it; CDs are ejected either way.
func TestStrangersStick(t *testing.T) {
	const cd, stick = "http://192.0.2.1/left.iso", "http://192.0.2.7/drivers.img"
	tried := 0
	for _, p := range bmcsim.Profiles() {
		for _, all := range []string{"false", "true"} {
			b := steptest.NewBench(t, p)
			if !b.Sim.MountStick(stick) {
				continue
			}
			tried++
			b.Sim.Mount(cd)
			results, err := b.Flow(t, vendors.All(), steptest.Stage{Type: eject.Type, Arguments: `{"force":false,"all":` + all + `}`})
			if err != nil {
				t.Fatalf("%s: %v", p.Name, err)
			}
			if b.Sim.Holds(cd) || b.Sim.Holds(stick) == (all == "true") {
				t.Errorf("%s, all = %s: the CD is there: %v, the stick: %v (%s)", p.Name, all, b.Sim.Holds(cd), b.Sim.Holds(stick), results)
			}
		}
	}
	if tried == 0 {
		t.Error("no profile has a drive for floppies")
	}
}

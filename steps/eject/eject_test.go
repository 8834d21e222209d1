package eject_test

import (
	"testing"

	"esxiplan/engine/bmc/vendors"
	"esxiplan/steps/eject"
	"esxiplan/steps/steptest"
)

func TestEject(t *testing.T) {
	steptest.Run(t, eject.Type, vendors.All(), steptest.Case{Arguments: `{"force":false}`, Prepare: func(b *steptest.Bench) { b.Sim.Mount("http://192.0.2.1/left.iso") }})
}

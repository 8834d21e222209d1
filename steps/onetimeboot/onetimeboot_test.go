package onetimeboot_test

import (
	"testing"

	"esxiplan/engine/bmc/vendors"
	"esxiplan/steps/onetimeboot"
	"esxiplan/steps/steptest"
)

func TestOneTimeBoot(t *testing.T) {
	steptest.Run(t, onetimeboot.Type, vendors.All(), steptest.Case{Arguments: `{"target":"cd","power_off":false}`, Prepare: func(b *steptest.Bench) { b.Sim.Mount("http://192.0.2.1/x.iso") }})
}

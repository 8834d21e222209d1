package power_test

import (
	"testing"

	"esxiplan/engine/bmc/vendors"
	"esxiplan/steps/power"
	"esxiplan/steps/steptest"
)

func TestPowerOn(t *testing.T) {
	steptest.Run(t, power.Type, vendors.All(), steptest.Case{Arguments: `{"action":"on"}`})
}

func TestRestart(t *testing.T) {
	steptest.Run(t, power.Type, vendors.All(), steptest.Case{Arguments: `{"action":"restart"}`, Again: true})
}

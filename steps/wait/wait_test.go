package wait_test

import (
	"testing"

	"esxiplan/engine/bmc/vendors"
	"esxiplan/steps/steptest"
	"esxiplan/steps/wait"
)

func TestWaitForOff(t *testing.T) {
	steptest.Run(t, wait.Type, vendors.All(), steptest.Case{Arguments: `{"goal":"off"}`})
}

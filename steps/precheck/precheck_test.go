package precheck_test

import (
	"testing"

	"esxiplan/engine/bmc/vendors"
	"esxiplan/steps/precheck"
	"esxiplan/steps/steptest"
)

func TestPrecheck(t *testing.T) {
	steptest.Run(t, precheck.Type, vendors.All(), steptest.Case{Arguments: `{"use":true}`})
}

package insert_test

import (
	"testing"

	"esxiplan/engine/bmc/vendors"
	"esxiplan/steps/insert"
	"esxiplan/steps/steptest"
)

func TestInsert(t *testing.T) {
	steptest.Run(t, insert.Type, vendors.All(), steptest.Case{Arguments: `{"image":"http://192.0.2.1/x.iso","slot":null}`})
}

package precheck_test

import (
	"encoding/json"
	"strings"
	"testing"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/vendors"
	"esxiplan/steps/precheck"
	"esxiplan/steps/steptest"
)

func TestPrecheck(t *testing.T) {
	steptest.Run(t, precheck.Type, vendors.All(), steptest.Case{Arguments: `{"use":true}`})
}

// TestAfterPOST: where the firmware tells how far POST has come, what is looked at is what
// the machine has when all devices are found.
func TestAfterPOST(t *testing.T) {
	tried := 0
	for _, p := range bmcsim.Profiles() {
		if !strings.HasPrefix(p.Name, "hpe/") {
			continue
		}
		b := steptest.NewFaultyBench(t, p, true)
		b.Sim.Reboot()
		results, err := b.Flow(t, vendors.All(), steptest.Stage{Type: precheck.Type, Arguments: `{"use":false}`})
		if err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		var r precheck.Result
		if err := json.Unmarshal(results[0], &r); err != nil {
			t.Fatal(err)
		}
		if r.Post == "InPost" {
			t.Errorf("%s was looked into in POST", p.Name)
		}
		tried++
	}
	if tried == 0 {
		t.Error("no profile tells how far POST has come")
	}
}

package precheck_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/vendors"
	"esxiplan/engine/step"
	"esxiplan/steps/precheck"
	"esxiplan/steps/steptest"
)

func TestPrecheck(t *testing.T) {
	steptest.Run(t, precheck.Type, vendors.All(), steptest.Case{Arguments: `{"use":true}`})
}

// TestSecureBoot: a medium with parts for the first boot is refused before it is built, where
// Secure Boot is on.
func TestSecureBoot(t *testing.T) {
	p, err := bmcsim.Find("dell/idrac9")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ on, firstBoot, refused bool }{
		"on, and parts for the first boot": {true, true, true},
		"on, and no such parts":            {true, false, false},
		"off":                              {false, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := steptest.NewBench(t, p)
			b.Sim.SetSecureBoot(c.on)
			b.Settings.FirstBoot = c.firstBoot
			_, err := b.Flow(t, vendors.All(), steptest.Stage{Type: precheck.Type, Arguments: `{"use":false}`})
			refused(t, err, map[bool]string{true: "Secure Boot is on"}[c.refused])
		})
	}
}

// refused demands a refusal with this reason; "" is none.
func refused(t *testing.T, err error, reason string) {
	t.Helper()
	var r *step.Refusal
	switch {
	case reason == "" && err != nil:
		t.Errorf("refused: %v", err)
	case reason == "":
	case !errors.As(err, &r) || !strings.Contains(r.Reason, reason):
		t.Errorf("got %v, want a refusal about %q", err, reason)
	}
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

package onetimeboot_test

import (
	"strings"
	"testing"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/vendors"
	"esxiplan/engine/step"
	"esxiplan/steps/onetimeboot"
	"esxiplan/steps/steptest"
)

func TestOneTimeBoot(t *testing.T) {
	steptest.Run(t, onetimeboot.Type, vendors.All(), steptest.Case{Arguments: `{"target":"cd","power_off":false}`, Prepare: func(b *steptest.Bench) { b.Sim.Mount("http://192.0.2.1/x.iso") }})
}

func continuousBench(t *testing.T, faults ...bmcsim.Fault) *steptest.Bench {
	t.Helper()
	p, err := bmcsim.Find("redfish/continuous")
	if err != nil {
		t.Fatal(err)
	}
	b := steptest.NewFaultyBench(t, p, false, faults...)
	b.Sim.Mount("http://192.0.2.1/x.iso")
	return b
}

func set(target string) steptest.Stage {
	return steptest.Stage{Type: onetimeboot.Type, Arguments: `{"target":"` + target + `","power_off":false}`}
}

// TestContinuousDisk: an override that boots the disk starts no installer, again or not.
func TestContinuousDisk(t *testing.T) {
	b := continuousBench(t)
	b.Place = step.Place{}
	for range 2 {
		if _, err := b.Flow(t, vendors.All(), set("disk")); err != nil {
			t.Fatal(err)
		}
	}
}

// TestContinuousStays: a run that cannot take a continuous override away in time is refused,
// also where it finds the override set already.
func TestContinuousStays(t *testing.T) {
	b := continuousBench(t)
	stage := set("cd")
	stage.After = func() { b.Place = step.Place{} }
	_, err := b.Flow(t, vendors.All(), stage, set("cd"))
	if err == nil || !strings.Contains(err.Error(), "knows only a continuous boot source override") {
		t.Errorf("got %v", err)
	}
	if writes := b.Sim.Writes(); !strings.Contains(writes[len(writes)-1].Body, "None") && !strings.Contains(writes[len(writes)-1].Body, "Hdd") {
		t.Errorf("the override stays: %v", writes)
	}
}

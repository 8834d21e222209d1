package precheck_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/vendors"
	"esxiplan/engine/esxi"
	"esxiplan/engine/esxi/esxisim"
	"esxiplan/engine/step"
	"esxiplan/schema"
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

// TestRemoteLUNs: a disk that is taken at the plan's word is refused where the running ESXi sees
// LUNs of a storage network.
func TestRemoteLUNs(t *testing.T) {
	p, err := bmcsim.Find("dell/idrac9")
	if err != nil {
		t.Fatal(err)
	}
	luns := []esxisim.LUN{esxisim.RemoteLUN()}
	for name, c := range map[string]struct {
		system    esxisim.Config
		confirmed bool
		want      string
	}{
		"none":                   {esxisim.Config{}, false, ""},
		"seen":                   {esxisim.Config{LUNs: luns}, false, "the running ESXi sees LUNs of a storage network (naa.600a"},
		"seen, a confirmed disk": {esxisim.Config{LUNs: luns}, true, ""},
		"hidden":                 {esxisim.Config{LUNs: luns, HidesLUNs: true}, false, ""},
		"seen, and use allowed":  {esxisim.Config{LUNs: luns, VCenter: "10.0.0.5"}, false, "wwn 5001000000000001 is not confirmed"},
	} {
		t.Run(name, func(t *testing.T) {
			b := steptest.NewFaultyBench(t, p, true)
			wwn := "5001000000000001"
			b.ESXi = &schema.ESXi{Address: "192.0.2.11", Disk: &schema.Disk{WWN: &wwn, Confirm: &c.confirmed}}
			b.Settings.Installs, b.System = true, running(t, c.system)
			_, err := b.Flow(t, vendors.All(), steptest.Stage{Type: precheck.Type, Arguments: `{"use":true}`})
			refused(t, err, c.want)
		})
	}
}

// running is the door to an ESXi on the machine of a bench.
func running(t *testing.T, c esxisim.Config) esxi.Client {
	t.Helper()
	sim, err := esxisim.Start("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	c.Version, c.Build, c.Serial = "8.0.3", "24022510", "SN1"
	c.Accepts = func(password string) bool { return password == "right" }
	if _, err := sim.Boot(c); err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, sim.Address())
	}
	return esxi.Open(esxi.Options{Address: "192.0.2.11", Dial: dial, Current: &esxi.Login{Username: "root", Password: "right"}})
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

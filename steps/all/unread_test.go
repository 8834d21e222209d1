package all_test

import (
	"strings"
	"testing"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/vendors"
	"esxiplan/schema"
	"esxiplan/steps/steptest"
)

// TestStorageUnread: a BMC that answers one request for its storage with an error blocks only
// a host whose disk it must confirm, and names the request; an error that passes blocks none.
func TestStorageUnread(t *testing.T) {
	t.Parallel()
	p, err := bmcsim.Find("redfish/standard")
	if err != nil {
		t.Fatal(err)
	}
	never := false
	for name, c := range map[string]struct {
		confirm *bool
		count   int
		fails   string
	}{
		"confirm = false":          {&never, 0, ""},
		"confirmed":                {nil, 0, "GET /redfish/v1/Systems/437XR1138R2/Storage/NVMe/Drives/0: 500 InternalError"},
		"confirmed, and it passes": {nil, 6, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := steptest.NewFaultyBench(t, p, true, bmcsim.Fault{Kind: "status", Status: 500, Message: "Base.1.8.InternalError", Path: "/Drives/", Count: c.count})
			serial := "S1"
			b.ESXi = &schema.ESXi{Disk: &schema.Disk{Serial: &serial, Confirm: c.confirm}}
			_, err := b.Flow(t, vendors.All(), flow(image(p))...)
			if (err == nil) != (c.fails == "") || err != nil && (!strings.Contains(err.Error(), c.fails) || !strings.Contains(err.Error(), "confirm = false")) {
				t.Errorf("%v, want %q", err, c.fails)
			}
			if resets, _ := b.Sim.Effects(); (resets > 0) != (c.fails == "") {
				t.Errorf("%d resets", resets)
			}
		})
	}
}

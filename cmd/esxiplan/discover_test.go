package main

import "testing"

// TestSystemAtAddresses: --system names the computer system of every address.
func TestSystemAtAddresses(t *testing.T) {
	hosts, err := hostsAt([]string{"10.0.0.1", "10.0.0.4/31"}, &discoverFlags{system: "Node0"}, "secret")
	if err != nil || len(hosts) != 3 {
		t.Fatalf("%d hosts, %v", len(hosts), err)
	}
	for _, h := range hosts {
		if h.BMC.System == nil || *h.BMC.System != "Node0" {
			t.Errorf("%s: %v", h.Name, h.BMC.System)
		}
	}
}

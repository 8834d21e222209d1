package twin

import (
	"strings"
	"testing"
)

const faultPlan = `
plan "faults" {}
group "g" {
  vendor = "auto"
  bmc {
    username = "root"
    password = "calvin"
    tls      = { verify = false }
  }
  host "bare" {
    bmc { address = "198.51.100.1" }
  }
  host "full" {
    serial = "SN1"
    bmc { address = "198.51.100.2" }
    esxi {
      address       = "192.0.2.12"
      netmask       = "255.255.255.0"
      gateway       = "192.0.2.1"
      nic           = "B4:96:91:00:00:0D"
      disk          = { model = "MTFDKBA480TFR" }
      root_password = "Test-password-1x"
      current       = { username = "root", password = "Test-password-1x" }
    }
  }
  host "other" {
    bmc { address = "198.51.100.3" }
    esxi {
      address       = "192.0.2.13"
      netmask       = "255.255.255.0"
      gateway       = "192.0.2.1"
      nic           = "vmnic0"
      disk          = { serial = "S1" }
      root_password = "Test-password-1x"
    }
  }
}
`

// TestFaultsThatShowNothing: trouble that a host cannot show is an error that says why and
// what to do; for every host, only where no host can show it.
func TestFaultsThatShowNothing(t *testing.T) {
	p := load(t, faultPlan)
	profiles := map[string]string{"bare": "redfish/standard", "full": "dell/idrac9", "other": "hpe/ilo6"}
	for spec, want := range map[string]string{
		"bare=wrong-serial":    "--fault bare=wrong-serial does nothing on host bare: the plan gives no serial number, so that nothing would be noticed; give the host a serial",
		"full=wrong-serial":    "",
		"wrong-serial":         "",
		"bare=busy":            "does nothing on host bare: the plan gives it no esxi block",
		"bare=unknown-use":     "no esxi block",
		"bare=other-machine":   "no esxi block",
		"other=other-machine":  "no ESXi answers there at the start; give esxi.current",
		"other=busy":           "",
		"bare=remote-luns":     "no esxi block",
		"other=remote-luns":    "no login to look into its ESXi; give esxi.current",
		"full=remote-luns":     "",
		"full=other-machine":   "",
		"bare=no-nic":          "no esxi block",
		"other=no-nic":         "names no network port by its MAC address; give esxi.nic",
		"full=no-nic":          "",
		"other=two-disks":      "does not name its disk by model",
		"full=two-disks":       "",
		"other=no-disk":        "",
		"bare=no-disk":         "no esxi block",
		"full=lockdown":        "",
		"other=lockdown":       "the firmware hpe/ilo6 has no lockdown; --profile other=… chooses another, of which these show it: dell/",
		"bare=no-license":      "does not show its license",
		"other=no-license":     "",
		"other=not-ready":      "does not report whether it is ready",
		"full=not-ready":       "",
		"full=half-image":      "the firmware dell/idrac9 reads the image while the machine runs, and fetches nothing whole at an insert; --profile full=… chooses another, of which these show it: redfish/emulator",
		"half-image":           "--fault half-image does nothing on any of the 3 hosts; on bare: the firmware redfish/standard",
		"keeps-override":       "of which these show it: redfish/continuous, redfish/emulator",
		"lockdown":             "",
		"full=meteor":          "there is no fault",
		"nobody=busy":          "the plan has no host",
		"bare=loop":            "",
		"bare=lost-login":      "",
		"bare=dead-bmc":        "",
		"other=late-on":        "",
		"other=keeps-override": "boots once, and then clears the boot override itself",
	} {
		_, err := assign(p, p.Hosts(), Options{Faults: []string{spec}, Profiles: profiles})
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", spec, err, want)
		}
	}
}

// TestFaultsTogether: what one fault brings about, another may need.
func TestFaultsTogether(t *testing.T) {
	p := load(t, faultPlan)
	out, err := assign(p, p.Hosts(), Options{Faults: []string{"other=other-machine", "other=busy"}})
	if err != nil || !out["other"]["busy"] || !out["other"]["other-machine"] || out["full"]["busy"] {
		t.Errorf("%v, %v", out, err)
	}
	profiles := map[string]string{"bare": "redfish/emulator"}
	if _, err := assign(p, p.Hosts(), Options{Faults: []string{"bare=half-image"}, Profiles: profiles}); err != nil {
		t.Error(err)
	}
}

// TestModuleSize: a fault of any host asks for the images that it needs to show.
func TestModuleSize(t *testing.T) {
	for faults, want := range map[string]int{"": 0, "hang h1=loop": 0, "half-image": 1 << 20, "hang h1=half-image loop": 1 << 20, "not-half-image": 0} {
		if got := ModuleSize(strings.Fields(faults)); got != want {
			t.Errorf("%q: %d, want %d", faults, got, want)
		}
	}
	for kind := range moduleSizes {
		if FaultKinds[kind] == "" {
			t.Errorf("there is no fault %q", kind)
		}
	}
}

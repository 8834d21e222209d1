package vendors_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"esxiplan/engine/bmc"
	"esxiplan/engine/bmc/bmcsim"
)

// facts reads a simulated machine of a profile.
func facts(t *testing.T, profile string, check func(t *testing.T, c bmc.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := stationOf(t, bmcsim.Config{Profile: find(t, profile),
			Disks: []bmcsim.Disk{{Model: "VD", Bytes: 480e9, Boot: true}, {Model: "MZVL2256HCHQ", Serial: "S1", Bytes: 256e9}},
			MACs:  []string{"B4:96:91:A7:3F:D6", "B4:96:91:A7:3F:D7"}}, &sessionLog{})
		c := s.process(t, nil)
		check(t, c)
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestDrivesBehindRAID: a volume that bears no name can be selected by what ESXi shows; the
// drives that a RAID controller hides say so.
func TestDrivesBehindRAID(t *testing.T) {
	facts(t, "dell/idrac9-perc", func(t *testing.T, c bmc.Client) {
		stock, err := c.Inventory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range stock.Disks {
			argument, value := d.Selector(stock.Disks)
			got = append(got, fmt.Sprintf("%s: %s%s %s", d.Name, d.RAID, d.State, strings.TrimSpace(argument+" "+value)))
		}
		want := []string{
			"Virtual Disk 0: RAID1 model PERC H740P Adp",
			"Physical Disk 0:1:0: member of volume Virtual Disk 0 ", "Physical Disk 0:1:1: member of volume Virtual Disk 0 ",
			"Physical Disk 0:1:2: hot spare ", "Physical Disk 0:1:3: unconfigured, in no volume ", "Physical Disk 0:1:4: foreign ",
			"Physical Disk 0:1:5:  serial RAID5", "Drive in bay 1:  serial S1",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestBootModeOfBIOS: where the system shows no boot mode, or that of the last override, the
// BIOS shows it.
func TestBootModeOfBIOS(t *testing.T) {
	for _, profile := range []string{"ami/gigabyte", "hpe/ilo5-nomode"} {
		facts(t, profile, func(t *testing.T, c bmc.Client) {
			if b, err := c.Boot(t.Context()); err != nil || b.Mode != "UEFI" {
				t.Errorf("%s: %+v, %v", profile, b, err)
			}
		})
	}
}

// TestUnsaidMedia: esxiplan does not enable remote media that no property reports as off.
func TestUnsaidMedia(t *testing.T) {
	for profile, want := range map[string]string{"ami/gigabyte": "", "ami/megarac": "remote media", "ami/megarac-nocd": "remote media, virtual CDs"} {
		facts(t, profile, func(t *testing.T, c bmc.Client) {
			slots, err := c.Slots(t.Context())
			if err != nil || len(slots) == 0 || !slots[0].CD {
				t.Fatalf("%s: %+v, %v", profile, slots, err)
			}
			needs, err := c.Preparations(t.Context(), slots[0], "")
			var got []string
			for _, p := range needs {
				got = append(got, p.Target)
			}
			if err != nil || strings.Join(got, ", ") != want {
				t.Errorf("%s: %v, %v", profile, got, err)
			}
		})
	}
}

// TestFirmwareNotMaker: the vendor is that of the firmware, the system the one that can be
// reset, and a slot that can only be emptied takes nothing.
func TestFirmwareNotMaker(t *testing.T) {
	facts(t, "openbmc/gb300", func(t *testing.T, c bmc.Client) {
		id, err := c.Identity(t.Context())
		if err != nil || id.Vendor != "openbmc" || id.Manufacturer != "Supermicro" || id.Model != "GB NVL" || id.System != "System_0" {
			t.Errorf("%+v, %v", id, err)
		}
		slots, err := c.Slots(t.Context())
		var takes []string
		for _, s := range slots {
			if s.CD {
				takes = append(takes, s.ID)
			}
		}
		if err != nil || !slices.Equal(takes, []string{"USB1", "USB2"}) {
			t.Errorf("%v, %v", takes, err)
		}
	})
}

// TestUplinks: the host's ports are the functions of its adapter; uplinks, ports of a storage
// network and slots without a card are not the host's.
func TestUplinks(t *testing.T) {
	facts(t, "cisco/imc", func(t *testing.T, c bmc.Client) {
		n, err := c.Network(t.Context())
		var got []string
		for _, nic := range n.NICs {
			got = append(got, nic.MAC+" port "+nic.Port)
		}
		if want := []string{"B4:96:91:A7:3F:D6 port 1", "B4:96:91:A7:3F:D7 port 2"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v", got, err)
		}
		stock, err := c.Inventory(t.Context())
		if err != nil || len(stock.Disks) != 2 {
			t.Errorf("%+v, %v", stock.Disks, err)
		}
	})
}

// TestDoubledSlots: a drive under system and manager is shown as one, and can be tried as both.
func TestDoubledSlots(t *testing.T) {
	facts(t, "lenovo/xcc", func(t *testing.T, c bmc.Client) {
		slots, err := c.Slots(t.Context())
		if shown := bmc.Distinct(slots); err != nil || len(slots) != 20 || len(shown) != 10 {
			t.Errorf("%d slots, %d of them shown, %v", len(slots), len(shown), err)
		}
	})
}

// static serves documents that never change; others are not there, or fail as the document
// says: "400".
func static(t *testing.T, documents map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := documents[strings.TrimSuffix(r.URL.Path, "/")]
		switch {
		case !ok:
			http.NotFound(w, r)
		case body == "400":
			http.Error(w, "<html>", http.StatusBadRequest)
		default:
			fmt.Fprint(w, body)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestNoManager: facts of a system without a manager come from what exists, and every driver
// reports what is missing once.
func TestNoManager(t *testing.T) {
	for _, root := range []string{`"Oem":{"Hpe":{}}`, `"Oem":{"Dell":{}}`, `"Oem":{"Lenovo":{}}`, `"Oem":{"Supermicro":{}}`, `"Oem":{"Ami":{}}`, `"Name":"x"`} {
		var warned []string
		c := reader(t, bmc.Options{ReadOnly: true, Warn: func(text string) { warned = append(warned, text) }, Address: static(t, map[string]string{
			"/redfish/v1":               `{"Systems":{"@odata.id":"/redfish/v1/Systems"},"Managers":{"@odata.id":"/redfish/v1/Managers"},` + root + `}`,
			"/redfish/v1/Systems":       `{"Members":[{"@odata.id":"/redfish/v1/Systems/Node0"}]}`,
			"/redfish/v1/Systems/Node0": `{"Id":"Node0","Model":"EX","SerialNumber":"S1","PowerState":"On"}`,
			"/redfish/v1/Managers":      `{"Members":[{"@odata.id":"/redfish/v1/Managers/A"},{"@odata.id":"/redfish/v1/Managers/B"}]}`,
			"/redfish/v1/Managers/A":    `{"Id":"A","Model":"A","Links":{"ManagerForServers":[{"@odata.id":"/redfish/v1/Systems/Node1"}]}}`,
			"/redfish/v1/Managers/B":    `{"Id":"B"}`,
		})})
		got := summary(t.Context(), c)
		for _, want := range []string{"EX | serial \"S1\"", "slots        0", "On, post", "license      \"\" media unknown"} {
			if !strings.Contains(got, want) || strings.Contains(got, "error") {
				t.Errorf("%s: %q is missing in\n%s", root, want, got)
			}
		}
		if len(warned) == 0 || !strings.Contains(warned[len(warned)-1], "which manager the computer system Node0 has") {
			t.Errorf("%s: warned %q", root, warned)
		}
	}
}

// TestManagerByItsServers: a system that links to no manager is managed by the one that
// names it.
func TestManagerByItsServers(t *testing.T) {
	c := reader(t, bmc.Options{ReadOnly: true, Warn: func(string) {}, Address: static(t, map[string]string{
		"/redfish/v1":               `{"Systems":{"@odata.id":"/redfish/v1/Systems"},"Managers":{"@odata.id":"/redfish/v1/Managers"}}`,
		"/redfish/v1/Systems":       `{"Members":[{"@odata.id":"/redfish/v1/Systems/Node0"}]}`,
		"/redfish/v1/Systems/Node0": `{"Id":"Node0"}`,
		"/redfish/v1/Managers":      `{"Members":[{"@odata.id":"/redfish/v1/Managers/A"},{"@odata.id":"/redfish/v1/Managers/B"}]}`,
		"/redfish/v1/Managers/A":    `{"Id":"A","Model":"A"}`,
		"/redfish/v1/Managers/B":    `{"Id":"B","Model":"iLO 5","FirmwareVersion":" iLO 5 v2.46 ","Links":{"ManagerForServers":[{"@odata.id":"/redfish/v1/Systems/Node0/"}]}}`,
	})})
	if id, err := c.Identity(t.Context()); err != nil || id.Generation != "iLO 5" || id.Firmware != "v2.46" {
		t.Errorf("%+v, %v", id, err)
	}
}

// TestLicenseUnknown: a wrong or missing answer of the license service means unknown: no
// refusal, and no failure.
func TestLicenseUnknown(t *testing.T) {
	for _, answer := range []string{"400", "<html>", `[]`, `{"Licenses":{"@odata.id":"/redfish/v1/missing"}}`, `{"Licenses":{"@odata.id":"/redfish/v1/L"}}`} {
		c := reader(t, bmc.Options{ReadOnly: true, Warn: func(string) {}, Address: static(t, map[string]string{
			"/redfish/v1":                `{"Systems":{"@odata.id":"/redfish/v1/Systems"},"LicenseService":{"@odata.id":"/redfish/v1/LicenseService"},"Oem":{"Dell":{}}}`,
			"/redfish/v1/Systems":        `{"Members":[{"@odata.id":"/redfish/v1/Systems/1"}]}`,
			"/redfish/v1/Systems/1":      `{"Id":"1"}`,
			"/redfish/v1/LicenseService": answer,
			"/redfish/v1/L":              `{"Members":[{"@odata.id":"/redfish/v1/L/1"},{"@odata.id":"/redfish/v1/L/2"}]}`,
			"/redfish/v1/L/1":            `{"Id":"1","Name":"Secure Enterprise Key Manager"}`,
			"/redfish/v1/L/2":            `{"Id":"2"}`,
		})})
		l, err := c.License(t.Context())
		if err != nil || l.Media != nil || l.Name != "" && !strings.Contains(answer, "/L\"") { // one for keys says nothing of media
			t.Errorf("%s: %+v, %v", answer, l, err)
		}
	}
}

// TestVLANs: what carries a VLAN is no port of its own where the port is listed, too.
func TestVLANs(t *testing.T) {
	c := reader(t, bmc.Options{ReadOnly: true, Warn: func(string) {}, Address: static(t, map[string]string{
		"/redfish/v1":           `{"Systems":{"@odata.id":"/redfish/v1/Systems"}}`,
		"/redfish/v1/Systems":   `{"Members":[{"@odata.id":"/redfish/v1/Systems/1"}]}`,
		"/redfish/v1/Systems/1": `{"Id":"1","EthernetInterfaces":{"@odata.id":"/redfish/v1/E"}}`,
		"/redfish/v1/E": `{"Members":[{"@odata.id":"/redfish/v1/E/1","Id":"eth0_10","MACAddress":"00:00:00:00:00:01","VLAN":{"VLANEnable":true,"VLANId":10}},
			{"@odata.id":"/redfish/v1/E/2","Id":" eth0 ","MACAddress":"00:00:00:00:00:01","VLAN":{"VLANEnable":false}},
			{"@odata.id":"/redfish/v1/E/3","Id":"bond0","MACAddress":"00:00:00:00:00:03","EthernetInterfaceType":"Virtual"},
			{"@odata.id":"/redfish/v1/E/4","Id":"eth1","MACAddress":"00:00:00:00:00:04","VLAN":{"VLANEnable":true,"VLANId":20}}]}`,
	})})
	stock, err := c.Inventory(t.Context())
	var got []string
	for _, n := range stock.NICs {
		got = append(got, n.ID)
	}
	if err != nil || !slices.Equal(got, []string{"eth0", "eth1"}) {
		t.Errorf("%q, %v", got, err)
	}
}

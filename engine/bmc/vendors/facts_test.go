package vendors_test

import (
	"fmt"
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
// drives that a RAID controller keeps to itself say so.
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
// BIOS tells it.
func TestBootModeOfBIOS(t *testing.T) {
	for _, profile := range []string{"ami/gigabyte", "hpe/ilo5-nomode"} {
		facts(t, profile, func(t *testing.T, c bmc.Client) {
			if b, err := c.Boot(t.Context()); err != nil || b.Mode != "UEFI" {
				t.Errorf("%s: %+v, %v", profile, b, err)
			}
		})
	}
}

// TestUnsaidMedia: remote media of which nothing says that it is off is not enabled.
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
// network and slots without a card are nothing of the host's.
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

// TestDoubledSlots: a drive under system and manager is one.
func TestDoubledSlots(t *testing.T) {
	facts(t, "lenovo/xcc", func(t *testing.T, c bmc.Client) {
		if slots, err := c.Slots(t.Context()); err != nil || len(slots) != 10 {
			t.Errorf("%d slots, %v", len(slots), err)
		}
	})
}

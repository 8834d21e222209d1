package esxi_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"esxiplan/engine/descriptor"
	"esxiplan/engine/esxi"
	"esxiplan/engine/esxi/esxisim"
)

// inspect looks into the running ESXi.
func inspect(t *testing.T, c esxi.Client) esxi.System {
	t.Helper()
	defer c.Close()
	p, err := c.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	system, err := c.Inspect(t.Context(), esxi.Current, p.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	return system
}

// TestRemoteLUNs: disks over a storage network are listed, once each; devices inside the
// machine, and devices that are no disks, are not.
func TestRemoteLUNs(t *testing.T) {
	disk := func(transport types.BaseHostTargetTransport) esxisim.LUN {
		return esxisim.LUN{Name: "naa.6001", Vendor: "ACME    ", Model: "Array  LUN", Bytes: 2e12, Transport: transport}
	}
	nvme := func(transport types.HostNvmeTransportType) esxisim.LUN {
		l := disk(nil)
		l.Name, l.NVMe = "eui.01", transport
		return l
	}
	tape := disk(&types.HostFibreChannelTargetTransport{})
	tape.Type = "tape"
	both := disk(&types.HostTcpTargetTransport{})
	both.NVMe = types.HostNvmeTransportTypeTcp
	for name, c := range map[string]struct {
		version string
		lun     esxisim.LUN
		want    string
	}{
		"Fibre Channel":           {"8.0.3", disk(&types.HostFibreChannelTargetTransport{}), "naa.6001 (ACME Array LUN, 2000 GB, over Fibre Channel)"},
		"FCoE":                    {"8.0.3", disk(&types.HostFibreChannelOverEthernetTargetTransport{}), "naa.6001 (ACME Array LUN, 2000 GB, over FCoE)"},
		"iSCSI":                   {"8.0.3", disk(&types.HostInternetScsiTargetTransport{}), "naa.6001 (ACME Array LUN, 2000 GB, over iSCSI)"},
		"iSCSI, of an old ESXi":   {"6.5.0", disk(&types.HostInternetScsiTargetTransport{}), "naa.6001 (ACME Array LUN, 2000 GB, over iSCSI)"},
		"RDMA":                    {"8.0.3", disk(&types.HostRdmaTargetTransport{}), "naa.6001 (ACME Array LUN, 2000 GB, over RDMA)"},
		"TCP, in both topologies": {"8.0.3", both, "naa.6001 (ACME Array LUN, 2000 GB, over TCP)"},
		"NVMe over Fibre Channel": {"7.0.3", nvme(types.HostNvmeTransportTypeFibreChannel), "eui.01 (ACME Array LUN, 2000 GB, over Fibre Channel)"},
		"NVMe over RDMA":          {"7.0.3", nvme(types.HostNvmeTransportTypeRdma), "eui.01 (ACME Array LUN, 2000 GB, over RDMA)"},
		"NVMe within the machine": {"7.0.3", nvme(types.HostNvmeTransportTypePcie), ""},
		"SAS":                     {"8.0.3", disk(&types.HostSerialAttachedTargetTransport{}), ""},
		"SATA":                    {"8.0.3", disk(&types.HostBlockAdapterTargetTransport{}), ""},
		"no transport":            {"8.0.3", disk(nil), ""},
		"a tape drive":            {"8.0.3", tape, ""},
	} {
		t.Run(name, func(t *testing.T) {
			system := config()
			system.Version, system.LUNs = c.version, []esxisim.LUN{c.lun}
			if got := strings.Join(inspect(t, open(start(t, system), nil, "right", "right")).LUNs, "; "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestManyLUNs: the list stays short, whatever an ESXi says.
func TestManyLUNs(t *testing.T) {
	system := config()
	for i := range 300 {
		l := esxisim.RemoteLUN()
		l.Name, l.Model = fmt.Sprint("naa.", i), "\u202e"+strings.Repeat("x", 500)
		system.LUNs = append(system.LUNs, l)
	}
	got := inspect(t, open(start(t, system), nil, "right", "right")).LUNs
	if len(got) != 9 || got[8] != "292 more" || slices.ContainsFunc(got, func(s string) bool { return len([]rune(s)) > 121 || strings.Contains(s, "\u202e") }) {
		t.Errorf("%d: %q", len(got), got)
	}
}

// TestHiddenLUNs: what the user may not read is unknown, and hides nothing else.
func TestHiddenLUNs(t *testing.T) {
	system := config()
	system.LUNs, system.HidesLUNs, system.VMs = []esxisim.LUN{esxisim.RemoteLUN()}, true, []string{"a"}
	if got := inspect(t, open(start(t, system), nil, "right", "right")); got.LUNs != nil || got.Busy() == "" {
		t.Errorf("%+v", got)
	}
}

// TestUnreadableLUNs: if the ESXi does not say how its storage is attached, all else is
// known; if it knows no NVMe topology, or does not say what the LUNs are, they are still
// listed.
func TestUnreadableLUNs(t *testing.T) {
	for property, want := range map[string]string{
		"scsiTopology": "", "scsiLun": "LUN 0 of target 0 (over Fibre Channel)",
		"nvmeTopology": "naa.600a098038313372465d4f2f4a6b7131 (NETAPP LUN C-Mode, 2199 GB, over Fibre Channel)",
	} {
		system := config()
		system.LUNs = []esxisim.LUN{esxisim.RemoteLUN()}
		c := betweenSim(t, system, func(asked string, w http.ResponseWriter, body []byte) ([]byte, bool) {
			if strings.Contains(asked, "storageDevice."+property) {
				return []byte("<html>"), false
			}
			return body, false
		})
		got := inspect(t, c)
		if got.UUID != system.UUID || strings.Join(got.LUNs, "; ") != want {
			t.Errorf("%s: %+v", property, got)
		}
	}
}

// TestVersions: only requests of version 7.0 of the API are sent in it.
func TestVersions(t *testing.T) {
	system, later := config(), 0
	system.LUNs = []esxisim.LUN{esxisim.RemoteLUN()}
	inspect(t, betweenSim(t, system, func(asked string, _ http.ResponseWriter, body []byte) ([]byte, bool) {
		is, should := strings.HasPrefix(asked, "urn:vim25/7.0\n"), strings.Contains(asked, "nvmeTopology")
		if is != should {
			t.Errorf("asked in version 7.0: %v, %s", is, asked)
		}
		if is {
			later++
		}
		return body, false
	}))
	if later != 1 {
		t.Errorf("version 7.0 was used %d times", later)
	}
}

// TestNoDescriptorsForLUNs: at whatever point this process cannot open connections any more, LUNs
// are listed or the look fails; they are not reported as unknown.
func TestNoDescriptorsForLUNs(t *testing.T) {
	system := config()
	system.LUNs = []esxisim.LUN{esxisim.RemoteLUN()}
	s := start(t, system)
	dials, refusals := 0, 0
	for fails := 1; dials >= fails-1; fails++ {
		dials = 0
		dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
			if dials++; dials >= fails {
				return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("socket", syscall.EMFILE)}
			}
			return (&net.Dialer{}).DialContext(ctx, network, s.Address())
		}
		c := esxi.Open(esxi.Options{Address: "192.0.2.11", Dial: dial, Current: &esxi.Login{Username: "root", Password: "right"}, Brief: true})
		p, err := c.Probe(t.Context())
		var got esxi.System
		if err == nil {
			got, err = c.Inspect(t.Context(), esxi.Current, p.Fingerprint)
		}
		if descriptor.Exhausted(err) {
			refusals++
		} else if err != nil || len(got.LUNs) != 1 {
			t.Errorf("no descriptor from connection %d on: %v, LUNs %q", fails, err, got.LUNs)
		}
		c.Close()
	}
	if refusals < 3 {
		t.Errorf("only %d looks failed", refusals)
	}
}

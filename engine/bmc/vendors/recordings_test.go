package vendors_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"esxiplan/engine/bmc"
	"esxiplan/engine/bmc/vendors"
)

// recordings are answers of real BMCs. They lie beside the project where it is
// developed and in CI, and are not part of it.
func recordings(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", "..", "shared", "bmc-recordings"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("the recordings of real BMCs are missing, which CI must have: %v", err)
		}
		t.Skip("the recordings of real BMCs are not here")
	}
	return dir
}

// replay serves a recorded tree: GET only, and a session that the tree does not hold.
func replay(t *testing.T, dir string) *httptest.Server {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.Trim(r.URL.Path, "/")
		switch {
		case r.Method == http.MethodPost && strings.HasSuffix(path, "Sessions"):
			w.Header().Set("X-Auth-Token", "recorded")
			w.Header().Set("Location", "/redfish/v1/SessionService/Sessions/1")
			w.WriteHeader(http.StatusCreated)
			return
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
			return
		}
		body, err := document(dir, path, strings.Contains(r.URL.RawQuery, "expand"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	}))
	t.Cleanup(s.Close)
	return s
}

// document finds a recorded resource without regard to case, as some BMCs link
// to their own documents in another spelling.
func document(dir, path string, expand bool) ([]byte, error) {
	places := []string{dir}
	for part := range strings.SplitSeq(path, "/") {
		var next []string
		for _, at := range places {
			entries, _ := os.ReadDir(at)
			for _, e := range entries {
				if strings.EqualFold(e.Name(), part) {
					next = append(next, filepath.Join(at, e.Name()))
				}
			}
		}
		places = next
	}
	for _, at := range places {
		if body, err := os.ReadFile(filepath.Join(at, "index.json")); err == nil {
			if expand {
				return expanded(dir, body)
			}
			return body, nil
		}
	}
	return nil, os.ErrNotExist
}

func expanded(dir string, body []byte) ([]byte, error) {
	var doc map[string]any
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, err
	}
	members, _ := doc["Members"].([]any)
	for i, m := range members {
		link, _ := m.(map[string]any)["@odata.id"].(string)
		if b, err := document(dir, strings.Trim(link, "/"), false); err == nil {
			members[i] = json.RawMessage(b)
		}
	}
	return json.Marshal(doc)
}

// summary is what the drivers read of one machine.
func summary(t *testing.T, url string) string {
	t.Helper()
	ctx := context.Background()
	c, err := bmc.Open(bmc.Options{Address: url, Username: "u", Password: "p", Trust: bmc.Trust{Off: true}, Vendors: vendors.All(),
		Record: func(context.Context, bmc.Write) error { t.Error("something was written"); return os.ErrPermission }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	var b strings.Builder
	id, err := c.Identity(ctx)
	fmt.Fprintf(&b, "%s | %s | serial %s | %s %s %v\n", id.Vendor, id.Model, id.Serial, id.Generation, id.Firmware, err)
	power, err := c.Power(ctx)
	fmt.Fprintf(&b, "power %s, off %v, restart %v %v\n", power.State, power.Allows(bmc.ResetForceOff), power.Allows(bmc.ResetForceRestart), err)
	boot, err := c.Boot(ctx)
	fmt.Fprintf(&b, "boot %s mode %q %v\n", boot, boot.Mode, err)
	slots, err := c.Slots(ctx)
	fmt.Fprintf(&b, "slots %d %v:", len(slots), err)
	for _, s := range slots {
		if s.CD {
			fmt.Fprintf(&b, " %s/%s", s.Place, s.ID)
		}
		if s.Loaded {
			b.WriteString("(loaded)")
		}
	}
	stock, err := c.Inventory(ctx)
	fmt.Fprintf(&b, "\nnics %d, disks %d %v\n", len(stock.NICs), len(stock.Disks), err)
	for i, d := range stock.Disks {
		if i < 4 {
			fmt.Fprintf(&b, "  %s | %s | %v | %d GB | volume %v\n", d.Model, d.Serial, d.WWN, d.Bytes/1e9, d.Volume)
		}
	}
	return b.String()
}

// TestRecordings reads every recorded machine: nothing wrong, nothing invented,
// nothing written.
func TestRecordings(t *testing.T) {
	dir := recordings(t)
	machines, err := filepath.Glob(filepath.Join(dir, "*", "redfish"))
	if err != nil || len(machines) < 10 {
		t.Fatalf("%d recorded machines, %v", len(machines), err)
	}
	for _, m := range machines {
		name := filepath.Base(filepath.Dir(m))
		t.Run(name, func(t *testing.T) {
			got := summary(t, replay(t, filepath.Dir(m)).URL)
			t.Log("\n" + got)
			for _, want := range expectations[name] {
				if !strings.Contains(got, want) {
					t.Errorf("%q is missing", want)
				}
			}
		})
	}
}

// expectations are read off the recordings by eye.
var expectations = map[string][]string{
	"dell-13g-idrac8-2.40.40.40":       {"dell |", "serial 9W0WHK2", "restart false", "boot none", "nics 4"},
	"dell-r750-idrac9-6.00.30.00":      {"dell | PowerEdge R750 | serial F54P1G3", "slots 4 <nil>: system/1 system/2 manager/CD\n", "nics 5, disks 3"},
	"dell-r750-idrac9-7.10.30.00":      {"dell | PowerEdge R750 | serial CLLV0R3", "power On", "boot none mode \"UEFI\"", "S6CSNE0RB00699"},
	"hpe-dl385gen10plusv2-ilo5-2.72":   {"hpe | ProLiant DL385 Gen10 Plus v2 | serial MXQ302099S", "slots 2 <nil>: manager/2\n", "600508b1001c2f6607d327ae65e786c6"},
	"hpe-dl380agen11-ilo6-1.66":        {"hpe |", "serial 2M2D2J00L4", "slots 2 <nil>: manager/2\n", "nics 2, disks 6"},
	"hpe-dl380agen12-ilo7-1.13.01":     {"hpe |", "serial 2M2D2Q02TH", "nics 6, disks 5"},
	"lenovo-sr670v2-xcc-2.83":          {"lenovo | ThinkSystem SR670 V2 | serial J105958B", "system/EXT1 system/EXT2 system/EXT3 system/EXT4 manager/EXT1", "nics 4, disks 4", "Micron_7450_MTFDKBA960TFR"},
	"supermicro-sys821ge-x13-11.01.01": {"redfish |", "slots 3 <nil>: manager/VirtualMedia1 manager/VirtualMedia2 manager/VirtualMedia3\n", "disks 8"},
	"supermicro-x10sdv-4.00":           {"redfish |", "slots 0 <nil>:"},
	"intel-s2600bpb-1.43":              {"redfish | S2600BPB", "mode \"Legacy\""},
	"ami-nvidia-dgxh100-23.11.20":      {"manages 2 computer systems (DGX, HGX_Baseboard_0); say which one by bmc.system"},
	"nvidia-gh200-openbmc-24.05-2":     {"manages 2 computer systems"},
}

package vendors_test

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/bmc/vendors"
)

// recording is what a real BMC answered.
type recording struct{ name, dir string }

// recordings are answers of real BMCs. They are next to the project where it is
// developed and in CI, and are not part of it.
func recordings(t testing.TB) (out []recording) {
	t.Helper()
	for _, folder := range []string{"bmc-recordings", "bmc-recordings-2"} {
		dir, err := filepath.Abs(filepath.Join("..", "..", "..", "..", "shared", folder))
		if err != nil {
			t.Fatal(err)
		}
		found, err := filepath.Glob(filepath.Join(dir, "*", "redfish"))
		if err == nil && len(found) < 10 {
			err = fmt.Errorf("%d machines in %s", len(found), dir)
		}
		switch {
		case err != nil && os.Getenv("CI") != "":
			t.Fatalf("the recordings of real BMCs are missing, which CI must have: %v", err)
		case err != nil:
			t.Skip("the recordings of real BMCs are not here")
		}
		for _, m := range found {
			out = append(out, recording{filepath.Base(filepath.Dir(m)), filepath.Dir(m)})
		}
	}
	return out
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

// documents remembers what was read: damaged trees ask for it many times.
var documents sync.Map

type asked struct {
	dir, path string
	expand    bool
}

func document(dir, path string, expand bool) ([]byte, error) {
	key := asked{dir, strings.ToLower(path), expand}
	if body, ok := documents.Load(key); ok {
		return body.([]byte), nil
	}
	body, err := findDocument(dir, path, expand)
	if err == nil {
		documents.Store(key, body)
	}
	return body, err
}

// findDocument finds a recorded resource without regard to case, as some BMCs link
// to their own documents in another spelling.
func findDocument(dir, path string, expand bool) ([]byte, error) {
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

// reader opens the driver on a recorded tree. Whatever it would write is a failure.
func reader(t testing.TB, o bmc.Options) bmc.Client {
	t.Helper()
	o.Username, o.Password, o.Trust, o.Vendors = "u", "p", bmc.Trust{Off: true}, vendors.All()
	o.Sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	c, err := bmc.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// summary is what the drivers read of one machine. Unknown is written as such.
func summary(ctx context.Context, c bmc.Client) string {
	var b strings.Builder
	line := func(name string, value any, err error) {
		if err != nil {
			value = "error: " + err.Error()
		}
		fmt.Fprintf(&b, "%-12s %v\n", name, value)
	}
	id, err := c.Identity(ctx)
	line("vendor", id.Vendor, err)
	if err != nil {
		return b.String()
	}
	line("machine", fmt.Sprintf("%s | %s | serial %q board %q | uuid %s | system %s", id.Manufacturer, id.Model, id.Serial, id.Board, id.UUID, id.System), nil)
	line("bmc", id.Generation+" | "+id.Firmware, nil)
	power, err := c.Power(ctx)
	line("power", fmt.Sprintf("%s, post %q, resets %v", power.State, power.Post, power.Allowed), err)
	boot, err := c.Boot(ctx)
	line("boot", fmt.Sprintf("%s, mode %q, may be %v", boot, boot.Mode, boot.Allowed), err)
	ways, err := c.Ways(ctx, bmc.BootCD)
	line("ways to cd", strings.Join(ways, ", "), err)
	slots, err := c.Slots(ctx)
	slots = bmc.Distinct(slots)
	line("slots", len(slots), err)
	for _, s := range slots {
		line("", fmt.Sprintf("%s/%s cd %v loaded %v %s", s.Place, s.ID, s.CD, s.Loaded, s.Image), nil)
	}
	license, err := c.License(ctx)
	line("license", fmt.Sprintf("%q media %s", license.Name, yes(license.Media)), err)
	stock, err := c.Inventory(ctx)
	line("secure boot", yes(stock.SecureBoot), err)
	line("disks", known(stock.Disks == nil, len(stock.Disks)), nil)
	for _, d := range stock.Disks {
		argument, value := d.Selector(stock.Disks)
		line("", fmt.Sprintf("%s | %s | %s | serial %q | wwn %v | %d GB | volume %v %s | boot %v | %s %s %s | %s | select %s %q", d.Controller, d.Name, d.Model, d.Serial, d.WWN, d.Bytes/1e9,
			d.Volume, d.RAID, d.Boot, d.Media, d.Protocol, d.Health, cmp.Or(d.State, "seen"), argument, value), nil)
	}
	network, err := c.Network(ctx)
	line("nics", known(network.NICs == nil, len(network.NICs)), err)
	for _, n := range network.NICs {
		line("", fmt.Sprintf("%s | %s | %s | slot %q port %q | %s %d Mbps", n.MAC, n.ID, n.Adapter, n.Slot, n.Port, n.Link, n.Mbps), nil)
	}
	line("san", network.SAN, nil)
	return b.String()
}

func yes(b *bool) string {
	if b == nil {
		return "unknown"
	}
	return fmt.Sprint(*b)
}

func known(unknown bool, n int) string {
	if unknown {
		return "unknown"
	}
	return fmt.Sprint(n)
}

// systems says which computer system to read where a BMC has several that can be reset.
var systems = map[string]string{"hpe-crayex425": "Node0"}

var update = flag.Bool("update", false, "rewrite the golden summaries")

// TestRecordings reads every recorded machine: nothing wrong, nothing invented,
// nothing written. The golden summaries were compared with the recordings by eye.
func TestRecordings(t *testing.T) {
	for _, m := range recordings(t) {
		name := m.name
		t.Run(name, func(t *testing.T) {
			address := replay(t, m.dir).URL
			if systems[name] != "" {
				if _, err := reader(t, bmc.Options{Address: address}).Identity(t.Context()); err == nil || !strings.Contains(err.Error(), "say which one by bmc.system") {
					t.Errorf("of several systems one was chosen: %v", err)
				}
			}
			c := reader(t, bmc.Options{Address: address, System: systems[name]})
			defer c.Close(context.Background())
			got := summary(t.Context(), c)
			golden := filepath.Join("testdata", "recordings", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(golden); err != nil || string(want) != got {
				t.Errorf("%v: got\n%s\nwant\n%s", err, got, want)
			}
		})
	}
}

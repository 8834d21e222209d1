package view

import (
	"context"
	"encoding/json"
	"image/png"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// machines are what the page is tried with: one whole, one whose hardware is unknown
// and whose name would be markup, one that did not answer.
var machines = []Finding{
	{Host: "dell-1", Group: "dell", Address: "10.0.0.1", Disk: "BOSS-S2 Volume", Choices: []map[string]string{{"model": "DELLBOSS VD"}, {"serial": "A33B01DF936C"}}, Facts: json.RawMessage(`{"vendor":"dell","model":"PowerEdge R750","serial":"7XQ4T93","bmc":"15G Monolithic","firmware":"7.10.30.00","power":"On","boot_mode":"UEFI","secure_boot":true,"license":"iDRAC9 Enterprise License","boot_source":"none",
		"media":[{"id":"1","place":"system","cd":true,"image":""}],
		"drives":[{"model":"DELLBOSS VD","serial":"","wwn":["5001ac37f330a33b"],"bytes":480000000000,"volume":true,"boot":true,"raid":"RAID1","controller":"BOSS-S2","health":"OK"},{"model":"MZXLR3T8","serial":"A33B01DF936C","wwn":null,"bytes":3840000000000,"protocol":"NVMe","media":"SSD","controller":"CPU.1","health":"Critical"}],
		"nics":[{"id":"1","mac":"B4:96:91:87:24:BA","link":"LinkUp","adapter":"X710-T2L","slot":"PCIe 1","port":"1","mbps":10000}]}`)},
	{Host: "set-1", Group: "dell", Address: "10.0.0.4", PlanDisk: new(int), PlanNIC: "B4:96:91:87:24:BB", Ignores: map[string]string{"disk": "the plan names one, serial S1"},
		Choices: []map[string]string{{"serial": "S1"}, {"serial": "S2"}}, Facts: json.RawMessage(`{"vendor":"dell","model":"PowerEdge R650","serial":"SN4",
		"drives":[{"model":"MZ1","serial":"S1","bytes":480000000000},{"model":"MZ2","serial":"S2","bytes":480000000000}],
		"nics":[{"id":"1","mac":"B4:96:91:87:24:BB","link":"LinkUp"},{"id":"2","mac":"B4:96:91:87:24:BC","link":"LinkDown"}]}`)},
	{Host: "<b>odd</b>", Group: "lab", Address: "10.0.0.2", DiskProblem: "no disk of this machine matches", Facts: json.RawMessage(`{"vendor":"redfish","model":"</script><script>document.title='broken'</script>","serial":"","drives":null,"nics":null,"media":null}`)},
	{Host: "dead-1", Group: "lab", Address: "10.0.0.3", Problem: "the BMC gave no answer in time"},
}

// browser finds Chromium. CI must have it.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("CI must have Chromium (Debian package chromium)")
	}
	t.Skip("Chromium is not here (Debian package chromium)")
	return ""
}

// page writes the page and gives its address in a state.
func page(t *testing.T, state map[string]any) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "page.html")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := Discovery(f, machines, "test", time.Date(2026, 3, 1, 14, 5, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	b, _ := json.Marshal(state)
	return "file://" + name + "#" + url.PathEscape(string(b))
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args = append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--host-resolver-rules=MAP * ~NOTFOUND", // the browser itself would ask its maker's servers
		"--user-data-dir=" + t.TempDir()}, args...)
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	return string(out)
}

// body is the table as the browser has built it, without the data and the script.
func body(dom string) string {
	_, rest, _ := strings.Cut(dom, `<tbody id="rows">`)
	rest, _, _ = strings.Cut(rest, `<script type=`)
	return rest
}

func TestDiscoveryPage(t *testing.T) {
	chromium := browser(t)
	for _, c := range []struct {
		name        string
		state       map[string]any
		has, hasNot []string
	}{
		{"all", map[string]any{}, []string{"dell-1", "&lt;b&gt;odd&lt;/b&gt;", "the BMC gave no answer in time", "no disk of this machine matches", "UEFI, Secure Boot"}, []string{"<b>odd", "A33B01DF936C", "broken'</script>"}},
		{"filter", map[string]any{"filter": "b4:96:91 r750"}, []string{"dell-1"}, []string{"odd", "dead-1"}},
		{"odd state", map[string]any{"sort": 99, "open": nil, "filter": 5, "picks": []int{1}}, []string{"dell-1", "dead-1"}, nil},
		{"problems", map[string]any{"problems": true}, []string{"dead-1", "odd"}, []string{"dell-1"}},
		{"open", map[string]any{"open": []string{"dell-1", "<b>odd</b>", "set-1"}}, []string{"A33B01DF936C", "3840 GB", "10 Gbit/s", "PCIe 1, port 1", "unknown: the BMC reports no storage", "Critical",
			`checked="" aria-label="MZ1, S1, 480 GB, in the plan"`, `checked="" aria-label="B4:96:91:87:24:BB, LinkUp, in the plan"`, `aria-expanded="true" aria-controls="more-3"`, `id="ignored" tabindex="-1" hidden=""`}, []string{"esxi {"}},
		{"picked", map[string]any{"open": []string{"dell-1"}, "picks": map[string]any{"dell-1": map[string]any{"disk": map[string]string{"model": "DELLBOSS VD"}, "nic": "B4:96:91:87:24:BA"}}},
			[]string{`disk = { model = "DELLBOSS VD" }`, `nic  = "B4:96:91:87:24:BA"`, `checked=""`}, nil},
		{"ignored", map[string]any{"picks": map[string]any{"set-1": map[string]any{"disk": map[string]string{"serial": "S2"}, "nic": "B4:96:91:87:24:BC"}, "dell-1": map[string]any{"disk": map[string]string{"serial": "GONE"}}, "old-1": map[string]any{"nic": "x"}}},
			[]string{"3 picks are not saved", `set-1: disk = { serial = "S2" }: the plan names one, serial S1; change it by hand`, "dell-1: disk = { serial = \"GONE\" }: the machine has no such disk", "old-1: this page has no such host", `nic  = "B4:96:91:87:24:BC"`},
			[]string{"esxi {\n    disk"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dom := run(t, chromium, "--dump-dom", page(t, c.state))
			text := body(dom)
			for _, want := range c.has {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing in\n%s", want, text)
				}
			}
			for _, bad := range c.hasNot {
				if strings.Contains(text, bad) {
					t.Errorf("%q is in\n%s", bad, text)
				}
			}
			if want := `<time datetime="2026-03-01T14:05:00Z">2026-03-01 14:05 UTC</time>`; !strings.Contains(dom, want) {
				t.Errorf("the page does not say when the machines were read: %s", want)
			}
			if strings.Contains(dom, "<title>broken") {
				t.Error("a machine's name ran as a script")
			}
		})
	}
}

// TestDiscoveryScreenshot looks at the page as people see it: SCREENSHOT=FILE keeps it.
func TestDiscoveryScreenshot(t *testing.T) {
	name := os.Getenv("SCREENSHOT")
	if name == "" {
		name = filepath.Join(t.TempDir(), "page.png")
	}
	run(t, browser(t), "--window-size=1280,720", "--screenshot="+name, page(t, map[string]any{"open": []string{"dell-1"}}))
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	colours := map[[3]uint32]int{}
	for y := 0; y < picture.Bounds().Dy(); y += 2 {
		for x := 0; x < picture.Bounds().Dx(); x += 2 {
			r, g, b, _ := picture.At(x, y).RGBA()
			colours[[3]uint32{r, g, b}]++
		}
	}
	if size := picture.Bounds().Size(); size.X != 1280 || len(colours) < 50 {
		t.Errorf("the picture of %v has %d colours: the page is blank", size, len(colours))
	}
}

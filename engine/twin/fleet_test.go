package twin

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/media/isosim"
	"esxiplan/engine/media/kickstart"
	"esxiplan/schema"
)

// speed is how much faster than the real one the tests' clock runs.
const speed = 1000

type testClock struct{ start time.Time }

func (c testClock) Now() time.Time                     { return c.start.Add(time.Since(c.start) * speed) }
func (c testClock) Real(d time.Duration) time.Duration { return d / speed }

const plan = `
plan "twins" {}
group "g" {
  vendor = "redfish"
  bmc {
    username = "root"
    password = "calvin"
    tls      = { verify = false }
  }
  esxi {
    netmask       = "255.255.255.0"
    gateway       = "192.0.2.1"
    disk          = { model = "MTFDKBA480TFR" }
    root_password = "Test-password-1x"
    current       = { username = "root", password = "Test-password-1x" }
  }
  host "a" {
    bmc { address = "198.51.100.1" }
    esxi { address = "192.0.2.11" }
  }
}
`

func load(t *testing.T, text string) *schema.Plan {
	t.Helper()
	name := filepath.Join(t.TempDir(), "plan.hcl")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, diags := schema.Load([]string{name}, schema.Input{}, schema.Known{Version: "0.1.0", Vendors: []string{"redfish"}, Facts: schema.Of[struct{}]()})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return p
}

// start makes the twin of the plan's host with a firmware and faults.
func start(t *testing.T, profile string, faults ...string) (*Fleet, *Machine) {
	t.Helper()
	p := load(t, plan)
	f, err := Start(p, p.Hosts(), Options{Clock: testClock{time.Now()}, Profiles: map[string]string{"a": profile}, Faults: faults, OldVersion: "8.0.3", OldBuild: "24022510"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f, f.Machine("a")
}

const ks = "vmaccepteula\nrootpw --iscrypted '%s'\n%sinstall --disk='%s' --overwritevmfs\nnetwork --bootproto=static --ip='192.0.2.11' --netmask='255.255.255.0' --gateway='192.0.2.1'\nreboot\n"

// image is an installer's whose kickstart fits the machine; more is a line of it.
func image(t *testing.T, m *Machine, more string) []byte { return imageOf(t, m, more, 200<<10) }

func imageOf(t *testing.T, m *Machine, more string, module int) []byte {
	t.Helper()
	script := fmt.Sprintf(ks, kickstart.Crypt("New-password-2x", "salt"), more, m.devices[0].name)
	var b bytes.Buffer
	err := isosim.Write(&b, isosim.Options{Version: "8.0.3", Build: "24022510", Modules: 3, Size: module, Files: map[string]string{
		"KS.CFG":            script,
		"EFI/BOOT/BOOT.CFG": "kernel=/b.b00\nkernelopt=runweasel ks=cdrom:/KS.CFG\nmodules=/s0.v00 --- /s0.v01 --- /s0.v02\nbuild=8.0.3-0.0.24022510\n",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// web is someone else's web server with one image, which records its requests.
type web struct {
	*httptest.Server
	image []byte

	mu    sync.Mutex
	asked []string // "HEAD", "GET bytes=0-65535"
	sent  int64
}

func serve(t *testing.T, image []byte, also func(*web, http.ResponseWriter, *http.Request) bool) *web {
	w := &web{image: image}
	w.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked = append(w.asked, strings.TrimSpace(r.Method+" "+r.Header.Get("Range")))
		w.mu.Unlock()
		if also == nil || !also(w, out, r) {
			http.ServeContent(&counted{out, w}, r, "host.iso", time.Time{}, bytes.NewReader(w.image))
		}
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *web) url() string { return w.URL + "/host.iso" }

func (w *web) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

// counted counts what the server could hand to its socket.
type counted struct {
	http.ResponseWriter
	web *web
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.web.mu.Lock()
	c.web.sent += int64(n)
	c.web.mu.Unlock()
	return n, err
}

// ask sends a request to the machine's BMC.
func ask(t *testing.T, m *Machine, method, path, body string) (status int, document map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.SetBasicAuth("root", "calvin")
	w := httptest.NewRecorder()
	m.BMC.ServeHTTP(w, r)
	json.Unmarshal(w.Body.Bytes(), &document)
	return w.Code, document
}

func (m *Machine) systemURI() string { return "/redfish/v1/Systems/" + m.profile.System }

func insertImage(t *testing.T, m *Machine, url string) int {
	t.Helper()
	slot := m.profile.SystemSlots[0].ID
	status, _ := ask(t, m, "POST", m.systemURI()+"/VirtualMedia/"+slot+"/Actions/VirtualMedia.InsertMedia", `{"Image":"`+url+`"}`)
	return status
}

func eject(t *testing.T, m *Machine) {
	t.Helper()
	slot := m.profile.SystemSlots[0].ID
	if status, _ := ask(t, m, "POST", m.systemURI()+"/VirtualMedia/"+slot+"/Actions/VirtualMedia.EjectMedia", `{}`); status >= 300 {
		t.Fatalf("eject: %d", status)
	}
}

func setBoot(t *testing.T, m *Machine, target string) {
	t.Helper()
	if status, _ := ask(t, m, "PATCH", m.systemURI(), `{"Boot":{"BootSourceOverrideTarget":"`+target+`","BootSourceOverrideEnabled":"Once"}}`); status >= 300 {
		t.Fatalf("boot from %s: %d", target, status)
	}
}

func restart(t *testing.T, m *Machine) {
	t.Helper()
	if status, _ := ask(t, m, "POST", m.systemURI()+"/Actions/ComputerSystem.Reset", `{"ResetType":"ForceRestart"}`); status >= 300 {
		t.Fatalf("restart: %d", status)
	}
}

// mountAndRestart is what a run does, as far as it goes well.
func mountAndRestart(t *testing.T, m *Machine, url string) {
	t.Helper()
	if status := insertImage(t, m, url); status >= 300 {
		t.Fatalf("insert: %d", status)
	}
	setBoot(t, m, "Cd")
	restart(t, m)
}

// until waits for what a simulated machine does in its own time.
func until(t *testing.T, m *Machine, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not reached: %s; console %q, boots %v", what, m.Console(), m.BMC.Boots())
		}
	}
}

func says(m *Machine, text string) func() bool {
	return func() bool {
		return slices.ContainsFunc(m.Console(), func(line string) bool { return strings.Contains(line, text) })
	}
}

func progress(t *testing.T, m *Machine) string {
	t.Helper()
	_, document := ask(t, m, "GET", m.systemURI(), "")
	p, _ := document["BootProgress"].(map[string]any)
	state, _ := p["LastState"].(string)
	return state
}

// certificate is what the ESXi on the machine's address shows; "" where none answers.
func certificate(m *Machine) string {
	c, err := tls.Dial("tcp", m.ESXi.Address(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return ""
	}
	defer c.Close()
	return string(c.ConnectionState().PeerCertificates[0].Raw)
}

// TestInstallation: a medium is booted, read as by a real boot, and installed, once;
// BootProgress shows the way.
func TestInstallation(t *testing.T) {
	f, m := start(t, "redfish/standard")
	old := certificate(m)
	w := serve(t, image(t, m, ""), nil)
	if old == "" || progress(t, m) != bmcsim.OSRunning {
		t.Fatalf("at the start: progress %s, ESXi answers %v", progress(t, m), old != "")
	}
	if status := insertImage(t, m, w.url()); status != 204 {
		t.Fatalf("insert: %d", status)
	}
	atInsert := len(w.requests())
	setBoot(t, m, "Cd")
	restart(t, m)
	var states []string
	until(t, m, "the new ESXi", func() bool {
		if now := progress(t, m); len(states) == 0 || states[len(states)-1] != now {
			states = append(states, now)
		}
		return says(m, "is up on 192.0.2.11")()
	})
	way := strings.Join(states, " ")
	for _, part := range []string{"None", "MemoryInitializationStarted", bmcsim.OSBootStarted + " " + bmcsim.OSRunning + " MemoryInitializationStarted"} {
		if !strings.Contains(way, part) {
			t.Errorf("progress %v, want %q in it", states, part)
		}
	}
	if states[len(states)-1] != bmcsim.OSRunning {
		t.Errorf("at the end: %s", states[len(states)-1])
	}
	if now := certificate(m); now == "" || now == old {
		t.Error("the new ESXi shows the old certificate, or none")
	}
	tally := f.Tallies()[0]
	if tally.Installs != 1 || !slices.Equal(tally.PerReset, []int{1}) || !slices.Equal(tally.Boots, []string{"Cd", "Hdd"}) {
		t.Errorf("%+v", tally)
	}
	w.bootRead(t, w.requests()[atInsert:])
}

// bootRead demands the reads of a boot: from the beginning of the image on, the boot image,
// boot.cfg and the modules, and after the modules the kickstart.
func (w *web) bootRead(t *testing.T, asked []string) {
	t.Helper()
	if len(asked) < 3 || asked[0] != "HEAD" || asked[1] != fmt.Sprintf("GET bytes=0-%d", readAhead-1) {
		t.Fatalf("a boot does not begin at the start: %v", asked)
	}
	for _, part := range []string{"EL TORITO", w.content("EFIBOOT.IMG"), "kernelopt=runweasel ks=", w.content("S0.V00")} {
		if len(w.reads(asked, part)) == 0 {
			t.Errorf("%.20q was not read: %v", part, asked)
		}
	}
	modules, kickstart := w.reads(asked, w.content("S0.V02")), w.reads(asked, "vmaccepteula")
	if len(modules) == 0 || len(kickstart) == 0 || kickstart[len(kickstart)-1] < modules[0] {
		t.Errorf("modules read by requests %v, kickstart by %v: %v", modules, kickstart, asked)
	}
}

// reads are the requests that read a part of the image.
func (w *web) reads(asked []string, part string) (which []int) {
	at := bytes.Index(w.image, []byte(part))
	for i, request := range asked {
		var from, to int
		if n, _ := fmt.Sscanf(request, "GET bytes=%d-%d", &from, &to); n == 2 && from <= at && at <= to {
			which = append(which, i)
		}
	}
	return which
}

// content is the beginning of a file of the image.
func (w *web) content(name string) string {
	d := &disc{size: int64(len(w.image)), fetch: func(off int64) ([]byte, error) { return w.image[off:], nil }}
	data, err := d.file(name)
	if err != nil || len(data) < 64 {
		return "\x00no such file"
	}
	return string(data[:64])
}

// TestInstallsAgain: firmware that boots what is mounted installs again and again, each
// time from the start of the image, until the medium is ejected.
func TestInstallsAgain(t *testing.T) {
	f, m := start(t, "redfish/standard", "loop")
	w := serve(t, image(t, m, ""), nil)
	mountAndRestart(t, m, w.url())
	until(t, m, "the first installation", func() bool { all, _ := m.Installs(); return all >= 1 })
	first := m.installedAt()
	until(t, m, "the second installation", says(m, "installed again, 2 times since the reset"))
	if second := m.installedAt(); !second.After(first) {
		t.Errorf("installed %s and again %s", first, second)
	}
	eject(t, m)
	until(t, m, "the new ESXi", says(m, "is up on"))
	one := certificate(m)
	starts := 0
	for _, request := range w.requests() {
		if request == fmt.Sprintf("GET bytes=0-%d", readAhead-1) {
			starts++
		}
	}
	all, perReset := m.Installs()
	if all < 2 || len(perReset) != 1 || starts < all {
		t.Errorf("%d installations, %v by reset, %d reads from the start", all, perReset, starts)
	}
	mountAndRestart(t, m, w.url())
	until(t, m, "another installation", func() bool { now, _ := m.Installs(); return now > all })
	eject(t, m)
	lines := len(m.Console())
	until(t, m, "its ESXi", func() bool { return strings.Contains(m.Console()[len(m.Console())-1], "is up on") })
	if two := certificate(m); one == "" || two == "" || one == two {
		t.Errorf("after %d lines: the same certificate, or none", lines)
	}
	if tally := f.Tallies()[0]; len(tally.PerReset) != 2 || tally.PerReset[1] < 1 {
		t.Errorf("%+v", tally)
	}
}

// installedAt is the install date of what is on the disk.
func (m *Machine) installedAt() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.system.config.Installed
}

// TestContinuousOverride installs again, too, and a reboot into the disk needs it cleared.
func TestContinuousOverride(t *testing.T) {
	for _, profile := range []string{"redfish/continuous", "redfish/emulator"} {
		t.Run(profile, func(t *testing.T) {
			_, m := start(t, profile)
			w := serve(t, image(t, m, ""), nil)
			mountAndRestart(t, m, w.url())
			until(t, m, "the second installation", says(m, "2 times since the reset"))
			if progress(t, m) != "" {
				t.Errorf("it reports progress: %s", progress(t, m))
			}
			setBoot(t, m, "Hdd")
			until(t, m, "the new ESXi", says(m, "is up on"))
		})
	}
}

// TestPrefetched: one GET without a range, through a redirect, from a server that knows no
// ranges; then the server may go.
func TestPrefetched(t *testing.T) {
	_, m := start(t, "redfish/emulator")
	w := serve(t, image(t, m, ""), func(w *web, out http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/host.iso" {
			http.Redirect(out, r, "/elsewhere", http.StatusFound)
		} else {
			out.Write(w.image)
		}
		return true
	})
	if status := insertImage(t, m, w.url()); status != 204 {
		t.Fatalf("insert: %d", status)
	}
	if asked := w.requests(); !slices.Equal(asked, []string{"GET", "GET"}) {
		t.Errorf("asked %v", asked)
	}
	w.Close()
	setBoot(t, m, "Cd")
	restart(t, m)
	until(t, m, "an installation", func() bool { all, _ := m.Installs(); return all == 1 })
}

// TestPrefetchRefused: what the web server says reaches the BMC's answer.
func TestPrefetchRefused(t *testing.T) {
	_, m := start(t, "redfish/emulator")
	w := serve(t, nil, func(_ *web, out http.ResponseWriter, r *http.Request) bool {
		http.NotFound(out, r)
		return true
	})
	if status := insertImage(t, m, w.url()); status != 400 || m.BMC.Mounted() != "" {
		t.Errorf("404: insert answers %d, mounted %q", status, m.BMC.Mounted())
	}
	w.Close()
	if status := insertImage(t, m, w.url()); status != 500 {
		t.Errorf("no server: insert answers %d", status)
	}
	if status := insertImage(t, m, "http://203.0.113.9/host.iso"); status != 500 {
		t.Errorf("not simulated: insert answers %d", status)
	}
}

// TestHalfImage: the insert succeeds, the server can see that it was cut, and the machine
// does not boot what is missing (the UEFI boot image is near the end).
func TestHalfImage(t *testing.T) {
	_, m := start(t, "redfish/emulator", "half-image")
	w := serve(t, imageOf(t, m, "", 4<<20), nil)
	mountAndRestart(t, m, w.url())
	if m.BMC.Mounted() != w.url() {
		t.Errorf("mounted %q", m.BMC.Mounted())
	}
	until(t, m, "a failure to boot", says(m, "the virtual CD does not boot: read of"))
	w.mu.Lock()
	defer w.mu.Unlock()
	if size := int64(len(w.image)); w.sent >= size || w.sent < size/4 {
		t.Errorf("of %d bytes, the server sent %d", size, w.sent)
	}
	if all, _ := m.Installs(); all != 0 {
		t.Errorf("%d installations", all)
	}
}

// TestCutByTheServer: what a broken transfer brought counts as inserted; nothing at all
// does not.
func TestCutByTheServer(t *testing.T) {
	_, m := start(t, "redfish/emulator")
	var part atomic.Int64
	w := serve(t, image(t, m, ""), func(w *web, out http.ResponseWriter, _ *http.Request) bool {
		out.Header().Set("Content-Length", fmt.Sprint(len(w.image)))
		out.Write(w.image[:part.Load()])
		panic(http.ErrAbortHandler)
	})
	if status := insertImage(t, m, w.url()); status != 500 || m.BMC.Mounted() != "" {
		t.Errorf("nothing came: %d, mounted %q", status, m.BMC.Mounted())
	}
	part.Store(300 << 10)
	if status := insertImage(t, m, w.url()); status != 204 || m.BMC.Mounted() != w.url() {
		t.Errorf("a part came: %d, mounted %q", status, m.BMC.Mounted())
	}
}

// TestStreamingNeedsRanges: a BMC that reads by ranges refuses a server without.
func TestStreamingNeedsRanges(t *testing.T) {
	_, m := start(t, "redfish/continuous")
	w := serve(t, image(t, m, ""), func(w *web, out http.ResponseWriter, _ *http.Request) bool {
		out.Header().Set("Content-Length", fmt.Sprint(len(w.image)))
		out.Write(w.image)
		return true
	})
	if status := insertImage(t, m, w.url()); status != 500 || m.BMC.Mounted() != "" {
		t.Errorf("insert answers %d, mounted %q", status, m.BMC.Mounted())
	}
}

// TestDryRun: the installer reads all, kickstart included, says that it checked, and stays.
func TestDryRun(t *testing.T) {
	_, m := start(t, "redfish/standard")
	w := serve(t, image(t, m, "dryrun\n"), nil)
	mountAndRestart(t, m, w.url())
	until(t, m, "the end of the check", says(m, "dryrun: all was checked, nothing is installed"))
	w.bootRead(t, w.requests()[2:])
	time.Sleep(m.fleet.o.Clock.Real(installTakes + postTakes))
	all, perReset := m.Installs()
	if all != 0 || !slices.Equal(perReset, []int{0}) || progress(t, m) != bmcsim.OSRunning || len(m.BMC.Boots()) != 1 {
		t.Errorf("%d installations, %v by reset, progress %s, boots %v", all, perReset, progress(t, m), m.BMC.Boots())
	}
}

// TestEjectedTooEarly: an installer whose medium was ejected does not find its kickstart.
func TestEjectedTooEarly(t *testing.T) {
	for _, profile := range []string{"redfish/standard", "redfish/emulator"} {
		t.Run(profile, func(t *testing.T) {
			_, m := start(t, profile)
			w := serve(t, image(t, m, ""), nil)
			mountAndRestart(t, m, w.url())
			until(t, m, "a boot", func() bool { return len(m.BMC.Boots()) == 1 })
			eject(t, m)
			until(t, m, "the end of the installer", says(m, "the medium was taken out"))
		})
	}
}

// TestResetWhileInstalling: an installation that is cut short does not count, and the
// machine keeps its old system.
func TestResetWhileInstalling(t *testing.T) {
	_, m := start(t, "redfish/standard")
	old := certificate(m)
	w := serve(t, image(t, m, ""), nil)
	mountAndRestart(t, m, w.url())
	until(t, m, "the installer", says(m, "installing from"))
	restart(t, m)
	until(t, m, "the old ESXi", says(m, "is up on"))
	if _, perReset := m.Installs(); !slices.Equal(perReset, []int{0, 0}) || certificate(m) != old {
		t.Errorf("%v by reset, the old certificate: %v", perReset, certificate(m) == old)
	}
}

// TestPowerFaults: the faults of a rehearsal reach the BMC.
func TestPowerFaults(t *testing.T) {
	reset := func(t *testing.T, m *Machine, kind string) int {
		status, _ := ask(t, m, "POST", m.systemURI()+"/Actions/ComputerSystem.Reset", `{"ResetType":"`+kind+`"}`)
		return status
	}
	for fault, want := range map[string]struct {
		status int    // of our On
		state  string // in the end
	}{"late-on": {409, "On"}, "early-on": {409, "On"}, "stays-off": {204, "Off"}} {
		t.Run(fault, func(t *testing.T) {
			_, m := start(t, "redfish/standard", fault)
			reset(t, m, "ForceOff")
			until(t, m, "off", func() bool { return m.BMC.PowerState() != "PoweringOff" })
			if status := reset(t, m, "On"); status != want.status {
				t.Errorf("On answers %d, want %d", status, want.status)
			}
			time.Sleep(m.fleet.o.Clock.Real(time.Minute))
			if m.BMC.PowerState() != want.state {
				t.Errorf("%s, want %s", m.BMC.PowerState(), want.state)
			}
		})
	}
}

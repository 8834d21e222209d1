package bmcsim

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// wallClock is the clock of a synctest bubble.
type wallClock struct{}

func (wallClock) Now() time.Time                     { return time.Now() }
func (wallClock) Real(d time.Duration) time.Duration { return d }

const testPOST = 100 * time.Second

// newTestSim is a machine that is off unless on; it is asked without a socket.
func newTestSim(t *testing.T, profile string, c Config) *Sim {
	t.Helper()
	p, err := Find(profile)
	if err != nil || p.Name != profile {
		t.Fatalf("%s: %v", profile, err)
	}
	c.Profile, c.Clock, c.POST, c.Username, c.Password = p, wallClock{}, testPOST, "root", "calvin"
	return New(c)
}

// answer is what a BMC says.
type answer struct {
	status int
	doc    map[string]any
}

func ask(s *Sim, method, path, body string) answer {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.SetBasicAuth("root", "calvin")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	a := answer{status: w.Code}
	json.Unmarshal(w.Body.Bytes(), &a.doc)
	return a
}

// at reads a value in a document.
func (a answer) at(path ...string) any {
	var here any = a.doc
	for _, name := range path {
		m, _ := here.(map[string]any)
		here = m[name]
	}
	return here
}

func reset(s *Sim, kind string) int {
	return ask(s, "POST", s.systemURI()+"/Actions/ComputerSystem.Reset", `{"ResetType":"`+kind+`"}`).status
}

func bootFrom(s *Sim, target, enabled string) answer {
	return ask(s, "PATCH", s.systemURI(), `{"Boot":{"BootSourceOverrideTarget":"`+target+`","BootSourceOverrideEnabled":"`+enabled+`"}}`)
}

func insert(s *Sim, slot, url string) answer {
	return ask(s, "POST", s.systemURI()+"/VirtualMedia/"+slot+"/Actions/VirtualMedia.InsertMedia", `{"Image":"`+url+`"}`)
}

const url = "http://192.0.2.1/t/host.iso"

// TestWhoReportsBootProgress: only the profiles whose facts say so show the property.
func TestWhoReportsBootProgress(t *testing.T) {
	want := []string{"dell/idrac9", "dell/idrac9-perc", "dell/idrac10", "lenovo/xcc2", "lenovo/xcc3", "openbmc/bmcweb", "openbmc/gb300", "redfish/standard", "redfish/impatient"}
	for _, p := range Profiles() {
		s := newTestSim(t, p.Name, Config{On: true})
		_, shown := ask(s, "GET", s.systemURI(), "").doc["BootProgress"]
		if shown != slices.Contains(want, p.Name) {
			t.Errorf("%s: shown %v", p.Name, shown)
		}
	}
}

// TestBootProgress: the progress follows the machine: through POST, on to what the simulation
// of the rest of it reports, and back when it restarts or loses power.
func TestBootProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestSim(t, "redfish/standard", Config{Booted: func(string, string) {}})
		expect := func(when, want string) {
			t.Helper()
			if got := ask(s, "GET", s.systemURI(), "").at("BootProgress", "LastState"); got != want {
				t.Errorf("%s: %v, want %s", when, got, want)
			}
		}
		expect("off", "None")
		reset(s, "On")
		expect("powering on", "None")
		time.Sleep(onTakes + time.Second)
		expect("early in POST", "MemoryInitializationStarted")
		s.Progress(OSRunning)
		expect("reported too early", "MemoryInitializationStarted")
		time.Sleep(testPOST / 2)
		expect("late in POST", "PCIResourceConfigStarted")
		time.Sleep(testPOST / 2)
		expect("after POST", "SystemHardwareInitializationComplete")
		s.Progress(OSBootStarted)
		expect("boot loader", OSBootStarted)
		s.Progress(OSRunning)
		expect("installer", OSRunning)
		s.Reboot()
		expect("restarted by itself", "MemoryInitializationStarted")
		time.Sleep(testPOST + time.Second)
		s.Progress(OSRunning)
		expect("new system", OSRunning)
		reset(s, "ForceOff")
		expect("powering off", "None")
		time.Sleep(offTakes + time.Second)
		s.Progress(OSRunning)
		s.Reboot()
		expect("off, and reported late", "None")
		if len(s.Boots()) != 2 || s.PowerState() != "Off" {
			t.Errorf("boots %v, %s", s.Boots(), s.PowerState())
		}
	})
}

// TestBootProgressAlone: without a simulation of the rest of the machine, it comes as far
// as its boot loader; one that is on from the start runs something.
func TestBootProgressAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestSim(t, "lenovo/xcc2", Config{On: true})
		state := func() any { return ask(s, "GET", s.systemURI(), "").at("BootProgress", "LastState") }
		if state() != OSRunning {
			t.Errorf("on: %v", state())
		}
		reset(s, "ForceRestart")
		time.Sleep(offTakes + onTakes + testPOST + time.Second)
		if state() != OSBootStarted {
			t.Errorf("after POST: %v", state())
		}
	})
}

// TestEmulatorLogin: there is no session service, and Basic is all it takes.
func TestEmulatorLogin(t *testing.T) {
	s := newTestSim(t, "redfish/emulator", Config{})
	root := ask(s, "GET", "/redfish/v1", "")
	if root.doc["Links"] != nil || root.doc["SessionService"] != nil || root.doc["Systems"] == nil {
		t.Errorf("root %v", root.doc)
	}
	for _, method := range []string{"GET", "POST"} {
		if a := ask(s, method, "/redfish/v1/SessionService/Sessions", `{"UserName":"root","Password":"calvin"}`); a.status != 404 {
			t.Errorf("%s sessions: %d", method, a.status)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", "/redfish/v1/Systems", nil))
	if w.Code != 401 || !strings.Contains(w.Header().Get("WWW-Authenticate"), "Basic") {
		t.Errorf("without a login: %d %q", w.Code, w.Header().Get("WWW-Authenticate"))
	}
	if opened, _ := s.Sessions(); opened != 0 {
		t.Errorf("%d sessions", opened)
	}
}

// TestEmulatorOverride: Once reads back Continuous, survives boots, and goes by another
// target only.
func TestEmulatorOverride(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestSim(t, "redfish/emulator", Config{Booted: func(string, string) {}})
		s.Mount(url)
		if a := bootFrom(s, "Cd", "Once"); a.status != 204 {
			t.Fatalf("set: %d", a.status)
		}
		boot := ask(s, "GET", s.systemURI(), "").at("Boot")
		if target, enabled := s.Override(); target != "Cd" || enabled != "Continuous" || boot.(map[string]any)["BootSourceOverrideEnabled"] != "Continuous" {
			t.Errorf("%s %s, %v", target, enabled, boot)
		}
		reset(s, "On")
		time.Sleep(onTakes + testPOST + time.Second)
		s.Reboot()
		time.Sleep(testPOST + time.Second)
		if a := bootFrom(s, "None", "Disabled"); a.status != 500 {
			t.Errorf("None: %d", a.status)
		}
		if a := bootFrom(s, "Hdd", "Once"); a.status != 204 {
			t.Errorf("Hdd: %d", a.status)
		}
		s.Reboot()
		time.Sleep(testPOST + time.Second)
		if want := []string{"Cd", "Cd", "Hdd"}; !slices.Equal(s.Boots(), want) {
			t.Errorf("boots %v, want %v", s.Boots(), want)
		}
	})
}

// TestEmulatorPower: what the power state does not allow is answered with success, and
// not done.
func TestEmulatorPower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestSim(t, "redfish/emulator", Config{})
		for _, kind := range []string{"ForceOff", "ForceRestart", "On", "On"} {
			if status := reset(s, kind); status != 204 {
				t.Errorf("%s: %d", kind, status)
			}
		}
		time.Sleep(onTakes + time.Second)
		if resets, _ := s.Effects(); resets != 1 || s.PowerState() != "On" {
			t.Errorf("%d changes, %s", resets, s.PowerState())
		}
	})
}

// TestPrefetch: an insert fetches the image once and whole, replaces what was mounted,
// and is answered with success even if only half came.
func TestPrefetch(t *testing.T) {
	type fetched struct {
		url  string
		half bool
	}
	for name, faults := range map[string][]Fault{"whole": nil, "half": {{Kind: "half"}}} {
		var got []fetched
		s := newTestSim(t, "redfish/emulator", Config{Faults: faults,
			Fetch: func(url string, half bool) error { got = append(got, fetched{url, half}); return nil },
			Check: func(string) error { t.Error("the image was checked by ranges"); return nil }})
		s.Mount("http://192.0.2.7/somebody-elses.iso")
		a := insert(s, "Cd", url)
		if want := []fetched{{url, name == "half"}}; a.status != 204 || !slices.Equal(got, want) || s.Mounted() != url || !s.Holds(url) {
			t.Errorf("%s: %d, fetched %v, mounted %q", name, a.status, got, s.Mounted())
		}
	}
}

// TestPrefetchFails: error.message says why; the extended information has no text.
func TestPrefetchFails(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		text   string
	}{
		{FetchStatus(404), 400, "Cannot download virtual media: got error 404 from the server"},
		{FetchStatus(503), 502, "Cannot download virtual media: got error 503 from the server"},
		{errors.New("connection refused"), 500, "Failed fetching image from URL " + url + ": connection refused"},
	} {
		s := newTestSim(t, "redfish/emulator", Config{Fetch: func(string, bool) error { return c.err }})
		a := insert(s, "Cd", url)
		messages, _ := a.at("error", "@Message.ExtendedInfo").([]any)
		if a.status != c.status || a.at("error", "message") != c.text || len(messages) != 1 || s.Mounted() != "" {
			t.Errorf("%v: %d %v, mounted %q", c.err, a.status, a.doc, s.Mounted())
			continue
		}
		if m := messages[0].(map[string]any); m["MessageId"] != "Base.1.0.GeneralError" || m["Message"] != nil || m["MessageArgs"] != nil {
			t.Errorf("%v: %v", c.err, m)
		}
	}
}

// TestLateOn: a request to power on is refused and done nevertheless, once.
func TestLateOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestSim(t, "redfish/standard", Config{Faults: []Fault{{Kind: "deferred", Count: 1}}})
		if status := reset(s, "On"); status != 409 || s.PowerState() != "Off" {
			t.Errorf("%d, %s", status, s.PowerState())
		}
		time.Sleep(deferredTakes - time.Second)
		if s.PowerState() != "Off" {
			t.Errorf("early: %s", s.PowerState())
		}
		time.Sleep(onTakes + 2*time.Second)
		if resets, _ := s.Effects(); s.PowerState() != "On" || resets != 1 {
			t.Errorf("late: %s, %d changes", s.PowerState(), resets)
		}
		reset(s, "ForceOff")
		time.Sleep(offTakes + time.Second)
		if status := reset(s, "On"); status != 204 {
			t.Errorf("second: %d", status)
		}
	})
}

// TestLateOnOvertaken: if the request is repeated at once and done, it is done once.
func TestLateOnOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestSim(t, "redfish/standard", Config{Faults: []Fault{{Kind: "deferred", Count: 1}}})
		reset(s, "On")
		if status := reset(s, "On"); status != 204 {
			t.Errorf("again: %d", status)
		}
		time.Sleep(deferredTakes + testPOST + time.Minute)
		if resets, _ := s.Effects(); resets != 1 || len(s.Boots()) != 1 {
			t.Errorf("%d changes, boots %v", resets, s.Boots())
		}
	})
}

// TestEarlyOn: someone else powers the machine on after our ForceOff; ours comes too late
// in any case, and the machine boots once.
func TestEarlyOn(t *testing.T) {
	for name, pause := range map[string]time.Duration{"at once": time.Second, "later": time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := newTestSim(t, "redfish/standard", Config{On: true, Faults: []Fault{{Kind: "early", Count: 1}}})
			reset(s, "ForceOff")
			time.Sleep(offTakes + pause)
			if status := reset(s, "On"); status != 409 {
				t.Errorf("%s: our On is answered %d", name, status)
			}
			time.Sleep(testPOST + time.Minute)
			if resets, _ := s.Effects(); resets != 2 || len(s.Boots()) != 1 || s.PowerState() != "On" {
				t.Errorf("%s: %d changes, boots %v, %s", name, resets, s.Boots(), s.PowerState())
			}
			reset(s, "ForceOff")
			time.Sleep(time.Hour)
			if s.PowerState() != "Off" {
				t.Errorf("%s: a second time, too", name)
			}
		})
	}
}

// TestStaysOff: On is answered with success and not done, once; other resets are done.
func TestStaysOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestSim(t, "redfish/standard", Config{On: true, Faults: []Fault{{Kind: "ignore", Action: "on", Count: 1}}})
		reset(s, "ForceOff")
		time.Sleep(offTakes + time.Second)
		if status := reset(s, "On"); status != 204 {
			t.Errorf("On: %d", status)
		}
		time.Sleep(time.Hour)
		if s.PowerState() != "Off" {
			t.Errorf("%s", s.PowerState())
		}
		reset(s, "On")
		time.Sleep(time.Minute)
		if s.PowerState() != "On" {
			t.Errorf("second: %s", s.PowerState())
		}
	})
}

// TestCDFirst: what is mounted is booted, also without an override, until it is ejected.
func TestCDFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestSim(t, "redfish/standard", Config{Booted: func(string, string) {}, Faults: []Fault{{Kind: "cd-first"}}})
		insert(s, "CD1", url)
		reset(s, "On")
		time.Sleep(onTakes + testPOST + time.Second)
		s.Reboot()
		time.Sleep(testPOST + time.Second)
		ask(s, "POST", s.systemURI()+"/VirtualMedia/CD1/Actions/VirtualMedia.EjectMedia", `{}`)
		s.Reboot()
		time.Sleep(testPOST + time.Second)
		if want := []string{"Cd", "Cd", "Hdd"}; !slices.Equal(s.Boots(), want) {
			t.Errorf("boots %v, want %v", s.Boots(), want)
		}
	})
}

// TestKeepsOverride: setting it works, clearing it is answered with success and not done.
func TestKeepsOverride(t *testing.T) {
	for _, profile := range []string{"redfish/continuous", "redfish/emulator"} {
		s := newTestSim(t, profile, Config{Faults: []Fault{{Kind: "ignore", Action: "clear"}}})
		for _, target := range []string{"Cd", "Hdd"} {
			if a := bootFrom(s, target, "Once"); a.status != 204 {
				t.Errorf("%s: %s: %d", profile, target, a.status)
			}
			if set, enabled := s.Override(); set != "Cd" || enabled != "Continuous" {
				t.Errorf("%s: after %s: %s %s", profile, target, set, enabled)
			}
		}
	}
}

// TestFaultKindsAreExplained: each kind that is used here has its line.
func TestFaultKindsAreExplained(t *testing.T) {
	for kind, text := range FaultKinds {
		if text == "" {
			t.Errorf("%s is not explained", kind)
		}
	}
	for _, kind := range []string{"half", "deferred", "early", "cd-first"} {
		f := &Fault{Kind: kind}
		if FaultKinds[kind] == "" || !f.silent() {
			t.Errorf("%s: %q, answers in the BMC's place %v", kind, FaultKinds[kind], !f.silent())
		}
	}
}

// TestFaultMessages: a fault's own message reaches the client whatever the firmware's
// errors look like.
func TestFaultMessages(t *testing.T) {
	s := newTestSim(t, "redfish/emulator", Config{Faults: []Fault{{Kind: "status", Status: http.StatusForbidden, Message: "Base.1.8.AccessDenied"}}})
	messages, _ := ask(s, "GET", "/redfish/v1/Systems", "").at("error", "@Message.ExtendedInfo").([]any)
	if len(messages) != 1 || messages[0].(map[string]any)["MessageId"] != "Base.1.8.AccessDenied" {
		t.Errorf("%v", messages)
	}
}

package all_test

import (
	"context"
	"errors"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/vendors"
	"esxiplan/engine/media"
	"esxiplan/engine/step"
	"esxiplan/schema"
	"esxiplan/steps/eject"
	"esxiplan/steps/insert"
	"esxiplan/steps/onetimeboot"
	"esxiplan/steps/power"
	"esxiplan/steps/precheck"
	"esxiplan/steps/steptest"
)

// TestMain lets many machines wait at once: most of the time here is waiting.
func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "64")
	os.Exit(m.Run())
}

// trouble is one fault of a BMC, and what must come of it.
type trouble struct {
	name, source string
	only         string // vendors that make it, separated by blanks; "" is all
	except       string // parts of profile names to which it does not apply
	fault        bmcsim.Fault
	fails        string // part of the error; "": the host converges
}

const (
	insertAction = "InsertMedia" // part of the path of the standard's insert
	reset        = "ComputerSystem.Reset"
)

// noInsertAction are profiles that mount without the standard's action.
const noInsertAction = "lenovo/xcc ilo4 x10 ibmc"

// troubles are single faults, most from the table of bmc-facts §15.
var troubles = []trouble{
	{name: "none", source: "the flow itself"},
	{name: "session table full", source: "§1, §15 RAC0218", fault: bmcsim.Fault{Kind: "full"}},
	{name: "session forgotten before a read", source: "§1 401 in mid-run", fault: bmcsim.Fault{Kind: "forget", Method: "GET", After: 6, Count: 1}},
	{name: "session forgotten before a write", source: "§1 401 in mid-run", fault: bmcsim.Fault{Kind: "forget", Method: "POST", Path: reset, Count: 1}},
	{name: "503 on reads", source: "§15 ServiceUnavailable", fault: bmcsim.Fault{Kind: "status", Status: 503, Method: "GET", Count: 3}},
	{name: "503 without a body", source: "§15, empty body", fault: bmcsim.Fault{Kind: "empty", Status: 503, Method: "GET", After: 4, Count: 2}},
	{name: "connection reset on reads", source: "§15 retry classes", fault: bmcsim.Fault{Kind: "reset", Method: "GET", After: 3, Count: 2}},
	{name: "no answer to a read", source: "§15 retry classes", fault: bmcsim.Fault{Kind: "hang", Method: "GET", After: 5, Count: 1}},
	{name: "web page", source: "§15, HTML", fault: bmcsim.Fault{Kind: "html", Method: "GET"}, fails: "web page"},
	{name: "dead", source: "§15 retry classes", fault: bmcsim.Fault{Kind: "dead"}, fails: "closed the connection"},
	{name: "not allowed", source: "§15; recorded AccessDenied of an XCC", fault: bmcsim.Fault{Kind: "status", Status: 403, Message: "Base.1.8.AccessDenied", Method: "GET", Path: "/Systems"}, fails: "the user may not do this"},

	{name: "500 on insert", source: "§15 SYS446 and InternalError", except: noInsertAction, fault: bmcsim.Fault{Kind: "status", Status: 500, Message: "Base.1.2.InternalError", Path: insertAction, Count: 2}},
	{name: "405 on insert", source: "§15 405 unlicensed", except: noInsertAction, fault: bmcsim.Fault{Kind: "status", Status: 405, Message: "Base.1.8.ActionNotSupported", Path: insertAction}, fails: "check license and firmware"},
	{name: "answer to insert lost", source: "§15 retry classes", except: noInsertAction, fault: bmcsim.Fault{Kind: "lost", Method: "POST", Path: insertAction, Count: 1}},
	{name: "insert never arrives", source: "§15 retry classes", except: noInsertAction, fault: bmcsim.Fault{Kind: "reset", Method: "POST", Path: insertAction, Count: 1}},
	{name: "answer to a patched mount lost", source: "§15 retry classes", only: "lenovo", except: "tsm 1.90", fault: bmcsim.Fault{Kind: "lost", Method: "PATCH", Path: "VirtualMedia/EXT", After: 1, Count: 1}},
	{name: "500 on a patched mount", source: "§15 InternalError", only: "lenovo", except: "tsm 1.90", fault: bmcsim.Fault{Kind: "status", Status: 500, Message: "Base.1.8.InternalError", Method: "PATCH", Path: "VirtualMedia/EXT", After: 1, Count: 2}},
	{name: "answer to the mount of a map lost", source: "§3, §15", only: "lenovo", except: "tsm lenovo/xcc2 lenovo/xcc3", fault: bmcsim.Fault{Kind: "lost", Path: "RemoteMapService.Mount", Count: 1}},
	{name: "answer to IsoConfig lost", source: "§4, §15", only: "supermicro", fault: bmcsim.Fault{Kind: "lost", Path: "IsoConfig.Mount", Count: 1}},
	{name: "500 on IsoConfig", source: "§4, §15", only: "supermicro", fault: bmcsim.Fault{Kind: "status", Status: 500, Message: "Base.1.8.InternalError", Path: "IsoConfig.Mount", Count: 1}},
	{name: "answer to VmmControl lost", source: "§4, §15", only: "huawei", fault: bmcsim.Fault{Kind: "lost", Path: "VmmControl", After: 1, Count: 1}},
	{name: "answer to the old insert lost", source: "§4, §15", only: "hpe", fault: bmcsim.Fault{Kind: "lost", Path: "InsertVirtualMedia", Count: 1}},
	{name: "503 without a body on the import", source: "§6", only: "dell", fault: bmcsim.Fault{Kind: "empty", Status: 503, Path: "ImportSystemConfiguration", Count: 1}},
	{name: "insert does nothing", source: "§10 success with nothing mounted", fault: bmcsim.Fault{Kind: "ignore", Action: "insert", Count: 1}},
	{name: "eject does nothing", source: "§5", fault: bmcsim.Fault{Kind: "ignore", Action: "eject", Count: 1}},
	{name: "override does nothing", source: "§11 200 and ignored", fault: bmcsim.Fault{Kind: "ignore", Action: "boot", Count: 1}},
	{name: "reset does nothing", source: "§6 204 that did nothing", except: "redfish/continuous redfish/emulator emulator/sushy", fault: bmcsim.Fault{Kind: "ignore", Action: "reset", Count: 1}}, // those excepted: TestRestartOnce
	{name: "answer to reset lost", source: "§15 retry classes", fault: bmcsim.Fault{Kind: "lost", Path: reset, Count: 1}},
	{name: "answer to the second reset lost", source: "§15 retry classes", fault: bmcsim.Fault{Kind: "lost", Path: reset, After: 1, Count: 1}},
	{name: "proxy times out on reset", source: "§15: a 5xx leaves open what happened", fault: bmcsim.Fault{Kind: "late", Status: 504, Path: reset, After: 1, Count: 1}},
	{name: "proxy times out on insert", source: "§15: a 5xx leaves open what happened", except: noInsertAction, fault: bmcsim.Fault{Kind: "late", Status: 504, Method: "POST", Path: insertAction, Count: 1}},
	{name: "task cannot be looked at", source: "§14", only: "ami huawei dell", fault: bmcsim.Fault{Kind: "status", Status: 503, Path: "/Tasks/", Count: 6}},
	{name: "reset never arrives", source: "§15 retry classes", except: "redfish/continuous redfish/emulator emulator/sushy", fault: bmcsim.Fault{Kind: "reset", Path: reset, Count: 1}},
	{name: "409 on reset", source: "§15 ActionParameterValueConflict", fault: bmcsim.Fault{Kind: "status", Status: 409, Message: "Base.1.12.ActionParameterValueConflict", Path: reset, Count: 1}},
	{name: "412 on patch", source: "§8, §15 PreconditionFailed", fault: bmcsim.Fault{Kind: "status", Status: 412, Message: "Base.1.8.PreconditionFailed", Method: "PATCH", Count: 1}},
	{name: "428 on patch", source: "§8, §15 PreconditionHeaderMissing", fault: bmcsim.Fault{Kind: "status", Status: 428, Message: "Ami.1.0.PreconditionHeaderMissing", Method: "PATCH", Count: 1}},
	{name: "answer to patch lost", source: "§15 retry classes", fault: bmcsim.Fault{Kind: "lost", Method: "PATCH", Count: 1}},

	{name: "SYS518", source: "§15", only: "dell", fault: bmcsim.Fault{Kind: "status", Status: 503, Message: "IDRAC.2.8.SYS518", Method: "GET", After: 8, Count: 2}},
	{name: "SYS446", source: "§15; recorded insert of iDRAC9 3.30", only: "dell", fault: bmcsim.Fault{Kind: "status", Status: 500, Message: "IDRAC.1.6.SYS446", Path: insertAction, Count: 2}},
	{name: "RAC0904", source: "§15", only: "dell", fault: bmcsim.Fault{Kind: "status", Status: 400, Message: "IDRAC.2.8.RAC0904", Path: insertAction}, fails: "cannot read the image"},
	{name: "VRM0012", source: "§15", only: "dell", fault: bmcsim.Fault{Kind: "status", Status: 500, Message: "IDRAC.2.8.VRM0012", Path: insertAction, Count: 1}},
	{name: "VRM0021", source: "§15", only: "dell", fault: bmcsim.Fault{Kind: "status", Status: 500, Message: "IDRAC.2.8.VRM0021", Path: "EjectMedia", Count: 1}},
	{name: "every patch refused", source: "§6 the import as last rung; §15 SYS424 where its target must be a list", only: "dell", fault: bmcsim.Fault{Kind: "status", Status: 400, Message: "Base.1.12.PropertyNotWritable", Method: "PATCH"}},
	{name: "RAC0679", source: "§15", only: "dell", fault: bmcsim.Fault{Kind: "status", Status: 503, Message: "IDRAC.2.8.RAC0679", Path: insertAction, Count: 2}},
	{name: "LC068", source: "§15", only: "dell", except: "idrac9 idrac10", fault: bmcsim.Fault{Kind: "status", Status: 400, Message: "IDRAC.2.8.LC068", Path: "ImportSystemConfiguration"}, fails: "a configuration job of the iDRAC is pending"},

	{name: "power state busy", source: "§15 InvalidOperationForSystemState; recorded on iLO 4 and 5", only: "hpe", fault: bmcsim.Fault{Kind: "status", Status: 400, Message: "iLO.2.16.InvalidOperationForSystemState", Path: reset, Count: 1}},
	{name: "in POST", source: "§15 UnableToModifyDuringSystemPOST", only: "hpe", fault: bmcsim.Fault{Kind: "status", Status: 400, Message: "iLO.2.16.UnableToModifyDuringSystemPOST", Method: "PATCH", Count: 2}},
	{name: "in transition", source: "§15 ResourceInUseWithDetail", only: "hpe", except: "ilo4", fault: bmcsim.Fault{Kind: "status", Status: 400, Message: "iLO.2.16.ResourceInUseWithDetail", Path: insertAction, Count: 1}},
	{name: "no license", source: "§15 LicenseKeyRequired", only: "hpe", except: "ilo4", fault: bmcsim.Fault{Kind: "status", Status: 403, Message: "iLO.2.16.LicenseKeyRequired", Path: insertAction}, fails: "iLO Advanced"},
	{name: "media disabled", source: "§15 VirtualMediaIsDisabled", only: "hpe", except: "ilo4", fault: bmcsim.Fault{Kind: "status", Status: 400, Message: "iLO.2.16.VirtualMediaIsDisabled", Path: insertAction}, fails: "Access Settings"},
	{name: "console has the drive", source: "§15 MaxVirtualMediaConnectionEstablished", only: "hpe", except: "ilo4", fault: bmcsim.Fault{Kind: "status", Status: 400, Message: "iLO.2.16.MaxVirtualMediaConnectionEstablished", Path: insertAction, Count: 1}},
	{name: "drive empty on eject", source: "§15 NoVirtualMediaConnectionAvailable", only: "hpe", except: "ilo4", fault: bmcsim.Fault{Kind: "lost", Path: "EjectMedia", Count: 1}},

	{name: "slot busy", source: "§15 Conflict", only: "lenovo", except: "tsm 1.90", fault: bmcsim.Fault{Kind: "status", Status: 400, Message: "Base.1.8.Conflict", Method: "PATCH", Path: "EXT1", After: 1, Count: 1}},
	{name: "drives refuse under the system", source: "§3 system or manager", only: "lenovo", except: "tsm 1.90 xcc2 xcc3", fault: bmcsim.Fault{Kind: "status", Status: 405, Message: "Base.1.8.ActionNotSupported", Method: "PATCH", Path: "Systems/1/VirtualMedia", After: 1}},
	{name: "wrong scheme", source: "§15 SourceDoesNotSupportProtocol", only: "lenovo", except: "tsm 1.90", fault: bmcsim.Fault{Kind: "status", Status: 400, Message: "ExtendedError.1.1.SourceDoesNotSupportProtocol", Method: "PATCH", Path: "VirtualMedia", After: 1}, fails: "does not fetch images by this protocol"},
	{name: "busy", source: "§15 503 ServiceUnavailable", only: "lenovo", fault: bmcsim.Fault{Kind: "status", Status: 503, Message: "Base.1.8.ServiceUnavailable", Count: 2, After: 10}},
	{name: "http refused", source: "§4 ResourceAtUriInUnknownFormat", only: "openbmc", fault: bmcsim.Fault{Kind: "status", Status: 400, Message: "Base.1.13.ResourceAtUriInUnknownFormat", Path: insertAction}, fails: "https only"},
	{name: "mount fails", source: "§4", only: "huawei", fault: bmcsim.Fault{Kind: "status", Status: 500, Message: "iBMC.1.0.ConnectionFailed", Path: "VmmControl", After: 1, Count: 1}},
}

// applies reports whether a profile can show a fault.
func (tr trouble) applies(p bmcsim.Profile) bool {
	vendor, _, _ := strings.Cut(p.Name, "/")
	if tr.only != "" && !slices.Contains(strings.Fields(tr.only), vendor) {
		return false
	}
	return !slices.ContainsFunc(strings.Fields(tr.except), func(part string) bool {
		return strings.Contains(p.Name, part) && (part != "lenovo/xcc" || p.Name != "lenovo/tsm")
	})
}

// image is where the installer lies, by a protocol that the firmware takes.
func image(p bmcsim.Profile) string {
	if len(p.Schemes) > 0 {
		return p.Schemes[0] + "://192.0.2.1/t/host.iso"
	}
	return "http://192.0.2.1/t/host.iso"
}

func flow(url string) []steptest.Stage {
	return []steptest.Stage{
		{Type: precheck.Type, Arguments: `{"use":true}`},
		{Type: eject.Type, Arguments: `{"force":false}`},
		{Type: insert.Type, Arguments: `{"image":"` + url + `","slot":null}`},
		{Type: onetimeboot.Type, Arguments: `{"target":"cd","power_off":false}`},
		{Type: power.Type, Arguments: `{"action":"restart"}`},
	}
}

// TestConformance: every profile through the whole flow with every single fault that
// it can show: it boots our image once, or fails with the true reason. No second
// reset, no second insert, no session left.
func TestConformance(t *testing.T) {
	t.Parallel()
	profiles := bmcsim.Profiles()
	if len(profiles) < 12 {
		t.Fatalf("%d profiles", len(profiles))
	}
	for _, p := range profiles {
		for _, tr := range troubles {
			if tr.applies(p) {
				t.Run(p.Name+"/"+tr.name, func(t *testing.T) {
					t.Parallel()
					conform(t, p, tr)
				})
			}
		}
	}
}

func conform(t *testing.T, p bmcsim.Profile, tr trouble) {
	var faults []bmcsim.Fault
	if tr.fault.Kind != "" {
		faults = []bmcsim.Fault{tr.fault}
	}
	b := steptest.NewFaultyBench(t, p, true, faults...)
	serial := "S1"
	b.ESXi = &schema.ESXi{Disk: &schema.Disk{Serial: &serial}}
	b.Sim.Mount("http://192.0.2.7/somebody-elses.iso")
	stages := flow(image(p))
	stages[len(stages)-1].After = untilBooted(b)
	_, err := b.Flow(t, vendors.All(), stages...)
	if tr.fails != "" {
		if err == nil || !strings.Contains(err.Error(), tr.fails) {
			t.Errorf("%s: got %v, want an error about %q", tr.source, err, tr.fails)
		}
		return
	}
	if err != nil {
		t.Fatalf("%s: %v\n%v", tr.source, err, b.Sim.Writes())
	}
	booted(t, b, tr.source)
}

// untilBooted waits for the boot, as the step after the restart does: what the host
// owes the machine at its end is done after that.
func untilBooted(b *steptest.Bench) func() {
	return func() {
		for end := time.Now().Add(5 * time.Second); len(b.Sim.Boots()) == 0 && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// booted demands that the machine boots our image, once, by one restart.
func booted(t *testing.T, b *steptest.Bench, source string) {
	t.Helper()
	resets, inserts := b.Sim.Effects()
	opened, closed := b.Sim.Sessions()
	if boots := b.Sim.Boots(); len(boots) != 1 || boots[0] != "Cd" || resets != 2 || inserts != 1 || opened != closed {
		t.Errorf("%s: boots %v, %d changes of power, %d inserts, sessions %d opened %d closed\n%v", source, boots, resets, inserts, opened, closed, b.Sim.Writes())
	}
}

// TestDetached: an iDRAC whose virtual drives are detached is told to attach them first.
func TestDetached(t *testing.T) {
	t.Parallel()
	p, err := bmcsim.Find("dell/idrac9")
	if err != nil {
		t.Fatal(err)
	}
	p.Attributes = maps.Clone(p.Attributes)
	p.Attributes["VirtualMedia.1.Attached"] = "Detached"
	conform(t, p, trouble{source: "§4"})
}

// TestPowerOffFirst: the machine is powered off before its boot source is set, with our
// image mounted already, and then boots it.
func TestPowerOffFirst(t *testing.T) {
	t.Parallel()
	for _, p := range bmcsim.Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			b := steptest.NewFaultyBench(t, p, true)
			serial := "S1"
			b.ESXi = &schema.ESXi{Disk: &schema.Disk{Serial: &serial}}
			stages := flow(image(p))
			stages[3].Arguments = `{"target":"cd","power_off":true}`
			stages[4].After = untilBooted(b)
			if _, err := b.Flow(t, vendors.All(), stages...); err != nil {
				t.Fatal(err)
			}
			booted(t, b, "power_off")
		})
	}
}

// TestTakenBack: what was set for the next boot is taken back by a run of its own, and
// the machine then boots its disk.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	for _, p := range bmcsim.Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			b := steptest.NewBench(t, p)
			serial := "S1"
			b.ESXi = &schema.ESXi{Disk: &schema.Disk{Serial: &serial}}
			for _, stage := range []steptest.Stage{
				flow(image(p))[2], flow(image(p))[3],
				{Type: onetimeboot.Type, Arguments: `{"target":"none","power_off":false}`},
				{Type: eject.Type, Arguments: `{"force":true}`},
				{Type: power.Type, Arguments: `{"action":"on"}`, After: untilBooted(b)},
			} {
				if _, err := b.Flow(t, vendors.All(), stage); err != nil {
					t.Fatal(err)
				}
			}
			if boots := b.Sim.Boots(); len(boots) != 1 || boots[0] == "Cd" {
				t.Errorf("boots %v\n%v", boots, b.Sim.Writes())
			}
		})
	}
}

// TestForceRestartOnly: a BMC that offers no ForceOff is restarted by one request; that
// it took place must show.
func TestForceRestartOnly(t *testing.T) {
	t.Parallel()
	p, err := bmcsim.Find("redfish/standard")
	if err != nil {
		t.Fatal(err)
	}
	p.Resets = []string{"On", "ForceRestart"}
	for name, c := range map[string]struct {
		faults []bmcsim.Fault
		fails  string
	}{
		"healthy":       {},
		"answer lost":   {[]bmcsim.Fault{{Kind: "lost", Path: reset, Count: 1}}, ""},
		"never arrives": {[]bmcsim.Fault{{Kind: "reset", Path: reset}}, "nothing shows that the machine was restarted"},
		"does nothing":  {[]bmcsim.Fault{{Kind: "ignore", Action: "reset"}}, "nothing shows that the machine was restarted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := steptest.NewFaultyBench(t, p, true, c.faults...)
			serial := "S1"
			b.ESXi = &schema.ESXi{Disk: &schema.Disk{Serial: &serial}}
			stages := flow(image(p))
			stages[4].After = untilBooted(b)
			_, err := b.Flow(t, vendors.All(), stages...)
			if resets, _ := b.Sim.Effects(); (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) || err == nil && resets != 1 {
				t.Errorf("%d resets, %v", resets, err)
			}
		})
	}
}

// shelf is a media door that published one image for the host.
type shelf struct {
	media.Store
	published media.Published
}

func (s shelf) Latest(string) (media.Published, bool)       { return s.published, true }
func (s shelf) Reads(string) (media.Reads, bool)            { return media.Reads{}, false }
func (s shelf) Fetch(context.Context, string) error         { return nil }
func (s shelf) Check(context.Context, string, string) error { return nil }

// TestSecureBootTurnedOn: a medium whose kickstart Secure Boot would skip in part is not
// booted, although Secure Boot was off when it was built and mounted.
func TestSecureBootTurnedOn(t *testing.T) {
	t.Parallel()
	p, err := bmcsim.Find("dell/idrac9")
	if err != nil {
		t.Fatal(err)
	}
	for name, on := range map[string]bool{"off": false, "on": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := steptest.NewFaultyBench(t, p, true)
			serial := "S1"
			b.ESXi = &schema.ESXi{Disk: &schema.Disk{Serial: &serial}}
			b.Media = shelf{published: media.Published{URL: image(p), FirstBoot: true}}
			stages := flow(image(p))
			if _, err := b.Flow(t, vendors.All(), stages[:4]...); err != nil {
				t.Fatal(err)
			}
			b.Sim.SetSecureBoot(on)
			_, err := b.Flow(t, vendors.All(), stages[4])
			var refusal *step.Refusal
			resets, _ := b.Sim.Effects()
			switch refused := errors.As(err, &refusal) && refusal.Guard == "secure boot"; {
			case on && (!refused || resets != 0):
				t.Errorf("%d resets, %v", resets, err)
			case !on && err != nil:
				t.Error(err)
			}
		})
	}
}

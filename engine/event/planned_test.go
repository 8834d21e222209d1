package event_test

import (
	"strings"
	"testing"

	"esxiplan/engine/event"
)

const built = "http://192.0.2.1/iso/0123/h1.iso"

func ours(url string) bool { return url == built }

// TestCovers: which changes are the planned one, and which are not.
func TestCovers(t *testing.T) {
	insert := event.Change{Door: event.DoorBMC, Verb: event.Insert, Target: "slot 1", New: "http:" + event.Unbuilt, Risk: event.Mounts}
	eject := event.Change{Door: event.DoorBMC, Verb: event.Eject, Target: "slot 1", Old: "http:" + event.Unbuilt}
	stranger := event.Change{Door: event.DoorBMC, Verb: event.Eject, Target: "slot 1", Old: "http://192.0.2.9/other.iso"}
	boot := event.Change{Door: event.DoorBMC, Verb: event.SetBoot, Target: "source", Old: "none", New: "cd"}
	wipe := event.Change{Door: event.DoorBMC, Verb: event.Reset, Target: "power", Old: "Off", New: "On", Risk: event.Wipes,
		Intent: event.Intent{Boots: true, Installs: true, Erases: []event.Disk{{Wanted: "model X", Serial: "S1"}}}}
	publish := event.Change{Door: event.DoorMedia, Verb: event.Publish, Target: "image", New: "http:" + event.Unbuilt}
	for name, c := range map[string]struct {
		planned event.Change
		made    func(*event.Change)
		covers  bool
	}{
		"itself":                              {boot, func(*event.Change) {}, true},
		"the image that was built":            {insert, func(c *event.Change) { c.New = built }, true},
		"somebody else's image":               {insert, func(c *event.Change) { c.New = "http://192.0.2.9/other.iso" }, false},
		"our image by another scheme":         {insert, func(c *event.Change) { c.New = strings.Replace(built, "http:", "https:", 1) }, false},
		"our image in another drive":          {insert, func(c *event.Change) { c.New, c.Target = built, "slot 2" }, true},
		"instead of what somebody mounted":    {insert, func(c *event.Change) { c.New, c.Old = built, "http://192.0.2.9/other.iso" }, false},
		"our image, ejected elsewhere":        {eject, func(c *event.Change) { c.Old, c.Target = built, "slot 2" }, true},
		"an image that the BMC does not name": {eject, func(c *event.Change) { c.Old = event.UnknownImage }, true},
		"such an image in another drive":      {eject, func(c *event.Change) { c.Old, c.Target = event.UnknownImage, "slot 2" }, false},
		"another stranger's image":            {stranger, func(c *event.Change) { c.Old = "http://192.0.2.9/third.iso" }, false},
		"a stranger's image, not named now":   {stranger, func(c *event.Change) { c.Old = event.UnknownImage }, false},
		"another boot source":                 {boot, func(c *event.Change) { c.New = "pxe" }, false},
		"from another boot source":            {boot, func(c *event.Change) { c.Old = "pxe" }, false},
		"the same once more":                  {boot, func(c *event.Change) { c.Old = "cd" }, true},
		"a reset from another power state":    {wipe, func(c *event.Change) { c.Old = "PoweringOff" }, true},
		"another reset":                       {wipe, func(c *event.Change) { c.New = "ForceOff" }, false},
		"another disk":                        {wipe, func(c *event.Change) { c.Erases = []event.Disk{{Wanted: "model X", Serial: "S2"}} }, false},
		"a further disk":                      {wipe, func(c *event.Change) { c.Erases = append(c.Erases[:1:1], event.Disk{Serial: "S2"}) }, false},
		"a disk with other contents": {wipe, func(c *event.Change) {
			c.Erases = []event.Disk{{Wanted: "model X", Serial: "S1", Holds: []string{"x"}}}
		}, true},
		"a restart that wipes nothing":     {wipe, func(c *event.Change) { c.Risk, c.Erases = event.Reboots, nil }, false},
		"an image that is being built":     {publish, func(c *event.Change) { c.New = "http://192.0.2.1/iso/4567/h1.iso" }, true},
		"an image in the place of another": {publish, func(c *event.Change) { c.New, c.Old = built, "http://192.0.2.1/iso/89/h1.iso" }, false},
		"through another door":             {boot, func(c *event.Change) { c.Door = event.DoorMedia }, false},
	} {
		made := c.planned
		c.made(&made)
		p := event.Planned{Step: "s", Change: c.planned}
		if got := p.Covers("s", made, ours); got != c.covers {
			t.Errorf("%s: covered %v", name, got)
		}
		if p.Covers("another", made, ours) {
			t.Errorf("%s: covered in another step", name)
		}
	}
}

// TestDifferences: an override that no boot uses up may be taken away by who set it, and by
// nobody else.
func TestDifferences(t *testing.T) {
	set := event.Planned{Step: "cd", Change: event.Change{Door: event.DoorBMC, Verb: event.SetBoot, Target: "source", Old: "none", New: "cd"}}
	clear := event.Planned{Step: "installed", Change: event.Change{Door: event.DoorBMC, Verb: event.SetBoot, Target: "source", Old: "cd (continuous)", New: "none"}}
	eject := event.Planned{Step: "e", Change: event.Change{Door: event.DoorBMC, Verb: event.Eject, Target: "slot 1", Old: built}}
	for name, c := range map[string]struct {
		planned, made  []event.Planned
		missing, extra int
	}{
		"nothing":                  {},
		"as planned, and cleared":  {[]event.Planned{set}, []event.Planned{set, clear}, 0, 0},
		"cleared and never set":    {[]event.Planned{eject}, []event.Planned{eject, clear}, 0, 1},
		"not made":                 {[]event.Planned{set, eject}, []event.Planned{set}, 1, 0},
		"not planned":              {[]event.Planned{set}, []event.Planned{set, eject}, 0, 1},
		"mounted, and once more":   {[]event.Planned{{Step: "e", Change: event.Change{Verb: event.Insert, Target: "slot 1", New: built}}}, []event.Planned{eject, {Step: "e", Change: event.Change{Verb: event.Insert, Target: "slot 1", New: built}}}, 0, 0},
		"another than was planned": {[]event.Planned{set}, []event.Planned{eject}, 1, 1},
	} {
		if missing, extra := event.Differences(c.planned, c.made, ours); len(missing) != c.missing || len(extra) != c.extra {
			t.Errorf("%s: %d missing, %d extra", name, len(missing), len(extra))
		}
	}
}

// TestMachineChanges: what of a machine is another one, or in another use.
func TestMachineChanges(t *testing.T) {
	was := event.Machine{Vendor: "dell", Model: "R750", Serial: "S1", UUID: "u", Firmware: "7.10",
		Runs: event.Running{Power: "On", Use: "free", Product: "VMware ESXi 7.0.3", Build: "1", Fingerprint: "f"}}
	for want, change := range map[string]func(*event.Machine){
		"":                              func(m *event.Machine) { m.Firmware, m.Runs.Booted = "7.20", m.Runs.Booted.Add(1) },
		"serial number: S1 → S2":        func(m *event.Machine) { m.Serial = "S2" },
		"virtual machines: none → a, b": func(m *event.Machine) { m.Runs.VMs = []string{"a", "b"} },
		"power state: On → Off":         func(m *event.Machine) { m.Runs.Power = "Off" },
		"its certificate: f → g":        func(m *event.Machine) { m.Runs.Fingerprint = "g" },
		"vSAN: no → yes":                func(m *event.Machine) { m.Runs.VSAN = true },
	} {
		now := was
		change(&now)
		if got := strings.Join(was.Changes(now), "; "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

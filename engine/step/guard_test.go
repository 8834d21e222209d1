package step_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/descriptor"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/engine/media"
	"esxiplan/engine/step"
	"esxiplan/schema"
)

// judge demands a refusal whose reason and way out hold these words; "" is a pass.
func judge(t *testing.T, err error, reason, next string) {
	t.Helper()
	var r *step.Refusal
	switch {
	case reason == "" && err != nil:
		t.Errorf("refused: %v", err)
	case reason == "":
	case !errors.As(err, &r):
		t.Errorf("got %v, want a refusal about %q", err, reason)
	case !strings.Contains(r.Reason, reason) || !strings.Contains(r.Next, next):
		t.Errorf("reason %q, next %q; want %q and %q", r.Reason, r.Next, reason, next)
	}
}

func TestCheckIdentity(t *testing.T) {
	id := bmc.Identity{Vendor: "acme", Serial: "TAG1", Board: "CN123", Manufacturer: "Acme Inc."}
	for name, c := range map[string]struct {
		host         schema.Host
		reason, next string
	}{
		"as planned":          {schema.Host{Vendor: "acme", Serial: "TAG1"}, "", ""},
		"any vendor":          {schema.Host{Vendor: "auto"}, "", ""},
		"serial in any case":  {schema.Host{Vendor: "auto", Serial: "tag1"}, "", ""},
		"serial of the board": {schema.Host{Vendor: "auto", Serial: "CN123"}, "", ""},
		"another vendor":      {schema.Host{Vendor: "other"}, `says vendor "other"`, "Correct vendor or address"},
		"another machine":     {schema.Host{Vendor: "acme", Serial: "TAG2"}, "demands serial number TAG2", "another machine"},
	} {
		t.Run(name, func(t *testing.T) { judge(t, step.CheckIdentity(&c.host, id), c.reason, c.next) })
	}
}

func TestCheckProtected(t *testing.T) {
	judge(t, step.CheckProtected(&schema.Host{}), "", "")
	judge(t, step.CheckProtected(&schema.Host{Protected: true}), "protected = true", "Remove protected")
}

func TestCheckLicense(t *testing.T) {
	judge(t, step.CheckLicense(bmc.License{}), "", "")
	judge(t, step.CheckLicense(bmc.License{Media: ptr(true)}), "", "")
	judge(t, step.CheckLicense(bmc.License{Name: "Basic", Media: ptr(false)}), "license (Basic) does not cover", "Install one")
}

func TestCheckDrive(t *testing.T) {
	judge(t, step.CheckDrive([]bmc.Slot{{ID: "1"}, {ID: "2", CD: true}}), "", "")
	judge(t, step.CheckDrive([]bmc.Slot{{ID: "1"}}), "no virtual CD drive", "license")
	judge(t, step.CheckDrive(nil), "no virtual CD drive", "license")
}

func TestCheckConsent(t *testing.T) {
	for name, c := range map[string]struct {
		consent  step.Consent
		power    bmc.PowerState
		installs bool
		reason   string
	}{
		"agreed":           {all, bmc.On, true, ""},
		"off, boots disk":  {step.Consent{}, bmc.Off, false, ""},
		"off, installs":    {step.Consent{}, bmc.Off, true, "may wipe the machine"},
		"on, boots disk":   {step.Consent{}, bmc.On, false, "the machine is on"},
		"unknown is on":    {step.Consent{}, bmc.PowerUnknown, false, "power state Unknown"},
		"on, and installs": {step.Consent{}, bmc.On, true, "may wipe the machine"},
		"only to stop it":  {step.Consent{Stop: true}, bmc.On, true, "may wipe the machine"},
		"to stop it":       {step.Consent{Stop: true}, bmc.On, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			judge(t, step.CheckConsent(step.Settings{Consent: c.consent}, c.power, c.installs), c.reason, "--yes")
		})
	}
}

func TestCheckInstalling(t *testing.T) {
	open := history(inserted, setCD, wiped)
	judge(t, step.CheckInstalling(step.History{}, step.Settings{}), "", "")
	judge(t, step.CheckInstalling(open, step.Settings{Again: true}), "", "")
	judge(t, step.CheckInstalling(open, step.Settings{WaitStep: "w"}), "esxiplan has been installing this machine since", "--start-at w")
}

// history folds changes that were done by run1, one a minute.
func history(changes ...event.Change) step.History {
	var h step.History
	for i, c := range changes {
		at := began.Add(time.Duration(i) * time.Minute)
		c.ID = string(rune('a' + i))
		h.Fold(step.Record{Run: "run1", Step: "s", Time: at, Change: &c})
		h.Fold(step.Record{Run: "run1", Step: "s", Time: at, Settled: &event.Settled{Change: c.ID, Fate: event.Done}})
	}
	return h
}

var (
	inserted = event.Change{Verb: event.Insert, Target: "slot CD1", New: "http://x/a.iso"}
	setCD    = event.Change{Verb: event.SetBoot, Target: "source", New: "cd"}
	wiped    = event.Change{Verb: event.Reset, Target: "power", New: "On", Intent: event.Intent{Boots: true, Installs: true}}
)

func TestCheckLastReset(t *testing.T) {
	open := history(inserted, setCD, wiped)
	proven := open.Copy()
	proven.Fold(step.Record{Verdict: &event.Verdict{Proven: true}})
	for name, c := range map[string]struct {
		h            step.History
		run          string
		settings     step.Settings
		reason, next string
	}{
		"none":           {step.History{}, "run2", step.Settings{}, "", ""},
		"of this run":    {open, "run1", step.Settings{}, "", ""},
		"of another":     {open, "run2", step.Settings{}, "run run1 reset this machine at", "--again"},
		"how to wait":    {open, "run2", step.Settings{WaitStep: "installed"}, "neither proven nor timed out", "esxiplan run … --start-at installed"},
		"again":          {open, "run2", step.Settings{Again: true}, "", ""},
		"proven":         {proven, "run2", step.Settings{}, "", ""},
		"only restarted": {history(event.Change{Verb: event.Reset, New: "On", Intent: event.Intent{Boots: true}}), "run2", step.Settings{}, "", ""},
	} {
		t.Run(name, func(t *testing.T) { judge(t, step.CheckLastReset(c.h, c.run, c.settings), c.reason, c.next) })
	}
}

func TestCheckMounted(t *testing.T) {
	ours := history(inserted, setCD)
	full := []bmc.Slot{{ID: "CD1", CD: true, Loaded: true, Image: "http://x/a.iso"}}
	second := event.Change{ID: "r.9", Verb: event.Insert, Target: "slot CD2", New: "http://x/b.iso"}
	two := history(inserted, setCD, second)
	again := event.Change{Verb: event.Insert, Target: "slot CD2", New: "http://x/a.iso"}
	other := bmc.Slot{ID: "CD2", CD: true, Loaded: true, Image: "http://x/b.iso"}
	for name, c := range map[string]struct {
		h      step.History
		drives []bmc.Slot
		boot   bmc.Target
		reason string
	}{
		"two of ours":             {two, append(full, other), bmc.BootCD, "two of our images are mounted: http://x/a.iso, and http://x/b.iso in slot CD2"},
		"the planned one is gone": {two, []bmc.Slot{{ID: "CD1", CD: true}, other}, bmc.BootCD, "http://x/a.iso is no longer in a drive"},
		"another one is gone":     {two, append(full, bmc.Slot{ID: "CD2", CD: true}), bmc.BootCD, ""},
		"nothing of ours":         {step.History{}, nil, bmc.BootNone, ""},
		"in place":                {ours, full, bmc.BootCD, ""},
		"not told which":          {ours, []bmc.Slot{{ID: "CD1", CD: true, Loaded: true}}, bmc.BootCD, ""},
		"not told, another drive": {ours, []bmc.Slot{{ID: "CD1", CD: true}, {ID: "CD2", CD: true, Loaded: true}}, bmc.BootCD, "no longer in a drive"},
		"not told, in two":        {two, []bmc.Slot{{ID: "CD1", CD: true, Loaded: true}, {ID: "CD2", CD: true, Loaded: true}}, bmc.BootCD, "two of our images are mounted: http://x/a.iso, and http://x/b.iso in slot CD2"},
		"not told, somebody's":    {ours, []bmc.Slot{{ID: "CD1", CD: true, Loaded: true}, {ID: "CD2", CD: true, Loaded: true}}, bmc.BootCD, ""},
		"shown in two places":     {ours, []bmc.Slot{{URI: "/s", ID: "CD1", CD: true, Loaded: true}, {URI: "/m", ID: "CD1", CD: true, Loaded: true}}, bmc.BootCD, ""},
		"asked for in two":        {history(inserted, setCD, again), []bmc.Slot{{ID: "CD1", CD: true}, {ID: "CD2", CD: true, Loaded: true}}, bmc.BootCD, ""},
		"lost":                    {ours, []bmc.Slot{{CD: true}}, bmc.BootCD, "no longer in a drive"},
		"another in its place":    {ours, []bmc.Slot{{CD: true, Loaded: true, Image: "http://y/b.iso"}}, bmc.BootCD, "no longer in a drive"},
		"in a stick's drive":      {ours, []bmc.Slot{{Loaded: true}}, bmc.BootCD, "no longer in a drive"},
		"set to boot an empty CD": {step.History{}, []bmc.Slot{{CD: true}}, bmc.BootCD, "no drive holds one"},
		"set to boot somebody's":  {step.History{}, full, bmc.BootCD, ""},
	} {
		t.Run(name, func(t *testing.T) {
			judge(t, step.CheckMounted(c.h, step.Place{Medium: "http://x/a.iso"}, c.drives, bmc.Boot{Target: c.boot, Once: true}), c.reason, "")
		})
	}
}

// TestServing: an image that ends with the run is not booted by a run that does not wait.
func TestServing(t *testing.T) {
	judge(t, step.CheckServing(step.Settings{}), "", "")
	judge(t, step.CheckServing(step.Settings{StopsServing: true}), "the run ends before it is read", "")
	for _, ours := range []bool{true, false} {
		b := newBench(t, step.Settings{Consent: all, Installs: true, StopsServing: true})
		b.mounted("http://x/a.iso", "d1")
		b.SetMedia(b.s)
		b.s.has, b.s.latest = ours, media.Published{URL: "http://x/a.iso", Digest: "d1"}
		_, err := b.BMC.Admit(t.Context())
		b.refused(t, err, map[bool]string{true: "medium"}[ours])
	}
}

// TestMountIn: a drive holds our mount by its URL, else by the drive's name where the BMC
// does not tell which image it is.
func TestMountIn(t *testing.T) {
	m := step.Mount{Drive: "slot CD1", URL: "http://x/a.iso"}
	for name, c := range map[string]struct {
		s    bmc.Slot
		want bool
	}{
		"by its URL":            {bmc.Slot{ID: "CD1", Loaded: true, Image: "http://x/a.iso"}, true},
		"by its URL, elsewhere": {bmc.Slot{ID: "EXT1", Loaded: true, Image: "http://x/a.iso"}, true},
		"by the drive":          {bmc.Slot{ID: "CD1", Loaded: true}, true},
		"another's drive":       {bmc.Slot{ID: "CD2", Loaded: true}, false},
		"another image":         {bmc.Slot{ID: "CD1", Loaded: true, Image: "http://x/b.iso"}, false},
		"empty":                 {bmc.Slot{ID: "CD1", Image: "http://x/a.iso"}, false},
	} {
		if got := m.In(c.s); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestCheckOverride(t *testing.T) {
	once := func(t bmc.Target) bmc.Boot { return bmc.Boot{Target: t, Once: true} }
	for name, c := range map[string]struct {
		h      step.History
		boot   bmc.Boot
		place  step.Place
		reason string
	}{
		"nothing set":          {step.History{}, once(bmc.BootNone), step.Place{}, ""},
		"ours":                 {history(inserted, setCD), once(bmc.BootCD), step.Place{}, ""},
		"used up":              {history(inserted, setCD), once(bmc.BootNone), step.Place{}, `reads "none", we had set "cd"`},
		"changed":              {history(inserted, setCD), once(bmc.BootPXE), step.Place{}, `reads "pxe"`},
		"mounted, not set":     {history(inserted), once(bmc.BootNone), step.Place{}, "the machine would boot its disk"},
		"mounted, disk":        {history(inserted), once(bmc.BootDisk), step.Place{}, "the machine would boot its disk"},
		"mounted, set by hand": {history(inserted), once(bmc.BootCD), step.Place{}, ""},
		"continuous":           {history(setCD), bmc.Boot{Target: bmc.BootCD}, step.Place{}, "only a continuous"},
		"continuous, waits":    {history(setCD), bmc.Boot{Target: bmc.BootCD}, step.Place{Waits: true}, ""},
		"idles continuously":   {step.History{}, bmc.Boot{Target: bmc.BootDisk}, step.Place{}, ""},
	} {
		t.Run(name, func(t *testing.T) { judge(t, step.CheckOverride(c.h, c.boot, c.place), c.reason, "") })
	}
}

func TestCheckKept(t *testing.T) {
	once := history(setCD)
	var settled step.History
	c := setCD
	c.ID = "c"
	settled.Fold(step.Record{Change: &c})
	settled.Fold(step.Record{Settled: &event.Settled{Change: "c", Fate: event.Done, Stays: true}})
	both := step.Place{Restarts: true, Waits: true}
	for name, c := range map[string]struct {
		h      step.History
		place  step.Place
		reason string
	}{
		"knows Once": {once, step.Place{}, ""},
		"in one run": {settled, both, ""},
		"no wait":    {settled, step.Place{Restarts: true}, "only a continuous"},
		"alone":      {settled, step.Place{}, "only a continuous"},
	} {
		t.Run(name, func(t *testing.T) { judge(t, step.CheckKept(c.h, c.place), c.reason, "in one run") })
	}
	const join = "cd, restart and installed (--tags mount,reboot,wait)"
	judge(t, step.CheckKept(settled, step.Place{Join: join}), "only a continuous", "in one run: "+join)
	settled.Fold(step.Record{Settled: &event.Settled{Change: "c", Fate: event.Undone}})
	settled.Fold(step.Record{Change: &inserted})
	judge(t, step.CheckOverride(settled, bmc.Boot{Target: bmc.BootDisk}, step.Place{Join: join}), "only a continuous", "in one run: "+join)
}

// TestStageIsRefusedBeforeItBegins: where the machine is known for overrides that no boot uses
// up, a stage that would set one refuses with its first write; a run that does all does not, nor
// one that only mounts.
func TestStageIsRefusedBeforeItBegins(t *testing.T) {
	for name, c := range map[string]struct {
		place   step.Place
		refused bool
	}{
		"a stage that sets": {step.Place{Sets: true}, true}, "and restarts": {step.Place{Sets: true, Restarts: true}, true},
		"the whole run": {step.Place{Sets: true, Restarts: true, Waits: true}, false}, "a mount alone": {step.Place{}, false},
		"the wait of a run that goes on": {step.Place{Sets: true, Waits: true}, false},
	} {
		for verb, write := range map[string]func(*bench) error{
			"insert": func(b *bench) error { return b.BMC.Insert(t.Context(), b.m.slots[0], "http://192.0.2.1/x.iso") },
			"eject":  func(b *bench) error { return b.BMC.Eject(t.Context(), b.m.slots[0], event.Intent{}) },
		} {
			b := newBench(t, step.Settings{Consent: all})
			known := setCD
			known.ID = "known"
			b.a.log.Fold(step.Record{Run: "earlier", Change: &known})
			b.a.log.Fold(step.Record{Run: "earlier", Settled: &event.Settled{Change: "known", Fate: event.Done, Stays: true}})
			b.a.log.Fold(step.Record{Run: "earlier", Settled: &event.Settled{Change: "known", Fate: event.Undone}})
			b.a.place = c.place
			if err := write(b); (err != nil) != c.refused || c.refused != (len(b.m.wrote) == 0) {
				t.Errorf("%s, %s: %v, written %v", name, verb, err, b.m.wrote)
			}
		}
	}
}

func TestMayInstall(t *testing.T) {
	for name, c := range map[string]struct {
		h    step.History
		boot bmc.Target
		want bool
	}{
		"nothing":     {step.History{}, bmc.BootNone, false},
		"mounted":     {history(inserted), bmc.BootNone, true},
		"set":         {history(setCD), bmc.BootNone, true},
		"set to disk": {history(event.Change{Verb: event.SetBoot, New: "disk"}), bmc.BootDisk, false},
		"by hand":     {step.History{}, bmc.BootPXE, true},
		"other":       {step.History{}, bmc.BootOther, false},
	} {
		if got := step.MayInstall(c.h, bmc.Boot{Target: c.boot, Once: true}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestCheckDisk(t *testing.T) {
	disks := []bmc.Disk{{Model: "MODEL A", Serial: "S1", WWN: []string{"5000"}}, {Model: "MODEL B", Serial: "S2"}, {Model: "MODEL B", Serial: "S3", Name: "bay 3"}}
	behindRAID := []bmc.Disk{{Model: "PERC H740P Adp", Name: "VD 0", Volume: true, RAID: "RAID1", Bytes: 480e9}, {Model: "MODEL M", Serial: "M1", Bytes: 480e9, State: "member of volume VD 0"},
		{Model: "MODEL M", Serial: "M2", State: "hot spare"}}
	model := func(text string) *schema.Disk { return &schema.Disk{Model: &text} }
	trusted := func(d *schema.Disk) *schema.Disk { d.Confirm = ptr(false); return d }
	for name, c := range map[string]struct {
		x      *schema.ESXi
		stock  []bmc.Disk
		san    []string
		reason string
	}{
		"no ESXi":                   {nil, disks, nil, "names no disk"},
		"no disk":                   {&schema.ESXi{}, disks, nil, "names no disk"},
		"by serial":                 {&schema.ESXi{Disk: serial("s1")}, disks, nil, ""},
		"by model":                  {&schema.ESXi{Disk: model("model a")}, disks, nil, ""},
		"by wwn":                    {&schema.ESXi{Disk: &schema.Disk{WWN: ptr("50:00")}}, disks, nil, ""},
		"by name":                   {&schema.ESXi{Disk: &schema.Disk{Name: ptr("naa.5000")}}, disks, nil, ""},
		"two of a model":            {&schema.ESXi{Disk: model("MODEL B")}, disks, nil, "2 disks of this machine match"},
		"none":                      {&schema.ESXi{Disk: serial("S9")}, disks, nil, "no disk of this machine matches"},
		"a machine without disks":   {&schema.ESXi{Disk: serial("S9")}, []bmc.Disk{}, nil, "it has none"},
		"storage not reported":      {&schema.ESXi{Disk: serial("S1")}, nil, nil, "reports no storage"},
		"cleared disk, too":         {&schema.ESXi{Disk: serial("S1"), Wipe: []schema.Disk{*serial("S2")}}, disks, nil, ""},
		"cleared disk not there":    {&schema.ESXi{Disk: serial("S1"), Wipe: []schema.Disk{*serial("S9")}}, disks, nil, "no disk of this machine matches"},
		"named twice":               {&schema.ESXi{Disk: serial("S1"), Wipe: []schema.Disk{*model("MODEL A")}}, disks, nil, "names twice"},
		"unconfirmed":               {&schema.ESXi{Disk: trusted(serial("S9"))}, nil, nil, ""},
		"unconfirmed, SAN":          {&schema.ESXi{Disk: trusted(serial("S9"))}, nil, []string{"port 1"}, "may be a LUN"},
		"confirmed, SAN":            {&schema.ESXi{Disk: serial("S1")}, disks, []string{"port 1"}, ""},
		"a name of local disks":     {&schema.ESXi{Disk: trusted(&schema.Disk{Name: ptr("mpx.vmhba0:C0:T0:L0")})}, nil, []string{"port 1"}, ""},
		"cleared unconfirmed, SAN":  {&schema.ESXi{Disk: serial("S1"), Wipe: []schema.Disk{*trusted(serial("S9"))}}, disks, []string{"port 1"}, "may be a LUN"},
		"a member of a volume":      {&schema.ESXi{Disk: serial("M1")}, behindRAID, nil, "ESXi does not see serial M1: MODEL M serial M1, 480 GB, member of volume VD 0"},
		"a hot spare":               {&schema.ESXi{Disk: serial("M2")}, behindRAID, nil, "hot spare"},
		"a cleared member":          {&schema.ESXi{Disk: model("PERC H740P Adp"), Wipe: []schema.Disk{*serial("M1")}}, behindRAID, nil, "member of volume VD 0"},
		"a volume by model":         {&schema.ESXi{Disk: model("PERC H740P Adp")}, behindRAID, nil, ""},
		"a model that members have": {&schema.ESXi{Disk: model("MODEL M")}, append([]bmc.Disk{{Model: "MODEL M", Serial: "S7"}}, behindRAID...), nil, ""},
		"lists what works":          {&schema.ESXi{Disk: serial("S9")}, behindRAID, nil, `it has PERC H740P Adp, volume VD 0, RAID1, 480 GB: disk = { model = "PERC H740P Adp" }`},
		"lists what nothing names":  {&schema.ESXi{Disk: serial("S9")}, []bmc.Disk{{Name: "Volume 1", Volume: true}, {Name: "Volume 2", Volume: true}}, nil, "Volume 1, which nothing that the BMC reports tells from the others: name it as ESXi does, with confirm = false; Volume 2"},
		"quotes what works":         {&schema.ESXi{Disk: serial("S9")}, []bmc.Disk{{Model: `A "${b}"`}}, nil, `disk = { model = "A \"$${b}\"" }`},
		"model cut to 16 by ESXi":   {&schema.ESXi{Disk: model("ABCDEFGHIJKLMNOP")}, []bmc.Disk{{Model: "ABCDEFGHIJKLMNOPQR"}}, nil, ""},
		"model cut to less than 16": {&schema.ESXi{Disk: model("ABCDEF")}, []bmc.Disk{{Model: "ABCDEFGHIJKLMNOPQR"}}, nil, "no disk"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &machine{stock: bmc.Inventory{Disks: c.stock}, network: bmc.Network{SAN: c.san}}
			judge(t, step.CheckDisk(t.Context(), c.x, m), c.reason, "")
		})
	}
}

// TestUnreadDisks: storage of which a request failed blocks only a host whose disk it must
// confirm; the error names the request, and passes when the request does.
func TestUnreadDisks(t *testing.T) {
	failed := &bmc.Error{Request: "GET /redfish/v1/Systems/1/Storage/2", Status: 500}
	for name, c := range map[string]struct {
		confirm *bool
		blocks  bool
	}{"confirmed": {nil, true}, "confirm = true": {ptr(true), true}, "confirm = false": {ptr(false), false}} {
		disk := serial("S1")
		disk.Confirm = c.confirm
		err := step.CheckDisk(t.Context(), &schema.ESXi{Disk: disk}, &machine{stock: bmc.Inventory{Unread: failed}})
		if (err != nil) != c.blocks || c.blocks && (!strings.Contains(err.Error(), failed.Request) || !strings.Contains(err.Error(), "confirm = false") || step.Classify(err) != step.Retryable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNameless: a disk is warned of when ESXi will not show its serial number, with a name that
// the installer finds, where there is one.
func TestNameless(t *testing.T) {
	for name, c := range map[string]struct {
		x     *schema.ESXi
		disks []bmc.Disk
		want  string
	}{
		"no ESXi":      {nil, nil, ""},
		"NVMe":         {&schema.ESXi{Disk: serial("S1")}, []bmc.Disk{{Serial: "S1", Protocol: "NVMe"}}, ""},
		"not told":     {&schema.ESXi{Disk: serial("S1")}, []bmc.Disk{{Serial: "S1"}}, ""},
		"by WWN":       {&schema.ESXi{Disk: &schema.Disk{WWN: ptr("5000")}}, []bmc.Disk{{WWN: []string{"5000"}, Protocol: "SAS"}}, ""},
		"SAS":          {&schema.ESXi{Disk: serial("S1")}, []bmc.Disk{{Serial: "S1", Protocol: "SAS", WWN: []string{"5000c500a1b2c3d4"}}}, `Name it by wwn = "5000c500a1b2c3d4"`},
		"SAS, no WWN":  {&schema.ESXi{Disk: serial("S1")}, []bmc.Disk{{Serial: "S1", Protocol: "SAS"}}, "The BMC reports no WWN"},
		"a volume":     {&schema.ESXi{Disk: serial("S1")}, []bmc.Disk{{Serial: "S1", Volume: true}}, "will not find the disk serial S1"},
		"cleared":      {&schema.ESXi{Disk: serial("S1"), Wipe: []schema.Disk{*serial("S2")}}, []bmc.Disk{{Serial: "S1"}, {Serial: "S2", Protocol: "SAS"}}, "will not find the disk serial S2"},
		"not reported": {&schema.ESXi{Disk: serial("S1")}, nil, "does not report the disk serial S1"},
	} {
		if got := strings.Join(step.Nameless(c.x, c.disks), "; "); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestDiskNames(t *testing.T) {
	if step.DiskNames(nil) != nil {
		t.Error("no ESXi has disks")
	}
	names := step.DiskNames(&schema.ESXi{Disk: serial("S1"), Wipe: []schema.Disk{*serial("S2")}})
	if strings.Join(names, "; ") != "serial S1; cleared: serial S2" {
		t.Error(names)
	}
}

func TestCheckNIC(t *testing.T) {
	mac := "AA:BB:CC:DD:EE:01"
	has := []bmc.NIC{{MAC: "aa:bb:cc:dd:ee:01"}}
	other := []bmc.NIC{{MAC: "AA:BB:CC:DD:EE:02"}}
	for name, c := range map[string]struct {
		nic           *string
		system, whole []bmc.NIC
		reason        string
	}{
		"not named":        {nil, nil, nil, ""},
		"vmnic":            {ptr("vmnic0"), nil, other, ""},
		"of the system":    {&mac, has, nil, ""},
		"of an adapter":    {&mac, other, has, ""},
		"nothing reported": {&mac, nil, nil, ""},
		"not there":        {&mac, other, other, "it has AA:BB:CC:DD:EE:02"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &machine{stock: bmc.Inventory{NICs: c.system}, network: bmc.Network{NICs: c.whole}}
			judge(t, step.CheckNIC(t.Context(), &schema.ESXi{NIC: c.nic}, m), c.reason, "")
		})
	}
	judge(t, step.CheckNIC(t.Context(), nil, &machine{}), "", "")
}

func TestCheckRemote(t *testing.T) {
	off := false
	trusted := &schema.Disk{WWN: ptr("5001"), Confirm: &off}
	for name, c := range map[string]struct {
		disk, wipe   *schema.Disk
		san, luns    []string
		reason, next string
	}{
		"nothing is known":             {disk: trusted},
		"a storage network":            {disk: trusted, san: []string{"LPe35002 port 1"}, reason: "wwn 5001 is not confirmed by the BMC (confirm = false), and a storage network is connected (LPe35002 port 1)", next: "out of the storage network's zones"},
		"LUNs":                         {disk: trusted, luns: []string{"naa.1 (over iSCSI)", "3 more"}, reason: "the running ESXi sees LUNs of a storage network (naa.1 (over iSCSI); 3 more): it may be a LUN that others use", next: "LUN masking"},
		"of a disk to clear":           {disk: serial("S1"), wipe: trusted, luns: []string{"naa.1"}, reason: "wwn 5001 is not confirmed"},
		"a disk that the BMC confirms": {disk: serial("S1"), san: []string{"x"}, luns: []string{"naa.1"}},
		"a name of local disks":        {disk: &schema.Disk{Name: ptr("mpx.vmhba0:C0:T0:L0"), Confirm: &off}, luns: []string{"naa.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			x := &schema.ESXi{Disk: c.disk}
			if c.wipe != nil {
				x.Wipe = []schema.Disk{*c.wipe}
			}
			judge(t, step.CheckRemote(x, c.san, c.luns), c.reason, c.next)
		})
	}
	judge(t, step.CheckRemote(nil, nil, []string{"naa.1"}), "", "")
	judge(t, step.CheckRemote(&schema.ESXi{}, nil, []string{"naa.1"}), "", "")
}

func TestCheckSecureBoot(t *testing.T) {
	judge(t, step.CheckSecureBoot(nil), "", "")
	judge(t, step.CheckSecureBoot(ptr(false)), "", "")
	judge(t, step.CheckSecureBoot(ptr(true)), "Secure Boot is on", "Turn Secure Boot off")
}

func TestCheckBuilt(t *testing.T) {
	mount := step.Mount{URL: "http://x/a.iso", Medium: "digest-1-digest"}
	disks := []string{"serial S1"}
	for name, c := range map[string]struct {
		published media.Published
		reason    string
	}{
		"as mounted":   {media.Published{Digest: "digest-1-digest", Disks: disks}, ""},
		"another disk": {media.Published{Digest: "digest-1-digest", Disks: []string{"serial S2"}}, "built for another disk (serial S2)"},
		"replaced":     {media.Published{Digest: "digest-2-digest", Disks: disks}, "was replaced after it was mounted"},
	} {
		t.Run(name, func(t *testing.T) {
			judge(t, step.CheckBuilt(mount, c.published, disks), c.reason, "Build and mount it again")
		})
	}
}

// TestCheckReplace: the image from which a machine is being installed stays, by whichever
// of its URLs it was mounted.
func TestCheckReplace(t *testing.T) {
	const plain, tls = "http://x/a.iso", "https://x/a.iso"
	byTLS := inserted
	byTLS.New = tls
	latest := media.Published{URL: plain, HTTPSURL: tls}
	for name, c := range map[string]struct {
		h      step.History
		latest media.Published
		reason string
	}{
		"nothing is installed":        {history(inserted, setCD), latest, ""},
		"nothing is mounted":          {history(setCD, wiped), latest, ""},
		"installing":                  {history(inserted, setCD, wiped), latest, "may be installing from the image that is published"},
		"installing, mounted by TLS":  {history(byTLS, setCD, wiped), latest, "may be installing from the image that is published"},
		"installing from another one": {history(inserted, setCD, wiped), media.Published{URL: "http://x/b.iso"}, ""},
		"installing, none published":  {history(event.Change{Verb: event.Insert, Target: "slot CD1"}, setCD, wiped), media.Published{URL: plain}, ""},
	} {
		t.Run(name, func(t *testing.T) { judge(t, step.CheckReplace(c.h, c.latest, step.Settings{}), c.reason, "--again") })
	}
}

// TestCheckStick: only a loaded drive for floppies and USB sticks with what is not on record
// is left alone.
func TestCheckStick(t *testing.T) {
	judge(t, step.CheckStick(bmc.Slot{ID: "1", Stick: true}, step.History{}), "", "")
	judge(t, step.CheckStick(bmc.Slot{ID: "1", CD: true, Loaded: true, Image: "u"}, step.History{}), "", "")
	judge(t, step.CheckStick(bmc.Slot{ID: "1", Stick: true, Loaded: true, Image: "u"}, step.History{}), "holds u, which esxiplan did not mount", "all = true")
	judge(t, step.CheckStick(bmc.Slot{ID: "1", Stick: true, Loaded: true}, step.History{}), "holds an unknown image", "all = true")
}

func TestCheckForeign(t *testing.T) {
	judge(t, step.CheckForeign(""), "", "")
	judge(t, step.CheckForeign("u"), "another esxiplan run may be installing", "--state")
}

func TestUse(t *testing.T) {
	id := bmc.Identity{Serial: "SN1", UUID: "4c4c4544-0058-5110-8034-b7c04f543933"}
	up := esxi.Probe{State: esxi.Up, Product: "VMware ESXi 8.0.3", Fingerprint: "aa"}
	same := esxi.System{UUID: id.UUID}
	for name, c := range map[string]struct {
		power  bmc.PowerState
		probe  esxi.Probe
		system esxi.System
		err    error
		noESXi bool
		allow  bool
		open   bool
		again  bool
		reason string
		next   string
	}{
		"off":                 {power: bmc.Off, probe: esxi.Probe{State: esxi.Silent}},
		"off, no ESXi":        {power: bmc.Off, noESXi: true},
		"off, address taken":  {power: bmc.Off, probe: up, reason: "answers on 192.0.2.11 although this machine is off", next: "Free the address"},
		"on, no ESXi":         {power: bmc.On, noESXi: true, reason: "declares no ESXi to look into", next: "allow_running"},
		"on, silent":          {power: bmc.On, probe: esxi.Probe{State: esxi.Silent, Reason: "refused"}, reason: "no ESXi answers on 192.0.2.11 (refused)", next: "Power it off"},
		"on, starting":        {power: bmc.On, probe: esxi.Probe{State: esxi.Starting, Reason: "503"}, reason: "cannot determine", next: "Power it off"},
		"free":                {power: bmc.On, probe: up, system: same},
		"no login":            {power: bmc.On, probe: up, err: esxi.ErrNoLogin, reason: "gives no login", next: "esxi.current"},
		"login refused":       {power: bmc.On, probe: up, err: errors.New("wrong password"), reason: "could not be looked into: wrong password", next: "esxi.current"},
		"virtual machines":    {power: bmc.On, probe: up, system: esxi.System{UUID: id.UUID, VMs: []string{"a", "b"}}, reason: "2 virtual machines run on it (a, b)", next: "Move its virtual machines away"},
		"vCenter":             {power: bmc.On, probe: up, system: esxi.System{UUID: id.UUID, VCenter: "10.0.0.1"}, reason: "managed by the vCenter 10.0.0.1", next: "allow_running"},
		"vSAN":                {power: bmc.On, probe: up, system: esxi.System{UUID: id.UUID, VSAN: true}, reason: "member of a vSAN cluster", next: "allow_running"},
		"another machine":     {power: bmc.On, probe: up, system: esxi.System{UUID: "11111111-0058-5110-8034-b7c04f543933", Serials: []string{"X"}}, reason: "runs on another machine (serial X)", next: "Free the address"},
		"busy, allowed":       {power: bmc.On, probe: up, system: esxi.System{UUID: id.UUID, VMs: []string{"a"}}, allow: true},
		"unknown, allowed":    {power: bmc.On, probe: esxi.Probe{State: esxi.Silent}, allow: true},
		"we install it":       {power: bmc.On, probe: esxi.Probe{State: esxi.Silent}, open: true, reason: "esxiplan has been installing this machine since", next: "--start-at installed"},
		"we install, allowed": {power: bmc.On, probe: esxi.Probe{State: esxi.Silent}, open: true, allow: true, reason: "esxiplan has been installing this machine since", next: "Wait for its end"},
		"we install, again":   {power: bmc.On, probe: esxi.Probe{State: esxi.Silent}, open: true, again: true, allow: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, step.Settings{Again: c.again, WaitStep: "installed"})
			b.m.identity, b.m.power.State = id, c.power
			b.x.probe, b.x.system, b.x.err = c.probe, c.system, c.err
			if c.noESXi {
				b.ESXi = nil
			}
			if c.open {
				b.open()
			}
			use, err := step.LookInto(t.Context(), b.Host)
			if err != nil {
				t.Fatal(err)
			}
			judge(t, step.CheckUse(use, c.allow), c.reason, c.next)
			if c.probe.State == esxi.Up && use.Before.Fingerprint != "aa" {
				t.Errorf("what answered is not noted: %+v", use.Before)
			}
		})
	}
}

func TestSameMachine(t *testing.T) {
	uuid := "4c4c4544-0058-5110-8034-b7c04f543933"
	for name, c := range map[string]struct {
		system      esxi.System
		id          bmc.Identity
		same, known bool
	}{
		"one UUID":           {esxi.System{UUID: uuid}, bmc.Identity{UUID: uuid}, true, true},
		"in other order":     {esxi.System{UUID: "44454c4c-5800-1051-8034-b7c04f543933"}, bmc.Identity{UUID: uuid}, true, true},
		"another UUID":       {esxi.System{UUID: "11111111-0058-5110-8034-b7c04f543933", Serials: []string{"SN11"}}, bmc.Identity{UUID: uuid, Serial: "SN11"}, false, true},
		"serial only":        {esxi.System{Serials: []string{"x", "sn11"}}, bmc.Identity{UUID: uuid, Serial: "SN11"}, true, true},
		"board's serial":     {esxi.System{Serials: []string{"CN12"}}, bmc.Identity{Serial: "TAG1", Board: "CN12"}, true, true},
		"another serial":     {esxi.System{Serials: []string{"SN22"}}, bmc.Identity{Serial: "SN11"}, false, true},
		"nothing in common":  {esxi.System{UUID: uuid}, bmc.Identity{Serial: "SN11"}, false, false},
		"UUID of zeros":      {esxi.System{UUID: "00000000-0000-0000-0000-000000000000"}, bmc.Identity{UUID: "00000000-0000-0000-0000-000000000000"}, false, false},
		"UUID of nonsense":   {esxi.System{UUID: uuid}, bmc.Identity{UUID: "zzzz4544-0058-5110-8034-b7c04f543933"}, false, true},
		"serial of one char": {esxi.System{Serials: []string{"1"}}, bmc.Identity{Serial: "1"}, false, false},
		"placeholders":       {esxi.System{Serials: []string{"Default string"}}, bmc.Identity{Serial: "Default String"}, false, false},
		"zeros":              {esxi.System{Serials: []string{"00000000"}}, bmc.Identity{Serial: "00000000"}, false, false},
		"one placeholder":    {esxi.System{Serials: []string{"N/A", "SN11"}}, bmc.Identity{Serial: "sn11", Board: "To Be Filled By O.E.M."}, true, true},
	} {
		if same, known := step.SameMachine(c.system, c.id); same != c.same || known != c.known {
			t.Errorf("%s: same %v, known %v", name, same, known)
		}
	}
}

// TestNoDescriptors: a lack of descriptors here says nothing about a machine or its medium, so
// that nothing is refused because of it.
func TestNoDescriptors(t *testing.T) {
	b := newBench(t, step.Settings{})
	b.m.power.State = bmc.On
	b.x.probe, b.x.err = esxi.Probe{State: esxi.Up}, fmt.Errorf("ESXi 192.0.2.11: %w", syscall.EMFILE)
	if use, err := step.LookInto(t.Context(), b.Host); !descriptor.Exhausted(err) {
		t.Errorf("%+v, %v", use, err)
	}
	b = newBench(t, step.Settings{Consent: all, Installs: true})
	b.mounted("http://x/a.iso", "digest of a.iso")
	b.SetMedia(b.s)
	b.s.has, b.s.fetch = true, syscall.EMFILE
	b.s.latest = media.Published{URL: "http://x/a.iso", Digest: "digest of a.iso", Disks: []string{"serial S1"}}
	if _, err := b.BMC.Admit(t.Context()); !descriptor.Exhausted(err) {
		t.Errorf("of the medium: %v", err)
	}
}

package step_test

import (
	"errors"
	"strings"
	"testing"

	"esxiplan/engine/event"
	"esxiplan/engine/media"
	"esxiplan/engine/step"
)

// TestUnbuilt: the two names for what is known only when an image is built are one.
func TestUnbuilt(t *testing.T) {
	if media.NewURL != "http:"+event.Unbuilt || media.NewHTTPSURL != "https:"+event.Unbuilt {
		t.Errorf("%s, %s, %s", media.NewURL, media.NewHTTPSURL, event.Unbuilt)
	}
}

// TestCheckApproved: no saved plan allows all; one allows its changes, and says what it has.
func TestCheckApproved(t *testing.T) {
	boot := event.Change{Door: event.DoorBMC, Verb: event.SetBoot, Target: "source", Old: "none", New: "cd"}
	none := func(string) bool { return false }
	if err := step.CheckApproved(nil, "cd", boot, none); err != nil {
		t.Error(err)
	}
	plan := &step.Approved{Changes: []event.Planned{{Step: "cd", Change: boot}}}
	if err := step.CheckApproved(plan, "cd", boot, none); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		plan *step.Approved
		step string
		want string
	}{
		"another step":   {plan, "later", "it has no change by this step"},
		"another change": {plan, "cd", "by this step it has: boot source: none → cd"},
		"no change":      {&step.Approved{}, "cd", "it has no change by this step"},
	} {
		other := boot
		other.New = "pxe"
		err := step.CheckApproved(c.plan, c.step, other, none)
		var refusal *step.Refusal
		if !errors.As(err, &refusal) || refusal.Guard != "approval" || !strings.Contains(refusal.Reason, c.want) || !strings.Contains(refusal.Reason, "boot source: none → pxe") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCheckSameMachine: a saved plan is for the machine that it was made for, as it was.
func TestCheckSameMachine(t *testing.T) {
	now := event.Machine{Serial: "S1", Runs: event.Running{Power: "On"}}
	other := now
	other.Serial = "S2"
	for name, c := range map[string]struct {
		plan *step.Approved
		want string
	}{
		"no saved plan":     {nil, ""},
		"the same machine":  {&step.Approved{Machine: &now}, ""},
		"another machine":   {&step.Approved{Machine: &other}, "serial number: S2 → S1"},
		"without a machine": {&step.Approved{}, "holds no change of this machine"},
	} {
		err := step.CheckSameMachine(c.plan, now)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCheckAgreed: who was shown disks agreed to those, and who was not asked to any.
func TestCheckAgreed(t *testing.T) {
	disk, other := event.Disk{Model: "M", Serial: "S1"}, event.Disk{Model: "M", Serial: "S2"}
	for name, c := range map[string]struct {
		shown  *step.Shown
		erases []event.Disk
		ok     bool
	}{
		"not asked":        {nil, []event.Disk{disk}, true},
		"shown":            {&step.Shown{Disks: []event.Disk{disk}}, []event.Disk{disk}, true},
		"another disk":     {&step.Shown{Disks: []event.Disk{disk}}, []event.Disk{other}, false},
		"a further disk":   {&step.Shown{Disks: []event.Disk{disk}}, []event.Disk{disk, other}, false},
		"shown none":       {&step.Shown{}, []event.Disk{disk}, false},
		"nothing is wiped": {&step.Shown{}, nil, true},
	} {
		if err := step.CheckAgreed(step.Consent{Wipe: true, Shown: c.shown}, c.erases); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package session

import (
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/local"
	"esxiplan/engine/proposal"
	"esxiplan/engine/step"
)

// reset is the change by which a machine is restarted or powered off.
func reset(r event.Risk, erases ...event.Disk) event.Planned {
	return event.Planned{Step: "restart", Change: event.Change{Verb: event.Reset, Risk: r, Intent: event.Intent{Boots: r != event.PowersOff, Erases: erases}}}
}

// TestAgree: what a user agrees to after seeing a proposal.
func TestAgree(t *testing.T) {
	disk := event.Disk{Wanted: "model X", Serial: "S1"}
	p := &proposal.Proposal{Hosts: []*proposal.Host{
		{Host: "wiped", Outcome: proposal.Install, Changes: []event.Planned{reset(event.Wipes, disk)}},
		{Host: "restarted", Outcome: proposal.Change, Changes: []event.Planned{reset(event.Reboots)}},
		{Host: "off", Outcome: proposal.Change, Changes: []event.Planned{reset(event.PowersOff)}},
		{Host: "mounted", Outcome: proposal.Change, Changes: []event.Planned{{Change: event.Change{Verb: event.Insert, Risk: event.Mounts}}}},
		{Host: "fine", Outcome: proposal.Unchanged},
		{Host: "refused", Outcome: proposal.Refused, Changes: []event.Planned{reset(event.Wipes, disk)}},
		{Host: "dead", Outcome: proposal.Unreachable},
	}}
	a := Agree(p)
	for host, want := range map[string]step.Consent{"wiped": {Stop: true, Wipe: true}, "restarted": {Stop: true}, "off": {Stop: true}} {
		got := a.Of(host)
		if got.Stop != want.Stop || got.Wipe != want.Wipe || a.Approved(host) != nil {
			t.Errorf("%s: %+v", host, got)
		}
	}
	if c := a.Of("wiped"); step.CheckAgreed(c, []event.Disk{disk}) != nil || step.CheckAgreed(c, []event.Disk{{Wanted: "model X", Serial: "S2"}}) == nil {
		t.Error("another disk than the one that was shown may be erased")
	}
	for _, host := range []string{"mounted", "fine", "unheard of"} {
		if c := a.Of(host); c != (step.Consent{}) {
			t.Errorf("%s: %+v", host, c)
		}
	}
}

// TestBarred: nothing is written to hosts that the question showed as refused or out of reach.
func TestBarred(t *testing.T) {
	a := Agree(&proposal.Proposal{Hosts: []*proposal.Host{{Host: "refused", Outcome: proposal.Refused, Changes: []event.Planned{reset(event.Wipes)}}, {Host: "dead", Outcome: proposal.Unreachable}}})
	for host, want := range map[string]string{"refused": "it was refused when", "dead": "it was unreachable when"} {
		c := a.Of(host)
		if err := step.CheckBarred(c); c.Stop || c.Wipe || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", host, c, err)
		}
	}
	if err := step.CheckBarred(Everything().Of("dead")); err != nil {
		t.Error(err)
	}
}

// TestApply: a saved plan allows its changes, and none for a host that it does not have.
func TestApply(t *testing.T) {
	c := reset(event.Wipes, event.Disk{Serial: "S1"})
	a := Apply(&proposal.Proposal{Hosts: []*proposal.Host{{Host: "a", Outcome: proposal.Install, Changes: []event.Planned{c}}}})
	if got := a.Approved("a"); len(got.Changes) != 1 || !a.Of("a").Wipe {
		t.Errorf("%+v", got)
	}
	if got := a.Approved("b"); got == nil || len(got.Changes) > 0 || step.CheckApproved(got, "restart", c.Change, nil) == nil {
		t.Errorf("a host that the plan does not have: %+v", got)
	}
}

// TestAgreement: no answer is no consent, and --yes covers all hosts.
func TestAgreement(t *testing.T) {
	if c := (Agreement{}).Of("a"); c != (step.Consent{}) {
		t.Errorf("nothing: %+v", c)
	}
	if c := Everything().Of("a"); c != (step.Consent{Stop: true, Wipe: true}) || Everything().Approved("a") != nil {
		t.Errorf("everything: %+v", c)
	}
}

// TestAgo: a run may have begun in the future, by a clock that was set back since.
func TestAgo(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := &Prepared{o: Options{Clock: local.NewClockAt(now, 0)}}
	if got := p.Ago(now.Add(-2 * time.Hour)); got != "2 hours ago" {
		t.Error(got)
	}
	if got := p.Ago(now.AddDate(10, 0, 0)); strings.Contains(got, "-87") || !strings.HasPrefix(got, "at 2036-01-0") || !strings.Contains(got, "was it set back?") {
		t.Error(got)
	}
}

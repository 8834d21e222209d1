// Package precheck is the step that shows early what the guards will demand.
package precheck

import (
	"context"
	_ "embed"
	"errors"
	"strings"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/step"
)

//go:embed doc.md
var doc string

// Arguments of the step.
type Arguments struct {
	Use bool `json:"use" default:"true" doc:"Whether to look into the running ESXi, which takes one login with esxi.current."`
}

// Result of the step.
type Result struct {
	Vendor     string     `json:"vendor" doc:"Vendor, as plans write it."`
	Model      string     `json:"model" doc:"Model of the machine."`
	Serial     string     `json:"serial" doc:"Serial number or service tag."`
	UUID       string     `json:"uuid" doc:"UUID of the computer system."`
	Power      string     `json:"power" doc:"Power state."`
	SecureBoot *bool      `json:"secure_boot" doc:"Whether Secure Boot is on; null where the BMC does not say."`
	BootMode   string     `json:"boot_mode" doc:"UEFI, Legacy, or empty where the BMC does not say."`
	Drives     []bmc.Disk `json:"drives" doc:"Disks as the operating system sees them; null where the BMC reports no storage."`
	NICs       []bmc.NIC  `json:"nics" doc:"Network ports; null where the BMC reports none."`
	Slots      []string   `json:"slots" doc:"Virtual media slots that take a CD."`
	ESXi       string     `json:"esxi" doc:"What is known of the use of the machine: free, busy or unknown, and why."`
}

// Type is the step type.
var Type = step.Define(step.Spec[Arguments, Result]{
	Name: "precheck", Summary: "Logs in to the BMC and shows early what the guards will demand.", Doc: doc,
	Policy: step.Policy{Retries: 3, Delay: 5 * time.Second, MaxDelay: 30 * time.Second, Timeout: 10 * time.Minute},
	Run:    run,
})

func run(ctx context.Context, h *step.Host, c Arguments) (Result, error) {
	facts, err := step.ReadFacts(ctx, h)
	if err != nil {
		return Result{}, err
	}
	r := Result{Vendor: facts.Vendor, Model: facts.Model, Serial: facts.Serial, UUID: facts.UUID, Power: facts.Power, SecureBoot: facts.SecureBoot, Drives: facts.Drives, NICs: facts.NICs}
	p := &problems{}
	for _, check := range []func(context.Context, *step.Host, Arguments, *Result) error{identity, medium, disk, nic, use} {
		if err := p.add(check(ctx, h, c, &r)); err != nil {
			return Result{}, err
		}
	}
	return r, p.refusal()
}

// problems gathers what the guards will refuse, so that one look shows all.
type problems struct{ reasons, next []string }

func (p *problems) add(err error) error {
	var refusal *step.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	p.reasons = append(p.reasons, refusal.Reason)
	p.next = append(p.next, refusal.Next)
	return nil
}

func (p *problems) refusal() error {
	if len(p.reasons) == 0 {
		return nil
	}
	return &step.Refusal{Guard: "precheck", Reason: strings.Join(p.reasons, "; and "), Next: strings.Join(p.next, ". ")}
}

func identity(ctx context.Context, h *step.Host, _ Arguments, _ *Result) error {
	id, err := h.BMC.Identity(ctx)
	if err != nil {
		return err
	}
	return step.CheckIdentity(h, id)
}

func medium(ctx context.Context, h *step.Host, _ Arguments, r *Result) error {
	slots, err := h.BMC.Slots(ctx)
	if err != nil {
		return err
	}
	for _, s := range slots {
		if s.CD {
			r.Slots = append(r.Slots, s.ID)
		}
	}
	if h.Settings.Installs && len(r.Slots) == 0 {
		return &step.Refusal{Guard: "medium", Reason: "the BMC offers no virtual CD drive", Next: "Check its licence and that virtual media is enabled"}
	}
	boot, err := h.BMC.Boot(ctx)
	r.BootMode = boot.Mode
	if h.Settings.Installs && boot.Mode == "Legacy" {
		h.Warn("the machine boots in BIOS mode, which ESXi 8 and later no longer support")
	}
	return err
}

func disk(ctx context.Context, h *step.Host, _ Arguments, _ *Result) error {
	if !h.Settings.Installs {
		return nil
	}
	return step.CheckDisk(ctx, h, h.BMC)
}

func nic(_ context.Context, h *step.Host, _ Arguments, r *Result) error {
	if h.Declared.ESXi == nil || h.Declared.ESXi.NIC == nil || !h.Settings.Installs {
		return nil
	}
	want := *h.Declared.ESXi.NIC
	if strings.HasPrefix(want, "vmnic") {
		h.Warn("%s cannot be confirmed by the BMC; a MAC address can", want)
		return nil
	}
	if r.NICs == nil {
		h.Warn("the BMC reports no network ports, so %s cannot be confirmed", want)
		return nil
	}
	var have []string
	for _, n := range r.NICs {
		if strings.EqualFold(n.MAC, want) {
			return nil
		}
		have = append(have, n.MAC)
	}
	h.Warn("the BMC reports no network port with the MAC address %s, only %s; some BMCs leave add-in cards out, so look at esxi.nic", want, strings.Join(have, ", "))
	return nil
}

func use(ctx context.Context, h *step.Host, c Arguments, r *Result) error {
	if !c.Use {
		r.ESXi = "not looked into"
		return nil
	}
	u, err := step.LookInto(ctx, h, h.BMC)
	if err != nil {
		return err
	}
	r.ESXi = u.State + ": " + u.Reason
	if !h.Settings.Installs {
		return nil
	}
	return u.Refuse(h)
}

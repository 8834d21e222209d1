// Package precheck is the step that shows early what the guards will demand.
package precheck

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
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
	Firmware   string     `json:"firmware" doc:"Model and version of the BMC."`
	Power      string     `json:"power" doc:"Power state."`
	Post       string     `json:"post" doc:"How far the firmware has come, in the BMC's words; empty where it does not say."`
	SecureBoot *bool      `json:"secure_boot" doc:"Whether Secure Boot is on; null where the BMC does not say."`
	BootMode   string     `json:"boot_mode" doc:"UEFI, Legacy, or empty where the BMC does not say."`
	License    string     `json:"license" doc:"License of the BMC; empty where it does not say."`
	Drives     []bmc.Disk `json:"drives" doc:"Disks as the operating system sees them; null where the BMC reports no storage, or does not answer a request for it."`
	NICs       []bmc.NIC  `json:"nics" doc:"Network ports that the computer system lists; null where it lists none."`
	Slots      []string   `json:"slots" doc:"Virtual media slots that take a CD."`
	ESXi       string     `json:"esxi" doc:"What is known of the use of the machine: free, busy or unknown, and why."`
}

// Type is the step type.
var Type = step.Define(step.Spec[Arguments, Result]{
	Name: "precheck", Summary: "Logs in to the BMC and shows early what the guards will demand.", Doc: doc, Most: step.Effects{Disk: true},
	// The timeout leaves room for a BMC that takes its ten minutes to get ready.
	Policy: step.Policy{Retries: 3, Delay: 5 * time.Second, MaxDelay: 30 * time.Second, Timeout: 20 * time.Minute},
	Run:    run,
})

type check func(context.Context, *step.Host, Arguments, *Result) error

func run(ctx context.Context, h *step.Host, c Arguments) (Result, error) {
	var r Result
	p := &problems{}
	for _, look := range []check{readAhead, identity, ready, readAhead, hardware, medium, license, disk, nic, use} {
		if err := p.add(look(ctx, h, c, &r)); err != nil {
			return Result{}, err
		}
	}
	return r, p.refusal()
}

// readAhead reads what the checks and the first write after them ask for. What a BMC said
// before it was ready counts no longer; else the second time costs nothing.
func readAhead(ctx context.Context, h *step.Host, _ Arguments, _ *Result) error {
	return h.BMC.Prefetch(ctx, func(ctx context.Context, r bmc.Reader) {
		r.Power(ctx)
		r.Boot(ctx)
		r.Inventory(ctx)
		r.License(ctx)
		slots, err := r.Slots(ctx)
		if err == nil && len(slots) > 0 && h.Settings.Installs {
			r.Preparations(ctx, slots[0], "")
		}
		if h.Settings.Installs {
			step.CheckNIC(ctx, h.Declared.ESXi, r)
			h.BMC.BeforeWrites(ctx, r)
		}
	})
}

// problems gathers what the guards will refuse, so that one look shows all.
type problems struct{ guards, reasons, next []string }

func (p *problems) add(err error) error {
	var refusal *step.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	p.guards = append(p.guards, refusal.Guard)
	p.reasons = append(p.reasons, refusal.Reason)
	p.next = append(p.next, refusal.Next)
	return nil
}

func (p *problems) refusal() error {
	if len(p.reasons) == 0 {
		return nil
	}
	return &step.Refusal{Guard: strings.Join(p.guards, ", "), Reason: strings.Join(p.reasons, "; and "), Next: strings.Join(p.next, ". ")}
}

func identity(ctx context.Context, h *step.Host, _ Arguments, r *Result) error {
	id, err := h.BMC.Identity(ctx)
	if err != nil {
		return err
	}
	r.Vendor, r.Model, r.Serial, r.UUID, r.Firmware = id.Vendor, id.Model, id.Serial, id.UUID, strings.TrimSpace(id.Generation+" "+id.Firmware)
	return step.CheckIdentity(h.Declared, id)
}

func ready(ctx context.Context, h *step.Host, _ Arguments, r *Result) error {
	power, err := h.Ready(ctx)
	r.Power, r.Post = string(power.State), power.Post
	return err
}

func hardware(ctx context.Context, h *step.Host, _ Arguments, r *Result) error {
	stock, err := h.BMC.Inventory(ctx)
	r.SecureBoot, r.NICs = stock.SecureBoot, stock.NICs
	if r.Drives, _ = bmc.Seen(stock.Disks); stock.Unread != nil {
		h.Warn("the machine's disks are unknown: %v", stock.Unread)
	}
	if err != nil || !h.Settings.FirstBoot {
		return err
	}
	return step.CheckSecureBoot(stock.SecureBoot)
}

func medium(ctx context.Context, h *step.Host, _ Arguments, r *Result) error {
	slots, err := h.BMC.Slots(ctx)
	if err != nil {
		return err
	}
	for _, s := range bmc.Distinct(slots) {
		if s.CD {
			r.Slots = append(r.Slots, s.ID)
		}
	}
	boot, err := h.BMC.Boot(ctx)
	if err != nil {
		return err
	}
	if r.BootMode = boot.Mode; h.Settings.Installs && boot.Mode == "Legacy" {
		h.Warn("the machine boots in BIOS (Legacy) mode: ESXi 7 deprecates it, and servers listed for ESXi 8 and later must boot in UEFI mode; " +
			"change it in the BIOS setup")
	}
	if !h.Settings.Installs {
		return nil
	}
	if err := step.CheckDrive(slots); err != nil {
		return err
	}
	return mountable(ctx, h, slots[0])
}

// mountable demands that the BMC takes images as the plan offers them. Where the plan offers
// an image by http and by https, one of them will do.
func mountable(ctx context.Context, h *step.Host, drive bmc.Slot) error {
	urls, err := offered(h)
	if err != nil {
		return err
	}
	var obstacle *bmc.ErrUnsupported
	for i, url := range urls {
		_, err := h.BMC.Preparations(ctx, drive, url)
		if errors.As(err, &obstacle) {
			continue
		}
		if err == nil && i > 0 {
			h.Warn("%s; the step insert must get the other URL, such as https_url of build_iso", obstacle.What)
		}
		return err
	}
	if _, err := h.BMC.Preparations(ctx, drive, ""); errors.As(err, &obstacle) {
		return &step.Refusal{Guard: "medium", Reason: obstacle.What, Next: "Change that in the BMC"}
	}
	return &step.Refusal{Guard: "medium", Reason: fmt.Sprintf("%s; the plan gives %s", obstacle.What, urls[0]),
		Next: "Correct the plan's media block, or the URL that the step insert gets"}
}

// offered are the URLs of the image that the plan mounts: the one that it names, else those
// under which it publishes; an empty one stands for what is not known yet.
func offered(h *step.Host) ([]string, error) {
	if url := h.Settings.Medium; url != "" {
		return []string{url}, nil
	}
	if h.Media == nil {
		return []string{""}, nil
	}
	url, https, err := h.Media.Addresses(h.Name, h.Declared.BMC.Address.Host())
	if err != nil || https == "" || https == url {
		return []string{url}, err
	}
	return []string{url, https}, nil
}

func license(ctx context.Context, h *step.Host, _ Arguments, r *Result) error {
	l, err := h.BMC.License(ctx)
	if r.License = l.Name; err != nil || !h.Settings.Installs {
		return err
	}
	return step.CheckLicense(l)
}

func disk(ctx context.Context, h *step.Host, _ Arguments, _ *Result) error {
	if !h.Settings.Installs {
		return nil
	}
	if err := step.CheckDisk(ctx, h.Declared.ESXi, h.BMC); err != nil {
		return err
	}
	return h.WarnNameless(ctx)
}

func nic(ctx context.Context, h *step.Host, _ Arguments, _ *Result) error {
	x := h.Declared.ESXi
	if x == nil || x.NIC == nil || !h.Settings.Installs {
		return nil
	}
	if strings.HasPrefix(*x.NIC, "vmnic") {
		h.Warn("%s cannot be confirmed by the BMC; a MAC address can", *x.NIC)
		return nil
	}
	n, err := h.BMC.Inventory(ctx)
	if err == nil && n.NICs == nil {
		h.Warn("the BMC's computer system lists no network ports; its adapters are asked for %s", *x.NIC)
	}
	if err != nil {
		return err
	}
	return step.CheckNIC(ctx, x, h.BMC)
}

func use(ctx context.Context, h *step.Host, c Arguments, r *Result) error {
	if !c.Use {
		r.ESXi = "not looked into"
		return nil
	}
	u, err := step.LookInto(ctx, h)
	if err != nil {
		return err
	}
	r.ESXi = string(u.State) + ": " + u.Reason
	if !h.Settings.Installs {
		return nil
	}
	p := &problems{}
	err = errors.Join(p.add(step.CheckUse(u, h.Declared.AllowRunning)), p.add(step.CheckRemote(h.Declared.ESXi, nil, u.LUNs)))
	return cmp.Or(err, p.refusal())
}

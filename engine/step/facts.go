package step

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"esxiplan/engine/bmc"
	"esxiplan/schema"
)

// Facts is what host.facts looks like: what a machine says of itself.
type Facts struct {
	Vendor       string     `json:"vendor" doc:"Vendor, as plans write it."`
	Manufacturer string     `json:"manufacturer" doc:"Manufacturer, in the BMC's words."`
	Model        string     `json:"model" doc:"Model of the machine."`
	Serial       string     `json:"serial" doc:"Serial number or service tag."`
	UUID         string     `json:"uuid" doc:"UUID of the computer system."`
	BMC          string     `json:"bmc" doc:"Model of the BMC."`
	Firmware     string     `json:"firmware" doc:"Version of the BMC."`
	Power        string     `json:"power" doc:"Power state."`
	Post         string     `json:"post" doc:"How far the firmware has come, in the BMC's words; empty where it does not say."`
	BootMode     string     `json:"boot_mode" doc:"UEFI, Legacy, or empty where the BMC does not say."`
	BootSource   string     `json:"boot_source" doc:"Boot source override: none, cd, pxe, uefi_http, disk or other."`
	SecureBoot   *bool      `json:"secure_boot" doc:"Whether Secure Boot is on; null where the BMC does not say."`
	License      string     `json:"license" doc:"License of the BMC; empty where it does not say."`
	Media        []Slot     `json:"media" doc:"Virtual media slots, those that take a CD first."`
	Drives       []bmc.Disk `json:"drives" doc:"Disks as the operating system sees them; null where the BMC reports none."`
	HiddenDrives []bmc.Disk `json:"hidden_drives" doc:"Drives that the operating system does not see, such as members of RAID volumes; their state says why."`
	NICs         []bmc.NIC  `json:"nics" doc:"Network ports; null where the BMC reports none."`
	SAN          []string   `json:"san" doc:"Ports of storage networks whose link is up."`
}

// Slot is a virtual media slot.
type Slot struct {
	ID    string `json:"id" doc:"What the BMC calls it."`
	Place string `json:"place" doc:"system or manager: under which resource it was found."`
	CD    bool   `json:"cd" doc:"Takes a CD image by URL."`
	Image string `json:"image" doc:"What is mounted; \"unknown image\" where the BMC does not say, empty where nothing is."`
}

// ReadFacts reads the facts of a host. That its disks are unknown because a request for them
// failed is no error: the plan may not need them.
func ReadFacts(ctx context.Context, h *Host) (Facts, error) {
	f, unread, err := factsOf(ctx, h.BMC)
	if unread != nil {
		h.Warn("the machine's disks are unknown: %v", unread)
	}
	return f, err
}

// FactsOf reads all that a BMC says of its machine. What could be read is returned
// with the error about the rest.
func FactsOf(ctx context.Context, c bmc.Reader) (Facts, error) {
	f, unread, err := factsOf(ctx, c)
	return f, errors.Join(err, unread)
}

// factsOf is [FactsOf]; unread is why the disks are unknown, nil where no request failed.
func factsOf(ctx context.Context, c bmc.Reader) (f Facts, unread, err error) {
	err = c.Prefetch(ctx, func(ctx context.Context, c bmc.Reader) { readAll(ctx, c, &Facts{}) })
	if err == nil {
		err = readIdentity(ctx, c, &f)
	}
	if err != nil {
		return Facts{}, nil, err
	}
	unread, err = readAll(ctx, c, &f)
	return f, unread, err
}

// readAll reads all but the identity; unread is as for [factsOf].
func readAll(ctx context.Context, c bmc.Reader, f *Facts) (unread, err error) {
	var errs []error
	hardware := func(ctx context.Context, c bmc.Reader, f *Facts) (err error) {
		unread, err = readHardware(ctx, c, f)
		return err
	}
	for _, read := range []func(context.Context, bmc.Reader, *Facts) error{readPower, readBoot, readMedia, readLicense, hardware, readNetwork} {
		if err := read(ctx, c, f); err != nil {
			errs = append(errs, err)
		}
	}
	return unread, errors.Join(errs...)
}

func readIdentity(ctx context.Context, c bmc.Reader, f *Facts) error {
	id, err := c.Identity(ctx)
	f.Vendor, f.Manufacturer, f.Model, f.Serial, f.UUID = id.Vendor, id.Manufacturer, id.Model, id.Serial, id.UUID
	f.BMC, f.Firmware = id.Generation, id.Firmware
	return err
}

func readPower(ctx context.Context, c bmc.Reader, f *Facts) error {
	power, err := c.Power(ctx)
	f.Power, f.Post = string(power.State), power.Post
	return err
}

func readBoot(ctx context.Context, c bmc.Reader, f *Facts) error {
	boot, err := c.Boot(ctx)
	f.BootMode, f.BootSource = boot.Mode, string(boot.Target)
	return err
}

func readMedia(ctx context.Context, c bmc.Reader, f *Facts) error {
	slots, err := c.Slots(ctx)
	if err != nil {
		return err
	}
	f.Media = []Slot{}
	for _, s := range bmc.Distinct(slots) {
		f.Media = append(f.Media, Slot{s.ID, s.Place, s.CD, s.Shown()})
	}
	return nil
}

func readLicense(ctx context.Context, c bmc.Reader, f *Facts) error {
	license, err := c.License(ctx)
	f.License = license.Name
	return err
}

func readHardware(ctx context.Context, c bmc.Reader, f *Facts) (unread, err error) {
	stock, err := c.Inventory(ctx)
	f.SecureBoot, f.NICs, f.SAN = stock.SecureBoot, stock.NICs, []string{}
	f.Drives, f.HiddenDrives = bmc.Seen(stock.Disks)
	return stock.Unread, err
}

// readNetwork lays the ports of the adapters over those of the computer system.
func readNetwork(ctx context.Context, c bmc.Reader, f *Facts) error {
	network, err := c.Network(ctx)
	if err != nil {
		return err
	}
	f.NICs = network.NICs
	f.SAN = append(f.SAN, network.SAN...)
	return nil
}

// Disks are all drives and volumes that the BMC reports; nil: unknown.
func (f Facts) Disks() []bmc.Disk {
	if f.Drives == nil {
		return nil
	}
	return append(slices.Clone(f.Drives), f.HiddenDrives...)
}

var factsObject = schema.Of[Facts]()

// Resolve chooses a host's disk and NIC by its facts, where the plan leaves that to the
// machine. value is the facts as expressions see them.
func Resolve(p *schema.Plan, h *schema.Host, facts json.RawMessage) (resolved *schema.Host, value cty.Value, diags hcl.Diagnostics) {
	value, err := factsObject.FromJSON(facts)
	if err != nil {
		return nil, cty.NilVal, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Facts that cannot be understood",
			Detail: fmt.Sprintf("What the BMC of host %q reported cannot be decoded: %v. Look at it with esxiplan discover --json, and report it.", h.Name, err)}}
	}
	resolved, diags = p.Resolve(h, value)
	return resolved, value, diags
}

// Package buildiso is the step that makes a host's installer medium.
package buildiso

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"esxiplan/engine/media"
	"esxiplan/engine/media/kickstart"
	"esxiplan/engine/step"
	"esxiplan/schema"
)

//go:embed doc.md
var doc string

// Arguments of the step.
type Arguments struct {
	Image           schema.Image `json:"image" doc:"The installer image, such as image.esxi."`
	Kickstart       *string      `json:"kickstart" doc:"A kickstart of your own, such as file(\"ks.cfg\") or templatefile(…), in the place of the generated one. It is linted, and writes to the disks of esxi.disk and esxi.wipe only; without a rootpw line it gets esxi.root_password as a hash."`
	UncheckedDisks  bool         `json:"unchecked_disks" default:"false" doc:"true: I checked which disks this kickstart of my own writes to. Accepts what cannot be compared with esxi.disk and esxi.wipe, such as %include; never --alldrives, --ignoredrives and a bare --firstdisk."`
	SystemMediaSize *string      `json:"system_media_size" enum:"min small default max" doc:"Size of the system partitions on the boot disk (ESXi 7.0U1c and later)."`
	Keyboard        *string      `json:"keyboard" doc:"Keyboard layout, such as \"US Default\" or \"Swiss German\"."`
	Commands        []string     `json:"commands" doc:"Further kickstart commands, a line each, such as \"part data --ondisk=naa.5000…\" with a disk of esxi.wipe."`
	Pre             *string      `json:"pre" doc:"Script that runs in the installer before anything is written; it ends the installation when it fails. Shell, or Python when its first line says so."`
	Post            *string      `json:"post" doc:"Script that runs in the installer after the image was written."`
	Firstboot       *string      `json:"firstboot" doc:"Script that runs when the new system first boots; never under Secure Boot."`
	SSH             bool         `json:"ssh" default:"false" doc:"true: start SSH for good at the first boot and open the firewall for it; not under Secure Boot."`
	OverwriteVSAN   bool         `json:"overwrite_vsan" default:"false" doc:"true: the disk is claimed by a vSAN, which is given up. The installer refuses it for other disks."`
	DryRun          bool         `json:"dry_run" was:"rehearse" default:"false" doc:"true: the installer checks everything on the machine itself and installs nothing (its own dryrun)."`
	KernelOptions   []string     `json:"kernel_options" doc:"Further options for the installer's kernel, one word each, such as \"allowLegacyCPU=true\". Those that lead the installer elsewhere or decide what the plan decides are refused."`
}

// Result of the step.
type Result struct {
	URL             string `json:"url" doc:"Where BMCs fetch the image."`
	HTTPSURL        string `json:"https_url" doc:"The same by HTTPS, where the run serves both; else empty."`
	Size            int64  `json:"size" doc:"Size of the image in bytes."`
	SHA256          string `json:"sha256" doc:"Identifies the image: a digest over the source's SHA-256 and all that lies over it."`
	KickstartSHA256 string `json:"kickstart_sha256" doc:"SHA-256 of the kickstart."`
	Version         string `json:"version" doc:"ESXi version in the image."`
	Build           string `json:"build" doc:"ESXi build in the image."`
}

// Type is the step type.
var Type = step.Define(step.Spec[Arguments, Result]{
	Name: "build_iso", Summary: "Builds the host's installer medium and publishes it where BMCs can fetch it.", Doc: doc,
	Requires: []string{"esxi.address", "esxi.network", "esxi.disk", "esxi.root_password"},
	Policy:   step.Policy{Retries: 3, Delay: 2 * time.Second, MaxDelay: 10 * time.Second, Timeout: 30 * time.Minute},
	Most:     step.Effects{Builds: true, Disk: true},
	Effects: func(c Arguments) step.Effects {
		generated := kickstart.Script{First: deref(c.Firstboot), SSH: c.SSH}
		return step.Effects{Builds: true, Disk: true, FirstBoot: c.Kickstart == nil && generated.FirstBoot()}
	},
	Run: run, Recall: recall,
})

func run(ctx context.Context, h *step.Host, c Arguments) (Result, error) {
	r, err := prepare(h, c)
	if err == nil {
		err = checkMediaSize(ctx, h, c)
	}
	if err != nil {
		return Result{}, err
	}
	if r.Script.FirstBoot() || r.Own != "" {
		r.SecureBoot = secureBoot(ctx, h)
	}
	if r.Script.FirstBoot() {
		if err := step.CheckSecureBoot(r.SecureBoot); err != nil {
			return Result{}, err
		}
	}
	r.Written = func(done, total int64) { h.Progress(done, total, "bytes of the image written") }
	p, err := h.Media.Publish(ctx, r)
	if err != nil {
		return Result{}, c.Attribute(err)
	}
	for _, w := range p.Warnings {
		h.Warn("%s", w)
	}
	for _, url := range []string{p.URL, p.HTTPSURL} {
		if url == "" {
			continue
		}
		if err := h.Media.Fetch(ctx, url); err != nil {
			return Result{}, fmt.Errorf("the image was published but cannot be fetched back: %w", err)
		}
	}
	return result(p), nil
}

// secureBoot is nil where the BMC does not say: the guard of the restart
// asks again, so that a medium can be built although a BMC does not answer.
func secureBoot(ctx context.Context, h *step.Host) *bool {
	stock, err := h.BMC.Inventory(ctx)
	if err != nil {
		return nil
	}
	return stock.SecureBoot
}

// recall gives the result of an earlier process. It does without the installer image, which
// may lie on the machine that built: what the arguments mean for it was checked there.
func recall(ctx context.Context, h *step.Host, c Arguments) (Result, error) {
	r, err := prepare(h, c)
	if err != nil {
		return Result{}, err
	}
	p, err := h.Media.Published(ctx, r)
	return result(p), c.Attribute(err)
}

// Attribute puts an error about a kickstart where the kickstart, or what went into it,
// was given.
func (c Arguments) Attribute(err error) error {
	var mistakes *media.ErrKickstart
	if !errors.As(err, &mistakes) {
		return err
	}
	argument := "image"
	switch {
	case c.Kickstart != nil:
		argument = "kickstart"
	case len(c.Commands) > 0:
		argument = "commands"
	case c.Keyboard != nil:
		argument = "keyboard"
	}
	return schema.AtArgument(argument, "%w", err)
}

func result(p media.Published) Result {
	return Result{p.URL, p.HTTPSURL, p.Size, p.Digest, p.KickstartSHA256, p.Version, p.Build}
}

// prepare turns declaration and arguments into what a medium is made from.
func prepare(h *step.Host, c Arguments) (media.Request, error) {
	if h.Media == nil {
		return media.Request{}, fmt.Errorf("the plan has no media block, so there is no place to publish an image: add media { directory, url } or media { listen }")
	}
	if err := kickstart.CheckPassword(h.Declared.ESXi.RootPassword.Reveal()); err != nil {
		return media.Request{}, err
	}
	return Request(h.Plan, h.Declared, c)
}

// checkMediaSize asks the image for its version, which not every stage has at hand.
func checkMediaSize(ctx context.Context, h *step.Host, c Arguments) error {
	if c.SystemMediaSize == nil {
		return nil
	}
	version, _, err := h.Media.Source(ctx, Source(c.Image))
	if err != nil {
		return err
	}
	return c.CheckMediaSize(version)
}

// CheckMediaSize judges system_media_size for the image's version.
func (c Arguments) CheckMediaSize(version string) error {
	if c.SystemMediaSize == nil {
		return nil
	}
	if err := kickstart.CheckMediaSize(*c.SystemMediaSize, version); err != nil {
		return schema.AtArgument("system_media_size", "%w", err)
	}
	return nil
}

// Request is what a declared host's medium is made from, once the arguments are found
// valid for it. The part about the machine's state is left open.
func Request(plan string, h *schema.Host, c Arguments) (media.Request, error) {
	if err := c.check(h.ESXi); err != nil {
		return media.Request{}, err
	}
	options := c.KernelOptions
	if size := c.SystemMediaSize; size != nil {
		options = append([]string{"systemMediaSize=" + *size}, options...)
	}
	return media.Request{
		Plan: plan, Host: h.Name, BMC: h.BMC.Address.Host(), Password: h.ESXi.RootPassword.Reveal(), Options: options,
		Source: Source(c.Image), Script: c.script(h.ESXi), Own: deref(c.Kickstart), Disks: step.DiskNames(h.ESXi),
	}, nil
}

// Source is the image as the media door takes it.
func Source(i schema.Image) media.Source {
	return media.Source{Name: i.Name, Path: i.Source, SHA256: deref(i.SHA256), Version: deref(i.Version), Build: deref(i.Build)}
}

func (c Arguments) script(x *schema.ESXi) kickstart.Script {
	s := kickstart.Script{
		Disk: disk(x.Disk), VSAN: c.OverwriteVSAN, Keyboard: deref(c.Keyboard), Commands: c.Commands,
		Pre: deref(c.Pre), Post: deref(c.Post), First: deref(c.Firstboot), SSH: c.SSH, DryRun: c.DryRun,
		Network: kickstart.Network{
			DHCP: deref(x.DHCP), Device: deref(x.NIC), Address: x.Address, Netmask: deref(x.Netmask), Gateway: deref(x.Gateway),
			Nameservers: x.Nameservers, Hostname: x.HostName(), VLAN: deref(x.VLAN),
		},
	}
	if x.LicenseKey != nil {
		s.License = x.LicenseKey.Reveal()
	}
	for _, d := range x.Wipe {
		s.Wipe = append(s.Wipe, disk(&d))
	}
	return s
}

func disk(d *schema.Disk) kickstart.Disk {
	kind, text := d.Key()
	return kickstart.Disk{Kind: kind, Text: text}
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

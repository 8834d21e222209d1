// Package buildiso is the step that makes a host's installer medium.
package buildiso

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"esxiplan/engine/media"
	"esxiplan/engine/step"
	"esxiplan/schema"
)

//go:embed doc.md
var doc string

// Arguments of the step.
type Arguments struct {
	Image           schema.Image `json:"image" doc:"The installer image, such as image.esxi."`
	SystemMediaSize *string      `json:"system_media_size" enum:"min small default max" doc:"Size of the system partitions on the boot disk (ESXi 7.0U1c and later)."`
	Keyboard        *string      `json:"keyboard" doc:"Keyboard layout, such as \"US Default\" or \"Swiss German\"."`
	KernelOptions   []string     `json:"kernel_options" doc:"Further options for the installer's kernel, one word each."`
}

// Result of the step.
type Result struct {
	URL             string `json:"url" doc:"Where BMCs fetch the image."`
	Size            int64  `json:"size" doc:"Size of the image in bytes."`
	SHA256          string `json:"sha256" doc:"Identifies the image: a digest over the source's SHA-256 and all that lies over it."`
	KickstartSHA256 string `json:"kickstart_sha256" doc:"SHA-256 of the kickstart."`
	Version         string `json:"version" doc:"ESXi version in the image."`
	Build           string `json:"build" doc:"ESXi build in the image."`
}

// Type is the step type.
var Type = step.Define(step.Spec[Arguments, Result]{
	Name: "build_iso", Summary: "Builds the host's installer medium and publishes it where BMCs can fetch it.", Doc: doc,
	Requires: []string{"esxi.address", "esxi.netmask", "esxi.gateway", "esxi.disk", "esxi.root_password"},
	Policy:   step.Policy{Retries: 3, Delay: 2 * time.Second, MaxDelay: 10 * time.Second, Timeout: 30 * time.Minute},
	Run:      run, Recall: recall,
})

func run(ctx context.Context, h *step.Host, c Arguments) (Result, error) {
	r, err := request(h, c)
	if err != nil {
		return Result{}, err
	}
	p, err := h.Media.Publish(ctx, r, h.RecordMedia)
	if err != nil {
		return Result{}, err
	}
	if err := h.Media.Fetch(ctx, p.URL); err != nil {
		return Result{}, fmt.Errorf("the image was published but cannot be fetched back: %w", err)
	}
	return result(p), nil
}

func recall(ctx context.Context, h *step.Host, c Arguments) (Result, error) {
	r, err := request(h, c)
	if err != nil {
		return Result{}, err
	}
	p, ok, err := h.Media.Published(ctx, r)
	if err == nil && !ok {
		err = media.ErrNotBuilt
	}
	return result(p), err
}

func result(p media.Published) Result {
	return Result{p.URL, p.Size, p.SHA256, p.KickstartSHA256, p.Version, p.Build}
}

// request turns declaration and arguments into what a medium is made from.
func request(h *step.Host, c Arguments) (media.Request, error) {
	if h.Media == nil {
		return media.Request{}, fmt.Errorf("the plan has no media block, so there is no place to publish an image: add media { directory, url } or media { listen }")
	}
	x := h.Declared.ESXi
	if err := media.CheckRootPassword(x.RootPassword.Reveal()); err != nil {
		return media.Request{}, err
	}
	options := c.KernelOptions
	if c.SystemMediaSize != nil {
		if err := checkSystemMediaSize(c.Image); err != nil {
			return media.Request{}, err
		}
		options = append([]string{"systemMediaSize=" + *c.SystemMediaSize}, options...)
	}
	return media.Request{
		Plan: h.Plan, Host: h.Name, BMC: h.Declared.BMC.Address, Password: x.RootPassword.Reveal(), Options: options,
		Source:    Source(c.Image),
		Kickstart: kickstart(x, deref(c.Keyboard)),
	}, nil
}

// Source is the image as the media door takes it.
func Source(i schema.Image) media.Source {
	return media.Source{Name: i.Name, Path: i.Source, SHA256: deref(i.SHA256), Version: deref(i.Version), Build: deref(i.Build)}
}

func checkSystemMediaSize(i schema.Image) error {
	version := deref(i.Version)
	for _, old := range []string{"5.", "6."} {
		if strings.HasPrefix(version, old) {
			return schema.AtArgument("system_media_size", "ESXi %s does not know system_media_size; it came with 7.0U1c", version)
		}
	}
	return nil
}

func kickstart(x *schema.ESXi, keyboard string) media.Kickstart {
	k := media.Kickstart{Keyboard: keyboard, Network: media.Network{
		Device: deref(x.NIC), Address: x.Address, Netmask: deref(x.Netmask), Gateway: deref(x.Gateway),
		Nameservers: x.Nameservers, Hostname: x.HostName(),
	}}
	if x.VLAN != nil {
		k.Network.VLAN = *x.VLAN
	}
	kind, text := x.Disk.Key()
	if kind == "name" {
		k.Disk.Name = text
	} else {
		k.Disk.Match, k.Disk.Text = kind, text
	}
	return k
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

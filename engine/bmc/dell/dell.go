// Package dell is what Dell's iDRAC does differently from the standard.
package dell

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"esxiplan/engine/bmc"
)

// Vendor is Dell, iDRAC 8 to 10.
var Vendor = bmc.Vendor{
	Name: "dell",
	Match: func(id bmc.Identity, root bmc.RootDocument) bool {
		_, oem := root.Oem["Dell"]
		// iDRAC8 2.40 says neither Vendor nor Oem, and blanks as manufacturer.
		return root.Vendor == "Dell" || oem || strings.HasPrefix(id.Manufacturer, "Dell") || id.System == "System.Embedded.1"
	},
	New: newClient,
	Messages: map[string]bmc.Advice{
		"RAC0218": {Text: "the iDRAC's session table is full", Next: "end sessions that nobody uses; they also end after 30 idle minutes", Retry: true},
		"SYS518":  {Text: "the iDRAC is reloading its data", Retry: true},
		"SYS446":  {Text: "the iDRAC failed internally, mostly because it could not read the image", Next: "check that the iDRAC reaches the image's URL; else reset the iDRAC", Retry: true},
		"RAC0904": {Text: "the iDRAC cannot read the image", Next: "check route, firewall and name resolution from the iDRAC to the image's URL"},
		"VRM0012": {Text: "another virtual device of the iDRAC is in use", Next: "eject both CD and RemovableDisk, and close open consoles", Retry: true},
		"VRM0021": {Text: "another virtual device of the iDRAC is in use", Next: "eject both CD and RemovableDisk, and close open consoles", Retry: true},
		"RAC0679": {Text: "a job of the iDRAC is running", Retry: true},
		"LC068":   {Text: "a configuration job of the iDRAC is pending", Next: "let it run by a restart, or delete it from the job queue"},
		// iDRAC10 answers so for up to a minute after a power-off.
		"ActionParameterValueConflict": {Text: "the iDRAC is still busy with the last change of power", Retry: true},
	},
}

type client struct {
	*bmc.Redfish
	attributesURI string // found once
}

func newClient(r *bmc.Redfish) bmc.Client {
	rules := bmc.Rules{
		SerialFromSKU: true, // SKU is the service tag on the machine, SerialNumber the board's
		BootDevices:   []bmc.BootDevice{{Controller: "BOSS", Model: "DELLBOSS VD"}},
	}
	// iDRAC10 boots from slot 1 only; slot 2 accepts an image all the same.
	if id, err := r.Identity(context.Background()); err == nil && strings.HasPrefix(id.Generation, "17") {
		rules.SlotUsable = func(id string) bool { return id == "1" }
	}
	r.SetRules(rules)
	return &client{Redfish: r}
}

// attributes finds the iDRAC's attribute document: the link whose last part
// names the iDRAC, among those of system and lifecycle controller.
func (c *client) attributes(ctx context.Context) (string, error) {
	if c.attributesURI != "" {
		return c.attributesURI, nil
	}
	type link struct {
		ID string `json:"@odata.id"`
	}
	var m struct {
		Links struct {
			Oem struct {
				Dell struct{ DellAttributes []link }
			}
		}
	}
	if err := c.Get(ctx, c.Manager(), &m); err != nil {
		return "", err
	}
	for _, l := range m.Links.Oem.Dell.DellAttributes {
		if strings.HasSuffix(l.ID, "/iDRAC.Embedded.1") {
			c.attributesURI = l.ID
			return l.ID, nil
		}
	}
	return strings.TrimSuffix(c.Manager(), "/") + "/Attributes", nil // iDRAC8 and 9 before 4.x
}

func (c *client) readAttributes(ctx context.Context) (uri string, values map[string]any, err error) {
	uri, err = c.attributes(ctx)
	if err != nil {
		return "", nil, err
	}
	var doc struct{ Attributes map[string]any }
	err = c.Get(ctx, uri, &doc)
	return uri, doc.Attributes, err
}

func (c *client) patchAttributes(ctx context.Context, w bmc.Write, uri string, values map[string]any) error {
	return c.Patch(ctx, w, uri, map[string]any{"Attributes": values})
}

// Insert attaches virtual media first where somebody has detached it: then the
// insert is accepted, and the host sees no drive (seen on iDRAC9).
func (c *client) Insert(ctx context.Context, s bmc.Slot, url string) error {
	uri, values, err := c.readAttributes(ctx)
	if err == nil && values["VirtualMedia.1.Attached"] == "Detached" {
		w := bmc.Write{Action: "prepare", Target: "virtual media", Old: "Detached", New: "AutoAttach"}
		if err := c.patchAttributes(ctx, w, uri, map[string]any{"VirtualMedia.1.Attached": "AutoAttach"}); err != nil {
			return err
		}
	}
	return c.Redfish.Insert(ctx, s, url)
}

// physical reports firmware that takes "Cd" for a physical drive although it
// reads back as set: iDRAC9 before 4.40.10. (iDRAC8 does so, too, but its
// attributes do not help; its next rung would be a profile import.)
func (c *client) physical(ctx context.Context) bool {
	id, err := c.Identity(ctx)
	if err != nil || !strings.HasPrefix(id.Generation, "14") && !strings.HasPrefix(id.Generation, "15") {
		return false
	}
	var major, minor, patch int
	n, _ := fmt.Sscanf(id.Firmware, "%d.%d.%d", &major, &minor, &patch)
	return n == 3 && (major < 4 || major == 4 && (minor < 40 || minor == 40 && patch < 10))
}

// SetBoot tries the standard and reads it back; where that cannot hold, the
// attributes are the next rung.
func (c *client) SetBoot(ctx context.Context, t bmc.Target) (string, error) {
	if t == bmc.BootCD && c.physical(ctx) {
		return c.setBootByAttributes(ctx, nil)
	}
	if t == bmc.BootNone {
		if err := c.clearAttributes(ctx); err != nil {
			return "", err
		}
	}
	way, err := c.Redfish.SetBoot(ctx, t)
	if err == nil {
		boot, readErr := c.Boot(ctx)
		if readErr != nil || boot.Target == t {
			return way, readErr
		}
	}
	var answered *bmc.Error
	var unsupported *bmc.ErrUnsupported
	final := errors.As(err, &answered) && answered.Retryable() || err != nil && !errors.As(err, &answered) && !errors.As(err, &unsupported)
	if final || t != bmc.BootCD {
		return way, err
	}
	return c.setBootByAttributes(ctx, err)
}

func (c *client) setBootByAttributes(ctx context.Context, cause error) (string, error) {
	uri, values, err := c.readAttributes(ctx)
	if err != nil || values["ServerBoot.1.FirstBootDevice"] == nil {
		return "", errors.Join(cause, err, &bmc.ErrUnsupported{What: "the iDRAC has no attribute ServerBoot.1.FirstBootDevice"})
	}
	w := bmc.Write{Action: "boot", Target: "source", Old: string(bmc.BootNone), New: string(bmc.BootCD), Repeat: cause != nil}
	return "attributes", c.patchAttributes(ctx, w, uri, map[string]any{
		"ServerBoot.1.BootOnce": "Enabled", "ServerBoot.1.FirstBootDevice": "VCD-DVD",
	})
}

// clearAttributes takes an override away that was set by attributes.
func (c *client) clearAttributes(ctx context.Context) error {
	uri, values, err := c.readAttributes(ctx)
	if err != nil || values["ServerBoot.1.FirstBootDevice"] != "VCD-DVD" {
		return nil // not there, so not set there
	}
	w := bmc.Write{Action: "boot", Target: "source", Old: string(bmc.BootCD), New: string(bmc.BootNone)}
	return c.patchAttributes(ctx, w, uri, map[string]any{"ServerBoot.1.FirstBootDevice": "Normal"})
}

// Boot also sees an override set by attributes. BootOnce alone says nothing: it
// reads Enabled on an idle iDRAC.
func (c *client) Boot(ctx context.Context) (bmc.Boot, error) {
	boot, err := c.Redfish.Boot(ctx)
	if err != nil || boot.Target != bmc.BootNone {
		return boot, err
	}
	_, values, err := c.readAttributes(ctx)
	if err == nil && values["ServerBoot.1.FirstBootDevice"] == "VCD-DVD" {
		boot.Target, boot.Once = bmc.BootCD, values["ServerBoot.1.BootOnce"] == "Enabled"
	}
	return boot, nil
}

package bmc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Power implements [Reader].
func (r *Redfish) Power(ctx context.Context) (Power, error) {
	var s systemDocument
	if err := r.get(ctx, r.system, &s); err != nil {
		return Power{}, err
	}
	p := Power{State: PowerUnknown}
	switch state := PowerState(s.PowerState); state {
	case On, Off, PoweringOn, PoweringOff:
		p.State = state
	}
	r.power, r.resets = p.State, s.Actions.Reset.Target
	for _, t := range s.Actions.Reset.Allowed {
		p.Allowed = append(p.Allowed, ResetType(t))
	}
	if len(p.Allowed) == 0 && s.Actions.Reset.Info != "" {
		p.Allowed = r.resetInfo(ctx, s.Actions.Reset.Info)
	}
	return p, nil
}

// resetInfo reads the allowed resets where the action only links to them.
func (r *Redfish) resetInfo(ctx context.Context, uri string) []ResetType {
	var doc struct {
		Parameters []struct {
			Name            string
			AllowableValues []ResetType
		}
	}
	if r.get(ctx, uri, &doc) != nil {
		return nil
	}
	for _, p := range doc.Parameters {
		if p.Name == "ResetType" {
			return p.AllowableValues
		}
	}
	return nil
}

// Reset implements [Client].
func (r *Redfish) Reset(ctx context.Context, reset Reset) error {
	if r.resets == "" {
		return &ErrUnsupported{"the BMC offers no reset of this computer system"}
	}
	w := Write{Action: "reset", Target: "power", Old: string(r.power), New: string(reset.Type)}
	return r.Post(ctx, w, r.resets, map[string]string{"ResetType": string(reset.Type)})
}

// targets are Redfish's names for the boot sources of a plan.
var targets = map[Target]string{BootNone: "None", BootCD: "Cd", BootPXE: "Pxe", BootUEFIHTTP: "UefiHttp", BootDisk: "Hdd"}

func targetOf(name string) Target {
	switch name {
	case "", "None":
		return BootNone
	case "UsbCd":
		return BootCD
	}
	for t, n := range targets {
		if n == name {
			return t
		}
	}
	return BootOther
}

// Boot implements [Reader]. An override counts only while it is enabled; some
// BMCs idle at "Once" with no target.
func (r *Redfish) Boot(ctx context.Context) (Boot, error) {
	boot, uri, err := r.readBoot(ctx)
	if err != nil {
		return Boot{}, err
	}
	out := boot.boot()
	if out.Target == BootNone && uri == r.system && r.settings != "" { // set there, it is pending there
		var settings systemDocument
		if r.get(ctx, r.settings, &settings) == nil && settings.Boot != nil {
			if pending := settings.Boot.boot(); pending.Target != BootNone {
				pending.Mode, pending.Allowed = out.Mode, out.Allowed
				return pending, nil
			}
		}
	}
	return out, nil
}

func (b *bootDocument) boot() Boot {
	out := Boot{Target: BootNone, Once: true}
	for _, name := range b.Allowed {
		out.Allowed = append(out.Allowed, targetOf(name))
	}
	if b.Mode != nil {
		out.Mode = *b.Mode
	}
	if b.Enabled == nil || *b.Enabled == "Disabled" || b.Target == nil {
		return out
	}
	out.Target = targetOf(*b.Target)
	out.Once = *b.Enabled != "Continuous"
	return out
}

// allows reports whether the machine can be told to boot from a source.
func (b Boot) allows(t Target) error {
	if t == BootNone || len(b.Allowed) == 0 || slices.Contains(b.Allowed, t) {
		return nil
	}
	return &ErrUnsupported{fmt.Sprintf("the BMC cannot boot once from %s; it offers %v", t, b.Allowed)}
}

// readBoot finds where the override is kept: in the settings resource when the
// target stands there, else in the system itself.
func (r *Redfish) readBoot(ctx context.Context) (bootDocument, string, error) {
	var s systemDocument
	if err := r.get(ctx, r.system, &s); err != nil {
		return bootDocument{}, "", err
	}
	r.settings = s.Settings.Object.ID
	boot := bootDocument{}
	if s.Boot != nil {
		boot = *s.Boot
	}
	if boot.Target != nil || s.Settings.Object.ID == "" {
		return boot, r.system, nil
	}
	var settings systemDocument
	if err := r.get(ctx, s.Settings.Object.ID, &settings); err != nil {
		return boot, r.system, nil // a link that leads nowhere is no place to write to
	}
	if settings.Boot != nil && settings.Boot.Target != nil {
		return *settings.Boot, s.Settings.Object.ID, nil
	}
	return boot, r.system, nil
}

// SetBoot implements [Client]: the standard's way, in the system or, where the
// BMC says that Boot is not writable there, in the settings resource.
func (r *Redfish) SetBoot(ctx context.Context, target Target) (string, error) {
	boot, uri, err := r.readBoot(ctx)
	if err != nil {
		return "", err
	}
	if err := boot.boot().allows(target); err != nil {
		return "", err
	}
	name := targets[target]
	if target == BootCD && slices.Contains(boot.Allowed, "UsbCd") {
		name = "UsbCd" // where both are offered, "Cd" is a drive of metal
	}
	body := map[string]any{"BootSourceOverrideTarget": name, "BootSourceOverrideEnabled": "Once"}
	if target == BootNone {
		body = map[string]any{"BootSourceOverrideEnabled": "Disabled"}
	}
	w := Write{Action: "boot", Target: "source", Old: boot.boot().String(), New: string(target)}
	err = r.Patch(ctx, w, uri, map[string]any{"Boot": body})
	var e *Error
	if errors.As(err, &e) && e.Has("PropertyNotWritable", "PropertyReadOnly") && uri == r.system {
		return r.setBootInSettings(ctx, w, body, err)
	}
	return "standard", err
}

func (r *Redfish) setBootInSettings(ctx context.Context, w Write, body map[string]any, cause error) (string, error) {
	var s systemDocument
	if err := r.get(ctx, r.system, &s); err != nil {
		return "", err
	}
	if s.Settings.Object.ID == "" {
		return "", cause
	}
	var settings struct{}
	if err := r.get(ctx, s.Settings.Object.ID, &settings); err != nil {
		return "", err
	}
	w.Repeat = true
	return "settings", r.Patch(ctx, w, s.Settings.Object.ID, map[string]any{"Boot": body})
}

// Slots implements [Reader]: those of the system first, then the manager's.
func (r *Redfish) Slots(ctx context.Context) ([]Slot, error) {
	var out []Slot
	documents, err := r.slotDocuments(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range documents {
		out = append(out, r.slot(d))
	}
	slices.SortStableFunc(out, func(a, b Slot) int {
		if a.CD != b.CD {
			return map[bool]int{true: -1, false: 1}[a.CD]
		}
		if a.Place != b.Place {
			return -strings.Compare(a.Place, b.Place) // "system" before "manager"
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out, nil
}

func (r *Redfish) slotDocuments(ctx context.Context) ([]slotDocument, error) {
	var out []slotDocument
	seen := map[string]bool{} // some systems link to their manager's collection
	for _, uri := range r.media {
		err := r.members(ctx, uri, func(raw json.RawMessage) error {
			var d slotDocument
			if lenient(raw, &d) == nil && d.URI != "" && !seen[d.URI] {
				seen[d.URI] = true
				out = append(out, d)
			}
			return nil
		})
		if err != nil && !absent(err) {
			return nil, err
		}
	}
	return out, nil
}

func (r *Redfish) slot(d slotDocument) Slot {
	s := Slot{URI: d.URI, ID: d.ID, Place: "manager"}
	if strings.HasPrefix(d.URI, strings.TrimSuffix(r.system, "/")+"/") {
		s.Place = "system"
	}
	s.CD = slices.Contains(d.MediaTypes, "CD") || slices.Contains(d.MediaTypes, "DVD")
	if r.rules.SlotUsable != nil {
		s.CD = s.CD && r.rules.SlotUsable(d.ID)
	}
	if d.Image != nil {
		s.Image = *d.Image
	}
	connected := d.ConnectedVia != "" && d.ConnectedVia != "NotConnected"
	s.Loaded = d.Inserted != nil && *d.Inserted || d.Inserted == nil && connected
	if !s.Loaded {
		s.Image = "" // some firmware leaves the name behind
	}
	return s
}

func (r *Redfish) readSlot(ctx context.Context, uri string) (slotDocument, error) {
	var d slotDocument
	err := r.get(ctx, uri, &d)
	return d, err
}

// Insert implements [Client]. By action the smallest body goes first, and what
// the BMC asks for is added; without an action the slot is patched.
func (r *Redfish) Insert(ctx context.Context, s Slot, url string) error {
	d, err := r.readSlot(ctx, s.URI)
	if err != nil {
		return err
	}
	w := Write{Action: "insert", Target: s.Name(), Old: r.slot(d).Image, New: url}
	if d.Actions.Insert.Target == "" {
		body := map[string]any{"Image": url, "Inserted": true, "WriteProtected": true}
		return slotError(r.Patch(ctx, w, s.URI, body))
	}
	return slotError(r.insertByAction(ctx, w, d.Actions.Insert.Target, url))
}

func (r *Redfish) insertByAction(ctx context.Context, w Write, uri, url string) error {
	body := map[string]any{"Image": url}
	for {
		err := r.Post(ctx, w, uri, body)
		var e *Error
		if !errors.As(err, &e) || e.Status != http.StatusBadRequest && e.Status != http.StatusInternalServerError {
			return err
		}
		name, value := missingField(e, url)
		if name == "" || body[name] != nil {
			return err
		}
		body[name], w.Repeat = value, true
	}
}

// missingField finds what the BMC wants beside the image.
func missingField(e *Error, url string) (string, any) {
	protocol, _, _ := strings.Cut(url, ":")
	fields := []struct {
		name  string
		value any
	}{
		{"TransferProtocolType", strings.ToUpper(protocol)}, {"TransferMethod", "Stream"},
		{"UserName", "none"}, {"Password", "none"}, {"Inserted", true}, {"WriteProtected", true},
	}
	for _, f := range fields {
		if e.mentions(f.name) {
			return f.name, f.value
		}
	}
	return "", nil
}

// slotError marks answers that blame the slot: another one may do.
func slotError(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	unfit := e.Status == 400 && (e.Advice.Text == "" || e.Has("PropertyNotWritable", "PropertyUnknown", "ActionNotSupported"))
	if unfit || e.Status == 404 || e.Status == 405 {
		return &ErrSlot{err}
	}
	return err
}

// Eject implements [Client]. An error is none when the slot reads empty after it.
func (r *Redfish) Eject(ctx context.Context, s Slot) error {
	d, err := r.readSlot(ctx, s.URI)
	if err != nil {
		return err
	}
	old := r.slot(d).Image
	if old == "" {
		old = "unknown image"
	}
	w := Write{Action: "eject", Target: s.Name(), Old: old}
	if uri := d.Actions.Eject.Target; uri != "" {
		err = r.Post(ctx, w, uri, struct{}{}) // an empty body is refused by some
	} else {
		err = r.Patch(ctx, w, s.URI, map[string]any{"Image": nil, "Inserted": false})
	}
	var e *Error
	if !errors.As(err, &e) || e.Status == 0 {
		return err
	}
	if now, readErr := r.readSlot(ctx, s.URI); readErr == nil && !r.slot(now).Loaded {
		return nil
	}
	return err
}

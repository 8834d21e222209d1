package bmc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish/schemas"
)

// Way is one way to set the boot source of the next boot.
type Way struct {
	Name    string
	Targets []Target // that it can set
	// Read is what is set in this way; its Target is BootNone where nothing is.
	Read func(context.Context) (Boot, error)
	// Set writes a target of Targets, or clears what is set. It fills in only
	// what w leaves open.
	Set func(ctx context.Context, w Command, t Target) error
}

// targets are Redfish's names for the boot sources of a plan.
var targets = map[Target]string{
	BootNone:     string(schemas.NoneBootSource),
	BootCD:       string(schemas.CdBootSource),
	BootPXE:      string(schemas.PxeBootSource),
	BootUEFIHTTP: string(schemas.UefiHTTPBootSource),
	BootDisk:     string(schemas.HddBootSource),
}

// virtualCDs are names of the virtual CD where "Cd" is, or may be, a physical drive.
var virtualCDs = []string{"UsbCd", "UefiUsbCd"}

// nameOf is the service's name for a source.
func (r *Redfish) nameOf(t Target, allowed []string) string {
	if t != BootCD {
		return targets[t]
	}
	if r.rules.CD != "" {
		return r.rules.CD
	}
	for _, name := range virtualCDs {
		if slices.Contains(allowed, name) {
			return name
		}
	}
	return targets[BootCD]
}

// targetOf is the source that a service's name means.
func (r *Redfish) targetOf(name string, allowed []string) Target {
	if name == "" || name == targets[BootNone] {
		return BootNone
	}
	for t := range targets {
		if name == r.nameOf(t, allowed) {
			return t
		}
	}
	return BootOther
}

// Boot implements [Reader]: it returns what is set in any of the ways. A way that held
// nothing is not read again before we set something in it.
func (r *Redfish) Boot(ctx context.Context) (Boot, error) {
	ways, first, err := r.ways(ctx)
	if err != nil {
		return Boot{}, err
	}
	for _, w := range ways {
		b, err := r.readWay(ctx, w)
		if err != nil {
			return Boot{}, err
		}
		if b.Target != BootNone {
			b.Mode, b.Allowed = first.Mode, first.Allowed
			if b.Target == r.attempted {
				r.attempted = "" // confirmed
			}
			return b, nil
		}
	}
	return first, nil
}

func (r *Redfish) readWay(ctx context.Context, w Way) (Boot, error) {
	if r.idle[w.Name] {
		return Boot{Target: BootNone, Once: true}, nil
	}
	b, err := w.Read(ctx)
	if absent(err) {
		b, err = Boot{Target: BootNone, Once: true}, nil
	}
	if r.ahead == nil { // the BMC may turn out not to be ready
		r.idle[w.Name] = err == nil && b.Target == BootNone && w.Name != wayStandard
	}
	return b, err
}

// Names of the standard's two ways.
const (
	wayStandard = "standard"
	waySettings = "settings"
)

// ways lists the ways of this machine: the standard's, in the order that the service
// suggests, then the vendor's. all combines what the standard's say.
func (r *Redfish) ways(ctx context.Context) (ways []Way, all Boot, err error) {
	system, settings, err := r.bootDocuments(ctx)
	if err != nil {
		return nil, Boot{}, err
	}
	allowed := append(slices.Clone(system.Allowed), settings.Allowed...)
	all = r.bootOf(system, allowed)
	if all.Mode == "" && settings.Mode != nil {
		all.Mode = *settings.Mode
	}
	enabled := system.enabled() || settings.enabled()
	if all.Mode, err = r.bootMode(ctx, all.Mode, enabled); err != nil {
		return nil, Boot{}, err
	}
	list := []Way{r.standardWay(wayStandard, r.system, all.Mode, allowed)}
	if settings.present() {
		way := r.standardWay(waySettings, r.settingsURI(ctx), all.Mode, allowed)
		notThere := system.Target == nil || len(system.Allowed) == 0 && len(settings.Allowed) > 0
		if notThere || r.rules.SettingsFirst { // what the system does not show is not written there
			list = slices.Insert(list, 0, way)
		} else {
			list = append(list, way)
		}
	}
	all.Target, all.Once = BootNone, true
	return append(list, r.rules.Ways...), all, nil
}

func (r *Redfish) settingsURI(ctx context.Context) Link {
	s, err := get[systemDocument](ctx, r, r.system)
	if err != nil {
		return ""
	}
	return s.Settings.Object
}

// bootDocuments reads where the override may be kept: in the system, and in its
// settings resource, which on many machines does not have it.
func (r *Redfish) bootDocuments(ctx context.Context) (system, settings bootDocument, err error) {
	s, err := get[systemDocument](ctx, r, r.system)
	if err != nil {
		return system, settings, err
	}
	if s.Boot != nil {
		system = *s.Boot
	}
	r.settingsAt = s.Settings.Object
	if s.Settings.Object == "" || r.idle[waySettings] && system.Target != nil {
		return system, r.settings, nil
	}
	pending, err := get[systemDocument](ctx, r, s.Settings.Object)
	if err != nil && !absent(err) {
		return system, settings, err
	}
	if err == nil && pending.Boot != nil {
		settings = *pending.Boot
	}
	if !settings.present() && r.ahead == nil {
		r.idle[waySettings] = true
	}
	r.settings = settings
	return system, settings, nil
}

// bootMode is the machine's boot mode: as the system shows it, unless the vendor's BIOS
// shows it more reliably.
func (r *Redfish) bootMode(ctx context.Context, shown string, enabled bool) (string, error) {
	stale := r.rules.StaleMode && !enabled
	if shown != "" && !stale || r.rules.BIOSMode == "" {
		return shown, nil
	}
	if r.biosMode == nil {
		mode, err := r.readBIOSMode(ctx)
		if answered(err) != nil {
			return "", err
		}
		if r.ahead != nil {
			return mode, nil
		}
		r.biosMode = &mode
	}
	return *r.biosMode, nil
}

// readBIOSMode reads the boot mode that the BIOS is set to; empty: not known, or both.
func (r *Redfish) readBIOSMode(ctx context.Context) (string, error) {
	s, err := get[systemDocument](ctx, r, r.system)
	if err != nil || s.Bios == "" {
		return "", err
	}
	var bios struct{ Attributes map[string]json.RawMessage }
	if err := r.Get(ctx, s.Bios, &bios); err != nil {
		return "", err
	}
	var value string
	lenient(bios.Attributes[r.rules.BIOSMode], &value)
	switch value = strings.ToLower(value); {
	case strings.Contains(value, "uefi") && !strings.Contains(value, "legacy"):
		return "UEFI", nil
	case strings.HasPrefix(value, "legacy") || value == "bios":
		return "Legacy", nil
	}
	return "", nil
}

func (b bootDocument) enabled() bool {
	return b.Enabled != nil && *b.Enabled != schemas.DisabledBootSourceOverrideEnabled
}

func (b bootDocument) present() bool { return b.Target != nil || len(b.Allowed) > 0 }

// bootOf is an override in the words of a plan. It counts only while it is enabled;
// some BMCs idle at "Once" with no target.
func (r *Redfish) bootOf(b bootDocument, allowed []string) Boot {
	out := Boot{Target: BootNone, Once: true}
	for _, name := range allowed {
		if t := r.targetOf(name, allowed); !slices.Contains(out.Allowed, t) {
			out.Allowed = append(out.Allowed, t)
		}
	}
	if b.Mode != nil {
		out.Mode = *b.Mode
	}
	if b.Enabled == nil || *b.Enabled == schemas.DisabledBootSourceOverrideEnabled || b.Target == nil {
		return out
	}
	out.Target = r.targetOf(*b.Target, allowed)
	out.Once = *b.Enabled != schemas.ContinuousBootSourceOverrideEnabled
	return out
}

// standardWay is the override of the standard, in the system or its settings.
func (r *Redfish) standardWay(name string, uri Link, mode string, allowed []string) Way {
	return Way{
		Name: name, Targets: r.bootOf(bootDocument{}, allowed).Allowed,
		Read: func(ctx context.Context) (Boot, error) {
			s, err := get[systemDocument](ctx, r, uri)
			if err != nil || s.Boot == nil {
				return Boot{Target: BootNone, Once: true}, err
			}
			b := r.bootOf(*s.Boot, allowed)
			if r.rules.Unfit != nil && b.Target != BootNone && r.rules.Unfit(b.Target) {
				b.Target = BootOther // it does not boot what it says
			}
			return b, nil
		},
		Set: func(ctx context.Context, w Command, t Target) error {
			var tag struct{}
			if _, tagged := r.etags[uri.bare()]; name == wayStandard || !tagged { // mounting changes the system's tag, not that of the settings
				if err := r.Get(ctx, uri, &tag); err != nil {
					return err
				}
			}
			return r.patchBoot(ctx, w, uri, r.bootBodies(t, mode, allowed))
		},
	}
}

// patchBoot tries bodies until the BMC takes one, which is then tried first the next
// time. A refusal for any reason other than the contents ends the attempts.
func (r *Redfish) patchBoot(ctx context.Context, w Command, uri Link, bodies []map[string]any) (err error) {
	for i := min(r.takes[uri], len(bodies)-1); i < len(bodies); i++ {
		err = r.Patch(ctx, w, uri, map[string]any{"Boot": bodies[i]})
		if err == nil && len(bodies) > 1 {
			r.takes[uri] = i
		}
		var e *Error
		if !errors.As(err, &e) || e.Status != http.StatusBadRequest && e.Status != http.StatusInternalServerError || e.Advice.Retry && !e.vague {
			return err
		}
		w.Repeat = true
	}
	return err
}

// bootBodies are the overrides to try. The mode is a matter of the BIOS and left out,
// except where a service would reset it. To clear, some want a target next to Disabled,
// and some do not know Disabled at all.
func (r *Redfish) bootBodies(t Target, mode string, allowed []string) []map[string]any {
	full := map[string]any{"BootSourceOverrideTarget": r.nameOf(t, allowed), "BootSourceOverrideEnabled": schemas.OnceBootSourceOverrideEnabled}
	if t == BootNone {
		full["BootSourceOverrideEnabled"] = schemas.DisabledBootSourceOverrideEnabled
	}
	if mode == "" && r.rules.Mode == ModeAlways {
		mode = "UEFI"
	}
	if mode != "" && r.rules.Mode != "" {
		full["BootSourceOverrideMode"] = mode
	}
	if t != BootNone {
		return []map[string]any{full}
	}
	alone := map[string]any{"BootSourceOverrideEnabled": schemas.DisabledBootSourceOverrideEnabled}
	disk := map[string]any{"BootSourceOverrideTarget": targets[BootDisk], "BootSourceOverrideEnabled": schemas.OnceBootSourceOverrideEnabled}
	if r.rules.Mode != "" {
		return []map[string]any{full, disk}
	}
	return []map[string]any{alone, full, disk}
}

// Ways implements [Reader].
func (r *Redfish) Ways(ctx context.Context, t Target) ([]string, error) {
	ways, all, err := r.ways(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, w := range ways {
		fits, err := r.fits(ctx, w, t)
		if err != nil {
			return nil, err
		}
		if fits {
			names = append(names, w.Name)
		}
	}
	if len(names) == 0 && t != BootNone {
		return nil, &ErrUnsupported{fmt.Sprintf("the BMC cannot boot once from %s; it offers %v", t, all.Allowed)}
	}
	return names, nil
}

// fits reports whether a way can set a source; for BootNone, whether it has set one.
func (r *Redfish) fits(ctx context.Context, w Way, t Target) (bool, error) {
	if t == BootNone {
		b, err := r.readWay(ctx, w)
		return b.Target != BootNone, err
	}
	standard := w.Name == wayStandard || w.Name == waySettings
	if standard && r.rules.Unfit != nil && r.rules.Unfit(t) {
		return false, nil
	}
	return len(w.Targets) == 0 || slices.Contains(w.Targets, t), nil
}

// SetBoot implements [Client].
func (r *Redfish) SetBoot(ctx context.Context, t Target, way string, record Record) error {
	ways, _, err := r.ways(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(ways, func(w Way) bool { return w.Name == way })
	if i < 0 {
		return &ErrUnsupported{fmt.Sprintf("the BMC has no way %q to set the boot source", way)}
	}
	now, err := r.Boot(ctx)
	if err != nil {
		return err
	}
	w := Command{Verb: VerbBoot, Target: "source", Old: now.String(), New: string(t), Repeat: r.attempted == t, Record: record}
	r.idle[way], r.attempted = false, t
	return ways[i].Set(ctx, w, t)
}

// OtherWay reports that an error is about the way, not about the moment: the next way
// may succeed.
func OtherWay(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Status != 0 && !e.Retryable()
	}
	var u *ErrUnsupported
	return errors.As(err, &u)
}

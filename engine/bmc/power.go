package bmc

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/stmcginnis/gofish/schemas"
)

// Power implements [Reader].
func (r *Redfish) Power(ctx context.Context) (Power, error) {
	s, err := get[systemDocument](ctx, r, r.system)
	if err != nil {
		return Power{}, err
	}
	p := Power{State: PowerUnknown, Post: r.post(s)}
	p.Running = s.BootProgress.LastState == schemas.OSRunningBootProgressTypes
	p.Booted = p.Running || s.BootProgress.LastState == schemas.OSBootStartedBootProgressTypes
	switch state := PowerState(s.PowerState); state {
	case On, Off, PoweringOn, PoweringOff, Paused:
		p.State = state
	}
	for _, t := range s.Actions.Reset.Allowed {
		p.Allowed = append(p.Allowed, ResetType(t))
	}
	if len(p.Allowed) == 0 && s.Actions.Reset.Info != "" {
		p.Allowed = r.resetInfo(ctx, s.Actions.Reset.Info)
	}
	p.Posting = p.State == On && (slices.Contains(inPOST, s.BootProgress.LastState) || r.rules.Posting != nil && r.rules.Posting(p.Post))
	p.Early = p.State == On && r.rules.Early != nil && r.rules.Early(p.Post)
	r.power = p
	return p, nil
}

// inPOST are the states of the power-on self-test: the firmware sets up the hardware.
var inPOST = []schemas.BootProgressTypes{
	schemas.PrimaryProcessorInitializationStartedBootProgressTypes, schemas.BusInitializationStartedBootProgressTypes,
	schemas.MemoryInitializationStartedBootProgressTypes, schemas.SecondaryProcessorInitializationStartedBootProgressTypes,
	schemas.PCIResourceConfigStartedBootProgressTypes,
}

// post is how far the firmware has come. A machine that is off says "None".
func (r *Redfish) post(s *systemDocument) string {
	if r.rules.Post != nil {
		if state := r.rules.Post(s.Oem); state != "" {
			return state
		}
	}
	if s.BootProgress.LastState == schemas.NoneBootProgressTypes {
		return ""
	}
	return string(s.BootProgress.LastState)
}

// resetInfo reads the allowed resets where the action only links to them. They do
// not change, so they are read once.
func (r *Redfish) resetInfo(ctx context.Context, uri Link) []ResetType {
	if len(r.power.Allowed) > 0 {
		return r.power.Allowed
	}
	var doc struct {
		Parameters []struct {
			Name            string
			AllowableValues []ResetType
		}
	}
	if r.Get(ctx, uri, &doc) != nil {
		return nil
	}
	for _, p := range doc.Parameters {
		if p.Name == "ResetType" {
			return p.AllowableValues
		}
	}
	return nil
}

// Reset implements [Client]. The machine's link names the action.
func (r *Redfish) Reset(ctx context.Context, t ResetType, record Record) error {
	s, err := get[systemDocument](ctx, r, r.system)
	if err != nil {
		return err
	}
	name := r.power.as(t)
	if s.Actions.Reset.Target == "" || name == "" {
		return &ErrUnsupported{"the BMC does not offer the reset " + string(t) + " for this computer system"}
	}
	w := Command{Verb: VerbReset, Target: "power", Old: string(r.power.State), New: string(name), Record: record}
	return r.Post(ctx, w, s.Actions.Reset.Target, map[string]string{"ResetType": string(name)})
}

// OemObject picks one vendor's object out of an Oem property.
func OemObject(oem map[string]json.RawMessage, into any, keys ...string) bool {
	for _, key := range keys {
		if raw, ok := oem[key]; ok && lenient(raw, into) == nil {
			return true
		}
	}
	return false
}

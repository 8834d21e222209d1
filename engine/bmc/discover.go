package bmc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

const rootURI = "/redfish/v1/"

// connect makes sure that the service root is known and somebody is logged in.
func (r *Redfish) connect(ctx context.Context) error {
	if r.loginErr != nil {
		return r.loginErr
	}
	if r.root.Systems.ID == "" {
		if err := r.readRoot(ctx); err != nil {
			return err
		}
	}
	if r.token == "" && !r.basic {
		return r.login(ctx)
	}
	return nil
}

// readRoot reads the service root, which needs no login by the standard. A BMC
// that wants one all the same is asked by the paths that the standard gives.
func (r *Redfish) readRoot(ctx context.Context) error {
	a, err := r.request(ctx, http.MethodGet, rootURI, nil, nil)
	var e *Error
	switch {
	case errors.As(err, &e) && e.Status == http.StatusUnauthorized:
		r.root.Systems.ID = rootURI + "Systems"
		return nil
	case err != nil:
		return err
	}
	var root RootDocument
	if err := decode(http.MethodGet, rootURI, a.body, &root); err != nil {
		return err
	}
	if root.Systems.ID == "" {
		return &Error{Request: "GET " + rootURI, Status: 200, Messages: []Message{{Text: "the answer names no computer systems; is this the BMC's address?"}}}
	}
	r.root = root
	if r.o.Trust.Off {
		r.o.Warn("certificates are not checked; to pin this one: tls = { fingerprint = \"sha256:" + r.transport.fingerprint() + "\" }")
	}
	return nil
}

// discover finds the computer system and its manager by links.
func (r *Redfish) discover(ctx context.Context) error {
	if err := r.connect(ctx); err != nil {
		return err
	}
	var systems collection
	if err := r.get(ctx, r.root.Systems.ID, &systems); err != nil {
		return err
	}
	uri, err := r.chooseSystem(systems)
	if err != nil {
		return err
	}
	var s systemDocument
	if err := r.get(ctx, uri, &s); err != nil {
		return err
	}
	r.system, r.sku = uri, strings.TrimSpace(s.SKU)
	r.media, r.resets = []string{s.VirtualMedia.ID}, s.Actions.Reset.Target
	var m managerDocument
	if managers := append(s.Links.ManagedBy, s.Links.Managers...); len(managers) > 0 {
		r.manager = managers[0].ID
		if err := r.get(ctx, r.manager, &m); err != nil {
			return err
		}
		r.media = append(r.media, m.VirtualMedia.ID)
	}
	r.identity = Identity{
		Manufacturer: strings.TrimSpace(s.Manufacturer), Model: strings.TrimSpace(s.Model), Serial: strings.TrimSpace(s.SerialNumber),
		UUID: strings.ToLower(s.UUID), System: s.ID, Generation: m.Model, Firmware: m.FirmwareVersion,
	}
	return nil
}

func (r *Redfish) chooseSystem(systems collection) (string, error) {
	var ids []string
	for _, raw := range systems.Members {
		var l link
		lenient(raw, &l)
		id := l.ID[strings.LastIndexByte(strings.TrimSuffix(l.ID, "/"), '/')+1:]
		if r.o.System == "" && len(systems.Members) == 1 || r.o.System != "" && strings.TrimSuffix(id, "/") == r.o.System {
			return l.ID, nil
		}
		ids = append(ids, strings.TrimSuffix(id, "/"))
	}
	switch {
	case len(ids) == 0:
		return "", &ErrUnsupported{"the BMC manages no computer system"}
	case r.o.System == "":
		return "", &ErrUnsupported{fmt.Sprintf("the BMC manages %d computer systems (%s); say which one by bmc.system", len(ids), strings.Join(ids, ", "))}
	}
	return "", &ErrUnsupported{fmt.Sprintf("the BMC has no computer system %q; it has %s", r.o.System, strings.Join(ids, ", "))}
}

// belongsTo fills in what depends on the vendor.
func (r *Redfish) belongsTo(v Vendor) {
	r.identity.Vendor = v.Name
	r.messages = v.Messages
	if r.rules.SerialFromSKU && r.sku != "" {
		r.identity.Board, r.identity.Serial = r.identity.Serial, r.sku
	}
}

// members reads a collection's members: in one request where the BMC can
// expand, else one by one. Pages are followed, each one once.
func (r *Redfish) members(ctx context.Context, uri string, each func(raw json.RawMessage) error) error {
	if uri == "" {
		return nil
	}
	seen := map[string]bool{}
	page := uri
	if r.root.ProtocolFeaturesSupported.ExpandQuery.NoLinks {
		page += "?$expand=.($levels=1)"
	}
	for page != "" && !seen[page] {
		seen[page] = true
		var c collection
		err := r.get(ctx, page, &c)
		var refused *Error
		if page != uri && strings.Contains(page, "$expand") && errors.As(err, &refused) && refused.Status >= 400 && refused.Status != http.StatusNotFound {
			err = r.get(ctx, uri, &c) // it says that it can expand, and cannot
		}
		if err != nil {
			return err
		}
		for _, raw := range c.Members {
			if err := r.member(ctx, raw, each); err != nil {
				return err
			}
		}
		page = c.Next
	}
	return nil
}

// member reads a member that came as a bare link.
func (r *Redfish) member(ctx context.Context, raw json.RawMessage, each func(json.RawMessage) error) error {
	var fields map[string]json.RawMessage
	var l link
	if lenient(raw, &fields) != nil || lenient(raw, &l) != nil || l.ID == "" {
		return nil
	}
	if len(fields) > 1 {
		r.keepETag(l.ID, answer{body: raw})
		return each(raw)
	}
	var document json.RawMessage
	if err := r.get(ctx, l.ID, &document); err != nil {
		var e *Error
		if errors.As(err, &e) && e.Status == http.StatusNotFound {
			return nil // some BMCs list members that they do not have
		}
		return err
	}
	return each(document)
}

// Identity implements [Reader].
func (r *Redfish) Identity(context.Context) (Identity, error) { return r.identity, nil }

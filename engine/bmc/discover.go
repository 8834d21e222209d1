package bmc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish"
)

const rootURI = "/redfish/v1/"

// connect makes sure that the service root is known and that we are logged in.
func (r *Redfish) connect(ctx context.Context) error {
	if r.loginErr != nil {
		return r.loginErr
	}
	if r.client == nil && !r.hidden {
		if err := r.readRoot(ctx); err != nil {
			return err
		}
	}
	if !r.loggedIn() {
		if err := r.login(ctx); err != nil {
			return err
		}
	}
	if r.client == nil { // what it would not show before
		return r.open(ctx)
	}
	return nil
}

// readRoot reads the service root, which needs no login by the standard. A BMC
// that wants one all the same is asked by the paths that the standard gives.
func (r *Redfish) readRoot(ctx context.Context) error {
	err := r.open(ctx)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusUnauthorized {
		r.hidden, r.root.systems = true, rootURI+"Systems"
		return nil
	}
	return err
}

// takeRoot takes over the service root as gofish read it. gofish keeps the links to itself,
// so they are read from the body.
func (r *Redfish) takeRoot(service *gofish.Service, body []byte) error {
	var to struct {
		Systems, Managers, LicenseService link
		Links                             struct{ Sessions link }
	}
	lenient(body, &to)
	if to.Systems.ID == "" {
		return &Error{Request: "GET " + rootURI, Status: http.StatusOK, Messages: []Message{{Text: "the answer names no computer systems; is this the BMC's address?"}}}
	}
	r.root = RootDocument{
		Vendor: service.Vendor, Product: service.Product, version: service.ODataType, expands: service.ProtocolFeaturesSupported.ExpandQuery.NoLinks,
		systems: to.Systems.ID, managers: to.Managers.ID, licenses: to.LicenseService.ID, sessions: to.Links.Sessions.ID,
	}
	lenient(service.OEM, &r.root.Oem)
	if r.o.Trust.Off {
		r.o.Warn("certificates are not checked; to pin this one: tls = { fingerprint = \"sha256:" + r.transport.fingerprint() + "\" }")
	}
	return nil
}

// discover finds the computer system and its managers by links.
func (r *Redfish) discover(ctx context.Context) error {
	if err := r.connect(ctx); err != nil {
		return err
	}
	uri, err := r.chooseSystem(ctx)
	if err != nil {
		return err
	}
	var s systemDocument
	if err := r.Get(ctx, uri, &s); err != nil {
		return err
	}
	r.system, r.sku, r.media = uri, strings.TrimSpace(s.SKU), []string{s.VirtualMedia.ID}
	m, err := r.readManagers(ctx, s)
	if err != nil {
		return err
	}
	r.identity = Identity{
		Manufacturer: strings.TrimSpace(s.Manufacturer), Model: strings.TrimSpace(s.Model), Serial: strings.TrimSpace(s.SerialNumber),
		UUID: strings.ToLower(s.UUID), System: s.ID, Generation: m.Model, Firmware: m.FirmwareVersion,
	}
	return nil
}

// readManagers reads those that manage the system: as it says, else, where there is
// but one, that one. The first speaks for the BMC.
func (r *Redfish) readManagers(ctx context.Context, s systemDocument) (managerDocument, error) {
	managers := s.Links.ManagedBy
	if len(managers) == 0 {
		managers = s.Links.Managers
	}
	if len(managers) == 0 && r.root.managers != "" {
		err := r.Members(ctx, r.root.managers, func(raw json.RawMessage) error {
			var l link
			lenient(raw, &l)
			managers = append(managers, l)
			return nil
		})
		if err != nil && !absent(err) {
			return managerDocument{}, err
		}
		if len(managers) > 1 {
			managers = nil // whose they are is not said
		}
	}
	var first managerDocument
	for _, l := range managers {
		var m managerDocument
		if err := r.Get(ctx, l.ID, &m); err != nil {
			if absent(err) {
				continue
			}
			return first, err
		}
		if r.manager == "" {
			r.manager, first = l.ID, m
		}
		r.media = append(r.media, m.VirtualMedia.ID)
	}
	return first, nil
}

// chooseSystem finds the computer system that the plan means.
func (r *Redfish) chooseSystem(ctx context.Context) (string, error) {
	var uris, ids []string
	err := r.Members(ctx, r.root.systems, func(raw json.RawMessage) error {
		var l link
		lenient(raw, &l)
		uris, ids = append(uris, l.ID), append(ids, lastSegment(l.ID))
		return nil
	})
	if err != nil {
		return "", err
	}
	switch i := slices.Index(ids, r.o.System); {
	case i >= 0:
		return uris[i], nil
	case len(ids) == 0:
		return "", &ErrUnsupported{"the BMC manages no computer system"}
	case r.o.System != "":
		return "", &ErrUnsupported{fmt.Sprintf("the BMC has no computer system %q; it has %s", r.o.System, strings.Join(ids, ", "))}
	case len(ids) > 1:
		return "", &ErrUnsupported{fmt.Sprintf("the BMC manages %d computer systems (%s); say which one by bmc.system", len(ids), strings.Join(ids, ", "))}
	}
	return uris[0], nil
}

func lastSegment(uri string) string {
	uri = strings.TrimSuffix(uri, "/")
	return uri[strings.LastIndexByte(uri, '/')+1:]
}

// belongsTo fills in what depends on the vendor.
func (r *Redfish) belongsTo(v Vendor) {
	r.identity.Vendor = v.Name
	r.messages = v.Messages
	if r.rules.SerialFromSKU && r.sku != "" {
		r.identity.Board, r.identity.Serial = r.identity.Serial, r.sku
	}
}

// mostMembers bounds what a broken collection can make us read.
const mostMembers = 1000

// Members reads a collection's members: in one request where the BMC can
// expand, else one by one. Pages are followed, each one once.
func (r *Redfish) Members(ctx context.Context, uri string, each func(raw json.RawMessage) error) error {
	seen, members := map[string]bool{}, 0
	for page := uri; page != "" && !seen[page]; {
		seen[page] = true
		c, err := r.page(ctx, page, page == uri)
		if err != nil {
			return err
		}
		if members += len(c.Members); members > mostMembers || len(seen) > mostMembers {
			return &Error{Request: "GET " + uri, Status: http.StatusOK, Messages: []Message{{Text: fmt.Sprintf("the collection has more than %d members or pages", mostMembers)}}}
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

// page reads a collection, or a further page of it, expanded where that is possible.
// A BMC that says that it can expand, and cannot, is not asked for it again.
func (r *Redfish) page(ctx context.Context, uri string, first bool) (collection, error) {
	var c collection
	if first && r.root.expands && !r.noExpand {
		err := r.Get(ctx, uri+"?$expand=.($levels=1)", &c)
		var refused *Error
		if !errors.As(err, &refused) || refused.Status < 400 || refused.Status == http.StatusNotFound {
			return c, err
		}
		r.noExpand = refused.Status < 500
	}
	return c, r.Get(ctx, uri, &c)
}

// member hands on a member, which is read where it came as a bare link. One that
// came whole is remembered like any document.
func (r *Redfish) member(ctx context.Context, raw json.RawMessage, each func(json.RawMessage) error) error {
	var l link
	if lenient(raw, &l) != nil || l.ID == "" {
		return nil
	}
	if !bare(raw) {
		r.keepETag(l.ID, "", raw)
		r.documents[l.ID] = reading{raw, r.o.Now()}
		return each(raw)
	}
	var document json.RawMessage
	if err := r.Get(ctx, l.ID, &document); err != nil {
		var e *Error
		if errors.As(err, &e) && e.Status == http.StatusNotFound {
			return nil // some BMCs list members that they do not have
		}
		return err
	}
	return each(document)
}

// bare reports that a member is a link and nothing else.
func bare(raw json.RawMessage) bool {
	if len(raw) > 1000 {
		return false
	}
	var fields map[string]json.RawMessage
	return lenient(raw, &fields) == nil && len(fields) == 1
}

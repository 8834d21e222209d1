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

	"esxiplan/engine/text"
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

// takeRoot takes over the service root that gofish read. gofish keeps the links to itself and
// texts as they came, so both are read from the body.
func (r *Redfish) takeRoot(service *gofish.Service, body []byte) error {
	var to struct {
		Vendor, Product                   string
		Type                              string `json:"@odata.type"`
		Oem                               map[string]json.RawMessage
		Systems, Managers, LicenseService Link
		SessionService                    Link
		Links                             struct{ Sessions Link }
	}
	lenient(body, &to)
	if to.Systems == "" {
		return &Error{Request: "GET " + rootURI, Status: http.StatusOK,
			Messages: []Message{{Text: "the answer names no computer systems"}}}
	}
	if to.Links.Sessions == "" && to.SessionService != "" { // which leads to them under one name
		to.Links.Sessions = Link(strings.TrimSuffix(string(to.SessionService), "/") + "/Sessions")
	}
	r.root = RootDocument{
		Vendor: to.Vendor, Product: to.Product, Oem: to.Oem, version: to.Type, expands: service.ProtocolFeaturesSupported.ExpandQuery.NoLinks,
		systems: to.Systems, managers: to.Managers, licenses: to.LicenseService, sessions: to.Links.Sessions,
	}
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
	s, err := get[systemDocument](ctx, r, uri)
	if err != nil {
		return err
	}
	r.system, r.sku, r.media = uri, strings.TrimSpace(s.SKU), []Link{s.VirtualMedia}
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
func (r *Redfish) readManagers(ctx context.Context, s *systemDocument) (managerDocument, error) {
	managers := s.Links.ManagedBy
	if len(managers) == 0 {
		managers = s.Links.Managers
	}
	if len(managers) == 0 && r.root.managers != "" {
		err := r.members(ctx, r.root.managers, func(uri Link, _ *reading) error {
			managers = append(managers, uri)
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
		if err := r.Get(ctx, l, &m); err != nil {
			if absent(err) {
				continue
			}
			return first, err
		}
		if r.manager == "" {
			r.manager, first = l, m
		}
		r.media = append(r.media, m.VirtualMedia)
	}
	return first, nil
}

// chooseSystem finds the computer system that the plan means.
func (r *Redfish) chooseSystem(ctx context.Context) (Link, error) {
	var uris []Link
	var ids []string
	err := r.members(ctx, r.root.systems, func(uri Link, _ *reading) error {
		uris, ids = append(uris, uri), append(ids, uri.Last())
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
		return "", &ErrUnsupported{fmt.Sprintf("the BMC has no computer system %q; it has %s", r.o.System, text.Clean(strings.Join(ids, ", ")))}
	case len(ids) > 1:
		return "", &ErrUnsupported{fmt.Sprintf("the BMC manages %d computer systems (%s); say which one by bmc.system", len(ids), text.Clean(strings.Join(ids, ", ")))}
	}
	return uris[0], nil
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
func (r *Redfish) Members(ctx context.Context, uri Link, each func(raw json.RawMessage) error) error {
	return r.members(ctx, uri, func(_ Link, d *reading) error { return each(d.body) })
}

// members reads a collection's members, for who looks at them again and again.
func (r *Redfish) members(ctx context.Context, uri Link, each func(uri Link, d *reading) error) error {
	seen, members := map[Link]bool{}, 0
	for page := uri; page != "" && !seen[page]; {
		seen[page] = true
		c, err := r.page(ctx, page, page == uri)
		if err != nil {
			return err
		}
		if members += len(c.Members); members > mostMembers || len(seen) > mostMembers {
			return &Error{Request: "GET " + uri.shown(), Status: http.StatusOK,
				Messages: []Message{{Text: fmt.Sprintf("the collection has more than %d members or pages", mostMembers)}}}
		}
		for _, m := range c.Members {
			d, err := r.member(ctx, m)
			if err == nil && d != nil {
				err = each(m.uri, d)
			}
			if err != nil {
				return err
			}
		}
		page = c.Next
	}
	return nil
}

// page reads a collection, or a further page of it, expanded where that is possible.
// A BMC that says that it can expand, and cannot, is not asked for it again.
func (r *Redfish) page(ctx context.Context, uri Link, first bool) (*collection, error) {
	if first && r.root.expands && !r.noExpand {
		c, err := get[collection](ctx, r, uri+"?$expand=.($levels=1)")
		var refused *Error
		if !errors.As(err, &refused) || refused.Status < 400 || refused.Status == http.StatusNotFound {
			return c, err
		}
		r.noExpand = refused.Status < 500
	}
	return get[collection](ctx, r, uri)
}

// member reads a member that came as a bare link. One that came whole is remembered like
// any document. nil: there is none after all.
func (r *Redfish) member(ctx context.Context, m member) (*reading, error) {
	switch {
	case m.uri == "":
		return nil, nil
	case m.bare:
		d, err := r.document(ctx, m.uri)
		var e *Error
		if errors.As(err, &e) && e.Status == http.StatusNotFound {
			return nil, nil // some BMCs list members that they do not have
		}
		return d, err
	}
	if d := r.known(m.uri); d != nil && len(d.body) > 0 && &d.body[0] == &m.raw[0] {
		return d, nil
	}
	r.keepETag(m.uri, m.tag, nil)
	return r.remember(m.uri, m.raw), nil
}

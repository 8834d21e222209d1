package bmc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

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
// that demands one nevertheless is asked by the paths that the standard gives.
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
	r.system, r.manager, r.sku, r.media = uri, "", meaningful(s.SKU), []Link{s.VirtualMedia}
	m, err := r.readManagers(ctx, s)
	if err != nil {
		return err
	}
	r.identity = Identity{
		Manufacturer: firstOf(s.Manufacturer, r.root.Vendor), Model: strings.TrimSpace(s.Model), Serial: meaningful(s.SerialNumber), UUID: strings.ToLower(strings.TrimSpace(s.UUID)),
		System: s.ID, Generation: strings.TrimSpace(m.Model), Firmware: strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(m.FirmwareVersion), strings.TrimSpace(m.Model))),
	}
	if r.manager == "" {
		r.o.Warn("the BMC does not say which manager the computer system " + s.ID + " has: its firmware, its license and the manager's virtual media are unknown")
	}
	return nil
}

// readManagers reads those that manage the system: as it says, else as they say, else,
// if there is only one, that one. The first represents the BMC.
func (r *Redfish) readManagers(ctx context.Context, s *systemDocument) (first managerDocument, err error) {
	managers := s.Links.ManagedBy
	if len(managers) == 0 {
		managers = s.Links.Managers
	}
	if len(managers) == 0 && r.root.managers != "" {
		if managers, err = r.managersOf(ctx, r.system); err != nil && !absent(err) {
			return first, err
		}
	}
	for _, l := range managers {
		m, err := get[managerDocument](ctx, r, l)
		if err != nil {
			if absent(err) {
				continue
			}
			return first, err
		}
		if r.manager == "" {
			r.manager, first = l, *m
		}
		r.media = append(r.media, m.VirtualMedia)
	}
	return first, nil
}

// managersOf finds the managers that say that they manage a system, else the only one.
func (r *Redfish) managersOf(ctx context.Context, system Link) (own []Link, err error) {
	var all []Link
	err = r.members(ctx, r.root.managers, func(uri Link, d *reading) error {
		all = append(all, uri)
		if m, err := into[managerDocument](d, uri); err == nil && slices.ContainsFunc(m.Links.ManagerForServers, system.same) {
			own = append(own, uri)
		}
		return nil
	})
	if len(own) == 0 && len(all) == 1 {
		own = all
	}
	return own, err
}

// GetManager reads the manager into the caller's value, which it leaves unchanged if the
// system has no manager.
func (r *Redfish) GetManager(ctx context.Context, into any) error {
	if r.manager == "" {
		return nil
	}
	return r.Get(ctx, r.manager, into)
}

// chooseSystem finds the computer system that the plan means: the one that it names, else
// the only one, else the only one that can be reset and booted.
func (r *Redfish) chooseSystem(ctx context.Context) (Link, error) {
	var uris, whole []Link
	var ids []string
	err := r.members(ctx, r.root.systems, func(uri Link, d *reading) error {
		uris, ids = append(uris, uri), append(ids, uri.bare().Last())
		if s, err := into[systemDocument](d, uri); err == nil && s.Actions.Reset.Target != "" && s.Boot != nil && s.Boot.Target != nil {
			whole = append(whole, uri)
		}
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
	case len(ids) == 1:
		return uris[0], nil
	case len(whole) == 1:
		return whole[0], nil
	}
	return "", &ErrUnsupported{fmt.Sprintf("the BMC manages %d computer systems (%s); say which one by bmc.system, or by --system of discover", len(ids), text.Clean(strings.Join(ids, ", ")))}
}

// belongsTo fills in what depends on the vendor.
func (r *Redfish) belongsTo(v Vendor) {
	r.identity.Vendor = v.Name
	r.messages.Store(&v.Messages)
	if r.rules.SerialFromSKU && r.sku != "" {
		r.identity.Board, r.identity.Serial = r.identity.Serial, r.sku
	}
	if r.rules.ModelInRoot && r.identity.Model == "" {
		r.identity.Model = strings.TrimSpace(r.root.Product)
	}
}

// mostMembers bounds how much a broken collection can make us read.
const mostMembers = 1000

// Members reads a collection's members: in one request where the BMC can
// expand, else one by one. Pages are followed, each one once.
func (r *Redfish) Members(ctx context.Context, uri Link, each func(raw json.RawMessage) error) error {
	return r.members(ctx, uri, func(_ Link, d *reading) error { return each(d.body) })
}

// members reads a collection's members, for callers that need them repeatedly.
func (r *Redfish) members(ctx context.Context, uri Link, each func(uri Link, d *reading) error) error {
	seen, members := map[Link]bool{}, 0
	var lacking error // see [every]
	for at := uri; at != "" && !seen[at]; {
		seen[at] = true
		p, err := r.page(ctx, at, at == uri)
		if err != nil {
			return err
		}
		if members += len(p.Members); members > mostMembers || len(seen) > mostMembers {
			return &Error{Request: "GET " + uri.shown(), Status: http.StatusOK,
				Messages: []Message{{Text: fmt.Sprintf("the collection has more than %d members or pages", mostMembers)}}}
		}
		for _, m := range p.Members {
			d, err := r.member(ctx, m, p.read)
			if err == nil && d != nil {
				err = each(m.uri, d)
			}
			if err == errWanted {
				lacking = err
			} else if err != nil {
				return err
			}
		}
		at = p.Next
	}
	return lacking
}

// page is a collection, or a part of it.
type page struct {
	*collection
	read time.Time
}

// page reads a collection, or a further page of it, expanded where that is possible.
// A BMC that claims to expand but cannot is not asked for it again.
func (r *Redfish) page(ctx context.Context, uri Link, first bool) (page, error) {
	if first && r.root.expands && !r.noExpand {
		p, err := r.pageAt(ctx, uri+"?$expand=.($levels=1)")
		var refused *Error
		if !errors.As(err, &refused) || refused.Status < 400 || refused.Status == http.StatusNotFound {
			return p, err
		}
		other := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict, http.StatusTooManyRequests} // says nothing of the query
		r.noExpand = refused.Status < 500 && !slices.Contains(other, refused.Status)
	}
	return r.pageAt(ctx, uri)
}

func (r *Redfish) pageAt(ctx context.Context, uri Link) (page, error) {
	d, err := r.document(ctx, uri)
	if err != nil {
		return page{}, err
	}
	c, err := into[collection](d, uri)
	return page{c, d.at}, err
}

// member is a member of a page. One that came with the page is remembered like any document,
// unless it was read, or changed by us, after the page. nil: the BMC lists it but does not have it.
func (r *Redfish) member(ctx context.Context, m member, read time.Time) (*reading, error) {
	if m.uri == "" {
		return nil, nil
	}
	later := r.documents[m.uri]
	if later != nil && later.at.Before(read) {
		later = nil
	}
	switch {
	case !m.bare && later == nil:
		r.keepETag(m.uri, m.tag, nil)
		return r.rememberAs(m.uri, &reading{body: m.raw, at: read}), nil
	case !m.bare && !later.stale && later.err == nil:
		return later, nil
	}
	d, err := r.document(ctx, m.uri)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		return nil, nil // some BMCs list members that they do not have
	}
	return d, err
}

package bmc

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
)

// readNICs reads the network ports that the computer system lists itself.
func (r *Redfish) readNICs(ctx context.Context, s *systemDocument, out *Inventory) error {
	var tagged []NIC // VLANs, or ports that carry one
	err := r.Members(ctx, s.EthernetInterfaces, func(raw json.RawMessage) error {
		var d ethernetDocument
		if lenient(raw, &d) != nil || d.Links.HostInterface != "" || d.Type == "Virtual" {
			return nil // the link between BMC and host is no port
		}
		nic := NIC{ID: strings.TrimSpace(d.ID), MAC: firstMAC(d.PermanentMACAddress, d.MACAddress, d.MacAddress), Link: linkOf(d.LinkStatus), Mbps: int64(d.SpeedMbps)}
		switch {
		case nic.MAC == "":
		case d.VLAN.VLANEnable:
			tagged = append(tagged, nic)
		default:
			out.NICs = laid(out.NICs, nic)
		}
		return nil
	})
	out.NICs = laid(out.NICs, tagged...)
	if err != nil && !absent(err) {
		return err
	}
	return nil
}

// NewNIC is a port that a vendor found; ok is false for what is no MAC address.
func NewNIC(mac, link string) (NIC, bool) {
	n := NIC{MAC: firstMAC(mac), Link: linkOf(link)}
	return n, n.MAC != ""
}

func firstMAC(texts ...string) string {
	for _, text := range texts {
		if mac := normaliseMAC(text); mac != "" && mac != "00:00:00:00:00:00" {
			return mac
		}
	}
	return ""
}

// linkOf writes the state of a link as Ports do; NetworkPorts before them said Up and Down.
func linkOf(status string) string {
	switch status {
	case "Up", "Down":
		return "Link" + status
	case "LinkUp", "LinkDown", "NoLink":
		return strings.Replace(status, "NoLink", "LinkDown", 1)
	}
	return ""
}

// Network implements [Reader]. What the adapters in the chassis list is merged into
// what the computer system lists: some systems list no add-in card, some adapters
// no port, and only adapters know slot and link.
func (r *Redfish) Network(ctx context.Context) (Network, error) {
	if r.network != nil {
		return *r.network, nil
	}
	var n Network
	err := every(
		func() error {
			stock, err := r.Inventory(ctx)
			n.NICs = slices.Clone(stock.NICs)
			return err
		},
		func() error { return r.vendorNICs(ctx, &n) },
		func() error { return r.adapterNICs(ctx, &n) })
	for i := range n.NICs {
		r.place(&n.NICs[i])
	}
	if err == nil && r.ahead == nil {
		r.network = &n
	}
	return n, err
}

// vendorNICs adds the ports that only the vendor knows where to find.
func (r *Redfish) vendorNICs(ctx context.Context, n *Network) error {
	if r.rules.NICs == nil {
		return nil
	}
	more, err := r.rules.NICs(ctx)
	n.NICs = laid(n.NICs, more...)
	return unlessAbsent(err)
}

// adapterNICs adds the ports of the adapters in all chassis.
func (r *Redfish) adapterNICs(ctx context.Context, n *Network) error {
	s, err := get[systemDocument](ctx, r, r.system)
	if err != nil {
		return err
	}
	var questions []func() error
	for _, c := range s.Links.Chassis {
		questions = append(questions, func() error { return unlessAbsent(r.adapters(ctx, c, n)) })
	}
	return every(questions...)
}

// place fills in where a port is by its id, as far as no other property says it.
func (r *Redfish) place(n *NIC) {
	if r.rules.Place == nil {
		return
	}
	slot, port := r.rules.Place(n.ID)
	n.Slot = cmp.Or(n.Slot, slot)
	if n.Slot == slot {
		n.Port = cmp.Or(n.Port, port)
	}
}

// laid merges ports into those that are known by their address.
func laid(known []NIC, nics ...NIC) []NIC {
	for _, nic := range nics {
		i := slices.IndexFunc(known, func(have NIC) bool { return have.MAC == nic.MAC })
		if i < 0 {
			known = append(known, nic)
			continue
		}
		have := &known[i]
		for _, field := range []struct{ have, more *string }{{&have.Link, &nic.Link}, {&have.Adapter, &nic.Adapter}, {&have.Slot, &nic.Slot},
			{&have.Port, &nic.Port}} {
			if *field.have == "" {
				*field.have = *field.more
			}
		}
		if have.Mbps == 0 {
			have.Mbps = nic.Mbps
		}
	}
	return known
}

func (r *Redfish) adapters(ctx context.Context, chassis Link, n *Network) error {
	var c chassisDocument
	if err := r.Get(ctx, chassis, &c); err != nil {
		return err
	}
	return r.Members(ctx, c.NetworkAdapters, func(raw json.RawMessage) error {
		var a adapterDocument
		if lenient(raw, &a) != nil {
			return nil
		}
		return r.adapter(ctx, a, n)
	})
}

// adapter reads the ports and functions of one adapter. A function has the address
// and names its port, which has the link; most ports have the address, too.
func (r *Redfish) adapter(ctx context.Context, a adapterDocument, n *Network) error {
	base := NIC{Adapter: a.product(), Slot: a.slot()}
	if base.Slot == "" && r.rules.Place != nil {
		base.Slot, _ = r.rules.Place(a.ID)
	}
	ports, err := r.ports(ctx, a)
	functions, otherErr := r.functions(ctx, a, base, ports)
	if err = cmp.Or(err, otherErr); err != nil {
		return err
	}
	var own []NIC
	for _, p := range ports {
		nic := r.port(a, base, p)
		nic.ID = a.ID + "/" + p.ID
		if p.storage() {
			if nic.Link == "LinkUp" {
				n.SAN = append(n.SAN, nic.Adapter+" port "+firstOf(nic.Port, p.ID))
			}
			continue
		}
		if nic.MAC = firstMAC(append(slices.Clone(p.Ethernet.AssociatedMACAddresses), p.Addresses...)...); nic.MAC != "" {
			own = append(own, nic)
		}
	}
	if len(functions) == 0 || !r.rules.Uplinks {
		n.NICs = laid(n.NICs, own...)
	}
	n.NICs = laid(n.NICs, functions...)
	return nil
}

// port is what a port says about its NIC, or about the NIC that uses it.
func (r *Redfish) port(a adapterDocument, base NIC, p portDocument) NIC {
	base.Port, base.Link, base.Mbps = p.number(), linkOf(p.LinkStatus), p.mbps()
	if id := firstOf(p.URI.bare().Last(), p.ID); r.rules.Place != nil && strings.HasPrefix(id, a.ID+"-") { // its own Id may be the adapter's
		_, base.Port = r.rules.Place(id)
	}
	return base
}

// ports reads an adapter's ports; which of the two forms a service links to and
// fills differs, so the older one is read where the newer one has nothing.
func (r *Redfish) ports(ctx context.Context, a adapterDocument) ([]portDocument, error) {
	for _, uri := range []Link{a.Ports, a.NetworkPorts} {
		var out []portDocument
		err := r.Members(ctx, uri, func(raw json.RawMessage) error {
			var p portDocument
			if lenient(raw, &p) == nil && p.ID != "" {
				out = append(out, p)
			}
			return nil
		})
		if err != nil && !absent(err) || len(out) > 0 {
			return out, err
		}
	}
	return nil, nil
}

// functions are the NICs that the functions of an adapter are, with the link of their port.
func (r *Redfish) functions(ctx context.Context, a adapterDocument, base NIC, ports []portDocument) (out []NIC, err error) {
	err = r.Members(ctx, a.DeviceFunctions, func(raw json.RawMessage) error {
		var f functionDocument
		if lenient(raw, &f) != nil || f.Type != "" && f.Type != "Ethernet" || f.FibreChannel.WWPN != "" {
			return nil
		}
		nic := base
		for _, p := range ports {
			if f.uses(p) {
				nic = r.port(a, base, p)
			}
		}
		nic.ID = f.ID
		if nic.MAC = firstMAC(f.Ethernet.PermanentMACAddress, f.Ethernet.MACAddress); nic.MAC != "" {
			out = append(out, nic)
		}
		return nil
	})
	if absent(err) {
		err = nil
	}
	return out, err
}

func (f functionDocument) uses(p portDocument) bool {
	for _, l := range append([]Link{f.Links.Port, f.Links.PortNew}, f.Assignable...) {
		if l != "" && p.URI != "" && l.Last() == p.URI.Last() {
			return true
		}
	}
	return len(p.FibreChannel.AssociatedWorldWideNames) > 0
}

func (p portDocument) mbps() int64 {
	if p.Speed > 0 {
		return int64(p.Speed * 1000)
	}
	return int64(p.SpeedOld)
}

// storage reports ports of storage networks.
func (p portDocument) storage() bool {
	for _, text := range []string{p.Technology, p.ActiveOld, p.Protocol} {
		if text == "FibreChannel" || text == "FC" || text == "FCoE" {
			return true
		}
	}
	return false
}

// number is the port's number on its adapter.
func (p portDocument) number() string {
	for _, raw := range p.Oem {
		var o struct{ PhysicalPortNumber string }
		if lenient(raw, &o) == nil && p.PortID == "" && p.PhysicalPort == "" && o.PhysicalPortNumber != "" {
			return strings.TrimSpace(o.PhysicalPortNumber)
		}
	}
	return firstOf(p.PortID, p.PhysicalPort)
}

// product is the adapter's name, if it has one that is not only a title, else its model.
func (a adapterDocument) product() string {
	name := strings.TrimSpace(a.Name)
	if title := strings.ReplaceAll(strings.ToLower(name), " ", ""); strings.HasPrefix(title, "networkadapter") || name == a.ID {
		name = ""
	}
	return firstOf(name, a.Model, a.ID)
}

func (a adapterDocument) slot() string {
	if label := firstOf(a.Location.PartLocation.ServiceLabel); label != "" {
		return label
	}
	for _, c := range a.Controllers {
		if label := firstOf(c.Location.PartLocation.ServiceLabel, c.Location.Info); label != "" {
			return label
		}
	}
	return ""
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text = strings.TrimSpace(text); text != "" {
			return text
		}
	}
	return ""
}

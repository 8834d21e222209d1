package schema

import (
	"maps"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// hostArguments are the plain arguments of a host or group block.
type hostArguments struct {
	Vendor       string  `json:"vendor" default:"auto" doc:"Vendor of the machine, or \"auto\". What the BMC says must agree."`
	Serial       *string `json:"serial" doc:"Serial number (Dell: service tag) that the BMC must report before anything is written."`
	Protected    bool    `json:"protected" default:"false" doc:"true: this host is never reset."`
	AllowRunning bool    `json:"allow_running" default:"false" doc:"true: reset the host even when it is, or may be, in use."`
}

var (
	hostObject = Of[hostArguments]()
	bmcObject  = Of[BMC]()
	esxiObject = Of[ESXi]()

	hostHeader  = layerHeader()
	groupHeader = layerHeader("host")
)

// HostObjects describes what host and group blocks take: their own arguments,
// those of the bmc block and those of the esxi block.
func HostObjects() (host, bmc, esxi *Object) { return hostObject, bmcObject, esxiObject }

func layerHeader(labelled ...string) *hcl.BodySchema {
	s := header(hostObject)
	s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: "vars"})
	s.Blocks = []hcl.BlockHeaderSchema{{Type: "bmc"}, {Type: "esxi"}}
	for _, name := range labelled {
		s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: "in_flight"})
		s.Blocks = append(s.Blocks, hcl.BlockHeaderSchema{Type: name, LabelNames: []string{"name"}})
	}
	return s
}

// layer is what one block, group or host, says: arguments by path, such as
// "serial", "vars" or "bmc.password". A host's layer lies over its group's.
type layer struct {
	arguments hcl.Attributes
	sections  map[string]hcl.Range // blocks present: "bmc", "esxi"
}

func (l *loader) layer(content *hcl.BodyContent) layer {
	out := layer{hcl.Attributes{}, map[string]hcl.Range{}}
	for name, attr := range content.Attributes {
		out.arguments[name] = attr
	}
	for _, b := range content.Blocks {
		object := map[string]*Object{"bmc": bmcObject, "esxi": esxiObject}[b.Type]
		if object == nil {
			continue
		}
		if at, seen := out.sections[b.Type]; seen {
			l.problem(b.DefRange, "Duplicate block", "There is already a block %s at %s.", b.Type, position(at))
		}
		out.sections[b.Type] = b.DefRange
		attrs, diags := l.attributes(b.Body, header(object))
		l.diags = append(l.diags, diags...)
		for name, attr := range attrs {
			out.arguments[b.Type+"."+name] = attr
		}
	}
	return out
}

// over lays the host's layer over its group's: blocks merge, values replace.
func (host layer) over(group layer) layer {
	merged := layer{hcl.Attributes{}, map[string]hcl.Range{}}
	for _, l := range []layer{group, host} {
		for path, attr := range l.arguments {
			merged.arguments[path] = attr
		}
		for name, at := range l.sections {
			merged.sections[name] = at
		}
	}
	return merged
}

// section picks the arguments of one block.
func (l layer) section(name string) hcl.Attributes {
	out := hcl.Attributes{}
	for path, attr := range l.arguments {
		if rest, ok := strings.CutPrefix(path, name+"."); ok {
			out[rest] = attr
		}
	}
	return out
}

func (l *loader) group(b *hcl.Block) {
	content, diags := b.Body.Content(groupHeader)
	l.diags = append(l.diags, diags...)
	g := &Group{Name: b.Labels[0], Range: b.DefRange}
	l.plan.Groups = append(l.plan.Groups, g)
	if attr, ok := content.Attributes["in_flight"]; ok {
		value, ok := l.objectFrom(hcl.Attributes{"in_flight": attr}, planObject, l.plan.global, b.DefRange, nil)
		if ok && !value.GetAttr("in_flight").IsNull() && value.IsWhollyKnown() {
			g.InFlight = value.GetAttr("in_flight").AsString()
			l.checkInFlight(attr.Range, g.InFlight)
		}
	}
	defaults := l.layer(content)
	for _, hb := range content.Blocks {
		if hb.Type == "host" {
			l.host(g, hb, defaults)
		}
	}
}

func (l *loader) host(g *Group, b *hcl.Block, defaults layer) {
	content, diags := b.Body.Content(hostHeader)
	l.diags = append(l.diags, diags...)
	own := l.layer(content)
	h := &Host{Name: b.Labels[0], Group: g.Name, Range: b.DefRange, ranges: map[string]hcl.Range{}}
	e := &hostEvaluation{loader: l, host: h, layer: own.over(defaults), ok: !diags.HasErrors()}
	for path, attr := range e.layer.arguments {
		h.ranges[path] = attr.Expr.Range()
	}
	e.run(own, defaults)
	h.broken = !e.ok
	g.Hosts = append(g.Hosts, h)
}

// hostEvaluation evaluates one host's arguments in stages: vars, then the
// ESXi address, then the rest, each of which may refer to those before it.
type hostEvaluation struct {
	*loader
	host  *Host
	layer layer
	scope map[string]cty.Value // what `host` means so far
	ok    bool
}

func (e *hostEvaluation) run(own, defaults layer) {
	e.scope = map[string]cty.Value{"name": cty.StringVal(e.host.Name)}
	e.scope["vars"] = e.vars(own, defaults)
	_, hasESXi := e.layer.sections["esxi"]
	if hasESXi {
		e.scope["esxi"] = cty.ObjectVal(map[string]cty.Value{"address": e.address()})
	}
	e.plain()
	e.bmc()
	if hasESXi {
		e.esxi(cty.UnknownVal(e.plan.known.Facts.Type()))
	}
	e.host.Value = e.value(hasESXi)
}

func (e *hostEvaluation) context() *hcl.EvalContext {
	ctx := e.plan.global.NewChild()
	ctx.Variables = map[string]cty.Value{
		"group": cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(e.host.Group)}),
		"host":  cty.ObjectVal(e.scope),
	}
	return ctx
}

// vars merges the group's vars with the host's, key by key.
func (e *hostEvaluation) vars(layers ...layer) cty.Value {
	merged := map[string]cty.Value{}
	hidden := cty.ValueMarks{} // of the whole: a key may be a secret
	ctx := e.context()
	for i := len(layers) - 1; i >= 0; i-- {
		attr, ok := layers[i].arguments["vars"]
		if !ok {
			continue
		}
		value, diags := attr.Expr.Value(ctx)
		e.diags = append(e.diags, withoutValues(diags)...)
		plain, marks := value.Unmark()
		if diags.HasErrors() || plain.IsNull() || !plain.CanIterateElements() || plain.Type().IsTupleType() || plain.Type().IsListType() || plain.Type().IsSetType() {
			if !diags.HasErrors() {
				e.problem(attr.Expr.Range(), "Invalid value", `vars: an object is wanted, such as { rack = "r7" }.`)
			}
			e.ok = false
			continue
		}
		for m := range marks {
			hidden[m] = struct{}{}
		}
		for key, v := range plain.AsValueMap() {
			merged[key] = v
		}
	}
	return cty.ObjectVal(merged).WithMarks(hidden)
}

func (e *hostEvaluation) address() cty.Value {
	attr, ok := e.layer.arguments["esxi.address"]
	if !ok {
		return cty.UnknownVal(cty.String) // reported by esxi
	}
	value, diags := attr.Expr.Value(e.context())
	if diags.HasErrors() {
		return cty.UnknownVal(cty.String) // reported by esxi
	}
	return value
}

func (e *hostEvaluation) decode(attrs hcl.Attributes, o *Object, at hcl.Range, into any) {
	value, ok := e.objectFrom(attrs, o, e.context(), at, nil)
	e.ok = ok && e.fill(value, into, at) && e.ok
}

func (e *hostEvaluation) plain() {
	attrs := hcl.Attributes{}
	for _, name := range hostObject.Names() {
		if attr, ok := e.layer.arguments[name]; ok {
			attrs[name] = attr
		}
	}
	var a hostArguments
	e.decode(attrs, hostObject, e.host.Range, &a)
	e.host.Vendor, e.host.Serial = a.Vendor, deref(a.Serial)
	e.host.Protected, e.host.AllowRunning = a.Protected, a.AllowRunning
}

func (e *hostEvaluation) bmc() {
	at, ok := e.layer.sections["bmc"]
	if !ok {
		e.problem(e.host.Range, "Missing block", "Host %q needs a bmc block, its own or its group's: username and password of its BMC.", e.host.Name)
		e.ok = false
		return
	}
	e.decode(e.layer.section("bmc"), bmcObject, at, &e.host.BMC)
	if e.host.BMC.Address == (Address{}) && e.ok {
		e.addressByName()
	}
}

// addressByName takes the host's name for the address of its BMC.
func (e *hostEvaluation) addressByName() {
	address, err := ParseAddress(e.host.Name)
	if err != nil {
		e.problem(e.host.Range, "Invalid address", "Host %q has no bmc.address, so its name must be one, but %v.", e.host.Name, err)
		e.ok = false
	}
	e.host.BMC.Address = address
}

// esxi evaluates the esxi block. As long as the facts are not known, what depends on
// them waits.
func (e *hostEvaluation) esxi(facts cty.Value) {
	before := maps.Clone(e.scope)
	e.scope["facts"] = facts
	attrs, at := e.layer.section("esxi"), e.layer.sections["esxi"]
	value, ok := e.objectFrom(attrs, esxiObject, e.context(), at, nil)
	e.scope = before
	value, names := e.takeLate(value, attrs)
	x := &ESXi{}
	e.host.ESXi = x
	e.ok = ok && e.fill(value, x, at) && e.ok
	if x.RootPassword.Reveal() == "-" {
		x.RootPassword = Secret{}
	}
	if len(names) > 0 {
		e.host.late = &late{layer: e.layer, scope: before}
		x.standIns(names, func(name string) string { return position(attrs[name].Expr.Range()) })
	}
	x.normalise()
}

// normalise brings the NIC's MAC and device names into the form in which ESXi has them.
func (e *ESXi) normalise() {
	disks := []*Disk{e.Disk}
	for i := range e.Wipe {
		disks = append(disks, &e.Wipe[i])
	}
	for _, d := range disks {
		if d != nil && d.Name != nil && (strings.HasPrefix(*d.Name, "naa.") || strings.HasPrefix(*d.Name, "eui.")) {
			name := strings.ToLower(*d.Name)
			d.Name = &name
		}
	}
	if e.NIC != nil && isMAC(*e.NIC) {
		mac := strings.ToUpper(strings.ReplaceAll(*e.NIC, "-", ":"))
		e.NIC = &mac
	}
}

// value is what `host` means in steps: the declaration, secrets marked.
func (e *hostEvaluation) value(hasESXi bool) cty.Value {
	h := e.host
	out := map[string]cty.Value{
		"name": cty.StringVal(h.Name), "group": cty.StringVal(h.Group), "vendor": cty.StringVal(h.Vendor),
		"serial": optionalString(h.Serial), "protected": cty.BoolVal(h.Protected), "allow_running": cty.BoolVal(h.AllowRunning),
		"vars": e.scope["vars"],
		"bmc": cty.ObjectVal(map[string]cty.Value{
			"address": cty.StringVal(h.BMC.Address.String()), "username": cty.StringVal(h.BMC.Username),
			"password": cty.StringVal(h.BMC.Password.Reveal()).Mark(Sensitive),
		}),
		"esxi": cty.NullVal(esxiScope),
	}
	if hasESXi {
		out["esxi"] = esxiValue(h.ESXi)
	}
	return cty.ObjectVal(out)
}

var esxiScope = cty.Object(map[string]cty.Type{
	"address": cty.String, "netmask": cty.String, "gateway": cty.String, "hostname": cty.String, "nic": cty.String,
	"nameservers": cty.List(cty.String), "vlan": cty.Number, "dhcp": cty.Bool, "root_password": cty.String,
	"disk": cty.Object(map[string]cty.Type{"model": cty.String, "serial": cty.String, "wwn": cty.String, "name": cty.String}),
})

func esxiValue(x *ESXi) cty.Value {
	vlan := cty.NullVal(cty.Number)
	if x.VLAN != nil {
		vlan = cty.NumberIntVal(int64(*x.VLAN))
	}
	servers := cty.ListValEmpty(cty.String)
	if len(x.Nameservers) > 0 {
		var list []cty.Value
		for _, s := range x.Nameservers {
			list = append(list, cty.StringVal(s))
		}
		servers = cty.ListVal(list)
	}
	disk := cty.NullVal(esxiScope.AttributeType("disk"))
	if d := x.Disk; d != nil && d.late != "" {
		disk = cty.UnknownVal(esxiScope.AttributeType("disk"))
	} else if d != nil {
		disk = cty.ObjectVal(map[string]cty.Value{
			"model": optional(d.Model), "serial": optional(d.Serial), "wwn": optional(d.WWN), "name": optional(d.Name),
		})
	}
	nic := optional(x.NIC)
	if x.lateNIC {
		nic = cty.UnknownVal(cty.String)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"address": cty.StringVal(x.Address), "netmask": optional(x.Netmask), "gateway": optional(x.Gateway),
		"hostname": cty.StringVal(x.HostName()), "nic": nic, "nameservers": servers, "vlan": vlan, "dhcp": cty.BoolVal(x.DHCP != nil && *x.DHCP),
		"root_password": optionalString(x.RootPassword.Reveal()).Mark(Sensitive), "disk": disk,
	})
}

func optional(s *string) cty.Value { return optionalString(deref(s)) }

func optionalString(s string) cty.Value {
	if s == "" {
		return cty.NullVal(cty.String)
	}
	return cty.StringVal(s)
}

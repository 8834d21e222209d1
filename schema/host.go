package schema

import (
	"maps"
	"reflect"
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
	groupHeader = groupLayerHeader()

	// sectionHeaders are those of the blocks in a host or group block.
	sectionHeaders = map[string]*hcl.BodySchema{"bmc": header(bmcObject), "esxi": header(esxiObject)}
)

// HostObjects describes what host and group blocks take: their own arguments,
// those of the bmc block and those of the esxi block.
func HostObjects() (host, bmc, esxi *Object) { return hostObject, bmcObject, esxiObject }

func layerHeader() *hcl.BodySchema {
	s := header(hostObject)
	s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: "vars"})
	s.Blocks = []hcl.BlockHeaderSchema{{Type: "bmc"}, {Type: "esxi"}}
	return s
}

func groupLayerHeader() *hcl.BodySchema {
	s := layerHeader()
	s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: "in_flight"})
	s.Blocks = append(s.Blocks, hcl.BlockHeaderSchema{Type: "host", LabelNames: []string{"name"}}, hcl.BlockHeaderSchema{Type: "dynamic", LabelNames: []string{"type"}})
	return s
}

// section is what one block says: where it is, and its arguments.
type section struct {
	at        hcl.Range
	arguments hcl.Attributes
}

// layer is what a host or group block says: its own arguments, under "", and those of the
// blocks in it, "bmc" and "esxi".
type layer map[string]section

// layers are a host's layer over its group's: blocks merge, values replace. The group's is
// the same one for all its hosts.
type layers struct{ host, group layer }

func (l *loader) layer(content *hcl.BodyContent) layer {
	out := layer{"": {arguments: content.Attributes}}
	for _, b := range content.Blocks {
		arguments, ok := sectionHeaders[b.Type]
		if !ok {
			continue
		}
		attrs := l.content(b.Body, arguments).Attributes
		if first, seen := out[b.Type]; seen {
			l.problem(b.DefRange, "Duplicate block", "There is already a block %s at %s. Write their arguments into one block.", b.Type, position(first.at))
			attrs = under(first.arguments, attrs)
		}
		out[b.Type] = section{b.DefRange, attrs}
	}
	return out
}

// section merges what host and group say in one block; present: one of them has it.
func (l layers) section(name string) (s section, present bool) {
	own, hasOwn := l.host[name]
	shared, hasShared := l.group[name]
	switch {
	case !hasOwn:
		return shared, hasShared
	case hasShared:
		own.arguments = under(shared.arguments, own.arguments)
	}
	return own, true
}

// under merges arguments over others.
func under(low, high hcl.Attributes) hcl.Attributes {
	merged := make(hcl.Attributes, len(low)+len(high))
	maps.Copy(merged, low)
	maps.Copy(merged, high)
	return merged
}

// at finds the argument at a path, such as "serial" or "bmc.password"; own: the host's
// block gives it, not its group's. It is nil if neither does.
func (l layers) at(path string) (attr *hcl.Attribute, own bool) {
	name, argument, nested := strings.Cut(path, ".")
	if !nested {
		name, argument = "", path
	}
	if attr, own = l.host[name].arguments[argument]; own {
		return attr, true
	}
	return l.group[name].arguments[argument], false
}

func (l *loader) group(b *hcl.Block) {
	content := l.content(b.Body, groupHeader)
	g := &Group{Name: b.Labels[0], Range: b.DefRange}
	l.plan.Groups = append(l.plan.Groups, g)
	if attr, ok := content.Attributes["in_flight"]; ok {
		values, diags := l.objectFrom(hcl.Attributes{"in_flight": attr}, planObject, l.global, b.DefRange, nil)
		l.add(diags...)
		if text := values["in_flight"]; text.IsKnown() && !text.IsNull() {
			g.InFlight = text.AsString()
			l.checkInFlight(attr.Expr.Range(), g.InFlight)
		}
	}
	e := &groupEvaluation{loader: l, group: g, defaults: l.layer(content), decoded: map[block]decoded{}}
	e.share(e.defaults, "host")
	for _, hb := range content.Blocks {
		e.block(hb)
	}
}

// groupEvaluation evaluates the hosts of a group; its arguments that are the same for all
// hosts, it evaluates once.
type groupEvaluation struct {
	*loader
	group    *Group
	defaults layer
	decoded  map[block]decoded
}

// block is one that is the same for all hosts of a group, or of a template in it.
type block struct {
	object *Object
	of     *template // nil: the group's
}

// decoded is the result of a block for hosts that add nothing to their group or template.
type decoded struct {
	value   reflect.Value
	unknown []string // arguments with a problem
	diags   hcl.Diagnostics
}

// share remembers which arguments of a layer are the same for all its hosts, because they
// refer to nothing that is different for each.
func (g *groupEvaluation) share(said layer, different ...string) {
	for _, s := range said {
		for _, attr := range s.arguments {
			if !refersToRoot(attr.Expr, different...) {
				g.shared[attr] = nil
			}
		}
	}
}

// host evaluates a host of the group.
func (g *groupEvaluation) host(h *Host) {
	h.Group = g.group.Name
	g.loader.host = h
	defer func() { g.loader.host = nil }()
	e := &hostEvaluation{loader: g.loader, group: g, host: h}
	e.run()
	g.group.Hosts = append(g.group.Hosts, h)
}

// hostEvaluation evaluates one host's arguments in stages: vars, then the
// ESXi address, then the rest, each of which may refer to those before it.
// An argument with a problem is unknown to all that depends on it.
type hostEvaluation struct {
	*loader
	group *groupEvaluation
	host  *Host
	scope map[string]cty.Value // what `host` means so far
}

// without notes arguments of a section that have a problem.
func (e *hostEvaluation) without(section string, arguments ...string) {
	for _, name := range arguments {
		if e.host.unknown == nil {
			e.host.unknown = map[string]bool{}
		}
		e.host.unknown[section+name] = true
	}
}

func (e *hostEvaluation) run() {
	e.scope = map[string]cty.Value{"name": cty.StringVal(e.host.Name), "index": e.host.row.indexValue()}
	e.scope["vars"] = e.vars()
	_, hasESXi := e.host.said.section("esxi")
	if hasESXi {
		e.scope["esxi"] = cty.ObjectVal(map[string]cty.Value{"address": e.address()})
	}
	e.plain()
	e.bmc()
	if hasESXi {
		e.esxi(cty.UnknownVal(e.plan.known.Facts.Type()))
	}
	e.host.Value = e.value()
}

// context is what an argument may refer to. Most do not refer to the host, and their context
// omits it: making it takes longer than evaluating them.
func (e *hostEvaluation) context(attr *hcl.Attribute) *hcl.EvalContext {
	ctx := e.plan.global.NewChild()
	for _, t := range attr.Expr.Variables() {
		if _, shared := e.plan.global.Variables[t.RootName()]; !shared {
			ctx.Variables = e.host.variables(attr, e.scope)
			return ctx
		}
	}
	return ctx
}

// variables are what only one host's arguments refer to; scope is what `host` means.
func (h *Host) variables(attr *hcl.Attribute, scope map[string]cty.Value) map[string]cty.Value {
	v := map[string]cty.Value{"group": groupValue(h.Group), "host": cty.ObjectVal(scope)}
	h.row.sees(attr, v)
	return v
}

// groupValue is what `group` means.
func groupValue(name string) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(name)})
}

// vars merges the group's vars with the host's, key by key. With a problem in one of them,
// no key is known.
func (e *hostEvaluation) vars() cty.Value {
	merged := map[string]cty.Value{}
	hidden := cty.ValueMarks{} // of the whole: a key may be a secret
	known := true
	for _, said := range []layer{e.host.said.group, e.host.said.host} {
		attr, ok := said[""].arguments["vars"]
		if !ok {
			continue
		}
		value, ok := e.someVars(attr)
		plain, marks := value.Unmark()
		if known = known && ok && plain.IsKnown(); !known {
			continue
		}
		for m := range marks {
			hidden[m] = struct{}{}
		}
		for key, v := range plain.AsValueMap() {
			merged[key] = v
		}
	}
	if !known {
		return cty.DynamicVal
	}
	return cty.ObjectVal(merged).WithMarks(hidden)
}

// someVars evaluates the vars of a block.
func (e *hostEvaluation) someVars(attr *hcl.Attribute) (value cty.Value, ok bool) {
	diags := e.checkNames(attr.Expr)
	if !diags.HasErrors() {
		value, diags = attr.Expr.Value(e.context(attr))
	}
	if e.add(withoutValues(diags)...); diags.HasErrors() {
		return cty.DynamicVal, false
	}
	if t := value.Type(); value.IsNull() || t != cty.DynamicPseudoType && !t.IsObjectType() && !t.IsMapType() {
		e.problem(attr.Expr.Range(), "Invalid value", `vars: must be an object, such as { rack = "r7" }.`)
		return cty.DynamicVal, false
	}
	return value, true
}

func (e *hostEvaluation) address() cty.Value {
	attr, _ := e.host.said.at("esxi.address")
	if attr == nil {
		return cty.UnknownVal(cty.String) // reported by esxi
	}
	value, diags := attr.Expr.Value(e.context(attr))
	if diags.HasErrors() {
		return cty.UnknownVal(cty.String) // reported by esxi
	}
	return value
}

// decode evaluates the arguments of a section into a struct, unless they are its group's and
// the same for another host.
func (e *hostEvaluation) decode(section string, attrs hcl.Attributes, o *Object, at hcl.Range, into any) {
	target := reflect.ValueOf(into).Elem()
	shared := e.allShared(attrs)
	key := block{object: o}
	if e.host.row != nil {
		key.of = e.host.row.of
	}
	d, done := e.group.decoded[key]
	if done && shared {
		target.Set(d.value)
	} else {
		var values map[string]cty.Value
		values, d.diags = e.objectFrom(attrs, o, e.context, at, nil)
		d.unknown = e.fill(values, o, into, at)
		d.value = reflect.New(target.Type()).Elem() // what is added to the host is its own
		d.value.Set(target)
	}
	e.add(d.diags...)
	e.without(section, d.unknown...)
	if shared {
		e.group.decoded[key] = d
	}
}

func (e *hostEvaluation) allShared(attrs hcl.Attributes) bool {
	for _, attr := range attrs {
		if _, shared := e.shared[attr]; !shared {
			return false
		}
	}
	return true
}

func (e *hostEvaluation) plain() {
	attrs := hcl.Attributes{}
	for _, name := range hostObject.Names() {
		if attr, _ := e.host.said.at(name); attr != nil {
			attrs[name] = attr
		}
	}
	var a hostArguments
	e.decode("", attrs, hostObject, e.host.Range, &a)
	e.host.Vendor, e.host.Serial = a.Vendor, deref(a.Serial)
	e.host.Protected, e.host.AllowRunning = a.Protected, a.AllowRunning
}

func (e *hostEvaluation) bmc() {
	said, ok := e.host.said.section("bmc")
	if !ok {
		e.problem(e.host.Range, "Missing block", "There is no bmc block, neither here nor for the whole group. Add one, with username and password of the BMC.")
		e.without("bmc.", bmcObject.Names()...)
		return
	}
	e.decode("bmc.", said.arguments, bmcObject, said.at, &e.host.BMC)
	if e.host.BMC.Address == (Address{}) && e.host.knows("bmc.address") {
		e.addressByName()
	}
}

// addressByName uses the host's name as the address of its BMC.
func (e *hostEvaluation) addressByName() {
	address, err := ParseAddress(e.host.Name)
	if err != nil {
		e.problem(e.host.Range, "Invalid address", "Host %q has no bmc.address, so its name must be one, but %v.", e.host.Name, err)
		e.without("bmc.", "address")
	}
	e.host.BMC.Address = address
}

// esxi evaluates the esxi block. As long as the facts are not known, what depends on
// them waits.
func (e *hostEvaluation) esxi(facts cty.Value) {
	before := maps.Clone(e.scope)
	e.scope["facts"] = facts
	said, _ := e.host.said.section("esxi")
	values, diags := e.objectFrom(said.arguments, esxiObject, e.context, said.at, nil)
	e.add(diags...)
	e.scope = before
	names := e.takeDeferred(values, said.arguments)
	x := &ESXi{}
	e.host.ESXi = x
	e.without("esxi.", e.fill(values, esxiObject, x, said.at)...)
	if x.RootPassword.Reveal() == "-" {
		x.RootPassword = Secret{}
	}
	if len(names) > 0 {
		e.host.deferred = before
		x.setPlaceholders(names, func(name string) string { return position(said.arguments[name].Expr.Range()) })
	}
	x.normalise()
}

// normalise writes the NIC's MAC and device names as ESXi does.
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
func (e *hostEvaluation) value() cty.Value {
	h := e.host
	out := map[string]cty.Value{
		"name": cty.StringVal(h.Name), "index": h.row.indexValue(), "group": cty.StringVal(h.Group), "vendor": cty.StringVal(h.Vendor),
		"serial": optionalString(h.Serial), "protected": cty.BoolVal(h.Protected), "allow_running": cty.BoolVal(h.AllowRunning),
		"vars": e.scope["vars"],
		"bmc": cty.ObjectVal(map[string]cty.Value{
			"address": cty.StringVal(h.BMC.Address.String()), "username": cty.StringVal(h.BMC.Username),
			"password": cty.StringVal(h.BMC.Password.Reveal()).Mark(Sensitive),
		}),
		"esxi": cty.NullVal(esxiScope),
	}
	if h.ESXi != nil {
		out["esxi"] = esxiValue(h.ESXi)
	}
	for path := range h.unknown {
		forget(out, path)
	}
	return cty.ObjectVal(out)
}

// forget makes the value at a path unknown.
func forget(in map[string]cty.Value, path string) {
	name, rest, nested := strings.Cut(path, ".")
	v, ok := in[name]
	switch {
	case !ok:
	case nested:
		members := v.AsValueMap()
		forget(members, rest)
		in[name] = cty.ObjectVal(members)
	default:
		in[name] = cty.UnknownVal(v.Type()).WithSameMarks(v)
	}
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
	if d := x.Disk; d != nil && d.deferred != "" {
		disk = cty.UnknownVal(esxiScope.AttributeType("disk"))
	} else if d != nil {
		disk = cty.ObjectVal(map[string]cty.Value{
			"model": optional(d.Model), "serial": optional(d.Serial), "wwn": optional(d.WWN), "name": optional(d.Name),
		})
	}
	nic := optional(x.NIC)
	if x.deferredNIC {
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

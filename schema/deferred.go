package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// deferredArguments are those of the esxi block that may depend on host.facts: what the
// machine has, not what the plan wants of it.
var deferredArguments = []string{"disk", "nic", "wipe"}

// Deferred reports that the host's disk or NIC depends on host.facts, which must be read
// before its first step.
func (h *Host) Deferred() bool { return h.deferred != nil }

// Resolve fills in what depends on the facts of the machine. The host itself stays
// as it is; Resolve returns a copy.
func (p *Plan) Resolve(h *Host, facts cty.Value) (*Host, hcl.Diagnostics) {
	if h.deferred == nil {
		return h, nil
	}
	copied := *h
	l := &loader{plan: p, host: &copied}
	e := &hostEvaluation{loader: l, host: &copied, scope: maps.Clone(h.deferred)}
	e.esxi(facts)
	if len(copied.unknown) == 0 && !l.diags.HasErrors() {
		l.checkESXiDevices(&copied)
		copied.Value, copied.deferred = e.value(), nil
	}
	return &copied, p.hide(l.diags)
}

// takeDeferred takes the arguments out of an esxi block that depend on facts not read yet, and
// names them. Any other unknown is an error: only a machine's own devices can be deferred.
func (e *hostEvaluation) takeDeferred(values map[string]cty.Value, attrs hcl.Attributes) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		attr, value := attrs[name], values[name]
		if value == cty.NilVal || value.IsWhollyKnown() || !refersToFacts(attr.Expr) {
			continue
		}
		if !slices.Contains(deferredArguments, name) {
			e.problem(attr.Expr.Range(), "Too early for facts", "esxi.%s cannot depend on host.facts: only %s can, which name what the machine has.", name,
				strings.Join(deferredArguments, ", "))
			continue
		}
		values[name] = cty.NullVal(value.Type())
		names = append(names, name)
	}
	return names
}

func refersToFacts(x hcl.Expression) bool {
	return slices.ContainsFunc(x.Variables(), func(t hcl.Traversal) bool {
		name, ok := attributeName(t, "host")
		return ok && name == "facts"
	})
}

// setPlaceholders sets the deferred arguments to what they are until then.
func (x *ESXi) setPlaceholders(names []string, at func(name string) string) {
	for _, name := range names {
		switch text := fmt.Sprintf("chosen from host.facts (%s)", at(name)); name {
		case "disk":
			x.Disk = &Disk{deferred: text}
		case "wipe":
			x.Wipe = []Disk{{deferred: text}}
		case "nic":
			x.deferredNIC = true
		}
	}
}

package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Parts digests everything of the plan that concerns a host, as it was declared. The keys
// name what a person would change: "esxi.gateway", "vars.rack", "media.url", "image esxi",
// "local.iso_dir", "step restart", "order of steps", "plan". [DifferingParts]
// compares it with a later one and names what changed; maps are comparable only if the same
// version of esxiplan made both.
//
// A step counts as it is written, comments and layout aside, with what the plan gives for
// the variables, locals, images and files to which it refers. So other hosts do not count,
// even if all of them are in one table.
//
// Secrets do not count. A digest of a password could be tried against guesses by anyone who
// reads the log, and one that is slow enough to forbid that takes hours for thousands of
// hosts. What counts is where a secret comes from, such as var.root_password. The
// medium's own digest, which includes the slow hash of the password, shows that another
// password would be on it.
func (p *Plan) Parts(h *Host) map[string]string {
	if declared, ok := p.Host(h.Name); ok {
		h = declared // not as it was resolved on its machine
	}
	p.digests.Lock()
	defer p.digests.Unlock()
	parts := maps.Clone(p.planParts())
	p.hostParts(h, parts)
	var order []string
	for _, s := range p.Steps {
		if s.Applies(h) {
			order = append(order, s.Name)
			maps.Copy(parts, p.stepParts(h, s))
		}
	}
	parts[orderPart] = digestOf(strings.Join(order, " "))
	return parts
}

// orderPart is the part that says in which order a host takes the steps.
const orderPart = "order of steps"

// DifferingParts names the [Plan.Parts] of a host that are not now what they were before, in
// alphabetical order: changed, added and removed. What follows from another difference is
// left out: the places of the others if a step was added or removed, and what a step
// refers to if it refers to something else now.
func DifferingParts(before, now map[string]string) []string {
	names := map[string]bool{}
	steps := false // some were added or removed
	for _, pair := range [][2]map[string]string{{now, before}, {before, now}} {
		for name, digest := range pair[0] {
			switch other, both := pair[1][name]; {
			case both && digest != other, !both && !isReference(name):
				names[name] = true
				steps = steps || !both && strings.HasPrefix(name, stepPart)
			}
		}
	}
	if steps {
		delete(names, orderPart)
	}
	return slices.Sorted(maps.Keys(names))
}

// isReference reports a part to which others refer.
func isReference(name string) bool {
	return strings.HasPrefix(name, "var.") || strings.HasPrefix(name, "local.") || strings.HasPrefix(name, imagePart)
}

// Digests keeps the [Plan.Parts] of many hosts, what all have in common once.
type Digests struct {
	// Shared are those that are the same for all hosts, Digests each host's own.
	Shared  map[string]string            `json:"shared,omitempty"`
	Digests map[string]map[string]string `json:"digests,omitempty"`
}

// DigestHosts digests what the plan says of hosts.
func (p *Plan) DigestHosts(hosts []*Host) Digests {
	byHost := map[string]map[string]string{}
	for _, h := range hosts {
		byHost[h.Name] = p.Parts(h)
	}
	return NewDigests(byHost)
}

// NewDigests keeps parts by host.
func NewDigests(byHost map[string]map[string]string) Digests {
	d := Digests{Shared: map[string]string{}, Digests: map[string]map[string]string{}}
	counts := map[[2]string]int{}
	for _, parts := range byHost {
		for part, digest := range parts {
			counts[[2]string{part, digest}]++
		}
	}
	for host, parts := range byHost {
		own := map[string]string{}
		for part, digest := range parts {
			if counts[[2]string{part, digest}] == len(byHost) {
				d.Shared[part] = digest
			} else {
				own[part] = digest
			}
		}
		d.Digests[host] = own
	}
	return d
}

// Of are the parts of a host; ok is false if none were kept for it.
func (d *Digests) Of(host string) (parts map[string]string, ok bool) {
	own, ok := d.Digests[host]
	if !ok {
		return nil, false
	}
	parts = maps.Clone(d.Shared)
	if parts == nil {
		parts = map[string]string{}
	}
	maps.Copy(parts, own)
	return parts, true
}

// digests are what the parts of many hosts have in common.
type digests struct {
	sync.Mutex
	plan  map[string]string
	steps map[dependence]map[string]string
	texts map[*hcl.Attribute]string
}

// digestOf is short, because it is kept for every host and part. It is there to find
// changes; it need not resist an attacker who looks for two plans with the same digest.
func digestOf(texts ...string) string {
	h := sha256.New()
	for _, text := range texts {
		io.WriteString(h, strconv.Itoa(len(text))+" "+text)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// planParts are those of all hosts.
func (p *Plan) planParts() map[string]string {
	if p.digests.plan == nil {
		p.digests.plan = map[string]string{"plan": digestOf(p.Name)}
		if p.Media != nil {
			mediaObject.digest("media.", reflect.ValueOf(*p.Media), p.digests.plan)
		}
	}
	return p.digests.plan
}

// digest digests all arguments that a struct has been given.
func (o *Object) digest(prefix string, from reflect.Value, parts map[string]string) {
	for _, a := range o.Arguments {
		if field := from.FieldByIndex(a.field); !field.IsZero() {
			b, _ := json.Marshal(field.Interface()) // of a secret: Hidden
			parts[prefix+a.Name] = digestOf(string(b))
		}
	}
}

// hostParts are the host's own.
func (p *Plan) hostParts(h *Host, parts map[string]string) {
	plain := hostArguments{Vendor: h.Vendor, Protected: h.Protected, AllowRunning: h.AllowRunning}
	if h.Serial != "" {
		plain.Serial = &h.Serial
	}
	hostObject.digest("", reflect.ValueOf(plain), parts)
	bmcObject.digest("bmc.", reflect.ValueOf(h.BMC), parts)
	if h.ESXi != nil {
		esxiObject.digest("esxi.", reflect.ValueOf(*h.ESXi), parts)
	}
	for _, path := range secretArguments {
		if attr, _ := h.said.at(path); attr != nil && parts[path] != "" {
			parts[path] = digestOf(parts[path], sourceOf(attr.Expr))
		}
	}
	p.varsParts(h, parts)
	if h.Deferred() {
		p.deferredParts(h, parts)
	}
}

// secretArguments are the paths of arguments that are secrets, or hold one.
var secretArguments = []string{"bmc.password", "esxi.root_password", "esxi.license_key", "esxi.current"}

func (p *Plan) varsParts(h *Host, parts map[string]string) {
	vars := h.Value.GetAttr("vars")
	if !vars.IsKnown() { // a problem of the plan
		return
	}
	if vars.IsMarked() { // its keys are secrets, too
		parts["vars"] = digestOf(Hidden)
		return
	}
	for name, v := range vars.AsValueMap() {
		parts["vars."+name] = digestOf(canonical(v))
	}
}

// deferredParts are the arguments that wait for the machine's facts, as they are written.
func (p *Plan) deferredParts(h *Host, parts map[string]string) {
	scope := maps.Clone(h.deferred)
	scope["facts"] = cty.UnknownVal(p.known.Facts.Type())
	for _, name := range deferredArguments {
		if attr, _ := h.said.at("esxi." + name); attr != nil && refersToFacts(attr.Expr) {
			ctx := func() *hcl.EvalContext {
				ctx := p.global.NewChild()
				ctx.Variables = h.variables(attr, scope)
				return ctx
			}
			w := &writing{plan: p, host: h, ctx: ctx, parts: parts}
			w.attribute(attr, false)
			parts["esxi."+name] = w.digest()
		}
	}
}

// What precedes the name of a step, or of an image, in the name of its part.
const (
	stepPart  = "step "
	imagePart = "image "
)

// stepParts are a step's, and those of what it refers to. They are made once for all hosts
// for which they are the same.
func (p *Plan) stepParts(h *Host, s *Step) map[string]string {
	d := s.dependence(h, nil)
	if parts, done := p.digests.steps[d]; done {
		return parts
	}
	parts := map[string]string{}
	own := p.known.Steps[s.Type]
	ctx := func() *hcl.EvalContext {
		return p.context(s, Scope{Host: h, Results: p.unknownResults(), Result: cty.UnknownVal(own.Result.Type())})
	}
	policy, _ := json.Marshal(s.Policy)
	w := &writing{plan: p, host: h, ctx: ctx, parts: parts, texts: []string{s.Type, string(policy)}}
	for _, name := range slices.Sorted(maps.Keys(s.Arguments)) {
		a, _ := own.Arguments.Argument(name)
		w.attribute(s.Arguments[name], a.Secret)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Conditions)) {
		w.attribute(s.Conditions[name], false)
	}
	parts[stepPart+s.Name] = w.digest()
	if d.host == nil {
		if p.digests.steps == nil {
			p.digests.steps = map[dependence]map[string]string{}
		}
		p.digests.steps[d] = parts
	}
	return parts
}

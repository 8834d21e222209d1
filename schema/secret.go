package schema

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Hidden replaces a sensitive value in every output.
const Hidden = "(sensitive)"

// Secret is a string that no formatting verb and no JSON encoder prints. Only
// [Secret.Reveal] returns it; call it only where the secret is used.
type Secret struct{ text string }

// NewSecret keeps a text that did not come from a plan.
func NewSecret(text string) Secret { return Secret{text: text} }

// Reveal returns the text.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether there is no secret at all.
func (s Secret) IsZero() bool { return s.text == "" }

func (s Secret) String() string   { return Hidden }
func (s Secret) GoString() string { return Hidden }

// MarshalJSON writes [Hidden]: a secret never leaves the process as JSON.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(Hidden) }

// UnmarshalJSON reads a plain string.
func (s *Secret) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &s.text) }

type mark string

// Sensitive is the cty mark of values that must not be shown.
const Sensitive = mark("sensitive")

// secretTexts are the texts that must not be shown, so that they can be removed
// from what libraries say about values. Each has the name of where it came from.
type secretTexts struct {
	mu     sync.Mutex
	texts  map[string]string // by name, such as "var.root_password" or "env.BMC_PASSWORD"
	hider  *strings.Replacer // of all texts, nil: not made yet
	byHost map[string]string // texts, hosts' passwords included, by name; nil: not made yet
}

// add notes every string in a sensitive value, which has a name.
func (s *secretTexts) add(name string, v cty.Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	walkTexts(name, v, func(name, text string) {
		if s.texts[name] != text {
			s.texts[name], s.hider, s.byHost = text, nil, nil
		}
	})
}

// walkTexts finds the strings in a value, each with the name of its place.
func walkTexts(name string, v cty.Value, found func(name, text string)) {
	v, _ = v.Unmark()
	switch t := v.Type(); {
	case v.IsNull() || !v.IsKnown():
	case t == cty.String && v.AsString() != "":
		found(name, v.AsString())
	case t.IsSetType(): // whose keys are its elements
		for i, element := range v.AsValueSlice() {
			walkTexts(fmt.Sprintf("%s[%d]", name, i), element, found)
		}
	case v.CanIterateElements():
		for it := v.ElementIterator(); it.Next(); {
			key, element := it.Element()
			walkTexts(name+placeIn(key), element, found)
		}
	}
}

// placeIn writes a key of a collection as an expression would.
func placeIn(key cty.Value) string {
	key, _ = key.Unmark()
	if key.Type() == cty.Number {
		return "[" + key.AsBigFloat().Text('f', -1) + "]"
	}
	return member(key.AsString())
}

// member writes a name behind another one as an expression would: .h1 or ["192.0.2.1"].
func member(name string) string {
	if validName(name) {
		return "." + name
	}
	return fmt.Sprintf("[%q]", name)
}

// Secrets lists the texts of all sensitive values seen so far.
func (p *Plan) Secrets() []string {
	p.secrets.mu.Lock()
	defer p.secrets.mu.Unlock()
	return slices.Compact(slices.Sorted(maps.Values(p.secrets.texts)))
}

// SecretNames gives a name to every text that must not be shown: those of
// [Plan.Secrets], and the passwords and license keys of hosts. A record can
// hold the name instead of the text, and [Plan.SecretText] returns the text for the name,
// also in a later process: two loads of the same files give the same names.
//
// A name is where the text comes from: var.root_password, env.BMC_PASSWORD, a part of a
// variable such as var.logins.dell, group.lab.bmc.password where the group says it for all
// its hosts, else host.h1.esxi.root_password. Of several the first in this order counts,
// and among those the first in the alphabet. A name is no secret; it holds the keys of a
// sensitive map, but none of its values.
func (p *Plan) SecretNames() map[string]string {
	names := map[string]string{}
	for name, text := range p.namedSecrets() {
		if other, named := names[text]; !named || compareSecretNames(name, other) < 0 {
			names[text] = name
		}
	}
	return names
}

// AllSecretNames are all names that [Plan.SecretNames] chooses from, each with its text: a text
// with several names is there under each.
func (p *Plan) AllSecretNames() map[string]string { return maps.Clone(p.namedSecrets()) }

// SecretText is the text that has a name; ok is false if the plan has no such secret,
// or no longer has it.
func (p *Plan) SecretText(name string) (text string, ok bool) {
	text, ok = p.namedSecrets()[name]
	return text, ok
}

// compareSecretNames orders names by what they say about where a secret comes from.
func compareSecretNames(a, b string) int {
	rank := func(name string) int {
		return slices.IndexFunc([]string{"var.", "env.", "group.", ""}, func(root string) bool { return strings.HasPrefix(name, root) })
	}
	return cmp.Or(rank(a)-rank(b), strings.Compare(a, b))
}

// namedSecrets are all secrets by all their names.
func (p *Plan) namedSecrets() map[string]string {
	p.secrets.mu.Lock()
	defer p.secrets.mu.Unlock()
	if p.secrets.byHost == nil {
		p.secrets.byHost = maps.Clone(p.secrets.texts)
		for _, h := range p.Hosts() {
			h.secrets(func(name, text string) { p.secrets.byHost[name] = text })
		}
		for _, n := range p.Notify {
			n.secrets(func(name, text string) { p.secrets.byHost[name] = text })
		}
	}
	return p.secrets.byHost
}

// secrets finds those of a host that are given as arguments.
func (h *Host) secrets(found func(name, text string)) {
	add := func(path, within string, s Secret) {
		if !s.IsZero() {
			found(h.owner(path)+"."+path+within, s.Reveal())
		}
	}
	add("bmc.password", "", h.BMC.Password)
	if x := h.ESXi; x != nil {
		add("esxi.root_password", "", x.RootPassword)
		add("esxi.license_key", "", deref(x.LicenseKey))
		add("esxi.current", ".password", deref(x.Current).Password)
	}
}

// owner names the block that decides about an argument of the host: its group, where the
// group says it and means the same for all.
func (h *Host) owner(path string) string {
	if attr, own := h.said.at(path); attr != nil && !own && !refersToRoot(attr.Expr, "host") {
		return "group" + member(h.Group)
	}
	return "host" + member(h.Name)
}

// hide removes secrets, and what was made from them, from diagnostics.
func (p *Plan) hide(diags hcl.Diagnostics) hcl.Diagnostics {
	if len(diags) == 0 { // as nearly always, in a run
		return diags
	}
	hider := p.secrets.replacer()
	for _, d := range diags {
		d.Summary, d.Detail = hider.Replace(d.Summary), hider.Replace(d.Detail)
	}
	return withoutValues(diags)
}

// replacer hides all texts, the longest first: one may be the beginning of another.
func (s *secretTexts) replacer() *strings.Replacer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hider == nil {
		texts := slices.SortedFunc(maps.Values(s.texts), func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
		var pairs []string
		for _, text := range slices.Compact(texts) {
			pairs = append(pairs, text, Hidden)
		}
		s.hider = strings.NewReplacer(pairs...)
	}
	return s.hider
}

// IsSensitive reports whether v or anything inside it is sensitive.
func IsSensitive(v cty.Value) bool {
	if v == cty.NilVal || !v.ContainsMarked() {
		return false
	}
	_, marks := v.UnmarkDeep()
	_, found := marks[Sensitive]
	return found
}

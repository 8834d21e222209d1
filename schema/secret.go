package schema

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Hidden is what stands in every output in the place of a sensitive value.
const Hidden = "(sensitive)"

// Secret is a string that no formatting verb and no JSON encoder prints. Only
// [Secret.Reveal] gives it up; call it where the secret is used and nowhere else.
type Secret struct{ text string }

// NewSecret keeps a text that did not come from a plan.
func NewSecret(text string) Secret { return Secret{text: text} }

// Reveal gives the text to whoever uses it.
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

// secretTexts are the texts that must not be shown, so that they can be taken out
// of what libraries say about values.
type secretTexts struct {
	mu    sync.Mutex
	texts map[string]bool
}

// add notes every string in a sensitive value.
func (s *secretTexts) add(v cty.Value) {
	v, _ = v.UnmarkDeep()
	s.mu.Lock()
	defer s.mu.Unlock()
	cty.Walk(v, func(_ cty.Path, part cty.Value) (bool, error) {
		if part.Type() == cty.String && part.IsKnown() && !part.IsNull() && part.AsString() != "" {
			s.texts[part.AsString()] = true
		}
		return true, nil
	})
}

// Secrets lists the texts of all sensitive values seen so far.
func (p *Plan) Secrets() []string {
	p.secrets.mu.Lock()
	defer p.secrets.mu.Unlock()
	return slices.Sorted(maps.Keys(p.secrets.texts))
}

// hide takes secrets, and what was made from them, out of diagnostics.
func (p *Plan) hide(diags hcl.Diagnostics) hcl.Diagnostics {
	secrets := p.Secrets()
	for _, d := range diags {
		for _, s := range secrets {
			d.Summary, d.Detail = strings.ReplaceAll(d.Summary, s, Hidden), strings.ReplaceAll(d.Detail, s, Hidden)
		}
	}
	return withoutValues(diags)
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

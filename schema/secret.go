package schema

import (
	"encoding/json"

	"github.com/zclconf/go-cty/cty"
)

// Hidden is what stands in every output in the place of a sensitive value.
const Hidden = "(sensitive)"

// Secret is a string that no formatting verb and no JSON encoder prints. Only
// [Secret.Reveal] gives it up; call it where the secret is used and nowhere else.
type Secret struct{ text string }

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the secret itself.
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

// IsSensitive reports whether v or anything inside it is sensitive.
func IsSensitive(v cty.Value) bool {
	if v == cty.NilVal || !v.ContainsMarked() {
		return false
	}
	_, marks := v.UnmarkDeep()
	_, found := marks[Sensitive]
	return found
}

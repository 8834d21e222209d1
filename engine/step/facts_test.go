package step_test

import (
	"encoding/json"
	"strings"
	"testing"

	"esxiplan/engine/step"
	"esxiplan/schema"
)

// TestFactsThatCannotBeUnderstood: they end the host with a reason, and are not taken for
// nothing.
func TestFactsThatCannotBeUnderstood(t *testing.T) {
	h := &schema.Host{Name: "one"}
	for _, facts := range []string{`{"vendor":{}}`, `[]`, `{`, ``} {
		if _, _, diags := step.Resolve(&schema.Plan{}, h, json.RawMessage(facts)); !diags.HasErrors() || !strings.Contains(diags[0].Detail, `host "one" reported cannot be decoded`) {
			t.Errorf("%s: %v", facts, diags)
		}
	}
}

package text

import (
	"bytes"
	"encoding/json"
)

// InJSON replaces the strings in a JSON document, and leaves one as it is that has nothing to
// replace. Keys stay. What is no JSON becomes nil.
func InJSON(raw json.RawMessage, replace func(string) string) json.RawMessage {
	plain := !bytes.ContainsRune(raw, '\\') // then strings are in the document as they are
	if len(raw) == 0 || plain && replace(string(raw)) == string(raw) {
		return raw
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	changed := false
	v = replaced(v, func(text string) string {
		out := replace(text)
		changed = changed || out != text
		return out
	})
	if !changed {
		return raw
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}

func replaced(v any, replace func(string) string) any {
	switch v := v.(type) {
	case string:
		return replace(v)
	case []any:
		for i := range v {
			v[i] = replaced(v[i], replace)
		}
	case map[string]any:
		for k := range v {
			v[k] = replaced(v[k], replace)
		}
	}
	return v
}

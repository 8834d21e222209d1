package proposal_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/proposal"
)

// document is a JSON Schema, as far as the one of proposals needs it.
type document struct {
	Ref                  string               `json:"$ref"`
	Defs                 map[string]*document `json:"$defs"`
	Schema               string               `json:"$schema"`
	Title                string               `json:"title"`
	Type                 string               `json:"type"`
	Description          string               `json:"description"`
	Format               string               `json:"format"`
	Enum                 []any                `json:"enum"`
	Const                any                  `json:"const"`
	Minimum              *float64             `json:"minimum"`
	Required             []string             `json:"required"`
	Properties           map[string]*document `json:"properties"`
	PropertyNames        *document            `json:"propertyNames"`
	AdditionalProperties json.RawMessage      `json:"additionalProperties"`
	Items                *document            `json:"items"`
}

func schemaOf(t *testing.T) *document {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(proposal.JSONSchema)))
	d.DisallowUnknownFields() // the validator knows each keyword that is used
	var out document
	if err := d.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return &out
}

// definitions are the Go types that the schema describes.
var definitions = map[string]reflect.Type{
	"": reflect.TypeFor[proposal.Document](), "made": reflect.TypeFor[proposal.Made](), "who": reflect.TypeFor[event.Who](), "host": reflect.TypeFor[proposal.Host](), "open": reflect.TypeFor[proposal.Open](), "summary": reflect.TypeFor[proposal.Summary](),
	"change": reflect.TypeFor[event.Planned](), "disk": reflect.TypeFor[event.Disk](), "machine": reflect.TypeFor[event.Machine](), "running": reflect.TypeFor[event.Running](),
	"medium": reflect.TypeFor[event.Medium](), "snapshot": reflect.TypeFor[event.Snapshot](), "problem": reflect.TypeFor[event.Problem](), "answer": reflect.TypeFor[event.Answer](),
}

// TestJSONSchemaDescribesTheTypes: each field has a description and the type that Go writes,
// there are no others, and required are those that are always written.
func TestJSONSchemaDescribesTheTypes(t *testing.T) {
	root := schemaOf(t)
	if root.Schema != "https://json-schema.org/draft/2020-12/schema" || root.Properties["schema"].Const != float64(proposal.Schema) {
		t.Errorf("schema %s of version %v", root.Schema, root.Properties["schema"].Const)
	}
	if have, want := slices.Sorted(maps.Keys(root.Defs)), slices.Sorted(maps.Keys(definitions)); !slices.Equal(have, want[1:]) {
		t.Errorf("defined are %v, not %v", have, want[1:])
	}
	for name, typ := range definitions {
		d := root
		if name != "" {
			d = root.Defs[name]
		}
		fields := map[string]reflect.Type{}
		var required []string
		jsonFields(typ, func(name string, field reflect.Type, always bool) {
			fields[name] = field
			if always {
				required = append(required, name)
			}
		})
		if have, want := slices.Sorted(maps.Keys(d.Properties)), slices.Sorted(maps.Keys(fields)); !slices.Equal(have, want) {
			t.Errorf("%s: described are %v, and the type has %v", name, have, want)
			continue
		}
		if !slices.Equal(slices.Sorted(slices.Values(d.Required)), slices.Sorted(slices.Values(required))) || d.Description == "" || string(d.AdditionalProperties) != "false" {
			t.Errorf("%s: required are %v, not %v; description %q, additionalProperties %s", name, d.Required, required, d.Description, d.AdditionalProperties)
		}
		for field, typ := range fields {
			p := d.Properties[field]
			if p.Description == "" {
				t.Errorf("%s.%s has no description", name, field)
			}
			if have, want := p.kind(), kindOf(typ); have != want {
				t.Errorf("%s.%s is %s in the schema and %s in Go", name, field, have, want)
			}
		}
	}
}

// jsonFields are the fields that JSON has of a type, those of embedded ones included.
func jsonFields(typ reflect.Type, f func(name string, field reflect.Type, always bool)) {
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	for i := range typ.NumField() {
		field := typ.Field(i)
		tag := field.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case field.Anonymous && tag == "":
			jsonFields(field.Type, f)
		case tag != "-":
			f(name, field.Type, !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero"))
		}
	}
}

// kind is the form of a value, in words that [kindOf] has for Go types.
func (d *document) kind() string {
	switch {
	case d.Ref != "":
		return strings.TrimPrefix(d.Ref, "#/$defs/")
	case d.Type == "array":
		return "list of " + d.Items.kind()
	case d.Format == "date-time":
		return "time"
	case len(d.Enum) > 0:
		return "string"
	case d.Const != nil:
		return "integer"
	}
	return d.Type
}

func kindOf(t reflect.Type) string {
	for name, defined := range definitions {
		if name != "" && t == defined {
			return name
		}
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case t.Kind() == reflect.Pointer:
		return kindOf(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list of " + kindOf(t.Elem())
	case t.Kind() == reflect.Map:
		return "object"
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() == reflect.String:
		return "string"
	}
	return "integer"
}

// problems are what of a value the schema does not allow.
func (d *document) problems(root *document, at string, v any) (out []string) {
	if name, ok := strings.CutPrefix(d.Ref, "#/$defs/"); ok {
		return root.Defs[name].problems(root, at, v)
	}
	bad := func(format string, a ...any) { out = append(out, at+": "+fmt.Sprintf(format, a...)) }
	if d.Const != nil && v != d.Const {
		bad("%v is not %v", v, d.Const)
	}
	if len(d.Enum) > 0 && !slices.Contains(d.Enum, v) {
		bad("%v is not one of %v", v, d.Enum)
	}
	switch d.Type {
	case "string":
		if text, ok := v.(string); !ok {
			bad("%v is not a string", v)
		} else if _, err := time.Parse(time.RFC3339, text); d.Format == "date-time" && err != nil {
			bad("%v", err)
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			bad("%v is not a boolean", v)
		}
	case "integer":
		if n, ok := v.(float64); !ok || n != float64(int64(n)) || d.Minimum != nil && n < *d.Minimum {
			bad("%v is not a whole number of this range", v)
		}
	case "array":
		list, ok := v.([]any)
		if !ok {
			bad("%v is not a list", v)
		}
		for i, e := range list {
			out = append(out, d.Items.problems(root, fmt.Sprintf("%s[%d]", at, i), e)...)
		}
	case "object":
		out = append(out, d.objectProblems(root, at, v)...)
	}
	return out
}

func (d *document) objectProblems(root *document, at string, v any) (out []string) {
	object, ok := v.(map[string]any)
	if !ok {
		return []string{fmt.Sprintf("%s: %v is not an object", at, v)}
	}
	for _, name := range d.Required {
		if _, ok := object[name]; !ok {
			out = append(out, at+": "+name+" is missing")
		}
	}
	var others document
	closed := string(d.AdditionalProperties) == "false"
	if len(d.AdditionalProperties) > 0 && !closed {
		json.Unmarshal(d.AdditionalProperties, &others)
	}
	for name, e := range object {
		p := d.Properties[name]
		if p == nil && closed {
			out = append(out, at+": "+name+" is not described")
			continue
		}
		if p == nil {
			p = &others
		}
		if d.PropertyNames != nil {
			out = append(out, d.PropertyNames.problems(root, at, name)...)
		}
		out = append(out, p.problems(root, at+"."+name, e)...)
	}
	return out
}

// whole is a value with every field set, and strings that enumerations allow.
func whole(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		whole(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		whole(v.Index(0), depth+1)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[proposal.Outcome]int{proposal.Install: 1}))
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" {
				whole(v.Field(i), depth+1)
			}
		}
	}
}

// TestJSONSchemaTakesProposals: the schema allows what is produced, with all fields and with
// none, and refuses what is not.
func TestJSONSchemaTakesProposals(t *testing.T) {
	root := schemaOf(t)
	full := &proposal.Proposal{}
	whole(reflect.ValueOf(full).Elem(), 0)
	h := full.Hosts[0]
	h.Outcome, h.Changes[0].Door, h.Changes[0].Verb, h.Changes[0].Risk = proposal.Install, event.DoorBMC, event.Reset, event.Wipes
	h.Machine.Runs.Use, h.Changes[0].Machine.Runs.Use = "free", "busy"
	for name, p := range map[string]*proposal.Proposal{"full": full, "fleet": fleet(3), "empty": {Schema: 1, Steps: []string{}, Hosts: []*proposal.Host{}, Summary: proposal.Summary{Hosts: map[proposal.Outcome]int{}}}} {
		if bad := root.problems(root, name, plain(t, p)); len(bad) > 0 {
			t.Errorf("%s", strings.Join(bad, "\n"))
		}
	}
	for what, edit := range map[string]func(host map[string]any){
		"another outcome":  func(h map[string]any) { h["outcome"] = "done" },
		"a new field":      func(h map[string]any) { h["colour"] = "red" },
		"a missing field":  func(h map[string]any) { delete(h, "changes") },
		"another type":     func(h map[string]any) { h["warnings"] = "none" },
		"a number in text": func(h map[string]any) { h["host"] = 1.0 },
	} {
		v := plain(t, fleet(1))
		edit(v.(map[string]any)["hosts"].([]any)[0].(map[string]any))
		if len(root.problems(root, "", v)) == 0 {
			t.Errorf("%s is allowed", what)
		}
	}
}

// plain is a value as JSON has it.
func plain(t *testing.T, p *proposal.Proposal) (v any) {
	t.Helper()
	b, err := json.Marshal(proposal.Document{Proposal: p})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// ToGo copies a wholly known value into a Go struct of the same shape.
func ToGo(v cty.Value, into any) error {
	b, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// FromJSON reads a value of the object's type. Every outcome of a step passes here, and
// cty's own reader makes a decoder with a buffer for every member of it: this one decodes
// the document once.
func (o *Object) FromJSON(b []byte) (cty.Value, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var document any
	if err := d.Decode(&document); err != nil {
		return cty.NilVal, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return cty.NilVal, errors.New("there is more behind the value")
	}
	return typed(document, o.Type())
}

// typed makes a value of a type from decoded JSON. Only its own types convert to it: esxiplan did not
// write a log with a number instead of a string.
func typed(document any, t cty.Type) (cty.Value, error) {
	switch d := document.(type) {
	case nil:
		return cty.NullVal(t), nil
	case string:
		if t == cty.String {
			return cty.StringVal(d), nil
		}
	case bool:
		if t == cty.Bool {
			return cty.BoolVal(d), nil
		}
	case json.Number:
		if t == cty.Number {
			return cty.ParseNumberVal(d.String())
		}
	case []any:
		if t.IsListType() || t.IsSetType() {
			return typedElements(d, t)
		}
	case map[string]any:
		switch {
		case t.IsMapType():
			return typedMap(d, t)
		case t.IsObjectType():
			return typedObject(d, t)
		}
	}
	return cty.NilVal, fmt.Errorf("must be %s, got %s", t.FriendlyName(), kindOf(document))
}

func kindOf(document any) string {
	switch document.(type) {
	case string:
		return "string"
	case bool:
		return "bool"
	case json.Number:
		return "number"
	case []any:
		return "list"
	}
	return "object"
}

func typedElements(all []any, t cty.Type) (cty.Value, error) {
	values := make([]cty.Value, len(all))
	for i, d := range all {
		var err error
		if values[i], err = typed(d, t.ElementType()); err != nil {
			return cty.NilVal, fmt.Errorf("element %d: %w", i, err)
		}
	}
	switch {
	case t.IsSetType() && len(values) == 0:
		return cty.SetValEmpty(t.ElementType()), nil
	case t.IsSetType():
		return cty.SetVal(values), nil
	case len(values) == 0:
		return cty.ListValEmpty(t.ElementType()), nil
	}
	return cty.ListVal(values), nil
}

func typedMap(all map[string]any, t cty.Type) (cty.Value, error) {
	if len(all) == 0 {
		return cty.MapValEmpty(t.ElementType()), nil
	}
	values := make(map[string]cty.Value, len(all))
	for key, d := range all {
		var err error
		if values[key], err = typed(d, t.ElementType()); err != nil {
			return cty.NilVal, fmt.Errorf("%q: %w", key, err)
		}
	}
	return cty.MapVal(values), nil
}

func typedObject(all map[string]any, t cty.Type) (cty.Value, error) {
	types := t.AttributeTypes()
	values := make(map[string]cty.Value, len(types))
	for name, d := range all {
		want, ok := types[name]
		if !ok {
			return cty.NilVal, fmt.Errorf("there is no attribute %q", name)
		}
		var err error
		if values[name], err = typed(d, want); err != nil {
			return cty.NilVal, fmt.Errorf("attribute %q: %w", name, err)
		}
	}
	for name, want := range types {
		switch _, ok := values[name]; {
		case ok:
		case t.AttributeOptional(name):
			values[name] = cty.NullVal(want)
		default:
			return cty.NilVal, fmt.Errorf("attribute %q is missing", name)
		}
	}
	return cty.ObjectVal(values), nil
}

package schema

import (
	"math/big"
	"reflect"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
)

// bind copies conformed, wholly known arguments into the struct from which the object is
// derived; an argument without a value is left as it is. It returns false for what it leaves to
// [ToGo], which says what is wrong; the two agree on everything else. It exists for plans
// with thousands of hosts, for which JSON takes as long as reading the files.
func (o *Object) bind(value func(name string) cty.Value, into reflect.Value) bool {
	if into.Type() != o.goType {
		return false
	}
	for _, a := range o.Arguments {
		if v := value(a.Name); v != cty.NilVal && !a.bind(v, into.FieldByIndex(a.field)) {
			return false
		}
	}
	return true
}

func (a *Argument) bind(v cty.Value, into reflect.Value) bool {
	pointer := into.Kind() == reflect.Pointer
	switch {
	case v.IsNull():
		return pointer || into.Kind() == reflect.Slice // which stay nil
	case pointer:
		made := reflect.New(into.Type().Elem())
		into.Set(made)
		into = made.Elem()
	}
	if a.Object != nil && a.Type.IsObjectType() {
		return a.Object.bind(v.GetAttr, into)
	}
	return bindValue(v, into, a.Object)
}

// bindValue copies a value that is no object; element describes the objects of a list.
func bindValue(v cty.Value, into reflect.Value, element *Object) bool {
	switch t := v.Type(); {
	case t == cty.String:
		return bindText(v.AsString(), into)
	case t == cty.Bool:
		into.SetBool(v.True())
		return true
	case t == cty.Number && into.CanInt():
		n, accuracy := v.AsBigFloat().Int64()
		if accuracy != big.Exact || into.OverflowInt(n) {
			return false
		}
		into.SetInt(n)
		return true
	case t.IsListType() && into.Kind() == reflect.Slice:
		return bindList(v, into, element)
	}
	return false
}

func bindText(text string, into reflect.Value) bool {
	if !utf8.ValidString(text) {
		return false
	}
	switch target := into.Addr().Interface().(type) {
	case *Secret:
		target.text = text
	case *Address:
		return target.UnmarshalText([]byte(text)) == nil
	case *Duration:
		d, err := ParseDuration(text)
		*target = d
		return err == nil
	default:
		if into.Kind() != reflect.String {
			return false
		}
		into.SetString(text)
	}
	return true
}

func bindList(v cty.Value, into reflect.Value, element *Object) bool {
	into.Set(reflect.MakeSlice(into.Type(), v.LengthInt(), v.LengthInt()))
	for i, e := range v.AsValueSlice() {
		switch at := into.Index(i); {
		case e.IsNull():
			return false
		case element != nil && e.Type().IsObjectType():
			if !element.bind(e.GetAttr, at) {
				return false
			}
		case !bindValue(e, at, nil):
			return false
		}
	}
	return true
}

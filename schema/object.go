package schema

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// Object describes the arguments of a block or the attributes of a value. It is
// derived from a Go struct by [Of], never written by hand, so that what is
// documented, what is checked and what is decoded cannot differ.
type Object struct {
	Arguments []*Argument

	byName    map[string]*Argument
	valueType cty.Type
	null      cty.Value    // see [Object.Null]
	goType    reflect.Type // from which it is derived
}

// Argument is one member of an [Object].
type Argument struct {
	Name     string
	Was      string // the name that it had, for a message; "" when it never had another
	Doc      string
	Type     cty.Type
	Required bool
	Default  string   // the text of the `default` tag; documentation and value
	Enum     []string // the only strings allowed, when not empty
	Secret   bool     // takes sensitive values
	Object   *Object  // of an argument that is itself an object
	scalar   reflect.Type
	field    []int // in the struct

	absent    cty.Value // its value where it is left out or null: the default, converted
	absentErr error
}

var (
	addressType   = reflect.TypeFor[Address]()
	durationType  = reflect.TypeFor[Duration]()
	secretType    = reflect.TypeFor[Secret]()
	secretMapType = reflect.TypeFor[map[string]Secret]()
)

// Of derives the description of T, a struct. Field tags: `json` is the name,
// `doc` one sentence of documentation, `enum` the allowed strings separated by
// blanks, `default` the value when it is left out, `was` a former name. A pointer, slice or map is
// optional, everything else without a default is required. Of panics on a
// struct that it cannot describe: that is a bug, and any test
// that loads the package finds it.
func Of[T any]() *Object { return objectOf(reflect.TypeFor[T]()) }

func objectOf(t reflect.Type) *Object {
	o := &Object{goType: t}
	for _, field := range reflect.VisibleFields(t) {
		if field.Anonymous || !field.IsExported() || field.Tag.Get("json") == "-" {
			continue
		}
		o.Arguments = append(o.Arguments, argumentOf(t, field))
	}
	o.index()
	return o
}

// index prepares what is needed for each host and step.
func (o *Object) index() {
	o.byName = make(map[string]*Argument, len(o.Arguments))
	types := make(map[string]cty.Type, len(o.Arguments))
	nulls := make(map[string]cty.Value, len(o.Arguments))
	for _, a := range o.Arguments {
		o.byName[a.Name], types[a.Name], nulls[a.Name] = a, a.Type, cty.NullVal(a.Type)
	}
	o.valueType, o.null = cty.Object(types), cty.ObjectVal(nulls)
}

func argumentOf(t reflect.Type, field reflect.StructField) *Argument {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	a := &Argument{Name: name, Was: field.Tag.Get("was"), Doc: field.Tag.Get("doc"), Default: field.Tag.Get("default"), field: field.Index}
	if name == "" || a.Doc == "" {
		panic(fmt.Sprintf("schema: field %s of %s needs a json name and a doc tag", field.Name, t))
	}
	if enum := field.Tag.Get("enum"); enum != "" {
		a.Enum = strings.Fields(enum)
	}
	a.Required = a.Default == "" && !slices.Contains([]reflect.Kind{reflect.Pointer, reflect.Slice, reflect.Map}, field.Type.Kind())
	a.scalar = field.Type
	if a.scalar.Kind() == reflect.Pointer {
		a.scalar = a.scalar.Elem()
	}
	a.Secret = a.scalar == secretType || a.scalar == secretMapType
	a.Type, a.Object = typeOf(a.scalar)
	if a.absent = cty.NullVal(a.Type); a.Default != "" {
		a.absent, a.absentErr = convert.Convert(cty.StringVal(a.Default), a.Type)
	}
	return a
}

// typeOf maps a Go type to the cty type of the same JSON form.
func typeOf(t reflect.Type) (cty.Type, *Object) {
	switch {
	case t == addressType, t == durationType, t == secretType:
		return cty.String, nil
	case t.Kind() == reflect.Pointer:
		return typeOf(t.Elem())
	}
	switch t.Kind() {
	case reflect.String:
		return cty.String, nil
	case reflect.Bool:
		return cty.Bool, nil
	case reflect.Int, reflect.Int64, reflect.Uint64, reflect.Float64:
		return cty.Number, nil
	case reflect.Slice:
		element, object := typeOf(t.Elem())
		return cty.List(element), object
	case reflect.Map:
		element, object := typeOf(t.Elem())
		return cty.Map(element), object
	case reflect.Struct:
		object := objectOf(t)
		return object.Type(), object
	}
	panic(fmt.Sprintf("schema: no plan type for Go type %s", t))
}

// Type is the type of a value that has every argument.
func (o *Object) Type() cty.Type { return o.valueType }

// Null is the value of this type whose attributes are all null: the result of
// a step that was skipped.
func (o *Object) Null() cty.Value { return o.null }

// Names lists the arguments in the order of the struct.
func (o *Object) Names() []string {
	names := make([]string, len(o.Arguments))
	for i, a := range o.Arguments {
		names[i] = a.Name
	}
	return names
}

// Argument finds an argument by name.
func (o *Object) Argument(name string) (*Argument, bool) {
	a, ok := o.byName[name]
	return a, ok
}

func (o *Object) has(name string) bool { return o.byName[name] != nil }

// renamed finds the argument that once had another name.
func (o *Object) renamed(former string) (*Argument, bool) {
	for _, a := range o.Arguments {
		if a.Was != "" && a.Was == former {
			return a, true
		}
	}
	return nil, false
}

// header is the body schema of a block that holds the arguments of all objects.
func header(objects ...*Object) *hcl.BodySchema {
	s := &hcl.BodySchema{}
	for _, o := range objects {
		for _, a := range o.Arguments {
			s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: a.Name})
		}
	}
	return s
}

// ArgumentError says that an argument is at fault; the code that holds the plan
// file turns its path into a place.
type ArgumentError struct {
	Path cty.Path
	Err  error
}

func (e *ArgumentError) Error() string { return e.Err.Error() }
func (e *ArgumentError) Unwrap() error { return e.Err }

// AtArgument returns an error about the argument called name.
func AtArgument(name string, format string, values ...any) error {
	return &ArgumentError{Path: cty.GetAttrPath(name), Err: fmt.Errorf(format, values...)}
}

// Conform converts v to what the argument takes: right type, known keys only,
// an allowed word, a readable duration. The answer carries no marks; a
// sensitive value is refused unless the argument is a secret.
func (a *Argument) Conform(v cty.Value) (cty.Value, error) {
	if IsSensitive(v) && !a.Secret && a.Object == nil {
		return cty.NilVal, fmt.Errorf("the value is sensitive, and %q would show it: secrets can only be given to passwords. "+
			"If the value is no secret, wrap it in nonsensitive()", a.Name)
	}
	if v.IsNull() {
		return a.absent, a.absentErr
	}
	if a.Object != nil && a.Type.IsObjectType() {
		return a.Object.Conform(v)
	}
	if a.Object != nil && a.Type.IsListType() {
		return a.conformList(v)
	}
	v, _ = v.UnmarkDeep()
	converted, err := convert.Convert(v, a.Type)
	if err != nil {
		if a.Type.IsListType() && v.Type().IsPrimitiveType() {
			return cty.NilVal, fmt.Errorf("must be %s, got %s; write a list in brackets, even if it has one element", friendlyType(a.Type), kindGot(v))
		}
		return cty.NilVal, fmt.Errorf("must be %s, got %s", friendlyType(a.Type), kindGot(v))
	}
	return converted, a.allowed(converted)
}

// conformList conforms the objects of a list one by one.
func (a *Argument) conformList(v cty.Value) (cty.Value, error) {
	v, marks := v.Unmark()
	if t := v.Type(); !t.IsTupleType() && !t.IsListType() && !t.IsSetType() {
		if !v.IsKnown() {
			return cty.UnknownVal(a.Type), nil
		}
		return cty.NilVal, fmt.Errorf("must be a list of objects with the attributes %s, got %s", quoted(a.Object.Names()), kindGot(v))
	}
	if !v.IsKnown() {
		return cty.UnknownVal(a.Type), nil
	}
	var out []cty.Value
	var found problems
	for it := v.ElementIterator(); it.Next(); {
		_, element := it.Element()
		conformed, err := a.Object.Conform(element.WithMarks(marks))
		found = append(found, each(err)...)
		out = append(out, conformed)
	}
	if len(found) > 0 {
		return cty.NilVal, found
	}
	if len(out) == 0 {
		return cty.ListValEmpty(a.Type.ElementType()), nil
	}
	return cty.ListVal(out), nil
}

func (a *Argument) allowed(v cty.Value) error {
	if !v.IsKnown() || v.IsNull() {
		return nil
	}
	if v.Type() == cty.Number && a.scalar.Kind() != reflect.Float64 && !v.AsBigFloat().IsInt() {
		return fmt.Errorf("must be a whole number, not %s", v.AsBigFloat().Text('g', 6))
	}
	if v.Type() != cty.String {
		return nil
	}
	text := v.AsString()
	switch {
	case text == a.Default:
		return nil
	case a.scalar == addressType:
		_, err := ParseAddress(text)
		return err
	case a.scalar == durationType:
		_, err := ParseDuration(text)
		return err
	}
	if len(a.Enum) > 0 && !slices.Contains(a.Enum, text) {
		return fmt.Errorf("%q is not one of %s%s", text, quoted(a.Enum), DidYouMean(text, a.Enum))
	}
	return nil
}

// Conform converts an object value attribute by attribute, refuses keys that
// the object does not know, and demands the required ones.
func (o *Object) Conform(v cty.Value) (cty.Value, error) {
	if !v.IsKnown() {
		return cty.UnknownVal(o.Type()), nil
	}
	v, marks := v.Unmark()
	if t := v.Type(); !t.IsObjectType() && !t.IsMapType() {
		if o.goType == reflect.TypeFor[Image]() {
			return cty.NilVal, fmt.Errorf("must be an image of the plan, such as image.esxi, got %s", kindGot(v))
		}
		return cty.NilVal, fmt.Errorf("must be an object with the attributes %s, got %s", quoted(o.Names()), kindGot(v))
	}
	given := v.AsValueMap()
	var found problems
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if !o.has(key) {
			found = append(found, &ArgumentError{cty.GetAttrPath(key), &unknownKey{key, o.Names()}})
			o.take(given, key)
		}
	}
	out := make(map[string]cty.Value, len(o.Arguments))
	for _, a := range o.Arguments {
		value, ok := given[a.Name]
		if !ok {
			value = cty.NullVal(a.Type)
		}
		conformed, err := a.Conform(value.WithMarks(marks))
		if err == nil && a.Required && conformed.IsKnown() && conformed.IsNull() {
			err = fmt.Errorf("attribute %q is required", a.Name)
		}
		for _, err := range each(err) {
			found = append(found, &ArgumentError{append(cty.GetAttrPath(a.Name), pathOf(err)...), err})
		}
		out[a.Name] = conformed
	}
	if len(found) > 0 {
		return cty.NilVal, found
	}
	return cty.ObjectVal(out), nil
}

// take treats an unknown key as the known one that is near, which then is not missing.
func (o *Object) take(given map[string]cty.Value, key string) {
	near := nearest(key, o.Names())
	if _, ok := given[near]; near != "" && !ok {
		given[near] = cty.UnknownVal(o.byName[near].Type)
	}
}

// problems are all problems of a value.
type problems []error

func (p problems) Error() string {
	texts := make([]string, len(p))
	for i, err := range p {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap gives the problems to errors.As.
func (p problems) Unwrap() []error { return p }

// each lists the problems of an error, none for nil.
func each(err error) []error {
	if all, ok := err.(problems); ok {
		return all
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// unknownKey is an attribute that an object does not take.
type unknownKey struct {
	key   string
	known []string
}

func (e *unknownKey) Error() string {
	return fmt.Sprintf("there is no attribute %q here; it takes %s%s", e.key, quoted(e.known), DidYouMean(e.key, e.known))
}

func isUnknownKey(err error) bool {
	var unknown *unknownKey
	return errors.As(err, &unknown)
}

// friendlyType names a type for people, with an article.
func friendlyType(t cty.Type) string {
	switch {
	case t == cty.String:
		return "a string"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "true or false"
	case t.IsTupleType():
		return "a list"
	case t.IsListType(), t.IsSetType():
		return "a list of " + friendlyTypes(t.ElementType())
	case t.IsMapType():
		return "an object of " + friendlyTypes(t.ElementType())
	case t.IsObjectType():
		return "an object"
	}
	return "another value"
}

// kindGot names what a value is, if it should be something else.
func kindGot(v cty.Value) string {
	switch {
	case v.IsNull():
		return "null"
	case v.Type() == cty.Bool:
		return "a bool"
	}
	return friendlyType(v.Type())
}

func friendlyTypes(t cty.Type) string {
	switch {
	case t == cty.Bool:
		return "true and false"
	case t.IsPrimitiveType():
		return t.FriendlyName() + "s"
	case t.IsObjectType(), t.IsMapType():
		return "objects"
	case t.IsTupleType(), t.IsCollectionType():
		return "lists"
	}
	return "values"
}

func pathOf(err error) cty.Path {
	if at, ok := err.(*ArgumentError); ok {
		return at.Path
	}
	return nil
}

// WriteMarkdown writes the arguments as a table.
func (o *Object) WriteMarkdown(w io.Writer) {
	fmt.Fprintf(w, "| name | type | | meaning |\n| --- | --- | --- | --- |\n")
	for _, a := range o.Arguments {
		fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", a.Name, a.typeName(), a.need(), strings.ReplaceAll(a.describe(), "|", "\\|"))
	}
}

func (a *Argument) need() string {
	switch {
	case a.Default != "":
		return "default `" + a.Default + "`"
	case a.Required:
		return "required"
	}
	return "optional"
}

func (a *Argument) describe() string {
	text := a.Doc
	if len(a.Enum) > 0 {
		text += " One of " + quoted(a.Enum) + "."
	}
	if a.Object != nil {
		text += " Attributes: " + quoted(a.Object.Names()) + "."
	}
	return text
}

func (a *Argument) typeName() string {
	switch {
	case a.scalar == durationType:
		return "duration"
	case a.Type.IsListType():
		return "list"
	case a.Type.IsMapType():
		return "map"
	case a.Secret:
		return "secret"
	case a.Object != nil:
		return "object"
	}
	return a.Type.FriendlyName()
}

// quoted lists words for a sentence: "a", "b" and "c".
func quoted(words []string) string {
	out := quotedEach(words)
	if n := len(out); n > 1 {
		return strings.Join(out[:n-1], ", ") + " and " + out[n-1]
	}
	return strings.Join(out, "")
}

func quotedEach(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = `"` + w + `"`
	}
	return out
}

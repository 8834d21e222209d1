package schema

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// anything is an unknown value of any type.
var anything = cty.DynamicVal

// withoutValues says in words of the plan what is wrong, and drops expression and context
// from diagnostics, so that no renderer can print the values that were in scope.
func withoutValues(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		explain(d)
		d.Expression, d.EvalContext = nil, nil
	}
	return diags
}

// explain replaces what hcl says of an evaluation that failed.
func explain(d *hcl.Diagnostic) {
	if d.Expression == nil {
		return
	}
	d.Extra = nil
	switch d.Summary {
	case "Invalid index", "Unsupported attribute", "Missing map element":
		if text := explainMissing(d); text != "" {
			d.Detail = sentenceCase(text)
		}
	case "Attempt to get attribute from null value", "Attempt to index null value", "Iteration over null value":
		d.Detail = sentenceCase(nullPart(d) + " is null here. Give it a value, or write a default with try(…, DEFAULT).")
	default:
		d.Detail = inPlainWords(d.Detail)
	}
}

// inPlainWords replaces the libraries' jargon in their errors. The user's own words, in
// quotation marks, stay.
func inPlainWords(text string) string {
	text = functionParameter.ReplaceAllString(text, "This argument of the function is invalid: ")
	text = requiredType.ReplaceAllStringFunc(text, func(part string) string {
		types := requiredType.FindStringSubmatch(part)
		return "must be " + withArticle(types[1]) + ", got " + strings.Replace(withArticle(types[2]), "true or false", "a bool", 1)
	})
	parts := strings.Split(libraryWords.Replace(text), `"`)
	for i := 0; i < len(parts); i += 2 {
		parts[i] = typeWords.Replace(parts[i])
	}
	return strings.Join(parts, `"`)
}

func withArticle(kind string) string {
	switch {
	case kind == "bool":
		return "true or false"
	case strings.HasPrefix(kind, "object"):
		return "an " + kind
	}
	if _, _, nested := strings.Cut(kind, " of "); nested {
		kind += "s"
	}
	return "a " + strings.ReplaceAll(kind, "tuple", "list")
}

var (
	functionParameter = regexp.MustCompile(`Invalid value for "[^"]*" parameter: `)
	requiredType      = regexp.MustCompile(`\b([a-z]+(?: of [a-z]+)*) required, but have ([a-z]+(?: of [a-z]+)*)`)

	// libraryWords are what functions say, and what a plan's author needs to know.
	libraryWords = strings.NewReplacer(
		"CSV parse error on line", "the text is not CSV: line",
		`extraneous or missing \" in quoted-field`, "a quotation mark too many, or one missing",
		"failed: EOF", "failed: the text ends before the JSON document does",
		"failed: unexpected EOF", "failed: the text ends before the JSON document does",
		"invalid regexp pattern", "the pattern is not a regular expression",
		"illegal base64 data at input byte", "the text is not base64: byte",
		`got "tuple"`, "got a list",
		"maps or objects", "objects",
		"list, tuple, or set", "a list",
		"lists or tuples", "lists",
		"lists, sets and tuples", "lists",
		"must have map or object type", "must be an object",
		"collection must be a list, a map or a tuple", "must be a list, an object or a string",
		"no non-null arguments", "all arguments are null, and one must not be",
		"\"yamldecode\" failed: on line", "\"yamldecode\" failed: the text is not YAML: line",
	)
	typeWords = strings.NewReplacer("a tuple", "a list", "tuple", "list", "a bool is", "true or false is", "to bool", "to true or false", "a map", "an object")
)

// sentenceCase begins a sentence with a capital, unless it begins with a reference.
func sentenceCase(text string) string {
	if first, _, _ := strings.Cut(text, " "); strings.ContainsAny(first, ".[(_") {
		return text
	}
	return capital(text)
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// lookup is one step of an expression into a value: by a key that is known, or not.
type lookup struct {
	in    string // the value that was looked into, as written
	value cty.Value
	key   string
}

// explainMissing says which key does not exist, and which do.
func explainMissing(d *hcl.Diagnostic) string {
	at, ok := lookupOf(d)
	if !ok || IsSensitive(at.value) {
		return ""
	}
	value, _ := at.value.Unmark()
	t := value.Type()
	switch {
	case !value.IsKnown() || value.IsNull():
		return ""
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
		return listLookup(at, value)
	case !t.IsObjectType() && !t.IsMapType():
		return fmt.Sprintf("%s is %s, and has no attributes; %q cannot be read from it.", at.in, friendlyType(t), at.key)
	}
	keys := keysOf(value)
	if len(keys) == 0 {
		return fmt.Sprintf("There is no key %q in %s, which is empty.", at.key, at.in)
	}
	remedy := "Correct the key"
	if root, _, _ := strings.Cut(at.in, "."); root == "local" || root == "var" || strings.HasPrefix(at.in, "host.vars") {
		remedy = "Add it there, or correct the key"
	}
	return fmt.Sprintf("There is no key %q in %s, which has %s. %s%s", at.key, at.in, some(keys), remedy, DidYouMean(at.key, keys))
}

func listLookup(at lookup, value cty.Value) string {
	n := 0
	if value.CanIterateElements() {
		n = value.LengthInt()
	}
	if value.Type().IsSetType() || !wholeNumber.MatchString(at.key) {
		return fmt.Sprintf("%s is a list, and has no key %q. Take one element by its number, such as [0], or the key of all elements: [*].%[2]s.", at.in, at.key)
	}
	if n == 0 {
		return fmt.Sprintf("%s is empty, so it has no element %s.", at.in, at.key)
	}
	return fmt.Sprintf("%s has %d elements, counted from 0 to %d; there is no element %s.", at.in, n, n-1, at.key)
}

var wholeNumber = regexp.MustCompile(`^-?[0-9]+$`)

func keysOf(value cty.Value) []string {
	if t := value.Type(); t.IsObjectType() {
		return slices.Sorted(maps.Keys(t.AttributeTypes()))
	}
	return slices.Sorted(maps.Keys(value.AsValueMap()))
}

// mostKeys is how many keys a sentence lists.
const mostKeys = 12

func some(keys []string) string {
	if n := len(keys) - mostKeys; n > 0 {
		return strings.Join(quotedEach(keys[:mostKeys]), ", ") + fmt.Sprintf(" and %d more", n)
	}
	return quoted(keys)
}

// lookupOf finds in the expression of a diagnostic the step that failed.
func lookupOf(d *hcl.Diagnostic) (lookup, bool) {
	switch x := unwrapped(d.Expression).(type) {
	case *hclsyntax.IndexExpr:
		value, diags := x.Collection.Value(d.EvalContext)
		key, moreDiags := x.Key.Value(d.EvalContext)
		text, ok := keyText(key)
		return lookup{written(x.Collection, d.EvalContext), value, text}, ok && !diags.HasErrors() && !moreDiags.HasErrors()
	case *hclsyntax.ScopeTraversalExpr:
		return failedStep(x.Traversal, func(n int) (cty.Value, bool) {
			v, diags := x.Traversal[:n].TraverseAbs(d.EvalContext)
			return v, !diags.HasErrors()
		}, "")
	case *hclsyntax.RelativeTraversalExpr:
		source, diags := x.Source.Value(d.EvalContext)
		if diags.HasErrors() {
			return lookup{}, false
		}
		return failedStep(x.Traversal, func(n int) (cty.Value, bool) {
			v, diags := x.Traversal[:n].TraverseRel(source)
			return v, !diags.HasErrors()
		}, written(x.Source, d.EvalContext))
	}
	return lookup{}, false
}

// failedStep finds the first step of a traversal that cannot be taken.
func failedStep(t hcl.Traversal, upTo func(n int) (cty.Value, bool), in string) (lookup, bool) {
	first := 0
	if !t.IsRelative() {
		first = 1
	}
	for n := first; n < len(t); n++ {
		if _, ok := upTo(n + 1); ok {
			continue
		}
		value, ok := upTo(n)
		key, known := stepKey(t[n])
		return lookup{in + writtenTraversal(t[:n]), value, key}, ok && known
	}
	return lookup{}, false
}

func stepKey(step hcl.Traverser) (string, bool) {
	switch s := step.(type) {
	case hcl.TraverseAttr:
		return s.Name, true
	case hcl.TraverseIndex:
		return keyText(s.Key)
	}
	return "", false
}

// keyText is a key that may be shown.
func keyText(key cty.Value) (string, bool) {
	if IsSensitive(key) || key == cty.NilVal {
		return "", false
	}
	key, _ = key.Unmark()
	switch {
	case !key.IsKnown() || key.IsNull():
		return "", false
	case key.Type() == cty.String:
		return key.AsString(), true
	case key.Type() == cty.Number:
		return key.AsBigFloat().Text('f', -1), true
	}
	return "", false
}

// nullPart is the part of an expression that is null, as written.
func nullPart(d *hcl.Diagnostic) string {
	if at, ok := lookupOf(d); ok {
		return at.in
	}
	return "A value"
}

// unwrapped is an expression without the meter's wrapper and without parentheses.
func unwrapped(x hcl.Expression) hcl.Expression {
	for {
		switch inner := x.(type) {
		case *bounded:
			x = inner.Expression
		case *hclsyntax.ParenthesesExpr:
			x = inner.Expression
		default:
			return x
		}
	}
}

// written is an expression as a plan writes it, as far as it is a reference, with keys as
// they are in a context.
func written(x hcl.Expression, ctx *hcl.EvalContext) string {
	switch x := unwrapped(x).(type) {
	case *hclsyntax.ScopeTraversalExpr:
		return writtenTraversal(x.Traversal)
	case *hclsyntax.RelativeTraversalExpr:
		return written(x.Source, ctx) + writtenTraversal(x.Traversal)
	case *hclsyntax.IndexExpr:
		key, diags := x.Key.Value(ctx)
		if text, ok := keyText(key); ok && !diags.HasErrors() && key.Type() == cty.String {
			return written(x.Collection, ctx) + member(text)
		}
		return written(x.Collection, ctx) + "[…]"
	case *hclsyntax.FunctionCallExpr:
		return x.Name + "(…)"
	}
	return "this value"
}

func writtenTraversal(t hcl.Traversal) string {
	var b strings.Builder
	for _, step := range t {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(s.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + s.Name)
		case hcl.TraverseIndex:
			if s.Key.Type() == cty.String {
				b.WriteString(member(s.Key.AsString()))
			} else if text, ok := keyText(s.Key); ok {
				b.WriteString("[" + text + "]")
			}
		}
	}
	return b.String()
}
